//! `threadctl doctor`: the environment before any run.

use super::{common, schema, stderr};
use serde_json::Value;
use std::process::{Command, Output};

fn doctor(args: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_threadctl"));
    common::without_thread_variables(&mut command);
    command.env_remove("LD_LIBRARY_PATH");
    command
        .arg("doctor")
        .args(args)
        .envs(environment.iter().copied());
    command.output().unwrap()
}

fn checks(environment: &[(&str, &str)]) -> Vec<Value> {
    let output = doctor(&["--json"], environment);
    let document: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    schema::check_doctor(&document);
    let checks = document["checks"].as_array().unwrap().clone();
    let good = checks.iter().all(|check| check["good"] == true);
    assert_eq!(output.status.code(), Some(if good { 0 } else { 1 }));
    checks
}

fn found<'a>(checks: &'a [Value], section: &str, subject: &str) -> &'a Value {
    let mut fitting = checks.iter().filter(|check| check["section"] == section);
    fitting
        .find(|check| check["subject"].as_str().unwrap().contains(subject))
        .unwrap_or_else(|| panic!("no {section} {subject} in {checks:#?}"))
}

#[test]
fn the_cores_the_kernel_and_the_libraries_are_looked_at() {
    let checks = checks(&[]);
    let cores = threadctl::cores().count();
    found(&checks, "cores", &format!("{cores} may be used"));
    found(&checks, "kernel", "run-queue wait");
    let gomp = found(&checks, "library", "libgomp.so.1");
    let expected = common::library("gomp").canonicalize().unwrap();
    assert!(
        gomp["found"]
            .as_str()
            .unwrap()
            .starts_with(expected.to_str().unwrap()),
        "{gomp}"
    );
}

#[test]
fn the_library_path_decides_what_a_program_would_get() {
    let serial = common::library("openblas-serial");
    let folder = serial.parent().unwrap().to_str().unwrap();
    let checks = checks(&[("LD_LIBRARY_PATH", folder)]);
    let openblas = found(&checks, "library", "libopenblas.so.0");
    assert_eq!(openblas["good"], false);
    let text = openblas["found"].as_str().unwrap();
    assert!(
        text.contains(folder) && text.contains("LD_LIBRARY_PATH"),
        "{text}"
    );
}

#[test]
fn settings_that_contradict_each_other_are_bad_news() {
    let environment = [("OMP_NUM_THREADS", "1"), ("OPENBLAS_NUM_THREADS", "900")];
    let checks = checks(&environment);
    assert_eq!(found(&checks, "setting", "BLAS and OpenMP")["good"], false);
    assert_eq!(
        found(&checks, "setting", "OPENBLAS_NUM_THREADS=900")["good"],
        false
    );
    let output = doctor(&[], &environment);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text.contains("!!  OPENBLAS_NUM_THREADS=900")
            && text.contains("try: export OPENBLAS_NUM_THREADS="),
        "{text}"
    );
}
