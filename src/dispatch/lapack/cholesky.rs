//! Cholesky factorization, and what is solved by it.
//!
//! Source: F. Gustavson, I. Jonsson, "Minimal-storage high-performance Cholesky factorization via blocking and recursion",
//! IBM J. Res. Dev. 44 (2000): one half of the diagonal, the solution beside it, the square of that taken from the other
//! half, the other half.

use super::cells::{get, set};
use super::cholesky_steps::beyond;
use super::{forbidden, is_leading, is_one_of, size};
use crate::dispatch::backend::Blas;
use crate::dispatch::grid::Cut;
use crate::dispatch::matrix::Matrix;
use crate::dispatch::policy::lapack::{Whole, numbers, panel};
use crate::dispatch::policy::{Part, Triangle};
use crate::dispatch::scalar::Scalar;
use crate::error::Result;
use crate::sys::blas::Kernels;
use num_complex::Complex;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

impl Blas {
    /// A = U^H U with `uplo` `b'U'`, A = L L^H with `b'L'`, for a Hermitian (symmetric, where real) A of order n, of
    /// which that triangle is given; the factor takes its place.
    ///
    /// Returns LAPACK's `info`: 0, or -i if it forbids argument i, or i if the leading minor of order i is not positive (or
    /// not a number); the factorization ended there.
    ///
    /// # Errors
    /// As for [`gemm`](Blas::gemm).
    ///
    /// # Safety
    /// A is as large as the arguments say, and nobody touches it meanwhile.
    ///
    /// ```
    /// let factor = |blas: &threadctl::dispatch::Blas, a: &mut [f64; 4]| {
    ///     // SAFETY: a 2x2 matrix.
    ///     unsafe { blas.potrf(b'L', 2, a.as_mut_ptr(), 2) }
    /// };
    /// # let _ = factor;
    /// ```
    pub unsafe fn potrf<T: Scalar>(
        &self,
        uplo: u8,
        n: isize,
        a: *mut T,
        lda: isize,
    ) -> Result<isize> {
        self.check("potrf", &[n, lda])?;
        let lapack = self.lapack::<T>();
        let bad = forbidden(&[
            (is_one_of(uplo, b"UL"), 1),
            (n >= 0, 2),
            (is_leading(lda, n), 4),
        ]);
        if let Some(info) = bad {
            // SAFETY: of a forbidden call nothing but these arguments is looked at.
            return self.refused(info, || unsafe { lapack.potrf(uplo, n, a, lda) });
        }
        let order = size(n);
        if order == 0 {
            return Ok(0);
        }
        let lower = uplo.eq_ignore_ascii_case(&b'L');
        let a = Matrix::output(a, size(lda));
        // SAFETY: our caller's promise, handed on.
        unsafe {
            let small = numbers().is_small_here::<T>(self.is_mkl(), Whole::Cholesky, [order; 3]);
            let own = || self.own_cholesky(lower, order, a);
            if let Some(info) = self.undivided_lapack(small, own)? {
                return Ok(info);
            }
            if T::COMPLEX {
                // LAPACK does not look at the imaginary parts; herk of BLIS and of ATLAS does, where they are no numbers.
                (0..order).for_each(|i| set(a, i, i, T::of_real(get(a, i, i).re())));
            }
            match self.shared(|pool| panel(order, self.is_mkl(), pool)) {
                Some(width) => self.cholesky_by_panels(lower, order, width, a),
                None => self.cholesky(lower, order, a),
            }
        }
    }

    /// # Safety
    /// As for [`potrf`](Blas::potrf).
    unsafe fn cholesky<T: Scalar>(&self, lower: bool, n: usize, a: Matrix<T>) -> Result<isize> {
        // SAFETY: our caller's promise, handed on: parts of the triangle, one after the other.
        unsafe {
            if n <= numbers().block
                && let Some(info) = self.through(|| self.own_cholesky(lower, n, a))?
            {
                return Ok(info);
            }
            if n <= numbers().single {
                return Ok(cholesky_by_columns(lower, n, a));
            }
            let half = numbers().half(n);
            let info = self.cholesky(lower, half, a)?;
            if info != 0 {
                return Ok(info);
            }
            let (first, second) = (half as isize, (n - half) as isize);
            let rest = a.from(half, half);
            let (flags, [rows, cols], beside) = if lower {
                (*b"RLCN", [second, first], a.from(half, 0))
            } else {
                (*b"LUCN", [first, second], a.from(0, half))
            };
            let [side, uplo, trans, diag] = flags;
            let (beside, ld) = (beside.ptr_mut(), a.ld());
            self.trsm(
                side,
                uplo,
                trans,
                diag,
                rows,
                cols,
                T::ONE,
                a.ptr(),
                ld,
                beside,
                ld,
            )?;
            let trans = if lower { b'N' } else { b'C' };
            self.herk(
                uplo,
                trans,
                second,
                first,
                (-T::ONE).re(),
                beside,
                ld,
                T::ONE.re(),
                rest.ptr_mut(),
                ld,
            )?;
            let info = self.cholesky(lower, n - half, rest)?;
            Ok(if info > 0 { info + first } else { info })
        }
    }

    /// Panel by panel, for a pool: the panel beside a block on the diagonal is solved for, and its square is taken from the
    /// rest in tiles, of which the first goes on to factor the next block on the diagonal. So nobody waits for that.
    ///
    /// # Safety
    /// As for [`potrf`](Blas::potrf).
    unsafe fn cholesky_by_panels<T: Scalar>(
        &self,
        lower: bool,
        n: usize,
        width: usize,
        a: Matrix<T>,
    ) -> Result<isize> {
        let kernels = self.kernels::<T>();
        // SAFETY: our caller's promise, handed on: the first block.
        let info = unsafe { self.cholesky(lower, width, a) }?;
        if info != 0 {
            return Ok(info);
        }
        let mut start = 0;
        while start + width < n {
            let end = start + width;
            let rest = Rest {
                lower,
                order: n - end,
                next: width.min(n - end),
                depth: width,
                panel: if lower {
                    a.from(end, start)
                } else {
                    a.from(start, end)
                },
                target: a.from(end, end),
            };
            // SAFETY: our caller's promise: the panel, by the block beside it.
            unsafe { self.solve_panel(&rest, a.from(start, start)) }?;
            let (triangle, strip) = rest.plan(self);
            let squares = triangle.as_ref().map_or(1, Triangle::tiles);
            let squares = if rest.order > rest.next { squares } else { 0 };
            let info = Mutex::new(Ok(0));
            self.tiles(1 + squares + strip.parts(), &|tile| {
                // SAFETY: our caller's promise; each tile has its own part of what is left, and all read the panel.
                unsafe {
                    if tile == 0 {
                        rest.take_square(kernels, &(0..rest.next));
                        let found = self.cholesky(lower, rest.next, rest.target);
                        *info.lock().unwrap_or_else(PoisonError::into_inner) = found;
                    } else if tile <= squares {
                        let whole = || Part::Diagonal(0..rest.order - rest.next);
                        let part = (triangle.as_ref()).map_or_else(whole, |t| t.tile(tile - 1));
                        rest.take_part(kernels, part);
                    } else {
                        let rows = strip.part(tile - 1 - squares);
                        let rows = rest.next + rows.start..rest.next + rows.end;
                        rest.take_product(kernels, &rows, &(0..rest.next));
                    }
                }
            });
            let info = info.into_inner().unwrap_or_else(PoisonError::into_inner)?;
            if info != 0 {
                return Ok(info + end as isize);
            }
            start = end;
        }
        Ok(0)
    }

    /// # Safety
    /// The panel and the block are as large as they are said to be, and nobody else touches the panel.
    unsafe fn solve_panel<T: Scalar>(&self, rest: &Rest<T>, block: Matrix<T>) -> Result<()> {
        let (order, free) = (rest.depth as isize, rest.order as isize);
        let (side, uplo, [m, n]) = if rest.lower {
            (b'R', b'L', [free, order])
        } else {
            (b'L', b'U', [order, free])
        };
        let (panel, ld) = (rest.panel.ptr_mut(), block.ld());
        // SAFETY: our caller's promise, handed on.
        unsafe {
            self.trsm(
                side,
                uplo,
                b'C',
                b'N',
                m,
                n,
                T::ONE,
                block.ptr(),
                ld,
                panel,
                ld,
            )
        }
    }

    /// The library's own, if it has one; the caller holds it.
    ///
    /// # Safety
    /// As for [`potrf`](Blas::potrf).
    unsafe fn own_cholesky<T: Scalar>(&self, lower: bool, n: usize, a: Matrix<T>) -> Option<isize> {
        let uplo = if lower { b'L' } else { b'U' };
        // SAFETY: our caller's promise, handed on.
        let info = unsafe { (self.lapack::<T>()).potrf(uplo, n as isize, a.ptr_mut(), a.ld()) }?;
        if info != 0 {
            return Some(info);
        }
        // OpenBLAS before 0.3.22 goes on after a pivot that is not a number, and all later ones are none either.
        // SAFETY: the diagonal.
        let not_number = (0..n).find(|&i| unsafe { get(a, i, i) }.widen().re.is_nan());
        Some(not_number.map_or(0, |at| at as isize + 1))
    }

    /// Solves A X = B with the factor that [`potrf`](Blas::potrf) made of A, which is of order n; X takes the place of B,
    /// which has `nrhs` columns.
    ///
    /// Returns LAPACK's `info`: 0, or -i if it forbids argument i.
    ///
    /// # Errors
    /// As for [`gemm`](Blas::gemm).
    ///
    /// # Safety
    /// The operands are as large as the arguments say; nobody writes to A, or touches B, meanwhile.
    ///
    /// ```
    /// let solve = |blas: &threadctl::dispatch::Blas, a: &[f64; 4], b: &mut [f64; 2]| {
    ///     // SAFETY: the factor of a 2x2 matrix, and one column.
    ///     unsafe { blas.potrs(b'L', 2, 1, a.as_ptr(), 2, b.as_mut_ptr(), 2) }
    /// };
    /// # let _ = solve;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "LAPACK has them")]
    pub unsafe fn potrs<T: Scalar>(
        &self,
        uplo: u8,
        n: isize,
        nrhs: isize,
        a: *const T,
        lda: isize,
        b: *mut T,
        ldb: isize,
    ) -> Result<isize> {
        self.check("potrs", &[n, nrhs, lda, ldb])?;
        let lapack = self.lapack::<T>();
        let bad = forbidden(&[
            (is_one_of(uplo, b"UL"), 1),
            (n >= 0, 2),
            (nrhs >= 0, 3),
            (is_leading(lda, n), 5),
            (is_leading(ldb, n), 7),
        ]);
        // SAFETY: our caller's promise, handed on; of a forbidden call nothing but these arguments is looked at.
        let own = || unsafe { lapack.potrs(uplo, n, nrhs, a, lda, b, ldb) };
        if let Some(info) = bad {
            return self.refused(info, own);
        }
        if n == 0 || nrhs == 0 {
            return Ok(0);
        }
        let small = numbers().is_small::<T>(size(n), size(n), size(nrhs));
        if let Some(info) = self.undivided_lapack(small, own)? {
            return Ok(info);
        }
        let order = if uplo.eq_ignore_ascii_case(&b'L') {
            *b"NC"
        } else {
            *b"CN"
        };
        for trans in order {
            // SAFETY: as above.
            unsafe { self.trsm(b'L', uplo, trans, b'N', n, nrhs, T::ONE, a, lda, b, ldb) }?;
        }
        Ok(0)
    }

    /// Solves A X = B by [`potrf`](Blas::potrf) and [`potrs`](Blas::potrs): A is of order n, and its factor takes its
    /// place; X takes the place of B, which has `nrhs` columns.
    ///
    /// Returns LAPACK's `info`: 0, or -i if it forbids argument i, or i if the leading minor of order i is not positive;
    /// nothing is solved then.
    ///
    /// # Errors
    /// As for [`gemm`](Blas::gemm).
    ///
    /// # Safety
    /// The operands are as large as the arguments say, and nobody touches them meanwhile.
    ///
    /// ```
    /// let solve = |blas: &threadctl::dispatch::Blas, a: &mut [f64; 4], b: &mut [f64; 2]| {
    ///     // SAFETY: a 2x2 matrix, and one column.
    ///     unsafe { blas.posv(b'U', 2, 1, a.as_mut_ptr(), 2, b.as_mut_ptr(), 2) }
    /// };
    /// # let _ = solve;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "LAPACK has them")]
    pub unsafe fn posv<T: Scalar>(
        &self,
        uplo: u8,
        n: isize,
        nrhs: isize,
        a: *mut T,
        lda: isize,
        b: *mut T,
        ldb: isize,
    ) -> Result<isize> {
        self.check("posv", &[n, nrhs, lda, ldb])?;
        let lapack = self.lapack::<T>();
        let bad = forbidden(&[
            (is_one_of(uplo, b"UL"), 1),
            (n >= 0, 2),
            (nrhs >= 0, 3),
            (is_leading(lda, n), 5),
            (is_leading(ldb, n), 7),
        ]);
        // SAFETY: our caller's promise, handed on; of a forbidden call nothing but these arguments is looked at.
        unsafe {
            if let Some(info) = bad {
                return self.refused(info, || lapack.posv(uplo, n, nrhs, a, lda, b, ldb));
            }
            let info = self.potrf(uplo, n, a, lda)?;
            if info != 0 {
                return Ok(info);
            }
            self.potrs(uplo, n, nrhs, a, lda, b, ldb)
        }
    }
}

/// What is left of a matrix beside a panel: a triangle, from which the square of the panel is taken.
struct Rest<T> {
    lower: bool,
    order: usize,
    /// The order of the block on the diagonal that comes next.
    next: usize,
    /// How wide the panel is.
    depth: usize,
    panel: Matrix<T>,
    target: Matrix<T>,
}

impl<T: Scalar> Rest<T> {
    /// The tiles beyond the next block: those of the triangle, if it is cut, and those of the strip beside the block.
    fn plan(&self, blas: &Blas) -> (Option<Triangle>, Cut) {
        let sizes = [self.order, self.next, self.depth];
        blas.shared(|pool| Some(beyond::<T>(sizes, self.lower, pool)))
            .unwrap_or_else(|| (None, Cut::whole(self.order - self.next)))
    }

    /// The lines of the panel that stand for these rows of what is left.
    fn lines(&self, start: usize) -> Matrix<T> {
        if self.lower {
            self.panel.from(start, 0)
        } else {
            self.panel.from(0, start)
        }
    }

    /// Takes it from the block on the diagonal that has these rows.
    ///
    /// # Safety
    /// All live, and nobody else touches the block.
    unsafe fn take_square(&self, kernels: &Kernels<T>, rows: &Range<usize>) {
        let (uplo, trans) = if self.lower {
            (b'L', b'N')
        } else {
            (b'U', b'C')
        };
        let (panel, target) = (
            self.lines(rows.start),
            self.target.from(rows.start, rows.start),
        );
        let (n, k) = (rows.len() as isize, self.depth as isize);
        let (minus, one) = ((-T::ONE).re(), T::ONE.re());
        // SAFETY: our caller's promise, handed on.
        unsafe {
            let (from, to, ld) = (panel.ptr(), target.ptr_mut(), panel.ld());
            kernels.herk(uplo, trans, n, k, minus, from, ld, one, to, ld);
        }
    }

    /// Takes it from the rectangle that has these lines along the diagonal's direction and beside it; of the upper triangle
    /// it is the mirror image.
    ///
    /// # Safety
    /// As for [`take_square`](Rest::take_square).
    unsafe fn take_product(&self, kernels: &Kernels<T>, far: &Range<usize>, near: &Range<usize>) {
        let (flags, rows, cols) = if self.lower {
            (*b"NC", far, near)
        } else {
            (*b"CN", near, far)
        };
        let (m, n, k) = (
            rows.len() as isize,
            cols.len() as isize,
            self.depth as isize,
        );
        let (left, right) = (self.lines(rows.start), self.lines(cols.start));
        let target = self.target.from(rows.start, cols.start);
        // SAFETY: our caller's promise, handed on.
        unsafe {
            let (a, b, c, ld) = (left.ptr(), right.ptr(), target.ptr_mut(), left.ld());
            let [ta, tb] = flags;
            kernels.gemm(ta, tb, m, n, k, -T::ONE, a, ld, b, ld, T::ONE, c, ld);
        }
    }

    /// A part of the triangle beyond the next block.
    ///
    /// # Safety
    /// As for [`take_square`](Rest::take_square).
    unsafe fn take_part(&self, kernels: &Kernels<T>, part: Part) {
        let shift = |part: Range<usize>| self.next + part.start..self.next + part.end;
        // SAFETY: our caller's promise, handed on.
        unsafe {
            match part {
                Part::Diagonal(rows) => self.take_square(kernels, &shift(rows)),
                Part::Rectangle(rows, cols) => {
                    let (far, near) = if self.lower {
                        (rows, cols)
                    } else {
                        (cols, rows)
                    };
                    self.take_product(kernels, &shift(far), &shift(near));
                }
            }
        }
    }
}

/// A block of very few columns, one after the other, for libraries that have no LAPACK. Returns `info`.
///
/// # Safety
/// The triangle is an output that lives, and nobody else touches it.
unsafe fn cholesky_by_columns<T: Scalar>(lower: bool, n: usize, a: Matrix<T>) -> isize {
    // The element below the diagonal, or its mirror image above it.
    let place = |row, col| if lower { (row, col) } else { (col, row) };
    for col in 0..n {
        for row in col..n {
            // What of A is left here is L[row, ..col] L[col, ..col]^H less; mirrored, both factors are conjugated.
            let (at, with) = place(row, col);
            // SAFETY: elements of the triangle.
            unsafe {
                let mut sum = get(a, at, with);
                for before in 0..col {
                    let (row_at, row_with) = place(row, before);
                    let (col_at, col_with) = place(col, before);
                    let (one, other) = (get(a, row_at, row_with), get(a, col_at, col_with));
                    sum += -(one * other.conj());
                }
                if row == col {
                    let pivot = sum.widen().re;
                    if pivot.is_nan() || pivot <= 0.0 {
                        set(a, col, col, T::narrow(Complex::new(pivot, 0.0)));
                        return col as isize + 1;
                    }
                    set(a, col, col, T::narrow(Complex::new(pivot.sqrt(), 0.0)));
                } else {
                    set(a, at, with, sum / get(a, col, col));
                }
            }
        }
    }
    0
}
