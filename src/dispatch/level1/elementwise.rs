//! Vectors changed element by element: the parts are independent.

use crate::dispatch::backend::Blas;
use crate::dispatch::grid::Cut;
use crate::dispatch::policy::vector::Routine;
use crate::dispatch::scalar::Scalar;
use crate::error::Result;

/// Nothing is to be put together.
fn nothing(_: &Cut, _: &[()]) -> Option<()> {
    Some(())
}

impl Blas {
    /// y = alpha x + y.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for integers that the library's cannot hold; nothing is computed
    /// then.
    ///
    /// # Safety
    /// The vectors are as large as the arguments say, and nobody writes to x, or touches y, meanwhile.
    ///
    /// ```
    /// let sum = |blas: &threadctl::dispatch::Blas, x: &[f64; 2], y: &mut [f64; 2]| {
    ///     // SAFETY: two elements each.
    ///     unsafe { blas.axpy(2, 1.0, x.as_ptr(), 1, y.as_mut_ptr(), 1) }
    /// };
    /// # let _ = sum;
    /// ```
    pub unsafe fn axpy<T: Scalar>(
        &self,
        n: isize,
        alpha: T,
        x: *const T,
        incx: isize,
        y: *mut T,
        incy: isize,
    ) -> Result<()> {
        let kernels = self.kernels::<T>();
        // SAFETY: our caller's promise; a part of y depends on the same part of x alone.
        unsafe {
            self.vectors(
                Routine::Axpy,
                n,
                [(x.cast_mut(), incx), (y, incy)],
                |n, [x, y]| kernels.axpy(n, alpha, x, incx, y, incy),
                nothing,
            )
        }
    }

    /// y = alpha x + beta y. If beta is 0, what was in y does not matter.
    ///
    /// Where the library does not have the routine, which the reference BLAS has not either, it is computed here.
    ///
    /// # Errors
    /// As for [`axpy`](Blas::axpy).
    ///
    /// # Safety
    /// As for [`axpy`](Blas::axpy).
    ///
    /// ```
    /// let mean = |blas: &threadctl::dispatch::Blas, x: &[f64; 2], y: &mut [f64; 2]| {
    ///     // SAFETY: two elements each.
    ///     unsafe { blas.axpby(2, 0.5, x.as_ptr(), 1, 0.5, y.as_mut_ptr(), 1) }
    /// };
    /// # let _ = mean;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "BLAS has them")]
    pub unsafe fn axpby<T: Scalar>(
        &self,
        n: isize,
        alpha: T,
        x: *const T,
        incx: isize,
        beta: T,
        y: *mut T,
        incy: isize,
    ) -> Result<()> {
        let kernels = self.kernels::<T>();
        let has = kernels.has_axpby();
        // SAFETY: as in `axpy`.
        unsafe {
            self.vectors(
                Routine::Axpby,
                n,
                [(x.cast_mut(), incx), (y, incy)],
                |n, [x, y]| {
                    if has {
                        kernels.axpby(n, alpha, x, incx, beta, y, incy);
                    } else {
                        axpby(n, alpha, (x, incx), beta, (y, incy));
                    }
                },
                nothing,
            )
        }
    }

    /// x = alpha x.
    ///
    /// # Errors
    /// As for [`axpy`](Blas::axpy).
    ///
    /// # Safety
    /// The vector is as large as the arguments say, and nobody else touches it meanwhile.
    ///
    /// ```
    /// let half = |blas: &threadctl::dispatch::Blas, x: &mut [f64; 2]| {
    ///     // SAFETY: two elements.
    ///     unsafe { blas.scal(2, 0.5, x.as_mut_ptr(), 1) }
    /// };
    /// # let _ = half;
    /// ```
    pub unsafe fn scal<T: Scalar>(&self, n: isize, alpha: T, x: *mut T, incx: isize) -> Result<()> {
        let kernels = self.kernels::<T>();
        // SAFETY: our caller's promise.
        unsafe {
            self.vectors(
                Routine::Scal,
                n,
                [(x, incx)],
                |n, [x]| kernels.scal(n, alpha, x, incx),
                nothing,
            )
        }
    }

    /// x = alpha x with a real alpha: `csscal` and `zdscal` for complex elements, else [`scal`](Blas::scal).
    ///
    /// # Errors
    /// As for [`axpy`](Blas::axpy).
    ///
    /// # Safety
    /// As for [`scal`](Blas::scal).
    ///
    /// ```
    /// use num_complex::Complex;
    /// let half = |blas: &threadctl::dispatch::Blas, x: &mut [Complex<f64>; 2]| {
    ///     // SAFETY: two elements.
    ///     unsafe { blas.rscal(2, 0.5, x.as_mut_ptr(), 1) }
    /// };
    /// # let _ = half;
    /// ```
    pub unsafe fn rscal<T: Scalar>(
        &self,
        n: isize,
        alpha: T::Real,
        x: *mut T,
        incx: isize,
    ) -> Result<()> {
        let kernels = self.kernels::<T>();
        // SAFETY: our caller's promise.
        unsafe {
            self.vectors(
                Routine::Scal,
                n,
                [(x, incx)],
                |n, [x]| kernels.rscal(n, alpha, x, incx),
                nothing,
            )
        }
    }

    /// y = x.
    ///
    /// # Errors
    /// As for [`axpy`](Blas::axpy).
    ///
    /// # Safety
    /// As for [`axpy`](Blas::axpy).
    ///
    /// ```
    /// let copy = |blas: &threadctl::dispatch::Blas, x: &[f64; 2], y: &mut [f64; 2]| {
    ///     // SAFETY: two elements each.
    ///     unsafe { blas.copy(2, x.as_ptr(), 1, y.as_mut_ptr(), 1) }
    /// };
    /// # let _ = copy;
    /// ```
    pub unsafe fn copy<T: Scalar>(
        &self,
        n: isize,
        x: *const T,
        incx: isize,
        y: *mut T,
        incy: isize,
    ) -> Result<()> {
        let kernels = self.kernels::<T>();
        // SAFETY: as in `axpy`.
        unsafe {
            self.vectors(
                Routine::Copy,
                n,
                [(x.cast_mut(), incx), (y, incy)],
                |n, [x, y]| kernels.copy(n, x, incx, y, incy),
                nothing,
            )
        }
    }

    /// x and y change places.
    ///
    /// # Errors
    /// As for [`axpy`](Blas::axpy).
    ///
    /// # Safety
    /// The vectors are as large as the arguments say, and nobody else touches them meanwhile.
    ///
    /// ```
    /// let swap = |blas: &threadctl::dispatch::Blas, x: &mut [f64; 2], y: &mut [f64; 2]| {
    ///     // SAFETY: two elements each.
    ///     unsafe { blas.swap(2, x.as_mut_ptr(), 1, y.as_mut_ptr(), 1) }
    /// };
    /// # let _ = swap;
    /// ```
    pub unsafe fn swap<T: Scalar>(
        &self,
        n: isize,
        x: *mut T,
        incx: isize,
        y: *mut T,
        incy: isize,
    ) -> Result<()> {
        let kernels = self.kernels::<T>();
        // SAFETY: our caller's promise; a part of one vector goes to the same part of the other.
        unsafe {
            self.vectors(
                Routine::Swap,
                n,
                [(x, incx), (y, incy)],
                |n, [x, y]| kernels.swap(n, x, incx, y, incy),
                nothing,
            )
        }
    }
}

/// y = alpha x + beta y, for libraries that do not have it.
///
/// # Safety
/// The vectors are as large as that.
unsafe fn axpby<T: Scalar>(
    n: isize,
    alpha: T,
    (x, incx): (*const T, isize),
    beta: T,
    (y, incy): (*mut T, isize),
) {
    let first = |inc: isize| if inc < 0 { (1 - n) * inc } else { 0 };
    let (first_x, first_y) = (first(incx), first(incy));
    for index in 0..n {
        // SAFETY: one of the n elements.
        unsafe {
            let y = y.offset(first_y + index * incy);
            let scaled = alpha * *x.offset(first_x + index * incx);
            y.write(if beta == T::ZERO {
                scaled
            } else {
                scaled + beta * *y
            });
        }
    }
}
