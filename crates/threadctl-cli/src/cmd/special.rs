//! What a file is that must not simply be opened: a FIFO blocks until somebody writes, a device may never end.

use std::fs::Metadata;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// What `path` is, links followed, if it is neither a file, nor a directory, nor absent: opening those comes back at
/// once, with or without an error of its own.
pub(crate) fn of(path: &Path) -> Option<&'static str> {
    path.metadata().ok().and_then(|found| kind(&found))
}

fn kind(found: &Metadata) -> Option<&'static str> {
    let kind = found.file_type();
    if kind.is_fifo() {
        Some("a FIFO (named pipe)")
    } else if kind.is_socket() {
        Some("a socket")
    } else if kind.is_char_device() || kind.is_block_device() {
        Some("a device")
    } else {
        None
    }
}

/// Whether `path` names something that this process has already open: standard input, or the `/dev/fd/63` that a shell
/// makes of `<(command)`. Whoever gave it a pipe there wants it read.
pub(crate) fn is_open_already(path: &Path) -> bool {
    path == Path::new("/dev/stdin")
        || path.starts_with("/dev/fd")
        || path.starts_with("/proc/self/fd")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_folders_and_nothing_are_not_special() {
        for path in ["Cargo.toml", "src", "no such file"] {
            assert_eq!(of(Path::new(path)), None, "{path}");
        }
        assert_eq!(of(Path::new("/dev/zero")), Some("a device"));
    }

    #[test]
    fn only_descriptors_of_this_process_are_open_already() {
        for path in ["/dev/stdin", "/dev/fd/63", "/proc/self/fd/0"] {
            assert!(is_open_already(Path::new(path)), "{path}");
        }
        for path in ["/dev/stdinx", "/dev/fdx/1", "stdin", "/proc/1/fd/0"] {
            assert!(!is_open_already(Path::new(path)), "{path}");
        }
    }
}
