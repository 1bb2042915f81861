//! Programs over the provider, linked by the toolchain's own linker (rust-lld on x86-64 Linux) and by GNU ld; and a test
//! program, which is linked with it too. Each runs.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../../common/mod.rs"]
mod common;

use common::library;
use object::{Object as _, ObjectSection as _};
use std::path::Path;
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
