//! What calls of one routine took, by how large they were: whether the next one is worth asking idle workers for.
//!
//! Invariants: one word says of which size it is and what that took, so it is read and written whole; where two sizes fall together, or
//! two calls come at once, the last one's word stays.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Calls that take less work than this, in nanoseconds, are not worth waiting for workers.
const WORTH: u64 = 2_000_000;

/// Of a call whose size is not known, what takes less than this, in nanoseconds, may be a question for the size of a workspace, which says
/// nothing of the call that follows it,
const QUESTION: u64 = 20_000;

/// unless as many came one after the other: then it is what this routine is called for.
const SHORTS: u32 = 8;

/// How many sizes are remembered, at most.
const CELLS: usize = 32;

/// In nanoseconds: what is remembered is counted in these.
const UNIT: u64 = 1024;

/// How large a call is: equal for those that take about the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// It asks for the size of a workspace.
    Question,
    /// Flags and sizes, mixed.
    Known(u32),
    Unknown,
}

impl Size {
    /// Of nothing yet.
    pub(crate) const NONE: Size = Size::Known(0);

    /// With another flag.
    pub(crate) fn with_flag(self, letter: u8) -> Self {
        self.with(u32::from(letter & 0x1f))
    }

    /// With another number of rows, of columns ...: those that are within half of a power of two of each other are the same.
    pub(crate) fn with_size(self, size: i32) -> Self {
        let size = size.max(0).cast_unsigned();
        let bits = u32::BITS - size.leading_zeros();
        let next = if bits > 1 {
            (size >> (bits - 2)) & 1
        } else {
            0
        };
        self.with(2 * bits + next)
    }

    fn with(self, number: u32) -> Self {
        match self {
            Size::Known(key) => {
                Size::Known((key.rotate_left(7) ^ number).wrapping_mul(0x9e37_79b1))
            }
            other => other,
        }
    }
}

/// Of one routine of one library.
#[derive(Debug)]
pub(crate) struct History {
    /// The upper half is the size, the lower what it took.
    known: [AtomicU64; CELLS],
    unknown: AtomicU64,
    /// How many calls of unknown size were so short, without a longer one between them.
    shorts: AtomicU32,
}

impl History {
    pub(crate) const fn new() -> Self {
        History {
            known: [const { AtomicU64::new(0) }; CELLS],
            unknown: AtomicU64::new(0),
            shorts: AtomicU32::new(0),
        }
    }

    /// Whether a call is worth asking workers for. One of which nothing is known is, so that it becomes known.
    pub(crate) fn is_worth_it(&self, size: Size) -> bool {
        let work = match size {
            Size::Question => return false,
            Size::Known(key) => {
                let word = self.known[cell(key)].load(Ordering::Relaxed);
                if word >> 32 == u64::from(key) {
                    (word & u64::from(u32::MAX)) * UNIT
                } else {
                    0
                }
            }
            Size::Unknown if self.shorts.load(Ordering::Relaxed) >= SHORTS => return false,
            Size::Unknown => self.unknown.load(Ordering::Relaxed),
        };
        work == 0 || work >= WORTH
    }

    /// A call took so long, in nanoseconds and at least, on so many threads.
    pub(crate) fn took(&self, size: Size, time: u64, threads: usize) {
        let work = time.saturating_mul(threads as u64);
        match size {
            Size::Question => {}
            Size::Known(key) => {
                let work = (work / UNIT).clamp(1, u64::from(u32::MAX));
                let word = u64::from(key) << 32 | work;
                self.known[cell(key)].store(word, Ordering::Relaxed);
            }
            Size::Unknown if time < QUESTION => {
                let shorts = self.shorts.load(Ordering::Relaxed);
                if shorts < SHORTS {
                    self.shorts.store(shorts + 1, Ordering::Relaxed);
                }
            }
            Size::Unknown => {
                self.shorts.store(0, Ordering::Relaxed);
                self.unknown.store(work, Ordering::Relaxed);
            }
        }
    }
}

/// A clock for calls that may be very short: the system's takes as long as they do.
pub(crate) struct Cheap {
    #[cfg(target_arch = "x86_64")]
    ticks: u64,
    #[cfg(not(target_arch = "x86_64"))]
    time: std::time::Instant,
}

impl Cheap {
    /// The processor's counter of time goes no faster than so many times in a nanosecond on any machine; mostly it goes half as fast.
    #[cfg(target_arch = "x86_64")]
    const FASTEST: u64 = 5;

    #[cfg(target_arch = "x86_64")]
    fn ticks() -> u64 {
        // SAFETY: every processor of this kind has it.
        unsafe { std::arch::x86_64::_rdtsc() }
    }

    #[cfg(target_arch = "x86_64")]
    pub(crate) fn now() -> Self {
        Cheap {
            ticks: Self::ticks(),
        }
    }

    /// How many nanoseconds have passed since at least.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn at_least(&self) -> u64 {
        // Counters of two processors may differ by a little.
        Self::ticks().saturating_sub(self.ticks) / Self::FASTEST
    }

    #[cfg(not(target_arch = "x86_64"))]
    pub(crate) fn now() -> Self {
        Cheap {
            time: std::time::Instant::now(),
        }
    }

    /// How many nanoseconds have passed since at least.
    #[cfg(not(target_arch = "x86_64"))]
    pub(crate) fn at_least(&self) -> u64 {
        u64::try_from(self.time.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

fn cell(key: u32) -> usize {
    key as usize % CELLS
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: u64 = 10 * WORTH;

    fn of(flag: u8, size: i32) -> Size {
        Size::NONE.with_flag(flag).with_size(size)
    }

    #[test]
    fn each_size_is_remembered_by_itself() {
        let history = History::new();
        let (small, large) = (of(b'N', 10), of(b'N', 1000));
        assert!(history.is_worth_it(small) && history.is_worth_it(large));
        history.took(small, 5_000, 1);
        history.took(large, LONG, 1);
        for _ in 0..100 {
            assert!(!history.is_worth_it(small) && history.is_worth_it(large));
            history.took(small, 5_000, 1);
        }
        assert!(history.is_worth_it(of(b'V', 10)), "with other flags");
        assert!(!history.is_worth_it(of(b'n', 11)), "almost the same");
        history.took(large, WORTH / 2 - UNIT, 2);
        assert!(!history.is_worth_it(large));
    }

    #[test]
    fn questions_say_nothing_and_are_not_worth_it() {
        let history = History::new();
        assert!(!history.is_worth_it(Size::Question));
        history.took(Size::Question, LONG, 1);
        assert!(!history.is_worth_it(Size::Question) && history.is_worth_it(Size::Unknown));
    }

    #[test]
    fn short_calls_of_unknown_size_are_believed_when_they_come_one_after_the_other() {
        let history = History::new();
        for _ in 0..3 {
            for call in 0..SHORTS {
                assert!(history.is_worth_it(Size::Unknown), "after {call}");
                history.took(Size::Unknown, QUESTION - 1, 1);
            }
            assert!(!history.is_worth_it(Size::Unknown));
            history.took(Size::Unknown, LONG, 1);
            assert!(history.is_worth_it(Size::Unknown));
        }
        history.took(Size::Unknown, QUESTION, 1);
        assert!(!history.is_worth_it(Size::Unknown), "known to be short");
    }

    #[test]
    fn sizes_that_are_near_are_the_same() {
        let size = |size| Size::NONE.with_size(size);
        assert!(size(-1) == size(0) && size(512) == size(767) && size(128) == size(191));
        assert!(size(767) != size(768) && size(1) != size(0) && size(2) != size(1));
        assert!(Size::NONE.with_size(3).with_size(200) != Size::NONE.with_size(200).with_size(3));
        assert_eq!(Size::Unknown.with_size(5), Size::Unknown);
    }
}
