//! Whether the program runs with more rights than whoever started it.

/// Whether the kernel marked the start of this program as one that raised its rights: set-uid, set-gid, or
/// capabilities of its file. Its environment comes from somebody with fewer rights then.
pub(crate) fn is_raised() -> bool {
    // SAFETY: getauxval reads a table that the kernel made before the program began; it takes any key and returns 0
    // for one that is not there.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}
