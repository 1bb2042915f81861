//! The options of `threadctl demo`. Ranges are checked here; whether they fit the data is checked when it is read.

use std::path::PathBuf;

use clap::Args;

const EXAMPLES: &str = "\
Examples:
  threadctl demo
  threadctl demo --blas /opt/intel/lib/libmkl_rt.so.2 --json
  threadctl demo --blas libblis.so.4 --blas liblapack.so.3
  threadctl demo --data mine.csv --rows 1000 --candidates 20

Each way runs in a child process of its own, and all take turns for a few
rounds, because the machine may be shared: the table shows medians, and below
them the fastest and the slowest round.

Exit codes: 0 good; 1 the runs disagree, or no candidate could be scored;
2 usage or system error.";

/// Compare three ways to run BLAS inside a parallel loop, on real data
///
/// Gaussian-process model selection: a grid of hyper-parameters is scored in a parallel loop, and every candidate
/// multiplies matrices, applies `exp` in a parallel loop of its own, factorises and solves. It runs with the BLAS
/// library's default threads, with BLAS at 1 thread, and under threadctl.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DemoArgs {
    /// Rows to use, spread evenly over the data [default: all, at most 2000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub(crate) rows: Option<u32>,

    /// Combinations of hyper-parameters to score
    #[arg(long, value_name = "N", default_value_t = 48, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) candidates: u32,

    /// Threads of the outer parallel loop, 1 to 1024, also more than there are cores; -1 is one for each core, -2 all but
    /// one [default: -1]
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = workers)]
    pub(crate) workers: Option<u32>,

    /// How often each way runs
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,

    /// BLAS library to open (path or file name); repeat it for a LAPACK that is a file of its own
    /// [default: the first of OpenBLAS, MKL, the system's libblas with liblapack]
    #[arg(long, value_name = "LIB")]
    pub(crate) blas: Vec<PathBuf>,

    /// A CSV file of numbers to use in place of the wine data; the last column is the target. /dev/stdin works too
    #[arg(long, value_name = "FILE.csv")]
    pub(crate) data: Option<PathBuf>,

    /// Print one versioned JSON document in place of the table
    #[arg(long)]
    pub(crate) json: bool,
}

/// A positive number is taken as it is, for the demo shows what too many do; a negative one counts from the cores.
fn workers(text: &str) -> Result<u32, String> {
    const MOST: u32 = 1_024;
    if text.starts_with('-') {
        let counted = text
            .parse::<threadctl::Workers>()
            .map(threadctl::cores::Width::number);
        return counted.map_err(|error| error.to_string());
    }
    text.parse()
        .ok()
        .filter(|number| (1..=MOST).contains(number))
        .ok_or_else(|| format!("{text} is not in 1..={MOST}; -1 is all cores, -2 all but one"))
}
