//! `threadctl share`: makes a budget of cores, runs a command in it, looks after it, and ends as the command did.
//!
//! Invariants: the budget is there before the command starts and is looked after until it has ended; its folder goes with it;
//! once the command was started its status is passed on, whatever becomes of the report.

pub(crate) mod args;

use std::fs;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde::Serialize;
use threadctl::budget::{Auth, Keeper, Seen};

use super::run::{allow_many_files, child::Child};
use crate::{Verdict, out};
use args::{ShareArgs, Style};

/// The name and the version of the document.
const SCHEMA: &str = "threadctl.share/1";

/// The first make that understands FIFOs; older ones end with an error when they are told of one.
const FIFOS_FROM: (u32, u32) = (4, 4);

/// What `--json` writes. A change that takes a field away or gives it another meaning needs a new number in [`SCHEMA`].
#[derive(Debug, Serialize)]
struct Document<'a> {
    schema: &'static str,
    /// The version of this program.
    threadctl: &'static str,
    command: &'a [String],
    /// The exit code that is passed on.
    status: u8,
    /// The cores of the budget.
    cores: u32,
    #[serde(flatten)]
    seen: Seen,
}

/// Runs the command.
pub(crate) fn run(args: &ShareArgs) -> Result<Verdict> {
    let (program, rest) = args.command.split_first().context("no command")?;
    let cores = args.cores.unwrap_or_else(|| threadctl::cores().count());
    let folder = tempfile::Builder::new()
        .prefix("threadctl-share-")
        .tempdir()
        .context("no folder for the budget can be made")?;
    let mut keeper = Keeper::new(folder.path(), cores)?;
    let mut command = Command::new(program);
    command.args(rest).envs(keeper.variables());
    // Cargo and its like ask this one first.
    command.env_remove("CARGO_MAKEFLAGS").env_remove("MFLAGS");
    // Both ends: open until the command has started, and in it.
    let _ends = match args.jobserver_style {
        Style::Fifo => None,
        Style::Auto if !make_is_old(Command::new("make")) => None,
        Style::Auto | Style::Pipe => Some(hand_down(&keeper, &mut command)?),
    };
    let child = Child::start(command)?;
    // A descriptor stays open for each process. The child has the limit that this process was given.
    allow_many_files();
    let end = child.wait(|| keeper.look())?;
    keeper.look();
    let seen = keeper.seen();
    drop(keeper);
    if let Some(target) = &args.report {
        let shown: Vec<String> = args
            .command
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        let document = Document {
            schema: SCHEMA,
            threadctl: env!("CARGO_PKG_VERSION"),
            command: &shown,
            status: end.code(),
            cores,
            seen,
        };
        if let Err(error) = deliver(args.json, target, &document) {
            out::complain(&format!("{error:#}"));
        }
    }
    Ok(Verdict::Status(end.code()))
}

/// Tells make of the FIFO by descriptors that the command inherits.
fn hand_down(keeper: &Keeper, command: &mut Command) -> Result<[fs::File; 2]> {
    let ends = [keeper.pipe()?, keeper.pipe()?];
    for end in &ends {
        // Nothing else is started meanwhile.
        rustix::io::fcntl_setfd(end, rustix::io::FdFlags::empty())
            .context("the budget cannot be handed down")?;
    }
    // Descriptors are not negative.
    let [read, write] = ends.each_ref().map(|end| end.as_raw_fd().unsigned_abs());
    command.env("MAKEFLAGS", keeper.makeflags(&Auth::Pipe { read, write }));
    Ok(ends)
}

/// Whether this make does not know FIFOs. One that is not there, or does not say, does.
fn make_is_old(mut make: Command) -> bool {
    // Not as part of another make.
    let make = make
        .arg("--version")
        .env_remove("MAKEFLAGS")
        .stdin(Stdio::null());
    let Ok(output) = make.output() else {
        return false;
    };
    version(&String::from_utf8_lossy(&output.stdout)).is_some_and(|version| version < FIFOS_FROM)
}

/// The version in the first line of `make --version`, if it is GNU make.
fn version(text: &str) -> Option<(u32, u32)> {
    let number = text.lines().next()?.strip_prefix("GNU Make ")?;
    let mut parts = number.trim().split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn deliver(json: bool, target: &Path, document: &Document<'_>) -> Result<()> {
    let mut text = if json {
        serde_json::to_string_pretty(document)?
    } else {
        words(document)
    };
    text.push('\n');
    if target == Path::new("-") {
        // Whoever read it may have gone; that is not the command's fault.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
        return Ok(());
    }
    fs::write(target, text)
        .with_context(|| format!("the report cannot be written to {}", target.display()))
}

fn words(document: &Document<'_>) -> String {
    let seen = &document.seen;
    format!(
        "threadctl: {} ended with status {}\n  {:<18} {} cores, {:.2} in use on average, {} at most, over {:.1} s\n  {:<18} {} \
         took part; {} died with tokens in hand, {} came back; {} times one that rested lent its core",
        out::shown(&document.command.join(" ")),
        document.status,
        "budget",
        document.cores,
        seen.mean_in_use,
        seen.peak_in_use,
        seen.seconds,
        "processes",
        seen.processes,
        seen.died_holding,
        seen.returned,
        seen.lent,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_are_told_apart_by_their_first_line() {
        for (text, known) in [
            ("GNU Make 4.3\nBuilt for x86_64", Some((4, 3))),
            ("GNU Make 4.4.1\n", Some((4, 4))),
            ("GNU Make 3.81\n", Some((3, 81))),
            ("bmake 20200710\n", None),
            ("", None),
        ] {
            assert_eq!(version(text), known, "{text:?}");
        }
    }

    #[test]
    fn a_make_that_is_not_there_is_not_old() {
        assert!(!make_is_old(Command::new("/nonexistent/make")));
    }
}
