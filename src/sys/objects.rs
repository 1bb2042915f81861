//! Which objects the dynamic loader has mapped into this process, and whether that has changed.
//!
//! Invariant: the callbacks given to `dl_iterate_phdr` only copy; they neither open, close nor call anything of
//! the loader, whose lock is held while they run.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::os::raw::{c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// One mapped object: the main program or a shared library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoadedObject {
    /// As the loader knows it; empty for the main program.
    pub name: PathBuf,
    /// What has to be added to the addresses in its symbol table.
    pub base: usize,
}

impl LoadedObject {
    /// Its file, symbolic links resolved, as far as it is still there under that name.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        let name = if self.name.as_os_str().is_empty() {
            Path::new("/proc/self/exe")
        } else {
            &self.name
        };
        name.canonicalize().ok()
    }
}

/// Counts of objects loaded and unloaded since the process began: equal counts mean an unchanged list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Generation {
    loads: u64,
    unloads: u64,
}

impl Generation {
    /// How many objects were loaded so far.
    pub(crate) fn loads(self) -> u64 {
        self.loads
    }

    /// Whether nothing was unloaded between the two.
    pub(crate) fn same_unloads(self, other: Generation) -> bool {
        self.unloads == other.unloads
    }
}

/// The object that contains this very code: the main program, or an extension written in Rust.
pub(crate) fn own_object() -> LoadedObject {
    origin(own_address()).unwrap_or(LoadedObject {
        name: PathBuf::new(),
        base: 0,
    })
}

/// The file of [`own_object`], if it is still the one that is mapped: an upgrade puts another in its place.
pub(crate) fn own_file(own: &LoadedObject) -> Option<File> {
    if own.name.as_os_str().is_empty() {
        return File::open("/proc/self/exe").ok();
    }
    let file = File::open(&own.name).ok()?;
    let metadata = file.metadata().ok()?;
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let mapped = maps
        .lines()
        .find_map(|line| identity_at(line, own_address()))?;
    let device = (libc::major(metadata.dev()), libc::minor(metadata.dev()));
    (mapped == (device, metadata.ino())).then_some(file)
}

fn own_address() -> usize {
    own_object as fn() -> LoadedObject as usize
}

/// Device and inode of a line of `/proc/PID/maps`, if the address lies in it.
fn identity_at(line: &str, address: usize) -> Option<((u32, u32), u64)> {
    let mut words = line.split_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let hexadecimal = |text: &str| usize::from_str_radix(text, 16).ok();
    if !(hexadecimal(start)?..hexadecimal(end)?).contains(&address) {
        return None;
    }
    let (major, minor) = words.nth(2)?.split_once(':')?;
    let number = |text: &str| u32::from_str_radix(text, 16).ok();
    Some((
        (number(major)?, number(minor)?),
        words.next()?.parse().ok()?,
    ))
}

/// The object that an address lies in, as the loader lists it.
///
/// `dladdr` says that too, and looks for the nearest of the object's symbols besides: at all of them, tens of thousands in a library of
/// BLAS and LAPACK.
pub(crate) fn origin(address: usize) -> Option<LoadedObject> {
    unsafe extern "C" fn look(
        info: *mut libc::dl_phdr_info,
        _size: usize,
        out: *mut c_void,
    ) -> c_int {
        // SAFETY: `out` is the pair that `origin` passed, borrowed by nobody else during the iteration.
        let (address, found) = unsafe { &mut *out.cast::<(usize, Option<LoadedObject>)>() };
        // SAFETY: the loader passes a valid record for the duration of the callback.
        let info = unsafe { &*info };
        let contains = (0..usize::from(info.dlpi_phnum)).any(|index| {
            // SAFETY: so many headers.
            let header = unsafe { &*info.dlpi_phdr.wrapping_add(index) };
            let start = (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
            header.p_type == libc::PT_LOAD && address.wrapping_sub(start) < header.p_memsz as usize
        });
        if !contains {
            return 0;
        }
        // SAFETY: as above.
        *found = Some(unsafe { object_of(info) });
        1
    }
    let mut out = (address, None);
    // SAFETY: `look` matches the callback's signature and `out` outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut out).cast()) };
    out.1
}

/// # Safety
/// A record of the loader's, in a callback that it was passed to.
unsafe fn object_of(info: &libc::dl_phdr_info) -> LoadedObject {
    let name = if info.dlpi_name.is_null() {
        &[]
    } else {
        // SAFETY: a non-null `dlpi_name` is a C string that lives as long as the object, hence this callback.
        unsafe { CStr::from_ptr(info.dlpi_name) }.to_bytes()
    };
    LoadedObject {
        name: PathBuf::from(OsStr::from_bytes(name)),
        base: info.dlpi_addr as usize,
    }
}

/// The object behind a handle of `dlopen`, which is open.
pub(crate) fn of_handle(handle: std::ptr::NonNull<c_void>) -> Option<LoadedObject> {
    /// The beginning of the loader's `struct link_map`, the public part of it.
    #[repr(C)]
    struct Link {
        base: usize,
        name: *const std::os::raw::c_char,
    }
    let mut link: *const Link = std::ptr::null();
    // SAFETY: the handle is open; for this request the loader writes one pointer.
    let result = unsafe {
        libc::dlinfo(
            handle.as_ptr(),
            libc::RTLD_DI_LINKMAP,
            (&raw mut link).cast(),
        )
    };
    if result != 0 || link.is_null() {
        return None;
    }
    // SAFETY: written by the successful call; it lives as long as the object, which the handle keeps.
    let link = unsafe { &*link };
    // SAFETY: the name of a loaded object is a C string of the loader's; copied at once.
    let name = unsafe { CStr::from_ptr(link.name) }.to_bytes();
    Some(LoadedObject {
        name: PathBuf::from(OsStr::from_bytes(name)),
        base: link.base,
    })
}

/// The objects mapped now, in the loader's order; the main program is first.
pub(crate) fn loaded_objects() -> (Generation, Vec<LoadedObject>) {
    unsafe extern "C" fn copy(
        info: *mut libc::dl_phdr_info,
        _size: usize,
        out: *mut c_void,
    ) -> c_int {
        // SAFETY: `out` is the tuple that `loaded_objects` passed, borrowed by nobody else during the iteration.
        let (generation, objects) = unsafe { &mut *out.cast::<(Generation, Vec<LoadedObject>)>() };
        // SAFETY: the loader passes a valid record for the duration of the callback.
        let info = unsafe { &*info };
        *generation = generation_of(info);
        // SAFETY: as above.
        objects.push(unsafe { object_of(info) });
        0
    }
    let mut out = (NO_GENERATION, Vec::with_capacity(32));
    // SAFETY: `copy` matches the callback's signature and `out` outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(copy), (&raw mut out).cast()) };
    out
}

/// The loader's counts, from the first record alone: the cheap question "has anything changed?".
pub(crate) fn generation() -> Generation {
    unsafe extern "C" fn first(
        info: *mut libc::dl_phdr_info,
        _size: usize,
        out: *mut c_void,
    ) -> c_int {
        // SAFETY: the loader passes a valid record for the duration of the callback.
        let generation = generation_of(unsafe { &*info });
        // SAFETY: `out` is the value that `generation` passed, borrowed by nobody else during the iteration.
        unsafe { out.cast::<Generation>().write(generation) };
        1
    }
    let mut out = NO_GENERATION;
    // SAFETY: `first` matches the callback's signature and `out` outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut out).cast()) };
    out
}

const NO_GENERATION: Generation = Generation {
    loads: 0,
    unloads: 0,
};

fn generation_of(info: &libc::dl_phdr_info) -> Generation {
    Generation {
        loads: info.dlpi_adds,
        unloads: info.dlpi_subs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_code_lies_in_the_file_that_is_mapped() {
        assert!(own_file(&own_object()).is_some());
        let line = "7f00-7fff r-xp 00000000 fd:01 42   /lib/x.so";
        assert_eq!(identity_at(line, 0x7f10), Some(((0xfd, 1), 42)));
        assert_eq!(identity_at(line, 0x8000), None);
        assert_eq!(identity_at("no map", 0x8000), None);
    }

    #[test]
    fn an_address_lies_in_the_object_that_the_loader_lists() {
        let objects = loaded_objects().1;
        assert_eq!(
            own_object(),
            objects[0],
            "the test program contains this code"
        );
        let of_c = origin(libc::strlen as *const () as usize);
        assert!(of_c.is_some_and(|it| objects.contains(&it) && it != objects[0]));
        let local = 0_u8;
        assert_eq!(
            origin((&raw const local).addr()),
            None,
            "the stack is no object's"
        );
    }

    #[test]
    fn the_main_program_is_first_and_the_c_library_is_listed() {
        let (generation_then, objects) = loaded_objects();
        assert_eq!(objects[0].name, PathBuf::new());
        assert!(
            objects
                .iter()
                .any(|o| o.name.to_string_lossy().contains("libc.so"))
        );
        assert_eq!(generation_then, generation());
    }
}
