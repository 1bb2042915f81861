//! What a symbol jumps to at its first call: find the routine, fill the slot, go on to it.
//!
//! Invariants: all registers that may carry an argument are as they were when the routine begins; the stack likewise.
//! Nothing unwinds out of [`find`] (`extern "C"` ends the process first).

use crate::names::of_slot;
use crate::trampolines::SLOTS;
use std::arch::naked_asm;
use std::sync::Once;
#[cfg(not(target_arch = "x86_64"))]
use threadctl::backend::supply::fill;
use threadctl::backend::supply::{Slots, register};
use threadctl::{bring_arguments, keep_arguments};

/// Jumped to by a trampoline whose slot is empty.
///
/// # Safety
/// Only a trampoline may jump here: the number of its slot is in r11.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn resolve() {
    // Six integers, al with the number of vector registers, r10, and eight vectors. The stack is 8 bytes off 16 on entry.
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "sub rsp, 208",
        keep_arguments!("rsp"),
        // What we jump to may ask for the number too.
        "mov [rsp + 192], r11",
        "mov edi, r11d",
        "call {find}",
        // To be found in the red zone when we have left, where signal handlers leave it alone.
        "mov [rsp + 200], rax",
        "mov r11, [rsp + 192]",
        bring_arguments!("rsp"),
        "mov rsp, rbp",
        "pop rbp",
        "jmp qword ptr [rsp - 16]",
        find = sym find
    )
}

/// Jumped to by a trampoline whose slot is empty.
///
/// # Safety
/// Only a trampoline may jump here: the number of its slot is in x17.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn resolve() {
    // Eight integers, the place of a result (x8), eight vectors, and the return address.
    naked_asm!(
        "stp x29, x30, [sp, #-16]!",
        "mov x29, sp",
        "sub sp, sp, #208",
        keep_arguments!("sp"),
        "mov w0, w17",
        "bl {find}",
        "mov x16, x0",
        bring_arguments!("sp"),
        "mov sp, x29",
        "ldp x29, x30, [sp], #16",
        "br x16",
        find = sym find
    )
}

/// Where the routine of a slot is.
extern "C" fn find(slot: u32) -> *mut () {
    static REGISTERED: Once = Once::new();
    let slots = Slots {
        slots: &SLOTS,
        empty: resolve as *mut (),
    };
    REGISTERED.call_once(|| register(slots, end));
    let slot = slot as usize;
    let Some((name, wide)) = of_slot(slot) else {
        // Not reached: there is a name for each slot.
        std::process::abort();
    };
    #[cfg(target_arch = "x86_64")]
    let found = crate::carry::fill(slots, slot, name, wide);
    #[cfg(not(target_arch = "x86_64"))]
    let found = fill(slots, slot, name, wide);
    match found {
        Ok(routine) => routine,
        Err(error) => end(&error),
    }
}

/// Ends a call that cannot be computed. There is no way to return an error from BLAS, and to return as if it had computed
/// would be a wrong number.
#[expect(clippy::print_stderr, reason = "the last words of the process")]
fn end(error: &threadctl::Error) -> ! {
    eprintln!("threadctl-src: {error}");
    std::process::abort()
}
