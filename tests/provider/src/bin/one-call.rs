//! One call over the provider: to see what a program's start costs.

use threadctl_src as _;

fn main() {
    let x = ndarray::Array1::<f64>::ones(100);
    assert_eq!(x.dot(&x), 100.0);
}
