//! What handing over work costs on this machine: calls and tiles of dispatch, waking a worker, and sleep that is longer than asked for.
//!
//! Invariant: calls and tiles are measured as the program was started, maybe with real-time priority, so that nobody else has the core;
//! messages and sleep are measured as ordinary programs have them ([`ordinary`]), since the kernel treats others differently.

use super::ROUNDS;
use super::simulate::Program;
use crate::common::{Spread, spread};
use std::time::{Duration, Instant};

/// Between which pauses the examples sleep in `threadctl::mpi::meet`.
pub const PAUSES: [Duration; 2] = [Duration::from_micros(50), Duration::from_millis(1)];

/// What a shared call costs beyond its tiles.
#[derive(Clone, Copy)]
pub struct Costs {
    pub call: Spread,
    pub tile: Spread,
    pub wake: Spread,
}

/// In a pool of two: calls of few and of many empty tiles, which the caller mostly takes alone; and how soon the other worker is at a
/// tile, if it has rested before.
pub fn sharing(pool: &rayon::ThreadPool) -> Costs {
    const COUNTS: [usize; 2] = [2, 66];
    const CALLS: u32 = 2000;
    const REST: Duration = Duration::from_millis(2);
    let empty = |tiles: usize| {
        let start = Instant::now();
        for _ in 0..CALLS {
            threadctl::dispatch::share(tiles, |tile| {
                std::hint::black_box(tile);
            });
        }
        start.elapsed().as_secs_f64() / f64::from(CALLS)
    };
    let come = || {
        std::thread::sleep(REST);
        let caller = std::thread::current().id();
        let come = std::sync::OnceLock::new();
        let start = Instant::now();
        threadctl::dispatch::share(2, |_| {
            if std::thread::current().id() != caller {
                come.get_or_init(|| start.elapsed());
            }
            // Each waits for the other one, the caller not for ever.
            while come.get().is_none() && start.elapsed() < 5 * REST {
                std::hint::spin_loop();
            }
        });
        come.get().copied().unwrap_or(5 * REST).as_secs_f64()
    };
    pool.install(|| {
        let (mut calls, mut tiles) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let [few, many] = COUNTS.map(empty);
            let tile = ((many - few) / (COUNTS[1] - COUNTS[0]) as f64).max(0.0);
            tiles.push(tile);
            calls.push((few - tile * COUNTS[0] as f64).max(0.0));
        }
        Costs {
            call: spread(calls),
            tile: spread(tiles),
            wake: spread((0..200).map(|_| come()).collect()),
        }
    })
}

impl Costs {
    /// The program with these costs.
    pub fn of(self, program: Program) -> Program {
        Program {
            call: self.call.median,
            tile: self.tile.median,
            wake: self.wake.median,
            ..program
        }
    }
}

/// How much longer than asked for the shortest pause takes.
pub fn sleeping() -> Spread {
    let late = |_| {
        let start = Instant::now();
        std::thread::sleep(PAUSES[0]);
        (start.elapsed() - PAUSES[0]).as_secs_f64()
    };
    spread((0..1000).map(late).collect())
}

/// Runs it, and what it starts, as an ordinary thread; afterwards this thread is what it was.
pub fn ordinary<R>(run: impl FnOnce() -> R) -> R {
    let none = libc::sched_param { sched_priority: 0 };
    let mut before = none;
    // SAFETY: of this thread, and where it can be written.
    let policy = unsafe {
        assert_eq!(libc::sched_getparam(0, &mut before), 0, "its priority");
        libc::sched_getscheduler(0)
    };
    let be = |policy: i32, parameters: &libc::sched_param| {
        // SAFETY: of this thread; the parameters live.
        let done = unsafe { libc::sched_setscheduler(0, policy, parameters) };
        assert_eq!(done, 0, "sched_setscheduler");
    };
    be(libc::SCHED_OTHER, &none);
    let result = run();
    be(policy, &before);
    result
}
