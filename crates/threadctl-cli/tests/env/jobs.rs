//! Simultaneous jobs that a shell starts after the settings, counted thread by thread while they multiply.

use super::{clean, common, document, number, stderr};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Multiplies for as long as the folder is there, which goes with the test even if that fails. A line is one write: `print`
/// of an unbuffered Python makes two, and those of two jobs mix.
const JOB: &str = "import numpy, os, sys\n\
    a = numpy.ones((700, 700))\n\
    a @ a\n\
    os.write(1, b'%d\\n' % os.getpid())\n\
    while os.path.exists(sys.argv[1]):\n    \
        a @ a";

/// How long to look before what should be seen counts as not there.
const PATIENCE: Duration = Duration::from_secs(20);

/// Jobs that run at the same time.
struct Jobs {
    shell: Child,
    pids: Vec<u32>,
    folder: tempfile::TempDir,
}

impl Jobs {
    /// Starts them from a shell that has evaluated `settings` first. Each has used its BLAS when this returns.
    fn start(count: usize, settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = format!(
            "{settings}\ni=0\nwhile [ $i -lt {count} ]; do \"$1\" -c \"$2\" \"$3\" & i=$((i + 1)); done\nwait"
        );
        let mut shell = clean("sh")
            .args(["-c", &script])
            .arg(env!("CARGO_BIN_EXE_threadctl"))
            .arg(common::library("python"))
            .arg(JOB)
            .arg(folder.path())
            .env("PYTHONPATH", common::library("python-packages"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(shell.stdout.take().unwrap()).lines();
        let pids: Vec<u32> = lines
            .take(count)
            .map(|line| line.unwrap().parse().unwrap())
            .collect();
        let jobs = Jobs {
            shell,
            pids,
            folder,
        };
        assert_eq!(jobs.pids.len(), count, "not all jobs came up");
        jobs
    }

    /// The threads that each of them has.
    fn threads(&self) -> Vec<usize> {
        self.pids.iter().map(|pid| states(*pid).len()).collect()
    }

    /// How many of all their threads run or wait for a core.
    fn runnable(&self) -> usize {
        let states = self.pids.iter().flat_map(|pid| states(*pid));
        states.filter(|state| *state == 'R').count()
    }

    /// Ends them.
    fn stop(self) {
        drop(self.folder);
        let output = self.shell.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
}

/// The state of each thread of a process, as `/proc` has it.
fn states(pid: u32) -> Vec<char> {
    fs::read_dir(format!("/proc/{pid}/task"))
        .unwrap()
        .filter_map(|thread| {
            let stat = fs::read_to_string(thread.unwrap().path().join("stat")).ok()?;
            // The name before it, in brackets, may have anything in it.
            stat.rsplit_once(") ")?.1.chars().next()
        })
        .collect()
}

#[test]
fn simultaneous_jobs_have_together_the_threads_that_were_promised() {
    let cores = number(&document(&[]), "cores");
    for count in [1, 2, 4] {
        let jobs = count.to_string();
        let promised = number(&document(&["--jobs", &jobs]), "width");
        assert!(
            promised * count <= cores.max(count),
            "{promised} each of {count} on {cores} cores"
        );
        let settings = format!("eval \"$(\"$0\" env --jobs {jobs} 2>/dev/null)\"");
        let running = Jobs::start(count, &settings);
        assert_eq!(
            running.threads(),
            vec![promised; count],
            "threads of {count} jobs on {cores} cores"
        );
        // All of them at work at once, each promised core wanted once and none twice.
        let began = Instant::now();
        let mut most = 0;
        while most < promised * count && began.elapsed() < PATIENCE {
            most = most.max(running.runnable());
            sleep(Duration::from_millis(2));
        }
        assert_eq!(most, promised * count, "runnable threads of {count} jobs");
        running.stop();
    }
}

#[test]
fn without_the_settings_each_job_has_a_thread_for_every_core() {
    const COUNT: usize = 2;
    let running = Jobs::start(COUNT, ":");
    // OpenBLAS counts the CPUs of the process, the standard library too.
    let cpus = std::thread::available_parallelism().unwrap().get();
    let threads = running.threads();
    running.stop();
    assert!(
        threads.iter().all(|own| *own >= cpus),
        "{threads:?} on {cpus} CPUs: the other test would prove nothing"
    );
}
