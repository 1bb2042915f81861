//! What the demo reports: the JSON document (its types are the contract, versioned) and the table made from it.

use std::fmt::Write as _;
use std::io::IsTerminal;

use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use super::gp::Hyper;
use super::job::{Library, Mode};

/// The name and the version of the document.
pub(crate) const SCHEMA: &str = "threadctl.demo/1";

/// Over the columns of the table, broken by hand so that it fits 80 columns.
const HEADINGS: [&str; 7] = [
    "BLAS runs",
    "time, s",
    "ratio",
    "cores\nused",
    "peak\nrunnable\nthreads",
    "queue\nwait",
    "length scale,\nnoise, signal",
];

/// The document of `threadctl demo --json`. A field that goes or changes its meaning needs a
/// new number in [`SCHEMA`]; new fields do not.
#[derive(Debug, Serialize)]
pub(crate) struct Document {
    /// [`SCHEMA`].
    pub(crate) schema: &'static str,
    /// The version of this program.
    pub(crate) threadctl: &'static str,
    /// Name of the data set or path of the file.
    pub(crate) data: String,
    /// Rows used.
    pub(crate) rows: usize,
    /// Features used.
    pub(crate) features: usize,
    /// Candidates scored by each run.
    pub(crate) candidates: usize,
    /// Threads of the outer loop.
    pub(crate) workers: usize,
    /// CPUs that the process may use.
    pub(crate) cores: usize,
    /// How often each way ran.
    pub(crate) rounds: usize,
    /// The BLAS libraries that the runs had loaded.
    pub(crate) blas: Vec<Library>,
    /// One entry per way, the defaults first.
    pub(crate) modes: Vec<ModeReport>,
    /// Whether all runs chose the same candidate with the same scores (within rounding).
    pub(crate) agree: bool,
    /// What else the user should know.
    pub(crate) notes: Vec<String>,
}

/// All rounds of one way.
#[derive(Debug, Serialize)]
pub(crate) struct ModeReport {
    /// Which way.
    pub(crate) mode: Mode,
    /// Wall-clock time of the loop.
    pub(crate) seconds: Spread,
    /// Median time over the median time of the defaults.
    pub(crate) ratio: f64,
    /// CPU time over wall-clock time.
    pub(crate) cores_used: Spread,
    /// Most threads runnable in one sample, of all rounds.
    pub(crate) peak_runnable_threads: usize,
    /// Run-queue wait over thread time (0 to 1); null where the kernel does not count it, and where in some round the
    /// threads that can be asked did less than 90 % of the work (a note says so).
    pub(crate) run_queue_wait_share: Option<Spread>,
    /// The best candidate; null when none could be scored.
    pub(crate) chosen: Option<Chosen>,
    /// Candidates whose matrix was not positive definite, in the first round.
    pub(crate) not_positive_definite: usize,
}

/// The best candidate of a run.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Chosen {
    /// Its place in the grid, from 0.
    pub(crate) candidate: usize,
    /// Its hyper-parameters, for standardised data.
    #[serde(flatten)]
    pub(crate) hyper: Hyper,
    /// Its score.
    pub(crate) log_marginal_likelihood: f64,
}

/// A quantity over the rounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// The middle one, or the mean of the two middle ones.
    pub(crate) median: f64,
    /// Smallest.
    pub(crate) min: f64,
    /// Largest.
    pub(crate) max: f64,
    /// In the order of the rounds.
    pub(crate) rounds: Vec<f64>,
}

impl Spread {
    /// `None` when there are no rounds.
    pub(crate) fn of(rounds: Vec<f64>) -> Option<Self> {
        let mut sorted = rounds.clone();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let half = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[half]
        } else {
            f64::midpoint(sorted[half - 1], sorted[half])
        };
        Some(Self {
            median,
            min,
            max,
            rounds,
        })
    }

    /// The median, and on a second line the ends where there are several rounds.
    fn show(&self, number: impl Fn(f64) -> String) -> String {
        let mut text = number(self.median);
        if self.rounds.len() > 1 {
            let _ = write!(text, "\n{} to {}", number(self.min), number(self.max));
        }
        text
    }
}

impl Document {
    /// The report as text: what was run, the table, and what to make of it.
    pub(crate) fn render(&self) -> String {
        let blas: Vec<String> = self.blas.iter().map(Library::describe).collect();
        let mut text = format!(
            "Gaussian-process model selection on {},\n\
             {} rows, {} features, {} candidates; {} workers on {} cores;\n\
             {}, {}\n\n",
            self.data,
            self.rows,
            self.features,
            self.candidates,
            self.workers,
            self.cores,
            blas.join(" and "),
            match self.rounds {
                1 => "one round".to_owned(),
                rounds => format!("medians of {rounds} rounds"),
            },
        );
        let _ = writeln!(text, "{}", self.table());
        text.push('\n');
        match self.modes.first().and_then(|mode| mode.chosen) {
            Some(chosen) if self.agree => {
                let _ = writeln!(
                    text,
                    "All runs chose the same hyper-parameters (log marginal likelihood {:.4}).",
                    chosen.log_marginal_likelihood
                );
            }
            _ => {}
        }
        for note in &self.notes {
            let _ = writeln!(text, "{note}");
        }
        text
    }

    fn table(&self) -> Table {
        // Set by the environment's owner for all programs: https://no-color.org.
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let styled = !plain && std::io::stdout().is_terminal();
        let heading = |title: &str| {
            let cell = Cell::new(title);
            if styled {
                cell.add_attribute(Attribute::Bold)
            } else {
                cell
            }
        };
        let mut table = Table::new();
        table
            .load_style(presets::UTF8_NO_BORDERS)
            .set_header(HEADINGS.map(heading));
        // Fits 80 columns as it is; on less, wrapping words beats breaking lines, down to where it is confetti.
        if table.width().is_some_and(|width| width >= 60) {
            table.set_content_arrangement(ContentArrangement::Dynamic);
        }
        for mode in &self.modes {
            let number = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
            table.add_row([
                Cell::new(mode.mode.label()),
                number(mode.seconds.show(show_seconds)),
                number(format!("{:.2}", mode.ratio)),
                number(format!("{:.2}", mode.cores_used.median)),
                number(mode.peak_runnable_threads.to_string()),
                number(match &mode.run_queue_wait_share {
                    Some(share) => format!("{:.1} %", 100.0 * share.median),
                    None => "not known".to_owned(),
                }),
                match &mode.chosen {
                    Some(Chosen { hyper, .. }) => Cell::new(format!(
                        "{:.2} {:.2} {:.2}",
                        hyper.length_scale, hyper.noise_variance, hyper.signal_variance
                    )),
                    None => Cell::new("none"),
                },
            ]);
        }
        table
    }
}

/// Two decimals for seconds, more for runs that are over before they began.
fn show_seconds(seconds: f64) -> String {
    if seconds < 0.1 {
        format!("{seconds:.4}")
    } else {
        format!("{seconds:.2}")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn a_spread_shows_its_median_and_its_ends() {
        let one = |value: f64| format!("{value:.1}");
        assert_eq!(
            Spread::of(vec![3.0, 1.0, 2.0]).unwrap().show(one),
            "2.0\n1.0 to 3.0"
        );
        assert_eq!(
            Spread::of(vec![1.0, 4.0]).unwrap().show(one),
            "2.5\n1.0 to 4.0"
        );
        assert_eq!(Spread::of(vec![7.0]).unwrap().show(one), "7.0");
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
