//! The options of `threadctl tune`.

use std::path::PathBuf;

use clap::Args;

const EXAMPLES: &str = "\
Examples:
  threadctl tune --load libopenblas.so.0      measure, show, and write
  threadctl tune --load ./libmkl_rt.so.3 --output /etc/threadctl/tuning
  threadctl tune --quick --json | jq '.routines[] | {routine, now}'

Exit codes: 0 measured and written, or there is nothing to share; 1 the machine is too busy to measure, nothing is
written; 2 usage or system error.";

/// Measure from which size on calls of a BLAS are worth sharing between cores, and keep it for threadctl::dispatch.
///
/// Each family of routines is timed on one core and shared, in turn, at growing sizes. A call is shared from the smallest
/// size at which that is 5 % faster, as it must be at the next two sizes. Programs read the file when they open a BLAS; it
/// has numbers for each library, version and kind of kernels, and those of other libraries stay.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TuneArgs {
    /// The library: a file (with a slash), or a name that the loader looks up. By default the system's libblas.so.3, or
    /// libopenblas.so.0.
    #[arg(long, value_name = "LIB")]
    pub(crate) load: Option<PathBuf>,

    /// Write to this file. By default the one that programs read: THREADCTL_TUNING, or threadctl/tuning in the cache of the
    /// user.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Fewer sizes and shorter runs: some 10 seconds in place of 40 or more.
    #[arg(long)]
    pub(crate) quick: bool,

    /// How much of the cores others may take, and times of one size may differ, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(..=10_000))]
    pub(crate) max_noise: u32,

    /// Print one versioned JSON document in place of the table. A number that is null stands for never.
    #[arg(long)]
    pub(crate) json: bool,
}
