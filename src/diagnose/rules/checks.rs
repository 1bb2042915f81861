//! The conditions of the rules. Pure: a report in, a finding out.

use super::super::report::{ProcessGroup, ProcessSummary};
use super::super::who::GroupKind;
use super::nesting::nested;
use super::settings::{self, Exceeded};
use super::{Confidence, Context, Found};

/// The share of the cores below which a program leaves some idle.
const IDLE: f64 = 0.6;

/// Runs shorter than this, in seconds, say little about how cores are used.
const SHORT: f64 = 1.0;

/// Room for threads in the usual builds of OpenBLAS.
const OPENBLAS_ROOM: u32 = 64;

fn processes<'a>(context: &Context<'a>) -> impl Iterator<Item = &'a ProcessSummary> {
    context.report.processes.iter()
}

/// Those that computed, and did not only start others and hand out work.
pub(super) fn busy_processes<'a>(
    context: &Context<'a>,
) -> impl Iterator<Item = &'a ProcessSummary> {
    processes(context).filter(|process| process.is_busy)
}

/// The threads of a process that computed, and its first one if that did.
pub(super) fn busy(process: &ProcessSummary) -> u32 {
    process.groups.iter().map(|group| group.busy).sum::<u32>() + u32::from(process.first_busy)
}

pub(super) fn pools(process: &ProcessSummary) -> impl Iterator<Item = &ProcessGroup> {
    process.groups.iter().filter(|group| group.kind.is_pool())
}

/// The name of the program for a sentence.
pub(super) fn name(process: &ProcessSummary) -> String {
    let file = super::super::who::file_name(&process.executable);
    format!(
        "{} (process {})",
        if file.is_empty() { "a program" } else { file },
        process.pid
    )
}

/// The option of `threadctl run` that gives a pool so many threads.
pub(super) fn limit_of(group: &ProcessGroup, threads: u32) -> String {
    match (group.kind, group.name.as_str()) {
        (GroupKind::Blas, _) => format!("--limit blas={threads}"),
        (GroupKind::Openmp, _) => format!("--limit openmp={threads}"),
        _ => format!("--cores {threads}"),
    }
}

pub(super) fn limit_not_taken(context: &Context<'_>) -> Option<Found> {
    let (process, exceeded) = processes(context)
        .find_map(|process| Some((process, settings::exceeded(process).next()?)))?;
    let Exceeded {
        variable,
        promised,
        group,
    } = exceeded;
    let makers = if group.makers > 1 {
        format!(", made by {} threads", group.makers)
    } else {
        String::new()
    };
    Some(Found {
        evidence: format!(
            "{variable}={promised} for {}, but {} had {} threads at once beside its callers{makers}",
            name(process),
            group.name,
            group.peak
        ),
        cost: context.waiting(),
        confidence: Confidence::Certain,
        remedies: vec![
            context.run_with(&format!("--cores {}", context.report.cores.count)),
            "threadctl info --pid PID    # while it runs: what each library has".to_owned(),
        ],
    })
}

pub(super) fn affinity_one_core(context: &Context<'_>) -> Option<Found> {
    let cores = &context.report.cores;
    let process = processes(context)
        .find(|process| process.cpus == 1 && cores.online > 1 && busy(process) >= 2)?;
    let bound = process.environment.keys().find(|name| {
        [
            "OMP_PROC_BIND",
            "OMP_PLACES",
            "GOMP_CPU_AFFINITY",
            "KMP_AFFINITY",
        ]
        .contains(&name.as_str())
    });
    let remedy = match bound {
        Some(variable) => context.with_variables(&format!("env -u {variable}")),
        None => context.with_variables(&format!("taskset -c 0-{}", cores.online.saturating_sub(1))),
    };
    Some(Found {
        evidence: format!(
            "{} threads of {} computed, and all may use one CPU only, of {}",
            busy(process),
            name(process),
            cores.online
        ),
        cost: context.waiting(),
        confidence: Confidence::Certain,
        remedies: vec![remedy],
    })
}

pub(super) fn quota_smaller_than_pools(context: &Context<'_>) -> Option<Found> {
    let report = context.report;
    if !["cgroup quota", "launcher"].contains(&report.cores.kind.as_str()) {
        return None;
    }
    let count = report.cores.count;
    let (process, group) = busy_processes(context).find_map(|process| {
        let group = process.groups.iter().max_by_key(|group| group.busy)?;
        (busy(process) > count && group.busy > 0).then_some((process, group))
    })?;
    let throttled = report
        .throttling
        .filter(|throttling| throttling.periods > 0);
    Some(Found {
        evidence: format!(
            "{} has {} busy threads, {} of them of {}, on {count} cores ({})",
            name(process),
            busy(process),
            group.busy,
            group.name,
            report.cores.because
        ),
        cost: match throttled {
            Some(throttling) => format!(
                "the quota was used up {} times, which held threads up for {:.1} s",
                throttling.periods, throttling.seconds
            ),
            None => context.waiting(),
        },
        confidence: Confidence::Certain,
        remedies: vec![context.run_with("--jobs 1")],
    })
}

/// Threads that compete for all cores want this part of them, at least, on average over their process's life.
const COMPETE: f64 = 0.75;

pub(super) fn pool_exceeds_cores(context: &Context<'_>) -> Option<Found> {
    let cores = context.report.cores.count;
    if nested(context).is_some() {
        return None;
    }
    let (process, group, threads) = busy_processes(context).find_map(|process| {
        let group = process.groups.iter().max_by_key(|group| group.busy)?;
        // The caller of a library works with its pool; a program's first thread may work beside the others.
        let threads = group.busy + u32::from(process.first_busy && group.kind.is_pool());
        // A program's threads may take turns, on a lock of their own or by handing work on: then they never want so much.
        let compete = group.kind.is_pool()
            || wanted(process, std::slice::from_ref(group)) >= f64::from(cores) * COMPETE;
        (threads > cores && compete).then_some((process, group, threads))
    })?;
    let remedies = if group.kind.is_pool() {
        vec![
            context.run_with(&limit_of(group, cores)),
            context.run_with("--jobs 1"),
        ]
    } else {
        vec![
            context.run_with("--jobs 1"),
            format!("threadctl cores    # so many workers: {cores}"),
        ]
    };
    Some(Found {
        evidence: format!(
            "in {} {threads} threads of {} computed on {cores} cores",
            name(process),
            group.name
        ),
        cost: context.waiting(),
        confidence: Confidence::Certain,
        remedies,
    })
}

pub(super) fn spin_wait(context: &Context<'_>) -> Option<Found> {
    let cores = context.report.cores.count;
    let (process, setting, group) = processes(context).find_map(|process| {
        let setting = settings::spinning(process)?;
        let group =
            pools(process).find(|group| group.kind == GroupKind::Openmp && group.peak > 0)?;
        (busy(process) > cores).then_some((process, setting, group))
    })?;
    let overlap = context
        .report
        .who
        .iter()
        .find(|known| known.name == group.name);
    Some(Found {
        evidence: format!(
            "{setting} for {}, whose {} threads of {} are more than fit on {cores} cores",
            name(process),
            group.peak,
            group.name
        ),
        cost: format!(
            "{} used up to {:.1} s of CPU time while others waited for a core",
            group.name,
            overlap.map_or(0.0, |group| group.overlap_seconds)
        ),
        confidence: Confidence::Certain,
        remedies: vec![
            context.with_variables("OMP_WAIT_POLICY=passive KMP_BLOCKTIME=0 GOMP_SPINCOUNT=0"),
            context.run_with("--jobs 1"),
        ],
    })
}

/// Paths of the OpenMP runtimes of a process.
fn openmp(process: &ProcessSummary) -> Vec<&str> {
    let files = process
        .runtimes
        .iter()
        .filter(|runtime| runtime.kind == GroupKind::Openmp);
    files.map(|runtime| runtime.path.as_str()).collect()
}

pub(super) fn libomp_beside_libiomp5(context: &Context<'_>) -> Option<Found> {
    let process = processes(context).find(|process| {
        let has = |name: &str| process.runtimes.iter().any(|runtime| runtime.name == name);
        has("libomp") && has("libiomp5")
    })?;
    Some(Found {
        evidence: format!(
            "{} has loaded {}",
            name(process),
            openmp(process).join(" and ")
        ),
        cost: "crashes, hangs or wrong results are known".to_owned(),
        confidence: Confidence::Certain,
        remedies: vec![context.with_variables("MKL_THREADING_LAYER=GNU")],
    })
}

pub(super) fn several_openmp_runtimes(context: &Context<'_>) -> Option<Found> {
    let active = |process: &'_ ProcessSummary| {
        let groups = process.groups.iter();
        let groups = groups.filter(|group| group.kind == GroupKind::Openmp && group.peak > 0);
        // Copies of one library have one name. Where nobody told the files, the group is one runtime.
        groups.map(|group| group.files.len().max(1)).sum::<usize>()
    };
    let process = processes(context)
        .find(|process| active(process) >= 2 && !settings::idle_ones_sleep(process))?;
    let groups = process.groups.iter();
    let threads: Vec<String> = groups
        .filter(|group| group.kind == GroupKind::Openmp && group.peak > 0)
        .map(|group| {
            let copies = if group.files.len() > 1 {
                format!(" from {}", group.files.join(" and "))
            } else {
                String::new()
            };
            format!("{} with {} threads{copies}", group.name, group.peak)
        })
        .collect();
    Some(Found {
        evidence: format!("{}: {}", name(process), threads.join(", ")),
        cost: context.waiting(),
        confidence: Confidence::Certain,
        remedies: vec![
            context.with_variables("OMP_WAIT_POLICY=passive KMP_BLOCKTIME=0 GOMP_SPINCOUNT=0"),
            context.run_with("--limit openmp=1"),
        ],
    })
}

pub(super) fn serial_openblas(context: &Context<'_>) -> Option<Found> {
    let (process, runtime, callers) = processes(context).find_map(|process| {
        let is_serial = |layer: &Option<String>| layer.as_deref() == Some("disabled");
        let mut runtimes = process.runtimes.iter();
        let serial = runtimes
            .find(|runtime| runtime.name == "libopenblas" && is_serial(&runtime.threading_layer))?;
        // Another one may be the one that is called.
        let others = process
            .groups
            .iter()
            .any(|group| group.name == "libopenblas" && group.peak > 0);
        // Threads of one group work on the same things; the first thread may have prepared them, and waits.
        let callers = process.groups.iter().map(|group| group.busy).max()?;
        (callers >= 2 && !others).then_some((process, serial, callers))
    })?;
    Some(Found {
        evidence: format!("{callers} threads of {} computed, and {} is built without threads", name(process), runtime.path),
        cost: "results may be wrong where two threads call it at once".to_owned(),
        confidence: Confidence::Likely,
        remedies: vec![
            "sudo apt install libopenblas0-pthread && sudo update-alternatives --config libopenblas.so.0-x86_64-linux-gnu".to_owned(),
            context.run_with("--limit blas=1"),
        ],
    })
}

pub(super) fn openblas_max_threads(context: &Context<'_>) -> Option<Found> {
    let (process, room, threads) = processes(context).find_map(|process| {
        let openblas = process
            .runtimes
            .iter()
            .find(|runtime| runtime.name == "libopenblas")?;
        let room = openblas.max_threads.unwrap_or(OPENBLAS_ROOM);
        let asked = settings::number(process, "OPENBLAS_NUM_THREADS").unwrap_or(0);
        let callers = process
            .groups
            .iter()
            .filter(|group| group.name != "libopenblas")
            .map(|group| group.busy);
        let most = asked.min(process.cpus).max(callers.max().unwrap_or(0));
        (most > room && room > 1).then_some((process, room, most))
    })?;
    Some(Found {
        evidence: format!(
            "{threads} threads of {} for an OpenBLAS with room for {room}",
            name(process)
        ),
        cost: "cores that cannot be used, or a crash".to_owned(),
        confidence: Confidence::Likely,
        remedies: vec![context.run_with("--jobs 1")],
    })
}

/// A job wants a core for nearly all of its life; who starts others and waits for them does not.
const A_CORE: f64 = 0.8;

/// CPU time of a process.
fn used(process: &ProcessSummary) -> f64 {
    process.groups.iter().map(|group| group.cpu_seconds).sum()
}

/// How many cores these groups of a process wanted on average, while it was there.
fn wanted(process: &ProcessSummary, groups: &[ProcessGroup]) -> f64 {
    let time = groups
        .iter()
        .map(|group| group.cpu_seconds + group.wait_seconds);
    time.sum::<f64>() / (process.ended - process.began).max(1e-9)
}

pub(super) fn jobs_exceed_cores(context: &Context<'_>) -> Option<Found> {
    let report = context.report;
    let cores = report.cores.count;
    let jobs = || report.processes.iter().filter(|process| process.is_busy);
    // One that starts the others has less to do than they have, though on a busy machine it waits long for it.
    let most = jobs().map(used).fold(0.0, f64::max);
    let jobs = jobs().filter(|job| wanted(job, &job.groups) >= A_CORE && used(job) >= most / 2.0);
    let own = most_at_once(jobs.map(|process| (process, 1)));
    if own > cores {
        return Some(Found {
            evidence: format!("{own} processes of the command computed at once on {cores} cores"),
            cost: context.waiting(),
            confidence: Confidence::Certain,
            remedies: vec![
                format!(
                    "eval \"$(threadctl env --jobs {cores})\"    # and start {cores} at a time"
                ),
                context.run_with(&format!("--jobs {own}")),
            ],
        });
    }
    let others = report.others_cpu_seconds? / report.wall_seconds.max(1e-9);
    let free = f64::from(report.cores.online) - others;
    let wants = report.runnable.mean;
    let is_squeezed =
        report.wall_seconds >= SHORT && report.wait.share >= 0.2 && wants <= f64::from(cores) + 0.5;
    (is_squeezed && free < wants * 0.8).then(|| Found {
        evidence: format!(
            "other processes used {others:.1} of the machine's {} cores meanwhile; this command wanted {wants:.1}",
            report.cores.online
        ),
        cost: context.waiting(),
        confidence: Confidence::Likely,
        remedies: vec![
            "top -o %CPU    # who it is".to_owned(),
            context.run_with("--jobs 2"),
        ],
    })
}

/// The most that processes had at once, each of which has so many all the time.
pub(super) fn most_at_once<'a>(processes: impl Iterator<Item = (&'a ProcessSummary, u32)>) -> u32 {
    let mut events: Vec<(f64, i64)> = processes
        .flat_map(|(process, count)| {
            let count = i64::from(count);
            [
                (process.began, count),
                (process.ended.max(process.began), -count),
            ]
        })
        .collect();
    // One that ends when another begins makes room for it.
    events.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
    let (mut now, mut most) = (0, 0);
    for (_, change) in events {
        now += change;
        most = most.max(now);
    }
    u32::try_from(most).unwrap_or(0)
}

pub(super) fn blas_at_one(context: &Context<'_>) -> Option<Found> {
    let report = context.report;
    let cores = report.cores.count;
    let wanted = report.runnable.mean;
    let others = report.others_cpu_seconds.unwrap_or(0.0) / report.wall_seconds.max(1e-9);
    // What other processes use is not idle.
    if cores < 2 || report.wall_seconds < SHORT || wanted + others > f64::from(cores) * IDLE {
        return None;
    }
    let mut busy_ones = report.processes.iter().filter(|process| process.is_busy);
    let (process, None) = (busy_ones.next()?, busy_ones.next()) else {
        return None;
    };
    let has_blas = process
        .runtimes
        .iter()
        .any(|runtime| runtime.kind == GroupKind::Blas);
    let alone = process.first_busy && process.groups.iter().all(|group| group.busy == 0);
    let ones = settings::ones(process);
    // It must have computed most of the time, rather than read files.
    (has_blas && alone && wanted > 0.5 && !ones.is_empty()).then(|| {
        let unset = ones
            .iter()
            .map(|variable| format!("-u {variable}"))
            .collect::<Vec<_>>()
            .join(" ");
        Found {
            evidence: format!(
                "{}=1 for {}, which has one busy thread and a BLAS",
                ones.join("=1, "),
                name(process)
            ),
            cost: format!(
                "{:.1} of {cores} cores were idle",
                (f64::from(cores) - report.cores_used - others).max(0.0)
            ),
            confidence: Confidence::Possible,
            remedies: vec![
                context.run_with(&format!("--limit blas={cores}")),
                context.with_variables(&format!("env {unset}")),
            ],
        }
    })
}
