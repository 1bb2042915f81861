//! Libraries that the loader puts into the command: where the one of `--dispatch` is found, and which programs take none.
//!
//! Invariant: a library that was asked for and is not there is an error before anything is started.

use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

/// What the loader takes libraries from.
const PRELOAD: &str = "LD_PRELOAD";

/// The library that shares BLAS calls between cores, of the package `threadctl-preload`.
const LIBRARY: &str = "libthreadctl_preload.so";

/// Names the library where it is none of the usual places.
const VARIABLE: &str = "THREADCTL_PRELOAD";

/// Where it is looked for, from the folder of this program.
const PLACES: &[&str] = &["", "../lib", "../lib/threadctl"];

/// Has `command` load a library, before those that it loads already.
pub(super) fn add(command: &mut Command, library: &Path) {
    let own = command
        .get_envs()
        .find(|(name, _)| *name == PRELOAD)
        .map(|(_, value)| value.map(OsStr::to_owned));
    let others = own.unwrap_or_else(|| std::env::var_os(PRELOAD));
    let mut all = library.as_os_str().to_owned();
    if let Some(others) = others.filter(|others| !others.is_empty()) {
        all.push(":");
        all.push(others);
    }
    command.env(PRELOAD, all);
}

/// Whether the loader would take this path for one: it splits the variable at these, and nothing can quote them.
pub(super) fn can_be_named(library: &Path) -> bool {
    let splits = |byte: &u8| matches!(byte, b':' | b' ' | b'\t' | b'\n');
    library.is_absolute() && !library.as_os_str().as_bytes().iter().any(splits)
}

/// Where the library of `--dispatch` is.
///
/// # Errors
/// If it is nowhere, or in a folder that cannot be named to the loader.
pub(super) fn library() -> Result<PathBuf> {
    let named = std::env::var_os(VARIABLE).filter(|path| !path.is_empty());
    let program = std::env::current_exe().unwrap_or_default();
    let folder = program.parent().unwrap_or(Path::new("/"));
    let found = find(named.as_deref(), folder)?;
    if !can_be_named(&found) {
        bail!(
            "--dispatch: {} cannot be preloaded, since the loader splits such names; put it into a folder without spaces and colons, and name it by {VARIABLE}",
            found.display()
        );
    }
    Ok(found)
}

fn find(named: Option<&OsStr>, folder: &Path) -> Result<PathBuf> {
    if let Some(named) = named {
        let path = Path::new(named);
        return match path.canonicalize() {
            Ok(path) if path.is_file() => Ok(path),
            _ => bail!(
                "--dispatch: {VARIABLE} names {}, which is no file: give the path of {LIBRARY}",
                path.display()
            ),
        };
    }
    let places = PLACES.iter().map(|place| folder.join(place).join(LIBRARY));
    let existing = places
        .clone()
        .find_map(|place| place.canonicalize().ok().filter(|path| path.is_file()));
    match existing {
        Some(found) => Ok(found),
        None => {
            let places: Vec<String> = places.map(|place| place.display().to_string()).collect();
            bail!(
                "--dispatch needs {LIBRARY}, which is none of {}: build it (cargo build --release -p threadctl-preload) and put it there, or name it by {VARIABLE}",
                places.join(", ")
            )
        }
    }
}

/// Why a program takes no library, if so.
pub(super) fn refuses(program: &OsStr) -> Option<String> {
    let path = resolved(program)?;
    let shown = path.display();
    let metadata = path.metadata().ok()?;
    let mine = (
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    );
    let other_user = metadata.mode() & 0o4000 != 0 && metadata.uid() != mine.0;
    let other_group = metadata.mode() & 0o2000 != 0 && metadata.gid() != mine.1;
    if other_user || other_group {
        return Some(format!(
            "{shown} is set-uid or set-gid: the loader preloads nothing into such programs"
        ));
    }
    let mut start = Vec::new();
    let file = std::fs::File::open(&path).ok()?;
    file.take(64 * 1024).read_to_end(&mut start).ok()?;
    if let Some(line) = start.strip_prefix(b"#!") {
        // A script is what its interpreter is; one that is a script again is not followed.
        let line = line.split(|byte| *byte == b'\n').next()?;
        let words = line.split(|byte| byte.is_ascii_whitespace());
        let interpreter = words.into_iter().find(|word| !word.is_empty())?;
        let path = Path::new(OsStr::from_bytes(interpreter));
        return is_static(&std::fs::read(path).ok()?)
            .then(|| statically(&path.display().to_string()));
    }
    is_static(&start).then(|| statically(&shown.to_string()))
}

fn statically(program: &str) -> String {
    format!("{program} is statically linked: no loader runs in it that could preload anything")
}

/// The file that a shell would start.
fn resolved(program: &OsStr) -> Option<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return Some(PathBuf::from(program));
    }
    let path: OsString = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| {
            file.metadata()
                .is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o111 != 0)
        })
}

/// Whether a program asks for no loader, by the beginning of its file.
fn is_static(file: &[u8]) -> bool {
    use object::read::elf::{FileHeader as _, ProgramHeader as _};
    let Ok(header) = object::elf::FileHeader64::<object::Endianness>::parse(file) else {
        return false;
    };
    let headers = header
        .endian()
        .and_then(|endian| Ok((endian, header.program_headers(endian, file)?)));
    headers.is_ok_and(|(endian, headers)| {
        headers
            .iter()
            .all(|header| header.p_type(endian) != object::elf::PT_INTERP)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_beside_the_program_or_in_the_folder_of_libraries_or_named() {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        std::fs::create_dir_all(folder.path().join("lib")).unwrap();
        std::fs::create_dir(&bin).unwrap();
        let error = find(None, &bin).unwrap_err().to_string();
        for words in [LIBRARY, VARIABLE, "../lib/", "-p threadctl-preload"] {
            assert!(error.contains(words), "{error}");
        }
        for place in ["lib", "bin"] {
            let library = folder.path().join(place).join(LIBRARY);
            std::fs::write(&library, "").unwrap();
            assert_eq!(find(None, &bin).unwrap(), library.canonicalize().unwrap());
        }
        let error = find(Some(OsStr::new("/no/such.so")), &bin)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("/no/such.so") && error.contains(VARIABLE),
            "{error}"
        );
    }

    #[test]
    fn what_stands_there_already_stays_behind() {
        let mut command = Command::new("x");
        command.env(PRELOAD, "/a.so");
        add(&mut command, Path::new("/b.so"));
        add(&mut command, Path::new("/c.so"));
        let value = command
            .get_envs()
            .find(|(name, _)| *name == PRELOAD)
            .unwrap()
            .1;
        assert_eq!(value, Some(OsStr::new("/c.so:/b.so:/a.so")));
    }

    #[test]
    fn names_that_the_loader_would_split_are_not_given_to_it() {
        assert!(can_be_named(Path::new("/a/b.so")));
        for wrong in ["b.so", "/a b/c.so", "/a:b/c.so"] {
            assert!(!can_be_named(Path::new(wrong)), "{wrong}");
        }
    }

    #[test]
    fn a_shell_takes_libraries() {
        assert_eq!(refuses(OsStr::new("sh")), None);
        assert_eq!(refuses(OsStr::new("no-such-command-here")), None);
        assert!(!is_static(b"\x7fELF") && !is_static(b""));
    }
}
