//! One call over the system's OpenBLAS as openblas-src links it: to see what a program's start costs.

use openblas_src as _;

fn main() {
    let x = ndarray::Array1::<f64>::ones(100);
    assert_eq!(x.dot(&x), 100.0);
}
