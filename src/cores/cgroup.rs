//! Control groups: which quotas and which CPU sets hold for a process, in v1, v2 and mixed hierarchies.
//!
//! The process's own `cgroup` file says where it is in each hierarchy, `mountinfo` says where that hierarchy can be
//! seen; no path is assumed. Then every folder from the process's own up to the mount point is asked, since a parent's
//! quota holds for all below it.
//!
//! Invariants: parsing never fails as a whole, a line that cannot be read is passed over; no path leads above the mount
//! point.

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

/// Asks every hierarchy that can limit CPUs about a process.
pub(super) fn find(system: &System, process: &str) -> Found {
    let mut found = Found::default();
    let file = format!("/proc/{process}/cgroup");
    let own = match system.read(&file) {
        Ok(text) => memberships(&text),
        Err(error) => {
            found
                .problems
                .push(format!("{file}: {error}; quotas are not known"));
            return found;
        }
    };
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
    for membership in &own {
        let v2 = membership.controllers.is_empty();
        let has = |name: &str| membership.controllers.iter().any(|known| known == name);
        if !(v2 || has("cpu") || has("cpuset")) {
            continue;
        }
        let Some(folders) = views
            .iter()
            .find_map(|(prefix, mounts)| visible(system, prefix, mounts, membership))
        else {
            let what = if v2 {
                "v2".to_owned()
            } else {
                membership.controllers.join(",")
            };
            found.notes.push(format!(
                "cgroup {what} {}: not mounted where it could be read",
                membership.path
            ));
            continue;
        };
        if v2 || has("cpu") {
            let before = found.quotas.len();
            for folder in &folders {
                quota(system, folder, v2, &mut found);
            }
            if found.quotas.len() == before {
                let version = if v2 { "v2" } else { "v1" };
                found.notes.push(format!(
                    "cgroup {version} {}: no quota in it or in its parents",
                    membership.path
                ));
            }
        }
        if v2 || has("cpuset") {
            cpuset(system, &folders, v2, &mut found);
        }
    }
    found
}

/// The folders of a group, by the first mount of its hierarchy through which it can be seen.
fn visible(
    system: &System,
    prefix: &str,
    mounts: &[Mount],
    membership: &Membership,
) -> Option<Vec<String>> {
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
    let prefixed = |folder: &str| format!("{prefix}{folder}");
    candidates
        .iter()
        .find_map(|mount| {
            let folders = chain(mount, &membership.path)?;
            let folders: Vec<_> = folders.iter().map(|folder| prefixed(folder)).collect();
            system.is_folder(folders.first()?).then_some(folders)
        })
        .or_else(|| {
            // A container whose mount shows its own group as the root while its path is told from the host: what is
            // mounted is the process's group.
            let mount = candidates
                .iter()
                .find(|mount| mount.root != "/" || membership.path.contains("/.."))
                .or_else(|| candidates.first())?;
            let folder = prefixed(mount.point.trim_end_matches('/'));
            system.is_folder(&folder).then(|| vec![folder])
        })
}

/// Adds the quota of one folder.
fn quota(system: &System, folder: &str, v2: bool, found: &mut Found) {
    let (source, read) = if v2 {
        let source = format!("{folder}/cpu.max");
        // The root has no such file, and neither has a group without the controller.
        let Some(text) = system.line(&source) else {
            return;
        };
        let read = cpu_max(&text);
        (source, read.map_err(|()| text))
    } else {
        let source = format!("{folder}/cpu.cfs_quota_us");
        let Some(quota) = system.line(&source) else {
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
            let Some(text) = system.line(&source).filter(|text| !text.is_empty()) else {
                continue;
            };
            match text.parse::<CpuSet>() {
                Ok(cpus) => found.cpusets.push((source, cpus)),
                Err(error) => found
                    .problems
                    .push(format!("{source}: {error}; not counted")),
            }
            return;
        }
    }
}
