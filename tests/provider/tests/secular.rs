//! laed3, which finds what two halves of an eigenproblem have together: dispatch's own against the library's, called with the same
//! made-up halves. Real libraries call it with halves that fit together (`inside.rs`, and LAPACK's own testers over the preload
//! library); here are also the sizes that these seldom have.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_wrap,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]

#[path = "../../common/mod.rs"]
mod common;

use common::{in_own_process, library};
use std::collections::BTreeMap;
use threadctl::backend::supply;
use threadctl_src as _;

/// k, n, n1, d, q, ldq, rho, dlamda, q2, indx, ctot, w, s, info.
type Laed3<T> = unsafe extern "C" fn(
    *const i32,
    *const i32,
    *const i32,
    *mut T,
    *mut T,
    *const i32,
    *const T,
    *mut T,
    *const T,
    *const i32,
    *const i32,
    *mut T,
    *mut T,
    *mut i32,
);

macro_rules! symbols {
    ($($name:ident $T:ty;)*) => {
        unsafe extern "C" {
            $(fn $name(
                k: *const i32, n: *const i32, n1: *const i32, d: *mut $T, q: *mut $T, ldq: *const i32, rho: *const $T,
                dlamda: *mut $T, q2: *const $T, indx: *const i32, ctot: *const i32, w: *mut $T, s: *mut $T, info: *mut i32,
            );)*
        }
    };
}

symbols! {
    slaed3_ f32;
    dlaed3_ f64;
}

trait Number: Copy + Send + PartialEq + Into<f64> + std::fmt::Debug + 'static {
    const NAME: &'static str;
    const TOLERANCE: f64;
    const OURS: Laed3<Self>;
    fn of(number: f64) -> Self;
}

impl Number for f32 {
    const NAME: &'static str = "slaed3_";
    const TOLERANCE: f64 = 2e-4;
    const OURS: Laed3<f32> = slaed3_;
    fn of(number: f64) -> f32 {
        number as f32
    }
}

impl Number for f64 {
    const NAME: &'static str = "dlaed3_";
    const TOLERANCE: f64 = 1e-11;
    const OURS: Laed3<f64> = dlaed3_;
    fn of(number: f64) -> f64 {
        number
    }
}

/// Halves of orders `n1` and `n - n1`, of which so many eigenvectors have an upper half alone, both, and a lower one alone; the
/// others are none of this routine's business.
struct Case {
    n: usize,
    n1: usize,
    groups: [usize; 3],
}

const CASES: &[Case] = &[
    case(2, 1, [0, 1, 0]),
    case(2, 1, [1, 0, 1]),
    case(4, 2, [1, 1, 1]),
    case(7, 3, [3, 0, 4]),
    case(8, 4, [0, 0, 4]),
    case(9, 5, [5, 0, 0]),
    case(12, 6, [2, 3, 3]),
    case(40, 13, [3, 9, 17]),
    case(150, 75, [40, 30, 40]),
    case(301, 150, [101, 40, 100]),
];

const fn case(n: usize, n1: usize, groups: [usize; 3]) -> Case {
    Case { n, n1, groups }
}

/// A number between -1 and 1, not 0.
fn made(seed: usize) -> f64 {
    let odd = (seed * 7919 + 31) % 1999;
    (2 * odd + 1) as f64 / 2000.0 - 1.0
}

/// D and Q, whole: what is beyond the k eigenvalues, and beyond their n rows, is to be left alone.
fn run<T: Number>(laed3: Laed3<T>, case: &Case) -> (Vec<T>, Vec<T>) {
    let Case { n, n1, groups } = *case;
    let [upper, both, lower] = groups;
    let k = upper + both + lower;
    let ldq = n + 3;
    let z: Vec<f64> = (0..k).map(made).collect();
    let length = z.iter().map(|z| z * z).sum::<f64>().sqrt();
    let mut w: Vec<T> = z.iter().map(|z| T::of(z / length)).collect();
    let mut poles: Vec<T> = (0..k)
        .map(|i| T::of(i as f64 + 0.4 * made(i + 7)))
        .collect();
    // Some order.
    let mut indx: Vec<i32> = (1..=k as i32).rev().collect();
    indx.rotate_left(k / 3);
    let q2: Vec<T> = (0..n1 * (upper + both) + (n - n1) * (both + lower))
        .map(|i| T::of(made(i + 100)))
        .collect();
    let ctot = [upper, both, lower, n - k].map(|count| count as i32);
    let mut q = vec![T::of(9.0); ldq * n];
    let mut d = vec![T::of(8.0); n];
    let mut s = vec![T::of(7.0); k * (both + lower).max(n1 + 1)];
    let rho = T::of(0.7);
    let [ks, ns, n1s, ldqs] = [k, n, n1, ldq].map(|size| size as i32);
    let mut info = -99;
    // SAFETY: as large as LAPACK says.
    unsafe {
        laed3(
            &raw const ks,
            &raw const ns,
            &raw const n1s,
            d.as_mut_ptr(),
            q.as_mut_ptr(),
            &raw const ldqs,
            &raw const rho,
            poles.as_mut_ptr(),
            q2.as_ptr(),
            indx.as_ptr(),
            ctot.as_ptr(),
            w.as_mut_ptr(),
            s.as_mut_ptr(),
            &raw mut info,
        );
    }
    assert_eq!(info, 0);
    (d, q)
}

/// The library's own routine, under whatever affix.
fn own<T: Number>(key: &str) -> Laed3<T> {
    // SAFETY: the backend, which is loaded already.
    let opened = unsafe { libloading::Library::new(library(key)) }.unwrap();
    let affixed = format!("scipy_{}", T::NAME);
    let names = [T::NAME, affixed.as_str()];
    let found = names.iter().find_map(|name| {
        // SAFETY: a routine of this type.
        unsafe { opened.get::<Laed3<T>>(*name) }
            .ok()
            .map(|symbol| *symbol)
    });
    std::mem::forget(opened);
    found.unwrap()
}

fn is_like_the_librarys_own<T: Number>(key: &str) {
    let own = own::<T>(key);
    for case in CASES {
        let k: usize = case.groups.iter().sum();
        supply::count_calls(true);
        let expected = run(own, case);
        let seen = supply::calls();
        supply::count_calls(false);
        // What is not seen in the library's own would say nothing about ours below.
        let norms = seen.keys().any(|name| name.contains("nrm2"));
        assert_eq!(norms, k >= 3, "{k}: {seen:?}");
        for width in [2, 8] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(width)
                .build()
                .unwrap();
            let what = format!("{} of {k} in {}, {width} workers", T::NAME, case.n);
            supply::count_calls(true);
            let found = pool.install(|| run(T::OURS, case));
            let calls = supply::calls();
            supply::count_calls(false);
            // The library's own would have made copies and lengths by calls that are seen.
            if k >= 3 {
                let alone = BTreeMap::from([(T::NAME.to_owned(), 1)]);
                assert_eq!(calls, alone, "{what}");
            }
            assert_eq!(found, pool.install(|| run(T::OURS, case)), "{what}: again");
            for (name, found, expected) in [
                ("roots", &found.0, &expected.0),
                ("vectors", &found.1, &expected.1),
            ] {
                for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
                    let off = ((*found).into() - (*expected).into()).abs();
                    assert!(
                        off <= T::TOLERANCE * (k as f64).sqrt(),
                        "{what}, {name} at {at}: {found:?} for {expected:?}"
                    );
                }
            }
        }
    }
}

fn on(test: &str, key: &str) {
    let path = library(key);
    in_own_process(
        test,
        &[("THREADCTL_BACKEND", path.to_str().unwrap())],
        || {
            threadctl::backend::current().unwrap();
            threadctl::dispatch::Blas::simulate_small_tiles(true);
            is_like_the_librarys_own::<f32>(key);
            is_like_the_librarys_own::<f64>(key);
        },
    );
}

#[test]
fn openblas_of_the_wheel() {
    on("openblas_of_the_wheel", "scipy-openblas32");
}

#[test]
fn openblas_of_debian() {
    on("openblas_of_debian", "openblas-pthread");
}

#[test]
fn openblas_over_openmp() {
    on("openblas_over_openmp", "openblas-openmp");
}

#[test]
fn what_lapack_forbids_is_refused_before_anything_is_looked_at() {
    let test = "what_lapack_forbids_is_refused_before_anything_is_looked_at";
    let path = library("scipy-openblas32");
    in_own_process(
        test,
        &[("THREADCTL_BACKEND", path.to_str().unwrap())],
        || {
            for ([k, n, ldq], expected) in [
                ([-1, 4, 4], -1),
                ([5, 4, 4], -2),
                ([3, 4, 2], -6),
                ([0, 4, 4], 0),
            ] {
                let (n1, rho, mut info) = (2, 1.0, -99);
                let (none, nothing) = (std::ptr::null_mut(), std::ptr::null());
                // SAFETY: none of the places is looked at.
                unsafe {
                    dlaed3_(
                        &raw const k,
                        &raw const n,
                        &raw const n1,
                        none,
                        none,
                        &raw const ldq,
                        &raw const rho,
                        none,
                        none,
                        nothing,
                        nothing,
                        none,
                        none,
                        &raw mut info,
                    );
                }
                assert_eq!(info, expected, "k {k}, n {n}, ldq {ldq}");
            }
        },
    );
}

#[test]
fn a_library_that_is_no_backend_any_more_has_its_own() {
    let test = "a_library_that_is_no_backend_any_more_has_its_own";
    let path = library("scipy-openblas32");
    in_own_process(
        test,
        &[("THREADCTL_BACKEND", path.to_str().unwrap())],
        || {
            threadctl::backend::current().unwrap();
            let blis = library("blis-pthread");
            // It has neither laed3 nor laed4.
            // SAFETY: Debian's BLIS.
            unsafe { threadctl::backend::switch(&blis.to_str().unwrap().parse().unwrap()) }
                .unwrap();
            let case = &CASES[8];
            let (roots, _) = run(dlaed3_, case);
            assert_eq!(roots, run(own::<f64>("scipy-openblas32"), case).0);
        },
    );
}
