//! The testers of the reference libraries, and numpy's tests of its linear algebra, over the preload library: the same verdicts as without it, also with calls cut into the
//! smallest tiles that there can be.
//!
//! The longest inputs are shortened, and two are left out, for the sake of the time that a whole run of all tests may take. With
//! `THREADCTL_TESTERS=whole` everything is run as it is.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod preloaded;

use preloaded::{Counts, library, program, run, run_preloaded, text};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// One run of a tester: its program, and what it reads.
struct Tester<'a> {
    program: &'a str,
    input: Option<&'a Path>,
}

/// Whether nothing is to be left out.
fn is_whole() -> bool {
    match std::env::var("THREADCTL_TESTERS") {
        Err(std::env::VarError::NotPresent) => false,
        Ok(value) if value == "whole" => true,
        other => panic!("THREADCTL_TESTERS is {other:?}: only `whole` is known"),
    }
}

/// How a tester is run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Alone,
    Preloaded,
    SmallTiles,
}

/// Everything that it wrote, by file, and what was counted. `search` has the libraries that it is to find.
fn outcome(
    tester: &Tester<'_>,
    folder: &Path,
    search: &Path,
    way: Way,
) -> (BTreeMap<String, String>, Counts) {
    // They write files where they are.
    let here = tempfile::tempdir().unwrap();
    let mut command = program(folder.join(tester.program));
    command.current_dir(here.path());
    command.env("LD_LIBRARY_PATH", search);
    command.stdin(match tester.input {
        Some(input) => Stdio::from(File::open(input).unwrap()),
        None => Stdio::null(),
    });
    if way == Way::SmallTiles {
        command.env("THREADCTL_TILES", "small");
    }
    let (output, counts) = match way {
        Way::Alone => (run(&mut command), Counts::new()),
        _ => run_preloaded(&mut command),
    };
    assert!(
        output.status.success(),
        "{}: {}",
        tester.program,
        text(&output)
    );
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut written = BTreeMap::from([
        (String::from("standard output"), lossy(&output.stdout)),
        (String::from("standard error"), lossy(&output.stderr)),
    ]);
    for entry in fs::read_dir(here.path()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        written.insert(name, fs::read_to_string(&path).unwrap());
    }
    (written, counts)
}

/// The folder of a file of the manifest.
fn folder(key: &str) -> PathBuf {
    library(key).parent().unwrap().to_owned()
}

/// All testers of BLAS, those of CBLAS's matrices where the library is the reference one: they use variables of its own.
fn blas(key: &str) {
    let (folder, search) = (folder("blas-test"), folder_of_libblas(key));
    let mut passed = 0;
    for letter in ["s", "d", "c", "z"] {
        for level in 1..=3 {
            let fortran = folder.join(format!("{letter}blat{level}.in"));
            let cblas = folder.join(format!("{letter}in{level}"));
            let programs = [
                (format!("xblat{level}{letter}"), fortran),
                (format!("x{letter}cblat{level}"), cblas),
            ];
            let count = if key == "netlib" || level == 1 { 2 } else { 1 };
            for (name, input) in &programs[..count] {
                let tester = Tester {
                    program: name,
                    input: (level > 1).then_some(input),
                };
                let (expected, _) = outcome(&tester, &folder, &search, Way::Alone);
                let verdicts: String = expected.values().map(String::as_str).collect();
                passed += verdicts.matches("PASS").count();
                assert!(!verdicts.contains("FAIL"), "{name}: {verdicts}");
                for way in [Way::Preloaded, Way::SmallTiles] {
                    let (found, counts) = outcome(&tester, &folder, &search, way);
                    assert_eq!(found, expected, "{name}");
                    assert!(counts[0].values().sum::<u64>() > 50, "{name}: {counts:?}");
                }
            }
        }
    }
    // Each routine, and each of its error exits.
    assert!(passed > 100, "{passed}");
}

/// Where a libblas.so.3 of this library is.
fn folder_of_libblas(key: &str) -> PathBuf {
    let folder = folder(key);
    assert!(folder.join("libblas.so.3").exists(), "{}", folder.display());
    folder
}

#[test]
fn blas_of_the_reference() {
    blas("netlib");
}

#[test]
fn blas_of_openblas() {
    blas("openblas-pthread");
}

#[test]
fn blas_of_openblas_without_threads() {
    blas("openblas-serial");
}

/// The lines with a verdict, without how many tests failed to pass a threshold, and how many that were together. The other lines
/// have times.
fn verdicts(written: &BTreeMap<String, String>) -> (Vec<String>, u64) {
    let mut failed = 0;
    let lines = written.values().flat_map(|text| text.lines());
    let verdicts = lines.filter_map(|line| {
        // "All tests for DGE routines passed the threshold ( 3653 tests run)", "DGE: 1 out of 3653 tests failed to pass ..."
        let words: Vec<&str> = line
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        match words[..] {
            [
                "All",
                "tests",
                "for",
                path,
                ..,
                "passed",
                "the",
                "threshold",
                run,
                "tests",
                "run",
            ] => Some(format!("{path} {run}")),
            [path, count, "out", "of", run, "tests", "failed", ..] => {
                failed += count.parse::<u64>().unwrap();
                Some(format!("{path} {run}"))
            }
            _ => ["passed", "failed", "out of", "Error"]
                .iter()
                .any(|word| line.contains(word))
                .then(|| line.to_owned()),
        }
    });
    (verdicts.collect(), failed)
}

/// One tester of LAPACK on one input, of which `fewer` leaves some sizes out: `least` verdicts.
fn lapack(key: &str, name: &str, input: &str, fewer: [&str; 2], least: usize) {
    let (tests, here) = (folder("lapack-test"), tempfile::tempdir().unwrap());
    let whole = fs::read_to_string(tests.join(input)).unwrap();
    assert!(whole.contains(fewer[0]), "{input} is another one: {whole}");
    let file = here.path().join(input);
    let shorter = whole.replace(fewer[0], fewer[1]);
    fs::write(&file, if is_whole() { whole } else { shorter }).unwrap();
    let tester = Tester {
        program: name,
        input: Some(&file),
    };
    let (expected, calls) = same_verdicts(input, &tester, &folder(key));
    assert!(expected.len() >= least, "{input}: {expected:?}");
    assert!(
        calls.iter().all(|calls| *calls > 1000),
        "{input}: {calls:?}"
    );
}

/// What a tester of LAPACK says over the libraries in `search`, and how many calls were counted in each way in which it says the same.
/// Tests are of residuals against a threshold; another order of sums may bring one of some thousands to the other side of it.
fn same_verdicts(input: &str, tester: &Tester<'_>, search: &Path) -> (Vec<String>, [u64; 2]) {
    let tests = folder("lapack-test");
    let (expected, _) = outcome(tester, &tests, search, Way::Alone);
    let (expected, failed) = verdicts(&expected);
    let calls = [Way::Preloaded, Way::SmallTiles].map(|way| {
        let (found, counts) = outcome(tester, &tests, search, way);
        let found = verdicts(&found);
        assert_eq!(found.0, expected, "{input}");
        assert!(
            found.1 <= failed + 1,
            "{input}: {} failed, {failed} without",
            found.1
        );
        counts[0].values().sum::<u64>()
    });
    (expected, calls)
}

#[test]
fn lapack_linear_equations() {
    lapack(
        "openblas-pthread",
        "xlintstd",
        "dtest.in",
        ["\n7  ", "\n6  "],
        80,
    );
}

#[test]
fn lapack_singular_values() {
    lapack(
        "openblas-pthread",
        "xeigtstd",
        "svd.in",
        ["\n19  ", "\n13  "],
        15,
    );
}

#[test]
fn lapack_symmetric_eigenvalues() {
    lapack(
        "openblas-pthread",
        "xeigtstd",
        "sep.in",
        ["\n6  ", "\n6  "],
        5,
    );
}

#[test]
fn lapack_eigenvalues() {
    lapack(
        "openblas-pthread",
        "xeigtstd",
        "nep.in",
        ["\n7  ", "\n7  "],
        3,
    );
}

/// The other inputs of double precision: banded, generalized and packed problems, balancing, least squares, the CS decomposition;
/// rectangular full packed matrices, and solvers that begin in single precision.
#[test]
fn lapack_of_other_kinds() {
    const INPUTS: [(&str, &[&str]); 4] = [
        (
            "xeigtstd",
            &[
                "se2.in", "ded.in", "dgd.in", "dgg.in", "dsb.in", "dsg.in", "dbb.in", "dbal.in",
                "dbak.in", "dgbal.in", "dgbak.in", "glm.in", "gqr.in", "gsv.in", "csd.in",
                "lse.in",
            ],
        ),
        ("xlintstrfd", &["dtest_rfp.in"]),
        ("xlintstds", &["dstest.in"]),
        // Condition estimates: a minute of the shortest calls that there are, of level 1 and 2.
        ("xeigtstd", &["dec.in"]),
    ];
    let inputs = &INPUTS[..if is_whole() { 4 } else { 3 }];
    let tests = folder("lapack-test");
    let search = folder("openblas-pthread");
    let (mut all, mut shared) = (0, 0);
    for (program, input) in inputs
        .iter()
        .flat_map(|(program, inputs)| inputs.iter().map(move |input| (program, input)))
    {
        let file = tests.join(input);
        let tester = Tester {
            program,
            input: Some(&file),
        };
        let (expected, calls) = same_verdicts(input, &tester, &search);
        shared += calls.iter().sum::<u64>();
        all += expected.len();
        // Those of balancing print figures and no verdict.
        assert!(*program == "xeigtstd" || !expected.is_empty(), "{input}");
        assert!(
            *program == "xeigtstd" || calls.iter().all(|calls| *calls > 0),
            "{input}: {calls:?}"
        );
    }
    assert!(shared > 10_000, "{shared} calls");
    assert!(all >= 30, "{all} verdicts");
}

/// What pytest says of numpy's tests of linear algebra: `N passed, M skipped ...`, without the time.
fn numpy_linalg(way: Way) -> String {
    let packages = library("python-packages");
    let mut command = program(library("python"));
    let search = std::env::join_paths([&packages, &library("pytest-packages")]).unwrap();
    command.env("PYTHONPATH", search);
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]);
    // Its configuration asks for what these tests do not need.
    command.arg("--noconftest");
    // Long, and not about results.
    let left_out = if is_whole() { "" } else { " and not TestCond" };
    command.args(["-k", &format!("not test_openblas_threading{left_out}")]);
    command.arg(packages.join("numpy/linalg/tests"));
    let output = if way == Way::Alone {
        run(&mut command)
    } else {
        if way == Way::SmallTiles {
            command.env("THREADCTL_TILES", "small");
        }
        let (output, counts) = run_preloaded(&mut command);
        // It has tests that run in processes of their own.
        let largest = counts.iter().map(|counts| counts.values().sum::<u64>());
        assert!(largest.max() > Some(10_000), "{counts:?}");
        output
    };
    assert!(output.status.success(), "{}", text(&output));
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = lines.lines().last().unwrap_or_default();
    last.split(" in ").next().unwrap_or_default().to_owned()
}

#[test]
fn linear_algebra_of_numpy() {
    let expected = numpy_linalg(Way::Alone);
    let passed: u32 = expected.split(' ').next().unwrap().parse().unwrap();
    assert!(passed > 400, "{expected}");
    for way in [Way::Preloaded, Way::SmallTiles] {
        assert_eq!(numpy_linalg(way), expected);
    }
}
