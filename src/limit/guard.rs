//! Plans made for the runtimes that are loaded, and the guards that carry them out.
//!
//! Invariants:
//! - A guard's entries are in the ledgers exactly as long as the guard lives: each is noted in the guard as soon as it
//!   is made, so whatever interrupts the making of a guard takes back what was made.
//! - Dropping a guard never panics, and one runtime's failure does not keep the others from being restored.
//! - The holds of a guard are entered in order and left in the opposite order.

use super::outcome::{Held, Outcome};
use super::plan::{self, Decision, Hold, Identity, Means, Reach, Scope};
use super::select::{Limits, Request, Selector};
use super::shared::Shared;
use super::target::{ProcessTarget, ThreadTarget};
use super::thread;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::{Runtime, Runtimes, SetterScope};
use smallvec::SmallVec;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

/// Limits resolved for the runtimes that were loaded: who gets which limit, through which of its settings.
///
/// Making guards from a plan is cheap; the plan is what takes time. It holds the runtimes' libraries, and knows
/// nothing of what is loaded later. Clones share it; it may be used from any thread.
///
/// ```
/// let plan = threadctl::Limits::new().user_api("blas", 1).plan(&threadctl::runtimes()).unwrap();
/// for _ in 0..1000 {
///     let _guard = plan.limit_process().unwrap();
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Plan(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Those that an entry means, and their limits.
    runtimes: Vec<(Runtime, u32)>,
    process: Side,
    thread: Side,
    /// The entries that mean no runtime.
    unmatched: Vec<String>,
    /// Those of them that strict mode does not forgive.
    missing: Vec<String>,
    strict: bool,
    /// For calls that dispatch shares, if these limits are for them too.
    shared: Option<Shared>,
}

/// What a plan does in one scope.
#[derive(Debug)]
struct Side {
    /// For each runtime, what is done, and through which hold.
    decisions: Vec<(Decision, Option<usize>)>,
    holds: Vec<(u32, Through)>,
    /// Known before anything is set: a limit will not hold.
    hopeless: bool,
}

#[derive(Debug)]
enum Through {
    Process(ProcessTarget),
    Thread(ThreadTarget),
}

impl Plan {
    pub(super) fn new(limits: &Limits, runtimes: &Runtimes) -> Result<Self> {
        let requests = limits.checked()?;
        let identities: Vec<_> = runtimes.iter().map(identity).collect();
        let (assigned, unmatched) = plan::assign(&requests, &identities);
        for &index in &unmatched {
            limits.requests[index].check_name()?;
        }
        let chosen: Vec<(Runtime, u32)> = runtimes
            .iter()
            .zip(assigned)
            .filter_map(|(runtime, limit)| Some((runtime.clone(), limit?)))
            .collect();
        let means: Vec<_> = chosen.iter().map(|(runtime, _)| means(runtime)).collect();
        let side = |scope| Side::new(&chosen, &means, scope);
        let (process, thread) = (side(Scope::Process), side(Scope::Thread));
        // As they were given: links are resolved in `requests`.
        let name = |index: &usize| limits.requests[*index].selector.to_string();
        let forgiven = |index: &&usize| {
            !matches!(
                requests[**index],
                Request {
                    selector: Selector::All,
                    ..
                }
            )
        };
        let plan = Inner {
            process,
            thread,
            missing: unmatched.iter().filter(forgiven).map(name).collect(),
            unmatched: unmatched.iter().map(name).collect(),
            strict: limits.strict,
            runtimes: chosen,
            shared: (!limits.kernels).then(|| Shared::new(requests)),
        };
        tracing::debug!(
            limits = %limits,
            runtimes = plan.runtimes.len(),
            unmatched = ?plan.unmatched,
            "plan made"
        );
        Ok(Plan(Arc::new(plan)))
    }

    /// The runtimes that are limited, and the limit of each.
    ///
    /// ```
    /// let plan = threadctl::Limits::new().all(1).plan(&threadctl::runtimes()).unwrap();
    /// assert!(plan.assignments().all(|(_runtime, limit)| limit == 1));
    /// ```
    pub fn assignments(&self) -> impl Iterator<Item = (&Runtime, u32)> {
        self.0
            .runtimes
            .iter()
            .map(|(runtime, limit)| (runtime, *limit))
    }

    /// The entries that mean no runtime that was loaded, as they were written.
    ///
    /// ```
    /// let plan = threadctl::Limits::new().internal_api("mkl", 1).plan(&Default::default()).unwrap();
    /// assert_eq!(plan.unmatched(), ["mkl"]);
    /// ```
    pub fn unmatched(&self) -> &[String] {
        &self.0.unmatched
    }

    /// Puts the limits in force for the whole process, until the guard is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::NotHonoured`] in strict mode, when a limit does not hold; then nothing is left set.
    ///
    /// ```
    /// let plan = threadctl::Limits::new().user_api("blas", 1).plan(&threadctl::runtimes()).unwrap();
    /// let guard = plan.limit_process().unwrap();
    /// # drop(guard);
    /// ```
    pub fn limit_process(&self) -> Result<ProcessGuard> {
        Ok(ProcessGuard(self.enter(Scope::Process)?))
    }

    /// Puts the limits in force for the calling thread, until the guard is dropped. A runtime that can only be set for
    /// the process is limited for the process, and the outcome says so.
    ///
    /// # Errors
    /// As for [`limit_process`](Plan::limit_process).
    ///
    /// ```
    /// let plan = threadctl::Limits::new().user_api("openmp", 1).plan(&threadctl::runtimes()).unwrap();
    /// let guard = plan.limit_thread().unwrap();
    /// # drop(guard);
    /// ```
    pub fn limit_thread(&self) -> Result<ThreadGuard> {
        Ok(ThreadGuard {
            guard: self.enter(Scope::Thread)?,
            of_this_thread: PhantomData,
        })
    }

    fn enter(&self, scope: Scope) -> Result<Guard> {
        let plan = &*self.0;
        let side = plan.side(scope);
        if plan.strict && (side.hopeless || !plan.missing.is_empty()) {
            return Err(plan.not_honoured(scope, &[]));
        }
        let mut guard = Guard {
            plan: Arc::clone(&self.0),
            scope,
            held: SmallVec::new(),
            shares: false,
            outcomes: OnceLock::new(),
        };
        for (limit, through) in &side.holds {
            guard.hold(*limit, through)?;
        }
        if plan.strict && !plan.all_hold(side, &guard.held) {
            return Err(plan.not_honoured(scope, &guard.held));
        }
        if let Some(shared) = &plan.shared {
            match scope {
                // With the first hold.
                Scope::Process if !guard.held.is_empty() => {}
                Scope::Process => {
                    shared.begin();
                    guard.shares = true;
                }
                Scope::Thread => {
                    shared.begin_here();
                    guard.shares = true;
                }
            }
        }
        Ok(guard)
    }
}

pub(crate) fn identity(runtime: &Runtime) -> Identity<'_> {
    Identity {
        user_api: runtime.user_api(),
        internal_api: runtime.internal_api(),
        prefix: runtime.prefix(),
        filepath: runtime.filepath(),
    }
}

fn means(runtime: &Runtime) -> Means<'_> {
    let untouchable = runtime.untouchable();
    if untouchable.is_some() {
        return Means {
            untouchable,
            ..Means::default()
        };
    }
    let process = runtime.process_setting().map(|setting| setting.key());
    let thread = runtime.thread_setting().map(|setting| setting.key());
    let settable = process.is_some() || thread.is_some();
    Means {
        process,
        thread,
        threads: if settable {
            None
        } else {
            runtime.num_threads()
        },
        untold: runtime.setter_scope() == SetterScope::Unknown,
        untouchable,
    }
}

impl Side {
    fn new(chosen: &[(Runtime, u32)], means: &[Means<'_>], scope: Scope) -> Self {
        let decisions: Vec<(u32, Decision)> = chosen
            .iter()
            .zip(means)
            .map(|((_, limit), means)| (*limit, plan::decide(*limit, means, scope)))
            .collect();
        let (holds, places) = plan::holds(&decisions);
        let through = |hold: &Hold| {
            // The runtime whose setting it is: the first that has it.
            chosen.iter().zip(&decisions).find_map(|((runtime, _), (_, decision))| {
                let ours =
                    matches!(decision, Decision::Hold { reach, key } if *reach == hold.reach && *key == hold.key);
                match hold.reach {
                    _ if !ours => None,
                    Reach::Process => ProcessTarget::of(runtime).map(Through::Process),
                    Reach::Thread => ThreadTarget::of(runtime).map(Through::Thread),
                }
            })
        };
        Side {
            hopeless: decisions
                .iter()
                .any(|(_, decision)| matches!(decision, Decision::Left { why, .. } if !why.is_honoured())),
            holds: holds
                .iter()
                .filter_map(|hold| Some((hold.limit, through(hold)?)))
                .collect(),
            decisions: decisions
                .into_iter()
                .map(|(_, decision)| decision)
                .zip(places)
                .collect(),
        }
    }
}

impl Inner {
    fn side(&self, scope: Scope) -> &Side {
        match scope {
            Scope::Process => &self.process,
            Scope::Thread => &self.thread,
        }
    }

    fn all_hold(&self, side: &Side, held: &[Held]) -> bool {
        self.runtimes
            .iter()
            .zip(&side.decisions)
            .filter_map(|((_, limit), (_, place))| Some((limit, held.get((*place)?)?)))
            .all(|(limit, held)| held.honours(*limit))
    }

    fn outcomes(&self, scope: Scope, held: &[Held]) -> Vec<Outcome> {
        self.runtimes
            .iter()
            .zip(&self.side(scope).decisions)
            .map(|((runtime, limit), (decision, place))| {
                let held = place.and_then(|place| held.get(place)).copied();
                Outcome::new(runtime, *limit, decision, held, scope)
            })
            .collect()
    }

    fn not_honoured(&self, scope: Scope, held: &[Held]) -> Error {
        let mut reasons: Vec<String> = self
            .outcomes(scope, held)
            .iter()
            .filter(|outcome| !outcome.is_honoured())
            .map(Outcome::to_string)
            .collect();
        reasons.extend(
            self.missing
                .iter()
                .map(|name| format!("{name}: no such runtime is loaded")),
        );
        Error::new(
            ErrorKind::NotHonoured,
            format!(
                "nothing was limited, since not all limits hold: {}",
                reasons.join("; ")
            ),
        )
    }
}

/// What both guards are made of.
#[derive(Debug)]
struct Guard {
    plan: Arc<Inner>,
    scope: Scope,
    /// What the holds of the plan's side got, in their order; shorter while the guard is being made.
    held: SmallVec<[Held; 2]>,
    /// It is among those that dispatch asks for, by itself and not with its first hold.
    shares: bool,
    outcomes: OnceLock<Vec<Outcome>>,
}

/// What is counted with the hold at that place: a guard for the process with its first, whose lock all guards of the plan take.
fn counted(plan: &Inner, scope: Scope, place: usize) -> Option<&Shared> {
    let first = place == 0 && scope == Scope::Process;
    plan.shared.as_ref().filter(|_| first)
}

impl Guard {
    fn hold(&mut self, limit: u32, through: &Through) -> Result<()> {
        match through {
            Through::Thread(target) => {
                let grant = thread::acquire(target, limit)?;
                self.held.push(Held { grant, above: 0 });
            }
            Through::Process(target) => {
                let (grant, above) = match counted(&self.plan, self.scope, self.held.len()) {
                    Some(shared) => target.ledger.acquire_and(limit, || shared.begin_locked()),
                    None => target.ledger.acquire_and(limit, || ()),
                };
                self.held.push(Held { grant, above });
                if let (Some(local), Some(held)) = (&target.local, self.held.last_mut())
                    && thread::refresh(local)
                {
                    held.above = target.ledger.locals_above(limit);
                }
            }
        }
        Ok(())
    }

    fn outcomes(&self) -> &[Outcome] {
        self.outcomes
            .get_or_init(|| self.plan.outcomes(self.scope, &self.held))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let (true, Some(shared)) = (self.shares, &self.plan.shared) {
            match self.scope {
                Scope::Process => shared.end(),
                Scope::Thread => shared.end_here(),
            }
        }
        let holds = &self.plan.side(self.scope).holds;
        for (place, (limit, through)) in holds[..self.held.len()].iter().enumerate().rev() {
            let released = catch_unwind(AssertUnwindSafe(|| match through {
                Through::Thread(target) => thread::release(target, *limit),
                Through::Process(target) => {
                    match counted(&self.plan, self.scope, place) {
                        Some(shared) => target.ledger.release_and(*limit, || shared.end_locked()),
                        None => target.ledger.release_and(*limit, || ()),
                    }
                    if let Some(local) = &target.local {
                        thread::refresh(local);
                    }
                }
            }));
            // A controller of the user's own panicked, and what it panicked with may panic again when dropped.
            if let Err(payload) = released {
                std::mem::forget(payload);
            }
        }
    }
}

/// Limits in force for the whole process while this lives. May be dropped on any thread, in any order.
///
/// Leaking it (`std::mem::forget`) leaves the limits in force for as long as the process runs, and the libraries loaded.
///
/// ```
/// fn is_send_and_sync<T: Send + Sync>(_: &T) {}
/// let guard = threadctl::Limits::new().all(1).limit_process().unwrap();
/// is_send_and_sync(&guard);
/// std::thread::spawn(move || drop(guard)).join().unwrap();
/// ```
#[derive(Debug)]
#[must_use = "the limits are in force only while the guard lives"]
pub struct ProcessGuard(Guard);

/// Limits in force for the thread that made it while this lives. It stays on that thread: thread-scoped settings can
/// be restored from there only.
///
/// A rayon worker that waits inside the scope may run other tasks meanwhile; they are under the limit too. Leaking it
/// leaves the limits in force for as long as the thread runs, and the libraries loaded.
///
/// ```
/// let guard = threadctl::Limits::new().all(1).limit_thread().unwrap();
/// println!("{:?}", guard.outcomes());
/// ```
///
/// ```compile_fail,E0277
/// let guard = threadctl::Limits::new().all(1).limit_thread().unwrap();
/// std::thread::spawn(move || drop(guard));
/// ```
#[derive(Debug)]
#[must_use = "the limits are in force only while the guard lives"]
pub struct ThreadGuard {
    guard: Guard,
    of_this_thread: PhantomData<*const ()>,
}

impl ProcessGuard {
    /// What became of the limit on each runtime that an entry means, when the guard was made.
    ///
    /// ```
    /// let guard = threadctl::Limits::new().all(2).limit_process().unwrap();
    /// assert!(guard.outcomes().iter().all(|outcome| outcome.requested == 2));
    /// ```
    pub fn outcomes(&self) -> &[Outcome] {
        self.0.outcomes()
    }

    /// The entries that mean no runtime that was loaded, as they were written.
    ///
    /// ```
    /// let guard = threadctl::Limits::new().internal_api("nvpl", 1).limit_process().unwrap();
    /// assert_eq!(guard.unmatched(), ["nvpl"]);
    /// ```
    pub fn unmatched(&self) -> &[String] {
        &self.0.plan.unmatched
    }
}

impl ThreadGuard {
    /// What became of the limit on each runtime that an entry means, when the guard was made.
    ///
    /// ```
    /// let guard = threadctl::Limits::new().all(2).limit_thread().unwrap();
    /// assert!(guard.outcomes().iter().all(|outcome| outcome.requested == 2));
    /// ```
    pub fn outcomes(&self) -> &[Outcome] {
        self.guard.outcomes()
    }

    /// Whether all limits hold, as [`outcomes`](ThreadGuard::outcomes) tell at length: for who asks at each call of a kernel.
    pub(crate) fn all_hold(&self) -> bool {
        let plan = &self.guard.plan;
        let side = plan.side(Scope::Thread);
        !side.hopeless && plan.all_hold(side, &self.guard.held)
    }

    /// The entries that mean no runtime that was loaded, as they were written.
    ///
    /// ```
    /// let guard = threadctl::Limits::new().internal_api("nvpl", 1).limit_thread().unwrap();
    /// assert_eq!(guard.unmatched(), ["nvpl"]);
    /// ```
    pub fn unmatched(&self) -> &[String] {
        &self.guard.plan.unmatched
    }
}
