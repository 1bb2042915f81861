//! The parent's side of one run: starts the child, hands over the job, follows its events, samples its threads.
//!
//! Invariant: whatever way a run ends, its child is no longer running afterwards, and how it ended is not lost.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

use super::child::SUBCOMMAND;
use super::job::{Event, Job, Mode, Run};
use super::measure::{Peak, Sampler};
use super::variables::VARIABLES;

/// One run, as seen from inside and outside.
#[derive(Debug)]
pub(crate) struct Observed {
    /// What the child measured.
    pub(crate) run: Run,
    /// The threads seen runnable during the measured part.
    pub(crate) peak: Peak,
}

/// Runs `job` in a child; `scored` is called after each candidate.
///
/// # Errors
/// When the child cannot be started, reports a failure, or ends without a result.
pub(crate) fn observe(job: &Job, scored: impl Fn()) -> Result<Observed> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = child_command(&program, job.mode);
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

/// The child's command: whatever the user's environment says of threads, it decides no run.
fn child_command(program: &Path, mode: Mode) -> Command {
    let mut command = Command::new(program);
    command
        .arg(SUBCOMMAND)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    for variable in VARIABLES {
        match (mode, variable.at_one) {
            (Mode::BlasAtOne, Some(value)) => command.env(variable.name, value),
            _ => command.env_remove(variable.name),
        };
    }
    command
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
    let mut peak = Peak::default();
    for line in BufReader::new(stdout).lines() {
        let line = line.context("cannot read from the child")?;
        match serde_json::from_str(&line).with_context(|| format!("the child wrote {line:?}"))? {
            Event::Started => sampler = Some(Sampler::start(child.id())?),
            Event::Scored => scored(),
            Event::Measured => peak = sampler.take().map(Sampler::stop).unwrap_or_default(),
            Event::Finished(run) => {
                return Ok(Some(Observed { run: *run, peak }));
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ffi::OsStr;

    use super::*;

    fn changes(mode: Mode) -> BTreeMap<String, Option<String>> {
        let text = |text: &OsStr| text.to_string_lossy().into_owned();
        child_command(Path::new("threadctl"), mode)
            .get_envs()
            .map(|(name, value)| (text(name), value.map(text)))
            .collect()
    }

    #[test]
    fn no_variable_of_the_user_decides_a_run_at_the_defaults_or_under_threadctl() {
        for mode in [Mode::Defaults, Mode::Threadctl] {
            let changes = changes(mode);
            assert_eq!(changes.len(), VARIABLES.len());
            for (name, value) in changes {
                assert_eq!(value, None, "{name}");
            }
        }
    }

    #[test]
    fn blas_at_one_sets_the_variables_of_every_library_and_removes_what_overrides_them() {
        let changes = changes(Mode::BlasAtOne);
        for name in [
            "OPENBLAS_NUM_THREADS",
            "MKL_NUM_THREADS",
            "BLIS_NUM_THREADS",
            "OMP_NUM_THREADS",
        ] {
            assert_eq!(changes[name].as_deref(), Some("1"), "{name}");
        }
        for name in [
            "MKL_DOMAIN_NUM_THREADS",
            "MKL_DYNAMIC",
            "BLIS_JC_NT",
            "OMP_THREAD_LIMIT",
        ] {
            assert_eq!(changes[name], None, "{name}");
        }
    }
}
