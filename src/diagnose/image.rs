//! One ELF file that another process has mapped: its symbols, its constant data, and where they are in that process.

use super::constant::{self, Machine, Pointer};
use super::target::MappedFile;
use crate::sys::elf::{self, Symbol};
use crate::sys::memory;
use object::elf::{EM_AARCH64, EM_X86_64, FileHeader32, FileHeader64, PT_LOAD, SHT_PROGBITS};
use object::read::elf::{FileHeader, ProgramHeader as _, SectionHeader as _};
use object::{Endianness, FileKind, ReadCache};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// The longest text that is read.
const TEXT: usize = 256;

/// A mapped file.
#[derive(Debug)]
pub(super) struct Image {
    file: File,
    pid: u32,
    /// What has to be added to the addresses in the file.
    bias: u64,
    machine: Option<Machine>,
    pointer_size: usize,
    little_endian: bool,
    segments: Vec<Segment>,
    /// Where constant data lies in the file: offset and size.
    constants: Vec<(u64, u64)>,
    /// Symbols that other objects see, of the wanted ones.
    exported: HashMap<String, u64>,
    /// All others that were not stripped.
    hidden: HashMap<String, u64>,
    /// Wanted symbols that it takes from others.
    imported: HashSet<String>,
}

/// A part of the file that is mapped as a whole.
#[derive(Debug, Clone, Copy)]
struct Segment {
    address: u64,
    offset: u64,
    size: u64,
}

impl Image {
    /// Reads what is wanted of the file.
    pub fn read(
        file: File,
        pid: u32,
        mapped: &MappedFile,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Image, String> {
        let mut image = Image {
            file,
            pid,
            bias: 0,
            machine: None,
            pointer_size: 8,
            little_endian: true,
            segments: Vec::new(),
            constants: Vec::new(),
            exported: HashMap::new(),
            hidden: HashMap::new(),
            imported: HashSet::new(),
        };
        image.read_layout().map_err(|error| error.to_string())?;
        image.bias = image.bias_of(mapped).unwrap_or(0);
        let Image {
            file,
            exported,
            hidden,
            imported,
            ..
        } = &mut image;
        elf::visit_symbols(file, &mut |symbol: Symbol<'_>| {
            if !wanted(symbol.name) {
                return;
            }
            match symbol {
                Symbol {
                    name,
                    is_defined: false,
                    ..
                } => {
                    imported.insert(name.to_owned());
                }
                Symbol {
                    name,
                    address,
                    is_dynamic: true,
                    ..
                } => {
                    exported.insert(name.to_owned(), address);
                }
                Symbol { name, address, .. } => {
                    hidden.insert(name.to_owned(), address);
                }
            }
        })
        .map_err(|error| error.to_string())?;
        Ok(image)
    }

    fn read_layout(&mut self) -> object::read::Result<()> {
        // A second handle, since the first is inside `self`.
        let Ok(file) = self.file.try_clone() else {
            return Ok(());
        };
        let cache = ReadCache::new(&file);
        match FileKind::parse(&cache)? {
            FileKind::Elf32 => self.layout_of::<FileHeader32<Endianness>>(&cache),
            _ => self.layout_of::<FileHeader64<Endianness>>(&cache),
        }
    }

    fn layout_of<E: FileHeader<Endian = Endianness>>(
        &mut self,
        cache: &ReadCache<&File>,
    ) -> object::read::Result<()> {
        let header = E::parse(cache)?;
        let endian = header.endian()?;
        self.pointer_size = if header.is_type_64() { 8 } else { 4 };
        self.little_endian = endian == Endianness::Little;
        self.machine = match header.e_machine(endian) {
            EM_X86_64 if header.is_type_64() => Some(Machine::X86_64),
            EM_AARCH64 if self.little_endian => Some(Machine::Aarch64),
            _ => None,
        };
        for segment in header.program_headers(endian, cache)? {
            if segment.p_type(endian) == PT_LOAD {
                self.segments.push(Segment {
                    address: segment.p_vaddr(endian).into(),
                    offset: segment.p_offset(endian).into(),
                    size: segment.p_filesz(endian).into(),
                });
            }
        }
        let sections = header.sections(endian, cache)?;
        for section in sections.iter() {
            let name = sections.section_name(endian, section).unwrap_or_default();
            if section.sh_type(endian) == SHT_PROGBITS && name.starts_with(b".rodata") {
                let size = section.sh_size(endian).into();
                self.constants
                    .push((section.sh_offset(endian).into(), size));
            }
        }
        Ok(())
    }

    /// The first mapped area shows a page of a segment: their addresses differ by the bias.
    fn bias_of(&self, mapped: &MappedFile) -> Option<u64> {
        let page = !(procfs::page_size() - 1);
        mapped.areas.iter().find_map(|&(start, _, offset)| {
            let segment = self
                .segments
                .iter()
                .find(|segment| segment.offset & page == offset)?;
            Some(start.wrapping_sub(segment.address & page))
        })
    }

    /// Whether other objects see a symbol of this name here.
    pub fn exports(&self, name: &str) -> bool {
        self.exported.contains_key(name)
    }

    /// Whether it has a symbol of this name, seen by others or not.
    pub fn has(&self, name: &str) -> bool {
        self.address(name).is_some()
    }

    /// Whether it takes a symbol of this name from another object.
    pub fn imports(&self, name: &str) -> bool {
        self.imported.contains(name)
    }

    /// Where a symbol is, as the file counts.
    fn address(&self, name: &str) -> Option<u64> {
        self.exported
            .get(name)
            .or_else(|| self.hidden.get(name))
            .copied()
    }

    /// The names of the wanted symbols that it defines.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.exported
            .keys()
            .chain(self.hidden.keys())
            .map(String::as_str)
    }

    /// The names of all symbols at an address of the process.
    pub fn names_at(&self, address: u64) -> impl Iterator<Item = &str> {
        let at = address.wrapping_sub(self.bias);
        let symbols = self.exported.iter().chain(&self.hidden);
        symbols
            .filter(move |(_, value)| **value == at)
            .map(|(name, _)| &**name)
    }

    /// The integer that the function `name` returns, if it does nothing else.
    pub fn returned_integer(&self, name: &str) -> Option<i32> {
        let code = self.file_bytes(self.address(name)?, constant::LENGTH)?;
        constant::integer(self.machine?, &code)
    }

    /// The text that the function `name` returns, if it does nothing else.
    pub fn returned_text(&self, name: &str) -> Option<String> {
        let address = self.address(name)?;
        let code = self.file_bytes(address, constant::LENGTH)?;
        match constant::pointer(self.machine?, &code, address)? {
            Pointer::Constant(text) => terminated(&self.file_bytes(text, TEXT)?),
            Pointer::LoadedFrom(variable) => {
                // Only the loader knows what it put there.
                let text = self.live_word(self.bias.wrapping_add(variable), 8).ok()?;
                terminated(&self.file_bytes(text.wrapping_sub(self.bias), TEXT)?)
            }
        }
    }

    /// Bytes of the file by their address; fewer at the end of a segment.
    fn file_bytes(&self, address: u64, length: usize) -> Option<Vec<u8>> {
        let segment = self.segments.iter().find(|segment| {
            address >= segment.address && address - segment.address < segment.size
        })?;
        let inside = address - segment.address;
        let length = length.min(usize::try_from(segment.size - inside).ok()?);
        let mut bytes = vec![0; length];
        self.file
            .read_exact_at(&mut bytes, segment.offset + inside)
            .ok()?;
        Some(bytes)
    }

    /// The variable `name` as it is in the process now: an integer of 32 bits. The error is a reason in words.
    pub fn live_integer(&self, name: &str) -> Option<Result<i32, String>> {
        let address = self.bias.wrapping_add(self.address(name)?);
        Some(
            self.live_word(address, 4)
                .map(|word| (word as u32).cast_signed()),
        )
    }

    /// The variable `name` as it is in the process now: a pointer.
    pub fn live_pointer(&self, name: &str) -> Option<Result<u64, String>> {
        let address = self.bias.wrapping_add(self.address(name)?);
        Some(self.live_word(address, self.pointer_size))
    }

    fn live_word(&self, address: u64, size: usize) -> Result<u64, String> {
        let mut bytes = [0; 8];
        let word = bytes.get_mut(..size).unwrap_or_default();
        memory::read(self.pid, address, word).map_err(|error| unreadable(&error))?;
        if self.little_endian {
            Ok(u64::from_le_bytes(bytes))
        } else {
            Ok(u64::from_be_bytes(bytes) >> (64 - 8 * size))
        }
    }

    /// What `pick` finds first in a section of constant data.
    pub fn find_in_constants<T>(&self, mut pick: impl FnMut(&[u8]) -> Option<T>) -> Option<T> {
        self.constants.iter().find_map(|&(offset, size)| {
            let mut bytes = vec![0; usize::try_from(size).ok()?];
            self.file.read_exact_at(&mut bytes, offset).ok()?;
            pick(&bytes)
        })
    }
}

fn terminated(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    String::from_utf8(bytes.get(..end)?.to_vec()).ok()
}

/// Why memory cannot be read, and what helps.
fn unreadable(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM) => "its memory may not be read: run this as root, or where kernel.yama.ptrace_scope is 0 as \
                              the user of the process"
            .to_owned(),
        _ => format!("its memory cannot be read: {error}"),
    }
}
