//! Regions: stretches in which rayon owns the cores, for programs that call their BLAS directly.
//!
//! Invariants: while a region is alive, BLAS is held at one thread, for the process where its setter reaches the process
//! (by guards of the limits layer, which nest in any order); where it reaches the calling thread alone, by a guard for this
//! region in each worker of its pool, which the worker makes and drops itself. So a worker is held by the regions of its own
//! pool and by no others, in whatever order these end.
//!
//! When a worker is held: a region asks every worker of its pool with `spawn_broadcast`, which waits for nobody. A worker
//! looks at its own queue of broadcasts before it takes work from others, so it is held from the next time that it begins
//! to look for work. Two things run as before: what it had begun before the region, with the parts of that; and one piece
//! of work, if it was looking just when the region began and had already passed its queue. Who must not have that
//! waits for the workers, where that cannot deadlock: `pool.broadcast(|_| ())` returns when all are held.

use super::hold::{all_hold, hold_thread};
use super::pool::{self, Pins};
use super::share::width;
use crate::budget::{self, Cover};
use crate::cores::{Place, Width};
use crate::error::{Error, ErrorKind, Result};
use crate::limit::{Limits, Outcome, Plan, ProcessGuard, ThreadGuard};
use crate::runtime::runtimes;
use rayon::{BroadcastContext, ThreadPool, ThreadPoolBuilder};
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

/// The regions that are alive.
static ALIVE: Mutex<Alive> = Mutex::new(Alive {
    count: 0,
    plan: None,
    born: Vec::new(),
});
/// The name of the next region.
static NEXT: AtomicU64 = AtomicU64::new(0);

struct Alive {
    count: usize,
    /// The limit for the runtimes whose setters reach one thread only.
    plan: Option<Plan>,
    /// Pools that were made meanwhile: their workers are held until the last region has ended.
    born: Vec<Weak<ThreadPool>>,
}

/// By what a thread is held.
struct Held {
    /// By regions that it made, or of its pool: their names.
    regions: Vec<(u64, Option<ThreadGuard>)>,
    /// By those in which it was born.
    born: Option<ThreadGuard>,
}

thread_local! {
    static HELD: RefCell<Held> = const { RefCell::new(Held { regions: Vec::new(), born: None }) };
    /// How many regions this thread has made that are alive.
    static MINE: Cell<usize> = const { Cell::new(0) };
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
    name: u64,
    /// There are runtimes that only a guard in each thread can limit.
    threads: bool,
    pool: Option<&'pool ThreadPool>,
    /// Of a budget that this process shares with others, for the workers: as many as there were.
    _cover: Option<Cover>,
    /// It holds the thread that it was made on.
    thread: PhantomData<*const ()>,
}

/// Begins a region for the pool that this thread is in, or for the global pool.
///
/// Never waits for the workers: those of a library whose setter reaches one thread are held from the next time that they
/// look for work. BLAS libraries that are loaded later are not covered.
///
/// # Errors
/// [`ErrorKind::NotHonoured`] when a loaded BLAS cannot be held at one thread; nothing is changed then. That is found out for
/// this thread; since the workers are not waited for, one that cannot be held is told as a warning of `tracing`.
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
        let all = Limits::new().all(1).kernels();
        let process = all.plan(&blas)?.limit_process()?;
        let left: Vec<_> = process
            .outcomes()
            .iter()
            .filter(|outcome| !outcome.is_honoured())
            .map(|outcome| outcome.runtime.filepath().to_owned())
            .collect();
        let threads = !left.is_empty();
        let mut plan = None;
        if threads {
            let left = blas.select(|runtime| left.iter().any(|path| path == runtime.filepath()));
            let left = all.plan(&left)?;
            all_hold(left.limit_thread()?.outcomes(), ErrorKind::NotHonoured)?;
            plan = Some(left);
        }
        {
            let mut alive = alive();
            alive.count += 1;
            // A later plan knows at least the libraries of an earlier one.
            alive.plan = plan.clone().or(alive.plan.take());
        }
        let cover = cover(pool);
        MINE.set(MINE.get() + 1);
        let region = Region {
            process: Some(process),
            // Relaxed: a number that nobody else has.
            name: NEXT.fetch_add(1, Ordering::Relaxed),
            threads,
            pool,
            _cover: cover,
            thread: PhantomData,
        };
        if let Some(plan) = plan {
            let name = region.name;
            let told = AtomicBool::new(false);
            region.everywhere(move || hold(name, &plan, &told));
        }
        Ok(region)
    }

    /// What became of the limits for the whole process; those that only a guard in each thread can limit are told apart
    /// by [`Shortfall::ThreadOnly`](crate::Shortfall::ThreadOnly).
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

    /// On this thread at once, on the workers before they take up anything of ours.
    fn everywhere(&self, act: impl Fn() + Send + Sync + 'static) {
        act();
        // We may be one of the workers, and look for work much later.
        let here = thread::current().id();
        let elsewhere = move |_: BroadcastContext<'_>| {
            if thread::current().id() != here {
                act();
            }
        };
        match self.pool {
            Some(pool) => pool.spawn_broadcast(elsewhere),
            None => {
                // The global pool, of the right size, if it is not running.
                width();
                // It panics where the global pool cannot run. Then there are no workers to tell.
                let _ = catch_unwind(AssertUnwindSafe(|| rayon::spawn_broadcast(elsewhere)));
            }
        }
    }
}

impl Drop for Region<'_> {
    fn drop(&mut self) {
        MINE.set(MINE.get().saturating_sub(1));
        let born = {
            let mut alive = alive();
            alive.count -= 1;
            if alive.count == 0 {
                alive.plan = None;
                mem::take(&mut alive.born)
            } else {
                Vec::new()
            }
        };
        if self.threads {
            let name = self.name;
            self.everywhere(move || release(name));
        }
        for pool in born.iter().filter_map(Weak::upgrade) {
            pool.spawn_broadcast(|_| come_of_age());
        }
        self.process = None;
    }
}

/// Whether the calling thread has made a region that is alive.
pub(super) fn is_mine() -> bool {
    MINE.get() > 0
}

/// Takes a token for each worker, as far as there are some. The thread that waits for them needs none.
fn cover(pool: Option<&ThreadPool>) -> Option<Cover> {
    let budget = budget::joined()?;
    let workers = pool.map_or_else(width, ThreadPool::current_num_threads);
    let inside = is_mine() || rayon::current_thread_index().is_some();
    Some(budget.cover(workers, inside))
}

fn alive() -> MutexGuard<'static, Alive> {
    ALIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Changes what the calling thread is held by. Guards are made and dropped outside of this: controllers of the program's
/// own run then, which may begin regions. A thread that is being torn down calls no BLAS any more.
fn held<R>(change: impl FnOnce(&mut Held) -> R) -> Option<R> {
    HELD.try_with(|held| change(&mut held.borrow_mut())).ok()
}

/// Holds the calling thread for a region.
fn hold(region: u64, plan: &Plan, told: &AtomicBool) {
    let guard = hold_thread(plan, told);
    held(|held| held.regions.push((region, guard)));
}

/// The region holds the calling thread no more.
fn release(region: u64) {
    let guard = held(|held| {
        let place = held.regions.iter().position(|(name, _)| *name == region)?;
        Some(held.regions.swap_remove(place))
    });
    drop(guard);
}

/// Holds a worker that is born, for the regions that are alive.
fn be_born() {
    let plan = alive().plan.clone();
    let guard = plan.and_then(|plan| hold_thread(&plan, &AtomicBool::new(false)));
    held(|held| held.born = guard);
}

/// They have all ended.
fn come_of_age() {
    drop(held(|held| held.born.take()));
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
pub struct Pool(pub(super) Arc<ThreadPool>, pub(super) Arc<[Place]>);

impl Pool {
    /// A pool of so many workers: see [`Width`]; bound to CPUs where `THREADCTL_PIN` says so. For more: [`Pool::builder`].
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
        Pool::builder(workers).build()
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
        build_global(workers.number(), |builder| builder)
    }

    /// The same with the calling thread as one of the workers, for as long as the program runs: for a program whose main thread
    /// calls BLAS and rayon's loops by turns.
    ///
    /// To rayon such a thread is otherwise one more than the workers. It sleeps while they work, and while it computes, those who
    /// have nothing to do look for work for a while, on its core too. With it among them there is no thread too many:
    /// BENCHMARKS.md has the figures. In return, it runs tasks of the pool only while it is inside rayon itself, so with one
    /// worker what is given to `rayon::spawn` waits until then.
    ///
    /// # Errors
    /// As for [`build_global`](Self::build_global); [`ErrorKind::Unsupported`] also where the calling thread is a worker of another pool.
    /// After [`ErrorKind::System`] the calling thread may be left as a worker of a pool that does not run (rayon 1.13 does not undo
    /// that): what it gives to rayon from then on is not run by anybody.
    ///
    /// ```
    /// threadctl::dispatch::Pool::build_global_here(threadctl::Workers::ALL)?;
    /// assert!(rayon::current_thread_index().is_some());
    /// # Ok::<(), threadctl::Error>(())
    /// ```
    pub fn build_global_here(workers: impl Width) -> Result<()> {
        build_global(workers.number(), ThreadPoolBuilder::use_current_thread)
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

/// Makes a pool whose workers know of the regions that are alive.
pub(super) fn born(workers: u32, pins: Option<Arc<Pins>>) -> Result<Arc<ThreadPool>> {
    let builder = builder(workers)?.start_handler(move |worker| {
        if let Some(pins) = &pins {
            pins.bind(worker);
        }
        be_born();
    });
    let pool = builder.build().map(Arc::new).map_err(|why| {
        Error::new(
            ErrorKind::System,
            format!("a pool of {workers} workers: {why}"),
        )
    })?;
    let mut alive = alive();
    if alive.count > 0 {
        alive.born.retain(|pool| pool.strong_count() > 0);
        alive.born.push(Arc::downgrade(&pool));
    } else {
        // A region may have ended while they were born.
        drop(alive);
        pool.spawn_broadcast(|_| come_of_age());
    }
    Ok(pool)
}

/// Makes the global pool, changed as wanted.
fn build_global(
    workers: u32,
    change: impl FnOnce(ThreadPoolBuilder) -> ThreadPoolBuilder,
) -> Result<()> {
    let builder = pool::bound(builder(workers)?, workers);
    change(builder).build_global().map_err(|why| {
        // An error of the system's has a source; the others say that the pool, or this worker, is there already.
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

fn builder(workers: u32) -> Result<ThreadPoolBuilder> {
    if workers == 0 {
        return Err(Error::new(
            ErrorKind::InvalidLimit,
            "a pool of 0 workers: it needs at least 1",
        ));
    }
    Ok(ThreadPoolBuilder::new().num_threads(usize::try_from(workers).unwrap_or(usize::MAX)))
}
