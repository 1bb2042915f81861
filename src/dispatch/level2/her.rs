//! syr, her: tiles are strips of the triangle, a triangle on the diagonal and a rectangle beside it.

use crate::dispatch::backend::Blas;
use crate::dispatch::check::letter;
use crate::dispatch::matrix::Matrix;
use crate::dispatch::policy::vector::{self as policy, Routine};
use crate::dispatch::scalar::Scalar;
use crate::dispatch::strided::Strided;
use crate::error::Result;

impl Blas {
    /// A = alpha x x^T + A, one triangle, for real elements.
    ///
    /// # Errors
    /// As for [`gemv`](Blas::gemv).
    ///
    /// # Safety
    /// The operands are as large as the arguments say, and nobody writes to x, or touches that triangle of A, meanwhile.
    ///
    /// ```
    /// let update = |blas: &threadctl::dispatch::Blas, x: &[f64; 2], a: &mut [f64; 4]| {
    ///     // SAFETY: a 2x2 matrix, and two elements.
    ///     unsafe { blas.syr(b'U', 2, 1.0, x.as_ptr(), 1, a.as_mut_ptr(), 2) }
    /// };
    /// # let _ = update;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "BLAS has them")]
    pub unsafe fn syr<T: Scalar<Real = T>>(
        &self,
        uplo: u8,
        n: isize,
        alpha: T,
        x: *const T,
        incx: isize,
        a: *mut T,
        lda: isize,
    ) -> Result<()> {
        // SAFETY: our caller's promise, handed on.
        unsafe { self.her(uplo, n, alpha, x, incx, a, lda) }
    }

    /// A = alpha x x^H + A, one triangle, for any elements; the imaginary parts of the diagonal become 0.
    ///
    /// # Errors
    /// As for [`gemv`](Blas::gemv).
    ///
    /// # Safety
    /// As for [`syr`](Blas::syr).
    ///
    /// ```
    /// use num_complex::Complex;
    /// let update = |blas: &threadctl::dispatch::Blas, x: &[Complex<f64>; 2], a: &mut [Complex<f64>; 4]| {
    ///     // SAFETY: a 2x2 matrix, and two elements.
    ///     unsafe { blas.her(b'U', 2, 1.0, x.as_ptr(), 1, a.as_mut_ptr(), 2) }
    /// };
    /// # let _ = update;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "BLAS has them")]
    pub unsafe fn her<T: Scalar>(
        &self,
        uplo: u8,
        n: isize,
        alpha: T::Real,
        x: *const T,
        incx: isize,
        a: *mut T,
        lda: isize,
    ) -> Result<()> {
        let kernels = self.kernels::<T>();
        self.check("her", &[n, incx, lda])?;
        // SAFETY: our caller's promise, handed on.
        let through = || unsafe { kernels.her(uplo, n, alpha, x, incx, a, lda) };
        let elements = n.saturating_mul(n);
        if let Some(done) = self.undivided::<T, _>(Routine::Her, elements, through) {
            return done;
        }
        let plan = (|| {
            let (a, [n, _]) = Matrix::given(a.cast_const(), [n, n], lda)?;
            let x = Strided::input(x, n, incx)?;
            let upper = letter(uplo, [b'U', b'L'])?;
            if T::of_real(alpha) == T::ZERO || !x.apart_from([a.memory([n, n])]) {
                return None;
            }
            let strips = self.shared(|pool| policy::triangle::<T>(Routine::Her, n, upper, pool))?;
            Some((strips, upper, a, x))
        })();
        let Some((strips, upper, a, x)) = plan else {
            return self.through(through);
        };
        let size = Routine::Her.size::<T>(elements);
        self.tiles_of(size, strips.parts(), &|strip| {
            let cols = strips.part(strip);
            let rows = if upper {
                0..cols.start
            } else {
                cols.end..x.len()
            };
            let (m, n) = (rows.len() as isize, cols.len() as isize);
            // SAFETY: columns of the triangle that no other tile has.
            unsafe {
                let right = x.part(&cols);
                let on = a.from(cols.start, cols.start).ptr_mut();
                kernels.her(uplo, n, alpha, right, incx, on, lda);
                if m > 0 {
                    let (left, to) = (x.part(&rows), a.from(rows.start, cols.start).ptr_mut());
                    kernels.gerc(m, n, T::of_real(alpha), left, incx, right, incx, to, lda);
                }
            }
        });
        Ok(())
    }
}
