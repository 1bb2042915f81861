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
use threadctl::backend::supply::{Carried, SHORT, Slots, fill_or_carry};
use threadctl::{bring_arguments, keep_arguments};

/// What is to be run for a slot that holds [`carried`].
static CARRIED: [AtomicPtr<Carried>; 2 * COUNT] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; 2 * COUNT];

/// The routine itself, for a slot that holds one of [`BY_LENGTH`].
static ROUTINES: [AtomicPtr<()>; 2 * COUNT] =
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

impl Frame {
    /// What was passed for an argument, where all before it are integers or addresses.
    ///
    /// # Safety
    /// The frame is that of a call under way.
    unsafe fn argument(&self, place: usize) -> Option<usize> {
        if let Some(register) = self.integers.get(place) {
            return Some(*register as usize);
        }
        let word = place - self.integers.len();
        // SAFETY: so many words may be read.
        (word < self.words).then(|| unsafe { self.stack.wrapping_add(word).read() as usize })
    }
}

/// Fills a slot.
pub(crate) fn fill(slots: Slots, slot: usize, name: &str, wide: bool) -> Result<*mut ()> {
    let by_length = begins_with_length(name).then(|| {
        let code = BY_LENGTH[usize::from(name.starts_with("cblas_"))][usize::from(wide)];
        (&ROUTINES[slot], code as *mut ())
    });
    let carry = (&CARRIED[slot], carried as *mut ());
    fill_or_carry(slots, slot, name, wide, carry, by_length)
}

/// Whether the first argument of a routine that dispatch does not cover is the length of the vectors that it is about.
fn begins_with_length(name: &str) -> bool {
    const ROUTINES: &[&str] = &[
        "dsdot", "sdsdot", "srot", "drot", "csrot", "zdrot", "srotm", "drotm",
    ];
    let name = name.strip_prefix("cblas_").or(name.strip_suffix('_'));
    name.is_some_and(|name| ROUTINES.contains(&name))
}

/// Defines code that a trampoline jumps to whose slot has to be carried unless the vectors are short.
macro_rules! by_length {
    ($($function:ident $compare:literal;)*) => {$(
        /// # Safety
        /// Only a trampoline may jump here: the number of its slot is in r11, and what to go on to is in [`ROUTINES`] and [`CARRIED`].
        #[unsafe(naked)]
        unsafe extern "C" fn $function() {
            naked_asm!(
                ".cfi_startproc",
                $compare,
                "jg {carried}",
                "push rax",
                ".cfi_adjust_cfa_offset 8",
                "lea rax, [rip + {routines}]",
                "mov r11, [rax + 8 * r11]",
                "pop rax",
                ".cfi_adjust_cfa_offset -8",
                "jmp r11",
                ".cfi_endproc",
                short = const SHORT,
                carried = sym carried,
                routines = sym ROUTINES
            )
        }
    )*};
}

by_length! {
    by_length_of_32_bits "cmp dword ptr [rdi], {short}";
    by_length_of_64_bits "cmp qword ptr [rdi], {short}";
    by_value_of_32_bits "cmp edi, {short}";
    by_value_of_64_bits "cmp rdi, {short}";
}

/// For routines of Fortran, to which the place of a number is passed, and of CBLAS; with 32-bit integers, and with 64.
const BY_LENGTH: [[unsafe extern "C" fn(); 2]; 2] = [
    [by_length_of_32_bits, by_length_of_64_bits],
    [by_value_of_32_bits, by_value_of_64_bits],
];

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
    // SAFETY: the frame has what the routine was called with.
    unsafe {
        carried.run(
            |place| (*frame).argument(place),
            // The words above the arguments that it has are nothing to it.
            |routine| again(frame, routine),
        );
    }
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
    fn routines_that_begin_with_a_length_are_told_by_their_names() {
        let known = ["dsdot_", "cblas_sdsdot", "srot_", "cblas_drotm"];
        assert!(known.into_iter().all(begins_with_length));
        let other = [
            "drotg_",
            "drotmg_",
            "cblas_drotg",
            "drot",
            "dgemm_",
            "dlasrt_",
        ];
        assert!(!other.into_iter().any(begins_with_length));
    }

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
