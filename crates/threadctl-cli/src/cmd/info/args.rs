//! The options of `threadctl info`.

use std::path::PathBuf;

use clap::Args;

const EXAMPLES: &str = "\
Examples:
  threadctl info --load libopenblas.so.0      a library that the loader finds by name
  threadctl info --load ./libmkl_rt.so.3      a file
  threadctl info --pid 4711                   another process, read-only
  threadctl info --pid 4711 --json | jq '.runtimes[].num_threads'

Exit codes: 0 reported, 2 usage or system error (no such process, not a shared object ...).";

/// Options of `threadctl info`.
///
/// Without --pid it reports on its own process, which has only what --load brings in. With --pid it looks at another
/// process from outside: nothing is stopped, written or called there, so some values cannot be known; each of those is
/// null in the JSON, and `unknown` says why.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InfoArgs {
    /// Print one versioned JSON document in place of the table. The objects in `runtimes` have the keys of
    /// threadpoolctl's threadpool_info(), and more.
    #[arg(long)]
    pub(crate) json: bool,

    /// Open this library first: a file (with a slash), or a name that the loader looks up. May be repeated.
    #[arg(long, value_name = "LIB", conflicts_with = "pid")]
    pub(crate) load: Vec<PathBuf>,

    /// Inspect the process with this number.
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..=i64::from(i32::MAX)))]
    pub(crate) pid: Option<u32>,
}
