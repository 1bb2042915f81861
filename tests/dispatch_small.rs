//! Calls that are too small to be shared: while a `Blas` lives, no library starts threads of its own for them, at whatever
//! size. Of libraries whose setter reaches one thread only, since the others are held as a whole; and of MKL where a thread
//! has a number of its own. And libraries without threads, which bear one caller at a time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::{in_own_process, library, load_path, mkl_folder};
use num_complex::Complex;
use std::sync::atomic::{AtomicU64, Ordering};
use threadctl::dispatch::{Blas, Scalar};

const LIBRARIES: &[(&str, &[(&str, &str)])] = &[
    ("openblas-openmp", &[("OMP_NUM_THREADS", "4")]),
    (
        "mkl-rt",
        &[
            ("MKL_THREADING_LAYER", "TBB"),
            ("MKL_NUM_THREADS", "4"),
            ("MKL_DYNAMIC", "FALSE"),
        ],
    ),
];

/// So many elements each, of 0.25, which no routine makes large.
const ELEMENTS: usize = 1 << 21;

struct Operands<T> {
    a: Vec<T>,
    b: Vec<T>,
    c: Vec<T>,
}

type Call<T> = fn(&Blas, isize, &mut Operands<T>) -> threadctl::Result<()>;

/// The routines of level 3 on matrices of n x n, and what of level 2 and 1 has as many elements.
fn routines<T: Scalar>() -> Vec<(&'static str, Call<T>)> {
    vec![
        ("gemm", |blas, n, o| {
            let (a, b, c) = (o.a.as_ptr(), o.b.as_ptr(), o.c.as_mut_ptr());
            // SAFETY: here and below: n x n elements, or fewer, of as many as there are.
            unsafe { blas.gemm(b'N', b'N', n, n, n, T::ONE, a, n, b, n, T::ZERO, c, n) }
        }),
        ("gemm of one column", |blas, n, o| {
            let (a, b, c) = (o.a.as_ptr(), o.b.as_ptr(), o.c.as_mut_ptr());
            // SAFETY: as above.
            unsafe { blas.gemm(b'N', b'N', n, 1, n, T::ONE, a, n, b, n, T::ZERO, c, n) }
        }),
        ("gemm of n * n rows", |blas, n, o| {
            let (a, b, c, m) = (o.a.as_ptr(), o.b.as_ptr(), o.c.as_mut_ptr(), n * n);
            // SAFETY: as above.
            unsafe { blas.gemm(b'N', b'N', m, 2, 2, T::ONE, a, m, b, 2, T::ZERO, c, m) }
        }),
        ("gemmt", |blas, n, o| {
            let (a, b, c) = (o.a.as_ptr(), o.b.as_ptr(), o.c.as_mut_ptr());
            // SAFETY: as above.
            unsafe { blas.gemmt(b'L', b'N', b'N', n, n, T::ONE, a, n, b, n, T::ZERO, c, n) }
        }),
        ("symm", |blas, n, o| {
            let (a, b, c) = (o.a.as_ptr(), o.b.as_ptr(), o.c.as_mut_ptr());
            // SAFETY: as above.
            unsafe { blas.symm(b'L', b'L', n, n, T::ONE, a, n, b, n, T::ZERO, c, n) }
        }),
        ("syrk", |blas, n, o| {
            let (a, c) = (o.a.as_ptr(), o.c.as_mut_ptr());
            // SAFETY: as above.
            unsafe { blas.syrk(b'L', b'N', n, n, T::ONE, a, n, T::ZERO, c, n) }
        }),
        ("syr2k", |blas, n, o| {
            let (a, b, c) = (o.a.as_ptr(), o.b.as_ptr(), o.c.as_mut_ptr());
            // SAFETY: as above.
            unsafe { blas.syr2k(b'L', b'N', n, n, T::ONE, a, n, b, n, T::ZERO, c, n) }
        }),
        ("trmm", |blas, n, o| {
            let (a, c) = (o.a.as_ptr(), o.c.as_mut_ptr());
            // SAFETY: as above.
            unsafe { blas.trmm(b'L', b'L', b'N', b'U', n, n, T::ONE, a, n, c, n) }
        }),
        ("trsm", |blas, n, o| {
            let (a, c) = (o.a.as_ptr(), o.c.as_mut_ptr());
            // SAFETY: as above.
            unsafe { blas.trsm(b'L', b'L', b'N', b'U', n, n, T::ONE, a, n, c, n) }
        }),
        ("gemv", |blas, n, o| {
            let (a, b, c) = (o.a.as_ptr(), o.b.as_ptr(), o.c.as_mut_ptr());
            // SAFETY: as above.
            unsafe { blas.gemv(b'T', n, n, T::ONE, a, n, b, 1, T::ZERO, c, 1) }
        }),
        ("ger", |blas, n, o| {
            let (a, b, c) = (o.a.as_ptr(), o.b.as_ptr(), o.c.as_mut_ptr());
            // SAFETY: as above.
            unsafe { blas.geru(n, n, T::ONE, a, 1, b, 1, c, n) }
        }),
        ("hemv", |blas, n, o| {
            let (a, b, c) = (o.a.as_ptr(), o.b.as_ptr(), o.c.as_mut_ptr());
            // SAFETY: as above.
            unsafe { blas.hemv(b'L', n, T::ONE, a, n, b, 1, T::ZERO, c, 1) }
        }),
        ("her", |blas, n, o| {
            let (a, c) = (o.a.as_ptr(), o.c.as_mut_ptr());
            // SAFETY: as above.
            unsafe { blas.her(b'L', n, T::ONE.re(), a, 1, c, n) }
        }),
        ("trmv", |blas, n, o| {
            let (a, c) = (o.a.as_ptr(), o.c.as_mut_ptr());
            // SAFETY: as above.
            unsafe { blas.trmv(b'L', b'N', b'U', n, a, n, c, 1) }
        }),
        ("trsv", |blas, n, o| {
            let (a, c) = (o.a.as_ptr(), o.c.as_mut_ptr());
            // SAFETY: as above.
            unsafe { blas.trsv(b'L', b'N', b'U', n, a, n, c, 1) }
        }),
        ("axpy", |blas, n, o| {
            let (a, c) = (o.a.as_ptr(), o.c.as_mut_ptr());
            // SAFETY: as above.
            unsafe { blas.axpy(n * n, T::ONE, a, 1, c, 1) }
        }),
        ("axpby", |blas, n, o| {
            let (a, c) = (o.a.as_ptr(), o.c.as_mut_ptr());
            // SAFETY: as above.
            unsafe { blas.axpby(n * n, T::ONE, a, 1, T::ZERO, c, 1) }
        }),
        // SAFETY: as above.
        ("scal", |blas, n, o| unsafe {
            blas.scal(n * n, T::ONE, o.c.as_mut_ptr(), 1)
        }),
        // SAFETY: as above.
        ("rscal", |blas, n, o| unsafe {
            blas.rscal(n * n, T::ONE.re(), o.c.as_mut_ptr(), 1)
        }),
        ("copy", |blas, n, o| {
            let (a, c) = (o.a.as_ptr(), o.c.as_mut_ptr());
            // SAFETY: as above.
            unsafe { blas.copy(n * n, a, 1, c, 1) }
        }),
        ("swap", |blas, n, o| {
            let (b, c) = (o.b.as_mut_ptr(), o.c.as_mut_ptr());
            // SAFETY: as above.
            unsafe { blas.swap(n * n, b, 1, c, 1) }
        }),
        ("dot", |blas, n, o| {
            let (a, b) = (o.a.as_ptr(), o.b.as_ptr());
            // SAFETY: as above.
            unsafe { blas.dotu(n * n, a, 1, b, 1) }.map(drop)
        }),
        // SAFETY: as above.
        ("nrm2", |blas, n, o| unsafe {
            blas.nrm2(n * n, o.a.as_ptr(), 1).map(drop)
        }),
        // SAFETY: as above.
        ("asum", |blas, n, o| unsafe {
            blas.asum(n * n, o.a.as_ptr(), 1).map(drop)
        }),
        // SAFETY: as above.
        ("iamax", |blas, n, o| unsafe {
            blas.iamax(n * n, o.a.as_ptr(), 1).map(drop)
        }),
    ]
}

/// The threads of this process.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

fn each_routine<T: Scalar>(blas: &Blas, letter: &str, beside: &[&str], bad: &mut Vec<String>) {
    let fill = || vec![T::of_real(T::default().re()); ELEMENTS];
    let mut operands = Operands {
        a: fill(),
        b: fill(),
        c: fill(),
    };
    let before = threads();
    for (name, call) in routines::<T>() {
        // MKL's gemv starts TBB's threads whatever its number for the calling thread is.
        if beside.contains(&name) {
            continue;
        }
        for n in [
            1, 2, 3, 4, 8, 16, 24, 31, 32, 40, 45, 46, 47, 48, 49, 56, 63, 64, 65, 72, 90, 96, 100,
            128, 200, 300, 330,
        ] {
            call(blas, n, &mut operands).unwrap();
            if threads() != before {
                bad.push(format!("{letter}{name} with n = {n}"));
                return;
            }
        }
    }
}

#[test]
fn the_library_starts_no_threads_for_calls_of_any_size() {
    let chosen = std::env::var("THREADCTL_TEST_LIBRARY");
    for (key, environment) in LIBRARIES {
        if chosen.as_deref().is_ok_and(|chosen| chosen != *key) {
            continue;
        }
        let folder = mkl_folder();
        let mut environment = environment.to_vec();
        environment.push(("THREADCTL_TEST_LIBRARY", key));
        environment.push(("LD_LIBRARY_PATH", &folder));
        let name = "the_library_starts_no_threads_for_calls_of_any_size";
        in_own_process(name, &environment, || {
            load_path(std::path::Path::new("libm.so.6"));
            // SAFETY: the library that its key says.
            let blas = unsafe { Blas::open(&library(key)) }.unwrap();
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(1)
                .build()
                .expect("a pool of one, so that nothing is shared");
            let beside: &[&str] = if *key == "mkl-rt" {
                &["gemv", "gemm of one column"]
            } else {
                &[]
            };
            let mut bad = Vec::new();
            pool.install(|| {
                each_routine::<f32>(&blas, "s", beside, &mut bad);
                each_routine::<f64>(&blas, "d", beside, &mut bad);
                each_routine::<Complex<f32>>(&blas, "c", beside, &mut bad);
                each_routine::<Complex<f64>>(&blas, "z", beside, &mut bad);
            });
            assert!(bad.is_empty(), "{key} started threads: {bad:?}");
            // And it would have: the test sees what it is for.
            drop(blas);
            // SAFETY: as above.
            let blas = unsafe { Blas::open_direct(&library(key)) }.unwrap();
            each_routine::<f64>(&blas, "d", beside, &mut bad);
            assert!(!bad.is_empty(), "{key} never starts threads");
        });
    }
}

#[test]
fn a_number_that_a_thread_gave_itself_is_not_for_kernels() {
    let folder = mkl_folder();
    let environment = [
        ("LD_LIBRARY_PATH", folder.as_str()),
        ("MKL_DYNAMIC", "FALSE"),
        ("MKL_NUM_THREADS", "4"),
    ];
    let name = "a_number_that_a_thread_gave_itself_is_not_for_kernels";
    in_own_process(name, &environment, || {
        load_path(std::path::Path::new("libm.so.6"));
        let mkl = load_path(&library("mkl-rt"));
        // SAFETY: MKL, whose function has this type.
        let (blas, set) = unsafe {
            let set = mkl.get::<unsafe extern "C" fn(i32) -> i32>(b"MKL_Set_Num_Threads_Local");
            (Blas::open(&library("mkl-rt")).unwrap(), set.unwrap())
        };
        // SAFETY: it may be given any number.
        unsafe { set(4) };
        let fill = || vec![0.25_f64; 500 * 500];
        let mut operands = Operands {
            a: fill(),
            b: fill(),
            c: fill(),
        };
        // The pool first, whose threads are not the library's.
        rayon::broadcast(|_| ());
        let (_, gemm) = routines::<f64>()[0];
        let before = threads();
        gemm(&blas, 500, &mut operands).unwrap();
        assert_eq!(threads(), before);
        // SAFETY: as above.
        assert_eq!(unsafe { set(0) }, 4, "it has its number back");
        drop(blas);
    });
}

/// Of libraries whose setter reaches the process. Of the others each kernel is held by itself: see the first test.
#[test]
fn a_library_has_one_thread_while_it_is_dispatched_and_its_own_number_again_after_that() {
    let name =
        "a_library_has_one_thread_while_it_is_dispatched_and_its_own_number_again_after_that";
    let chosen = std::env::var("THREADCTL_TEST_LIBRARY");
    for key in [
        "scipy-openblas32",
        "openblas-pthread",
        "blis-openmp",
        "blis-pthread",
        "mkl-rt",
    ] {
        if chosen.as_deref().is_ok_and(|chosen| chosen != key) {
            continue;
        }
        let folder = mkl_folder();
        let environment = [
            ("THREADCTL_TEST_LIBRARY", key),
            ("LD_LIBRARY_PATH", &folder),
            ("MKL_DYNAMIC", "FALSE"),
        ];
        in_own_process(name, &environment, || {
            load_path(std::path::Path::new("libm.so.6"));
            load_path(&library(key));
            let all = threadctl::runtimes().select(|runtime| runtime.user_api() == "blas");
            let runtime = all.iter().next().unwrap();
            runtime.set_num_threads(3).unwrap();
            // The calling thread, and one that knows nothing of it.
            let numbers = || {
                let other =
                    || std::thread::scope(|scope| scope.spawn(|| runtime.num_threads()).join());
                [runtime.num_threads(), other().unwrap()]
            };
            assert_eq!(numbers(), [Some(3); 2], "{key}");
            // SAFETY: the library that its key says.
            let [first, second] = [(); 2].map(|()| unsafe { Blas::open(&library(key)) }.unwrap());
            assert_eq!(numbers(), [Some(1); 2], "{key}");
            drop(first);
            assert_eq!(numbers(), [Some(1); 2], "{key}");
            drop(second);
            assert_eq!(numbers(), [Some(3); 2], "{key}");
        });
    }
}

/// BLIS's small products read their operands where they lie, unless it is told to pack: a setting of the process.
#[test]
fn blis_packs_while_it_is_dispatched_and_then_as_before() {
    let name = "blis_packs_while_it_is_dispatched_and_then_as_before";
    for before in ["0", "1"] {
        if std::env::var("BLIS_PACK_A").is_ok_and(|chosen| chosen != before) {
            continue;
        }
        in_own_process(name, &[("BLIS_PACK_A", before)], || {
            let path = library("blis-openmp");
            let blis = load_path(&path);
            let packs = || {
                let mut packs = false;
                // SAFETY: `void bli_pack_get_pack_a(bool *)` in BLIS's headers.
                unsafe {
                    let get = blis.get::<unsafe extern "C" fn(&mut bool)>("bli_pack_get_pack_a");
                    get.unwrap()(&mut packs);
                }
                packs
            };
            let before = before == "1";
            assert_eq!(packs(), before);
            // SAFETY: a BLIS.
            let uncut = unsafe { Blas::open_direct(&path) }.unwrap();
            assert_eq!(packs(), before, "its calls are left as they are");
            // SAFETY: as above.
            let [first, second] = [(); 2].map(|()| unsafe { Blas::open(&path) }.unwrap());
            assert!(packs());
            drop((first, uncut));
            assert!(packs());
            drop(second);
            assert_eq!(packs(), before);
        });
    }
}

/// Serial OpenBLAS does not bear callers at the same time.
#[test]
fn callers_of_one_serial_library_take_turns_whatever_they_call_it_through() {
    let name = "callers_of_one_serial_library_take_turns_whatever_they_call_it_through";
    in_own_process(name, &[], || {
        // SAFETY: OpenBLAS.
        let [one, other] = [(); 2].map(|()| unsafe { Blas::open(&library("openblas-serial")) });
        let (one, other) = (one.unwrap(), other.unwrap());
        let operands = |n: usize| Operands {
            a: vec![0.25_f64; n * n],
            b: vec![0.25_f64; n * n],
            c: vec![0.25_f64; n * n],
        };
        let (_, gemm) = routines::<f64>()[0];
        let (mut long, mut short) = (operands(2000), operands(4));
        // The last element of the long product, which is final when all is done; before, it is what it was, or a part of
        // the sum.
        // SAFETY: an element of `long.c`, which outlives this and is aligned for it; it is written by the library alone.
        let last = unsafe { AtomicU64::from_ptr(long.c.as_mut_ptr().add(2000 * 2000 - 1).cast()) };
        let last = || f64::from_bits(last.load(Ordering::Relaxed));
        std::thread::scope(|scope| {
            scope.spawn(|| gemm(&one, 2000, &mut long).unwrap());
            // The library begins with C = 0 C.
            while last() == 0.25 {
                std::thread::yield_now();
            }
            gemm(&other, 4, &mut short).unwrap();
            assert_eq!(last(), 125.0, "the short call went in beside the long one");
        });
    });
}
