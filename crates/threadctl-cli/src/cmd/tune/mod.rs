//! `threadctl tune`: from which size on a library's calls are worth sharing between cores here.
//!
//! Invariant: what is written was measured on a machine that was free for it, whole; else nothing is.

pub(crate) mod args;
mod calls;
mod file;
mod measure;
mod report;
mod search;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use threadctl::ConcurrentCallers;
use threadctl::dispatch::Blas;
use threadctl::dispatch::tuning::Family;

use crate::cmd::info::load;
use crate::{Verdict, out};
use measure::{Effort, Found};
use report::Document;

/// What is opened where no library is named.
const LIBRARIES: [&str; 2] = ["libblas.so.3", "libopenblas.so.0"];
/// How often the machine is watched before anything is measured.
const WATCHES: usize = 5;
/// How often a family is measured while others take the cores.
const ATTEMPTS: u32 = 3;

/// Measures, reports and writes.
pub(crate) fn run(args: &args::TuneArgs) -> Result<Verdict> {
    let path = file::path(args.output.as_deref())?;
    let blas = open(args.load.as_deref())?;
    let cores = threadctl::dispatch::width();
    let mut document = Document::new(&blas, cores, &path);
    let unsafe_callers = |blas: &Blas| {
        blas.runtime()
            .is_some_and(|own| own.concurrent_callers() == ConcurrentCallers::Unsafe)
    };
    if cores < 2 {
        let reason = "there is one core, and so nothing to share";
        return finish(args, document, Some(reason.to_owned()), Verdict::Good);
    }
    if unsafe_callers(&blas) {
        let reason = "this library bears one caller at a time, so its calls are never shared";
        return finish(args, document, Some(reason.to_owned()), Verdict::Good);
    }
    let text = file::prepare(&path, args.output.is_none())?;
    let effort = Effort {
        quick: args.quick,
        max_noise: f64::from(args.max_noise) / 100.0,
    };
    let mut noise = Noise::new(cores, effort.max_noise);
    for _ in 0..WATCHES {
        noise.watch();
    }
    let mut numbers = Vec::new();
    let bar = progress(Family::ALL.len())?;
    for family in Family::ALL {
        if noise.complaint().is_some() {
            break;
        }
        bar.set_message(family.name());
        let mut found = measure::family(&blas, family, effort)?;
        for _ in 1..ATTEMPTS {
            if noise.watch() <= effort.max_noise {
                break;
            }
            // Somebody came meanwhile.
            found = measure::family(&blas, family, effort)?;
        }
        noise.look(&found);
        numbers.push((family, found.least));
        document.add(found, blas.least().get(family));
        bar.inc(1);
    }
    bar.finish_and_clear();
    document.taken_by_others = Some(noise.taken());
    if let Some(complaint) = noise.complaint() {
        return finish(args, document, Some(complaint), Verdict::BadNews);
    }
    file::write(&path, &text, blas.name(), &numbers)?;
    document.written = true;
    finish(args, document, None, Verdict::Good)
}

fn finish(
    args: &args::TuneArgs,
    mut document: Document,
    reason: Option<String>,
    verdict: Verdict,
) -> Result<Verdict> {
    document.reason = reason;
    if args.json {
        out::json(&document)?;
    } else {
        out::text(&document.render())?;
    }
    Ok(verdict)
}

/// Opens the library that is asked for, or else the system's.
fn open(library: Option<&Path>) -> Result<Blas> {
    let path = match library {
        Some(path) => {
            load::open(path)?;
            path.to_owned()
        }
        None => LIBRARIES
            .map(PathBuf::from)
            .into_iter()
            .find(|path| load::open(path).is_ok())
            .ok_or_else(|| {
                let tried = LIBRARIES.join(" nor ");
                anyhow!("the loader finds neither {tried}; name a library with --load LIB")
            })?,
    };
    calls::open(&path)
}

/// To standard error, and nothing at all when that is not a terminal.
fn progress(steps: usize) -> Result<ProgressBar> {
    let bar = if std::io::stderr().is_terminal() {
        ProgressBar::new(steps as u64)
    } else {
        ProgressBar::hidden()
    };
    bar.set_style(ProgressStyle::with_template(
        "{msg:10} {wide_bar} {pos}/{len} families, {eta} left",
    )?);
    Ok(bar)
}

/// What keeps measurements from meaning anything.
struct Noise {
    cores: usize,
    most: f64,
    /// What others had of the cores, watch by watch.
    taken: Vec<f64>,
    sizes: usize,
    /// Of these, those whose times differed.
    unsettled: usize,
}

impl Noise {
    fn new(cores: usize, most: f64) -> Self {
        Noise {
            cores,
            most,
            taken: Vec::new(),
            sizes: 0,
            unsettled: 0,
        }
    }

    /// Watches the machine for a moment, and returns what others had.
    fn watch(&mut self) -> f64 {
        let taken = measure::taken_by_others(self.cores);
        self.taken.push(taken);
        taken
    }

    fn look(&mut self, found: &Found) {
        self.sizes += found.points.len();
        let differ = |point: &&measure::Point| point.spread > self.most;
        self.unsettled += found.points.iter().filter(differ).count();
    }

    /// The median of what others had.
    fn taken(&self) -> f64 {
        search::median_and_spread(&mut self.taken.clone()).0
    }

    /// Why nothing can be measured, if so.
    fn complaint(&self) -> Option<String> {
        let percent = |part: f64| (part * 1000.0).round() / 10.0;
        if self.taken() > self.most {
            return Some(format!(
                "the machine is too busy to measure: others take {} % of a core (at most {} %: --max-noise)",
                percent(self.taken()),
                percent(self.most)
            ));
        }
        // One in four may be bad luck; the rule asks for three sizes in a row.
        (self.unsettled * 4 > self.sizes).then(|| {
            format!(
                "the machine is too busy to measure: the times of {} of {} sizes differ by more than {} % \
                 (--max-noise)",
                self.unsettled,
                self.sizes,
                percent(self.most)
            )
        })
    }
}
