//! A file in memory as it lies on the disk, read where it is looked at and not before.
//!
//! Invariants: the mapping stays for as long as the value lives, and is never written; the file is that of the program that runs, which the
//! kernel lets nobody write to or shorten meanwhile (`ETXTBSY`). Where a file system cannot see to that, as with clients of NFS, a file that is
//! cut short while a program starts from it ends the program, whose code may be gone too.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::ptr::{self, NonNull};

/// The bytes of the file.
#[derive(Debug)]
pub(crate) struct Mapped {
    start: NonNull<u8>,
    length: usize,
}

impl Mapped {
    /// The file of the main program.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn main_program() -> io::Result<Self> {
        // The very file that is mapped, whatever has become of its name.
        let file = File::open("/proc/self/exe")?;
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        // SAFETY: a new mapping, where the kernel likes.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length,
                libc::PROT_READ,
                libc::MAP_PRIVATE,
                file.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Mapped { start, length })
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: mapped for as long as we live, `length` bytes, and the kernel keeps others from writing to a program that runs.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: our own mapping, borrowed by nobody any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

#[cfg(test)]
mod tests {
    use super::Mapped;

    #[test]
    fn the_main_program_is_an_elf_file() {
        let program = Mapped::main_program();
        assert!(program.is_ok_and(|it| it.as_ref().starts_with(b"\x7fELF")));
    }
}
