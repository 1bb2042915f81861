//! Solves a system whose solution is known, and says how far off the answer is: through ndarray's product (CBLAS) and
//! ndarray-linalg's solver (LAPACK over dispatch); and compares singular values (the backend's own LAPACK) with what their
//! squares add up to.

use ndarray::{Array1, Array2};
use ndarray_linalg::{SVD as _, Solve as _};
use threadctl_src as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let order = 200;
    let matrix = Array2::from_shape_fn((order, order), |(row, column)| {
        let diagonal = if row == column { order as f64 } else { 0.0 };
        ((row * 7 + column * 3) % 11) as f64 + diagonal
    });
    let known = Array1::from_shape_fn(order, |row| 1.0 + row as f64 / order as f64);
    let solution = matrix.solve(&matrix.dot(&known))?;
    let off = (&solution - &known).fold(0.0, |worst, x| x.abs().max(worst));
    let (_, singular, _) = matrix.svd(false, false)?;
    let squares = |sum: f64, x: &f64| sum + x * x;
    let ratio = singular.iter().fold(0.0, squares) / matrix.iter().fold(0.0, squares);
    assert!((ratio - 1.0).abs() < 1e-12, "singular values: {ratio}");
    let backend = threadctl::backend::current()?;
    assert!(off < 1e-12, "{off:e} off, on {backend}");
    // The result is what this program is for.
    #[expect(clippy::print_stdout, reason = "a program that answers")]
    {
        println!("{backend}: {off:e} off");
    }
    Ok(())
}
