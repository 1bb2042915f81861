//! How a run is ended: by signals, by a reader that goes.

use super::{is_alive, jobs, lines, run, stderr, stdout, until};
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};

fn send(child: &Child, signal: &str) {
    let status = Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status();
    assert!(status.unwrap().success());
}

/// Starts two jobs that write their numbers and wait, with `script` first, and one that is left.
fn started(folder: &std::path::Path, script: &str) -> Child {
    let pids = folder.join("pids");
    let script = format!(
        "{script} sleep 300 & echo $$ >> {0}; echo $! >> {0}; wait; sleep 300",
        pids.display()
    );
    let child = jobs(&["--joblog"])
        .arg(folder.join("log"))
        .args(["-j", "2", &script, ":::", "a", "b", "c"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("two jobs and their children run", || {
        lines(&pids).len() == 4
    });
    child
}

#[test]
fn ctrl_c_ends_the_jobs_and_leaves_a_log() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143), ("-HUP", 129)] {
        let folder = tempfile::tempdir().unwrap();
        let child = started(folder.path(), "");
        let pids = lines(&folder.path().join("pids"));
        send(&child, signal);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        until("their children are gone too", || {
            pids.iter().all(|pid| !is_alive(pid))
        });
        let text = stderr(&output);
        assert!(text.contains("2 of 2 jobs failed"), "{text}");
        assert!(
            text.contains(&format!("1 job not run, because of SIG{}", &signal[1..])),
            "{text}"
        );
        let log = lines(&folder.path().join("log"));
        assert_eq!(log.len(), 3, "{log:?}");
        for line in &log[1..] {
            let fields: Vec<&str> = line.split('\t').collect();
            assert_eq!(fields[7], (code - 128).to_string(), "{line}");
        }
    }
}

#[test]
fn the_terminals_ctrl_c_reaches_jobs_once() {
    let folder = tempfile::tempdir().unwrap();
    let heard = folder.path().join("heard");
    let script = format!(
        "trap 'echo x >> {}; exit 7' INT; touch {}.on; while :; do sleep 0.1; done #",
        heard.display(),
        heard.display()
    );
    let program = env!("CARGO_BIN_EXE_threadctl");
    let mut command = Command::new(program);
    command.args(["jobs", "--bar", "-j", "1", &script, ":::", "a"]);
    let mut session = rexpect::session::spawn_command(command, Some(30_000)).unwrap();
    until("the job listens", || {
        folder.path().join("heard.on").exists()
    });
    session.send_control('c').unwrap();
    session.exp_string("job 1, exit 7").unwrap();
    let status = session.process_mut().wait().unwrap();
    assert!(format!("{status:?}").contains("Exited"), "{status:?}");
    assert!(format!("{status:?}").contains("130"), "{status:?}");
    assert_eq!(lines(&heard), ["x"]);
}

#[test]
fn the_bar_is_drawn_on_a_terminal_and_nowhere_else() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_threadctl"));
    command.args([
        "jobs",
        "--bar",
        "-j",
        "1",
        "sleep 0.3; echo",
        ":::",
        "a",
        "b",
    ]);
    let mut session = rexpect::session::spawn_command(command, Some(30_000)).unwrap();
    session.exp_string("of 2 jobs").unwrap();
    session.exp_eof().unwrap();
    let output = run(&["--bar", "-k", "echo", ":::", "a", "b"]);
    assert_eq!(
        (stdout(&output), stderr(&output)),
        ("a\nb\n".to_owned(), String::new())
    );
}

/// The state of a process: `S` (waiting), `T` (stopped) ...
fn state(pid: &str) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.chars().take(1).collect()
}

#[test]
fn what_is_stopped_and_continued_stops_and_continues_the_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let child = started(folder.path(), "");
    let mut all = lines(&folder.path().join("pids"));
    all.push(child.id().to_string());
    send(&child, "-TSTP");
    until("all are stopped", || {
        all.iter().all(|pid| state(pid) == "T")
    });
    send(&child, "-CONT");
    until("all go on", || all.iter().all(|pid| state(pid) == "S"));
    send(&child, "-TERM");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143), "{}", stderr(&output));
}

#[test]
fn jobs_that_hear_nothing_are_killed_when_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let child = started(folder.path(), "trap '' INT TERM;");
    let pids = lines(&folder.path().join("pids"));
    // SIGINT, at the second one SIGTERM, at the third one SIGKILL.
    for _ in 0..3 {
        send(&child, "-INT");
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("signal 9 (SIGKILL)"),
        "{}",
        stderr(&output)
    );
    until("they are gone", || pids.iter().all(|pid| !is_alive(pid)));
}

#[test]
fn a_reader_that_goes_ends_it_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut child = jobs(&["-j", "1", "--joblog"])
        .arg(&log)
        .args([
            "seq 100000; echo {}",
            ":::",
            "1",
            "2",
            "3",
            "4",
            "5",
            "6",
            "7",
            "8",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 4];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(stderr(&output), "");
    // What a shell says of a program that SIGPIPE ended.
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(output.status.signal(), None);
    let log = lines(&log);
    assert!((2..9).contains(&log.len()), "{log:?}");
}

#[test]
fn a_reader_that_waits_does_not_keep_it_from_ending() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let child = jobs(&["-j", "1", "--joblog"])
        .arg(&log)
        .args(["seq 100000; echo", ":::", "1", "2"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("the first has ended", || lines(&log).len() == 2);
    send(&child, "-INT");
    // Nothing is read before it has ended.
    let mut child = child;
    until("it ends", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

/// Reads what is left, in a thread, and waits for the end; kills it and fails where that does not come.
#[track_caller]
fn drained(mut child: Child) -> (usize, Option<i32>) {
    let mut output = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
    let began = std::time::Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if began.elapsed() > super::PATIENCE {
            child.kill().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    let read = reader.join().unwrap().unwrap();
    (usize::try_from(read).unwrap(), status.code())
}

/// Reads one byte of what it prints.
fn until_it_prints(child: &mut Child) {
    let stdout = child.stdout.as_mut().unwrap();
    stdout.read_exact(&mut [0]).unwrap();
}

#[test]
fn a_job_that_ends_while_another_is_printed_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (pid, go) = (folder.path().join("pid"), folder.path().join("go"));
    let status = Command::new("mkfifo").arg(&go).status().unwrap();
    assert!(status.success());
    // The first one, which is looked at first, ends when the second one is being printed, and nobody is left to start.
    let first = format!("echo $$ > {}; read x < {}", pid.display(), go.display());
    let mut child = jobs(&["-j", "2", ":::", &first, "head -c 1000000 /dev/zero"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    until_it_prints(&mut child);
    until("the first one runs", || lines(&pid).len() == 1);
    let mut fifo = std::fs::OpenOptions::new().write(true).open(&go).unwrap();
    fifo.write_all(b"\n").unwrap();
    until("the first one has ended", || !is_alive(&lines(&pid)[0]));
    assert_eq!(drained(child), (999_999, Some(0)));
}

#[test]
fn jobs_that_end_together_with_much_to_print_are_all_noticed() {
    for round in 0..40 {
        let child = jobs(&["-j", "2", "head -c 1000000 /dev/zero; :", ":::", "1", "2"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        assert_eq!(drained(child), (2_000_000, Some(0)), "round {round}");
    }
}

#[test]
fn ctrl_c_while_something_is_printed_starts_nothing_more() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let folder = tempfile::tempdir().unwrap();
        let begun = folder.path().join("begun");
        let second = format!("touch {}; sleep 300", begun.display());
        let mut child = jobs(&["-j", "1", ":::", "head -c 1000000 /dev/zero", &second])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until_it_prints(&mut child);
        send(&child, signal);
        assert_eq!(drained(child).1, Some(code));
        assert!(!begun.exists(), "{signal}");
    }
}

#[test]
fn jobs_are_ended_at_once_while_a_slow_reader_takes_the_output_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let second = format!("echo $$ > {}; exec sleep 300", pid.display());
    let mut child = jobs(&["-j", "2", ":::", "head -c 10000000 /dev/zero", &second])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut piece = [0; 4096];
    let output = child.stdout.as_mut().unwrap();
    output.read_exact(&mut piece).unwrap();
    until("the second one runs", || lines(&pid).len() == 1);
    send(&child, "-INT");
    // It always takes something, and all of it would take minutes.
    let output = child.stdout.as_mut().unwrap();
    until("the second one is ended", || {
        let _ = output.read(&mut piece).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(50));
        !is_alive(&lines(&pid)[0])
    });
    let (_, code) = drained(child);
    assert_eq!(code, Some(130));
}
