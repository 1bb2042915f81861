//! What our side's jobs run on: one pool of [`WORKERS`] workers, made once, as the peers keep their threads too.
//!
//! Invariant: jobs run on a worker of this pool, so nobody else waits for them. (A worker of another pool that waits for this one
//! looks for work meanwhile, and stands before the cores all the time.)

use threadctl::Workers;
use threadctl::dispatch::Pool;

/// On both sides, in all rows that do not say otherwise.
pub const WORKERS: i64 = 2;

/// Handed to each [`Prepare`](crate::rows::Prepare).
pub struct Side {
    pool: &'static rayon::ThreadPool,
}

impl Side {
    /// Makes the pool, and calls `work` on one of its workers.
    pub fn within(work: impl FnOnce(&Side) + Send) {
        threadctl::init().expect("the library begins");
        let workers = Workers::try_from(WORKERS).expect("some workers");
        let pool = Box::leak(Box::new(Pool::new(workers).expect("a pool")));
        let side = Side { pool: pool.rayon() };
        side.pool.install(|| work(&side));
    }

    /// For functions that take `workers`.
    pub fn workers(&self) -> Workers<'static> {
        Workers::pool(self.pool)
    }
}
