//! trsv: the unknowns of a block on the diagonal are solved for, then tiles tell those that remain.

use super::Triangular;
use crate::dispatch::backend::Blas;
use crate::dispatch::policy::vector::{self as policy, Routine};
use crate::dispatch::scalar::Scalar;
use crate::dispatch::share::width;
use crate::dispatch::strided::Strided;
use crate::error::Result;

impl Blas {
    /// Solves op(A) y = x, A triangular, y in x's place; with `diag` `b'U'` A's diagonal is taken for ones.
    ///
    /// # Errors
    /// As for [`gemv`](Blas::gemv).
    ///
    /// # Safety
    /// As for [`trmv`](Blas::trmv).
    ///
    /// ```
    /// let solve = |blas: &threadctl::dispatch::Blas, a: &[f64; 4], x: &mut [f64; 2]| {
    ///     // SAFETY: a 2x2 matrix, and two elements.
    ///     unsafe { blas.trsv(b'U', b'N', b'N', 2, a.as_ptr(), 2, x.as_mut_ptr(), 1) }
    /// };
    /// # let _ = solve;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "BLAS has them")]
    pub unsafe fn trsv<T: Scalar>(
        &self,
        uplo: u8,
        trans: u8,
        diag: u8,
        n: isize,
        a: *const T,
        lda: isize,
        x: *mut T,
        incx: isize,
    ) -> Result<()> {
        let kernels = self.kernels::<T>();
        self.check("trsv", &[n, lda, incx])?;
        // SAFETY: our caller's promise, handed on.
        let through = || unsafe { kernels.trsv(uplo, trans, diag, n, a, lda, x, incx) };
        let elements = n.saturating_mul(n);
        if let Some(done) = self.undivided::<T, _>(Routine::Trsv, elements, through) {
            return done;
        }
        let plan = (|| {
            let call = Triangular::read(kernels, [uplo, trans, diag], n, (a, lda), (x, incx))?;
            let blocks = self.shared(|pool| policy::trsv::<T>(call.x.len(), pool))?;
            Some((blocks, call))
        })();
        let Some((blocks, Triangular { block, upper, x })) = plan else {
            return self.through(through);
        };
        let width = width();
        for step in 0..blocks.parts() {
            let solved = blocks.part(if upper {
                blocks.parts() - 1 - step
            } else {
                step
            });
            let rest = if upper {
                0..solved.start
            } else {
                solved.end..x.len()
            };
            let size = solved.len() as isize;
            // SAFETY: a block on the diagonal, and its unknowns.
            let from = unsafe {
                let _held = self.held();
                let (on, from) = (
                    block.a.from(solved.start, solved.start).ptr(),
                    x.part(&solved),
                );
                kernels.trsv(uplo, trans, diag, size, on, lda, from, incx);
                Strided::input(from, solved.len(), incx)
            };
            let Some(from) = from else { continue };
            let cut = policy::told(block.trans, rest.len(), width);
            self.tiles(cut.parts(), &|tile| {
                let part = cut.part(tile);
                let rows = rest.start + part.start..rest.start + part.end;
                // SAFETY: unknowns that remain and that no other tile has; nobody writes to the solved ones.
                unsafe {
                    let known = (from.part(&(0..solved.len())).cast_const(), incx);
                    let to = (x.part(&rows), incx);
                    block.gemv((&rows, &solved), -T::ONE, known, T::ONE, to);
                }
            });
        }
        Ok(())
    }
}
