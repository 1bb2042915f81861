//! What goes wrong: wrong arguments, files that cannot be read or written, full disks.

use super::{jobs, lines, reading, run, stderr, stdout};
use std::process::Command;

#[test]
fn wrong_arguments_are_named_and_nothing_is_run() {
    for (args, words) in [
        (&["-j", "0", "echo", ":::", "a"][..], "whole number from 1"),
        (&["-j", "-1", "echo", ":::", "a"], "-1"),
        (&["--halt", "later", "echo", ":::", "a"], "soon,fail=1"),
        (&["--resume", "echo", ":::", "a"], "--joblog"),
        (&["-a", "/no/such/list", "echo"], "/no/such/list"),
        (
            &["echo", "{2}", ":::", "a"],
            "{2}: the lists are numbered from 1 to 1",
        ),
        (&["echo", ":::", "a", ":::+", "b"], ":::+"),
        (
            &["--joblog", "/no/such/folder/log", "echo", ":::", "a"],
            "/no/such/folder/log",
        ),
        (
            &["--report", "/no/such/folder/report", "echo", ":::", "a"],
            "/no/such/folder/report",
        ),
        (&["--results", "/proc/no", "echo", ":::", "a"], "/proc/no"),
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            stderr(&output).contains(words),
            "{args:?}: {}",
            stderr(&output)
        );
        assert_eq!(stdout(&output), "", "{args:?}");
    }
    let output = reading(&["echo"], "a\0b\n");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("standard input"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_log_that_cannot_be_written_is_found_before_anything_runs() {
    for log in ["/dev/full", "/proc/version"] {
        let folder = tempfile::tempdir().unwrap();
        let made = folder.path().join("made");
        let output = jobs(&["--joblog", log, "touch", made.to_str().unwrap(), ":::", "a"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{log}");
        assert!(stderr(&output).contains(log), "{}", stderr(&output));
        assert!(!made.exists());
    }
}

#[test]
fn a_disk_that_is_full_for_the_log_ends_it_and_the_log_stays_valid() {
    // A file system with room for two pages, in a mount namespace of the test's own.
    let script = r#"
        mount -t tmpfs -o size=8k none "$1" || exit 99
        long=$(head -c 1500 /dev/zero | tr '\0' x)
        "$0" jobs -j 1 --joblog "$1/log" ": $long; echo" ::: 1 2 3 4 5 6 7 8 9 10 > "$2/out"
        echo $? > "$2/code"
        cp "$1/log" "$2/log"
        umount "$1"
    "#;
    let folder = tempfile::tempdir().unwrap();
    let mount = tempfile::tempdir().unwrap();
    let output = Command::new("unshare")
        .args([
            "--mount",
            "sh",
            "-c",
            script,
            env!("CARGO_BIN_EXE_threadctl"),
        ])
        .args([mount.path(), folder.path()])
        .output()
        .unwrap();
    assert_ne!(
        output.status.code(),
        Some(99),
        "this test mounts, which needs root: {}",
        stderr(&output)
    );
    assert_eq!(
        lines(&folder.path().join("code")),
        ["2"],
        "{}",
        stderr(&output)
    );
    let text = stderr(&output);
    assert!(
        text.contains("No space left on device") && text.contains("not in the log"),
        "{text}"
    );
    let log = folder.path().join("log");
    let done = lines(&folder.path().join("out"));
    assert!((3..10).contains(&done.len()), "{done:?}");
    let whole = std::fs::read_to_string(&log).unwrap().matches('\n').count() - 1;
    assert_eq!(
        whole,
        done.len() - 1,
        "all but the last, which the message names"
    );
    assert!(text.contains(&format!("jobs {}", done.len())), "{text}");

    // Where there is room again, it goes on.
    let long = "x".repeat(1500);
    let output = jobs(&["-j", "1", "--resume", "--joblog"])
        .arg(&log)
        .args([
            &format!(": {long}; echo"),
            ":::",
            "1",
            "2",
            "3",
            "4",
            "5",
            "6",
            "7",
            "8",
            "9",
            "10",
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output).lines().count(), 10 - whole);
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = jobs(&["-j", "1", "echo", ":::", "a", "b"])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("cannot be written"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn outputs_that_cannot_be_kept_are_an_error() {
    let output = jobs(&["echo", ":::", "a"])
        .env("TMPDIR", "/no/such/folder")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("output of jobs cannot be kept"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn variables_that_go_before_the_shares_are_told() {
    let output = jobs(&["true", ":::", "a"])
        .env("BLIS_JC_NT", "4")
        .output()
        .unwrap();
    assert!(
        stderr(&output).contains("BLIS_JC_NT is set and goes before"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_standard_output_that_is_closed_from_the_start_ends_it_quietly_or_is_told() {
    let script = r#""$0" jobs -j 1 echo ::: a b >&-"#;
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_threadctl")])
        .output()
        .unwrap();
    // The standard library opens /dev/null in its place, so that no file of ours becomes it.
    assert_eq!(
        (stderr(&output), output.status.code()),
        (String::new(), Some(0))
    );
}

#[test]
fn more_at_once_than_files_may_be_open_is_refused() {
    let run = |limit: &str| {
        let script = format!("ulimit {limit} 64; \"$0\" jobs -j 100 echo ::: a b");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_threadctl")]);
        command.output().unwrap()
    };
    let output = run("-n");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("-j 100: so many at once need 232 open files, and 64 are allowed"),
        "{}",
        stderr(&output)
    );
    // A limit that may be raised is.
    let output = run("-Sn");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}
