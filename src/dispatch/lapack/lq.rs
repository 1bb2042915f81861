//! LQ factorization: the QR factorization of the adjoint.
//!
//! A = L Q is A^H = Q^H L^H, and LAPACK's conventions are such that the reflectors of A's rows are those of the columns of
//! A^H, with the same factors, stored as the adjoint. So these routines work on an adjoint copy, whose memory and time
//! are of the order of the matrix and not of the arithmetic, and take the algorithms of `qr.rs`.
//!
//! Source: that the one is the other of the adjoint is in G. H. Golub, C. F. Van Loan, "Matrix Computations", 4th ed., section 5.2; what is
//! stored where, in the LAPACK Users' Guide, 3rd ed., section 2.4.2 (gelqf).

use super::cells::{get, set};
use super::qr::{BLOCK, is_enough};
use super::reflectors::Way;
use super::{forbidden, is_leading, is_one_of, size};
use crate::dispatch::backend::Blas;
use crate::dispatch::grid::Cut;
use crate::dispatch::matrix::Matrix;
use crate::dispatch::policy::lapack::{exchange, numbers};
use crate::dispatch::scalar::Scalar;
use crate::dispatch::workspace::Workspace;
use crate::error::Result;

/// So many rows and columns of a copy are done at a time, so that both sides stay in the nearest cache.
const SQUARE: usize = 16;

impl Blas {
    /// A = L Q for a matrix of m x n: L takes the place of the lower triangle (trapezoid), the reflectors of which Q is
    /// made that of the rest; their factors are written to `tau`. For `work` see [`geqrf`](Blas::geqrf).
    ///
    /// Returns LAPACK's `info`: 0, or -i if it forbids argument i.
    ///
    /// # Errors
    /// As for [`gemm`](Blas::gemm).
    ///
    /// # Safety
    /// As for [`geqrf`](Blas::geqrf).
    ///
    /// ```
    /// let factor = |blas: &threadctl::dispatch::Blas, a: &mut [f64; 6], tau: &mut [f64; 2]| {
    ///     let mut work = [0.0; 2];
    ///     // SAFETY: a 2x3 matrix, two factors, and as much workspace as LAPACK demands.
    ///     unsafe { blas.gelqf(2, 3, a.as_mut_ptr(), 2, tau.as_mut_ptr(), work.as_mut_ptr(), 2) }
    /// };
    /// # let _ = factor;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "LAPACK has them")]
    pub unsafe fn gelqf<T: Scalar>(
        &self,
        m: isize,
        n: isize,
        a: *mut T,
        lda: isize,
        tau: *mut T,
        work: *mut T,
        lwork: isize,
    ) -> Result<isize> {
        self.check("gelqf", &[m, n, lda, lwork])?;
        let lapack = self.lapack::<T>();
        // SAFETY: our caller's promise, handed on; of a forbidden call nothing but these arguments is looked at.
        let own = |work, lwork| unsafe { lapack.gelqf(m, n, a, lda, tau, work, lwork) };
        let bad = forbidden(&[
            (m >= 0, 1),
            (n >= 0, 2),
            (is_leading(lda, m), 4),
            (is_enough(lwork, if n > 0 { m } else { 1 }), 7),
        ]);
        if let Some(info) = bad {
            return self.refused(info, || own(work, lwork));
        }
        let (rows, cols) = (size(m), size(n));
        let count = rows.min(cols);
        let otherwise = if count == 0 { 1 } else { m * BLOCK };
        // SAFETY: our caller's promise: the first element of the workspace, then the operands.
        unsafe {
            if lwork == -1 || count == 0 {
                work.write(self.workspace(otherwise, |work| own(work, -1))?);
                return Ok(0);
            }
            let small = numbers().is_small::<T>(rows, cols, count);
            if let Some(info) = self.undivided_lapack(small, || own(work, lwork))? {
                return Ok(info);
            }
            let a = Matrix::output(a, size(lda));
            let mut copy = Workspace::new(1, cols * rows);
            let adjoint = Matrix::new(copy.shared(), cols);
            self.adjoint((a, [rows, cols]), adjoint);
            self.qr(adjoint, [cols, rows], tau)?;
            self.adjoint((adjoint, [cols, rows]), a);
            work.write(self.workspace(otherwise, |work| own(work, -1))?);
        }
        Ok(0)
    }

    /// Multiplies C, of m x n, by Q of [`gelqf`](Blas::gelqf), as [`unmqr`](Blas::unmqr) does by that of geqrf. For real
    /// elements LAPACK calls it ormlq.
    ///
    /// Returns LAPACK's `info`: 0, or -i if it forbids argument i.
    ///
    /// # Errors
    /// As for [`gemm`](Blas::gemm).
    ///
    /// # Safety
    /// As for [`unmqr`](Blas::unmqr).
    ///
    /// ```
    /// let multiply = |blas: &threadctl::dispatch::Blas, a: &[f64; 2], tau: &[f64; 1], c: &mut [f64; 2]| {
    ///     let mut work = [0.0; 1];
    ///     let (a, tau, c, work) = (a.as_ptr(), tau.as_ptr(), c.as_mut_ptr(), work.as_mut_ptr());
    ///     // SAFETY: a reflector of two columns, a matrix of 2x1, and as much workspace as LAPACK demands.
    ///     unsafe { blas.unmlq(b'L', b'N', 2, 1, 1, a, 1, tau, c, 2, work, 1) }
    /// };
    /// # let _ = multiply;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "LAPACK has them")]
    pub unsafe fn unmlq<T: Scalar>(
        &self,
        side: u8,
        trans: u8,
        m: isize,
        n: isize,
        k: isize,
        a: *const T,
        lda: isize,
        tau: *const T,
        c: *mut T,
        ldc: isize,
        work: *mut T,
        lwork: isize,
    ) -> Result<isize> {
        self.check("unmlq", &[m, n, k, lda, ldc, lwork])?;
        let lapack = self.lapack::<T>();
        // SAFETY: our caller's promise, handed on; of a forbidden call nothing but these arguments is looked at.
        let own = |work, lwork| unsafe {
            lapack.unmlq(side, trans, m, n, k, a, lda, tau, c, ldc, work, lwork)
        };
        let left = side.eq_ignore_ascii_case(&b'L');
        let (order, lines) = if left { (m, n) } else { (n, m) };
        let bad = forbidden(&[
            (is_one_of(side, b"LR"), 1),
            (is_one_of(trans, if T::COMPLEX { b"NC" } else { b"NT" }), 2),
            (m >= 0, 3),
            (n >= 0, 4),
            (k >= 0 && k <= order, 5),
            (is_leading(lda, k), 7),
            (is_leading(ldc, m), 10),
            (is_enough(lwork, lines), 12),
        ]);
        if let Some(info) = bad {
            return self.refused(info, || own(work, lwork));
        }
        let none = m == 0 || n == 0 || k == 0;
        let otherwise = if none { 1 } else { lines * BLOCK };
        // SAFETY: our caller's promise: the first element of the workspace, then the operands.
        unsafe {
            if lwork == -1 || none {
                work.write(self.workspace(otherwise, |work| own(work, -1))?);
                return Ok(0);
            }
            let [order, lines, count] = [order, lines, k].map(size);
            let small = numbers().is_small::<T>(order, lines, count);
            if let Some(info) = self.undivided_lapack(small, || own(work, lwork))? {
                return Ok(info);
            }
            let plain = trans.eq_ignore_ascii_case(&b'N');
            let (a, c) = (Matrix::input(a, size(lda)), Matrix::output(c, size(ldc)));
            self.multiply_by_lq(left, plain, (a, order, count), tau, (c, lines))?;
            work.write(self.workspace(otherwise, |work| own(work, -1))?);
        }
        Ok(0)
    }

    /// Multiplies so many lines of C by Q, or by its adjoint if not `plain`, of so many reflectors of that length.
    ///
    /// # Safety
    /// As for [`unmlq`](Blas::unmlq).
    pub(super) unsafe fn multiply_by_lq<T: Scalar>(
        &self,
        left: bool,
        plain: bool,
        (a, order, count): (Matrix<T>, usize, usize),
        tau: *const T,
        c: (Matrix<T>, usize),
    ) -> Result<()> {
        // Q is the adjoint of the product of the reflectors.
        let way = match (left, plain) {
            (true, true) => Way::LeftAdjoint,
            (true, false) => Way::Left,
            (false, true) => Way::RightAdjoint,
            (false, false) => Way::Right,
        };
        let mut copy = Workspace::new(1, order * count);
        let adjoint = Matrix::new(copy.shared(), order);
        // SAFETY: our caller's promise, handed on; what is not V of the copy is not looked at.
        unsafe {
            self.adjoint((a, [count, order]), adjoint);
            self.multiply_by_q(way, (adjoint, order, count), tau, c)
        }
    }

    /// The first m rows of Q of [`gelqf`](Blas::gelqf), which has n columns and k reflectors, in their place. For real
    /// elements LAPACK calls it orglq. For `work` see [`geqrf`](Blas::geqrf).
    ///
    /// Returns LAPACK's `info`: 0, or -i if it forbids argument i.
    ///
    /// # Errors
    /// As for [`gemm`](Blas::gemm).
    ///
    /// # Safety
    /// As for [`ungqr`](Blas::ungqr).
    ///
    /// ```
    /// let rows = |blas: &threadctl::dispatch::Blas, a: &mut [f64; 4], tau: &[f64; 2]| {
    ///     let mut work = [0.0; 2];
    ///     // SAFETY: two reflectors of two columns, and as much workspace as LAPACK demands.
    ///     unsafe { blas.unglq(2, 2, 2, a.as_mut_ptr(), 2, tau.as_ptr(), work.as_mut_ptr(), 2) }
    /// };
    /// # let _ = rows;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "LAPACK has them")]
    pub unsafe fn unglq<T: Scalar>(
        &self,
        m: isize,
        n: isize,
        k: isize,
        a: *mut T,
        lda: isize,
        tau: *const T,
        work: *mut T,
        lwork: isize,
    ) -> Result<isize> {
        self.check("unglq", &[m, n, k, lda, lwork])?;
        let lapack = self.lapack::<T>();
        // SAFETY: our caller's promise, handed on; of a forbidden call nothing but these arguments is looked at.
        let own = |work, lwork| unsafe { lapack.unglq(m, n, k, a, lda, tau, work, lwork) };
        let bad = forbidden(&[
            (m >= 0, 1),
            (n >= m, 2),
            (k >= 0 && k <= m, 3),
            (is_leading(lda, m), 5),
            (is_enough(lwork, m), 8),
        ]);
        if let Some(info) = bad {
            return self.refused(info, || own(work, lwork));
        }
        let otherwise = m * BLOCK;
        // SAFETY: our caller's promise: the first element of the workspace, then the operands.
        unsafe {
            if lwork == -1 || m == 0 {
                work.write(self.workspace(otherwise, |work| own(work, -1))?);
                return Ok(0);
            }
            let [rows, cols, count] = [m, n, k].map(size);
            let small = numbers().is_small::<T>(rows, cols, rows);
            if let Some(info) = self.undivided_lapack(small, || own(work, lwork))? {
                return Ok(info);
            }
            let a = Matrix::output(a, size(lda));
            let mut copy = Workspace::new(1, cols * rows);
            let adjoint = Matrix::new(copy.shared(), cols);
            self.adjoint((a, [count, cols]), adjoint);
            self.columns_of_q(adjoint, [cols, rows, count], tau)?;
            self.adjoint((adjoint, [cols, rows]), a);
            work.write(self.workspace(otherwise, |work| own(work, -1))?);
        }
        Ok(0)
    }

    /// Writes the adjoint of a matrix of that shape.
    ///
    /// # Safety
    /// Both are as large as that and live, they have no element in common, nobody writes to the first, or touches the
    /// second, which is an output.
    unsafe fn adjoint<T: Scalar>(
        &self,
        (from, [rows, cols]): (Matrix<T>, [usize; 2]),
        to: Matrix<T>,
    ) {
        let part = |part: std::ops::Range<usize>| {
            for row in part.clone().step_by(SQUARE) {
                for col in (0..cols).step_by(SQUARE) {
                    for i in row..(row + SQUARE).min(part.end) {
                        for j in col..(col + SQUARE).min(cols) {
                            // SAFETY: our caller's promise; these columns of the result are no other tile's.
                            unsafe { set(to, j, i, get(from, i, j).conj()) };
                        }
                    }
                }
            }
        };
        let cut: Option<Cut> = self.shared(|pool| exchange::<T>(rows, cols, pool));
        match cut {
            None => part(0..rows),
            Some(cut) => self.tiles(cut.parts(), &|tile| part(cut.part(tile))),
        }
    }
}
