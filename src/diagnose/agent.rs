//! The records of the preload agent: who made each thread, and what it had used when it ended.
//!
//! The agent (the package `threadctl-agent`) is a small library that `threadctl run` preloads into a program and its
//! children. All of them write to one file in memory, whose layout is here and, in C, in `agent.c`: a header, a table
//! of paths, and one record after another.
//!
//! Invariants: whatever the bytes are, reading them neither fails nor panics, since the program that writes them may be
//! killed, or broken; a record counts only once its state says that it is complete. Places are given out by one
//! counter in the header, so it also tells how many records did not find room.

use super::schedstat::QueueTime;
use crate::error::{Error, ErrorKind, Result};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

const MAGIC: u64 = u64::from_le_bytes(*b"TCTLAGT1");
const HEADER: usize = 4096;
const PATHS: u32 = 1024;
const PATH: usize = 256;
const RECORD: usize = 128;
const RECORDS: u32 = 1 << 18;
const FIRST_RECORD: usize = HEADER + PATHS as usize * PATH;
/// Where the header counts records, and the room for them.
const COUNT_AT: usize = 16;

/// What the agent wrote about a thread.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Made {
    pub pid: u32,
    pub tid: u32,
    /// The thread that made it; 0 for the first thread of a process.
    pub creator: u32,
    /// The file that its start routine is in, the program's for a first thread; `None` where it could not be told.
    pub start: Option<String>,
    /// The file that called `pthread_create`.
    pub caller: Option<String>,
    /// On the monotonic clock, in nanoseconds.
    pub created: u64,
    /// Of a thread that has ended: when, and its final times.
    pub ended: Option<(u64, QueueTime)>,
    /// Of a thread that has ended: how often it moved to another CPU, where the kernel tells.
    pub migrations: Option<u64>,
    /// When it ended.
    pub name: String,
    pub is_first: bool,
}

/// All that the agent wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub threads: Vec<Made>,
    /// Runtimes' files that a process had loaded when it ended: its number and the path.
    pub loaded: Vec<(u32, String)>,
    /// How many records found no room, whoever was asked about.
    pub lost: u32,
    /// How many had a place, but were not complete yet.
    pub pending: u32,
}

/// The file that the agent writes to.
///
/// ```
/// let file = threadctl::diagnose::AgentFile::new()?;
/// assert!(file.path().starts_with("/proc/"));
/// # Ok::<(), threadctl::Error>(())
/// ```
#[derive(Debug)]
pub struct AgentFile {
    file: File,
    path: String,
}

impl AgentFile {
    /// The variable in which the agent finds the path.
    pub const VARIABLE: &str = "THREADCTL_AGENT_FILE";

    /// Makes an empty one in memory: no disk can be too full for it. It is as large as it needs to be from the start, but only
    /// what is written takes memory.
    ///
    /// # Errors
    /// [`ErrorKind::System`]: the kernel has no memory or no descriptor left.
    ///
    /// ```
    /// assert!(threadctl::diagnose::AgentFile::new().is_ok());
    /// ```
    pub fn new() -> Result<Self> {
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            Error::new(
                ErrorKind::System,
                format!("the file in memory for the agent's records: {what} failed: {error}"),
            )
        };
        let descriptor = memfd_create("threadctl-agent", MemfdFlags::CLOEXEC)
            .map_err(|error| failed("memfd_create", &error))?;
        let size = FIRST_RECORD + RECORDS as usize * RECORD;
        ftruncate(&descriptor, size as u64).map_err(|error| failed("ftruncate", &error))?;
        let file = File::from(descriptor);
        let mut header = Vec::with_capacity(64);
        header.extend(MAGIC.to_ne_bytes());
        for number in [1, RECORDS, 0, PATHS, 0] {
            header.extend(u32::to_ne_bytes(number));
        }
        file.write_all_at(&header, 0)
            .map_err(|error| failed("writing", &error))?;
        use std::os::fd::AsRawFd as _;
        let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        Ok(Self { file, path })
    }

    /// Its path, by which other processes of this user can open it as long as this one lives.
    ///
    /// ```
    /// let file = threadctl::diagnose::AgentFile::new()?;
    /// assert!(std::path::Path::new(file.path()).exists());
    /// # Ok::<(), threadctl::Error>(())
    /// ```
    pub fn path(&self) -> &str {
        &self.path
    }

    /// How many records were begun, and how many found no room; costs one small read.
    pub(super) fn count(&self) -> (u32, u32) {
        let mut bytes = [0; 4];
        let read = self.file.read_exact_at(&mut bytes, COUNT_AT as u64);
        let count = read.map_or(0, |()| u32::from_ne_bytes(bytes));
        (count.min(RECORDS), count.saturating_sub(RECORDS))
    }

    /// The records from number `first` on; none if they cannot be read.
    pub(super) fn written(&self, first: u32) -> Written {
        let (count, lost) = self.count();
        let mut table = vec![0; FIRST_RECORD];
        let records = count.saturating_sub(first) as usize;
        let mut bytes = vec![0; records * RECORD];
        let at = FIRST_RECORD + first as usize * RECORD;
        let read = self.file.read_exact_at(&mut bytes, at as u64);
        if read
            .and_then(|()| self.file.read_exact_at(&mut table, 0))
            .is_err()
        {
            return Written::default();
        }
        let mut written = Written::parse(&table, &bytes);
        written.lost = lost;
        written
    }
}

impl Written {
    /// Reads records; `table` is the beginning of the file, up to the first one.
    pub fn parse(table: &[u8], records: &[u8]) -> Self {
        let mut written = Written::default();
        if table.get(..8) != Some(&MAGIC.to_ne_bytes()) {
            return written;
        }
        let path = |index: u32| -> Option<String> {
            // Counted from 1.
            let at = HEADER + usize::try_from(index.checked_sub(1)?).ok()? * PATH;
            let entry = table.get(at..at.checked_add(PATH)?)?;
            (number(entry, 0) == 1).then(|| text(entry.get(4..).unwrap_or(&[])))
        };
        for record in records.chunks_exact(RECORD) {
            let state = number(record, 0);
            let pid = number(record, 8);
            match (state, number(record, 4)) {
                (LIVE..=ENDING, KIND_MODULE) => {
                    let file = path(number(record, 20)).map(|path| (pid, path));
                    written.loaded.extend(file);
                }
                (LIVE..=ENDING, kind @ (KIND_FIRST | KIND_MADE | KIND_FOUND)) => {
                    written.threads.push(Made {
                        pid,
                        tid: number(record, 12),
                        creator: number(record, 16),
                        start: path(number(record, 20)),
                        caller: path(number(record, 24)),
                        created: long(record, 32),
                        ended: (state == ENDED).then(|| {
                            let time = QueueTime {
                                ran: long(record, 48),
                                waited: long(record, 56),
                            };
                            (long(record, 40), time)
                        }),
                        migrations: (state == ENDED)
                            .then(|| long(record, 96).checked_sub(1))
                            .flatten(),
                        name: text(record.get(80..96).unwrap_or(&[])),
                        is_first: kind == KIND_FIRST,
                    });
                }
                (0, _) => written.pending += 1,
                _ => {}
            }
        }
        written.keep_last_of_each();
        written
    }

    /// A process may write about its first thread more than once: after `exec`, and when it ends. The times go on from one to the
    /// next, so the last one has them all.
    fn keep_last_of_each(&mut self) {
        let mut last: HashMap<(u32, u32, u64), usize> = HashMap::new();
        for made in std::mem::take(&mut self.threads) {
            // A number may be given to another thread later on; then it was made at another time.
            let key = (
                made.pid,
                made.tid,
                if made.is_first { 0 } else { made.created },
            );
            let known = last.get(&key).and_then(|&at| self.threads.get_mut(at));
            if let Some(known) = known
                && known.ended.is_none_or(|(at, _)| at >= made.created)
            {
                let created = known.created.min(made.created);
                let ended = made.ended.or(known.ended);
                let migrations = made.migrations.or(known.migrations);
                *known = Made {
                    created,
                    ended,
                    migrations,
                    ..made
                };
            } else {
                last.insert(key, self.threads.len());
                self.threads.push(made);
            }
        }
    }
}

// States of a record: 0 is one that is not complete.
const LIVE: u32 = 1;
const ENDED: u32 = 2;
/// Its thread was about to complete it. If the process was killed just then, it stays so.
const ENDING: u32 = 3;

const KIND_FIRST: u32 = 1;
const KIND_MADE: u32 = 2;
/// Made in a way that the agent does not see, and found when the process ended.
const KIND_FOUND: u32 = 3;
const KIND_MODULE: u32 = 4;

fn number(bytes: &[u8], at: usize) -> u32 {
    let read = bytes
        .get(at..at + 4)
        .and_then(|bytes| bytes.try_into().ok());
    read.map_or(0, u32::from_ne_bytes)
}

fn long(bytes: &[u8], at: usize) -> u64 {
    let read = bytes
        .get(at..at + 8)
        .and_then(|bytes| bytes.try_into().ok());
    read.map_or(0, u64::from_ne_bytes)
}

/// Up to the first zero.
fn text(bytes: &[u8]) -> String {
    let end = bytes
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or(bytes)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The beginning of a file, with one path.
    fn table() -> Vec<u8> {
        let mut bytes = vec![0; FIRST_RECORD];
        bytes[..8].copy_from_slice(&MAGIC.to_ne_bytes());
        bytes[HEADER..HEADER + 4].copy_from_slice(&1u32.to_ne_bytes());
        bytes[HEADER + 4..HEADER + 10].copy_from_slice(b"/a/b.c");
        bytes
    }

    /// These records: state, kind, pid, tid, run.
    fn records(records: &[[u32; 5]]) -> Vec<u8> {
        let mut bytes = vec![0; records.len() * RECORD];
        for (index, [state, kind, pid, tid, run]) in records.iter().enumerate() {
            let fields = [
                (0, state),
                (4, kind),
                (8, pid),
                (12, tid),
                (48, run),
                (20, &1),
            ];
            for (field, value) in fields {
                let at = index * RECORD + field;
                bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
            }
        }
        bytes
    }

    #[test]
    fn threads_and_files_are_told_apart_and_incomplete_records_do_not_count() {
        let written = Written::parse(
            &table(),
            &records(&[
                [ENDED, KIND_FIRST, 7, 7, 10],
                [LIVE, KIND_MADE, 7, 8, 0],
                [ENDING, KIND_MADE, 7, 10, 5],
                [0, KIND_MADE, 7, 9, 0],
                [LIVE, KIND_MODULE, 7, 0, 0],
                [LIVE, 77, 7, 0, 0],
            ]),
        );
        assert_eq!(written.threads.len(), 3);
        assert!(written.threads[0].is_first);
        assert_eq!(written.threads[0].ended.unwrap().1.ran, 10);
        assert_eq!(written.threads[1].start.as_deref(), Some("/a/b.c"));
        assert_eq!(
            (written.threads[1].ended, written.threads[2].ended),
            (None, None)
        );
        assert_eq!(written.loaded, [(7, "/a/b.c".to_owned())]);
    }

    #[test]
    fn the_last_word_on_a_first_thread_counts() {
        let written = Written::parse(
            &table(),
            &records(&[
                [LIVE, KIND_FIRST, 7, 7, 0],
                [ENDED, KIND_FIRST, 7, 7, 30],
                [ENDED, KIND_MADE, 7, 8, 5],
            ]),
        );
        assert_eq!(written.threads.len(), 2);
        assert_eq!(written.threads[0].ended.unwrap().1.ran, 30);
    }

    #[test]
    fn a_new_file_is_empty_and_others_can_write_to_it() {
        let file = AgentFile::new().unwrap();
        assert_eq!(
            (file.written(0), file.count()),
            (Written::default(), (0, 0))
        );
        let same = File::options().write(true).open(file.path()).unwrap();
        let size = same.metadata().unwrap().len();
        assert_eq!(size, (FIRST_RECORD + RECORDS as usize * RECORD) as u64);
        same.write_all_at(&(RECORDS + 3).to_ne_bytes(), COUNT_AT as u64)
            .unwrap();
        assert_eq!(file.count(), (RECORDS, 3));
        assert_eq!(file.written(RECORDS).lost, 3);
    }

    proptest::proptest! {
        #[test]
        fn any_records_are_read_without_a_panic(bytes in proptest::collection::vec(0u8..6, 0..RECORD * 6)) {
            let written = Written::parse(&table(), &bytes);
            assert!(written.threads.len() + written.loaded.len() <= bytes.len() / RECORD);
            let _ = Written::parse(&bytes, &bytes);
        }
    }
}
