//! gemm: tiles of C are products of rows of op(A) and columns of op(B).

use crate::dispatch::backend::Blas;
use crate::dispatch::check::{Trans, overlap, positive};
use crate::dispatch::policy;
use crate::dispatch::ptr::Shared;
use crate::dispatch::scalar::Scalar;
use crate::error::Result;

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
        let kernels = self.kernels::<T>();
        self.check("gemm", &[m, n, k, lda, ldb, ldc])?;
        // SAFETY: our caller's promise, handed on.
        let through = || unsafe {
            kernels.gemm(transa, transb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
        };
        if m.saturating_mul(n).saturating_mul(k) <= policy::TINY as isize {
            return self.tiny(through);
        }
        let grid = (|| {
            let (ta, tb) = (Trans::read(transa)?, Trans::read(transb)?);
            let [m, n, k, lda, ldb, ldc] = positive([m, n, k, lda, ldb, ldc])?;
            let (a_rows, a_cols) = ta.stored(m, k);
            let (b_rows, b_cols) = tb.stored(k, n);
            let apart = lda >= a_rows
                && ldb >= b_rows
                && ldc >= m
                && !overlap((a, lda * a_cols), (c, ldc * n))
                && !overlap((b, ldb * b_cols), (c, ldc * n));
            let grid =
                self.shared(|width| apart.then(|| policy::product::<T>(m, n, k, width))?)?;
            Some((grid, ta, tb, lda, ldb, ldc))
        })();
        let Some((grid, ta, tb, lda, ldb, ldc)) = grid else {
            return self.through(through);
        };
        let (a, b, c) = (Shared::input(a), Shared::input(b), Shared::output(c));
        self.tiles(grid.tiles(), &|tile| {
            let (rows, cols) = grid.tile(tile);
            // SAFETY: rows of op(A) and columns of op(B), and a part of C that no other tile has.
            unsafe {
                kernels.gemm(
                    transa,
                    transb,
                    rows.len() as isize,
                    cols.len() as isize,
                    k,
                    alpha,
                    a.at(ta.offset(rows.start, 0, lda)),
                    lda as isize,
                    b.at(tb.offset(0, cols.start, ldb)),
                    ldb as isize,
                    beta,
                    c.at_mut(rows.start + cols.start * ldc),
                    ldc as isize,
                );
            }
        });
        Ok(())
    }
}
