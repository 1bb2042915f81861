//! `threadctl info`: which thread pools a process has, in this process (with `--load`) or in another (`--pid`).

pub(crate) mod args;
mod json;
mod load;
mod table;

use anyhow::Result;

use crate::{Verdict, out};

/// Collects and prints the report.
pub(crate) fn run(args: &args::InfoArgs) -> Result<Verdict> {
    for library in &args.load {
        load::open(library)?;
    }
    // Held until the end, so that the report is of libraries that are still there.
    let runtimes = threadctl::runtimes();
    let infos = runtimes.info();
    // After asking: MKL brings in more libraries when it is asked.
    let conflicts = runtimes.conflicts();
    if args.json {
        out::json(&json::Document::of_self(&infos, &conflicts))?;
    } else {
        out::text(&table::render(&infos, &conflicts))?;
    }
    Ok(Verdict::Good)
}
