//! Layer 5: what goes on in a process, seen from outside.
//!
//! [`inspect`] looks at another process through `/proc` (`target`) and the files that it has mapped (`image`), and
//! reports its runtimes by the same catalog and the same rules as [`runtimes`](crate::runtimes) does in this one
//! (`outside`). It is read-only: the process is not stopped, signalled or written to, and none of its libraries is
//! loaded here, so looking at a process of somebody else runs nothing of theirs.
//!
//! A file counts as loaded only if its code is mapped to be run; one that is merely read through a mapping does not.
//!
//! [`Observer`] watches processes for a while: whose threads run, whose wait for a CPU, and for how long (`observe`, by way of
//! `tree`, `process`, `tasks`, `schedstat` and `machine`). The preload agent's records (`agent`) add which library made
//! each thread (`who`) and the final times of those that end; who was runnable at the same time as a pool is added up look by look
//! (`beside`), and which threads call it is read from their stacks (`calls`, `stacks`); [`Report`] is all of it together (`report`, `join`, `facts`), and
//! [`findings`] what it means (`rules`). [`doctor()`] looks at the machine before any run.
//!
//! Known limitations: a library is recognised by the name of its file, not by that of a link to it; on Linux only.

mod agent;
mod beside;
mod calls;
mod constant;
mod doctor;
mod facts;
mod image;
mod join;
mod library;
mod machine;
mod observe;
mod outside;
mod process;
mod report;
mod rules;
mod schedstat;
mod stacks;
mod target;
mod tasks;
mod timeline;
mod tree;
mod who;

pub use agent::AgentFile;
pub use doctor::{Check, doctor};
pub use machine::Throttling;
pub use observe::Observer;
pub use report::{
    Asleep, Beside, CoresAllowed, GroupReport, ProcessGroup, ProcessSummary, Report, Runnable,
    RuntimeFile, Switches, Totals, Wait,
};
pub use rules::{Confidence, Finding, RULES, Rule, findings};
pub use schedstat::{QueueTime, QueueTimes};
pub use tasks::Tasks;
pub use timeline::{Point, Stretch, Timeline};
pub use who::GroupKind;

use crate::error::Result;
use crate::runtime::catalog;
use crate::runtime::describe::PLAIN;
use crate::runtime::scan::{self, Identity};
use crate::runtime::{RuntimeInfo, openmp, rayon};
use image::Image;
use outside::Outside;
use std::collections::BTreeMap;
use std::path::PathBuf;
use target::{MappedFile, Target};

/// What [`inspect`] found.
///
/// ```
/// let report = threadctl::diagnose::inspect(std::process::id())?;
/// println!("{} threads on {} CPUs", report.threads, report.allowed_cpus.count);
/// # Ok::<(), threadctl::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ProcessReport {
    /// The process; for the number of one of its threads, the process that it belongs to.
    pub pid: u32,
    /// The program's file, as the process sees it. Serialised as text: bytes that are not UTF-8 become U+FFFD.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "crate::runtime::info::lossy_path")
    )]
    pub executable: PathBuf,
    /// How many threads it has now.
    pub threads: u32,
    /// The CPUs that its first thread may run on.
    pub allowed_cpus: CpuList,
    /// Variables that settle numbers of threads, from the environment that it was started with. What the program has
    /// changed since then is not in here.
    pub environment: BTreeMap<String, String>,
    /// Its runtimes, in the order of their addresses. Fields that cannot be known from outside are `None`, each with
    /// its reason in [`unknown`](RuntimeInfo::unknown).
    pub runtimes: Vec<RuntimeInfo>,
    /// Combinations among them that are known to fail, in words.
    pub conflicts: Vec<String>,
    /// Files that may be runtimes but could not be read, in words.
    pub unreadable: Vec<String>,
}

/// A set of CPUs.
///
/// ```
/// let report = threadctl::diagnose::inspect(std::process::id())?;
/// assert!(report.allowed_cpus.count >= 1);
/// assert!(!report.allowed_cpus.list.is_empty());
/// # Ok::<(), threadctl::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct CpuList {
    /// How many they are.
    pub count: u32,
    /// Their numbers as ranges: `0-3,8`.
    pub list: String,
}

impl CpuList {
    fn of_ranges(ranges: &[(u32, u32)]) -> Self {
        let list: Vec<_> = ranges
            .iter()
            .map(|(first, last)| {
                if first == last {
                    first.to_string()
                } else {
                    format!("{first}-{last}")
                }
            })
            .collect();
        CpuList {
            count: ranges.iter().map(|(first, last)| last - first + 1).sum(),
            list: list.join(","),
        }
    }
}

/// Looks at the process `pid` from outside.
///
/// Nothing is stopped, written or called there. The process may change while it is looked at; each value is what it was
/// at some moment of the call.
///
/// # Errors
/// [`ErrorKind::System`](crate::ErrorKind::System): there is no such process, it ended meanwhile or is a zombie, it is
/// a thread of the kernel, or this user may not look at it. A file that cannot be read is no error; see
/// [`ProcessReport::unreadable`].
///
/// ```
/// let report = threadctl::diagnose::inspect(std::process::id())?;
/// for runtime in &report.runtimes {
///     println!("{}: {:?} threads", runtime.internal_api, runtime.num_threads);
/// }
/// assert!(threadctl::diagnose::inspect(u32::MAX).is_err());
/// # Ok::<(), threadctl::Error>(())
/// ```
pub fn inspect(pid: u32) -> Result<ProcessReport> {
    let target = Target::open(pid)?;
    let mut files = target.mapped_files()?;
    let environment = target.environment()?;
    // A program that was replaced by `exec` just now is mapped under another name; then its file is none of these.
    let executable = target.executable().unwrap_or_default();
    // A program may have moved its code out of its file, to larger pages; it is loaded all the same.
    files.retain(|file| file.is_loaded() || file.path == executable);
    let beside: Vec<String> = files.iter().map(file_name).collect();

    let mut found: Vec<Found> = Vec::new();
    let mut unreadable = Vec::new();
    for file in &files {
        let is_program = file.path == executable;
        let name = file_name(file);
        let is_named_so = catalog::ROWS
            .iter()
            .any(|row| row.prefix_of(&name).is_some());
        if !is_program && !is_named_so {
            continue;
        }
        let image = target
            .open_file(file)
            .and_then(|open| Image::read(open, target.through, file, outside::is_wanted));
        match image {
            Ok(image) if is_program => found.extend(in_program(&image, file, &beside)),
            Ok(image) => found.extend(in_library(&image, file, &name, &beside)),
            Err(why) => unreadable.push(why),
        }
    }
    target.still_there()?;

    scan::keep_one_of_each(&mut found, |found| Identity {
        internal_api: &found.info.internal_api,
        filepath: &found.info.filepath,
        one_per_process: found.one_per_process,
        rank: found.rank,
    });
    let llvm_openmp: Vec<String> = found
        .iter()
        .filter(|found| found.is_llvm_openmp)
        .map(|found| found.info.filepath.display().to_string())
        .collect();
    let runtimes: Vec<RuntimeInfo> = found.into_iter().map(|found| found.info).collect();
    Ok(ProcessReport {
        pid: target.pid,
        executable,
        threads: target.threads,
        allowed_cpus: CpuList::of_ranges(&target.allowed_cpus),
        environment,
        conflicts: openmp::conflict_among(&llvm_openmp).into_iter().collect(),
        runtimes,
        unreadable,
    })
}

/// A runtime, and what tells whether it is a part of another.
struct Found {
    info: RuntimeInfo,
    one_per_process: bool,
    rank: usize,
    is_llvm_openmp: bool,
}

/// The runtime that a library is, by the rules of the scan in this process: its name, and a symbol that it exports.
fn in_library(image: &Image, file: &MappedFile, name: &str, beside: &[String]) -> Option<Found> {
    catalog::ROWS.iter().find_map(|row| {
        let (rank, prefix) = row.prefix_of(name)?;
        let affixes = scan::affixes_of(row, |symbol| image.exports(symbol))?;
        let outside = Outside {
            image,
            affixes,
            path: &file.path,
            beside,
        };
        Some(Found {
            info: outside::describe(row, prefix, &outside),
            one_per_process: row.one_per_process,
            rank,
            is_llvm_openmp: image.exports(openmp::LLVM_SYMBOL),
        })
    })
}

/// The runtimes that the program contains itself.
fn in_program(image: &Image, file: &MappedFile, beside: &[String]) -> Vec<Found> {
    let outside = |affixes| Outside {
        image,
        affixes,
        path: &file.path,
        beside,
    };
    let mut found: Vec<Found> = catalog::ROWS
        .iter()
        .filter_map(|row| {
            let affixes = scan::affixes_of(row, |symbol| image.has(symbol))?;
            Some(Found {
                info: outside::describe(row, "", &outside(affixes)),
                one_per_process: row.one_per_process,
                rank: usize::MAX,
                is_llvm_openmp: row.user_api == "openmp" && image.has(openmp::LLVM_SYMBOL),
            })
        })
        .collect();
    let registry = image.names().find(|name| rayon::is_registry(name));
    if let Some(registry) = registry
        && let Some(Ok(1..)) = image.live_pointer(registry)
    {
        found.push(Found {
            info: outside::rayon(&outside(PLAIN)),
            one_per_process: true,
            rank: 0,
            is_llvm_openmp: false,
        });
    }
    found
}

fn file_name(file: &MappedFile) -> String {
    file.path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::CpuList;

    #[test]
    fn cpus_are_counted_and_written_as_ranges() {
        let cpus = CpuList::of_ranges(&[(0, 3), (8, 8)]);
        assert_eq!((cpus.count, cpus.list.as_str()), (5, "0-3,8"));
        assert_eq!(CpuList::of_ranges(&[]), CpuList::default());
    }
}
