//! What the machine and the control groups count while programs run: CPU pressure, throttling, and the CPU time of all.
//!
//! Each figure is there or not, by kernel and set-up; what is missing is `None`, never an error.

use std::fs;
use std::path::{Path, PathBuf};

/// Clock ticks in a second: what the kernel tells to programs is always in hundredths.
const TICKS: f64 = 100.0;

/// What a control group with a CPU quota was held up.
///
/// ```
/// assert_eq!(threadctl::diagnose::Throttling::default().periods, 0);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Throttling {
    /// Periods in which the quota was used up.
    pub periods: u64,
    /// For how long its threads were held up, in seconds; several at once count several times.
    pub seconds: f64,
}

/// The counters at one moment.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Microseconds in which some thread of the machine waited for a CPU.
    pressure: Option<u64>,
    throttling: Option<Throttling>,
    /// CPU time of everything on the machine, in seconds.
    busy: Option<f64>,
}

impl Counters {
    /// Those of the machine, and of the control groups of this process (a number, or `self`).
    pub fn now(process: &str) -> Self {
        let read = |path: &str| fs::read_to_string(path).ok();
        Counters {
            pressure: read("/proc/pressure/cpu").as_deref().and_then(pressure),
            throttling: read(&format!("/proc/{process}/cgroup"))
                .and_then(|text| throttling(&text, Path::new("/sys/fs/cgroup"))),
            busy: read("/proc/stat").as_deref().and_then(busy),
        }
    }

    /// The share of `seconds` in which some thread of the machine waited for a CPU, from 0 to 1.
    pub fn pressure_since(&self, earlier: &Self, seconds: f64) -> Option<f64> {
        let waited = self.pressure?.checked_sub(earlier.pressure?)? as f64 * 1e-6;
        Some((waited / seconds.max(1e-6)).min(1.0))
    }

    pub fn throttling_since(&self, earlier: &Self) -> Option<Throttling> {
        let (now, before) = (self.throttling?, earlier.throttling?);
        Some(Throttling {
            periods: now.periods.saturating_sub(before.periods),
            seconds: (now.seconds - before.seconds).max(0.0),
        })
    }

    pub fn busy_since(&self, earlier: &Self) -> Option<f64> {
        Some((self.busy? - earlier.busy?).max(0.0))
    }
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=123`
fn pressure(text: &str) -> Option<u64> {
    let some = text.lines().find(|line| line.starts_with("some "))?;
    some.rsplit_once("total=")?.1.trim().parse().ok()
}

/// `cpu  user nice system idle iowait irq softirq steal ...`
fn busy(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let fields: Vec<u64> = line
        .split_ascii_whitespace()
        .map_while(|field| field.parse().ok())
        .collect();
    let of = |at: &[usize]| at.iter().filter_map(|&at| fields.get(at)).sum::<u64>();
    fields.get(3)?;
    Some(of(&[0, 1, 2, 5, 6]) as f64 / TICKS)
}

/// The sum over the group and its parents, each of which may have a quota.
fn throttling(memberships: &str, root: &Path) -> Option<Throttling> {
    let mut folders: Vec<(PathBuf, PathBuf)> = Vec::new();
    for line in memberships.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let path = path.trim_start_matches('/');
        if controllers.is_empty() {
            folders.extend(
                [root.to_owned(), root.join("unified")].map(|mount| (mount.join(path), mount)),
            );
        } else if controllers.split(',').any(|name| name == "cpu") {
            folders.extend(
                [root.join("cpu"), root.join(controllers)].map(|mount| (mount.join(path), mount)),
            );
        }
    }
    let mut seen: Vec<PathBuf> = Vec::new();
    let mut sum: Option<Throttling> = None;
    for (folder, mount) in &folders {
        for level in folder
            .ancestors()
            .take_while(|level| level.starts_with(mount))
        {
            let file = level.join("cpu.stat");
            // The mount may be there under two names.
            let Some(real) = file.canonicalize().ok().filter(|real| !seen.contains(real)) else {
                continue;
            };
            if let Some(own) = fs::read_to_string(&real)
                .ok()
                .as_deref()
                .and_then(throttled)
            {
                let sum = sum.get_or_insert_default();
                sum.periods += own.periods;
                sum.seconds += own.seconds;
            }
            seen.push(real);
        }
    }
    sum
}

fn throttled(text: &str) -> Option<Throttling> {
    let value = |name: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line?.trim().parse::<u64>().ok()
    };
    // Nanoseconds in version 1, microseconds in version 2.
    let seconds = value("throttled_time").map(|time| time as f64 * 1e-9);
    Some(Throttling {
        periods: value("nr_throttled")?,
        seconds: seconds.or_else(|| Some(value("throttled_usec")? as f64 * 1e-6))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_texts_are_read() {
        let some = "some avg10=0.00 avg60=1.00 avg300=0.00 total=12345\nfull avg10=0.00 total=0\n";
        assert_eq!(pressure(some), Some(12345));
        assert_eq!(pressure("full total=1"), None);
        assert_eq!(
            busy("cpu  100 50 50 1000 7 1 2 9 0 0\ncpu0 1 2"),
            Some(2.03)
        );
        assert_eq!(busy("cpu  100"), None);
        let first = throttled("nr_periods 5\nnr_throttled 3\nthrottled_time 2000000000\n").unwrap();
        assert_eq!((first.periods, first.seconds), (3, 2.0));
        let second = throttled("usage_usec 9\nnr_throttled 4\nthrottled_usec 500000\n").unwrap();
        assert_eq!((second.periods, second.seconds), (4, 0.5));
        assert_eq!(throttled("usage_usec 9\n"), None);
    }

    #[test]
    fn the_group_and_its_parents_are_added_up() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("a/b")).unwrap();
        for (path, count) in [("a", 2), ("a/b", 5)] {
            let text = format!("nr_throttled {count}\nthrottled_usec 1000000\n");
            fs::write(root.join(path).join("cpu.stat"), text).unwrap();
        }
        let sum = throttling("0::/a/b\n", root).unwrap();
        assert_eq!((sum.periods, sum.seconds), (7, 2.0));
        assert_eq!(throttling("0::/c\n", root), None);
        assert_eq!(throttling("nonsense", root), None);
    }
}
