//! What batch systems and MPI launchers tell by variables: how wide this node's part of the job is, how many ranks
//! share it, what belongs to this one.
//!
//! Invariant: nothing malformed is trusted; it is passed over and reported with its name, its value and what is
//! accepted.

use super::cpus::CpuSet;
use super::system::{System, environ};

/// More than any node has; larger values are taken for damage.
pub(super) const MOST: u32 = 1 << 16;

/// What the launchers said.
#[derive(Debug, Default)]
pub(super) struct Launched {
    /// The CPUs of this node that belong to the job.
    pub(super) node: Vec<Told>,
    /// The CPUs that belong to this process alone.
    pub(super) task: Option<Told>,
    /// Of how many tasks on this node these are all the CPUs; one task where it is not told.
    pub(super) tasks: Option<u32>,
    /// The ranks among which the node's CPUs are divided.
    pub(super) ranks: Option<Ranks>,
    pub(super) notes: Vec<String>,
    pub(super) problems: Vec<String>,
}

/// A number and who told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) launcher: &'static str,
    pub(super) variable: &'static str,
    pub(super) count: u32,
}

/// The ranks on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ranks {
    pub(super) size: Told,
    /// This one's number among them, from 0, if told.
    pub(super) rank: Option<u32>,
}

/// Launchers that tell the number of ranks on the node and this rank's number, in the order in which they are believed,
/// each with where the names are from.
const LOCAL: &[(&str, &str, &str)] = &[
    // The manual of Open MPI 5, "Environment variables set for MPI applications"; measured with 4.1.
    (
        "Open MPI",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
        "OMPI_COMM_WORLD_LOCAL_RANK",
    ),
    // MVAPICH2's source, mpispawn.c.
    (
        "MVAPICH2",
        "MV2_COMM_WORLD_LOCAL_SIZE",
        "MV2_COMM_WORLD_LOCAL_RANK",
    ),
    // MPICH's source, hydra/proxy/pmip_cb.c; Intel MPI's reference, "Environment Variables Not Propagated by Hydra".
    ("MPICH or Intel MPI", "MPI_LOCALNRANKS", "MPI_LOCALRANKID"),
    // No manual was found that could be read freely: published job scripts of several HPE Cray machines.
    ("Cray PMI", "PMI_LOCAL_SIZE", "PMI_LOCAL_RANK"),
    ("HPE PALS", "PALS_LOCAL_SIZE", "PALS_LOCAL_RANKID"),
];

/// Batch systems that tell the job's CPUs on this node as a plain number.
const WIDTH: &[(&str, &str)] = &[
    ("Slurm", "SLURM_CPUS_ON_NODE"),
    ("PBS", "NCPUS"),
    ("PBS", "PBS_NUM_PPN"),
];

/// Variables with Slurm's list of tasks per node, in the order in which they are believed: of the step, then of the job.
/// These and the other names are from the manual pages of srun and sbatch.
const SLURM_STEP_TASKS: &str = "SLURM_STEP_TASKS_PER_NODE";
const SLURM_JOB_TASKS: &[&str] = &["SLURM_TASKS_PER_NODE", "SLURM_NTASKS_PER_NODE"];

/// Steps with this number and above are not made by srun: the batch script, the shell of salloc and the like, which Slurm
/// numbers downwards from the largest (`slurm.h`).
const SLURM_SPECIAL_STEPS: u32 = 0xffff_fff0;

/// Reads all of it.
pub(super) fn find(system: &System) -> Launched {
    let mut launched = Launched::default();
    for &(launcher, variable) in WIDTH {
        if let Some(count) = number(system, variable, &mut launched.problems) {
            launched.node.push(Told {
                launcher,
                variable,
                count,
            });
        }
    }
    lsf(system, &mut launched);
    grid_engine(system, &mut launched);
    // A launcher of ranks is nearer to the process than the batch system that it was started in.
    launched.ranks = local_ranks(system, &mut launched.problems);
    slurm(system, &mut launched);
    if launched.ranks.is_none() && system.variable("PMI_SIZE").is_some() {
        launched.notes.push(
            "PMI_SIZE counts the ranks of all nodes; nothing tells those on this one, so nothing is divided".to_owned(),
        );
    }
    launched
}

fn local_ranks(system: &System, problems: &mut Vec<String>) -> Option<Ranks> {
    for &(launcher, size, rank) in LOCAL {
        let Some(count) = number(system, size, problems) else {
            continue;
        };
        let size = Told {
            launcher,
            variable: size,
            count,
        };
        let rank = rank_below(system, rank, count, problems);
        return Some(Ranks { size, rank });
    }
    None
}

fn slurm(system: &System, launched: &mut Launched) {
    let node = system
        .variable("SLURM_NODEID")
        .and_then(|text| text.trim().parse::<u64>().ok());
    if launched.node.iter().all(|told| told.launcher != "Slurm") {
        let variable = "SLURM_JOB_CPUS_PER_NODE";
        if let Some(count) = per_node(
            system,
            variable,
            node,
            Unknown::Least,
            &mut launched.problems,
        ) {
            launched.node.push(Told {
                launcher: "Slurm",
                variable,
                count,
            });
        }
    }
    let in_step = in_step(system, &mut launched.problems);
    let first = in_step.then_some(SLURM_STEP_TASKS);
    // The value that promises less to this process: many tasks where they divide the node, few where their parts are
    // added up.
    let unknown = if in_step {
        Unknown::Most
    } else {
        Unknown::Least
    };
    let tasks = first.iter().chain(SLURM_JOB_TASKS).find_map(|&variable| {
        let count = per_node(system, variable, node, unknown, &mut launched.problems)?;
        Some((variable, count))
    });
    launched.task =
        number(system, "SLURM_CPUS_PER_TASK", &mut launched.problems).map(|count| Told {
            launcher: "Slurm",
            variable: "SLURM_CPUS_PER_TASK",
            count,
        });
    let Some((variable, count)) = tasks else {
        return;
    };
    if let Some(ranks) = &launched.ranks {
        launched.notes.push(format!(
            "{variable}: {count} tasks on this node, not counted: {} tells the ranks",
            ranks.size.variable
        ));
    } else if !in_step {
        // A batch script, or a shell in an allocation, is no task: what belongs to the tasks here is the script's.
        if let Some(task) = &mut launched.task {
            task.count = task.count.saturating_mul(count);
            launched.tasks = Some(count);
        }
        launched.notes.push(format!(
            "{variable}: {count} tasks on this node, not divided: this is no step of srun, so all their CPUs are its own"
        ));
    } else if let Some(task) = &launched.task {
        launched.notes.push(format!(
            "{variable}: {count} tasks on this node, not divided: {} tells this task's share",
            task.variable
        ));
    } else {
        launched.ranks = Some(Ranks {
            size: Told {
                launcher: "Slurm",
                variable,
                count,
            },
            rank: rank_below(system, "SLURM_LOCALID", count, &mut launched.problems),
        });
    }
}

/// Whether srun made this process. A batch script and the shell of salloc have the job's variables, `SLURM_PROCID` and
/// `SLURM_LOCALID` among them, but no step, or a special one.
fn in_step(system: &System, problems: &mut Vec<String>) -> bool {
    // The second is the old name of the first.
    let Some((variable, text)) = ["SLURM_STEP_ID", "SLURM_STEPID"]
        .into_iter()
        .find_map(|variable| Some((variable, system.variable(variable)?)))
    else {
        return false;
    };
    let Ok(step) = text.trim().parse::<u32>() else {
        problems.push(format!(
            "{variable}={text:?} is not used; accepted is the number of a step; counted as one of srun"
        ));
        return true;
    };
    step < SLURM_SPECIAL_STEPS
}

/// LSF tells the slots of all hosts, and in a second variable those of each.
fn lsf(system: &System, launched: &mut Launched) {
    let Some(total) = number(system, "LSB_DJOB_NUMPROC", &mut launched.problems) else {
        return;
    };
    let mut told = Told {
        launcher: "LSF",
        variable: "LSB_DJOB_NUMPROC",
        count: total,
    };
    if let Some(hosts) = system.variable("LSB_MCPU_HOSTS") {
        let name = system.line("/proc/sys/kernel/hostname").unwrap_or_default();
        let words: Vec<&str> = hosts.split_whitespace().collect();
        let short = |host: &str| host.split('.').next().unwrap_or_default().to_owned();
        let ours = words
            .chunks_exact(2)
            .find(|pair| !name.is_empty() && short(pair[0]) == short(&name))
            .and_then(|pair| positive(pair[1]));
        match ours {
            Some(count) => {
                told.variable = "LSB_MCPU_HOSTS";
                told.count = count;
            }
            None if words.len() > 2 => launched.problems.push(format!(
                "LSB_MCPU_HOSTS={hosts:?} does not tell the slots of this host ({name:?}); expected are pairs HOST SLOTS; \
                 the total of LSB_DJOB_NUMPROC is used"
            )),
            None => {}
        }
    }
    launched.node.push(told);
}

fn grid_engine(system: &System, launched: &mut Launched) {
    let Some(count) = number(system, "NSLOTS", &mut launched.problems) else {
        return;
    };
    if number(system, "NHOSTS", &mut launched.problems).is_some_and(|hosts| hosts > 1) {
        launched.notes.push(format!(
            "NSLOTS={count} is the total of several hosts; used as an upper bound"
        ));
    }
    launched.node.push(Told {
        launcher: "Grid Engine",
        variable: "NSLOTS",
        count,
    });
}

/// A whole number from 1 up to what a node can have.
pub(super) fn positive(text: &str) -> Option<u32> {
    text.trim()
        .parse()
        .ok()
        .filter(|count| (1..=MOST).contains(count))
}

fn number(system: &System, variable: &str, problems: &mut Vec<String>) -> Option<u32> {
    let text = system.variable(variable)?;
    let count = positive(&text);
    if count.is_none() {
        problems.push(format!(
            "{variable}={text:?} is not used; accepted is a whole number from 1 to {MOST}"
        ));
    }
    count
}

fn rank_below(
    system: &System,
    variable: &str,
    size: u32,
    problems: &mut Vec<String>,
) -> Option<u32> {
    let text = system.variable(variable)?;
    let rank = text.trim().parse().ok().filter(|rank| *rank < size);
    if rank.is_none() {
        problems.push(format!(
            "{variable}={text:?} is not used; accepted is a whole number below the {size} ranks of this node"
        ));
    }
    rank
}

/// What to take from a list when this node's place in it is not known: the value that promises less.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unknown {
    Least,
    Most,
}

/// Reads Slurm's list of values per node: `2(x3),1` is 2 on each of three nodes, then 1.
pub(super) fn slurm_list(text: &str, node: Option<u64>, unknown: Unknown) -> Option<u32> {
    let mut at = None;
    let mut all = Vec::new();
    let mut nodes = 0_u64;
    for entry in text.trim().split(',') {
        let (value, repeat) = match entry.trim().split_once("(x") {
            Some((value, rest)) => (value, positive(rest.strip_suffix(')')?)?),
            None => (entry, 1),
        };
        let value = positive(value)?;
        nodes += u64::from(repeat);
        all.push(value);
        if at.is_none() && node.is_some_and(|node| node < nodes) {
            at = Some(value);
        }
    }
    at.or(match unknown {
        Unknown::Least => all.into_iter().min(),
        Unknown::Most => all.into_iter().max(),
    })
}

fn per_node(
    system: &System,
    variable: &str,
    node: Option<u64>,
    unknown: Unknown,
    problems: &mut Vec<String>,
) -> Option<u32> {
    let text = system.variable(variable)?;
    let count = slurm_list(&text, node, unknown);
    if count.is_none() {
        problems.push(format!(
            "{variable}={text:?} is not used; accepted are numbers per node, as in 2(x3),1"
        ));
    }
    count
}

/// How many of the ranks share the CPUs that this process may run on.
///
/// Where affinity has divided the node, a rank sees a part of what the launcher had, and fewer ranks share that part:
/// `own / whole` of them, rounded up so that nothing is promised twice.
pub(super) fn sharers(size: u32, own: u32, whole: u32) -> u32 {
    if own >= whole || whole == 0 {
        return size.max(1);
    }
    let sharers = (u64::from(size) * u64::from(own)).div_ceil(u64::from(whole));
    u32::try_from(sharers).unwrap_or(size).clamp(1, size.max(1))
}

/// The part of `cores` that is this rank's: parts differ by 1 at most, the first ranks have the larger ones. Without a
/// rank the smaller one. At least 1, so with more ranks than cores the parts overlap.
pub(super) fn part(cores: u32, sharers: u32, rank: Option<u32>) -> u32 {
    let sharers = sharers.max(1);
    let extra = rank.is_some_and(|rank| rank < cores % sharers);
    (cores / sharers + u32::from(extra)).max(1)
}

/// The CPUs that the launcher itself may run on: the nearest ancestor that was not started with `variable`. An
/// ancestor whose variables are closed to us is somebody else's, so the launcher.
pub(super) fn launcher_cpus(system: &System, process: &str, variable: &str) -> Option<CpuSet> {
    let mut process = process.to_owned();
    // Deeper nests of wrappers than this are loops in a recorded tree.
    for _ in 0..64 {
        let status = system.read(&format!("/proc/{process}/status")).ok()?;
        let parent = field(&status, "PPid:")?;
        if parent == "0" {
            return None;
        }
        let launched = system
            .read(&format!("/proc/{parent}/environ"))
            .is_ok_and(|text| environ(text.as_bytes()).contains_key(variable));
        if !launched {
            let status = system.read(&format!("/proc/{parent}/status")).ok()?;
            return field(&status, "Cpus_allowed_list:")?.parse().ok();
        }
        process = parent.to_owned();
    }
    None
}

/// A field of `/proc/PID/status`.
pub(super) fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .map(str::trim)
}
