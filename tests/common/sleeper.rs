//! A child process that only waits, for tests that look at a process from outside.
//!
//! Invariant: once it is started, the program itself runs. Between `fork` and then, and also for a while after the
//! name of the process has changed, `/proc` shows the maps and the environment of neither the old program nor the
//! new one; hence the child has to answer before it is looked at.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};

/// `cat`, or what becomes `cat`; ended when it is dropped.
pub struct Sleeper(pub Child);

impl Sleeper {
    /// Starts the command, which has to repeat its input as `cat` does, and returns when it has done so.
    #[track_caller]
    pub fn start(command: &mut Command) -> Sleeper {
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut sleeper = Sleeper(child);
        let mut answer = [0];
        let input = sleeper.0.stdin.as_mut().unwrap();
        input.write_all(b"?").unwrap();
        let output = sleeper.0.stdout.as_mut().unwrap();
        output.read_exact(&mut answer).unwrap();
        assert_eq!(answer, *b"?", "{command:?}");
        sleeper
    }

    pub fn new() -> Sleeper {
        Sleeper::start(&mut Command::new("cat"))
    }

    pub fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
