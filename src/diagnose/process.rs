//! What is known of one watched process beside its threads' times: its program, its settings, its libraries, its CPUs.
//!
//! These change when a program is replaced by `exec`, when it loads libraries and when it binds threads, none of which tells
//! anybody. So they are read again after 1, 2, 4, 8 ... looks, and whenever there are more threads than ever before.

use super::agent::Made;
use super::beside::Sum;
use super::calls::Calls;
use super::stacks;
use super::target::Target;
use super::tasks::Tasks;
use super::who::{self, Group, GroupKind};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// As many threads are asked for the CPUs that they may use.
const ASKED: usize = 64;

/// What was seen of a process.
#[derive(Debug, Clone, Default)]
pub(super) struct ProcessUse {
    pub pid: u32,
    pub executable: String,
    pub environment: BTreeMap<String, String>,
    /// Paths of the runtimes that it has loaded, by their file names.
    pub runtimes: BTreeSet<String>,
    /// The files that threads began in, by what their stacks tell.
    pub starts: BTreeMap<u32, String>,
    /// All CPUs that any of its threads may use, as the kernel lists them.
    pub cpus: BTreeSet<u32>,
    /// Of each of its pools, who was runnable while it was.
    pub beside: BTreeMap<Group, Sum>,
    /// Which of its threads call them.
    pub calls: Calls,
}

impl ProcessUse {
    /// Whose a thread is. Without a word from the agent a first thread is the program's, and any other one belongs to where it
    /// began, as its stack tells; where that cannot be read, to the only runtime that makes threads, if there is just one.
    pub fn group_of(&self, tid: u32, made: Option<&Made>) -> Group {
        match made {
            Some(Made {
                start: Some(start),
                is_first: true,
                ..
            }) => return Group::of_program(start),
            Some(Made {
                start: Some(start), ..
            }) => return Group::of_file(start, &self.executable),
            _ if tid == self.pid && self.executable.is_empty() => return Group::unknown(),
            _ if tid == self.pid => return Group::of_program(&self.executable),
            _ => {}
        }
        if let Some(start) = self.starts.get(&tid) {
            return Group::of_file(start, &self.executable);
        }
        let mut pools = self
            .runtimes
            .iter()
            .map(|file| Group::of_file(file, &self.executable))
            .filter(|group| group.kind.is_pool())
            .collect::<BTreeSet<_>>()
            .into_iter();
        match (pools.next(), pools.next()) {
            (Some(only), None) => only,
            (None, _) => Group {
                kind: GroupKind::Program,
                ..Group::of_program(&self.executable)
            },
            _ => Group::unknown(),
        }
    }
}

/// A process that lives.
#[derive(Debug)]
pub(super) struct Process {
    pub tasks: Tasks,
    pub seen: ProcessUse,
    looks: u32,
    most: usize,
}

impl Process {
    pub fn new(pid: u32) -> Self {
        Process {
            tasks: Tasks::of(pid),
            seen: ProcessUse {
                pid,
                ..ProcessUse::default()
            },
            looks: 0,
            most: 0,
        }
    }

    /// To be called at each look, with the number of its threads; tells whether anything may have changed.
    pub fn refresh(&mut self, threads: usize) -> bool {
        self.looks = self.looks.saturating_add(1);
        if !self.looks.is_power_of_two() && threads <= self.most {
            return false;
        }
        self.most = self.most.max(threads);
        // It may have ended, or belong to somebody else: then what was known stays.
        let Ok(target) = Target::open(self.seen.pid) else {
            return false;
        };
        if let Ok(executable) = target.executable() {
            self.seen.executable = executable.to_string_lossy().into_owned();
        }
        if let Ok(environment) = target.environment() {
            self.seen.environment = environment;
        }
        if let Ok(files) = target.mapped_files() {
            let loaded = files.iter().filter(|file| file.is_loaded());
            let paths = loaded.map(|file| file.path.to_string_lossy().into_owned());
            self.seen
                .runtimes
                .extend(paths.filter(|path| is_runtime(path)));
        }
        self.seen.cpus = cpus(self.seen.pid);
        true
    }
}

impl ProcessUse {
    /// Asks the memory of the process where these threads began. What was known of threads that are not there any more goes, since
    /// their numbers may be given again.
    pub fn read_starts(&mut self, threads: &BTreeSet<u32>) {
        self.starts = stacks::starts(self.pid, threads);
    }
}

/// Whether a file is one of a runtime, by its name.
pub(super) fn is_runtime(path: &str) -> bool {
    let name = who::file_name(path);
    who::runtime(name).is_some() || Group::of_file(path, "").kind.is_pool()
}

/// The CPUs that the threads may use.
fn cpus(pid: u32) -> BTreeSet<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    let mut all = BTreeSet::new();
    for task in tasks.into_iter().flatten().flatten().take(ASKED) {
        let status = fs::read(task.path().join("status")).unwrap_or_default();
        let status = String::from_utf8_lossy(&status);
        let list = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        all.extend(list.into_iter().flat_map(numbers));
    }
    all
}

/// The numbers of a list such as `0-3,8`.
fn numbers(list: &str) -> Vec<u32> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    };
    list.split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus_are_read() {
        assert_eq!(numbers("\t0-3,8\n"), [0, 1, 2, 3, 8]);
        assert_eq!(numbers("5"), [5]);
        assert!(numbers("").is_empty());
    }

    #[test]
    fn without_the_agent_only_a_single_pool_is_guessed() {
        let mut process = ProcessUse {
            pid: 7,
            executable: "/bin/job".to_owned(),
            ..ProcessUse::default()
        };
        assert_eq!(process.group_of(7, None).name, "job");
        assert_eq!(process.group_of(8, None).name, "job");
        process.runtimes.insert("/lib/libgomp.so.1".to_owned());
        assert_eq!(process.group_of(8, None).name, "libgomp");
        process.runtimes.insert("/lib/libopenblas.so.0".to_owned());
        assert_eq!(process.group_of(8, None).kind, GroupKind::Unknown);
        process.starts.insert(8, "/lib/libgomp.so.1".to_owned());
        assert_eq!(process.group_of(8, None).name, "libgomp");
        let made = Made {
            start: Some("/lib/libopenblas.so.0".to_owned()),
            ..Made::default()
        };
        assert_eq!(process.group_of(8, Some(&made)).name, "libopenblas");
        assert_eq!(process.group_of(7, None).name, "job");
    }
}
