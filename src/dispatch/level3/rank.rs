//! What syrk, herk, syr2k, her2k and gemmt have in common: one triangle of C is a sum of products.
//!
//! Blocks on the diagonal are computed by the routine's own kernel, which leaves the other triangle alone; rectangles
//! beside them by one or two calls of gemm.

use super::operand::{Op, product};
use crate::dispatch::backend::Blas;
use crate::dispatch::matrix::Matrix;
use crate::dispatch::policy::{self, Part};
use crate::dispatch::scalar::Scalar;
use crate::error::Result;

/// A product that is added to C: so many times a matrix that is order x depth, times one that is depth x order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Term<T> {
    pub factor: T,
    pub left: Op<T>,
    pub right: Op<T>,
}

/// A sum of products, one triangle of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sum<T> {
    pub lower: bool,
    pub order: usize,
    pub depth: usize,
    pub terms: [Option<Term<T>>; 2],
    pub beta: T,
    pub c: Matrix<T>,
}

impl<T: Scalar> Sum<T> {
    /// Whether the columns of each operand are as far apart as they are long.
    pub fn holds(&self) -> bool {
        let (n, k) = (self.order, self.depth);
        self.c.holds([n, n])
            && self
                .terms
                .iter()
                .flatten()
                .all(|term| term.left.holds([n, k]) && term.right.holds([k, n]))
    }

    /// Whether tiles stand for it: something is multiplied, and C is apart from what is read. Without a factor it is a
    /// matter of memory, not of arithmetic.
    fn can_be_cut(&self) -> bool {
        let (n, k) = (self.order, self.depth);
        n > 0
            && k > 0
            && self.holds()
            && self.terms.iter().flatten().all(|term| {
                term.factor != T::ZERO
                    && !term.left.meets([n, k], self.c, [n, n])
                    && !term.right.meets([k, n], self.c, [n, n])
            })
    }
}

impl Blas {
    /// Runs a call of the family. `own(size, start)` is its own kernel on the block of that many rows and columns that
    /// begins at this place of the diagonal; on the whole of it with `own(n, 0)`. `read` is what the tiles need to know,
    /// if the arguments are valid.
    ///
    /// # Safety
    /// As for [`gemm`](Blas::gemm); `own` may be called for any block, at the same time for several.
    pub(super) unsafe fn rank<T: Scalar>(
        &self,
        [n, k]: [isize; 2],
        own: impl Fn(isize, usize) + Sync,
        read: impl FnOnce() -> Option<Sum<T>>,
    ) -> Result<()> {
        let through = || own(n, 0);
        if policy::tiny::<T>(n, n, k) {
            return self.through(through);
        }
        let plan = read().filter(Sum::can_be_cut).and_then(|sum| {
            let depth = sum.depth * sum.terms.iter().flatten().count();
            let grid =
                self.shared(|pool| policy::triangle::<T>(sum.order, sum.lower, depth, pool))?;
            let size = policy::Size::of_product::<T>(sum.order, sum.order / 2, depth);
            Some((grid, size, sum))
        });
        let Some((grid, size, sum)) = plan else {
            return self.through(through);
        };
        let kernels = self.kernels::<T>();
        self.tiles_of(size, grid.tiles(), &|tile| match grid.tile(tile) {
            Part::Diagonal(part) => own(part.len() as isize, part.start),
            Part::Rectangle(rows, cols) => {
                let mut beta = sum.beta;
                for term in sum.terms.iter().flatten() {
                    // SAFETY: `can_be_cut`, and our caller's promise; no other tile has this part of C.
                    unsafe {
                        product(
                            kernels,
                            [rows.len(), cols.len(), sum.depth],
                            (
                                term.factor,
                                term.left.from(rows.start, 0),
                                term.right.from(0, cols.start),
                            ),
                            (beta, sum.c.from(rows.start, cols.start)),
                        );
                    }
                    beta = T::ONE;
                }
            }
        });
        Ok(())
    }
}
