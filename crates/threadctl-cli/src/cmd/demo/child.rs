//! One run of the demo in one mode: what the hidden child does. It reads a [`Job`], opens BLAS, scores every
//! candidate in a rayon loop, measures that loop only, and writes [`Event`]s.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;
use rustix::time::{ClockId, clock_gettime};
use threadctl::ConcurrentCallers;
use threadctl::diagnose::QueueTimes;

use super::blas::Blas;
use super::gp::{self, Buffers, Calls};
use super::job::{Event, Job, Library, Mode, Run};
use super::sharing::{AsTheyAre, Shared};
use crate::Verdict;

/// The hidden subcommand that the parent starts.
pub(crate) const SUBCOMMAND: &str = "demo-child";

/// From the start of a library's threads to the measured part.
const SETTLING: Duration = Duration::from_millis(300);

/// Runs the child. A failure of the run is an event, since only the parent speaks to the user.
pub(crate) fn run() -> Result<Verdict> {
    ensure!(
        !io::stdin().is_terminal(),
        "{SUBCOMMAND} is started by `threadctl demo`, not by hand"
    );
    let job: Job = serde_json::from_reader(io::stdin().lock()).context("cannot read the job")?;
    let event = match work(&job) {
        Ok(run) => Event::Finished(Box::new(run)),
        Err(error) => Event::Failed(format!("{error:#}")),
    };
    send(&event)?;
    Ok(Verdict::Good)
}

fn send(event: &Event) -> Result<()> {
    let mut line = serde_json::to_string(event)?;
    line.push('\n');
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(line.as_bytes())
        .and_then(|()| stdout.flush())
        .context("the demo has gone")
}

fn work(job: &Job) -> Result<Run> {
    let files: Vec<PathBuf> = job.blas.iter().map(PathBuf::from).collect();
    let blas = Blas::open(&files)?;
    // The first call makes MKL load its layers and OpenMP builds start their team: start-up, not measured.
    blas.gram(1, 1, &[1.0], &mut [0.0])?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(job.workers)
        .build()
        .with_context(|| format!("cannot start {} workers", job.workers))?;
    match job.mode {
        Mode::Defaults | Mode::BlasAtOne => measured(job, &blas, &pool, &AsTheyAre),
        Mode::Threadctl => {
            let shared = Shared::new(job.workers, job.cores, job.candidates.len())?;
            let shortfalls = shared.shortfalls()?;
            let mut run = measured(job, &blas, &pool, &shared)?;
            run.notes.extend(shortfalls);
            Ok(run)
        }
    }
}

fn measured(job: &Job, blas: &Blas, pool: &rayon::ThreadPool, calls: &impl Calls) -> Result<Run> {
    let buffers = Buffers::default();
    // Threads that a library has just made spin before they sleep (measured: OpenBLAS's 0.1 s; Intel's OpenMP says
    // 0.2 s). That is start-up; it would be counted against short runs.
    std::thread::sleep(SETTLING);
    send(&Event::Started)?;
    let queue_before = QueueTimes::now();
    let cpu_before = cpu_seconds();
    let start = Instant::now();

    let scores = pool.install(|| {
        job.candidates
            .par_iter()
            .with_max_len(1)
            .map(|&hyper| {
                let score = gp::score(blas, calls, &buffers, &job.problem, hyper)?;
                calls.candidate_done()?;
                send(&Event::Scored)?;
                Ok(score)
            })
            .collect::<Result<Vec<_>>>()
    })?;

    let seconds = start.elapsed().as_secs_f64();
    let cpu_seconds = cpu_seconds() - cpu_before;
    // Before the pool is dropped: the times of ended threads cannot be read.
    let waited = QueueTimes::now().since(&queue_before);
    send(&Event::Measured)?;
    let (libraries, mut notes) = describe();
    let wait_share = waited.and_then(|waited| waited.share_of(cpu_seconds));
    if waited.is_some() && wait_share.is_none() {
        notes.push(format!(
            "Queue wait of \"{}\" not known: threads that ended meanwhile did more than a tenth of the work, and what \
             they waited cannot be read any more.",
            job.mode.label()
        ));
    }
    Ok(Run {
        seconds,
        cpu_seconds,
        wait_share,
        scores,
        blas: libraries,
        notes,
    })
}

/// The BLAS libraries of this process, and what is wrong with them. Asked after the run, because asking tries out
/// their setters, and a run at the defaults should find them untouched.
fn describe() -> (Vec<Library>, Vec<String>) {
    let (mut libraries, mut notes) = (Vec::new(), Vec::new());
    for info in threadctl::runtimes()
        .select(|runtime| runtime.user_api() == "blas")
        .info()
    {
        let library = Library {
            internal_api: info.internal_api,
            version: info.version,
            threading_layer: info.threading_layer,
            filepath: info.filepath.to_string_lossy().into_owned(),
        };
        if info.concurrent_callers == ConcurrentCallers::Unsafe {
            notes.push(format!(
                "{} gives wrong results to concurrent callers; this loop is not for it.",
                library.describe()
            ));
        }
        libraries.push(library);
    }
    (libraries, notes)
}

/// CPU time of this process, ended threads included.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}
