//! `threadctl tune` with real libraries: what it tells and writes, and when it does not. How fast anything is, is not
//! asked: other tests run meanwhile.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../../../tests/common/mod.rs"]
mod common;

use assert_cmd::Command;
use serde_json::Value;
use std::path::Path;
use threadctl::dispatch::tuning::{Family, Least, Name, Tuning};

/// However busy the machine is.
const ANY_NOISE: [&str; 2] = ["--max-noise", "10000"];

fn tune(arguments: &[&str]) -> Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_threadctl"));
    common::without_thread_variables(&mut command);
    command
        .env_remove("THREADCTL_TUNING")
        .arg("tune")
        .args(arguments);
    Command::from_std(command)
}

fn library(key: &str) -> String {
    common::library(key).to_str().unwrap().to_owned()
}

fn document(command: &mut Command, code: i32) -> Value {
    let assert = command.assert().code(code);
    let output = assert.get_output();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "no terminal");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refusal(command: &mut Command) -> String {
    let assert = command.assert().code(2);
    assert_eq!(String::from_utf8_lossy(&assert.get_output().stdout), "");
    String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
}

/// Names of a folder's files.
fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn what_is_measured_is_told_and_written_and_read_by_the_next_run() {
    let cache = tempfile::tempdir().unwrap();
    let file = cache.path().join("threadctl/tuning");
    std::fs::create_dir(cache.path().join("threadctl")).unwrap();
    std::fs::write(&file, "# mine\nblis 1 zen dot 5\n").unwrap();
    let load = library("scipy-openblas32");
    let run = |more: &[&str]| {
        let mut command = tune(&["--quick", "--load", &load]);
        command
            .args(ANY_NOISE)
            .args(more)
            .env("XDG_CACHE_HOME", cache.path())
            // Also where there is one core.
            .env("THREADCTL_NUM_THREADS", "2");
        command
    };
    let told = document(run(&["--json"]).arg("--output").arg(&file), 0);
    assert_eq!(told["schema"], "threadctl.tune/1");
    assert_eq!(told["library"]["internal_api"], "openblas");
    assert_eq!(told["file"], file.to_str().unwrap());
    assert_eq!(
        (&told["written"], &told["reason"]),
        (&true.into(), &Value::Null)
    );
    let noise = told["taken_by_others"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&noise));

    let words = ["internal_api", "version", "architecture"];
    let [api, version, kernels] = words.map(|word| told["library"][word].as_str().unwrap());
    let name = Name::new(api, Some(version), Some(kernels));
    let least = Tuning::read(&file).unwrap().least(&name);
    let routines = told["routines"].as_array().unwrap();
    assert_eq!(routines.len(), Family::ALL.len());
    for (family, routine) in Family::ALL.into_iter().zip(routines) {
        assert_eq!(routine["routine"], family.name());
        assert_eq!(routine["unit"], family.unit().to_string());
        assert_eq!(routine["before"], Least::BUILT_IN.get(family));
        let points = routine["points"].as_array().unwrap();
        let number = |point: &Value, key: &str| point[key].as_f64().unwrap();
        assert!(
            points
                .windows(2)
                .all(|pair| number(&pair[0], "size") < number(&pair[1], "size"))
        );
        match routine["now"].as_u64() {
            None => assert_eq!(least.get(family), Least::NEVER),
            Some(now) => {
                assert_eq!(u64::try_from(least.get(family)).unwrap(), now);
                // The rule holds at what is written, and at the next sizes.
                let from: Vec<_> = points
                    .iter()
                    .filter(|point| point["amount"].as_u64().unwrap() >= now)
                    .take(3)
                    .collect();
                assert_eq!(from[0]["amount"], now);
                for point in from {
                    let gain = number(point, "alone") / number(point, "shared");
                    assert!(gain >= 1.05, "{family}: {point}");
                }
            }
        }
        for point in points {
            assert!(number(point, "alone") > 0.0 && number(point, "shared") > 0.0);
            assert!(number(point, "spread") >= 0.0);
        }
    }
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(
        text.starts_with("# mine\nblis 1 zen dot 5\nopenblas "),
        "{text}"
    );
    assert_eq!(
        files(file.parent().unwrap()),
        ["tuning"],
        "nothing is left beside it"
    );

    // The next run finds what this one wrote, by itself.
    let assert = run(&[]).assert().code(0);
    let table = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    for family in Family::ALL {
        assert!(
            table
                .lines()
                .any(|line| line.trim_start().starts_with(family.name())),
            "{table}"
        );
    }
    let never = table.matches("never").count();
    assert!(
        never >= routines.iter().filter(|own| own["now"].is_null()).count(),
        "{table}"
    );
    assert!(
        table.ends_with(&format!("Written to {}.\n", file.display())),
        "{table}"
    );
}

#[test]
fn a_busy_machine_is_told_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tuning");
    let mut command = tune(&["--quick", "--json", "--max-noise", "0"]);
    command.args(["--load", &library("openblas-pthread")]);
    command
        .arg("--output")
        .arg(&file)
        .env("THREADCTL_NUM_THREADS", "2");
    let told = document(&mut command, 1);
    assert_eq!(told["written"], false);
    let reason = told["reason"].as_str().unwrap();
    assert!(
        reason.contains("too busy") && reason.contains("--max-noise"),
        "{reason}"
    );
    assert_eq!(files(folder.path()), [""; 0]);
}

#[test]
fn one_core_and_one_caller_at_a_time_have_nothing_to_share() {
    let folder = tempfile::tempdir().unwrap();
    for (key, cores, why) in [
        ("openblas-pthread", "1", "there is one core"),
        ("openblas-serial", "2", "one caller at a time"),
    ] {
        let mut command = tune(&["--json", "--load", &library(key)]);
        command.env("THREADCTL_NUM_THREADS", cores);
        command.env("XDG_CACHE_HOME", folder.path());
        let told = document(&mut command, 0);
        assert!(told["reason"].as_str().unwrap().contains(why), "{told}");
        assert_eq!(told["written"], false);
        assert_eq!(told["routines"], Value::Array(vec![]));
    }
    assert_eq!(files(folder.path()), [""; 0], "and nothing is written");
}

#[test]
fn what_cannot_work_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let load = library("openblas-pthread");
    let fifo = common::make_fifo(folder.path());
    let broken = folder.path().join("broken");
    std::fs::write(&broken, "openblas 1 Zen dto 5\n").unwrap();
    let nowhere = folder.path().join("no/tuning");
    for (output, why) in [
        (folder.path(), "this is a directory"),
        (&fifo, "this is a FIFO"),
        (
            &broken,
            "line 1: there is no routine \"dto\"; did you mean \"dot\"?",
        ),
        (&nowhere, "cannot write to the folder"),
    ] {
        let mut command = tune(&["--load", &load, "--output", output.to_str().unwrap()]);
        let text = refusal(command.env("THREADCTL_NUM_THREADS", "2"));
        assert!(text.contains(why), "{text}");
        assert!(text.contains(folder.path().to_str().unwrap()), "{text}");
    }
    let text = refusal(tune(&["--load", &load]).env("THREADCTL_TUNING", "off"));
    assert!(
        text.contains("THREADCTL_TUNING is off") && text.contains("--output"),
        "{text}"
    );
    let text = refusal(tune(&["--load", &load]).env("THREADCTL_TUNING", &broken));
    assert!(text.contains("line 1"), "{text}");
    let text = refusal(
        tune(&["--load", &load])
            .env("XDG_CACHE_HOME", "")
            .env("HOME", ""),
    );
    assert!(text.contains("neither XDG_CACHE_HOME nor HOME"), "{text}");
    let text = refusal(&mut tune(&["--load", "/no/such/libblas.so"]));
    assert!(text.contains("there is no such file"), "{text}");
    let text = refusal(&mut tune(&[
        "--load",
        &library("gomp"),
        "--output",
        "/tmp/never-written",
    ]));
    assert!(text.contains("it is no BLAS"), "{text}");
    assert_eq!(
        std::fs::read_to_string(&broken).unwrap(),
        "openblas 1 Zen dto 5\n"
    );
}
