//! The symbols: a function for each, which asks where its caller's call leads and goes on there.
//!
//! Invariants: all registers that may carry an argument are as they were when the routine begins, and the stack likewise, so
//! it sees the call as its caller made it. What is changed are registers that the platforms' ABIs leave to such code between
//! caller and callee (r11; x16 and x17). Nothing unwinds out of [`lead`] (`extern "C"` ends the process first).

use crate::calls::lead;
use std::arch::naked_asm;

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
        "movups [rsp], xmm0",
        "movups [rsp + 16], xmm1",
        "movups [rsp + 32], xmm2",
        "movups [rsp + 48], xmm3",
        "movups [rsp + 64], xmm4",
        "movups [rsp + 80], xmm5",
        "movups [rsp + 96], xmm6",
        "movups [rsp + 112], xmm7",
        "mov [rsp + 128], rdi",
        "mov [rsp + 136], rsi",
        "mov [rsp + 144], rdx",
        "mov [rsp + 152], rcx",
        "mov [rsp + 160], r8",
        "mov [rsp + 168], r9",
        "mov [rsp + 176], rax",
        "mov [rsp + 184], r10",
        "mov edi, r11d",
        "mov rsi, [rbp + 8]",
        "call {lead}",
        "mov r11, rax",
        "movups xmm0, [rsp]",
        "movups xmm1, [rsp + 16]",
        "movups xmm2, [rsp + 32]",
        "movups xmm3, [rsp + 48]",
        "movups xmm4, [rsp + 64]",
        "movups xmm5, [rsp + 80]",
        "movups xmm6, [rsp + 96]",
        "movups xmm7, [rsp + 112]",
        "mov rdi, [rsp + 128]",
        "mov rsi, [rsp + 136]",
        "mov rdx, [rsp + 144]",
        "mov rcx, [rsp + 152]",
        "mov r8, [rsp + 160]",
        "mov r9, [rsp + 168]",
        "mov rax, [rsp + 176]",
        "mov r10, [rsp + 184]",
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
        "stp q0, q1, [sp]",
        "stp q2, q3, [sp, #32]",
        "stp q4, q5, [sp, #64]",
        "stp q6, q7, [sp, #96]",
        "stp x0, x1, [sp, #128]",
        "stp x2, x3, [sp, #144]",
        "stp x4, x5, [sp, #160]",
        "stp x6, x7, [sp, #176]",
        "str x8, [sp, #192]",
        "mov w0, w17",
        "mov x1, x30",
        "bl {lead}",
        "mov x16, x0",
        "ldp q0, q1, [sp]",
        "ldp q2, q3, [sp, #32]",
        "ldp q4, q5, [sp, #64]",
        "ldp q6, q7, [sp, #96]",
        "ldp x0, x1, [sp, #128]",
        "ldp x2, x3, [sp, #144]",
        "ldp x4, x5, [sp, #160]",
        "ldp x6, x7, [sp, #176]",
        "ldr x8, [sp, #192]",
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
