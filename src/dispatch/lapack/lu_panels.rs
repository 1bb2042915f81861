//! LU factorization of large matrices by panels, of which the next is factored while the rest is updated.
//!
//! Source: the look-ahead of P. Strazdins, "A comparison of lookahead and algorithmic blocking techniques for parallel
//! matrix factorization", technical report TR-CS-98-07, The Australian National University (1998). Here the next panel is
//! the first tile of each update, so that nobody waits for it unless it is all that is left. Panels get narrower with what
//! is left (`../policy/lapack.rs`), and are factored by the recursion of `lu.rs`, whose products are shared again when
//! helpers have nothing else to do. The rows of columns that are done are exchanged in the end, all at once, since then
//! each column comes from memory once.
//!
//! Invariants: a panel is written by the first tile of the step before its own alone, up to its exchanges; each other tile
//! has columns of its own. Pivots are counted from the first row of their panel until all is done.

use super::lu::{Order, Singular, either, exchange_columns};
use crate::dispatch::backend::Blas;
use crate::dispatch::grid::Cut;
use crate::dispatch::matrix::Matrix;
use crate::dispatch::policy::lapack::beyond;
use crate::dispatch::scalar::Scalar;
use crate::error::Result;
use crate::sys::blas::Kernels;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// A panel that is factored, of a matrix whose rows from the panel's first on begin at `a`.
struct Panel<'a, T> {
    a: Matrix<T>,
    rows: usize,
    /// Its columns in the matrix.
    cols: Range<usize>,
    pivots: &'a [usize],
}

impl<T: Scalar> Panel<'_, T> {
    /// Exchanges the rows of columns on its right, solves for those beside the panel's triangle, and takes the product from
    /// those below.
    ///
    /// # Safety
    /// They are in the matrix, which lives, and nobody else touches them; nobody writes to the panel, and the library is
    /// held.
    unsafe fn update(&self, kernels: &Kernels<T>, cols: Range<usize>) {
        let width = self.pivots.len();
        let rest = (self.rows - width) as isize;
        let (k, n) = (width as isize, cols.len() as isize);
        let triangle = self.a.from(0, self.cols.start);
        let (beside, below) = (self.a.from(0, cols.start), self.a.from(width, cols.start));
        let (l, x, ld) = (triangle.ptr(), beside.ptr_mut(), self.a.ld());
        // SAFETY: our caller's promise, handed on.
        unsafe {
            exchange_columns(self.a, cols, self.pivots, Order::Onwards);
            kernels.trsm(b'L', b'L', b'N', b'U', k, n, T::ONE, l, ld, x, ld);
            if rest > 0 {
                let (l, c) = (triangle.from(width, 0).ptr(), below.ptr_mut());
                kernels.gemm(b'N', b'N', rest, n, k, -T::ONE, l, ld, x, ld, T::ONE, c, ld);
            }
        }
    }
}

impl Blas {
    /// Factors columns that are not longer than there are rows, one for each pivot, in panels that end at these columns.
    ///
    /// # Safety
    /// They are m rows of an output that lives and that nobody else touches.
    pub(super) unsafe fn lu_by_panels<T: Scalar>(
        &self,
        a: Matrix<T>,
        m: usize,
        ends: &[usize],
        pivots: &mut [usize],
    ) -> Result<Singular> {
        let kernels = self.kernels::<T>();
        let n = pivots.len();
        let first = ends.first().copied().unwrap_or(n);
        // SAFETY: our caller's promise: the first panel.
        let mut singular = unsafe { self.lu_columns(a, m, &mut pivots[..first]) }?;
        let mut start = 0;
        for (index, &end) in ends.iter().enumerate() {
            let next = ends.get(index + 1).copied().unwrap_or(end);
            let (done, ahead) = pivots.split_at_mut(end);
            let panel = Panel {
                a: a.from(start, 0),
                rows: m - start,
                cols: start..end,
                pivots: &done[start..],
            };
            let right = self.shared(|pool| Some(beyond(n - next, self.is_mkl(), pool)));
            let right = right.unwrap_or_else(|| Cut::whole(n - next));
            let found = Mutex::new((Ok(0), &mut ahead[..next - end]));
            let shift = |part: Range<usize>| next + part.start..next + part.end;
            let ahead = usize::from(next > end);
            self.tiles(ahead + right.parts(), &|tile| {
                // SAFETY: our caller's promise; each tile has its own columns, and all read the panel.
                unsafe {
                    if tile < ahead {
                        panel.update(kernels, end..next);
                        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                        found.0 = self.lu_columns(a.from(end, end), m - end, found.1);
                    } else {
                        panel.update(kernels, shift(right.part(tile - ahead)));
                    }
                }
            });
            let (info, _) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
            singular = either(singular, end, info?);
            start = end;
        }
        let all = &*pivots;
        self.tiles(ends.len().saturating_sub(1), &|index| {
            let start = index.checked_sub(1).map_or(0, |before| ends[before]);
            // SAFETY: our caller's promise; each tile has its own columns, and pivots are rows of the matrix.
            unsafe { exchange_behind(a, start..ends[index], &ends[index..], all) };
        });
        let mut start = 0;
        for &end in ends {
            pivots[start..end]
                .iter_mut()
                .for_each(|pivot| *pivot += start);
            start = end;
        }
        Ok(singular)
    }
}

/// Exchanges the rows of these columns as all later panels say, of which each begins where one of `ends` is.
///
/// # Safety
/// They are in the matrix, an output that lives, and nobody else touches them; pivots are rows below their panel's first.
unsafe fn exchange_behind<T: Scalar>(
    a: Matrix<T>,
    cols: Range<usize>,
    ends: &[usize],
    pivots: &[usize],
) {
    for col in cols {
        for panel in ends.windows(2) {
            let (a, pivots) = (a.from(panel[0], 0), &pivots[panel[0]..panel[1]]);
            // SAFETY: our caller's promise.
            unsafe { exchange_columns(a, col..col + 1, pivots, Order::Onwards) };
        }
    }
}
