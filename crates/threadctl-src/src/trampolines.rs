//! The symbols: a function for each name, which jumps to what its slot holds.
//!
//! Invariants: a trampoline changes no register that may carry an argument and leaves the stack as it is, so whatever it
//! jumps to sees the call as its caller made it. The two registers that it does change are those that the platforms' ABIs
//! leave to such code between caller and callee (r11; x16 and x17). A slot holds the address of a routine, or of
//! [`resolve`], or of what carries calls (`carry.rs`), which read the number of the slot from r11 (x17).

use crate::names::COUNT;
use crate::resolve::resolve;
use std::arch::naked_asm;
use std::sync::atomic::AtomicPtr;

/// What the symbols jump to: first those with 32-bit integers, in the order of the names, then those with 64.
pub(crate) static SLOTS: [AtomicPtr<()>; 2 * COUNT] =
    [const { AtomicPtr::new(resolve as *mut ()) }; 2 * COUNT];

#[cfg(target_arch = "x86_64")]
macro_rules! trampoline {
    ($function:ident $name:literal $slot:literal) => {
        #[unsafe(naked)]
        #[unsafe(export_name = $name)]
        unsafe extern "C" fn $function() {
            naked_asm!(
                "mov r11d, {slot}",
                "jmp qword ptr [rip + {slots} + 8 * {slot}]",
                slot = const $slot,
                slots = sym SLOTS
            )
        }
    };
}

#[cfg(target_arch = "aarch64")]
macro_rules! trampoline {
    ($function:ident $name:literal $slot:literal) => {
        #[unsafe(naked)]
        #[unsafe(export_name = $name)]
        unsafe extern "C" fn $function() {
            naked_asm!(
                "movz w17, #{slot}",
                "adrp x16, {slots} + 8 * {slot}",
                "ldr x16, [x16, :lo12:{slots} + 8 * {slot}]",
                "br x16",
                slot = const $slot,
                slots = sym SLOTS
            )
        }
    };
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("threadctl-src knows x86-64 and aarch64");

include!(concat!(env!("OUT_DIR"), "/trampolines.rs"));
