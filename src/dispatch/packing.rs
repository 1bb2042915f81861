//! BLIS told to pack, while its calls are cut.
//!
//! BLIS multiplies matrices of which one size is below some 200 where they lie (its "sup" kernels), which tiles mostly are. Where their
//! columns are a power of two apart, or many pages, that is two to three times slower than with the left operand packed (0.9.0 on Zen:
//! 256 x 128 x 256 at leading dimension 1024 at 22 of 38 GFlop/s), and below 64 x 64 packing costs at most 8 %. The arithmetic is the same.
//!
//! Invariants: BLIS has one such setting for the process; it is changed by the first who wants it and put back by the last; one that
//! was made by `BLIS_PACK_A` or by the program stays as it is.

use crate::sys::call::{SetLong, WriteLong};
use crate::sys::library::Library;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many packings are alive. One for the process: two BLIS in one are told of as one, which at worst leaves one of them packing.
static ALIVE: Mutex<usize> = Mutex::new(0);

/// That a library packs; put back when it is dropped.
pub(super) struct Packing {
    set: SetLong,
}

impl Packing {
    /// Has a library pack, if it is a BLIS that can be told to and does not yet.
    pub fn of(library: &Library) -> Option<Self> {
        // SAFETY: `void bli_pack_get_pack_a(bool *)` and `void bli_pack_set_pack_a(bool)` in BLIS's headers (`gint_t` before 0.8),
        // callable from any thread. An `int64_t` is passed in the same register as either, and its low byte is the bool.
        let (get, set) = unsafe {
            (
                WriteLong::find(library, "bli_pack_get_pack_a")?,
                SetLong::find(library, "bli_pack_set_pack_a")?,
            )
        };
        let mut alive = lock();
        // SAFETY: `library` is held by the caller.
        let packs = unsafe { get.call() } != 0;
        if packs && *alive == 0 {
            return None;
        }
        *alive += 1;
        // SAFETY: as above.
        unsafe { set.call(1) };
        Some(Packing { set })
    }
}

impl Drop for Packing {
    fn drop(&mut self) {
        let mut alive = lock();
        *alive -= 1;
        if *alive == 0 {
            // SAFETY: as in `of`; whoever has this drops its library later.
            unsafe { self.set.call(0) };
        }
    }
}

fn lock() -> MutexGuard<'static, usize> {
    ALIVE.lock().unwrap_or_else(PoisonError::into_inner)
}
