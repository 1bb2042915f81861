//! `threadctl cores` as its users meet it: the number, the explanation, the document, another process, and refusals.

use std::process::{Command, Stdio};

use crate::asked::{ask, clear, document, plain, program, run};
use crate::sleeper::Sleeper;

#[test]
fn the_number_stands_alone() {
    let output = plain(&["cores"]).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let number: u32 = text.strip_suffix('\n').unwrap().parse().unwrap();
    assert!(number >= 1);
    assert_eq!(number, ask(&mut plain(&["cores", "--json"])).count);
    let logical = run(&mut plain(&["cores", "--logical"]));
    assert!(logical.trim().parse::<u32>().unwrap() >= number);
}

#[test]
fn the_document_holds_what_it_promises() {
    let document = ask(plain(&["cores", "--json"]).env("OMP_NUM_THREADS", "1,1"));
    assert_eq!(document.schema, "threadctl.cores/1");
    assert_eq!(document.threadctl, env!("CARGO_PKG_VERSION"));
    let binding = &document.constraints[document.binding];
    assert!(
        binding.in_force && binding.limit == document.count,
        "{document:#?}"
    );
    let hint = document
        .constraints
        .iter()
        .find(|known| known.source == "OMP_NUM_THREADS")
        .unwrap();
    assert_eq!((hint.kind.as_str(), hint.limit), ("runtime_variable", 1));
    assert_eq!(hint.runtime.as_deref(), Some("openmp"));
    assert!(document.topology.physical <= document.topology.logical);
    assert!(document.logical >= document.count);
    assert!(document.problems.is_empty(), "{:?}", document.problems);
    // The first thread's affinity is the process's, and told once.
    let kinds = document.constraints.iter().map(|known| &known.kind);
    assert!(!kinds.clone().any(|kind| kind == "thread_affinity"));
    assert_eq!(kinds.filter(|kind| *kind == "affinity").count(), 1);
}

#[test]
fn the_binding_constraint_is_marked() {
    let text = run(plain(&["cores", "--explain"]).env("THREADCTL_NUM_THREADS", "1"));
    let marked: Vec<&str> = text.lines().filter(|line| line.contains("->")).collect();
    assert_eq!(marked.len(), 1, "{text}");
    for kind in [
        "online CPUs",
        "affinity",
        "physical cores",
        "THREADCTL_NUM_THREADS=1",
    ] {
        assert!(text.contains(kind), "{text}");
    }
}

#[test]
fn malformed_variables_are_told_on_standard_error_and_not_counted() {
    let count = ask(&mut plain(&["cores", "--json"])).count;
    let output = plain(&["cores"])
        .env("SLURM_CPUS_PER_TASK", "abc")
        .output()
        .unwrap();
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("{count}\n")
    );
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains(r#"SLURM_CPUS_PER_TASK="abc""#), "{told}");
}

#[test]
fn another_process_has_its_own_affinity_and_variables() {
    let mut command = Command::new("taskset");
    command
        .args(["-c", "0", "cat"])
        .env("OPENBLAS_NUM_THREADS", "3");
    let sleeper = Sleeper::start(&mut command);
    let pid = sleeper.pid();
    let document = ask(&mut plain(&["cores", "--json", "--pid", &pid]));
    assert_eq!(document.pid.to_string(), pid);
    assert_eq!(document.count, 1);
    assert!(
        document
            .constraints
            .iter()
            .any(|known| known.source == format!("/proc/{pid}/status") && known.limit == 1)
    );
    assert!(
        document
            .constraints
            .iter()
            .any(|known| known.source == "OPENBLAS_NUM_THREADS" && known.limit == 3)
    );
}

#[test]
fn the_askers_own_affinity_and_variables_are_nothing_to_another_process() {
    let sleeper = Sleeper::start(Command::new("cat").env_clear());
    let pid = sleeper.pid();
    let expected = ask(&mut plain(&["cores", "--json", "--pid", &pid]));
    let mut command = Command::new("taskset");
    clear(&mut command);
    command
        .args(["-c", "0"])
        .arg(program())
        .args(["cores", "--json", "--pid", &pid])
        .env("THREADCTL_NUM_THREADS", "1")
        .env("OMP_NUM_THREADS", "1");
    let found = ask(&mut command);
    assert_eq!(
        (found.count, found.constraints.len()),
        (expected.count, expected.constraints.len()),
        "{found:#?}"
    );
    assert_eq!(found.topology.cpus, expected.topology.cpus);
}

#[test]
fn names_and_values_of_others_do_not_command_the_terminal() {
    let mut command = Command::new("cat");
    command
        .env("OMP_NUM_THREADS", "1 ,\n2")
        .env("NCPUS", "\u{1b}[31m");
    let sleeper = Sleeper::start(&mut command);
    let pid = sleeper.pid();
    let table = run(&mut plain(&["cores", "--explain", "--pid", &pid]));
    let alone = plain(&["cores", "--pid", &pid]).output().unwrap();
    assert!(
        table.contains("OMP_NUM_THREADS=1 ,\\n2, for openmp"),
        "{table}"
    );
    let text = table + &String::from_utf8(alone.stderr).unwrap();
    assert!(text.contains("NCPUS") && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_process_that_is_not_there_and_wrong_options_are_system_and_usage_errors() {
    for arguments in [
        &["cores", "--pid", "2147483647"][..],
        &["cores", "--pid", "0"],
        &["cores", "--json", "--explain"],
        &["cores", "--no-such-option"],
    ] {
        let output = plain(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = plain(&["cores", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
}

#[test]
fn documents_of_both_views_agree() {
    let own = document(&run(&mut plain(&["cores", "--json"])));
    let other = ask(&mut plain(&[
        "cores",
        "--json",
        "--pid",
        &std::process::id().to_string(),
    ]));
    // This process has the same cgroup and affinity as the command that it starts.
    assert_eq!(own.topology.cpus, other.topology.cpus);
}
