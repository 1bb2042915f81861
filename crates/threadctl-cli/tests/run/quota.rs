//! A real CPU quota on the machine that runs the tests: a control group with one core, and pools made for all.
//!
//! Needs root and a hierarchy with the cpu controller, mounted for writing; fails without them, naming what is missing.

use super::{common, real, threadctl};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A control group with a quota of one core, which goes away with it.
struct OneCore(PathBuf);

impl OneCore {
    fn new() -> Self {
        let (parent, file, one) = hierarchy();
        let folder = parent.join(format!("threadctl-{}-pools", std::process::id()));
        fs::create_dir(&folder).unwrap_or_else(|error| {
            panic!(
                "{}: {error}; this test needs root and a cgroup hierarchy mounted for writing",
                folder.display()
            )
        });
        let group = OneCore(folder);
        let file = group.0.join(file);
        fs::write(&file, one).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        group
    }

    /// The command, in this group.
    fn enter(&self, command: &Command) -> Command {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", r#"echo $$ > "$0" && exec "$@""#])
            .arg(self.0.join("cgroup.procs"))
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell
    }
}

impl Drop for OneCore {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// A folder for groups, and how a quota of one core is written there.
fn hierarchy() -> (PathBuf, &'static str, &'static str) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mount = |is: &dyn Fn(&[&str]) -> bool| {
        let mut words = mounts
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>());
        words
            .find(|words| is(words))
            .map(|words| PathBuf::from(words[1]))
    };
    let first =
        mount(&|words| words[2] == "cgroup" && words[3].split(',').any(|known| known == "cpu"));
    if let Some(point) = first {
        return (point, "cpu.cfs_quota_us", "100000");
    }
    let point =
        mount(&|words| words[2] == "cgroup2").expect("no hierarchy of control groups is mounted");
    let controllers = fs::read_to_string(point.join("cgroup.controllers")).unwrap();
    assert!(
        controllers.split_whitespace().any(|known| known == "cpu"),
        "the kernel has no cpu controller at all"
    );
    fs::write(point.join("cgroup.subtree_control"), "+cpu")
        .unwrap_or_else(|error| panic!("cgroup.subtree_control: {error}; this test needs root"));
    (point, "cpu.max", "100000 100000")
}

#[test]
fn pools_for_all_cores_below_a_quota_of_one_are_found_and_the_remedy_fits_them_in() {
    assert!(
        threadctl::cores().count() >= 2,
        "the machine needs two cores, so that a pool can be larger than the quota"
    );
    let folder = tempfile::tempdir().unwrap();
    let (place, report) = (
        real::place(folder.path()),
        folder.path().join("report.json"),
    );
    let program = real::table::program("openmp-c");
    let ready = place.ready(program, &program.healthy, program.few);
    let group = OneCore::new();

    let mut run = threadctl(&["--json", "--report"]);
    run.arg(&report).arg("--").args(&ready.words);
    let document = real::ended_well(&mut group.enter(&run), &report);
    assert_eq!(
        (&document["cores"]["count"], &document["cores"]["kind"]),
        (&1.into(), &"cgroup quota".into()),
        "{:#}",
        document["cores"]
    );
    let because = document["cores"]["because"].as_str().unwrap();
    assert!(!because.is_empty());
    assert!(
        document["throttling"]["periods"].is_u64(),
        "the kernel counts them"
    );
    let found = real::rules(&document);
    assert!(
        found.iter().any(|rule| rule == "quota-smaller-than-pools"),
        "{found:?}: {:#}",
        document["processes"]
    );

    let remedy = real::table::remedy(&document, "quota-smaller-than-pools");
    let mut shell = place.shell(remedy, Some(Path::new(&report)));
    common::without_thread_variables(&mut shell);
    let document = real::ended_well(&mut group.enter(&shell), &report);
    assert_eq!(
        real::rules(&document),
        [""; 0],
        "after `{remedy}`: {:#} {:#}",
        document["findings"],
        document["processes"]
    );
}
