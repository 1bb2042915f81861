//! Level 2 through dispatch, on real libraries, against loops in plain Rust.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "a test fails by panicking; sizes are small"
)]

mod common;
#[path = "common/operands.rs"]
mod operands;
#[path = "common/reference.rs"]
mod reference;

use num_complex::Complex;
use operands::{
    Number, Operand, Wide, assert_close, assert_product, everything, factor, hermitian, op,
    product, repeated, triangle,
};
use threadctl::dispatch::Blas;

/// Rows and columns: around what parts begin at, long, wide, and both.
const SHAPES: [(usize, usize); 10] = [
    (1, 1),
    (7, 300),
    (300, 7),
    (15, 17),
    (16, 128),
    (513, 9),
    (1025, 33),
    (33, 1025),
    (600, 600),
    (2049, 70),
];

/// Around what strips begin at and what blocks are large.
const ORDERS: [usize; 9] = [1, 8, 16, 17, 63, 64, 65, 130, 581];

const INCREMENTS: [(isize, isize); 4] = [(1, 1), (2, 3), (-1, 2), (3, -2)];

libraries! {
    gemv: each_type!(gemv);
    ger: each_type!(ger);
    hemv: each_type!(hemv);
    her: each_type!(her);
    triangular: each_type!(triangular);
    as_by_default: |blas| {
        Blas::simulate_small_tiles(false);
        one_gemv::<f64>(blas, b'N', (1031, 701), (1, 1), 0.5);
        one_gemv::<f64>(blas, b'T', (1031, 701), (1, 1), 0.5);
        one_ger::<f64>(blas, (1031, 701), (1, 1));
        for uplo in [b'U', b'L'] {
            one_hemv::<f64>(blas, uplo, 1031, (1, 1), 0.5);
            one_her::<f64>(blas, uplo, 1031, 1);
            for trans in [b'N', b'T'] {
                one_triangular::<f64>(blas, [uplo, trans, b'N'], 1031, 1);
            }
        }
    };
}

fn gemv<T: Number>(blas: &Blas) {
    for shape in SHAPES {
        for trans in [b'N', b'T', b'C', b'n'] {
            one_gemv::<T>(blas, trans, shape, (1, 1), 0.5);
        }
    }
    for incs in INCREMENTS {
        for shape in [(33, 1025), (1025, 33)] {
            for beta in [0.0, 1.0] {
                one_gemv::<T>(blas, b'N', shape, incs, beta);
                one_gemv::<T>(blas, b'C', shape, incs, beta);
            }
        }
    }
}

fn one_gemv<T: Number>(
    blas: &Blas,
    trans: u8,
    (m, n): (usize, usize),
    (incx, incy): (isize, isize),
    beta: f64,
) {
    let what = format!(
        "{}gemv {} {m} {n} {incx} {incy} {beta}",
        T::LETTER,
        trans as char
    );
    let (rows, cols) = if trans.eq_ignore_ascii_case(&b'N') {
        (m, n)
    } else {
        (n, m)
    };
    let a = Operand::<T>::matrix((m, n), 3, 1, everything);
    let x = Operand::<T>::vector(cols, incx, 2);
    let mut y = Operand::<T>::vector(rows, incy, 3);
    if beta == 0.0 {
        (0..rows).for_each(|row| y.set(row, factor(f64::NAN, f64::NAN)));
    }
    let (alpha, beta) = (factor::<T>(0.75, -0.5), factor::<T>(beta, 0.0));
    let ([got], ()) = repeated(&what, [&y], |[y]| {
        let (m, n) = (m as isize, n as isize);
        // SAFETY: operands of these sizes.
        unsafe {
            blas.gemv(
                trans,
                m,
                n,
                alpha,
                a.ptr(),
                a.step,
                x.ptr(),
                incx,
                beta,
                y.ptr_mut(),
                incy,
            )
        }
        .unwrap();
    });
    let a = op(trans.to_ascii_uppercase(), |row, col| a.at(row, col));
    let expected = product(alpha.wide(), a, &x.wide(), beta.wide(), &y.wide());
    assert_product::<T>(&what, &got.wide(), &expected, cols);
}

fn ger<T: Number>(blas: &Blas) {
    for shape in SHAPES {
        one_ger::<T>(blas, shape, (1, 1));
    }
    for incs in INCREMENTS {
        one_ger::<T>(blas, (33, 1025), incs);
        one_ger::<T>(blas, (1025, 12), incs);
    }
}

fn one_ger<T: Number>(blas: &Blas, (m, n): (usize, usize), (incx, incy): (isize, isize)) {
    let a = Operand::<T>::matrix((m, n), 5, 4, everything);
    let (x, y) = (
        Operand::<T>::vector(m, incx, 5),
        Operand::<T>::vector(n, incy, 6),
    );
    let alpha = factor::<T>(0.75, -0.5);
    for conjugated in [false, true] {
        let what = format!("{}ger {conjugated} {m} {n} {incx} {incy}", T::LETTER);
        let ([got], ()) = repeated(&what, [&a], |[a]| {
            let (m, n, lda) = (m as isize, n as isize, a.step);
            // SAFETY: operands of these sizes.
            unsafe {
                if conjugated {
                    blas.gerc(m, n, alpha, x.ptr(), incx, y.ptr(), incy, a.ptr_mut(), lda)
                } else {
                    blas.geru(m, n, alpha, x.ptr(), incx, y.ptr(), incy, a.ptr_mut(), lda)
                }
            }
            .unwrap();
        });
        for col in 0..n {
            let right = y.get(col).wide();
            let right = alpha.wide() * if conjugated { right.conj() } else { right };
            for row in 0..m {
                let expected = a.at(row, col) + x.get(row).wide() * right;
                assert_close::<T>(&what, got.at(row, col), expected, 2, 4.0);
            }
        }
    }
}

/// All of a Hermitian matrix.
fn whole<T: Number>(a: &Operand<T>, uplo: u8) -> impl Fn(usize, usize) -> Wide {
    let stored = triangle(uplo);
    move |row, col| {
        if row == col {
            a.at(row, col).re.into()
        } else if stored(row, col) {
            a.at(row, col)
        } else {
            a.at(col, row).conj()
        }
    }
}

fn hemv<T: Number>(blas: &Blas) {
    for uplo in [b'U', b'L'] {
        for n in ORDERS {
            one_hemv::<T>(blas, uplo, n, (1, 1), 0.5);
        }
        for incs in INCREMENTS {
            one_hemv::<T>(blas, uplo, 130, incs, 0.0);
        }
    }
}

fn one_hemv<T: Number>(blas: &Blas, uplo: u8, n: usize, (incx, incy): (isize, isize), beta: f64) {
    let what = format!(
        "{}hemv {} {n} {incx} {incy} {beta}",
        T::LETTER,
        uplo as char
    );
    let a = hermitian::<T>(uplo, n, 7);
    let x = Operand::<T>::vector(n, incx, 8);
    let mut y = Operand::<T>::vector(n, incy, 9);
    if beta == 0.0 {
        (0..n).for_each(|row| y.set(row, factor(f64::NAN, f64::NAN)));
    }
    let (alpha, beta) = (factor::<T>(0.75, -0.5), factor::<T>(beta, 0.0));
    let ([got], ()) = repeated(&what, [&y], |[y]| {
        let (n, lda) = (n as isize, a.step);
        // SAFETY: operands of these sizes.
        unsafe {
            blas.hemv(
                uplo,
                n,
                alpha,
                a.ptr(),
                lda,
                x.ptr(),
                incx,
                beta,
                y.ptr_mut(),
                incy,
            )
        }
        .unwrap();
    });
    let (x, beta) = (x.wide(), beta.wide());
    let expected = product(alpha.wide(), whole(&a, uplo), &x, beta, &y.wide());
    assert_product::<T>(&what, &got.wide(), &expected, n);
}

fn her<T: Number>(blas: &Blas) {
    for uplo in [b'U', b'L'] {
        for n in ORDERS {
            one_her::<T>(blas, uplo, n, 1);
        }
        for inc in [2, -1, -3] {
            one_her::<T>(blas, uplo, 130, inc);
        }
    }
}

fn one_her<T: Number>(blas: &Blas, uplo: u8, n: usize, inc: isize) {
    let what = format!("{}her {} {n} {inc}", T::LETTER, uplo as char);
    let a = hermitian::<T>(uplo, n, 10);
    let x = Operand::<T>::vector(n, inc, 11);
    let alpha = factor::<T>(0.75, 0.0).re();
    let ([got], ()) = repeated(&what, [&a], |[a]| {
        // SAFETY: operands of these sizes.
        unsafe { blas.her(uplo, n as isize, alpha, x.ptr(), inc, a.ptr_mut(), a.step) }.unwrap();
    });
    let (before, stored) = (whole(&a, uplo), triangle(uplo));
    for col in 0..n {
        for row in (0..n).filter(|&row| stored(row, col)) {
            let update = x.get(row).wide() * x.get(col).wide().conj() * 0.75;
            let expected = before(row, col) + update;
            assert_close::<T>(&what, got.at(row, col), expected, 2, 4.0);
            assert!(
                row != col || got.at(row, col).im == 0.0,
                "{what}: {row} is not real"
            );
        }
    }
}

fn triangular<T: Number>(blas: &Blas) {
    for uplo in [b'U', b'L'] {
        for trans in [b'N', b'T', b'C'] {
            for diag in [b'N', b'U'] {
                let flags = [uplo, trans, diag];
                for n in ORDERS {
                    one_triangular::<T>(blas, flags, n, 1);
                }
                one_triangular::<T>(blas, flags, 130, 2);
                one_triangular::<T>(blas, flags, 130, -3);
            }
        }
    }
}

fn one_triangular<T: Number>(blas: &Blas, [uplo, trans, diag]: [u8; 3], n: usize, inc: isize) {
    let flags = [uplo, trans, diag].map(char::from);
    let name = |routine| format!("{}{routine} {flags:?} {n} {inc}", T::LETTER);
    // Of a unit diagonal nothing is stored. Beside the diagonal it is small, so that systems are well conditioned.
    let stored = triangle(uplo);
    let holds = |row, col| stored(row, col) && (row != col || diag == b'N');
    let mut a = Operand::<T>::matrix((n, n), 4, 12, holds);
    for col in 0..n {
        for row in (0..n).filter(|&row| holds(row, col)) {
            let value = if row == col {
                a.at(row, col) + 3.0
            } else {
                a.at(row, col) / n as f64
            };
            a.set_at(row, col, T::of(value));
        }
    }
    let element = |row: usize, col: usize| match (row == col && diag == b'U', stored(row, col)) {
        (true, _) => Wide::ONE,
        (_, true) => a.at(row, col),
        _ => Wide::ZERO,
    };
    let x = Operand::<T>::vector(n, inc, 13);
    let zeros = vec![Wide::ZERO; n];

    let what = name("trmv");
    let ([got], ()) = repeated(&what, [&x], |[x]| {
        let (n, lda) = (n as isize, a.step);
        // SAFETY: operands of these sizes.
        unsafe { blas.trmv(uplo, trans, diag, n, a.ptr(), lda, x.ptr_mut(), inc) }.unwrap();
    });
    let expected = product(Wide::ONE, op(trans, element), &x.wide(), Wide::ZERO, &zeros);
    assert_product::<T>(&what, &got.wide(), &expected, n);

    let what = name("trsv");
    let ([got], ()) = repeated(&what, [&x], |[x]| {
        let (n, lda) = (n as isize, a.step);
        // SAFETY: operands of these sizes.
        unsafe { blas.trsv(uplo, trans, diag, n, a.ptr(), lda, x.ptr_mut(), inc) }.unwrap();
    });
    // What was solved for, multiplied, is what there was.
    let back = product(
        Wide::ONE,
        op(trans, element),
        &got.wide(),
        Wide::ZERO,
        &zeros,
    );
    for (index, (back, size)) in back.into_iter().enumerate() {
        let what = format!("{what} [{index}]");
        assert_close::<T>(&what, back, x.get(index).wide(), n, size);
    }
}
