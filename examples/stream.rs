//! Writing to large arrays past the caches.
//!
//! An ordinary write of a line that is not in the cache first reads it. Where an array is larger than the caches that is a read in
//! vain: `a = b + c` moves four arrays instead of three. x86-64 has stores that do without; elsewhere this is an ordinary copy.
#![allow(
    unsafe_code,
    reason = "stores that the compiler does not choose by itself"
)]

/// From how many bytes on an array is taken to be larger than what the caches would keep of it.
const LARGE: usize = 16 << 20;

/// Whether to write an array of so many elements by [`copy`].
#[must_use]
pub fn pays<T>(elements: usize) -> bool {
    cfg!(target_arch = "x86_64") && elements.saturating_mul(size_of::<T>()) >= LARGE
}

/// Values whose bytes are all initialised.
///
/// # Safety
/// The type has no padding.
pub unsafe trait Plain: Copy + Default + Send + Sync {}

macro_rules! plain {
    ($($number:ty)*) => {
        // SAFETY: no number has padding.
        $(unsafe impl Plain for $number {})*
    };
}
plain!(f32 f64 u8 u16 u32 u64 i8 i16 i32 i64 usize isize bool);

/// `to = from`, past the caches. They are of one length, as for `copy_from_slice`; what is longer is left out.
///
/// ```
/// let mut to = [0.0; 5];
/// threadctl_examples::stream::copy(&[1.0, 2.0, 3.0, 4.0, 5.0], &mut to);
/// assert_eq!(to, [1.0, 2.0, 3.0, 4.0, 5.0]);
/// ```
#[cfg(target_arch = "x86_64")]
pub fn copy<T: Plain>(from: &[T], to: &mut [T]) {
    use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_sfence, _mm_stream_si128};

    let length = from.len().min(to.len());
    let (from, to) = (&from[..length], &mut to[..length]);
    // SAFETY: any bytes are a vector of integers. The vectors are only written to, with bytes of values of T.
    let (head, middle, tail) = unsafe { to.align_to_mut::<__m128i>() };
    let first = head.len();
    let last = length - tail.len();
    head.copy_from_slice(&from[..first]);
    tail.copy_from_slice(&from[last..]);
    let source = from[first..last].as_ptr().cast::<__m128i>();
    for (at, vector) in middle.iter_mut().enumerate() {
        // SAFETY: `middle` lies over as many bytes as `from[first..last]` has, none of which is padding; the load needs no
        // alignment, and `vector` is aligned.
        unsafe { _mm_stream_si128(vector, _mm_loadu_si128(source.add(at))) };
    }
    // Whoever is told that this is done must see the stores, which are in no order with others.
    // SAFETY: every x86-64 has the instruction.
    unsafe { _mm_sfence() };
}

/// `to = from`.
#[cfg(not(target_arch = "x86_64"))]
pub fn copy<T: Plain>(from: &[T], to: &mut [T]) {
    let length = from.len().min(to.len());
    to[..length].copy_from_slice(&from[..length]);
}
