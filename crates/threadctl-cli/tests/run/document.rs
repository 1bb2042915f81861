//! What the report says, in numbers that do not depend on how busy the machine is.

use super::{document_of, schema, stderr, threadctl};

#[test]
fn the_document_is_versioned_and_repeats_the_command() {
    let document = document_of(&[], &[], &["sh", "-c", "exit 0"]);
    assert_eq!(document["schema"], "threadctl.run/1");
    assert_eq!(
        document["command"],
        serde_json::json!(["sh", "-c", "exit 0"])
    );
    assert_eq!(
        (&document["status"], &document["signal"]),
        (&0.into(), &serde_json::Value::Null)
    );
}

#[test]
fn the_schema_denies_what_it_does_not_name() {
    let mut document = document_of(&[], &[], &["true"]);
    document["cores"]["colour"] = "blue".into();
    document["status"] = "0".into();
    document.as_object_mut().unwrap().remove("notes");
    let problems = schema::problems(&document);
    assert_eq!(problems.len(), 3, "{problems:#?}");
    assert!(
        problems
            .iter()
            .any(|problem| problem.contains("cores.colour"))
    );
}

#[test]
fn time_and_waiting_are_whole_and_consistent() {
    let script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
    let document = document_of(&[], &[], &["sh", "-c", script]);
    let number = |path: &str| document.pointer(path).unwrap().as_f64().unwrap();
    let (wall, cpu, wait) = (
        number("/wall_seconds"),
        number("/cpu_seconds"),
        number("/wait/seconds"),
    );
    assert!(cpu > 0.0);
    // One thread cannot use or want more than there is.
    assert!(cpu + wait <= wall * 1.01 + 0.02, "{cpu} + {wait} in {wall}");
    assert_eq!(document["wait"]["exact"], true, "{:#}", document["wait"]);
    let share = wait / (cpu + wait);
    assert!(
        (number("/wait/share") - share).abs() < 0.02,
        "{share} or {}",
        number("/wait/share")
    );
    assert!((number("/loss_percent") - 100.0 * number("/wait/share")).abs() < 1e-9);
    let cores = number("/cores/count");
    assert_eq!(cores, f64::from(threadctl::cores().count()));
    let points = document["timeline"].as_array().unwrap();
    let covered: f64 = points
        .iter()
        .map(|point| point["seconds"].as_f64().unwrap())
        .sum();
    assert!(
        (covered - wall).abs() <= 0.01 * wall + 0.01,
        "{covered} of {wall}"
    );
}

#[test]
fn the_text_names_everything_in_80_columns() {
    let output = threadctl(&[
        "--",
        "sh",
        "-c",
        "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done",
    ])
    .output()
    .unwrap();
    let text = stderr(&output);
    for words in [
        "ended with status 0",
        "wall time",
        "CPU time",
        "cores ",
        "runnable threads",
        "run-queue wait",
        "context switches",
        "whose threads",
        "runnable threads over",
    ] {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
    for line in text.lines().skip(1) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(!text.contains('\u{1b}'), "colours in a pipe: {text:?}");
    assert_eq!(output.stdout, b"");
}

#[test]
fn the_kernels_own_count_agrees() {
    // GNU time asks the kernel for the same process.
    let script = "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done";
    let output = threadctl(&[
        "--json",
        "--",
        "/usr/bin/time",
        "-f",
        "%U %S",
        "sh",
        "-c",
        script,
    ])
    .output()
    .unwrap();
    let text = stderr(&output);
    let (times, document) = text
        .split_once('\n')
        .unwrap_or_else(|| panic!("GNU time (the package time): {text}"));
    let expected: f64 = times
        .split(' ')
        .map(|seconds| seconds.parse::<f64>().unwrap())
        .sum();
    let document: serde_json::Value = serde_json::from_str(document).unwrap();
    let cpu = document["cpu_seconds"].as_f64().unwrap();
    // It has hundredths of a second, and is itself in the sum.
    assert!(
        (cpu - expected).abs() <= 0.02 * expected + 0.03,
        "{cpu} instead of {expected}"
    );
}

#[test]
fn the_text_tells_what_limits_have_set_for_job_scripts() {
    let text = |options: &[&str]| {
        let mut run = threadctl(options);
        stderr(&run.args(["--", "true"]).output().unwrap())
    };
    let limited = text(&["--limit", "blas=3"]);
    assert!(limited.contains("set for it"), "{limited}");
    assert!(limited.contains("OPENBLAS_NUM_THREADS=3"), "{limited}");
    assert!(
        limited.lines().all(|line| line.chars().count() <= 80),
        "{limited}"
    );
    assert!(!text(&[]).contains("set for it"));
}

#[test]
fn what_ran_before_in_a_shell_that_becomes_the_command_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let spin = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
    let script = format!(r#"sh -c '{spin}'; exec "$@""#);
    let run = threadctl(&["--json", "--report", report.to_str().unwrap(), "--", "true"]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &script, "sh"]).arg(run.get_program());
    let output = shell.args(run.get_args()).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let text = std::fs::read(&report).unwrap();
    let document: serde_json::Value = serde_json::from_slice(&text).unwrap();
    // The loop takes a tenth of a second and more, `true` a millisecond.
    let used = document["cpu_seconds"].as_f64().unwrap();
    assert!(used < 0.05, "{used} s for `true`");
}
