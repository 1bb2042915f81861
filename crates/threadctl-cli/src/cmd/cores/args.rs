//! The options of `threadctl cores`.

use clap::Args;

const EXAMPLES: &str = "\
Examples:
  make -j$(threadctl cores --logical)         the number alone
  threadctl cores --explain                   every constraint; the binding one is marked
  THREADCTL_NUM_THREADS=4 threadctl cores     at most 4, SMT siblings included
  threadctl cores --pid 4711 --json | jq .count

Exit codes: 0 reported, 2 usage or system error (no such process ...).";

/// Options of `threadctl cores`.
///
/// The answer is the smallest of: CPUs online, cpuset, affinity, cgroup quotas (rounded down, at least 1), physical
/// cores, the share that a batch system or an MPI launcher gave to this rank, THREADCTL_NUM_THREADS. A Slurm batch script
/// has the CPUs of all its tasks on the node; below srun each task has its own. What is malformed is not used, and told
/// on standard error.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CoresArgs {
    /// Print a table of all constraints, the binding one marked, and which worker of a pool has which CPUs (`THREADCTL_PIN`).
    #[arg(long, conflicts_with = "json")]
    pub(crate) explain: bool,

    /// Print one versioned JSON document.
    #[arg(long)]
    pub(crate) json: bool,

    /// Count SMT siblings as cores, for work that is not bound by computing.
    #[arg(long, conflicts_with_all = ["json", "explain"])]
    pub(crate) logical: bool,

    /// Ask for the process with this number: its cgroup, its first thread's affinity, the variables it was started with.
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..=i64::from(i32::MAX)))]
    pub(crate) pid: Option<u32>,
}
