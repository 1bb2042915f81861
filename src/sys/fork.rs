//! Taking turns in a way that no forked child waits for in vain.
//!
//! Invariant: in a child nobody has the turn, whatever the threads of its parent did, of which none is there to end it. So what
//! is changed in turns must be in order at every moment.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

static TAKEN: AtomicBool = AtomicBool::new(false);

/// Having the one turn that there is. It is for work that is rare: those who wait keep asking.
pub(crate) struct Turn(());

impl Turn {
    /// Waits for it. Not to be called by who has it.
    pub(crate) fn wait() -> Self {
        static WATCHING: Once = Once::new();
        // SAFETY: the handler only stores to an atomic, which is allowed in a forked child. If it cannot be registered for
        // want of memory, a child that was forked at such a moment waits.
        WATCHING.call_once(|| unsafe {
            libc::pthread_atfork(None, None, Some(in_child));
        });
        while TAKEN.swap(true, Ordering::Acquire) {
            std::thread::yield_now();
        }
        Turn(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        TAKEN.store(false, Ordering::Release);
    }
}

extern "C" fn in_child() {
    TAKEN.store(false, Ordering::Relaxed);
}
