//! What a function that does nothing but return a constant returns, told by its machine code.
//!
//! Libraries keep facts about their build in such functions (`openblas_get_parallel`, `bli_info_get_version_str`).
//! From outside they cannot be called, but when all the instructions of a function are "put this constant into the
//! result register; return", then that is what it returns, in any process.
//!
//! Invariant: an answer is given only if every instruction from the first to the return is understood. No guess.

/// What kind of machine code it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Machine {
    X86_64,
    Aarch64,
}

/// Where a returned pointer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pointer {
    /// It is this address.
    Constant(u64),
    /// It is what stands at this address.
    LoadedFrom(u64),
}

/// As many bytes of a function as are ever looked at.
pub(super) const LENGTH: usize = 24;

/// The integer that the function with this code returns.
pub(super) fn integer(machine: Machine, code: &[u8]) -> Option<i32> {
    match machine {
        Machine::X86_64 => {
            let (_, body, framed) = x86_prologue(code);
            let (value, rest) = match *body {
                // xor eax, eax (both encodings)
                [0x31 | 0x33, 0xc0, ref rest @ ..] => (0, rest),
                // mov eax, imm32
                [0xb8, a, b, c, d, ref rest @ ..] => (i32::from_le_bytes([a, b, c, d]), rest),
                _ => return None,
            };
            x86_returns(rest, framed).then_some(value)
        }
        Machine::Aarch64 => {
            let (_, words) = arm_words(code);
            match words[..] {
                // movz w0, #imm16
                [word, RET, ..] if word & 0xffe0_001f == 0x5280_0000 => {
                    Some(((word >> 5) & 0xffff) as i32)
                }
                // mov w0, wzr
                [0x2a1f_03e0, RET, ..] => Some(0),
                _ => None,
            }
        }
    }
}

/// The pointer that the function with this code, mapped at `address`, returns.
pub(super) fn pointer(machine: Machine, code: &[u8], address: u64) -> Option<Pointer> {
    match machine {
        Machine::X86_64 => {
            let (skipped, body, framed) = x86_prologue(code);
            let [0x48, opcode, 0x05, a, b, c, d, rest @ ..] = body else {
                return None;
            };
            let next = address.wrapping_add(skipped + 7);
            let target = next.wrapping_add_signed(i32::from_le_bytes([*a, *b, *c, *d]).into());
            if !x86_returns(rest, framed) {
                return None;
            }
            match opcode {
                // lea rax, [rip + rel32]
                0x8d => Some(Pointer::Constant(target)),
                // mov rax, [rip + rel32]
                0x8b => Some(Pointer::LoadedFrom(target)),
                _ => None,
            }
        }
        Machine::Aarch64 => {
            let (skipped, words) = arm_words(code);
            let [adrp, second, RET, ..] = words[..] else {
                return None;
            };
            // adrp x0, page
            if adrp & 0x9f00_001f != 0x9000_0000 {
                return None;
            }
            let pages = (((adrp >> 5) & 0x7_ffff) << 2) | ((adrp >> 29) & 3);
            // 21 bits, the highest of which is the sign.
            let pages = i64::from((pages << 11).cast_signed() >> 11);
            let page = (address.wrapping_add(skipped) & !0xfff).wrapping_add_signed(pages << 12);
            let immediate = u64::from((second >> 10) & 0xfff);
            match second & 0xffc0_03ff {
                // add x0, x0, #imm12
                0x9100_0000 => Some(Pointer::Constant(page.wrapping_add(immediate))),
                // ldr x0, [x0, #imm12 * 8]
                0xf940_0000 => Some(Pointer::LoadedFrom(page.wrapping_add(immediate * 8))),
                _ => None,
            }
        }
    }
}

/// AArch64's return.
const RET: u32 = 0xd65f_03c0;

/// Steps over a landing pad and over a stack frame. Returns how far, what follows, and whether there is a frame to undo.
fn x86_prologue(code: &[u8]) -> (u64, &[u8], bool) {
    const ENDBR64: &[u8] = &[0xf3, 0x0f, 0x1e, 0xfa];
    // push rbp; mov rbp, rsp
    const FRAME: &[u8] = &[0x55, 0x48, 0x89, 0xe5];
    let landed = code.strip_prefix(ENDBR64).unwrap_or(code);
    let framed = landed.strip_prefix(FRAME);
    let body = framed.unwrap_or(landed);
    ((code.len() - body.len()) as u64, body, framed.is_some())
}

/// Whether this is the end of the function.
fn x86_returns(code: &[u8], framed: bool) -> bool {
    // pop rbp
    let code = if framed {
        code.strip_prefix(&[0x5d])
    } else {
        Some(code)
    };
    // ret, or repz ret
    code.is_some_and(|code| code.starts_with(&[0xc3]) || code.starts_with(&[0xf3, 0xc3]))
}

/// The instructions after a landing pad, and how far that is.
fn arm_words(code: &[u8]) -> (u64, Vec<u32>) {
    const BTI_C: u32 = 0xd503_245f;
    let mut words: Vec<u32> = code
        .as_chunks::<4>()
        .0
        .iter()
        .map(|word| u32::from_le_bytes(*word))
        .collect();
    if words.first() == Some(&BTI_C) {
        words.remove(0);
        return (4, words);
    }
    (0, words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Machine::{Aarch64, X86_64};

    #[test]
    fn constants_in_x86_code_are_read() {
        assert_eq!(integer(X86_64, &[0xb8, 2, 0, 0, 0, 0xc3]), Some(2));
        assert_eq!(integer(X86_64, &[0x31, 0xc0, 0xc3, 0x90]), Some(0));
        let landing_pad = [0xf3, 0x0f, 0x1e, 0xfa, 0xb8, 0xff, 0xff, 0xff, 0xff, 0xc3];
        assert_eq!(integer(X86_64, &landing_pad), Some(-1));
        let frame = [0x55, 0x48, 0x89, 0xe5, 0x31, 0xc0, 0x5d, 0xc3];
        assert_eq!(integer(X86_64, &frame), Some(0));
    }

    #[test]
    fn code_that_does_more_is_not_read() {
        // mov eax, 2; add eax, 1; ret
        assert_eq!(
            integer(X86_64, &[0xb8, 2, 0, 0, 0, 0x83, 0xc0, 1, 0xc3]),
            None
        );
        // A frame that is not undone.
        assert_eq!(
            integer(X86_64, &[0x55, 0x48, 0x89, 0xe5, 0x31, 0xc0, 0xc3]),
            None
        );
        assert_eq!(integer(X86_64, &[0xb8, 2, 0, 0, 0]), None, "cut off");
        assert_eq!(integer(X86_64, &[]), None);
        assert_eq!(
            pointer(X86_64, &[0x48, 0x8d, 0x05, 0, 0, 0, 0, 0x90], 0),
            None
        );
    }

    #[test]
    fn addresses_in_x86_code_count_from_the_next_instruction() {
        let lea = [0x48, 0x8d, 0x05, 0xcd, 0x86, 0x06, 0x00, 0xc3];
        assert_eq!(
            pointer(X86_64, &lea, 0x00ab_1480),
            Some(Pointer::Constant(0x00b1_9b54))
        );
        let back = [
            0xf3, 0x0f, 0x1e, 0xfa, 0x48, 0x8b, 0x05, 0xf5, 0xff, 0xff, 0xff, 0xc3,
        ];
        assert_eq!(
            pointer(X86_64, &back, 0x1000),
            Some(Pointer::LoadedFrom(0x1000))
        );
        assert_eq!(
            pointer(X86_64, &lea, u64::MAX),
            Some(Pointer::Constant(0x0006_86d3))
        );
    }

    #[test]
    fn aarch64_code_is_read() {
        let code = |words: &[u32]| -> Vec<u8> {
            words.iter().flat_map(|word| word.to_le_bytes()).collect()
        };
        assert_eq!(integer(Aarch64, &code(&[0x5280_0040, RET])), Some(2));
        assert_eq!(
            integer(Aarch64, &code(&[0xd503_245f, 0x5280_0000, RET])),
            Some(0)
        );
        assert_eq!(
            integer(Aarch64, &code(&[0x5280_0041, RET])),
            None,
            "another register"
        );
        // adrp x0, +1 page; add x0, x0, #0x10
        let add = code(&[0xb000_0000, 0x9100_4000, RET]);
        assert_eq!(
            pointer(Aarch64, &add, 0x1234),
            Some(Pointer::Constant(0x2010))
        );
        // adrp x0, -1 page; ldr x0, [x0, #8]
        let load = code(&[0xf0ff_ffe0, 0xf940_0400, RET]);
        assert_eq!(
            pointer(Aarch64, &load, 0x5678),
            Some(Pointer::LoadedFrom(0x4008))
        );
        // At the end of all addresses, where only a hostile file puts code.
        let add = code(&[0xb000_0000, 0x9100_4000, RET]);
        assert_eq!(
            pointer(Aarch64, &add, u64::MAX),
            Some(Pointer::Constant(0x10))
        );
    }
}
