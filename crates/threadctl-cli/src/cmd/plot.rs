//! `threadctl plot`: the picture of a report that was kept.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use crate::Verdict;
use crate::plot::{Picture, Target};

const EXAMPLES: &str = "\
Examples:
  threadctl run --json --report run.json -- ./job && threadctl plot run.json -o run.html
  threadctl watch --pid 1234 --once --json > now.json; threadctl plot now.json -o now.svg

Exit codes: 0 drawn, 2 the report cannot be read, or the picture not written.";

/// Draw the picture of a report (threadctl.run/1 or threadctl.watch/1) as SVG, PNG or one HTML page.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PlotArgs {
    /// The report: what --json wrote.
    #[arg(value_name = "REPORT.json")]
    pub(crate) report: PathBuf,

    /// Where the picture goes; its ending, .svg, .png or .html, decides what it is.
    #[arg(long, short, value_name = "FILE.svg|png|html")]
    pub(crate) output: Target,
}

/// Draws it.
pub(crate) fn run(args: &PlotArgs) -> Result<Verdict> {
    let name = args.report.display();
    let text = std::fs::read(&args.report).with_context(|| format!("{name} cannot be read"))?;
    let document =
        serde_json::from_slice(&text).with_context(|| format!("{name} is no JSON document"))?;
    let picture = Picture::of(document).with_context(|| format!("no picture of {name}"))?;
    args.output.draw(&picture)?;
    Ok(Verdict::Good)
}
