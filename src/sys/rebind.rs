//! Binding the references of a loaded library anew: the slots through which it calls functions by name.
//!
//! A program exports nothing by default, so a library that is opened at run time binds its `dgemm_` to its own. Its slots
//! are found as the dynamic loader finds them, in its relocations, and written as the loader writes them.
//!
//! Invariants: the object is never unloaded; only slots of function references (JUMP_SLOT, GLOB_DAT) are written, each in one
//! store, so that whoever calls meanwhile finds one function or the other; what the loader had made read-only is read-only
//! again afterwards.

use super::objects::LoadedObject;
use std::cell::Cell;
use std::ffi::{CStr, OsStr};
use std::io;
use std::ops::Range;
use std::os::raw::{c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};

#[repr(C)]
struct Dynamic {
    tag: i64,
    value: usize,
}

#[repr(C)]
struct Relocation {
    offset: usize,
    info: u64,
    addend: i64,
}

#[repr(C)]
struct Symbol {
    name: u32,
    info: u8,
    other: u8,
    section: u16,
    value: u64,
    size: u64,
}

// Tags of the dynamic section: System V ABI, chapter 5.
const DT_NULL: i64 = 0;
const DT_PLTRELSZ: i64 = 2;
const DT_STRTAB: i64 = 5;
const DT_SYMTAB: i64 = 6;
const DT_RELA: i64 = 7;
const DT_RELASZ: i64 = 8;
const DT_JMPREL: i64 = 23;

/// GLOB_DAT and JUMP_SLOT, which hold the plain address of a symbol.
#[cfg(target_arch = "x86_64")]
const REFERENCES: [u32; 2] = [6, 7];
#[cfg(target_arch = "aarch64")]
const REFERENCES: [u32; 2] = [1025, 1026];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const REFERENCES: [u32; 0] = [];

/// What the loader's record says of an object.
#[derive(Default)]
struct Segments {
    dynamic: usize,
    /// Read-only after the loader's work.
    relro: Range<usize>,
}

/// Has the object's references to those names lead to other functions, and returns how many references were changed.
///
/// # Errors
/// What the system says when it does not let a page be written; those before it are changed.
///
/// # Safety
/// The object is never unloaded, and for each name `target` gives a function that may be called in its place.
pub(crate) unsafe fn rebind(
    object: &LoadedObject,
    target: &dyn Fn(&str) -> Option<usize>,
) -> io::Result<usize> {
    let Some(segments) = segments(object) else {
        return Ok(0);
    };
    // SAFETY: the dynamic section of a loaded object, which stays.
    let tables = unsafe { tables(object.base, segments.dynamic) };
    let relro = whole_pages(&segments.relro);
    // SAFETY: the object's own tables.
    let slots = unsafe { tables.slots(object.base, target) };
    if slots.is_empty() {
        return Ok(0);
    }
    let protected = slots.iter().any(|(slot, _)| relro.contains(slot));
    if protected {
        protect(&relro, libc::PROT_READ | libc::PROT_WRITE)?;
    }
    for (slot, function) in &slots {
        // SAFETY: an aligned word of the object, writable now, that its code reads to call the function.
        let slot = unsafe { AtomicUsize::from_ptr(*slot as *mut usize) };
        slot.store(*function, Ordering::Release);
    }
    if protected {
        protect(&relro, libc::PROT_READ)?;
    }
    Ok(slots.len())
}

/// Whether an object refers to a function of this name that is to be found in others, or in itself.
pub(crate) fn refers_to(object: &LoadedObject, name: &str) -> bool {
    let Some(segments) = segments(object) else {
        return false;
    };
    let found = Cell::new(false);
    let look = |other: &str| {
        found.set(found.get() || other == name);
        None
    };
    // SAFETY: the dynamic section of a loaded object, and its own tables; the caller's code lies in it, so it stays.
    unsafe { tables(object.base, segments.dynamic).slots(object.base, &look) };
    found.get()
}

/// The tables of an object that say what it refers to by name.
#[derive(Default)]
struct Tables {
    symbols: usize,
    names: usize,
    /// Address and size in bytes.
    relocations: [(usize, usize); 2],
}

/// # Safety
/// `dynamic` is the dynamic section of the object at `base`, loaded for good.
unsafe fn tables(base: usize, dynamic: usize) -> Tables {
    // The loader has added the base to addresses in memory on most platforms, and not on some.
    let absolute = |address: usize| {
        if address < base {
            base.wrapping_add(address)
        } else {
            address
        }
    };
    let mut tables = Tables::default();
    let mut entry = dynamic as *const Dynamic;
    loop {
        // SAFETY: entries follow each other up to one with DT_NULL.
        let Dynamic { tag, value } = unsafe { entry.read() };
        match tag {
            DT_NULL => return tables,
            DT_SYMTAB => tables.symbols = absolute(value),
            DT_STRTAB => tables.names = absolute(value),
            DT_RELA => tables.relocations[0].0 = absolute(value),
            DT_RELASZ => tables.relocations[0].1 = value,
            DT_JMPREL => tables.relocations[1].0 = absolute(value),
            DT_PLTRELSZ => tables.relocations[1].1 = value,
            _ => {}
        }
        entry = entry.wrapping_add(1);
    }
}

impl Tables {
    /// The slots of wanted names, and what is to be in them.
    ///
    /// # Safety
    /// The tables are those of the object at `base`.
    unsafe fn slots(
        &self,
        base: usize,
        target: &dyn Fn(&str) -> Option<usize>,
    ) -> Vec<(usize, usize)> {
        let mut slots = Vec::new();
        if self.symbols == 0 || self.names == 0 {
            return slots;
        }
        for (table, size) in self.relocations {
            let count = if table == 0 {
                0
            } else {
                size / size_of::<Relocation>()
            };
            for index in 0..count {
                let relocation = (table as *const Relocation).wrapping_add(index);
                // SAFETY: one of the table's entries.
                let Relocation { offset, info, .. } = unsafe { relocation.read() };
                // The upper half is the symbol, the lower the kind.
                if !REFERENCES.contains(&(info as u32)) {
                    continue;
                }
                let symbol = (self.symbols as *const Symbol).wrapping_add((info >> 32) as usize);
                // SAFETY: a relocation names a symbol of the object's table, and that a text of its texts, which end in
                // NUL.
                let name = unsafe {
                    let name = (*symbol).name as usize;
                    CStr::from_ptr((self.names + name) as *const c_char)
                };
                if let Some(function) = name.to_str().ok().and_then(target) {
                    slots.push((base.wrapping_add(offset), function));
                }
            }
        }
        slots
    }
}

fn segments(object: &LoadedObject) -> Option<Segments> {
    unsafe extern "C" fn look(
        info: *mut libc::dl_phdr_info,
        _size: usize,
        out: *mut c_void,
    ) -> c_int {
        // SAFETY: the pair that `segments` passed, borrowed by nobody else during the iteration; the loader's record is valid
        // during the callback.
        let ((object, found), info) = unsafe {
            (
                &mut *out.cast::<(&LoadedObject, Option<Segments>)>(),
                &*info,
            )
        };
        if info.dlpi_addr as usize != object.base || info.dlpi_name.is_null() {
            return 0;
        }
        // SAFETY: a non-null name is a C string that lives as long as the object.
        let name = unsafe { CStr::from_ptr(info.dlpi_name) };
        if OsStr::from_bytes(name.to_bytes()) != object.name {
            return 0;
        }
        let mut segments = Segments::default();
        for index in 0..usize::from(info.dlpi_phnum) {
            // SAFETY: so many headers.
            let header = unsafe { &*info.dlpi_phdr.wrapping_add(index) };
            let start = object.base.wrapping_add(header.p_vaddr as usize);
            match header.p_type {
                libc::PT_DYNAMIC => segments.dynamic = start,
                libc::PT_GNU_RELRO => segments.relro = start..start + header.p_memsz as usize,
                _ => {}
            }
        }
        *found = Some(segments);
        1
    }
    let mut out: (&LoadedObject, Option<Segments>) = (object, None);
    // SAFETY: `look` matches the callback's signature and `out` outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut out).cast()) };
    out.1.filter(|segments| segments.dynamic != 0)
}

/// The pages that the loader protects: those which lie wholly before the end.
fn whole_pages(range: &Range<usize>) -> Range<usize> {
    let page = rustix::param::page_size();
    let down = |address: usize| address & !(page - 1);
    down(range.start)..down(range.end)
}

fn protect(pages: &Range<usize>, protection: c_int) -> io::Result<()> {
    // SAFETY: whole pages of the object's data, which stay readable throughout.
    let result = unsafe { libc::mprotect(pages.start as *mut c_void, pages.len(), protection) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
