//! `threadctl demo`: Gaussian-process model selection, run three ways, each in a child process of its own.
//!
//! `read` and `data` read and prepare, `gp` is the model on top of `blas`, `child` runs it one way, `parent` follows a child
//! and samples it (`measure`), `job` is what the two say to each other, `report` is what the user gets.

pub(crate) mod args;
mod blas;
pub(crate) mod child;
mod data;
mod gp;
mod job;
mod measure;
mod parent;
mod read;
mod report;
mod sharing;
#[cfg(test)]
#[path = "../../../../../tests/common/mod.rs"]
mod test_libraries;
mod variables;

use std::collections::BTreeSet;
use std::io::IsTerminal;

use anyhow::{Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};

use self::args::DemoArgs;
use self::gp::Hyper;
use self::job::{Job, Mode, Run};
use self::parent::Observed;
use self::report::{Chosen, Document, ModeReport, Spread};
use crate::{Verdict, out};

/// Scores of the same candidate in two runs agree when they differ by less than this, relative: far above what the
/// order of sums does, far below what wrong arithmetic does.
const AGREEMENT: f64 = 1e-6;

/// The run-queue wait, as a share of thread time, of one thread per core on a machine that nobody else uses is well
/// below this.
const QUIET: f64 = 0.1;

/// A run shorter than this says nothing about threads.
const LONG_ENOUGH: f64 = 0.2;

/// Nor does one with fewer samples of its runnable threads.
const ENOUGH_SAMPLES: usize = 20;

/// Runs the demo and prints its report.
pub(crate) fn run(args: &DemoArgs) -> Result<Verdict> {
    let cores = threadctl::cores().count() as usize;
    let workers = args.workers.map_or(cores, |workers| workers as usize);
    let rounds = args.rounds as usize;
    let table = match &args.data {
        Some(path) => read::read_csv(path)?,
        None => data::wine(),
    };
    let (problem, left_out) = table.prepare(args.rows.map(|rows| rows as usize))?;
    ensure_memory(problem.n, workers)?;
    let mut notes = Vec::new();
    if args.rows.is_none() && problem.n < table.rows.len() {
        notes.push(format!(
            "Used {} of {} rows; --rows N uses more.",
            problem.n,
            table.rows.len()
        ));
    }
    if !left_out.is_empty() {
        notes.push(format!(
            "Left out, because constant: {}.",
            left_out.join(", ")
        ));
    }
    let (rows, features) = (problem.n, problem.d);
    let candidates = gp::grid(args.candidates as usize);

    let mut job = Job {
        mode: Mode::Defaults,
        workers,
        cores,
        blas: args.blas.iter().map(Into::into).collect(),
        problem,
        candidates,
    };
    let observed = run_rounds(&mut job, rounds)?;
    let runs: Vec<(Mode, &Run)> = Mode::ALL
        .iter()
        .zip(&observed)
        .flat_map(|(&mode, observed)| observed.iter().map(move |observed| (mode, &observed.run)))
        .collect();
    notes.extend(
        runs.iter()
            .flat_map(|(_, run)| run.notes.clone())
            .collect::<BTreeSet<_>>(),
    );
    let blas = runs
        .first()
        .map(|(_, run)| run.blas.clone())
        .unwrap_or_default();

    let mut modes = Vec::new();
    for (&mode, observed) in Mode::ALL.iter().zip(&observed) {
        modes.push(mode_report(mode, observed, modes.first(), &job.candidates)?);
    }
    let failed = modes.first().map_or(0, |mode| mode.not_positive_definite);
    if failed > 0 {
        notes.push(format!(
            "{failed} of {} candidates had a matrix that is not positive definite.",
            args.candidates
        ));
    }
    // The waits of a run that is too short are no evidence of others either.
    notes.extend(too_short(&observed).or_else(|| busy_machine(&modes, workers, cores)));
    let complaint = complaint(&runs, job.candidates.len());
    let document = Document {
        schema: report::SCHEMA,
        threadctl: env!("CARGO_PKG_VERSION"),
        data: table.source,
        rows,
        features,
        candidates: job.candidates.len(),
        workers,
        cores,
        rounds,
        blas,
        modes,
        agree: complaint.is_none(),
        notes,
    };
    if args.json {
        out::json(&document)?;
    } else {
        out::text(&document.render())?;
    }
    Ok(match complaint {
        None => Verdict::Good,
        Some(complaint) => {
            out::complain(&complaint);
            Verdict::BadNews
        }
    })
}

/// Every way `rounds` times, in turn, so that what else the machine does falls on all alike; per way, its runs.
fn run_rounds(job: &mut Job, rounds: usize) -> Result<Vec<Vec<Observed>>> {
    let steps = (rounds * Mode::ALL.len() * job.candidates.len()) as u64;
    // To standard error, and nothing at all when that is not a terminal.
    let bar = if std::io::stderr().is_terminal() {
        ProgressBar::new(steps)
    } else {
        ProgressBar::hidden()
    };
    bar.set_style(ProgressStyle::with_template(
        "{msg:28} {wide_bar} {pos}/{len} candidates, {eta} left",
    )?);
    let mut observed: Vec<Vec<Observed>> = Mode::ALL.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        // Another way begins each round, so that none is always the one after a pause or after the slowest.
        for step in 0..Mode::ALL.len() {
            let index = (round + step) % Mode::ALL.len();
            job.mode = Mode::ALL[index];
            bar.set_message(format!("round {}: {}", round + 1, job.mode.label()));
            observed[index].push(parent::observe(job, || bar.inc(1))?);
        }
    }
    bar.finish_and_clear();
    Ok(observed)
}

fn mode_report(
    mode: Mode,
    observed: &[Observed],
    defaults: Option<&ModeReport>,
    candidates: &[Hyper],
) -> Result<ModeReport> {
    let spread = |value: &dyn Fn(&Run) -> Option<f64>| {
        observed
            .iter()
            .map(|observed| value(&observed.run))
            .collect::<Option<Vec<_>>>()
            .and_then(Spread::of)
    };
    let (Some(seconds), Some(cores_used), Some(first)) = (
        spread(&|run| Some(run.seconds)),
        spread(&|run| Some(run.cpu_seconds / run.seconds)),
        observed.first(),
    ) else {
        bail!("\"{}\" was not run", mode.label());
    };
    let scores = &first.run.scores;
    Ok(ModeReport {
        mode,
        ratio: seconds.median / defaults.map_or(seconds.median, |defaults| defaults.seconds.median),
        seconds,
        cores_used,
        peak_runnable_threads: observed
            .iter()
            .map(|observed| observed.peak.runnable)
            .max()
            .unwrap_or(0),
        run_queue_wait_share: spread(&|run| run.wait_share),
        chosen: gp::best(scores).and_then(|candidate| {
            Some(Chosen {
                candidate,
                hyper: *candidates.get(candidate)?,
                log_marginal_likelihood: (*scores.get(candidate)?)?,
            })
        }),
        not_positive_definite: scores.iter().filter(|score| score.is_none()).count(),
    })
}

/// A warning when a run was over before there was anything to measure: a thread's CPU time is counted when the clock of
/// the kernel ticks (4 ms or so), and the samples of runnable threads are as far apart.
fn too_short(observed: &[Vec<Observed>]) -> Option<String> {
    let (mode, shortest) = Mode::ALL
        .iter()
        .zip(observed)
        .flat_map(|(mode, observed)| observed.iter().map(move |observed| (mode, observed)))
        .filter(|(_, observed)| {
            observed.run.seconds < LONG_ENOUGH || observed.peak.samples < ENOUGH_SAMPLES
        })
        .min_by(|(_, a), (_, b)| a.run.seconds.total_cmp(&b.run.seconds))?;
    Some(format!(
        "Too short to measure: a run of \"{}\" took {:.3} s and gave {} samples, where {LONG_ENOUGH} s and \
         {ENOUGH_SAMPLES} are needed. Ratio, cores used, peak and queue wait are noise; use more --candidates or \
         --rows.",
        mode.label(),
        shortest.run.seconds,
        shortest.peak.samples
    ))
}

/// A warning when others used the machine. With BLAS at 1 and no more workers than cores nothing of ours competes, so
/// what its threads waited, they waited for somebody else.
fn busy_machine(modes: &[ModeReport], workers: usize, cores: usize) -> Option<String> {
    let alone = modes.iter().find(|mode| mode.mode == Mode::BlasAtOne)?;
    let share = alone.run_queue_wait_share.as_ref()?.median;
    (workers <= cores && share > QUIET).then(|| {
        format!(
            "Other processes used the machine: with BLAS at 1, threads waited {:.0} % of their time for a core. Read \
             the times with care.",
            100.0 * share
        )
    })
}

/// What is wrong with the answers, if anything: none at all, or not the same in all runs.
fn complaint(runs: &[(Mode, &Run)], candidates: usize) -> Option<String> {
    let ((first_mode, first), others) = runs.split_first()?;
    let Some(chosen) = gp::best(&first.scores) else {
        return Some(format!(
            "no candidate could be scored: all {candidates} matrices are not positive definite (duplicate rows or \
             values of very different size in the data?)"
        ));
    };
    for (mode, run) in others {
        if gp::best(&run.scores) != Some(chosen) {
            return Some(format!(
                "the runs do not choose the same hyper-parameters: candidate {chosen} in a run of \"{}\", {} in a \
                 run of \"{}\"; this BLAS library gives wrong results, or the best scores are closer than rounding",
                first_mode.label(),
                gp::best(&run.scores)
                    .map_or_else(|| "none".to_owned(), |candidate| candidate.to_string()),
                mode.label()
            ));
        }
        let differing = first
            .scores
            .iter()
            .zip(&run.scores)
            .position(|pair| match pair {
                (Some(a), Some(b)) => (a - b).abs() > AGREEMENT * (1.0 + a.abs()),
                (a, b) => a.is_some() != b.is_some(),
            });
        if let Some(candidate) = differing {
            return Some(format!(
                "the runs choose the same hyper-parameters, but candidate {candidate} scores {} in a run of \"{}\" \
                 and {} in a run of \"{}\"; this BLAS library gives wrong results to concurrent callers",
                show_score(first.scores[candidate]),
                first_mode.label(),
                show_score(run.scores[candidate]),
                mode.label()
            ));
        }
    }
    None
}

fn show_score(score: Option<f64>) -> String {
    score.map_or_else(
        || "nothing (not positive definite)".to_owned(),
        |score| score.to_string(),
    )
}

/// Refuses early what would make the machine swap or the kernel kill: a worker holds a matrix, and another when it
/// starts a candidate while it waits inside one.
fn ensure_memory(n: usize, workers: usize) -> Result<()> {
    let needed = n
        .saturating_mul(n)
        .saturating_mul(size_of::<f64>())
        .saturating_mul(workers)
        .saturating_mul(2);
    let available = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("MemAvailable:"))?;
            line.trim().strip_suffix(" kB")?.parse::<usize>().ok()
        });
    // Without the figure there is nothing to compare with.
    let Some(available) = available.map(|kib| kib.saturating_mul(1024)) else {
        return Ok(());
    };
    ensure!(
        needed <= available,
        "{n} rows with {workers} workers need about {} MiB of memory, {} MiB are available; use fewer (--rows N, \
         --workers N)",
        needed >> 20,
        available >> 20
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::measure::Peak;
    use super::*;

    fn run(scores: &[Option<f64>], wait_share: f64) -> Run {
        Run {
            seconds: 2.0,
            cpu_seconds: 3.0,
            wait_share: Some(wait_share),
            scores: scores.to_vec(),
            blas: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn complaint_about(first: &[Option<f64>], second: &[Option<f64>]) -> Option<String> {
        complaint(
            &[
                (Mode::Defaults, &run(first, 0.0)),
                (Mode::Threadctl, &run(second, 0.0)),
            ],
            first.len(),
        )
    }

    #[test]
    fn runs_that_differ_by_rounding_agree() {
        assert_eq!(
            complaint_about(
                &[Some(-9.0), Some(-5.0), None],
                &[Some(-9.0), Some(-5.0 - 1e-9), None]
            ),
            None
        );
    }

    #[test]
    fn runs_that_choose_or_score_differently_are_complained_of() {
        let chosen = complaint_about(&[Some(-9.0), Some(-5.0)], &[Some(-4.0), Some(-5.0)]).unwrap();
        assert!(
            chosen.contains("candidate 1 in a run of \"defaults\", 0 in a run of \"threadctl\""),
            "{chosen}"
        );
        let scored = complaint_about(&[Some(-9.0), Some(-5.0)], &[Some(-9.5), Some(-5.0)]).unwrap();
        assert!(scored.contains("candidate 0 scores -9 in"), "{scored}");
        let failed = complaint_about(&[Some(-9.0), Some(-5.0)], &[None, Some(-5.0)]).unwrap();
        assert!(
            failed.contains("nothing (not positive definite) in a run of \"threadctl\""),
            "{failed}"
        );
    }

    #[test]
    fn when_no_candidate_can_be_scored_that_is_the_complaint() {
        let none = complaint_about(&[None, None], &[None, None]).unwrap();
        assert!(
            none.starts_with("no candidate could be scored: all 2 matrices"),
            "{none}"
        );
    }

    #[test]
    fn a_run_with_too_little_time_or_too_few_samples_is_called_too_short() {
        let note = |seconds, samples| {
            let mut run = run(&[None], 0.0);
            run.seconds = seconds;
            let peak = Peak {
                runnable: 2,
                samples,
            };
            too_short(&[vec![Observed { run, peak }]])
        };
        assert_eq!(note(0.2, 20), None);
        let time = note(0.1, 20).unwrap();
        assert!(
            time.contains("\"defaults\" took 0.100 s and gave 20 samples"),
            "{time}"
        );
        assert!(note(0.3, 5).unwrap().contains("gave 5 samples"));
    }

    #[test]
    fn a_busy_machine_is_told_by_the_run_that_nothing_of_ours_disturbs() {
        let note = |wait, workers| {
            let observed = [Observed {
                run: run(&[None], wait),
                peak: Peak::default(),
            }];
            let modes = [mode_report(Mode::BlasAtOne, &observed, None, &gp::grid(1)).unwrap()];
            busy_machine(&modes, workers, 2)
        };
        assert!(note(0.4, 2).unwrap().contains("waited 40 % of their time"));
        assert_eq!(note(0.01, 2), None);
        assert_eq!(
            note(0.4, 3),
            None,
            "more workers than cores wait for each other"
        );
    }

    #[test]
    fn a_problem_larger_than_memory_is_refused() {
        let refused = ensure_memory(1_000_000_000, 2).unwrap_err().to_string();
        assert!(refused.contains("--rows"), "{refused}");
        assert!(ensure_memory(10, 1).is_ok());
    }
}
