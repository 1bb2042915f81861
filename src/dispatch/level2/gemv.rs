//! gemv: tiles have a part of y, or where y is short a part of the sums.

use super::{Block, add_copies};
use crate::dispatch::backend::Blas;
use crate::dispatch::check::Trans;
use crate::dispatch::matrix::Matrix;
use crate::dispatch::policy::vector::{self as policy, Product, Routine};
use crate::dispatch::scalar::Scalar;
use crate::dispatch::strided::Strided;
use crate::dispatch::workspace::Workspace;
use crate::error::Result;

impl Blas {
    /// y = alpha op(A) x + beta y, where A is m x n.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for integers that the library's cannot hold; nothing is computed
    /// then. Arguments that BLAS forbids go to the library's own error handling.
    ///
    /// # Safety
    /// The operands are as large as the arguments say, and nobody writes to A or x, or touches y, meanwhile.
    ///
    /// ```
    /// let product = |blas: &threadctl::dispatch::Blas, a: &[f64; 4], x: &[f64; 2]| {
    ///     let mut y = [0.0; 2];
    ///     // SAFETY: a 2x2 matrix, and two elements each.
    ///     unsafe { blas.gemv(b'N', 2, 2, 1.0, a.as_ptr(), 2, x.as_ptr(), 1, 0.0, y.as_mut_ptr(), 1) }?;
    ///     threadctl::Result::Ok(y)
    /// };
    /// # let _ = product;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "BLAS has them")]
    pub unsafe fn gemv<T: Scalar>(
        &self,
        trans: u8,
        m: isize,
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
        self.check("gemv", &[m, n, lda, incx, incy])?;
        // SAFETY: our caller's promise, handed on.
        let through =
            || unsafe { kernels.gemv(trans, m, n, alpha, a, lda, x, incx, beta, y, incy) };
        let elements = m.saturating_mul(n);
        if let Some(done) = self.undivided::<T, _>(Routine::Gemv, elements, through) {
            return done;
        }
        let plan = (|| {
            let (a, shape) = Matrix::given(a, [m, n], lda)?;
            let t = Trans::read(trans)?;
            let (rows, cols) = t.stored(shape[0], shape[1]);
            let (x, y) = (
                Strided::input(x, cols, incx)?,
                Strided::output(y, rows, incy)?,
            );
            if alpha == T::ZERO || !y.apart_from([a.memory(shape), x.span()]) {
                return None;
            }
            let cut = self.shared(|pool| policy::gemv::<T>(t, (rows, cols), pool))?;
            let block = Block {
                kernels,
                a,
                flag: trans,
                trans: t,
            };
            Some((cut, block, x, y))
        })();
        let Some((cut, block, x, y)) = plan else {
            return self.through(through);
        };
        let size = Routine::Gemv.size::<T>(elements);
        match cut {
            Product::Result(cut) => self.tiles_of(size, cut.parts(), &|tile| {
                let (rows, cols) = (cut.part(tile), 0..x.len());
                // SAFETY: a part of y that no other tile has.
                unsafe {
                    let (x, y) = (x.part(&cols), y.part(&rows));
                    block.gemv((&rows, &cols), alpha, (x, incx), beta, (y, incy));
                }
            }),
            Product::Sum(cut) => {
                // The first tile has y itself.
                let mut copies = Workspace::new(cut.parts() - 1, y.len());
                let elements = copies.shared();
                let rows = 0..y.len();
                self.tiles_of(size, cut.parts(), &|tile| {
                    let cols = cut.part(tile);
                    // SAFETY: y for one tile, and a copy for each of the others.
                    unsafe {
                        let x = (x.part(&cols).cast_const(), incx);
                        if tile == 0 {
                            block.gemv((&rows, &cols), alpha, x, beta, (y.part(&rows), incy));
                        } else {
                            let copy = elements.at_mut(copies.offset(tile - 1));
                            block.gemv((&rows, &cols), alpha, x, T::ZERO, (copy, 1));
                        }
                    }
                });
                let _held = self.held();
                // SAFETY: the tiles have ended.
                unsafe { add_copies(kernels, &copies, &rows, &y) };
            }
        }
        Ok(())
    }
}
