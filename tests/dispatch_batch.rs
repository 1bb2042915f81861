//! Batches of products through dispatch, on real libraries, against loops in plain Rust.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    reason = "a test fails by panicking; sizes are small"
)]

mod common;
#[path = "common/level3.rs"]
mod level3;
#[path = "common/reference.rs"]
mod reference;
#[path = "common/tiles.rs"]
mod tiles;

use num_complex::Complex;
use reference::{Dense, Number, Stored, Sum, assert_close};
use threadctl::dispatch::Blas;
use tiles::repeated;

libraries! {
    openblas_wheel "scipy-openblas32": batches;
    openblas_pthread "openblas-pthread": batches;
    openblas_openmp "openblas-openmp": batches;
    blis "blis-openmp": batches;
    mkl "mkl-rt": batches;
}

const BETAS: [(f64, f64); 3] = [(0.0, 0.0), (1.0, 0.0), (-0.5, 0.25)];

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

/// Asserts that a product in memory is what it should be.
fn assert_product<T: Number>(
    (before, after): (&Stored<T>, &Stored<T>),
    terms: &[(Complex<f64>, Dense, Dense)],
    beta: Complex<f64>,
    what: &str,
) {
    let sum = Sum::new(terms);
    after.assert_untouched(before, |_, _| true, what);
    for col in 0..after.cols {
        for row in 0..after.rows {
            let (mut value, mut size) = sum.at(row, col);
            if beta != Complex::ZERO {
                value += beta * before.get(row, col).wide();
                size += beta.l1_norm() * before.get(row, col).wide().l1_norm();
            }
            let got = after.get(row, col).wide();
            assert_close::<T>(got, (value, size), sum.depth(), &|| {
                format!("{what} [{row}, {col}]")
            });
        }
    }
}

fn batches(blas: &Blas) {
    for letter in *b"sdcz" {
        for count in [0, 1, 2, 3, 7, 31, 32, 40] {
            for (turn, shape) in [[1, 1, 1], [2, 3, 4], [5, 9, 3], [17, 8, 6]]
                .into_iter()
                .enumerate()
            {
                let flags = [b"NTC"[(turn + count) % 3], b"TCN"[turn % 3]];
                let beta = BETAS[(turn + count) % 3];
                typed!(letter, lists(blas, flags, shape, count, beta));
                typed!(letter, strided(blas, flags, shape, count, beta));
            }
        }
        typed!(letter, lists(blas, [b'N', b'T'], [4, 5, 0], 5, (0.5, 0.0)));
        typed!(letter, one_result_for_all(blas));
    }
}

fn stored(flag: u8, rows: usize, cols: usize) -> (usize, usize) {
    if flag == b'N' {
        (rows, cols)
    } else {
        (cols, rows)
    }
}

fn lists<T: Number>(
    blas: &Blas,
    [ta, tb]: [u8; 2],
    [m, n, k]: [usize; 3],
    count: usize,
    beta: (f64, f64),
) {
    let what = format!("{count} products {m} {n} {k} of {}", T::LETTER);
    let make = |shape, gap, seed: usize| -> Vec<Stored<T>> {
        let matrix = |i| Stored::filled(shape, gap, (100 * seed + i) as u64, |_, _| true);
        (0..count.max(1)).map(matrix).collect()
    };
    let a = make(stored(ta, m, k), 1, 1);
    let b = make(stored(tb, k, n), 0, 2);
    let mut c = make((m, n), 2, 3);
    let before = c.clone();
    let (alpha, beta) = (Complex::new(0.75, -0.5), Complex::new(beta.0, beta.1));
    let (alpha, beta) = (T::of(alpha), T::of(beta));
    let starts = [&a, &b].map(|list| list.iter().map(Stored::ptr).collect::<Vec<_>>());
    let mut first = None;
    for _ in 0..2 {
        for (c, before) in c.iter_mut().zip(&before) {
            c.memory.copy_from_slice(&before.memory);
        }
        let results: Vec<_> = c.iter_mut().map(Stored::ptr_mut).collect();
        let [m, n, k] = [m, n, k].map(|size| size as isize);
        // SAFETY: `count` matrices of these shapes each.
        unsafe {
            blas.gemm_batch(
                ta,
                tb,
                m,
                n,
                k,
                alpha,
                starts[0].as_ptr(),
                a[0].ld(),
                starts[1].as_ptr(),
                b[0].ld(),
                beta,
                results.as_ptr(),
                before[0].ld(),
                count as isize,
            )
        }
        .unwrap();
        let first = first.get_or_insert_with(|| c.clone());
        assert!(
            first.iter().zip(&c).all(|(a, b)| a.same(b)),
            "{what}: not the same again"
        );
    }
    if count == 0 {
        assert!(c[0].same(&before[0]));
    }
    for i in 0..count {
        let terms = [(alpha.wide(), a[i].dense().taken(ta), b[i].dense().taken(tb))];
        assert_product((&before[i], &c[i]), &terms, beta.wide(), &what);
    }
}

/// One B for all, and the results of each product right behind each other.
fn strided<T: Number>(
    blas: &Blas,
    [ta, tb]: [u8; 2],
    [m, n, k]: [usize; 3],
    count: usize,
    beta: (f64, f64),
) {
    let what = format!("{count} strided products {m} {n} {k} of {}", T::LETTER);
    let (rows, cols) = stored(ta, m, k);
    // Matrices beside each other are one.
    let a = Stored::<T>::filled((rows, cols * count), 1, 5, |_, _| true);
    let b = Stored::<T>::filled(stored(tb, k, n), 2, 6, |_, _| true);
    let before = Stored::<T>::filled((m, n * count), 0, 7, |_, _| true);
    let (alpha, beta) = (
        T::of(Complex::new(-0.5, 1.0)),
        T::of(Complex::new(beta.0, beta.1)),
    );
    let mut c = before.clone();
    let after = repeated(&what, || {
        c.memory.copy_from_slice(&before.memory);
        let (step_a, step_c) = (a.ld() * cols as isize, c.ld() * n as isize);
        let ldc = c.ld();
        // SAFETY: `count` matrices of these shapes, and one.
        unsafe {
            blas.gemm_batch_strided(
                ta,
                tb,
                m as isize,
                n as isize,
                k as isize,
                alpha,
                a.ptr(),
                a.ld(),
                step_a,
                b.ptr(),
                b.ld(),
                0,
                beta,
                c.ptr_mut(),
                ldc,
                step_c,
                count as isize,
            )
        }
        .unwrap();
        c.clone()
    });
    // A product for all: block by block of columns.
    for i in 0..count {
        let part = |whole: &Stored<T>, cols: usize| {
            let mut part = Stored::nan(whole.rows, cols, 0);
            for col in 0..cols {
                (0..whole.rows).for_each(|row| part.set(row, col, whole.get(row, i * cols + col)));
            }
            part
        };
        let terms = [(
            alpha.wide(),
            part(&a, cols).dense().taken(ta),
            b.dense().taken(tb),
        )];
        let (old, new) = (part(&before, n), part(&after, n));
        assert_product((&old, &new), &terms, beta.wide(), &what);
    }
    after.assert_untouched(&before, |_, _| true, &what);
}

/// With a stride of 0 each product is added to the one before.
fn one_result_for_all<T: Number>(blas: &Blas) {
    let (m, n, k, count) = (6, 7, 3, 9);
    let a = Stored::<T>::filled((m, k * count), 0, 8, |_, _| true);
    let b = Stored::<T>::filled((k, n), 0, 9, |_, _| true);
    let before = Stored::<T>::filled((m, n), 1, 10, |_, _| true);
    let mut c = before.clone();
    let ldc = c.ld();
    // SAFETY: nine, one and one matrix.
    unsafe {
        blas.gemm_batch_strided(
            b'N',
            b'N',
            m as isize,
            n as isize,
            k as isize,
            T::ONE,
            a.ptr(),
            a.ld(),
            (m * k) as isize,
            b.ptr(),
            b.ld(),
            0,
            T::ONE,
            c.ptr_mut(),
            ldc,
            0,
            count as isize,
        )
    }
    .unwrap();
    // The sum of all A times B: all A beside each other, times B upon B.
    let bs = Dense::new(k * count, n, |row, col| Some(b.get(row % k, col).wide()));
    assert_product(
        (&before, &c),
        &[(Complex::ONE, a.dense(), bs)],
        Complex::ONE,
        "a sum of products",
    );
}
