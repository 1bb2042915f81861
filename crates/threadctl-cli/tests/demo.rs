//! `threadctl demo` as its users meet it: small runs over the real libraries, and every way to be refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

#[path = "../../../tests/common/mod.rs"]
mod common;

use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Output, Stdio};

use assert_cmd::cargo::cargo_bin;
use serde::Deserialize;

/// The document as a reader of version 1 knows it; a field that is not here is a change of the contract.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    schema: String,
    threadctl: String,
    data: String,
    rows: usize,
    features: usize,
    candidates: usize,
    workers: usize,
    cores: usize,
    rounds: usize,
    blas: Vec<Library>,
    modes: Vec<Mode>,
    agree: bool,
    notes: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Library {
    filepath: String,
    internal_api: String,
    #[allow(dead_code, reason = "named so that it is allowed")]
    version: Option<String>,
    #[allow(dead_code, reason = "named so that it is allowed")]
    threading_layer: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mode {
    mode: String,
    seconds: Spread,
    ratio: f64,
    cores_used: Spread,
    peak_runnable_threads: usize,
    run_queue_wait_share: Option<Spread>,
    chosen: Option<Chosen>,
    not_positive_definite: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
    rounds: Vec<f64>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Chosen {
    candidate: usize,
    length_scale: f64,
    noise_variance: f64,
    signal_variance: f64,
    log_marginal_likelihood: f64,
}

fn threadctl() -> Command {
    let mut command = Command::new(cargo_bin!("threadctl"));
    command.stdin(Stdio::null());
    command
}

fn demo(libraries: &[&str], args: &[&str]) -> Command {
    let mut command = threadctl();
    command.arg("demo");
    for key in libraries {
        command.arg("--blas").arg(common::library(key));
    }
    command.args(args);
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn document(command: &mut Command) -> Document {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(
        stderr(&output),
        "",
        "no progress bar when that is not a terminal"
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_cores_are_those_of_threadctl_cores() {
    let mut command = demo(
        &["openblas-pthread"],
        &[
            "--rows",
            "30",
            "--candidates",
            "2",
            "--rounds",
            "1",
            "--json",
        ],
    );
    let document = document(command.env("THREADCTL_NUM_THREADS", "1"));
    assert_eq!((document.cores, document.workers), (1, 1));
}

/// A run so small that its times mean nothing; what it says must hold all the same.
fn small_run(libraries: &[&str], api: &str) -> Document {
    let mut command = demo(
        libraries,
        &[
            "--rows",
            "60",
            "--candidates",
            "4",
            "--workers",
            "2",
            "--rounds",
            "2",
            "--json",
        ],
    );
    // MKL loads its layers and its OpenMP runtime by name.
    command.env("LD_LIBRARY_PATH", common::mkl_folder());
    let document = document(&mut command);

    assert_eq!(document.schema, "threadctl.demo/1");
    assert_eq!(document.threadctl, env!("CARGO_PKG_VERSION"));
    assert_eq!(
        (document.rows, document.features, document.candidates),
        (60, 11, 4)
    );
    assert_eq!((document.workers, document.rounds), (2, 2));
    assert!(document.data.contains("wine"), "{}", document.data);
    assert!(document.cores >= 1);
    assert!(document.agree, "{:?}", document.notes);
    assert!(
        document
            .blas
            .iter()
            .any(|library| library.internal_api == api),
        "{:?}",
        document.blas
    );
    assert!(
        document
            .blas
            .iter()
            .all(|library| library.filepath.starts_with('/')),
        "{:?}",
        document.blas
    );

    let names: Vec<_> = document
        .modes
        .iter()
        .map(|mode| mode.mode.as_str())
        .collect();
    assert_eq!(names, ["defaults", "blas_at_one", "threadctl"]);
    for mode in &document.modes {
        assert!(mode.chosen.is_some());
        assert_eq!(mode.not_positive_definite, 0);
        assert_eq!(mode.seconds.rounds.len(), 2);
        assert!(mode.seconds.min > 0.0 && mode.seconds.min <= mode.seconds.median);
        assert!(mode.seconds.median <= mode.seconds.max);
        assert!(mode.cores_used.median > 0.0);
        let expected = mode.seconds.median / document.modes[0].seconds.median;
        assert!(
            (mode.ratio - expected).abs() < 1e-9,
            "{} is not {expected}",
            mode.ratio
        );
        if let Some(share) = &mode.run_queue_wait_share {
            assert!(
                (0.0..=1.0).contains(&share.min) && share.max <= 1.0,
                "{share:?}"
            );
        }
        let chosen = |mode: &Mode| mode.chosen.as_ref().map(|chosen| chosen.candidate);
        assert_eq!(chosen(mode), chosen(&document.modes[0]));
    }
    document
}

#[test]
fn the_openblas_wheel_runs() {
    small_run(&["scipy-openblas32"], "openblas");
}

#[test]
fn the_openblas_wheel_with_64_bit_integers_runs() {
    small_run(&["scipy-openblas64"], "openblas");
}

#[test]
fn debians_openblas_with_pthreads_runs() {
    small_run(&["openblas-pthread"], "openblas");
}

#[test]
fn debians_openblas_with_openmp_runs() {
    small_run(&["openblas-openmp"], "openblas");
}

#[test]
fn mkl_runs() {
    small_run(&["mkl-rt"], "mkl");
}

#[test]
fn blis_runs_with_a_lapack_beside_it() {
    small_run(&["blis-openmp", "openblas-pthread"], "blis");
}

#[test]
fn all_libraries_choose_the_same() {
    let one = small_run(&["scipy-openblas32"], "openblas");
    let other = small_run(&["mkl-rt"], "mkl");
    let (one, other) = (
        one.modes[0].chosen.as_ref().unwrap(),
        other.modes[0].chosen.as_ref().unwrap(),
    );
    assert_eq!(one.candidate, other.candidate);
    assert!(
        (one.log_marginal_likelihood - other.log_marginal_likelihood).abs() < 1e-6,
        "{one:?} {other:?}"
    );
}

#[test]
fn the_threads_of_a_full_run_are_seen() {
    // Long enough (some hundred samples even on a fast machine) for the sampler to find both workers runnable.
    let document = document(&mut demo(
        &["openblas-pthread"],
        &[
            "--rows",
            "800",
            "--candidates",
            "60",
            "--workers",
            "2",
            "--rounds",
            "1",
            "--json",
        ],
    ));
    for mode in &document.modes {
        assert!(mode.peak_runnable_threads >= 2, "{mode:?}");
    }
}

#[test]
fn a_file_of_ones_own_is_used_and_what_was_left_out_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.csv");
    let rows: String = (0..40)
        .map(|i| format!("{i};5;{}\n", (i * 7) % 11))
        .collect();
    std::fs::write(&file, format!("x;same;y\n{rows}")).unwrap();
    let document = document(
        demo(
            &["scipy-openblas32"],
            &["--candidates", "5", "--rounds", "1", "--json", "--data"],
        )
        .arg(&file),
    );
    assert_eq!(
        (document.rows, document.features, document.candidates),
        (40, 1, 5)
    );
    assert!(document.data.ends_with("mine.csv"));
    assert!(
        document
            .notes
            .iter()
            .any(|note| note.contains("constant: same")),
        "{:?}",
        document.notes
    );
}

#[test]
fn the_table_has_a_row_per_way_and_no_escape_codes_off_a_terminal() {
    let output = demo(
        &["scipy-openblas32"],
        &["--rows", "60", "--candidates", "4", "--rounds", "1"],
    )
    .output()
    .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    for expected in [
        "defaults",
        "BLAS at 1",
        "threadctl",
        "ratio",
        "All runs chose the same",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

/// Runs and must be refused with exit code 2, nothing on stdout, and these words on stderr.
fn refused(command: &mut Command, words: &[&str]) {
    let output = command.output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(output.stdout.is_empty());
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text}");
    }
}

#[test]
fn a_broken_csv_is_refused_with_line_column_and_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broken.csv");
    std::fs::write(&file, "pH,quality\n3.1,5\n3.2,good\n").unwrap();
    refused(
        threadctl().arg("demo").arg("--data").arg(&file),
        &["broken.csv: line 3, column 2 (quality): \"good\" is not a number"],
    );
    refused(
        threadctl()
            .args(["demo", "--data"])
            .arg(folder.path().join("absent.csv")),
        &["cannot open", "absent.csv", "No such file"],
    );
    refused(
        threadctl().args(["demo", "--data"]).arg(folder.path()),
        &["cannot read", "directory"],
    );
}

#[test]
fn a_library_that_cannot_serve_is_refused_with_what_to_do() {
    let absent = ["demo", "--rows", "10", "--blas", "libabsent-blas.so.9"];
    refused(
        threadctl().args(absent),
        &["libabsent-blas.so.9", "libopenblas0-pthread"],
    );
    refused(
        threadctl().args(["demo", "--blas", "libm.so.6"]),
        &["libm.so.6 has no dgemm_"],
    );
    refused(
        &mut demo(&["blis-openmp"], &[]),
        &["libblis.so.4 has no dpotrf_", "--blas liblapack.so.3"],
    );
}

#[test]
fn sizes_that_make_no_sense_are_refused() {
    refused(
        threadctl().args(["demo", "--rows", "1600"]),
        &["--rows 1600", "has 1599 rows"],
    );
    refused(
        threadctl().args(["demo", "--rows", "1"]),
        &["--rows", "2..=100000"],
    );
    refused(
        threadctl().args(["demo", "--candidates", "0"]),
        &["--candidates"],
    );
    for (option, most) in [
        ("--workers", "1024"),
        ("--candidates", "10000"),
        ("--rounds", "100"),
        ("--rows", "100000"),
    ] {
        let least = if option == "--rows" { 2 } else { 1 };
        let accepted = format!("{least}..={most}");
        for value in ["0", &format!("{most}0")] {
            refused(
                threadctl().args(["demo", option, value]),
                &[option, value, &accepted],
            );
        }
    }
}

#[test]
fn more_memory_than_there_is_is_refused_before_it_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("long.csv");
    let rows: String = (0..100_000).map(|i| format!("{i},{}\n", i % 7)).collect();
    std::fs::write(&file, rows).unwrap();
    // 80 GB a matrix, two for each worker.
    refused(
        threadctl()
            .args(["demo", "--workers", "1024", "--rows", "100000", "--data"])
            .arg(&file),
        &["100000 rows with 1024 workers", "memory"],
    );
    let all = format!("100000 rows with {} workers", threadctl::cores().count());
    refused(
        threadctl()
            .args(["demo", "--workers", "-1", "--rows", "100000", "--data"])
            .arg(&file),
        &[&all, "memory"],
    );
}

#[test]
fn what_would_block_is_refused_and_standard_input_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = common::make_fifo(folder.path());
    refused(
        threadctl().args(["demo", "--data"]).arg(&fifo),
        &["fifo", "a FIFO", "/dev/stdin"],
    );
    refused(
        threadctl().args(["demo", "--blas"]).arg(&fifo),
        &["fifo", "a FIFO"],
    );
    let mut child = demo(
        &["scipy-openblas32"],
        &[
            "--candidates",
            "3",
            "--rounds",
            "1",
            "--json",
            "--data",
            "/dev/stdin",
        ],
    )
    .stdin(Stdio::piped())
    .stdout(Stdio::piped())
    .spawn()
    .unwrap();
    let rows: String = (0..30)
        .map(|i| format!("{i},5;{}\n", (i * 7) % 11))
        .collect();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), rows.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let document: Document = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((document.rows, document.features), (30, 1));
    assert_eq!(document.data, "/dev/stdin");
}

#[test]
fn a_library_whose_name_is_not_utf_8_is_opened_by_its_exact_name() {
    let folder = tempfile::tempdir().unwrap();
    let name = std::ffi::OsStr::from_bytes(b"libopenblas\xff.so.0");
    let path = folder.path().join(name);
    std::fs::copy(common::library("openblas-pthread"), &path).unwrap();
    let document = document(
        demo(
            &[],
            &[
                "--rows",
                "30",
                "--candidates",
                "2",
                "--rounds",
                "1",
                "--json",
                "--blas",
            ],
        )
        .arg(&path),
    );
    assert!(
        document.blas[0]
            .filepath
            .ends_with("libopenblas\u{fffd}.so.0"),
        "{:?}",
        document.blas
    );
}

#[test]
fn a_run_that_is_too_short_to_measure_says_so() {
    let short = small_run(&["scipy-openblas32"], "openblas");
    let noted = |document: &Document| {
        document
            .notes
            .iter()
            .any(|note| note.starts_with("Too short to measure") && note.contains("--candidates"))
    };
    assert!(noted(&short), "{:?}", short.notes);
    assert!(
        !short
            .notes
            .iter()
            .any(|note| note.starts_with("Other processes")),
        "{:?}",
        short.notes
    );
}

#[test]
fn the_hidden_child_explains_itself() {
    refused(threadctl().arg("demo-child"), &["cannot read the job"]);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let args = [
        "--rows",
        "20",
        "--candidates",
        "2",
        "--rounds",
        "1",
        "--json",
    ];
    let mut child = demo(&["scipy-openblas32"], &args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stderr(&output), "");
}
