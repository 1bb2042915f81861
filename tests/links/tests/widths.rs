//! The symbols by their names: those with 64-bit integers (`64_`) on libraries that have these, whatever such a library calls
//! its own routines; both widths on a library that has the other one; LAPACKE by rows and by columns.
//!
//! That integers have 64 bits is seen by what comes back: pivots and info codes whose halves were all ones before.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../../common/mod.rs"]
mod common;

use common::{in_own_process, library};
use std::ffi::{c_char, c_int};
use std::process::Command;
use threadctl::backend::{self, supply};

unsafe extern "C" {
    fn dgemm_64_(
        transa: *const c_char,
        transb: *const c_char,
        m: *const i64,
        n: *const i64,
        k: *const i64,
        alpha: *const f64,
        a: *const f64,
        lda: *const i64,
        b: *const f64,
        ldb: *const i64,
        beta: *const f64,
        c: *mut f64,
        ldc: *const i64,
    );
    fn cblas_dgemm64_(
        layout: c_int,
        transa: c_int,
        transb: c_int,
        m: i64,
        n: i64,
        k: i64,
        alpha: f64,
        a: *const f64,
        lda: i64,
        b: *const f64,
        ldb: i64,
        beta: f64,
        c: *mut f64,
        ldc: i64,
    );
    fn idamax_64_(n: *const i64, x: *const f64, incx: *const i64) -> i64;
    fn dgesv_64_(
        n: *const i64,
        nrhs: *const i64,
        a: *mut f64,
        lda: *const i64,
        pivots: *mut i64,
        b: *mut f64,
        ldb: *const i64,
        info: *mut i64,
    );
    fn dgtsv_64_(
        n: *const i64,
        nrhs: *const i64,
        lower: *mut f64,
        diagonal: *mut f64,
        upper: *mut f64,
        b: *mut f64,
        ldb: *const i64,
        info: *mut i64,
    );
    fn dsptrf_64_(
        uplo: *const c_char,
        n: *const i64,
        a: *mut f64,
        pivots: *mut i64,
        info: *mut i64,
    );
    fn LAPACKE_dgesv64_(
        layout: c_int,
        n: i64,
        nrhs: i64,
        a: *mut f64,
        lda: i64,
        pivots: *mut i64,
        b: *mut f64,
        ldb: i64,
    ) -> i64;
    fn LAPACKE_dsyev(
        layout: c_int,
        job: c_char,
        uplo: c_char,
        n: c_int,
        a: *mut f64,
        lda: c_int,
        values: *mut f64,
    ) -> c_int;
    fn LAPACKE_dgels(
        layout: c_int,
        trans: c_char,
        m: c_int,
        n: c_int,
        nrhs: c_int,
        a: *mut f64,
        lda: c_int,
        b: *mut f64,
        ldb: c_int,
    ) -> c_int;
}

/// All bits on, in both halves.
const ONES: i64 = -1;
/// Large enough to be cut into tiles.
const ORDER: usize = 300;

fn element(row: usize, column: usize, seed: usize) -> f64 {
    ((row * 7 + column * 3 + seed) % 11) as f64 - 5.0
}

fn filled(seed: usize) -> Vec<f64> {
    (0..ORDER * ORDER)
        .map(|place| element(place % ORDER, place / ORDER, seed))
        .collect()
}

/// Products of whole numbers, so that every order of summation gives the same.
fn product(row: usize, column: usize, seeds: [usize; 2]) -> f64 {
    (0..ORDER)
        .map(|k| element(row, k, seeds[0]) * element(k, column, seeds[1]))
        .sum()
}

fn products_are_right() {
    let (a, b, mut c) = (filled(1), filled(2), vec![f64::NAN; ORDER * ORDER]);
    let (n, one, zero, no) = (ORDER as i64, 1.0, 0.0, b'N' as c_char);
    // SAFETY: three matrices of that order.
    unsafe {
        dgemm_64_(
            &raw const no,
            &raw const no,
            &raw const n,
            &raw const n,
            &raw const n,
            &raw const one,
            a.as_ptr(),
            &raw const n,
            b.as_ptr(),
            &raw const n,
            &raw const zero,
            c.as_mut_ptr(),
            &raw const n,
        );
    }
    for (place, &found) in c.iter().enumerate() {
        assert_eq!(
            found,
            product(place % ORDER, place / ORDER, [1, 2]),
            "dgemm_64_ at {place}"
        );
    }
    // By rows, the same numbers are the transposes.
    c.fill(f64::NAN);
    // SAFETY: as above.
    unsafe {
        cblas_dgemm64_(
            101,
            111,
            111,
            n,
            n,
            n,
            1.0,
            b.as_ptr(),
            n,
            a.as_ptr(),
            n,
            0.0,
            c.as_mut_ptr(),
            n,
        );
    }
    for (place, &found) in c.iter().enumerate() {
        assert_eq!(
            found,
            product(place % ORDER, place / ORDER, [1, 2]),
            "cblas_dgemm64_ at {place}"
        );
    }
    let x = [1.0, -7.0, 3.0];
    // SAFETY: three elements.
    assert_eq!(unsafe { idamax_64_(&(3i64), x.as_ptr(), &(1i64)) }, 2);
}

/// A system whose first pivot is in its last row, and one that has no solution.
fn systems_are_right() {
    let solve = |mut a: [f64; 9], mut b: [f64; 3]| {
        let (n, one, mut pivots, mut info) = (3i64, 1i64, [ONES; 3], ONES);
        // SAFETY: a matrix of 3 x 3, three pivots, a right-hand side of 3.
        unsafe {
            dgesv_64_(
                &raw const n,
                &raw const one,
                a.as_mut_ptr(),
                &raw const n,
                pivots.as_mut_ptr(),
                b.as_mut_ptr(),
                &raw const n,
                &raw mut info,
            );
        }
        (b, pivots, info)
    };
    let by_columns = [0.0, 0.0, 2.0, 0.0, 4.0, 0.0, 8.0, 0.0, 0.0];
    assert_eq!(
        solve(by_columns, [8.0, 8.0, 6.0]),
        ([3.0, 2.0, 1.0], [3, 2, 3], 0)
    );
    let singular = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];
    assert_eq!(
        solve(singular, [1.0; 3]).2,
        2,
        "info: the second pivot is 0"
    );
}

/// Routines that run in the backend itself.
fn what_is_forwarded_is_right() {
    let (n, one, mut info) = (3i64, 1i64, ONES);
    let (mut lower, mut diagonal, mut upper) = ([1.0, 1.0], [4.0; 3], [1.0, 1.0]);
    let mut b = [6.0, 12.0, 14.0];
    // SAFETY: a matrix of 3 x 3 by its diagonals, a right-hand side of 3.
    unsafe {
        dgtsv_64_(
            &raw const n,
            &raw const one,
            lower.as_mut_ptr(),
            diagonal.as_mut_ptr(),
            upper.as_mut_ptr(),
            b.as_mut_ptr(),
            &raw const n,
            &raw mut info,
        );
    }
    assert_eq!(info, 0, "dgtsv_64_");
    for (found, expected) in b.iter().zip([1.0, 2.0, 3.0]) {
        assert!((found - expected).abs() < 1e-14, "{b:?}");
    }
    // The diagonal is 0, so its blocks are of 2 x 2: pivots below 0.
    let (mut packed, mut pivots, uplo) = ([0.0, 1.0, 0.0], [7i64; 2], b'L' as c_char);
    info = ONES;
    // SAFETY: a triangle of 2 x 2, two pivots.
    unsafe {
        dsptrf_64_(
            &raw const uplo,
            &(2i64),
            packed.as_mut_ptr(),
            pivots.as_mut_ptr(),
            &raw mut info,
        );
    }
    assert_eq!((pivots, info), ([-2, -2], 0), "dsptrf_64_");
}

fn lapacke_is_right() {
    for (layout, mut a, ldb) in [
        (101, [4.0, 1.0, 2.0, 3.0], 1),
        (102, [4.0, 2.0, 1.0, 3.0], 2),
    ] {
        let (mut b, mut pivots) = ([6.0, 8.0], [ONES; 2]);
        let matrix = a.as_mut_ptr();
        // SAFETY: a matrix of 2 x 2, two pivots, a right-hand side of 2.
        let info = unsafe {
            LAPACKE_dgesv64_(
                layout,
                2,
                1,
                matrix,
                2,
                pivots.as_mut_ptr(),
                b.as_mut_ptr(),
                ldb,
            )
        };
        assert_eq!((info, pivots), (0, [1, 2]), "layout {layout}");
        for (found, expected) in b.iter().zip([1.0, 2.0]) {
            assert!((found - expected).abs() < 1e-15, "layout {layout}: {b:?}");
        }
    }
}

fn path(keys: &[&str]) -> String {
    let paths: Vec<String> = keys
        .iter()
        .map(|key| library(key).display().to_string())
        .collect();
    paths.join(":")
}

#[test]
fn wide_names_reach_a_library_whose_own_have_affixes() {
    let test = "wide_names_reach_a_library_whose_own_have_affixes";
    in_own_process(
        test,
        &[("THREADCTL_BACKEND", &path(&["scipy-openblas64"]))],
        || {
            products_are_right();
            systems_are_right();
            what_is_forwarded_is_right();
            lapacke_is_right();
            let backend = backend::current().unwrap();
            assert_eq!(backend.layers()[0].names()[0], "scipy_dgemm_64_");
        },
    );
}

#[test]
fn wide_names_reach_a_library_whose_own_look_narrow() {
    let test = "wide_names_reach_a_library_whose_own_look_narrow";
    in_own_process(
        test,
        &[("THREADCTL_BACKEND", &path(&["openblas64-pthread"]))],
        || {
            products_are_right();
            systems_are_right();
            what_is_forwarded_is_right();
            let layer = &backend::current().unwrap().layers()[0];
            assert_eq!(layer.names()[0], "dgemm_");
            assert_eq!(layer.integers(), threadctl::Integers::Ilp64);
        },
    );
}

/// MKL has the same names for both widths, and a variable says which they are.
#[test]
fn wide_names_reach_mkl_that_was_told_to_be_wide() {
    let test = "wide_names_reach_mkl_that_was_told_to_be_wide";
    let environment = [
        ("THREADCTL_BACKEND", path(&["mkl-rt"])),
        ("LD_LIBRARY_PATH", common::mkl_folder()),
        ("MKL_INTERFACE_LAYER", "ILP64".to_owned()),
    ];
    let environment = environment
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    in_own_process(test, &environment, || {
        products_are_right();
        systems_are_right();
        what_is_forwarded_is_right();
        let layer = &backend::current().unwrap().layers()[0];
        assert_eq!(layer.names()[0], "dgemm_");
        assert_eq!(layer.integers(), threadctl::Integers::Ilp64);
    });
}

/// What dispatch covers needs no library of that width: its own algorithms and tiles have sizes that fit the other one's.
#[test]
fn wide_names_that_dispatch_covers_run_on_narrow_libraries() {
    let test = "wide_names_that_dispatch_covers_run_on_narrow_libraries";
    in_own_process(
        test,
        &[("THREADCTL_BACKEND", &path(&["openblas-pthread"]))],
        || {
            supply::count_calls(true);
            products_are_right();
            systems_are_right();
            let calls = supply::calls();
            assert!(
                calls.contains_key("dgesv_") && calls.contains_key("cblas_dgemm"),
                "{calls:?}"
            );
        },
    );
}

/// What the process says before it ends, of calls that must not be answered.
fn last_words(test: &str, keys: &[&str], call: fn()) -> Option<String> {
    const DOOMED: &str = "THREADCTL_TEST_DOOMED";
    if std::env::var(DOOMED).as_deref() == Ok(test) {
        call();
        return None;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
    common::without_thread_variables(&mut command);
    command.env(DOOMED, test);
    command.env("THREADCTL_BACKEND", path(keys));
    let output = command.output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "it answered: {words}");
    Some(words)
}

fn says(test: &str, keys: &[&str], call: fn(), parts: &[&str]) {
    let Some(words) = last_words(test, keys, call) else {
        return;
    };
    for part in parts {
        assert!(words.contains(part), "no {part:?} in: {words}");
    }
}

#[test]
fn a_narrow_library_is_not_called_with_wide_integers() {
    says(
        "a_narrow_library_is_not_called_with_wide_integers",
        &["openblas-pthread"],
        what_is_forwarded_is_right,
        &[
            "dgtsv_ with 64-bit integers",
            "32-bit integers only",
            "libopenblas.so.0",
            "libopenblas64-0-pthread",
        ],
    );
}

#[test]
fn sizes_that_a_narrow_library_cannot_hold_are_refused() {
    says(
        "sizes_that_a_narrow_library_cannot_hold_are_refused",
        &["openblas-pthread"],
        || {
            let x = [0.0];
            // SAFETY: refused before anything is read.
            unsafe { idamax_64_(&(1i64 << 31), x.as_ptr(), &(1i64)) };
        },
        &["iamax", "2147483648", "libopenblas.so.0", "32-bit integers"],
    );
}

#[test]
fn lapacke_of_a_backend_without_it_is_named_with_its_package() {
    says(
        "lapacke_of_a_backend_without_it_is_named_with_its_package",
        &["netlib", "lapack"],
        || {
            links::solution_in_c(links::ROW_MAJOR, [1.0; 4], [1.0; 2]);
        },
        &[
            "LAPACKE_dgesv",
            "libblas.so.3",
            "liblapacke",
            "liblapacke.so.3",
        ],
    );
}

/// LAPACKE by both layouts: a routine that dispatch covers below it, one that it does not, and one whose matrix is not
/// square.
fn lapacke_by_rows_and_columns(test: &str, keys: &[&str]) {
    in_own_process(test, &[("THREADCTL_BACKEND", &path(keys))], || {
        links::check(true).unwrap();
        for layout in [links::ROW_MAJOR, links::COLUMN_MAJOR] {
            // Each layout sees another triangle: the other one must not be read.
            let other = f64::NAN;
            let mut a = if layout == links::ROW_MAJOR {
                [2.0, other, 1.0, 2.0]
            } else {
                [2.0, 1.0, other, 2.0]
            };
            let mut values = [0.0; 2];
            let (job, lower) = (b'N' as c_char, b'L' as c_char);
            // SAFETY: a matrix of 2 x 2 and its eigenvalues.
            let info = unsafe {
                LAPACKE_dsyev(
                    layout,
                    job,
                    lower,
                    2,
                    a.as_mut_ptr(),
                    2,
                    values.as_mut_ptr(),
                )
            };
            // LAPACKE refuses a NaN in what it reads: there is none.
            assert_eq!(info, 0, "LAPACKE_dsyev by {layout}");
            assert!(
                (values[0] - 1.0).abs() + (values[1] - 3.0).abs() < 1e-14,
                "{values:?}"
            );

            // Three equations in two unknowns that have an exact solution.
            let mut a = if layout == links::ROW_MAJOR {
                [1.0, 0.0, 0.0, 2.0, 1.0, 1.0]
            } else {
                [1.0, 0.0, 1.0, 0.0, 2.0, 1.0]
            };
            let (lda, ldb) = if layout == links::ROW_MAJOR {
                (2, 1)
            } else {
                (3, 3)
            };
            let mut b = [3.0, 4.0, 5.0];
            let no = b'N' as c_char;
            // SAFETY: a matrix of 3 x 2, a right-hand side of 3.
            let info = unsafe {
                LAPACKE_dgels(
                    layout,
                    no,
                    3,
                    2,
                    1,
                    a.as_mut_ptr(),
                    lda,
                    b.as_mut_ptr(),
                    ldb,
                )
            };
            assert_eq!(info, 0, "LAPACKE_dgels by {layout}");
            assert!((b[0] - 3.0).abs() + (b[1] - 2.0).abs() < 1e-14, "{b:?}");
        }
    });
}

#[test]
fn lapacke_of_openblas() {
    lapacke_by_rows_and_columns("lapacke_of_openblas", &["scipy-openblas32"]);
}

#[test]
fn lapacke_of_the_reference_over_openblas() {
    lapacke_by_rows_and_columns(
        "lapacke_of_the_reference_over_openblas",
        &["openblas-pthread", "lapacke"],
    );
}

#[test]
fn lapacke_of_the_reference_over_the_reference() {
    lapacke_by_rows_and_columns(
        "lapacke_of_the_reference_over_the_reference",
        &["netlib", "lapack", "lapacke"],
    );
}
