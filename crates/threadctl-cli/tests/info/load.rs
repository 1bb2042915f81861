//! `threadctl info` on its own process: the real libraries, each in a run of its own, and every way to fail.
use crate::common;
use crate::document::{Document, Runtime};
use assert_cmd::Command;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

fn threadctl() -> Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_threadctl"));
    // The settings of whoever runs the tests must not decide them.
    common::without_thread_variables(&mut command);
    Command::from_std(command)
}

fn info_of(keys: &[&str]) -> Document {
    let mut command = threadctl();
    command.args(["info", "--json"]);
    for key in keys {
        command.arg("--load").arg(common::library(key));
    }
    Document::parse(&command.assert().success().get_output().stdout)
}

fn only(document: &Document, internal_api: &str) -> Runtime {
    let found: Vec<_> = document
        .runtimes
        .iter()
        .filter(|runtime| runtime.internal_api == internal_api)
        .collect();
    assert_eq!(found.len(), 1, "{internal_api}: {document:#?}");
    found[0].clone()
}

/// Standard error of a run that must end with exit code 2.
fn refusal(args: &[&str]) -> String {
    let assert = threadctl().args(args).assert().code(2);
    assert_eq!(String::from_utf8_lossy(&assert.get_output().stdout), "");
    String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
}

#[test]
fn each_openblas_build_is_told_from_the_others() {
    for (key, layer, scope) in [
        ("openblas-pthread", "pthreads", "process"),
        ("openblas-openmp", "openmp", "thread"),
        ("openblas-serial", "disabled", "fixed"),
        ("scipy-openblas32", "pthreads", "process"),
        ("scipy-openblas64", "pthreads", "process"),
    ] {
        let path = common::library(key);
        let runtime = only(&info_of(&[key]), "openblas");
        assert_eq!(runtime.filepath, path.canonicalize().unwrap(), "{key}");
        assert_eq!(runtime.user_api, "blas", "{key}");
        assert_eq!(runtime.threading_layer.as_deref(), Some(layer), "{key}");
        assert_eq!(runtime.setter_scope, scope, "{key}");
        assert!(
            runtime.version.is_some() && runtime.architecture.is_some(),
            "{key}"
        );
        let ilp64 = key == "scipy-openblas64";
        assert_eq!(
            runtime.interface.integers,
            if ilp64 { "ilp64" } else { "lp64" },
            "{key}"
        );
        let callers = if layer == "disabled" {
            "unsafe"
        } else {
            "safe"
        };
        assert_eq!(runtime.concurrent_callers, callers, "{key}");
    }
}

#[test]
fn blis_with_threads_is_process_scoped_before_1_0_and_thread_scoped_since() {
    for key in ["blis-openmp", "blis-pthread"] {
        let runtime = only(&info_of(&[key]), "blis");
        let version = runtime.version.as_deref().unwrap();
        let scope = if version.starts_with("0.") {
            "process"
        } else {
            "thread"
        };
        assert_eq!(runtime.setter_scope, scope, "{key} {version}");
        assert!(runtime.num_threads.is_some(), "{key}");
    }
}

#[test]
fn atlas_is_reported_and_fixed() {
    if let Some(why) = common::absent("atlas") {
        // Debian 13 has no ATLAS: no package to install, and the manifest says so.
        assert!(why.contains("libatlas3-base"), "{why}");
        return;
    }
    let runtime = only(&info_of(&["atlas"]), "atlas");
    assert_eq!(runtime.setter_scope, "fixed");
    assert!(runtime.num_threads.is_some());
}

#[test]
fn serial_blis_mkl_and_openmp_are_reported() {
    for (key, api, scope) in [
        ("blis-serial", "blis", "fixed"),
        ("mkl-rt", "mkl", "both"),
        ("gomp", "openmp", "thread"),
        ("omp", "openmp", "thread"),
        ("iomp5", "openmp", "thread"),
    ] {
        let runtime = only(&info_of(&[key]), api);
        assert_eq!(runtime.setter_scope, scope, "{key}");
        assert!(runtime.num_threads.is_some(), "{key}");
    }
}

#[test]
fn the_environment_of_the_run_decides_the_number() {
    let library = common::library("openblas-pthread");
    let mut command = threadctl();
    command
        .env("OPENBLAS_NUM_THREADS", "1")
        .args(["info", "--json", "--load"])
        .arg(library);
    let document = Document::parse(&command.assert().success().get_output().stdout);
    assert_eq!(only(&document, "openblas").num_threads, Some(1));
}

#[test]
fn several_libraries_are_reported_together_and_a_repeated_one_once() {
    let document = info_of(&["openblas-pthread", "blis-pthread", "openblas-pthread"]);
    let apis: Vec<_> = document
        .runtimes
        .iter()
        .map(|runtime| &*runtime.internal_api)
        .collect();
    assert_eq!(apis, ["openblas", "blis"]);
}

#[test]
fn two_openmp_runtimes_that_clash_are_a_warning_and_no_crash() {
    let document = info_of(&["omp", "iomp5"]);
    assert_eq!(document.runtimes.len(), 2);
    assert_eq!(document.conflicts.len(), 1, "{document:#?}");
    assert!(
        document
            .runtimes
            .iter()
            .all(|runtime| runtime.num_threads.is_none())
    );
    assert!(
        document
            .runtimes
            .iter()
            .all(|runtime| runtime.unknown.contains_key("num_threads"))
    );
}

#[test]
fn without_a_library_there_is_nothing_to_report() {
    assert!(info_of(&[]).runtimes.is_empty());
    let assert = threadctl().arg("info").assert().success();
    let text = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    assert!(text.contains("--load"), "{text}");
}

#[test]
fn the_table_fits_80_columns_but_for_paths() {
    for keys in [
        &["openblas-pthread", "blis-openmp", "omp"][..],
        &["mkl-rt"],
        &["omp", "iomp5"],
    ] {
        let mut command = threadctl();
        command.arg("info");
        for key in keys {
            command.arg("--load").arg(common::library(key));
        }
        let assert = command.assert().success();
        let text = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
        for line in text.lines().filter(|line| !line.contains('/')) {
            assert!(line.chars().count() <= 80, "{line}");
        }
        assert!(!text.contains('\u{1b}'), "no colours into a pipe: {text}");
    }
}

#[test]
fn a_name_that_the_loader_does_not_know_is_refused() {
    let text = refusal(&["info", "--load", "libnosuchblas.so.7"]);
    assert!(
        text.contains("libnosuchblas.so.7") && text.contains("LD_LIBRARY_PATH"),
        "{text}"
    );
}

#[test]
fn a_path_without_a_file_is_refused() {
    let text = refusal(&["info", "--load", "/nonexistent/libopenblas.so.0"]);
    assert!(
        text.contains("/nonexistent/libopenblas.so.0") && text.contains("no such file"),
        "{text}"
    );
}

#[test]
fn a_file_that_is_no_shared_object_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let text = refusal(&[
        "info",
        "--load",
        &write("notes.txt", b"a text, longer than any header"),
    ]);
    assert!(
        text.contains("notes.txt") && text.contains("no shared object"),
        "{text}"
    );
    let text = refusal(&["info", "--load", &write("empty.so", b"")]);
    assert!(
        text.contains("empty.so") && text.contains("no shared object"),
        "{text}"
    );
    let text = refusal(&["info", "--load", folder.path().to_str().unwrap()]);
    assert!(text.contains("directory"), "{text}");
    let text = refusal(&["info", "--load", env!("CARGO_BIN_EXE_threadctl")]);
    assert!(text.contains("program"), "{text}");
}

#[test]
fn a_file_whose_name_is_not_utf_8_is_reported_in_both_forms() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder
        .path()
        .canonicalize()
        .unwrap()
        .join(std::ffi::OsStr::from_bytes(b"libgomp\xff.so.1"));
    std::fs::copy(common::library("gomp"), &path).unwrap();
    let run = |options: &[&str]| {
        let mut command = threadctl();
        command.arg("info").args(options).arg("--load").arg(&path);
        command.assert().success().get_output().stdout.clone()
    };
    let document = Document::parse(&run(&["--json"]));
    let shown = path.to_string_lossy().into_owned();
    assert!(shown.ends_with("libgomp\u{fffd}.so.1"));
    assert_eq!(only(&document, "openmp").filepath, Path::new(&shown));
    assert!(String::from_utf8(run(&[])).unwrap().contains(&shown));
}

#[test]
fn what_would_block_the_loader_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = common::make_fifo(folder.path());
    let link = folder.path().join("link.so");
    std::os::unix::fs::symlink(&fifo, &link).unwrap();
    for path in [&fifo, &link] {
        let path = path.to_str().unwrap();
        let text = refusal(&["info", "--load", path]);
        assert!(text.contains(path) && text.contains("a FIFO"), "{text}");
    }
    let text = refusal(&["info", "--load", "/dev/zero"]);
    assert!(text.contains("a device"), "{text}");
    // A bare name is looked up by the loader; the file of that name here is only looked at to explain the failure.
    let assert = threadctl()
        .current_dir(folder.path())
        .args(["info", "--load", "fifo"])
        .assert()
        .code(2);
    let text = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(text.contains("write ./fifo"), "{text}");
}

#[test]
fn a_library_for_another_machine_is_refused_by_the_name_of_that_machine() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("libforeign.so");
    // A real library of this machine, relabelled as one for s390x: the header is all that the loader reads of it.
    let mut bytes = std::fs::read(common::library("gomp")).unwrap();
    let machine = if cfg!(target_endian = "big") {
        [0, 22]
    } else {
        [22, 0]
    };
    bytes[18..20].copy_from_slice(&machine);
    std::fs::write(&path, bytes).unwrap();
    let text = refusal(&["info", "--load", path.to_str().unwrap()]);
    assert!(
        text.contains("s390x") && text.contains(std::env::consts::ARCH),
        "{text}"
    );
}

#[test]
fn a_bare_name_is_not_looked_for_in_the_working_folder() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(common::library("gomp"), folder.path().join("libmygomp.so")).unwrap();
    let run = |name: &str| {
        threadctl()
            .current_dir(folder.path())
            .args(["info", "--load", name])
            .assert()
    };
    let assert = run("libmygomp.so").code(2);
    let text = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(text.contains("./libmygomp.so"), "{text}");
    run("./libmygomp.so").success();
}

#[test]
fn pid_and_load_exclude_each_other() {
    let text = refusal(&["info", "--pid", "1", "--load", "libopenblas.so.0"]);
    assert!(text.contains("--pid") && text.contains("--load"), "{text}");
}

#[test]
fn help_shows_examples() {
    let assert = threadctl().args(["info", "--help"]).assert().success();
    let text = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    assert!(
        text.contains("threadctl info --load libopenblas.so.0"),
        "{text}"
    );
    assert!(text.contains("threadctl info --pid"), "{text}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let library = common::library("openblas-pthread");
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_threadctl"))
        .args(["info", "--json", "--load"])
        .arg(Path::new(&library))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn limits_of_the_environment_are_in_force_on_what_is_loaded() {
    for (limits, expected) in [("openblas=1", 1), ("blas=3,openmp=1", 3)] {
        let mut command = threadctl();
        command
            .args(["info", "--json", "--load"])
            .arg(common::library("openblas-pthread"))
            .env("OPENBLAS_NUM_THREADS", "2")
            .env("THREADCTL_LIMITS", limits);
        let document = Document::parse(&command.assert().success().get_output().stdout);
        let runtime = only(&document, "openblas");
        assert_eq!(runtime.num_threads, Some(expected), "{limits}");
    }
}
