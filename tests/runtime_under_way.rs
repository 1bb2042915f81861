//! Asking must not disturb: what the program has set for itself, what it sets meanwhile, what it computes next.
//!
//! Each case is one that an earlier form got wrong: numbers of the wrong width, an observer with a value of its own, a
//! runtime recognised by its name, a lock held while foreign code runs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "common/found.rs"]
mod found;

use common::{get, in_own_process, library, load, load_path, mkl_folder, set};
use found::the_one;
use libloading::os::unix::Library;
use std::ffi::c_char;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use threadctl::{Controller, Limits, Registration, SetterScope, runtimes};

/// The product of two matrices of ones, through the library's Fortran interface: every element is `n`.
fn multiply_ones(library: &Library, n: i32) {
    type Dgemm = unsafe extern "C" fn(
        *const c_char,
        *const c_char,
        *const i32,
        *const i32,
        *const i32,
        *const f64,
        *const f64,
        *const i32,
        *const f64,
        *const i32,
        *const f64,
        *mut f64,
        *const i32,
    );
    // SAFETY: BLAS declares it so.
    let dgemm = unsafe { library.get::<Dgemm>("dgemm_") }.expect("dgemm_");
    let ones = vec![1.0; (n * n) as usize];
    let mut product = vec![f64::NAN; (n * n) as usize];
    let no = b'N'.cast_signed();
    let (n, one, zero) = (&raw const n, 1.0, 0.0);
    // SAFETY: three matrices of n x n, and the numbers that describe them.
    unsafe {
        let (a, c) = (ones.as_ptr(), product.as_mut_ptr());
        dgemm(
            &raw const no,
            &raw const no,
            n,
            n,
            n,
            &raw const one,
            a,
            n,
            a,
            n,
            &raw const zero,
            c,
            n,
        );
    }
    assert!(product.iter().all(|element| *element == f64::from(300)));
}

/// BLIS's own getter, in its own width.
fn blis_threads(library: &Library) -> i64 {
    // SAFETY: `dim_t bli_thread_get_num_threads(void)`, 64 bits in Debian's builds.
    let get = unsafe { library.get::<unsafe extern "C" fn() -> i64>("bli_thread_get_num_threads") };
    // SAFETY: as above; the library is open.
    unsafe { get.expect("the getter")() }
}

#[test]
fn blis_still_computes_after_it_was_asked_and_limited() {
    for key in ["blis-openmp", "blis-pthread"] {
        if std::env::var("BLIS_TEST_KEY").is_ok_and(|wanted| wanted != key) {
            continue;
        }
        let test = "blis_still_computes_after_it_was_asked_and_limited";
        in_own_process(test, &[("BLIS_TEST_KEY", key)], || {
            let blis = load(key);
            let before = blis_threads(blis);
            assert!(before < 100);
            assert!(the_one("blis").info().num_threads.is_some());
            assert_eq!(blis_threads(blis), before, "every bit of it is back");
            multiply_ones(blis, 300);
            let limits = Limits::new().user_api("blas", 2);
            for _ in 0..3 {
                drop(limits.limit_process().unwrap());
                drop(limits.limit_thread().unwrap());
                assert_eq!(blis_threads(blis), before);
                multiply_ones(blis, 300);
            }
        });
    }
}

#[test]
fn a_limit_that_threads_per_loop_defeat_is_not_called_honoured() {
    let test = "a_limit_that_threads_per_loop_defeat_is_not_called_honoured";
    in_own_process(test, &[("BLIS_IC_NT", "2")], || {
        load("blis-openmp");
        let limits = Limits::new().user_api("blas", 1);
        let guard = limits.limit_process().unwrap();
        let outcome = &guard.outcomes()[0];
        assert!(!outcome.is_honoured(), "{outcome}");
        drop(guard);
        assert!(limits.strict(true).limit_process().is_err());
    });
}

#[test]
fn a_limit_that_a_domain_defeats_is_not_called_honoured() {
    let folder = mkl_folder();
    let test = "a_limit_that_a_domain_defeats_is_not_called_honoured";
    let environment = [
        ("LD_LIBRARY_PATH", &*folder),
        ("MKL_DOMAIN_NUM_THREADS", "MKL_DOMAIN_BLAS=2"),
    ];
    in_own_process(test, &environment, || {
        load("mkl-rt");
        let domains = the_one("mkl").info().domains.unwrap();
        assert_eq!(domains["blas"], 2);
        let guard = Limits::new()
            .internal_api("mkl", 1)
            .limit_process()
            .unwrap();
        assert!(
            !guard.outcomes()[0].is_honoured(),
            "{}",
            guard.outcomes()[0]
        );
        // The thread's own setting goes before the domain's.
        let guard = Limits::new().internal_api("mkl", 1).limit_thread().unwrap();
        assert!(guard.outcomes()[0].is_honoured(), "{}", guard.outcomes()[0]);
    });
}

#[test]
fn the_askers_own_number_does_not_change_the_answer() {
    let folder = mkl_folder();
    for key in ["gomp", "omp", "iomp5", "openblas-openmp"] {
        if std::env::var("OPENMP_TEST_KEY").is_ok_and(|wanted| wanted != key) {
            continue;
        }
        let environment = [
            ("OPENMP_TEST_KEY", key),
            ("LD_LIBRARY_PATH", &*folder),
            ("OMP_NUM_THREADS", "2"),
        ];
        in_own_process(
            "the_askers_own_number_does_not_change_the_answer",
            &environment,
            || {
                let openmp = load(key);
                set(openmp, "omp_set_num_threads", 1);
                for runtime in &runtimes() {
                    assert_eq!(
                        runtime.setter_scope(),
                        SetterScope::Thread,
                        "{:?}",
                        runtime.info()
                    );
                }
                assert_eq!(get(openmp, "omp_get_max_threads"), 1, "and it is kept");
            },
        );
    }
}

#[test]
fn mkls_own_number_of_the_asker_does_not_change_the_answer() {
    let folder = mkl_folder();
    for own in ["1", "2", "3"] {
        if std::env::var("MKL_TEST_OWN").is_ok_and(|wanted| wanted != own) {
            continue;
        }
        let environment = [("MKL_TEST_OWN", own), ("LD_LIBRARY_PATH", &*folder)];
        in_own_process(
            "mkls_own_number_of_the_asker_does_not_change_the_answer",
            &environment,
            || {
                let mkl = load("mkl-rt");
                let own = own.parse().unwrap();
                set(mkl, "MKL_Set_Num_Threads_Local", own);
                assert_eq!(the_one("mkl").setter_scope(), SetterScope::Both);
                assert_eq!(get(mkl, "MKL_Get_Max_Threads"), own, "and it is kept");
            },
        );
    }
}

#[test]
fn a_program_that_sets_all_the_time_does_not_make_the_answer_wrong() {
    let test = "a_program_that_sets_all_the_time_does_not_make_the_answer_wrong";
    for _ in 0..if std::env::var(common::CASE).is_ok() {
        1
    } else {
        12
    } {
        in_own_process(test, &[], || {
            let openblas = load("openblas-pthread");
            let stop = Arc::new(AtomicBool::new(false));
            let stopped = Arc::clone(&stop);
            let setter = std::thread::spawn(move || {
                for turn in 0.. {
                    set(openblas, "openblas_set_num_threads", 2 + turn % 3);
                    std::thread::sleep(std::time::Duration::from_micros(20));
                    if stopped.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
            let scope = the_one("openblas").setter_scope();
            stop.store(true, Ordering::Relaxed);
            setter.join().unwrap();
            // No answer is an answer; a wrong one is not.
            assert!(
                matches!(scope, SetterScope::Process | SetterScope::Unknown),
                "{scope}"
            );
            assert_eq!(the_one("openblas").setter_scope(), SetterScope::Process);
        });
    }
}

/// A copy of a library under another name, as wheels carry them.
fn copy(key: &str, name: &str) -> PathBuf {
    let case = std::env::var(common::CASE).expect("a case's own process");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(case);
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::copy(library(key), &path).unwrap();
    path
}

#[test]
fn a_clash_is_seen_under_any_name() {
    let folder = mkl_folder();
    for (case, loaded, name) in [
        ("1", "omp", "libomp-1a2b3c4d.so.5"),
        ("2", "iomp5", "libiomp5-5e6f.so"),
    ] {
        if std::env::var("CLASH_TEST_CASE").is_ok_and(|wanted| wanted != case) {
            continue;
        }
        let environment = [("CLASH_TEST_CASE", case), ("LD_LIBRARY_PATH", &*folder)];
        in_own_process("a_clash_is_seen_under_any_name", &environment, || {
            load_path(&copy(loaded, name));
            load("iomp5");
            let found = runtimes();
            assert_eq!((found.len(), found.conflicts().len()), (2, 1));
            for info in found.info() {
                assert_eq!(
                    (info.num_threads, info.setter_scope),
                    (None, SetterScope::Unknown)
                );
            }
        });
    }
}

#[test]
fn code_of_the_users_own_may_ask_back() {
    in_own_process("code_of_the_users_own_may_ask_back", &[], || {
        /// Asks for everything whenever it is set.
        struct Curious(AtomicU32);
        impl Controller for Curious {
            fn num_threads(&self) -> u32 {
                self.0.load(Ordering::Relaxed)
            }
            fn set_num_threads(&self, threads: u32) {
                for runtime in &runtimes() {
                    let _ = runtime.setter_scope();
                }
                self.0.store(threads, Ordering::Relaxed);
            }
        }
        let open = |_: &threadctl::LoadedLibrary<'_>| {
            let _ = runtimes();
            Some(Arc::new(Curious(AtomicU32::new(4))) as Arc<dyn Controller>)
        };
        Registration::with_controller("curious", open)
            .prefix("libgomp")
            .register()
            .unwrap();
        // One whose `open` fails in the worst way is not there, and harms nobody.
        Registration::with_controller("broken", |_| panic!("no"))
            .prefix("libm.")
            .register()
            .unwrap();
        load("gomp");
        assert_eq!(the_one("openmp").setter_scope(), SetterScope::Thread);
        Registration::with_controller("other", |_| Some(Arc::new(Curious(AtomicU32::new(4))) as _))
            .prefix("libc.so")
            .register()
            .unwrap();
        assert_eq!(the_one("other").setter_scope(), SetterScope::Process);
        assert_eq!(the_one("other").num_threads(), Some(4));
    });
}
