//! Level 3 through dispatch where BLAS has rules of its own: nothing to multiply, nothing to compute, NaN, what is
//! forbidden, operands that share memory; and where we have a gemmt of our own.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    reason = "a test fails by panicking; sizes are small"
)]

mod common;
#[path = "common/level3.rs"]
mod level3;
#[path = "common/output.rs"]
mod output;
#[path = "common/reference.rs"]
mod reference;
#[path = "common/tiles.rs"]
mod tiles;

use level3::{ALL, Case, Operands, Routine};
use num_complex::Complex;
use output::written;
use reference::{Dense, Number, Stored, Sum, assert_close};
use std::panic::{AssertUnwindSafe, catch_unwind};
use threadctl::ErrorKind;
use threadctl::dispatch::Blas;
use tiles::{on, run, run_on};

libraries! {
    openblas_wheel "scipy-openblas32": nothing_to_multiply nothing_to_compute nan forbidden;
    openblas_pthread "openblas-pthread": nothing_to_multiply nothing_to_compute nan forbidden;
    openblas_openmp "openblas-openmp": nothing_to_multiply nothing_to_compute nan forbidden;
    blis "blis-openmp": nothing_to_multiply nothing_to_compute nan;
    mkl "mkl-rt": nothing_to_multiply nothing_to_compute nan forbidden;
    // It has no gemmt.
    atlas "atlas": gemmt_of_our_own;
}

/// For each routine and element type.
fn everywhere(blas: &Blas, f: fn(&Blas, Case, u8)) {
    for routine in ALL {
        for case in Case::all::<f64>(routine) {
            f(blas, case, b's');
            f(blas, case, b'd');
        }
        for case in Case::all::<Complex<f64>>(routine) {
            f(blas, case, b'c');
            f(blas, case, b'z');
        }
    }
}

/// Calls a generic function for the type of that letter.
macro_rules! typed {
    ($letter:expr, $f:ident($($argument:expr),*)) => {
        match $letter {
            b's' => $f::<f32>($($argument),*),
            b'd' => $f::<f64>($($argument),*),
            b'c' => $f::<Complex<f32>>($($argument),*),
            _ => $f::<Complex<f64>>($($argument),*),
        }
    };
}

const BETAS: [(f64, f64); 3] = [(0.0, 0.0), (1.0, 0.0), (-0.5, 0.25)];

/// With alpha 0 the inputs are not looked at, here all NaN; with k 0 there are none.
///
/// Where a library looks at them all the same, so do its calls through dispatch: OpenBLAS 0.3.21 in small products, MKL
/// 2026.2 in complex symm.
fn nothing_to_multiply(blas: &Blas) {
    fn unread<T: Number>((blas, direct): (&Blas, &Blas), case: &Case) {
        let Operands { a, b, c } = case.operands::<T>();
        let (a, b) = (
            Stored::nan(a.rows, a.cols, case.gaps[0]),
            Stored::nan(b.rows, b.cols, case.gaps[1]),
        );
        let before = Operands { a, b, c };
        let mut operands = before.clone();
        case.call(direct, &mut operands);
        let expected = operands.c.clone();
        let right =
            catch_unwind(AssertUnwindSafe(|| case.assert_result(&before, &expected))).is_ok();
        if right {
            run_on(blas, case, before);
        } else {
            let known = matches!(case.routine, Routine::Gemm | Routine::Symm);
            assert!(known, "{case:?} of {} looks at its inputs", T::LETTER);
            operands.c = before.c.clone();
            case.call(blas, &mut operands);
            assert!(
                operands.c.same(&expected),
                "{case:?} is not as it is without dispatch"
            );
        }
    }
    // SAFETY: the same library.
    let direct = unsafe { Blas::open_direct(blas.path()) }.unwrap();
    for routine in ALL {
        for beta in BETAS {
            let prepared = |case| Case {
                shape: [9, 11, 7],
                gaps: [1, 0, 2],
                beta,
                alpha: (0.0, 0.0),
                ..case
            };
            for case in Case::all::<f64>(routine).into_iter().map(prepared) {
                unread::<f32>((blas, &direct), &case);
                unread::<f64>((blas, &direct), &case);
            }
            for case in Case::all::<Complex<f64>>(routine).into_iter().map(prepared) {
                unread::<Complex<f32>>((blas, &direct), &case);
                unread::<Complex<f64>>((blas, &direct), &case);
            }
        }
    }
    everywhere(blas, |blas, case, letter| {
        for beta in BETAS {
            typed!(
                letter,
                run(
                    blas,
                    &Case {
                        shape: [9, 11, 0],
                        gaps: [1, 0, 2],
                        beta,
                        ..case
                    }
                )
            );
        }
    });
}

/// Results without rows or columns.
fn nothing_to_compute(blas: &Blas) {
    everywhere(blas, |blas, case, letter| {
        for shape in [[0, 9, 5], [9, 0, 5], [0, 0, 0]] {
            typed!(
                letter,
                run(
                    blas,
                    &Case {
                        shape,
                        gaps: [2, 1, 0],
                        ..case
                    }
                )
            );
        }
    });
}

/// A NaN in A goes where its row and column say, and nowhere else.
fn nan(blas: &Blas) {
    fn one<T: Number>(blas: &Blas, case: &Case) {
        let mut operands = case.operands::<T>();
        let (row, col) = match (case.routine, case.uplo) {
            (Routine::Gemm | Routine::Gemmt, _) => (2, 5),
            (_, b'L') => (6, 2),
            _ => (2, 6),
        };
        operands
            .a
            .set(row, col, T::of(Complex::new(f64::NAN, f64::NAN)));
        run_on(blas, case, operands);
    }
    everywhere(blas, |blas, case, letter| {
        let shape = if case.routine == Routine::Gemm {
            [12, 9, 8]
        } else {
            [9, 9, 8]
        };
        if case.routine != Routine::Trsm {
            typed!(letter, one(blas, &Case { shape, ..case }));
        }
    });
}

/// What BLAS forbids goes to the library, which says so and computes nothing.
fn forbidden(blas: &Blas) {
    for routine in ALL {
        let good = Case {
            shape: [9, 9, 8],
            ..Case::all::<f64>(routine)[0]
        };
        for (what, case) in [
            ("side", Case { side: b'X', ..good }),
            ("uplo", Case { uplo: b'X', ..good }),
            ("ta", Case { ta: b'X', ..good }),
            ("tb", Case { tb: b'X', ..good }),
            ("diag", Case { diag: b'X', ..good }),
        ] {
            if case.has(what) {
                let before = good.operands::<Complex<f64>>();
                let mut operands = before.clone();
                let mut result = Ok(());
                let mut heard = written(|| result = case.try_call(blas, &mut operands));
                if let Err(error) = result {
                    assert!(routine == Routine::Gemmt, "{case:?}: {error}");
                    heard = error.to_string();
                }
                let name = format!("{routine:?}").to_uppercase();
                assert!(heard.to_uppercase().contains(&name), "{case:?}: {heard:?}");
                assert!(operands.c.same(&before.c), "{case:?} computed something");
            }
        }
    }
}

/// A library without gemmt: the same rules, and an error for what BLAS forbids.
fn gemmt_of_our_own(blas: &Blas) {
    for case in Case::all::<Complex<f64>>(Routine::Gemmt) {
        for shape in [[0, 0, 5], [0, 33, 0], [0, 50, 3]] {
            for beta in BETAS {
                for alpha in [(0.0, 0.0), (0.5, 1.0)] {
                    let case = Case {
                        shape,
                        alpha,
                        beta,
                        gaps: [1, 2, 3],
                        ..case
                    };
                    run::<f32>(blas, &case);
                    run::<Complex<f64>>(blas, &case);
                }
            }
        }
    }
    let mut c = [7.0; 4];
    for (uplo, trans, n, ld) in [
        (b'X', b'N', 2, 2),
        (b'U', b'X', 2, 2),
        (b'U', b'N', -1, 2),
        (b'L', b'N', 2, 1),
    ] {
        let a = [1.0; 4];
        // SAFETY: nothing is computed.
        let result = unsafe {
            blas.gemmt(
                uplo,
                trans,
                b'N',
                n,
                2,
                1.0,
                a.as_ptr(),
                ld,
                a.as_ptr(),
                2,
                0.0,
                c.as_mut_ptr(),
                2,
            )
        };
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("gemmt"), "{error}");
    }
    assert!(c == [7.0; 4]);
}

/// Blocks of one matrix are operands of their own, as LAPACK's are; operands with elements in common are the library's
/// business: what it makes of them is what it makes of them without dispatch.
#[test]
fn operands_in_one_memory() {
    on("operands_in_one_memory", "scipy-openblas32", |blas| {
        let whole = Stored::<f64>::filled((24, 24), 3, 1, |_, _| true);
        let at = |row: usize, col: usize| row + col * whole.ld;
        let product = |blas: &Blas, a: usize, b: usize, c: usize| {
            let mut memory = whole.clone();
            let (start, ld) = (memory.ptr_mut(), memory.ld());
            // SAFETY: blocks of 11x11 within 24x24.
            unsafe {
                blas.gemm(
                    b'N',
                    b'N',
                    11,
                    11,
                    11,
                    -1.0,
                    start.add(a),
                    ld,
                    start.add(b),
                    ld,
                    1.0,
                    start.add(c),
                    ld,
                )
            }
            .unwrap();
            memory
        };
        let after = product(blas, at(13, 0), at(0, 13), at(13, 13));
        after.assert_untouched(&whole, |row, col| row >= 13 && col >= 13, "a block");
        let block = |row: usize, col: usize| {
            Dense::new(11, 11, |i, j| Some(whole.get(row + i, col + j).wide()))
        };
        let sum = Sum::new(&[(-Complex::ONE, block(13, 0), block(0, 13))]);
        for col in 0..11 {
            for row in 0..11 {
                let (value, size) = sum.at(row, col);
                let old = whole.get(13 + row, 13 + col).wide();
                let got = after.get(13 + row, 13 + col).wide();
                assert_close::<f64>(got, (value + old, size + old.l1_norm()), 11, &|| {
                    format!("{row} {col}")
                });
            }
        }
        // SAFETY: the same library.
        let direct = unsafe { Blas::open_direct(blas.path()) }.unwrap();
        for c in [at(0, 0), at(3, 0), at(0, 5), at(5, 5)] {
            let (one, other) = (
                product(blas, at(0, 0), at(13, 0), c),
                product(&direct, at(0, 0), at(13, 0), c),
            );
            assert!(one.same(&other), "overlap at {c}");
        }
    });
}

/// Integers that a library of 32 bits cannot hold are refused, with the value.
#[test]
fn integers_that_do_not_fit_are_refused() {
    on(
        "integers_that_do_not_fit_are_refused",
        "scipy-openblas32",
        |blas| {
            let n = i32::MAX as isize + 1;
            let (a, mut c) = ([0.0], [1.0]);
            let (a, at) = (a.as_ptr(), c.as_mut_ptr());
            // SAFETY: nothing is computed.
            let results = unsafe {
                [
                    blas.symm(b'L', b'L', 1, n, 1.0, a, 1, a, 1, 0.0, at, 1),
                    blas.syrk(b'L', b'N', n, 1, 1.0, a, n, 0.0, at, n),
                    blas.her2k(b'L', b'N', 1, 1, 1.0, a, n, a, 1, 0.0, at, 1),
                    blas.gemmt(b'L', b'N', b'N', 1, n, 1.0, a, 1, a, n, 0.0, at, 1),
                    blas.trsm(b'L', b'L', b'N', b'N', 1, n, 1.0, a, 1, at, 1),
                    blas.gemm_batch_strided(
                        b'N', b'N', n, 1, 1, 1.0, a, n, 0, a, 1, 0, 0.0, at, n, 0, 1,
                    ),
                ]
            };
            for result in results {
                let error = result.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Unsupported);
                assert!(error.to_string().contains(&n.to_string()), "{error}");
            }
            assert!(c == [1.0]);
            // SAFETY: as above.
            let error = unsafe {
                blas.gemm_batch_strided(
                    b'N', b'N', 1, 1, 1, 1.0, a, 1, 0, a, 1, 0, 0.0, at, 1, 0, -3,
                )
            };
            assert!(error.unwrap_err().to_string().contains("-3"));
        },
    );
}
