//! Who is runnable while a pool is: what tells a pool that several threads call from pools that are used in turns. Pure.
//!
//! Invariant: a look counts for the time since the one before, and for a pool only if it found a thread of that pool runnable.
//! So phases of any length are told apart, also those that are shorter than the time between two looks, as long as there are
//! enough looks.

use super::report::Beside;
use super::who::Group;
use std::collections::BTreeMap;

/// What one look found runnable in one process.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Few, so they are searched one by one. First threads are not in them.
    groups: Vec<(Group, u32)>,
    first: bool,
}

impl Found {
    /// A runnable thread.
    pub fn add(&mut self, group: &Group, is_first: bool) {
        if is_first {
            self.first = true;
            return;
        }
        match self.groups.iter_mut().find(|(known, _)| known == group) {
            Some((_, count)) => *count += 1,
            None => self.groups.push((group.clone(), 1)),
        }
    }

    /// Whether there are threads of a pool among them.
    pub fn has_pool(&self) -> bool {
        self.groups.iter().any(|(group, _)| group.kind.is_pool())
    }

    /// How many threads, if there are any of a pool among them.
    fn with_pool(&self) -> Option<u32> {
        self.has_pool().then(|| self.threads())
    }

    fn threads(&self) -> u32 {
        self.groups.iter().map(|(_, count)| count).sum::<u32>() + u32::from(self.first)
    }
}

/// How many threads are runnable in all processes of which a pool is, by one look.
pub(super) fn with_pools<'a>(found: impl Iterator<Item = &'a Found>) -> u32 {
    found.filter_map(Found::with_pool).sum()
}

/// The looks that found a pool runnable, added up: in nanoseconds, and in threads times nanoseconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Sum {
    time: u64,
    looks: u32,
    first: u64,
    others: u64,
    /// By group: of all its threads, and the time in which there was one at least.
    groups: BTreeMap<Group, (u64, u64)>,
}

/// Adds a look at one process to what is known of its pools; `all` is [`with_pools`] of the look.
pub(super) fn enter(sums: &mut BTreeMap<Group, Sum>, found: &Found, all: u32, time: u64) {
    let others = u64::from(all.saturating_sub(found.threads()));
    for (pool, _) in found
        .groups
        .iter()
        .filter(|(group, _)| group.kind.is_pool())
    {
        let sum = match sums.get_mut(pool) {
            Some(known) => known,
            None => sums.entry(pool.clone()).or_default(),
        };
        sum.time += time;
        sum.looks = sum.looks.saturating_add(1);
        sum.first += time * u64::from(found.first);
        sum.others += time * others;
        for (group, count) in &found.groups {
            let threads = time * u64::from(*count);
            match sum.groups.get_mut(group) {
                Some((all, present)) => {
                    *all += threads;
                    *present += time;
                }
                None => {
                    sum.groups.insert(group.clone(), (threads, time));
                }
            }
        }
    }
}

impl Sum {
    /// The means.
    pub fn means(&self) -> Beside {
        let mean = |threads: u64| threads as f64 / self.time.max(1) as f64;
        let mut groups: BTreeMap<String, f64> = BTreeMap::new();
        let mut present: BTreeMap<String, f64> = BTreeMap::new();
        // A name may be that of groups of two kinds.
        for (group, (threads, time)) in &self.groups {
            *groups.entry(group.name.clone()).or_default() += mean(*threads);
            let present = present.entry(group.name.clone()).or_default();
            *present = present.max(mean(*time));
        }
        Beside {
            seconds: self.time as f64 * 1e-9,
            looks: self.looks,
            first: mean(self.first),
            groups,
            present,
            other_processes: mean(self.others),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::who::GroupKind;
    use super::*;

    fn group(kind: GroupKind, name: &str) -> Group {
        Group {
            kind,
            name: name.to_owned(),
        }
    }

    #[test]
    fn only_looks_that_found_the_pool_count_and_each_for_its_time() {
        let (program, blas) = (
            group(GroupKind::Program, "job"),
            group(GroupKind::Blas, "libopenblas"),
        );
        let mut sums = BTreeMap::new();
        let mut look = |threads: &[(&Group, bool)], time| {
            let mut found = Found::default();
            for (group, is_first) in threads {
                found.add(group, *is_first);
            }
            let all = with_pools([&found].into_iter()) + 3;
            enter(&mut sums, &found, all, time);
        };
        look(
            &[(&program, true), (&program, false), (&program, false)],
            50,
        );
        look(&[(&program, true), (&blas, false)], 30);
        look(
            &[
                (&program, false),
                (&program, false),
                (&blas, false),
                (&blas, false),
            ],
            10,
        );
        assert_eq!(sums.len(), 1, "the program is no pool");
        let means = sums[&blas].means();
        assert_eq!(means.looks, 2);
        let near = |mean: f64, expected: f64| (mean - expected).abs() < 1e-9;
        assert!(near(means.first, 0.75), "{means:?}");
        assert!(near(means.groups["job"], 0.5), "{means:?}");
        assert!(near(means.groups["libopenblas"], 1.25), "{means:?}");
        assert!(near(means.present["job"], 0.25), "{means:?}");
        assert!(near(means.other_processes, 3.0), "{means:?}");
    }

    #[test]
    fn a_process_without_a_runnable_pool_is_no_company() {
        let (mut alone, mut pool) = (Found::default(), Found::default());
        alone.add(&group(GroupKind::Program, "job"), true);
        pool.add(&group(GroupKind::Openmp, "libgomp"), false);
        pool.add(&group(GroupKind::Program, "job"), true);
        assert_eq!(with_pools([&alone, &pool].into_iter()), 2);
    }
}
