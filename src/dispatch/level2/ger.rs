//! ger, geru, gerc: tiles are parts of A.

use crate::dispatch::backend::Blas;
use crate::dispatch::matrix::Matrix;
use crate::dispatch::policy::vector::{self as policy, Routine};
use crate::dispatch::scalar::Scalar;
use crate::dispatch::strided::Strided;
use crate::error::Result;

impl Blas {
    /// A = alpha x y^T + A, for real elements.
    ///
    /// # Errors
    /// As for [`gemv`](Blas::gemv).
    ///
    /// # Safety
    /// The operands are as large as the arguments say, and nobody writes to x or y, or touches A, meanwhile.
    ///
    /// ```
    /// let update = |blas: &threadctl::dispatch::Blas, x: &[f64; 2], y: &[f64; 2], a: &mut [f64; 4]| {
    ///     // SAFETY: a 2x2 matrix, and two elements each.
    ///     unsafe { blas.ger(2, 2, 1.0, x.as_ptr(), 1, y.as_ptr(), 1, a.as_mut_ptr(), 2) }
    /// };
    /// # let _ = update;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "BLAS has them")]
    pub unsafe fn ger<T: Scalar<Real = T>>(
        &self,
        m: isize,
        n: isize,
        alpha: T,
        x: *const T,
        incx: isize,
        y: *const T,
        incy: isize,
        a: *mut T,
        lda: isize,
    ) -> Result<()> {
        // SAFETY: our caller's promise, handed on.
        unsafe { self.update(false, (m, n), alpha, (x, incx), (y, incy), (a, lda)) }
    }

    /// A = alpha x y^T + A, for any elements.
    ///
    /// # Errors
    /// As for [`gemv`](Blas::gemv).
    ///
    /// # Safety
    /// As for [`ger`](Blas::ger).
    ///
    /// ```
    /// let update = |blas: &threadctl::dispatch::Blas, x: &[f64; 2], y: &[f64; 2], a: &mut [f64; 4]| {
    ///     // SAFETY: a 2x2 matrix, and two elements each.
    ///     unsafe { blas.geru(2, 2, 1.0, x.as_ptr(), 1, y.as_ptr(), 1, a.as_mut_ptr(), 2) }
    /// };
    /// # let _ = update;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "BLAS has them")]
    pub unsafe fn geru<T: Scalar>(
        &self,
        m: isize,
        n: isize,
        alpha: T,
        x: *const T,
        incx: isize,
        y: *const T,
        incy: isize,
        a: *mut T,
        lda: isize,
    ) -> Result<()> {
        // SAFETY: our caller's promise, handed on.
        unsafe { self.update(false, (m, n), alpha, (x, incx), (y, incy), (a, lda)) }
    }

    /// A = alpha x y^H + A.
    ///
    /// # Errors
    /// As for [`gemv`](Blas::gemv).
    ///
    /// # Safety
    /// As for [`ger`](Blas::ger).
    ///
    /// ```
    /// let update = |blas: &threadctl::dispatch::Blas, x: &[f64; 2], y: &[f64; 2], a: &mut [f64; 4]| {
    ///     // SAFETY: a 2x2 matrix, and two elements each.
    ///     unsafe { blas.gerc(2, 2, 1.0, x.as_ptr(), 1, y.as_ptr(), 1, a.as_mut_ptr(), 2) }
    /// };
    /// # let _ = update;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "BLAS has them")]
    pub unsafe fn gerc<T: Scalar>(
        &self,
        m: isize,
        n: isize,
        alpha: T,
        x: *const T,
        incx: isize,
        y: *const T,
        incy: isize,
        a: *mut T,
        lda: isize,
    ) -> Result<()> {
        // SAFETY: our caller's promise, handed on.
        unsafe { self.update(true, (m, n), alpha, (x, incx), (y, incy), (a, lda)) }
    }

    #[inline]
    unsafe fn update<T: Scalar>(
        &self,
        conjugated: bool,
        (m, n): (isize, isize),
        alpha: T,
        (x, incx): (*const T, isize),
        (y, incy): (*const T, isize),
        (a, lda): (*mut T, isize),
    ) -> Result<()> {
        let kernels = self.kernels::<T>();
        self.check("ger", &[m, n, incx, incy, lda])?;
        let kernel = |(m, n), x, y, a| {
            // SAFETY: our caller's promise, handed on: for all of A, or for a part of it.
            unsafe {
                if conjugated {
                    kernels.gerc(m, n, alpha, x, incx, y, incy, a, lda);
                } else {
                    kernels.ger(m, n, alpha, x, incx, y, incy, a, lda);
                }
            }
        };
        let through = || kernel((m, n), x, y, a);
        let elements = m.saturating_mul(n);
        if let Some(done) = self.undivided::<T, _>(Routine::Ger, elements, through) {
            return done;
        }
        let plan = (|| {
            let (a, [m, n]) = Matrix::given(a.cast_const(), [m, n], lda)?;
            let (x, y) = (Strided::input(x, m, incx)?, Strided::input(y, n, incy)?);
            let memory = a.memory([m, n]);
            if alpha == T::ZERO || !x.apart_from([memory]) || !y.apart_from([memory]) {
                return None;
            }
            let grid = self.shared(|pool| policy::ger::<T>(m, n, pool))?;
            Some((grid, a, x, y))
        })();
        let Some((grid, a, x, y)) = plan else {
            return self.through(through);
        };
        let size = Routine::Ger.size::<T>(elements);
        self.tiles_of(size, grid.tiles(), &|tile| {
            let (rows, cols) = grid.tile(tile);
            // SAFETY: as long as the tile, which is a part of A that no other one has.
            let (x, y) = unsafe { (x.part(&rows), y.part(&cols)) };
            let a = a.from(rows.start, cols.start).ptr_mut();
            kernel((rows.len() as isize, cols.len() as isize), x, y, a);
        });
        Ok(())
    }
}
