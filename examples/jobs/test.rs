//! Real processes: how many at once, with which share, and what becomes of those that fail.
#![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use threadctl::Workers;
use threadctl_examples::jobs::{Outcome, run};

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

fn cores() -> u32 {
    threadctl::cores().count()
}

#[test]
fn a_failed_job_is_reported_and_the_rest_finish() {
    let jobs = vec![
        shell("exit 0"),
        shell("exit 3"),
        Command::new("/nowhere/at/all"),
        shell("kill -9 $$"),
        shell("exit 0"),
    ];
    let outcomes = run(jobs, Workers::ALL, |_, _| ());
    let success: Vec<bool> = outcomes.iter().map(Outcome::is_success).collect();
    assert_eq!(success, [true, false, false, false, true]);
    assert_eq!(outcomes[1].status.as_ref().unwrap().code(), Some(3));
    assert!(
        outcomes[2].describe().starts_with("NOT STARTED"),
        "{}",
        outcomes[2].describe()
    );
    assert_eq!(outcomes[3].status.as_ref().unwrap().signal(), Some(9));
}

#[test]
fn there_are_never_more_at_once_than_cores_and_each_knows_its_share() {
    let folder = tempfile::tempdir().unwrap();
    let count = 4 * cores() as usize + 1;
    // A job leaves a file while it runs, and writes how many it sees and what share it was given.
    let script = format!(
        "cd '{}'; : > running.$$; ls running.* | wc -l > seen.$$; echo $OMP_NUM_THREADS $RAYON_NUM_THREADS > share.$$; rm running.$$",
        folder.path().display()
    );
    let outcomes = run(
        (0..count).map(|_| shell(&script)).collect(),
        Workers::ALL,
        |_, _| (),
    );
    assert_eq!(
        outcomes
            .iter()
            .filter(|outcome| outcome.is_success())
            .count(),
        count
    );
    let (mut seen, mut shares) = (0, 0);
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.starts_with("seen") {
            let at_once: u32 = text.trim().parse().unwrap();
            assert!((1..=cores()).contains(&at_once), "{at_once} at once");
            seen += 1;
        } else {
            assert_eq!(text.trim(), "1 1", "{name}");
            shares += 1;
        }
    }
    assert_eq!((seen, shares), (count, count));
}

#[test]
fn fewer_jobs_than_cores_share_all_of_them() {
    let outcomes = run(vec![shell("exit 0")], Workers::ALL, |_, _| ());
    assert_eq!(outcomes[0].cores, cores());
    assert!(run(Vec::new(), Workers::ALL, |_, _| ()).is_empty());
}

#[test]
fn the_program_names_what_failed_and_ends_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("beams");
    let program = || Command::new(env!("CARGO_BIN_EXE_jobs"));
    std::fs::write(&list, "# beams\n\ntrue\nexit 4\n  true\n").unwrap();
    let output = program().arg(&list).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("2/3 FAILED (exit status: 4)") && text.ends_with("2 of 3 done\n"),
        "{text}"
    );

    std::fs::write(&list, "true\n").unwrap();
    assert_eq!(
        program().arg(&list).output().unwrap().status.code(),
        Some(0)
    );

    let missing = program().arg(folder.path().join("none")).output().unwrap();
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8(missing.stderr).unwrap().contains("none"));
}
