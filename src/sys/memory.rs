//! Reads the memory of a process, without stopping it and without its noticing; of this one too, where an address may
//! turn out to be wrong.
//!
//! Invariant: only `process_vm_readv` is used, which cannot write there.

use std::io;

/// Fills `into` from `address` of the process `pid`.
///
/// The bytes are those of one moment for an aligned word; longer ranges may change while they are read.
///
/// # Errors
/// What the kernel says: EPERM (another user's process, or a restricted ptrace), ESRCH (it has ended), EFAULT (nothing
/// is mapped there).
pub(crate) fn read(pid: u32, address: u64, into: &mut [u8]) -> io::Result<()> {
    let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
    let address = usize::try_from(address).map_err(io::Error::other)?;
    let local = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    };
    let remote = libc::iovec {
        iov_base: address as *mut libc::c_void,
        iov_len: into.len(),
    };
    // SAFETY: `local` describes `into`, which is borrowed exclusively for the call and gets any bytes at all; `remote`
    // is never followed in this process, the kernel checks it against the other one. One vector each.
    let read = unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
    match usize::try_from(read) {
        Err(_) => Err(io::Error::last_os_error()),
        Ok(count) if count == into.len() => Ok(()),
        Ok(_) => Err(io::Error::from_raw_os_error(libc::EFAULT)),
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn what_this_process_holds_is_read_back() {
        let value = 0x1234_5678_u32;
        let mut bytes = [0; 4];
        read(std::process::id(), &raw const value as u64, &mut bytes).unwrap();
        assert_eq!(u32::from_ne_bytes(bytes), value);
    }

    #[test]
    fn an_unmapped_address_and_a_missing_process_are_errors() {
        let mut bytes = [0; 4];
        let error = read(std::process::id(), 8, &mut bytes).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EFAULT));
        let error = read(i32::MAX as u32, 8, &mut bytes).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
        assert!(read(u32::MAX, 8, &mut bytes).is_err());
    }
}
