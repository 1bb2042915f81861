//! An isolated parallel loop: the caller works on its own tiles, idle rayon workers help, nobody steals.
//!
//! The protocol, with its proof sketch, is in this folder's README. `call.rs` hands tiles out, `slot.rs` is where
//! helpers come and go, `mailbox.rs` keeps offers from piling up, `process.rs` counts who runs, `gate.rs` holds back
//! callers that rayon does not know of; this file joins them to rayon.
//!
//! Invariants: a caller runs nothing but tiles of its own call between its entry and its return; a thread is counted
//! once, however deep its calls.

mod call;
mod gate;
mod mailbox;
mod process;
mod slot;

// The parts that are model-checked (tests/loom_share.rs).
#[cfg(not(loom))]
use {call::Call, mailbox::Mailbox};
#[cfg(loom)]
pub use {call::Call, mailbox::Mailbox, slot::Slot};

use process::Process;
use std::cell::{Cell, OnceCell};
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

/// How long a caller waits for a core when its tiles might need something that it holds; see [`share`].
const PATIENCE: Duration = Duration::from_millis(100);

/// How many cores [`simulate_cores`] said there are; 0 for those that there are.
static SIMULATED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// This thread is counted as running.
    static COUNTED: Cell<bool> = const { Cell::new(false) };
    /// How many shared calls of this thread are inside each other.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static MAILBOX: OnceCell<Arc<Mailbox>> = const { OnceCell::new() };
}

/// Runs `tile(0)` to `tile(tiles - 1)`, each once: the calling thread works through them, and rayon workers that are
/// idle help. Returns when all are done.
///
/// Unlike rayon's own loops, the caller runs nothing else while it waits, so it may hold a lock across the call that
/// other tasks of the pool want. Helpers are workers of the pool that the caller is in, or of the global pool if it is in
/// none; there are never more of them than tiles and cores left, and none at all where every worker is busy: then the
/// caller does everything itself, at no extra cost worth the name.
///
/// Callers that are no rayon workers are counted: they and their helpers stay within the cores, so one that comes when
/// as many are in as there are cores waits for its turn (at most 100 ms, lest it holds what the others wait for).
///
/// Tiles may run on any of these threads at once and in any order; what they wrote is seen by the caller when this
/// returns. In a forked child, where no worker exists, the caller runs them all.
///
/// # Panics
/// If a tile panics, tiles that nobody has begun are left out, and the panic goes on in the caller when the others have
/// ended.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// let squares: Vec<AtomicU64> = (0..100).map(|_| AtomicU64::new(0)).collect();
/// threadctl::dispatch::share(squares.len(), |tile| {
///     squares[tile].store((tile * tile) as u64, Ordering::Relaxed);
/// });
/// assert_eq!(squares[9].load(Ordering::Relaxed), 81);
/// ```
///
/// Tiles are shared between threads, so what is not `Sync` cannot be in them:
/// ```compile_fail
/// let count = std::cell::Cell::new(0);
/// threadctl::dispatch::share(4, |_| count.set(count.get() + 1));
/// ```
pub fn share<F: Fn(usize) + Sync>(tiles: usize, tile: F) {
    run(tiles, &tile, Some(PATIENCE));
}

/// [`share`] for tiles that wait for nothing: kernels.
#[allow(dead_code, reason = "for the routines, which come next")]
pub(crate) fn share_kernels(tiles: usize, tile: &(dyn Fn(usize) + Sync)) {
    run(tiles, tile, None);
}

/// How many workers share the tiles of a call that this thread makes, itself included: the size of its pool.
///
/// For a thread that is no rayon worker this is the global pool, which is started if it is not running.
///
/// ```
/// let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
/// assert_eq!(pool.install(threadctl::dispatch::width), 3);
/// ```
pub fn width() -> usize {
    if process::copied() {
        return 1;
    }
    if rayon::current_thread_index().is_none() {
        if process::current().forked {
            return 1;
        }
        start_global_pool();
    }
    rayon::current_num_threads()
}

/// Makes dispatch believe that there are so many cores, or with `None` as many as there are: to test programs at a
/// width that the machine does not have. It holds for the whole process. A pool of that size is the caller's business.
///
/// ```
/// # use std::num::NonZeroUsize;
/// threadctl::dispatch::simulate_cores(NonZeroUsize::new(8));
/// let pool = rayon::ThreadPoolBuilder::new().num_threads(8).build().unwrap();
/// pool.install(|| threadctl::dispatch::share(64, |_| ()));
/// threadctl::dispatch::simulate_cores(None);
/// ```
pub fn simulate_cores(cores: Option<NonZeroUsize>) {
    SIMULATED.store(cores.map_or(0, NonZeroUsize::get), Ordering::Relaxed);
}

/// How many threads may compute at once.
fn cores() -> usize {
    match SIMULATED.load(Ordering::Relaxed) {
        0 => usize::try_from(crate::cores().count()).unwrap_or(1),
        simulated => simulated,
    }
}

/// The global pool, sized by [`crate::cores()`] where the program has not started one itself.
fn start_global_pool() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let threads = usize::try_from(crate::cores().count_for("rayon")).unwrap_or(1);
        // An error says that it is running.
        let _ = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global();
    });
}

fn run(tiles: usize, work: &(dyn Fn(usize) + Sync), patience: Option<Duration>) {
    if tiles == 0 {
        return;
    }
    let cores = cores();
    let caller = Caller::begin(cores, patience);
    let width = width();
    let wanted = (tiles - 1).min(width - 1).min(cores - 1);
    let depth = DEPTH.get();
    let mailbox = (wanted > 0).then(mailbox).flatten();
    let Some((mailbox, slot)) = mailbox
        .as_ref()
        .and_then(|mailbox| mailbox.slot(depth).map(|slot| (mailbox, slot)))
    else {
        (0..tiles).for_each(work);
        return;
    };
    let call = Call::new(tiles, work, wanted);
    DEPTH.set(depth + 1);
    slot.publish(&call, || {
        // One offer is all that a caller makes, and its only allocation; helpers make the further ones. A worker makes
        // it at once, since it lies there until a worker is idle. A thread from outside waits until a core is left, lest
        // it wake workers for nothing.
        let mut offered = false;
        loop {
            if !offered && (!caller.outside || caller.process.running() < cores) {
                offered = true;
                offer(mailbox, wanted);
            }
            if !call.step() {
                break;
            }
        }
    });
    DEPTH.set(depth);
    let payload = call.finish();
    drop(caller);
    if let Some(payload) = payload {
        resume_unwind(payload);
    }
}

/// This thread's own; `None` when the thread is being torn down.
fn mailbox() -> Option<Arc<Mailbox>> {
    MAILBOX
        .try_with(|mailbox| Arc::clone(mailbox.get_or_init(Arc::default)))
        .ok()
}

/// Offers the calls of `mailbox` to the pool, unless `wanted` offers are out.
fn offer(mailbox: &Arc<Mailbox>, wanted: usize) {
    if mailbox.reserve(wanted) {
        let mailbox = Arc::clone(mailbox);
        rayon::spawn(move || take_up(&mailbox));
    }
}

/// What an idle worker does with an offer.
fn take_up(mailbox: &Arc<Mailbox>) {
    mailbox.begin();
    let process = process::current();
    let cores = cores();
    let mut counted = false;
    if !COUNTED.get() {
        if !process.join(cores) {
            return;
        }
        COUNTED.set(true);
        counted = true;
    }
    mailbox.help(&|call| {
        if counted && !COUNTED.get() {
            return;
        }
        // Each helper brings two more while they are wanted, so that many come soon.
        for _ in 0..2 {
            if call.left() > mailbox.offers() + 1 {
                offer(mailbox, call.wanted());
            }
        }
        while call.step() {
            if counted && process.retire(cores) {
                COUNTED.set(false);
                return;
            }
        }
    });
    if counted && COUNTED.get() {
        COUNTED.set(false);
        process.end();
    }
}

/// A thread in a shared call, counted once.
struct Caller {
    process: &'static Process,
    counted: bool,
    outside: bool,
}

impl Caller {
    fn begin(cores: usize, patience: Option<Duration>) -> Self {
        let process = process::current();
        let counted = !COUNTED.get();
        let outside = counted && rayon::current_thread_index().is_none();
        if outside {
            process.gate.enter(cores, patience);
        }
        if counted {
            COUNTED.set(true);
            process.begin();
        }
        Caller {
            process,
            counted,
            outside,
        }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if self.counted {
            COUNTED.set(false);
            self.process.end();
        }
        if self.outside {
            self.process.gate.leave();
        }
    }
}
