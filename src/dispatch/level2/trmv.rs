//! trmv: tiles have parts of the result; what they multiply is a copy of x, since the result replaces it.

use super::Triangular;
use crate::dispatch::backend::Blas;
use crate::dispatch::policy::vector::{self as policy, Routine};
use crate::dispatch::scalar::Scalar;
use crate::dispatch::workspace::Workspace;
use crate::error::Result;

impl Blas {
    /// x = op(A) x, A triangular; with `diag` `b'U'` its diagonal is taken for ones.
    ///
    /// # Errors
    /// As for [`gemv`](Blas::gemv).
    ///
    /// # Safety
    /// The operands are as large as the arguments say, and nobody writes to A, or touches x, meanwhile.
    ///
    /// ```
    /// let product = |blas: &threadctl::dispatch::Blas, a: &[f64; 4], x: &mut [f64; 2]| {
    ///     // SAFETY: a 2x2 matrix, and two elements.
    ///     unsafe { blas.trmv(b'U', b'N', b'N', 2, a.as_ptr(), 2, x.as_mut_ptr(), 1) }
    /// };
    /// # let _ = product;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "BLAS has them")]
    pub unsafe fn trmv<T: Scalar>(
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
        self.check("trmv", &[n, lda, incx])?;
        // SAFETY: our caller's promise, handed on.
        let through = || unsafe { kernels.trmv(uplo, trans, diag, n, a, lda, x, incx) };
        let elements = n.saturating_mul(n);
        if let Some(done) = self.undivided::<T, _>(Routine::Trmv, elements, through) {
            return done;
        }
        let plan = (|| {
            let call = Triangular::read(kernels, [uplo, trans, diag], n, (a, lda), (x, incx))?;
            let (n, upper) = (call.x.len(), call.upper);
            let strips =
                self.shared(|pool| policy::triangle::<T>(Routine::Trmv, n, !upper, pool))?;
            Some((strips, call))
        })();
        let Some((strips, Triangular { block, upper, x })) = plan else {
            return self.through(through);
        };
        let size = Routine::Trmv.size::<T>(elements);
        let mut copy = Workspace::new(1, x.len());
        let before = copy.shared();
        // SAFETY: x and its copy; taken with x's own sign of the increment, the copy begins where x does.
        unsafe {
            let _held = self.held();
            kernels.copy(n, x.part(&(0..x.len())), incx, before.at_mut(0), 1);
        }
        self.tiles_of(size, strips.parts(), &|strip| {
            let rows = strips.part(strip);
            let cols = if upper {
                rows.end..x.len()
            } else {
                0..rows.start
            };
            // SAFETY: a part of x that no other tile has; nobody writes to the copy.
            unsafe {
                let (on, to) = (block.a.from(rows.start, rows.start).ptr(), x.part(&rows));
                kernels.trmv(uplo, trans, diag, rows.len() as isize, on, lda, to, incx);
                let rest = (before.at(cols.start), 1);
                block.gemv((&rows, &cols), T::ONE, rest, T::ONE, (to, incx));
            }
        });
        Ok(())
    }
}
