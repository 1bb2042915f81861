//! symv, hemv: tiles are strips of columns of the triangle that is stored. Each element beside the diagonal is used twice,
//! for its own place and for its mirror image: at once, where there is a kernel for that, else while it is in the cache.

use super::both::{COLUMNS, Kernels};
use super::{Block, add_copies};
use crate::dispatch::backend::Blas;
use crate::dispatch::check::{Trans, letter};
use crate::dispatch::grid::Cut;
use crate::dispatch::matrix::Matrix;
use crate::dispatch::policy::vector::{self as policy, Routine};
use crate::dispatch::ptr::Shared;
use crate::dispatch::scalar::Scalar;
use crate::dispatch::strided::Strided;
use crate::dispatch::workspace::Workspace;
use crate::error::Result;
use std::ops::Range;
use std::slice::{from_raw_parts, from_raw_parts_mut};

impl Blas {
    /// y = alpha A x + beta y, A symmetric with one triangle stored, for real elements.
    ///
    /// # Errors
    /// As for [`gemv`](Blas::gemv).
    ///
    /// # Safety
    /// As for [`gemv`](Blas::gemv).
    ///
    /// ```
    /// let product = |blas: &threadctl::dispatch::Blas, a: &[f64; 4], x: &[f64; 2]| {
    ///     let mut y = [0.0; 2];
    ///     // SAFETY: a 2x2 matrix, and two elements each.
    ///     unsafe { blas.symv(b'U', 2, 1.0, a.as_ptr(), 2, x.as_ptr(), 1, 0.0, y.as_mut_ptr(), 1) }?;
    ///     threadctl::Result::Ok(y)
    /// };
    /// # let _ = product;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "BLAS has them")]
    pub unsafe fn symv<T: Scalar<Real = T>>(
        &self,
        uplo: u8,
        n: isize,
        alpha: T,
        a: *const T,
        lda: isize,
        x: *const T,
        incx: isize,
        beta: T,
        y: *mut T,
        incy: isize,
    ) -> Result<()> {
        // SAFETY: our caller's promise, handed on.
        unsafe { self.hemv(uplo, n, alpha, a, lda, x, incx, beta, y, incy) }
    }

    /// y = alpha A x + beta y, A Hermitian with one triangle stored, for any elements; the imaginary parts of the diagonal
    /// are taken for 0.
    ///
    /// # Errors
    /// As for [`gemv`](Blas::gemv).
    ///
    /// # Safety
    /// As for [`gemv`](Blas::gemv).
    ///
    /// ```
    /// use num_complex::Complex;
    /// let product = |blas: &threadctl::dispatch::Blas, a: &[Complex<f64>; 4], x: &[Complex<f64>; 2]| {
    ///     let (one, zero) = (Complex::new(1.0, 0.0), Complex::new(0.0, 0.0));
    ///     let mut y = [zero; 2];
    ///     // SAFETY: a 2x2 matrix, and two elements each.
    ///     unsafe { blas.hemv(b'U', 2, one, a.as_ptr(), 2, x.as_ptr(), 1, zero, y.as_mut_ptr(), 1) }?;
    ///     threadctl::Result::Ok(y)
    /// };
    /// # let _ = product;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "BLAS has them")]
    pub unsafe fn hemv<T: Scalar>(
        &self,
        uplo: u8,
        n: isize,
        alpha: T,
        a: *const T,
        lda: isize,
        x: *const T,
        incx: isize,
        beta: T,
        y: *mut T,
        incy: isize,
    ) -> Result<()> {
        let kernels = self.kernels::<T>();
        self.check("hemv", &[n, lda, incx, incy])?;
        // SAFETY: our caller's promise, handed on.
        let through = || unsafe { kernels.hemv(uplo, n, alpha, a, lda, x, incx, beta, y, incy) };
        let elements = n.saturating_mul(n);
        if let Some(done) = self.undivided::<T, _>(Routine::Hemv, elements, through) {
            return done;
        }
        // Rust's slices are aligned; BLAS's operands need not be.
        let aligned = a.is_aligned() && x.is_aligned();
        let plan = (|| {
            let (a, [n, _]) = Matrix::given(a, [n, n], lda)?;
            let upper = letter(uplo, [b'U', b'L'])?;
            let (x, y) = (Strided::input(x, n, incx)?, Strided::output(y, n, incy)?);
            if alpha == T::ZERO || !y.apart_from([a.memory([n, n]), x.span()]) {
                return None;
            }
            let both = T::at_once().filter(|_| aligned);
            let strips =
                self.shared(|pool| policy::mirrored::<T>(n, upper, both.is_some(), pool))?;
            let block = |flag, trans| Block {
                kernels,
                a,
                flag,
                trans,
            };
            let stored = block(b'N', Trans::No);
            let mirrored = block(b'C', Trans::Conjugated);
            let triangle = Triangle {
                uplo,
                upper,
                alpha,
                stored,
                mirrored,
                x,
                both,
            };
            Some((strips, triangle, y))
        })();
        let Some((strips, mut triangle, y)) = plan else {
            return self.through(through);
        };
        // The kernel for both wants the elements of x beside each other.
        let copied = triangle.both.is_some() && incx != 1;
        let mut beside = Workspace::new(1, if copied { y.len() } else { 0 });
        if copied {
            let _held = self.held();
            // SAFETY: x and its copy; taken with x's own sign of the increment, the copy begins where x does.
            unsafe {
                let copy = beside.shared().at_mut(0);
                kernels.copy(n, triangle.x.part(&(0..y.len())), incx, copy, 1);
                triangle.x = triangle.x.copied(copy);
            }
        }
        let size = Routine::Hemv.size::<T>(elements);
        let nothing = (Shared::input(a), Shared::input(x));
        let mut copies = Workspace::new(strips.parts(), y.len());
        let elements = copies.shared();
        self.tiles_of(size, strips.parts(), &|strip| {
            let (cols, copy) = (strips.part(strip), copies.offset(strip));
            // SAFETY: each has a copy of its own.
            unsafe { triangle.multiply(&cols, elements.at_mut(copy)) };
        });
        // y = beta y first, by the library's own rules for that, then the copies in their order.
        let parts = Cut::even(y.len(), 2 * strips.parts(), policy::SUMMED);
        self.tiles_of(size, parts.parts(), &|part| {
            let range = parts.part(part);
            // SAFETY: a part of y that no other tile has; with alpha = 0 nothing of A and x is read.
            unsafe {
                let (a, x, to) = (nothing.0.at(0), nothing.1.at(0), y.part(&range));
                kernels.gemv(
                    b'N',
                    range.len() as isize,
                    1,
                    T::ZERO,
                    a,
                    lda.max(n),
                    x,
                    1,
                    beta,
                    to,
                    incy,
                );
                add_copies(kernels, &copies, &range, &y);
            }
        });
        Ok(())
    }
}

/// The triangle that is stored, and what it is multiplied by.
struct Triangle<'kernels, T: 'static> {
    uplo: u8,
    upper: bool,
    alpha: T,
    stored: Block<'kernels, T>,
    mirrored: Block<'kernels, T>,
    x: Strided<T>,
    both: Option<Kernels<T>>,
}

impl<T: Scalar> Triangle<'_, T> {
    /// Adds to y what these columns and their mirror images give.
    ///
    /// # Safety
    /// The columns are in the matrix, and y is as long as it, for us alone. Where there are kernels for both, the elements of x
    /// are beside each other.
    unsafe fn multiply(&self, cols: &Range<usize>, y: *mut T) {
        // SAFETY: our caller's promise.
        unsafe {
            match &self.both {
                Some(kernels) => self.multiply_at_once(kernels, cols, y),
                None => self.multiply_twice(cols, y),
            }
        }
    }

    /// Few columns at a time, with what is beside their block on the diagonal.
    ///
    /// # Safety
    /// As for [`multiply`](Triangle::multiply).
    unsafe fn multiply_at_once(&self, both: &Kernels<T>, cols: &Range<usize>, y: *mut T) {
        let (a, len) = (&self.stored.a, self.x.len());
        // SAFETY: x, of which nobody writes, and y.
        let (x, y) = unsafe {
            let x = self.x.part(&(0..len)).cast_const();
            (from_raw_parts(x, len), from_raw_parts_mut(y, len))
        };
        for start in cols.clone().step_by(COLUMNS) {
            let few = start..cols.end.min(start + COLUMNS);
            let rows = if self.upper { 0..start } else { few.end..len };
            // SAFETY: a part of the stored triangle, to which nobody writes.
            let column = |col, rows: &Range<usize>| unsafe {
                from_raw_parts(a.from(rows.start, col).ptr(), rows.len())
            };
            for col in few.clone() {
                let on = if self.upper {
                    start..col + 1
                } else {
                    col..few.end
                };
                let factor = self.alpha * x[col];
                let mut sum = T::ZERO;
                for (row, &element) in on.clone().zip(column(col, &on)) {
                    y[row] += element * factor;
                    if row != col {
                        sum += element * x[row];
                    }
                }
                y[col] += self.alpha * sum;
            }
            let (beside, x_beside) = (&mut y[rows.clone()], &x[rows.clone()]);
            if few.len() == COLUMNS {
                let columns = std::array::from_fn(|at| column(start + at, &rows));
                let factors = std::array::from_fn(|at| self.alpha * x[start + at]);
                // SAFETY: the kernels are for this CPU, and all of these have as many elements as there are rows.
                let sums = unsafe { (both.several)(columns, factors, x_beside, beside) };
                for (col, sum) in few.zip(sums) {
                    y[col] += self.alpha * sum;
                }
            } else {
                for col in few {
                    let beside = &mut y[rows.clone()];
                    // SAFETY: as above.
                    let [sum] = unsafe {
                        (both.one)(
                            [column(col, &rows)],
                            [self.alpha * x[col]],
                            x_beside,
                            beside,
                        )
                    };
                    y[col] += self.alpha * sum;
                }
            }
        }
    }

    /// A block on the diagonal, and what is beside it in pieces that stay in the cache until they have been taken twice.
    ///
    /// # Safety
    /// As for [`multiply`](Triangle::multiply).
    unsafe fn multiply_twice(&self, cols: &Range<usize>, y: *mut T) {
        let (a, inc) = (&self.stored.a, self.x.inc());
        // SAFETY: a block on the diagonal, and the same elements of x and y.
        unsafe {
            let (on, x) = (a.from(cols.start, cols.start).ptr(), self.x.part(cols));
            let (n, ld, y) = (cols.len() as isize, a.ld(), y.add(cols.start));
            (self.stored.kernels).hemv(self.uplo, n, self.alpha, on, ld, x, inc, T::ONE, y, 1);
        }
        let beside = if self.upper {
            0..cols.start
        } else {
            cols.end..self.x.len()
        };
        for start in cols.clone().step_by(policy::MIRRORED_COLUMNS) {
            let few = start..cols.end.min(start + policy::MIRRORED_COLUMNS);
            for start in beside.clone().step_by(policy::MIRRORED_ROWS) {
                let rows = start..beside.end.min(start + policy::MIRRORED_ROWS);
                // SAFETY: as above, for a block that is not on the diagonal.
                unsafe {
                    let (x_rows, x_cols) = (self.x.part(&rows), self.x.part(&few));
                    let (y_rows, y_cols) = (y.add(rows.start), y.add(few.start));
                    let (x_rows, x_cols) = ((x_rows.cast_const(), inc), (x_cols.cast_const(), inc));
                    (self.stored).gemv((&rows, &few), self.alpha, x_cols, T::ONE, (y_rows, 1));
                    (self.mirrored).gemv((&few, &rows), self.alpha, x_rows, T::ONE, (y_cols, 1));
                }
            }
        }
    }
}
