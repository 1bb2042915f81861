//! One ELF file that another process has mapped: its symbols, its constant data, and where they are in that process.

use super::constant::{self, Machine, Pointer};
use super::target::{Area, MappedFile};
use crate::sys::elf::{self, Kind, Limited, Symbol};
use crate::sys::memory;
use object::elf::{EM_AARCH64, EM_X86_64, FileHeader32, FileHeader64, PF_X, PT_LOAD, SHT_PROGBITS};
use object::read::elf::{FileHeader, ProgramHeader as _, SectionHeader as _};
use object::{Endianness, FileKind, ReadCache};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// The longest text that is read.
const TEXT: usize = 256;

/// As many bytes of constant data as are ever searched; libraries have a few million of them.
const CONSTANTS: u64 = 64 << 20;

const NOT_AS_LOADED: &str =
    "the file is not mapped as a loader does it, so that its variables cannot be found in memory";

/// A mapped file.
#[derive(Debug)]
pub(super) struct Image {
    file: File,
    /// Whose memory is read.
    pid: u32,
    /// What has to be added to the addresses in the file, if it is loaded.
    bias: Option<u64>,
    machine: Option<Machine>,
    pointer_size: usize,
    little_endian: bool,
    segments: Vec<Segment>,
    /// Those of them that are in memory.
    mapped: Vec<Segment>,
    /// Where constant data lies in the file: offset and size.
    constants: Vec<(u64, u64)>,
    /// Symbols that other objects see, of the wanted ones.
    exported: HashMap<String, Place>,
    /// All others that were not stripped.
    hidden: HashMap<String, Place>,
    /// Wanted symbols that it takes from others.
    imported: HashSet<String>,
}

/// What a symbol stands for.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// As the file counts.
    address: u64,
    kind: Kind,
}

/// A part of the file that is mapped as a whole.
#[derive(Debug, Clone, Copy)]
struct Segment {
    address: u64,
    offset: u64,
    /// In the file.
    size: u64,
    /// In memory, with the zeros that follow what is in the file.
    memory_size: u64,
    is_executable: bool,
}

impl Segment {
    /// Whether an area shows its first page as a loader maps it.
    fn is_at(&self, bias: u64, area: &Area) -> bool {
        let page = page_mask();
        let first = bias.wrapping_add(self.address) & page;
        first >= area.start
            && first < area.end
            && area.offset.checked_add(first - area.start) == Some(self.offset & page)
            && (area.is_executable || !self.is_executable)
    }

    fn is_mapped(&self, bias: u64, areas: &[Area]) -> bool {
        areas.iter().any(|area| self.is_at(bias, area))
    }
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
            bias: None,
            machine: None,
            pointer_size: 8,
            little_endian: true,
            segments: Vec::new(),
            mapped: Vec::new(),
            constants: Vec::new(),
            exported: HashMap::new(),
            hidden: HashMap::new(),
            imported: HashSet::new(),
        };
        image.read_layout().map_err(|error| error.to_string())?;
        image.bias = bias_of(&image.segments, &mapped.areas);
        if let Some(bias) = image.bias {
            // What is not where it would have to be is not looked for in memory.
            let is_mapped = |segment: &Segment| segment.is_mapped(bias, &mapped.areas);
            image.mapped = image.segments.iter().copied().filter(is_mapped).collect();
        }
        let Image {
            file,
            exported,
            hidden,
            imported,
            ..
        } = &mut image;
        elf::visit_symbols(file, |_, _| true, &mut |symbol: Symbol<'_>| {
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
                    kind,
                    is_dynamic,
                    ..
                } => {
                    let known = if is_dynamic {
                        &mut *exported
                    } else {
                        &mut *hidden
                    };
                    known.insert(name.to_owned(), Place { address, kind });
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
            FileKind::Elf32 => self.layout_of::<FileHeader32<Endianness>>(Limited(&cache)),
            _ => self.layout_of::<FileHeader64<Endianness>>(Limited(&cache)),
        }
    }

    fn layout_of<E: FileHeader<Endian = Endianness>>(
        &mut self,
        cache: Limited<'_>,
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
                    memory_size: segment.p_memsz(endian).into(),
                    is_executable: segment.p_flags(endian) & PF_X == PF_X,
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

    /// Whether other objects see a symbol of this name here.
    pub fn exports(&self, name: &str) -> bool {
        self.exported.contains_key(name)
    }

    /// Whether it has a symbol of this name, seen by others or not.
    pub fn has(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    /// Whether it takes a symbol of this name from another object.
    pub fn imports(&self, name: &str) -> bool {
        self.imported.contains(name)
    }

    fn place(&self, name: &str) -> Option<Place> {
        self.exported
            .get(name)
            .or_else(|| self.hidden.get(name))
            .copied()
    }

    /// The first bytes of a function, and where they are as the file counts. What only chooses a function (IFUNC)
    /// returns another's address, not a fact.
    fn code(&self, name: &str) -> Option<(Vec<u8>, u64)> {
        let Place { address, kind } = self.place(name)?;
        let code = self.file_bytes(address, constant::LENGTH)?;
        (kind == Kind::Function).then_some((code, address))
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
        let at = self.bias.map(|bias| address.wrapping_sub(bias));
        let symbols = self.exported.iter().chain(&self.hidden);
        symbols
            .filter(move |(_, place)| Some(place.address) == at)
            .map(|(name, _)| &**name)
    }

    /// The integer that the function `name` returns, if it does nothing else.
    pub fn returned_integer(&self, name: &str) -> Option<i32> {
        constant::integer(self.machine?, &self.code(name)?.0)
    }

    /// The text that the function `name` returns, if it does nothing else.
    pub fn returned_text(&self, name: &str) -> Option<String> {
        let (code, address) = self.code(name)?;
        match constant::pointer(self.machine?, &code, address)? {
            Pointer::Constant(text) => terminated(&self.file_bytes(text, TEXT)?),
            Pointer::LoadedFrom(variable) => {
                // Only the loader knows what it put there.
                let text = self.live_word(variable, 8).ok()?;
                terminated(&self.file_bytes(text.wrapping_sub(self.bias?), TEXT)?)
            }
        }
    }

    /// Bytes of the file by their address; fewer at the end of a segment.
    fn file_bytes(&self, address: u64, length: usize) -> Option<Vec<u8>> {
        let segment = self.segments.iter().find(|segment| {
            address >= segment.address && address - segment.address < segment.size
        })?;
        let inside = address - segment.address;
        // Before any conversion: `usize` may be smaller.
        let length = segment.size.saturating_sub(inside).min(length as u64);
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        let offset = segment.offset.checked_add(inside)?;
        self.file.read_exact_at(&mut bytes, offset).ok()?;
        Some(bytes)
    }

    /// The variable `name` as it is in the process now: an integer of 32 bits. The error is a reason in words.
    pub fn live_integer(&self, name: &str) -> Option<Result<i32, String>> {
        let address = self.place(name)?.address;
        Some(
            self.live_word(address, 4)
                .map(|word| (word as u32).cast_signed()),
        )
    }

    /// The variable `name` as it is in the process now: a pointer.
    pub fn live_pointer(&self, name: &str) -> Option<Result<u64, String>> {
        let address = self.place(name)?.address;
        Some(self.live_word(address, self.pointer_size))
    }

    /// What stands in memory at an address of the file.
    fn live_word(&self, address: u64, size: usize) -> Result<u64, String> {
        let bias = self.bias.ok_or(NOT_AS_LOADED)?;
        let holds = |segment: &Segment| {
            address
                .checked_sub(segment.address)
                .is_some_and(|inside| inside < segment.memory_size)
        };
        if !self.mapped.iter().any(holds) {
            return Err(NOT_AS_LOADED.to_owned());
        }
        let mut bytes = [0; 8];
        let word = bytes.get_mut(..size).unwrap_or_default();
        memory::read(self.pid, bias.wrapping_add(address), word)
            .map_err(|error| unreadable(&error))?;
        if self.little_endian {
            Ok(u64::from_le_bytes(bytes))
        } else {
            Ok(u64::from_be_bytes(bytes) >> (64 - 8 * size))
        }
    }

    /// What `pick` finds first in a section of constant data.
    pub fn find_in_constants<T>(&self, mut pick: impl FnMut(&[u8]) -> Option<T>) -> Option<T> {
        let length = self.file.metadata().ok()?.len();
        let mut left = CONSTANTS;
        self.constants.iter().find_map(|&(offset, size)| {
            // Nothing is allocated for what the file only claims to have.
            let size = size.min(length.saturating_sub(offset)).min(left);
            left -= size;
            let mut bytes = vec![0; usize::try_from(size).ok()?];
            self.file.read_exact_at(&mut bytes, offset).ok()?;
            pick(&bytes)
        })
    }
}

fn page_mask() -> u64 {
    !(procfs::page_size() - 1)
}

/// What has to be added to the addresses in a file that is loaded in these areas.
///
/// The file may also be mapped to be read, as a whole or in part, so any area may show any segment. The code decides:
/// it must be where it can run. Of several such places, that counts where the most segments are.
fn bias_of(segments: &[Segment], areas: &[Area]) -> Option<u64> {
    // Hostile files have thousands of either; the code of libraries has one segment.
    const MOST: usize = 256;
    let page = page_mask();
    let in_file = |segment: &&Segment| segment.size > 0;
    let segments: Vec<&Segment> = segments.iter().filter(in_file).take(MOST).collect();
    let areas = areas.get(..MOST).unwrap_or(areas);
    let mut best = None;
    for code in segments.iter().filter(|segment| segment.is_executable) {
        for area in areas.iter().filter(|area| area.is_executable) {
            let Some(inside) = (code.offset & page).checked_sub(area.offset) else {
                continue;
            };
            let first = area.start.wrapping_add(inside);
            let bias = first.wrapping_sub(code.address & page);
            if !code.is_at(bias, area) {
                continue;
            }
            let fitting = segments.iter().filter(|own| own.is_mapped(bias, areas));
            let fitting = fitting.count();
            if best.is_none_or(|(most, _)| fitting > most) {
                best = Some((fitting, bias));
            }
        }
    }
    best.map(|(_, bias)| bias)
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

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = 0x1_0000;

    /// Headers, code, and variables one page further in memory than in the file.
    fn segments() -> Vec<Segment> {
        let segment = |address, offset, is_executable| Segment {
            address,
            offset,
            size: PAGE,
            memory_size: PAGE,
            is_executable,
        };
        vec![
            segment(0, 0, false),
            segment(PAGE, PAGE, true),
            segment(3 * PAGE, 2 * PAGE, false),
        ]
    }

    fn area(start: u64, pages: u64, offset: u64, is_executable: bool) -> Area {
        Area {
            start,
            end: start + pages * PAGE,
            offset,
            is_executable,
        }
    }

    fn loaded(at: u64) -> Vec<Area> {
        vec![
            area(at, 1, 0, false),
            area(at + PAGE, 1, PAGE, true),
            area(at + 3 * PAGE, 1, 2 * PAGE, false),
        ]
    }

    #[test]
    fn a_file_is_where_its_code_can_run() {
        let at = 0x10 * PAGE;
        assert_eq!(bias_of(&segments(), &loaded(at)), Some(at));
        // Read as a whole, at a lower address and at a higher one.
        let read = |start| area(start, 3, 0, false);
        for other in [read(PAGE), read(0x100 * PAGE)] {
            let both = [loaded(at), vec![other]].concat();
            assert_eq!(bias_of(&segments(), &both), Some(at));
            assert_eq!(bias_of(&segments(), &[other]), None);
        }
        // Mapped as a whole to be run: the code fits there, but not the variables.
        let whole = area(PAGE, 3, 0, true);
        let both = [vec![whole], loaded(at)].concat();
        assert_eq!(bias_of(&segments(), &both), Some(at));
        assert_eq!(bias_of(&segments(), &[whole]), Some(PAGE));
        assert!(!segments()[2].is_mapped(PAGE, &[whole]));
    }

    #[test]
    fn addresses_at_the_end_of_all_are_no_overflow() {
        let mut odd = segments();
        for segment in &mut odd {
            (segment.address, segment.offset) = (u64::MAX, u64::MAX);
            (segment.size, segment.memory_size) = (u64::MAX, u64::MAX);
        }
        assert_eq!(bias_of(&odd, &loaded(PAGE)), None);
    }

    #[test]
    fn sizes_that_a_file_only_claims_are_not_allocated() {
        let file = File::open("/proc/self/exe").unwrap();
        let pid = std::process::id();
        let nowhere = MappedFile::at(Vec::new());
        let mut image = Image::read(file, pid, &nowhere, |name| name == "main").unwrap();
        assert_eq!(
            image.live_integer("main"),
            Some(Err(NOT_AS_LOADED.to_owned()))
        );
        let length = image.file.metadata().unwrap().len();
        image.constants = vec![(u64::MAX, u64::MAX), (length, 1), (length - 1, u64::MAX)];
        let mut sizes = Vec::new();
        let none = image.find_in_constants(|bytes| {
            sizes.push(bytes.len());
            None::<()>
        });
        assert_eq!((none, sizes), (None, vec![0, 0, 1]));
    }

    #[test]
    fn what_chooses_a_function_is_not_decoded_as_one() {
        let file = File::open("/proc/self/exe").unwrap();
        let nowhere = MappedFile::at(Vec::new());
        let mut image = Image::read(file, 0, &nowhere, |name| name == "main").unwrap();
        assert!(image.code("main").is_some());
        for place in image.exported.values_mut().chain(image.hidden.values_mut()) {
            place.kind = Kind::Other;
        }
        assert!(image.has("main") && image.code("main").is_none());
    }
}
