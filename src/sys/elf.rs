//! The symbol tables of ELF files, for what the dynamic loader cannot see: functions linked statically into a program,
//! data that a program does not export, and libraries of other processes.
//!
//! Invariant: a table is read whole, its names too. Name by name, it took two system calls each, and thousands of
//! them were most of the run time of a short command. Since files of others are read, what a file claims about
//! itself costs no more than the limits below.

use object::elf::{
    FileHeader32, FileHeader64, SHN_UNDEF, SHT_DYNSYM, SHT_SYMTAB, STT_FUNC, STT_OBJECT, STT_TLS,
};
use object::read::elf::{FileHeader, SectionHeader as _, Sym as _};
use object::{Endianness, FileKind, ReadCache, ReadRef};
use std::collections::HashMap;
use std::ffi::CStr;
use std::fs::File;
use std::ops::Range;

/// The largest piece of a file that is read at once. The names of the largest programs with debug information fit.
const PIECE: u64 = 512 << 20;

/// The most symbols that a table is read for.
const SYMBOLS: usize = 4_000_000;

/// No name that is looked for is nearly as long. Names may share their ends, so without a limit a table of names of a
/// million bytes and a million symbols would be searched to its end a million times.
const NAME: usize = 512;

/// A file of which no piece is larger than [`PIECE`]: a sparse file of a few bytes may claim tables of any size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limited<'a>(pub &'a ReadCache<&'a File>);

impl<'a> ReadRef<'a> for Limited<'a> {
    fn len(self) -> Result<u64, ()> {
        ReadRef::len(self.0)
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'a [u8], ()> {
        if size > PIECE {
            return Err(());
        }
        self.0.read_bytes_at(offset, size)
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'a [u8], ()> {
        self.0.read_bytes_at_until(range, delimiter)
    }
}

/// One entry of a symbol table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Symbol<'a> {
    pub name: &'a str,
    /// As the file counts; where the object is mapped is not in it.
    pub address: u64,
    /// A function to call, a variable to read, or neither: what resolves a function when the loader asks (IFUNC) is
    /// neither.
    #[cfg_attr(
        not(feature = "diagnose"),
        expect(dead_code, reason = "in this process one kind at a time is asked for")
    )]
    pub kind: Kind,
    /// Whether the file has it, rather than wants it from another.
    pub is_defined: bool,
    /// Whether other objects see it.
    #[cfg_attr(
        not(feature = "diagnose"),
        expect(
            dead_code,
            reason = "in this process the loader is asked what others see"
        )
    )]
    pub is_dynamic: bool,
}

/// What a symbol names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Function,
    Data,
    Other,
}

impl Kind {
    fn of(symbol_type: object::elf::SymbolType) -> Self {
        match symbol_type {
            STT_FUNC => Kind::Function,
            STT_OBJECT => Kind::Data,
            _ => Kind::Other,
        }
    }
}

/// Calls `visit` for every symbol of the file of a kind that is `wanted`: those that the loader sees first, then all that were
/// not stripped.
///
/// # Errors
/// The file cannot be read, or is no ELF file.
pub(crate) fn visit_symbols(
    file: &File,
    wanted: impl Fn(Kind) -> bool,
    visit: &mut dyn FnMut(Symbol<'_>),
) -> object::read::Result<()> {
    // Reads the ranges that are asked for, not the whole of a program with debug information.
    let cache = ReadCache::new(file);
    match FileKind::parse(&cache)? {
        FileKind::Elf32 => visit_of::<FileHeader32<Endianness>>(Limited(&cache), wanted, visit),
        _ => visit_of::<FileHeader64<Endianness>>(Limited(&cache), wanted, visit),
    }
}

fn visit_of<E: FileHeader<Endian = Endianness>>(
    cache: Limited<'_>,
    wanted: impl Fn(Kind) -> bool,
    visit: &mut dyn FnMut(Symbol<'_>),
) -> object::read::Result<()> {
    let header = E::parse(cache)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, cache)?;
    for kind in [SHT_DYNSYM, SHT_SYMTAB] {
        let table = sections.symbols(endian, cache, kind)?;
        if table.is_empty() {
            continue;
        }
        let names = sections
            .section(table.string_section())?
            .data(endian, cache)?;
        for symbol in table.iter().take(SYMBOLS) {
            let kind_of = Kind::of(symbol.st_type());
            // A thread-local variable has an offset, not an address. And most of what a program has is not asked for, while
            // finding where names end is most of the work.
            if symbol.st_type() == STT_TLS || !wanted(kind_of) {
                continue;
            }
            if let Some(name) = name_at(names, symbol.st_name(endian) as usize) {
                visit(Symbol {
                    name,
                    address: symbol.st_value(endian).into(),
                    kind: kind_of,
                    is_defined: symbol.st_shndx(endian) != SHN_UNDEF,
                    is_dynamic: kind == SHT_DYNSYM,
                });
            }
        }
    }
    Ok(())
}

/// The name that begins there. Names that are not UTF-8 are none of ours.
fn name_at(names: &[u8], start: usize) -> Option<&str> {
    let rest = names.get(start..)?;
    let name = CStr::from_bytes_until_nul(rest.get(..NAME).unwrap_or(rest));
    let name = name.ok()?.to_str().ok()?;
    Some(name).filter(|name| !name.is_empty())
}

/// Addresses, in the object mapped at `base`, of those of the `wanted` names that the file defines as a `kind`.
///
/// The caller makes sure that `file` is what is mapped there. An unreadable or stripped file gives an empty map: the
/// caller then knows of no such symbol, which is the truth as far as it can be seen.
pub(crate) fn defined_symbols(
    file: &File,
    base: usize,
    kind: Kind,
    wanted: impl Fn(&str) -> bool,
) -> HashMap<String, usize> {
    let mut found = HashMap::new();
    let of_kind = |found| found == kind;
    let outcome = visit_symbols(file, of_kind, &mut |symbol| {
        let fits = symbol.is_defined && symbol.address != 0;
        if fits && wanted(symbol.name) {
            let address = base.wrapping_add(symbol.address as usize);
            found.insert(symbol.name.to_owned(), address);
        }
    });
    if let Err(error) = outcome {
        tracing::debug!(%error, "a symbol table cannot be read");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_elf_has_no_symbols() {
        let file = File::open("Cargo.toml").unwrap();
        assert!(defined_symbols(&file, 0, Kind::Function, |_| true).is_empty());
    }

    #[test]
    fn the_test_program_defines_main_and_it_is_a_function() {
        let program = File::open("/proc/self/exe").unwrap();
        let main = |kind| defined_symbols(&program, 0, kind, |name| name == "main").len();
        assert_eq!([main(Kind::Function), main(Kind::Data)], [1, 0]);
    }

    #[test]
    fn what_a_program_wants_from_others_is_not_defined_by_it() {
        let program = File::open("/proc/self/exe").unwrap();
        let found = defined_symbols(&program, 0, Kind::Function, |name| {
            name.starts_with("dlopen")
        });
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn a_name_that_does_not_end_is_none() {
        assert_eq!(name_at(b"\0abc\0de", 1), Some("abc"));
        assert_eq!(name_at(b"\0abc\0de", 5), None);
        assert_eq!(name_at(b"\0abc\0de", 0), None);
        assert_eq!(name_at(b"\0abc\0de", 99), None);
        let long = [b'a'; NAME];
        assert_eq!(
            name_at(&[&long[1..], b"\0"].concat(), 0).map(str::len),
            Some(NAME - 1)
        );
        assert_eq!(name_at(&[&long[..], b"\0"].concat(), 0), None);
    }
}
