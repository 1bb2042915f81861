//! rayon's global pool: read, never started and never changed (its size is fixed once it runs).
//!
//! rayon has no question that does not start the pool. Whether it runs is read from its own registry variable, which
//! the symbol table of the program names; a stripped program tells nothing, and then nothing is claimed.

use super::describe::{Description, Pool};
use super::info::ConcurrentCallers;
use super::one::{Kind, Runtime};
use super::scan;
use crate::sys::library::Library;
use crate::sys::{elf, objects};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, OnceLock};

/// rayon's global pool as a runtime, once it runs.
pub(super) fn runtime() -> Option<Runtime> {
    static KNOWN: OnceLock<Runtime> = OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return Some(known.clone());
    }
    // This code's own object: it is where rayon is linked, and it stays.
    static OWN: OnceLock<(PathBuf, usize)> = OnceLock::new();
    let (file, base) = OWN.get_or_init(|| {
        let own = objects::own_object();
        let file = if own.name.as_os_str().is_empty() {
            scan::own_executable()
        } else {
            own.name
        };
        (file.canonicalize().unwrap_or(file), own.base)
    });
    let GlobalPool::Running(threads) = global_pool(file, *base) else {
        return None;
    };
    let description = Description {
        pool: Pool::Fixed(threads),
        max_threads: None,
        threading_layer: None,
        concurrent_callers: ConcurrentCallers::Safe,
        ..Description::default()
    };
    let kind = Kind {
        user_api: "rayon".to_owned(),
        internal_api: "rayon".to_owned(),
        prefix: String::new(),
        filepath: file.clone(),
        description,
        tested: true,
        one_per_process: true,
        rank: 0,
        reach: OnceLock::new(),
    };
    let library = Arc::new(Library::main_program(scan::own_executable(), 0, |_| false));
    Some(
        KNOWN
            .get_or_init(|| Runtime::new(Arc::new(kind), library))
            .clone(),
    )
}

/// What is known of the global pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GlobalPool {
    /// It runs, with this many threads.
    Running(u32),
    /// Nobody has used it yet.
    NotStarted,
    /// The program's symbol table does not tell.
    Untold,
}

/// Asks without starting it.
pub(crate) fn global_pool(own_file: &Path, own_base: usize) -> GlobalPool {
    static REGISTRY: OnceLock<Option<usize>> = OnceLock::new();
    let address = REGISTRY.get_or_init(|| {
        elf::defined_symbols(own_file, own_base, is_registry)
            .into_values()
            .next()
    });
    let Some(address) = *address else {
        return GlobalPool::Untold;
    };
    // SAFETY: the address is that of `rayon_core::registry::THE_REGISTRY`, an `Option<Arc<_>>`, hence one pointer that
    // is null for `None`; it is a static of this very object, which stays mapped while this code runs, and it is
    // written once, by the `Once` that starts the pool. An atomic load of that pointer-sized, aligned word is sound.
    let started =
        unsafe { AtomicPtr::<()>::from_ptr(address as *mut *mut ()) }.load(Ordering::Acquire);
    if started.is_null() {
        GlobalPool::NotStarted
    } else {
        // Inside a worker of another pool this is that pool's size; the registry's own is asked from outside.
        GlobalPool::Running(global_threads())
    }
}

/// The size of the running global pool.
fn global_threads() -> u32 {
    if rayon::current_thread_index().is_none() {
        return rayon::current_num_threads() as u32;
    }
    // A worker is told of its own pool: a thread that is no worker asks instead.
    std::thread::spawn(|| rayon::current_num_threads() as u32)
        .join()
        .unwrap_or(0)
}

/// Legacy mangling `_ZN10rayon_core8registry12THE_REGISTRY17h<hash>E`, and v0 `_RNvNtCs<id>_10rayon_core8registry12THE_REGISTRY`.
pub(crate) fn is_registry(name: &str) -> bool {
    const PATH: &str = "10rayon_core8registry12THE_REGISTRY";
    let legacy = name
        .strip_prefix("_ZN")
        .and_then(|name| name.strip_prefix(PATH))
        .is_some_and(|hash| hash.starts_with("17h"));
    legacy || (name.starts_with("_R") && name.ends_with(PATH))
}

#[cfg(test)]
mod tests {
    use super::is_registry;

    #[test]
    fn only_the_registry_itself_is_meant() {
        assert!(is_registry(
            "_ZN10rayon_core8registry12THE_REGISTRY17h0123456789abcdefE"
        ));
        assert!(is_registry(
            "_RNvNtCs1234_10rayon_core8registry12THE_REGISTRY"
        ));
        assert!(!is_registry(
            "_ZN10rayon_core8registry16THE_REGISTRY_SET17h0123456789abcdefE"
        ));
        assert!(!is_registry("THE_REGISTRY"));
    }
}
