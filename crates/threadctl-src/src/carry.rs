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
use std::cell::Cell;
use std::mem::MaybeUninit;
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
    let here = stack.addr();
    let left = (PAGE - here % PAGE) / size_of::<u64>();
    let all = || {
        is_own_stack(here, here + WORDS * size_of::<u64>())
            || is_mapped(here.next_multiple_of(PAGE))
    };
    if left >= WORDS || all() { WORDS } else { left }
}

thread_local! {
    /// From where to where the stack of this thread is, once somebody has asked; coroutines have others.
    static OWN: Cell<Option<(usize, usize)>> = const { Cell::new(None) };
}

/// Whether this is on the stack that the system gave the calling thread, which is mapped from where it is used to its end. To
/// ask the kernel at each call would take a hundred times as long.
fn is_own_stack(from: usize, to: usize) -> bool {
    let (bottom, top) = OWN.get().unwrap_or_else(|| {
        let own = own_stack().unwrap_or_default();
        OWN.set(Some(own));
        own
    });
    bottom <= from && to <= top
}

fn own_stack() -> Option<(usize, usize)> {
    let mut attributes = MaybeUninit::uninit();
    let (mut bottom, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: a place for the attributes of the calling thread, which are read and destroyed if they were written.
    let found = unsafe {
        libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) == 0 && {
            let attributes = attributes.as_mut_ptr();
            let found = libc::pthread_attr_getstack(attributes, &raw mut bottom, &raw mut size);
            libc::pthread_attr_destroy(attributes);
            found == 0
        }
    };
    found.then(|| (bottom.addr(), bottom.addr() + size))
}

fn is_mapped(page: usize) -> bool {
    let mut resident = 0;
    let page = std::ptr::without_provenance_mut(page);
    // SAFETY: it reads nothing of the page, and writes one byte for it; what is not mapped is an error.
    unsafe { libc::mincore(page, PAGE, &raw mut resident) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_knows_its_own_stack_and_no_other() {
        let local = 0_u64;
        let here = (&raw const local).addr();
        assert!(is_own_stack(here, here + size_of::<u64>()));
        let elsewhere = Box::new(0_u64);
        let there = (&raw const *elsewhere).addr();
        assert!(!is_own_stack(there, there + size_of::<u64>()));
        let above = OWN.get().map_or(0, |(_, top)| top);
        assert!(above > here && !is_own_stack(here, above + 1));
        let other = std::thread::spawn(move || is_own_stack(here, here + size_of::<u64>()));
        assert!(!other.join().is_ok_and(|own| own));
    }

    #[test]
    fn a_stack_that_ends_is_read_to_its_end_only() {
        // SAFETY: two new pages, of which the second is made unreadable; given back below.
        let pages = unsafe {
            let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let pages = libc::mmap(std::ptr::null_mut(), 2 * PAGE, access, anonymous, -1, 0);
            assert_ne!(pages, libc::MAP_FAILED);
            assert_eq!(libc::munmap(pages.byte_add(PAGE), PAGE), 0);
            pages
        };
        let words = |words: usize| {
            let end = pages.wrapping_byte_add(PAGE).cast::<u64>();
            readable(end.wrapping_sub(words))
        };
        assert_eq!(
            [words(3), words(WORDS), words(WORDS + 1)],
            [3, WORDS, WORDS]
        );
        // SAFETY: as above.
        assert_eq!(unsafe { libc::munmap(pages, PAGE) }, 0);
    }
}
