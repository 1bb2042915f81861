//! The real libraries, a process each: what is found of them, and whether the scope found is the truth, which a
//! second thread tells by calling the library itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "common/found.rs"]
mod found;

use common::{get, in_own_process, library, load, mkl_folder, set};
use found::the_one;
use libloading::os::unix::Library;
use threadctl::{ConcurrentCallers, Integers, Runtime, RuntimeInfo, SetterScope, runtimes};

/// What a second thread sees while the first has set 3, then 1: the library's own word.
fn seen_by_a_second_thread(
    library: &'static Library,
    get_name: &'static str,
    set_name: &str,
) -> Vec<i32> {
    let before = get(library, get_name);
    let seen = [1, 2]
        .map(|threads| {
            set(library, set_name, threads);
            std::thread::spawn(move || get(library, get_name))
                .join()
                .unwrap()
        })
        .to_vec();
    set(library, set_name, before);
    seen
}

fn assert_known(info: &RuntimeInfo) {
    assert!(
        info.version.is_some() && info.threading_layer.is_some(),
        "{info:?}"
    );
    assert!(
        info.num_threads.is_some() && info.setter_scope != SetterScope::Unknown,
        "{info:?}"
    );
    assert!(info.interface.integers != Integers::Unknown, "{info:?}");
    assert!(info.tested && info.filepath.is_file(), "{info:?}");
}

#[test]
fn debian_openblas_on_pthreads_is_process_scoped() {
    in_own_process("debian_openblas_on_pthreads_is_process_scoped", &[], || {
        let openblas = load("openblas-pthread");
        let info = the_one("openblas").info();
        assert_known(&info);
        assert_eq!(info.threading_layer.as_deref(), Some("pthreads"));
        assert_eq!(info.setter_scope, SetterScope::Process);
        assert!(info.max_threads.is_some_and(|most| most >= 2), "{info:?}");
        assert_eq!(info.concurrent_callers, ConcurrentCallers::Safe);
        assert!(info.architecture.is_some() && info.interface.integers == Integers::Lp64);
        let seen = seen_by_a_second_thread(
            openblas,
            "openblas_get_num_threads",
            "openblas_set_num_threads",
        );
        assert_eq!(seen, [1, 2]);
    });
}

#[test]
fn debian_openblas_on_openmp_is_thread_scoped() {
    in_own_process(
        "debian_openblas_on_openmp_is_thread_scoped",
        &[("OMP_NUM_THREADS", "5")],
        || {
            let openblas = load("openblas-openmp");
            let info = the_one("openblas").info();
            assert_known(&info);
            assert_eq!(info.threading_layer.as_deref(), Some("openmp"));
            assert_eq!(info.setter_scope, SetterScope::Thread);
            assert_eq!(info.num_threads, Some(5));
            assert_eq!(the_one("openmp").info().setter_scope, SetterScope::Thread);
            let seen = seen_by_a_second_thread(
                openblas,
                "omp_get_max_threads",
                "openblas_set_num_threads",
            );
            assert_eq!(
                seen,
                [5, 5],
                "the second thread keeps what OpenMP began with"
            );
            assert_eq!(
                the_one("openblas").num_threads(),
                Some(5),
                "the probe left nothing behind"
            );
        },
    );
}

#[test]
fn debian_openblas_without_threads_is_fixed_and_wants_one_caller() {
    in_own_process(
        "debian_openblas_without_threads_is_fixed_and_wants_one_caller",
        &[],
        || {
            let openblas = load("openblas-serial");
            let info = the_one("openblas").info();
            assert_known(&info);
            assert_eq!(info.threading_layer.as_deref(), Some("disabled"));
            assert_eq!(info.setter_scope, SetterScope::Fixed);
            assert_eq!((info.num_threads, info.max_threads), (Some(1), Some(1)));
            assert_eq!(info.concurrent_callers, ConcurrentCallers::Unsafe);
            set(openblas, "openblas_set_num_threads", 3);
            assert_eq!(get(openblas, "openblas_get_num_threads"), 1, "fixed indeed");
        },
    );
}

#[test]
fn openblas_of_the_lp64_wheel_is_process_scoped() {
    in_own_process("openblas_of_the_lp64_wheel_is_process_scoped", &[], || {
        let openblas = load("scipy-openblas32");
        let info = the_one("openblas").info();
        assert_known(&info);
        assert_eq!(info.prefix, "libscipy_openblas");
        assert_eq!(info.interface.symbol_prefix, "scipy_");
        assert_eq!(
            (info.interface.integers, info.setter_scope),
            (Integers::Lp64, SetterScope::Process)
        );
        let seen = seen_by_a_second_thread(
            openblas,
            "scipy_openblas_get_num_threads",
            "scipy_openblas_set_num_threads",
        );
        assert_eq!(seen, [1, 2]);
    });
}

#[test]
fn openblas_of_the_ilp64_wheel_has_both_affixes() {
    in_own_process("openblas_of_the_ilp64_wheel_has_both_affixes", &[], || {
        load("scipy-openblas64");
        let info = the_one("openblas").info();
        assert_known(&info);
        assert_eq!(info.interface.symbol_prefix, "scipy_");
        assert_eq!(info.interface.symbol_suffix, "64_");
        assert_eq!(
            (info.interface.integers, info.setter_scope),
            (Integers::Ilp64, SetterScope::Process)
        );
    });
}

#[test]
fn a_wheel_and_a_distribution_library_stand_side_by_side() {
    in_own_process(
        "a_wheel_and_a_distribution_library_stand_side_by_side",
        &[],
        || {
            let debian = load("openblas-pthread");
            load("scipy-openblas32");
            let both = runtimes().select(|runtime| runtime.internal_api() == "openblas");
            assert_eq!(both.len(), 2);
            let is_wheel = |runtime: &&Runtime| runtime.prefix() == "libscipy_openblas";
            let wheel = both.iter().find(is_wheel).unwrap().num_threads();
            set(debian, "openblas_set_num_threads", 1);
            let mut threads: Vec<_> = both
                .iter()
                .map(|runtime| (runtime.prefix(), runtime.num_threads()))
                .collect();
            threads.sort_unstable();
            assert_eq!(threads[0], ("libopenblas", Some(1)));
            assert_eq!(threads[1].1, wheel, "the other one is not touched");
        },
    );
}

#[test]
fn blis_has_the_scope_that_a_second_thread_sees() {
    for (key, layer) in [("blis-openmp", "openmp"), ("blis-pthread", "pthreads")] {
        // Each layer is a process; the variable tells the child which it is.
        let test = "blis_has_the_scope_that_a_second_thread_sees";
        if std::env::var("BLIS_TEST_KEY").is_ok_and(|wanted| wanted != key) {
            continue;
        }
        in_own_process(test, &[("BLIS_TEST_KEY", key)], || {
            let blis = load(key);
            // -1 in version 0.9: nobody has set a number.
            let raw = get(blis, "bli_thread_get_num_threads");
            let info = the_one("blis").info();
            assert_known(&info);
            assert_eq!(info.threading_layer.as_deref(), Some(layer));
            assert_eq!(info.num_threads, Some(raw.max(1).unsigned_abs()));
            assert!(info.architecture.is_some());
            assert_eq!(
                get(blis, "bli_thread_get_num_threads"),
                raw,
                "the probe put that back"
            );
            let (get, set) = ("bli_thread_get_num_threads", "bli_thread_set_num_threads");
            // Process-wide in 0.9, and the thread's own since 1.0.
            let scope = match seen_by_a_second_thread(blis, get, set).as_slice() {
                [1, 2] => SetterScope::Process,
                _ => SetterScope::Thread,
            };
            assert_eq!(info.setter_scope, scope);
        });
    }
}

#[test]
fn a_serial_blis_is_fixed_whatever_it_echoes() {
    in_own_process("a_serial_blis_is_fixed_whatever_it_echoes", &[], || {
        load("blis-serial");
        let info = the_one("blis").info();
        assert_eq!(info.threading_layer.as_deref(), Some("disabled"));
        assert_eq!(
            (info.num_threads, info.setter_scope),
            (Some(1), SetterScope::Fixed)
        );
    });
}

/// MKL over one threading layer: its scope, and the layer's name.
fn mkl(test: &str, layer: &str, name: &str, scope: SetterScope) {
    let folder = mkl_folder();
    in_own_process(
        test,
        &[("LD_LIBRARY_PATH", &folder), ("MKL_THREADING_LAYER", layer)],
        || {
            // The bare test program does not link libm, without which MKL would end the process at the first question.
            load("mkl-rt");
            let info = the_one("mkl").info();
            assert_known(&info);
            assert_eq!(info.threading_layer.as_deref(), Some(name));
            assert_eq!(info.setter_scope, scope);
            assert!(
                info.version
                    .is_some_and(|version| version.starts_with("20"))
            );
        },
    );
}

#[test]
fn mkl_on_intel_openmp_has_both_scopes() {
    let test = "mkl_on_intel_openmp_has_both_scopes";
    mkl(test, "INTEL", "intel", SetterScope::Both);
}

#[test]
fn mkl_on_gnu_openmp_has_both_scopes() {
    mkl(
        "mkl_on_gnu_openmp_has_both_scopes",
        "GNU",
        "gnu",
        SetterScope::Both,
    );
}

#[test]
fn mkl_on_tbb_has_thread_scope_alone() {
    mkl(
        "mkl_on_tbb_has_thread_scope_alone",
        "TBB",
        "tbb",
        SetterScope::Thread,
    );
}

#[test]
fn sequential_mkl_is_fixed() {
    mkl(
        "sequential_mkl_is_fixed",
        "SEQUENTIAL",
        "sequential",
        SetterScope::Fixed,
    );
}

#[test]
fn mkl_counts_once_with_the_parts_that_it_loads() {
    let folder = mkl_folder();
    let test = "mkl_counts_once_with_the_parts_that_it_loads";
    in_own_process(test, &[("LD_LIBRARY_PATH", &folder)], || {
        let mkl = load("mkl-rt");
        assert_eq!(the_one("mkl").prefix(), "libmkl_rt");
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        assert!(
            maps.contains("libmkl_intel_lp64"),
            "its interface library is there, and not listed"
        );
        // The truth about its two setters, from the library itself.
        let seen = seen_by_a_second_thread(mkl, "MKL_Get_Max_Threads", "MKL_Set_Num_Threads");
        assert_eq!(seen, [1, 2]);
        let seen = seen_by_a_second_thread(mkl, "MKL_Get_Max_Threads", "MKL_Set_Num_Threads_Local");
        assert_eq!(seen, [2, 2]);
    });
}

#[test]
fn split_mkl_is_recognised_by_the_layer_that_is_loaded() {
    let folder = mkl_folder();
    let test = "split_mkl_is_recognised_by_the_layer_that_is_loaded";
    in_own_process(test, &[("LD_LIBRARY_PATH", &folder)], || {
        let folder = library("mkl-libs");
        for name in [
            "libm.so.6",
            "libmkl_core.so.3",
            "libmkl_sequential.so.3",
            "libmkl_intel_ilp64.so.3",
        ] {
            let in_folder = folder.join(name);
            let path = if in_folder.exists() {
                in_folder
            } else {
                name.into()
            };
            common::load_path(&path);
        }
        let info = the_one("mkl").info();
        assert_eq!(info.prefix, "libmkl_intel_ilp64");
        assert_eq!(info.threading_layer.as_deref(), Some("sequential"));
        assert_eq!(info.interface.integers, Integers::Ilp64);
    });
}

#[test]
fn atlas_is_reported_and_fixed() {
    if let Some(why) = common::absent("atlas") {
        // No package to install: its row is then covered by the fixture in tests/runtime_catalog.rs alone.
        assert!(why.contains("libatlas3-base"), "{why}");
        return;
    }
    in_own_process("atlas_is_reported_and_fixed", &[], || {
        load("atlas");
        let info = the_one("atlas").info();
        assert_known(&info);
        assert_eq!(info.prefix, "libatlas");
        assert_eq!(info.setter_scope, SetterScope::Fixed);
        assert!(
            info.version
                .is_some_and(|version| version.starts_with("3."))
        );
    });
}

#[test]
fn openmp_runtimes_are_thread_scoped() {
    let folder = mkl_folder();
    for (key, prefix) in [("gomp", "libgomp"), ("omp", "libomp"), ("iomp5", "libiomp")] {
        if std::env::var("OPENMP_TEST_KEY").is_ok_and(|wanted| wanted != key) {
            continue;
        }
        let environment = [
            ("OPENMP_TEST_KEY", key),
            ("LD_LIBRARY_PATH", &*folder),
            ("OMP_NUM_THREADS", "3"),
        ];
        in_own_process("openmp_runtimes_are_thread_scoped", &environment, || {
            let openmp = load(key);
            let info = the_one("openmp").info();
            assert_eq!(info.prefix, prefix);
            assert_eq!(
                (info.num_threads, info.setter_scope),
                (Some(3), SetterScope::Thread)
            );
            let seen =
                seen_by_a_second_thread(openmp, "omp_get_max_threads", "omp_set_num_threads");
            assert_eq!(seen, [3, 3]);
        });
    }
}

#[test]
fn gnu_and_intel_openmp_are_listed_side_by_side() {
    let folder = mkl_folder();
    let test = "gnu_and_intel_openmp_are_listed_side_by_side";
    in_own_process(test, &[("LD_LIBRARY_PATH", &folder)], || {
        load("gomp");
        load("iomp5");
        let found = runtimes();
        assert_eq!(found.len(), 2);
        assert!(found.conflicts().is_empty());
        assert!(found.iter().all(|runtime| runtime.num_threads().is_some()));
    });
}

#[test]
fn clashing_openmp_runtimes_give_a_diagnostic_and_no_crash() {
    let folder = mkl_folder();
    let test = "clashing_openmp_runtimes_give_a_diagnostic_and_no_crash";
    in_own_process(test, &[("LD_LIBRARY_PATH", &folder)], || {
        load("omp");
        load("iomp5");
        let found = runtimes();
        assert_eq!(found.len(), 2);
        assert_eq!(found.conflicts().len(), 1);
        for info in found.info() {
            assert_eq!(info.num_threads, None);
            assert!(info.unknown["num_threads"].contains("KMP_DUPLICATE_LIB_OK"));
        }
        // MKL over Intel's OpenMP would wake it.
        load("mkl-rt");
        let info = the_one("mkl").info();
        assert!(info.unknown["num_threads"].contains("libiomp5"), "{info:?}");
    });
}

#[test]
fn rayons_global_pool_is_reported_once_it_runs_and_never_started() {
    let test = "rayons_global_pool_is_reported_once_it_runs_and_never_started";
    in_own_process(test, &[("RAYON_NUM_THREADS", "3")], || {
        let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
        let before = threads();
        assert!(runtimes().is_empty());
        assert_eq!(threads(), before, "asking started nothing");
        rayon::join(|| (), || ());
        let info = the_one("rayon").info();
        assert_eq!(
            (info.num_threads, info.setter_scope),
            (Some(3), SetterScope::Fixed)
        );
        // From inside a worker of another pool it is still the global one that is meant.
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(2)
            .build()
            .unwrap();
        assert_eq!(pool.install(|| the_one("rayon").num_threads()), Some(3));
    });
}

#[test]
fn a_limit_set_by_the_program_is_what_is_reported() {
    in_own_process(
        "a_limit_set_by_the_program_is_what_is_reported",
        &[("OPENBLAS_NUM_THREADS", "1")],
        || {
            let openblas = load("openblas-pthread");
            let runtime = the_one("openblas");
            assert_eq!(runtime.num_threads(), Some(1));
            assert_eq!(runtime.setter_scope(), SetterScope::Process);
            for threads in [1, 2, 3] {
                set(openblas, "openblas_set_num_threads", threads);
                assert_eq!(runtime.num_threads(), Some(threads.unsigned_abs()));
            }
        },
    );
}
