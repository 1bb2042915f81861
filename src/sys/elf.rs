//! The symbol tables of ELF files, for what the dynamic loader cannot see: functions linked statically into a program,
//! data that a program does not export, and libraries of other processes.
//!
//! Invariant: a table is read whole, its names too, but for the main program's, which is mapped. Name by name, it took two system calls
//! each, and thousands of them were most of the run time of a short command. Since files of others are read, what a file claims about
//! itself costs no more than the limits below.

use super::mapped::Mapped;
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
        expect(dead_code, reason = "what is not wanted by its kind is not visited")
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

/// Calls `visit` for every symbol of the file that is `wanted`, by its kind and by the bytes from its name's beginning on: those that the
/// loader sees first, then all that were not stripped.
///
/// # Errors
/// The file cannot be read, or is no ELF file.
#[cfg(feature = "diagnose")]
pub(crate) fn visit_symbols(
    file: &File,
    wanted: impl Fn(Kind, &[u8]) -> bool,
    visit: &mut dyn FnMut(Symbol<'_>),
) -> object::read::Result<()> {
    // Reads the ranges that are asked for, not the whole of a program with debug information.
    let cache = ReadCache::new(file);
    visit_all(Limited(&cache), wanted, visit)
}

fn visit_all<'a>(
    file: impl ReadRef<'a>,
    wanted: impl Fn(Kind, &[u8]) -> bool,
    visit: &mut dyn FnMut(Symbol<'_>),
) -> object::read::Result<()> {
    match FileKind::parse(file)? {
        FileKind::Elf32 => visit_of::<FileHeader32<Endianness>>(file, wanted, visit),
        _ => visit_of::<FileHeader64<Endianness>>(file, wanted, visit),
    }
}

fn visit_of<'a, E: FileHeader<Endian = Endianness>>(
    cache: impl ReadRef<'a>,
    wanted: impl Fn(Kind, &[u8]) -> bool,
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
            let from = names.get(symbol.st_name(endian) as usize..);
            let from = from.filter(|from| symbol.st_type() != STT_TLS && wanted(kind_of, from));
            if let Some(name) = from.and_then(name_at) {
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

/// The name that these bytes begin with. Names that are not UTF-8 are none of ours.
fn name_at(rest: &[u8]) -> Option<&str> {
    let name = CStr::from_bytes_until_nul(rest.get(..NAME).unwrap_or(rest));
    let name = name.ok()?.to_str().ok()?;
    Some(name).filter(|name| !name.is_empty())
}

/// Addresses, in the object mapped at `base`, of those of the `wanted` names that the file defines as functions or as data.
///
/// The caller makes sure that `file` is what is mapped there. An unreadable or stripped file gives an empty map: the
/// caller then knows of no such symbol, which is the truth as far as it can be seen.
pub(crate) fn defined_symbols(file: &File, base: usize, wanted: Wanted) -> HashMap<String, usize> {
    let cache = ReadCache::new(file);
    defined(Limited(&cache), base, wanted)
}

/// The same of the file of the main program.
pub(crate) fn defined_by_program(base: usize, wanted: Wanted) -> HashMap<String, usize> {
    // Read, the tables of a program with debug information would fill some hundred new pages.
    match Mapped::main_program() {
        Ok(program) => defined(program.as_ref(), base, wanted),
        Err(error) => {
            // A limit of addresses (`ulimit -v`) may leave no room for the whole file.
            tracing::debug!(%error, "the program's file cannot be mapped, so it is read");
            File::open("/proc/self/exe").map_or_else(
                |_| HashMap::new(),
                |file| defined_symbols(&file, base, wanted),
            )
        }
    }
}

/// Which names: by the bytes that they begin with, behind which others may follow.
pub(crate) type Wanted = fn(Kind, &[u8]) -> bool;

fn defined<'a>(file: impl ReadRef<'a>, base: usize, wanted: Wanted) -> HashMap<String, usize> {
    let mut found = HashMap::new();
    let wanted = |kind, name: &[u8]| kind != Kind::Other && wanted(kind, name);
    let outcome = visit_all(file, wanted, &mut |symbol| {
        if symbol.is_defined && symbol.address != 0 {
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
        assert!(defined_symbols(&file, 0, |_, _| true).is_empty());
    }

    #[test]
    fn the_test_program_defines_main_and_it_is_a_function() {
        let main = |kind: Wanted| defined_by_program(0, kind).contains_key("main");
        assert!(main(
            |kind, name| kind == Kind::Function && name.starts_with(b"main\0")
        ));
        assert!(!main(
            |kind, name| kind == Kind::Data && name.starts_with(b"main\0")
        ));
        let program = File::open("/proc/self/exe").unwrap();
        let all: Wanted = |_, name| name.starts_with(b"main");
        assert_eq!(
            defined_symbols(&program, 0, all),
            defined_by_program(0, all)
        );
    }

    #[test]
    fn what_a_program_wants_from_others_is_not_defined_by_it() {
        let found = defined_by_program(0, |_, name| name.starts_with(b"dlopen"));
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn a_name_that_does_not_end_is_none() {
        assert_eq!(name_at(b"abc\0de"), Some("abc"));
        assert_eq!(name_at(b"de"), None);
        assert_eq!(name_at(b"\0abc\0de"), None);
        assert_eq!(name_at(b""), None);
        let long = [b'a'; NAME];
        assert_eq!(
            name_at(&[&long[1..], b"\0"].concat()).map(str::len),
            Some(NAME - 1)
        );
        assert_eq!(name_at(&[&long[..], b"\0"].concat()), None);
    }
}
