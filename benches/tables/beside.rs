//! Who counts how many cores under which constraint, and why the counts differ.
//!
//! Invariant: a count that is not threadctl's carries the letter of its reason, or a question mark where [`ROWS`] knows
//! none; so a difference that a new release brings is seen, and none is explained that is not there.

use super::{AVAILABLE, CASE, program};
use crate::common::manifest;
use crate::constraint::{Setting, Under};
use crate::trees::Tree;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// The columns after threadctl's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Peer {
    Std,
    Nproc,
    Python,
    Joblib,
    JoblibPhysical,
}
use Peer::{Joblib, JoblibPhysical, Nproc, Python, Std};

const PEERS: [(Peer, &str); 5] = [
    (Std, "`available_parallelism`"),
    (Nproc, "`nproc`"),
    (Python, "`os.cpu_count`"),
    (Joblib, "joblib `cpu_count`"),
    (JoblibPhysical, "the same, physical"),
];

/// Why a count is not threadctl's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Machine,
    NoQuota,
    FixedPath,
    RoundsUp,
    NoLauncher,
    Foreign,
    OneRuntime,
    Siblings,
    Kernel,
}

/// In the order of their letters.
const REASONS: &[(Why, &str)] = &[
    (
        Why::Machine,
        "`os.cpu_count` counts the machine's CPUs that are online, whatever this process may use.",
    ),
    (
        Why::NoQuota,
        "This release of `nproc` knows affinity, OMP_NUM_THREADS and OMP_THREAD_LIMIT, but no quota.",
    ),
    (
        Why::FixedPath,
        "joblib reads the quota at a fixed path, the root of the hierarchy. That is the process's own group only where a \
         container shows it there; threadctl and the standard library walk from the process's group upwards.",
    ),
    (
        Why::RoundsUp,
        "joblib sees this quota, and rounds it up; threadctl and the standard library round down, so that no thread waits \
         for the next period, and never below 1.",
    ),
    (
        Why::NoLauncher,
        "It knows no launcher, so every rank on the node counts all that the others count, too. threadctl takes what the \
         launcher says is this rank's, or divides by the ranks on the node unless affinity has divided it already.",
    ),
    (Why::Foreign, "The variable is threadctl's own."),
    (
        Why::OneRuntime,
        "`nproc` takes OpenMP's variable for the process. threadctl takes it for the runtimes that read it \
         (`Cores::count_for`): rayon does not.",
    ),
    (
        Why::Siblings,
        "It counts SMT siblings. threadctl's width for compute-bound work counts physical cores; `threadctl cores \
         --logical` counts siblings.",
    ),
    (
        Why::Kernel,
        "Cannot be asked: the CPUs that these may use come from system calls, not from files, so a tree of a machine \
         with other CPUs cannot be given to them. threadctl's count is `System::recorded` on the tree.",
    ),
];

struct Row {
    name: &'static str,
    under: Under,
    /// Besides [`Why::Machine`] for `os.cpu_count`, which holds in every row.
    why: &'static [(Peer, Why)],
}

const fn row(name: &'static str, under: Under, why: &'static [(Peer, Why)]) -> Row {
    Row { name, under, why }
}

const NO_QUOTA: &[(Peer, Why)] = &[
    (Nproc, Why::NoQuota),
    (Joblib, Why::FixedPath),
    (JoblibPhysical, Why::FixedPath),
];
const ROUNDS_UP: &[(Peer, Why)] = &[
    (Nproc, Why::NoQuota),
    (Joblib, Why::RoundsUp),
    (JoblibPhysical, Why::RoundsUp),
];
const NO_LAUNCHER: &[(Peer, Why)] = &[
    (Std, Why::NoLauncher),
    (Nproc, Why::NoLauncher),
    (Joblib, Why::NoLauncher),
    (JoblibPhysical, Why::NoLauncher),
];
const FOREIGN: &[(Peer, Why)] = &[
    (Std, Why::Foreign),
    (Nproc, Why::Foreign),
    (Joblib, Why::Foreign),
    (JoblibPhysical, Why::Foreign),
];
const SIBLINGS: &[(Peer, Why)] = &[
    (Std, Why::Siblings),
    (Nproc, Why::Siblings),
    (Joblib, Why::Siblings),
    (JoblibPhysical, Why::Siblings),
];

const KERNEL: &[(Peer, Why)] = &[
    (Std, Why::Kernel),
    (Nproc, Why::Kernel),
    (Python, Why::Kernel),
    (Joblib, Why::Kernel),
    (JoblibPhysical, Why::Kernel),
];

const ROWS: &[Row] = &[
    row("none", Under::Nothing, SIBLINGS),
    row("taskset, 1 CPU", Under::Affinity, &[]),
    row("cpuset of v1, 1 CPU", Under::Cpuset, &[]),
    row("v1 quota 0.5", Under::Quotas(&[Some(0.5)]), NO_QUOTA),
    row("v1 quota 1", Under::Quotas(&[Some(1.0)]), NO_QUOTA),
    row("v1 quota 1.5", Under::Quotas(&[Some(1.5)]), NO_QUOTA),
    row(
        "v1 quota 1 of the parent, none of its own",
        Under::Quotas(&[Some(1.0), None]),
        NO_QUOTA,
    ),
    row(
        "v1 quota 1.5 two groups up, 1 of the parent",
        Under::Quotas(&[Some(1.5), Some(1.0), None]),
        NO_QUOTA,
    ),
    row(
        "v1 quota 0.5, as a container shows it",
        Under::Container(0.5),
        ROUNDS_UP,
    ),
    row(
        "v1 quota 1.5, as a container shows it",
        Under::Container(1.5),
        ROUNDS_UP,
    ),
    row(
        "v2 quota 0.5 (laid over)",
        Under::V2 {
            group: "user.slice/job.scope",
            quotas: &[
                ("user.slice/job.scope", "50000 100000"),
                ("user.slice", "max 100000"),
            ],
        },
        NO_QUOTA,
    ),
    row(
        "v2 quota 1.5 (laid over)",
        Under::V2 {
            group: "user.slice/job.scope",
            quotas: &[
                ("user.slice/job.scope", "150000 100000"),
                ("user.slice", "max 100000"),
            ],
        },
        NO_QUOTA,
    ),
    row(
        "v2 quota 1 of the parent (laid over)",
        Under::V2 {
            group: "user.slice/job.scope",
            quotas: &[
                ("user.slice/job.scope", "max 100000"),
                ("user.slice", "100000 100000"),
            ],
        },
        NO_QUOTA,
    ),
    row(
        "v2 quota 1.5, as a container shows it (laid over)",
        Under::V2 {
            group: "",
            quotas: &[("", "150000 100000")],
        },
        ROUNDS_UP,
    ),
    row(
        "SMT, 2 siblings on each core (laid over)",
        Under::Siblings,
        SIBLINGS,
    ),
    row(
        "OMP_NUM_THREADS=1",
        Under::Variables(&[("OMP_NUM_THREADS", "1")]),
        &[(Nproc, Why::OneRuntime)],
    ),
    row(
        "THREADCTL_NUM_THREADS=1",
        Under::Variables(&[("THREADCTL_NUM_THREADS", "1")]),
        FOREIGN,
    ),
    row(
        "SLURM_CPUS_PER_TASK=1",
        Under::Variables(&[("SLURM_CPUS_PER_TASK", "1")]),
        NO_LAUNCHER,
    ),
    row("`mpirun -n 2`, each rank", Under::Ranks(&[]), NO_LAUNCHER),
    row(
        "`mpirun -n 2 --bind-to core`, each rank",
        Under::Ranks(&["--bind-to", "core"]),
        &[],
    ),
    row(
        "`mpirun -n 2 --bind-to none`, each rank",
        Under::Ranks(&["--bind-to", "none"]),
        NO_LAUNCHER,
    ),
];

/// Trees of `tests/fixtures/cores` for which this machine has too few CPUs.
const TREES: &[(&str, &str)] = &[
    ("64 cores, 128 CPUs by SMT, 8 NUMA nodes", "numa-128"),
    (
        "laptop, 4 cores with SMT and 8 efficiency cores",
        "laptop-efficiency",
    ),
    (
        "Kubernetes (v2), quotas of 3, 4 and 31 on 16 cores with SMT",
        "kubernetes",
    ),
];

/// One line from one process: threadctl and the peers in their order.
const ASK: &str = r#"
ours=$(each "$THREADCTL_BIN" cores)
std=$(each env "$CASE=$AVAILABLE" "$BENCH")
nproc=$(each nproc)
python=$(each "$PYTHON" "$SCRIPT")
echo "$ours $std $nproc $python"
"#;

/// The table, with the reasons below it.
pub fn table() -> String {
    let mut lines = Vec::new();
    for row in ROWS {
        lines.push(match Setting::make(&row.under) {
            Ok(setting) => (row.name.to_owned(), counts(&setting), row.why),
            Err(lack) => (
                format!("{} (not asked: {lack})", row.name),
                Vec::new(),
                row.why,
            ),
        });
    }
    for (label, tree) in TREES {
        let ours = Tree::named(tree).cores().count().to_string();
        let mut counts = vec!["-".to_owned(); PEERS.len()];
        counts.insert(0, ours);
        lines.push((format!("{label} (tree `{tree}`)"), counts, KERNEL));
    }
    let used: Vec<Why> = REASONS
        .iter()
        .map(|(why, _)| *why)
        .filter(|why| {
            lines.iter().any(|(_, counts, reasons)| {
                PEERS
                    .iter()
                    .zip(counts.iter().skip(1))
                    .any(|((peer, _), count)| {
                        *count != counts[0] && reason(*peer, reasons) == Some(*why)
                    })
            })
        })
        .collect();

    let mut text = String::from("| constraint | threadctl |");
    for (_, title) in PEERS {
        let _ = write!(text, " {title} |");
    }
    let _ = writeln!(text, "\n| --- |{}", " --- |".repeat(PEERS.len() + 1));
    let mut unexplained = false;
    for (name, counts, reasons) in &lines {
        let _ = write!(text, "| {name} |");
        for (column, count) in counts.iter().enumerate() {
            let _ = write!(text, " {count}");
            if *count != counts[0] {
                match reason(PEERS[column - 1].0, reasons) {
                    Some(why) => {
                        let _ = write!(text, " ({})", letter(&used, why));
                    }
                    None => {
                        unexplained = true;
                        text.push_str(" (?)");
                    }
                }
            }
            text.push_str(" |");
        }
        text.push('\n');
    }
    text.push_str("\nWhy a count is not threadctl's:\n\n");
    for (why, words) in REASONS {
        if used.contains(why) {
            let _ = writeln!(text, "- ({}) {words}", letter(&used, *why));
        }
    }
    if unexplained {
        text.push_str("- (?) Not explained yet.\n");
    }
    let _ = writeln!(text, "\n{}", how());
    text
}

fn reason(peer: Peer, reasons: &[(Peer, Why)]) -> Option<Why> {
    let found = reasons.iter().find(|(known, _)| *known == peer);
    let default = (peer == Python).then_some(Why::Machine);
    found.map(|(_, why)| *why).or(default)
}

fn letter(used: &[Why], why: Why) -> char {
    let index = used.iter().position(|known| *known == why);
    char::from(
        b'a' + index
            .and_then(|index| u8::try_from(index).ok())
            .expect("a reason in use"),
    )
}

/// A cell for threadctl and each peer: what every process counted, once if all counted the same.
fn counts(setting: &Setting) -> Vec<String> {
    let own = std::env::current_exe().expect("this program");
    let joblib = manifest("joblib", "path");
    let packages = Path::new(&joblib).ancestors().nth(2).expect("its folder");
    let text = setting.ask(
        ASK,
        &[
            ("THREADCTL_BIN", &program()),
            ("CASE", CASE),
            ("AVAILABLE", AVAILABLE),
            ("BENCH", own.to_str().expect("a path in UTF-8")),
            ("PYTHON", &manifest("python", "path")),
            ("PYTHONPATH", packages.to_str().expect("a path in UTF-8")),
            (
                "SCRIPT",
                concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/cores.py"),
            ),
        ],
    );
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    (0..=PEERS.len())
        .map(|column| {
            let mut cells: Vec<&str> = lines.iter().map(|line| line[column]).collect();
            cells.sort_unstable();
            cells.dedup();
            cells.join(" and ")
        })
        .collect()
}

/// What was asked, and how.
fn how() -> String {
    let said = |command: &mut Command| {
        let output = command.output().expect("it says its version");
        String::from_utf8(output.stdout).expect("text")
    };
    let nproc = said(Command::new("nproc").arg("--version"));
    let rustc = said(Command::new("rustc").arg("--version"));
    let kernel =
        std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("the kernel's release");
    format!(
        "Each row's programs ran under that constraint, with no other variable set that any of them reads. Those of v1, \
         taskset and mpirun are this machine's own. A row that is \"laid over\" has files of such a system, written after \
         the kernel's documentation, mounted over `/proc/self/cgroup`, `/proc/self/mountinfo`, `/sys/fs/cgroup` or the \
         `topology` files of the CPUs, in a mount namespace of the asked programs: all were really asked, on files in \
         place of a kernel that has the thing. threadctl {}, the standard library of Rust {}, coreutils {}, Python {}, \
         joblib {}, Open MPI {}, Linux {}. {}",
        env!("CARGO_PKG_VERSION"),
        rustc.split(' ').nth(1).unwrap_or("unknown"),
        nproc
            .lines()
            .next()
            .and_then(|line| line.rsplit(' ').next())
            .unwrap_or("unknown"),
        manifest("python", "version"),
        manifest("joblib", "version"),
        manifest("mpirun", "version"),
        kernel.trim().split('-').next().unwrap_or("unknown"),
        super::machine()
    )
}
