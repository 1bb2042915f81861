//! Memory that nobody has touched: its pages come into being on the NUMA node of whoever writes to them first.

use super::blas::Element;
use std::alloc::{Layout, alloc_zeroed};

/// So many zeros. Where the allocator takes them fresh from the kernel, as glibc does from 128 KiB on (`M_MMAP_THRESHOLD`,
/// up to 32 MiB where the program has freed such), their pages are not there before they are written to. `None` if there is
/// not so much memory.
pub(crate) fn zeroed<T: Element>(length: usize) -> Option<Vec<T>> {
    let layout = Layout::array::<T>(length).ok()?;
    if layout.size() == 0 {
        return Some(Vec::new());
    }
    // SAFETY: the layout has a size other than 0.
    let memory = unsafe { alloc_zeroed(layout) }.cast::<T>();
    if memory.is_null() {
        return None;
    }
    // SAFETY: the global allocator gave it for `length` elements of `T`, by the layout that the vector will free it with; zero
    // bits are the number 0 in every element type (`Element` is implemented for floating-point and complex numbers alone).
    Some(unsafe { Vec::from_raw_parts(memory, length, length) })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::zeroed;

    #[test]
    fn zeros_of_any_number_and_no_more_than_there_is_room_for() {
        for length in [0, 1, 1000, 1 << 16] {
            let numbers: Vec<f64> = zeroed(length).unwrap();
            assert_eq!(numbers.len(), length);
            assert!(numbers.iter().all(|number| *number == 0.0));
        }
        assert!(zeroed::<f64>(usize::MAX / 16).is_none());
        assert!(zeroed::<f64>(usize::MAX).is_none());
    }
}
