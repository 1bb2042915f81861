//! What a call costs that is not shared, over the direct call of the library's routine.

use super::{against, children, footnote, libraries, path, shared};
use crate::common::{self, Case, spread};
use crate::{per_turn, shown};
use libloading::os::unix::Library;

const ROUNDS: usize = 101;
const TURNS: u32 = 5_000;
/// Nanoseconds, at most.
const TARGET: f64 = 15.0;

type Gemm = unsafe extern "C" fn(
    *const u8,
    *const u8,
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
    usize,
    usize,
);
type Dot = unsafe extern "C" fn(*const i32, *const f64, *const i32, *const f64, *const i32) -> f64;

/// The table, a row from each child.
pub fn table() -> String {
    let mut table = String::from(
        "| library | call | direct | through dispatch | more |\n| --- | --- | --- | --- | --- |\n",
    );
    for library in libraries() {
        table += &children("dispatch-small", library, &[]);
    }
    table
        + &footnote(&format!(
            "Nanoseconds: median of {ROUNDS} rounds of {TURNS} calls, quartiles in brackets, both in turn in every round. \
             The library is held at one thread. Target: at most {TARGET:.0} more."
        ))
}

/// What a child prints.
pub fn rows(case: &Case) -> String {
    path(case);
    let library = common::open(case.key);
    let blas = shared(case);
    let name = |routine: &str| {
        let prefix = if case.key.starts_with("scipy") {
            "scipy_"
        } else {
            ""
        };
        format!("{prefix}{routine}_")
    };
    let gemm: Gemm = symbol(library, &name("dgemm"));
    let dot: Dot = symbol(library, &name("ddot"));
    let (a, b, mut c) = ([0.5; 64], [0.25; 64], [0.0; 64]);
    let (eight, step, one, zero) = (8, 1, 1.0, 0.0);
    let mut columns = [(); 6].map(|()| Vec::with_capacity(ROUNDS));
    for round in 0..=ROUNDS {
        let direct_gemm = per_turn(TURNS, || {
            // SAFETY: three 8x8 matrices.
            unsafe {
                gemm(
                    b"N".as_ptr(),
                    b"N".as_ptr(),
                    &raw const eight,
                    &raw const eight,
                    &raw const eight,
                    &raw const one,
                    a.as_ptr(),
                    &raw const eight,
                    b.as_ptr(),
                    &raw const eight,
                    &raw const zero,
                    c.as_mut_ptr(),
                    &raw const eight,
                    1,
                    1,
                );
            }
        });
        let our_gemm = per_turn(TURNS, || {
            // SAFETY: as above.
            unsafe {
                blas.gemm(
                    b'N',
                    b'N',
                    8,
                    8,
                    8,
                    1.0,
                    a.as_ptr(),
                    8,
                    b.as_ptr(),
                    8,
                    0.0,
                    c.as_mut_ptr(),
                    8,
                )
            }
            .expect("it fits");
        });
        let direct_dot = per_turn(TURNS, || {
            // SAFETY: two vectors of eight.
            std::hint::black_box(unsafe {
                dot(
                    &raw const eight,
                    a.as_ptr(),
                    &raw const step,
                    b.as_ptr(),
                    &raw const step,
                )
            });
        });
        let our_dot = per_turn(TURNS, || {
            // SAFETY: as above.
            std::hint::black_box(
                unsafe { blas.dot(8, a.as_ptr(), 1, b.as_ptr(), 1) }.expect("it fits"),
            );
        });
        if round > 0 {
            for (column, value) in columns.iter_mut().zip([
                direct_gemm,
                our_gemm,
                our_gemm - direct_gemm,
                direct_dot,
                our_dot,
                our_dot - direct_dot,
            ]) {
                column.push(value);
            }
        }
    }
    let [
        direct_gemm,
        our_gemm,
        more_gemm,
        direct_dot,
        our_dot,
        more_dot,
    ] = columns.map(spread);
    let row = |call: &str, direct, ours, more: common::Spread| {
        format!(
            "| {} | {call} | {} | {} | {}{} |\n",
            case.label,
            shown(direct, 1),
            shown(ours, 1),
            shown(more, 1),
            against(more.median, TARGET, false)
        )
    };
    row("dgemm 8x8", direct_gemm, our_gemm, more_gemm)
        + &row("ddot 8", direct_dot, our_dot, more_dot)
}

fn symbol<F: Copy>(library: &Library, name: &str) -> F {
    // SAFETY: the callers name routines of that type.
    *unsafe { library.get::<F>(name) }.unwrap_or_else(|error| panic!("{name}: {error}"))
}
