//! Opens the libraries of `--load`. All unsafe code of `info` is in this file.
//!
//! Invariant: what was opened stays open until the process ends, since its threads may be inside its code at any time.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Result, anyhow};
use libloading::os::unix::{Library, RTLD_LAZY, RTLD_LOCAL};

use crate::cmd::special;

/// Machines by their number in an ELF header, as Rust names them.
const MACHINES: &[(u16, &str)] = &[
    (3, "x86"),
    (21, "powerpc64"),
    (22, "s390x"),
    (40, "arm"),
    (62, "x86_64"),
    (183, "aarch64"),
    (243, "riscv64"),
    (258, "loongarch64"),
];

/// Opens `library`, as a program that links it would.
pub(crate) fn open(library: &Path) -> Result<()> {
    // The loader itself would wait for ever inside its open().
    if is_path(library)
        && let Some(what) = special::of(library)
    {
        return Err(anyhow!(
            "--load {}: this is {what}; name a shared object such as libopenblas.so.0",
            library.display()
        ));
    }
    // SAFETY: the initialisers of the library run; that is what the user asked for by naming it, and that they are
    // sound is the trust that lies in it. They may read and write the environment: this program has one thread, which
    // is here and not at its environment. The only other threads are those of libraries opened before; they belong to
    // code of the same trust, none calls into this program, and the loader allows them beside it.
    let opened = unsafe { Library::open(Some(library), RTLD_LAZY | RTLD_LOCAL) };
    match opened {
        Ok(library) => {
            std::mem::forget(library);
            Ok(())
        }
        Err(error) => Err(anyhow!("{}", refusal(library, &loader_text(&error)))),
    }
}

/// Whether it is a path for the loader too, and not a name to look up.
fn is_path(library: &Path) -> bool {
    library.as_os_str().as_encoded_bytes().contains(&b'/')
}

/// The loader's own words, which libloading keeps as the source.
fn loader_text(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// Why it could not be opened, and what to do.
fn refusal(library: &Path, loader: &str) -> String {
    let name = library.display();
    let remedy = match (is_path(library), Kind::of(library)) {
        (false, Kind::Missing) => {
            "the loader found no library of this name; give a path (with a slash), or add its folder to \
             LD_LIBRARY_PATH"
                .to_owned()
        }
        (false, _) => format!(
            "a name without a slash is looked up by the loader only; for the file in this folder write ./{name}"
        ),
        (true, Kind::Missing) => "there is no such file; check the path".to_owned(),
        (true, Kind::Unreadable(why)) => format!("the file cannot be read ({why})"),
        (true, Kind::Special(what)) => format!("this is {what}"),
        (true, Kind::Directory) => {
            "this is a directory; name a shared object (lib*.so) in it".to_owned()
        }
        (true, Kind::NotElf) => {
            "this is no shared object (not an ELF file); name a file such as libopenblas.so.0".to_owned()
        }
        (true, Kind::Foreign(machine)) => format!(
            "this is a shared object for {machine}, and this program is for {}; name a library of that machine",
            std::env::consts::ARCH
        ),
        // glibc's words for a program, which is an ELF file just like a library.
        (true, Kind::Native) if loader.contains("executable") => {
            "this is a program, not a shared object; name a library such as libopenblas.so.0".to_owned()
        }
        (true, Kind::Native) => {
            "a library that it needs may be missing; its folder can be added to LD_LIBRARY_PATH".to_owned()
        }
    };
    format!("--load {name}: {remedy} (the loader says: {loader})")
}

/// What a file is, as far as loading goes.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Missing,
    Unreadable(String),
    Special(&'static str),
    Directory,
    NotElf,
    Foreign(String),
    Native,
}

impl Kind {
    fn of(path: &Path) -> Kind {
        if let Some(what) = special::of(path) {
            return Kind::Special(what);
        }
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Kind::Missing,
            Err(error) => return Kind::Unreadable(error.to_string()),
        };
        if path.is_dir() {
            return Kind::Directory;
        }
        let mut header = [0; 20];
        match file.read_exact(&mut header) {
            Ok(()) => Kind::of_header(&header),
            Err(_) => Kind::NotElf,
        }
    }

    fn of_header(header: &[u8; 20]) -> Kind {
        let [0x7f, b'E', b'L', b'F', class, order, ..] = *header else {
            return Kind::NotElf;
        };
        let (_, number) = header.split_at(18);
        let number = match (number, order) {
            ([low, high], 1) => u16::from_le_bytes([*low, *high]),
            ([high, low], 2) => u16::from_be_bytes([*high, *low]),
            _ => return Kind::NotElf,
        };
        let bits = if class == 2 { 64 } else { 32 };
        let machine = MACHINES.iter().find(|(known, _)| *known == number);
        match machine {
            Some((_, name)) if *name == std::env::consts::ARCH && bits == usize::BITS => {
                Kind::Native
            }
            Some((_, name)) => Kind::Foreign(format!("{name} ({bits} bits)")),
            None => Kind::Foreign(format!("ELF machine {number} ({bits} bits)")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    fn header(class: u8, order: u8, machine: [u8; 2]) -> [u8; 20] {
        let mut header = [0; 20];
        header[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, order]);
        header[18..].copy_from_slice(&machine);
        header
    }

    #[test]
    fn foreign_machines_are_named_in_either_byte_order() {
        let s390x = Kind::Foreign("s390x (64 bits)".to_owned());
        assert_eq!(Kind::of_header(&header(2, 2, [0, 22])), s390x);
        let unknown = Kind::Foreign("ELF machine 4660 (32 bits)".to_owned());
        assert_eq!(Kind::of_header(&header(1, 1, [0x34, 0x12])), unknown);
    }

    #[test]
    fn what_has_no_elf_magic_is_no_elf() {
        assert_eq!(Kind::of_header(b"!<arch>\nlibx.a/     "), Kind::NotElf);
        assert_eq!(Kind::of_header(&header(2, 7, [62, 0])), Kind::NotElf);
    }
}
