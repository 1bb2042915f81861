//! How jobs end that cannot go on: with an error that is told once, or killed, and without anything left behind.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use ndarray::Array2;

use super::launch::{KMEANS, SELECTION, mpirun, output, text};

/// What a job that must fail says on standard error.
fn failed(ranks: u32, program: &str, args: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = mpirun(ranks, folder.path(), &["--bind-to", "none"]);
    let output = output(command.arg(program).args(args));
    let (told, complained) = text(&output);
    assert_eq!(output.status.code(), Some(2), "{told}{complained}");
    assert_eq!(told, "", "{complained}");
    complained
}

#[test]
fn options_that_cannot_be_read_are_told_once_and_end_all_ranks() {
    let told = failed(4, KMEANS, &["--clusters", "0"]);
    assert_eq!(told.matches("--clusters").count(), 1, "{told}");
    let told = failed(2, SELECTION, &["--nonsense"]);
    assert!(told.contains("--nonsense"), "{told}");
    let told = failed(2, KMEANS, &["--points", "3"]);
    assert_eq!(told.matches("there are 3 points").count(), 1, "{told}");
}

#[test]
fn files_that_cannot_be_read_are_told_once_and_end_all_ranks() {
    for program in [KMEANS, SELECTION] {
        let told = failed(4, program, &["--file", "/nowhere/points.npy"]);
        let errors = told.matches("/nowhere/points.npy: No such file").count();
        assert_eq!(errors, 1, "{told}");
        assert!(told.contains(": rank 0: "), "{told}");
    }
}

#[test]
fn a_row_that_one_rank_alone_reads_ends_the_others_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("points.npy");
    let mut points = Array2::from_shape_fn((4000, 4), |(i, j)| (i * 5 + j * 3) as f64 % 17.0);
    points[[3999, 2]] = f64::NAN;
    ndarray_npy::write_npy(&file, &points).unwrap();
    let file = file.to_str().unwrap();
    let told = failed(2, KMEANS, &["--file", file, "--block", "100"]);
    assert!(
        told.contains("rank 1: ") && told.contains("row 3999: NaN"),
        "{told}"
    );
    let told = failed(2, SELECTION, &["--file", file]);
    assert!(
        told.contains("rank 1: ") && told.contains("row 3999: NaN"),
        "{told}"
    );
}

#[test]
fn a_rank_that_is_killed_ends_the_job_and_nothing_is_left() {
    // The first is the one that keeps the budget.
    for victim in [0, 1] {
        let folder = tempfile::tempdir().unwrap();
        let seed = format!("{}{victim}", std::process::id());
        let mut command = mpirun(2, folder.path(), &["--bind-to", "none"]);
        command
            .arg(SELECTION)
            .args(["--rows", "200", "--rounds", "1000000", "--seed", &seed])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut job = command.spawn().unwrap();
        let ranks = within(&mut job, || {
            let ranks = of(&seed);
            (ranks.len() == 2 && ranks.iter().all(|rank| is_in_a_budget(*rank))).then_some(ranks)
        });
        // The budget's name has gone when all are in it.
        let left = || -> Vec<String> { ranks.iter().flat_map(|rank| files_of(*rank)).collect() };
        within(&mut job, || left().is_empty().then_some(()));
        // In the middle of the work.
        std::thread::sleep(Duration::from_millis(300));
        let killed = kill(ranks[victim]);
        assert!(killed, "kill -9 {}", ranks[victim]);
        let begun = Instant::now();
        let output = job.wait_with_output().unwrap();
        assert!(!output.status.success(), "{output:?}");
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{:?}",
            begun.elapsed()
        );
        assert_eq!(of(&seed), [0_u32; 0]);
        assert_eq!(left(), [""; 0]);
        let kept: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert!(kept.is_empty(), "{kept:?}");
    }
}

/// `kill` of the shell, so that no other crate is needed.
fn kill(pid: u32) -> bool {
    let kill = std::process::Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status();
    kill.is_ok_and(|status| status.success())
}

/// What `found` finds while the job runs.
fn within<T>(job: &mut Child, found: impl Fn() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        if let Some(status) = job.try_wait().unwrap() {
            panic!("the job ended with {status} before it was looked at");
        }
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "the job does not begin"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The ranks with this seed, the first one first.
fn of(seed: &str) -> Vec<u32> {
    let mut ranks: Vec<(String, u32)> = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let read = |file: &str| fs::read(entry.path().join(file)).unwrap_or_default();
        let words = String::from_utf8_lossy(&read("cmdline")).into_owned();
        let words: Vec<&str> = words.split('\0').collect();
        if words.first() == Some(&SELECTION) && words.contains(&seed) {
            let environment = String::from_utf8_lossy(&read("environ")).into_owned();
            let rank = environment
                .split('\0')
                .find_map(|entry| entry.strip_prefix("OMPI_COMM_WORLD_RANK="));
            ranks.push((rank.unwrap_or_default().to_owned(), pid));
        }
    }
    ranks.sort();
    ranks.into_iter().map(|(_, pid)| pid).collect()
}

fn is_in_a_budget(rank: u32) -> bool {
    let maps = fs::read_to_string(format!("/proc/{rank}/maps")).unwrap_or_default();
    maps.contains("/threadctl-mpi-")
}

/// Folders of budgets that this rank has made.
fn files_of(rank: u32) -> Vec<String> {
    let named = format!("threadctl-mpi-{rank}-");
    [Path::new("/dev/shm"), &std::env::temp_dir()]
        .into_iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with(&named))
        .collect()
}
