//! Real programs in several languages: the rule fires on the sick variant, nothing on the healthy one, and the remedy that is
//! printed makes the sick one healthy.

use super::{common, schema, threadctl};
#[path = "../../../../tests/common/programs.rs"]
pub(super) mod table;

use serde_json::Value;
use std::path::{Path, PathBuf};
use table::{PROGRAMS, Place, Ready};

pub(super) fn place(scratch: &Path) -> Place {
    Place {
        threadctl: PathBuf::from(env!("CARGO_BIN_EXE_threadctl")),
        scratch: scratch.to_owned(),
        library: common::library,
        fixtures: Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures"),
    }
}

pub(super) fn rules(document: &Value) -> Vec<String> {
    table::own_rules(document)
}

/// Runs it below `threadctl run`.
fn diagnosed(ready: &Ready, report: &Path) -> Value {
    let mut run = threadctl(&["--json", "--report"]);
    run.arg(report).arg("--").args(&ready.words);
    ended_well(run.envs(ready.environment.iter().cloned()), report)
}

pub(super) fn ended_well(command: &mut std::process::Command, report: &Path) -> Value {
    let output = command.output().expect("it starts");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        super::stderr(&output)
    );
    let text = std::fs::read(report).expect("a report");
    let document = serde_json::from_slice(&text).expect("JSON");
    schema::check(&document);
    document
}

/// The sick one, what its remedy makes of it, and the healthy one.
fn sick_and_healthy(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (place, program) = (place(folder.path()), table::program(name));
    let report = folder.path().join("report.json");
    let sick = place.ready(program, &program.sick, program.few);
    let document = diagnosed(&sick, &report);
    assert!(
        rules(&document).iter().any(|rule| rule == program.rule),
        "{name} with {}: {:?} {:#}",
        program.sick.what,
        rules(&document),
        document["processes"]
    );

    let remedy = table::remedy(&document, program.rule);
    let mut shell = place.shell(remedy, Some(&report));
    common::without_thread_variables(&mut shell);
    shell
        .env_remove("LD_PRELOAD")
        .envs(sick.environment.iter().cloned());
    let document = ended_well(&mut shell, &report);
    assert_eq!(
        rules(&document),
        [""; 0],
        "after `{remedy}`: {:#} {:#}",
        document["findings"],
        document["processes"]
    );

    let healthy = place.ready(program, &program.healthy, program.few);
    let document = diagnosed(&healthy, &report);
    assert_eq!(
        rules(&document),
        [""; 0],
        "{name} with {}: {:#} {:#}",
        program.healthy.what,
        document["findings"],
        document["processes"]
    );
}

/// A test for each program, so that they run beside each other and the one that fails has a name.
macro_rules! programs {
    ($($test:ident: $name:literal,)*) => {
        $(#[test]
        fn $test() {
            sick_and_healthy($name);
        })*

        #[test]
        fn every_program_has_its_test() {
            let names: Vec<&str> = PROGRAMS.iter().map(|program| program.name).collect();
            assert_eq!(names, [$($name),*]);
        }
    };
}

programs! {
    numpy_in_a_thread_pool: "numpy",
    joblib_with_processes: "joblib",
    scikit_learn_beside_lightgbm: "scikit-learn",
    r_in_forked_processes: "rscript",
    octave_on_openmp: "octave",
    rust_with_rayon_over_ndarray_linalg: "rust",
    c_with_openmp: "openmp-c",
    fortran_with_openmp_over_openblas: "openmp-fortran",
    openmp_loops_and_blas_in_short_turns: "turns",
}
