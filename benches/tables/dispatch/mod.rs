//! Dispatch beside the libraries' own threads. Each library is measured in a process of its own.

pub mod calls;
mod cases;
mod drivers;
pub mod lapack;
pub mod nested;
pub mod nested_lapack;
pub mod processes;
pub mod small;
pub mod tiles;
mod waited;
mod workload;

use super::{CASE, machine};
use crate::common::{CASES, Case, against, geometric_mean, manifest};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use threadctl::dispatch::Blas;

/// For how long OpenBLAS's idle threads go on spinning after a call, and some: until then they would sit on a core that
/// the next column needs.
const SETTLE: Duration = Duration::from_millis(130);

/// The libraries of these tables: keys of the manifest.
pub const LIBRARIES: &[&str] = &[
    "scipy-openblas32",
    "openblas-pthread",
    "mkl-rt",
    "blis-openmp",
];

/// All of them, or the one that `THREADCTL_BENCH_LIBRARY` names: each takes minutes.
fn libraries() -> impl Iterator<Item = &'static Case> {
    let only = std::env::var("THREADCTL_BENCH_LIBRARY").ok();
    LIBRARIES
        .iter()
        .filter(move |key| only.as_ref().is_none_or(|only| only == *key))
        .filter_map(|key| CASES.iter().find(|case| case.key == *key))
}

/// What children print, one for each library, which measure `what`; `environment` is added to theirs.
pub fn children(what: &str, library: &Case, environment: &[(&str, &str)]) -> String {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .env(CASE, format!("{what}:{}", library.key))
        .env("LD_LIBRARY_PATH", manifest("mkl-libs", "path"))
        .envs(environment.iter().copied())
        .stderr(Stdio::inherit())
        .output()
        .expect("a child starts");
    assert!(
        output.status.success(),
        "{what} of {}: {}",
        library.key,
        output.status
    );
    String::from_utf8(output.stdout).expect("text")
}

/// The child's side: the library is loaded, whatever it needs before.
pub fn path(case: &Case) -> PathBuf {
    crate::common::open_named("libm.so.6");
    crate::common::open(case.key);
    PathBuf::from(manifest(case.key, "path"))
}

/// Calls go to the library as they are.
fn direct(case: &Case) -> Blas {
    direct_at(&PathBuf::from(manifest(case.key, "path")))
}

fn direct_at(path: &Path) -> Blas {
    // SAFETY: a BLAS of the manifest, or a copy of it.
    unsafe { Blas::open_direct(path) }.expect("it opens")
}

/// Calls are shared; the library is held at one thread while this lives.
pub fn shared(case: &Case) -> Blas {
    // SAFETY: a BLAS of the manifest.
    unsafe { Blas::open(&PathBuf::from(manifest(case.key, "path"))) }.expect("it opens")
}

/// The middle of a sample that is not empty.
fn median(sample: &[f64]) -> f64 {
    crate::common::spread(sample.to_vec()).median
}

pub fn footnote(text: &str) -> String {
    format!("\n{text} {}\n", machine())
}
