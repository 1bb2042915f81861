//! Debian's serial OpenBLAS, which has no locks: threads that call it directly get wrong numbers, and through the provider right
//! ones. In that order in one process, so that both are the same library, the same work and the same moment.
//!
//! All numbers are small integers, and so is all that is computed on the way: results are exact, whatever the order of a sum.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../../common/mod.rs"]
mod common;

use common::{in_own_process, library, load};
use std::ffi::{c_char, c_int};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use threadctl_src as _;

const N: usize = 24;
const CALLERS: usize = 8;

/// So many wrong results are waited for,
const WRONG: u64 = 10;
/// and for so long, if they do not come; one is enough.
const PATIENCE: Duration = Duration::from_secs(120);
/// So many right ones then, at least and at most, and as many as there were direct calls in between: of the least, some hundred
/// are wrong directly.
const CALLS: [u64; 2] = [100_000, 2_000_000];

type Matrix = [f64; N * N];
type Syrk = unsafe extern "C" fn(
    *const c_char,
    *const c_char,
    *const c_int,
    *const c_int,
    *const f64,
    *const f64,
    *const c_int,
    *const f64,
    *mut f64,
    *const c_int,
);
type Potf2 =
    unsafe extern "C" fn(*const c_char, *const c_int, *mut f64, *const c_int, *mut c_int, usize);

unsafe extern "C" {
    fn dsyrk_(
        uplo: *const c_char,
        trans: *const c_char,
        n: *const c_int,
        k: *const c_int,
        alpha: *const f64,
        a: *const f64,
        lda: *const c_int,
        beta: *const f64,
        c: *mut f64,
        ldc: *const c_int,
    );
    fn dpotf2_(
        uplo: *const c_char,
        n: *const c_int,
        a: *mut f64,
        lda: *const c_int,
        info: *mut c_int,
        length: usize,
    );
}

/// One routine that dispatch covers, and one that it does not.
#[derive(Clone, Copy)]
struct Routines {
    syrk: Syrk,
    potf2: Potf2,
}

/// An upper triangle with ones on its diagonal, and its product with its transpose, in plain loops.
struct Known {
    factor: Matrix,
    product: Matrix,
}

impl Known {
    fn new() -> Self {
        let (mut factor, mut product) = ([0.0; N * N], [0.0; N * N]);
        for column in 0..N {
            for row in 0..column {
                factor[column * N + row] = ((row * 7 + column * 3) % 5) as f64 - 2.0;
            }
            factor[column * N + column] = 1.0;
        }
        for (place, sum) in product.iter_mut().enumerate() {
            let column = |column: usize| &factor[column * N..][..N];
            let pairs = column(place / N).iter().zip(column(place % N));
            *sum = pairs.map(|(a, b)| a * b).sum();
        }
        Known { factor, product }
    }

    /// Whether the upper triangles are the same.
    fn same(found: &Matrix, expected: &Matrix) -> bool {
        (0..N).all(|column| {
            let upper = column * N..=column * N + column;
            found[upper.clone()] == expected[upper]
        })
    }

    /// Calls both routines, and returns how many results were wrong.
    fn wrong(&self, routines: Routines) -> u64 {
        let (order, mut info) = (N as c_int, 0);
        let (upper, transposed) = (b'U' as c_char, b'T' as c_char);
        let mut product = [0.0; N * N];
        let mut factor = self.product;
        // SAFETY: matrices of that order, which the routines were declared for.
        unsafe {
            (routines.syrk)(
                &raw const upper,
                &raw const transposed,
                &raw const order,
                &raw const order,
                &1.0,
                self.factor.as_ptr(),
                &raw const order,
                &0.0,
                product.as_mut_ptr(),
                &raw const order,
            );
            (routines.potf2)(
                &raw const upper,
                &raw const order,
                factor.as_mut_ptr(),
                &raw const order,
                &raw mut info,
                1,
            );
        }
        let right = [
            Self::same(&product, &self.product),
            info == 0 && Self::same(&factor, &self.factor),
        ];
        right.iter().filter(|right| !**right).count() as u64
    }

    /// Has all callers call until `enough` is true of how many calls and how many wrong results there were, which it returns.
    fn by_many(&self, routines: Routines, enough: impl Fn(u64, u64) -> bool + Sync) -> (u64, u64) {
        let (calls, wrong, over) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..CALLERS {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        let these = (0..100).map(|_| self.wrong(routines)).sum();
                        let wrong = wrong.fetch_add(these, Ordering::Relaxed) + these;
                        let calls = calls.fetch_add(200, Ordering::Relaxed) + 200;
                        if enough(calls, wrong) {
                            over.store(true, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        (calls.into_inner(), wrong.into_inner())
    }
}

#[test]
fn callers_of_a_serial_openblas_get_wrong_numbers_directly_and_right_ones_through_the_provider() {
    let test = "callers_of_a_serial_openblas_get_wrong_numbers_directly_and_right_ones_through_the_provider";
    let path = library("openblas-serial").display().to_string();
    in_own_process(test, &[("THREADCTL_BACKEND", &path)], || {
        let known = Known::new();
        // The provider opens its backend at the first call, so the library is as it came.
        let own = load("openblas-serial");
        // SAFETY: BLAS and LAPACK have these names and types; the library is never closed.
        let direct = unsafe {
            Routines {
                syrk: *own.get::<Syrk>("dsyrk_").unwrap(),
                potf2: *own.get::<Potf2>("dpotf2_").unwrap(),
            }
        };
        assert_eq!(known.wrong(direct), 0, "one caller");
        let began = Instant::now();
        let (calls, wrong) = known.by_many(direct, |_, wrong| {
            wrong >= WRONG || began.elapsed() > PATIENCE
        });
        assert!(wrong > 0, "{calls} direct calls were right");

        let ours = Routines {
            syrk: dsyrk_,
            potf2: dpotf2_,
        };
        let (made, wrong) = known.by_many(ours, |made, _| made >= calls.clamp(CALLS[0], CALLS[1]));
        assert_eq!(wrong, 0, "of {made} calls through the provider");
        let backend = threadctl::backend::current().unwrap().to_string();
        assert!(backend.contains("openblas-serial"), "{backend}");
    });
}
