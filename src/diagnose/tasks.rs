//! The threads of one process, looked at again and again: `stat` and `schedstat` of each.
//!
//! Invariants: the files stay open, since reading again is several times cheaper than opening again, and an open file
//! belongs to its thread for good: once that has ended reading fails, also if its number was given to another. So two
//! threads are never mixed up.

use super::schedstat::QueueTime;
use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// What a line of `stat` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat<'a> {
    pub name: &'a [u8],
    pub state: u8,
    pub parent: u32,
    /// The CPU that it ran on last.
    pub cpu: u32,
}

impl<'a> Stat<'a> {
    /// The name may hold anything, even brackets, so it ends at the last one.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        /// Where fields are after the name, counted from the state.
        const PARENT: usize = 1;
        const CPU: usize = 36;
        let opens = line.iter().position(|&byte| byte == b'(')?;
        let closes = line.iter().rposition(|&byte| byte == b')')?;
        let rest = std::str::from_utf8(line.get(closes + 2..)?).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        let parent = fields.nth(PARENT - 1)?.parse().ok()?;
        Some(Stat {
            name: line.get(opens + 1..closes)?,
            state,
            parent,
            cpu: fields.nth(CPU - PARENT - 1)?.parse().ok()?,
        })
    }

    /// Whether it runs or wants to.
    pub fn is_runnable(&self) -> bool {
        self.state == b'R'
    }

    pub fn name(&self) -> String {
        String::from_utf8_lossy(self.name).into_owned()
    }
}

/// One look at one thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look {
    pub tid: u32,
    pub name: String,
    pub is_runnable: bool,
    pub cpu: u32,
    /// `None` where the kernel does not keep it.
    pub time: Option<QueueTime>,
    /// Whether this is the first look at this thread.
    pub is_new: bool,
}

#[derive(Debug)]
struct Files {
    stat: File,
    schedstat: Option<File>,
    looked_at: bool,
}

/// The threads of a process.
///
/// ```
/// let mut tasks = threadctl::diagnose::Tasks::of(std::process::id());
/// assert!(tasks.runnable() >= 1, "the thread that looks");
/// ```
#[derive(Debug)]
pub struct Tasks {
    folder: PathBuf,
    open: HashMap<u32, Files>,
}

impl Tasks {
    /// Those of the process `pid`; none if there is no such process.
    ///
    /// ```
    /// assert_eq!(threadctl::diagnose::Tasks::of(u32::MAX).runnable(), 0);
    /// ```
    pub fn of(pid: u32) -> Self {
        Self {
            folder: PathBuf::from(format!("/proc/{pid}/task")),
            open: HashMap::new(),
        }
    }

    /// How many threads want to run now. A look visits one thread after another, so it can be off by threads that woke
    /// or slept within these microseconds.
    ///
    /// ```
    /// let runnable = threadctl::diagnose::Tasks::of(std::process::id()).runnable();
    /// assert!(runnable >= 1);
    /// ```
    pub fn runnable(&mut self) -> usize {
        self.look().iter().filter(|look| look.is_runnable).count()
    }

    /// Looks at every thread that there is now.
    pub(super) fn look(&mut self) -> Vec<Look> {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(tid) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if !self.open.contains_key(&tid)
                && let Ok(stat) = File::open(entry.path().join("stat"))
            {
                let schedstat = File::open(entry.path().join("schedstat")).ok();
                let looked_at = false;
                self.open.insert(
                    tid,
                    Files {
                        stat,
                        schedstat,
                        looked_at,
                    },
                );
            }
        }
        let mut looks = Vec::with_capacity(self.open.len());
        // Reading fails once the thread has ended; its files are dropped then.
        self.open.retain(|&tid, files| match look_at(tid, files) {
            Some(look) => {
                looks.push(look);
                true
            }
            None => false,
        });
        looks
    }
}

fn look_at(tid: u32, files: &mut Files) -> Option<Look> {
    let mut buffer = [0; 512];
    let length = files.stat.read_at(&mut buffer, 0).ok()?;
    let stat = Stat::parse(buffer.get(..length)?)?;
    let look = Look {
        tid,
        name: stat.name(),
        is_runnable: stat.is_runnable(),
        cpu: stat.cpu,
        time: files.schedstat.as_ref().and_then(read_time),
        is_new: !files.looked_at,
    };
    files.looked_at = true;
    Some(look)
}

/// How often a thread has moved to another CPU, where the kernel tells.
pub(super) fn migrations(pid: u32, tid: u32) -> Option<u64> {
    let text = fs::read(format!("/proc/{pid}/task/{tid}/sched")).ok()?;
    parse_migrations(&String::from_utf8_lossy(&text))
}

/// `se.nr_migrations      :      7` among others. The thread's name comes first, and may be anything.
fn parse_migrations(text: &str) -> Option<u64> {
    let line = text.lines().rfind(|line| line.contains("nr_migrations"))?;
    line.rsplit_once(':')?.1.trim().parse().ok()
}

fn read_time(file: &File) -> Option<QueueTime> {
    let mut buffer = [0; 80];
    let length = file.read_at(&mut buffer, 0).ok()?;
    QueueTime::parse(std::str::from_utf8(buffer.get(..length)?).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str =
        "1 2 3 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 5 6 7 8 9 1 1 0 0 0 0 0 0 0 0 0 17 3 0 0";

    #[test]
    fn the_fields_are_found_behind_any_name() {
        let line = |name: &str, state: &str| format!("12 ({name}) {state} {REST}");
        for name in ["a", "R) S", "x) R 7", ""] {
            let line = line(name, "S");
            let stat = Stat::parse(line.as_bytes()).unwrap();
            assert_eq!(stat.name(), name);
            assert!(!stat.is_runnable());
            assert_eq!((stat.parent, stat.cpu), (1, 3));
        }
        assert!(
            Stat::parse(line("x) S", "R").as_bytes())
                .unwrap()
                .is_runnable()
        );
    }

    #[test]
    fn what_is_cut_off_is_nothing() {
        for line in [
            "",
            "12 (cut off",
            "12 (cut)",
            "12 (cut) R",
            "12 (cut) R 1 2",
        ] {
            assert_eq!(Stat::parse(line.as_bytes()), None, "{line:?}");
        }
    }

    #[test]
    fn migrations_are_read_whatever_the_threads_name_is() {
        let text = "nr_migrations : 9 (12, #threads: 1)\n-----\nse.exec_start : 1.5\nse.nr_migrations   :    7\nnr_switches : 3\n";
        assert_eq!(parse_migrations(text), Some(7));
        assert_eq!(parse_migrations("x (1, #threads: 1)\n---\n"), None);
        assert_eq!(parse_migrations(""), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = Stat::parse(&bytes);
        }
    }

    #[test]
    fn a_thread_is_new_once() {
        let mut tasks = Tasks::of(std::process::id());
        let own = |looks: Vec<Look>| {
            let own = std::process::id();
            looks.into_iter().find(|look| look.tid == own).unwrap()
        };
        assert!(own(tasks.look()).is_new);
        assert!(!own(tasks.look()).is_new);
    }
}
