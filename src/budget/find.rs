//! Which budget this process is in: looked for once, when somebody first asks.
//!
//! Invariants: what was found stays as it is, but that a process in no budget may join one later, once ([`join`]); what cannot be
//! used leaves the process as it would be without, and is told ([`status`], `threadctl cores --explain`, the log). No lock is
//! held meanwhile that a forked child could wait for.

use super::auth::{Auth, Choice, in_makeflags};
use super::plain::Plain;
use super::shared::Shared;
use super::{Budget, Kind};
use crate::config;
use crate::sys::privilege;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

/// Variables in which make and cargo offer a budget, as the crate `jobserver` asks them.
const OFFERS: [&str; 2] = ["CARGO_MAKEFLAGS", "MAKEFLAGS"];

/// Nobody has asked yet; or there is a budget.
const ASK: u8 = 0;
const NONE: u8 = 1;

static MODE: AtomicU8 = AtomicU8::new(ASK);
static FOUND: AtomicPtr<Found> = AtomicPtr::new(ptr::null_mut());

/// What was found.
#[derive(Debug, Default)]
struct Found {
    budget: Option<Budget>,
    auth: Option<Auth>,
    source: Option<&'static str>,
    problems: Vec<String>,
}

/// The budget that this process is in, and what it has of it.
///
/// ```
/// let status = threadctl::budget::status();
/// match &status.auth {
///     Some(auth) => println!("in {auth}: {} tokens now, {} at most so far", status.held, status.peak),
///     None => println!("in no budget: {:?}", status.problems),
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Status {
    /// The budget; `None` if the process is in none.
    pub auth: Option<Auth>,
    /// The variable that offers it, or that refuses all; or the function of this library that joined it.
    pub source: Option<&'static str>,
    /// How many cores it has; `None` where nobody says so (make and cargo do not).
    pub cores: Option<u32>,
    /// How many tokens the process has now, that of its own core among them.
    pub held: u32,
    /// The most that it has had.
    pub peak: u32,
    /// What was offered and cannot be used, and why.
    pub problems: Vec<String>,
}

/// The budget that this process is in: looked for by the first who asks. Never waits; may be called from any thread.
///
/// ```
/// assert!(threadctl::budget::status().held <= threadctl::budget::status().peak);
/// ```
pub fn status() -> Status {
    let found = found();
    let budget = found.budget.as_ref();
    let count = |count: fn(&Budget) -> u32| budget.map_or(0, count);
    Status {
        auth: found.auth.clone(),
        source: found.source,
        cores: budget.and_then(|budget| match &budget.kind {
            Kind::Plain(_) => None,
            Kind::Shared(shared) => u32::try_from(shared.ledger.cores()).ok(),
        }),
        held: count(|budget| budget.held.load(Ordering::Relaxed)),
        peak: count(|budget| budget.peak.load(Ordering::Relaxed)),
        problems: found.problems.clone(),
    }
}

/// The budget that this process is in. One relaxed load where there is none.
#[inline]
pub(crate) fn joined() -> Option<&'static Budget> {
    // Relaxed: NONE says all that there is to say.
    if MODE.load(Ordering::Relaxed) == NONE {
        return None;
    }
    found().budget.as_ref()
}

fn found() -> &'static Found {
    let found = FOUND.load(Ordering::Acquire);
    if found.is_null() {
        return find();
    }
    // SAFETY: not null, and what it points to was leaked by `find`.
    unsafe { &*found }
}

#[cold]
fn find() -> &'static Found {
    // Not a `Once`: in a child that was forked in the middle of one it would never end.
    let found = look();
    if found.budget.is_some() {
        watch_the_end();
    }
    let new = Box::into_raw(Box::new(found));
    match FOUND.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => {
            // SAFETY: just made, and leaked.
            let found = unsafe { &*new };
            begin(found);
            found
        }
        Err(first) => {
            // SAFETY: made above, and seen by nobody.
            drop(unsafe { Box::from_raw(new) });
            // SAFETY: leaked by whoever was first.
            unsafe { &*first }
        }
    }
}

/// Puts this process into a budget that no variable offers. Calls that are under way go on as without.
///
/// # Errors
/// It cannot be used, this process is in another one, or the user wants none.
#[cfg(feature = "mpi")]
pub(crate) fn join(source: &'static str, auth: Auth) -> Result<(), String> {
    let before = found();
    if let Some(other) = &before.auth {
        return Err(format!("this process is in the budget {other} already"));
    }
    if let Some(variable) = before.source {
        return Err(format!("{variable} says that there shall be no budget"));
    }
    let mut found = Found::default();
    // Whoever is above us pays in another budget, if in any.
    found.open(source, auth, 0);
    if let Some(problem) = found.problems.pop() {
        return Err(problem);
    }
    watch_the_end();
    let before = ptr::from_ref(before).cast_mut();
    let new = Box::into_raw(Box::new(found));
    // What was there before is leaked: somebody may have a reference to it.
    if let Err(first) = FOUND.compare_exchange(before, new, Ordering::SeqCst, Ordering::SeqCst) {
        // SAFETY: made above, and seen by nobody.
        drop(unsafe { Box::from_raw(new) });
        // SAFETY: leaked by whoever was first.
        let first = unsafe { first.as_ref() }.and_then(|first| first.auth.as_ref());
        return Err(format!(
            "another thread of this process has joined a budget meanwhile: {first:?}"
        ));
    }
    // See `begin`.
    MODE.store(ASK, Ordering::SeqCst);
    // SAFETY: made above, and leaked.
    begin(unsafe { &*new });
    Ok(())
}

/// What was found takes effect.
fn begin(found: &Found) {
    for problem in &found.problems {
        tracing::warn!("no budget: {problem}");
    }
    if found.budget.is_none() {
        // SeqCst, as in `join`: if that comes between, it is seen here; if it comes after, so does its store.
        MODE.store(NONE, Ordering::SeqCst);
        if !ptr::eq(FOUND.load(Ordering::SeqCst), found) {
            MODE.store(ASK, Ordering::SeqCst);
        }
        return;
    }
    tracing::info!(
        auth = found.auth.as_ref().map(tracing::field::display),
        source = found.source,
        "in a budget of cores"
    );
}

/// Has the handlers run. Before what was found is seen by anybody: a child that is forked once somebody may have a token has
/// none. Two threads that look at once do so twice, which does no harm: a second run of a handler finds nothing to do.
fn watch_the_end() {
    if cfg!(miri) {
        return;
    }
    // SAFETY: the handler only stores to atomics, which is allowed in a forked child. If it cannot be registered for want
    // of memory, a child believes that it has what its parent has.
    unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    // SAFETY: the handler writes to a descriptor and stores to atomics, all of which stays until the process has gone. If it
    // cannot be registered, what is taken at the very end is lost.
    unsafe { libc::atexit(at_end) };
}

extern "C" fn in_child() {
    let found = FOUND.load(Ordering::Acquire);
    // SAFETY: null, or leaked by `find`.
    if let Some(budget) = unsafe { found.as_ref() }.and_then(|found| found.budget.as_ref()) {
        budget.forget();
    }
}

extern "C" fn at_end() {
    let found = FOUND.load(Ordering::Acquire);
    // SAFETY: null, or leaked by `find`.
    if let Some(budget) = unsafe { found.as_ref() }.and_then(|found| found.budget.as_ref()) {
        budget.end();
    }
}

/// Looks at the variables, and opens what they offer.
fn look() -> Found {
    let mut found = Found::default();
    if cfg!(miri) || privilege::is_raised() {
        return found;
    }
    let choice = config::jobserver().unwrap_or_else(|error| {
        found.problems.push(error.to_string());
        Choice::Inherited
    });
    match choice {
        Choice::Off => found.source = Some(config::JOBSERVER),
        Choice::At(auth) => found.open(config::JOBSERVER, auth, level()),
        Choice::Inherited => {
            for variable in OFFERS {
                let flags = std::env::var_os(variable);
                let flags = flags.as_ref().map(|flags| flags.to_string_lossy());
                let Some(offer) = flags.as_deref().and_then(in_makeflags) else {
                    continue;
                };
                match offer.parse() {
                    Ok(auth) => found.open(variable, auth, level()),
                    Err(why) => found.refuse(variable, offer, &why),
                }
                if found.budget.is_some() {
                    // One that could not be used beside one that is does no harm.
                    found.problems.clear();
                    break;
                }
            }
        }
    }
    found
}

impl Found {
    /// `level`: how many programs above this one pay for its own core.
    fn open(&mut self, source: &'static str, auth: Auth, level: u32) {
        let kind = match &auth {
            Auth::Shared(folder) => Shared::open(folder, level).map(Kind::Shared),
            Auth::Pipe { .. } | Auth::Fifo(_) => Plain::open(&auth).map(Box::new).map(Kind::Plain),
        };
        match kind {
            Ok(kind) => {
                self.budget = Some(Budget::new(kind));
                self.auth = Some(auth);
                self.source = Some(source);
            }
            Err(why) => self.refuse(source, &auth.to_string(), &why),
        }
    }

    fn refuse(&mut self, source: &str, offer: &str, why: &str) {
        self.problems.push(format!(
            "{source}: the jobserver {offer:?} is not used: {why}"
        ));
    }
}

/// How many programs above this one run jobs in slots that they pay for: makes, and cargo.
fn level() -> u32 {
    let level = std::env::var("MAKELEVEL").ok();
    let makes: u32 = level
        .and_then(|level| level.trim().parse().ok())
        .unwrap_or(0);
    makes.saturating_add(u32::from(std::env::var_os(OFFERS[0]).is_some()))
}

/// Only for tests and for `threadctl share`: the depth at which a command would find itself.
#[cfg(feature = "keeper")]
pub(super) fn own_level() -> u32 {
    let level = std::env::var("MAKELEVEL").ok();
    level
        .and_then(|level| level.trim().parse().ok())
        .unwrap_or(0)
}
