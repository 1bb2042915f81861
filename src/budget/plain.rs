//! A client of make's jobserver: a pipe with a byte for each core that nobody has.
//!
//! Why not the crate `jobserver`: it joins what `MAKEFLAGS` names and nothing else, and takes any pipe that it finds there. The
//! tests have it as the other client.
//!
//! Invariants:
//! - nothing here waits, but the process's end for reads that are going on, a moment: the descriptors are our own openings of the pipe and do not block; those that were inherited, which
//!   make and its other children use too, are not touched;
//! - a byte that was read is written back once, by whoever gives its token back or by the handler at the process's end, and
//!   the same byte;
//! - a pipe is believed to be a jobserver's only if a process that we come from has it open.

use super::auth::Auth;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Processes that are looked through for the pipe, upwards: more than any chain of makes and shells has.
const GENERATIONS: usize = 64;

/// How long the process's end waits for threads that are just reading a token.
const LAST_READS: Duration = Duration::from_millis(10);

/// A jobserver that this process has joined.
#[derive(Debug)]
pub(super) struct Plain {
    read: File,
    write: File,
    /// How many tokens of each byte this process has.
    held: [AtomicU32; 256],
    /// How many threads are between the beginning of a read and the count of what it brought.
    reading: AtomicU32,
    /// The process ends: what is still taken goes back at once.
    ending: AtomicBool,
}

impl Plain {
    /// Opens it.
    ///
    /// # Errors
    /// Why it cannot be one.
    pub(super) fn open(auth: &Auth) -> Result<Self, String> {
        let (read, write) = match auth {
            Auth::Pipe { read, write } => pipe(*read, *write)?,
            Auth::Fifo(path) => fifo(path)?,
            Auth::Shared(_) => return Err("it is not a jobserver".to_owned()),
        };
        Ok(Plain {
            read,
            write,
            held: [const { AtomicU32::new(0) }; 256],
            reading: AtomicU32::new(0),
            ending: AtomicBool::new(false),
        })
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&self) -> Option<u8> {
        // SeqCst, with the handler's: it waits for us, or we see that it runs.
        self.reading.fetch_add(1, Ordering::SeqCst);
        let byte = if self.ending.load(Ordering::SeqCst) {
            None
        } else {
            self.read_one()
        };
        if let Some(byte) = byte {
            self.held[usize::from(byte)].fetch_add(1, Ordering::SeqCst);
        }
        self.reading.fetch_sub(1, Ordering::SeqCst);
        // Where it has not waited long enough.
        if let Some(byte) = byte
            && self.ending.load(Ordering::SeqCst)
        {
            self.give(byte);
            return None;
        }
        byte
    }

    fn read_one(&self) -> Option<u8> {
        let mut byte = [0];
        loop {
            match (&self.read).read(&mut byte) {
                Ok(1) => return Some(byte[0]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Empty; or its other end has gone, and with it all tokens.
                Ok(_) | Err(_) => return None,
            }
        }
    }

    /// Gives a token back, unless the end of the process has done so.
    pub(super) fn give(&self, byte: u8) {
        let held = &self.held[usize::from(byte)];
        let ours = held.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |held| {
            held.checked_sub(1)
        });
        if ours.is_ok() {
            self.write_back(byte);
        }
    }

    /// How many tokens there are to take; a hint.
    pub(super) fn left(&self) -> usize {
        rustix::io::ioctl_fionread(&self.read)
            .ok()
            .and_then(|left| usize::try_from(left).ok())
            .unwrap_or(0)
    }

    /// The process ends: everything goes back.
    pub(super) fn end(&self) {
        self.ending.store(true, Ordering::SeqCst);
        // Reads do not block, so this is short; but the thread that ends the process may itself be in the middle of one.
        let since = Instant::now();
        while self.reading.load(Ordering::SeqCst) > 0 && since.elapsed() < LAST_READS {
            std::thread::yield_now();
        }
        for (byte, held) in (0_u8..=255).zip(&self.held) {
            for _ in 0..held.swap(0, Ordering::SeqCst) {
                self.write_back(byte);
            }
        }
    }

    /// We are a forked child: what the parent has is not ours to give back.
    pub(super) fn forget(&self) {
        for held in &self.held {
            held.store(0, Ordering::SeqCst);
        }
        self.reading.store(0, Ordering::SeqCst);
    }

    fn write_back(&self, byte: u8) {
        // It had room for this byte before we took it. Whoever made the pipe may have ended; then there is nobody to
        // give it to (Rust's programs do not die of SIGPIPE; others have a reader, ourselves).
        while let Err(error) = (&self.write).write(&[byte]) {
            if error.kind() != io::ErrorKind::Interrupted {
                break;
            }
        }
    }
}

/// Opens something without waiting and without making anything.
fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.custom_flags(libc::O_NONBLOCK).open(path)
}

fn fifo(path: &Path) -> Result<(File, File), String> {
    let told = |error: io::Error| format!("{}: {error}", path.display());
    if !path.metadata().map_err(told)?.file_type().is_fifo() {
        return Err(format!("{} is not a named pipe", path.display()));
    }
    // Whoever makes a budget keeps its reading end open. Without one this fails, where opening for both would make a pipe
    // that nobody puts tokens into.
    let write = open(path, OpenOptions::new().write(true)).map_err(|error| {
        if error.raw_os_error() == Some(libc::ENXIO) {
            format!("{}: its maker has ended", path.display())
        } else {
            told(error)
        }
    })?;
    let read = open(path, OpenOptions::new().read(true)).map_err(told)?;
    Ok((read, write))
}

fn pipe(read: u32, write: u32) -> Result<(File, File), String> {
    let find = |end: u32| {
        let path = Path::new("/proc/self/fd").join(end.to_string());
        match path.metadata() {
            Ok(found) if found.file_type().is_fifo() => Ok((path, found)),
            Ok(_) => Err(format!("descriptor {end} is not a pipe")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(format!(
                "descriptor {end} is not open here (a make before 4.4 hands it to lines that begin with + or name $(MAKE))"
            )),
            Err(error) => Err(format!("descriptor {end}: {error}")),
        }
    };
    let ((read, of_read), (write, of_write)) = (find(read)?, find(write)?);
    if identity(&of_read) != identity(&of_write) {
        return Err(format!(
            "descriptors {} and {} are not two ends of one pipe",
            read.display(),
            write.display()
        ));
    }
    // A program whose make had closed them may have a pipe of its own under these numbers by now.
    if !comes_from_above(identity(&of_read)) {
        return Err(
            "the pipe under these descriptors is this program's own, not its make's".to_owned(),
        );
    }
    let told = |error: io::Error| format!("the pipe cannot be opened again: {error}");
    let reader = open(&read, OpenOptions::new().read(true)).map_err(told)?;
    let writer = open(&write, OpenOptions::new().write(true)).map_err(told)?;
    Ok((reader, writer))
}

/// Which pipe it is.
fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// Whether a process above this one has the pipe open.
fn comes_from_above(pipe: (u64, u64)) -> bool {
    let mut process = std::os::unix::process::parent_id();
    for _ in 0..GENERATIONS {
        // Those of another user cannot be looked into, those above them perhaps.
        let open = fs::read_dir(format!("/proc/{process}/fd"))
            .into_iter()
            .flatten();
        let has_it = open
            .flatten()
            .any(|entry| fs::metadata(entry.path()).is_ok_and(|found| identity(&found) == pipe));
        if has_it {
            return true;
        }
        match parent(process) {
            Some(above) if above != 0 => process = above,
            _ => return false,
        }
    }
    false
}

fn parent(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name may have anything in it, parentheses too.
    let (_, after) = stat.rsplit_once(')')?;
    after.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// When a process began, in ticks since the machine's start: with its number, a name that no other process has.
///
/// # Errors
/// What the kernel said; `is_absence` tells which of these say that there is no such process.
pub(super) fn start_of(process: &str) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    stat.rsplit_once(')')
        .and_then(|(_, after)| after.split_ascii_whitespace().nth(19)?.parse().ok())
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Whether this error of a file of `/proc/PID` says that the process has gone; others (no descriptor left, no memory) say nothing
/// of it.
#[cfg(feature = "keeper")]
pub(super) fn is_absence(error: &io::Error) -> bool {
    // The second one where it went between the opening and the reading.
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}
