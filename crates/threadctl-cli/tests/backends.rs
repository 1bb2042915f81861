//! `threadctl backends` on real libraries.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../../../tests/common/mod.rs"]
mod common;

use common::library;
use std::process::{Command, Output};

fn run(backend: &str, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_threadctl"));
    common::without_thread_variables(&mut command);
    command
        .env("THREADCTL_BACKEND", backend)
        .env("LD_LIBRARY_PATH", common::mkl_folder());
    command.arg("backends").args(args).output().unwrap()
}

fn document(backend: &str) -> serde_json::Value {
    let output = run(backend, &["--json"]);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn what_was_found_out_of_each_library_is_told() {
    let facts = [
        ("scipy-openblas32", "lp64", "registers", "scipy_dgemm_"),
        ("scipy-openblas64", "ilp64", "registers", "scipy_dgemm_64_"),
        ("openblas-pthread", "lp64", "registers", "dgemm_"),
        ("netlib", "lp64", "registers", "dgemm_"),
        ("mkl-rt", "lp64", "place", "dgemm_"),
    ];
    for (key, integers, complex, name) in facts {
        let path = library(key).display().to_string();
        let document = document(&path);
        assert_eq!(document["schema"], "threadctl.backends/1");
        let layer = &document["current"]["layers"][0];
        assert_eq!(layer["integers"], integers, "{key}");
        assert_eq!(layer["complex_return"], complex, "{key}");
        assert_eq!(layer["names"][0], name, "{key}");
        let text = run(&path, &[]);
        assert_eq!(text.status.code(), Some(0));
        let text = String::from_utf8_lossy(&text.stdout).into_owned();
        assert!(text.contains(&format!("dgemm is {name}")), "{text}");
    }
}

#[test]
fn layers_are_listed_in_their_order() {
    let paths = ["blis-pthread", "lapack"].map(|key| library(key).display().to_string());
    let document = document(&paths.join(":"));
    let layers = document["current"]["layers"].as_array().unwrap();
    let found: Vec<&str> = layers
        .iter()
        .map(|layer| layer["path"].as_str().unwrap())
        .collect();
    assert_eq!(found, paths);
}

#[test]
fn no_backend_is_bad_news_with_the_reason() {
    let output = run("/no/such/libblas.so", &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("/no/such/libblas.so") && text.contains("openblas"),
        "{text}"
    );
    let document = document("/no/such/libblas.so");
    assert!(document["current"].is_null());
    assert!(
        document["error"]
            .as_str()
            .unwrap()
            .contains("/no/such/libblas.so")
    );
    let names: Vec<&str> = document["available"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["openblas", "mkl", "blis", "system"]);
}
