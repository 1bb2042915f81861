//! All operations over the provider, a line each. Calls are cut into tiles from the smallest sizes on, so that tiles have part
//! in operations of the orders that there are.

use threadctl_src as _;

// The results are what this program is for.
#[expect(clippy::print_stdout, reason = "a program that answers")]
fn main() {
    threadctl::dispatch::Blas::simulate_small_tiles(true);
    print!("{}", provider::operations::all());
}
