//! Where a call leads: found out once for each place that calls, and remembered.
//!
//! By place, and not by symbol alone, because one process can have several libraries under the same names, each of them meant
//! by other callers.
//!
//! Invariants: a cell of the memory is empty, or has an answer that never changes and is never freed, so it is read without a
//! lock, in forked children too; no cell is taken from one that has it.

use crate::report;
use crate::trampolines::symbol;
use std::sync::atomic::{AtomicPtr, Ordering};
use threadctl::backend::supply::Own;

/// A place that calls a symbol, and where its calls lead.
struct Answer {
    number: u32,
    caller: usize,
    own: Own,
}

/// A power of two: LAPACK alone calls BLAS from some ten thousand places.
const CELLS: usize = 1 << 15;

/// So many cells are looked at for one place.
const STEPS: usize = 8;

static MEMORY: [AtomicPtr<Answer>; CELLS] = [const { AtomicPtr::new(std::ptr::null_mut()) }; CELLS];

/// The address that a call of this symbol from there goes on to.
pub(crate) extern "C" fn lead(number: u32, caller: usize) -> *mut () {
    let first = cell(number, caller);
    for step in 0..STEPS {
        let answer = MEMORY[(first + step) % CELLS].load(Ordering::Acquire);
        // SAFETY: null, or made by `find` from a box that is never freed.
        match unsafe { answer.as_ref() } {
            Some(answer) if answer.caller == caller && answer.number == number => {
                answer.own.choose();
                return answer.own.address();
            }
            Some(_) => {}
            None => break,
        }
    }
    find(number, caller)
}

/// Where to begin to look.
fn cell(number: u32, caller: usize) -> usize {
    // Callers lie close together, symbols likewise: the upper bits of a product by the golden ratio tell them apart.
    let mixed = (caller ^ ((number as usize) << 40)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed >> (usize::BITS - CELLS.trailing_zeros())
}

#[cold]
fn find(number: u32, caller: usize) -> *mut () {
    report::begin();
    let Some(symbol) = symbol(number) else {
        // Not reached: there is a symbol for each number.
        std::process::abort();
    };
    let own = match Own::of(symbol, caller) {
        Ok(own) => own,
        Err(error) => report::end(&error),
    };
    let answer = Box::into_raw(Box::new(Answer {
        number,
        caller,
        own,
    }));
    let first = cell(number, caller);
    let empty = std::ptr::null_mut();
    let kept = (0..STEPS).any(|step| {
        let cell = &MEMORY[(first + step) % CELLS];
        let put = cell.compare_exchange(empty, answer, Ordering::AcqRel, Ordering::Relaxed);
        put.is_ok()
    });
    if !kept {
        // SAFETY: made above, and in no cell.
        drop(unsafe { Box::from_raw(answer) });
    }
    own.choose();
    own.address()
}
