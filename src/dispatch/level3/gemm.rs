//! gemm: tiles of C are products of rows of op(A) and columns of op(B).

use super::operand::{Op, product};
use crate::dispatch::backend::Blas;
use crate::dispatch::check::{Trans, positive};
use crate::dispatch::grid::Grid;
use crate::dispatch::matrix::Matrix;
use crate::dispatch::policy;
use crate::dispatch::scalar::Scalar;
use crate::error::Result;
use crate::sys::blas::Kernels;

impl Blas {
    /// C = alpha op(A) op(B) + beta C, where op(A) is m x k, op(B) is k x n and C is m x n.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for integers that the library's cannot hold; nothing is computed
    /// then. Arguments that BLAS forbids go to the library's own error handling.
    ///
    /// # Safety
    /// The matrices are as large as the arguments say, and nobody writes to A or B, or touches C, meanwhile.
    ///
    /// ```
    /// let product = |blas: &threadctl::dispatch::Blas, a: &[f64; 4], b: &[f64; 4]| {
    ///     let mut c = [0.0; 4];
    ///     // SAFETY: three 2x2 matrices.
    ///     unsafe { blas.gemm(b'N', b'N', 2, 2, 2, 1.0, a.as_ptr(), 2, b.as_ptr(), 2, 0.0, c.as_mut_ptr(), 2) }?;
    ///     threadctl::Result::Ok(c)
    /// };
    /// # let _ = product;
    /// ```
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "BLAS has them")]
    pub unsafe fn gemm<T: Scalar>(
        &self,
        transa: u8,
        transb: u8,
        m: isize,
        n: isize,
        k: isize,
        alpha: T,
        a: *const T,
        lda: isize,
        b: *const T,
        ldb: isize,
        beta: T,
        c: *mut T,
        ldc: isize,
    ) -> Result<()> {
        self.check("gemm", &[m, n, k, lda, ldb, ldc])?;
        // SAFETY: our caller's promise, handed on.
        unsafe {
            if policy::tiny::<T>(m, n, k) {
                let kernels = self.kernels::<T>();
                self.tiny(|| {
                    kernels.gemm(transa, transb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
                })
            } else {
                self.large_gemm(
                    [transa, transb],
                    [m, n, k],
                    alpha,
                    (a, lda),
                    (b, ldb),
                    beta,
                    (c, ldc),
                )
            }
        }
    }

    /// What is not tiny. By itself, so that what is does not pay for its size.
    ///
    /// # Safety
    /// As for [`gemm`](Blas::gemm); the integers fit.
    #[inline(never)]
    #[expect(clippy::too_many_arguments, reason = "BLAS has them")]
    unsafe fn large_gemm<T: Scalar>(
        &self,
        [transa, transb]: [u8; 2],
        [m, n, k]: [isize; 3],
        alpha: T,
        (a, lda): (*const T, isize),
        (b, ldb): (*const T, isize),
        beta: T,
        (c, ldc): (*mut T, isize),
    ) -> Result<()> {
        let kernels = self.kernels::<T>();
        // SAFETY: our caller's promise, handed on.
        let through = || unsafe {
            kernels.gemm(transa, transb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
        };
        let plan = (|| {
            let (ta, tb) = (Trans::read(transa)?, Trans::read(transb)?);
            let [m, n, k, lda, ldb, ldc] = positive([m, n, k, lda, ldb, ldc])?;
            let factors = Factors {
                a: Op::new(Matrix::input(a, lda), ta),
                b: Op::new(Matrix::input(b, ldb), tb),
                c: Matrix::output(c, ldc),
            };
            if !factors.hold([m, n, k]) || !factors.are_apart([m, n, k]) {
                return None;
            }
            // Without alpha nothing is multiplied: a matter of memory, not of arithmetic.
            let grid = self.shared(|pool| {
                (alpha != T::ZERO).then(|| policy::product::<T>(m, n, k, pool))?
            })?;
            Some((grid, factors, k))
        })();
        let Some((grid, factors, k)) = plan else {
            return self.through(through);
        };
        let size = policy::Size::of_product::<T>(grid.rows.len(), grid.cols.len(), k);
        self.tiles_of(size, grid.tiles(), &|tile| {
            // SAFETY: They hold that, and our caller's promise; no other tile has this part of C.
            unsafe { factors.tile(kernels, (&grid, tile), k, alpha, beta) };
        });
        Ok(())
    }
}

/// The operands of a product.
#[derive(Debug, Clone, Copy)]
pub(super) struct Factors<T> {
    pub a: Op<T>,
    pub b: Op<T>,
    pub c: Matrix<T>,
}

impl<T: Scalar> Factors<T> {
    /// Whether the columns of each are as far apart as they are long.
    pub fn hold(&self, [m, n, k]: [usize; 3]) -> bool {
        self.a.holds([m, k]) && self.b.holds([k, n]) && self.c.holds([m, n])
    }

    /// Whether C has no element of what is read.
    fn are_apart(&self, [m, n, k]: [usize; 3]) -> bool {
        !self.a.meets([m, k], self.c, [m, n]) && !self.b.meets([k, n], self.c, [m, n])
    }

    /// Computes one tile of C.
    ///
    /// # Safety
    /// They [hold](Factors::hold) the sizes of the grid and `k`, and live; nobody else touches this part of C.
    pub unsafe fn tile(
        &self,
        kernels: &Kernels<T>,
        (grid, tile): (&Grid, usize),
        k: usize,
        alpha: T,
        beta: T,
    ) {
        let (rows, cols) = grid.tile(tile);
        // SAFETY: rows of op(A), columns of op(B), and where they meet in C.
        unsafe {
            product(
                kernels,
                [rows.len(), cols.len(), k],
                (
                    alpha,
                    self.a.from(rows.start, 0),
                    self.b.from(0, cols.start),
                ),
                (beta, self.c.from(rows.start, cols.start)),
            );
        }
    }
}
