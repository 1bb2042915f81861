//! Puts a program under a constraint: real ones of this machine, and files of another laid over this machine's.
//!
//! Invariants: a group that is made goes away with its [`Setting`]; mounts are made in a mount namespace of the asked
//! programs alone; and what a program is asked, it is asked with nothing in its environment but what the row says.

use crate::common::manifest;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What binds the asked programs.
pub enum Under {
    /// Nothing.
    Nothing,
    /// `taskset` to the first CPU.
    Affinity,
    /// A cpuset of v1 with the last CPU.
    Cpuset,
    /// Groups of v1, each below the one before it, with a quota of so many cores or none.
    Quotas(&'static [Option<f64>]),
    /// A group of v1 with this quota, whose folder is what the hierarchy's mount point shows: what a container sees.
    Container(f64),
    /// Variables.
    Variables(&'static [(&'static str, &'static str)]),
    /// `mpirun -n 2` with these options.
    Ranks(&'static [&'static str]),
    /// Files of v2 laid over this machine's: the process's group, and `cpu.max` of groups.
    V2 {
        group: &'static str,
        quotas: &'static [(&'static str, &'static str)],
    },
    /// Files that make each two CPUs siblings on one core, laid over this machine's.
    Siblings,
}

/// A constraint, ready to be entered.
#[derive(Default)]
pub struct Setting {
    /// Comes before the shell that asks.
    prefix: Vec<String>,
    variables: Vec<(String, String)>,
    /// What that shell does first.
    enter: String,
    /// What a shell does that then becomes the asked program.
    each: String,
    /// The innermost first: a group goes only when it has no groups in it.
    groups: Vec<Group>,
    files: Option<tempfile::TempDir>,
}

struct Group(PathBuf);

impl Group {
    fn new(parent: &Path, name: &str, settings: &[(&str, String)]) -> Self {
        let folder = parent.join(name);
        fs::create_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}; this table needs root", folder.display()));
        let group = Group(folder);
        for (file, value) in settings {
            let file = group.0.join(file);
            fs::write(&file, value)
                .unwrap_or_else(|error| panic!("{} = {value}: {error}", file.display()));
        }
        group
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

impl Setting {
    /// Makes it. The error says what this machine lacks for it.
    pub fn make(under: &Under) -> Result<Self, String> {
        let mut setting = Setting::default();
        let name = format!("threadctl-table-{}", std::process::id());
        match under {
            Under::Nothing => {}
            Under::Affinity => {
                let first = cpus()[0].to_string();
                setting.prefix = ["taskset", "-c", &first].map(str::to_owned).to_vec();
            }
            Under::Cpuset => {
                let last = cpus()[cpus().len() - 1].to_string();
                let settings = [("cpuset.cpus", last), ("cpuset.mems", "0".to_owned())];
                let group = Group::new(&hierarchy("cpuset")?, &name, &settings);
                setting.join(group);
            }
            Under::Quotas(quotas) => {
                let mut parent = hierarchy("cpu")?;
                for quota in *quotas {
                    let group = Group::new(&parent, &name, quota_v1(*quota).as_slice());
                    parent.clone_from(&group.0);
                    setting.join(group);
                }
            }
            Under::Container(quota) => {
                let point = hierarchy("cpu")?;
                setting.join(Group::new(&point, &name, quota_v1(Some(*quota)).as_slice()));
                let aside = setting.files().join("aside");
                fs::create_dir(&aside).expect("a folder");
                let (point, aside) = (point.display(), aside.display());
                // The host's mount must go, or /proc/self/mountinfo shows both.
                let _ = writeln!(
                    setting.enter,
                    "mount --bind '{point}/{name}' '{aside}'; umount '{point}'; \
                     mount --move '{aside}' '{point}'"
                );
                setting.mounts();
            }
            Under::Variables(variables) => {
                let owned =
                    |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
                setting.variables = variables.iter().map(owned).collect();
            }
            Under::Ranks(options) => {
                setting.prefix = vec![manifest("mpirun", "path")];
                // Another mpirun that starts just now would make the same folder below the common one, and one would fail.
                let folder = setting.files().display().to_string();
                setting.variables = vec![("TMPDIR".to_owned(), folder)];
                let words = ["--allow-run-as-root", "--oversubscribe", "-n", "2"];
                let words = words.iter().chain(*options);
                setting.prefix.extend(words.map(|word| (*word).to_owned()));
            }
            Under::V2 { group, quotas } => setting.lay_v2(group, quotas),
            Under::Siblings => setting.lay_siblings()?,
        }
        Ok(setting)
    }

    /// Asks: a line for each process that the constraint makes of one.
    pub fn ask(&self, script: &str, variables: &[(&str, &str)]) -> String {
        let text = format!(
            "set -eu\n{}each() {{ sh -euc \"$EACH\"'exec \"$@\"' sh \"$@\"; }}\n{script}",
            self.enter
        );
        let words = self.prefix.iter().map(String::as_str);
        let mut words = words.chain(["sh", "-c", &text]);
        let mut command = Command::new(words.next().expect("at least the shell"));
        command.args(words).env_clear().env("EACH", &self.each);
        for name in ["PATH", "HOME"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.envs(variables.iter().copied());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let output = command
            .output()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{command:?}: {}\n{told}",
            output.status
        );
        String::from_utf8(output.stdout).expect("text")
    }

    /// Enters a group; of several in one hierarchy the last entered counts.
    fn join(&mut self, group: Group) {
        let _ = writeln!(
            self.enter,
            "echo $$ > '{}'",
            group.0.join("cgroup.procs").display()
        );
        self.groups.insert(0, group);
    }

    fn files(&mut self) -> PathBuf {
        let new = || tempfile::tempdir().expect("a temporary folder");
        self.files.get_or_insert_with(new).path().to_owned()
    }

    /// Gives the asked programs mounts of their own.
    fn mounts(&mut self) {
        self.prefix = ["unshare", "--mount"].map(str::to_owned).to_vec();
    }

    fn lay_v2(&mut self, group: &str, quotas: &[(&str, &str)]) {
        let folder = self.files();
        let write = |path: &str, text: &str| {
            let file = folder.join(path);
            fs::create_dir_all(file.parent().expect("a folder")).expect("the folder");
            fs::write(file, text).expect("the file");
        };
        write("cgroup", &format!("0::/{group}\n"));
        write(
            "mountinfo",
            "29 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime - cgroup2 cgroup2 rw\n",
        );
        write("tree/cgroup.controllers", "cpuset cpu io memory pids\n");
        for (path, quota) in quotas {
            write(&format!("tree/{path}/cpu.max"), &format!("{quota}\n"));
            write(&format!("tree/{path}/cgroup.controllers"), "cpu memory\n");
        }
        let folder = folder.display();
        // The host's hierarchies go first: they are mounted inside the folder that is laid over.
        let _ = writeln!(
            self.enter,
            "umount --recursive --lazy /sys/fs/cgroup; mount --bind '{folder}/tree' /sys/fs/cgroup"
        );
        // These two are files of one process each.
        let _ = writeln!(
            self.each,
            "mount --bind '{folder}/cgroup' /proc/$$/cgroup; mount --bind '{folder}/mountinfo' /proc/$$/mountinfo"
        );
        self.mounts();
    }

    fn lay_siblings(&mut self) -> Result<(), String> {
        let cpus = cpus();
        if cpus.len() < 2 {
            return Err("needs two CPUs".to_owned());
        }
        let folder = self.files();
        let mut lay = |file: String, text: String| {
            if Path::new(&file).exists() {
                let own = folder.join(file.replace('/', "_"));
                fs::write(&own, text + "\n").expect("the file");
                let _ = writeln!(self.enter, "mount --bind '{}' '{file}'", own.display());
            }
        };
        for cpu in cpus {
            let first = cpu & !1;
            let list = format!("{}-{}", first, first + 1);
            // The kernel writes masks in groups of 32, the highest first.
            let mask = format!(
                "{:x}{}",
                3u32 << (first % 32),
                ",00000000".repeat(first / 32)
            );
            let topology = format!("/sys/devices/system/cpu/cpu{cpu}/topology");
            for (file, text) in [
                ("core_cpus_list", &list),
                ("thread_siblings_list", &list),
                ("core_cpus", &mask),
                ("thread_siblings", &mask),
                ("core_id", &first.to_string()),
            ] {
                lay(format!("{topology}/{file}"), text.clone());
            }
        }
        lay(
            "/sys/devices/system/cpu/smt/active".to_owned(),
            "1".to_owned(),
        );
        self.mounts();
        Ok(())
    }
}

/// The settings of a group of v1 with a quota of so many cores.
fn quota_v1(cores: Option<f64>) -> Option<(&'static str, String)> {
    cores.map(|cores| ("cpu.cfs_quota_us", format!("{:.0}", cores * 1e5)))
}

/// The CPUs that this process may use.
fn cpus() -> Vec<usize> {
    let status = fs::read_to_string("/proc/self/status").expect("/proc/self/status");
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .expect("a list of CPUs");
    list.trim()
        .split(',')
        .flat_map(|range| {
            let number = |text: &str| text.parse::<usize>().expect("a number");
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            number(first)..=number(last)
        })
        .collect()
}

/// Where a controller's hierarchy of v1 is mounted.
fn hierarchy(controller: &str) -> Result<PathBuf, String> {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc/self/mounts");
    mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .find(|words| words[2] == "cgroup" && words[3].split(',').any(|known| known == controller))
        .map(|words| PathBuf::from(words[1]))
        .ok_or_else(|| format!("no v1 hierarchy of {controller} is mounted"))
}
