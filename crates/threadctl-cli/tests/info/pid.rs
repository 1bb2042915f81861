//! `threadctl info --pid`: what is told of the process itself, statically linked runtimes, and every way to fail.
use crate::common;
use crate::document::Document;
use crate::python::Python;
use crate::sleeper::Sleeper;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const THREADCTL: &str = env!("CARGO_BIN_EXE_threadctl");

fn info(pid: &str, options: &[&str]) -> Output {
    Command::new(THREADCTL)
        .args(["info", "--pid", pid])
        .args(options)
        .output()
        .unwrap()
}

/// Standard error of a run that must end with exit code 2.
fn refusal(pid: &str) -> String {
    let output = info(pid, &[]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(output.stdout.is_empty());
    text
}

fn document(pid: &str) -> Document {
    let output = info(pid, &["--json"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Document::parse(&output.stdout)
}

#[test]
fn a_process_without_runtimes_has_an_empty_list() {
    let mut command = Command::new("cat");
    command
        .env_clear()
        .env("OMP_NUM_THREADS", "3")
        .env("SECRET", "x");
    let sleeper = Sleeper::start(&mut command);
    let document = document(&sleeper.pid());
    assert_eq!(document.pid.to_string(), sleeper.pid());
    assert!(document.runtimes.is_empty() && document.conflicts.is_empty());
    let process = document.process.unwrap();
    assert_eq!(process.threads, 1);
    assert!(process.allowed_cpus.count >= 1);
    let environment: Vec<_> = process.environment.into_iter().collect();
    assert_eq!(
        environment,
        [("OMP_NUM_THREADS".to_owned(), "3".to_owned())]
    );
    assert!(process.executable.is_absolute());
}

#[test]
fn the_allowed_cpus_are_those_of_the_process_and_not_ours() {
    let first = document(&std::process::id().to_string())
        .process
        .unwrap()
        .allowed_cpus
        .list;
    let first = first.split(['-', ',']).next().unwrap().to_owned();
    let sleeper = Sleeper::start(Command::new("taskset").args(["--cpu-list", &first, "cat"]));
    let cpus = document(&sleeper.pid()).process.unwrap().allowed_cpus;
    assert_eq!((cpus.count, cpus.list), (1, first));
}

#[test]
fn the_threads_of_a_pool_are_counted() {
    let library = format!("load:{}", common::library("openblas-pthread").display());
    let mut python = Python::with_wheels(&[&library], &[]);
    python.report();
    python.limit(3);
    let document = python.inspect();
    assert_eq!(document.runtimes[0].num_threads, Some(3));
    assert_eq!(
        document.process.unwrap().threads,
        3,
        "the first one and two of OpenBLAS"
    );
}

#[test]
fn the_number_of_a_thread_stands_for_its_process() {
    let library = format!("load:{}", common::library("openblas-pthread").display());
    let mut python = Python::with_wheels(&[&library], &[]);
    python.report();
    python.limit(2);
    let other = std::fs::read_dir(format!("/proc/{}/task", python.pid))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .find(|thread| *thread != python.pid.to_string())
        .expect("OpenBLAS has started a thread");
    let document = document(&other);
    assert_eq!(document.pid, python.pid);
    assert_eq!(document.runtimes[0].num_threads, Some(2));
}

#[test]
fn a_library_that_was_deleted_meanwhile_is_still_told() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder
        .path()
        .canonicalize()
        .unwrap()
        .join("libopenblas-copy.so");
    std::fs::copy(common::library("openblas-serial"), &copy).unwrap();
    let mut python = Python::with_wheels(&[&format!("load:{}", copy.display())], &[]);
    python.report();
    std::fs::remove_file(&copy).unwrap();
    let document = python.inspect();
    let unreadable = document.process.unwrap().unreadable;
    // Root may follow the links of /proc/PID/map_files; for others the file is out of reach, and that is said.
    match &document.runtimes[..] {
        [own] => {
            assert_eq!(own.filepath, copy);
            assert_eq!(own.threading_layer.as_deref(), Some("disabled"));
            assert!(unreadable.is_empty());
        }
        [] => assert!(
            unreadable[0].contains("deleted") && unreadable[0].contains("root"),
            "{unreadable:?}"
        ),
        more => panic!("{more:#?}"),
    }
}

#[test]
fn a_file_put_in_the_place_of_a_library_is_not_taken_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder
        .path()
        .canonicalize()
        .unwrap()
        .join("libopenblas-copy.so");
    std::fs::copy(common::library("openblas-serial"), &copy).unwrap();
    let mut python = Python::with_wheels(&[&format!("load:{}", copy.display())], &[]);
    python.report();
    // As package managers do it: the name goes to a new file, the old one stays mapped.
    let new = folder.path().join("new");
    std::fs::copy(common::library("openblas-pthread"), &new).unwrap();
    std::fs::rename(&new, &copy).unwrap();
    let document = python.inspect();
    let layers: Vec<_> = document
        .runtimes
        .iter()
        .map(|own| own.threading_layer.as_deref())
        .collect();
    assert!(
        layers.is_empty() || layers == [Some("disabled")],
        "{document:#?}"
    );
}

/// Says which kernels OpenBLAS has chosen, with three threads, and waits.
const LINKED_STATICALLY: &str = r#"
#include <stdio.h>
void openblas_set_num_threads(int);
const char *openblas_get_corename(void);
int main(void) {
    openblas_set_num_threads(3);
    puts(openblas_get_corename());
    fflush(stdout);
    return getchar() == EOF;
}
"#;

#[test]
fn an_openblas_inside_the_program_is_found_there() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let (source, program) = (folder.join("linked.c"), folder.join("linked"));
    std::fs::write(&source, LINKED_STATICALLY).unwrap();
    let archive = common::library("openblas-dev")
        .canonicalize()
        .unwrap()
        .with_file_name("libopenblas.a");
    let output = Command::new("cc")
        .args([&source, &archive])
        .args(["-lm", "-pthread", "-fopenmp", "-o"])
        .arg(&program)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut command = Command::new(&program);
    let mut running = Sleeper(
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut kernels = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(running.0.stdout.take().unwrap()),
        &mut kernels,
    )
    .unwrap();
    let document = document(&running.pid());
    let found: Vec<_> = document
        .runtimes
        .iter()
        .filter(|own| own.internal_api == "openblas")
        .collect();
    let [own] = found[..] else {
        panic!("{document:#?}")
    };
    assert_eq!((own.prefix.as_str(), &own.filepath), ("", &program));
    assert_eq!(own.architecture.as_deref(), Some(kernels.trim()));
    assert!(own.version.is_some());
    match own.threading_layer.as_deref() {
        Some("pthreads") => assert_eq!(own.num_threads, Some(3)),
        // Where the system's choice of OpenBLAS is another build.
        Some("openmp") => assert_eq!(own.num_threads, None),
        other => assert_eq!((other, own.num_threads), (Some("disabled"), Some(1))),
    }
}

#[test]
fn names_that_are_not_utf_8_are_told_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let program = folder.join(std::ffi::OsStr::from_bytes(b"cat\xff"));
    std::fs::copy("/bin/cat", &program).unwrap();
    let sleeper = Sleeper::start(&mut Command::new(&program));
    let executable = document(&sleeper.pid()).process.unwrap().executable;
    assert_eq!(executable, Path::new(&*program.to_string_lossy()));
}

#[test]
fn a_process_with_clashing_runtimes_is_warned_of() {
    let load = |key: &str| format!("load:{}", common::library(key).display());
    let environment = [("KMP_DUPLICATE_LIB_OK", "TRUE")];
    let mut python = Python::with_wheels(&[&load("omp"), &load("iomp5")], &environment);
    python.report();
    assert_eq!(python.inspect().conflicts.len(), 1);
    let output = info(&python.pid.to_string(), &[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && text.contains("Warnings:"),
        "{text}"
    );
}

#[test]
fn the_table_names_process_and_runtimes_in_80_columns() {
    let library = format!("load:{}", common::library("openblas-pthread").display());
    let mut python = Python::with_wheels(&[&library], &[("OMP_NUM_THREADS", "2")]);
    python.report();
    let output = info(&python.pid.to_string(), &[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for wanted in [
        "OMP_NUM_THREADS=2",
        "openblas",
        "pthreads",
        &python.pid.to_string(),
    ] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    for line in text.lines().filter(|line| !line.contains('/')) {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn no_such_process() {
    // Beyond the largest number that Linux can give.
    let text = refusal("4194305");
    assert!(
        text.contains("no process 4194305") && text.contains("ps -e"),
        "{text}"
    );
}

#[test]
fn numbers_that_no_process_can_have() {
    for odd in ["0", "-1", "x", "4294967296", "3000000000"] {
        let text = refusal(odd);
        assert!(text.contains(odd), "{text}");
    }
}

#[test]
fn a_zombie() {
    let mut child = Command::new("true").spawn().unwrap();
    let pid = child.id().to_string();
    let is_zombie = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.contains(") Z ")
    };
    while !is_zombie() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let text = refusal(&pid);
    child.wait().unwrap();
    assert!(text.contains(&pid) && text.contains("zombie"), "{text}");
}

#[test]
fn a_process_of_another_user() {
    let is_root = std::fs::metadata("/proc/self").unwrap();
    let is_root = std::os::unix::fs::MetadataExt::uid(&is_root) == 0;
    let output = if is_root {
        // Root may look at everything: so nobody looks at root, with a copy of the program that nobody may run.
        let sleeper = Sleeper::new();
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("threadctl");
        std::fs::copy(THREADCTL, &copy).unwrap();
        for path in [folder.path(), Path::new(&copy)] {
            let everyone = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(path, everyone).unwrap();
        }
        Command::new(&copy)
            .args(["info", "--pid", &sleeper.pid()])
            .current_dir("/")
            .uid(65534)
            .gid(65534)
            .output()
            .unwrap()
    } else {
        info("1", &[])
    };
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(
        text.contains("another user") && text.contains("sudo threadctl info"),
        "{text}"
    );
}

/// Processes that come and go under the eyes of the command: it answers or says that they ended, and nothing else.
#[test]
fn processes_that_end_meanwhile() {
    for round in 0..40_u64 {
        let mut sleeper = Sleeper::new();
        let pid = sleeper.pid();
        let looking = Command::new(THREADCTL)
            .args(["info", "--json", "--pid", &pid])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_micros(round * 100));
        sleeper.0.kill().unwrap();
        // In odd rounds the process goes, in even ones a zombie stays while it is looked at.
        if round % 2 == 1 {
            sleeper.0.wait().unwrap();
        }
        let output = looking.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            assert_eq!(Document::parse(&output.stdout).pid.to_string(), pid);
        } else {
            assert_eq!(output.status.code(), Some(2), "{text}");
            let told = ["no process", "ended", "zombie"]
                .iter()
                .any(|word| text.contains(word));
            assert!(told && text.contains(&pid), "{text}");
        }
    }
}
