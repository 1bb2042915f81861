//! Each CBLAS routine that dispatch covers against the reference CBLAS, called side by side with the same arguments: both
//! orders of storage, all flags, all four types. The provider computes on OpenBLAS, cut into the smallest tiles; the
//! reference is opened beside it and is no part of the backend. So what is compared is two libraries, and the turning of
//! matrices by rows into their transposes.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../../common/mod.rs"]
mod common;

use common::{in_own_process, library};
use ndarray_linalg::{c32, c64};
use std::ffi::c_int;
use threadctl_src as _;

/// An element type, and how CBLAS passes a number of it.
trait Number: Copy + std::fmt::Debug + 'static {
    type By: Copy;
    const TOLERANCE: f64;
    fn made(re: f64, im: f64) -> Self;
    fn by(&self) -> Self::By;
    fn off(self, other: Self) -> f64;
}

macro_rules! numbers {
    ($($type:ty, $by:ty, $tolerance:literal, |$re:ident, $im:ident| $new:expr, |$it:ident| $pass:expr,
        |$a:ident, $b:ident| $off:expr;)*) => {$(
        #[allow(clippy::cast_possible_truncation, clippy::cast_lossless, unused_variables, reason = "small numbers")]
        impl Number for $type {
            type By = $by;
            const TOLERANCE: f64 = $tolerance;
            fn made($re: f64, $im: f64) -> Self { $new }
            fn by(&self) -> $by { let $it = self; $pass }
            fn off(self, other: Self) -> f64 { let ($a, $b) = (self, other); $off }
        }
    )*};
}

numbers! {
    f32, f32, 1e-4, |re, im| re as f32, |it| *it, |a, b| f64::from((a - b).abs());
    f64, f64, 1e-12, |re, im| re, |it| *it, |a, b| (a - b).abs();
    c32, *const c32, 1e-4, |re, im| c32::new(re as f32, im as f32), |it| it, |a, b| f64::from((a - b).norm());
    c64, *const c64, 1e-12, |re, im| c64::new(re, im), |it| it, |a, b| (a - b).norm();
}

/// Numbers between -1 and 1 that differ from place to place. Those on the diagonals of leading dimension `LD` are large, so
/// that triangular systems have small solutions.
fn filled<T: Number>(seed: usize) -> Vec<T> {
    let part = |i: usize| ((i * 7919 + seed * 104_729) % 199) as f64 / 100.0 - 1.0;
    (0..LD * LD)
        .map(|i| {
            let diagonal = if i % (LD + 1) == 0 { 20.0 } else { 0.0 };
            T::made(part(i) + diagonal, part(i + 50))
        })
        .collect()
}

/// Larger than any matrix here, so that each has room between its rows or columns.
const LD: usize = 23;
const M: c_int = 13;
const N: c_int = 17;
const K: c_int = 11;
const ORDERS: [c_int; 2] = [101, 102];
const TRANS: [c_int; 3] = [111, 112, 113];
const UPLO: [c_int; 2] = [121, 122];
const DIAG: [c_int; 2] = [131, 132];
const SIDE: [c_int; 2] = [141, 142];

/// Runs a call on a copy of the same output for both, and compares all of it: what must not be touched, too.
fn same<T: Number>(what: &str, mut call: impl FnMut(usize, *mut T)) {
    let mut results = [filled::<T>(3), filled::<T>(3)];
    for (which, result) in results.iter_mut().enumerate() {
        call(which, result.as_mut_ptr());
    }
    let [ours, theirs] = results;
    for (place, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        let off = ours.off(*theirs);
        // Sums of products of numbers up to 20.
        let allowed = T::TOLERANCE * (1.0 + theirs.off(T::made(0.0, 0.0)));
        assert!(
            off <= allowed,
            "{what}, place {place}: {ours:?}, and the reference has {theirs:?}"
        );
    }
    let before = filled::<T>(3);
    let changed = before
        .iter()
        .zip(&theirs)
        .any(|(before, after)| before.off(*after) > 0.0);
    assert!(changed, "{what} did nothing");
}

/// The provider's function and the reference's, by one name and type.
macro_rules! pair {
    ($oracle:ident, $name:ident, $type:ty) => {{
        unsafe extern "C" {
            fn $name();
        }
        // SAFETY: CBLAS declares this name with this type.
        unsafe {
            let ours: $type = std::mem::transmute($name as unsafe extern "C" fn());
            [ours, *$oracle.get::<$type>(stringify!($name)).unwrap()]
        }
    }};
}

/// A function for a family of routines: for each of them, with its type, the loops over flags.
macro_rules! families {
    ($($family:ident: fn $args:tt, [$($name:ident $T:ty),*] |$f:ident, $n:ident, $X:ident| $body:block)*) => {$(
        fn $family(oracle: &libloading::os::unix::Library) {
            $({
                type $X = $T;
                #[allow(dead_code, reason = "some take such a number")]
                type By = <$T as Number>::By;
                #[allow(dead_code, reason = "some take such a number")]
                type Real = <$T as RealOf>::Real;
                let $f = pair!(oracle, $name, unsafe extern "C" fn $args);
                let $n = stringify!($name);
                $body
            })*
        }
    )*};
}

trait RealOf {
    type Real;
}
impl RealOf for f32 {
    type Real = f32;
}
impl RealOf for f64 {
    type Real = f64;
}
impl RealOf for c32 {
    type Real = f32;
}
impl RealOf for c64 {
    type Real = f64;
}

/// Whether CBLAS takes a conjugated transpose in a rank-k update of this type.
fn is_real<T>() -> bool {
    size_of::<T>() == size_of::<f64>() && std::any::type_name::<T>() == "f64"
        || std::any::type_name::<T>() == "f32"
}

families! {
    gemm: fn(c_int, c_int, c_int, c_int, c_int, c_int, By, *const E, c_int, *const E, c_int, By, *mut E, c_int),
    [cblas_sgemm f32, cblas_dgemm f64, cblas_cgemm c32, cblas_zgemm c64] |f, name, E| {
        let (a, b, alpha, beta) = (filled::<E>(1), filled::<E>(2), E::made(1.5, 0.5), E::made(-0.5, 0.25));
        for order in ORDERS { for ta in TRANS { for tb in TRANS {
            // SAFETY: matrices of LD x LD, of which less is used.
            same::<E>(&format!("{name} {order} {ta} {tb}"), |which, c| unsafe {
                f[which](order, ta, tb, M, N, K, alpha.by(), a.as_ptr(), LD as c_int, b.as_ptr(), LD as c_int, beta.by(), c,
                    LD as c_int);
            });
        }}}
    }

    symm: fn(c_int, c_int, c_int, c_int, c_int, By, *const E, c_int, *const E, c_int, By, *mut E, c_int),
    [cblas_ssymm f32, cblas_dsymm f64, cblas_csymm c32, cblas_zsymm c64, cblas_chemm c32, cblas_zhemm c64] |f, name, E| {
        let (a, b, alpha, beta) = (filled::<E>(1), filled::<E>(2), E::made(1.5, 0.5), E::made(-0.5, 0.25));
        for order in ORDERS { for side in SIDE { for uplo in UPLO {
            // SAFETY: as above.
            same::<E>(&format!("{name} {order} {side} {uplo}"), |which, c| unsafe {
                f[which](order, side, uplo, M, N, alpha.by(), a.as_ptr(), LD as c_int, b.as_ptr(), LD as c_int, beta.by(), c,
                    LD as c_int);
            });
        }}}
    }

    syrk: fn(c_int, c_int, c_int, c_int, c_int, By, *const E, c_int, By, *mut E, c_int),
    [cblas_ssyrk f32, cblas_dsyrk f64, cblas_csyrk c32, cblas_zsyrk c64] |f, name, E| {
        let (a, alpha, beta) = (filled::<E>(1), E::made(1.5, 0.5), E::made(-0.5, 0.25));
        for order in ORDERS { for uplo in UPLO { for trans in &TRANS[..if is_real::<E>() { 3 } else { 2 }] {
            // SAFETY: as above.
            same::<E>(&format!("{name} {order} {uplo} {trans}"), |which, c| unsafe {
                f[which](order, uplo, *trans, N, K, alpha.by(), a.as_ptr(), LD as c_int, beta.by(), c, LD as c_int);
            });
        }}}
    }

    herk: fn(c_int, c_int, c_int, c_int, c_int, Real, *const E, c_int, Real, *mut E, c_int),
    [cblas_cherk c32, cblas_zherk c64] |f, name, E| {
        let a = filled::<E>(1);
        for order in ORDERS { for uplo in UPLO { for trans in [111, 113] {
            // SAFETY: as above.
            same::<E>(&format!("{name} {order} {uplo} {trans}"), |which, c| unsafe {
                f[which](order, uplo, trans, N, K, 1.5, a.as_ptr(), LD as c_int, -0.5, c, LD as c_int);
            });
        }}}
    }

    syr2k: fn(c_int, c_int, c_int, c_int, c_int, By, *const E, c_int, *const E, c_int, By, *mut E, c_int),
    [cblas_ssyr2k f32, cblas_dsyr2k f64, cblas_csyr2k c32, cblas_zsyr2k c64] |f, name, E| {
        let (a, b, alpha, beta) = (filled::<E>(1), filled::<E>(2), E::made(1.5, 0.5), E::made(-0.5, 0.25));
        for order in ORDERS { for uplo in UPLO { for trans in &TRANS[..2] {
            // SAFETY: as above.
            same::<E>(&format!("{name} {order} {uplo} {trans}"), |which, c| unsafe {
                f[which](order, uplo, *trans, N, K, alpha.by(), a.as_ptr(), LD as c_int, b.as_ptr(), LD as c_int, beta.by(), c,
                    LD as c_int);
            });
        }}}
    }

    her2k: fn(c_int, c_int, c_int, c_int, c_int, By, *const E, c_int, *const E, c_int, Real, *mut E, c_int),
    [cblas_cher2k c32, cblas_zher2k c64] |f, name, E| {
        let (a, b, alpha) = (filled::<E>(1), filled::<E>(2), E::made(1.5, 0.5));
        for order in ORDERS { for uplo in UPLO { for trans in [111, 113] {
            // SAFETY: as above.
            same::<E>(&format!("{name} {order} {uplo} {trans}"), |which, c| unsafe {
                f[which](order, uplo, trans, N, K, alpha.by(), a.as_ptr(), LD as c_int, b.as_ptr(), LD as c_int, -0.5, c,
                    LD as c_int);
            });
        }}}
    }

    triangular: fn(c_int, c_int, c_int, c_int, c_int, c_int, c_int, By, *const E, c_int, *mut E, c_int),
    [cblas_strmm f32, cblas_dtrmm f64, cblas_ctrmm c32, cblas_ztrmm c64,
        cblas_strsm f32, cblas_dtrsm f64, cblas_ctrsm c32, cblas_ztrsm c64] |f, name, E| {
        let alpha = E::made(0.5, 0.25);
        for order in ORDERS { for side in SIDE { for uplo in UPLO { for trans in TRANS { for diag in DIAG {
            // With ones on its diagonal a triangle must be small for the solution to be.
            let scale = if diag == 132 { 0.02 } else { 1.0 };
            let a: Vec<E> = (0..LD * LD)
                .map(|i| {
                    let diagonal = if i % (LD + 1) == 0 { 20.0 } else { 0.0 };
                    E::made(scale * ((i * 31 % 17) as f64 / 10.0 - 0.8) + diagonal, scale * ((i % 7) as f64 / 5.0))
                })
                .collect();
            // SAFETY: as above.
            same::<E>(&format!("{name} {order} {side} {uplo} {trans} {diag}"), |which, b| unsafe {
                f[which](order, side, uplo, trans, diag, M, N, alpha.by(), a.as_ptr(), LD as c_int, b, LD as c_int);
            });
        }}}}}
    }

    gemv: fn(c_int, c_int, c_int, c_int, By, *const E, c_int, *const E, c_int, By, *mut E, c_int),
    [cblas_sgemv f32, cblas_dgemv f64, cblas_cgemv c32, cblas_zgemv c64] |f, name, E| {
        let (a, x, alpha, beta) = (filled::<E>(1), filled::<E>(2), E::made(1.5, 0.5), E::made(-0.5, 0.25));
        for order in ORDERS { for trans in TRANS { for step in [1, 2, -1] {
            // SAFETY: vectors of at most 2 * 17 elements.
            same::<E>(&format!("{name} {order} {trans} {step}"), |which, y| unsafe {
                f[which](order, trans, M, N, alpha.by(), a.as_ptr(), LD as c_int, x.as_ptr(), step, beta.by(), y, step);
            });
        }}}
    }

    ger: fn(c_int, c_int, c_int, By, *const E, c_int, *const E, c_int, *mut E, c_int),
    [cblas_sger f32, cblas_dger f64, cblas_cgeru c32, cblas_zgeru c64, cblas_cgerc c32, cblas_zgerc c64] |f, name, E| {
        let (x, y, alpha) = (filled::<E>(1), filled::<E>(2), E::made(1.5, 0.5));
        for order in ORDERS { for (incx, incy) in [(1, 1), (2, -3)] {
            // SAFETY: vectors of at most 3 * 17 elements.
            same::<E>(&format!("{name} {order} {incx} {incy}"), |which, a| unsafe {
                f[which](order, M, N, alpha.by(), x.as_ptr(), incx, y.as_ptr(), incy, a, LD as c_int);
            });
        }}
    }

    symv: fn(c_int, c_int, c_int, By, *const E, c_int, *const E, c_int, By, *mut E, c_int),
    [cblas_ssymv f32, cblas_dsymv f64, cblas_chemv c32, cblas_zhemv c64] |f, name, E| {
        let (a, x, alpha, beta) = (filled::<E>(1), filled::<E>(2), E::made(1.5, 0.5), E::made(-0.5, 0.25));
        for order in ORDERS { for uplo in UPLO { for step in [1, -2] {
            // SAFETY: as above.
            same::<E>(&format!("{name} {order} {uplo} {step}"), |which, y| unsafe {
                f[which](order, uplo, N, alpha.by(), a.as_ptr(), LD as c_int, x.as_ptr(), step, beta.by(), y, step);
            });
        }}}
    }

    trmv: fn(c_int, c_int, c_int, c_int, c_int, *const E, c_int, *mut E, c_int),
    [cblas_strmv f32, cblas_dtrmv f64, cblas_ctrmv c32, cblas_ztrmv c64,
        cblas_strsv f32, cblas_dtrsv f64, cblas_ctrsv c32, cblas_ztrsv c64] |f, name, E| {
        let a: Vec<E> = filled::<E>(1);
        for order in ORDERS { for uplo in UPLO { for trans in TRANS { for step in [1, 2] {
            // SAFETY: as above.
            same::<E>(&format!("{name} {order} {uplo} {trans} {step}"), |which, x| unsafe {
                f[which](order, uplo, trans, 131, N, a.as_ptr(), LD as c_int, x, step);
            });
        }}}}
    }

    syr: fn(c_int, c_int, c_int, Real, *const E, c_int, *mut E, c_int),
    [cblas_ssyr f32, cblas_dsyr f64, cblas_cher c32, cblas_zher c64] |f, name, E| {
        let x = filled::<E>(1);
        for order in ORDERS { for uplo in UPLO { for step in [1, -2] {
            // SAFETY: as above.
            same::<E>(&format!("{name} {order} {uplo} {step}"), |which, a| unsafe {
                f[which](order, uplo, N, 1.5, x.as_ptr(), step, a, LD as c_int);
            });
        }}}
    }

    axpy: fn(c_int, By, *const E, c_int, *mut E, c_int),
    [cblas_saxpy f32, cblas_daxpy f64, cblas_caxpy c32, cblas_zaxpy c64] |f, name, E| {
        let (x, alpha) = (filled::<E>(1), E::made(1.5, 0.5));
        for (incx, incy) in [(1, 1), (2, -3)] {
            // SAFETY: as above.
            same::<E>(&format!("{name} {incx} {incy}"), |which, y| unsafe {
                f[which](N, alpha.by(), x.as_ptr(), incx, y, incy);
            });
        }
    }

    scal: fn(c_int, By, *mut E, c_int),
    [cblas_sscal f32, cblas_dscal f64, cblas_cscal c32, cblas_zscal c64] |f, name, E| {
        let alpha = E::made(1.5, 0.5);
        // SAFETY: as above.
        same::<E>(name, |which, x| unsafe { f[which](N, alpha.by(), x, 2) });
    }

    rscal: fn(c_int, Real, *mut E, c_int),
    [cblas_csscal c32, cblas_zdscal c64] |f, name, E| {
        // SAFETY: as above.
        same::<E>(name, |which, x| unsafe { f[which](N, 1.5, x, 2) });
    }

    copy: fn(c_int, *const E, c_int, *mut E, c_int),
    [cblas_scopy f32, cblas_dcopy f64, cblas_ccopy c32, cblas_zcopy c64] |f, name, E| {
        let x = filled::<E>(1);
        // SAFETY: as above.
        same::<E>(name, |which, y| unsafe { f[which](N, x.as_ptr(), 2, y, -1) });
    }

    swap: fn(c_int, *mut E, c_int, *mut E, c_int),
    [cblas_sswap f32, cblas_dswap f64, cblas_cswap c32, cblas_zswap c64] |f, name, E| {
        // Both are parts of the one output.
        // SAFETY: the second begins after the 2 * 17 elements of the first.
        same::<E>(name, |which, x| unsafe { f[which](N, x, 2, x.add(5 * LD), 3) });
    }

    dot_sub: fn(c_int, *const E, c_int, *const E, c_int, *mut E),
    [cblas_cdotu_sub c32, cblas_zdotu_sub c64, cblas_cdotc_sub c32, cblas_zdotc_sub c64] |f, name, E| {
        let (x, y) = (filled::<E>(1), filled::<E>(2));
        // SAFETY: as above.
        same::<E>(name, |which, result| unsafe { f[which](N, x.as_ptr(), 2, y.as_ptr(), -1, result) });
    }
}

/// Functions that return a number.
macro_rules! results {
    ($oracle:ident, $($name:ident $T:ty => $R:ty, $two:literal;)*) => {$({
        let (x, y) = (filled::<$T>(1), filled::<$T>(2));
        let [ours, theirs] = if $two {
            type Two = unsafe extern "C" fn(c_int, *const $T, c_int, *const $T, c_int) -> $R;
            let functions = pair!($oracle, $name, Two);
            // SAFETY: vectors of 2 * 17 elements.
            functions.map(|f| unsafe { f(N, x.as_ptr(), 2, y.as_ptr(), -1) })
        } else {
            type One = unsafe extern "C" fn(c_int, *const $T, c_int) -> $R;
            let functions = pair!($oracle, $name, One);
            // SAFETY: as above.
            functions.map(|f| unsafe { f(N, x.as_ptr(), 2) })
        };
        let off = (ours as f64 - theirs as f64).abs();
        assert!(off <= 1e-4, "{}: {ours} and {theirs}", stringify!($name));
        assert!(theirs as f64 != 0.0 || stringify!($name).contains("amax"));
    })*};
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_lossless,
    clippy::unnecessary_cast,
    reason = "small numbers"
)]
fn functions(oracle: &libloading::os::unix::Library) {
    results! {
        oracle,
        cblas_sdot f32 => f32, true; cblas_ddot f64 => f64, true;
        cblas_snrm2 f32 => f32, false; cblas_dnrm2 f64 => f64, false;
        cblas_scnrm2 c32 => f32, false; cblas_dznrm2 c64 => f64, false;
        cblas_sasum f32 => f32, false; cblas_dasum f64 => f64, false;
        cblas_scasum c32 => f32, false; cblas_dzasum c64 => f64, false;
        cblas_isamax f32 => usize, false; cblas_idamax f64 => usize, false;
        cblas_icamax c32 => usize, false; cblas_izamax c64 => usize, false;
    }
}

fn agree(test: &str, keys: &[&str]) {
    let paths: Vec<String> = keys
        .iter()
        .map(|key| library(key).display().to_string())
        .collect();
    in_own_process(test, &[("THREADCTL_BACKEND", &paths.join(":"))], || {
        use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
        // SAFETY: the reference BLAS has no initialisers. Local, so that it is nobody else's.
        let oracle =
            unsafe { Library::open(Some(library("netlib")), RTLD_NOW | RTLD_LOCAL) }.unwrap();
        for small in [true, false] {
            threadctl::dispatch::Blas::simulate_small_tiles(small);
            for family in [
                gemm, symm, syrk, herk, syr2k, her2k, triangular, gemv, ger, symv, trmv, syr, axpy,
                scal, rscal, copy, swap, dot_sub, functions,
            ] {
                family(&oracle);
            }
        }
    });
}

#[test]
fn openblas_and_the_reference_agree() {
    agree("openblas_and_the_reference_agree", &["scipy-openblas32"]);
}

#[test]
fn openblas_with_wide_integers_and_the_reference_agree_where_matrices_can_be_turned() {
    // What cannot be turned goes to the library's own CBLAS, which takes other integers here.
    let test = "openblas_with_wide_integers_and_the_reference_agree_where_matrices_can_be_turned";
    let path = library("scipy-openblas64").display().to_string();
    in_own_process(test, &[("THREADCTL_BACKEND", &path)], || {
        use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
        // SAFETY: as above.
        let oracle =
            unsafe { Library::open(Some(library("netlib")), RTLD_NOW | RTLD_LOCAL) }.unwrap();
        for family in [
            gemm, symm, syrk, herk, syr2k, her2k, triangular, axpy, scal, copy, swap, dot_sub,
            functions,
        ] {
            family(&oracle);
        }
    });
}

#[test]
fn blis_and_the_reference_agree() {
    agree("blis_and_the_reference_agree", &["blis-pthread", "lapack"]);
}

/// What functions return that return complex numbers, by the names of Fortran, as gfortran does it.
fn complex_results(test: &str, keys: &[&str]) {
    unsafe extern "C" {
        fn zdotu_(
            n: *const c_int,
            x: *const c64,
            incx: *const c_int,
            y: *const c64,
            incy: *const c_int,
        ) -> c64;
        fn zdotc_(
            n: *const c_int,
            x: *const c64,
            incx: *const c_int,
            y: *const c64,
            incy: *const c_int,
        ) -> c64;
        fn cdotu_(
            n: *const c_int,
            x: *const c32,
            incx: *const c_int,
            y: *const c32,
            incy: *const c_int,
        ) -> c32;
        fn zladiv_(x: *const c64, y: *const c64) -> c64;
        fn cladiv_(x: *const c32, y: *const c32) -> c32;
    }
    let paths: Vec<String> = keys
        .iter()
        .map(|key| library(key).display().to_string())
        .collect();
    let environment = [
        ("THREADCTL_BACKEND", paths.join(":")),
        ("LD_LIBRARY_PATH", common::mkl_folder()),
    ];
    let environment = environment
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    in_own_process(test, &environment, || {
        let (two, one) = (2, 1);
        let (x, y) = (
            [c64::new(1.0, 2.0), c64::new(3.0, -1.0)],
            [c64::new(2.0, -1.0), c64::new(0.5, 4.0)],
        );
        let (u, v) = (c32::new(1.0, 2.0), c32::new(2.0, -1.0));
        // SAFETY: vectors of two elements and of one.
        let [unconjugated, conjugated, quotient] = unsafe {
            assert_eq!(
                cdotu_(
                    &raw const one,
                    &raw const u,
                    &raw const one,
                    &raw const v,
                    &raw const one
                ),
                u * v
            );
            assert!((cladiv_(&raw const u, &raw const v) - u / v).norm() < 1e-6);
            [
                zdotu_(
                    &raw const two,
                    x.as_ptr(),
                    &raw const one,
                    y.as_ptr(),
                    &raw const one,
                ),
                zdotc_(
                    &raw const two,
                    x.as_ptr(),
                    &raw const one,
                    y.as_ptr(),
                    &raw const one,
                ),
                zladiv_(&raw const x[0], &raw const y[0]),
            ]
        };
        assert_eq!(unconjugated, x[0] * y[0] + x[1] * y[1]);
        assert_eq!(conjugated, x[0].conj() * y[0] + x[1].conj() * y[1]);
        assert!((quotient - x[0] / y[0]).norm() < 1e-15);
    });
}

#[test]
fn complex_results_of_openblas() {
    complex_results("complex_results_of_openblas", &["scipy-openblas32"]);
}

#[test]
fn complex_results_of_mkl_which_returns_them_otherwise() {
    complex_results(
        "complex_results_of_mkl_which_returns_them_otherwise",
        &["mkl-rt"],
    );
}

#[test]
fn complex_results_of_the_reference() {
    complex_results("complex_results_of_the_reference", &["netlib", "lapack"]);
}
