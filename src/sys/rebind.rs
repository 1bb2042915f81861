//! Binding the references of a loaded library anew: the slots through which it calls functions by name.
//!
//! A program exports nothing by default, so a library that is opened at run time binds its `dgemm_` to its own. Its slots
//! are found as the dynamic loader finds them, in its relocations, and written as the loader writes them. Which of its symbols are meant
//! is looked up first, by its hash table: thousands of references are then told apart by numbers, and no names are read.
//!
//! Invariants: the object is never unloaded; only slots of function references (JUMP_SLOT, GLOB_DAT) are written, each in one
//! store, so that whoever calls meanwhile finds one function or the other; what the loader had made read-only is read-only
//! again afterwards.

use super::objects::LoadedObject;
use std::ffi::{CStr, CString, OsStr};
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
/// An extension of GNU's that all libraries have now.
const DT_GNU_HASH: i64 = 0x6fff_fef5;

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

/// Has the object's references to each of those names lead to the function beside it, and returns how many references were changed.
///
/// # Errors
/// What the system says when it does not let a page be written; those before it are changed.
///
/// # Safety
/// The object is never unloaded, and each function may be called in the place of that of its name.
pub(crate) unsafe fn rebind(object: &LoadedObject, targets: &[(&str, usize)]) -> io::Result<usize> {
    let Some(segments) = segments(object) else {
        return Ok(0);
    };
    // SAFETY: the dynamic section of a loaded object, which stays.
    let tables = unsafe { tables(object.base, segments.dynamic) };
    let relro = whole_pages(&segments.relro);
    // SAFETY: the object's own tables.
    let slots = unsafe { tables.slots(object.base, targets) };
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

/// Where the object's references to a function of this name lead.
pub(crate) fn values(object: &LoadedObject, name: &str) -> Vec<usize> {
    let read = |(slot, _): (usize, usize)| {
        // SAFETY: an aligned word of the object, which the loader may write at the same time.
        unsafe { AtomicUsize::from_ptr(slot as *mut usize) }.load(Ordering::Acquire)
    };
    slots_of(object, name).into_iter().map(read).collect()
}

/// The definition of a function that is found first by all whose references are bound in the usual order.
pub(crate) fn global(name: &str) -> Option<usize> {
    let name = CString::new(name).ok()?;
    // SAFETY: the default scope needs no handle; `name` is a C string.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!address.is_null()).then_some(address as usize)
}

/// Whether an object refers to a function of this name that is to be found in others, or in itself.
pub(crate) fn refers_to(object: &LoadedObject, name: &str) -> bool {
    !slots_of(object, name).is_empty()
}

/// The object's references to a function of this name, with nothing beside them. The object stays loaded: it is a backend's, or the
/// caller's code lies in it.
fn slots_of(object: &LoadedObject, name: &str) -> Vec<(usize, usize)> {
    let Some(segments) = segments(object) else {
        return Vec::new();
    };
    // SAFETY: the dynamic section of a loaded object, and its own tables.
    unsafe { tables(object.base, segments.dynamic).slots(object.base, &[(name, 0)]) }
}

/// The tables of an object that say what it refers to by name.
#[derive(Default)]
struct Tables {
    symbols: usize,
    names: usize,
    hash: usize,
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
            DT_GNU_HASH => tables.hash = absolute(value),
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
    unsafe fn slots(&self, base: usize, targets: &[(&str, usize)]) -> Vec<(usize, usize)> {
        if self.symbols == 0 || self.names == 0 {
            return Vec::new();
        }
        // SAFETY: our caller's promise, here and below.
        let mut numbers =
            unsafe { self.by_hash(targets) }.unwrap_or_else(|| unsafe { self.by_name(targets) });
        numbers.sort_unstable();
        let slot = |(offset, symbol): (usize, u32)| {
            let place = numbers.binary_search_by_key(&symbol, |(number, _)| *number);
            Some((base.wrapping_add(offset), numbers[place.ok()?].1))
        };
        // SAFETY: as above.
        unsafe { self.references() }.filter_map(slot).collect()
    }

    /// All references to functions: where their slots are in the object, and the numbers of their symbols.
    ///
    /// # Safety
    /// As for [`slots`](Tables::slots).
    unsafe fn references(&self) -> impl Iterator<Item = (usize, u32)> {
        let tables = self.relocations.iter().filter(|(table, _)| *table != 0);
        tables.flat_map(|&(table, size)| {
            (0..size / size_of::<Relocation>()).filter_map(move |index| {
                let relocation = (table as *const Relocation).wrapping_add(index);
                // SAFETY: one of the table's entries.
                let Relocation { offset, info, .. } = unsafe { relocation.read() };
                // The upper half is the symbol, the lower the kind.
                let is_one = REFERENCES.contains(&(info as u32));
                is_one.then_some((offset, (info >> 32) as u32))
            })
        })
    }

    /// # Safety
    /// As for [`slots`](Tables::slots), and there is such a symbol.
    unsafe fn name(&self, symbol: u32) -> &[u8] {
        let symbol = (self.symbols as *const Symbol).wrapping_add(symbol as usize);
        // SAFETY: a symbol names a text of the object's texts, which end in NUL.
        unsafe { CStr::from_ptr((self.names + (*symbol).name as usize) as *const c_char) }
            .to_bytes()
    }

    /// The numbers of the symbols that have these names, with what belongs to the names; `None` where no hash table tells.
    ///
    /// # Safety
    /// As for [`slots`](Tables::slots).
    unsafe fn by_hash(&self, targets: &[(&str, usize)]) -> Option<Vec<(u32, usize)>> {
        if self.hash == 0 {
            return None;
        }
        let at = |table: usize, index: u32| {
            // SAFETY: our callers below stay in the tables, which are words of 32 bits.
            unsafe { (table as *const u32).wrapping_add(index as usize).read() }
        };
        // Four numbers, a filter in words of the machine's size, a symbol for each remainder of a hash, and then the hashes of the
        // symbols from `first` on, of which the last with a remainder is odd.
        let [remainders, first, filter] = [0, 1, 2].map(|index| at(self.hash, index));
        let heads = self.hash + 4 * size_of::<u32>() + filter as usize * size_of::<usize>();
        let hashes = heads + remainders as usize * size_of::<u32>();
        // An object that defines nothing does not tell how much it wants.
        if first == 0 || (0..remainders).all(|remainder| at(heads, remainder) < first) {
            return None;
        }
        let mut numbers = Vec::new();
        for (name, function) in targets {
            let hash = gnu_hash(name);
            let mut symbol = at(heads, hash % remainders);
            while symbol >= first {
                let other = at(hashes, symbol - first);
                // SAFETY: our caller's promise; the table has a hash for each symbol.
                if other | 1 == hash | 1 && unsafe { self.name(symbol) } == name.as_bytes() {
                    numbers.push((symbol, *function));
                }
                symbol = if other & 1 == 1 { 0 } else { symbol + 1 };
            }
        }
        // Those that are wanted from others come before, without hashes. There are few.
        for symbol in 1..first {
            // SAFETY: our caller's promise.
            let name = unsafe { self.name(symbol) };
            let wanted = targets.iter().find(|it| it.0.as_bytes() == name);
            numbers.extend(wanted.map(|(_, function)| (symbol, *function)));
        }
        Some(numbers)
    }

    /// The same, found by reading the name of each reference.
    ///
    /// # Safety
    /// As for [`slots`](Tables::slots).
    unsafe fn by_name(&self, targets: &[(&str, usize)]) -> Vec<(u32, usize)> {
        let wanted = |(_, symbol): (usize, u32)| {
            // SAFETY: our caller's promise; a relocation names a symbol of the object's table.
            let name = unsafe { self.name(symbol) };
            let target = targets.iter().find(|it| it.0.as_bytes() == name);
            target.map(|(_, function)| (symbol, *function))
        };
        // SAFETY: our caller's promise.
        unsafe { self.references() }.filter_map(wanted).collect()
    }
}

/// The hash of a name in such a table.
fn gnu_hash(name: &str) -> u32 {
    let step = |hash: u32, byte| hash.wrapping_mul(33).wrapping_add(u32::from(byte));
    name.bytes().fold(5381, step)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::objects::loaded_objects;

    #[test]
    fn the_hash_table_tells_what_the_names_tell() {
        let targets = [("malloc", 1), ("strlen", 2), ("no_such_function", 3)];
        let mut seen = 0;
        for object in loaded_objects().1 {
            let Some(segments) = segments(&object) else {
                continue;
            };
            // SAFETY: an object that the test program was started with, and its own tables.
            let (tables, by_name) = unsafe {
                let tables = tables(object.base, segments.dynamic);
                let by_name = tables.by_name(&targets);
                (tables, by_name)
            };
            // SAFETY: as above.
            let Some(by_hash) = (unsafe { tables.by_hash(&targets) }) else {
                continue;
            };
            for found in by_name {
                assert!(by_hash.contains(&found), "{object:?}");
                seen += 1;
            }
            assert!(by_hash.iter().all(|(_, function)| *function < 3));
        }
        assert!(seen > 0);
    }

    #[test]
    fn the_hash_is_that_of_the_loader() {
        assert_eq!(
            [gnu_hash(""), gnu_hash("printf"), gnu_hash("exit")],
            [0x1505, 0x156b_2bb8, 0x7c96_7e3f]
        );
    }
}
