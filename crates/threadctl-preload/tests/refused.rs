//! Programs in which the library does nothing: those with more rights than their caller, which are told so, and static ones, which
//! it never sees.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod preloaded;

use preloaded::{compiled, library, preload, program, run, text};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

/// With everything asked for that the library obeys.
fn asking(path: &Path, counts: &Path) -> Command {
    let mut command = program(path);
    command.env("THREADCTL_COUNT_CALLS", counts);
    command.env("THREADCTL_LOG", "trace");
    command.env("THREADCTL_LIMITS", "blas=1");
    command
}

#[test]
fn a_set_uid_program_is_left_as_it_is() {
    const NOBODY: u32 = 65534;
    // Below the target folder: elsewhere set-uid programs may be forbidden. Others have to read what is in it.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    // The loader leaves out what LD_PRELOAD names there, so the program is linked with it.
    let own = folder.path().join("libthreadctl_preload.so");
    fs::copy(preload(), &own).unwrap();
    let openblas = library("openblas-pthread");
    let search = format!(
        "-Wl,-rpath,{}:{}",
        folder.path().display(),
        openblas.parent().unwrap().display()
    );
    let arguments = [
        "-Wl,--no-as-needed",
        own.to_str().unwrap(),
        openblas.to_str().unwrap(),
        &search,
    ];
    let once = compiled(folder.path().join("once"), "fixtures/once.c", &arguments);
    let counts = folder.path().join("counts");

    let output = run(&mut asking(&once, &counts));
    assert_eq!(output.stdout, b"10\n", "{}", text(&output));
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("its calls go through dispatch"), "{log}");
    fs::remove_file(&counts).unwrap();

    chown(&once, Some(NOBODY), None)
        .expect("this test gives a program to another user: run it as root");
    fs::set_permissions(&once, Permissions::from_mode(0o4755)).unwrap();
    let output = run(&mut asking(&once, &counts));
    assert_eq!(output.stdout, b"10\n", "{}", text(&output));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "threadctl-preload: this program has more rights than its caller, so its calls are left as they are\n"
    );
    assert!(!counts.exists());

    // Preloaded, it is not there at all.
    let plain = compiled(
        folder.path().join("plain"),
        "fixtures/once.c",
        &[openblas.to_str().unwrap(), &search],
    );
    chown(&plain, Some(NOBODY), None).unwrap();
    fs::set_permissions(&plain, Permissions::from_mode(0o4755)).unwrap();
    let output = run(asking(&plain, &counts).env("LD_PRELOAD", &own));
    assert_eq!(output.stdout, b"10\n", "{}", text(&output));
    assert!(!counts.exists());
}

#[test]
fn a_static_program_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let once = compiled(
        folder.path().join("once"),
        "fixtures/once.c",
        &["-static", "-DWITHOUT_BLAS"],
    );
    let counts = folder.path().join("counts");
    let output = run(asking(&once, &counts).env("LD_PRELOAD", preload()));
    assert_eq!(output.stdout, b"10\n", "{}", text(&output));
    assert_eq!(output.stderr, b"");
    assert!(!counts.exists());
}
