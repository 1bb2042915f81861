//! `threadctl info --pid` on processes that use their memory, threads and names in unusual ways.
use crate::common;
use crate::document::Document;
use std::io::{BufRead as _, BufReader};
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Child, Command, Stdio};

/// What the scripts below begin with; `path` is the library.
const START: &str = r#"
import ctypes, mmap, sys, threading, time
path = sys.argv[1]
def map_file():
    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
def ready():
    print("ready", flush=True)
    sys.stdin.read()
"#;

/// A Python program that is as far as it is to be looked at.
struct Script(Child);

impl Script {
    fn start(key: &str, text: &str, variable: (&str, &str)) -> Script {
        let mut child = Command::new("python3")
            .args(["-c", &format!("{START}{text}")])
            .arg(common::library(key))
            .env(
                variable.0,
                std::ffi::OsStr::from_bytes(variable.1.as_bytes()),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is installed (Debian: python3-minimal)");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let script = Script(child);
        assert_eq!(line, "ready\n");
        script
    }

    fn info(&self, options: &[&str]) -> Vec<u8> {
        let output = Command::new(env!("CARGO_BIN_EXE_threadctl"))
            .args(["info", "--pid", &self.0.id().to_string()])
            .args(options)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        output.stdout
    }

    /// The numbers of threads of the OpenBLAS libraries of the process.
    fn openblas(&self) -> Vec<Option<u32>> {
        let document = Document::parse(&self.info(&["--json"]));
        let found = document.runtimes.iter();
        found
            .filter(|own| own.internal_api == "openblas")
            .map(|own| own.num_threads)
            .collect()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const NOTHING: (&str, &str) = ("OMP_NUM_THREADS", "2");

#[test]
fn a_library_that_is_only_read_is_not_loaded() {
    let script = Script::start("openblas-pthread", "view = map_file()\nready()", NOTHING);
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", script.0.id())).unwrap();
    assert!(maps.contains("openblas"), "it is mapped: {maps}");
    assert_eq!(script.openblas(), []);
}

#[test]
fn a_library_that_is_loaded_and_read_is_found_where_it_is_loaded() {
    // What is mapped later lies below what was mapped before, on the machines that this runs on; so try both orders.
    for text in [
        "library = ctypes.CDLL(path)\nview = map_file()",
        "view = map_file()\nlibrary = ctypes.CDLL(path)",
    ] {
        let text = format!("{text}\nlibrary.openblas_set_num_threads(3)\nready()");
        let script = Script::start("openblas-pthread", &text, NOTHING);
        assert_eq!(script.openblas(), [Some(3)], "{text}");
    }
}

#[test]
fn a_process_whose_first_thread_has_ended_is_no_zombie() {
    let text = r#"
library = ctypes.CDLL(path)
library.openblas_set_num_threads(3)
def when_it_has_ended():
    while " Z " not in open("/proc/self/stat").read():
        time.sleep(0.01)
    ready()
threading.Thread(target=when_it_has_ended).start()
import platform
number = {"x86_64": 60, "aarch64": 93}[platform.machine()]
ctypes.CDLL(None).syscall(number, 0)
"#;
    let script = Script::start("openblas-pthread", text, NOTHING);
    let document = Document::parse(&script.info(&["--json"]));
    assert_eq!(document.pid, script.0.id());
    assert_eq!(script.openblas(), [Some(3)]);
}

#[test]
fn what_a_process_calls_itself_cannot_command_the_terminal() {
    let hostile = "2\u{1b}[31m\u{9b}2J\nfake line\u{202e}";
    let script = Script::start("openblas-pthread", "ready()", ("OMP_HOSTILE", hostile));
    let text = String::from_utf8(script.info(&[])).unwrap();
    assert!(
        text.contains(r"OMP_HOSTILE=2\u{1b}[31m\u{9b}2J\nfake line\u{202e}"),
        "{text}"
    );
    let odd = |letter: char| letter.is_control() && letter != '\n' || letter == '\u{202e}';
    assert!(!text.contains(odd), "{text:?}");
}
