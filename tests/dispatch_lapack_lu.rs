//! LU factorization through dispatch, on real libraries with and without a LAPACK of their own: residuals against plain
//! loops, pivots and `info` against the library's own.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    reason = "a test fails by panicking; sizes are small"
)]

mod common;
#[path = "common/full.rs"]
mod full;
#[path = "common/lapack.rs"]
mod lapack;
#[path = "common/level3.rs"]
mod level3;
#[path = "common/reference.rs"]
mod reference;
#[path = "common/tiles.rs"]
mod tiles;

use full::{Full, assert_small};
use lapack::{again, direct, general, product_of_lu};
use num_complex::Complex;
use reference::{Number, Stored};
use threadctl::dispatch::Blas;

libraries! {
    openblas_wheel "scipy-openblas32": factors panels ties solutions singular forbidden not_numbers default_sizes;
    openblas_pthread "openblas-pthread": factors panels ties solutions singular forbidden default_sizes;
    openblas_openmp "openblas-openmp": factors panels solutions singular default_sizes;
    mkl "mkl-rt": factors panels ties solutions singular forbidden default_sizes;
    // They have no LAPACK: the plain loops.
    blis "blis-openmp": factors panels ties solutions singular forbidden_without_lapack not_numbers default_sizes;
    atlas "atlas": factors solutions singular;
}

/// Factors a matrix: the factors, the pivots, `info`.
fn factor<T: Number>(blas: &Blas, before: &Stored<T>) -> (Stored<T>, (Vec<isize>, isize)) {
    let what = format!("getrf of {} {}x{}", T::LETTER, before.rows, before.cols);
    let (m, n) = (before.rows as isize, before.cols as isize);
    let pivots_of = |blas: &Blas, a: &mut Stored<T>| {
        let mut pivots = vec![0_i32; a.rows.min(a.cols)];
        let lda = a.ld();
        // SAFETY: a matrix of that shape, and its pivots.
        let info = unsafe { blas.getrf(m, n, a.ptr_mut(), lda, pivots.as_mut_ptr()) }.unwrap();
        (
            pivots.into_iter().map(|pivot| pivot as isize).collect(),
            info,
        )
    };
    let (after, result) = again(&what, before, |a| pivots_of(blas, a));
    after.assert_untouched(before, |_, _| true, &what);
    // Pivots of 64 bits are the same.
    let mut wide = vec![0_i64; before.rows.min(before.cols)];
    let mut a = before.clone();
    let lda = a.ld();
    // SAFETY: as above.
    let info = unsafe { blas.getrf(m, n, a.ptr_mut(), lda, wide.as_mut_ptr()) }.unwrap();
    assert_eq!(
        (wide.iter().map(|&pivot| pivot as isize).collect(), info),
        result,
        "{what}"
    );
    // And so are the library's own.
    assert_eq!(
        pivots_of(&direct(blas), &mut before.clone()),
        result,
        "{what}: the library's own"
    );
    (after, result)
}

fn check_factors<T: Number>(blas: &Blas, m: usize, n: usize, gap: usize) {
    let before = general::<T>(m, n, gap, (7 * m + n) as u64);
    let (after, (pivots, info)) = factor(blas, &before);
    let what = format!("getrf of {} {m}x{n}", T::LETTER);
    assert_eq!(info, 0, "{what}");
    let a = Full::of(&before);
    let difference = a.minus(&product_of_lu(&after, &pivots));
    assert_small::<T>(&difference, m.min(n), a.norm(), &what);
}

fn factors(blas: &Blas) {
    let sizes = [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33];
    for (index, &m) in sizes.iter().enumerate() {
        for &n in &sizes {
            of_all_types!(check_factors(blas, m, n, (index + n) % 3));
        }
    }
    for (m, n) in [(70, 5), (5, 70), (41, 40), (64, 64)] {
        of_all_types!(check_factors(blas, m, n, 1));
    }
}

/// By panels, which get narrower and of which the last are the narrowest: more rows than columns, more columns, and rows
/// that are not part of the matrix below each column.
fn panels(blas: &Blas) {
    for (m, n) in [(12, 12), (13, 29), (31, 13), (57, 57), (60, 61), (90, 47)] {
        of_all_types!(check_factors(blas, m, n, 5));
    }
    // A pool of another size cuts the updates otherwise.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
    pool.unwrap().install(|| {
        of_all_types!(check_factors(blas, 45, 45, 2));
    });
}

/// Columns whose elements all have the same modulus at every step, and numbers that are exact: of equals the first is the
/// pivot, as LAPACK has it.
fn ties(blas: &Blas) {
    fn check<T: Number>(blas: &Blas, n: usize) {
        let mut a = general::<T>(n, n, 3, 1);
        for row in 0..n {
            for col in 0..n {
                // Sylvester's matrix: its Schur complements are multiples of smaller ones.
                let sign = if (row & col).count_ones() % 2 == 0 {
                    1.0
                } else {
                    -1.0
                };
                a.set(row, col, T::of(Complex::new(sign, 0.0)));
            }
        }
        let (after, (pivots, info)) = factor(blas, &a);
        let what = format!("getrf of {} {n}x{n} with ties", T::LETTER);
        assert_eq!(info, 0, "{what}");
        let difference = Full::of(&a).minus(&product_of_lu(&after, &pivots));
        assert_eq!(difference.norm(), 0.0, "{what}");
    }
    for n in [8, 16, 32, 64] {
        of_all_types!(check(blas, n));
    }
}

/// The recursion as programs get it: at the edges of the sizes from which on it is cut, and of its columns.
fn default_sizes(blas: &Blas) {
    Blas::simulate_small_tiles(false);
    for (m, n) in [
        (71, 71),
        (73, 73),
        (97, 95),
        (150, 49),
        (49, 150),
        (211, 211),
        (300, 130),
    ] {
        check_factors::<f64>(blas, m, n, n % 2);
        check_factors::<Complex<f32>>(blas, m, n, n % 2);
    }
    for (n, nrhs) in [(72, 72), (130, 65), (90, 200)] {
        check_solution::<f64>(blas, b'N', n, nrhs, 1);
        check_solution::<Complex<f64>>(blas, b'C', n, nrhs, 0);
    }
}

fn check_solution<T: Number>(blas: &Blas, trans: u8, n: usize, nrhs: usize, gap: usize) {
    let what = format!("getrs {} of {} {n}x{nrhs}", trans as char, T::LETTER);
    let a = general::<T>(n, n, gap, 3 + n as u64);
    let b = general::<T>(n, nrhs, 2 * gap, 5);
    let (factors, (pivots, _)) = factor(blas, &a);
    let pivots: Vec<i32> = pivots
        .iter()
        .map(|&pivot| i32::try_from(pivot).unwrap())
        .collect();
    let (order, cols) = (n as isize, nrhs as isize);
    let (x, info) = again(&what, &b, |x| {
        let (ldb, b) = (x.ld(), x.ptr_mut());
        // SAFETY: factors of that order, their pivots, and so many columns.
        unsafe {
            blas.getrs(
                trans,
                order,
                cols,
                factors.ptr(),
                factors.ld(),
                pivots.as_ptr(),
                b,
                ldb,
            )
        }
        .unwrap()
    });
    assert_eq!(info, 0, "{what}");
    x.assert_untouched(&b, |_, _| true, &what);
    let (a, x) = (Full::of(&a).taken(trans), Full::of(&x));
    let difference = Full::of(&b).minus(&a.times(&x));
    assert_small::<T>(&difference, n, a.norm() * x.norm(), &what);
}

/// gesv is getrf and getrs, in one call.
fn check_gesv<T: Number>(blas: &Blas, n: usize, nrhs: usize) {
    let what = format!("gesv of {} {n}x{nrhs}", T::LETTER);
    let (a, b) = (general::<T>(n, n, 1, 11), general::<T>(n, nrhs, 2, 13));
    let (order, cols) = (n as isize, nrhs as isize);
    let (x, (factors, pivots, info)) = again(&what, &b, |x| {
        let mut factors = a.clone();
        let mut pivots = vec![0_i32; n];
        let (lda, ldb) = (a.ld(), x.ld());
        let (a, b) = (factors.ptr_mut(), x.ptr_mut());
        // SAFETY: a matrix of that order, its pivots, and so many columns.
        let info = unsafe { blas.gesv(order, cols, a, lda, pivots.as_mut_ptr(), b, ldb) }.unwrap();
        let bits: Vec<_> = factors.memory.iter().map(|value| value.bits()).collect();
        (bits, pivots, info)
    });
    assert_eq!(info, 0, "{what}");
    let (expected, (its, _)) = factor(blas, &a);
    let bits: Vec<_> = expected.memory.iter().map(|value| value.bits()).collect();
    assert_eq!(factors.len(), bits.len());
    assert_eq!(
        pivots
            .iter()
            .map(|&pivot| pivot as isize)
            .collect::<Vec<_>>(),
        its,
        "{what}"
    );
    let (a, x) = (Full::of(&a), Full::of(&x));
    let difference = Full::of(&b).minus(&a.times(&x));
    assert_small::<T>(&difference, n, a.norm() * x.norm(), &what);
}

fn solutions(blas: &Blas) {
    for trans in *b"NTC" {
        for (n, nrhs) in [(1, 1), (2, 3), (5, 1), (7, 9), (16, 2), (17, 5), (33, 40)] {
            of_all_types!(check_solution(blas, trans, n, nrhs, nrhs % 2));
        }
    }
    for (n, nrhs) in [(1, 1), (9, 4), (30, 1), (31, 33)] {
        of_all_types!(check_gesv(blas, n, nrhs));
    }
}

/// A zero pivot at a known place: the factorization is completed, and `info` names the first.
fn check_singular<T: Number>(blas: &Blas, m: usize, n: usize, zeros: &[usize]) {
    let what = format!(
        "getrf of {} {m}x{n} with the columns {zeros:?} zero",
        T::LETTER
    );
    let mut before = general::<T>(m, n, 1, (m + 3 * n) as u64);
    for &col in zeros {
        (0..m).for_each(|row| before.set(row, col, T::ZERO));
    }
    let (after, (pivots, info)) = factor(blas, &before);
    assert_eq!(info, zeros[0] as isize + 1, "{what}");
    let a = Full::of(&before);
    let difference = a.minus(&product_of_lu(&after, &pivots));
    assert_small::<T>(&difference, m.min(n), a.norm(), &what);
    if m == n {
        // Nothing is solved.
        let b = general::<T>(n, 2, 0, 1);
        let (mut factors, mut x, mut pivots) = (before.clone(), b.clone(), vec![0_i32; n]);
        let (lda, ldb, order) = (factors.ld(), x.ld(), n as isize);
        let (a, x_ptr) = (factors.ptr_mut(), x.ptr_mut());
        // SAFETY: a matrix of that order, its pivots, and two columns.
        let result =
            unsafe { blas.gesv(order, 2, a, lda, pivots.as_mut_ptr(), x_ptr, ldb) }.unwrap();
        assert_eq!(result, info, "{what}");
        assert!(x.same(&b), "{what}: something was solved");
    }
}

fn singular(blas: &Blas) {
    for (m, n) in [(1, 1), (6, 6), (17, 17), (20, 9), (9, 20), (33, 33)] {
        let k = m.min(n);
        of_all_types!(check_singular(blas, m, n, &[0]));
        of_all_types!(check_singular(blas, m, n, &[k - 1]));
        if k > 4 {
            of_all_types!(check_singular(blas, m, n, &[k / 2, k - 1]));
        }
    }
}

/// Where there is a NaN, results are NaN, nothing hangs, and `info` is the library's own.
fn not_numbers(blas: &Blas) {
    fn check<T: Number>(blas: &Blas, n: usize, row: usize, col: usize) {
        let mut a = general::<T>(n, n, 0, 21);
        a.set(row, col, T::of(Complex::new(f64::NAN, 0.0)));
        let info_of = |blas: &Blas, a: &mut Stored<T>| {
            let mut pivots = vec![0_i32; n];
            let (lda, order) = (a.ld(), n as isize);
            // SAFETY: a matrix of that order, and its pivots.
            let info =
                unsafe { blas.getrf(order, order, a.ptr_mut(), lda, pivots.as_mut_ptr()) }.unwrap();
            assert!(
                pivots
                    .iter()
                    .enumerate()
                    .all(|(i, &p)| p as usize > i && p as usize <= n)
            );
            info
        };
        let (after, info) = again("getrf of a NaN", &a, |a| info_of(blas, a));
        assert_eq!(info, info_of(&direct(blas), &mut a), "{n} {row} {col}");
        assert!(Full::of(&after).norm().is_nan());
    }
    for (row, col) in [(0, 0), (5, 3), (18, 18), (2, 17)] {
        of_all_types!(check(blas, 19, row, col));
    }
    for (row, col) in [(0, 0), (40, 3), (20, 30), (40, 40)] {
        of_all_types!(check(blas, 41, row, col));
    }
}

/// Calls that LAPACK forbids: the number of the argument, and nothing is touched.
fn refusals<T: Number>(blas: &Blas) {
    let nan = T::of(Complex::new(f64::NAN, f64::NAN));
    let (mut a, mut b) = (vec![nan; 16], vec![nan; 16]);
    let mut pivots = [1_i32; 4];
    let (a, b, pivots) = (a.as_mut_ptr(), b.as_mut_ptr(), pivots.as_mut_ptr());
    // SAFETY: forbidden arguments; there is room for what they could mean.
    unsafe {
        for (m, n, lda, info) in [
            (-1, 2, 2, -1),
            (2, -1, 2, -2),
            (3, 2, 2, -4),
            (0, 0, 0, -4),
            (-1, -1, -1, -1),
        ] {
            assert_eq!(blas.getrf(m, n, a, lda, pivots).unwrap(), info);
        }
        for (trans, n, nrhs, lda, ldb, info) in [
            (b'X', 2, 2, 2, 2, -1),
            (b'N', -1, 2, 2, 2, -2),
            (b't', 2, -1, 2, 2, -3),
            (b'C', 3, 2, 2, 3, -5),
            (b'N', 3, 2, 3, 2, -8),
        ] {
            assert_eq!(
                blas.getrs(trans, n, nrhs, a, lda, pivots, b, ldb).unwrap(),
                info
            );
        }
        for (n, nrhs, lda, ldb, info) in [
            (-1, 1, 1, 1, -1),
            (2, -1, 2, 2, -2),
            (3, 1, 2, 3, -4),
            (3, 1, 3, 2, -7),
        ] {
            assert_eq!(blas.gesv(n, nrhs, a, lda, pivots, b, ldb).unwrap(), info);
        }
        // Nothing to do.
        assert_eq!(blas.getrf(0, 3, a, 1, pivots).unwrap(), 0);
        assert_eq!(blas.getrf(3, 0, a, 3, pivots).unwrap(), 0);
        assert_eq!(blas.getrs(b'N', 0, 2, a, 1, pivots, b, 1).unwrap(), 0);
        assert_eq!(blas.getrs(b'N', 2, 0, a, 2, pivots, b, 2).unwrap(), 0);
        assert_eq!(blas.gesv(0, 2, a, 1, pivots, b, 1).unwrap(), 0);
        for index in 0..16 {
            assert!((*a.add(index)).wide().re.is_nan() && (*b.add(index)).wide().re.is_nan());
        }
    }
}

fn forbidden(blas: &Blas) {
    of_all_types!(refusals(blas));
    of_all_types!(refusals(&direct(blas)));
}

fn forbidden_without_lapack(blas: &Blas) {
    of_all_types!(refusals(blas));
}
