//! A shell on a terminal of its own, in which `threadctl run` is typed as a person would: the terminal is the command's, and so are its
//! keys; colours are there unless `NO_COLOR` is; `threadctl watch` keeps to the lines that there are.

use rexpect::session::{PtyReplSession, PtySession};
use std::time::{Duration, Instant};

/// Long enough for any machine; a test waits for it only when it fails.
const PATIENCE: u64 = 60_000;

/// What is typed to run a command without a report.
fn quietly(command: &str) -> String {
    format!(
        "{} run --quiet -- {command}",
        env!("CARGO_BIN_EXE_threadctl")
    )
}

fn shell() -> PtyReplSession {
    let mut shell = rexpect::spawn_bash(Some(PATIENCE)).expect("bash of the package bash");
    // With job control it does not end for being asked to.
    shell.process_mut().set_kill_timeout(Some(100));
    // An interactive shell has it; rexpect's is one.
    shell.send_line("set -m").unwrap();
    shell.wait_for_prompt().unwrap();
    shell
}

/// Types a line and expects what is printed.
fn expect(shell: &mut PtySession, line: &str, expected: &str) {
    shell.send_line(line).unwrap();
    shell
        .exp_string(expected)
        .unwrap_or_else(|error| panic!("{line}: {error}"));
}

#[test]
fn the_command_has_the_terminal_and_leaves_it_as_it_was() {
    let mut shell = shell();
    let script = "test -t 0 && test -t 1 && test -t 2 && echo all-$((1+2))-are; ps -o stat= -p $$";
    shell
        .send_line(&quietly(&format!("sh -c '{script}'")))
        .unwrap();
    shell.exp_string("all-3-are").unwrap();
    // Its process group is the one that the terminal listens to.
    shell.exp_regex(r"[SR][<NLsl]*\+").unwrap();
    shell.wait_for_prompt().unwrap();
    let settings = |shell: &mut PtyReplSession| {
        shell.send_line("stty -g | tr ':' '\\n' | md5sum").unwrap();
        let (_, sum) = shell.exp_regex("[0-9a-f]{32}").unwrap();
        shell.wait_for_prompt().unwrap();
        sum
    };
    let before = settings(&mut shell);
    shell.send_line(&quietly("true")).unwrap();
    shell.wait_for_prompt().unwrap();
    assert_eq!(settings(&mut shell), before);
}

#[test]
fn a_key_stops_the_command_and_the_shell_continues_it() {
    let mut shell = shell();
    expect(
        &mut shell,
        &quietly("sh -c 'echo rea''dy; read x; echo got-$x; exit 3'"),
        "ready",
    );
    shell.send_control('z').unwrap();
    shell.exp_regex("Stopped|suspended").unwrap();
    shell.wait_for_prompt().unwrap();
    shell.send_line("fg").unwrap();
    shell.exp_string("run --quiet").unwrap();
    expect(&mut shell, "abc", "got-abc");
    shell.wait_for_prompt().unwrap();
    expect(&mut shell, "echo status-$?", "status-3");
}

#[test]
fn an_interrupt_reaches_the_command_once_and_its_answer_counts() {
    let mut shell = shell();
    let script = "n=0; trap 'n=$((n+1))' INT; echo rea''dy; while [ $n = 0 ]; do sleep 0.01; done; sleep 0.2; echo told-$n-times; exit 7";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("count.sh");
    std::fs::write(&file, script).unwrap();
    expect(
        &mut shell,
        &quietly(&format!("sh {}", file.display())),
        "ready",
    );
    shell.send_control('c').unwrap();
    shell.exp_string("told-1-times").unwrap();
    shell.wait_for_prompt().unwrap();
    expect(&mut shell, "echo status-$?", "status-7");
}

#[test]
fn an_ended_terminal_ends_the_command_and_the_report_is_still_written() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let line = format!(
        "{} run --json --report {} -- sh -c 'echo rea''dy; while :; do sleep 0.01; done'",
        env!("CARGO_BIN_EXE_threadctl"),
        report.display()
    );
    let mut shell =
        rexpect::spawn("bash --norc -i", Some(PATIENCE)).expect("bash of the package bash");
    expect(&mut shell, &line, "ready");
    // The terminal goes, as when its window is closed. An interactive shell does not end for being asked to.
    shell.process_mut().set_kill_timeout(Some(100));
    drop(shell);
    let began = Instant::now();
    let document = loop {
        let text = std::fs::read_to_string(&report).unwrap();
        if let Ok(document) = serde_json::from_str::<serde_json::Value>(&text) {
            break document;
        }
        assert!(
            began.elapsed() < Duration::from_millis(PATIENCE),
            "no report: {text}"
        );
        std::thread::yield_now();
    };
    assert_eq!(document["signal"], 1, "{document:#}");
    assert_eq!(document["status"], 129);
}

#[test]
fn colours_are_on_a_terminal_only_and_never_under_no_color() {
    let mut shell = shell();
    let run = format!("{} run -- true", env!("CARGO_BIN_EXE_threadctl"));
    for (before, after, expected) in [
        ("TERM=xterm", "", "\n  \u{1b}[32mnothing found"),
        ("TERM=xterm NO_COLOR=1", "", "\n  nothing found"),
        ("TERM=xterm", "2>&1 | cat", "\n  nothing found"),
    ] {
        expect(
            &mut shell,
            &format!("env -u NO_COLOR {before} {run} {after}"),
            expected,
        );
        shell.wait_for_prompt().unwrap();
    }
}

#[test]
fn watching_keeps_to_the_lines_of_the_terminal() {
    const CLEAR: &str = "\u{1b}[H\u{1b}[J";
    // In the narrow one every line takes two or three.
    for (rows, columns) in [(7, 80), (11, 30)] {
        let mut shell = shell();
        // Until it is that command, the child has the shell's name, which would be shown.
        shell
            .send_line(&format!(
                "stty rows {rows} cols {columns}; sleep 1000 & pid=$!; until grep -q sleep /proc/$pid/comm; do :; done"
            ))
            .unwrap();
        shell.wait_for_prompt().unwrap();
        // Codes of colours would be counted as columns here; a terminal that has none gets them all the same where `CI` is set.
        let watch = format!(
            "NO_COLOR=1 {} watch --window 100 --pid $pid",
            env!("CARGO_BIN_EXE_threadctl")
        );
        expect(&mut shell, &watch, CLEAR);
        // A window in which the machine let nobody look may have so little to say that all of it fits.
        let (mut screens, mut is_full) = (Vec::new(), false);
        while !is_full && screens.len() < 20 {
            let screen = shell.exp_string(CLEAR).unwrap();
            let lines = screen.lines().map(|line| {
                let width = line.trim_end_matches('\r').chars().count();
                width.div_ceil(columns).max(1)
            });
            // The cursor stands in the last one.
            let lines: usize = lines.sum();
            assert!(lines < rows, "{lines} lines of {columns} columns: {screen}");
            assert!(screen.contains("(sleep), watched"), "{screen}");
            is_full = lines > rows / 2 && screen.contains("more lines");
            screens.push(screen);
        }
        assert!(is_full, "none is full: {screens:#?}");
        shell.send_control('c').unwrap();
        shell.wait_for_prompt().unwrap();
        shell.send_line("kill $pid").unwrap();
        shell.wait_for_prompt().unwrap();
    }
}
