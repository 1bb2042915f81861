//! What libraries write that are no Rust: their error handlers speak to standard output or error.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

/// What the process writes to standard output and error meanwhile.
pub fn written(f: impl FnOnce()) -> String {
    use std::io::{Read, Seek};
    use std::os::fd::AsRawFd;
    let mut file = tempfile::tempfile().unwrap();
    // SAFETY: descriptors that are open, and back in their places at the end; no other thread writes meanwhile.
    unsafe {
        libc::fflush(std::ptr::null_mut());
        let kept = [1, 2].map(|fd| libc::dup(fd));
        for fd in [1, 2] {
            libc::dup2(file.as_raw_fd(), fd);
        }
        f();
        libc::fflush(std::ptr::null_mut());
        for (kept, fd) in kept.into_iter().zip([1, 2]) {
            libc::dup2(kept, fd);
            libc::close(kept);
        }
    }
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}
