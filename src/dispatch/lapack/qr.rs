//! QR factorization, and what its reflectors are applied to.
//!
//! Source: E. Elmroth, F. Gustavson, "Applying recursion to serial and parallel QR factorization leads to better
//! performance", IBM J. Res. Dev. 44 (2000): blocks of columns, each factored by recursion, and applied to all columns
//! after it at once.

use super::cells::{get, set};
use super::reflectors::{Block, Hand, Scratch, Way};
use super::{forbidden, is_leading, is_one_of, size};
use crate::dispatch::backend::Blas;
use crate::dispatch::matrix::Matrix;
use crate::dispatch::policy::lapack::{Whole, numbers, qr_panels};
use crate::dispatch::scalar::Scalar;
use crate::dispatch::workspace::Workspace;
use crate::error::Result;
use std::ops::Range;

/// The columns that LAPACK's own blocks have: what a workspace query is answered by where no library can.
pub(super) const BLOCK: isize = 32;

/// Whether there is less workspace than a call needs; `-1` asks how much it would like.
pub(super) fn is_enough(lwork: isize, least: isize) -> bool {
    lwork == -1 || lwork >= least.max(1)
}

/// Reflectors in blocks of columns, each with its T.
pub(super) struct Blocks<T> {
    count: usize,
    size: usize,
    t: Workspace<T>,
}

impl<T: Scalar> Blocks<T> {
    pub fn new(count: usize) -> Self {
        let size = numbers().reflectors.min(count.max(1));
        Blocks {
            count,
            size,
            t: Workspace::new(1, size * size),
        }
    }

    /// Where they are.
    pub fn ranges(&self) -> impl DoubleEndedIterator<Item = Range<usize>> + use<T> {
        let (count, size) = (self.count, self.size);
        (0..count.div_ceil(size)).map(move |index| index * size..((index + 1) * size).min(count))
    }

    /// The reflectors of this range, of which V has so many rows. There is one T for all.
    pub fn at(&mut self, v: Matrix<T>, rows: usize, range: &Range<usize>) -> Block<T> {
        Block {
            v: v.from(range.start, range.start),
            len: rows - range.start,
            count: range.len(),
            t: Matrix::new(self.t.shared(), self.size),
        }
    }

    pub fn scratch(&self, lines: usize) -> Scratch<T> {
        Scratch::new(lines.max(self.size), self.size)
    }
}

impl Blas {
    /// The workspace that LAPACK would like: what the library's own routine says, or this many elements.
    pub(super) fn workspace<T: Scalar>(
        &self,
        otherwise: isize,
        ask: impl FnOnce(*mut T) -> Option<isize>,
    ) -> Result<T> {
        let mut answer = T::ZERO;
        let place = &raw mut answer;
        let said = self.through(|| ask(place))?;
        #[expect(clippy::cast_precision_loss, reason = "LAPACK's interface has it so")]
        let otherwise = T::narrow((otherwise.max(1) as f64).into());
        Ok(if said == Some(0) { answer } else { otherwise })
    }

    /// A = Q R for a matrix of m x n: R takes the place of the upper triangle (trapezoid), the reflectors of which Q is
    /// made that of the rest; their factors are written to `tau`.
    ///
    /// `work` is used for nothing but its first element, which becomes the number of elements that LAPACK would like it
    /// to have; with `lwork` -1 that is all that is done.
    ///
    /// Returns LAPACK's `info`: 0, or -i if it forbids argument i.
    ///
    /// # Errors
    /// As for [`gemm`](Blas::gemm).
    ///
    /// # Safety
    /// The operands are as large as the arguments say, `tau` has min(m, n) elements, and nobody touches them meanwhile.
    ///
    /// ```
    /// let factor = |blas: &threadctl::dispatch::Blas, a: &mut [f64; 6], tau: &mut [f64; 2]| {
    ///     let mut work = [0.0; 2];
    ///     // SAFETY: a 3x2 matrix, two factors, and as much workspace as LAPACK demands.
    ///     unsafe { blas.geqrf(3, 2, a.as_mut_ptr(), 3, tau.as_mut_ptr(), work.as_mut_ptr(), 2) }
    /// };
    /// # let _ = factor;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "LAPACK has them")]
    pub unsafe fn geqrf<T: Scalar>(
        &self,
        m: isize,
        n: isize,
        a: *mut T,
        lda: isize,
        tau: *mut T,
        work: *mut T,
        lwork: isize,
    ) -> Result<isize> {
        self.check("geqrf", &[m, n, lda, lwork])?;
        let lapack = self.lapack::<T>();
        // SAFETY: our caller's promise, handed on; of a forbidden call nothing but these arguments is looked at.
        let own = |work, lwork| unsafe { lapack.geqrf(m, n, a, lda, tau, work, lwork) };
        let bad = forbidden(&[
            (m >= 0, 1),
            (n >= 0, 2),
            (is_leading(lda, m), 4),
            (is_enough(lwork, if m > 0 { n } else { 1 }), 7),
        ]);
        if let Some(info) = bad {
            return self.refused(info, || own(work, lwork));
        }
        let (rows, cols) = (size(m), size(n));
        let count = rows.min(cols);
        let small = numbers().is_small_here::<T>(self.is_mkl(), Whole::Qr, [rows, cols, count]);
        let otherwise = if count == 0 { 1 } else { n * BLOCK };
        // SAFETY: our caller's promise: the first element of the workspace, then the operands.
        unsafe {
            if lwork == -1 || count == 0 {
                work.write(self.workspace(otherwise, |work| own(work, -1))?);
                return Ok(0);
            }
            if let Some(info) = self.undivided_lapack(small, || own(work, lwork))? {
                return Ok(info);
            }
            self.qr(Matrix::output(a, size(lda)), [rows, cols], tau)?;
            work.write(self.workspace(otherwise, |work| own(work, -1))?);
        }
        Ok(0)
    }

    /// # Safety
    /// As for [`geqrf`](Blas::geqrf).
    pub(super) unsafe fn qr<T: Scalar>(
        &self,
        a: Matrix<T>,
        [m, n]: [usize; 2],
        tau: *mut T,
    ) -> Result<()> {
        let ends = self.shared(|pool| qr_panels(m.min(n), self.is_mkl(), pool));
        if let Some(ends) = ends {
            // SAFETY: our caller's promise.
            return unsafe { self.qr_by_panels(a, [m, n], &ends, tau) };
        }
        let mut blocks = Blocks::new(m.min(n));
        let mut scratch = blocks.scratch(n);
        for range in blocks.ranges() {
            let block = blocks.at(a, m, &range);
            let rest = (a.from(range.start, range.end), n - range.end);
            // SAFETY: our caller's promise: the columns of the block, then those on its right.
            unsafe {
                self.find_block(&block, tau.add(range.start), &mut scratch)?;
                self.reflect(&block, Way::LeftAdjoint, rest, &mut scratch)?;
            }
        }
        Ok(())
    }

    /// Multiplies C, of m x n, by Q of [`geqrf`](Blas::geqrf), which has k reflectors: from the left (`side` `b'L'`) or from
    /// the right (`b'R'`), as it is (`trans` `b'N'`), or its adjoint (`b'T'` for real elements, `b'C'` for complex ones).
    /// For real elements LAPACK calls it ormqr. For `work` see geqrf.
    ///
    /// Returns LAPACK's `info`: 0, or -i if it forbids argument i.
    ///
    /// # Errors
    /// As for [`gemm`](Blas::gemm).
    ///
    /// # Safety
    /// The operands are as large as the arguments say; nobody writes to A and `tau`, or touches C and `work`, meanwhile.
    ///
    /// ```
    /// let multiply = |blas: &threadctl::dispatch::Blas, a: &[f64; 2], tau: &[f64; 1], c: &mut [f64; 2]| {
    ///     let mut work = [0.0; 1];
    ///     let (a, tau, c, work) = (a.as_ptr(), tau.as_ptr(), c.as_mut_ptr(), work.as_mut_ptr());
    ///     // SAFETY: a reflector of two rows, a matrix of 2x1, and as much workspace as LAPACK demands.
    ///     unsafe { blas.unmqr(b'L', b'T', 2, 1, 1, a, 2, tau, c, 2, work, 1) }
    /// };
    /// # let _ = multiply;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "LAPACK has them")]
    pub unsafe fn unmqr<T: Scalar>(
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
        self.check("unmqr", &[m, n, k, lda, ldc, lwork])?;
        let lapack = self.lapack::<T>();
        // SAFETY: our caller's promise, handed on; of a forbidden call nothing but these arguments is looked at.
        let own = |work, lwork| unsafe {
            lapack.unmqr(side, trans, m, n, k, a, lda, tau, c, ldc, work, lwork)
        };
        let left = side.eq_ignore_ascii_case(&b'L');
        let (order, lines) = if left { (m, n) } else { (n, m) };
        let bad = forbidden(&[
            (is_one_of(side, b"LR"), 1),
            (is_one_of(trans, if T::COMPLEX { b"NC" } else { b"NT" }), 2),
            (m >= 0, 3),
            (n >= 0, 4),
            (k >= 0 && k <= order, 5),
            (is_leading(lda, order), 7),
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
            let way = match (left, trans.eq_ignore_ascii_case(&b'N')) {
                (true, true) => Way::Left,
                (true, false) => Way::LeftAdjoint,
                (false, true) => Way::Right,
                (false, false) => Way::RightAdjoint,
            };
            let (a, c) = (Matrix::input(a, size(lda)), Matrix::output(c, size(ldc)));
            self.multiply_by_q(way, (a, order, count), tau, (c, lines))?;
            work.write(self.workspace(otherwise, |work| own(work, -1))?);
        }
        Ok(0)
    }

    /// Applies all reflectors, of so many rows, to so many lines of C.
    ///
    /// # Safety
    /// As for [`unmqr`](Blas::unmqr).
    pub(super) unsafe fn multiply_by_q<T: Scalar>(
        &self,
        way: Way,
        (v, rows, count): (Matrix<T>, usize, usize),
        tau: *const T,
        (c, lines): (Matrix<T>, usize),
    ) -> Result<()> {
        let mut blocks = Blocks::new(count);
        let mut scratch = blocks.scratch(lines);
        let mut apply = |range: Range<usize>| {
            let block = blocks.at(v, rows, &range);
            let c = if way.is_left() {
                c.from(range.start, 0)
            } else {
                c.from(0, range.start)
            };
            // SAFETY: our caller's promise: the rows, or columns, that these reflectors meet.
            unsafe {
                self.close_block(&block, tau.add(range.start))?;
                self.reflect(&block, way, (c, lines), &mut scratch)
            }
        };
        let mut ranges = Blocks::<T>::new(count).ranges();
        // Q = H1 H2 ...: the last of them meets what is on its right first.
        if matches!(way, Way::LeftAdjoint | Way::Right) {
            ranges.try_for_each(&mut apply)
        } else {
            ranges.rev().try_for_each(&mut apply)
        }
    }

    /// The first n columns of Q of [`geqrf`](Blas::geqrf), which has m rows and k reflectors, in their place. For real
    /// elements LAPACK calls it orgqr. For `work` see geqrf.
    ///
    /// Returns LAPACK's `info`: 0, or -i if it forbids argument i.
    ///
    /// # Errors
    /// As for [`gemm`](Blas::gemm).
    ///
    /// # Safety
    /// The operands are as large as the arguments say; nobody writes to `tau`, or touches A and `work`, meanwhile.
    ///
    /// ```
    /// let columns = |blas: &threadctl::dispatch::Blas, a: &mut [f64; 4], tau: &[f64; 2]| {
    ///     let mut work = [0.0; 2];
    ///     // SAFETY: two reflectors of two rows, and as much workspace as LAPACK demands.
    ///     unsafe { blas.ungqr(2, 2, 2, a.as_mut_ptr(), 2, tau.as_ptr(), work.as_mut_ptr(), 2) }
    /// };
    /// # let _ = columns;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "LAPACK has them")]
    pub unsafe fn ungqr<T: Scalar>(
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
        self.check("ungqr", &[m, n, k, lda, lwork])?;
        let lapack = self.lapack::<T>();
        // SAFETY: our caller's promise, handed on; of a forbidden call nothing but these arguments is looked at.
        let own = |work, lwork| unsafe { lapack.ungqr(m, n, k, a, lda, tau, work, lwork) };
        let bad = forbidden(&[
            (m >= 0, 1),
            (n >= 0 && n <= m, 2),
            (k >= 0 && k <= n, 3),
            (is_leading(lda, m), 5),
            (is_enough(lwork, n), 8),
        ]);
        if let Some(info) = bad {
            return self.refused(info, || own(work, lwork));
        }
        let otherwise = n * BLOCK;
        // SAFETY: our caller's promise: the first element of the workspace, then the operands.
        unsafe {
            if lwork == -1 || n == 0 {
                work.write(self.workspace(otherwise, |work| own(work, -1))?);
                return Ok(0);
            }
            let [rows, cols, count] = [m, n, k].map(size);
            let small = numbers().is_small::<T>(rows, cols, cols);
            if let Some(info) = self.undivided_lapack(small, || own(work, lwork))? {
                return Ok(info);
            }
            let a = Matrix::output(a, size(lda));
            self.columns_of_q(a, [rows, cols, count], tau)?;
            work.write(self.workspace(otherwise, |work| own(work, -1))?);
        }
        Ok(0)
    }

    /// # Safety
    /// As for [`ungqr`](Blas::ungqr).
    pub(super) unsafe fn columns_of_q<T: Scalar>(
        &self,
        a: Matrix<T>,
        [m, n, k]: [usize; 3],
        tau: *const T,
    ) -> Result<()> {
        let mut blocks = Blocks::new(k);
        let mut scratch = blocks.scratch(n);
        let width = numbers().reflectors;
        let mut square = Workspace::new(1, width * width);
        let square = Matrix::new(square.shared(), width);
        // SAFETY: our caller's promise: the columns beyond the reflectors, then those of one block after the other.
        unsafe {
            for col in k..n {
                (0..m).for_each(|row| {
                    let one = if row == col { T::ONE } else { T::ZERO };
                    set(a, row, col, one);
                });
            }
            // What comes after a block is made of unit vectors above it: it is applied to the rows from its own on.
            for range in blocks.ranges().rev() {
                let block = blocks.at(a, m, &range);
                self.close_block(&block, tau.add(range.start))?;
                let rest = (a.from(range.start, range.end), n - range.end);
                self.reflect(&block, Way::Left, rest, &mut scratch)?;
                self.open_block(&block, square)?;
                for col in range.clone() {
                    (0..range.start).for_each(|row| set(a, row, col, T::ZERO));
                }
            }
        }
        Ok(())
    }

    /// The first columns of I - V T V^H in the place of V: I - V1 M above, and -V2 M below, where M is T V1^H, an upper
    /// triangle.
    ///
    /// # Safety
    /// V is an output that nobody else touches; the square has as many rows and columns as V has columns.
    unsafe fn open_block<T: Scalar>(&self, block: &Block<T>, square: Matrix<T>) -> Result<()> {
        let (k, v) = (block.count, block.v);
        let hand = Hand::Call(self);
        // SAFETY: our caller's promise.
        unsafe {
            for col in 0..k {
                for row in 0..k {
                    let value = if row <= col {
                        get(block.t, row, col)
                    } else {
                        T::ZERO
                    };
                    set(square, row, col, value);
                }
            }
            hand.trmm(*b"RLCU", [k, k], T::ONE, v, square)?;
            let below = v.from(k, 0);
            hand.trmm(*b"RUNN", [block.len - k, k], -T::ONE, square, below)?;
            hand.trmm(*b"LLNU", [k, k], -T::ONE, v, square)?;
            for col in 0..k {
                for row in 0..k {
                    let one = if row == col { T::ONE } else { T::ZERO };
                    set(v, row, col, get(square, row, col) + one);
                }
            }
        }
        Ok(())
    }
}
