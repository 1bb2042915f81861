//! Routines that dispatch does not cover, seen from inside: `dgees_` asks a function of its caller's which eigenvalues it wants
//! first, and that function asks the library how many threads the call has.
//!
//! Where the library's calls come back to dispatch, it is held at one thread. MKL, whose calls do not, has as many as there are
//! idle workers, within the limits of the thread, and the thread's own number is back afterwards.
#![cfg(target_arch = "x86_64")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../../common/mod.rs"]
mod common;

use common::{in_own_process, library, load, mkl_folder};
use std::cell::Cell;
use std::ffi::{c_char, c_int};
use std::num::NonZeroUsize;
use std::sync::Barrier;
use std::time::{Duration, Instant};
use threadctl::Limits;
use threadctl::dispatch::simulate_cores;
use threadctl_src as _;

unsafe extern "C" {
    fn dgees_(
        jobvs: *const c_char,
        sort: *const c_char,
        select: extern "C" fn(*const f64, *const f64) -> c_int,
        n: *const c_int,
        a: *mut f64,
        lda: *const c_int,
        sdim: *mut c_int,
        wr: *mut f64,
        wi: *mut f64,
        vs: *mut f64,
        ldvs: *const c_int,
        work: *mut f64,
        lwork: *const c_int,
        bwork: *mut c_int,
        info: *mut c_int,
    );
    fn dlange_(
        norm: *const c_char,
        m: *const c_int,
        n: *const c_int,
        a: *const f64,
        lda: *const c_int,
        work: *mut f64,
    ) -> f64;
    fn dsdot_(
        n: *const c_int,
        x: *const f32,
        incx: *const c_int,
        y: *const f32,
        incy: *const c_int,
    ) -> f64;
    fn cblas_drot(
        n: c_int,
        x: *mut f64,
        incx: c_int,
        y: *mut f64,
        incy: c_int,
        cosine: f64,
        sine: f64,
    );
}

/// Large enough that a call of MKL is worth asking workers for, on any machine: some twenty milliseconds at one thread.
const ORDER: usize = 600;
/// More than a limit of two, and few enough that all come at once now and then where other programs have the cores.
const WORKERS: usize = 3;

thread_local! {
    static ASK: Cell<Option<unsafe extern "C" fn() -> c_int>> = const { Cell::new(None) };
    static SEEN: Cell<c_int> = const { Cell::new(0) };
}

/// Wants all with a positive real part, and notes how many threads there are.
extern "C" fn wanted(re: *const f64, _: *const f64) -> c_int {
    // SAFETY: `dgees_` passes places of numbers; the question is one that takes nothing.
    unsafe {
        if let Some(ask) = ASK.get() {
            SEEN.set(ask());
        }
        c_int::from(*re > 0.0)
    }
}

/// How many threads the library has inside a call; the results of the call are checked.
fn inside(ask: unsafe extern "C" fn() -> c_int) -> c_int {
    // Upper triangular, so that its eigenvalues are known: half of them are positive.
    let mut a = vec![0.0; ORDER * ORDER];
    for column in 0..ORDER {
        for row in 0..=column {
            a[row + column * ORDER] = ((row * 7 + column * 3) % 11) as f64 / 100.0;
        }
        a[column + column * ORDER] =
            if column.is_multiple_of(2) { 1.0 } else { -1.0 } * (1.0 + column as f64);
    }
    let (no, sort, n, size) = (
        b'N' as c_char,
        b'S' as c_char,
        ORDER as c_int,
        64 * ORDER as c_int,
    );
    let (mut found, mut info, one) = (0, 1, 1);
    let (mut re, mut im) = (vec![0.0; ORDER], vec![0.0; ORDER]);
    let (mut work, mut flags) = (vec![0.0; 64 * ORDER], vec![0; ORDER]);
    let mut vectors = [0.0];
    ASK.set(Some(ask));
    SEEN.set(0);
    // SAFETY: a matrix, vectors and workspaces as large as the arguments say.
    unsafe {
        dgees_(
            &no,
            &sort,
            wanted,
            &n,
            a.as_mut_ptr(),
            &n,
            &mut found,
            re.as_mut_ptr(),
            im.as_mut_ptr(),
            vectors.as_mut_ptr(),
            &one,
            work.as_mut_ptr(),
            &size,
            flags.as_mut_ptr(),
            &mut info,
        );
    }
    assert_eq!((found, info), (ORDER as c_int / 2, 0), "dgees_");
    assert!(re[..ORDER / 2].iter().all(|re| *re > 0.0), "sorted: {re:?}");
    let mut values: Vec<f64> = re.iter().map(|re| re.abs()).collect();
    values.sort_by(f64::total_cmp);
    for (place, value) in values.iter().enumerate() {
        assert!((value - 1.0 - place as f64).abs() < 1e-9, "{values:?}");
    }
    SEEN.get()
}

/// A function that returns a number is carried with its result.
fn results_come_back() {
    let (a, n, max) = ([1.0, -5.0, 2.0, 3.0], 2, b'M' as c_char);
    // SAFETY: a matrix of 2 x 2; this norm needs no workspace.
    let largest = unsafe { dlange_(&max, &n, &n, a.as_ptr(), &n, std::ptr::null_mut()) };
    assert_eq!(largest, 5.0);
}

/// Vectors that are so short that the routine is jumped to, and longer ones, whose call is carried, give what they are to give.
fn short_and_long_vectors_are_computed() {
    for length in [0, 1, 7, 1024, 1025, 100_000_usize] {
        let n = c_int::try_from(length).unwrap();
        let ones = vec![1.0_f32; length.max(1)];
        // SAFETY: vectors as long as the arguments say.
        let product = unsafe { dsdot_(&n, ones.as_ptr(), &1, ones.as_ptr(), &1) };
        assert_eq!(product, length as f64);
        let (mut x, mut y) = (vec![3.0; length], vec![4.0; length]);
        // SAFETY: as above.
        unsafe { cblas_drot(n, x.as_mut_ptr(), 1, y.as_mut_ptr(), 1, 0.0, 1.0) };
        assert!(x.iter().all(|x| *x == 4.0) && y.iter().all(|y| *y == -3.0));
    }
}

fn question(
    library: &libloading::os::unix::Library,
    name: &str,
) -> unsafe extern "C" fn() -> c_int {
    // SAFETY: the callers name functions of this type.
    *unsafe { library.get::<unsafe extern "C" fn() -> c_int>(name) }.unwrap()
}

#[test]
fn openblas_over_openmp_is_held_at_one_thread() {
    let test = "openblas_over_openmp_is_held_at_one_thread";
    let path = library("openblas-openmp").display().to_string();
    in_own_process(test, &[("THREADCTL_BACKEND", &path)], || {
        let gomp = load("gomp");
        let ask = question(gomp, "omp_get_max_threads");
        common::set(gomp, "omp_set_num_threads", 3);
        for _ in 0..3 {
            assert_eq!(inside(ask), 1);
            assert_eq!(
                common::get(gomp, "omp_get_max_threads"),
                3,
                "the thread's own number"
            );
        }
        results_come_back();
        short_and_long_vectors_are_computed();
        // Another thread has another number, and is held as well.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                common::set(gomp, "omp_set_num_threads", 2);
                assert_eq!(inside(ask), 1);
                assert_eq!(common::get(gomp, "omp_get_max_threads"), 2);
            });
        });
    });
}

fn mkl_has_what_is_idle(test: &str, layer: &str) {
    let path = library("mkl-rt").display().to_string();
    let folder = mkl_folder();
    let environment = [
        ("THREADCTL_BACKEND", path.as_str()),
        ("LD_LIBRARY_PATH", folder.as_str()),
        ("MKL_THREADING_LAYER", layer),
        ("MKL_DYNAMIC", "FALSE"),
    ];
    in_own_process(test, &environment, || {
        rayon::ThreadPoolBuilder::new()
            .num_threads(WORKERS)
            .build_global()
            .unwrap();
        simulate_cores(NonZeroUsize::new(WORKERS));
        threadctl::backend::current().unwrap();
        let mkl = load("mkl-rt");
        let ask = question(mkl, "MKL_Get_Max_Threads");
        results_come_back();
        short_and_long_vectors_are_computed();
        let before = common::get(mkl, "MKL_Get_Max_Threads");
        // Workers that are about to sleep come late now and then.
        let reaches = |threads: usize| {
            let began = Instant::now();
            loop {
                let seen = usize::try_from(inside(ask)).unwrap();
                assert!((1..=threads).contains(&seen), "{seen} threads");
                assert_eq!(common::get(mkl, "MKL_Get_Max_Threads"), before);
                if seen == threads {
                    return;
                }
                assert!(began.elapsed() < Duration::from_secs(100), "no worker came");
            }
        };
        reaches(WORKERS);
        {
            let _limit = Limits::new().user_api("blas", 2).limit_thread().unwrap();
            let began = Instant::now();
            while inside(ask) != 2 {
                assert!(began.elapsed() < Duration::from_secs(100), "no worker came");
            }
            assert!(inside(ask) <= 2);
        }
        {
            let _limit = Limits::new().user_api("blas", 1).limit_thread().unwrap();
            assert_eq!(inside(ask), 1);
        }
        // Nobody is idle: all workers wait for us, in tasks of their own.
        let (all_busy, done) = (Barrier::new(WORKERS + 1), Barrier::new(WORKERS + 1));
        rayon::scope(|_| ());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                rayon::broadcast(|_| {
                    all_busy.wait();
                    done.wait();
                })
            });
            all_busy.wait();
            for _ in 0..3 {
                assert_eq!(inside(ask), 1, "beside busy workers");
            }
            done.wait();
        });
        reaches(WORKERS);
        // In a worker, the others are asked.
        let most = rayon::broadcast(|context| if context.index() == 0 { inside(ask) } else { 0 });
        assert!((1..=WORKERS as c_int).contains(&most[0]), "{most:?}");
    });
}

#[test]
fn mkl_over_intel_openmp_has_what_is_idle() {
    mkl_has_what_is_idle("mkl_over_intel_openmp_has_what_is_idle", "INTEL");
}

#[test]
fn mkl_over_tbb_has_what_is_idle() {
    mkl_has_what_is_idle("mkl_over_tbb_has_what_is_idle", "TBB");
}

#[test]
fn mkl_without_threads_stays_so() {
    let test = "mkl_without_threads_stays_so";
    let path = library("mkl-rt").display().to_string();
    let folder = mkl_folder();
    let environment = [
        ("THREADCTL_BACKEND", path.as_str()),
        ("LD_LIBRARY_PATH", folder.as_str()),
        ("MKL_THREADING_LAYER", "SEQUENTIAL"),
    ];
    in_own_process(test, &environment, || {
        threadctl::backend::current().unwrap();
        let ask = question(load("mkl-rt"), "MKL_Get_Max_Threads");
        assert_eq!(inside(ask), 1);
        results_come_back();
        short_and_long_vectors_are_computed();
    });
}
