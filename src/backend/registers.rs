//! The registers that may carry arguments: kept and brought back by code of the faces that comes between a caller and its routine.
//!
//! Invariant: on x86-64 they are laid out in 192 bytes as `Frame` in `crates/threadctl-src/src/carry.rs` names them: eight vectors, the six
//! integers in the order of arguments, rax (al counts vectors), r10. On aarch64 in 208: eight vectors, the eight integers, and the place of
//! a result (x8).

/// Keeps them where a register points.
#[cfg(target_arch = "x86_64")]
#[doc(hidden)]
#[macro_export]
macro_rules! keep_arguments {
    ($at:literal) => {
        concat!(
            "movups [",
            $at,
            " + 0], xmm0\n",
            "movups [",
            $at,
            " + 16], xmm1\n",
            "movups [",
            $at,
            " + 32], xmm2\n",
            "movups [",
            $at,
            " + 48], xmm3\n",
            "movups [",
            $at,
            " + 64], xmm4\n",
            "movups [",
            $at,
            " + 80], xmm5\n",
            "movups [",
            $at,
            " + 96], xmm6\n",
            "movups [",
            $at,
            " + 112], xmm7\n",
            "mov [",
            $at,
            " + 128], rdi\n",
            "mov [",
            $at,
            " + 136], rsi\n",
            "mov [",
            $at,
            " + 144], rdx\n",
            "mov [",
            $at,
            " + 152], rcx\n",
            "mov [",
            $at,
            " + 160], r8\n",
            "mov [",
            $at,
            " + 168], r9\n",
            "mov [",
            $at,
            " + 176], rax\n",
            "mov [",
            $at,
            " + 184], r10\n",
        )
    };
}

/// Brings them back from where a register points.
#[cfg(target_arch = "x86_64")]
#[doc(hidden)]
#[macro_export]
macro_rules! bring_arguments {
    ($at:literal) => {
        concat!(
            "movups xmm0, [",
            $at,
            " + 0]\n",
            "movups xmm1, [",
            $at,
            " + 16]\n",
            "movups xmm2, [",
            $at,
            " + 32]\n",
            "movups xmm3, [",
            $at,
            " + 48]\n",
            "movups xmm4, [",
            $at,
            " + 64]\n",
            "movups xmm5, [",
            $at,
            " + 80]\n",
            "movups xmm6, [",
            $at,
            " + 96]\n",
            "movups xmm7, [",
            $at,
            " + 112]\n",
            "mov rdi, [",
            $at,
            " + 128]\n",
            "mov rsi, [",
            $at,
            " + 136]\n",
            "mov rdx, [",
            $at,
            " + 144]\n",
            "mov rcx, [",
            $at,
            " + 152]\n",
            "mov r8, [",
            $at,
            " + 160]\n",
            "mov r9, [",
            $at,
            " + 168]\n",
            "mov rax, [",
            $at,
            " + 176]\n",
            "mov r10, [",
            $at,
            " + 184]\n",
        )
    };
}

/// Keeps them where a register points.
#[cfg(target_arch = "aarch64")]
#[doc(hidden)]
#[macro_export]
macro_rules! keep_arguments {
    ($at:literal) => {
        concat!(
            "stp q0, q1, [",
            $at,
            ", #0]\n",
            "stp q2, q3, [",
            $at,
            ", #32]\n",
            "stp q4, q5, [",
            $at,
            ", #64]\n",
            "stp q6, q7, [",
            $at,
            ", #96]\n",
            "stp x0, x1, [",
            $at,
            ", #128]\n",
            "stp x2, x3, [",
            $at,
            ", #144]\n",
            "stp x4, x5, [",
            $at,
            ", #160]\n",
            "stp x6, x7, [",
            $at,
            ", #176]\n",
            "str x8, [",
            $at,
            ", #192]\n",
        )
    };
}

/// Brings them back from where a register points.
#[cfg(target_arch = "aarch64")]
#[doc(hidden)]
#[macro_export]
macro_rules! bring_arguments {
    ($at:literal) => {
        concat!(
            "ldp q0, q1, [",
            $at,
            ", #0]\n",
            "ldp q2, q3, [",
            $at,
            ", #32]\n",
            "ldp q4, q5, [",
            $at,
            ", #64]\n",
            "ldp q6, q7, [",
            $at,
            ", #96]\n",
            "ldp x0, x1, [",
            $at,
            ", #128]\n",
            "ldp x2, x3, [",
            $at,
            ", #144]\n",
            "ldp x4, x5, [",
            $at,
            ", #160]\n",
            "ldp x6, x7, [",
            $at,
            ", #176]\n",
            "ldr x8, [",
            $at,
            ", #192]\n",
        )
    };
}
