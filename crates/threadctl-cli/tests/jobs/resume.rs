//! Logs, and what is run again.

use super::{is_alive, jobs, lines, run, stderr, stdout, until};
use std::path::Path;

/// The numbers of the jobs in a log, each with code and signal.
fn entries(log: &Path) -> Vec<(String, String, String)> {
    let lines = lines(log);
    assert_eq!(
        lines[0],
        "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand"
    );
    let entry = |line: &String| {
        let fields: Vec<&str> = line.split('\t').collect();
        assert!(fields.len() >= 9, "{line}");
        (
            fields[0].to_owned(),
            fields[6].to_owned(),
            fields[7].to_owned(),
        )
    };
    lines[1..].iter().map(entry).collect()
}

#[test]
fn what_succeeded_is_not_run_again_and_what_failed_is() {
    let folder = tempfile::tempdir().unwrap();
    let (log, ran) = (folder.path().join("log"), folder.path().join("ran"));
    let script = format!(
        "echo {{}} >> {}; test -e {}/{{}}",
        ran.display(),
        folder.path().display()
    );
    let args = [
        "--joblog",
        log.to_str().unwrap(),
        "-j",
        "1",
        &script,
        ":::",
        "a",
        "b",
        "c",
    ];
    std::fs::write(folder.path().join("a"), "").unwrap();
    std::fs::write(folder.path().join("c"), "").unwrap();
    assert_eq!(run(&args).status.code(), Some(1));
    assert_eq!(lines(&ran), ["a", "b", "c"]);
    let resumed = [&["--resume"][..], &args].concat();
    assert_eq!(run(&resumed).status.code(), Some(1));
    assert_eq!(lines(&ran), ["a", "b", "c", "b"]);
    std::fs::write(folder.path().join("b"), "").unwrap();
    assert_eq!(run(&resumed).status.code(), Some(0));
    assert_eq!(run(&resumed).status.code(), Some(0));
    assert_eq!(lines(&ran), ["a", "b", "c", "b", "b"]);
    assert_eq!(entries(&log).len(), 5);

    // Another list is not this one's rest.
    let other = [
        "--resume",
        "--joblog",
        log.to_str().unwrap(),
        &script,
        ":::",
        "x",
        "b",
    ];
    let output = run(&other);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("job 1 is not the one of the log"),
        "{}",
        stderr(&output)
    );
    assert_eq!(lines(&ran).len(), 5);

    // Without --resume it is begun anew.
    assert_eq!(run(&args).status.code(), Some(0));
    assert_eq!(entries(&log).len(), 3);
}

#[test]
fn after_kill_9_in_the_middle_the_rest_is_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (log, pids, done) = (path("log"), path("pids"), path("done"));
    let script = format!(
        "echo $$ >> {}; [ {{}} -gt 4 ] && [ ! -e {} ] && sleep 300; echo {{}} >> {}",
        pids.display(),
        path("second").display(),
        done.display()
    );
    let args = [
        "--joblog",
        log.to_str().unwrap(),
        &script,
        ":::",
        "1",
        "2",
        "3",
        "4",
        "5",
        "6",
        "7",
        "8",
    ];
    let mut driver = jobs(&args).spawn().unwrap();
    until("four jobs are done and another runs", || {
        lines(&log).len() >= 5 && lines(&pids).len() >= 5
    });
    driver.kill().unwrap();
    driver.wait().unwrap();
    // The kernel ends what ran, so that nothing runs twice at the same time.
    until("the shells of the jobs are gone", || {
        lines(&pids).iter().all(|pid| !is_alive(pid))
    });
    for pid in lines(&pids) {
        // What the shells had started goes on; it would for minutes.
        let _ = std::process::Command::new("kill")
            .args(["-KILL", "--", &format!("-{pid}")])
            .stderr(std::process::Stdio::null())
            .status();
    }
    let before = lines(&done);
    assert_eq!(before.len(), 4, "{before:?}");
    // As if it had been killed while it wrote.
    let mut torn = std::fs::read(&log).unwrap();
    torn.extend_from_slice(b"5\t:\t17");
    std::fs::write(&log, torn).unwrap();

    std::fs::write(path("second"), "").unwrap();
    let resumed = [&["--resume"][..], &args].concat();
    let output = run(&resumed);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let mut all = lines(&done);
    all.sort_unstable();
    assert_eq!(all, ["1", "2", "3", "4", "5", "6", "7", "8"], "each once");
    let mut numbers: Vec<String> = entries(&log).into_iter().map(|entry| entry.0).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, all);
}

#[test]
fn the_log_is_one_that_gnu_parallel_goes_on_with() {
    let parallel = super::common::library("parallel");
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let log = log.to_str().unwrap();
    let first = run(&["--joblog", log, "echo", ":::", "a", "b"]);
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    let output = std::process::Command::new(parallel)
        .args(["--joblog", log, "--resume", "echo", ":::", "a", "b", "c"])
        .env("PARALLEL_HOME", folder.path())
        .output()
        .unwrap();
    assert_eq!(stdout(&output), "c\n", "{}", stderr(&output));
    // And the other way round, on the line that GNU parallel has added.
    let output = run(&[
        "--resume", "--joblog", log, "echo", ":::", "a", "b", "c", "d",
    ]);
    assert_eq!(stdout(&output), "d\n", "{}", stderr(&output));
    assert_eq!(entries(Path::new(log)).len(), 4);
}

#[test]
fn one_run_at_a_time_writes_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let (log, begun) = (folder.path().join("log"), folder.path().join("begun"));
    let script = format!("touch {}; sleep 300 #", begun.display());
    let args = ["--joblog", log.to_str().unwrap(), &script, ":::", "a"];
    let mut driver = jobs(&args).spawn().unwrap();
    until("the first runs", || begun.exists());
    let report = folder.path().join("report");
    std::fs::write(&report, "of an earlier run").unwrap();
    let to = ["--resume", "--report", report.to_str().unwrap()];
    let output = run(&[&to[..], &args].concat());
    driver.kill().unwrap();
    driver.wait().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("another run"),
        "{}",
        stderr(&output)
    );
    assert_eq!(lines(&report), ["of an earlier run"]);
}

#[test]
fn a_run_that_is_refused_leaves_log_and_report_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (log, report) = (path("log"), path("report"));
    let whole = ["--joblog", &log, "--report", &report, "echo", ":::", "a"];
    assert_eq!(run(&whole).status.code(), Some(0));
    std::fs::write(&report, "of an earlier run").unwrap();
    let before = std::fs::read(&log).unwrap();
    assert_eq!(lines(Path::new(&log)).len(), 2);
    let to_both = ["--joblog", &log, "--report", &report];
    for (args, code) in [
        (&["-j", "100", "echo", ":::", "b"][..], 2),
        (&["--results", "/proc/no", "echo", ":::", "b"], 2),
        (&["--resume", "echo", ":::", "b"], 2),
        (&["--resume", "--dry-run", "echo", ":::", "a"], 0),
        (&["--dry-run", "echo", ":::", "b"], 0),
    ] {
        // So few files that 100 at once are refused on any machine.
        let output = std::process::Command::new("sh")
            .args(["-c", "ulimit -n 64; exec \"$0\" jobs \"$@\""])
            .arg(env!("CARGO_BIN_EXE_threadctl"))
            .args(to_both)
            .args(args)
            .output()
            .unwrap();
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        assert_eq!(std::fs::read(&log).unwrap(), before, "{args:?}");
        let kept = std::fs::read_to_string(&report).unwrap();
        assert_eq!(kept, "of an earlier run", "{args:?}");
    }
    let nowhere = ["--joblog", &log, "--report", "/no/such/folder/report"];
    let output = run(&[&nowhere[..], &["echo", ":::", "b"]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(std::fs::read(&log).unwrap(), before);
    // A report that is shorter than the one before leaves nothing of that.
    std::fs::write(&report, "x".repeat(100_000)).unwrap();
    assert_eq!(run(&whole).status.code(), Some(0));
    assert!(!std::fs::read_to_string(&report).unwrap().contains("xxx"));
}
