//! The parsers on everything that a file or a variable may hold: no panic, no 0, nothing above the machine.

use super::cgroup::{Membership, Mount, cfs, chain, cpu_max, memberships, mounts};
use super::launcher::{Unknown, part, positive, sharers, slurm_list};
use super::system::environ;
use super::variables::{domains, levels};
use super::{CpuSet, System};
use proptest::prelude::*;

/// Text that is often nearly right.
fn nearly() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[-0-9,()x;:= a-zA-Z_/.\\\\\n\t]{0,40}",
        "[0-9]{1,25}(,[0-9]{1,12}){0,3}",
        "[0-9]{1,6}\\(x[0-9]{1,12}\\)(,[0-9]{1,3}){0,2}",
        "(max|-?[0-9]{1,20}) ?[0-9]{0,20}",
        "[0-9]{1,2}:(cpu|cpuset|cpu,cpuacct|):/[a-z./]{0,12}",
        "[0-9 ]{1,9} /[a-z.]{0,5} /[a-z\\\\0-7]{0,9} rw - cgroup2? cgroup rw,cpu",
        "MKL_(DOMAIN_)?(ALL|BLAS|FFT)[ =,][0-9]{1,9}",
    ]
}

proptest! {
    #[test]
    fn sets_of_cpus(text in nearly()) {
        if let Ok(cpus) = text.parse::<CpuSet>() {
            prop_assert_eq!(cpus.iter().count(), cpus.count() as usize);
            prop_assert!(cpus.count() <= 1 << 16);
            prop_assert!(cpus.iter().all(|cpu| cpus.contains(cpu)));
            let again: CpuSet = cpus.to_string().parse().unwrap();
            prop_assert_eq!(&again, &cpus);
            prop_assert_eq!(&cpus.and(&cpus), &cpus);
        }
    }

    #[test]
    fn the_common_part_of_two_sets(
        a in proptest::collection::btree_set(0_u32..40, 0..20),
        b in proptest::collection::btree_set(0_u32..40, 0..20),
    ) {
        let set = |numbers: &std::collections::BTreeSet<u32>| -> CpuSet {
            let words: Vec<_> = numbers.iter().map(u32::to_string).collect();
            words.join(",").parse().unwrap()
        };
        let both: std::collections::BTreeSet<u32> = a.intersection(&b).copied().collect();
        prop_assert!(set(&a).and(&set(&b)).iter().eq(both));
    }

    #[test]
    fn control_groups(text in nearly(), other in nearly()) {
        for membership in memberships(&text) {
            prop_assert!(membership.path.starts_with('/'));
        }
        mounts(&text);
        for read in [cpu_max(&text), cfs(&text, &other)] {
            if let Ok(Some((quota, period))) = read {
                prop_assert!(quota > 0 && period > 0);
            }
        }
    }

    #[test]
    fn chains_stay_below_the_mount(root in "/[a-c./]{0,8}", path in "/[a-c./]{0,12}") {
        let mount = Mount { root, point: "/mnt".to_owned(), controllers: None };
        if let Some(folders) = chain(&mount, &path) {
            prop_assert_eq!(folders.last().map(String::as_str), Some("/mnt"));
            for folder in folders {
                prop_assert!(!folder.split('/').any(|part| part == ".."), "{folder}");
            }
        }
    }

    #[test]
    fn numbers_of_launchers_and_runtimes(text in nearly(), node in proptest::option::of(any::<u64>())) {
        let found = [
            positive(&text),
            slurm_list(&text, node, Unknown::Least),
            slurm_list(&text, node, Unknown::Most),
            levels(&text),
            domains(&text).flatten(),
        ];
        for count in found.into_iter().flatten() {
            prop_assert!((1..=1 << 16).contains(&count));
        }
    }

    #[test]
    fn environments(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        environ(&bytes);
    }

    #[test]
    fn ranks_that_fit_share_all_cores_and_none_twice(cores in 1_u32..200, ranks in 1_u32..64) {
        let sum: u32 = (0..ranks).map(|rank| part(cores, ranks, Some(rank))).sum();
        prop_assert_eq!(sum, cores.max(ranks));
        prop_assert!(part(cores, ranks, None) * ranks <= cores.max(ranks));
    }

    #[test]
    fn sharers_are_ranks(size in any::<u32>(), own in any::<u32>(), whole in any::<u32>()) {
        let found = sharers(size, own, whole);
        prop_assert!((1..=size.max(1)).contains(&found));
        prop_assert!(part(own, found, Some(size)) >= 1);
    }
}

proptest! {
    // Each case writes a folder.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_whole_machine_of_damaged_files(
        online in 1_u32..9,
        texts in proptest::collection::vec(nearly(), 9),
        values in proptest::collection::vec(nearly(), 12),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let file = folder.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        write("sys/devices/system/cpu/online", &format!("0-{}", online - 1));
        let files = [
            "proc/self/cgroup", "proc/self/mountinfo", "sys/fs/cgroup/cpu.max", "sys/fs/cgroup/cpuset.cpus",
            "sys/devices/system/cpu/smt/active", "sys/devices/system/cpu/cpu0/topology/core_cpus_list",
            "sys/devices/system/node/online", "sys/devices/cpu_atom/cpus",
        ];
        for (file, text) in files.iter().zip(&texts) {
            write(file, text);
        }
        write("proc/self/status", &format!("PPid:\t{}\nCpus_allowed_list:\t{}", texts[8], texts[8]));
        let names = [
            "THREADCTL_NUM_THREADS", "SLURM_CPUS_PER_TASK", "SLURM_TASKS_PER_NODE", "SLURM_NODEID",
            "SLURM_CPUS_ON_NODE", "OMPI_COMM_WORLD_LOCAL_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "NCPUS",
            "LSB_DJOB_NUMPROC", "LSB_MCPU_HOSTS", "OMP_NUM_THREADS", "MKL_DOMAIN_NUM_THREADS",
        ];
        let cores = System::recorded(folder.path(), names.into_iter().zip(values)).cores();
        prop_assert!((1..=online).contains(&cores.count()), "{cores:#?}");
        prop_assert!((cores.count()..=online).contains(&cores.logical()), "{cores:#?}");
        prop_assert_eq!(cores.binding().limit.min(cores.count()), cores.count());
        for runtime in ["openmp", "openblas", "mkl", "blis", "rayon", "unheard-of"] {
            prop_assert!((1..=cores.count()).contains(&cores.count_for(runtime)));
        }
    }
}

#[test]
fn the_lines_of_cgroup_files() {
    let own = memberships("4:cpu,cpuacct:/a:b\n1:name=systemd:/\n0::/c (deleted)\nnonsense\n");
    let paths: Vec<_> = own.iter().map(|known| known.path.as_str()).collect();
    assert_eq!(paths, ["/a:b", "/", "/c"]);
    let cpu = Membership {
        controllers: vec!["cpu".to_owned(), "cpuacct".to_owned()],
        path: "/a:b".to_owned(),
    };
    assert_eq!(own[0], cpu);
}
