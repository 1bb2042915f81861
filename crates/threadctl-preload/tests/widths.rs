//! Two libraries in one process that call their routines the same, one with 32-bit integers and one with 64: each caller's
//! calls go to the library that it brought.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod preloaded;

use preloaded::{compiled, library, program, run, run_preloaded, text};
use std::path::{Path, PathBuf};

/// A module over a library of the manifest.
fn module(folder: &Path, key: &str, wide: bool) -> PathBuf {
    let library = library(key);
    let search = format!("-Wl,-rpath,{}", library.parent().unwrap().display());
    let mut arguments = vec!["-shared", "-fPIC", library.to_str().unwrap(), &search];
    if wide {
        arguments.push("-DWIDE");
    }
    compiled(
        folder.join(format!("{key}.so")),
        "fixtures/product.c",
        &arguments,
    )
}

#[test]
fn each_caller_reaches_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let narrow = module(folder.path(), "openblas-pthread", false);
    let wide = module(folder.path(), "openblas64-pthread", true);
    let main = compiled(folder.path().join("main"), "fixtures/modules.c", &["-ldl"]);
    for modules in [[&narrow, &wide], [&wide, &narrow]] {
        let (output, counts) = run_preloaded(program(&main).args(modules));
        assert_eq!(output.stdout, b"right\n", "{}", text(&output));
        assert_eq!(output.stderr, b"", "{}", text(&output));
        assert_eq!(counts[0]["dgemm_"], 6, "{counts:?}");
        assert_eq!(counts[0]["dgesv_"], 6, "{counts:?}");
    }
}

#[test]
fn a_call_that_could_be_anybodys_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let narrow = module(folder.path(), "openblas-pthread", false);
    let wide = module(folder.path(), "openblas64-pthread", true);
    let main = compiled(folder.path().join("main"), "fixtures/modules.c", &["-ldl"]);
    let mut command = program(&main);
    command.arg(narrow).arg(wide).arg("more");
    command.env("LD_PRELOAD", preloaded::preload());
    let output = run(&mut command);
    let words = text(&output);
    assert!(!output.status.success(), "{words}");
    for part in ["daxpy_", "32-bit", "64-bit", "cannot be told"] {
        assert!(words.contains(part), "{words}");
    }
}
