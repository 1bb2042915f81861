//! What a call through the provider costs over a direct call of the same library's routine, in nanoseconds: for a routine that
//! dispatch covers, and for one that is forwarded. `cargo xtask bench provider` runs it, with THREADCTL_BACKEND set.
//!
//! Prints the name, the median over rounds of a direct call, and those of the difference and its quartiles.

use std::ffi::c_int;
use std::hint::black_box;
use std::time::Instant;
use threadctl_src as _;

/// `dot` products of Fortran: in double precision, and of single numbers in double precision.
type Dot<T> =
    unsafe extern "C" fn(*const c_int, *const T, *const c_int, *const T, *const c_int) -> f64;

unsafe extern "C" {
    fn ddot_(
        n: *const c_int,
        x: *const f64,
        incx: *const c_int,
        y: *const f64,
        incy: *const c_int,
    ) -> f64;
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
fn per_call<T>(dot: Dot<T>, x: &T) -> f64 {
    let one: c_int = 1;
    let began = Instant::now();
    for _ in 0..CALLS {
        // SAFETY: vectors of one element.
        black_box(unsafe { black_box(dot)(&one, x, &one, x, &one) });
    }
    began.elapsed().as_nanos() as f64 / f64::from(CALLS)
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

// The results are what this program is for.
#[expect(clippy::print_stdout, reason = "a program that answers")]
fn row<T>(name: &str, kind: &str, direct: Dot<T>, ours: Dot<T>, x: &T) {
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        // In turn, so that both see the same machine; the first is for the caches.
        let (direct, ours) = (per_call(direct, x), per_call(ours, x));
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
        let dsdot = std::mem::transmute::<*const (), Dot<f32>>(find("dsdot_")?);
        row("ddot_", "covered", ddot, ddot_ as Dot<f64>, &1.5);
        row("dsdot_", "forwarded", dsdot, dsdot_ as Dot<f32>, &1.5);
    }
    std::mem::forget(library);
    Ok(())
}
