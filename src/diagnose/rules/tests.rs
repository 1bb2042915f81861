//! Each rule on reports as real runs give them: it fires on the sick one, and on no healthy one.

use super::super::machine::Throttling;
use super::super::report::*;
use super::super::who::GroupKind;
use super::*;
use std::collections::BTreeMap;

/// A report on one program on two of eight cores, which ran ten seconds.
fn report(process: ProcessSummary) -> Report {
    Report::for_tests(
        CoresAllowed {
            count: 2,
            kind: "affinity".to_owned(),
            because: "CPUs 0-1".to_owned(),
            online: 8,
        },
        vec![process],
    )
}

fn process(groups: &[ProcessGroup]) -> ProcessSummary {
    ProcessSummary {
        pid: 7,
        executable: "/usr/bin/python3.11".to_owned(),
        threads: groups.iter().map(|group| group.threads).sum(),
        groups: groups.to_vec(),
        runtimes: Vec::new(),
        environment: BTreeMap::new(),
        cpus: 2,
        agent: true,
        began: 0.0,
        ended: 10.0,
        is_busy: true,
        first_busy: true,
    }
}

fn group(name: &str, kind: GroupKind, busy: u32, makers: u32) -> ProcessGroup {
    ProcessGroup {
        name: name.to_owned(),
        kind,
        threads: busy,
        peak: busy,
        busy,
        makers,
        files: Vec::new(),
        cpu_seconds: f64::from(busy),
        wait_seconds: 0.0,
        beside: None,
        stacks: 0,
        calls: BTreeMap::new(),
        asleep: BTreeMap::new(),
    }
}

/// A group of whose threads so many stacks were read, and so many had called the pool.
fn calling(group: ProcessGroup, stacks: u32, pool: &str, calls: u32) -> ProcessGroup {
    ProcessGroup {
        stacks,
        calls: BTreeMap::from([(pool.to_owned(), calls)]),
        ..group
    }
}

/// A pool, and who was runnable while it was: the first thread, and groups.
fn beside(pool: ProcessGroup, first: f64, groups: &[(&str, f64)]) -> ProcessGroup {
    ProcessGroup {
        beside: Some(Beside {
            seconds: 5.0,
            looks: 250,
            first,
            groups: groups
                .iter()
                .map(|(name, mean)| ((*name).to_owned(), *mean))
                .collect(),
            present: groups
                .iter()
                .map(|(name, mean)| ((*name).to_owned(), mean.min(1.0)))
                .collect(),
            other_processes: 0.0,
        }),
        ..pool
    }
}

fn runtime(name: &str, kind: GroupKind, layer: Option<&str>) -> RuntimeFile {
    RuntimeFile {
        path: format!("/lib/{name}.so"),
        name: name.to_owned(),
        kind,
        threading_layer: layer.map(str::to_owned),
        max_threads: None,
    }
}

fn set(process: &mut ProcessSummary, name: &str, value: &str) {
    process
        .environment
        .insert(name.to_owned(), value.to_owned());
}

fn ids(report: &Report) -> Vec<&'static str> {
    let found = findings(report, Some("python3 job.py"));
    found.iter().map(|finding| finding.rule).collect()
}

#[test]
fn healthy_programs_are_left_in_peace() {
    use GroupKind::*;
    let alone = process(&[group("python", Program, 0, 0)]);
    let own_pool = process(&[
        group("python", Program, 0, 0),
        group("libopenblas", Blas, 1, 1),
    ]);
    let mut workers = process(&[group("python", Program, 2, 1)]);
    set(&mut workers, "OPENBLAS_NUM_THREADS", "1");
    workers
        .runtimes
        .push(runtime("libopenblas", Blas, Some("pthreads")));
    let mut openmp = process(&[group("job", Program, 0, 0), group("libgomp", Openmp, 1, 1)]);
    set(&mut openmp, "OMP_NUM_THREADS", "2");
    openmp.runtimes.push(runtime("libgomp", Openmp, None));
    // More threads than cores, of which only some compute.
    let mut idle = process(&[group("python", Program, 1, 1)]);
    idle.first_busy = false;
    idle.groups[0].peak = 40;
    for (name, process) in [
        ("alone", alone),
        ("own pool", own_pool),
        ("workers", workers),
        ("openmp", openmp),
        ("idle", idle),
    ] {
        let mut report = report(process);
        assert_eq!(ids(&report), [""; 0], "{name}");
        // However much it waited: that may be for others.
        report.wait.share = 0.9;
        report.others_cpu_seconds = None;
        assert_eq!(ids(&report), [""; 0], "{name} on a busy machine");
    }
}

#[test]
fn a_pool_in_a_pool_is_found_and_the_remedy_limits_the_inner_one() {
    let report = report(process(&[
        group("python", GroupKind::Program, 16, 1),
        beside(
            group("libopenblas", GroupKind::Blas, 7, 1),
            0.1,
            &[("python", 2.1), ("libopenblas", 3.0)],
        ),
    ]));
    let found = findings(&report, Some("python3 job.py"));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].rule, "nested-pools");
    assert_eq!(found[0].confidence, Confidence::Likely);
    assert_eq!(
        found[0].remedies,
        ["threadctl run --limit blas=1 -- python3 job.py"]
    );
    for words in ["16 threads of python", "7 of libopenblas", "2 cores"] {
        assert!(found[0].evidence.contains(words), "{}", found[0].evidence);
    }
}

#[test]
fn teams_that_several_threads_made_are_certainly_nested() {
    let report = report(process(&[
        group("python", GroupKind::Program, 16, 1),
        beside(
            group("libgomp", GroupKind::Openmp, 240, 16),
            0.0,
            &[("python", 9.0), ("libgomp", 90.0)],
        ),
    ]));
    let found = findings(&report, None);
    assert_eq!(
        (found[0].rule, found[0].confidence),
        ("nested-pools", Confidence::Certain)
    );
    assert_eq!(
        found[0].remedies,
        ["threadctl run --limit openmp=1 -- COMMAND"]
    );
}

#[test]
fn a_blas_pool_below_a_team_is_told_from_one_beside_it() {
    let job = |first, libgomp, libopenblas| {
        report(process(&[
            group("job", GroupKind::Program, 0, 0),
            group("libgomp", GroupKind::Openmp, 1, 1),
            beside(
                group("libopenblas", GroupKind::Blas, 1, 1),
                first,
                &[("libgomp", libgomp), ("libopenblas", libopenblas)],
            ),
        ]))
    };
    let mut unseen = job(0.0, 0.0, 1.0);
    unseen.processes[0].groups[2].beside = None;
    assert_eq!(ids(&unseen), [""; 0], "no look found the pool runnable");
    // A parallel loop, then a product, whose threads spin for a little longer.
    assert_eq!(ids(&job(1.0, 0.1, 1.0)), [""; 0], "one after the other");
    // Products in the loop.
    let found = findings(&job(0.8, 0.75, 1.0), Some("./job"));
    assert_eq!(found[0].rule, "nested-pools");
    assert!(
        found[0].evidence.contains("2 threads of libgomp"),
        "{}",
        found[0].evidence
    );
    assert_eq!(
        found[0].remedies[0],
        "threadctl run --limit blas=1 -- ./job"
    );
}

#[test]
fn pools_in_turns_of_which_one_spins_meanwhile_are_not_nested() {
    let job = |libgomp| {
        report(process(&[
            group("job", GroupKind::Program, 0, 0),
            group("libgomp", GroupKind::Openmp, 1, 1),
            beside(
                group("libopenblas", GroupKind::Blas, 1, 1),
                1.0,
                &[("libgomp", libgomp), ("libopenblas", 1.0)],
            ),
        ]))
    };
    // Half of ten seconds: 0.6 threads too many on two cores.
    let found = findings(&job(0.6), Some("./job"));
    assert_eq!(found[0].rule, "idle-pool-spins");
    assert!(
        found[0].remedies[0].starts_with("OPENBLAS_THREAD_TIMEOUT=4 GOMP_SPINCOUNT=0")
            && found[0].remedies[0].ends_with(" ./job"),
        "{:?}",
        found[0].remedies
    );
    assert_eq!(ids(&job(0.3)), [""; 0], "it takes little");
}

#[test]
fn stacks_tell_who_calls_a_pool_whatever_runs_at_the_same_time() {
    let job = |stacks, calls, libgomp| {
        let team = group("libgomp", GroupKind::Openmp, 1, 1);
        report(process(&[
            group("job", GroupKind::Program, 0, 0),
            calling(team, stacks, "libopenblas", calls),
            beside(
                group("libopenblas", GroupKind::Blas, 1, 1),
                1.0,
                &[("libgomp", libgomp), ("libopenblas", 1.0)],
            ),
        ]))
    };
    assert_eq!(ids(&job(1, 0, 0.99)), ["idle-pool-spins"]);
    assert_eq!(ids(&job(1, 1, 0.99)), ["nested-pools"]);
    // They wait asleep for each other, for the library's lock.
    assert_eq!(ids(&job(1, 1, 0.4)), ["nested-pools"]);
    assert_eq!(ids(&job(0, 0, 0.99)), ["nested-pools"], "not read");
}

#[test]
fn whose_lock_threads_wait_for_tells_turns_from_nesting() {
    let job = |python, inside| {
        let mut threads = calling(
            group("python", GroupKind::Program, 8, 1),
            8,
            "libopenblas",
            8,
        );
        let asleep = Asleep { looks: 100, inside };
        threads.asleep.insert("libopenblas".to_owned(), asleep);
        let blas = group("libopenblas", GroupKind::Blas, 1, 1);
        let groups = [("python", python), ("libopenblas", 1.0)];
        report(process(&[threads, beside(blas, 0.0, &groups)]))
    };
    assert_eq!(ids(&job(1.2, 0)), [""; 0], "a lock of the program");
    assert_eq!(ids(&job(1.05, 60)), ["nested-pools"], "the library's");
    assert_eq!(ids(&job(1.8, 0)), ["nested-pools"], "they spin for it");
    let mut one = job(1.8, 60);
    one.processes[0].groups[0].calls.clear();
    assert_eq!(ids(&one), ["idle-pool-spins"], "they do not call it");
}

#[test]
fn threads_of_the_program_and_a_pool_may_compute_one_after_the_other() {
    let job = |first, python| {
        let blas = group("libopenblas", GroupKind::Blas, 1, 1);
        report(process(&[
            group("python", GroupKind::Program, 2, 1),
            beside(blas, first, &[("python", python), ("libopenblas", 1.0)]),
        ]))
    };
    assert_eq!(ids(&job(0.9, 0.3)), [""; 0], "the first thread calls BLAS");
    assert_eq!(ids(&job(0.1, 1.6)), ["nested-pools"]);
}

#[test]
fn one_large_pool_is_told_from_nesting() {
    let report = report(process(&[
        group("job", GroupKind::Program, 0, 0),
        group("libgomp", GroupKind::Openmp, 15, 1),
    ]));
    assert_eq!(ids(&report), ["pool-exceeds-cores"]);
}

#[test]
fn threads_of_a_program_that_take_turns_are_not_too_many() {
    // Eight that share one lock: together they want one core, however many have had it.
    let mut turns = group("python", GroupKind::Program, 8, 1);
    turns.cpu_seconds = 9.5;
    turns.wait_seconds = 0.3;
    let mut own = process(std::slice::from_ref(&turns));
    own.first_busy = false;
    assert_eq!(ids(&report(own.clone())), [""; 0]);
    // The same without the lock.
    turns.cpu_seconds = 19.0;
    turns.wait_seconds = 55.0;
    own.groups = vec![turns];
    assert_eq!(ids(&report(own)), ["pool-exceeds-cores"]);
}

#[test]
fn a_limit_that_did_not_take_counts_callers() {
    let mut own = process(&[
        group("job", GroupKind::Program, 1, 1),
        group("libgomp", GroupKind::Openmp, 1, 2),
    ]);
    set(&mut own, "OMP_NUM_THREADS", "2,1");
    own.groups[1].peak = 2;
    assert_eq!(
        settings::exceeded(&own).count(),
        0,
        "one for each of two callers"
    );
    own.groups[1].peak = 3;
    assert_eq!(ids(&report(own)), ["limit-not-taken"]);

    let mut own = process(&[group("libopenblas", GroupKind::Blas, 1, 2)]);
    set(&mut own, "OPENBLAS_NUM_THREADS", "1");
    assert_eq!(ids(&report(own.clone())), ["limit-not-taken"]);
    set(&mut own, "OPENBLAS_NUM_THREADS", "nonsense");
    assert_eq!(ids(&report(own)), [""; 0]);
}

#[test]
fn threads_on_one_cpu_are_found_where_there_are_more() {
    let mut own = process(&[group("libgomp", GroupKind::Openmp, 1, 1)]);
    own.cpus = 1;
    set(&mut own, "OMP_PROC_BIND", "true");
    let mut report = report(own);
    let found = findings(&report, Some("./job"));
    assert_eq!(found[0].rule, "affinity-one-core");
    assert_eq!(found[0].remedies, ["env -u OMP_PROC_BIND ./job"]);
    report.cores.online = 1;
    assert_eq!(ids(&report), [""; 0]);
}

#[test]
fn a_quota_is_named_with_what_it_held_up() {
    let mut report = report(process(&[group("libopenblas", GroupKind::Blas, 7, 1)]));
    report.cores.kind = "cgroup quota".to_owned();
    report.throttling = Some(Throttling {
        periods: 31,
        seconds: 4.5,
    });
    let found = findings(&report, Some("./job"));
    assert_eq!(found[0].rule, "quota-smaller-than-pools");
    assert!(
        found[0].cost.contains("31 times") && found[0].cost.contains("4.5 s"),
        "{}",
        found[0].cost
    );
}

#[test]
fn spinning_needs_a_setting_and_too_many_threads() {
    for (variable, value, spins) in [
        ("OMP_WAIT_POLICY", "ACTIVE", true),
        ("KMP_BLOCKTIME", "infinite", true),
        ("KMP_BLOCKTIME", "200", false),
        ("GOMP_SPINCOUNT", "infinity", true),
        ("OMP_WAIT_POLICY", "passive", false),
    ] {
        let mut own = process(&[group("libgomp", GroupKind::Openmp, 3, 1)]);
        set(&mut own, variable, value);
        assert_eq!(
            ids(&report(own)).contains(&"spin-wait"),
            spins,
            "{variable}={value}"
        );
    }
    let mut own = process(&[group("libgomp", GroupKind::Openmp, 1, 1)]);
    set(&mut own, "OMP_WAIT_POLICY", "active");
    assert_eq!(ids(&report(own)), [""; 0], "they fit");
}

#[test]
fn runtimes_that_do_not_go_together_are_found() {
    let mut own = process(&[
        group("libgomp", GroupKind::Openmp, 1, 1),
        group("libomp", GroupKind::Openmp, 0, 1),
    ]);
    own.groups[1].peak = 1;
    assert_eq!(ids(&report(own.clone())), ["several-openmp-runtimes"]);
    set(&mut own, "OMP_WAIT_POLICY", "passive");
    assert_eq!(
        ids(&report(own.clone())),
        ["several-openmp-runtimes"],
        "libomp spins all the same"
    );
    set(&mut own, "KMP_BLOCKTIME", "0");
    assert_eq!(ids(&report(own.clone())), [""; 0], "idle threads sleep");
    own.environment.clear();
    own.groups.remove(0);
    own.runtimes
        .push(runtime("libomp", GroupKind::Openmp, None));
    assert_eq!(ids(&report(own.clone())), [""; 0]);
    own.runtimes
        .push(runtime("libiomp5", GroupKind::Openmp, None));
    assert_eq!(ids(&report(own)), ["libomp-beside-libiomp5"]);
}

#[test]
fn two_copies_of_one_openmp_runtime_are_two() {
    let mut own = process(&[group("libgomp", GroupKind::Openmp, 1, 1)]);
    own.first_busy = false;
    own.groups[0].files = vec!["/usr/lib/libgomp.so.1".to_owned()];
    assert_eq!(ids(&report(own.clone())), [""; 0]);
    own.groups[0]
        .files
        .push("/x/scikit_learn.libs/libgomp-e9.so".to_owned());
    let found = findings(&report(own.clone()), Some("./job"));
    assert_eq!(found[0].rule, "several-openmp-runtimes");
    assert!(
        found[0].evidence.contains("scikit_learn.libs"),
        "{}",
        found[0].evidence
    );
    set(&mut own, "GOMP_SPINCOUNT", "0");
    assert_eq!(ids(&report(own)), [""; 0]);
}

#[test]
fn pools_in_processes_that_run_at_once_are_nested() {
    let pool = group("libopenblas", GroupKind::Blas, 1, 1);
    let mut job = process(&[beside(pool, 0.9, &[("libopenblas", 1.0)])]);
    let others = |job: &mut ProcessSummary, threads| {
        let beside = job.groups[0].beside.as_mut();
        beside.unwrap().other_processes = threads;
    };
    others(&mut job, 1.7);
    job.ended = 5.0;
    let mut report = report(job.clone());
    report.processes.push(ProcessSummary {
        pid: 8,
        ..job.clone()
    });
    let found = findings(&report, Some("./job"));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].rule, "nested-pools");
    assert_eq!(
        found[0].remedies[0],
        "threadctl run --limit blas=1 -- ./job"
    );
    assert!(
        found[0].evidence.contains("2 processes") && found[0].evidence.contains("4 threads"),
        "{}",
        found[0].evidence
    );
    report.processes[1].began = 5.0;
    report.processes[1].ended = 10.0;
    assert_eq!(ids(&report), [""; 0], "one after the other");
    report.processes[1].began = 0.0;
    for process in &mut report.processes {
        others(process, 0.1);
    }
    assert_eq!(ids(&report), [""; 0], "one waits for the other");
    for process in &mut report.processes {
        others(process, 1.7);
    }
    // A pool that was made at the start, and spun for a while.
    let first = ProcessGroup {
        cpu_seconds: 9.0,
        ..group("python", GroupKind::Program, 0, 0)
    };
    report.processes[1].groups.push(first);
    report.processes[1].groups[0].cpu_seconds = 0.9;
    assert_eq!(ids(&report), [""; 0], "one of the pools was not used");
    report.processes[1].groups[0].cpu_seconds = 8.0;
    assert_eq!(ids(&report), ["nested-pools"]);
    report.processes[1].groups[0].busy = 0;
    assert_eq!(ids(&report), [""; 0], "a process with a pool beside one");
}

#[test]
fn a_serial_openblas_matters_with_several_threads_only() {
    let mut own = process(&[group("job", GroupKind::Program, 2, 1)]);
    own.first_busy = false;
    own.runtimes
        .push(runtime("libopenblas", GroupKind::Blas, Some("disabled")));
    assert_eq!(ids(&report(own.clone())), ["serial-openblas-concurrent"]);
    own.groups[0].busy = 0;
    own.first_busy = true;
    assert_eq!(ids(&report(own)), [""; 0]);
}

#[test]
fn more_callers_than_openblas_has_room_for_are_found() {
    let mut own = process(&[group("job", GroupKind::Program, 70, 1)]);
    own.runtimes
        .push(runtime("libopenblas", GroupKind::Blas, Some("pthreads")));
    assert!(ids(&report(own.clone())).contains(&"openblas-max-threads"));
    own.runtimes[0].max_threads = Some(128);
    assert!(!ids(&report(own)).contains(&"openblas-max-threads"));
}

#[test]
fn jobs_are_counted_at_once() {
    let used = |seconds| ProcessGroup {
        cpu_seconds: seconds,
        ..group("sh", GroupKind::Program, 0, 0)
    };
    let alone = process(&[used(1.0)]);
    let mut report = report(alone.clone());
    report.processes = (0..5)
        .map(|index| ProcessSummary {
            pid: index,
            began: f64::from(index),
            ended: f64::from(index) + 1.0,
            ..alone.clone()
        })
        .collect();
    assert_eq!(ids(&report), [""; 0], "one after another");
    for process in &mut report.processes {
        process.ended = 10.0;
        process.groups[0] = used(9.0);
    }
    assert_eq!(ids(&report), ["jobs-exceed-cores"]);
    for process in &mut report.processes[2..] {
        process.groups[0] = used(2.0);
    }
    assert_eq!(ids(&report), [""; 0], "two compute, the others wait");
}

#[test]
fn others_on_the_machine_are_blamed_only_if_they_are_there() {
    let mut report = report(process(&[group("job", GroupKind::Program, 0, 0)]));
    report.wait.share = 0.5;
    report.runnable.mean = 2.0;
    report.others_cpu_seconds = Some(10.0);
    assert_eq!(ids(&report), [""; 0], "one core of eight");
    report.others_cpu_seconds = Some(75.0);
    assert_eq!(ids(&report), ["jobs-exceed-cores"]);
}

#[test]
fn idle_cores_beside_a_blas_at_one_are_found() {
    let mut own = process(&[group("python", GroupKind::Program, 0, 0)]);
    own.runtimes
        .push(runtime("libopenblas", GroupKind::Blas, Some("pthreads")));
    set(&mut own, "OPENBLAS_NUM_THREADS", "1");
    let mut report = report(own);
    report.runnable.mean = 1.0;
    assert_eq!(ids(&report), ["blas-at-1-cores-idle"]);
    report.runnable.mean = 0.2;
    assert_eq!(ids(&report), [""; 0], "it does not compute");
    report.runnable.mean = 1.0;
    report.processes[0].environment.clear();
    assert_eq!(ids(&report), [""; 0], "nothing set it");
}

#[test]
fn every_rule_has_a_name_a_title_and_a_background() {
    for (at, rule) in RULES.iter().enumerate() {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        assert!(rule.id.bytes().all(plain), "{}", rule.id);
        assert!(
            RULES[..at].iter().all(|other| other.id != rule.id),
            "{}",
            rule.id
        );
        assert!(
            !rule.title.is_empty() && rule.background.len() > 200,
            "{}",
            rule.id
        );
    }
}
