//! A file that several processes have in their memory, as words that change atomically.
//!
//! Invariants: the mapping stays for as long as the value lives; it is as long as the file was when it was mapped, and the
//! file is the caller's to keep at that length (the keeper of a budget never changes it).

#[cfg(loom)]
pub(crate) use model::SharedWords;
#[cfg(not(loom))]
pub(crate) use real::SharedWords;

/// The model's words are not those of a file: what is model-checked has a `Vec` of them.
#[cfg(loom)]
mod model {
    #[derive(Debug)]
    pub(crate) struct SharedWords(Vec<crate::sync::AtomicU32>);

    impl SharedWords {
        pub(crate) fn map(_: &std::fs::File) -> std::io::Result<Self> {
            Err(std::io::ErrorKind::Unsupported.into())
        }
    }

    impl AsRef<[crate::sync::AtomicU32]> for SharedWords {
        fn as_ref(&self) -> &[crate::sync::AtomicU32] {
            &self.0
        }
    }
}

#[cfg(not(loom))]
mod real {
    use std::fs::File;
    use std::io;
    use std::os::fd::AsRawFd as _;
    use std::ptr;
    use std::sync::atomic::AtomicU32;

    /// Words that other processes see.
    #[derive(Debug)]
    pub(crate) struct SharedWords {
        start: *const AtomicU32,
        words: usize,
    }

    // SAFETY: what is reached through it are atomics, which any thread may use.
    unsafe impl Send for SharedWords {}
    // SAFETY: as above.
    unsafe impl Sync for SharedWords {}

    impl SharedWords {
        /// Maps the file, which must be open for reading and writing and not be empty.
        ///
        /// # Errors
        /// What the kernel says; `InvalidInput` for a file without words in it.
        pub(crate) fn map(file: &File) -> io::Result<Self> {
            let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
            let words = length / size_of::<AtomicU32>();
            if words == 0 {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            // SAFETY: a new mapping, where the kernel likes; it refuses what the descriptor does not allow.
            let start = unsafe {
                libc::mmap(
                    ptr::null_mut(),
                    length,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_SHARED,
                    file.as_raw_fd(),
                    0,
                )
            };
            if start == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            Ok(SharedWords {
                start: start.cast(),
                words,
            })
        }
    }

    impl AsRef<[AtomicU32]> for SharedWords {
        fn as_ref(&self) -> &[AtomicU32] {
            // SAFETY: mapped for as long as we live, aligned to a page, `words` long; any bits are a word, and others change
            // them, as atomics allow.
            unsafe { std::slice::from_raw_parts(self.start, self.words) }
        }
    }

    impl Drop for SharedWords {
        fn drop(&mut self) {
            // SAFETY: the range that `map` got; every slice of it was borrowed from us.
            unsafe {
                libc::munmap(
                    self.start.cast_mut().cast(),
                    self.words * size_of::<AtomicU32>(),
                )
            };
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::SharedWords;
    use std::sync::atomic::Ordering;

    #[test]
    fn two_mappings_of_a_file_are_one_memory() {
        let file = tempfile::tempfile().unwrap();
        assert!(SharedWords::map(&file).is_err());
        file.set_len(4096).unwrap();
        let (one, other) = (
            SharedWords::map(&file).unwrap(),
            SharedWords::map(&file).unwrap(),
        );
        one.as_ref()[7].store(5, Ordering::Release);
        assert_eq!(other.as_ref()[7].load(Ordering::Acquire), 5);
        assert_eq!(other.as_ref().len(), 1024);
    }
}
