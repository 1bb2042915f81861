//! The options of `threadctl backends`.

use clap::Args;

const EXAMPLES: &str = "\
Examples:
  threadctl backends                                  what is installed, and what programs get
  THREADCTL_BACKEND=mkl threadctl backends            whether MKL can be opened, and as what
  THREADCTL_BACKEND=blis:/opt/lib/liblapack.so.3 threadctl backends --json | jq .current.layers

Exit codes: 0 a backend can be opened, 1 none can (the reason is in the answer), 2 usage or system error.";

/// List the libraries that can stand behind the BLAS and LAPACK symbols of threadctl-src, and the one that programs get.
///
/// That one is opened, to find out how wide its integers are, how it returns complex numbers and what it calls its routines;
/// the others are only looked for where the loader looks.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BackendsArgs {
    /// Print one versioned JSON document.
    #[arg(long)]
    pub(crate) json: bool,
}
