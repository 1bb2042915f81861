//! An isolated parallel loop: the caller works on its own tiles, idle rayon workers help, nobody steals.
//!
//! The protocol, with its proof sketch, is in this folder's README. `call.rs` hands tiles out, `caller.rs` is the thread whose call
//! it is, `slot.rs` is where helpers come and go, `mailbox.rs` keeps offers from piling up, `load.rs` counts who computes, `gate.rs` holds back
//! callers that rayon does not know of, `place.rs` keeps callers and helpers on different CPUs, `guests.rs` has helpers sleep
//! while a library's own threads compute in their place, `stay.rs` has the helpers' tokens of a budget that processes share,
//! `process.rs` begins anew after a fork; this file joins them to rayon.
//!
//! Invariants: a caller runs nothing but tiles of its own call between its entry and its return; a thread is counted
//! once, however deep its calls; a thread that is in a tile takes up no offers.

mod call;
mod caller;
mod gate;
mod guests;
mod load;
mod mailbox;
mod place;
mod process;
mod slot;
mod stay;
#[cfg(all(test, not(loom)))]
mod tests;

// The parts that are model-checked (tests/loom_share.rs).
#[cfg(not(loom))]
use {call::Call, mailbox::Mailbox, slot::Slot};
#[cfg(loom)]
pub use {call::Call, mailbox::Mailbox, slot::Slot};

pub(super) use guests::Guests;

use caller::Caller;
use gate::{Bed, Turn};
use stay::Stay;
use std::cell::{Cell, OnceCell};
use std::num::NonZeroUsize;
use std::panic::{catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// How long a caller waits before it offers its tiles again, after a helper that had come went away or was not let in:
/// long enough that offers cost nothing beside the tiles, short beside the calls for which helpers matter.
const AGAIN: Duration = Duration::from_millis(1);

/// How long a helper stays after a call for the next one, and for how long after a call the next one counts as one of
/// many. OpenBLAS's own threads spin for 100 ms and OpenMP's for up to 200, without giving way; here it need only cover what
/// a program does between two calls of a loop.
const LINGER: Duration = Duration::from_micros(500);

/// How long a helper below a budget waits for the end of a call that has no tiles left, before it begins to linger.
const TAIL: Duration = Duration::from_millis(20);

/// For how many calls a thread that did not make its next call at once is not believed to do so.
const DOUBT: u32 = 8;

/// How often a helper that lingers looks for calls before it looks for other work.
const LOOKS: u32 = 8;

/// Whether the calling thread is in a tile.
pub(crate) fn in_tile() -> bool {
    COUNTED.get()
}

/// How many cores [`simulate_cores`] said there are; 0 for those that there are.
static SIMULATED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// This thread is in a tile or about to be, and counted as running.
    static COUNTED: Cell<bool> = const { Cell::new(false) };
    /// How many shared calls of this thread are inside each other.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// This thread is in a tile of a call that a limit holds for.
    static WITHIN_LIMIT: Cell<bool> = const { Cell::new(false) };
    static OWN: OnceCell<Own> = const { OnceCell::new() };
}

/// What tiles may do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tiles {
    /// They compute and wait for nothing.
    Kernels,
    /// The same, and all together take hardly longer than waking somebody who sleeps.
    FewKernels,
    /// They may wait for locks, which somebody who waits for a core may hold.
    Unknown,
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
/// as many are in as there are cores waits for its turn (while calls like this one are under way at most a quarter of
/// a second, lest it holds what they wait for), and one that comes when a helper has the last core waits until the
/// helper's tile has ended.
///
/// Tiles may run on any of these threads at once and in any order; what they wrote is seen by the caller when this
/// returns. In a forked child, where no worker exists, the caller runs them all.
///
/// Not for signal handlers: it takes locks and allocates, and a handler that interrupts a shared call of its own thread would
/// use what that call is changing. The same goes for the routines of [`Blas`](super::Blas).
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
    run(tiles, &tile, Tiles::Unknown, NonZeroUsize::MAX);
}

/// [`share`] for tiles that wait for nothing: kernels.
///
/// With `small`, they are so little work that it does not pay to wake somebody for this call alone: only helpers who are
/// awake take part, unless this thread makes many calls in a row.
///
/// `most` is how many threads may take part, if that is limited. Calls inside such a call's tiles are not shared, wherever these
/// run: the call as a whole stays within the limit.
pub(crate) fn share_kernels(
    tiles: usize,
    small: bool,
    most: Option<NonZeroUsize>,
    tile: &(dyn Fn(usize) + Sync),
) {
    let kind = if small {
        Tiles::FewKernels
    } else {
        Tiles::Kernels
    };
    let most = if WITHIN_LIMIT.get() {
        Some(NonZeroUsize::MIN)
    } else {
        most
    };
    match most {
        None => run(tiles, tile, kind, NonZeroUsize::MAX),
        Some(most) => run(tiles, &|index| within_limit(|| tile(index)), kind, most),
    }
}

/// Runs a tile of a call that is limited.
fn within_limit(tile: impl FnOnce()) {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            WITHIN_LIMIT.set(self.0);
        }
    }
    let _before = Before(WITHIN_LIMIT.replace(true));
    tile();
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
        1
    } else if rayon::current_thread_index().is_some() {
        rayon::current_num_threads()
    } else if process::current().forked {
        1
    } else {
        global_width()
    }
}

/// From now on a forked child knows that it is one, also where nothing was shared before.
pub(super) fn watch_forks() {
    process::current();
}

/// The turn to be in a kernel of a library that bears one caller at a time.
pub(super) fn turn() -> &'static Mutex<()> {
    &process::current().turn
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

/// The size of the global pool, which is started, sized by [`crate::cores()`], where the program has not done so itself; 1
/// where it cannot be started.
fn global_width() -> usize {
    static WIDTH: OnceLock<usize> = OnceLock::new();
    *WIDTH.get_or_init(|| {
        let threads = usize::try_from(crate::cores().count_for("rayon")).unwrap_or(1);
        // An error says that it is running, or that it cannot run; rayon panics on every use of it then.
        let builder = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let _ =
            super::pool::bound(builder, u32::try_from(threads).unwrap_or(u32::MAX)).build_global();
        catch_unwind(rayon::current_num_threads).unwrap_or(1)
    })
}

fn run(tiles: usize, work: &(dyn Fn(usize) + Sync), kind: Tiles, most: NonZeroUsize) {
    if tiles == 0 {
        return;
    }
    let run = |own: &Own| own.run(tiles, work, kind, most.get());
    if OWN.try_with(|own| run(own.get_or_init(Own::new))).is_err() {
        // A thread at its end, whose storage is gone.
        run(&Own::new());
    }
}

/// What belongs to a thread.
struct Own {
    mailbox: Arc<Mailbox>,
    bed: Arc<Bed>,
    /// Offers may be out in a pool other than the global one.
    pooled: Cell<bool>,
    /// When its last call ended.
    last: Cell<Option<Instant>>,
    /// It left the gate in the belief that it would be back at once, while somebody waited there.
    returning: Cell<bool>,
    /// Since when it has had its turn at the gate, if others wait there.
    turn: Turn,
    /// After how many calls it is believed again to make the next one at once; see [`Own::is_to_return`].
    doubt: Cell<u32>,
}

impl Own {
    fn new() -> Self {
        let mailbox = if rayon::current_thread_index().is_none() && !process::copied() {
            process::current().mailbox()
        } else {
            Arc::default()
        };
        Own {
            mailbox,
            bed: Arc::default(),
            pooled: Cell::new(false),
            last: Cell::new(None),
            returning: Cell::new(false),
            turn: Turn::default(),
            doubt: Cell::new(0),
        }
    }

    fn run(&self, tiles: usize, work: &(dyn Fn(usize) + Sync), kind: Tiles, most: usize) {
        let cores = cores();
        let caller = Caller::begin(self, cores, kind);
        let useful = (tiles - 1).min(cores - 1).min(most - 1);
        let wanted = if useful == 0 || tiles > Call::MOST {
            0
        } else {
            useful.min(width() - 1)
        };
        let depth = DEPTH.get();
        let Some(slot) = self.mailbox.slot(depth).filter(|_| wanted > 0) else {
            (0..tiles).for_each(work);
            self.last.set(Some(Instant::now()));
            return;
        };
        self.mailbox.set_cores(cores);
        let call = Call::new(tiles, work, wanted);
        DEPTH.set(depth + 1);
        let wake = kind != Tiles::FewKernels || self.is_one_of_many();
        self.mailbox.set_under_way(true);
        slot.publish(&call, || self.work_off(&call, slot, cores, wake, &caller));
        self.mailbox.set_under_way(depth > 0);
        DEPTH.set(depth);
        self.last.set(Some(Instant::now()));
        let payload = call.finish();
        drop(caller);
        if let Some(payload) = payload {
            resume_unwind(payload);
        }
    }

    /// Whether this thread made a call just now.
    fn is_one_of_many(&self) -> bool {
        self.last.get().is_some_and(|last| last.elapsed() < LINGER)
    }

    /// Whether this thread, which is no worker, is believed to make another call at once when this one has ended. It is
    /// until it did not; then for some calls it is not.
    fn is_to_return(&self) -> bool {
        let doubt = match self.doubt.get() {
            // It took long to come back: most likely its own doing.
            0 if self.last.get().is_some() && !self.is_one_of_many() => DOUBT,
            doubt => doubt.saturating_sub(1),
        };
        self.doubt.set(doubt);
        doubt == 0
    }

    /// The caller's part: offers its tiles, and computes them while there are any.
    ///
    /// One offer is all that it makes, and its only allocation; helpers make the further ones. A worker makes it at once:
    /// it lies there until a worker is idle. A thread that is in no pool waits until a core is left, lest it wake workers
    /// for nothing. If an offer was taken up and yet a helper is missing, it was sent away because others needed the
    /// core, or called away; then there is another one, now and then.
    fn work_off(
        &self,
        call: &Call<'_>,
        slot: &Slot,
        cores: usize,
        wake: bool,
        caller: &Caller<'_>,
    ) {
        let load = &process::current().load.0;
        let outside = rayon::current_thread_index().is_none();
        if !outside {
            self.pooled.set(true);
        }
        let mut offered: Option<Instant> = None;
        loop {
            let due = match offered {
                None => wake && (!outside || load.core_left(cores)) && caller.has_room(),
                Some(at) => {
                    self.mailbox.offers() == 0
                        && slot.inside() < call.wanted()
                        && call.left() > 1
                        && load.core_left(cores)
                        && at.elapsed() >= AGAIN
                        && caller.has_room()
                }
            };
            if due {
                offered = Some(Instant::now());
                if offer(&self.mailbox, 1) {
                    // A worker that was woken may be queued behind us: let it go elsewhere (see place.rs).
                    std::thread::yield_now();
                }
            }
            if !call.step() {
                return;
            }
            caller.ask_again();
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if self.returning.get() && !process::copied() {
            process::current().gate.abandon();
        }
        // Threads come and go, and the workers may be busy all the while: if each thread left an offer, they would
        // pile up. The next thread goes on with ours.
        if !self.pooled.get() && !process::copied() {
            process::current().keep(Arc::clone(&self.mailbox));
        }
    }
}

/// Offers the calls of `mailbox` to the pool that we are in, unless `most` offers are out; whether it did.
fn offer(mailbox: &Arc<Mailbox>, most: usize) -> bool {
    let due = mailbox.reserve(most);
    if due {
        let mailbox = Arc::clone(mailbox);
        rayon::spawn(move || take_up(&mailbox));
    }
    due
}

/// What an idle worker does with an offer: it helps with what it finds, and stays for a while if there was something.
fn take_up(mailbox: &Arc<Mailbox>) {
    mailbox.begin();
    let stay = Stay::begin();
    while help(mailbox, &stay) {
        if !linger(mailbox, &stay) {
            return;
        }
    }
}

/// Helps with the calls of `mailbox`; whether there was one and a core to help with.
fn help(mailbox: &Arc<Mailbox>, stay: &Stay) -> bool {
    let process = process::current();
    let cores = mailbox.cores();
    // A tile that runs rayon's own loops waits for them by working on whatever the pool has, offers too. If it took them
    // up, tiles would be inside tiles without end.
    if COUNTED.get() || !mailbox.has_calls() {
        return false;
    }
    let _seat = process.seats.take();
    let helped = Cell::new(false);
    mailbox.help(&|call, slot| {
        if guests::is_one() {
            return;
        }
        // Counted while inside the slot only, and uncounted before leaving it: our caller may make its next call at once,
        // and must not find the core taken by us. Nor must somebody else's helper, where we find nothing to do.
        if call.left() == 0 {
            slot.exhausted();
            helped.set(true);
            return;
        }
        if !process.load.0.join(cores) {
            return;
        }
        if !stay.may_help() {
            process.helper_ended();
            return;
        }
        COUNTED.set(true);
        helped.set(true);
        // Each helper brings two more while they are wanted, so that many come soon.
        for _ in 0..2 {
            if call.left() > mailbox.offers() + 1
                && process.load.0.core_left(cores)
                && stay.has_room()
            {
                offer(mailbox, call.wanted().saturating_sub(slot.inside()));
            }
        }
        let mut retired = false;
        while !retired && call.step() {
            if guests::is_one() {
                // Still counted: until its sleep is over.
                return;
            }
            retired = process.helper_retires(cores);
            if !retired && stay.must_go() {
                process.helper_ended();
                retired = true;
            }
        }
        COUNTED.set(false);
        if !retired {
            slot.exhausted();
            process.helper_ended();
        }
    });
    if guests::sleep() {
        COUNTED.set(false);
        process.helper_ended();
    }
    helped.get()
}

/// Waits for the next call of `mailbox`, for a while and giving way to everybody; whether there is one.
///
/// Programs make many calls in a row. Between them a worker would go to sleep, and waking it takes the caller some ten
/// microseconds and the worker, on machines whose CPUs share no cache, up to some milliseconds. Meanwhile we count as an
/// offer that is out, so that the caller need neither make one nor wake anybody.
fn linger(mailbox: &Mailbox, stay: &Stay) -> bool {
    let begun = Instant::now();
    let mut since = begun;
    let load = &process::current().load.0;
    // Not where others need the core, in this process or in another one.
    while load.core_left(mailbox.cores()) && !stay.must_go() {
        mailbox.watch();
        for _ in 0..LOOKS {
            if mailbox.has_calls() {
                break;
            }
            std::thread::yield_now();
        }
        // From here on we may be busy with something else, so whoever calls now must make an offer.
        mailbox.begin();
        if mailbox.has_calls() {
            return true;
        }
        if stay.is_in_budget() && mailbox.is_under_way() && begun.elapsed() < TAIL {
            since = Instant::now();
        }
        // What rayon runs may be another mailbox's offer, which brings a stay and a token of its own, or may go on for long.
        let idle = stay.without(|| rayon::yield_now() != Some(rayon::Yield::Executed));
        if idle != Some(true) || since.elapsed() > LINGER {
            return false;
        }
    }
    false
}
