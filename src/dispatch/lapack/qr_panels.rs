//! QR factorization by blocks of columns, of which the next is factored while the rest is updated.
//!
//! Source: as for LU (`lu_panels.rs`), the look-ahead of P. Strazdins, technical report TR-CS-98-07, The Australian National
//! University (1998). Finding the reflectors of a block is mostly products by vectors, at the speed of the cache, which more
//! threads do not help; so it is the first tile of each update, beside those that apply the block before to the columns on
//! the right.
//!
//! MKL multiplies by small triangles at half its speed. There the triangle of a block is copied with the ones and zeros that are not
//! stored, and the block is applied by products alone (1.06 times as fast at 1000 when all of the block was copied; that cost 3 % on
//! OpenBLAS).
//!
//! Invariants: a block's columns are written by the first tile of the step before its own alone; each other tile has columns
//! and scratch of its own; of the two T, and of the two copied triangles, one is read in a step and the other one written.

use super::cells::{get, set};
use super::reflectors::{Block, Hand, Lines, Scratch, Way};
use crate::dispatch::backend::Blas;
use crate::dispatch::grid::Cut;
use crate::dispatch::matrix::Matrix;
use crate::dispatch::policy::lapack::beyond;
use crate::dispatch::ptr::Shared;
use crate::dispatch::scalar::Scalar;
use crate::dispatch::workspace::Workspace;
use crate::error::Result;
use crate::sys::blas::Kernels;
use std::cmp::Ordering::{Equal, Greater, Less};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// A block, and room for a copy of the triangle of V with its ones and zeros, if the block is to be applied by that. T has its zeros.
#[derive(Clone, Copy)]
struct Whole<T> {
    block: Block<T>,
    triangle: Option<Matrix<T>>,
}

impl<T: Scalar> Whole<T> {
    /// Makes the copy, if there is to be one.
    ///
    /// # Safety
    /// V is there, and nobody writes to it; there is room for the copy, which nobody else touches.
    unsafe fn copy(&self) {
        let Block { v, count, .. } = self.block;
        let Some(triangle) = self.triangle else {
            return;
        };
        for col in 0..count {
            for row in 0..count {
                // SAFETY: our caller's promise.
                unsafe {
                    let value = match row.cmp(&col) {
                        Less => T::ZERO,
                        Equal => T::ONE,
                        Greater => get(v, row, col),
                    };
                    set(triangle, row, col, value);
                }
            }
        }
    }

    /// Applies the adjoint of the block to so many columns of C.
    ///
    /// # Safety
    /// The copy has been made, if there is to be one; nobody writes to it, V and T, and nobody else touches C and the scratch, which
    /// has as many lines, the second one where there is a copy; the library is held.
    unsafe fn apply(&self, kernels: &Kernels<T>, (c, cols): (Matrix<T>, usize), w: [Matrix<T>; 2]) {
        let [w, x] = w;
        let Some(triangle) = self.triangle else {
            let hand = Hand::Kernel(kernels);
            // SAFETY: our caller's promise, handed on. Kernels do not fail.
            let _ = unsafe { self.block.apply(hand, Way::LeftAdjoint, (c, cols), w) };
            return;
        };
        let Block { v, len, count, t } = self.block;
        let below = (v.from(count, 0), c.from(count, 0), len - count);
        let above = (triangle, c, count);
        let multiply = |ta, [m, k]: [usize; 2], (alpha, a, b), beta, to: Matrix<T>| {
            let [m, n, k] = [m, cols, k].map(|len| len as isize);
            let (a, b): (Matrix<T>, Matrix<T>) = (a, b);
            let (lda, ldb, ldc) = (a.ld(), b.ld(), to.ld());
            let (a, b, to) = (a.ptr(), b.ptr(), to.ptr_mut());
            if m > 0 && k > 0 {
                // SAFETY: our caller's promise, handed on.
                unsafe { kernels.gemm(ta, b'N', m, n, k, alpha, a, lda, b, ldb, beta, to, ldc) };
            }
        };
        let (one, zero) = (T::ONE, T::ZERO);
        for ((v, c, rows), beta) in [(above, zero), (below, one)] {
            multiply(b'C', [count, rows], (one, v, c), beta, w);
        }
        multiply(b'C', [count, count], (one, t, w), zero, x);
        for (v, c, rows) in [above, below] {
            multiply(b'N', [rows, count], (-one, v, x), one, c);
        }
    }
}

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
        let mkl = self.is_mkl();
        let room = if mkl { widest * widest } else { 0 };
        let mut copies = [(); 2].map(|()| Workspace::new(1, room));
        let copies = copies.each_mut().map(Workspace::shared);
        let mut scratch = [n, if mkl { n } else { 0 }].map(|lines| Scratch::new(lines, widest));
        let lines = scratch.each_mut().map(Scratch::lines);
        let mut scratch_ahead = Scratch::new(widest, widest);
        let tau = Shared::output(tau);
        let whole = |index: usize, cols: &Range<usize>| Whole {
            block: Block {
                v: a.from(cols.start, cols.start),
                len: m - cols.start,
                count: cols.len(),
                t: Matrix::new(triangles[index % 2], widest),
            },
            triangle: mkl.then(|| Matrix::new(copies[index % 2], widest)),
        };
        let mut cols = 0..ends.first().copied().unwrap_or(0);
        let first = whole(0, &cols);
        // SAFETY: our caller's promise: the first block.
        unsafe {
            self.find_block(&first.block, tau.ptr_mut(), &mut scratch_ahead)?;
            first.copy();
        }
        for index in 0..ends.len() {
            let done = whole(index, &cols);
            let next = cols.end..ends.get(index + 1).copied().unwrap_or(cols.end);
            let ahead = usize::from(!next.is_empty());
            let right = self.shared(|pool| Some(beyond(n - next.end, mkl, pool)));
            let right = right.unwrap_or_else(|| Cut::whole(n - next.end));
            let found = Mutex::new((Ok(()), &mut scratch_ahead));
            // The columns of the matrix from there on, beside the block that is done.
            let apply = |cols: Range<usize>| {
                let c = (a.from(m - done.block.len, cols.start), cols.len());
                let w = lines
                    .each_ref()
                    .map(|lines: &Lines<T>| lines.at(cols.start));
                // SAFETY: our caller's promise; these columns and their scratch are no other tile's.
                unsafe { done.apply(kernels, c, w) };
            };
            self.tiles(ahead + right.parts(), &|tile| {
                if tile < ahead {
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    apply(next.clone());
                    let whole = whole(index + 1, &next);
                    // SAFETY: as above; nobody else has the other T and the other copy, or these factors.
                    found.0 = unsafe {
                        let result = self.find_block(&whole.block, tau.at_mut(next.start), found.1);
                        whole.copy();
                        result
                    };
                } else {
                    let part = right.part(tile - ahead);
                    apply(next.end + part.start..next.end + part.end);
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
