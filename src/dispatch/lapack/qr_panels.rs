//! QR factorization by blocks of columns, of which the next is factored while the rest is updated.
//!
//! Source: as for LU (`lu_panels.rs`), the look-ahead of P. Strazdins, technical report TR-CS-98-07, The Australian National
//! University (1998). Finding the reflectors of a block is mostly products by vectors, at the speed of the cache, which more
//! threads do not help; so it is the first tile of each update, beside those that apply the block before to the columns on
//! the right.
//!
//! MKL multiplies by small triangles at half its speed. There a block is copied with the ones and zeros that are not stored, and
//! applied by three products (1.06 times as fast at 1000); on OpenBLAS that would cost 3 %.
//!
//! Invariants: a block's columns are written by the first tile of the step before its own alone; each other tile has columns
//! and scratch of its own; of the two T, and of the two copies of V, one is read in a step and the other one written.

use super::cells::set;
use super::reflectors::{Block, Hand, Lines, Scratch, Way};
use crate::dispatch::backend::Blas;
use crate::dispatch::grid::Cut;
use crate::dispatch::matrix::Matrix;
use crate::dispatch::policy::lapack::{beyond, beyond_mkl};
use crate::dispatch::ptr::Shared;
use crate::dispatch::scalar::Scalar;
use crate::dispatch::workspace::Workspace;
use crate::error::Result;
use crate::sys::blas::Kernels;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// A block, and room for a copy of V that has its ones and zeros, if it is to be applied by that. T has its zeros.
#[derive(Clone, Copy)]
struct Whole<T> {
    block: Block<T>,
    copy: Option<Matrix<T>>,
}

impl<T: Scalar> Whole<T> {
    /// Makes the copy, if there is to be one.
    ///
    /// # Safety
    /// V is there, and nobody writes to it; there is room for the copy, which nobody else touches.
    unsafe fn copy(&self) {
        let Block { v, len, count, .. } = self.block;
        let Some(copy) = self.copy else {
            return;
        };
        for col in 0..count {
            // SAFETY: our caller's promise: columns of both, from the diagonal down.
            unsafe {
                (0..col).for_each(|row| set(copy, row, col, T::ZERO));
                set(copy, col, col, T::ONE);
                let (from, to) = (v.from(col + 1, col).ptr(), copy.from(col + 1, col));
                from.copy_to_nonoverlapping(to.ptr_mut(), len - col - 1);
            }
        }
    }

    /// Applies the adjoint of the block to so many columns of C.
    ///
    /// # Safety
    /// The copy has been made, if there is to be one, and nobody writes to it and to T; nobody else touches C and the scratch, of which there are as many lines;
    /// the library is held.
    unsafe fn apply(&self, kernels: &Kernels<T>, (c, cols): (Matrix<T>, usize), w: [Matrix<T>; 2]) {
        let Some(v) = self.copy else {
            let hand = Hand::Kernel(kernels);
            // SAFETY: our caller's promise, handed on. Kernels do not fail.
            let _ = unsafe { self.block.apply(hand, Way::LeftAdjoint, (c, cols), w[0]) };
            return;
        };
        let [m, n, k] = [self.block.len, cols, self.block.count].map(|len| len as isize);
        let (one, zero) = (T::ONE, T::ZERO);
        let ([first, second], t) = (w, self.block.t);
        let (vp, ldv, tp, ldt) = (v.ptr(), v.ld(), t.ptr(), t.ld());
        let (wp, ldw, xp, ldx) = (first.ptr_mut(), first.ld(), second.ptr_mut(), second.ld());
        let (cp, ldc) = (c.ptr_mut(), c.ld());
        // SAFETY: our caller's promise, handed on.
        unsafe {
            kernels.gemm(b'C', b'N', k, n, m, one, vp, ldv, cp, ldc, zero, wp, ldw);
            kernels.gemm(b'C', b'N', k, n, k, one, tp, ldt, wp, ldw, zero, xp, ldx);
            kernels.gemm(b'N', b'N', m, n, k, -one, vp, ldv, xp, ldx, one, cp, ldc);
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
        let room = if mkl { m * widest } else { 0 };
        let mut copies = [(); 2].map(|()| Workspace::new(1, room));
        let copies = copies.each_mut().map(Workspace::shared);
        let mut scratch = [(); 2].map(|()| Scratch::new(n, widest));
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
            copy: mkl.then(|| Matrix::new(copies[index % 2], m)),
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
            let beyond = if mkl { beyond_mkl } else { beyond };
            let right = self.shared(|pool| Some(beyond(n - next.end, pool)));
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
                    // SAFETY: as above; nobody else has the other T and the other copy, and these factors.
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
