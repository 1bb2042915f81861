//! `threadctl watch`: a process that is running already.

use super::{common, compile, schema, stderr};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};

/// A program whose threads compute until it is dropped: Python with OpenMP teams would need more to keep going.
struct Busy(Child);

impl Busy {
    /// Starts so many threads; all of them compute when this returns.
    fn start(threads: u32) -> Self {
        let script = "import sys, threading\n\
            def work(): \n    \
                while True: pass\n\
            [threading.Thread(target=work, daemon=True).start() for _ in range(int(sys.argv[1]))]\n\
            print('ready', flush=True)\n\
            work()\n";
        let mut child = Command::new(common::library("python"))
            .args(["-c", script, &threads.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n");
        Busy(child)
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn watch(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_threadctl"));
    command.arg("watch").args(args).output().unwrap()
}

#[test]
fn a_window_of_a_running_process_is_one_document() {
    let busy = Busy::start(3);
    let output = watch(&["--pid", &busy.pid(), "--once", "--json", "--window", "300"]);
    assert!(
        matches!(output.status.code(), Some(0 | 1)),
        "{}",
        stderr(&output)
    );
    let document = serde_json::from_slice(&output.stdout).unwrap();
    schema::check_watch(&document);
    assert_eq!(document["pid"], busy.0.id());
    let process = &document["processes"][0];
    assert_eq!(
        (&process["pid"], &process["threads"]),
        (&busy.0.id().into(), &4.into())
    );
    assert_eq!(process["agent"], false);
    // What it had used before it was watched does not count.
    let cpu = document["cpu_seconds"].as_f64().unwrap();
    let wall = document["wall_seconds"].as_f64().unwrap();
    assert!(
        cpu <= wall * f64::from(threadctl::cores().logical()) * 1.1 + 0.1,
        "{cpu} s in {wall} s"
    );
}

#[test]
fn the_cores_are_those_that_the_process_may_use() {
    let busy = Busy::start(1);
    // All threads, of which there are two.
    let bound = Command::new("taskset")
        .args(["-a", "-c", "-p", "0", &busy.pid()])
        .stdout(Stdio::null())
        .status();
    assert!(bound.unwrap().success());
    let output = watch(&["--pid", &busy.pid(), "--once", "--json", "--window", "100"]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&document["cores"]["count"], &document["cores"]["kind"]),
        (&1.into(), &"affinity".into()),
        "{:#}",
        document["cores"]
    );
}

#[test]
fn too_many_threads_of_a_running_program_are_bad_news() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(
        &["makers.c", "maker.c"],
        &folder.path().join("makers"),
        &["-ldl"],
    );
    let threads = (threadctl::cores().count() + 14).to_string();
    let mut child = Command::new(&program)
        .args(["-", &threads, "1000000"])
        .spawn()
        .unwrap();
    // Until all of them are there.
    let tasks = format!("/proc/{}/task", child.id());
    while std::fs::read_dir(&tasks).unwrap().count() < 15 {
        std::thread::yield_now();
    }
    let output = watch(&[
        "--pid",
        &child.id().to_string(),
        "--once",
        "--window",
        "1500",
    ]);
    child.kill().unwrap();
    child.wait().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text} {}", stderr(&output));
    assert!(text.contains("pool-exceeds-cores"), "{text}");
}

#[test]
fn it_ends_with_the_process_and_writes_a_line_for_each_window() {
    let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
    let mut watching = Command::new(env!("CARGO_BIN_EXE_threadctl"))
        .args(["watch", "--window", "50", "--pid", &child.id().to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let line = lines.next().unwrap().unwrap();
        assert!(line.contains("threads runnable"), "{line}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for line in lines {
        assert!(line.unwrap().chars().count() <= 80);
    }
    assert!(watching.wait().unwrap().success());
}

#[test]
fn a_process_that_is_not_there_is_an_error() {
    let output = watch(&["--pid", "4194303", "--once"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("4194303"), "{}", stderr(&output));
}
