//! Least squares and least norms by QR or LQ factorization.
//!
//! Source: LAPACK Users' Guide, 3rd edition, 2.3.2, and what LAPACK's gels documents: operands whose largest element is
//! outside the range in which nothing overflows are scaled, and the solution is scaled back.

use super::cells::{get, set};
use super::qr::BLOCK;
use super::reflectors::Way;
use super::{forbidden, is_leading, is_one_of, size};
use crate::dispatch::backend::Blas;
use crate::dispatch::matrix::Matrix;
use crate::dispatch::policy::lapack::numbers;
use crate::dispatch::scalar::Scalar;
use crate::error::Result;
use num_complex::Complex;

/// How much larger a matrix was made.
#[derive(Debug, Clone, Copy)]
struct Scaled {
    from: f64,
    to: f64,
}

impl Blas {
    /// Solves A X = B, or op(A) X = B with `trans` `b'T'` for real elements and `b'C'` for complex ones, for a matrix A of
    /// m x n and full rank: the X for which the columns of op(A) X - B are shortest where there are more equations than
    /// unknowns, else the shortest of those that solve them. X takes the place of the first rows of B, which has
    /// max(m, n) rows and `nrhs` columns; A's factors take A's place. For `work` see [`geqrf`](Blas::geqrf).
    ///
    /// Returns LAPACK's `info`: 0, or -i if it forbids argument i, or i if the triangular factor's diagonal is zero there,
    /// so that A has not full rank.
    ///
    /// # Errors
    /// As for [`gemm`](Blas::gemm).
    ///
    /// # Safety
    /// The operands are as large as the arguments say, and nobody touches them meanwhile.
    ///
    /// ```
    /// let fit = |blas: &threadctl::dispatch::Blas, a: &mut [f64; 6], b: &mut [f64; 3]| {
    ///     let mut work = [0.0; 4];
    ///     let (a, b, work) = (a.as_mut_ptr(), b.as_mut_ptr(), work.as_mut_ptr());
    ///     // SAFETY: a 3x2 matrix, one column, and as much workspace as LAPACK demands.
    ///     unsafe { blas.gels(b'N', 3, 2, 1, a, 3, b, 3, work, 4) }
    /// };
    /// # let _ = fit;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "LAPACK has them")]
    pub unsafe fn gels<T: Scalar>(
        &self,
        trans: u8,
        m: isize,
        n: isize,
        nrhs: isize,
        a: *mut T,
        lda: isize,
        b: *mut T,
        ldb: isize,
        work: *mut T,
        lwork: isize,
    ) -> Result<isize> {
        self.check("gels", &[m, n, nrhs, lda, ldb, lwork])?;
        let lapack = self.lapack::<T>();
        // SAFETY: our caller's promise, handed on; of a forbidden call nothing but these arguments is looked at.
        let own =
            |work, lwork| unsafe { lapack.gels(trans, m, n, nrhs, a, lda, b, ldb, work, lwork) };
        let (least, most) = (m.min(n), m.max(n));
        let bad = forbidden(&[
            (is_one_of(trans, if T::COMPLEX { b"NC" } else { b"NT" }), 1),
            (m >= 0, 2),
            (n >= 0, 3),
            (nrhs >= 0, 4),
            (is_leading(lda, m), 6),
            (is_leading(ldb, most), 8),
            (lwork == -1 || lwork >= (least + least.max(nrhs)).max(1), 10),
        ]);
        if let Some(info) = bad {
            return self.refused(info, || own(work, lwork));
        }
        let otherwise = least + least.max(nrhs) * BLOCK;
        let shape = [m, n, nrhs].map(size);
        let (a, b) = (Matrix::output(a, size(lda)), Matrix::output(b, size(ldb)));
        // SAFETY: our caller's promise: the first element of the workspace, then the operands.
        unsafe {
            if lwork == -1 {
                work.write(self.workspace(otherwise, |work| own(work, -1))?);
                return Ok(0);
            }
            if least == 0 || nrhs == 0 {
                clear(b, [size(most), size(nrhs)]);
                work.write(self.workspace(otherwise, |work| own(work, -1))?);
                return Ok(0);
            }
            let small = numbers().is_small::<T>(shape[0], shape[1], size(least) + shape[2]);
            if let Some(info) = self.undivided_lapack(small, || own(work, lwork))? {
                return Ok(info);
            }
            let plain = trans.eq_ignore_ascii_case(&b'N');
            let info = self.least_squares(plain, shape, a, b)?;
            work.write(self.workspace(otherwise, |work| own(work, -1))?);
            Ok(info)
        }
    }

    /// # Safety
    /// As for [`gels`](Blas::gels).
    unsafe fn least_squares<T: Scalar>(
        &self,
        plain: bool,
        [m, n, nrhs]: [usize; 3],
        a: Matrix<T>,
        b: Matrix<T>,
    ) -> Result<isize> {
        let (unknowns, equations) = if plain { (n, m) } else { (m, n) };
        // SAFETY: our caller's promise, handed on: A, the rows of B that are given, and those of the solution.
        unsafe {
            let largest = largest(a, [m, n]);
            if largest == 0.0 {
                clear(b, [m.max(n), nrhs]);
                return Ok(0);
            }
            let a_scaled = bring_into_range(a, [m, n], largest);
            let b_scaled =
                bring_into_range(b, [equations, nrhs], self::largest(b, [equations, nrhs]));
            let info = self.solve_by_factors(plain, [m, n, nrhs], a, b)?;
            if info != 0 {
                return Ok(info);
            }
            if let Some(Scaled { from, to }) = a_scaled {
                scale(b, [unknowns, nrhs], from, to);
            }
            if let Some(Scaled { from, to }) = b_scaled {
                scale(b, [unknowns, nrhs], to, from);
            }
        }
        Ok(0)
    }

    /// Factors A, and puts the solution in B's place.
    ///
    /// # Safety
    /// As for [`gels`](Blas::gels).
    unsafe fn solve_by_factors<T: Scalar>(
        &self,
        plain: bool,
        [m, n, nrhs]: [usize; 3],
        a: Matrix<T>,
        b: Matrix<T>,
    ) -> Result<isize> {
        let tall = m >= n;
        let (order, count) = (m.max(n), m.min(n));
        let mut tau = vec![T::ZERO; count];
        let mut work = vec![T::ZERO; order];
        let uplo = if tall { b'U' } else { b'L' };
        let trans = if plain { b'N' } else { b'C' };
        // SAFETY: our caller's promise, handed on.
        unsafe {
            let (rows, cols) = (m as isize, n as isize);
            let (start, space, lwork) = (a.ptr_mut(), work.as_mut_ptr(), order as isize);
            if tall {
                self.geqrf(rows, cols, start, a.ld(), tau.as_mut_ptr(), space, lwork)?;
            } else {
                self.gelqf(rows, cols, start, a.ld(), tau.as_mut_ptr(), space, lwork)?;
            }
            let reflect = || {
                // Of Q R by the adjoint of Q first, and by Q of the solution's; of L Q the other way round.
                if tall {
                    let way = if plain { Way::LeftAdjoint } else { Way::Left };
                    self.multiply_by_q(way, (a, m, count), tau.as_ptr(), (b, nrhs))
                } else {
                    self.multiply_by_lq(true, !plain, (a, n, count), tau.as_ptr(), (b, nrhs))
                }
            };
            let solve = || {
                let (k, cols) = (count as isize, nrhs as isize);
                let (start, x) = (a.ptr(), b.ptr_mut());
                self.trtrs(uplo, trans, b'N', k, cols, start, a.ld(), x, b.ld())
            };
            if tall == plain {
                reflect()?;
                return solve();
            }
            let info = solve()?;
            if info == 0 {
                clear(b.from(count, 0), [order - count, nrhs]);
                reflect()?;
            }
            Ok(info)
        }
    }
}

/// Makes all elements zero.
///
/// # Safety
/// The matrix is that large, lives, and nobody else touches it.
unsafe fn clear<T: Scalar>(a: Matrix<T>, [rows, cols]: [usize; 2]) {
    for col in 0..cols {
        for row in 0..rows {
            // SAFETY: our caller's promise.
            unsafe { set(a, row, col, T::ZERO) };
        }
    }
}

/// The largest absolute value; a NaN if there is one.
///
/// # Safety
/// The matrix is that large and lives, and nobody writes to it.
unsafe fn largest<T: Scalar>(a: Matrix<T>, [rows, cols]: [usize; 2]) -> f64 {
    let mut most = 0.0_f64;
    for col in 0..cols {
        for row in 0..rows {
            // SAFETY: our caller's promise.
            let value = unsafe { get(a, row, col) }.widen();
            let value = value.re.hypot(value.im);
            if value > most || value.is_nan() {
                most = value;
            }
            if most.is_nan() {
                return most;
            }
        }
    }
    most
}

/// Scales a matrix whose largest element is outside the range that is safe.
///
/// # Safety
/// The matrix is that large and lives, and nobody else touches it.
unsafe fn bring_into_range<T: Scalar>(
    a: Matrix<T>,
    shape: [usize; 2],
    largest: f64,
) -> Option<Scaled> {
    // LAPACK's precision is twice its eps.
    let small = T::SAFE_MIN / (2.0 * T::ROUNDING);
    let to = if largest > 0.0 && largest < small {
        small
    } else if largest > 1.0 / small {
        1.0 / small
    } else {
        return None;
    };
    // SAFETY: our caller's promise.
    unsafe { scale(a, shape, largest, to) };
    Some(Scaled { from: largest, to })
}

/// Multiplies by to / from, by steps where the quotient is no number.
///
/// # Safety
/// As for [`bring_into_range`].
unsafe fn scale<T: Scalar>(a: Matrix<T>, [rows, cols]: [usize; 2], from: f64, to: f64) {
    // Square roots, since the quotient may be too large or too small by itself.
    let root = to.sqrt() / from.sqrt();
    for col in 0..cols {
        for row in 0..rows {
            // SAFETY: our caller's promise.
            unsafe {
                let value = get(a, row, col).widen();
                let value = Complex::new(value.re * root * root, value.im * root * root);
                set(a, row, col, T::narrow(value));
            }
        }
    }
}
