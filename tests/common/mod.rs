//! What the tests with real libraries share: where the libraries are, and a process of one's own for each case.
//!
//! Invariant: a library that is missing fails the test with the package to install; nothing is skipped.
#![allow(
    dead_code,
    clippy::panic,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "each test file uses a part of it, and a test fails by panicking"
)]

use std::path::PathBuf;
use std::process::Command;

/// The manifest that `cargo xtask setup` writes.
const MANIFEST: &str = "THREADCTL_TEST_LIBS";

/// Names the one case that a child process is for.
pub const CASE: &str = "THREADCTL_TEST_CASE";

/// Beginnings of the names of variables that decide how many threads a runtime has, or how it behaves with them:
/// `OPENBLAS_NUM_THREADS`, `OMP_THREAD_LIMIT`, `KMP_ALL_THREADS`, `MKL_DYNAMIC`, `BLIS_JC_NT`, `GOTO_NUM_THREADS` ...
pub const THREAD_VARIABLES: &[&str] = &[
    "OPENBLAS_",
    "OMP_",
    "GOMP_",
    "KMP_",
    "MKL_",
    "BLIS_",
    "GOTO_",
    "THREADCTL_LIMITS",
    "THREADCTL_SCOPE",
];

/// The path of a library of the manifest.
pub fn library(key: &str) -> PathBuf {
    let json = manifest();
    let entry = &json["libraries"][key];
    let path = entry["path"].as_str().unwrap_or_else(|| {
        let why = json["absent"][key]
            .as_str()
            .unwrap_or("run `cargo xtask setup`");
        panic!("the manifest has no {key:?}: {why}")
    });
    let package = entry["package"].as_str().unwrap_or("unknown");
    assert!(
        std::path::Path::new(path).exists(),
        "{path} is missing: install the package {package}, or run `cargo xtask setup`"
    );
    PathBuf::from(path)
}

/// Why this release of the system cannot have a library at all, if so.
pub fn absent(key: &str) -> Option<String> {
    manifest()["absent"][key].as_str().map(str::to_owned)
}

fn manifest() -> serde_json::Value {
    let file = std::env::var(MANIFEST).unwrap_or_else(|_| {
        panic!(
            "{MANIFEST} is not set: run `cargo xtask test`, or `cargo xtask setup` and set it to the file it names"
        )
    });
    let text = std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{file}: {error}; run `cargo xtask setup`"));
    serde_json::from_str(&text).expect("the manifest is JSON")
}

/// Opens a library of the manifest, for good.
pub fn load(key: &str) -> &'static libloading::os::unix::Library {
    load_path(&library(key))
}

/// Opens a library as a program that links it would, for good.
pub fn load_path(path: &std::path::Path) -> &'static libloading::os::unix::Library {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LAZY};
    // SAFETY: the initialisers of a BLAS or an OpenMP runtime, in a process that has just begun.
    let library = unsafe { Library::open(Some(path), RTLD_LAZY | RTLD_GLOBAL) }
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Box::leak(Box::new(library))
}

/// Calls an `int (void)` of a library.
pub fn get(library: &libloading::os::unix::Library, name: &str) -> i32 {
    // SAFETY: the callers name functions of this type.
    let function =
        unsafe { library.get::<unsafe extern "C" fn() -> i32>(name) }.expect("the function");
    // SAFETY: as above; the library is open.
    unsafe { function() }
}

/// Calls a `void (int)` of a library.
pub fn set(library: &libloading::os::unix::Library, name: &str, value: i32) {
    // SAFETY: the callers name functions of this type.
    let function = unsafe { library.get::<unsafe extern "C" fn(i32)>(name) }.expect("the function");
    // SAFETY: as above; the library is open.
    unsafe { function(value) }
}

/// Runs `body` in a process of its own, so that one BLAS alone is loaded, with `environment` set from the start.
/// `test` is the full name of the test function that calls this.
pub fn in_own_process(test: &str, environment: &[(&str, &str)], body: impl FnOnce()) {
    if std::env::var(CASE).as_deref() == Ok(test) {
        body();
        return;
    }
    let program = std::env::current_exe().expect("the test program's path");
    let mut command = Command::new(program);
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
    command.env(CASE, test);
    // The settings of whoever runs the tests must not decide them.
    without_thread_variables(&mut command);
    command.envs(environment.iter().copied());
    let output = command.output().expect("the test program starts again");
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{test} in its own process ended with {}:\n{text}",
        output.status
    );
}

/// Takes the settings of threads away from a command.
pub fn without_thread_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if THREAD_VARIABLES.iter().any(|known| text.starts_with(known)) {
            command.env_remove(&name);
        }
    }
    // Nor what was measured on their machine.
    command.env("THREADCTL_TUNING", "off");
}

/// Makes a FIFO, which blocks whoever opens it.
pub fn make_fifo(folder: &std::path::Path) -> PathBuf {
    let path = folder.join("fifo");
    let made = Command::new("mkfifo")
        .arg(&path)
        .status()
        .expect("mkfifo of coreutils");
    assert!(made.success(), "mkfifo {}", path.display());
    path
}

/// The folder with MKL and the runtimes that it loads by name, as a value for LD_LIBRARY_PATH.
pub fn mkl_folder() -> String {
    library("mkl-libs")
        .to_str()
        .expect("a UTF-8 path")
        .to_owned()
}
