//! rayon's global pool: read, never started and never changed (its size is fixed once it runs).
//!
//! rayon has no question that does not start the pool. Whether it runs is read from its own registry variable, which
//! the symbol table of the program names; a stripped program tells nothing, and then nothing is claimed.

use super::describe::{Description, Pool};
use super::info::ConcurrentCallers;
use super::one::{Kind, Runtime};
use super::scan;
use crate::sys::library::Library;
use crate::sys::{elf, memory, objects};
use std::ffi::CStr;
use std::sync::{Arc, Mutex, OnceLock};

/// rayon's global pool as a runtime, once it runs.
pub(super) fn runtime() -> Option<Runtime> {
    static KNOWN: OnceLock<Runtime> = OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return Some(known.clone());
    }
    let GlobalPool::Running(threads) = global_pool() else {
        return None;
    };
    let own = objects::own_object();
    let file = if own.name.as_os_str().is_empty() {
        scan::own_executable()
    } else {
        own.name
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
        filepath: file.canonicalize().unwrap_or(file),
        description,
        tested: true,
        one_per_process: true,
        rank: 0,
        reach: Mutex::new(None),
    };
    let library = Arc::new(Library::empty_program(scan::own_executable()));
    Some(
        KNOWN
            .get_or_init(|| Runtime::new(Arc::new(kind), library))
            .clone(),
    )
}

/// What is known of the global pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GlobalPool {
    /// It runs, with this many threads.
    Running(u32),
    /// Nobody has used it yet.
    NotStarted,
    /// The program's symbol table does not tell.
    Untold,
}

/// Asks without starting it.
fn global_pool() -> GlobalPool {
    /// The registry's address in this code's own object, which is where rayon is linked, and stays.
    static REGISTRY: OnceLock<Option<usize>> = OnceLock::new();
    // Not `get_or_init`: finding it asks the loader, and nothing here may wait for its lock while another waits.
    let address = match REGISTRY.get() {
        Some(address) => *address,
        None => {
            let found = find_registry();
            *REGISTRY.get_or_init(|| found)
        }
    };
    // `Option<Arc<_>>`: one pointer, null for `None`, written once. It is rayon's own variable and not ours to borrow,
    // so it is read as the kernel would read it.
    let mut pointer = [0; size_of::<usize>()];
    let read =
        address.map(|address| memory::read(std::process::id(), address as u64, &mut pointer));
    match read {
        Some(Ok(())) if usize::from_ne_bytes(pointer) == 0 => GlobalPool::NotStarted,
        Some(Ok(())) => global_threads().map_or(GlobalPool::Untold, GlobalPool::Running),
        _ => GlobalPool::Untold,
    }
}

fn find_registry() -> Option<usize> {
    let own = objects::own_object();
    if own.name.as_os_str().is_empty() {
        return scan::main_program().linked(is_registry);
    }
    let file = objects::own_file(&own)?;
    let wanted: elf::Wanted = |kind, name| kind == elf::Kind::Data && begins_with_registry(name);
    elf::defined_symbols(&file, own.base, wanted)
        .into_values()
        .next()
}

/// The size of the running global pool.
fn global_threads() -> Option<u32> {
    let ask = || rayon::current_num_threads() as u32;
    if rayon::current_thread_index().is_none() {
        return Some(ask());
    }
    // A worker is told of its own pool: a thread that is no worker asks instead, if one can be had.
    let other = std::thread::Builder::new()
        .name("threadctl-ask".to_owned())
        .spawn(ask);
    other.ok()?.join().ok()
}

/// Whether these bytes begin with its name, and a zero that ends it.
pub(crate) fn begins_with_registry(bytes: &[u8]) -> bool {
    // Most variables are not Rust's, or not rayon's: their names are not read to the end.
    (bytes.starts_with(b"_ZN10rayon_core") || bytes.starts_with(b"_R"))
        && CStr::from_bytes_until_nul(bytes).is_ok_and(|name| name.to_str().is_ok_and(is_registry))
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
    use super::{begins_with_registry, is_registry};

    #[test]
    fn only_the_registry_itself_is_meant() {
        for name in [
            "_ZN10rayon_core8registry12THE_REGISTRY17h0123456789abcdefE",
            "_RNvNtCs1234_10rayon_core8registry12THE_REGISTRY",
        ] {
            assert!(is_registry(name) && begins_with_registry(format!("{name}\0_").as_bytes()));
        }
        assert!(!is_registry(
            "_ZN10rayon_core8registry16THE_REGISTRY_SET17h0123456789abcdefE"
        ));
        assert!(!is_registry("THE_REGISTRY"));
    }
}
