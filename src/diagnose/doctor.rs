//! The machine and the environment before any run: what would make numerical programs slow here, or hide why they are.
//!
//! Invariants: nothing is loaded and nothing is changed. What is good is told too, since it is what was looked at.

use super::schedstat::QueueTime;
use super::who;
use crate::cores::Cores;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// One thing that was looked at.
///
/// ```
/// for check in threadctl::diagnose::doctor() {
///     println!("{} {}: {}", if check.good { "ok" } else { "!!" }, check.subject, check.found);
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Check {
    /// `cores`, `library`, `setting` or `kernel`.
    pub section: &'static str,
    /// What was looked at.
    pub subject: String,
    /// What was found.
    pub found: String,
    /// Whether that is as it should be.
    pub good: bool,
    /// What to type or to do, where it is not, or where it could be better.
    pub remedy: Option<String>,
}

impl Check {
    fn good(section: &'static str, subject: impl Into<String>, found: impl Into<String>) -> Self {
        Check {
            section,
            subject: subject.into(),
            found: found.into(),
            good: true,
            remedy: None,
        }
    }

    fn bad(
        section: &'static str,
        subject: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Check {
            good: false,
            ..Check::poorer(section, subject, found, remedy)
        }
    }

    /// Good enough: something is left out without it.
    fn poorer(
        section: &'static str,
        subject: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Check {
            remedy: Some(remedy.into()),
            ..Check::good(section, subject, found)
        }
    }
}

/// Looks at the cores, the libraries that a program would get, the settings of this environment, and the kernel.
///
/// ```
/// let checks = threadctl::diagnose::doctor();
/// assert!(checks.iter().any(|check| check.section == "cores"));
/// ```
pub fn doctor() -> Vec<Check> {
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .map(|(name, value)| {
            (
                name.to_string_lossy().into_owned(),
                value.to_string_lossy().into_owned(),
            )
        })
        .collect();
    let cores = crate::cores();
    let mut checks = of_cores(&cores);
    checks.extend(of_libraries(&search_path(&environment)));
    checks.extend(of_settings(&environment, cores.count()));
    checks.extend(of_kernel(Path::new("/proc")));
    checks
}

fn of_cores(cores: &Cores) -> Vec<Check> {
    let binding = cores.binding();
    let mut checks = vec![Check::good(
        "cores",
        format!("{} may be used", cores.count()),
        format!("by the {}: {}", binding.kind, binding.detail),
    )];
    checks.extend(cores.problems().iter().map(|problem| {
        Check::bad(
            "cores",
            "constraint",
            problem,
            "threadctl cores --explain    # all constraints",
        )
    }));
    checks
}

/// Names by which programs ask for BLAS and OpenMP.
const LIBRARIES: &[&str] = &[
    "libblas.so.3",
    "liblapack.so.3",
    "libopenblas.so.0",
    "libblis.so.4",
    "libmkl_rt.so.2",
    "libgomp.so.1",
    "libomp.so.5",
    "libiomp5.so",
];

/// The folders that the loader looks into, and why.
fn search_path(environment: &BTreeMap<String, String>) -> Vec<(PathBuf, &'static str)> {
    let set = environment
        .get("LD_LIBRARY_PATH")
        .map_or("", String::as_str);
    let mut folders: Vec<(PathBuf, &'static str)> = set
        .split([':', ';'])
        .filter(|folder| !folder.is_empty())
        .map(|folder| (PathBuf::from(folder), "LD_LIBRARY_PATH"))
        .collect();
    let listed = configured(Path::new("/etc/ld.so.conf"), NESTED);
    folders.extend(listed.into_iter().map(|folder| (folder, "ld.so.conf")));
    let system = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"];
    folders.extend(system.map(|folder| (PathBuf::from(folder), "system folder")));
    folders
}

/// How deep files of `ld.so.conf` may include others; none does so more than once, but one may include itself.
const NESTED: u32 = 8;

/// The folders that a file of `ldconfig` lists, in its order: what it includes (all of a folder by a pattern, sorted) stands in the
/// place of the `include`. As in ldconfig(8), `#` begins a comment, and paths that are not whole are those beside the file.
fn configured(file: &Path, nested: u32) -> Vec<PathBuf> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut folders = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let mut words = line.split_ascii_whitespace();
        if words.next() == Some("include") {
            for pattern in words {
                let pattern = file.parent().unwrap_or(Path::new("/")).join(pattern);
                // Sorted by name. What is no pattern, or cannot be read, includes nothing.
                let files = pattern.to_str().and_then(|text| glob::glob(text).ok());
                for file in files.into_iter().flatten().flatten() {
                    if nested > 0 {
                        folders.extend(configured(&file, nested - 1));
                    }
                }
            }
        } else if line.starts_with('/') {
            folders.push(PathBuf::from(line));
        }
    }
    folders
}

/// Which file a program that asks for each library would get.
fn of_libraries(folders: &[(PathBuf, &'static str)]) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut found_blas = false;
    for name in LIBRARIES {
        let hit = folders.iter().find_map(|(folder, why)| {
            let path = folder.join(name);
            // Links of links: /etc/alternatives decides for many.
            Some((path.canonicalize().ok()?, path, *why))
        });
        let Some((real, path, why)) = hit else {
            continue;
        };
        let chosen = fs::read_link(&path).ok();
        let chosen = chosen.filter(|link| link.starts_with("/etc/alternatives"));
        let why = match chosen.as_deref().and_then(Path::file_name) {
            Some(key) => by_alternatives(&key.to_string_lossy(), name, &real),
            None => why.to_owned(),
        };
        found_blas |= !name.contains("omp");
        let shown = real.display().to_string();
        checks.push(if shown.contains("openblas-serial") {
            Check::bad(
                "library",
                *name,
                format!("{shown} (by {why}): wrong results where several threads call it"),
                "sudo apt install libopenblas0-pthread, and choose it with update-alternatives",
            )
        } else if is_reference(&real) && *name == "libblas.so.3" {
            Check::bad(
                "library",
                *name,
                format!("{shown} (by {why}): the reference BLAS, many times slower than others, on one core"),
                "sudo apt install libopenblas0-pthread",
            )
        } else {
            Check::good("library", *name, format!("{shown} (by {why})"))
        });
    }
    if !found_blas {
        checks.push(Check::good(
            "library",
            "BLAS",
            "none installed for all programs; wheels bring their own",
        ));
    }
    checks
}

/// That `update-alternatives` has chosen a file, and which others it could.
fn by_alternatives(key: &str, name: &str, chosen: &Path) -> String {
    // Debian's, and Fedora's.
    let folders = ["/var/lib/dpkg/alternatives", "/var/lib/alternatives"];
    let list = folders
        .iter()
        .find_map(|folder| fs::read_to_string(Path::new(folder).join(key)).ok());
    let others: Vec<String> = candidates(&list.unwrap_or_default(), name)
        .into_iter()
        .filter(|file| {
            let real = Path::new(file).canonicalize();
            real.is_ok_and(|real| real != chosen)
        })
        .collect();
    if others.is_empty() {
        "update-alternatives".to_owned()
    } else {
        format!(
            "update-alternatives; also installed: {}; `sudo update-alternatives --config {key}` chooses",
            others.join(", ")
        )
    }
}

/// The files of this name in a list of alternatives, which follow an empty line: above it is what they stand for.
fn candidates(list: &str, name: &str) -> Vec<String> {
    let (_, choices) = list.split_once("\n\n").unwrap_or_default();
    let files = choices.lines().filter(|line| line.starts_with('/'));
    files
        .filter(|file| who::file_name(file) == name)
        .map(str::to_owned)
        .collect()
}

/// Debian's netlib BLAS: /usr/lib/ARCHITECTURE/blas/libblas.so.3.x.
fn is_reference(real: &Path) -> bool {
    let folder = real
        .parent()
        .and_then(Path::file_name)
        .and_then(|name| name.to_str());
    folder == Some("blas") && who::file_name(&real.to_string_lossy()).starts_with("libblas")
}

/// Variables that settle numbers of threads; each row is one number for one runtime.
const NUMBERS: &[&str] = &[
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "GOTO_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "JULIA_NUM_THREADS",
];

/// Of BLAS libraries: they should say the same, since a program rarely has just one.
const OF_BLAS: &[&str] = &[
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
];

/// Values with which threads that have nothing to do never sleep.
const SPINNING: &[(&str, &[&str])] = &[
    ("OMP_WAIT_POLICY", &["active"]),
    ("KMP_BLOCKTIME", &["infinite"]),
    ("GOMP_SPINCOUNT", &["infinite", "infinity"]),
];

fn of_settings(environment: &BTreeMap<String, String>, cores: u32) -> Vec<Check> {
    let number = |name: &str| -> Option<Result<u32, String>> {
        let text = environment.get(name)?;
        let first = text.split(',').next().unwrap_or_default().trim();
        Some(first.parse().map_err(|_| text.clone()))
    };
    let mut checks = Vec::new();
    for name in NUMBERS {
        match number(name) {
            None => {}
            Some(Ok(threads)) if threads > cores => checks.push(Check::bad(
                "setting",
                format!("{name}={threads}"),
                format!("more threads than the {cores} cores"),
                format!("export {name}={cores}"),
            )),
            Some(Ok(0)) | Some(Err(_)) => checks.push(Check::bad(
                "setting",
                *name,
                format!(
                    "{:?} is no number of threads, so it is not heeded",
                    environment.get(*name).map_or("", String::as_str)
                ),
                format!("export {name}={cores}    # or: unset {name}"),
            )),
            Some(Ok(threads)) => checks.push(Check::good(
                "setting",
                format!("{name}={threads}"),
                "fits the cores",
            )),
        }
    }
    let values: BTreeSet<u32> = OF_BLAS
        .iter()
        .filter_map(|name| number(name)?.ok())
        .collect();
    if values.len() > 1 {
        let set: Vec<String> = OF_BLAS
            .iter()
            .filter_map(|name| Some(format!("{name}={}", number(name)?.ok()?)))
            .collect();
        checks.push(Check::bad(
            "setting",
            "BLAS and OpenMP",
            format!(
                "{} contradict each other: which one holds depends on the library",
                set.join(", ")
            ),
            "eval \"$(threadctl env)\"    # sets all of them to the same",
        ));
    }
    for (name, values) in SPINNING {
        let value = environment.get(*name).map_or("", |value| value.trim());
        if values.iter().any(|known| value.eq_ignore_ascii_case(known)) {
            checks.push(Check::bad(
                "setting",
                format!("{name}={value}"),
                "idle OpenMP threads keep their cores busy",
                format!("unset {name}"),
            ));
        }
    }
    if checks.is_empty() {
        checks.push(Check::good(
            "setting",
            "threads",
            "no variable sets a number of threads",
        ));
    }
    checks
}

/// Only run-queue wait is what diagnosis cannot do without: reports that lack other figures have the same findings.
fn of_kernel(root: &Path) -> Vec<Check> {
    let mut checks = vec![match QueueTime::of_calling_thread() {
        Some(_) => Check::good("kernel", "run-queue wait", "/proc/PID/schedstat is there"),
        None => Check::bad(
            "kernel",
            "run-queue wait",
            "/proc/PID/schedstat is missing or empty: what threads wait cannot be told",
            "a kernel with CONFIG_SCHED_INFO, and /proc mounted",
        ),
    }];
    checks.push(if fs::read_to_string(root.join("pressure/cpu")).is_ok() {
        Check::good("kernel", "CPU pressure", "/proc/pressure/cpu is there")
    } else {
        Check::poorer(
            "kernel",
            "CPU pressure",
            "/proc/pressure/cpu cannot be read: reports go without it",
            "boot with psi=1 (a kernel with CONFIG_PSI)",
        )
    });
    checks.push(if root.join("self/sched").exists() {
        Check::good("kernel", "migrations", "/proc/PID/sched is there")
    } else {
        Check::poorer(
            "kernel",
            "migrations",
            "/proc/PID/sched is missing: reports have a lower bound, of what looks see",
            "a kernel with CONFIG_SCHED_DEBUG",
        )
    });
    // Only for looking at processes that this one has not started.
    let scope = fs::read_to_string(root.join("sys/kernel/yama/ptrace_scope")).unwrap_or_default();
    checks.push(match scope.trim() {
        "" | "0" | "1" => Check::good("kernel", "processes of this user", "may be looked at"),
        other => Check::bad(
            "kernel",
            "processes of this user",
            format!("kernel.yama.ptrace_scope={other} hides what they have in memory"),
            "sudo sysctl kernel.yama.ptrace_scope=1",
        ),
    });
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Vec<Check> {
        let set = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        of_settings(&set.collect(), 4)
    }

    #[test]
    fn settings_that_fit_and_agree_are_good() {
        assert!(settings(&[]).iter().all(|check| check.good));
        let checks = settings(&[("OMP_NUM_THREADS", "4,1"), ("OPENBLAS_NUM_THREADS", "4")]);
        assert!(
            checks.len() == 2 && checks.iter().all(|check| check.good),
            "{checks:?}"
        );
    }

    #[test]
    fn settings_that_do_not_fit_or_contradict_or_mean_nothing_are_not() {
        for pairs in [
            &[("OMP_NUM_THREADS", "5")][..],
            &[("OPENBLAS_NUM_THREADS", "0")],
            &[("MKL_NUM_THREADS", "two")],
            &[("OMP_NUM_THREADS", "4"), ("MKL_NUM_THREADS", "1")],
            &[("OMP_WAIT_POLICY", " Active ")],
            &[("GOMP_SPINCOUNT", "infinity")],
        ] {
            let bad: Vec<_> = settings(pairs)
                .into_iter()
                .filter(|check| !check.good)
                .collect();
            assert_eq!(bad.len(), 1, "{pairs:?}: {bad:?}");
            assert!(bad[0].remedy.is_some());
        }
    }

    #[test]
    fn folders_are_in_the_order_of_the_files_that_list_them() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        fs::create_dir(at("more.d")).unwrap();
        for (file, text) in [
            (
                "ld.so.conf",
                "/first\n# /not\n  include more.d/*.conf none.d/*\n/last  # why\ninclude ld.so.conf\n",
            ),
            ("more.d/20-b.conf", "/b\n"),
            ("more.d/10-a.conf", "/a\nhwcap 1 nosegneg\nrelative\n"),
            ("more.d/00-saved.conf.old", "/old\n"),
        ] {
            fs::write(at(file), text).unwrap();
        }
        let found = configured(&at("ld.so.conf"), 0);
        assert_eq!(found, ["/first", "/last"].map(PathBuf::from));
        let found = configured(&at("ld.so.conf"), 1);
        let expected = ["/first", "/a", "/b", "/last", "/first", "/last"];
        assert_eq!(found, expected.map(PathBuf::from));
        assert!(configured(&at("none"), NESTED).is_empty());
    }

    #[test]
    fn a_kernel_that_tells_less_is_good_enough_and_says_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let checks = of_kernel(folder.path());
        assert!(checks.iter().all(|check| check.good), "{checks:?}");
        for subject in ["CPU pressure", "migrations"] {
            let check = checks.iter().find(|check| check.subject == subject);
            assert!(check.unwrap().remedy.is_some(), "{checks:?}");
        }
        fs::create_dir_all(folder.path().join("sys/kernel/yama")).unwrap();
        fs::write(folder.path().join("sys/kernel/yama/ptrace_scope"), "3\n").unwrap();
        assert!(!of_kernel(folder.path()).iter().all(|check| check.good));
    }

    #[test]
    fn alternatives_are_the_files_of_that_name_below_the_empty_line() {
        let list = "auto\n/usr/lib/x86_64-linux-gnu/libblas.so.3\n\n/usr/lib/atlas/libblas.so.3\n35\n\
            /usr/lib/openblas-pthread/libblas.so.3\n100\n/usr/lib/openblas-pthread/libblas.so\n";
        assert_eq!(
            candidates(list, "libblas.so.3"),
            [
                "/usr/lib/atlas/libblas.so.3",
                "/usr/lib/openblas-pthread/libblas.so.3"
            ]
        );
        assert!(candidates("", "libblas.so.3").is_empty());
    }

    #[test]
    fn the_first_folder_decides_which_library_a_program_gets() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for path in ["openblas-serial", "blas", "other"] {
            fs::create_dir(at(path)).unwrap();
        }
        for file in [
            "openblas-serial/libopenblas.so.0",
            "blas/libblas.so.3",
            "other/libblas.so.3",
        ] {
            fs::write(at(file), "").unwrap();
        }
        let path = |names: &[&str]| {
            names
                .iter()
                .map(|name| (at(name), "test"))
                .collect::<Vec<_>>()
        };
        let checks = of_libraries(&path(&["other", "blas", "openblas-serial"]));
        let good = |name: &str| {
            checks
                .iter()
                .find(|check| check.subject == name)
                .map(|check| check.good)
        };
        assert_eq!(good("libblas.so.3"), Some(true), "{checks:?}");
        assert_eq!(good("libopenblas.so.0"), Some(false));
        let checks = of_libraries(&path(&["blas"]));
        assert!(!checks[0].good, "{checks:?}");
        assert!(of_libraries(&[])[0].found.contains("none installed"));
    }
}
