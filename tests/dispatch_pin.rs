//! Workers bound to cores on this machine, as the kernel tells it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

mod common;

use common::in_own_process;
use threadctl::cores::{CpuSet, System};
use threadctl::dispatch::Pool;
use threadctl::{ErrorKind, Workers};

/// The CPUs of the calling thread.
fn own_cpus() -> CpuSet {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    line.unwrap().trim().parse().unwrap()
}

/// Those of each worker.
fn of_workers(pool: &Pool) -> Vec<CpuSet> {
    pool.rayon().broadcast(|_| own_cpus())
}

#[test]
fn each_worker_of_a_bound_pool_has_a_core_of_its_own_and_counts_all() {
    let before = own_cpus();
    let cores = threadctl::cores().count();
    let places = System::this().places();
    let pool = Pool::builder(Workers::ALL).pinned(true).build().unwrap();
    assert_eq!(pool.places(), &places[..usize::try_from(cores).unwrap()]);
    let expected: Vec<CpuSet> = pool
        .places()
        .iter()
        .map(|place| place.cpus.clone())
        .collect();
    assert_eq!(of_workers(&pool), expected);
    let counted = pool.rayon().broadcast(|_| {
        let fresh = System::this().cores().count();
        (threadctl::cores().count(), fresh)
    });
    assert!(
        counted.iter().all(|count| *count == (cores, cores)),
        "{counted:?}"
    );
    assert_eq!(
        own_cpus(),
        before,
        "the thread that made it is where it was"
    );
}

#[test]
fn nobody_is_bound_unless_it_is_asked_for() {
    const TEST: &str = "nobody_is_bound_unless_it_is_asked_for";
    in_own_process(TEST, &[], || {
        let own = own_cpus();
        for pool in [
            Pool::new(Workers::ALL).unwrap(),
            Pool::builder(Workers::ALL).build().unwrap(),
            Pool::builder(Workers::ALL).pinned(false).build().unwrap(),
        ] {
            assert!(pool.places().is_empty());
            assert!(of_workers(&pool).iter().all(|cpus| *cpus == own));
        }
    });
}

#[test]
fn the_variable_binds_the_pools_that_say_nothing() {
    const TEST: &str = "the_variable_binds_the_pools_that_say_nothing";
    in_own_process(TEST, &[("THREADCTL_PIN", "on")], || {
        let own = own_cpus();
        let pool = Pool::new(Workers::ALL).unwrap();
        let bound: Vec<CpuSet> = pool
            .places()
            .iter()
            .map(|place| place.cpus.clone())
            .collect();
        assert_eq!(bound.len(), pool.rayon().current_num_threads());
        assert_eq!(of_workers(&pool), bound);
        let free = Pool::builder(Workers::ALL).pinned(false).build().unwrap();
        assert!(of_workers(&free).iter().all(|cpus| *cpus == own));
        // More workers than cores: all of them anywhere.
        let many = Pool::new(10_000_u32.min(threadctl::cores().count() * 4)).unwrap();
        assert!(many.places().is_empty());
        assert!(of_workers(&many).iter().all(|cpus| *cpus == own));
        // The global pool, which dispatch starts.
        let width = threadctl::dispatch::width();
        let global = rayon::broadcast(|_| own_cpus());
        assert_eq!(global.len(), width);
        assert_eq!(global, bound);
    });
}

#[test]
fn the_main_thread_as_a_worker_is_not_bound() {
    const TEST: &str = "the_main_thread_as_a_worker_is_not_bound";
    in_own_process(TEST, &[("THREADCTL_PIN", "on")], || {
        let (own, cores) = (own_cpus(), threadctl::cores().count());
        Pool::build_global_here(Workers::ALL).unwrap();
        assert_eq!(own_cpus(), own);
        assert_eq!(System::this().cores().count(), cores);
        let bound = rayon::broadcast(|_| own_cpus());
        let places = System::this().places();
        assert_eq!(bound[0], own);
        for (cpus, place) in bound.iter().zip(&places).skip(1) {
            assert_eq!(*cpus, place.cpus);
        }
    });
}

#[test]
fn more_bound_workers_than_cores_are_refused() {
    let places = u32::try_from(System::this().places().len()).unwrap();
    let error = Pool::builder(places + 1).pinned(true).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidLimit);
    let text = error.to_string();
    assert!(text.contains(&format!("{} workers", places + 1)), "{text}");
    assert!(text.contains(&format!("{places} cores")), "{text}");
    let error = Pool::builder(0).pinned(true).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidLimit);
}

/// Pages that the calling thread has brought into being.
fn faults() -> i64 {
    // SAFETY: the structure is written whole by the call, for the calling thread.
    let usage = unsafe {
        let mut usage = std::mem::zeroed::<libc::rusage>();
        assert_eq!(libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage), 0);
        usage
    };
    usage.ru_minflt
}

#[test]
fn pages_of_new_arrays_are_touched_by_the_workers_in_equal_parts() {
    const BYTES: usize = 256 << 20;
    let pool = Pool::builder(Workers::ALL).pinned(true).build().unwrap();
    let workers = || pool.rayon().broadcast(|_| faults());
    let (own, before) = (faults(), workers());
    let numbers: Vec<f64> = pool.zeroed(BYTES / 8).unwrap();
    let (own, after) = (faults() - own, workers());
    let each: Vec<i64> = after
        .iter()
        .zip(&before)
        .map(|(after, before)| after - before)
        .collect();
    // With huge pages of 2 MiB there are few.
    let pages = i64::try_from(BYTES >> 21).unwrap();
    let share = pages / i64::try_from(each.len()).unwrap();
    assert!(
        each.iter().all(|faults| *faults >= share / 2),
        "{each:?} of {pages} at least"
    );
    let sum: i64 = each.iter().sum();
    assert!(
        own < sum / 4,
        "{own} by the caller, {each:?} by the workers"
    );
    let (least, most) = (each.iter().min().unwrap(), each.iter().max().unwrap());
    assert!(*most <= 2 * *least, "{each:?}");
    assert!(numbers.iter().step_by(101).all(|number| *number == 0.0));
    assert_eq!(numbers.len(), BYTES / 8);
}

#[test]
fn arrays_of_any_length_and_type_are_zeros() {
    let pool = Pool::new(Workers::ALL).unwrap();
    for length in [0, 1, 2, 3, 511, 512, 513, 100_001] {
        assert_eq!(pool.zeroed::<f64>(length).unwrap(), vec![0.0; length]);
        assert_eq!(pool.zeroed::<f32>(length).unwrap(), vec![0.0; length]);
        let complex = pool.zeroed::<num_complex::Complex<f64>>(length).unwrap();
        assert_eq!(complex, vec![num_complex::Complex::default(); length]);
    }
    let error = pool.zeroed::<f64>(usize::MAX / 8).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::System);
    assert!(error.to_string().contains("memory"), "{error}");
}
