//! LU factorization with row exchanges, and what is solved by it.
//!
//! Sources: S. Toledo, "Locality of reference in LU decomposition with partial pivoting", SIAM J. Matrix Anal. Appl. 18
//! (1997); F. Gustavson, "Recursion leads to automatic variable blocking for dense linear-algebra algorithms", IBM J. Res.
//! Dev. 41 (1997): the left half of the columns is factored, the right half is updated by one solution and one product,
//! and its lower part is factored.

use super::cells::{get, set};
use super::int::{Int, Pivots};
use super::{forbidden, is_leading, is_one_of, size};
use crate::dispatch::backend::Blas;
use crate::dispatch::matrix::Matrix;
use crate::dispatch::policy::lapack::{exchange, lu_panels, numbers};
use crate::dispatch::scalar::Scalar;
use crate::error::Result;
use std::ops::Range;

/// In which order exchanges are made: as they were found, or back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Onwards,
    Backwards,
}

/// The first pivot that is zero, from 1; 0 if there is none.
pub(super) type Singular = usize;

/// That of a matrix, by those of the left part of its columns and of what is right below it.
pub(super) fn either(left: Singular, width: usize, right: Singular) -> Singular {
    if left != 0 || right == 0 {
        left
    } else {
        width + right
    }
}

impl Blas {
    /// A = P L U, for a matrix of m x n: L, with a unit diagonal that is not stored, and U take A's place. Row `i` was exchanged
    /// for row `ipiv[i]` (both from 1), one after the other.
    ///
    /// Returns LAPACK's `info`: 0, or -i if it forbids argument i, or i if `U[i, i]` is zero; the factorization is
    /// complete then.
    ///
    /// # Errors
    /// As for [`gemm`](Blas::gemm).
    ///
    /// # Safety
    /// A is as large as the arguments say, there are min(m, n) pivots, and nobody touches them meanwhile.
    ///
    /// ```
    /// let factor = |blas: &threadctl::dispatch::Blas, a: &mut [f64; 4], pivots: &mut [i32; 2]| {
    ///     // SAFETY: a 2x2 matrix, and two pivots.
    ///     unsafe { blas.getrf(2, 2, a.as_mut_ptr(), 2, pivots.as_mut_ptr()) }
    /// };
    /// # let _ = factor;
    /// ```
    pub unsafe fn getrf<T: Scalar, I: Int>(
        &self,
        m: isize,
        n: isize,
        a: *mut T,
        lda: isize,
        ipiv: *mut I,
    ) -> Result<isize> {
        self.check("getrf", &[m, n, lda])?;
        let lapack = self.lapack::<T>();
        let bad = forbidden(&[(m >= 0, 1), (n >= 0, 2), (is_leading(lda, m), 4)]);
        if let Some(info) = bad {
            // SAFETY: no routine looks further than at these arguments.
            return self.refused(info, || unsafe { lapack.getrf(m, n, a, lda, ipiv.cast()) });
        }
        let (rows, cols) = (size(m), size(n));
        let count = rows.min(cols);
        let matrix = Matrix::output(a, size(lda));
        // SAFETY: our caller's promise.
        unsafe {
            let mut pivots = vec![0; count];
            let info = self.lu(matrix, [rows, cols], &mut pivots)?;
            for (index, pivot) in pivots.iter().enumerate() {
                ipiv.add(index).write(I::of(*pivot as isize + 1));
            }
            Ok(info as isize)
        }
    }

    /// Factors a matrix; pivots are counted from its first row, from 0.
    ///
    /// # Safety
    /// It is an output that lives and that nobody else touches; there are as many pivots as it has rows or columns.
    unsafe fn lu<T: Scalar>(
        &self,
        a: Matrix<T>,
        [m, n]: [usize; 2],
        pivots: &mut [usize],
    ) -> Result<Singular> {
        let count = pivots.len();
        if count == 0 {
            return Ok(0);
        }
        // SAFETY: our caller's promise, handed on.
        unsafe {
            let small = numbers().is_small::<T>(m, n, count);
            let whole = self.undivided_lapack(small, || self.own_lu(a, [m, n], pivots));
            if let Some(info) = whole? {
                return Ok(size(info));
            }
            let info = match self.shared(|pool| lu_panels(count, self.is_mkl(), pool)) {
                Some(ends) => self.lu_by_panels(a, m, &ends, pivots)?,
                None => self.lu_columns(a, m, pivots)?,
            };
            if n > count {
                let right = a.from(0, count);
                self.exchange(right, n - count, pivots, Order::Onwards);
                self.unit_lower(a, [m, n - count], right)?;
            }
            Ok(info)
        }
    }

    /// Factors columns that are not longer than there are rows: one for each pivot.
    ///
    /// # Safety
    /// As for [`lu`](Blas::lu).
    pub(super) unsafe fn lu_columns<T: Scalar>(
        &self,
        a: Matrix<T>,
        m: usize,
        pivots: &mut [usize],
    ) -> Result<Singular> {
        let n = pivots.len();
        // SAFETY: our caller's promise, handed on: parts of the matrix, one after the other.
        unsafe {
            if n <= numbers().lu
                && let Some(info) = self.through(|| self.own_lu(a, [m, n], pivots))?
            {
                return Ok(size(info));
            }
            if n <= numbers().single {
                return self.through(|| self.lu_by_columns(a, m, pivots));
            }
            let half = numbers().half(n);
            let (first, second) = pivots.split_at_mut(half);
            let left = self.lu_columns(a, m, first)?;
            let right = a.from(0, half);
            self.exchange(right, n - half, first, Order::Onwards);
            self.unit_lower(a, [half, n - half], right)?;
            let below = a.from(half, half);
            let (rows, cols) = ((m - half) as isize, (n - half) as isize);
            self.gemm(
                b'N',
                b'N',
                rows,
                cols,
                half as isize,
                -T::ONE,
                a.from(half, 0).ptr(),
                a.ld(),
                right.ptr(),
                a.ld(),
                T::ONE,
                below.ptr_mut(),
                a.ld(),
            )?;
            let info = self.lu_columns(below, m - half, second)?;
            self.exchange(a.from(half, 0), half, second, Order::Onwards);
            second.iter_mut().for_each(|pivot| *pivot += half);
            Ok(either(left, half, info))
        }
    }

    /// X = L^-1 X, for as many rows of it as there are.
    ///
    /// # Safety
    /// L and X are of that order and that many columns, and live; nobody else touches X.
    unsafe fn unit_lower<T: Scalar>(
        &self,
        l: Matrix<T>,
        [order, cols]: [usize; 2],
        x: Matrix<T>,
    ) -> Result<()> {
        let (order, cols) = (order as isize, cols as isize);
        // SAFETY: our caller's promise, handed on.
        unsafe {
            self.trsm(
                b'L',
                b'L',
                b'N',
                b'U',
                order,
                cols,
                T::ONE,
                l.ptr(),
                l.ld(),
                x.ptr_mut(),
                x.ld(),
            )
        }
    }

    /// The library's own, if it has one; the caller holds it.
    ///
    /// # Safety
    /// As for [`lu`](Blas::lu).
    unsafe fn own_lu<T: Scalar>(
        &self,
        a: Matrix<T>,
        [m, n]: [usize; 2],
        pivots: &mut [usize],
    ) -> Option<isize> {
        let lapack = self.lapack::<T>();
        let mut own = Pivots::new(pivots.len(), lapack.wide());
        // SAFETY: our caller's promise.
        let info = unsafe { lapack.getrf(m as isize, n as isize, a.ptr_mut(), a.ld(), own.ptr()) };
        for (index, pivot) in pivots.iter_mut().enumerate() {
            *pivot = size(own.get(index) - 1);
        }
        info
    }

    /// Very few columns, one after the other.
    ///
    /// # Safety
    /// As for [`lu`](Blas::lu); the library is held.
    unsafe fn lu_by_columns<T: Scalar>(
        &self,
        a: Matrix<T>,
        m: usize,
        pivots: &mut [usize],
    ) -> Singular {
        let kernels = self.kernels::<T>();
        let n = pivots.len();
        let mut singular = 0;
        for (col, place) in pivots.iter_mut().enumerate() {
            let below = (m - col) as isize;
            // SAFETY: our caller's promise: elements of these columns.
            unsafe {
                let found = kernels.iamax(below, a.from(col, col).ptr(), 1);
                // A library that finds none (all are NaN, say) means the first.
                let pivot = col + size(found.clamp(1, below) - 1);
                *place = pivot;
                let value = get(a, pivot, col);
                if value == T::ZERO {
                    singular = if singular == 0 { col + 1 } else { singular };
                } else {
                    swap_rows(a, 0..n, col, pivot);
                    let inverse = T::ONE / value;
                    let small = value.widen().norm() < T::SAFE_MIN;
                    for row in col + 1..m {
                        let element = get(a, row, col);
                        let factor = if small {
                            element / value
                        } else {
                            element * inverse
                        };
                        set(a, row, col, factor);
                    }
                }
                for other in col + 1..n {
                    kernels.axpy(
                        below - 1,
                        -get(a, col, other),
                        a.from(col + 1, col).ptr(),
                        1,
                        a.from(col + 1, other).ptr_mut(),
                        1,
                    );
                }
            }
        }
        singular
    }

    /// Exchanges rows of so many columns as the pivots say, each after the one before it, or back.
    ///
    /// # Safety
    /// The rows are in the matrix, an output that lives, and nobody else touches these columns.
    pub(super) unsafe fn exchange<T: Scalar>(
        &self,
        a: Matrix<T>,
        cols: usize,
        pivots: &[usize],
        order: Order,
    ) {
        // SAFETY: our caller's promise: each tile has columns of its own.
        let part = |cols: Range<usize>| unsafe { exchange_columns(a, cols, pivots, order) };
        match self.shared(|pool| exchange::<T>(cols, pivots.len(), pool)) {
            None => part(0..cols),
            Some(cut) => self.tiles(cut.parts(), &|tile| part(cut.part(tile))),
        }
    }

    /// Solves op(A) X = B with the factors and pivots that [`getrf`](Blas::getrf) made of A, which is of order n; X takes
    /// the place of B, which has `nrhs` columns.
    ///
    /// Returns LAPACK's `info`: 0, or -i if it forbids argument i.
    ///
    /// # Errors
    /// As for [`gemm`](Blas::gemm).
    ///
    /// # Safety
    /// The operands are as large as the arguments say, the pivots are getrf's; nobody writes to A and the pivots, or
    /// touches B, meanwhile.
    ///
    /// ```
    /// let solve = |blas: &threadctl::dispatch::Blas, a: &[f64; 4], pivots: &[i32; 2], b: &mut [f64; 2]| {
    ///     // SAFETY: the factors of a 2x2 matrix, and one column.
    ///     unsafe { blas.getrs(b'N', 2, 1, a.as_ptr(), 2, pivots.as_ptr(), b.as_mut_ptr(), 2) }
    /// };
    /// # let _ = solve;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "LAPACK has them")]
    pub unsafe fn getrs<T: Scalar, I: Int>(
        &self,
        trans: u8,
        n: isize,
        nrhs: isize,
        a: *const T,
        lda: isize,
        ipiv: *const I,
        b: *mut T,
        ldb: isize,
    ) -> Result<isize> {
        self.check("getrs", &[n, nrhs, lda, ldb])?;
        let lapack = self.lapack::<T>();
        let bad = forbidden(&[
            (is_one_of(trans, b"NTC"), 1),
            (n >= 0, 2),
            (nrhs >= 0, 3),
            (is_leading(lda, n), 5),
            (is_leading(ldb, n), 8),
        ]);
        // SAFETY: our caller's promise, handed on; of a forbidden call nothing but these arguments is looked at.
        unsafe {
            if let Some(info) = bad {
                let ipiv = ipiv.cast_mut().cast();
                return self.refused(info, || lapack.getrs(trans, n, nrhs, a, lda, ipiv, b, ldb));
            }
            if n == 0 || nrhs == 0 {
                return Ok(0);
            }
            let (order, cols) = (size(n), size(nrhs));
            let small = numbers().is_small::<T>(order, order, cols);
            let whole = self.undivided_lapack(small, || {
                let mut pivots = Pivots::read(order, lapack.wide(), ipiv);
                lapack.getrs(trans, n, nrhs, a, lda, pivots.ptr(), b, ldb)
            })?;
            if let Some(info) = whole {
                return Ok(info);
            }
            let pivots: Vec<usize> = (0..order)
                .map(|index| size(ipiv.add(index).read().get() - 1))
                .collect();
            self.lu_solve(
                trans,
                Matrix::input(a, size(lda)),
                &pivots,
                (Matrix::output(b, size(ldb)), cols),
            )?;
            Ok(0)
        }
    }

    /// Solves op(A) X = B by the factors.
    ///
    /// # Safety
    /// As for [`getrs`](Blas::getrs).
    unsafe fn lu_solve<T: Scalar>(
        &self,
        trans: u8,
        a: Matrix<T>,
        pivots: &[usize],
        (b, cols): (Matrix<T>, usize),
    ) -> Result<()> {
        let (n, nrhs) = (pivots.len() as isize, cols as isize);
        // SAFETY: our caller's promise, handed on.
        let solve = |uplo, diag| unsafe {
            self.trsm(
                b'L',
                uplo,
                trans,
                diag,
                n,
                nrhs,
                T::ONE,
                a.ptr(),
                a.ld(),
                b.ptr_mut(),
                b.ld(),
            )
        };
        // SAFETY: as above.
        unsafe {
            if trans.eq_ignore_ascii_case(&b'N') {
                self.exchange(b, cols, pivots, Order::Onwards);
                solve(b'L', b'U')?;
                solve(b'U', b'N')
            } else {
                solve(b'U', b'N')?;
                solve(b'L', b'U')?;
                self.exchange(b, cols, pivots, Order::Backwards);
                Ok(())
            }
        }
    }

    /// Solves A X = B by [`getrf`](Blas::getrf) and [`getrs`](Blas::getrs): A is of order n, and its factors take its
    /// place; X takes the place of B, which has `nrhs` columns.
    ///
    /// Returns LAPACK's `info`: 0, or -i if it forbids argument i, or i if `U[i, i]` is zero; A is factored then, and
    /// nothing is solved.
    ///
    /// # Errors
    /// As for [`gemm`](Blas::gemm).
    ///
    /// # Safety
    /// The operands are as large as the arguments say, there are n pivots, and nobody touches them meanwhile.
    ///
    /// ```
    /// let solve = |blas: &threadctl::dispatch::Blas, a: &mut [f64; 4], b: &mut [f64; 2]| {
    ///     let mut pivots = [0_i32; 2];
    ///     // SAFETY: a 2x2 matrix, two pivots, one column.
    ///     unsafe { blas.gesv(2, 1, a.as_mut_ptr(), 2, pivots.as_mut_ptr(), b.as_mut_ptr(), 2) }
    /// };
    /// # let _ = solve;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "LAPACK has them")]
    pub unsafe fn gesv<T: Scalar, I: Int>(
        &self,
        n: isize,
        nrhs: isize,
        a: *mut T,
        lda: isize,
        ipiv: *mut I,
        b: *mut T,
        ldb: isize,
    ) -> Result<isize> {
        self.check("gesv", &[n, nrhs, lda, ldb])?;
        let lapack = self.lapack::<T>();
        let bad = forbidden(&[
            (n >= 0, 1),
            (nrhs >= 0, 2),
            (is_leading(lda, n), 4),
            (is_leading(ldb, n), 7),
        ]);
        // SAFETY: our caller's promise, handed on; of a forbidden call nothing but these arguments is looked at.
        unsafe {
            if let Some(info) = bad {
                return self.refused(info, || lapack.gesv(n, nrhs, a, lda, ipiv.cast(), b, ldb));
            }
            let info = self.getrf(n, n, a, lda, ipiv)?;
            if info != 0 {
                return Ok(info);
            }
            self.getrs(b'N', n, nrhs, a, lda, ipiv, b, ldb)
        }
    }
}

/// Column by column, since a column stays in the nearest cache while all of its rows are exchanged.
///
/// # Safety
/// The rows and columns are in the matrix, an output that lives, and nobody else touches these columns.
pub(super) unsafe fn exchange_columns<T: Scalar>(
    a: Matrix<T>,
    cols: Range<usize>,
    pivots: &[usize],
    order: Order,
) {
    for col in cols {
        let start = a.from(0, col).ptr_mut();
        // SAFETY: our caller's promise.
        let swap = |(row, &pivot): (usize, &usize)| unsafe {
            start.add(row).swap(start.add(pivot));
        };
        match order {
            Order::Onwards => pivots.iter().enumerate().for_each(swap),
            Order::Backwards => pivots.iter().enumerate().rev().for_each(swap),
        }
    }
}

/// Two rows of a few columns.
///
/// # Safety
/// As for [`exchange_columns`].
unsafe fn swap_rows<T: Scalar>(a: Matrix<T>, cols: Range<usize>, one: usize, other: usize) {
    for col in cols {
        // SAFETY: our caller's promise.
        unsafe {
            a.from(one, col)
                .ptr_mut()
                .swap(a.from(other, col).ptr_mut())
        };
    }
}
