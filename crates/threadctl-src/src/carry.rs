//! Calls that are carried: where the backend's own threads have to be watched while a routine runs, something has to be done
//! when it returns, so a jump will not do.
//!
//! The signatures of the routines are not known here, so a call is made again with all that may be an argument: the registers,
//! and a stretch of the caller's stack.
//!
//! Invariants: the routine sees the registers and the first [`WORDS`] words above its return address as its caller left them, and
//! the caller sees all registers in which a result may be. More arguments than that has no routine: those of LAPACK with most
//! arguments, the expert solvers with error bounds, have some 30, and hidden lengths of their flags.

use crate::names::COUNT;
use std::arch::naked_asm;
use std::sync::atomic::{AtomicPtr, Ordering};
use threadctl::Result;
use threadctl::backend::supply::{Carried, Slots, fill_or_carry};
use threadctl::{bring_arguments, keep_arguments};

/// What is to be run for a slot that holds [`carried`].
static CARRIED: [AtomicPtr<Carried>; 2 * COUNT] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; 2 * COUNT];

/// How much of the caller's stack is handed on.
const WORDS: usize = 56;

/// A page of x86-64.
const PAGE: usize = 4096;

/// What a call came with, and what it returns.
#[repr(C)]
struct Frame {
    vectors: [[u64; 2]; 8],
    /// In the order of arguments. Those that are results, rax and rdx, are put in the first two.
    integers: [u64; 6],
    rax: u64,
    r10: u64,
    /// The arguments on the stack.
    stack: *const u64,
    /// How many words of them may be read, at most [`WORDS`].
    words: usize,
}

/// Fills a slot.
pub(crate) fn fill(slots: Slots, slot: usize, name: &str, wide: bool) -> Result<*mut ()> {
    fill_or_carry(slots, slot, name, wide, &CARRIED[slot], carried as *mut ())
}

/// Jumped to by a trampoline whose slot has to be carried.
///
/// # Safety
/// Only a trampoline may jump here: the number of its slot is in r11, and what it is to run is in [`CARRIED`].
#[unsafe(naked)]
unsafe extern "C" fn carried() {
    naked_asm!(
        ".cfi_startproc",
        "push rbp",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset rbp, -16",
        "mov rbp, rsp",
        ".cfi_def_cfa_register rbp",
        "sub rsp, 208",
        keep_arguments!("rsp"),
        "lea rax, [rbp + 16]",
        "mov [rsp + 192], rax",
        "mov edi, r11d",
        "mov rsi, rsp",
        "call {run}",
        "movups xmm0, [rsp]",
        "movups xmm1, [rsp + 16]",
        "mov rax, [rsp + 128]",
        "mov rdx, [rsp + 136]",
        "mov rsp, rbp",
        "pop rbp",
        ".cfi_def_cfa rsp, 8",
        "ret",
        ".cfi_endproc",
        run = sym run
    )
}

/// Makes a call with what is in a frame, and puts its results there.
///
/// # Safety
/// `routine` may be called with these registers, and with these words on the stack.
#[unsafe(naked)]
unsafe extern "C" fn again(frame: *mut Frame, routine: *mut ()) {
    naked_asm!(
        ".cfi_startproc",
        "push rbp",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset rbp, -16",
        "mov rbp, rsp",
        ".cfi_def_cfa_register rbp",
        "push rbx",
        ".cfi_offset rbx, -24",
        "sub rsp, {room} + 8",
        "mov rbx, rdi",
        "mov r11, rsi",
        "mov rsi, [rbx + 192]",
        "mov rcx, [rbx + 200]",
        "mov rdi, rsp",
        "cld",
        "rep movsq",
        bring_arguments!("rbx"),
        "call r11",
        "movups [rbx], xmm0",
        "movups [rbx + 16], xmm1",
        "mov [rbx + 128], rax",
        "mov [rbx + 136], rdx",
        "lea rsp, [rbp - 8]",
        "pop rbx",
        "pop rbp",
        ".cfi_def_cfa rsp, 8",
        "ret",
        ".cfi_endproc",
        room = const 8 * WORDS
    )
}

/// Runs what a slot stands for.
extern "C" fn run(slot: u32, frame: *mut Frame) {
    let carried = CARRIED[slot as usize].load(Ordering::SeqCst);
    // SAFETY: set before the slot was, and never freed.
    let Some(carried) = (unsafe { carried.as_ref() }) else {
        // Not reached: a slot leads here only after it was set.
        std::process::abort();
    };
    // SAFETY: `carried` passes the frame that it is making, which nobody else has.
    unsafe { (*frame).words = readable((*frame).stack) };
    carried.run(|routine| {
        // SAFETY: the routine of the name that was called, with what it was called with. The words above the arguments that
        // it has are nothing to it.
        unsafe { again(frame, routine) }
    });
}

/// How many words there are to read above the return address, at most [`WORDS`]. A stack may end in less than that: those of
/// coroutines do.
fn readable(stack: *const u64) -> usize {
    let left = (PAGE - stack.addr() % PAGE) / size_of::<u64>();
    if left >= WORDS || is_mapped(stack.addr().next_multiple_of(PAGE)) {
        WORDS
    } else {
        left
    }
}

fn is_mapped(page: usize) -> bool {
    let mut resident = 0;
    let page = std::ptr::without_provenance_mut(page);
    // SAFETY: it reads nothing of the page, and writes one byte for it; what is not mapped is an error.
    unsafe { libc::mincore(page, PAGE, &raw mut resident) == 0 }
}
