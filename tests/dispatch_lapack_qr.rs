//! QR factorization through dispatch, on real libraries with and without a LAPACK of their own: residuals and
//! orthogonality against plain loops, reflectors against the library's own.
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
use lapack::{again, direct, general, product_of_reflectors};
use num_complex::Complex;
use reference::{Number, Stored};
use threadctl::dispatch::Blas;

libraries! {
    openblas_wheel "scipy-openblas32": factors products columns special forbidden default_sizes;
    openblas_pthread "openblas-pthread": factors products columns special default_sizes;
    openblas_openmp "openblas-openmp": factors products columns default_sizes;
    mkl "mkl-rt": factors products columns special forbidden default_sizes;
    // They have no LAPACK: the plain loops.
    blis "blis-openmp": factors products columns special forbidden default_sizes;
    atlas "atlas": factors products columns;
}

/// The reflectors of a factorization.
struct Factors<T> {
    a: Stored<T>,
    tau: Vec<T>,
}

fn geqrf<T: Number>(blas: &Blas, a: &mut Stored<T>) -> Vec<T> {
    let (m, n, lda) = (a.rows as isize, a.cols as isize, a.ld());
    let mut tau = vec![T::ZERO; a.rows.min(a.cols)];
    let mut work = vec![T::ZERO; a.cols.max(1)];
    let (start, factors, space) = (a.ptr_mut(), tau.as_mut_ptr(), work.as_mut_ptr());
    // SAFETY: a matrix of that shape, its factors, and the least of workspace.
    let info = unsafe { blas.geqrf(m, n, start, lda, factors, space, n.max(1)) }.unwrap();
    assert_eq!(info, 0);
    assert!(work[0].wide().re >= n as f64, "the workspace it would like");
    tau
}

fn factor<T: Number>(blas: &Blas, before: &Stored<T>) -> Factors<T> {
    let what = format!("geqrf of {} {}x{}", T::LETTER, before.rows, before.cols);
    let (a, bits) = again(&what, before, |a| {
        let tau = geqrf(blas, a);
        tau.into_iter().map(Same).collect::<Vec<_>>()
    });
    a.assert_untouched(before, |_, _| true, &what);
    Factors {
        a,
        tau: bits.into_iter().map(|same| same.0).collect(),
    }
}

/// Compared bit by bit.
#[derive(Debug)]
struct Same<T>(T);

impl<T: Number> PartialEq for Same<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.bits() == other.0.bits()
    }
}

fn check_factors<T: Number>(blas: &Blas, m: usize, n: usize, gap: usize) {
    let what = format!("geqrf of {} {m}x{n}", T::LETTER);
    let before = general::<T>(m, n, gap, (7 * m + n) as u64);
    check_factors_of(blas, &before, &what);
}

fn check_factors_of<T: Number>(blas: &Blas, before: &Stored<T>, what: &str) {
    let (m, n) = (before.rows, before.cols);
    let factors = factor(blas, before);
    let q = product_of_reflectors(&factors.a, &factors.tau, m);
    let r = Full::triangle(&factors.a, [m, n], false, false);
    for i in 0..m.min(n) {
        assert!(r.at(i, i).im == 0.0, "{what}: R's diagonal is real");
    }
    let a = Full::of(before);
    assert_small::<T>(&a.minus(&q.times(&r)), m.max(n), a.norm(), what);
    let unit = q.taken(b'C').times(&q).minus(&Full::identity(m));
    assert_small::<T>(&unit, m, 1.0, what);
    // The same reflectors as the library's own, up to rounding.
    let mut own = before.clone();
    let own_tau = geqrf(&direct(blas), &mut own);
    let difference = Full::of(&factors.a).minus(&Full::of(&own));
    assert_small::<T>(&difference, 8 * m.max(n), Full::of(&own).norm(), what);
    for (one, other) in factors.tau.iter().zip(&own_tau) {
        let difference = (one.wide() - other.wide()).norm();
        assert!(
            difference < 1e3 * m as f64 * <T as Number>::EPSILON,
            "{what}: {one:?} {other:?}"
        );
    }
}

fn factors(blas: &Blas) {
    let sizes = [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33];
    for (index, &m) in sizes.iter().enumerate() {
        for &n in &sizes {
            of_all_types!(check_factors(blas, m, n, (index + n) % 3));
        }
    }
    for (m, n) in [(70, 5), (5, 70), (41, 40), (50, 50)] {
        of_all_types!(check_factors(blas, m, n, 1));
    }
}

/// Blocks as programs get them.
fn default_sizes(blas: &Blas) {
    Blas::simulate_small_tiles(false);
    for (m, n) in [(150, 49), (49, 150), (131, 131), (66, 180)] {
        check_factors::<f64>(blas, m, n, n % 2);
        check_factors::<Complex<f32>>(blas, m, n, n % 2);
    }
    for (m, n, k) in [(130, 70, 60), (70, 200, 66)] {
        for side in *b"LR" {
            check_product::<f64>(blas, side, b'T', [m, n, k]);
            check_product::<Complex<f64>>(blas, side, b'N', [m, n, k]);
        }
    }
    for (m, n, k) in [(130, 80, 70), (75, 75, 75)] {
        check_columns::<f64>(blas, [m, n, k]);
        check_columns::<Complex<f64>>(blas, [m, n, k]);
    }
}

fn check_product<T: Number>(blas: &Blas, side: u8, trans: u8, [m, n, k]: [usize; 3]) {
    let trans = if T::COMPLEX && trans == b'T' {
        b'C'
    } else {
        trans
    };
    let (order, lines) = if side == b'L' { (m, n) } else { (n, m) };
    let k = k.min(order);
    let what = format!(
        "{}unmqr {} {} {m}x{n} by {k}",
        T::LETTER,
        side as char,
        trans as char
    );
    let factors = factor(blas, &general::<T>(order, k, 1, 5 + order as u64));
    let before = general::<T>(m, n, 2, 9);
    let (after, info) = again(&what, &before, |c| {
        let mut work = vec![T::ZERO; lines];
        let (ldc, start, space) = (c.ld(), c.ptr_mut(), work.as_mut_ptr());
        let (a, lda, tau) = (factors.a.ptr(), factors.a.ld(), factors.tau.as_ptr());
        let ([m, n, k], lwork) = ([m, n, k].map(|size| size as isize), lines as isize);
        // SAFETY: reflectors of that order, a matrix of that shape, and the least of workspace.
        unsafe { blas.unmqr(side, trans, m, n, k, a, lda, tau, start, ldc, space, lwork) }.unwrap()
    });
    assert_eq!(info, 0, "{what}");
    after.assert_untouched(&before, |_, _| true, &what);
    let q = product_of_reflectors(&factors.a, &factors.tau, order).taken(if trans == b'N' {
        b'N'
    } else {
        b'C'
    });
    let c = Full::of(&before);
    let expected = if side == b'L' {
        q.times(&c)
    } else {
        c.times(&q)
    };
    let size = c.norm() * (order as f64).sqrt();
    assert_small::<T>(&Full::of(&after).minus(&expected), order, size, &what);
}

fn products(blas: &Blas) {
    for side in *b"LR" {
        for trans in *b"NT" {
            for shape in [
                [1, 1, 1],
                [2, 3, 2],
                [9, 5, 7],
                [17, 16, 3],
                [16, 33, 16],
                [33, 8, 30],
            ] {
                of_all_types!(check_product(blas, side, trans, shape));
            }
        }
    }
}

fn check_columns<T: Number>(blas: &Blas, [m, n, k]: [usize; 3]) {
    let what = format!("{}ungqr {m}x{n} of {k}", T::LETTER);
    let factors = factor(blas, &general::<T>(m, k, 1, 5 + m as u64));
    // Beyond the reflectors nothing is read.
    let before = {
        let mut before = Stored::<T>::nan(m, n, 2);
        for col in 0..k {
            (0..m).for_each(|row| before.set(row, col, factors.a.get(row, col)));
        }
        before
    };
    let (after, info) = again(&what, &before, |a| {
        let mut work = vec![T::ZERO; n];
        let (lda, start, space) = (a.ld(), a.ptr_mut(), work.as_mut_ptr());
        let [m, n, k] = [m, n, k].map(|size| size as isize);
        // SAFETY: so many columns, of which k are reflectors, and the least of workspace.
        unsafe { blas.ungqr(m, n, k, start, lda, factors.tau.as_ptr(), space, n) }.unwrap()
    });
    assert_eq!(info, 0, "{what}");
    after.assert_untouched(&before, |_, _| true, &what);
    let q = product_of_reflectors(&factors.a, &factors.tau, m).part(m, n);
    let difference = Full::of(&after).minus(&q);
    assert_small::<T>(&difference, m, (m as f64).sqrt(), &what);
}

fn columns(blas: &Blas) {
    for shape in [
        [1, 1, 1],
        [2, 2, 1],
        [5, 3, 2],
        [9, 9, 9],
        [17, 12, 7],
        [33, 33, 32],
        [40, 16, 16],
        [7, 5, 0],
    ] {
        of_all_types!(check_columns(blas, shape));
    }
}

/// Columns of zeros, numbers so small that they have no inverse, and what is no number.
fn special(blas: &Blas) {
    fn scaled<T: Number>(blas: &Blas, factor: f64) {
        let mut a = general::<T>(12, 9, 1, 3);
        for col in 0..9 {
            for row in 0..12 {
                a.set(row, col, T::of(a.get(row, col).wide() * factor));
            }
        }
        (0..12).for_each(|row| a.set(row, 4, T::ZERO));
        check_factors_of(
            blas,
            &a,
            &format!("geqrf of {} times {factor:e}", T::LETTER),
        );
    }
    fn not_a_number<T: Number>(blas: &Blas) {
        let mut a = general::<T>(12, 9, 0, 3);
        a.set(7, 5, T::of(Complex::new(f64::NAN, 0.0)));
        let after = factor(blas, &a).a;
        assert!(Full::of(&after).norm().is_nan());
        // What is on the left of it has nothing to do with it.
        assert!(!Full::of(&after).part(12, 5).norm().is_nan());
    }
    scaled::<f64>(blas, 1e-305);
    scaled::<Complex<f64>>(blas, 1e-305);
    scaled::<f32>(blas, 1e-36);
    scaled::<Complex<f32>>(blas, 1e-36);
    scaled::<f64>(blas, 1e300);
    scaled::<f32>(blas, 1e34);
    of_all_types!(not_a_number(blas));
}

/// Calls that LAPACK forbids, empty ones, and questions for the size of the workspace.
fn forbidden(blas: &Blas) {
    fn refusals<T: Number>(blas: &Blas) {
        let adjoint = if T::COMPLEX { b'C' } else { b'T' };
        let wrong = if T::COMPLEX { b'T' } else { b'C' };
        let mut memory = [(); 4].map(|()| vec![T::ONE; 64]);
        let [a, tau, c, work] = memory.each_mut().map(|memory| memory.as_mut_ptr());
        // SAFETY: forbidden or empty calls; there is room for what they could mean.
        unsafe {
            for (m, n, lda, lwork, info) in [
                (-1, 2, 2, 9, -1),
                (2, -1, 2, 9, -2),
                (3, 2, 2, 9, -4),
                (3, 2, 3, 1, -7),
                (0, 2, 1, 9, 0),
                (2, 0, 2, 9, 0),
            ] {
                assert_eq!(
                    blas.geqrf(m, n, a, lda, tau, work, lwork).unwrap(),
                    info,
                    "{m} {n}"
                );
            }
            for (side, trans, m, n, k, lda, ldc, lwork, info) in [
                (b'X', b'N', 2, 2, 2, 2, 2, 9, -1),
                (b'L', wrong, 2, 2, 2, 2, 2, 9, -2),
                (b'l', b'n', -1, 2, 2, 2, 2, 9, -3),
                (b'R', adjoint, 2, -1, 2, 2, 2, 9, -4),
                (b'L', b'N', 2, 3, 3, 3, 3, 9, -5),
                (b'R', b'N', 2, 3, 3, 2, 2, 9, -7),
                (b'L', b'N', 3, 2, 2, 3, 2, 9, -10),
                (b'L', b'N', 3, 2, 2, 3, 3, 1, -12),
                (b'L', b'N', 0, 2, 0, 1, 1, 9, 0),
            ] {
                let said = blas.unmqr(side, trans, m, n, k, a, lda, tau, c, ldc, work, lwork);
                assert_eq!(said.unwrap(), info);
            }
            for (m, n, k, lda, lwork, info) in [
                (-1, 0, 0, 1, 9, -1),
                (2, 3, 1, 2, 9, -2),
                (3, 2, 3, 3, 9, -3),
                (3, 2, 1, 2, 9, -5),
                (3, 2, 1, 3, 1, -8),
                (3, 0, 0, 3, 9, 0),
            ] {
                assert_eq!(blas.ungqr(m, n, k, a, lda, tau, work, lwork).unwrap(), info);
            }
        }
        assert!(memory[..3].iter().flatten().all(|&value| value == T::ONE));
        let [a, tau, c, work] = memory.each_mut().map(|memory| memory.as_mut_ptr());
        // SAFETY: nothing but the first element of the workspace is touched.
        unsafe {
            assert_eq!(blas.geqrf(500, 40, a, 500, tau, work, -1).unwrap(), 0);
            assert!(work.read().wide().re >= 40.0);
            let said = blas.unmqr(b'R', b'N', 50, 40, 30, a, 40, tau, c, 50, work, -1);
            assert_eq!(said.unwrap(), 0);
            assert!(work.read().wide().re >= 50.0);
            assert_eq!(blas.ungqr(500, 40, 30, a, 500, tau, work, -1).unwrap(), 0);
            assert!(work.read().wide().re >= 40.0);
        }
        assert!(memory[..3].iter().flatten().all(|&value| value == T::ONE));
    }
    of_all_types!(refusals(blas));
    of_all_types!(refusals(&direct(blas)));
}
