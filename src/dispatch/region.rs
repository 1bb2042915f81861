//! Regions: stretches in which rayon owns the cores, for programs that call their BLAS directly.
//!
//! Invariants: while a region is alive, BLAS is held at one thread, for the process where its setter reaches the process
//! (by guards of the limits layer, which nest in any order); where it reaches the calling thread alone, by a guard in
//! each worker, which the worker makes and drops itself when it [settles](settle).
//!
//! Why a worker settles in time: a region asks every worker of its pool with `spawn_broadcast`, which waits for nobody. A
//! worker takes work from another one only after it has emptied its own queue of broadcasts, so whatever reaches it
//! from inside the region finds it settled. What it had begun before the region, and the parts of that, run as they were.

use super::share::width;
use crate::cores::Width;
use crate::error::{Error, ErrorKind, Result};
use crate::limit::{Limits, Outcome, Plan, ProcessGuard, Shortfall, ThreadGuard};
use crate::runtime::runtimes;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the workers settle to.
static WANTED: Mutex<Wanted> = Mutex::new(Wanted {
    alive: 0,
    plan: None,
});
/// Grows with every change of [`WANTED`], so that those who are settled see it without the lock.
static CHANGES: AtomicU64 = AtomicU64::new(0);

struct Wanted {
    /// How many regions are alive.
    alive: usize,
    /// The limit for the runtimes whose setters reach one thread only.
    plan: Option<Plan>,
}

/// What a thread has settled to.
struct Settled {
    change: u64,
    guard: Option<ThreadGuard>,
}

thread_local! {
    static SETTLED: RefCell<Settled> = const { RefCell::new(Settled { change: 0, guard: None }) };
}

/// A stretch in which rayon owns the cores: BLAS calls of the pool's workers, and of the thread that made it, use one thread
/// each. Ends when dropped; regions may overlap and nest in any way.
///
/// Calls through [`Blas`](super::Blas) need no region. For a library whose setter reaches the whole process this holds for
/// calls of all threads; for one whose setter reaches a single thread (OpenMP builds), for this thread and the workers
/// of the pool that it is in, or of the global pool.
///
/// It belongs to the thread that made it:
/// ```compile_fail
/// let region = threadctl::dispatch::region().unwrap();
/// std::thread::spawn(move || drop(region));
/// ```
#[derive(Debug)]
#[must_use = "the region ends when this is dropped"]
pub struct Region<'pool> {
    process: Option<ProcessGuard>,
    /// The runtimes that only a guard in each thread can limit.
    threads: bool,
    pool: Option<&'pool ThreadPool>,
    /// Settles the thread that it was made on.
    thread: PhantomData<*const ()>,
}

/// Begins a region for the pool that this thread is in, or for the global pool.
///
/// Never waits for the workers. BLAS libraries that are loaded later are not covered.
///
/// # Errors
/// [`ErrorKind::NotHonoured`] when a loaded BLAS cannot be held at one thread; nothing is changed then.
///
/// ```
/// use rayon::prelude::*;
///
/// let sums: Vec<f64> = {
///     let _region = threadctl::dispatch::region()?;
///     // BLAS calls in here use one thread each.
///     (0..8).into_par_iter().map(f64::from).collect()
/// };
/// // Out here they may use all cores.
/// # assert_eq!(sums.len(), 8);
/// # Ok::<(), threadctl::Error>(())
/// ```
pub fn region() -> Result<Region<'static>> {
    Region::begin(None)
}

/// Begins a region for a pool of the program's own.
///
/// # Errors
/// As for [`region`].
///
/// ```
/// let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
/// let region = threadctl::dispatch::region_in(&pool)?;
/// pool.install(|| { /* BLAS calls in here use one thread each */ });
/// drop(region);
/// # Ok::<(), threadctl::Error>(())
/// ```
pub fn region_in(pool: &ThreadPool) -> Result<Region<'_>> {
    Region::begin(Some(pool))
}

impl<'pool> Region<'pool> {
    fn begin(pool: Option<&'pool ThreadPool>) -> Result<Self> {
        let blas = runtimes().select(|runtime| runtime.user_api() == "blas");
        let all = Limits::new().all(1);
        let process = all.plan(&blas)?.limit_process()?;
        let honoured = |outcome: &Outcome| {
            outcome
                .shortfall
                .as_ref()
                .is_none_or(Shortfall::is_honoured)
        };
        let left: Vec<_> = process
            .outcomes()
            .iter()
            .filter(|outcome| !honoured(outcome))
            .map(|outcome| outcome.runtime.filepath().to_owned())
            .collect();
        let threads = !left.is_empty();
        let mut plan = None;
        if threads {
            let left = blas.select(|runtime| left.iter().any(|path| path == runtime.filepath()));
            let left = all.plan(&left)?;
            let trial = left.limit_thread()?;
            if let Some(outcome) = trial.outcomes().iter().find(|outcome| !honoured(outcome)) {
                return Err(Error::new(
                    ErrorKind::NotHonoured,
                    format!(
                        "{}: it cannot be held at one thread: {}",
                        outcome.runtime.filepath().display(),
                        outcome
                            .shortfall
                            .as_ref()
                            .map(ToString::to_string)
                            .unwrap_or_default()
                    ),
                ));
            }
            plan = Some(left);
        }
        change(|wanted| {
            wanted.alive += 1;
            // A later plan knows at least the libraries of an earlier one.
            wanted.plan = plan.or(wanted.plan.take());
        });
        let region = Region {
            process: Some(process),
            threads,
            pool,
            thread: PhantomData,
        };
        region.settle_all();
        Ok(region)
    }

    /// What became of the limits for the whole process; those that only a guard in each thread can limit are told apart
    /// by [`Shortfall::ThreadOnly`].
    ///
    /// ```
    /// let region = threadctl::dispatch::region()?;
    /// for outcome in region.outcomes() {
    ///     println!("{}: {:?}", outcome.runtime.internal_api(), outcome.effective);
    /// }
    /// # Ok::<(), threadctl::Error>(())
    /// ```
    pub fn outcomes(&self) -> &[Outcome] {
        self.process.as_ref().map_or(&[], ProcessGuard::outcomes)
    }

    /// This thread at once, the workers before they take up anything of ours.
    fn settle_all(&self) {
        if !self.threads {
            return;
        }
        settle();
        match self.pool {
            Some(pool) => pool.spawn_broadcast(|_| settle()),
            None => {
                // The global pool, of the right size, if it is not running.
                width();
                rayon::spawn_broadcast(|_| settle());
            }
        }
    }
}

impl Drop for Region<'_> {
    fn drop(&mut self) {
        change(|wanted| {
            wanted.alive -= 1;
            if wanted.alive == 0 {
                wanted.plan = None;
            }
        });
        self.settle_all();
        self.process = None;
    }
}

fn change(change: impl FnOnce(&mut Wanted)) {
    let mut wanted = wanted();
    change(&mut wanted);
    // Release: who sees the number sees what is wanted (under the lock, at the latest).
    CHANGES.fetch_add(1, Ordering::Release);
}

fn wanted() -> MutexGuard<'static, Wanted> {
    WANTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Brings the calling thread to what the regions that are alive want of it.
fn settle() {
    // A thread that is being torn down calls no BLAS any more; a controller of the program's own that begins a region
    // while it is asked is left as it is.
    let _ = SETTLED.try_with(|settled| {
        let Ok(mut settled) = settled.try_borrow_mut() else {
            return;
        };
        if settled.change == CHANGES.load(Ordering::Acquire) {
            return;
        }
        let (change, plan) = {
            let wanted = wanted();
            (CHANGES.load(Ordering::Acquire), wanted.plan.clone())
        };
        settled.change = change;
        // The new one first: in between, the number would be the program's.
        let guard = plan.and_then(|plan| plan.limit_thread().ok());
        settled.guard = guard;
    });
}

/// A rayon pool sized by the cores that this process may use, whose work runs in a region.
///
/// ```
/// use threadctl::{Workers, dispatch::Pool};
///
/// let pool = Pool::new(Workers::ALL)?;
/// assert_eq!(pool.rayon().current_num_threads(), threadctl::cores().count() as usize);
/// let four = pool.install(|| 2 + 2)?;
/// # assert_eq!(four, 4);
/// # Ok::<(), threadctl::Error>(())
/// ```
#[derive(Debug)]
pub struct Pool(ThreadPool);

impl Pool {
    /// A pool of so many workers: see [`Width`].
    ///
    /// # Errors
    /// [`ErrorKind::InvalidLimit`] for 0, [`ErrorKind::System`] when the threads cannot be started.
    ///
    /// ```
    /// let two = threadctl::Workers::try_from(2)?;
    /// assert!(threadctl::dispatch::Pool::new(two)?.rayon().current_num_threads() <= 2);
    /// # Ok::<(), threadctl::Error>(())
    /// ```
    pub fn new(workers: impl Width) -> Result<Self> {
        let workers = workers.number();
        builder(workers)?.build().map(Pool).map_err(|why| {
            Error::new(
                ErrorKind::System,
                format!("a pool of {workers} workers: {why}"),
            )
        })
    }

    /// Makes the global pool of rayon: see [`Pool::new`]. Work in it runs in a region where the program begins one.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidLimit`] for 0, [`ErrorKind::Unsupported`] when the global pool is running already, [`ErrorKind::System`] when the threads cannot be
    /// started.
    ///
    /// ```
    /// threadctl::dispatch::Pool::build_global(threadctl::Workers::ALL)?;
    /// assert_eq!(rayon::current_num_threads(), threadctl::cores().count() as usize);
    /// # Ok::<(), threadctl::Error>(())
    /// ```
    pub fn build_global(workers: impl Width) -> Result<()> {
        let workers = workers.number();
        builder(workers)?.build_global().map_err(|why| {
            let kind = if std::error::Error::source(&why).is_some() {
                ErrorKind::System
            } else {
                ErrorKind::Unsupported
            };
            Error::new(
                kind,
                format!("the global pool with {workers} workers: {why}"),
            )
        })
    }

    /// Runs `work` in the pool, in a region.
    ///
    /// # Errors
    /// As for [`region`]; then `work` is not run.
    ///
    /// ```
    /// let pool = threadctl::dispatch::Pool::new(threadctl::Workers::ALL)?;
    /// assert_eq!(pool.install(|| 7)?, 7);
    /// # Ok::<(), threadctl::Error>(())
    /// ```
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> Result<R> {
        let _region = region_in(&self.0)?;
        Ok(self.0.install(work))
    }

    /// The pool itself. Work that is given to it directly runs in a region only where one was begun.
    ///
    /// ```
    /// let pool = threadctl::dispatch::Pool::new(threadctl::Workers::ALL)?;
    /// let region = threadctl::dispatch::region_in(pool.rayon())?;
    /// pool.rayon().join(|| (), || ());
    /// drop(region);
    /// # Ok::<(), threadctl::Error>(())
    /// ```
    pub fn rayon(&self) -> &ThreadPool {
        &self.0
    }
}

fn builder(workers: u32) -> Result<ThreadPoolBuilder> {
    if workers == 0 {
        return Err(Error::new(
            ErrorKind::InvalidLimit,
            "a pool of 0 workers: it needs at least 1",
        ));
    }
    Ok(ThreadPoolBuilder::new()
        .num_threads(usize::try_from(workers).unwrap_or(usize::MAX))
        // A worker that is born inside a region.
        .start_handler(|_| settle()))
}
