//! What our side's jobs run on: two pools of [`WORKERS`] workers, made once, as the peers keep their threads too.

use threadctl::Workers;
use threadctl::dispatch::Pool;

/// On both sides, in all rows that do not say otherwise.
pub const WORKERS: i64 = 2;

/// Handed to each [`Prepare`](crate::rows::Prepare).
pub struct Side {
    pool: &'static rayon::ThreadPool,
}

impl Side {
    /// Makes rayon's global pool, with the calling thread as one of its workers, and the pool that `workers()` names. Whichever
    /// is not used sleeps.
    pub fn new() -> Side {
        threadctl::init().expect("the library begins");
        let workers = Workers::try_from(WORKERS).expect("some workers");
        Pool::build_global_here(workers).expect("the global pool");
        let pool = Box::leak(Box::new(Pool::new(workers).expect("a pool")));
        Side { pool: pool.rayon() }
    }

    /// For functions that take `workers`.
    pub fn workers(&self) -> Workers<'static> {
        Workers::pool(self.pool)
    }
}
