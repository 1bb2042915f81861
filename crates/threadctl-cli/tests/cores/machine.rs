//! Real constraints on the machine that runs the tests: affinity, control groups with quotas and sets of CPUs, MPI.
//!
//! A hierarchy that the kernel has but that cannot be written fails its test, naming what is needed. Where the kernel
//! has no cpu controller in a hierarchy, the test asserts that, and recorded trees are what covers it.
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::asked::{Document, ask, clear, document, plain, program, run};
use crate::common;

/// The answer with nothing in the way.
fn machine() -> Document {
    ask(&mut plain(&["cores", "--json"]))
}

/// A control group that goes away with it.
struct Group(PathBuf);

impl Group {
    fn new(parent: &Path, name: &str) -> Self {
        let folder = parent.join(format!("threadctl-{}-{name}", std::process::id()));
        fs::create_dir(&folder).unwrap_or_else(|error| {
            panic!(
                "{}: {error}; this test needs root and a cgroup hierarchy mounted for writing",
                folder.display()
            )
        });
        Group(folder)
    }

    fn set(&self, file: &str, value: &str) {
        let file = self.0.join(file);
        fs::write(&file, value)
            .unwrap_or_else(|error| panic!("{} = {value}: {error}", file.display()));
    }

    /// Runs the command in this group.
    fn ask(&self) -> Document {
        self.ask_by(r#"exec "$1" cores --json"#)
    }

    /// Runs a script in this group, which runs the command `$1`.
    fn ask_by(&self, script: &str) -> Document {
        let mut command = Command::new("sh");
        clear(&mut command);
        command
            .args(["-c", &format!(r#"echo $$ > "$2" && {script}"#), "sh"])
            .arg(program())
            .arg(self.0.join("cgroup.procs"));
        ask(&mut command)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// Where this process's group of a v1 controller is, or `None` if the kernel has that controller in no v1 hierarchy.
fn v1(controller: &str) -> Option<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    let group = own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let controllers = parts.next()?;
        let path = parts.next()?;
        controllers
            .split(',')
            .any(|known| known == controller)
            .then(|| path.trim_start_matches('/').to_owned())
    })?;
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let point = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .find(|words| words[2] == "cgroup" && words[3].split(',').any(|known| known == controller))
        .unwrap_or_else(|| {
            panic!("the v1 hierarchy of {controller} is not mounted: mount -t cgroup -o {controller} none FOLDER")
        })[1]
        .to_owned();
    Some(Path::new(&point).join(group))
}

/// Where v2 is mounted, if it has the cpu controller.
fn v2() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let point = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .find(|words| words[2] == "cgroup2")?[1]
        .to_owned();
    let controllers = fs::read_to_string(Path::new(&point).join("cgroup.controllers")).unwrap();
    controllers
        .split_whitespace()
        .any(|known| known == "cpu")
        .then(|| PathBuf::from(point))
}

/// A group with a quota of one core in the hierarchy that has the cpu controller, and the file that says so.
fn one_core(name: &str) -> (Group, &'static str) {
    let Some(parent) = v1("cpu").or_else(v2) else {
        panic!("the kernel has no cpu controller at all");
    };
    let (file, one) = if parent.join("cgroup.controllers").exists() {
        ("cpu.max", "100000 100000")
    } else {
        ("cpu.cfs_quota_us", "100000")
    };
    let group = Group::new(&parent, name);
    group.set(file, one);
    (group, file)
}

/// What a quota of `quota` in 1000 per core leaves on this machine.
fn expect(quota: u32, before: &Document) -> u32 {
    (quota / 1000).max(1).min(before.count)
}

#[test]
fn taskset_binds() {
    let before = machine();
    let first: u32 = before
        .topology
        .cpus
        .split(['-', ','])
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let mut command = Command::new("taskset");
    clear(&mut command);
    command
        .args(["-c", &first.to_string()])
        .arg(program())
        .args(["cores", "--json"]);
    let bound = ask(&mut command);
    assert_eq!(bound.count, 1);
    assert_eq!(bound.topology.cpus, first.to_string());
    if before.count > 1 {
        assert_eq!(bound.constraints[bound.binding].kind, "affinity");
    }
}

#[test]
fn taskset_binds_where_proc_is_hidden() {
    let hidden = |folders: &str| {
        let script = format!(
            r#"for folder in {folders}; do mount -t tmpfs none $folder || exit 9; done
               exec taskset -c 0 "$1" cores --json"#
        );
        let mut command = Command::new("unshare");
        clear(&mut command);
        command
            .args(["--mount", "sh", "-c", &script, "sh"])
            .arg(program());
        ask(&mut command)
    };
    for folders in ["/proc", "/sys", "/proc /sys"] {
        let found = hidden(folders);
        assert_eq!(
            (found.count, found.logical),
            (1, 1),
            "{folders}: {found:#?}"
        );
        assert!(!found.problems.is_empty(), "{folders}: {found:#?}");
    }
}

#[test]
fn quotas_of_v1() {
    let Some(parent) = v1("cpu") else {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap();
        assert!(!own.contains(":cpu,") && !own.contains(":cpu:"), "{own}");
        assert!(v2().is_some(), "the kernel has no cpu controller at all");
        return;
    };
    let before = machine();
    let group = Group::new(&parent, "quota");
    let none = group.ask();
    assert_eq!(none.count, before.count);
    assert!(none.constraints.iter().all(|known| known.kind != "quota"));
    for quota in [500, 1000, 1500] {
        group.set("cpu.cfs_period_us", "50000");
        group.set("cpu.cfs_quota_us", &(quota * 50).to_string());
        let found = group.ask();
        assert_eq!(found.count, expect(quota, &before), "{found:#?}");
        let row = found
            .constraints
            .iter()
            .find(|known| known.kind == "quota")
            .unwrap();
        assert_eq!(row.exact, Some(f64::from(quota) / 1000.0));
        assert!(row.source.starts_with(group.0.to_str().unwrap()), "{row:?}");
        if before.count > 1 {
            assert_eq!(found.constraints[found.binding].kind, "quota");
        }
    }
    group.set("cpu.cfs_quota_us", "-1");
    assert_eq!(group.ask().count, before.count);
}

#[test]
fn a_parents_quota_of_v1_binds_its_children() {
    let Some(parent) = v1("cpu") else {
        assert!(v2().is_some(), "the kernel has no cpu controller at all");
        return;
    };
    let outer = Group::new(&parent, "outer");
    let middle = Group::new(&outer.0, "middle");
    let inner = Group::new(&middle.0, "inner");
    outer.set("cpu.cfs_quota_us", "150000");
    middle.set("cpu.cfs_quota_us", "100000");
    let found = inner.ask();
    assert_eq!(found.count, 1);
    let exact: Vec<_> = found
        .constraints
        .iter()
        .filter_map(|known| known.exact)
        .collect();
    assert_eq!(exact, [1.0, 1.5], "from the nearest upwards");
    drop(inner);
}

#[test]
fn a_cgroup_namespace_does_not_hide_a_quota() {
    let (outer, file) = one_core("seen");
    if file == "cpu.max" {
        outer.set("cgroup.subtree_control", "+cpu");
    }
    let inner = Group::new(&outer.0, "inner");
    // The mounts are those of before, so their roots lie above the namespace's, at names that it does not tell.
    let found = inner.ask_by(r#"exec unshare --cgroup "$1" cores --json"#);
    let quotas: Vec<_> = found
        .constraints
        .iter()
        .filter(|known| known.kind == "quota")
        .map(|known| known.source.as_str())
        .collect();
    assert_eq!(quotas, [outer.0.join(file).to_str().unwrap()], "{found:#?}");
    assert_eq!(found.count, 1);
    drop(inner);
}

#[test]
fn a_reader_without_cgroup_mounts_reads_those_of_the_process() {
    // Ends with the shell's standard input, so also if this test fails.
    const PROCESS: &str = r#"echo $$ > "$1" && echo in && exec cat"#;
    const READER: &str = r#"while read -r _ point kind _; do
        case $kind in cgroup*) umount -l "$point" || exit 3;; esac
    done < /proc/self/mounts
    exec "$1" cores --json --pid "$2""#;
    let (group, file) = one_core("root");
    let mut process = Command::new("sh")
        .args(["-c", PROCESS, "sh"])
        .arg(group.0.join("cgroup.procs"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = [0; 3];
    process
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut told)
        .unwrap();
    let pid = process.id().to_string();
    let quotas = |found: &Document| -> Vec<String> {
        let quotas = found
            .constraints
            .iter()
            .filter(|known| known.kind == "quota");
        quotas.map(|known| known.source.clone()).collect()
    };

    let with_mounts = ask(&mut plain(&["cores", "--json", "--pid", &pid]));
    let file = group.0.join(file);
    let file = file.to_str().unwrap();
    assert_eq!(quotas(&with_mounts), [file]);
    let mut reader = Command::new("unshare");
    clear(&mut reader);
    reader
        .args(["--mount", "sh", "-c", READER, "sh"])
        .arg(program())
        .arg(&pid);
    let without = ask(&mut reader);
    drop(process.stdin.take());
    process.wait().unwrap();
    assert_eq!(
        quotas(&without),
        [format!("/proc/{pid}/root{file}")],
        "{without:#?}"
    );
    assert_eq!((without.count, with_mounts.count), (1, 1));
}

#[test]
fn quotas_of_v2() {
    let Some(parent) = v2() else {
        // The controller is bound to v1 here, or not built in; then no group of v2 has the file.
        assert!(
            machine()
                .constraints
                .iter()
                .all(|known| !known.source.ends_with("cpu.max"))
        );
        assert!(
            v1("cpu").is_some(),
            "the kernel has no cpu controller at all"
        );
        return;
    };
    fs::write(parent.join("cgroup.subtree_control"), "+cpu")
        .unwrap_or_else(|error| panic!("cgroup.subtree_control: {error}; this test needs root"));
    let before = machine();
    let outer = Group::new(&parent, "v2");
    outer.set("cgroup.subtree_control", "+cpu");
    let inner = Group::new(&outer.0, "inner");
    for quota in [500, 1000, 1500] {
        inner.set("cpu.max", &format!("{} 50000", quota * 50));
        assert_eq!(inner.ask().count, expect(quota, &before));
    }
    inner.set("cpu.max", "max");
    assert_eq!(inner.ask().count, before.count);
    outer.set("cpu.max", "100000 100000");
    assert_eq!(inner.ask().count, 1);
    drop(inner);
}

#[test]
fn a_cpuset_binds() {
    let Some(parent) = v1("cpuset") else {
        // With v2 the set of a group comes with its affinity, which taskset_binds covers.
        assert!(Path::new("/sys/fs/cgroup/cgroup.controllers").exists());
        return;
    };
    let before = machine();
    let cpu = before.topology.cpus.rsplit(['-', ',']).next().unwrap();
    let group = Group::new(&parent, "cpuset");
    group.set("cpuset.cpus", cpu);
    group.set("cpuset.mems", "0");
    let found = group.ask();
    assert_eq!((found.count, found.topology.cpus.as_str()), (1, cpu));
    if before.count > 1 {
        assert_eq!(found.constraints[found.binding].kind, "cpuset");
    }
}

/// What `mpirun -n 2` with these options makes of `threadctl cores`: the document of each rank.
fn ranks(options: &[&str]) -> [Document; 2] {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(common::library("mpirun"));
    clear(&mut command);
    // A file for each rank: on mpirun's standard output two documents may mix. A folder for each mpirun: two that
    // start at once fail when both make the one that they keep below TMPDIR.
    command
        .env("TMPDIR", folder.path())
        .args(["--allow-run-as-root", "--oversubscribe", "-n", "2"])
        .args(options)
        .args([
            "sh",
            "-c",
            r#""$1" cores --json > "$2/$OMPI_COMM_WORLD_RANK""#,
            "sh",
        ])
        .arg(program())
        .arg(folder.path());
    run(&mut command);
    ["0", "1"].map(|rank| document(&fs::read_to_string(folder.path().join(rank)).unwrap()))
}

/// What each rank got, the smaller first.
fn shares(ranks: &[Document; 2]) -> [u32; 2] {
    let mut shares = [ranks[0].count, ranks[1].count];
    shares.sort_unstable();
    shares
}

/// The kind of constraint that binds each rank.
fn binding(ranks: &[Document; 2]) -> [&str; 2] {
    [0, 1].map(|rank| ranks[rank].constraints[ranks[rank].binding].kind.as_str())
}

#[test]
fn mpi_ranks_that_are_not_bound_get_half_each() {
    let before = machine();
    let halves = [
        (before.count / 2).max(1),
        (before.count - before.count / 2).max(1),
    ];
    let found = ranks(&["--bind-to", "none"]);
    assert_eq!(shares(&found), halves, "{found:#?}");
    assert_eq!(found[0].topology.cpus, before.topology.cpus, "it was bound");
    if before.count > 1 {
        assert_eq!(binding(&found), ["launcher"; 2], "{found:#?}");
    }
}

#[test]
fn mpi_ranks_that_are_bound_get_what_they_are_bound_to() {
    let before = machine();
    let half = (before.count / 2).max(1);
    let slots = format!("slot:PE={half}");
    // A core for each is half of two; on a larger machine half is so many cores for each.
    for (options, share) in [
        (&["--bind-to", "core"][..], 1),
        (&["--bind-to", "core", "--map-by", &slots], half),
    ] {
        let found = ranks(options);
        assert_eq!(shares(&found), [share; 2], "{options:?}: {found:#?}");
        if before.count > 1 {
            assert_ne!(found[0].topology.cpus, found[1].topology.cpus);
            assert_eq!(binding(&found), ["affinity"; 2], "{options:?}: {found:#?}");
            // Divided once: half of one core would be one core again, so the share alone does not show a second time.
            let mut constraints = found.iter().flat_map(|rank| &rank.constraints);
            assert!(
                constraints.all(|known| known.kind != "launcher"),
                "{options:?}: {found:#?}"
            );
        }
    }
}

#[test]
fn mpi_ranks_get_half_each_whatever_mpirun_does_by_itself() {
    let before = machine();
    let found = ranks(&[]);
    // Open MPI binds two ranks to a core each where it may; where it may not, they are as with `--bind-to none`.
    let bound = found[0].topology.cpus != before.topology.cpus;
    let larger = before.count - before.count / 2;
    let expected = if bound {
        [1, 1]
    } else {
        [(before.count / 2).max(1), larger.max(1)]
    };
    assert_eq!(shares(&found), expected, "{found:#?}");
}
