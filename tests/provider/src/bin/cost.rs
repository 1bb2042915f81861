//! What a call through the provider costs over a direct call of the same library's routine, in nanoseconds: for a routine that
//! dispatch covers, as Fortran calls it and as C does, and for one that is forwarded. `cargo xtask bench provider` runs it, with THREADCTL_BACKEND set.
//!
//! Prints the name, the median over rounds of a direct call, and those of the difference and its quartiles.

use std::ffi::c_int;
use std::hint::black_box;
use std::time::Instant;
use threadctl_src as _;

/// `dot` products of Fortran: in double precision, and of single numbers in double precision.
type Dot<T> =
    unsafe extern "C" fn(*const c_int, *const T, *const c_int, *const T, *const c_int) -> f64;

/// As C has it.
type ByValue = unsafe extern "C" fn(c_int, *const f64, c_int, *const f64, c_int) -> f64;

unsafe extern "C" {
    fn ddot_(
        n: *const c_int,
        x: *const f64,
        incx: *const c_int,
        y: *const f64,
        incy: *const c_int,
    ) -> f64;
    fn cblas_ddot(n: c_int, x: *const f64, incx: c_int, y: *const f64, incy: c_int) -> f64;
    fn dsdot_(
        n: *const c_int,
        x: *const f32,
        incx: *const c_int,
        y: *const f32,
        incy: *const c_int,
    ) -> f64;
}

const CALLS: u32 = 200_000;
const ROUNDS: usize = 101;

/// What a call takes.
fn per_call(call: impl Fn() -> f64) -> f64 {
    let began = Instant::now();
    for _ in 0..CALLS {
        black_box(call());
    }
    began.elapsed().as_nanos() as f64 / f64::from(CALLS)
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

// The results are what this program is for.
#[expect(clippy::print_stdout, reason = "a program that answers")]
fn row(name: &str, kind: &str, direct: impl Fn() -> f64, ours: impl Fn() -> f64) {
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        // In turn, so that both see the same machine; the first is for the caches.
        let (direct, ours) = (per_call(&direct), per_call(&ours));
        if round > 0 {
            times[0].push(direct);
            times[1].push(ours - direct);
        }
    }
    let [direct, more] = times.map(sorted);
    println!(
        "{name} {kind} {:.2} {:.2} {:.2} {:.2}",
        direct[ROUNDS / 2],
        more[ROUNDS / 2],
        more[ROUNDS / 4],
        more[3 * ROUNDS / 4]
    );
}

/// A call on vectors of one element.
fn fortran<T>(dot: Dot<T>, x: T) -> impl Fn() -> f64 {
    let one: c_int = 1;
    // SAFETY: they are.
    move || unsafe { black_box(dot)(&one, &x, &one, &x, &one) }
}

/// The same as C has it.
fn c(dot: ByValue) -> impl Fn() -> f64 {
    let x = 1.5;
    // SAFETY: they are.
    move || unsafe { black_box(dot)(1, &x, 1, &x, 1) }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::var("THREADCTL_BACKEND")?;
    threadctl::backend::current()?;
    // SAFETY: the backend, which is loaded already.
    let library = unsafe { libloading::Library::new(path.split(':').next().unwrap_or(&path)) }?;
    // SAFETY: BLAS's routines of these names; the library is never closed.
    unsafe {
        let find = |name: &str| -> Result<*const (), libloading::Error> {
            let plain = library.get::<*const ()>(name);
            let affixed = || library.get::<*const ()>(format!("scipy_{name}"));
            Ok(*plain.or_else(|_| affixed())?)
        };
        let ddot = std::mem::transmute::<*const (), Dot<f64>>(find("ddot_")?);
        let by_value = std::mem::transmute::<*const (), ByValue>(find("cblas_ddot")?);
        let dsdot = std::mem::transmute::<*const (), Dot<f32>>(find("dsdot_")?);
        row("ddot_", "covered", fortran(ddot, 1.5), fortran(ddot_, 1.5));
        row("cblas_ddot", "covered", c(by_value), c(cblas_ddot));
        row(
            "dsdot_",
            "forwarded",
            fortran(dsdot, 1.5_f32),
            fortran(dsdot_, 1.5_f32),
        );
    }
    std::mem::forget(library);
    Ok(())
}
