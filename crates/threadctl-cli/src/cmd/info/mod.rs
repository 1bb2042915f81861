//! `threadctl info`: which thread pools a process has, in this process (with `--load`) or in another (`--pid`).

pub(crate) mod args;
mod json;
pub(crate) mod load;
mod table;

use std::path::PathBuf;

use anyhow::Result;

use crate::{Verdict, out};

/// Collects and prints the report.
pub(crate) fn run(args: &args::InfoArgs) -> Result<Verdict> {
    match args.pid {
        Some(pid) => report_on_other(pid, args.json),
        None => report_on_self(&args.load, args.json),
    }?;
    Ok(Verdict::Good)
}

fn report_on_other(pid: u32, as_json: bool) -> Result<()> {
    let report = threadctl::diagnose::inspect(pid)?;
    if as_json {
        out::json(&json::Document::of_other(&report))
    } else {
        out::text(&table::of_other(&report))
    }
}

fn report_on_self(load: &[PathBuf], as_json: bool) -> Result<()> {
    for library in load {
        load::open(library)?;
    }
    // Held until the end, so that the report is of libraries that are still there.
    let runtimes = threadctl::runtimes();
    let infos = runtimes.info();
    // After asking: MKL brings in more libraries when it is asked.
    let conflicts = runtimes.conflicts();
    if as_json {
        out::json(&json::Document::of_self(&infos, &conflicts))
    } else {
        out::text(&table::of_self(&infos, &conflicts))
    }
}
