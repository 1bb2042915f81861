//! Commands that make it hard to look at them: processes that vanish, whose number is given again, that nobody may look at, that leave.
//! The command's status is always there, and so is the report.

use super::{compile, document_of, schema, stderr, threadctl};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program of one line of C that runs for a while, and its number as a status.
fn program(folder: &Path, name: &str, status: u8) -> PathBuf {
    let source = folder.join(name).with_extension("c");
    let text = format!(
        "#include <time.h>\nint main(void) {{ while (clock() < CLOCKS_PER_SEC / 10) ; return {status}; }}\n"
    );
    std::fs::write(&source, text).unwrap();
    compile(&[source.to_str().unwrap()], &folder.join(name), &[])
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn processes_that_vanish_while_they_are_looked_at() {
    // Hundreds of processes, most of which end between two reads of a look.
    let script =
        "i=0; while [ $i -lt 300 ]; do (:) & (:) & sh -c : ; i=$((i+1)); done; wait; exit 0";
    let document = document_of(&["--interval", "1"], &[], &["sh", "-c", script]);
    assert!(document["processes"].as_array().unwrap().len() > 300);
}

#[test]
fn a_daemon_that_leaves_its_session_is_named() {
    let script = "setsid -f sh -c 'echo $$; exec sleep 1000 >/dev/null 2>&1'; exit 6";
    let output = threadctl(&["--", "sh", "-c", script]).output().unwrap();
    let pid = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let ended = Command::new("kill").arg(&pid).status().unwrap();
    assert!(ended.success(), "it was left running: {pid:?}");
    assert_eq!(output.status.code(), Some(6));
    let text = stderr(&output);
    assert!(
        text.contains(&format!("still running, and not waited for: {pid}")),
        "{text}"
    );
}

#[test]
fn a_set_uid_program_in_place_of_the_command() {
    let folder = tempfile::tempdir().unwrap();
    // Who is not root runs a program of root's; root one of nobody's. Both are set apart by the kernel alike.
    if !is_root() {
        let output = threadctl(&["--json", "--", "sh", "-c", "exec su --version"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let document = serde_json::from_slice(&output.stderr).unwrap();
        return schema::check(&document);
    }
    let program = program(folder.path(), "other", 9);
    let program = program.to_str().unwrap();
    for command in [
        ["chown", "65534:65534", program],
        ["chmod", "6755", program],
    ] {
        assert!(
            Command::new(command[0])
                .args(&command[1..])
                .status()
                .unwrap()
                .success()
        );
    }
    let report = folder.path().join("report.json");
    let output = threadctl(&["--json", "--report"])
        .arg(&report)
        .args(["--", "sh", "-c", &format!("exec {program}")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(9), "{}", stderr(&output));
    let document: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    schema::check(&document);
    let cpu = document["cpu_seconds"].as_f64().unwrap();
    assert!(cpu >= 0.1, "the kernel counted it: {cpu}");
}

#[test]
fn a_program_that_this_user_may_not_look_at() {
    // Only root can be somebody else; who is not has the case above.
    if !is_root() {
        return assert!(Path::new("/usr/bin/su").exists());
    }
    let folder = tempfile::tempdir().unwrap();
    for command in [&["chmod", "755"], &["chown", "root"]] {
        assert!(
            Command::new(command[0])
                .arg(command[1])
                .arg(folder.path())
                .status()
                .unwrap()
                .success()
        );
    }
    let program = program(folder.path(), "roots", 8);
    assert!(
        Command::new("chmod")
            .arg("4755")
            .arg(&program)
            .status()
            .unwrap()
            .success()
    );
    // Its own copy: the folder of the build may be closed to others.
    let copy = folder.path().join("threadctl");
    std::fs::copy(env!("CARGO_BIN_EXE_threadctl"), &copy).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&copy)
        .args(["run", "--json", "--", "sh", "-c"])
        .arg(format!("exec {}", program.display()))
        .env("TMPDIR", "/tmp")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(8), "{}", stderr(&output));
    let document = serde_json::from_slice(&output.stderr).unwrap();
    schema::check(&document);
    assert_eq!(document["status"], 8);
}

#[test]
fn a_number_that_is_given_to_another_process() {
    // In a namespace of its own a process may say which number comes next.
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), "same", 0);
    let report = folder.path().join("report.json");
    let script = r#"
        "$1" & first=$!; wait $first
        echo $((first - 1)) > /proc/sys/kernel/ns_last_pid || exit 77
        "$1" & second=$!; wait $second
        [ $first = $second ] || exit 78
        exit 5"#;
    let own = if is_root() {
        &[] as &[&str]
    } else {
        &["--user", "--map-root-user"]
    };
    let output = Command::new("unshare")
        .args(own)
        .args(["--pid", "--fork", "--mount-proc"])
        .arg(env!("CARGO_BIN_EXE_threadctl"))
        .args(["run", "--json", "--report"])
        .arg(&report)
        .args(["--", "sh", "-c", script, "sh"])
        .arg(&program)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    let document: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    schema::check(&document);
    // Both of them count: a tenth of a second each.
    let cpu: f64 = document["who"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|group| group["name"] == "same")
        .map(|group| group["cpu_seconds"].as_f64().unwrap())
        .sum();
    assert!(cpu >= 0.19, "{cpu}: {document:#}");
}

#[test]
fn a_machine_whose_proc_is_not_there_or_goes_in_the_middle() {
    // In a namespace of its own a process may put another file system over it.
    let threadctl = env!("CARGO_BIN_EXE_threadctl");
    let cover = "mount -t tmpfs none /proc";
    for (script, status) in [
        (
            format!("{cover} && exec {threadctl} run -- sh -c 'exit 4'"),
            4,
        ),
        (
            format!("exec {threadctl} run -- sh -c '{cover} && exit 5'"),
            5,
        ),
    ] {
        let own = if is_root() {
            &[] as &[&str]
        } else {
            &["--user", "--map-root-user"]
        };
        let output = Command::new("unshare")
            .args(own)
            .args(["--mount", "sh", "-c", &script])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
        assert!(stderr(&output).contains("wall time"), "{}", stderr(&output));
    }
}

#[test]
fn more_threads_than_files_may_be_open() {
    let folder = tempfile::tempdir().unwrap();
    let makers = compile(
        &["makers.c", "maker.c"],
        &folder.path().join("makers"),
        &["-ldl"],
    );
    let run = threadctl(&["--json", "--", makers.to_str().unwrap(), "-", "100", "2"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 40; exec \"$@\"", "sh"]);
    shell.arg(run.get_program()).args(run.get_args());
    let output = shell.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let document: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    schema::check(&document);
    // What looks miss the agent has.
    assert_eq!(document["processes"][0]["threads"], 101, "{document:#}");
}

#[test]
fn a_run_below_another_one_counts_each_thread_once() {
    let folder = tempfile::tempdir().unwrap();
    let makers = compile(
        &["makers.c", "maker.c"],
        &folder.path().join("makers"),
        &["-ldl"],
    );
    let report = folder.path().join("inner.json");
    let output = threadctl(&["-q", "--", env!("CARGO_BIN_EXE_threadctl"), "run"])
        .args(["--json", "--report"])
        .arg(&report)
        .arg("--")
        .arg(&makers)
        .args(["-", "5", "1"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let document: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    assert_eq!(document["who"].as_array().unwrap().len(), 1, "{document:#}");
    assert_eq!(document["who"][0]["threads"], 6, "{document:#}");
}
