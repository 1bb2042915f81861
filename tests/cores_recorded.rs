//! How many cores there are on other machines: trees written after the documented formats, one case per kind of system.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

#[path = "common/trees.rs"]
mod trees;

use threadctl::cores::{Cores, Kind};
use trees::Tree;

/// The limits of a kind, in the order in which they were found.
fn limits(cores: &Cores, kind: Kind) -> Vec<u32> {
    cores
        .constraints()
        .iter()
        .filter(|known| known.kind == kind)
        .map(|known| known.limit)
        .collect()
}

/// The answer, the one with siblings, and the end of the binding source.
#[track_caller]
fn expect(cores: &Cores, count: u32, logical: u32, binding: &str) {
    assert_eq!(
        (cores.count(), cores.logical()),
        (count, logical),
        "{cores:#?}"
    );
    assert!(cores.binding().source.ends_with(binding), "{cores:#?}");
    assert_eq!(cores.problems(), [""; 0]);
}

#[test]
fn docker_v1_whose_mount_shows_its_own_group_as_the_root() {
    let cores = Tree::named("docker-v1").cores();
    expect(&cores, 2, 2, "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us");
    assert_eq!(cores.binding().exact, Some(2.5));
}

#[test]
fn docker_v2_with_half_a_core() {
    let cores = Tree::named("docker-v2").cores();
    expect(&cores, 1, 1, "/sys/fs/cgroup/cpu.max");
    assert_eq!(cores.binding().exact, Some(0.5));
    assert_eq!(limits(&cores, Kind::Cpuset), [2]);
}

#[test]
fn kubernetes_with_quotas_of_container_pod_and_node() {
    let cores = Tree::named("kubernetes").cores();
    expect(&cores, 3, 3, "cri-containerd-9a.scope/cpu.max");
    assert_eq!(limits(&cores, Kind::Quota), [3, 4, 31]);
    assert_eq!(limits(&cores, Kind::PhysicalCores), [16]);
}

#[test]
fn slurm_ranks_divide_the_jobs_cpus() {
    let mut tree = Tree::named("slurm");
    expect(&tree.cores(), 2, 2, "SLURM_TASKS_PER_NODE");
    // Bound tasks have their own CPUs already.
    tree.write("/proc/self/status", "Cpus_allowed_list:\t8-9\n");
    expect(&tree.cores(), 2, 2, "/proc/self/status");
    // Told per task, nothing is divided.
    let mut tree = Tree::named("slurm");
    tree.set("SLURM_CPUS_PER_TASK", "3");
    expect(&tree.cores(), 3, 3, "SLURM_CPUS_PER_TASK");
}

#[test]
fn a_slurm_batch_script_has_the_cpus_of_all_its_tasks() {
    let batch = || {
        let mut tree = Tree::named("slurm");
        // As slurmd starts it: it has the task's variables, and no step.
        tree.unset("SLURM_STEP_ID")
            .set("SLURM_PROCID", "0")
            .set("SLURM_LOCALID", "0");
        tree
    };
    let cores = batch().cores();
    expect(&cores, 8, 8, "cpuset.cpus");
    assert!(
        cores
            .notes()
            .iter()
            .any(|note| note.contains("no step of srun")),
        "{:#?}",
        cores.notes()
    );
    // The shell that salloc starts on a node is a step with a number of its own.
    let mut shell = batch();
    shell
        .set("SLURM_STEP_ID", "4294967290")
        .set("SLURM_STEP_TASKS_PER_NODE", "1");
    expect(&shell.cores(), 8, 8, "cpuset.cpus");
    // 4 tasks on this node with one CPU each were asked for, on a node that is not shared.
    let mut exclusive = batch();
    exclusive.set("SLURM_CPUS_PER_TASK", "1");
    let cores = exclusive.cores();
    expect(&cores, 4, 4, "SLURM_CPUS_PER_TASK");
    assert!(cores.binding().detail.contains("4 tasks"), "{cores:#?}");
    // Ranks that mpirun starts from the script divide the node; each is one task.
    let mut rank = batch();
    rank.set("OMPI_COMM_WORLD_LOCAL_SIZE", "2");
    expect(&rank.cores(), 4, 4, "OMPI_COMM_WORLD_LOCAL_SIZE");
    rank.set("SLURM_CPUS_PER_TASK", "3");
    expect(&rank.cores(), 3, 3, "SLURM_CPUS_PER_TASK");
}

#[test]
fn a_quota_of_a_parent_binds_under_systemd() {
    let cores = Tree::named("systemd-user-slice").cores();
    expect(&cores, 1, 1, "user-1000.slice/cpu.max");
    assert_eq!(cores.binding().exact, Some(1.5));
}

#[test]
fn a_hybrid_host_has_the_quota_in_v1_and_the_cpuset_in_v2() {
    let cores = Tree::named("hybrid").cores();
    expect(&cores, 3, 3, "/mnt/cg v1/batch/cpu.cfs_quota_us");
    assert_eq!(cores.binding().exact, Some(3.8));
    assert_eq!(limits(&cores, Kind::Online), [6]);
    assert_eq!(limits(&cores, Kind::Cpuset), [5]);
}

#[test]
fn siblings_of_128_cpus_count_once_and_can_be_asked_for() {
    let mut tree = Tree::named("numa-128");
    let cores = tree.cores();
    expect(&cores, 64, 128, "/sys/devices/system/cpu");
    assert_eq!(cores.binding().kind, Kind::PhysicalCores);
    assert_eq!(cores.topology().numa_nodes, 8);
    tree.set("THREADCTL_NUM_THREADS", "96");
    expect(&tree.cores(), 96, 96, "THREADCTL_NUM_THREADS");
    tree.set("THREADCTL_NUM_THREADS", "-2");
    expect(&tree.cores(), 63, 127, "THREADCTL_NUM_THREADS");
    tree.set("THREADCTL_NUM_THREADS", "1000");
    expect(&tree.cores(), 128, 128, "cpu/online");
    // Eight CPUs of one node: four cores and their siblings.
    let mut tree = Tree::named("numa-128");
    tree.write("/proc/self/status", "Cpus_allowed_list:\t16-19,80-83\n");
    let cores = tree.cores();
    expect(&cores, 4, 8, "/sys/devices/system/cpu");
    assert_eq!(cores.topology().numa_nodes, 1);
}

#[test]
fn efficiency_cores_are_counted_and_told() {
    let cores = Tree::named("laptop-efficiency").cores();
    expect(&cores, 12, 16, "/sys/devices/system/cpu");
    assert_eq!(cores.topology().efficiency, Some(8));
    let cores = Tree::named("arm-big-little").cores();
    expect(&cores, 6, 6, "cpu/online");
    assert_eq!(cores.topology().efficiency, Some(4));
    assert_eq!(Tree::named("numa-128").cores().topology().efficiency, None);
    // Of three kinds the smallest; of what affinity leaves, the kinds that are left.
    let mut tree = Tree::named("arm-three-kinds");
    expect(&tree.cores(), 8, 8, "cpu/online");
    assert_eq!(tree.cores().topology().efficiency, Some(4));
    for (cpus, efficiency) in [
        ("4-7", Some(2)),
        ("3-5", Some(1)),
        ("6-7", None),
        ("0-3", None),
    ] {
        tree.write(
            "/proc/self/status",
            &format!("Cpus_allowed_list:\t{cpus}\n"),
        );
        assert_eq!(tree.cores().topology().efficiency, efficiency, "{cpus}");
    }
}

#[test]
fn ranks_divide_what_their_launcher_had_unless_affinity_did() {
    let mut tree = Tree::named("mpi-unbound");
    // 8 cores in 12 CPUs for 3 ranks: 3, 3 and 2.
    expect(&tree.cores(), 3, 4, "OMPI_COMM_WORLD_LOCAL_SIZE");
    tree.set("OMPI_COMM_WORLD_LOCAL_RANK", "2");
    expect(&tree.cores(), 2, 4, "OMPI_COMM_WORLD_LOCAL_SIZE");
    expect(
        &Tree::named("mpi-bound").cores(),
        2,
        4,
        "/sys/devices/system/cpu",
    );
}

#[test]
fn a_rank_that_is_none_of_them_is_told_and_has_the_smaller_share() {
    for rank in ["3", "-1", "x", ""] {
        let mut tree = Tree::named("mpi-unbound");
        tree.set("OMPI_COMM_WORLD_LOCAL_RANK", rank);
        let cores = tree.cores();
        assert_eq!(cores.count(), 2, "{rank}");
        let told = format!("OMPI_COMM_WORLD_LOCAL_RANK={rank:?} is not used");
        assert!(cores.problems()[0].starts_with(&told), "{cores:#?}");
    }
}

#[test]
fn ranks_that_share_a_part_of_the_node_have_the_smaller_share() {
    // 5 cores of the launcher's 16 CPUs are shared by 2 of the 4 ranks. Which two is not told, so 2 each and not 3.
    let mut tree = Tree::named("mpi-unbound");
    tree.set("OMPI_COMM_WORLD_LOCAL_SIZE", "4")
        .write("/proc/150/status", "PPid:\t1\nCpus_allowed_list:\t0-15\n")
        .write("/proc/self/status", "PPid:\t200\nCpus_allowed_list:\t0-4\n");
    expect(&tree.cores(), 2, 2, "OMPI_COMM_WORLD_LOCAL_SIZE");
}

#[test]
fn cpus_that_are_named_and_not_there_do_not_count() {
    // Affinity lists name every CPU that the kernel was built for.
    let mut tree = Tree::named("mpi-unbound");
    tree.write(
        "/proc/150/status",
        "PPid:\t1\nCpus_allowed_list:\t0-3,8-15,16-8191\n",
    );
    expect(&tree.cores(), 3, 4, "OMPI_COMM_WORLD_LOCAL_SIZE");
    let mut tree = Tree::named("docker-v2");
    tree.write("/proc/self/status", "Cpus_allowed_list:\t0-8191\n");
    tree.write("/sys/fs/cgroup/cpu.max", "max\n");
    let cores = tree.cores();
    expect(&cores, 2, 2, "cpuset.cpus.effective");
    assert_eq!(cores.topology().cpus, "2-3");
    // None at all is a contradiction, which is told.
    tree.write("/proc/self/status", "Cpus_allowed_list:\t100-8191\n");
    let cores = tree.cores();
    assert_eq!(cores.count(), 2);
    assert!(
        cores.problems()[0].contains("none of the CPUs 100-8191 is left"),
        "{cores:#?}"
    );
}

#[test]
fn what_would_block_is_passed_over() {
    let mut tree = Tree::named("docker-v2");
    let cores = tree.cores();
    let quota = cores.binding().source.clone();
    assert!(quota.ends_with("cpu.max"), "{cores:#?}");
    let cores = tree.fifo(&quota).cores();
    assert!(limits(&cores, Kind::Quota).is_empty(), "{cores:#?}");
    assert!(
        cores
            .problems()
            .iter()
            .any(|problem| problem.starts_with(&quota)),
        "{cores:#?}"
    );
}

#[test]
fn every_launcher_is_heard() {
    let cases: &[(&[(&str, &str)], u32)] = &[
        (&[("MPI_LOCALNRANKS", "4"), ("MPI_LOCALRANKID", "0")], 16),
        (&[("MV2_COMM_WORLD_LOCAL_SIZE", "8")], 8),
        (&[("PMI_LOCAL_SIZE", "2"), ("PMI_LOCAL_RANK", "1")], 32),
        (&[("PALS_LOCAL_SIZE", "4"), ("PALS_LOCAL_RANKID", "1")], 16),
        (&[("NCPUS", "5")], 5),
        (&[("PBS_NUM_PPN", "6")], 6),
        (
            &[("PBS_NUM_PPN", "6"), ("OMPI_COMM_WORLD_LOCAL_SIZE", "3")],
            2,
        ),
        (&[("LSB_DJOB_NUMPROC", "7")], 7),
        (&[("NSLOTS", "9")], 9),
        (&[("SLURM_CPUS_ON_NODE", "10")], 10),
        (
            &[
                ("SLURM_JOB_CPUS_PER_NODE", "20(x2),12"),
                ("SLURM_NODEID", "2"),
            ],
            12,
        ),
        (
            &[("SLURM_STEP_ID", "0"), ("SLURM_NTASKS_PER_NODE", "4")],
            16,
        ),
        (
            &[("SLURM_STEPID", "1"), ("SLURM_TASKS_PER_NODE", "2(x3),4")],
            16,
        ),
        (
            &[
                ("SLURM_STEP_ID", "2"),
                ("SLURM_STEP_TASKS_PER_NODE", "2"),
                ("SLURM_TASKS_PER_NODE", "4"),
            ],
            32,
        ),
        (&[("SLURM_CPUS_PER_TASK", "11")], 11),
        (&[("PMI_SIZE", "64"), ("PMI_RANK", "3")], 64),
    ];
    let mut tree = Tree::named("numa-128");
    for (variables, count) in cases {
        let cores = tree.cores_with(variables);
        assert_eq!(cores.count(), *count, "{variables:?}: {cores:#?}");
        assert_eq!(cores.problems(), [""; 0], "{variables:?}");
    }
    tree.set("LSB_DJOB_NUMPROC", "24")
        .set("LSB_MCPU_HOSTS", "alpha 16 beta 8")
        .write("/proc/sys/kernel/hostname", "beta.example.org\n");
    expect(&tree.cores(), 8, 8, "LSB_MCPU_HOSTS");
}

#[test]
fn malformed_variables_are_named_and_not_trusted() {
    let tree = Tree::named("numa-128");
    for (name, value) in [
        ("SLURM_CPUS_PER_TASK", "abc"),
        ("SLURM_CPUS_PER_TASK", "0"),
        ("SLURM_TASKS_PER_NODE", "2(x"),
        ("SLURM_CPUS_ON_NODE", "-3"),
        ("SLURM_STEP_ID", "x"),
        ("OMPI_COMM_WORLD_LOCAL_SIZE", "99999999999999999999"),
        ("MPI_LOCALNRANKS", ""),
        ("PBS_NUM_PPN", "4.5"),
        ("NCPUS", "many"),
        ("NSLOTS", "0x10"),
        ("LSB_DJOB_NUMPROC", "4 4"),
        ("THREADCTL_NUM_THREADS", "0"),
        ("OMP_NUM_THREADS", "4,,2"),
        ("MKL_DOMAIN_NUM_THREADS", "MKL_DOMAIN_BLAS=x"),
        ("OPENBLAS_NUM_THREADS", "four"),
    ] {
        let cores = tree.cores_with(&[(name, value)]);
        assert_eq!(cores.count(), 64, "{name}={value}");
        let told = cores.problems().iter().any(|problem| {
            problem.starts_with(&format!("{name}={value:?}")) && problem.contains("accepted")
        });
        assert!(told, "{name}={value}: {:?}", cores.problems());
    }
}

#[test]
fn variables_of_runtimes_bind_their_own_runtime_alone() {
    let mut tree = Tree::named("numa-128");
    tree.set("OMP_NUM_THREADS", "8,2")
        .set("OMP_THREAD_LIMIT", "6")
        .set("GOTO_NUM_THREADS", "5")
        .set("MKL_NUM_THREADS", "4")
        .set(
            "MKL_DOMAIN_NUM_THREADS",
            "MKL_DOMAIN_ALL=9, MKL_DOMAIN_BLAS=3",
        )
        .set("VECLIB_MAXIMUM_THREADS", "2")
        .set("RAYON_NUM_THREADS", "0");
    let cores = tree.cores();
    expect(&cores, 64, 128, "/sys/devices/system/cpu");
    let of = |runtime| cores.count_for(runtime);
    assert_eq!(
        ["openmp", "openblas", "mkl", "blis", "accelerate", "rayon"].map(of),
        [6, 5, 3, 8, 2, 64]
    );
    // THREADCTL_* comes before a runtime's own variable.
    tree.set("THREADCTL_NUM_THREADS", "16");
    assert_eq!(tree.cores().count_for("mkl"), 16);
}

#[test]
fn variables_are_read_as_their_runtimes_read_them() {
    let tree = Tree::named("numa-128");
    // What MKL 2026.2 answers for BLAS on these, among 64 cores.
    for (name, value, mkl) in [
        ("MKL_DOMAIN_NUM_THREADS", "MKL_DOMAIN_FFT=2", 5),
        (
            "MKL_DOMAIN_NUM_THREADS",
            "MKL_DOMAIN_BLAS=3,MKL_DOMAIN_BLAS=4",
            3,
        ),
        (
            "MKL_DOMAIN_NUM_THREADS",
            "MKL_DOMAIN_BLAS=3 : MKL_DOMAIN_ALL=4",
            3,
        ),
        ("MKL_DOMAIN_NUM_THREADS", "mkl_domain_blas=3", 5),
        ("MKL_DOMAIN_NUM_THREADS", "MKL_DOMAIN_BLAS=0", 5),
        ("MKL_DOMAIN_NUM_THREADS", "MKL_DOMAIN_BLAS=010", 10),
        ("MKL_NUM_THREADS", "100000", 64),
    ] {
        // The later of two entries of one name counts here.
        let cores = tree.cores_with(&[("MKL_NUM_THREADS", "5"), (name, value)]);
        assert_eq!(cores.count_for("mkl"), mkl, "{name}={value}");
    }
    // More than any machine has is no mistake.
    let mut tree = Tree::named("numa-128");
    tree.set("OMP_NUM_THREADS", "99999999999999999999,2");
    tree.set("OPENBLAS_NUM_THREADS", "3")
        .set("GOTO_NUM_THREADS", "4")
        .set("BLIS_NUM_THREADS", "5");
    let cores = tree.cores();
    assert_eq!(cores.problems(), [""; 0]);
    let of = |runtime| cores.count_for(runtime);
    assert_eq!(["openmp", "openblas", "blis"].map(of), [64, 3, 5]);
    // Empty is not set.
    let mut tree = Tree::named("numa-128");
    tree.set("THREADCTL_NUM_THREADS", " ")
        .set("OMP_NUM_THREADS", "");
    expect(&tree.cores(), 64, 128, "/sys/devices/system/cpu");
}

#[test]
fn a_path_that_the_mounts_do_not_show_is_read_at_the_mount_point() {
    // A container that sees its own group as the root, while its path is told from the host.
    let mut tree = Tree::named("docker-v2");
    tree.write("/proc/self/cgroup", "0::/../../kubepods/pod1\n");
    expect(&tree.cores(), 1, 1, "/sys/fs/cgroup/cpu.max");
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_still_counts() {
    let mut tree = Tree::new();
    tree.write("/sys/devices/system/cpu/online", "0-3\n");
    let cores = tree.cores();
    assert_eq!(cores.count(), 4);
    for file in ["/proc/self/status", "/proc/self/cgroup"] {
        assert!(
            cores
                .problems()
                .iter()
                .any(|problem| problem.starts_with(file)),
            "{:?}",
            cores.problems()
        );
    }
    tree.write("/sys/devices/system/cpu/online", "0-x\n");
    assert_eq!(tree.cores().count(), 1);
}

/// The places of a tree: node, and CPUs.
fn places(tree: &Tree) -> Vec<(u32, String)> {
    let places = tree.system().places();
    places
        .iter()
        .map(|place| (place.node, place.cpus.to_string()))
        .collect()
}

#[test]
fn places_are_cores_with_their_siblings_node_by_node() {
    let tree = Tree::named("numa-128");
    let found = places(&tree);
    assert_eq!(found.len(), 64);
    let expected: Vec<(u32, String)> = (0..64)
        .map(|core| (core / 8, format!("{core},{}", core + 64)))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn what_a_batch_system_left_of_several_nodes_is_used_from_the_largest_part_on() {
    let mut tree = Tree::named("numa-128");
    // Three cores of node 1, one of node 0 without its sibling, two of node 5.
    tree.write(
        "/proc/self/status",
        "Cpus_allowed_list:\t3,9-11,73-75,40-41\n",
    );
    let cpus = |node, text: &str| (node, text.to_owned());
    assert_eq!(
        places(&tree),
        [
            cpus(1, "9,73"),
            cpus(1, "10,74"),
            cpus(1, "11,75"),
            cpus(5, "40"),
            cpus(5, "41"),
            cpus(0, "3"),
        ]
    );
}

#[test]
fn places_of_machines_that_tell_no_nodes_or_no_siblings() {
    for name in [
        "docker-v2",
        "hybrid",
        "laptop-efficiency",
        "arm-three-kinds",
    ] {
        let tree = Tree::named(name);
        let found = places(&tree);
        let topology = tree.cores().topology().clone();
        assert_eq!(
            u32::try_from(found.len()).unwrap(),
            topology.physical,
            "{name}"
        );
        let mut all: Vec<u32> = found
            .iter()
            .flat_map(|(_, cpus)| {
                let cpus: threadctl::cores::CpuSet = cpus.parse().unwrap();
                cpus.iter().collect::<Vec<_>>()
            })
            .collect();
        all.sort_unstable();
        let allowed: threadctl::cores::CpuSet = topology.cpus.parse().unwrap();
        assert!(allowed.iter().eq(all), "{name}: every CPU once");
    }
}
