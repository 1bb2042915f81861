//! Output of jobs: kept in files while they run, printed whole when they have ended.
//!
//! Invariants: the output of two jobs never mixes; it is printed byte for byte (with `--tag`, each line behind its tag); memory
//! does not depend on how much there is. A job's file is read by position, because a process that it left behind may
//! still write to it, with the same offset.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// What is read at once.
const CHUNK: usize = 1 << 16;
/// What a pipe that can be written to takes without blocking: POSIX's least PIPE_BUF would be 512, Linux has 4096.
const PIPE: usize = 4096;

/// The files of a job that runs.
#[derive(Debug)]
pub(super) struct Spool {
    pub(super) out: File,
    pub(super) err: File,
}

impl Spool {
    /// Files without a name, or those of `--results`.
    pub(super) fn new(results: Option<&Path>, number: usize) -> io::Result<Self> {
        let Some(results) = results else {
            return Ok(Spool {
                out: appended(tempfile::tempfile()?)?,
                err: appended(tempfile::tempfile()?)?,
            });
        };
        let folder = results.join(number.to_string());
        std::fs::create_dir_all(&folder)?;
        let named = |name: &str| {
            let path = folder.join(name);
            // Of an earlier run.
            File::create(&path)?;
            OpenOptions::new().append(true).read(true).open(path)
        };
        Ok(Spool {
            out: named("stdout")?,
            err: named("stderr")?,
        })
    }

    /// What there is to print.
    pub(super) fn texts(&self) -> io::Result<[Text<'_>; 2]> {
        Ok([Text::all(&self.out)?, Text::all(&self.err)?])
    }
}

/// Whoever writes to it writes at its end.
fn appended(file: File) -> io::Result<File> {
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags | rustix::fs::OFlags::APPEND)?;
    Ok(file)
}

/// A part of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    file: &'a File,
    begin: u64,
    pub(super) length: u64,
}

impl<'a> Text<'a> {
    fn all(file: &'a File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let begin = 0;
        Ok(Text {
            file,
            begin,
            length,
        })
    }

    /// Gives it out piece by piece.
    fn read(&self, mut each: impl FnMut(&[u8]) -> io::Result<bool>) -> io::Result<bool> {
        let mut buffer = vec![0; CHUNK];
        let mut at = 0;
        while at < self.length {
            let most = usize::try_from(self.length - at)
                .unwrap_or(CHUNK)
                .min(CHUNK);
            let count = match self.file.read_at(&mut buffer[..most], self.begin + at) {
                // Somebody has cut it.
                Ok(0) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            at += u64::try_from(count).unwrap_or_default();
            if !each(&buffer[..count])? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Output that waits for its turn, of any number of jobs, in one file.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    file: Option<File>,
    end: u64,
    waiting: std::collections::BTreeMap<usize, [(u64, u64); 2]>,
}

impl Shelf {
    pub(super) fn put(&mut self, index: usize, spool: &Spool) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile()?),
        };
        let mut kept = [(0, 0); 2];
        for (text, kept) in spool.texts()?.iter().zip(&mut kept) {
            let begin = self.end;
            text.read(|piece| {
                file.write_all_at(piece, self.end)?;
                self.end += u64::try_from(piece.len()).unwrap_or_default();
                Ok(true)
            })?;
            *kept = (begin, self.end - begin);
        }
        self.waiting.insert(index, kept);
        Ok(())
    }

    /// The first that waits.
    pub(super) fn first(&self) -> Option<usize> {
        self.waiting.keys().next().copied()
    }

    pub(super) fn texts(&self, index: usize) -> Option<[Text<'_>; 2]> {
        let file = self.file.as_ref()?;
        let kept = self.waiting.get(&index)?;
        Some(kept.map(|(begin, length)| Text {
            file,
            begin,
            length,
        }))
    }

    /// It has been printed. When nothing waits, its room is free again.
    pub(super) fn forget(&mut self, index: usize) {
        self.waiting.remove(&index);
        if self.waiting.is_empty() {
            (self.file, self.end) = (None, 0);
        }
    }
}

/// What became of something that was to be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Printed {
    Whole,
    /// The reader takes nothing, and everything is being ended.
    Not,
    /// The reader has gone.
    Closed,
}

/// Waits until something can be written, and tells whether: not where the reader takes nothing and everything is being ended.
pub(super) type Ready<'a> = dyn FnMut(BorrowedFd<'_>) -> io::Result<bool> + 'a;

/// Prints texts of a job: standard output, then standard error, each to its own.
pub(super) fn print(
    texts: &[Text<'_>; 2],
    tag: Option<&[u8]>,
    ready: &mut Ready<'_>,
) -> io::Result<Printed> {
    let (out, err) = (io::stdout(), io::stderr());
    let streams: [(BorrowedFd<'_>, bool); 2] = [(out.as_fd(), true), (err.as_fd(), false)];
    for (text, (stream, is_answer)) in texts.iter().zip(streams) {
        let mut line = Tagged::new(tag);
        let written = text
            .read(|piece| write(stream, line.of(piece), ready))
            .and_then(|whole| Ok(whole && write(stream, line.end(), ready)?));
        match written {
            Ok(true) => {}
            Ok(false) => return Ok(Printed::Not),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                // Nobody wants to hear complaints; the answer is another matter.
                if is_answer {
                    return Ok(Printed::Closed);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Printed::Whole)
}

/// Writes all, and tells whether: not where `ready` says that it is not waited for any more.
fn write(to: BorrowedFd<'_>, text: &[u8], ready: &mut Ready<'_>) -> io::Result<bool> {
    let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(to)?.st_mode);
    let at_once = if kind == rustix::fs::FileType::RegularFile {
        CHUNK
    } else {
        PIPE
    };
    let mut rest = text;
    while !rest.is_empty() {
        if !ready(to)? {
            return Ok(false);
        }
        match rustix::io::write(to, &rest[..rest.len().min(at_once)]) {
            Ok(count) => rest = &rest[count..],
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

/// Lines behind their tag.
struct Tagged<'a> {
    tag: Option<&'a [u8]>,
    /// Whether the next byte begins a line.
    begins: bool,
    line: Vec<u8>,
}

impl<'a> Tagged<'a> {
    fn new(tag: Option<&'a [u8]>) -> Self {
        Tagged {
            tag,
            begins: true,
            line: Vec::new(),
        }
    }

    fn of<'t>(&'t mut self, piece: &'t [u8]) -> &'t [u8] {
        let Some(tag) = self.tag else {
            return piece;
        };
        self.line.clear();
        for line in piece.split_inclusive(|byte| *byte == b'\n') {
            if self.begins {
                self.line.extend_from_slice(tag);
                self.line.push(b'\t');
            }
            self.line.extend_from_slice(line);
            self.begins = line.ends_with(b"\n");
        }
        &self.line
    }

    /// What is left to write: the end of a line that had none, lest the next job's tag comes in the middle of one.
    fn end(&self) -> &[u8] {
        if self.tag.is_some() && !self.begins {
            b"\n"
        } else {
            b""
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn tags_stand_before_each_line_wherever_pieces_end() {
        let text = b"one\n\ntwo\nlast";
        for size in 1..=text.len() {
            let mut tagged = Tagged::new(Some(b"x"));
            let mut all = Vec::new();
            for piece in text.chunks(size) {
                all.extend_from_slice(tagged.of(piece));
            }
            all.extend_from_slice(tagged.end());
            assert_eq!(all, b"x\tone\nx\t\nx\ttwo\nx\tlast\n", "{size}");
        }
        let mut plain = Tagged::new(None);
        assert_eq!(plain.of(text), text);
        assert_eq!(plain.end(), b"");
    }

    #[test]
    fn what_waits_is_given_back_as_it_was() {
        let mut shelf = Shelf::default();
        let long: Vec<u8> = (0..CHUNK * 2 + 7).map(|at| (at % 251) as u8).collect();
        for (index, out, err) in [(3, &long[..], &b"e"[..]), (1, b"", b""), (2, b"o", &long)] {
            let mut spool = Spool::new(None, index).unwrap();
            spool.out.write_all(out).unwrap();
            spool.err.write_all(err).unwrap();
            shelf.put(index, &spool).unwrap();
            let read = |text: &Text<'_>| {
                let mut all = Vec::new();
                text.read(|piece| {
                    all.extend_from_slice(piece);
                    Ok(true)
                })
                .unwrap();
                all
            };
            let texts = shelf.texts(index).unwrap();
            assert_eq!(read(&texts[0]), out);
            assert_eq!(read(&texts[1]), err);
        }
        assert_eq!(shelf.first(), Some(1));
        for index in [1, 2, 3] {
            shelf.forget(index);
        }
        assert!(shelf.first().is_none() && shelf.file.is_none());
    }
}
