//! Integers of LAPACK's interface: those of pivots.

use std::ffi::c_void;

/// An integer by which LAPACK stores pivots: `i32`, or `i64` in 64-bit interfaces. Nothing else can implement it.
///
/// ```
/// use threadctl::dispatch::lapack::Int;
/// assert_eq!(i32::of(7).get(), 7);
/// ```
pub trait Int: Copy + Default + Send + Sync + sealed::Sealed + 'static {
    /// The number, which fits.
    fn of(value: isize) -> Self;
    /// It as a size.
    fn get(self) -> isize;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for i32 {}
    impl Sealed for i64 {}
}

impl Int for i32 {
    #[allow(clippy::cast_possible_truncation, reason = "sizes were checked to fit")]
    fn of(value: isize) -> Self {
        value as i32
    }
    fn get(self) -> isize {
        self as isize
    }
}

impl Int for i64 {
    fn of(value: isize) -> Self {
        value as i64
    }
    #[allow(clippy::cast_possible_truncation, reason = "isize has 64 bits here")]
    fn get(self) -> isize {
        self as isize
    }
}

/// Pivots for the library's own routines, whose integers may have another width than the caller's.
pub(super) struct Pivots {
    /// Aligned for integers of either width, and large enough for the wider.
    memory: smallvec::SmallVec<[i64; 64]>,
    wide: bool,
}

impl Pivots {
    /// Room for so many, as a library with integers of that width writes them.
    pub fn new(count: usize, wide: bool) -> Self {
        Pivots {
            memory: smallvec::SmallVec::from_elem(0, count),
            wide,
        }
    }

    /// The same from a caller's.
    ///
    /// # Safety
    /// There are so many of the caller's.
    pub unsafe fn read<I: Int>(count: usize, wide: bool, from: *const I) -> Self {
        let mut pivots = Pivots::new(count, wide);
        for index in 0..count {
            // SAFETY: our caller's promise.
            let pivot = unsafe { from.add(index).read() }.get();
            if wide {
                pivots.memory[index] = pivot as i64;
            } else {
                // SAFETY: an i64 for each, so an i32 for each.
                unsafe { pivots.ptr().cast::<i32>().add(index).write(i32::of(pivot)) };
            }
        }
        pivots
    }

    /// What the library is given.
    pub fn ptr(&mut self) -> *mut c_void {
        self.memory.as_mut_ptr().cast()
    }

    /// One of them, as LAPACK counts: from 1.
    pub fn get(&self, index: usize) -> isize {
        if self.wide {
            self.memory[index].get()
        } else {
            let word = self.memory[index / 2].to_ne_bytes();
            let at = 4 * (index % 2);
            i32::from_ne_bytes([word[at], word[at + 1], word[at + 2], word[at + 3]]).get()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pivots_come_back_in_either_width() {
        let given = [3_i32, 1, 2, 7, 5];
        for wide in [false, true] {
            // SAFETY: five of them.
            let pivots = unsafe { Pivots::read(5, wide, given.as_ptr()) };
            let back: Vec<isize> = (0..5).map(|index| pivots.get(index)).collect();
            assert_eq!(back, [3, 1, 2, 7, 5]);
        }
    }
}
