//! The command ends as it would have without `threadctl run`, and what it reads, writes and is told is its own.

use super::{stderr, threadctl};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};

#[test]
fn the_status_is_the_commands() {
    for (script, code) in [
        ("exit 0", 0),
        ("exit 1", 1),
        ("exit 77", 77),
        ("kill -9 $$", 137),
        ("kill -TERM $$", 143),
        ("kill -40 $$", 168),
    ] {
        let output = threadctl(&["--quiet", "--", "sh", "-c", script])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{script}");
        assert_eq!(stderr(&output), "", "{script}");
    }
}

#[test]
fn a_status_is_not_lost_where_ends_of_children_are_ignored() {
    let output = Command::new("sh")
        .args(["-c", "trap '' CHLD; exec \"$0\" run -q -- sh -c 'exit 5'"])
        .arg(env!("CARGO_BIN_EXE_threadctl"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
}

#[test]
fn what_cannot_be_started_is_an_error_of_its_own() {
    for (command, words) in [
        ("no-such-command-here", "there is no such command"),
        ("/etc/passwd", "not executable"),
        ("/no/such/file", "no such command"),
    ] {
        let output = threadctl(&["--", command]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{command}");
        let text = stderr(&output);
        assert!(text.contains(command) && text.contains(words), "{text}");
    }
    let output = threadctl(&["--interval", "0", "--", "true"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let output = threadctl(&["--report", "/no/such/folder/report", "--", "true"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn input_and_output_are_the_commands() {
    let mut child = threadctl(&["--", "sh", "-c", "cat; echo to-stderr >&2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"one\ntwo").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"one\ntwo");
    let text = stderr(&output);
    assert!(text.starts_with("to-stderr\nthreadctl: sh -c"), "{text}");
}

#[test]
fn a_signal_is_handed_on_and_the_commands_answer_counts() {
    let script = "trap 'echo told; exit 9' TERM; echo ready; while :; do sleep 0.01; done";
    let mut child = threadctl(&["--quiet", "--", "sh", "-c", script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let sent = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "told\n");
    assert_eq!(child.wait().unwrap().code(), Some(9));
}

#[test]
fn an_ignored_signal_stays_ignored() {
    let script = "trap '' HUP; exec \"$0\" run -q -- sh -c 'kill -HUP $$; echo alive'";
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(env!("CARGO_BIN_EXE_threadctl"))
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"alive\n", "{}", stderr(&output));
}

#[test]
fn a_stopped_command_goes_on() {
    // It stops itself, and its own child continues it.
    let script = "(sleep 0.1; kill -CONT $$) & kill -STOP $$; wait; echo on; exit 3";
    let output = threadctl(&["--quiet", "--", "sh", "-c", script])
        .output()
        .unwrap();
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(3), b"on\n".as_slice())
    );
}

#[test]
fn a_full_disk_or_a_closed_pipe_costs_the_report_only() {
    let output = threadctl(&["--report", "/dev/full", "--", "sh", "-c", "exit 4"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(stderr(&output).contains("/dev/full"), "{}", stderr(&output));

    let mut child = threadctl(&["--", "sh", "-c", "exit 6"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(6));
}

#[test]
fn a_daemon_is_left_running_and_named() {
    let script = "sh -c 'sleep 1000 >/dev/null 2>&1 & echo $!'";
    let output = threadctl(&["--", "sh", "-c", script]).output().unwrap();
    assert!(output.status.success());
    let pid = String::from_utf8(output.stdout.clone()).unwrap();
    let pid = pid.trim();
    let text = stderr(&output);
    assert!(
        text.contains(&format!("still running, and not waited for: {pid}")),
        "{text}"
    );
    let ended = Command::new("kill").arg(pid).status().unwrap();
    assert!(ended.success(), "it was running");
}

#[test]
fn the_loss_can_decide_the_status_of_a_good_end_only() {
    // Four threads that want a core all the time wait for more than half a per cent of it, on any machine of up to three cores;
    // on a larger one they are pinned to one.
    let busy = "for i in 1 2 3 4; do taskset -c 0 sh -c 'i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done' & done; wait";
    let run = |limit: &str, end: &str| {
        let script = format!("{busy}; exit {end}");
        threadctl(&["--quiet", "--fail-over", limit, "--", "sh", "-c", &script])
            .output()
            .unwrap()
    };
    let output = run("1", "0");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("--fail-over 1"),
        "{}",
        stderr(&output)
    );
    assert_eq!(run("1", "8").status.code(), Some(8));
    assert_eq!(run("100", "0").status.code(), Some(0));
}

#[test]
fn limits_and_shares_are_the_commands_environment() {
    let script = "echo $OPENBLAS_NUM_THREADS $OMP_NUM_THREADS $THREADCTL_LIMITS";
    let output = threadctl(&[
        "-q", "--cores", "1", "--limit", "blas=3", "--", "sh", "-c", script,
    ])
    .output()
    .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "3 1 blas=3\n",
        "{}",
        stderr(&output)
    );
    let output = threadctl(&["-q", "--limit", "blas=0", "--", "true"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn dispatch_preloads_a_library_that_is_there_and_says_where_it_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let source = |name: &str, text: &str| {
        std::fs::write(path(name), text).unwrap();
        path(name).to_str().unwrap().to_owned()
    };
    let says = "#include <unistd.h>\n__attribute__((constructor)) static void says(void) { if (write(1, \"loaded \", 7) < 0) _exit(99); }\n";
    let library = super::compile(
        &[&source("library.c", says)],
        &path("library.so"),
        &["-shared", "-fPIC"],
    );
    let run = |library: &std::path::Path, command: &std::path::Path| {
        let mut run = threadctl(&["--quiet", "--dispatch", "--"]);
        run.arg(command)
            .env("THREADCTL_PRELOAD", library)
            .output()
            .unwrap()
    };
    let output = run(&library, "true".as_ref());
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(0), b"loaded ".as_slice()),
        "{}",
        stderr(&output)
    );

    let output = run(&path("missing.so"), "true".as_ref());
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(2), b"".as_slice())
    );
    assert!(
        stderr(&output).contains("missing.so")
            && stderr(&output).contains("libthreadctl_preload.so"),
        "{}",
        stderr(&output)
    );

    let static_program = super::compile(
        &[&source("four.c", "int main(void) { return 4; }\n")],
        &path("four"),
        &["-static"],
    );
    let output = run(&library, &static_program);
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(4), b"".as_slice())
    );
    assert!(
        stderr(&output).contains("four is statically linked"),
        "{}",
        stderr(&output)
    );
}
