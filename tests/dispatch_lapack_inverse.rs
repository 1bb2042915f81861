//! Inverses, triangles and what is solved by them through dispatch, on real libraries with and without a LAPACK of their
//! own: residuals against plain loops, `info` against the library's own.
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
use lapack::{again, direct, general, positive, triangular};
use num_complex::Complex;
use reference::{Number, Stored};
use threadctl::dispatch::Blas;

libraries! {
    openblas_wheel "scipy-openblas32": triangles squares solutions inverses singular forbidden default_sizes;
    openblas_pthread "openblas-pthread": triangles squares inverses singular default_sizes;
    openblas_openmp "openblas-openmp": triangles squares inverses default_sizes;
    mkl "mkl-rt": triangles squares solutions inverses singular forbidden default_sizes;
    // They have no LAPACK: the plain loops.
    blis "blis-openmp": triangles squares solutions inverses singular forbidden default_sizes;
    atlas "atlas": triangles squares inverses;
}

fn letter(lower: bool) -> u8 {
    if lower { b'L' } else { b'U' }
}

fn is_inside(lower: bool, unit: bool, row: usize, col: usize) -> bool {
    if row == col {
        !unit
    } else {
        (row > col) == lower
    }
}

fn trtri<T: Number>(blas: &Blas, lower: bool, diag: u8, a: &mut Stored<T>) -> isize {
    let (n, lda) = (a.rows as isize, a.ld());
    // SAFETY: a matrix of that order.
    unsafe { blas.trtri(letter(lower), diag, n, a.ptr_mut(), lda) }.unwrap()
}

/// A triangle, whose diagonal is a NaN if it is not to be looked at.
fn triangle<T: Number>(n: usize, lower: bool, unit: bool) -> Stored<T> {
    let mut a = triangular::<T>(n, lower, n % 3, n as u64);
    if unit {
        (0..n).for_each(|i| a.set(i, i, T::of(Complex::new(f64::NAN, f64::NAN))));
    }
    a
}

fn check_triangle<T: Number>(blas: &Blas, lower: bool, unit: bool, n: usize) {
    let what = format!("trtri of {} {n}, lower: {lower}, unit: {unit}", T::LETTER);
    let diag = if unit { b'U' } else { b'N' };
    let before = triangle::<T>(n, lower, unit);
    let (after, info) = again(&what, &before, |a| trtri(blas, lower, diag, a));
    assert_eq!(info, 0, "{what}");
    after.assert_untouched(&before, |row, col| is_inside(lower, unit, row, col), &what);
    let full = |stored: &Stored<T>| Full::triangle(stored, [n, n], lower, unit);
    let (a, inverse) = (full(&before), full(&after));
    let difference = a.times(&inverse).minus(&Full::identity(n));
    assert_small::<T>(&difference, n, a.norm() * inverse.norm(), &what);
}

fn triangles(blas: &Blas) {
    for lower in [false, true] {
        for unit in [false, true] {
            for n in (1..=9).chain([16, 17, 31, 33, 50]) {
                of_all_types!(check_triangle(blas, lower, unit, n));
            }
        }
    }
}

fn check_square<T: Number>(blas: &Blas, lower: bool, n: usize) {
    let what = format!("lauum of {} {n}, lower: {lower}", T::LETTER);
    let mut before = triangular::<T>(n, lower, 1, n as u64);
    for i in 0..n {
        before.set(i, i, T::of(Complex::new(before.get(i, i).wide().re, 0.0)));
    }
    let (after, info) = again(&what, &before, |a| {
        let (n, lda) = (a.rows as isize, a.ld());
        // SAFETY: a matrix of that order.
        unsafe { blas.lauum(letter(lower), n, a.ptr_mut(), lda) }.unwrap()
    });
    assert_eq!(info, 0, "{what}");
    after.assert_untouched(&before, |row, col| is_inside(lower, false, row, col), &what);
    let a = Full::triangle(&before, [n, n], lower, false);
    let adjoint = a.taken(b'C');
    let expected = if lower {
        adjoint.times(&a)
    } else {
        a.times(&adjoint)
    };
    let difference = Full::hermitian(&after, lower).minus(&expected);
    assert_small::<T>(&difference, n, a.norm() * adjoint.norm(), &what);
}

fn squares(blas: &Blas) {
    for lower in [false, true] {
        for n in (1..=9).chain([16, 17, 31, 33, 50]) {
            of_all_types!(check_square(blas, lower, n));
        }
    }
}

fn check_solution<T: Number>(
    blas: &Blas,
    [lower, unit]: [bool; 2],
    trans: u8,
    n: usize,
    nrhs: usize,
) {
    let what = format!(
        "trtrs {} of {} {n}x{nrhs}, {lower} {unit}",
        trans as char,
        T::LETTER
    );
    let diag = if unit { b'U' } else { b'N' };
    let a = triangle::<T>(n, lower, unit);
    let b = general::<T>(n, nrhs, 2, 5);
    let (x, info) = again(&what, &b, |x| {
        let (n, nrhs, ldb, x) = (n as isize, nrhs as isize, x.ld(), x.ptr_mut());
        // SAFETY: a triangle of that order, and so many columns.
        unsafe { blas.trtrs(letter(lower), trans, diag, n, nrhs, a.ptr(), a.ld(), x, ldb) }.unwrap()
    });
    assert_eq!(info, 0, "{what}");
    let a = Full::triangle(&a, [n, n], lower, unit).taken(trans);
    let x = Full::of(&x);
    let difference = Full::of(&b).minus(&a.times(&x));
    assert_small::<T>(&difference, n, a.norm() * x.norm(), &what);
}

fn solutions(blas: &Blas) {
    for flags in [[false, false], [false, true], [true, false], [true, true]] {
        for trans in *b"NTC" {
            for (n, nrhs) in [(1, 1), (7, 3), (17, 20)] {
                of_all_types!(check_solution(blas, flags, trans, n, nrhs));
            }
        }
    }
}

/// A general matrix by its LU factors, a Hermitian one by its Cholesky factor.
fn check_inverses<T: Number>(blas: &Blas, n: usize) {
    let what = format!("getri of {} {n}", T::LETTER);
    let mut before = general::<T>(n, n, 1, 40 + n as u64);
    for i in 0..n {
        // Not too close to a singular one.
        let value = before.get(i, (i + 1) % n).wide();
        before.set(
            i,
            (i + 1) % n,
            T::of(value + value / value.norm() * (n as f64).sqrt()),
        );
    }
    let mut factors = before.clone();
    let mut pivots = vec![0_i32; n];
    let (order, lda) = (n as isize, factors.ld());
    // SAFETY: a matrix of that order, and its pivots.
    let info =
        unsafe { blas.getrf(order, order, factors.ptr_mut(), lda, pivots.as_mut_ptr()) }.unwrap();
    assert_eq!(info, 0, "{what}");
    let (after, info) = again(&what, &factors, |a| {
        let mut work = vec![T::ZERO; n];
        let (a, space) = (a.ptr_mut(), work.as_mut_ptr());
        // SAFETY: factors of that order, their pivots, and the least of workspace.
        unsafe { blas.getri(order, a, lda, pivots.as_ptr(), space, order) }.unwrap()
    });
    assert_eq!(info, 0, "{what}");
    after.assert_untouched(&factors, |_, _| true, &what);
    let (a, inverse) = (Full::of(&before), Full::of(&after));
    let difference = inverse.times(&a).minus(&Full::identity(n));
    assert_small::<T>(&difference, n, a.norm() * inverse.norm(), &what);

    for lower in [false, true] {
        let what = format!("potri of {} {n}, lower: {lower}", T::LETTER);
        let before = positive::<T>(n, lower, 2, n as u64);
        let mut factor = before.clone();
        let lda = factor.ld();
        // SAFETY: a matrix of that order.
        let info = unsafe { blas.potrf(letter(lower), order, factor.ptr_mut(), lda) }.unwrap();
        assert_eq!(info, 0, "{what}");
        let (after, info) = again(&what, &factor, |a| {
            // SAFETY: a factor of that order.
            unsafe { blas.potri(letter(lower), order, a.ptr_mut(), lda) }.unwrap()
        });
        assert_eq!(info, 0, "{what}");
        after.assert_untouched(&factor, |row, col| is_inside(lower, false, row, col), &what);
        let (a, inverse) = (
            Full::hermitian(&before, lower),
            Full::hermitian(&after, lower),
        );
        let difference = a.times(&inverse).minus(&Full::identity(n));
        assert_small::<T>(&difference, n, a.norm() * inverse.norm(), &what);
    }
}

fn inverses(blas: &Blas) {
    for n in (2..=9).chain([16, 17, 31, 33, 50]) {
        of_all_types!(check_inverses(blas, n));
    }
}

fn default_sizes(blas: &Blas) {
    Blas::simulate_small_tiles(false);
    for n in [73, 131, 200] {
        check_inverses::<f64>(blas, n);
        check_inverses::<Complex<f32>>(blas, n);
    }
    for lower in [false, true] {
        for n in [97, 180] {
            check_triangle::<f64>(blas, lower, n == 97, n);
            check_square::<f64>(blas, lower, n);
            check_square::<Complex<f64>>(blas, lower, n);
        }
    }
}

/// A zero on the diagonal: `info` names it, and nothing is computed.
fn singular(blas: &Blas) {
    fn check<T: Number>(blas: &Blas, n: usize, at: usize) {
        let expected = at as isize + 1;
        let what = format!("{} {n}, zero at {at}", T::LETTER);
        for lower in [false, true] {
            let mut before = triangular::<T>(n, lower, 1, 3);
            before.set(at, at, T::ZERO);
            let mut a = before.clone();
            assert_eq!(trtri(blas, lower, b'N', &mut a), expected, "{what}");
            assert!(a.same(&before), "{what}: something was inverted");
            assert_eq!(
                trtri(&direct(blas), lower, b'N', &mut a),
                expected,
                "{what}"
            );
            let b = general::<T>(n, 3, 0, 1);
            let mut x = b.clone();
            let (order, lda, ldb) = (n as isize, a.ld(), x.ld());
            let (factor, start) = (a.ptr_mut(), x.ptr_mut());
            // SAFETY: matrices of that order, three columns, and the workspace.
            unsafe {
                let uplo = letter(lower);
                let info = blas.trtrs(uplo, b'N', b'N', order, 3, factor, lda, start, ldb);
                assert_eq!(info.unwrap(), expected, "{what}");
                assert_eq!(
                    blas.potri(uplo, order, factor, lda).unwrap(),
                    expected,
                    "{what}"
                );
                if !lower {
                    let pivots: Vec<i32> = (1..=i32::try_from(n).unwrap()).collect();
                    let mut work = vec![T::ZERO; n];
                    let (pivots, work) = (pivots.as_ptr(), work.as_mut_ptr());
                    let info = blas.getri(order, factor, lda, pivots, work, order).unwrap();
                    assert_eq!(info, expected, "{what}");
                }
            }
            assert!(
                x.same(&b) && a.same(&before),
                "{what}: something was computed"
            );
        }
    }
    for (n, at) in [(1, 0), (9, 0), (9, 8), (33, 20)] {
        of_all_types!(check(blas, n, at));
    }
}

/// Calls that LAPACK forbids, empty ones, and questions for the size of the workspace.
fn forbidden(blas: &Blas) {
    fn refusals<T: Number>(blas: &Blas) {
        let mut memory = [(); 3].map(|()| vec![T::ONE; 64]);
        let pivots = [1_i32; 8];
        let [a, b, work] = memory.each_mut().map(|memory| memory.as_mut_ptr());
        let pivots = pivots.as_ptr();
        // SAFETY: forbidden or empty calls; there is room for what they could mean.
        unsafe {
            for (uplo, diag, n, lda, info) in [
                (b'X', b'N', 2, 2, -1),
                (b'U', b'X', 2, 2, -2),
                (b'l', b'u', -1, 2, -3),
                (b'L', b'N', 3, 2, -5),
                (b'L', b'N', 0, 1, 0),
            ] {
                assert_eq!(blas.trtri(uplo, diag, n, a, lda).unwrap(), info);
            }
            for (uplo, n, lda, info) in [
                (b'X', 2, 2, -1),
                (b'U', -1, 2, -2),
                (b'L', 3, 2, -4),
                (b'L', 0, 1, 0),
            ] {
                assert_eq!(blas.lauum(uplo, n, a, lda).unwrap(), info);
                assert_eq!(blas.potri(uplo, n, a, lda).unwrap(), info);
            }
            for (uplo, trans, diag, n, nrhs, lda, ldb, info) in [
                (b'X', b'N', b'N', 2, 2, 2, 2, -1),
                (b'U', b'X', b'N', 2, 2, 2, 2, -2),
                (b'U', b'T', b'X', 2, 2, 2, 2, -3),
                (b'U', b'C', b'N', -1, 2, 2, 2, -4),
                (b'U', b'C', b'N', 2, -1, 2, 2, -5),
                (b'U', b'C', b'N', 3, 2, 2, 3, -7),
                (b'U', b'C', b'N', 3, 2, 3, 2, -9),
                (b'U', b'C', b'N', 0, 2, 1, 1, 0),
            ] {
                let said = blas
                    .trtrs(uplo, trans, diag, n, nrhs, a, lda, b, ldb)
                    .unwrap();
                assert_eq!(said, info);
            }
            for (n, lda, lwork, info) in
                [(-1, 2, 9, -1), (3, 2, 9, -3), (3, 3, 2, -6), (0, 1, 1, 0)]
            {
                assert_eq!(blas.getri(n, a, lda, pivots, work, lwork).unwrap(), info);
            }
            assert_eq!(blas.getri(500, a, 500, pivots, work, -1).unwrap(), 0);
            assert!(work.read().wide().re >= 500.0);
        }
        assert!(memory[..2].iter().flatten().all(|&value| value == T::ONE));
    }
    of_all_types!(refusals(blas));
    of_all_types!(refusals(&direct(blas)));
}
