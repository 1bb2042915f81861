//! What changes while a process runs: the calling thread's affinity and the quota of its control group, seen by
//! `threadctl::cores()` within its 100 ms.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

#[path = "common/mod.rs"]
mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use threadctl::cores::{Cores, Kind, System};

/// Waits until the kept answer is like this.
#[track_caller]
fn wait_for(what: &str, mut holds: impl FnMut(&Cores) -> bool) {
    let began = Instant::now();
    loop {
        let cores = threadctl::cores();
        if holds(&cores) {
            return;
        }
        assert!(
            began.elapsed() < Duration::from_secs(120),
            "{what} was not seen: {cores:#?}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_answer_is_given_out_again_to_threads_of_the_same_affinity() {
    let again = || {
        let (one, next) = (threadctl::cores(), threadctl::cores());
        std::ptr::eq(one.binding(), next.binding())
    };
    // More than once, for the second may just come after its time.
    assert!((0..10).any(|_| again()));
    let others = || {
        let here = threadctl::cores();
        let other = std::thread::spawn(threadctl::cores).join().unwrap();
        std::ptr::eq(here.binding(), other.binding())
    };
    assert!((0..10).any(|_| others()));
}

#[test]
fn a_thread_of_another_affinity_does_not_get_the_answer_of_others() {
    let mut cpus = rustix::thread::sched_getaffinity(None).unwrap();
    let allowed: Vec<usize> = (0..rustix::thread::CpuSet::MAX_CPU)
        .filter(|&cpu| cpus.is_set(cpu))
        .collect();
    threadctl::cores();
    cpus.clear();
    cpus.set(allowed[0]);
    let narrow = std::thread::spawn(move || {
        rustix::thread::sched_setaffinity(None, &cpus).unwrap();
        threadctl::cores()
    });
    assert_eq!(narrow.join().unwrap().count(), 1);
}

#[test]
fn a_thread_that_is_bound_sees_it_and_others_do_not() {
    let before = System::this().cores();
    let cpus = before.topology().cpus.clone();
    let first = cpus.split(['-', ',']).next().unwrap().to_owned();
    std::thread::spawn(move || {
        threadctl::cores();
        let link = fs::read_link("/proc/thread-self").unwrap();
        let tid = link.file_name().unwrap().to_str().unwrap().to_owned();
        let status = Command::new("taskset")
            .args(["-p", "-c", &first, &tid])
            .output()
            .expect("taskset: install util-linux")
            .status;
        assert!(status.success());
        wait_for("the affinity", |cores| cores.topology().cpus == first);
        assert_eq!(threadctl::cores().count(), 1);
    })
    .join()
    .unwrap();
    assert_eq!(System::this().cores().topology().cpus, cpus);
}

/// The group of this process in the hierarchy with the cpu controller, with the file for the quota and what to write
/// there for one core and for none.
fn hierarchy() -> (PathBuf, &'static str, &'static str, &'static str) {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    let v1 = own.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let is_cpu = controllers.split(',').any(|known| known == "cpu");
        is_cpu.then(|| path.trim_start_matches('/').to_owned())
    });
    let kind = if v1.is_some() { "cgroup" } else { "cgroup2" };
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let point = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .find(|words| {
            words[2] == kind && (v1.is_none() || words[3].split(',').any(|known| known == "cpu"))
        })
        .unwrap_or_else(|| panic!("no {kind} with the cpu controller is mounted; one is needed"))
        [1]
    .to_owned();
    match v1 {
        Some(path) => (
            Path::new(&point).join(path),
            "cpu.cfs_quota_us",
            "100000",
            "-1",
        ),
        None => {
            fs::write(Path::new(&point).join("cgroup.subtree_control"), "+cpu").unwrap_or_else(
                |error| panic!("cgroup.subtree_control: {error}; this test needs root"),
            );
            (point.into(), "cpu.max", "100000 100000", "max")
        }
    }
}

#[test]
fn a_thread_in_a_group_of_its_own_sees_its_quota_and_others_do_not() {
    const TEST: &str = "a_thread_in_a_group_of_its_own_sees_its_quota_and_others_do_not";
    common::in_own_process(TEST, &[], || {
        let (parent, file, one, _) = hierarchy();
        let group = parent.join(format!("threadctl-thread-{}", std::process::id()));
        fs::create_dir(&group).unwrap_or_else(|error| {
            panic!(
                "{}: {error}; this test needs root and cgroups mounted for writing",
                group.display()
            )
        });
        let threads = if file == "cpu.max" {
            fs::write(group.join("cgroup.type"), "threaded").unwrap();
            "cgroup.threads"
        } else {
            "tasks"
        };
        fs::write(group.join(file), one).unwrap();
        let inside = group.clone();
        let count_of = |cores: &Cores| {
            let quotas = cores.constraints().iter().filter(|known| {
                known.kind == Kind::Quota && known.source.starts_with(group.to_str().unwrap())
            });
            quotas.count()
        };
        let bound = std::thread::spawn(move || {
            let link = fs::read_link("/proc/thread-self").unwrap();
            let tid = link.file_name().unwrap().to_str().unwrap();
            fs::write(inside.join(threads), tid).unwrap();
            System::this().cores()
        });
        let bound = bound.join().unwrap();
        let free = System::this().cores();
        fs::remove_dir(&group).unwrap();
        assert_eq!((bound.count(), count_of(&bound)), (1, 1), "{bound:#?}");
        assert_eq!(count_of(&free), 0, "{free:#?}");
    });
}

#[test]
fn a_quota_that_comes_and_goes_is_seen() {
    common::in_own_process("a_quota_that_comes_and_goes_is_seen", &[], || {
        let (parent, file, one, none) = hierarchy();
        let group = parent.join(format!("threadctl-changes-{}", std::process::id()));
        fs::create_dir(&group).unwrap_or_else(|error| {
            panic!(
                "{}: {error}; this test needs root and cgroups mounted for writing",
                group.display()
            )
        });
        let enter = |folder: &Path| {
            fs::write(folder.join("cgroup.procs"), std::process::id().to_string()).unwrap();
        };
        let has_quota = |cores: &Cores| {
            cores.constraints().iter().any(|known| {
                known.kind == Kind::Quota && known.source.starts_with(group.to_str().unwrap())
            })
        };
        let before = threadctl::cores().count();
        enter(&group);
        fs::write(group.join(file), one).unwrap();
        wait_for("the quota", has_quota);
        assert_eq!(threadctl::cores().count(), 1);
        fs::write(group.join(file), none).unwrap();
        wait_for("the end of the quota", |cores| !has_quota(cores));
        assert_eq!(threadctl::cores().count(), before);
        enter(&parent);
        fs::remove_dir(&group).unwrap();
    });
}

#[test]
fn a_process_that_is_moved_meanwhile_is_never_without_a_quota() {
    const TEST: &str = "a_process_that_is_moved_meanwhile_is_never_without_a_quota";
    common::in_own_process(TEST, &[], || {
        let (parent, file, one, _) = hierarchy();
        let base = parent.join(format!("threadctl-moved-{}", std::process::id()));
        let group = |number: u32| base.join(format!("g{number}"));
        let enter = |folder: &Path| {
            fs::write(folder.join("cgroup.procs"), std::process::id().to_string()).unwrap();
        };
        // Each has its quota before the process comes, and is gone after it has left.
        let make = |number: u32| {
            fs::create_dir(group(number)).unwrap();
            fs::write(group(number).join(file), one).unwrap();
        };
        fs::create_dir(&base).unwrap_or_else(|error| {
            panic!(
                "{}: {error}; this test needs root and cgroups mounted for writing",
                base.display()
            )
        });
        if file == "cpu.max" {
            fs::write(base.join("cgroup.subtree_control"), "+cpu").unwrap();
        }
        make(0);
        enter(&group(0));
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let asker = std::thread::spawn(move || {
            let mut counts = Vec::new();
            while stopped.try_recv().is_err() {
                counts.push(System::this().cores().count());
            }
            counts
        });
        for number in 1..200 {
            make(number);
            enter(&group(number));
            fs::remove_dir(group(number - 1)).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        stop.send(()).unwrap();
        let counts = asker.join().unwrap();
        enter(&parent);
        fs::remove_dir(group(199)).unwrap();
        fs::remove_dir(&base).unwrap();
        let wrong = counts.iter().filter(|count| **count != 1).count();
        assert_eq!(wrong, 0, "of {}", counts.len());
    });
}
