//! Programs that scale past one machine: ranks of MPI, each on rayon and BLAS through dispatch, the ranks of a node in one budget.
//!
//! `kmeans` and `selection` are the two workloads; `ranks` starts a program and has the ranks agree on its errors, `crew` is a rank's
//! pool, `rows` reads or makes a rank's part of the data, `parts` says which part that is, `tree` reduces, `report` is what the first
//! rank tells.
//!
//! Invariant: results are the same bits on any number of ranks. Three things make them so:
//! - the data is cut into blocks by its size alone, and what is computed of a block does not depend on who computes it;
//! - what blocks yield is added up in a tree over the blocks' numbers, whose shape is given by how many blocks there are. A rank adds
//!   what lies in whole branches of its own, and every rank adds these in the tree's order. (`MPI_Allreduce` adds in an order that
//!   depends on the ranks.)
//! - BLAS calls are cut by the size of the pool, and all ranks have pools of one size ([`ranks::Ranks`]); who helps does not count.

pub mod crew;
pub mod kmeans;
pub mod parts;
pub mod ranks;
pub mod report;
pub mod rows;
pub mod selection;
pub mod tree;

use threadctl_src as _;

/// A digest of numbers in this order, bit for bit (FNV-1a).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Digest(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    /// Adds a number.
    pub fn add(&mut self, number: u64) {
        for byte in number.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// Adds numbers.
    pub fn add_all<'a>(&mut self, numbers: impl IntoIterator<Item = &'a f64>) {
        for number in numbers {
            self.add(number.to_bits());
        }
    }

    /// What has come of it.
    #[must_use]
    pub fn value(self) -> u64 {
        self.0
    }
}
