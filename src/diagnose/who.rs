//! Whose threads they are: the group of a thread, from the file that its start routine is in.
//!
//! A data table and the catalog of runtimes; pure.

use crate::runtime::catalog;

/// What kind of code makes the threads of a group, from the outside in: a thread of one kind may call into those that
/// come after it.
///
/// ```
/// use threadctl::diagnose::GroupKind;
/// assert!(GroupKind::Program < GroupKind::Blas);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum GroupKind {
    /// The program: its first thread, those of its own code (rayon, std, pthreads), of its interpreter.
    Program,
    /// A library that is no known runtime.
    Library,
    /// TBB's workers.
    Tasks,
    /// An OpenMP runtime's.
    Openmp,
    /// A BLAS library's.
    Blas,
    /// Nobody saw who made them.
    Unknown,
}

impl GroupKind {
    /// Whether it is a pool inside a library, that others call.
    pub(super) fn is_pool(self) -> bool {
        matches!(self, GroupKind::Tasks | GroupKind::Openmp | GroupKind::Blas)
    }
}

/// A group's name and kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Group {
    pub kind: GroupKind,
    pub name: String,
}

/// Beginnings of file names, their group, and its kind; runtimes of the catalog need no row here.
const FILES: &[(&str, &str, GroupKind)] = &[
    ("libpython", "python", GroupKind::Program),
    ("libR.", "R", GroupKind::Program),
    ("liboctinterp", "octave", GroupKind::Program),
    ("liboctave", "octave", GroupKind::Program),
    ("libjulia", "julia", GroupKind::Program),
    ("libiomp", "libiomp5", GroupKind::Openmp),
    ("libmkl_", "libmkl", GroupKind::Blas),
    ("libtbb", "tbb", GroupKind::Tasks),
];

/// Programs that are known by a shorter name.
const PROGRAMS: &[(&str, &str)] = &[
    ("python", "python"),
    ("octave", "octave"),
    ("julia", "julia"),
];

impl Group {
    /// Of threads that nobody can tell anything about.
    pub fn unknown() -> Self {
        Group {
            kind: GroupKind::Unknown,
            name: "unknown".to_owned(),
        }
    }

    /// Of the program's own threads.
    pub fn of_program(executable: &str) -> Self {
        let name = file_name(executable);
        let known = PROGRAMS.iter().find(|(prefix, _)| name.starts_with(prefix));
        Group {
            kind: GroupKind::Program,
            name: known.map_or(name, |(_, name)| name).to_owned(),
        }
    }

    /// Of threads whose start routine is in `file`.
    pub fn of_file(file: &str, executable: &str) -> Self {
        let name = file_name(file);
        if name == file_name(executable) {
            return Group::of_program(executable);
        }
        let group = |kind, name: &str| Group {
            kind,
            name: name.to_owned(),
        };
        if let Some((_, known, kind)) = FILES.iter().find(|(prefix, ..)| name.starts_with(prefix)) {
            return group(*kind, known);
        }
        match runtime(name) {
            Some((user_api @ "openmp", _, prefix)) => {
                debug_assert_eq!(user_api, "openmp");
                group(GroupKind::Openmp, prefix)
            }
            Some(("blas", internal_api, _)) => {
                group(GroupKind::Blas, &format!("lib{internal_api}"))
            }
            _ => group(GroupKind::Library, stem(name)),
        }
    }
}

/// `user_api`, `internal_api` and prefix of a runtime's file, by its name.
pub(super) fn runtime(file_name: &str) -> Option<(&'static str, &'static str, &'static str)> {
    catalog::ROWS.iter().find_map(|row| {
        let (_, prefix) = row.prefix_of(file_name)?;
        Some((row.user_api, row.internal_api, prefix))
    })
}

pub(super) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Without the version: `libc.so.6` is `libc`.
fn stem(name: &str) -> &str {
    name.split_once(".so").map_or(name, |(stem, _)| stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_whatever_hash_or_version_they_carry() {
        for (file, kind, name) in [
            (
                "/x/numpy.libs/libscipy_openblas64_-32a4b2a6.so",
                GroupKind::Blas,
                "libopenblas",
            ),
            (
                "/usr/lib/openblas-pthread/libopenblasp-r0.3.21.so",
                GroupKind::Blas,
                "libopenblas",
            ),
            ("/usr/lib/libgomp.so.1", GroupKind::Openmp, "libgomp"),
            (
                "/x/scikit_learn.libs/libgomp-a34b3233.so.1.0.0",
                GroupKind::Openmp,
                "libgomp",
            ),
            (
                "/usr/lib/llvm-14/lib/libomp.so.5",
                GroupKind::Openmp,
                "libomp",
            ),
            ("/x/libiomp5.so", GroupKind::Openmp, "libiomp5"),
            ("/x/libmkl_core.so.2", GroupKind::Blas, "libmkl"),
            ("/x/libtbb.so.12", GroupKind::Tasks, "tbb"),
            ("/usr/lib/libblis.so.4", GroupKind::Blas, "libblis"),
            (
                "/usr/lib/libpython3.11.so.1.0",
                GroupKind::Program,
                "python",
            ),
            ("/usr/bin/python3.11", GroupKind::Program, "python"),
            ("/x/polars.abi3.so", GroupKind::Library, "polars.abi3"),
            ("/lib/libc.so.6", GroupKind::Library, "libc"),
        ] {
            let group = Group::of_file(file, "/usr/bin/python3.11");
            assert_eq!((group.kind, group.name.as_str()), (kind, name), "{file}");
        }
    }

    #[test]
    fn a_program_goes_by_its_own_name() {
        let group = Group::of_file("./job", "/home/me/job");
        assert_eq!(
            (group.kind, group.name.as_str()),
            (GroupKind::Program, "job")
        );
    }
}
