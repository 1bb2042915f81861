//! The log of the jobs that have ended, in GNU parallel's format: a heading, then a line for each job.
//!
//! Invariants: a line is written by one call, to the file's end, so that after `kill -9` or on a full disk at most the last
//! one is torn; a torn line is taken away before anything is written behind it; one run at a time writes a log (it is
//! locked); a file that is no log is never overwritten, and one that is a log not before everything else is in order
//! ([`Opened`]).

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use rustix::fs::FlockOperation;

use super::job::End;

const HEADING: &[u8] =
    b"Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";

/// What GNU parallel calls this machine.
const HOST: &str = ":";

/// A log that is locked and has been read, and that nothing has been done to.
#[derive(Debug)]
#[must_use = "a log is begun by Opened::begin"]
pub(super) struct Opened {
    file: File,
    path: PathBuf,
    /// What is behind this many bytes is taken away.
    cut: Option<u64>,
    has_heading: bool,
}

/// An open log.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    path: PathBuf,
}

/// How a job ended.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) number: usize,
    pub(super) begun: SystemTime,
    pub(super) took: Duration,
    /// Bytes of standard output.
    pub(super) received: u64,
    pub(super) end: &'a End,
    pub(super) line: &'a [u8],
}

/// What a log tells of earlier runs: for each job, by its number, the line and whether it succeeded at last.
#[derive(Debug, Default)]
pub(super) struct Before(HashMap<usize, (bool, Vec<u8>)>);

impl Before {
    /// Whether the job of this number has succeeded.
    ///
    /// # Errors
    /// The log has another command for it (`line`, where that is the same in every run): it is of another list.
    pub(super) fn succeeded(&self, number: usize, line: Option<&[u8]>) -> Result<bool> {
        let Some((succeeded, logged)) = self.0.get(&number) else {
            return Ok(false);
        };
        if line.is_some_and(|line| flat(line) != *logged) {
            bail!(
                "job {number} is not the one of the log, which has {:?}; resuming takes the same command and list",
                String::from_utf8_lossy(logged)
            );
        }
        Ok(*succeeded)
    }
}

impl Opened {
    /// Opens a log: a new one, or with `resume` the one that is there. One that is there stays as it is until
    /// [`Opened::begin`].
    ///
    /// # Errors
    /// It cannot be written, is none, or another run writes it.
    pub(super) fn open(path: &Path, resume: bool) -> Result<(Self, Before)> {
        let cannot = || format!("the log {} cannot be written", path.display());
        let mut options = OpenOptions::new();
        // Whoever may only write (a FIFO, a terminal) has nothing that could be read.
        let regular = path.metadata().map_or(true, |known| known.is_file());
        options.append(true).create(true).read(regular);
        let mut file = options.open(path).with_context(cannot)?;
        let lock = FlockOperation::NonBlockingLockExclusive;
        // A file system without locks has another error, and cannot tell.
        if regular && rustix::fs::flock(&file, lock) == Err(rustix::io::Errno::WOULDBLOCK) {
            bail!("the log {} is being written by another run", path.display());
        }
        let mut text = Vec::new();
        if regular {
            file.read_to_end(&mut text)
                .with_context(|| format!("the log {} cannot be read", path.display()))?;
        }
        // Torn in its first line.
        let is_new = HEADING.starts_with(&text);
        if !is_new && !text.starts_with(HEADING) {
            bail!(
                "{} is there and is no log of jobs; it stays as it is",
                path.display()
            );
        }
        let mut before = Before::default();
        let mut keep = 0;
        if resume && !is_new {
            keep = text
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |end| end + 1);
            before = parsed(&text[HEADING.len()..keep])
                .with_context(|| format!("the log {}", path.display()))?;
        }
        let cut = (regular && keep < text.len()).then(|| u64::try_from(keep).unwrap_or_default());
        let opened = Opened {
            file,
            path: path.to_owned(),
            cut,
            has_heading: keep > 0,
        };
        Ok((opened, before))
    }

    /// Takes away what is there, or with `resume` a torn line, so that jobs can be logged.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn begin(mut self) -> Result<Log> {
        let cannot = || format!("the log {} cannot be written", self.path.display());
        if let Some(length) = self.cut {
            self.file.set_len(length).with_context(cannot)?;
        }
        if !self.has_heading {
            self.file.write_all(HEADING).with_context(cannot)?;
        }
        Ok(Log {
            file: self.file,
            path: self.path,
        })
    }
}

impl Log {
    /// Writes how a job ended.
    pub(super) fn write(&mut self, entry: &Entry<'_>) -> Result<()> {
        let begun = entry.begun.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (code, signal) = match entry.end {
            End::Exited(code) => (i32::from(*code), 0),
            End::Killed(signal) => (0, *signal),
            // By which shells tell it.
            End::NotStarted(_) => (126, 0),
        };
        let mut line = format!(
            "{}\t{HOST}\t{:.3}\t{:10.3}\t0\t{}\t{code}\t{signal}\t",
            entry.number,
            begun.as_secs_f64(),
            entry.took.as_secs_f64(),
            entry.received,
        )
        .into_bytes();
        line.extend_from_slice(&flat(entry.line));
        line.push(b'\n');
        self.file
            .write_all(&line)
            .with_context(|| format!("the log {} cannot be written", self.path.display()))
    }
}

/// What the log at `path` tells, which nothing is done to; nothing where there is none.
pub(super) fn before(path: &Path) -> Result<Before> {
    let cannot = || format!("the log {} cannot be read", path.display());
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(cannot),
    };
    if HEADING.starts_with(&text) {
        return Ok(Before::default());
    }
    let Some(lines) = text.strip_prefix(HEADING) else {
        bail!("{} is no log of jobs", path.display());
    };
    let whole = lines
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    parsed(&lines[..whole]).with_context(|| format!("the log {}", path.display()))
}

/// A command on one line, as GNU parallel writes it.
fn flat(line: &[u8]) -> Vec<u8> {
    line.iter()
        .map(|byte| if *byte == b'\n' { 0 } else { *byte })
        .collect()
}

/// The lines after the heading, all of them whole. Of a job that is there twice, the last counts.
fn parsed(text: &[u8]) -> Result<Before> {
    let mut before = Before::default();
    for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let fields: Vec<&[u8]> = line.splitn(9, |byte| *byte == b'\t').collect();
        let number = |field: usize| -> Option<i64> {
            str::from_utf8(fields.get(field)?).ok()?.trim().parse().ok()
        };
        let found = (number(0), number(6), number(7), fields.get(8));
        let (Some(job), Some(code), Some(signal), Some(command)) = found else {
            bail!(
                "line {} is none of a log: {:?}",
                at + 2,
                String::from_utf8_lossy(line)
            );
        };
        let job = usize::try_from(job).unwrap_or_default();
        let succeeded = code == 0 && signal == 0;
        before.0.insert(job, (succeeded, command.to_vec()));
    }
    Ok(before)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn begun(path: &Path, resume: bool) -> (Log, Before) {
        let (opened, before) = Opened::open(path, resume).unwrap();
        (opened.begin().unwrap(), before)
    }

    fn entry(number: usize, end: &End) -> Entry<'_> {
        Entry {
            number,
            begun: UNIX_EPOCH + Duration::from_millis(1500),
            took: Duration::from_millis(250),
            received: 7,
            end,
            line: b"echo\t'a\nb'",
        }
    }

    #[test]
    fn what_is_written_is_read_and_a_torn_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (mut log, _) = begun(&path, false);
        log.write(&entry(1, &End::Exited(0))).unwrap();
        log.write(&entry(2, &End::Exited(3))).unwrap();
        log.write(&entry(3, &End::Killed(9))).unwrap();
        assert!(Opened::open(&path, true).is_err(), "it is locked");
        drop(log);
        let whole = std::fs::read(&path).unwrap();
        assert!(whole.starts_with(HEADING));
        let second = "2\t:\t1.500\t     0.250\t0\t7\t3\t0\techo\t'a\0b'\n";
        assert!(
            String::from_utf8_lossy(&whole).contains(second),
            "{whole:?}"
        );

        // Torn at every byte: what is whole counts, and the next line is whole again.
        let line = Some(&b"echo\t'a\nb'"[..]);
        for length in 0..=whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let (mut log, before) = begun(&path, true);
            let first = whole.iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(first, 4);
            let lines = whole[..length]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count();
            assert_eq!(before.succeeded(1, line).unwrap(), lines >= 2, "{length}");
            assert!(!before.succeeded(2, line).unwrap() && !before.succeeded(3, line).unwrap());
            log.write(&entry(2, &End::Exited(0))).unwrap();
            drop(log);
            let (_, before) = begun(&path, true);
            assert!(before.succeeded(2, line).unwrap(), "{length}");
        }
    }

    #[test]
    fn a_log_that_is_not_begun_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (mut log, _) = begun(&path, false);
        log.write(&entry(1, &End::Exited(0))).unwrap();
        drop(log);
        let mut text = std::fs::read(&path).unwrap();
        let whole = text.len();
        text.extend_from_slice(b"2\t:\t1");
        std::fs::write(&path, &text).unwrap();
        for (resume, left) in [(true, whole), (false, HEADING.len())] {
            let (opened, _) = Opened::open(&path, resume).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), text, "{resume}");
            drop(opened.begin().unwrap());
            assert_eq!(std::fs::read(&path).unwrap(), text[..left], "{resume}");
            std::fs::write(&path, &text).unwrap();
        }
    }

    #[test]
    fn a_job_that_is_another_than_the_logs_is_refused() {
        let text = b"1\t:\t1.5\t0.25\t0\t7\t0\t0\techo a\n";
        let before = parsed(text).unwrap();
        assert!(before.succeeded(1, Some(b"echo a")).unwrap());
        assert!(before.succeeded(1, None).unwrap());
        let error = before
            .succeeded(1, Some(b"echo b"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("job 1") && error.contains("echo a"),
            "{error}"
        );
        let error = parsed(b"1\t:\tx\n").unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }

    #[test]
    fn files_that_are_no_log_stay_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("thesis.tex");
        std::fs::write(&path, "years of work").unwrap();
        for resume in [false, true] {
            let error = Opened::open(&path, resume).unwrap_err().to_string();
            assert!(error.contains("thesis.tex"), "{error}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"years of work");
    }
}
