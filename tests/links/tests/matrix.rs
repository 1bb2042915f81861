//! Programs over the provider, linked in every way: debug, release, thin and fat LTO, each by the toolchain's own linker
//! (rust-lld on x86-64 Linux) and by GNU ld; and a test program, which is linked with it too. Each runs.
//!
//! The debug cells are the programs that cargo has built for this test. The others are built here, in a folder of their own:
//! what they depend on is compiled once, as objects and as bitcode, and not optimised, which is the time that it would take;
//! a cell is the last step alone, LTO and the linker.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../../common/mod.rs"]
mod common;

use common::library;
use object::{Object as _, ObjectSection as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which linker made a program: rust-lld leaves its name, GNU ld does not.
fn by_lld(program: &Path) -> bool {
    let bytes = std::fs::read(program).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let comment = file.section_by_name(".comment").unwrap();
    String::from_utf8_lossy(comment.data().unwrap()).contains("Linker: LLD")
}

/// Runs a program of ours on the wheel's OpenBLAS, which has LAPACKE.
fn is_right(program: &Path, what: &str) {
    let backend = library("scipy-openblas32");
    let mut command = Command::new(program);
    common::without_thread_variables(&mut command);
    let output = command.env("THREADCTL_BACKEND", &backend).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    let on = backend.canonicalize().unwrap();
    assert!(
        output.status.success() && text.contains(on.to_str().unwrap()),
        "{what}, {}: {text}",
        output.status
    );
}

fn is_linked_as_said(program: &Path, gnu: bool, what: &str) {
    // Elsewhere the toolchain's own may be GNU ld too.
    let own_is_lld = cfg!(all(
        target_arch = "x86_64",
        target_os = "linux",
        target_env = "gnu"
    ));
    assert_eq!(by_lld(program), !gnu && own_is_lld, "{what}: the linker");
}

/// Builds a program of this package with these flags for its own compilation, and returns where it is.
fn built(program: &str, flags: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("matrix");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["rustc", "--locked", "--offline", "--quiet", "--release"]);
    cargo.args(["--bin", program, "--target-dir"]);
    cargo.arg(&folder).arg("--").args(flags);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    // Of what cargo and the test runner set, the compiler is told nothing: what it was told last time must not differ.
    for (name, _) in std::env::vars_os() {
        let ours = name.to_str().is_some_and(|name| {
            ["CARGO_", "NEXTEST", "RUST", "LD_LIBRARY_PATH"]
                .iter()
                .any(|start| name.starts_with(start))
                && !["CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"].contains(&name)
        });
        if ours {
            cargo.env_remove(name);
        }
    }
    // By default, rlibs for programs without LTO have no bitcode, and those for programs with LTO nothing else.
    cargo.env("RUSTFLAGS", "-Cembed-bitcode=yes");
    cargo.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0");
    cargo.env("CARGO_PROFILE_RELEASE_DEBUG", "0");
    cargo.env("CARGO_INCREMENTAL", "0");
    let output = cargo.output().unwrap();
    assert!(
        output.status.success(),
        "{program} {flags:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    folder.join("release").join(program)
}

/// One test, since cargo's lock on the folder would have several wait for each other. What LTO does when it optimises takes three
/// times as long as the rest of a cell, so one has it.
#[test]
fn in_release_with_and_without_lto_by_both_linkers() {
    for (lto, program, optimised) in [
        ("-Clto=off", "links", "0"),
        ("-Clto=off", "links-gnu", "0"),
        ("-Clto=thin", "links", "0"),
        ("-Clto=thin", "links-gnu", "0"),
        ("-Clto=fat", "links", "0"),
        ("-Clto=fat", "links-gnu", "1"),
    ] {
        let what = format!("release, {lto}, {program}");
        let path = built(program, &[lto, &format!("-Copt-level={optimised}")]);
        is_linked_as_said(&path, program == "links-gnu", &what);
        is_right(&path, &what);
    }
}

#[test]
fn in_debug_by_both_linkers() {
    for (program, gnu) in [
        (env!("CARGO_BIN_EXE_links"), false),
        (env!("CARGO_BIN_EXE_links-gnu"), true),
    ] {
        is_linked_as_said(Path::new(program), gnu, "debug");
        is_right(Path::new(program), "debug");
    }
}

#[test]
fn in_this_test() {
    // The test program is linked with the provider itself.
    common::in_own_process(
        "in_this_test",
        &[(
            "THREADCTL_BACKEND",
            library("scipy-openblas32").to_str().unwrap(),
        )],
        || {
            let on = links::check(true).unwrap();
            assert!(on.contains("libscipy_openblas"), "{on}");
        },
    );
}
