//! Pointers that tiles share.

/// The start of an operand, for tiles on several threads; in memory just the pointer.
#[repr(transparent)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Shared<T>(*mut T);

// SAFETY: it is only an address. Those who use it vouch for what is behind it: inputs that nobody writes, outputs whose
// parts belong to one tile each.
unsafe impl<T: Sync> Sync for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Shared<T> {}

impl<T> Shared<T> {
    /// An operand that is only read.
    pub fn input(start: *const T) -> Self {
        Shared(start.cast_mut())
    }

    /// An operand of which each tile writes its own part.
    pub fn output(start: *mut T) -> Self {
        Shared(start)
    }

    /// So many elements on.
    ///
    /// # Safety
    /// That is within the operand, or at its end.
    pub unsafe fn at(&self, offset: usize) -> *const T {
        // SAFETY: our caller's promise.
        unsafe { self.0.add(offset) }
    }

    /// So many elements on, to write there.
    ///
    /// # Safety
    /// That is within the operand, which was given as an output.
    pub unsafe fn at_mut(&self, offset: usize) -> *mut T {
        // SAFETY: our caller's promise.
        unsafe { self.0.add(offset) }
    }

    /// The part that begins so many elements on: only an address, whatever is there.
    pub fn moved(self, offset: usize) -> Self {
        Shared(self.0.wrapping_add(offset))
    }

    /// The address.
    pub fn ptr(self) -> *const T {
        self.0
    }

    /// The address of an output.
    pub fn ptr_mut(self) -> *mut T {
        self.0
    }
}
