//! LQ factorization and least squares through dispatch, on real libraries with and without a LAPACK of their own:
//! residuals and orthogonality against plain loops, results against the library's own.
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
    openblas_wheel "scipy-openblas32": factors products rows fits scaled deficient forbidden default_sizes;
    openblas_pthread "openblas-pthread": factors products rows fits default_sizes;
    openblas_openmp "openblas-openmp": factors fits;
    mkl "mkl-rt": factors products rows fits scaled deficient forbidden default_sizes;
    // They have no LAPACK: the plain loops.
    blis "blis-openmp": factors products rows fits scaled deficient forbidden default_sizes;
    atlas "atlas": factors products rows fits;
}

fn gelqf<T: Number>(blas: &Blas, a: &mut Stored<T>) -> Vec<T> {
    let (m, n, lda) = (a.rows as isize, a.cols as isize, a.ld());
    let mut tau = vec![T::ZERO; a.rows.min(a.cols)];
    let mut work = vec![T::ZERO; a.rows];
    let (start, factors, space) = (a.ptr_mut(), tau.as_mut_ptr(), work.as_mut_ptr());
    // SAFETY: a matrix of that shape, its factors, and the least of workspace.
    let info = unsafe { blas.gelqf(m, n, start, lda, factors, space, m) }.unwrap();
    assert_eq!(info, 0);
    tau
}

/// The whole of Q: the adjoint of the product of the reflectors in the adjoint.
fn q<T: Number>(a: &Stored<T>, tau: &[T]) -> Full {
    let mut adjoint = Stored::<T>::nan(a.cols, a.rows, 0);
    for row in 0..a.rows {
        (0..a.cols).for_each(|col| adjoint.set(col, row, a.get(row, col).conj()));
    }
    product_of_reflectors(&adjoint, tau, a.cols).taken(b'C')
}

fn check_factors<T: Number>(blas: &Blas, m: usize, n: usize, gap: usize) {
    let what = format!("gelqf of {} {m}x{n}", T::LETTER);
    let before = general::<T>(m, n, gap, (7 * m + n) as u64);
    let (after, _) = again(&what, &before, |a| {
        gelqf(blas, a)
            .iter()
            .map(|tau| tau.bits())
            .collect::<Vec<_>>()
    });
    after.assert_untouched(&before, |_, _| true, &what);
    let tau = gelqf(blas, &mut before.clone());
    let q = q(&after, &tau);
    let l = Full::triangle(&after, [m, n], true, false);
    let a = Full::of(&before);
    assert_small::<T>(&a.minus(&l.times(&q)), m.max(n), a.norm(), &what);
    let unit = q.times(&q.taken(b'C')).minus(&Full::identity(n));
    assert_small::<T>(&unit, n, 1.0, &what);
    // The same reflectors as the library's own, up to rounding.
    let mut own = before.clone();
    gelqf(&direct(blas), &mut own);
    let own = Full::of(&own);
    assert_small::<T>(
        &Full::of(&after).minus(&own),
        8 * m.max(n),
        own.norm(),
        &what,
    );
}

fn factors(blas: &Blas) {
    let sizes = [1, 2, 3, 5, 8, 9, 17, 33];
    for (index, &m) in sizes.iter().enumerate() {
        for &n in &sizes {
            of_all_types!(check_factors(blas, m, n, (index + n) % 3));
        }
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
        "{}unmlq {} {} {m}x{n} by {k}",
        T::LETTER,
        side as char,
        trans as char
    );
    let mut a = general::<T>(k, order, 1, 5 + order as u64);
    let tau = gelqf(blas, &mut a);
    let before = general::<T>(m, n, 2, 9);
    let (after, info) = again(&what, &before, |c| {
        let mut work = vec![T::ZERO; lines];
        let (ldc, start, space) = (c.ld(), c.ptr_mut(), work.as_mut_ptr());
        let (a, lda, tau) = (a.ptr(), a.ld(), tau.as_ptr());
        let ([m, n, k], lwork) = ([m, n, k].map(|size| size as isize), lines as isize);
        // SAFETY: reflectors of that order, a matrix of that shape, and the least of workspace.
        unsafe { blas.unmlq(side, trans, m, n, k, a, lda, tau, start, ldc, space, lwork) }.unwrap()
    });
    assert_eq!(info, 0, "{what}");
    after.assert_untouched(&before, |_, _| true, &what);
    let q = q(&a, &tau).taken(if trans == b'N' { b'N' } else { b'C' });
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
            for shape in [[1, 1, 1], [2, 3, 2], [9, 5, 7], [17, 16, 3], [16, 33, 16]] {
                of_all_types!(check_product(blas, side, trans, shape));
            }
        }
    }
}

fn check_rows<T: Number>(blas: &Blas, [m, n, k]: [usize; 3]) {
    let what = format!("{}unglq {m}x{n} of {k}", T::LETTER);
    let mut reflectors = general::<T>(k, n, 1, 5 + m as u64);
    let tau = gelqf(blas, &mut reflectors);
    // Beyond the reflectors nothing is read.
    let mut before = Stored::<T>::nan(m, n, 2);
    for row in 0..k {
        (0..n).for_each(|col| before.set(row, col, reflectors.get(row, col)));
    }
    let (after, info) = again(&what, &before, |a| {
        let mut work = vec![T::ZERO; m];
        let (lda, start, space) = (a.ld(), a.ptr_mut(), work.as_mut_ptr());
        let [m, n, k] = [m, n, k].map(|size| size as isize);
        // SAFETY: so many rows, of which k are reflectors, and the least of workspace.
        unsafe { blas.unglq(m, n, k, start, lda, tau.as_ptr(), space, m) }.unwrap()
    });
    assert_eq!(info, 0, "{what}");
    after.assert_untouched(&before, |_, _| true, &what);
    let difference = Full::of(&after).minus(&q(&reflectors, &tau).part(m, n));
    assert_small::<T>(&difference, n, (n as f64).sqrt(), &what);
}

fn rows(blas: &Blas) {
    for shape in [
        [1, 1, 1],
        [2, 2, 1],
        [3, 5, 2],
        [9, 9, 9],
        [12, 17, 7],
        [16, 40, 16],
    ] {
        of_all_types!(check_rows(blas, shape));
    }
}

/// A fit of gels: the solution, and `info`.
fn gels<T: Number>(blas: &Blas, trans: u8, a: &Stored<T>, b: &mut Stored<T>) -> isize {
    let mut factors = a.clone();
    let (m, n, nrhs) = (a.rows as isize, a.cols as isize, b.cols as isize);
    let least = m.min(n);
    let lwork = (least + least.max(nrhs)).max(1);
    let mut work = vec![T::ZERO; usize::try_from(lwork).unwrap()];
    let (lda, ldb) = (a.ld(), b.ld());
    let (a, x, work) = (factors.ptr_mut(), b.ptr_mut(), work.as_mut_ptr());
    // SAFETY: a matrix of that shape, so many columns, and the least of workspace.
    unsafe { blas.gels(trans, m, n, nrhs, a, lda, x, ldb, work, lwork) }.unwrap()
}

/// The columns of B beyond those rows that are given are NaN: they are not to be read.
fn right_sides<T: Number>(m: usize, n: usize, trans: u8, nrhs: usize, factor: f64) -> Stored<T> {
    let mut b = Stored::<T>::nan(m.max(n), nrhs, 1);
    let given = general::<T>(if trans == b'N' { m } else { n }, nrhs, 0, 77);
    for col in 0..nrhs {
        for row in 0..given.rows {
            b.set(row, col, T::of(given.get(row, col).wide() * factor));
        }
    }
    b
}

fn check_fit<T: Number>(blas: &Blas, trans: u8, [m, n, nrhs]: [usize; 3], factors: [f64; 2]) {
    let trans = if T::COMPLEX && trans == b'T' {
        b'C'
    } else {
        trans
    };
    let what = format!(
        "gels {} of {} {m}x{n}x{nrhs} {factors:?}",
        trans as char,
        T::LETTER
    );
    let mut a = general::<T>(m, n, 1, (m + 5 * n) as u64);
    for col in 0..n {
        for row in 0..m {
            a.set(row, col, T::of(a.get(row, col).wide() * factors[0]));
        }
    }
    let before = right_sides::<T>(m, n, trans, nrhs, factors[1]);
    let (after, info) = again(&what, &before, |b| gels(blas, trans, &a, b));
    assert_eq!(info, 0, "{what}");
    let whole = Full::new(m, n, |row, col| a.get(row, col).wide() / factors[0]).taken(trans);
    let (equations, unknowns) = (whole.rows, whole.cols);
    let ratio = factors[0] / factors[1];
    let x = Full::new(unknowns, nrhs, |row, col| {
        after.get(row, col).wide() * ratio
    });
    let b = Full::new(equations, nrhs, |row, col| {
        before.get(row, col).wide() / factors[1]
    });
    let residual = b.minus(&whole.times(&x));
    let size = whole.norm() * x.norm() + b.norm();
    if equations > unknowns {
        // The shortest residual is orthogonal to all columns.
        let product = whole.taken(b'C').times(&residual);
        assert_small::<T>(&product, m.max(n), whole.norm() * size, &what);
    } else {
        assert_small::<T>(&residual, m.max(n), size, &what);
    }
    // The library's own finds the same, the shortest one too.
    let mut own = before.clone();
    assert_eq!(gels(&direct(blas), trans, &a, &mut own), 0, "{what}");
    let own = Full::new(unknowns, nrhs, |row, col| own.get(row, col).wide() * ratio);
    let condition = 50.0 * (m * n) as f64;
    assert_small::<T>(&x.minus(&own), m.max(n), condition * own.norm(), &what);
}

fn fits(blas: &Blas) {
    for trans in *b"NT" {
        for shape in [
            [1, 1, 1],
            [5, 2, 3],
            [2, 5, 3],
            [20, 9, 1],
            [9, 20, 1],
            [33, 17, 20],
            [17, 33, 4],
        ] {
            of_all_types!(check_fit(blas, trans, shape, [1.0, 1.0]));
        }
    }
}

/// Numbers so large or so small that they are scaled on the way.
fn scaled(blas: &Blas) {
    for trans in *b"NT" {
        for shape in [[13, 6, 2], [6, 13, 2]] {
            check_fit::<f64>(blas, trans, shape, [1e-300, 1e-290]);
            check_fit::<f64>(blas, trans, shape, [1e300, 1e290]);
            check_fit::<Complex<f64>>(blas, trans, shape, [1e-300, 1e-295]);
            check_fit::<f32>(blas, trans, shape, [1e-34, 1e-33]);
            check_fit::<Complex<f32>>(blas, trans, shape, [1e35, 1e34]);
        }
    }
}

/// A column of zeros, and a matrix of zeros.
fn deficient(blas: &Blas) {
    fn check<T: Number>(blas: &Blas, m: usize, n: usize) {
        let what = format!("gels of {} {m}x{n}", T::LETTER);
        let mut a = general::<T>(m, n, 1, 3);
        let at = m.min(n) - 2;
        for i in 0..m.max(n) {
            if m >= n {
                a.set(i.min(m - 1), at, T::ZERO);
            } else {
                a.set(at, i.min(n - 1), T::ZERO);
            }
        }
        let before = right_sides::<T>(m, n, b'N', 2, 1.0);
        let (_, info) = again(&what, &before, |b| gels(blas, b'N', &a, b));
        assert_eq!(info, at as isize + 1, "{what}");
        assert_eq!(
            gels(&direct(blas), b'N', &a, &mut before.clone()),
            info,
            "{what}"
        );

        let zero = Stored::<T>::filled((m, n), 0, 1, |_, _| false);
        let mut zero = zero;
        for col in 0..n {
            (0..m).for_each(|row| zero.set(row, col, T::ZERO));
        }
        let (after, info) = again(&what, &before, |b| gels(blas, b'N', &zero, b));
        assert_eq!(info, 0, "{what}");
        for col in 0..2 {
            assert!(
                (0..m.max(n)).all(|row| after.get(row, col) == T::ZERO),
                "{what}"
            );
        }
    }
    for (m, n) in [(12, 7), (7, 12), (9, 9)] {
        of_all_types!(check(blas, m, n));
    }
}

fn default_sizes(blas: &Blas) {
    Blas::simulate_small_tiles(false);
    for (m, n) in [(131, 131), (66, 150), (150, 66)] {
        check_factors::<f64>(blas, m, n, n % 2);
        check_factors::<Complex<f32>>(blas, m, n, n % 2);
    }
    for side in *b"LR" {
        check_product::<f64>(blas, side, b'T', [130, 70, 60]);
        check_product::<Complex<f64>>(blas, side, b'N', [70, 130, 66]);
    }
    check_rows::<f64>(blas, [80, 130, 70]);
    for trans in *b"NT" {
        check_fit::<f64>(blas, trans, [130, 75, 10], [1.0, 1.0]);
        check_fit::<Complex<f64>>(blas, trans, [75, 130, 90], [1.0, 1.0]);
    }
}

/// Calls that LAPACK forbids, empty ones, and questions for the size of the workspace.
fn forbidden(blas: &Blas) {
    fn refusals<T: Number>(blas: &Blas) {
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
                    blas.gelqf(m, n, a, lda, tau, work, lwork).unwrap(),
                    info,
                    "{m} {n}"
                );
            }
            for (side, trans, m, n, k, lda, ldc, lwork, info) in [
                (b'X', b'N', 2, 2, 2, 2, 2, 9, -1),
                (b'L', wrong, 2, 2, 2, 2, 2, 9, -2),
                (b'L', b'N', -1, 2, 2, 2, 2, 9, -3),
                (b'L', b'N', 2, -1, 2, 2, 2, 9, -4),
                (b'L', b'N', 2, 3, 3, 3, 3, 9, -5),
                (b'R', b'N', 2, 3, 3, 2, 2, 9, -7),
                (b'L', b'N', 3, 2, 2, 3, 2, 9, -10),
                (b'L', b'N', 3, 2, 2, 3, 3, 1, -12),
                (b'L', b'N', 2, 0, 0, 1, 2, 9, 0),
            ] {
                let said = blas.unmlq(side, trans, m, n, k, a, lda, tau, c, ldc, work, lwork);
                assert_eq!(said.unwrap(), info);
            }
            for (m, n, k, lda, lwork, info) in [
                (-1, 0, 0, 1, 9, -1),
                (3, 2, 1, 3, 9, -2),
                (2, 3, 3, 2, 9, -3),
                (2, 3, 1, 1, 9, -5),
                (2, 3, 1, 2, 1, -8),
                (0, 3, 0, 1, 9, 0),
            ] {
                assert_eq!(blas.unglq(m, n, k, a, lda, tau, work, lwork).unwrap(), info);
            }
            for (trans, m, n, nrhs, lda, ldb, lwork, info) in [
                (wrong, 2, 2, 2, 2, 2, 9, -1),
                (b'N', -1, 2, 2, 2, 2, 9, -2),
                (b'N', 2, -1, 2, 2, 2, 9, -3),
                (b'N', 2, 2, -1, 2, 2, 9, -4),
                (b'N', 3, 2, 1, 2, 3, 9, -6),
                (b'N', 2, 3, 1, 2, 2, 9, -8),
                (b'N', 3, 2, 1, 3, 3, 3, -10),
                (b'N', 3, 2, 0, 3, 3, 9, 0),
            ] {
                let said = blas
                    .gels(trans, m, n, nrhs, a, lda, c, ldb, work, lwork)
                    .unwrap();
                assert_eq!(said, info);
            }
        }
        assert!(memory[..3].iter().flatten().all(|&value| value == T::ONE));
        let [a, tau, c, work] = memory.each_mut().map(|memory| memory.as_mut_ptr());
        // SAFETY: nothing but the first element of the workspace is touched.
        unsafe {
            assert_eq!(blas.gelqf(40, 500, a, 40, tau, work, -1).unwrap(), 0);
            assert!(work.read().wide().re >= 40.0);
            let said = blas.unmlq(b'R', b'N', 50, 40, 30, a, 30, tau, c, 50, work, -1);
            assert_eq!(said.unwrap(), 0);
            assert!(work.read().wide().re >= 50.0);
            assert_eq!(blas.unglq(40, 500, 30, a, 40, tau, work, -1).unwrap(), 0);
            assert!(work.read().wide().re >= 40.0);
            let said = blas.gels(b'N', 50, 40, 3, a, 50, c, 50, work, -1).unwrap();
            assert_eq!(said, 0);
            assert!(work.read().wide().re >= 80.0);
        }
        assert!(memory[..3].iter().flatten().all(|&value| value == T::ONE));
        // Nothing to solve: all zeros. What the workspace should have is said all the same.
        memory[3][0] = T::ZERO;
        let c = memory[2].as_mut_ptr();
        // SAFETY: two rows of two columns, at most.
        let said = unsafe {
            let (a, work) = (memory[0].as_mut_ptr(), memory[3].as_mut_ptr());
            blas.gels(b'N', 0, 2, 2, a, 1, c, 2, work, 9)
        };
        assert_eq!(said.unwrap(), 0);
        assert!(memory[2][..4].iter().all(|&value| value == T::ZERO));
        assert!(memory[3][0].wide().re >= 2.0);
    }
    of_all_types!(refusals(blas));
    of_all_types!(refusals(&direct(blas)));
}
