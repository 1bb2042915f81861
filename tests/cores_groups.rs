//! Where a control group is found: namespaces, mounts that show a part of the hierarchy, groups that are gone, threads in
//! groups of their own. Trees with no more in them than the case needs; real namespaces are in the command's tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

#[path = "common/trees.rs"]
mod trees;

use threadctl::cores::{Cores, Kind};
use trees::Tree;

const POINT: &str = "/sys/fs/cgroup/cpu";

/// Eight CPUs, and a process in the v1 group `path`, which is seen through these mounts: a root and a mount point each.
fn machine(path: &str, mounts: &[(&str, &str)]) -> Tree {
    let mut tree = Tree::new();
    let lines: String = mounts
        .iter()
        .map(|(root, point)| format!("30 20 0:29 {root} {point} rw - cgroup cgroup rw,cpu\n"))
        .collect();
    tree.write("/sys/devices/system/cpu/online", "0-7\n")
        .write(
            "/proc/self/status",
            "Name:\tx\nPid:\t77\nPPid:\t1\nCpus_allowed_list:\t0-7\n",
        )
        .write("/proc/self/cgroup", &format!("1:cpu:{path}\n"))
        .write("/proc/self/mountinfo", &lines);
    tree
}

/// A group with its quota in thousandths of a core, 0 for none, and the processes in it.
fn group(tree: &mut Tree, folder: &str, quota: u32, processes: &str) {
    let quota = if quota == 0 {
        "-1".to_owned()
    } else {
        (quota * 100).to_string()
    };
    tree.write(&format!("{folder}/cpu.cfs_quota_us"), &quota)
        .write(&format!("{folder}/cpu.cfs_period_us"), "100000")
        .write(&format!("{folder}/cgroup.procs"), processes);
}

/// The quotas that were found, the nearest first, without the mount point.
fn quotas(cores: &Cores) -> Vec<&str> {
    let quotas = cores
        .constraints()
        .iter()
        .filter(|known| known.kind == Kind::Quota);
    quotas
        .map(|known| known.source.trim_end_matches("/cpu.cfs_quota_us"))
        .collect()
}

fn told(cores: &Cores, what: &str) -> bool {
    cores.notes().iter().any(|note| note.contains(what))
}

#[test]
fn a_mount_from_before_the_namespace_is_searched_for_the_process() {
    // The namespace's root is two levels below the mount's; the names of those are not told.
    for (path, own, expected) in [
        ("/", "/a/b", &["/a", ""][..]),
        ("/x", "/a/b/x", &["/a/b/x", "/a", ""]),
        ("/..", "/a", &["/a", ""]),
        ("/../c", "/a/c", &["/a/c", "/a", ""]),
        ("/../../d", "/d", &["/d", ""]),
    ] {
        let mut tree = machine(path, &[("/../..", POINT)]);
        for (folder, quota) in [
            ("", 5000),
            ("/a", 4000),
            ("/a/b", 0),
            ("/a/b/x", 3000),
            ("/a/c", 2000),
            ("/d", 1000),
            ("/e/b/x", 1000),
        ] {
            let listed = if folder == own { "9\n77\n" } else { "777\n7\n" };
            group(&mut tree, &format!("{POINT}{folder}"), quota, listed);
        }
        let cores = tree.cores();
        let expected: Vec<String> = expected
            .iter()
            .map(|folder| format!("{POINT}{folder}"))
            .collect();
        assert_eq!(quotas(&cores), expected, "{path}: {cores:#?}");
    }
}

#[test]
fn a_bind_mount_from_before_the_namespace_is_searched_too() {
    // Of the hierarchy `/a` is mounted, and the namespace's root is `/a/b`.
    let mut tree = machine("/x", &[("/../../a", POINT)]);
    group(&mut tree, POINT, 3000, "");
    group(&mut tree, &format!("{POINT}/b"), 0, "");
    group(&mut tree, &format!("{POINT}/b/x"), 2000, "77\n");
    group(&mut tree, &format!("{POINT}/b/b/x"), 1000, "");
    assert_eq!(tree.cores().count(), 2);
}

#[test]
fn an_older_mount_shows_parents_that_the_namespaces_own_does_not() {
    let mut tree = machine("/", &[("/", "/mnt"), ("/..", POINT)]);
    group(&mut tree, "/mnt", 3000, "77\n");
    group(&mut tree, &format!("{POINT}/a"), 3000, "77\n");
    group(&mut tree, POINT, 2000, "1\n");
    assert_eq!(tree.cores().count(), 2);
}

#[test]
fn a_group_that_is_in_no_mount_is_not_one_without_a_quota() {
    let mut tree = machine("/", &[("/..", POINT)]);
    group(&mut tree, POINT, 1000, "1\n");
    group(&mut tree, &format!("{POINT}/a"), 1000, "2\n");
    let cores = tree.cores();
    assert_eq!(cores.count(), 8, "not the root's: it may be another's");
    assert!(told(&cores, "its quota is not known"), "{cores:#?}");
    assert!(!told(&cores, "no quota"), "{cores:#?}");
}

#[test]
fn a_search_ends() {
    let mut tree = machine("/", &[("/..", POINT)]);
    for number in 0..1001 {
        tree.write(
            &format!("{POINT}/g{number}/cgroup.procs"),
            if number == 0 { "77\n" } else { "" },
        );
    }
    assert!(told(&tree.cores(), "its quota is not known"));
}

#[test]
fn a_group_that_is_gone_still_has_its_parents() {
    let mut tree = machine("/a/b/c", &[("/", POINT)]);
    group(&mut tree, &format!("{POINT}/a"), 2500, "");
    let cores = tree.cores();
    assert_eq!(cores.count(), 2);
    assert!(
        told(&cores, &format!("counted from {POINT}/a upwards")),
        "{cores:#?}"
    );
    // It may have had one itself.
    group(&mut tree, &format!("{POINT}/a"), 0, "");
    assert!(!told(&tree.cores(), "no quota"));
}

#[test]
fn a_mount_that_shows_another_group_as_its_root_is_taken_for_the_processes_own() {
    let mut tree = machine("/kubepods/pod1", &[("/docker/4711", POINT)]);
    group(&mut tree, POINT, 3000, "");
    let cores = tree.cores();
    assert_eq!(cores.count(), 3);
    assert!(told(&cores, "its own folder is not found"), "{cores:#?}");
}

#[test]
fn of_two_mounts_the_one_that_shows_more_parents_counts() {
    for mounts in [
        [("/a", "/mnt"), ("/", POINT)],
        [("/", POINT), ("/a", "/mnt")],
    ] {
        let mut tree = machine("/a/b", &mounts);
        group(&mut tree, "/mnt/b", 0, "");
        group(&mut tree, "/mnt", 3000, "");
        group(&mut tree, &format!("{POINT}/a/b"), 0, "");
        group(&mut tree, &format!("{POINT}/a"), 3000, "");
        group(&mut tree, POINT, 2000, "");
        assert_eq!(tree.cores().count(), 2, "{mounts:?}");
    }
    // A name that only begins like the mount's root is another group.
    let mut tree = machine("/ab", &[("/a", "/mnt"), ("/", POINT)]);
    group(&mut tree, "/mnt", 1000, "");
    group(&mut tree, &format!("{POINT}/ab"), 4000, "");
    assert_eq!(tree.cores().count(), 4);
}

#[test]
fn a_thread_in_a_group_of_its_own_has_that_quota_too() {
    let mut tree = machine("/a", &[("/", POINT)]);
    group(&mut tree, POINT, 7000, "");
    group(&mut tree, &format!("{POINT}/a"), 4000, "");
    group(&mut tree, &format!("{POINT}/t"), 2000, "");
    assert_eq!(tree.cores().count(), 4);
    tree.write("/proc/thread-self/cgroup", "1:cpu:/t\n");
    let cores = tree.cores();
    assert_eq!(cores.count(), 2);
    // The parent in common is there once.
    let expected = ["/a", "", "/t"].map(|folder| format!("{POINT}{folder}"));
    assert_eq!(quotas(&cores), expected);
    assert!(!told(&cores, "no quota"), "{cores:#?}");
}

#[test]
fn sets_of_cpus_have_a_name_in_each_version_and_age_of_the_kernel() {
    for (line, mount, file) in [
        ("1:cpuset:/", "cgroup cgroup rw,cpuset", "cpuset.cpus"),
        (
            "1:cpuset:/",
            "cgroup cgroup rw,cpuset",
            "cpuset.effective_cpus",
        ),
        ("0::/", "cgroup2 cgroup2 rw", "cpuset.cpus"),
        ("0::/", "cgroup2 cgroup2 rw", "cpuset.cpus.effective"),
    ] {
        let mut tree = machine("/", &[]);
        tree.write("/proc/self/cgroup", &format!("{line}\n"))
            .write(
                "/proc/self/mountinfo",
                &format!("1 2 0:3 / /cg rw - {mount}\n"),
            )
            .write(&format!("/cg/{file}"), "2-4\n");
        assert_eq!(tree.cores().count(), 3, "{file}");
    }
}

#[test]
fn a_fraction_is_not_rounded_up_in_words_either() {
    let mut tree = machine("/a", &[("/", POINT)]);
    group(&mut tree, &format!("{POINT}/a"), 1999, "");
    let cores = tree.cores();
    assert_eq!(cores.count(), 1);
    assert_eq!(cores.binding().exact, Some(1.999));
    assert!(
        cores.binding().detail.ends_with(": 1.99 cores"),
        "{cores:#?}"
    );
}

#[test]
fn a_quota_that_is_none_or_cannot_be_read_is_told_apart() {
    let file = format!("{POINT}/cpu.cfs_quota_us");
    let mut tree = machine("/", &[("/", POINT)]);
    for (text, problems) in [("-1\n", 0), ("-2", 0), ("0", 1), ("max", 1), ("", 1)] {
        tree.write(&file, text);
        let cores = tree.cores();
        assert_eq!(
            (cores.count(), cores.problems().len()),
            (8, problems),
            "{text:?}: {cores:#?}"
        );
    }
    // A folder in the file's place: reading it fails, for root too.
    let mut tree = machine("/", &[("/", POINT)]);
    tree.write(&format!("{file}/x"), "");
    assert!(tree.cores().problems()[0].starts_with(&file));
}

#[test]
fn another_process_has_the_variables_that_it_was_started_with_if_they_can_be_read() {
    let mut tree = machine("/", &[]);
    tree.set("THREADCTL_NUM_THREADS", "1");
    tree.write("/proc/42/status", "Pid:\t42\nCpus_allowed_list:\t0-5\n")
        .write("/proc/42/cgroup", "")
        .write("/proc/thread-self/status", "Cpus_allowed_list:\t0\n");
    let unread = tree.system().cores_of(42).unwrap();
    assert_eq!(unread.count(), 6, "{unread:#?}");
    assert!(
        unread
            .problems()
            .iter()
            .any(|problem| problem.starts_with("/proc/42/environ")),
        "{unread:#?}"
    );
    // Of a name that is there twice, the first counts, as for getenv.
    tree.write(
        "/proc/42/environ",
        "THREADCTL_NUM_THREADS=3\0THREADCTL_NUM_THREADS=2\0",
    );
    let read = tree.system().cores_of(42).unwrap();
    assert_eq!(read.count(), 3);
    assert_eq!(read.problems(), [""; 0]);
    assert!(tree.system().cores_of(43).is_err());
}

#[test]
fn the_mounts_of_another_process_are_used_where_ones_own_show_nothing() {
    let mut tree = machine("/", &[]);
    tree.write("/proc/42/status", "Pid:\t42\nCpus_allowed_list:\t0-7\n")
        .write("/proc/42/environ", "")
        .write("/proc/42/cgroup", "1:cpu:/a\n")
        .write(
            "/proc/42/mountinfo",
            "1 2 0:3 / /cg rw - cgroup cgroup rw,cpu\n",
        );
    group(&mut tree, "/proc/42/root/cg/a", 2000, "42\n");
    let cores = tree.system().cores_of(42).unwrap();
    assert_eq!(cores.count(), 2, "{cores:#?}");
    assert_eq!(quotas(&cores), ["/proc/42/root/cg/a"]);
}

#[test]
fn without_a_period_it_is_the_kernels_default() {
    let mut tree = machine("/", &[("/", POINT)]);
    tree.write(&format!("{POINT}/cpu.cfs_quota_us"), "300000");
    assert_eq!(tree.cores().count(), 3);
    let mut tree = machine("/", &[]);
    tree.write("/proc/self/cgroup", "0::/\n")
        .write("/proc/self/mountinfo", "1 2 0:3 / /cg rw - cgroup2 x rw\n")
        .write("/cg/cpu.max", "200000\n");
    assert_eq!(tree.cores().count(), 2);
}
