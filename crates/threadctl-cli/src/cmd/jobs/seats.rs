//! Which cores a job runs on. Pure, once the places are known.
//!
//! Invariants: no core is given to two jobs at once; a job gets cores of one NUMA node where one has enough of them, of the
//! node with the fewest that are enough, so that large gaps stay for wide jobs.

use threadctl::cores::{CpuSet, Place};

/// The cores that nobody has.
#[derive(Debug)]
pub(super) struct Seats {
    free: Vec<Place>,
}

/// The cores of a job.
#[derive(Debug)]
pub(super) struct Taken(Vec<Place>);

impl Taken {
    /// Their CPUs.
    pub(super) fn cpus(&self) -> CpuSet {
        self.0.iter().flat_map(|place| place.cpus.iter()).collect()
    }
}

impl Seats {
    pub(super) fn new(places: Vec<Place>) -> Self {
        Seats { free: places }
    }

    /// So many cores, or `None` where there are not so many.
    pub(super) fn take(&mut self, width: u32) -> Option<Taken> {
        let width = usize::try_from(width).ok()?;
        if self.free.len() < width {
            return None;
        }
        let mut taken = Vec::new();
        while taken.len() < width {
            let wanted = width - taken.len();
            let node = self.node_for(wanted)?;
            let (own, other) = std::mem::take(&mut self.free)
                .into_iter()
                .partition::<Vec<_>, _>(|place| place.node == node);
            let mut own = own.into_iter();
            taken.extend(own.by_ref().take(wanted));
            self.free = own.chain(other).collect();
        }
        Some(Taken(taken))
    }

    pub(super) fn give_back(&mut self, taken: Taken) {
        self.free.extend(taken.0);
        // The first CPU of each is its name; neighbours are given together.
        self.free
            .sort_by_key(|place| (place.node, place.cpus.iter().next()));
    }

    /// The node with the fewest free cores that are enough, else the one with the most.
    fn node_for(&self, wanted: usize) -> Option<u32> {
        let mut counts = std::collections::BTreeMap::new();
        for place in &self.free {
            *counts.entry(place.node).or_insert(0_usize) += 1;
        }
        let enough = counts.iter().filter(|(_, count)| **count >= wanted);
        let best = enough.min_by_key(|(_, count)| **count);
        best.or_else(|| counts.iter().max_by_key(|(_, count)| **count))
            .map(|(node, _)| *node)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use threadctl::cores::System;

    /// Two nodes of four cores, with two CPUs each, as a tree of another machine tells them.
    fn two_nodes() -> (tempfile::TempDir, Vec<Place>) {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("sys/devices/system/cpu/online", "0-15\n");
        write("proc/self/status", "Cpus_allowed_list:\t0-15\n");
        write("sys/devices/system/node/online", "0-1\n");
        write("sys/devices/system/node/node0/cpulist", "0-3,8-11\n");
        write("sys/devices/system/node/node1/cpulist", "4-7,12-15\n");
        for cpu in 0..16 {
            write(
                &format!("sys/devices/system/cpu/cpu{cpu}/topology/core_cpus_list"),
                &format!("{},{}\n", cpu % 8, cpu % 8 + 8),
            );
        }
        let places = System::recorded(folder.path(), [("", "")]).places();
        (folder, places)
    }

    #[test]
    fn jobs_stay_on_one_node_where_one_has_room() {
        let (_folder, places) = two_nodes();
        assert_eq!(places.len(), 8);
        let mut seats = Seats::new(places);
        let first = seats.take(3).unwrap();
        assert_eq!(first.cpus().to_string(), "0-2,8-10");
        // Two fit only beside the first, one into its gap.
        assert_eq!(seats.take(2).unwrap().cpus().to_string(), "4-5,12-13");
        let one = seats.take(1).unwrap();
        assert_eq!(one.cpus().to_string(), "3,11");
        assert!(seats.take(3).is_none());
        assert_eq!(seats.take(2).unwrap().cpus().to_string(), "6-7,14-15");
        seats.give_back(one);
        seats.give_back(first);
        assert_eq!(seats.take(4).unwrap().cpus().to_string(), "0-3,8-11");
    }

    #[test]
    fn a_job_that_is_wider_than_a_node_has_cores_of_several() {
        let (_folder, places) = two_nodes();
        let mut seats = Seats::new(places);
        let one = seats.take(1).unwrap();
        assert_eq!(
            seats.take(6).unwrap().cpus().to_string(),
            "1-2,4-7,9-10,12-15"
        );
        seats.give_back(one);
        assert_eq!(seats.take(2).unwrap().cpus().to_string(), "0,3,8,11");
    }
}
