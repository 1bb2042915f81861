//! The parent's side of one run: starts the child, hands over the job, follows its events, samples its threads.
//!
//! Invariant: whatever way a run ends, its child is no longer running afterwards, and how it ended is not lost.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

use super::child::SUBCOMMAND;
use super::job::{Event, Job, Mode, Run};
use super::measure::Sampler;

/// The variables by which people set the threads of BLAS libraries. They are taken away from every child, so that
/// "defaults" means the library's, and set to 1 for [`Mode::BlasAtOne`].
const THREAD_VARIABLES: &[&str] = &[
    "OPENBLAS_NUM_THREADS",
    "OPENBLAS_DEFAULT_NUM_THREADS",
    "GOTO_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "OMP_NUM_THREADS",
];

/// These would override the above; they are taken away only.
const FINER_VARIABLES: &[&str] = &[
    "MKL_DOMAIN_NUM_THREADS",
    "BLIS_JC_NT",
    "BLIS_PC_NT",
    "BLIS_IC_NT",
    "BLIS_JR_NT",
    "BLIS_IR_NT",
];

/// One run, as seen from inside and outside.
#[derive(Debug)]
pub(crate) struct Observed {
    /// What the child measured.
    pub(crate) run: Run,
    /// The most threads seen runnable in one sample of the measured part.
    pub(crate) peak_runnable: usize,
}

/// Runs `job` in a child; `scored` is called after each candidate.
///
/// # Errors
/// When the child cannot be started, reports a failure, or ends without a result.
pub(crate) fn observe(job: &Job, scored: impl Fn()) -> Result<Observed> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new(program);
    command
        .arg(SUBCOMMAND)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    for variable in THREAD_VARIABLES.iter().chain(FINER_VARIABLES) {
        command.env_remove(variable);
    }
    if job.mode == Mode::BlasAtOne {
        command.envs(THREAD_VARIABLES.iter().map(|variable| (variable, "1")));
    }
    let mut child = Reaped(command.spawn().context("cannot start a child process")?);
    let followed = follow(&mut child.0, job, scored);
    match followed {
        Ok(Some(observed)) => Ok(observed),
        // How it ended explains more than the pipe that broke on our side.
        Ok(None) | Err(_) => {
            let status = child.end();
            followed?;
            let status = status.map_or_else(
                || "in an unknown way".to_owned(),
                |status| format!("with {status}"),
            );
            bail!(
                "the run \"{}\" ended {status} before it had a result",
                job.mode.label()
            )
        }
    }
}

/// `None` when the child's output ended without a result.
fn follow(child: &mut Child, job: &Job, scored: impl Fn()) -> Result<Option<Observed>> {
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        bail!("the child has no pipes");
    };
    let job_text = serde_json::to_vec(job)?;
    // A child that died early is reported by its status below, not by this pipe.
    let _ = stdin.write_all(&job_text);
    drop(stdin);

    let mut sampler = None;
    let mut peak_runnable = 0;
    for line in BufReader::new(stdout).lines() {
        let line = line.context("cannot read from the child")?;
        match serde_json::from_str(&line).with_context(|| format!("the child wrote {line:?}"))? {
            Event::Started => sampler = Some(Sampler::start(child.id())?),
            Event::Scored => scored(),
            Event::Measured => peak_runnable = sampler.take().map_or(0, Sampler::stop),
            Event::Finished(run) => {
                return Ok(Some(Observed {
                    run: *run,
                    peak_runnable,
                }));
            }
            Event::Failed(reason) => bail!(reason),
        }
    }
    Ok(None)
}

/// A child that is killed and waited for at the latest when this is dropped.
struct Reaped(Child);

impl Reaped {
    /// Waits for a child whose output has ended.
    fn end(&mut self) -> Option<ExitStatus> {
        self.0.wait().ok()
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        // Both fail when the child was already waited for, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
