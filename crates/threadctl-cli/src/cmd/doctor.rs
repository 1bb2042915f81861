//! `threadctl doctor`: the machine and the environment before any run.

use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use threadctl::diagnose::{Check, doctor};

use crate::{Verdict, out};

/// The name and the version of the document: docs/schema/threadctl.doctor.1.json.
const SCHEMA: &str = "threadctl.doctor/1";

const EXAMPLES: &str = "\
Examples:
  threadctl doctor           what would make numerical programs slow here
  threadctl doctor --json    the same as a versioned document

Before each line: ok, !! where something is not as it should be, -- where reports will lack a figure. Exit codes: 0 nothing has !!,
1 something has, 2 wrong usage or a system error.";

/// Check the cores, the BLAS and OpenMP libraries that a program would get, the settings, and the kernel.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DoctorArgs {
    /// Write one versioned JSON document (threadctl.doctor/1).
    #[arg(long)]
    pub(crate) json: bool,
}

/// The document.
#[derive(Debug, Serialize)]
struct Document<'a> {
    schema: &'static str,
    /// The version of this program.
    threadctl: &'static str,
    checks: &'a [Check],
}

/// Looks, and prints what was found.
pub(crate) fn run(args: &DoctorArgs) -> Result<Verdict> {
    let checks = doctor();
    if args.json {
        out::json(&Document {
            schema: SCHEMA,
            threadctl: env!("CARGO_PKG_VERSION"),
            checks: &checks,
        })?;
    } else {
        out::text(&out::coloured(&std::io::stdout(), &table(&checks)))?;
    }
    Ok(if checks.iter().all(|check| check.good) {
        Verdict::Good
    } else {
        Verdict::BadNews
    })
}

fn table(checks: &[Check]) -> String {
    let mut text = String::new();
    let mut section = "";
    for check in checks {
        if check.section != section {
            section = check.section;
            let _ = writeln!(text, "{section}");
        }
        let (style, mark) = match (check.good, &check.remedy) {
            (true, None) => (out::GOOD, "ok"),
            (true, Some(_)) => (out::GOOD, "--"),
            (false, _) => (out::BAD, "!!"),
        };
        let line = format!("{}: {}", check.subject, check.found);
        let line = out::wrapped(&out::shown(&line), 6);
        let _ = writeln!(text, "  {style}{mark}{style:#}  {line}");
        if let Some(remedy) = &check.remedy {
            let (style, remedy) = (out::TYPE, out::shown(remedy));
            let _ = writeln!(text, "      try: {style}{remedy}{style:#}");
        }
    }
    text
}
