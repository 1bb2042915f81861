//! A Python process that has loaded libraries and stays alive to be looked at.

use crate::common;
use crate::document::Document;
use serde_json::{Map, Value};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/report.py");

pub struct Python {
    pub pid: u32,
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Python {
    /// The Python of the wheels, with all of them importable.
    pub fn with_wheels(items: &[&str], environment: &[(&str, &str)]) -> Python {
        let mut command = Command::new(common::library("python"));
        command.env("PYTHONPATH", common::library("python-packages"));
        Python::start(command, items, environment)
    }

    /// Debian's Python and packages, with the OpenBLAS of the manifest's `key` as its BLAS.
    pub fn of_debian(key: &str, items: &[&str]) -> Python {
        let library = common::library(key);
        let mut command = Command::new(common::library("debian-python"));
        // The wheels' numpy must not come before Debian's.
        command.env_remove("PYTHONPATH");
        let folder = library.parent().unwrap().to_str().unwrap();
        Python::start(command, items, &[("LD_LIBRARY_PATH", folder)])
    }

    fn start(mut command: Command, items: &[&str], environment: &[(&str, &str)]) -> Python {
        common::without_thread_variables(&mut command);
        let mut child = command
            .arg(SCRIPT)
            .arg(common::library("threadpoolctl"))
            .args(items)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut python = Python {
            pid: child.id(),
            child,
            lines,
        };
        let identity = python.line();
        assert_eq!(identity["threadpoolctl"], "3.8.0");
        // A launcher may have started the interpreter as a process of its own.
        python.pid = u32::try_from(identity["pid"].as_u64().unwrap()).unwrap();
        python
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{error} in {line:?}; standard error has more"))
    }

    /// What threadpoolctl found after loading.
    pub fn report(&mut self) -> Vec<Map<String, Value>> {
        let line = self.line();
        line.as_array()
            .unwrap()
            .iter()
            .map(|entry| entry.as_object().unwrap().clone())
            .collect()
    }

    /// Limits all runtimes there; what threadpoolctl finds afterwards.
    pub fn limit(&mut self, threads: u32) -> Vec<Map<String, Value>> {
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "limit {threads}").unwrap();
        stdin.flush().unwrap();
        self.report()
    }

    /// What `threadctl info --pid` finds.
    pub fn inspect(&self) -> Document {
        let output = Command::new(Path::new(env!("CARGO_BIN_EXE_threadctl")))
            .args(["info", "--json", "--pid", &self.pid.to_string()])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Document::parse(&output.stdout)
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // The end of its input ends it; a process that hangs is ended the other way.
        drop(self.child.stdin.take());
        for _ in 0..100 {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
