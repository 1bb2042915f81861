//! Whether a file can be a library of this program, where the dynamic loader says something misleading, crashes, or waits for
//! ever: for another kind of CPU it says that there is no such file, a file whose end is missing it maps all the same and
//! then dies of, and a FIFO it opens.
//!
//! Invariant: nothing that this passes over is taken for good; the loader has the last word.

use super::elf::Limited;
use object::elf::{
    EM_386, EM_AARCH64, EM_ARM, EM_LOONGARCH, EM_PPC64, EM_RISCV, EM_S390, EM_X86_64, FileHeader32,
    FileHeader64, PT_LOAD,
};
use object::read::elf::{FileHeader, ProgramHeader as _};
use object::{Endianness, FileKind, ReadCache, ReadRef as _};
use std::fs::File;
use std::path::Path;

/// Kinds of CPUs by their number in the file.
const MACHINES: &[(object::elf::Machine, &str)] = &[
    (EM_X86_64, "x86-64"),
    (EM_AARCH64, "aarch64"),
    (EM_386, "32-bit x86"),
    (EM_ARM, "32-bit ARM"),
    (EM_PPC64, "ppc64"),
    (EM_RISCV, "RISC-V"),
    (EM_S390, "s390"),
    (EM_LOONGARCH, "LoongArch"),
];

#[cfg(target_arch = "x86_64")]
const OURS: object::elf::Machine = EM_X86_64;
#[cfg(target_arch = "aarch64")]
const OURS: object::elf::Machine = EM_AARCH64;

/// Why a file cannot be a library of this program; `None` where nothing is known against it.
pub(crate) fn unfit(path: &Path) -> Option<String> {
    let metadata = path.metadata().ok()?;
    if !metadata.is_file() {
        return Some("it is no regular file".to_owned());
    }
    let file = File::open(path).ok()?;
    let cache = ReadCache::new(&file);
    match FileKind::parse(&cache).ok()? {
        FileKind::Elf32 => of::<FileHeader32<Endianness>>(Limited(&cache)),
        FileKind::Elf64 => of::<FileHeader64<Endianness>>(Limited(&cache)),
        _ => None,
    }
}

fn of<E: FileHeader<Endian = Endianness>>(file: Limited<'_>) -> Option<String> {
    let header = E::parse(file).ok()?;
    let endian = header.endian().ok()?;
    let machine = header.e_machine(endian);
    if machine != OURS {
        let name = |wanted| MACHINES.iter().find(|(known, _)| *known == wanted);
        let name = |wanted| name(wanted).map_or("CPUs that are not known here", |(_, name)| name);
        return Some(format!(
            "it was built for {}, this program for {}",
            name(machine),
            name(OURS)
        ));
    }
    if !header.is_class_64() {
        return Some("it was built for 32-bit programs, this one has 64 bits".to_owned());
    }
    let length = file.len().ok()?;
    let end = |segment: &E::ProgramHeader| {
        let (start, size) = (segment.p_offset(endian).into(), segment.p_filesz(endian));
        start.checked_add(size.into())
    };
    let segments = header.program_headers(endian, file).ok()?;
    let loaded = segments.iter().filter(|it| it.p_type(endian) == PT_LOAD);
    let missing = |segment| end(segment).is_none_or(|end| end > length);
    loaded
        .into_iter()
        .any(missing)
        .then(|| format!("its end is missing: the file has {length} bytes, fewer than it says"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_fits_and_what_is_no_program_is_the_loaders_business() {
        assert_eq!(unfit(Path::new("/proc/self/exe")), None);
        assert_eq!(unfit(Path::new("Cargo.toml")), None);
        assert_eq!(unfit(Path::new("/no/such/file")), None);
        assert_eq!(
            unfit(Path::new("/")).as_deref(),
            Some("it is no regular file")
        );
    }
}
