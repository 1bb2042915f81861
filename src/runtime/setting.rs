//! One setting of one held library: read it, change it, put it back.
//!
//! Invariant: a [`Setting`] holds the library that its functions belong to, so its methods are safe to call for as
//! long as it lives, even if the program has closed the library meanwhile.

use super::describe::{Functions, Reader};
use super::mkl;
use crate::sys::library::Library;
use std::sync::Arc;

/// A number of threads that can be read and set.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    functions: Functions,
    /// What the SAFETY comments mean by "held": it is never read, it must only live.
    _library: Arc<Library>,
}

/// What has to be handed back to a [`Setting`] to restore it: not always a number of threads (BLIS's -1, MKL's 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Saved(i64);

impl Setting {
    pub(super) fn new(functions: Functions, library: Arc<Library>) -> Self {
        Setting {
            functions,
            _library: library,
        }
    }

    /// Settings with one key are one value, though several runtimes may lead to it.
    pub(crate) fn key(&self) -> usize {
        self.functions.key()
    }

    /// Whether it is a number that a library's own functions read and write, and nothing else.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.functions, Functions::Plain { .. })
    }

    /// The most threads that a call of this thread would use now. Anything below 1 is one thread to the library.
    pub(crate) fn get(&self) -> u32 {
        let own = self.own();
        match &self.functions {
            Functions::Ways { ways, .. } => ways
                .iter()
                .flatten()
                // SAFETY: the library is held by `self._library`.
                .map(|way| threads(unsafe { way.call() }))
                .fold(1, u32::saturating_mul)
                .max(own),
            Functions::Domains { .. } => self.domains().map(|(_, limit)| limit).fold(own, u32::max),
            _ => own,
        }
    }

    /// The number that [`set`](Setting::set) changes, whatever goes before it.
    pub(super) fn own(&self) -> u32 {
        match &self.functions {
            // SAFETY: the library is held by `self._library`, here and below.
            Functions::Plain { get, .. } => threads(i64::from(unsafe { get.call() })),
            // SAFETY: as above.
            Functions::Ways { get, .. } => threads(unsafe { get.call() }),
            // SAFETY: as above.
            Functions::Domains { get, .. } => threads(i64::from(unsafe { get.call() })),
            // SAFETY: as above.
            Functions::ReturnsPrevious { get, .. } => threads(i64::from(unsafe { get.call() })),
            Functions::Custom(controller) => controller.num_threads().max(1),
        }
    }

    /// The limits of the parts of the library that may be limited apart.
    pub(super) fn domains(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let ask = match &self.functions {
            Functions::Domains { domain, .. } => Some(*domain),
            _ => None,
        };
        ask.into_iter().flat_map(|ask| {
            mkl::LIMITED_DOMAINS.iter().map(move |(name, number)| {
                // SAFETY: the library is held by `self._library`; the table names domains that the function knows.
                (*name, threads(i64::from(unsafe { ask.call(*number) })))
            })
        })
    }

    /// Asks for `threads`; the library may take another number, which [`get`](Setting::get) tells.
    pub(crate) fn set(&self, threads: u32) {
        self.write(i64::from(threads));
    }

    /// What [`restore`](Setting::restore) needs to bring the present state back.
    pub(crate) fn save(&self) -> Saved {
        Saved(match &self.functions {
            // SAFETY: the library is held by `self._library`, here and below.
            Functions::Plain { get, .. } => i64::from(unsafe { get.call() }),
            // SAFETY: as above.
            Functions::Domains { get, .. } => i64::from(unsafe { get.call() }),
            // SAFETY: as above.
            Functions::Ways { get, .. } => unsafe { get.call() },
            Functions::ReturnsPrevious { set, .. } => {
                // Only by setting is it told; the second call undoes the first, for this thread alone.
                // SAFETY: as above.
                let previous = unsafe { set.call(0) };
                // SAFETY: as above.
                unsafe { set.call(previous) };
                i64::from(previous)
            }
            Functions::Custom(controller) => i64::from(controller.num_threads()),
        })
    }

    /// Brings a saved state back.
    pub(crate) fn restore(&self, saved: Saved) {
        self.write(saved.0);
    }

    /// Runs `ask` while the calling thread has no value of its own, where such a value goes before the process's and
    /// would hide it. Only for a thread's setting.
    pub(crate) fn aside<T>(&self, ask: impl FnOnce() -> T) -> T {
        let Functions::ReturnsPrevious { set, .. } = &self.functions else {
            return ask();
        };
        // SAFETY: the library is held by `self._library`.
        let previous = unsafe { set.call(0) };
        let answer = ask();
        if previous != 0 {
            // SAFETY: as above.
            unsafe { set.call(previous) };
        }
        answer
    }

    fn write(&self, value: i64) {
        // No library has more threads than fit; what was saved came from the same type.
        let narrow = i32::try_from(value).unwrap_or(i32::MAX);
        match &self.functions {
            // SAFETY: the library is held by `self._library`, here and below.
            Functions::Plain { set, .. } => unsafe { set.call(narrow) },
            // SAFETY: as above.
            Functions::Domains { set, .. } => unsafe { set.call(narrow) },
            // SAFETY: as above.
            Functions::Ways { set, .. } => unsafe { set.call(value) },
            Functions::ReturnsPrevious { set, .. } => {
                // SAFETY: as above.
                unsafe { set.call(narrow) };
            }
            Functions::Custom(controller) => controller.set_num_threads(threads(value)),
        }
    }
}

impl Reader {
    /// The number, while `_held` is the library it came from.
    pub(super) fn read(&self, _held: &Library) -> u32 {
        match self {
            // SAFETY: `_held` keeps the library mapped.
            Reader::C(get) => threads(i64::from(unsafe { get.call() })),
            // SAFETY: as above.
            Reader::Long(get) => threads(unsafe { get.call() }),
            Reader::Custom(controller) => controller.num_threads().max(1),
        }
    }
}

/// BLIS and FlexiBLAS say -1 when nobody has set a number; they run one thread then.
fn threads(raw: i64) -> u32 {
    u32::try_from(raw.max(1)).unwrap_or(u32::MAX)
}
