//! What a backend's LAPACK calls of BLAS comes back to dispatch, where its calls can be seen, and the results stay right.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../../common/mod.rs"]
mod common;

use common::{in_own_process, library};
use ndarray::{Array1, Array2};
use ndarray_linalg::{Cholesky as _, Eigh as _, JobSvd, SVDDC as _, Solve as _, UPLO};
use std::collections::BTreeMap;
use threadctl::backend::supply;
use threadctl_src as _;

const ORDER: usize = 500;

/// The vector of a reflector I - 2 v vᵀ / vᵀv, which is orthogonal and its own inverse.
fn normal(seed: usize) -> Array1<f64> {
    Array1::from_shape_fn(ORDER, |i| 1.0 + ((i * 37 + seed) % 19) as f64)
}

/// The reflector times a matrix, in plain loops, which no BLAS has part in.
fn reflected(v: &Array1<f64>, matrix: &Array2<f64>) -> Array2<f64> {
    let squared: f64 = v.iter().map(|x| x * x).sum();
    let mut sums = vec![0.0; ORDER];
    for (row, v) in matrix.rows().into_iter().zip(v) {
        for (sum, x) in sums.iter_mut().zip(row) {
            *sum += v * x;
        }
    }
    let mut result = matrix.clone();
    for (mut row, v) in result.rows_mut().into_iter().zip(v) {
        for (x, sum) in row.iter_mut().zip(&sums) {
            *x -= 2.0 * v * sum / squared;
        }
    }
    result
}

/// H1 D H2 for the reflectors of two seeds.
fn known(first: usize, second: usize) -> Array2<f64> {
    let left = reflected(&normal(first), &Array2::from_diag(&values()));
    reflected(&normal(second), &left.t().to_owned())
        .t()
        .to_owned()
}

/// A matrix by a vector, in plain loops.
fn times(matrix: &Array2<f64>, x: &Array1<f64>) -> Array1<f64> {
    let rows = matrix.rows().into_iter();
    rows.map(|row| row.iter().zip(x).map(|(a, x)| a * x).sum::<f64>())
        .collect()
}

/// From the largest to the smallest.
fn values() -> Array1<f64> {
    Array1::from_shape_fn(ORDER, |i| 2.0 * (ORDER - i) as f64 / ORDER as f64)
}

fn worst(found: &Array1<f64>, expected: &Array1<f64>) -> f64 {
    (found - expected).fold(0.0, |worst, x| x.abs().max(worst))
}

/// The singular values of a matrix that is made of known ones, and what was called meanwhile.
fn svd() -> BTreeMap<String, u64> {
    let matrix = known(1, 2);
    supply::count_calls(true);
    let (u, found, vt) = matrix.svddc(JobSvd::All).unwrap();
    let calls = supply::calls();
    supply::count_calls(false);
    assert!(worst(&found, &values()) < 1e-11, "singular values");
    let x = normal(9);
    let back = times(&u.unwrap(), &(times(&vt.unwrap(), &x) * &found));
    let off = worst(&back, &times(&matrix, &x));
    assert!(off < 1e-9, "U S Vᵀ x is {off:e} off");
    calls
}

/// The eigenvalues of a symmetric matrix that is made of known ones.
fn symmetric() -> BTreeMap<String, u64> {
    let matrix = known(3, 3);
    supply::count_calls(true);
    let (found, _) = matrix.eigh(UPLO::Lower).unwrap();
    let calls = supply::calls();
    supply::count_calls(false);
    let rising: Array1<f64> = values().iter().rev().copied().collect();
    assert!(worst(&found, &rising) < 1e-11, "eigenvalues");
    calls
}

unsafe extern "C" {
    /// LAPACK's driver by divide and conquer, which ndarray-linalg does not call, but NumPy does.
    fn dsyevd_(
        jobz: *const u8,
        uplo: *const u8,
        n: *const i32,
        a: *mut f64,
        lda: *const i32,
        w: *mut f64,
        work: *mut f64,
        lwork: *const i32,
        iwork: *mut i32,
        liwork: *const i32,
        info: *mut i32,
    );
}

/// Eigenvalues and eigenvectors of that matrix, by halves.
fn symmetric_by_halves() -> BTreeMap<String, u64> {
    let matrix = known(3, 3);
    let mut vectors = matrix.clone();
    let mut found = Array1::zeros(ORDER);
    let mut work = vec![0.0; 1 + 6 * ORDER + 2 * ORDER * ORDER];
    let mut whole = vec![0; 3 + 5 * ORDER];
    let [n, lwork, liwork] = [ORDER, work.len(), whole.len()].map(|size| size as i32);
    let mut info = -1;
    supply::count_calls(true);
    // SAFETY: a matrix of that order, and the workspaces that LAPACK demands for it.
    unsafe {
        dsyevd_(
            b"V".as_ptr(),
            b"L".as_ptr(),
            &raw const n,
            vectors.as_mut_ptr(),
            &raw const n,
            found.as_mut_ptr(),
            work.as_mut_ptr(),
            &raw const lwork,
            whole.as_mut_ptr(),
            &raw const liwork,
            &raw mut info,
        );
    }
    let calls = supply::calls();
    supply::count_calls(false);
    assert_eq!(info, 0);
    let rising: Array1<f64> = values().iter().rev().copied().collect();
    assert!(worst(&found, &rising) < 1e-11, "eigenvalues");
    // Fortran's columns are rows here.
    let x = normal(7);
    let along = times(&vectors, &x);
    let transposed = vectors.t().to_owned();
    let back = times(&transposed, &(&along * &found));
    let off = worst(&back, &times(&matrix, &x));
    assert!(off < 1e-9, "V D Vᵀ x is {off:e} off");
    let off = worst(&times(&transposed, &along), &x);
    assert!(off < 1e-9, "V Vᵀ x is {off:e} off");
    calls
}

fn path(keys: &[&str]) -> String {
    let paths: Vec<String> = keys
        .iter()
        .map(|key| library(key).display().to_string())
        .collect();
    paths.join(":")
}

fn is_seen(test: &str, keys: &[&str], products: u64) {
    in_own_process(test, &[("THREADCTL_BACKEND", &path(keys))], || {
        let inside_svd = svd();
        // dgesdd of these libraries makes some 237 products by name; those inside its QR factorizations are made by
        // dispatch's own. Versions differ.
        assert!(inside_svd["dgemm_"] >= products, "{inside_svd:?}");
        for routine in ["dgeqrf_", "dorgqr_", "dormqr_"] {
            assert!(inside_svd.contains_key(routine), "{inside_svd:?}");
        }
        let inside_eigh = symmetric();
        assert!(inside_eigh.contains_key("dsyr2k_"), "{inside_eigh:?}");
        let by_halves = symmetric_by_halves();
        assert!(by_halves["dlaed3_"] > 0, "{by_halves:?}");
    });
}

#[test]
fn openblas_of_the_wheel_calls_dispatch() {
    is_seen(
        "openblas_of_the_wheel_calls_dispatch",
        &["scipy-openblas32"],
        150,
    );
}

#[test]
fn openblas_of_debian_calls_dispatch() {
    is_seen(
        "openblas_of_debian_calls_dispatch",
        &["openblas-pthread"],
        150,
    );
}

#[test]
fn openblas_over_openmp_calls_dispatch() {
    is_seen(
        "openblas_over_openmp_calls_dispatch",
        &["openblas-openmp"],
        150,
    );
}

#[test]
fn openblas_that_bears_one_caller_calls_dispatch() {
    is_seen(
        "openblas_that_bears_one_caller_calls_dispatch",
        &["openblas-serial"],
        150,
    );
}

#[test]
fn the_reference_lapack_calls_dispatch() {
    is_seen(
        "the_reference_lapack_calls_dispatch",
        &["netlib", "lapack"],
        150,
    );
}

#[test]
fn the_reference_lapack_over_blis_calls_dispatch() {
    is_seen(
        "the_reference_lapack_over_blis_calls_dispatch",
        &["blis-pthread", "lapack"],
        150,
    );
}

#[test]
fn mkl_calls_inside_itself_and_is_right() {
    let test = "mkl_calls_inside_itself_and_is_right";
    let environment = [
        ("THREADCTL_BACKEND", path(&["mkl-rt"])),
        ("LD_LIBRARY_PATH", common::mkl_folder()),
    ];
    let environment = environment
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    in_own_process(test, &environment, || {
        assert_eq!(svd(), BTreeMap::new());
        assert_eq!(symmetric(), BTreeMap::new());
        assert_eq!(symmetric_by_halves(), BTreeMap::new());
    });
}

#[test]
fn solutions_go_through_algorithms_over_dispatch() {
    let test = "solutions_go_through_algorithms_over_dispatch";
    in_own_process(
        test,
        &[("THREADCTL_BACKEND", &path(&["scipy-openblas32"]))],
        || {
            let matrix = known(4, 4) + Array2::<f64>::eye(ORDER) * 3.0;
            let expected = values();
            supply::count_calls(true);
            let solution = matrix.solve(&times(&matrix, &expected)).unwrap();
            let lower = matrix.cholesky(UPLO::Lower).unwrap();
            let calls = supply::calls();
            supply::count_calls(false);
            assert!(worst(&solution, &expected) < 1e-12, "the solution");
            // Again: what was found at the first call stays right.
            assert_eq!(svd(), svd());
            let x = normal(5);
            let back = times(&lower, &times(&lower.t().to_owned(), &x));
            let off = worst(&back, &times(&matrix, &x));
            assert!(off < 1e-9, "L Lᵀ x is {off:e} off");
            for routine in ["dgetrf_", "dgetrs_", "dpotrf_"] {
                assert!(calls.contains_key(routine), "{calls:?}");
            }
        },
    );
}
