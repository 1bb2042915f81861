//! Limits on OpenMP runtimes, alone, side by side, and where two must not be called; and on what cannot be set.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use common::{get, in_own_process, load, mkl_folder};
use threadctl::{ErrorKind, Limits, Shortfall, runtimes};

#[test]
fn each_openmp_runtime_is_limited_by_itself() {
    const TEST: &str = "each_openmp_runtime_is_limited_by_itself";
    let folder = mkl_folder();
    let environment = [
        ("LD_LIBRARY_PATH", folder.as_str()),
        ("OMP_NUM_THREADS", "4"),
    ];
    in_own_process(TEST, &environment, || {
        let (gnu, intel) = (load("gomp"), load("iomp5"));
        let in_force = || {
            (
                get(gnu, "omp_get_max_threads"),
                get(intel, "omp_get_max_threads"),
            )
        };
        assert_eq!(in_force(), (4, 4));

        let one: Limits = "libgomp=2".parse().unwrap();
        assert_eq!(one.run_thread(in_force).unwrap(), (2, 4));
        let several: Limits = "libgomp=2,libiomp=3".parse().unwrap();
        assert_eq!(several.run_thread(in_force).unwrap(), (2, 3));
        let all: Limits = "openmp=1".parse().unwrap();
        let all = all.strict(true);
        let outer = all.limit_thread().unwrap();
        let inner = several.limit_thread().unwrap();
        assert_eq!(in_force(), (1, 1));
        assert_eq!(inner.outcomes().len(), 2);
        drop(outer);
        assert_eq!(in_force(), (2, 3));
        drop(inner);
        assert_eq!(in_force(), (4, 4));
    });
}

#[test]
fn clashing_runtimes_are_left_alone_and_named() {
    const TEST: &str = "clashing_runtimes_are_left_alone_and_named";
    let folder = mkl_folder();
    in_own_process(TEST, &[("LD_LIBRARY_PATH", &folder)], || {
        load("omp");
        load("iomp5");
        let limits = Limits::new().all(1);
        let outcomes = [
            limits.limit_process().unwrap().outcomes().to_vec(),
            limits.limit_thread().unwrap().outcomes().to_vec(),
        ];
        for outcome in outcomes.iter().flatten() {
            let Some(Shortfall::NotAllowed { reason }) = &outcome.shortfall else {
                panic!("{outcome}")
            };
            assert!(reason.contains("KMP_DUPLICATE_LIB_OK"), "{reason}");
            assert_eq!(outcome.effective, None);
        }
        assert_eq!(outcomes.map(|some| some.len()), [2, 2]);

        let error = limits.clone().strict(true).limit_thread().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotHonoured);
        assert!(error.to_string().contains("libiomp5"), "{error}");
        for runtime in &runtimes() {
            let error = runtime.set_num_threads(1).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(
                error.to_string().contains("KMP_DUPLICATE_LIB_OK"),
                "{error}"
            );
        }
    });
}

#[test]
fn rayons_pool_is_fixed_and_small_enough_or_not() {
    const TEST: &str = "rayons_pool_is_fixed_and_small_enough_or_not";
    in_own_process(TEST, &[("RAYON_NUM_THREADS", "3")], || {
        let limited = |limit| {
            let guard = Limits::new()
                .user_api("rayon", limit)
                .limit_process()
                .unwrap();
            guard.outcomes().to_vec()
        };
        assert!(limited(1).is_empty(), "no limit starts the pool");
        rayon::join(|| (), || ());
        for (limit, shortfall) in [(2, Some(Shortfall::Fixed)), (3, None), (4, None)] {
            let [outcome] = &limited(limit)[..] else {
                panic!("rayon's pool was not found")
            };
            assert_eq!(outcome.effective, Some(3));
            assert_eq!(outcome.shortfall, shortfall);
        }
        let strict = |limit| Limits::new().all(limit).strict(true).limit_process();
        assert_eq!(strict(2).unwrap_err().kind(), ErrorKind::NotHonoured);
        drop(strict(3).unwrap());
    });
}
