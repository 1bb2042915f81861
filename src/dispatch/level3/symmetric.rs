//! symm and hemm: a tile of C is the routine's own kernel on a block of A's diagonal, and gemm with what of A is beside it.

use super::operand::{Op, around, product};
use crate::dispatch::backend::Blas;
use crate::dispatch::check::{Trans, letter, positive};
use crate::dispatch::matrix::Matrix;
use crate::dispatch::policy;
use crate::dispatch::scalar::Scalar;
use crate::error::Result;
use crate::sys::blas::Kernels;

/// The matrix of which one triangle is stored.
#[derive(Debug, Clone, Copy)]
struct Mirrored<T> {
    stored: Matrix<T>,
    lower: bool,
    hermitian: bool,
}

impl<T: Scalar> Mirrored<T> {
    /// A block beside the diagonal, that begins at this row and column.
    fn block(self, row: usize, col: usize) -> Op<T> {
        if (row > col) == self.lower {
            return self.stored.from(row, col).plain();
        }
        let trans = if self.hermitian {
            Trans::Conjugated
        } else {
            Trans::Yes
        };
        Op::new(self.stored.from(col, row), trans)
    }
}

/// A call, without its name.
struct Call<T> {
    flags: [u8; 2],
    m: isize,
    n: isize,
    alpha: T,
    a: *const T,
    lda: isize,
    b: *const T,
    ldb: isize,
    beta: T,
    c: *mut T,
    ldc: isize,
}

impl Blas {
    /// C = alpha A B + beta C with `side` `b'L'`, C = alpha B A + beta C with `b'R'`, where A is symmetric and one
    /// triangle of it is stored; B and C are m x n.
    ///
    /// # Errors
    /// As for [`gemm`](Blas::gemm).
    ///
    /// # Safety
    /// As for [`gemm`](Blas::gemm).
    ///
    /// ```
    /// let product = |blas: &threadctl::dispatch::Blas, a: &[f64; 4], b: &[f64; 2]| {
    ///     let mut c = [0.0; 2];
    ///     // SAFETY: a 2x2 matrix, of which the lower triangle is read, and two of 2x1.
    ///     unsafe { blas.symm(b'L', b'L', 2, 1, 1.0, a.as_ptr(), 2, b.as_ptr(), 2, 0.0, c.as_mut_ptr(), 2) }?;
    ///     threadctl::Result::Ok(c)
    /// };
    /// # let _ = product;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "BLAS has them")]
    pub unsafe fn symm<T: Scalar>(
        &self,
        side: u8,
        uplo: u8,
        m: isize,
        n: isize,
        alpha: T,
        a: *const T,
        lda: isize,
        b: *const T,
        ldb: isize,
        beta: T,
        c: *mut T,
        ldc: isize,
    ) -> Result<()> {
        let flags = [side, uplo];
        let call = Call {
            flags,
            m,
            n,
            alpha,
            a,
            lda,
            b,
            ldb,
            beta,
            c,
            ldc,
        };
        // SAFETY: our caller's promise, handed on.
        unsafe { self.mirrored("symm", false, &call) }
    }

    /// [`symm`](Blas::symm) with a Hermitian A, of whose diagonal the imaginary parts are taken for 0.
    ///
    /// # Errors
    /// As for [`gemm`](Blas::gemm).
    ///
    /// # Safety
    /// As for [`gemm`](Blas::gemm).
    ///
    /// ```
    /// use num_complex::Complex;
    /// let (zero, one) = (Complex::new(0.0, 0.0), Complex::new(1.0, 0.0));
    /// let product = |blas: &threadctl::dispatch::Blas, a: &[Complex<f64>; 4], b: &[Complex<f64>; 2]| {
    ///     let mut c = [zero; 2];
    ///     // SAFETY: a 2x2 matrix, of which the upper triangle is read, and two of 1x2.
    ///     unsafe { blas.hemm(b'R', b'U', 1, 2, one, a.as_ptr(), 2, b.as_ptr(), 1, zero, c.as_mut_ptr(), 1) }?;
    ///     threadctl::Result::Ok(c)
    /// };
    /// # let _ = product;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "BLAS has them")]
    pub unsafe fn hemm<T: Scalar>(
        &self,
        side: u8,
        uplo: u8,
        m: isize,
        n: isize,
        alpha: T,
        a: *const T,
        lda: isize,
        b: *const T,
        ldb: isize,
        beta: T,
        c: *mut T,
        ldc: isize,
    ) -> Result<()> {
        let flags = [side, uplo];
        let call = Call {
            flags,
            m,
            n,
            alpha,
            a,
            lda,
            b,
            ldb,
            beta,
            c,
            ldc,
        };
        // SAFETY: our caller's promise, handed on.
        unsafe { self.mirrored("hemm", true, &call) }
    }

    /// # Safety
    /// As for [`gemm`](Blas::gemm).
    unsafe fn mirrored<T: Scalar>(
        &self,
        name: &str,
        hermitian: bool,
        call: &Call<T>,
    ) -> Result<()> {
        let kernels = self.kernels::<T>();
        let &Call {
            flags: [side, uplo],
            m,
            n,
            alpha,
            a,
            lda,
            b,
            ldb,
            beta,
            c,
            ldc,
        } = call;
        self.check(name, &[m, n, lda, ldb, ldc])?;
        let own = |m, n, a, b, c| {
            let routine = if hermitian {
                Kernels::hemm
            } else {
                Kernels::symm
            };
            // SAFETY: the whole, or a tile of it; our caller's promise.
            unsafe {
                routine(
                    kernels, side, uplo, m, n, alpha, a, lda, b, ldb, beta, c, ldc,
                )
            };
        };
        let through = || own(m, n, a, b, c);
        let order = if side.eq_ignore_ascii_case(&b'L') {
            m
        } else {
            n
        };
        if policy::tiny::<T>(m, n, order) {
            return self.through(through);
        }
        let plan = (|| {
            let left = letter(side, *b"LR")?;
            let lower = letter(uplo, *b"LU")?;
            let [m, n, order, lda, ldb, ldc] = positive([m, n, order, lda, ldb, ldc])?;
            let (a, b, c) = (
                Matrix::input(a, lda),
                Matrix::input(b, ldb),
                Matrix::output(c, ldc),
            );
            // Without alpha nothing of A is looked at: a matter of memory, not of arithmetic.
            let valid = alpha != T::ZERO
                && a.plain().is_apart([order, order], c, [m, n])
                && b.plain().is_apart([m, n], c, [m, n])
                && c.holds([m, n]);
            let grid =
                self.shared(|pool| valid.then(|| policy::mirrored::<T>(m, n, order, pool))?)?;
            let a = Mirrored {
                stored: a,
                lower,
                hermitian,
            };
            Some((grid, left, order, a, b, c))
        })();
        let Some((grid, left, order, a, b, c)) = plan else {
            return self.through(through);
        };
        let size = policy::Size::of_product::<T>(grid.rows.len(), grid.cols.len(), order);
        self.tiles_of(size, grid.tiles(), &|tile| {
            let (rows, cols) = grid.tile(tile);
            let part = if left { &rows } else { &cols };
            let target = c.from(rows.start, cols.start);
            own(
                rows.len() as isize,
                cols.len() as isize,
                a.stored.from(part.start, part.start).ptr(),
                b.from(rows.start, cols.start).ptr(),
                target.ptr_mut(),
            );
            for rest in around(part, order) {
                if rest.is_empty() {
                    continue;
                }
                let start = rest.start;
                let (first, second) = if left {
                    (
                        a.block(part.start, start),
                        b.from(start, cols.start).plain(),
                    )
                } else {
                    (
                        b.from(rows.start, start).plain(),
                        a.block(start, part.start),
                    )
                };
                // SAFETY: blocks of A beside the diagonal that are stored, what of B they are multiplied with, and a part of
                // C that no other tile has.
                unsafe {
                    product(
                        kernels,
                        [rows.len(), cols.len(), rest.len()],
                        (alpha, first, second),
                        (T::ONE, target),
                    );
                }
            }
        });
        Ok(())
    }
}
