//! All operations over the system's OpenBLAS as openblas-src links it, a line each: what the provider is compared with.

use openblas_src as _;

// The results are what this program is for.
#[expect(clippy::print_stdout, reason = "a program that answers")]
fn main() {
    print!("{}", provider::operations::all());
}
