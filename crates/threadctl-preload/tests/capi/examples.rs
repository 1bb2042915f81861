//! The examples in other languages: C and Python run, Julia's calls are held against the header, since no package of the
//! test machines' system has a Julia to run it with.

use crate::common;
use crate::header::{include, prototypes};
use crate::libraries;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples")
        .join(name)
}

/// What a command printed.
fn printed(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let stdout = String::from_utf8(stdout).unwrap();
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{status}:\n{stdout}\n{stderr}");
    stdout
}

#[test]
fn c() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("limits");
    let library = common::preload();
    printed(
        Command::new("cc")
            .args(["-std=c99", "-Wall", "-Wextra", "-Werror"])
            .arg(example("c/limits.c"))
            .arg("-I")
            .arg(include())
            .arg(&library)
            .arg("-o")
            .arg(&program),
    );
    let openblas = libraries::library("openblas-pthread");
    let mut run = Command::new(&program);
    libraries::without_thread_variables(&mut run);
    run.env("LD_PRELOAD", &openblas)
        .env("LD_LIBRARY_PATH", library.parent().unwrap());
    let text = printed(&mut run);
    let (outcome, rest) = text.split_once('\n').unwrap();
    let outcome: serde_json::Value = serde_json::from_str(outcome).unwrap();
    let row = &outcome["outcomes"][0];
    assert_eq!(row["internal_api"], "openblas");
    assert_eq!(row["effective"], 1);
    assert!(rest.contains(" cores, threadctl "), "{rest}");
}

#[test]
fn python() {
    let mut run = Command::new(libraries::library("python"));
    run.arg(example("python/limits.py"))
        .arg(common::preload())
        .env("PYTHONPATH", libraries::library("python-packages"));
    libraries::without_thread_variables(&mut run);
    let text = printed(&mut run);
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[1]["during"]["openblas"], 1);
    assert_eq!(lines[0]["before"], lines[2]["after"]);
}

/// A type of Julia as C writes it.
fn in_c(julia: &str) -> &'static str {
    match julia {
        "Cint" => "int",
        "Cuint" => "unsigned int",
        "Cstring" => "const char *",
        "Cvoid" => "void",
        "UInt64" => "threadctl_limit",
        "Ref{UInt64}" => "threadctl_limit *",
        "Ref{UInt32}" => "uint32_t *",
        "Ptr{Cchar}" => "char *",
        "Ref{Ptr{Cchar}}" => "char **",
        other => panic!("{other}: what is that in C?"),
    }
}

#[test]
fn julia_calls_the_functions_of_the_header_with_their_types() {
    let text = std::fs::read_to_string(example("julia/limits.jl")).unwrap();
    let prototypes = prototypes();
    let mut calls = 0;
    for call in text.split("ccall((:").skip(1) {
        let (name, rest) = call.split_once(", threadctl), ").unwrap();
        let (returns, rest) = rest.split_once(", (").unwrap();
        let (takes, _) = rest.split_once(')').unwrap();
        let takes: Vec<&str> = takes.split(',').map(str::trim).collect();
        let takes = takes.into_iter().filter(|it| !it.is_empty()).map(in_c);
        let prototype = &prototypes[name];
        assert_eq!(in_c(returns), prototype.returns, "{name}");
        assert_eq!(takes.collect::<Vec<_>>(), prototype.takes, "{name}");
        calls += 1;
    }
    assert_eq!(calls, text.matches("ccall(").count());
    assert!(calls >= 5);
}
