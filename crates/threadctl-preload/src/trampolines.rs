//! The symbols: a function for each, which asks where its caller's call leads and goes on there.
//!
//! Invariants: all registers that may carry an argument are as they were when the routine begins, and the stack likewise, so
//! it sees the call as its caller made it. What is changed are registers that the platforms' ABIs leave to such code between
//! caller and callee (r11; x16 and x17). Nothing unwinds out of [`lead`] (`extern "C"` ends the process first).

use crate::calls::lead;
use std::arch::naked_asm;
use threadctl::{bring_arguments, keep_arguments};

#[cfg(target_arch = "x86_64")]
macro_rules! trampoline {
    ($function:ident $symbol:literal $number:literal) => {
        #[unsafe(naked)]
        #[unsafe(export_name = $symbol)]
        unsafe extern "C" fn $function() {
            naked_asm!(
                "mov r11d, {number}",
                "jmp {go_on}",
                number = const $number,
                go_on = sym go_on
            )
        }
    };
}

#[cfg(target_arch = "aarch64")]
macro_rules! trampoline {
    ($function:ident $symbol:literal $number:literal) => {
        #[unsafe(naked)]
        #[unsafe(export_name = $symbol)]
        unsafe extern "C" fn $function() {
            naked_asm!(
                "movz w17, #{number}",
                "b {go_on}",
                number = const $number,
                go_on = sym go_on
            )
        }
    };
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("threadctl-preload knows x86-64 and aarch64");

include!(concat!(env!("OUT_DIR"), "/trampolines.rs"));

/// The symbol of a number.
pub(crate) fn symbol(number: u32) -> Option<&'static str> {
    SYMBOLS.lines().nth(number as usize)
}

/// # Safety
/// Only a trampoline may jump here: the number of its symbol is in r11.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
unsafe extern "C" fn go_on() {
    // Six integers, al with the number of vector registers, r10, and eight vectors. The stack is 8 bytes off 16 on entry, and
    // has the caller's address.
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "sub rsp, 192",
        keep_arguments!("rsp"),
        "mov edi, r11d",
        "mov rsi, [rbp + 8]",
        "call {lead}",
        "mov r11, rax",
        bring_arguments!("rsp"),
        "mov rsp, rbp",
        "pop rbp",
        "jmp r11",
        lead = sym lead
    )
}

/// # Safety
/// Only a trampoline may jump here: the number of its symbol is in x17.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
unsafe extern "C" fn go_on() {
    // Eight integers, the place of a result (x8), eight vectors, and the return address.
    naked_asm!(
        "stp x29, x30, [sp, #-16]!",
        "mov x29, sp",
        "sub sp, sp, #208",
        keep_arguments!("sp"),
        "mov w0, w17",
        "mov x1, x30",
        "bl {lead}",
        "mov x16, x0",
        bring_arguments!("sp"),
        "mov sp, x29",
        "ldp x29, x30, [sp], #16",
        "br x16",
        lead = sym lead
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_covered_routine_has_a_symbol_under_every_naming() {
        let here: BTreeSet<&str> = SYMBOLS.lines().collect();
        let known: Vec<String> = threadctl::backend::supply::own_symbols().collect();
        let known: BTreeSet<&str> = known.iter().map(String::as_str).collect();
        let missing: Vec<_> = known.difference(&here).collect();
        assert!(missing.is_empty(), "add to names.txt: {missing:?}");
        let extra: Vec<_> = here.difference(&known).collect();
        assert!(extra.is_empty(), "take out of names.txt: {extra:?}");
    }

    #[test]
    fn error_handlers_are_left_to_programs() {
        assert!(!SYMBOLS.lines().any(|symbol| symbol.contains("xerbla")));
    }

    #[test]
    fn a_number_has_its_symbol() {
        assert_eq!(symbol(0), SYMBOLS.lines().next());
        assert_eq!(symbol(u32::MAX), None);
    }
}
