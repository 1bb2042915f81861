//! QR factorization by blocks of columns, of which the next is factored while the rest is updated.
//!
//! Source: as for LU (`lu_panels.rs`), the look-ahead of P. Strazdins, technical report TR-CS-98-07, The Australian National
//! University (1998). Finding the reflectors of a block is mostly products by vectors, at the speed of the cache, which more
//! threads do not help; so it is the first tile of each update, beside those that apply the block before to the columns on
//! the right.
//!
//! Invariants: a block's columns are written by the first tile of the step before its own alone; each other tile has columns
//! and scratch of its own; of the two T, one is read in a step and the other one written.

use super::reflectors::{Block, Hand, Scratch, Way};
use crate::dispatch::backend::Blas;
use crate::dispatch::grid::Cut;
use crate::dispatch::matrix::Matrix;
use crate::dispatch::policy::lapack::beyond;
use crate::dispatch::ptr::Shared;
use crate::dispatch::scalar::Scalar;
use crate::dispatch::workspace::Workspace;
use crate::error::Result;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

impl Blas {
    /// Factors a matrix of m x n in blocks of columns that end there, the last of them at the last reflector.
    ///
    /// # Safety
    /// It is an output that lives, as are so many factors at `tau`, and nobody else touches them.
    pub(super) unsafe fn qr_by_panels<T: Scalar>(
        &self,
        a: Matrix<T>,
        [m, n]: [usize; 2],
        ends: &[usize],
        tau: *mut T,
    ) -> Result<()> {
        let kernels = self.kernels::<T>();
        let starts = || std::iter::once(&0).chain(ends).copied();
        let widths = ends.iter().zip(starts()).map(|(end, start)| end - start);
        let widest = widths.max().unwrap_or(0);
        let mut triangles = [(); 2].map(|()| Workspace::new(1, widest * widest));
        let triangles = triangles.each_mut().map(Workspace::shared);
        let mut scratch = Scratch::new(n, widest);
        let mut scratch_ahead = Scratch::new(widest, widest);
        let tau = Shared::output(tau);
        let block = |index: usize, cols: &Range<usize>| Block {
            v: a.from(cols.start, cols.start),
            len: m - cols.start,
            count: cols.len(),
            t: Matrix::new(triangles[index % 2], widest),
        };
        let mut cols = 0..ends.first().copied().unwrap_or(0);
        // SAFETY: our caller's promise: the first block.
        unsafe { self.find_block(&block(0, &cols), tau.ptr_mut(), &mut scratch_ahead)? };
        for index in 0..ends.len() {
            let done = block(index, &cols);
            let next = cols.end..ends.get(index + 1).copied().unwrap_or(cols.end);
            let ahead = usize::from(!next.is_empty());
            let right = self.shared(|pool| Some(beyond(n - next.end, pool)));
            let right = right.unwrap_or_else(|| Cut::whole(n - next.end));
            let lines = scratch.lines();
            let found = Mutex::new((Ok(()), &mut scratch_ahead));
            // The columns of the matrix from there on, beside the block that is done.
            let apply = |cols: Range<usize>, w: Matrix<T>| {
                let c = (a.from(a_row(&done, m), cols.start), cols.len());
                // SAFETY: our caller's promise; these columns and their scratch are no other tile's. Kernels do not fail.
                let _ = unsafe { done.apply(Hand::Kernel(kernels), Way::LeftAdjoint, c, w) };
            };
            self.tiles(ahead + right.parts(), &|tile| {
                if tile < ahead {
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    let own = found.1.lines();
                    apply(next.clone(), own.at(0));
                    let block = block(index + 1, &next);
                    // SAFETY: as above; nobody else has the other T, and these factors.
                    found.0 = unsafe { self.find_block(&block, tau.at_mut(next.start), found.1) };
                } else {
                    let part = right.part(tile - ahead);
                    let w = lines.at(part.start);
                    apply(next.end + part.start..next.end + part.end, w);
                }
            });
            found
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner)
                .0?;
            cols = next;
        }
        Ok(())
    }
}

/// The first row that a block of a matrix of m rows meets.
fn a_row<T>(block: &Block<T>, m: usize) -> usize {
    m - block.len
}
