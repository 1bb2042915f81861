//! Memory for what tiles compute on the way.
//!
//! Invariant: every piece begins at a multiple of [`ALIGNMENT`] bytes. Kernels treat the elements before such a boundary
//! by themselves, so that the last bits of their results depend on where an operand is; so these must not be here today
//! and there tomorrow.

use super::ptr::Shared;
use super::scalar::Scalar;
use std::mem::size_of;

/// As wide as any vector register, and a line of the cache.
const ALIGNMENT: usize = 64;

/// Pieces of the same length, all zero at first.
pub(super) struct Workspace<T> {
    memory: Vec<T>,
    first: usize,
    pieces: usize,
    len: usize,
}

impl<T: Scalar> Workspace<T> {
    /// So many pieces of so many elements.
    pub fn new(pieces: usize, len: usize) -> Self {
        let memory = vec![T::ZERO; pieces * Self::stride(len) + Self::line()];
        // An address of an element is a multiple of its size or of half of it, so there may be none; then bits may vary.
        let first = memory.as_ptr().align_offset(ALIGNMENT);
        Workspace {
            first: if first < Self::line() { first } else { 0 },
            memory,
            pieces,
            len,
        }
    }

    fn line() -> usize {
        ALIGNMENT / size_of::<T>()
    }

    /// From one piece to the next.
    fn stride(len: usize) -> usize {
        len.next_multiple_of(Self::line())
    }

    /// The beginnings of the pieces, for tiles that have one each: [`Workspace::offset`] says where.
    pub fn shared(&mut self) -> Shared<T> {
        Shared::output(self.memory[self.first..].as_mut_ptr())
    }

    /// Where a piece begins.
    pub fn offset(&self, piece: usize) -> usize {
        piece * Self::stride(self.len)
    }

    /// The pieces in their order.
    pub fn pieces(&self) -> impl Iterator<Item = &[T]> {
        (0..self.pieces).map(|piece| {
            let start = self.first + self.offset(piece);
            &self.memory[start..start + self.len]
        })
    }
}
