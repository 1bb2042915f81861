//! The inverse of a matrix by its LU factors.
//!
//! Source: J. Du Croz, N. Higham, "Stability of methods for matrix inversion", IMA J. Numer. Anal. 12 (1992), method B,
//! which is LAPACK's: U is inverted, then X L = U^-1 is solved for blocks of columns from the right, and columns are exchanged.

use super::cells::{get, set};
use super::int::{Int, Pivots};
use super::qr::{BLOCK, is_enough};
use super::{forbidden, is_leading, size};
use crate::dispatch::backend::Blas;
use crate::dispatch::matrix::Matrix;
use crate::dispatch::policy::lapack::{exchange, numbers};
use crate::dispatch::scalar::Scalar;
use crate::dispatch::workspace::Workspace;
use crate::error::Result;
use std::ops::Range;

impl Blas {
    /// The inverse of a matrix of order n by the factors and pivots that [`getrf`](Blas::getrf) made of it, in their
    /// place. For `work` see [`geqrf`](Blas::geqrf).
    ///
    /// Returns LAPACK's `info`: 0, or -i if it forbids argument i, or i if `U[i, i]` is zero; nothing is computed then.
    ///
    /// # Errors
    /// As for [`gemm`](Blas::gemm).
    ///
    /// # Safety
    /// The operands are as large as the arguments say, the pivots are getrf's; nobody writes to these, or touches A and
    /// `work`, meanwhile.
    ///
    /// ```
    /// let invert = |blas: &threadctl::dispatch::Blas, a: &mut [f64; 4], pivots: &[i32; 2]| {
    ///     let mut work = [0.0; 2];
    ///     // SAFETY: the factors of a 2x2 matrix, and as much workspace as LAPACK demands.
    ///     unsafe { blas.getri(2, a.as_mut_ptr(), 2, pivots.as_ptr(), work.as_mut_ptr(), 2) }
    /// };
    /// # let _ = invert;
    /// ```
    pub unsafe fn getri<T: Scalar, I: Int>(
        &self,
        n: isize,
        a: *mut T,
        lda: isize,
        ipiv: *const I,
        work: *mut T,
        lwork: isize,
    ) -> Result<isize> {
        self.check("getri", &[n, lda, lwork])?;
        let lapack = self.lapack::<T>();
        let bad = forbidden(&[
            (n >= 0, 1),
            (is_leading(lda, n), 3),
            (is_enough(lwork, n), 6),
        ]);
        // SAFETY: our caller's promise, handed on; of a forbidden call and of a question nothing but these arguments is
        // looked at.
        unsafe {
            let unread = ipiv.cast_mut().cast();
            if let Some(info) = bad {
                return self.refused(info, || lapack.getri(n, a, lda, unread, work, lwork));
            }
            let ask = |work| lapack.getri(n, a, lda, unread, work, -1);
            let otherwise = n * BLOCK;
            if lwork == -1 || n == 0 {
                work.write(self.workspace(otherwise, ask)?);
                return Ok(0);
            }
            let order = size(n);
            let small = numbers().is_small::<T>(order, order, order);
            let whole = self.undivided_lapack(small, || {
                let mut pivots = Pivots::read(order, lapack.wide(), ipiv);
                lapack.getri(n, a, lda, pivots.ptr(), work, lwork)
            })?;
            if let Some(info) = whole {
                return Ok(info);
            }
            let info = self.trtri(b'U', b'N', n, a, lda)?;
            if info == 0 {
                let pivots: Vec<usize> = (0..order)
                    .map(|index| size(ipiv.add(index).read().get() - 1))
                    .collect();
                self.divide_by_lower(order, Matrix::output(a, size(lda)), &pivots)?;
            }
            work.write(self.workspace(otherwise, ask)?);
            Ok(info)
        }
    }

    /// X of X L = U^-1, both of which are where getrf put the factors, with its columns exchanged as the pivots say.
    ///
    /// # Safety
    /// As for [`getri`](Blas::getri).
    unsafe fn divide_by_lower<T: Scalar>(
        &self,
        n: usize,
        a: Matrix<T>,
        pivots: &[usize],
    ) -> Result<()> {
        let width = numbers().reflectors.min(n);
        let mut lower = Workspace::new(1, n * width);
        let lower = Matrix::new(lower.shared(), n);
        for block in (0..n.div_ceil(width)).rev() {
            let (first, last) = (block * width, ((block + 1) * width).min(n));
            let cols = last - first;
            // SAFETY: our caller's promise: the columns of the block, and those on its right, which are done.
            unsafe {
                for col in first..last {
                    for row in col + 1..n {
                        set(lower, row, col - first, get(a, row, col));
                        set(a, row, col, T::ZERO);
                    }
                }
                let x = a.from(0, first).ptr_mut();
                let (rows, width, ld) = (n as isize, cols as isize, a.ld());
                if last < n {
                    self.gemm(
                        b'N',
                        b'N',
                        rows,
                        width,
                        (n - last) as isize,
                        -T::ONE,
                        a.from(0, last).ptr(),
                        ld,
                        lower.from(last, 0).ptr(),
                        lower.ld(),
                        T::ONE,
                        x,
                        ld,
                    )?;
                }
                let triangle = lower.from(first, 0).ptr();
                let lower_ld = lower.ld();
                self.trsm(
                    b'R',
                    b'L',
                    b'N',
                    b'U',
                    rows,
                    width,
                    T::ONE,
                    triangle,
                    lower_ld,
                    x,
                    ld,
                )?;
            }
        }
        // SAFETY: our caller's promise: each tile has rows of its own.
        let part = |rows: Range<usize>| unsafe { exchange_columns(a, rows, pivots) };
        match self.shared(|pool| exchange::<T>(n, n, pool)) {
            None => part(0..n),
            Some(cut) => self.tiles(cut.parts(), &|tile| part(cut.part(tile))),
        }
        Ok(())
    }
}

/// Exchanges columns as the pivots say, the last first, in these rows.
///
/// # Safety
/// The rows and columns are in the matrix, an output that lives, and nobody else touches these rows.
unsafe fn exchange_columns<T: Scalar>(a: Matrix<T>, rows: Range<usize>, pivots: &[usize]) {
    for (col, &pivot) in pivots.iter().enumerate().rev() {
        if col == pivot {
            continue;
        }
        let (one, other) = (a.from(rows.start, col), a.from(rows.start, pivot));
        // SAFETY: our caller's promise; two columns that are not the same.
        unsafe {
            let (one, other) = (one.ptr_mut(), other.ptr_mut());
            std::ptr::swap_nonoverlapping(one, other, rows.len());
        }
    }
}
