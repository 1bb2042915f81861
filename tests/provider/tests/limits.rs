//! Limits on calls that dispatch shares: each thread's calls have as many threads as its own limit says and no more, at the
//! same time, whatever the library's setter reaches; limits for the process hold in all threads, and the smallest counts.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../../common/mod.rs"]
mod common;

use common::{in_own_process, library, mkl_folder};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use threadctl::Limits;
use threadctl::dispatch::{Blas, simulate_cores};

/// More than any limit here.
const WORKERS: usize = 8;

/// The most threads that were in one call at once. Each tile waits for one more than `limit`, who must not come; there are
/// calls until `limit` were seen.
fn most_seen(blas: &Blas, limit: usize) -> usize {
    let most = AtomicUsize::new(0);
    let began = Instant::now();
    // Far longer than any machine needs.
    while most.load(Ordering::Relaxed) < limit && began.elapsed() < Duration::from_secs(100) {
        let inside = AtomicUsize::new(0);
        blas.simulate_call(2 * WORKERS, |_| {
            most.fetch_max(
                inside.fetch_add(1, Ordering::Relaxed) + 1,
                Ordering::Relaxed,
            );
            let began = Instant::now();
            while inside.load(Ordering::Relaxed) <= limit
                && began.elapsed() < Duration::from_millis(5)
            {
                thread::yield_now();
            }
            inside.fetch_sub(1, Ordering::Relaxed);
        });
    }
    most.into_inner()
}

fn each_thread_has_its_own(test: &str, key: &str) {
    let folder = mkl_folder();
    in_own_process(test, &[("LD_LIBRARY_PATH", &folder)], || {
        rayon::ThreadPoolBuilder::new()
            .num_threads(WORKERS)
            .build_global()
            .unwrap();
        simulate_cores(NonZeroUsize::new(WORKERS));
        // SAFETY: a BLAS library.
        let blas = unsafe { Blas::open(&library(key)) }.unwrap();
        let blas = &blas;
        thread::scope(|scope| {
            for limit in [1, 2, 3] {
                scope.spawn(move || {
                    let limits = Limits::new().user_api("blas", limit);
                    let _guard = limits.limit_thread().unwrap();
                    let limit = limit as usize;
                    assert_eq!(most_seen(blas, limit), limit, "beside other threads");
                });
            }
        });
        // No limit is left behind.
        let free = most_seen(blas, 4);
        assert!(free >= 4, "{free}");

        let process = Limits::new().user_api("blas", 2).limit_process().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| assert_eq!(most_seen(blas, 2), 2, "in a thread without a limit"));
            scope.spawn(|| {
                let _larger = Limits::new().user_api("blas", 3).limit_thread().unwrap();
                assert_eq!(most_seen(blas, 2), 2, "the process's is smaller");
                let _smaller = Limits::new().user_api("blas", 1).limit_thread().unwrap();
                assert_eq!(most_seen(blas, 1), 1, "the thread's is smaller");
            });
        });
        drop(process);

        // What a limit is not for has none.
        let _other = Limits::new().user_api("openmp", 1).limit_thread().unwrap();
        assert!(most_seen(blas, 4) >= 4, "a limit for OpenMP");

        // Calls inside the tiles of a limited call bring nobody else in.
        let _two = Limits::new().user_api("blas", 2).limit_thread().unwrap();
        blas.simulate_call(8, |_| {
            let here = thread::current().id();
            blas.simulate_call(8, |_| assert_eq!(thread::current().id(), here));
        });
    });
}

#[test]
fn on_openblas_whose_setter_reaches_the_process() {
    each_thread_has_its_own(
        "on_openblas_whose_setter_reaches_the_process",
        "openblas-pthread",
    );
}

#[test]
fn on_openblas_whose_setter_reaches_the_thread() {
    each_thread_has_its_own(
        "on_openblas_whose_setter_reaches_the_thread",
        "openblas-openmp",
    );
}

#[test]
fn on_openblas_of_the_wheel() {
    each_thread_has_its_own("on_openblas_of_the_wheel", "scipy-openblas32");
}

#[test]
fn on_blis() {
    each_thread_has_its_own("on_blis", "blis-pthread");
}

#[test]
fn on_mkl() {
    each_thread_has_its_own("on_mkl", "mkl-rt");
}

#[test]
fn on_atlas_which_has_no_setter() {
    if let Some(why) = common::absent("atlas") {
        assert!(why.contains("ATLAS"), "{why}");
        return;
    }
    each_thread_has_its_own("on_atlas_which_has_no_setter", "atlas");
}

#[test]
fn on_a_library_without_threads() {
    each_thread_has_its_own("on_a_library_without_threads", "netlib");
}

/// `THREADCTL_LIMITS` names a file: by a link, or what a link leads to while the library was opened by the link.
fn links_are_followed(test: &str, named_by_link: bool) {
    let folder = tempfile::tempdir().unwrap();
    let real = library("scipy-openblas32");
    let link = folder.path().join("libmine.so");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let (named, opened) = if named_by_link {
        (&link, &real)
    } else {
        (&real, &link)
    };
    let limits = format!("{}=2", named.display());
    let opened = opened.display().to_string();
    let environment = [
        ("THREADCTL_LIMITS", limits.as_str()),
        ("THREADCTL_TEST_OPENED", opened.as_str()),
    ];
    in_own_process(test, &environment, || {
        rayon::ThreadPoolBuilder::new()
            .num_threads(WORKERS)
            .build_global()
            .unwrap();
        simulate_cores(NonZeroUsize::new(WORKERS));
        let opened = std::env::var_os("THREADCTL_TEST_OPENED").unwrap();
        // SAFETY: a BLAS library.
        let blas = unsafe { Blas::open(opened.as_ref()) }.unwrap();
        assert!(most_seen(&blas, 4) >= 4, "before it is in force");
        threadctl::init().unwrap();
        assert_eq!(most_seen(&blas, 2), 2);
        let other = Limits::new().user_api("blas", 3).limit_process().unwrap();
        assert_eq!(most_seen(&blas, 3), 3, "a guard goes before it");
        drop(other);
        assert_eq!(most_seen(&blas, 2), 2);
    });
}

#[test]
fn a_link_in_threadctl_limits_means_the_library_that_it_leads_to() {
    links_are_followed(
        "a_link_in_threadctl_limits_means_the_library_that_it_leads_to",
        true,
    );
}

#[test]
fn a_file_in_threadctl_limits_means_the_library_that_was_opened_by_a_link() {
    links_are_followed(
        "a_file_in_threadctl_limits_means_the_library_that_was_opened_by_a_link",
        false,
    );
}
