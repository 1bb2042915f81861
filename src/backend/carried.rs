//! Drivers of LAPACK that dispatch leaves to their library, and during which the library's threads are watched where that can be done for
//! the calling thread (MKL, OpenMP builds; `dispatch/forward.rs`): as C functions, for those who supply symbols one by one (`own.rs`).
//!
//! Invariants: each row has as many arguments as the routine has in Fortran, and after them the lengths of its flags, as
//! gfortran passes them; all are addresses or as large as one, so that each is handed on as it came. Callers in C leave
//! the lengths out, and the routines do not look at them: what is handed on then is whatever was there.

use super::supply::Carried;
use std::cell::Cell;
use std::ffi::c_void;

thread_local! {
    /// What this thread calls next.
    static NEXT: Cell<Option<&'static Carried>> = const { Cell::new(None) };
}

/// Has the function of a row, which this thread calls next, make this call.
#[inline]
pub(super) fn choose(carried: &'static Carried) {
    NEXT.set(Some(carried));
}

/// One routine.
struct Row {
    /// Its name; `*` stands for the letter.
    pattern: &'static str,
    letters: &'static [&'static str],
    enter: *const (),
}

// SAFETY: the address of code.
unsafe impl Sync for Row {}

/// A function for each number of arguments.
macro_rules! functions {
    ($($function:ident: $($argument:ident)*;)*) => {$(
        unsafe extern "C" fn $function($($argument: *mut c_void),*) {
            let Some(carried) = NEXT.take() else {
                // Not reached: who gives the address out has it chosen before each call.
                std::process::abort();
            };
            let call = |address| {
                // SAFETY: the routine of a row with so many arguments.
                let routine = unsafe {
                    std::mem::transmute::<
                        *mut (),
                        unsafe extern "C" fn($(functions!(@type $argument)),*),
                    >(address)
                };
                // SAFETY: what it was called with.
                unsafe { routine($($argument),*) }
            };
            let words = [$($argument.addr()),*];
            // SAFETY: those of the routine's arguments.
            unsafe { carried.run(|place| words.get(place).copied(), call) };
        }
    )*};
    (@type $argument:ident) => { *mut c_void };
}

functions! {
    with_9: a b c d e f g h i;
    with_10: a b c d e f g h i j;
    with_11: a b c d e f g h i j k;
    with_12: a b c d e f g h i j k l;
    with_13: a b c d e f g h i j k l m;
    with_14: a b c d e f g h i j k l m n;
    with_15: a b c d e f g h i j k l m n o;
    with_16: a b c d e f g h i j k l m n o p;
    with_17: a b c d e f g h i j k l m n o p q;
    with_18: a b c d e f g h i j k l m n o p q r;
    with_19: a b c d e f g h i j k l m n o p q r s;
    with_23: a b c d e f g h i j k l m n o p q r s t u v w;
    with_24: a b c d e f g h i j k l m n o p q r s t u v w x;
    with_26: a b c d e f g h i j k l m n o p q r s t u v w x y z;
    with_27: a b c d e f g h i j k l m n o p q r s t u v w x y z aa;
}

macro_rules! rows {
    ($($letters:ident $pattern:literal $function:ident;)*) => {&[$(
        Row {
            pattern: $pattern,
            letters: $letters,
            enter: $function as *const (),
        },
    )*]};
}

const REAL: &[&str] = &["s", "d"];
const COMPLEX: &[&str] = &["c", "z"];

const ALL: &[&str] = &["s", "d", "c", "z"];

/// Those that have much to compute and are called by programs; what they call inside is not here.
static ROWS: &[Row] = rows! {
    REAL "*gesdd_" with_15;
    COMPLEX "*gesdd_" with_16;
    REAL "*gesvd_" with_16;
    COMPLEX "*gesvd_" with_17;
    REAL "*geev_" with_16;
    COMPLEX "*geev_" with_16;
    REAL "*geevx_" with_27;
    COMPLEX "*geevx_" with_26;
    ALL "*gees_" with_17;
    ALL "*ggev_" with_19;
    REAL "*syev_" with_11;
    COMPLEX "*heev_" with_12;
    REAL "*syevd_" with_13;
    COMPLEX "*heevd_" with_15;
    REAL "*syevr_" with_24;
    COMPLEX "*heevr_" with_26;
    REAL "*syevx_" with_23;
    COMPLEX "*heevx_" with_24;
    REAL "*sygv_" with_14;
    COMPLEX "*hegv_" with_15;
    REAL "*sygvd_" with_16;
    COMPLEX "*hegvd_" with_18;
    REAL "*sygvx_" with_26;
    COMPLEX "*hegvx_" with_27;
    REAL "*gelsd_" with_14;
    COMPLEX "*gelsd_" with_15;
    REAL "*gelss_" with_13;
    COMPLEX "*gelss_" with_14;
    REAL "*gelsy_" with_13;
    COMPLEX "*gelsy_" with_14;
    REAL "*geqp3_" with_9;
    COMPLEX "*geqp3_" with_10;
    ALL "*sytrf_" with_9;
    COMPLEX "*hetrf_" with_9;
    ALL "*sysv_" with_12;
    COMPLEX "*hesv_" with_12;
};

/// The function for a routine, where it is one of these, and what counts it.
pub(super) fn entry(name: &str) -> Option<(*mut (), [&'static str; 2])> {
    rows().find_map(|(row, letter)| {
        let found = row.pattern.replace('*', letter) == name;
        found.then_some((row.enter.cast_mut(), [row.pattern, letter]))
    })
}

/// Their names.
pub(super) fn names() -> impl Iterator<Item = String> {
    rows().map(|(row, letter)| row.pattern.replace('*', letter))
}

fn rows() -> impl Iterator<Item = (&'static Row, &'static str)> {
    let of_row = |row: &'static Row| row.letters.iter().map(move |letter| (row, *letter));
    ROWS.iter().flat_map(of_row)
}
