//! Layer 2: how many cores this process may really use, and which constraint says so.
//!
//! [`cores()`] is the minimum of every constraint that holds, each kept with its value and its source:
//!
//! 1. the machine: CPUs that are online, the cgroup's set of CPUs, the affinity of the process and of the calling
//!    thread, every CPU quota from the cgroup of either up to the root (v1, v2 and both at once);
//! 2. the topology: SMT siblings count as one core, since compute-bound work gains nothing from a second thread there
//!    ([`Cores::logical`] counts them; `THREADCTL_NUM_THREADS` sets this rule aside);
//! 3. the launcher: what Slurm, PBS, LSF or Grid Engine gave to the job or to the task, and the number of MPI ranks on
//!    the node, unless affinity has divided the node already. Under Slurm, tasks divide the node in a step, that is
//!    below srun; a batch script itself has the CPUs of all its tasks on the node;
//! 4. the user: `THREADCTL_NUM_THREADS` for the process. `OMP_NUM_THREADS` and its like bind their own runtimes only:
//!    [`Cores::count_for`].
//!
//! Where the files are: `system` (the only one that reads), a parser each in `cpus`, `cgroup`, `topology`, `launcher`
//! and `variables`, and `collect`, which puts them together. All of them work on recorded trees of other machines:
//! [`System::recorded`]. `workers` is how many are wanted, `split` shares cores out, `child` is what a process is told of its
//! share, `places` which cores there are, by NUMA node, `pinning` which worker gets which.
//!
//! # What a query costs
//! Each thread keeps its last answer and gives it out for 100 ms by the coarse clock, some tens of nanoseconds; then
//! everything is read again. There is no cheap sign that a quota was changed (a cgroup tells nobody), and asking for
//! the files' times would cost as much as reading them; so a change is seen within 100 ms, and a thread that asks all
//! the time spends less than 1 % of it here. A thread keeps its own answer since its own affinity is part of it. When that is
//! too old, it takes the latest of the other threads' whose affinity and control groups are its own, which costs some ten
//! microseconds: fifty threads that take turns on two cores would find theirs too old at each call.
//!
//! # Known limitations
//! A parent group that a container cannot see (above the root of its cgroup namespace) cannot be counted. The
//! process's affinity is its first thread's; an OpenMP runtime that binds that thread (`OMP_PROC_BIND`) narrows it.

mod cached;
mod cgroup;
mod child;
mod collect;
mod cpus;
mod launcher;
pub(crate) mod pinning;
mod places;
pub(crate) mod ranks;
pub mod split;
mod system;
#[cfg(test)]
mod tests;
mod topology;
mod variables;
mod width;
pub mod workers;

use crate::error::Result;
use std::fmt;
use std::sync::Arc;

pub use cached::cores;
pub use child::{ChildCores, Variable};
pub use cpus::CpuSet;
pub use places::Place;
pub use system::System;
pub use topology::Topology;
pub use width::Width;

/// How many cores a process may use, and why. Cloning is cheap.
///
/// ```
/// let cores = threadctl::cores();
/// println!("{} cores, because of {}", cores.count(), cores.binding().source);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Cores {
    inner: Arc<Inner>,
}

#[derive(Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
struct Inner {
    count: u32,
    logical: u32,
    /// An index into `constraints`, which has at least one entry.
    binding: usize,
    constraints: Vec<Constraint>,
    topology: Topology,
    notes: Vec<String>,
    problems: Vec<String>,
}

/// One constraint.
///
/// ```
/// for constraint in threadctl::cores().constraints() {
///     println!("{:3}  {}  {}", constraint.limit, constraint.kind, constraint.detail);
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Constraint {
    /// What sort it is of.
    pub kind: Kind,
    /// The most cores that it leaves; at least 1.
    pub limit: u32,
    /// The value before it was rounded down, where it need not be whole (quotas).
    pub exact: Option<f64>,
    /// The file or the variable that says so.
    pub source: String,
    /// The same in words.
    pub detail: String,
    /// The runtime that it binds, by its `internal_api`; `None` if it binds the whole process.
    pub runtime: Option<String>,
    /// Whether it counts. `false` for one that a stronger setting has set aside.
    pub in_force: bool,
}

impl Constraint {
    fn new(kind: Kind, limit: u32, source: impl Into<String>, detail: String) -> Self {
        Constraint {
            kind,
            limit: limit.max(1),
            exact: None,
            source: source.into(),
            detail,
            runtime: None,
            in_force: true,
        }
    }
}

/// The sorts of constraints.
///
/// ```
/// assert_eq!(threadctl::cores::Kind::Quota.to_string(), "cgroup quota");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Kind {
    /// The CPUs of the machine that are switched on.
    Online,
    /// The set of CPUs of the process's cgroup.
    Cpuset,
    /// The CPUs on which the process may run.
    Affinity,
    /// The CPUs on which the calling thread may run, where these are others.
    ThreadAffinity,
    /// CPU time per period, of the process's cgroup or of a parent.
    Quota,
    /// Cores rather than SMT siblings.
    PhysicalCores,
    /// What a batch system or an MPI launcher has given.
    Launcher,
    /// The size of a budget that processes share (`threadctl share`).
    Budget,
    /// `THREADCTL_NUM_THREADS`.
    Threadctl,
    /// A runtime's own variable.
    RuntimeVariable,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Online => "online CPUs",
            Kind::Cpuset => "cpuset",
            Kind::Affinity => "affinity",
            Kind::ThreadAffinity => "thread affinity",
            Kind::Quota => "cgroup quota",
            Kind::PhysicalCores => "physical cores",
            Kind::Launcher => "launcher",
            Kind::Budget => "budget",
            Kind::Threadctl => "threadctl",
            Kind::RuntimeVariable => "runtime's variable",
        })
    }
}

impl Cores {
    /// The answer for compute-bound work: the smallest limit in force. At least 1.
    ///
    /// ```
    /// assert!(threadctl::cores().count() >= 1);
    /// ```
    pub fn count(&self) -> u32 {
        self.inner.count
    }

    /// The same with SMT siblings counted as cores: for work that waits for memory or for input.
    ///
    /// ```
    /// let cores = threadctl::cores();
    /// assert!(cores.logical() >= cores.count());
    /// ```
    pub fn logical(&self) -> u32 {
        self.inner.logical
    }

    /// How many cores a runtime (by its `internal_api`: `openblas`, `mkl`, `blis`, `openmp`, `accelerate`, `rayon`) may
    /// use: [`count`](Self::count), or less if the variable that it believes says so. `THREADCTL_NUM_THREADS` comes
    /// before runtimes' own variables.
    ///
    /// ```
    /// use threadctl::cores::System;
    /// let system = System::recorded("/", [("OMP_NUM_THREADS", "1"), ("BLIS_NUM_THREADS", "900")]);
    /// assert_eq!(system.cores().count_for("openblas"), 1);
    /// assert_eq!(system.cores().count_for("blis"), system.cores().count());
    /// ```
    pub fn count_for(&self, internal_api: &str) -> u32 {
        let set = |name: &str| {
            self.inner.constraints.iter().find(|known| {
                known.kind == Kind::RuntimeVariable && known.in_force && known.source == name
            })
        };
        let hint = variables::believed(internal_api, set);
        hint.map_or(self.count(), |hint| hint.limit.min(self.count()))
    }

    /// Every constraint that was found, also those that do not bind.
    ///
    /// ```
    /// assert!(!threadctl::cores().constraints().is_empty());
    /// ```
    pub fn constraints(&self) -> &[Constraint] {
        &self.inner.constraints
    }

    /// The constraint that settles the answer; of several that say the same, the widest in scope.
    ///
    /// ```
    /// println!("{}", threadctl::cores().binding().detail);
    /// ```
    pub fn binding(&self) -> &Constraint {
        // There is always one: without any source of facts, `collect` makes one up and says so.
        &self.inner.constraints[self.inner.binding]
    }

    /// What the allowed CPUs are.
    ///
    /// ```
    /// println!("{} cores", threadctl::cores().topology().physical);
    /// ```
    pub fn topology(&self) -> &Topology {
        &self.inner.topology
    }

    /// What was looked at and constrains nothing, in words.
    ///
    /// ```
    /// for note in threadctl::cores().notes() {
    ///     println!("{note}");
    /// }
    /// ```
    pub fn notes(&self) -> &[String] {
        &self.inner.notes
    }

    /// What could not be read or was malformed, and so was not counted, in words.
    ///
    /// ```
    /// for problem in threadctl::cores().problems() {
    ///     println!("{problem}");
    /// }
    /// ```
    pub fn problems(&self) -> &[String] {
        &self.inner.problems
    }

    /// How many cores another process may use; see [`System::cores_of`].
    ///
    /// ```
    /// let cores = threadctl::cores::Cores::for_pid(std::process::id())?;
    /// assert!(cores.count() >= 1);
    /// # Ok::<(), threadctl::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::System`](crate::ErrorKind::System): there is no such process.
    pub fn for_pid(pid: u32) -> Result<Cores> {
        System::this().cores_of(pid)
    }

    fn add_problem(&mut self, problem: String) {
        // Only called before the first clone.
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.problems.push(problem);
        }
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Cores {
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        self.inner.serialize(serializer)
    }
}
