//! Fits a linear model whose coefficients are known, and predicts with it: least squares is LAPACK's `dgelsd`, in the backend,
//! and the prediction is a product of a matrix and a vector. Says on what, and which calls went through dispatch.

use linfa::Dataset;
use linfa::traits::{Fit as _, Predict as _};
use linfa_linear::LinearRegression;
use ndarray::{Array1, Array2};
use threadctl::backend::{self, supply};
use threadctl_src as _;

const SAMPLES: usize = 2000;
const FEATURES: usize = 40;
const INTERCEPT: f64 = 3.5;

fn worst(found: &Array1<f64>, known: &Array1<f64>) -> f64 {
    let off = found.iter().zip(known).map(|(found, known)| found - known);
    off.fold(0.0, |worst, off| off.abs().max(worst))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let records = Array2::from_shape_fn((SAMPLES, FEATURES), |(sample, feature)| {
        (sample as f64 * (0.3 + 0.17 * feature as f64)).sin()
    });
    let known = Array1::from_shape_fn(FEATURES, |feature| feature as f64 / 4.0 - 5.0);
    // In plain loops, which no BLAS has part in.
    let targets: Array1<f64> = records
        .rows()
        .into_iter()
        .map(|row| row.iter().zip(&known).map(|(x, w)| x * w).sum::<f64>() + INTERCEPT)
        .collect();

    supply::count_calls(true);
    let dataset = Dataset::new(records, targets);
    let model = LinearRegression::new().fit(&dataset)?;
    let predicted = model.predict(dataset.records());
    let calls = supply::calls();
    supply::count_calls(false);

    let backend = backend::current()?;
    for (what, off) in [
        ("coefficients", worst(model.params(), &known)),
        ("the intercept", (model.intercept() - INTERCEPT).abs()),
        ("predictions", worst(&predicted, dataset.targets())),
    ] {
        assert!(off < 1e-9, "{what}: {off:e} off, on {backend}");
    }
    let names: Vec<String> = calls.into_keys().collect();
    // The result is what this program is for.
    #[expect(clippy::print_stdout, reason = "a program that answers")]
    {
        println!("right on {backend}; through dispatch: {}", names.join(" "));
    }
    Ok(())
}
