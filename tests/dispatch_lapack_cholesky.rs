//! Cholesky factorization through dispatch, on real libraries with and without a LAPACK of their own: residuals against
//! plain loops, `info` against the library's own.
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
use lapack::{again, direct, general, positive};
use num_complex::Complex;
use reference::{Number, Stored};
use threadctl::dispatch::Blas;

libraries! {
    openblas_wheel "scipy-openblas32": factors solutions not_positive forbidden default_sizes;
    openblas_pthread "openblas-pthread": factors solutions not_positive forbidden default_sizes;
    openblas_openmp "openblas-openmp": factors solutions not_positive default_sizes;
    mkl "mkl-rt": factors solutions not_positive forbidden default_sizes;
    // They have no LAPACK: the plain loops.
    blis "blis-openmp": factors solutions not_positive forbidden_without_lapack default_sizes;
    atlas "atlas": factors solutions not_positive;
}

/// Factors a matrix: the factor, `info`.
fn factor<T: Number>(blas: &Blas, lower: bool, before: &Stored<T>) -> (Stored<T>, isize) {
    let uplo = if lower { b'L' } else { b'U' };
    let what = format!("potrf {} of {} {}", uplo as char, T::LETTER, before.rows);
    let (after, info) = again(&what, before, |a| {
        let (n, lda) = (a.rows as isize, a.ld());
        // SAFETY: a matrix of that order.
        unsafe { blas.potrf(uplo, n, a.ptr_mut(), lda) }.unwrap()
    });
    after.assert_untouched(before, |row, col| is_inside(lower, row, col), &what);
    let own = {
        let mut a = before.clone();
        let (n, lda) = (a.rows as isize, a.ld());
        // SAFETY: as above.
        unsafe { direct(blas).potrf(uplo, n, a.ptr_mut(), lda) }.unwrap()
    };
    assert_eq!(info, own, "{what}: the library's own");
    (after, info)
}

fn is_inside(lower: bool, row: usize, col: usize) -> bool {
    if lower { row >= col } else { row <= col }
}

/// The product of a factor and its adjoint.
fn square<T: Number>(factor: &Stored<T>, lower: bool, order: usize) -> Full {
    let triangle = Full::triangle(factor, [order, order], lower, false);
    let adjoint = triangle.taken(b'C');
    if lower {
        triangle.times(&adjoint)
    } else {
        adjoint.times(&triangle)
    }
}

fn check_factor<T: Number>(blas: &Blas, lower: bool, n: usize, gap: usize) {
    let what = format!("potrf of {} {n}, lower: {lower}", T::LETTER);
    let before = positive::<T>(n, lower, gap, n as u64);
    let (after, info) = factor(blas, lower, &before);
    assert_eq!(info, 0, "{what}");
    for i in 0..n {
        let pivot = after.get(i, i).wide();
        assert!(pivot.re > 0.0 && pivot.im == 0.0, "{what}: {pivot}");
    }
    let a = Full::hermitian(&before, lower);
    let difference = a.minus(&square(&after, lower, n));
    assert_small::<T>(&difference, n, a.norm(), &what);
}

fn factors(blas: &Blas) {
    for lower in [false, true] {
        for n in (1..=10).chain([15, 16, 17, 31, 32, 33, 47, 64, 70]) {
            of_all_types!(check_factor(blas, lower, n, n % 3));
        }
    }
}

fn default_sizes(blas: &Blas) {
    Blas::simulate_small_tiles(false);
    for lower in [false, true] {
        for n in [71, 73, 130, 193] {
            check_factor::<f64>(blas, lower, n, n % 2);
            check_factor::<Complex<f32>>(blas, lower, n, n % 2);
        }
        for (n, nrhs) in [(72, 80), (130, 65)] {
            check_solution::<f64>(blas, lower, n, nrhs);
            check_solution::<Complex<f64>>(blas, lower, n, nrhs);
        }
        check_not_positive::<f64>(blas, lower, 150, 120);
        check_not_positive::<Complex<f64>>(blas, lower, 140, 65);
    }
}

fn check_solution<T: Number>(blas: &Blas, lower: bool, n: usize, nrhs: usize) {
    let uplo = if lower { b'L' } else { b'U' };
    let what = format!("potrs {} of {} {n}x{nrhs}", uplo as char, T::LETTER);
    let a = positive::<T>(n, lower, 1, 3 + n as u64);
    let b = general::<T>(n, nrhs, 2, 5);
    let (factored, _) = factor(blas, lower, &a);
    let (order, cols) = (n as isize, nrhs as isize);
    let (x, info) = again(&what, &b, |x| {
        let (ldb, b) = (x.ld(), x.ptr_mut());
        // SAFETY: a factor of that order, and so many columns.
        unsafe { blas.potrs(uplo, order, cols, factored.ptr(), factored.ld(), b, ldb) }.unwrap()
    });
    assert_eq!(info, 0, "{what}");
    x.assert_untouched(&b, |_, _| true, &what);
    let whole = Full::hermitian(&a, lower);
    let solution = Full::of(&x);
    let difference = Full::of(&b).minus(&whole.times(&solution));
    assert_small::<T>(&difference, n, whole.norm() * solution.norm(), &what);

    // posv is both, in one call.
    let (both, info) = again(&what, &b, |x| {
        let mut a = a.clone();
        let (lda, ldb) = (a.ld(), x.ld());
        let (a, b) = (a.ptr_mut(), x.ptr_mut());
        // SAFETY: a matrix of that order, and so many columns.
        unsafe { blas.posv(uplo, order, cols, a, lda, b, ldb) }.unwrap()
    });
    assert_eq!(info, 0, "posv, {what}");
    let solution = Full::of(&both);
    let difference = Full::of(&b).minus(&whole.times(&solution));
    assert_small::<T>(&difference, n, whole.norm() * solution.norm(), &what);
}

fn solutions(blas: &Blas) {
    for lower in [false, true] {
        for (n, nrhs) in [(1, 1), (2, 3), (5, 1), (7, 9), (16, 2), (17, 5), (33, 40)] {
            of_all_types!(check_solution(blas, lower, n, nrhs));
        }
    }
}

/// A pivot that is not positive at a known place, or not a number: `info` names it.
fn check_not_positive<T: Number>(blas: &Blas, lower: bool, n: usize, at: usize) {
    for pivot in [-1.0, 0.0, f64::NAN] {
        let what = format!(
            "potrf of {} {n}, {pivot} at {at}, lower: {lower}",
            T::LETTER
        );
        let mut before = positive::<T>(n, lower, 1, n as u64);
        // So small beside the rest that the leading minor has this sign.
        before.set(at, at, T::of(Complex::new(pivot, 0.0)));
        let (after, info) = factor(blas, lower, &before);
        assert_eq!(info, at as isize + 1, "{what}");
        // What comes before is factored.
        let a = Full::hermitian(&before, lower).part(at, at);
        let difference = a.minus(&square(&after, lower, at));
        assert_small::<T>(&difference, at, a.norm(), &what);

        // Nothing is solved.
        let uplo = if lower { b'L' } else { b'U' };
        let b = general::<T>(n, 2, 0, 1);
        let (mut a, mut x) = (before.clone(), b.clone());
        let (lda, ldb, order) = (a.ld(), x.ld(), n as isize);
        let (a, x_ptr) = (a.ptr_mut(), x.ptr_mut());
        // SAFETY: a matrix of that order, and two columns.
        let result = unsafe { blas.posv(uplo, order, 2, a, lda, x_ptr, ldb) }.unwrap();
        assert_eq!(result, info, "posv, {what}");
        assert!(x.same(&b), "{what}: something was solved");
    }
}

fn not_positive(blas: &Blas) {
    for lower in [false, true] {
        for n in [1, 2, 9, 17, 40] {
            for at in [0, n / 2, n - 1] {
                of_all_types!(check_not_positive(blas, lower, n, at));
            }
        }
    }
}

/// Calls that LAPACK forbids: the number of the argument, and nothing is touched.
fn refusals<T: Number>(blas: &Blas) {
    let nan = T::of(Complex::new(f64::NAN, f64::NAN));
    let (mut a, mut b) = (vec![nan; 16], vec![nan; 16]);
    let (a, b) = (a.as_mut_ptr(), b.as_mut_ptr());
    // SAFETY: forbidden arguments; there is room for what they could mean.
    unsafe {
        for (uplo, n, lda, info) in [(b'X', 2, 2, -1), (b'u', -1, 2, -2), (b'L', 3, 2, -4)] {
            assert_eq!(blas.potrf(uplo, n, a, lda).unwrap(), info);
        }
        for (uplo, n, nrhs, lda, ldb, info) in [
            (b'X', 2, 2, 2, 2, -1),
            (b'L', -1, 2, 2, 2, -2),
            (b'l', 2, -1, 2, 2, -3),
            (b'U', 3, 2, 2, 3, -5),
            (b'U', 3, 2, 3, 2, -7),
        ] {
            assert_eq!(blas.potrs(uplo, n, nrhs, a, lda, b, ldb).unwrap(), info);
            assert_eq!(blas.posv(uplo, n, nrhs, a, lda, b, ldb).unwrap(), info);
        }
        // Nothing to do.
        assert_eq!(blas.potrf(b'L', 0, a, 1).unwrap(), 0);
        assert_eq!(blas.potrs(b'L', 0, 2, a, 1, b, 1).unwrap(), 0);
        assert_eq!(blas.potrs(b'U', 2, 0, a, 2, b, 2).unwrap(), 0);
        assert_eq!(blas.posv(b'U', 0, 2, a, 1, b, 1).unwrap(), 0);
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
