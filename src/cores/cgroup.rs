//! Control groups: which quotas and which CPU sets hold for a process, in v1, v2 and mixed hierarchies.
//!
//! The process's own `cgroup` file says where it is in each hierarchy, `mountinfo` says where that hierarchy can be
//! seen; no path is assumed. Then every folder from the process's own up to the mount point is asked, since a parent's
//! quota holds for all below it. A thread can be in a group of its own; the calling one's is asked as well.
//!
//! In a cgroup namespace both files count from the namespace's root, and a mount that is older than the namespace has a
//! root such as `/../..`: it shows more than the namespace, but the names in between are not told. Then the folder that
//! lists the process is looked for ([`search`]).
//!
//! Invariants: parsing never fails as a whole, a line that cannot be read is passed over; no path leads above the mount
//! point; a group that cannot be found is said, never taken for one without a quota.

use super::cpus::CpuSet;
use super::system::System;

/// What the groups say.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Every quota in the chain, from the process's own group upwards.
    pub(super) quotas: Vec<Quota>,
    /// The nearest set of CPUs in each hierarchy.
    pub(super) cpusets: Vec<(String, CpuSet)>,
    /// What was looked at and constrains nothing.
    pub(super) notes: Vec<String>,
    pub(super) problems: Vec<String>,
}

/// One quota.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Quota {
    /// The file that says so.
    pub(super) source: String,
    /// CPU time per period, both in microseconds; both positive.
    pub(super) quota: u64,
    pub(super) period: u64,
}

impl Quota {
    /// In cores, with the fraction.
    pub(super) fn exact(&self) -> f64 {
        self.quota as f64 / self.period as f64
    }

    /// In whole cores: rounded down, at least 1.
    pub(super) fn whole(&self) -> u32 {
        u32::try_from(self.quota / self.period)
            .unwrap_or(u32::MAX)
            .max(1)
    }
}

/// A line of `/proc/PID/cgroup`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Membership {
    /// Empty for v2.
    pub(super) controllers: Vec<String>,
    pub(super) path: String,
}

/// Reads `/proc/PID/cgroup`: `HIERARCHY:CONTROLLERS:PATH`.
pub(super) fn memberships(text: &str) -> Vec<Membership> {
    text.lines()
        .filter_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
            // The kernel says so when the group was removed under its process.
            let path = path.strip_suffix(" (deleted)").unwrap_or(path);
            path.starts_with('/').then(|| Membership {
                controllers: controllers
                    .split(',')
                    .filter(|name| !name.is_empty())
                    .map(str::to_owned)
                    .collect(),
                path: path.to_owned(),
            })
        })
        .collect()
}

/// A cgroup mount of `/proc/PID/mountinfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// The part of the hierarchy that can be seen there.
    pub(super) root: String,
    pub(super) point: String,
    /// `None` for v2.
    pub(super) controllers: Option<Vec<String>>,
}

/// Reads the cgroup mounts of a `mountinfo`: `ID PARENT DEV ROOT POINT OPTIONS [FIELDS] - TYPE SOURCE SUPER-OPTIONS`.
pub(super) fn mounts(text: &str) -> Vec<Mount> {
    text.lines()
        .filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let mut before = before.split(' ').skip(3);
            let (root, point) = (before.next()?, before.next()?);
            let mut after = after.split(' ');
            let (kind, _, options) = (after.next()?, after.next()?, after.next()?);
            let controllers = match kind {
                "cgroup" => Some(options.split(',').map(str::to_owned).collect()),
                "cgroup2" => None,
                _ => return None,
            };
            Some(Mount {
                root: unescape(root),
                point: unescape(point),
                controllers,
            })
        })
        .collect()
}

/// Undoes the kernel's `\040` for a blank, and the like.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after
            .get(..3)
            .filter(|_| byte == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                bytes.push(code);
                rest = &after[3..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The folders of a group that can be seen through `mount`, the group's own first, the mount point last. `None` if the
/// group is not below what the mount shows.
pub(super) fn chain(mount: &Mount, path: &str) -> Option<Vec<String>> {
    let root = mount.root.trim_end_matches('/');
    let below = path.strip_prefix(root)?;
    if !below.is_empty() && !below.starts_with('/') || below.split('/').any(|part| part == "..") {
        return None;
    }
    let point = mount.point.trim_end_matches('/');
    let mut folders = vec![point.to_owned()];
    for part in below.split('/').filter(|part| !part.is_empty()) {
        let deepest = folders.last().map_or("", String::as_str);
        folders.push(format!("{deepest}/{part}"));
    }
    folders.reverse();
    Some(folders)
}

/// Reads `cpu.max`. `Ok(None)` is no quota.
pub(super) fn cpu_max(text: &str) -> Result<Option<(u64, u64)>, ()> {
    let mut parts = text.split_whitespace();
    let (Some(quota), period) = (parts.next(), parts.next().unwrap_or("100000")) else {
        return Err(());
    };
    if quota == "max" {
        return Ok(None);
    }
    positive(quota, period).map(Some)
}

/// Reads `cpu.cfs_quota_us` and `cpu.cfs_period_us`. `Ok(None)` is no quota.
pub(super) fn cfs(quota: &str, period: &str) -> Result<Option<(u64, u64)>, ()> {
    if quota.trim().parse::<i64>().is_ok_and(|quota| quota < 0) {
        return Ok(None);
    }
    positive(quota.trim(), period.trim()).map(Some)
}

fn positive(quota: &str, period: &str) -> Result<(u64, u64), ()> {
    match (quota.parse(), period.parse()) {
        (Ok(quota), Ok(period)) if quota > 0 && period > 0 => Ok((quota, period)),
        _ => Err(()),
    }
}

/// How often a process that is moved from group to group is asked about anew.
const MOST_MOVES: u32 = 16;

/// Asks every hierarchy that can limit CPUs about a process.
pub(super) fn find(system: &System, process: &str) -> Found {
    let mut own = groups_of(system, process);
    let mut moves = 0;
    loop {
        let found = match &own {
            Ok(own) => in_groups(system, process, own),
            Err(problem) => Found {
                problems: vec![problem.clone()],
                ..Found::default()
            },
        };
        // Moved meanwhile, its group may be gone, and the quota of the new one was not asked for.
        let now = groups_of(system, process);
        if now == own || moves == MOST_MOVES {
            return found;
        }
        own = now;
        moves += 1;
    }
}

/// The groups of a process, and of the calling thread if it is the asking process's.
fn groups_of(system: &System, process: &str) -> Result<Vec<Membership>, String> {
    let file = format!("/proc/{process}/cgroup");
    let text = system
        .read(&file)
        .map_err(|error| format!("{file}: {error}; quotas are not known"))?;
    let mut own = memberships(&text);
    if process == "self" {
        let of_thread = system.read("/proc/thread-self/cgroup").unwrap_or_default();
        let others = memberships(&of_thread);
        let others = others.into_iter().filter(|other| !own.contains(other));
        own.extend(others.collect::<Vec<_>>());
    }
    Ok(own)
}

fn in_groups(system: &System, process: &str, own: &[Membership]) -> Found {
    let mut found = Found::default();
    // The reader's own view comes first: paths in /proc/PID/cgroup are relative to the reader's cgroup namespace, and
    // from the host it shows parents that a container cannot see. The process's view is for readers without mounts.
    let mut views = vec![(
        String::new(),
        mounts(&system.read("/proc/self/mountinfo").unwrap_or_default()),
    )];
    if process != "self" {
        let theirs = system
            .read(&format!("/proc/{process}/mountinfo"))
            .unwrap_or_default();
        views.push((format!("/proc/{process}/root"), mounts(&theirs)));
    }
    for membership in own {
        let v2 = membership.controllers.is_empty();
        let has = |name: &str| membership.controllers.iter().any(|known| known == name);
        if !(v2 || has("cpu") || has("cpuset")) {
            continue;
        }
        let hierarchy = if v2 {
            "v2".to_owned()
        } else {
            format!("v1 {}", membership.controllers.join(","))
        };
        let what = format!("cgroup {hierarchy} {}", membership.path);
        let seen = views
            .iter()
            .find_map(|(prefix, mounts)| visible(system, process, prefix, mounts, membership));
        let Some((folders, whole)) = seen else {
            found.notes.push(format!(
                "{what}: not mounted where it could be read, so its quota is not known"
            ));
            continue;
        };
        if !whole {
            let nearest = folders.first().map_or("", String::as_str);
            found.notes.push(format!(
                "{what}: its own folder is not found; counted from {nearest} upwards"
            ));
        }
        if v2 || has("cpu") {
            for folder in &folders {
                quota(system, folder, v2, &mut found);
            }
            let of_group = |quota: &Quota| {
                let file = quota.source.rsplit_once('/');
                file.is_some_and(|(folder, _)| folders.iter().any(|own| own == folder))
            };
            if whole && !found.quotas.iter().any(of_group) {
                found.notes.push(format!(
                    "{what}: no quota in it, nor in the parents that can be seen"
                ));
            }
        }
        if v2 || has("cpuset") {
            cpuset(system, &folders, v2, &mut found);
        }
    }
    found
}

/// The folders of a group, the deepest first, through the mount of its hierarchy that shows most of its parents; and
/// whether the first of them is the group's own.
fn visible(
    system: &System,
    process: &str,
    prefix: &str,
    mounts: &[Mount],
    membership: &Membership,
) -> Option<(Vec<String>, bool)> {
    let of_hierarchy = |mount: &&Mount| match &mount.controllers {
        None => membership.controllers.is_empty(),
        Some(options) => {
            !membership.controllers.is_empty()
                && membership
                    .controllers
                    .iter()
                    .all(|name| options.contains(name))
        }
    };
    let candidates: Vec<&Mount> = mounts.iter().filter(of_hierarchy).collect();
    let existing = |mount: &Mount, path: &str| -> Option<Vec<String>> {
        let folders = chain(mount, path)?.into_iter();
        let folders = folders.map(|folder| format!("{prefix}{folder}"));
        Some(folders.filter(|folder| system.is_folder(folder)).collect())
    };
    let told = |mount: &&Mount| {
        let whole = chain(mount, &membership.path)?.len();
        let folders = existing(mount, &membership.path)?;
        Some((folders.len() == whole, folders)).filter(|(_, folders)| !folders.is_empty())
    };
    // A mount that has to be searched shows more parents than any other.
    let searched = candidates.iter().find_map(|mount| {
        let below = search(system, process, prefix, mount, &membership.path)?;
        let root = Mount {
            root: "/".to_owned(),
            ..(*mount).clone()
        };
        existing(&root, &below)
    });
    if let Some(folders) = searched {
        return Some((folders, true));
    }
    // Of two mounts that show the group the one that shows more parents; a bind mount may begin anywhere.
    let best = candidates
        .iter()
        .filter_map(told)
        .max_by_key(|(whole, folders)| (*whole, folders.len()));
    if let Some((true, folders)) = best {
        return Some((folders, true));
    }
    // The group was removed while it was asked about; or a container's mount shows its own group as the root while its
    // path is told from the host, and then what is mounted is the process's group.
    best.map(|(_, folders)| (folders, false)).or_else(|| {
        let mount = candidates
            .iter()
            .find(|mount| mount.root != "/" && !mount.root.starts_with("/.."))
            .or_else(|| {
                let above = |mount: &&&Mount| mount.root == "/" && membership.path.contains("/..");
                candidates.iter().find(above)
            })?;
        let folder = format!("{prefix}{}", mount.point.trim_end_matches('/'));
        system.is_folder(&folder).then(|| (vec![folder], false))
    })
}

/// The most folders that are looked at in a search, which is made anew for every fresh answer.
const MOST_SEARCHED: u32 = 1000;

/// Where below the mount point the group is, if the mount's root and the group's path are told from a namespace's root
/// that lies between them: the folder at the right depth that lists the process.
fn search(
    system: &System,
    process: &str,
    prefix: &str,
    mount: &Mount,
    path: &str,
) -> Option<String> {
    let (above, named) = split_above(&mount.root);
    let (path_above, below) = split_above(path);
    // So many levels lie between the mount's root and where the names of the path begin.
    let depth = above.checked_sub(path_above + named.len())?;
    if depth == 0 {
        return None;
    }
    let status = system.read(&format!("/proc/{process}/status")).ok()?;
    let pid = super::launcher::field(&status, "Pid:")?;
    let point = format!("{prefix}{}", mount.point.trim_end_matches('/'));
    let lists = |folder: &str| {
        let listed = system.read(&format!("{point}{folder}/cgroup.procs"));
        listed.is_ok_and(|text| text.lines().any(|line| line == pid))
    };
    let mut level = vec![String::new()];
    let mut left = MOST_SEARCHED;
    for _ in 0..depth {
        let mut next = Vec::new();
        for folder in &level {
            for name in system.folders(&format!("{point}{folder}")) {
                left = left.checked_sub(1)?;
                next.push(format!("{folder}/{name}"));
            }
        }
        level = next;
    }
    let below: String = below.iter().map(|name| format!("/{name}")).collect();
    let mut groups = level.into_iter().map(|folder| format!("{folder}{below}"));
    groups.find(|folder| lists(folder))
}

/// How often a path begins with `..`, and the names after that.
fn split_above(path: &str) -> (usize, Vec<&str>) {
    let parts = path.split('/').filter(|part| !part.is_empty());
    let above = parts.clone().take_while(|part| *part == "..").count();
    (above, parts.skip(above).collect())
}

/// A file of a group, if there is one. One that cannot be read may hold a limit, so that is said.
fn line(system: &System, source: &str, found: &mut Found) -> Option<String> {
    match system.read(source) {
        Ok(text) => Some(text.trim().to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            let problem = format!("{source}: {error}; not counted");
            found.problems.push(problem);
            None
        }
    }
}

/// Adds the quota of one folder.
fn quota(system: &System, folder: &str, v2: bool, found: &mut Found) {
    let (source, read) = if v2 {
        let source = format!("{folder}/cpu.max");
        // The root has no such file, and neither has a group without the controller.
        let Some(text) = line(system, &source, found) else {
            return;
        };
        let read = cpu_max(&text);
        (source, read.map_err(|()| text))
    } else {
        let source = format!("{folder}/cpu.cfs_quota_us");
        let Some(quota) = line(system, &source, found) else {
            return;
        };
        let period = system
            .line(&format!("{folder}/cpu.cfs_period_us"))
            .unwrap_or_else(|| "100000".to_owned());
        let read = cfs(&quota, &period);
        (source, read.map_err(|()| format!("{quota} of {period}")))
    };
    match read {
        Ok(None) => {}
        // The groups of the process and of the thread have parents in common.
        Ok(Some(_)) if found.quotas.iter().any(|known| known.source == source) => {}
        Ok(Some((quota, period))) => found.quotas.push(Quota {
            source,
            quota,
            period,
        }),
        Err(text) => found
            .problems
            .push(format!("{source}: {text:?} is no quota; not counted")),
    }
}

/// Adds the set of CPUs of the nearest group that has one.
fn cpuset(system: &System, folders: &[String], v2: bool, found: &mut Found) {
    let names: &[&str] = if v2 {
        &["cpuset.cpus.effective", "cpuset.cpus"]
    } else {
        &["cpuset.effective_cpus", "cpuset.cpus"]
    };
    for folder in folders {
        for name in names {
            let source = format!("{folder}/{name}");
            let Some(text) = line(system, &source, found).filter(|text| !text.is_empty()) else {
                continue;
            };
            match text.parse::<CpuSet>() {
                Ok(_) if found.cpusets.iter().any(|(known, _)| *known == source) => {}
                Ok(cpus) => found.cpusets.push((source, cpus)),
                Err(error) => found
                    .problems
                    .push(format!("{source}: {error}; not counted")),
            }
            return;
        }
    }
}
