//! Shares of the cores: as many at once as there are, never more together, wider at the end, and on CPUs of their own.

use super::{document, run, stderr, stdout};
use serde_json::Value;

fn cores() -> u64 {
    threadctl::cores().count().into()
}

/// At any time, what runs has at most all cores; returns the most that ran at once.
fn check_sums(document: &Value) -> usize {
    let number = |job: &Value, field: &str| job[field].as_f64().unwrap();
    let jobs = document["jobs"].as_array().unwrap();
    let mut most = 0;
    for job in jobs {
        let time = number(job, "begun_seconds");
        let at_once = jobs.iter().filter(|other| {
            let begun = number(other, "begun_seconds");
            begun <= time && time < begun + number(other, "seconds")
        });
        let at_once: Vec<&Value> = at_once.collect();
        let sum: u64 = at_once
            .iter()
            .map(|job| job["cores"].as_u64().unwrap())
            .sum();
        assert!(sum <= document["cores"].as_u64().unwrap(), "{at_once:#?}");
        let mut slots: Vec<&Value> = at_once.iter().map(|job| &job["slot"]).collect();
        let mut cpus: Vec<&Value> = at_once.iter().map(|job| &job["cpus"]).collect();
        slots.sort_by_key(|slot| slot.as_u64());
        slots.dedup();
        cpus.sort_by_key(|cpus| cpus.as_str());
        cpus.dedup();
        assert_eq!((slots.len(), cpus.len()), (at_once.len(), at_once.len()));
        most = most.max(at_once.len());
    }
    most
}

#[test]
fn more_jobs_than_cores_have_one_each_and_wait_for_a_place() {
    let count = (4 * cores() + 1).to_string();
    let values: Vec<String> = (1..=4 * cores() + 1)
        .map(|value| value.to_string())
        .collect();
    let mut args = vec!["sleep 0.1; echo {}", ":::"];
    args.extend(values.iter().map(String::as_str));
    let document = document(&args);
    assert_eq!(document["succeeded"].to_string(), count);
    let most = check_sums(&document);
    assert_eq!(u64::try_from(most).unwrap(), cores(), "{document:#}");
    // All but the last ones, which may have found more free.
    let jobs = document["jobs"].as_array().unwrap();
    let full = jobs.len() - usize::try_from(cores()).unwrap();
    assert!(
        jobs[..full].iter().all(|job| job["cores"] == 1),
        "{document:#}"
    );
}

#[test]
fn a_job_alone_has_all_cores_and_is_told_so() {
    let output = run(&[
        "echo $OMP_NUM_THREADS $OPENBLAS_NUM_THREADS $THREADCTL_NUM_THREADS",
        ":::",
        "a",
    ]);
    let n = cores();
    assert_eq!(
        stdout(&output),
        format!("{n} {n} {n} a\n"),
        "{}",
        stderr(&output)
    );
    assert_eq!(document(&["true", ":::", "a"])["jobs"][0]["cores"], n);
}

#[test]
fn the_last_jobs_have_the_cores_of_those_that_ended_before() {
    let n = usize::try_from(cores()).unwrap();
    assert!(n > 1, "this test needs a machine with two cores");
    // A wave of equal jobs on one core each, and one more, which finds all of them free: they end within a tenth of their time.
    let values: Vec<String> = (0..=n).map(|value| value.to_string()).collect();
    let mut args = vec!["-k", "sleep 3; echo $OMP_NUM_THREADS $(nproc) {}", ":::"];
    args.extend(values.iter().map(String::as_str));
    let document = document(&args);
    let jobs = document["jobs"].as_array().unwrap();
    assert!(
        jobs[..n].iter().all(|job| job["cores"] == 1),
        "{document:#}"
    );
    assert_eq!(jobs[n]["cores"], cores(), "{document:#}");
    check_sums(&document);
}

#[test]
fn jobs_run_on_cpus_of_their_own() {
    // The kernel's own word, from inside each job, while all of them run.
    let n = usize::try_from(cores()).unwrap();
    let values: Vec<String> = (0..n).map(|value| value.to_string()).collect();
    let mut args = vec![
        "-k",
        "sleep 0.5; grep Cpus_allowed_list /proc/self/status #",
        ":::",
    ];
    args.extend(values.iter().map(String::as_str));
    let output = run(&args);
    let mut seen: Vec<u32> = Vec::new();
    for line in stdout(&output).lines() {
        let cpus: threadctl::cores::CpuSet = line.split_once('\t').unwrap().1.parse().unwrap();
        assert!(!cpus.is_empty());
        seen.extend(cpus.iter());
    }
    let places = threadctl::cores::System::this().places();
    let mut all: Vec<u32> = places.iter().flat_map(|place| place.cpus.iter()).collect();
    seen.sort_unstable();
    all.sort_unstable();
    assert_eq!(seen, all, "{}", stderr(&output));

    let output = run(&[
        "-j",
        "1",
        "--no-affinity",
        "grep Cpus_allowed_list /proc/self/status #",
        ":::",
        "a",
    ]);
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    assert!(
        own.contains(stdout(&output).trim_end()),
        "{}",
        stdout(&output)
    );
}

#[test]
fn where_the_cores_are_a_number_nobody_is_bound() {
    let document = document(&["--cores", "1", "true", ":::", "a"]);
    assert_eq!(document["cores"], 1);
    if cores() > 1 {
        assert_eq!(document["jobs"][0]["cpus"], Value::Null);
        assert!(
            document["notes"][0]
                .as_str()
                .unwrap()
                .contains("not bound to CPUs")
        );
    }
}

#[test]
fn more_at_once_than_cores_is_said_and_done() {
    let at_once = cores() * 4;
    let text = at_once.to_string();
    let values: Vec<String> = (0..at_once).map(|value| value.to_string()).collect();
    let mut args = vec!["-j", &text, "sleep 1; echo", ":::"];
    args.extend(values.iter().map(String::as_str));
    let document = document(&args);
    let jobs = document["jobs"].as_array().unwrap();
    // All were started before the first ended.
    let begun = |job: &Value| job["begun_seconds"].as_f64().unwrap();
    assert!(
        jobs.iter().all(|job| begun(job) < 1.0 && job["cores"] == 1),
        "{document:#}"
    );
    assert!(
        document["notes"][0]
            .as_str()
            .unwrap()
            .contains("take turns"),
        "{document:#}"
    );
}
