//! How the cores of a node are divided among its ranks of MPI: what each tells of itself, and who gets what (pure).
//!
//! Invariants: each rank has at least 1 core; where all may use the same cores, and there are as many as ranks, no core is given twice and
//! all are given; where ranks are bound to sets that overlap in part, that is what giving each core to the rank with the fewest comes
//! to; the division depends on what the ranks told alone.

/// What [`Status::source`](crate::budget::Status::source) says of a budget that ranks share.
pub(crate) const SOURCE: &str = "threadctl::mpi::share";

#[cfg(feature = "mpi")]
pub(crate) use division::{Division, Told, divide, tell};

#[cfg(any(feature = "mpi", test))]
mod division {
    use crate::budget;
    use crate::cores::{CpuSet, Kind, System, launcher, topology};

    /// What a rank tells the others of its node.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct Told {
        /// The CPUs that it may run on.
        pub(crate) cpus: CpuSet,
        /// The most cores that all ranks have together, whatever CPUs there are: a quota, the job's width, a budget's.
        pub(crate) most: u32,
    }

    /// Who gets what.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct Division {
        /// The cores of all together.
        pub(crate) cores: u32,
        /// Those of each, in the order of the ranks.
        pub(crate) shares: Vec<u32>,
        /// A rank has a core that is another one's too.
        pub(crate) crowded: bool,
        /// With whom each can share: the first of the ranks whose CPUs overlap with its own, directly or by others. A core of
        /// somebody with whom it cannot is of no use to it.
        pub(crate) groups: Vec<u32>,
        /// The cores of each one's group.
        pub(crate) group_cores: Vec<u32>,
    }

    /// What this process has to tell.
    pub(crate) fn tell(system: &System) -> Told {
        let cores = system.cores();
        let quotas = cores
            .constraints()
            .iter()
            .filter(|known| known.kind == Kind::Quota)
            .map(|known| known.limit);
        let job = launcher::find(system).node;
        let most = quotas
            .chain(job.iter().map(|told| told.count))
            .chain(budget::status().cores)
            .min();
        Told {
            // Made from a set, so it can be read.
            cpus: cores.topology().cpus.parse().unwrap_or_default(),
            most: most.unwrap_or(u32::MAX).max(1),
        }
    }

    /// Divides the cores of a node among these ranks.
    pub(crate) fn divide(system: &System, told: &[Told]) -> Division {
        let all = told.iter().flat_map(|told| told.cpus.iter());
        let all = CpuSet::from_iter(all);
        // Siblings that different ranks are bound to are one core all the same.
        let cores = topology::cores(system, &all, &mut Vec::new());
        let cores: Vec<CpuSet> = cores.into_values().collect();
        deal(&cores, told)
    }

    /// Gives each core to the rank with the fewest that may use it, of several to the one that may use the fewest; cores that few
    /// may use first.
    pub(super) fn deal(cores: &[CpuSet], told: &[Told]) -> Division {
        let most = told.iter().map(|told| told.most).min().unwrap_or(1);
        let mut takers: Vec<Vec<usize>> = cores
            .iter()
            .map(|core| {
                let may = |told: &Told| !told.cpus.and(core).is_empty();
                (0..told.len()).filter(|rank| may(&told[*rank])).collect()
            })
            .collect();
        takers.sort_by_key(Vec::len);
        let mut choice = vec![0_usize; told.len()];
        for rank in takers.iter().flatten() {
            choice[*rank] += 1;
        }
        let mut shares = vec![0_u32; told.len()];
        for takers in &takers {
            if let Some(rank) = takers
                .iter()
                .min_by_key(|&&rank| (shares[rank], choice[rank], rank))
            {
                shares[*rank] += 1;
            }
        }
        let there = u32::try_from(cores.len()).unwrap_or(u32::MAX).max(1);
        let cores = there.min(most);
        let mut crowded = shares.contains(&0);
        for share in &mut shares {
            *share = (*share).max(1);
        }
        // Less than the CPUs may be used, or a rank that got none has one: those with the most have one less.
        while shares.iter().sum::<u32>() > cores {
            // Of several the last.
            match shares.iter_mut().max_by_key(|share| **share) {
                Some(share) if *share > 1 => *share -= 1,
                _ => {
                    crowded = true;
                    break;
                }
            }
        }
        let groups = grouped(told.len(), &takers);
        let of_group = |group: usize| {
            let first =
                |takers: &&Vec<usize>| takers.first().map(|rank| groups[*rank]) == Some(group);
            let there = takers.iter().filter(first).count();
            let shares: u32 = (0..shares.len())
                .filter(|rank| groups[*rank] == group)
                .map(|rank| shares[rank])
                .sum();
            u32::try_from(there).unwrap_or(u32::MAX).min(shares).max(1)
        };
        Division {
            cores,
            crowded,
            group_cores: groups.iter().map(|group| of_group(*group)).collect(),
            groups: groups
                .iter()
                .map(|group| u32::try_from(*group).unwrap_or(u32::MAX))
                .collect(),
            shares,
        }
    }

    /// The first rank of each one's group; those that may use a core are in one.
    fn grouped(ranks: usize, takers: &[Vec<usize>]) -> Vec<usize> {
        let mut groups: Vec<usize> = (0..ranks).collect();
        for takers in takers {
            let Some(first) = takers.iter().map(|rank| groups[*rank]).min() else {
                continue;
            };
            let joined: Vec<usize> = takers.iter().map(|rank| groups[*rank]).collect();
            for group in &mut groups {
                if joined.contains(group) {
                    *group = first;
                }
            }
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::division::{Told, deal};
    use crate::cores::CpuSet;

    fn told(cpus: &str, most: u32) -> Told {
        Told {
            cpus: cpus.parse().unwrap(),
            most,
        }
    }

    /// The cores of all, of each, and whether a core is two ranks'.
    fn dealt(cores: &[&str], ranks: &[Told]) -> (u32, Vec<u32>, bool) {
        let cores: Vec<CpuSet> = cores.iter().map(|core| core.parse().unwrap()).collect();
        let dealt = deal(&cores, ranks);
        (dealt.cores, dealt.shares, dealt.crowded)
    }

    const FOUR: [&str; 4] = ["0", "1", "2", "3"];

    #[test]
    fn ranks_that_may_use_all_cores_have_equal_parts_the_first_ones_more() {
        let all = |ranks| vec![told("0-3", u32::MAX); ranks];
        assert_eq!(dealt(&FOUR, &all(1)), (4, vec![4], false));
        assert_eq!(dealt(&FOUR, &all(3)), (4, vec![2, 1, 1], false));
        assert_eq!(dealt(&FOUR, &all(4)), (4, vec![1; 4], false));
        assert_eq!(dealt(&FOUR, &all(6)), (4, vec![1; 6], true));
    }

    #[test]
    fn ranks_that_are_bound_have_what_they_are_bound_to() {
        let ranks = [told("0-2", u32::MAX), told("3", u32::MAX)];
        assert_eq!(dealt(&FOUR, &ranks), (4, vec![3, 1], false));
        // One may use all: it gets what the other one cannot use.
        let ranks = [told("0-3", u32::MAX), told("0-1", u32::MAX)];
        assert_eq!(dealt(&FOUR, &ranks), (4, vec![2, 2], false));
        // The one that has no other core comes first.
        let ranks = ["0-1", "0", "1-2"].map(|cpus| told(cpus, u32::MAX));
        assert_eq!(dealt(&FOUR[..3], &ranks), (3, vec![1; 3], false));
        // Two on one core, none on the others.
        let ranks = [told("0", u32::MAX), told("0", u32::MAX)];
        assert_eq!(dealt(&["0"], &ranks), (1, vec![1, 1], true));
    }

    #[test]
    fn ranks_on_siblings_of_one_core_do_not_have_two() {
        let ranks = [told("0", u32::MAX), told("4", u32::MAX)];
        assert_eq!(dealt(&["0,4"], &ranks), (1, vec![1, 1], true));
    }

    #[test]
    fn a_quota_counts_whatever_cpus_there_are() {
        let ranks = [told("0-3", 3), told("0-3", u32::MAX)];
        assert_eq!(dealt(&FOUR, &ranks), (3, vec![2, 1], false));
        let ranks = [told("0-1", 1), told("2-3", 1)];
        assert_eq!(dealt(&FOUR, &ranks), (1, vec![1, 1], true));
    }

    #[test]
    fn ranks_share_with_those_whose_cpus_they_may_use() {
        let groups = |cores: &[&str], ranks: &[Told]| {
            let cores: Vec<CpuSet> = cores.iter().map(|core| core.parse().unwrap()).collect();
            let dealt = deal(&cores, ranks);
            (dealt.groups, dealt.group_cores)
        };
        let told = |cpus| told(cpus, u32::MAX);
        let all = groups(&FOUR, &[told("0-3"), told("0-3")]);
        assert_eq!(all, (vec![0, 0], vec![4, 4]));
        // Two on each socket.
        let sockets = [told("0-1"), told("2-3"), told("0-1"), told("2-3")];
        assert_eq!(groups(&FOUR, &sockets), (vec![0, 1, 0, 1], vec![2; 4]));
        let chain = [told("0"), told("2-3"), told("0-2")];
        assert_eq!(groups(&FOUR[..3], &chain), (vec![0, 0, 0], vec![3; 3]));
        // A quota is divided as the shares are.
        let most = |cpus| super::tests::told(cpus, 2);
        let bound = [most("0-1"), most("2-3")];
        assert_eq!(groups(&FOUR, &bound), (vec![0, 1], vec![1, 1]));
    }

    #[test]
    fn ranks_that_tell_of_nothing_have_one_core() {
        assert_eq!(dealt(&[], &[told("", 1)]), (1, vec![1], true));
        assert_eq!(dealt(&[], &[]), (1, vec![], false));
    }
}
