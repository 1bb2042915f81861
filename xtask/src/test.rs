//! `cargo xtask test` and `check`: the steps that a change must pass, as a table, run in order until one fails.
//!
//! Invariants: the last line on stdout holds the totals of all runners; a step that fails without naming a failed test
//! (it did not compile, a test program was killed) counts as one failure, so the line never looks like success then;
//! a runner whose totals cannot be read, and a run of no tests at all, fail.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::FAILED;
use crate::project::{Project, shown};
use crate::setup::table::Purpose;
use crate::setup::{self, MANIFEST_VARIABLE, Manifest};
use crate::summary::{Runner, Totals};

/// How many of the steps run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Those that look at the sources only.
    Static,
    Everything,
}

/// When a step has its place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    /// cargo-nextest is installed.
    Nextest,
    /// It is not.
    NoNextest,
}

/// One row: how cargo is called, and what its output means.
struct Step {
    name: &'static str,
    when: When,
    args: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
    /// Below the target folder; builds with other compiler flags would otherwise throw each other's results away.
    target: &'static str,
    /// The component of the toolchain that the step needs.
    component: Option<&'static str>,
    /// Who reports totals. `None` for steps that run no tests.
    runner: Option<Runner>,
}

const STEP: Step = Step {
    name: "",
    when: When::Always,
    args: &[],
    env: &[],
    target: "",
    component: None,
    runner: None,
};

const STEPS: &[Step] = &[
    Step {
        name: "format",
        args: &["fmt", "--all", "--check"],
        component: Some("rustfmt"),
        ..STEP
    },
    Step {
        name: "clippy",
        args: &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--",
            "-D",
            "warnings",
        ],
        component: Some("clippy"),
        ..STEP
    },
    // Two steps, since the command and the library have one name and would be written to one place at once. The
    // library comes last, so that its pages are the ones that stay.
    Step {
        name: "rustdoc of the command",
        args: &[
            "doc",
            "--package",
            "threadctl-cli",
            "--all-features",
            "--no-deps",
        ],
        env: &[("RUSTDOCFLAGS", "-D warnings")],
        ..STEP
    },
    Step {
        name: "rustdoc",
        args: &[
            "doc",
            "--workspace",
            "--exclude",
            "threadctl-cli",
            "--all-features",
            "--no-deps",
        ],
        env: &[("RUSTDOCFLAGS", "-D warnings")],
        ..STEP
    },
    Step {
        name: "tests",
        when: When::Nextest,
        args: &[
            "nextest",
            "run",
            "--workspace",
            "--all-features",
            "--no-fail-fast",
        ],
        runner: Some(Runner::Nextest),
        ..STEP
    },
    Step {
        name: "tests",
        when: When::NoNextest,
        args: &[
            "test",
            "--workspace",
            "--all-features",
            "--no-fail-fast",
            "--lib",
            "--bins",
            "--tests",
            "--examples",
        ],
        runner: Some(Runner::Libtest),
        ..STEP
    },
    Step {
        name: "doctests",
        args: &[
            "test",
            "--doc",
            "--workspace",
            "--all-features",
            "--no-fail-fast",
        ],
        runner: Some(Runner::Libtest),
        ..STEP
    },
    Step {
        name: "loom models",
        args: &[
            "test",
            "--release",
            "--package",
            "threadctl",
            "--test",
            "loom_budget",
            "--test",
            "loom_ledger",
            "--test",
            "loom_share",
        ],
        env: &[("RUSTFLAGS", "--cfg loom")],
        target: "loom",
        runner: Some(Runner::Libtest),
        ..STEP
    },
];

/// Runs the steps.
pub fn run(project: &Project, extent: Extent) -> Result<ExitCode> {
    let steps = STEPS
        .iter()
        .filter(|step| extent == Extent::Everything || step.runner.is_none());
    let manifest = match extent {
        Extent::Everything => Some(setup::ensure(project, Purpose::Test)?),
        Extent::Static => None,
    };
    let nextest = answers(project, &["nextest", "--version"]);
    let applies = |step: &&Step| match step.when {
        When::Always => true,
        When::Nextest => nextest,
        When::NoNextest => !nextest,
    };

    let started = Instant::now();
    let mut totals = Totals::default();
    let mut failed = None;
    for step in steps.filter(applies) {
        let (outcome, counted) = carry_out(project, step, manifest.as_ref())?;
        totals += counted;
        if let Err(reason) = outcome {
            failed = Some(format!("the step `{}` failed: {reason}", step.name));
            break;
        }
    }
    if failed.is_none() && extent == Extent::Everything && totals.passed == 0 {
        failed = Some("not one test ran".to_owned());
    }
    if failed.is_some() && totals.failed == 0 {
        totals.failed = 1;
    }
    match &failed {
        Some(reason) => eprintln!("xtask: {reason}"),
        None => eprintln!(
            "xtask: all steps passed in {:.0} s",
            started.elapsed().as_secs_f64()
        ),
    }
    if extent == Extent::Everything {
        println!("{totals}");
    }
    Ok(if failed.is_some() {
        ExitCode::from(FAILED)
    } else {
        ExitCode::SUCCESS
    })
}

/// Runs one step. The first part of the answer is why it failed, if it did.
fn carry_out(
    project: &Project,
    step: &Step,
    manifest: Option<&Manifest>,
) -> Result<(Result<(), String>, Totals)> {
    if let Some(component) = step.component
        && !answers(project, &[step.args[0], "--version"])
    {
        let reason =
            format!("the toolchain has no {component}; type: rustup component add {component}");
        return Ok((Err(reason), Totals::default()));
    }
    let mut command = project.cargo();
    command
        .args(step.args)
        .envs(step.env.iter().copied())
        .stdin(Stdio::null());
    if !step.target.is_empty() {
        command.env("CARGO_TARGET_DIR", project.target.join(step.target));
    }
    // As cargo would write it, without our own additions to the environment.
    let typed = shown(
        Command::new("cargo")
            .args(step.args)
            .envs(step.env.iter().copied()),
    );
    if let (Some(manifest), Some(_)) = (manifest, step.runner) {
        command.env(MANIFEST_VARIABLE, manifest.file());
        command.env("LD_LIBRARY_PATH", library_path(manifest)?);
    }
    eprintln!("xtask: {}: {typed}", step.name);
    let started = Instant::now();
    let (status, output) = run_and_listen(&mut command)?;
    let verdict = if status.success() { "ok" } else { "FAILED" };
    eprintln!(
        "xtask: {}: {verdict} after {:.1} s",
        step.name,
        started.elapsed().as_secs_f64()
    );

    let Some(runner) = step.runner else {
        return Ok((
            if status.success() {
                Ok(())
            } else {
                Err(format!("`{typed}` ended with {status}"))
            },
            Totals::default(),
        ));
    };
    let totals = runner.totals(&output);
    let outcome = match totals {
        None => Err(format!(
            "`{typed}` ended with {status} and reported no totals"
        )),
        Some(totals) if !status.success() => Err(format!("`{typed}`: {totals}")),
        Some(totals) if totals.failed > 0 => Err(format!(
            "`{typed}` ended with success, but reported: {totals}"
        )),
        Some(_) => Ok(()),
    };
    Ok((outcome, totals.unwrap_or_default()))
}

/// What the loader searches: MKL opens its TBB layer by a plain name, and that layer needs libtbb by a plain name.
fn library_path(manifest: &Manifest) -> Result<std::ffi::OsString> {
    let mkl = manifest
        .libraries
        .get("mkl-libs")
        .context("the manifest does not name mkl-libs")?;
    let old = std::env::var_os("LD_LIBRARY_PATH").filter(|old| !old.is_empty());
    let old: Vec<PathBuf> = old.iter().flat_map(std::env::split_paths).collect();
    std::env::join_paths(std::iter::once(mkl.path.clone()).chain(old))
        .context("joining LD_LIBRARY_PATH")
}

/// Whether cargo has this subcommand.
fn answers(project: &Project, args: &[&str]) -> bool {
    project
        .cargo()
        .args(args)
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Runs a command whose output appears as it comes and is also returned. Lines of stdout and stderr keep their order
/// within each, not between the two.
fn run_and_listen(command: &mut Command) -> Result<(ExitStatus, String)> {
    let what = shown(command);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting `{what}`"))?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        bail!("`{what}` was started without pipes");
    };
    let (sender, lines) = mpsc::channel();
    let text = std::thread::scope(|scope| {
        let other = sender.clone();
        scope.spawn(move || forward(stdout, std::io::stdout(), &sender));
        scope.spawn(move || forward(stderr, std::io::stderr(), &other));
        lines.iter().collect::<String>()
    });
    let status = child
        .wait()
        .with_context(|| format!("waiting for `{what}`"))?;
    Ok((status, text))
}

fn forward(from: impl Read, mut to: impl Write, copy: &mpsc::Sender<String>) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    // A pipe that breaks ends the reading like its end does: the status says what became of the command. A reader of
    // ours that went away must not stop the tests, and neither must one that hears the copies.
    while from
        .read_until(b'\n', &mut line)
        .is_ok_and(|count| count > 0)
    {
        to.write_all(&line).ok();
        copy.send(String::from_utf8_lossy(&line).into_owned()).ok();
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test ends there
    use super::*;

    #[test]
    fn what_a_command_says_on_both_pipes_is_heard() {
        let (status, text) =
            run_and_listen(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]))
                .unwrap();
        assert_eq!(status.code(), Some(3));
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["err", "out"]);
    }

    #[test]
    fn whatever_is_installed_exactly_one_step_runs_the_tests() {
        for absent in [When::Nextest, When::NoNextest] {
            assert_eq!(
                STEPS
                    .iter()
                    .filter(|step| step.name == "tests" && step.when != absent)
                    .count(),
                1
            );
        }
    }
}
