//! Level 3 through dispatch allocates at most once a call, however many tiles there are.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    reason = "a test fails by panicking; sizes are small"
)]

mod common;
#[path = "common/level3.rs"]
mod level3;
#[path = "common/reference.rs"]
mod reference;
#[path = "common/tiles.rs"]
mod tiles;

use level3::{ALL, Case};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: the system's allocator, with a count beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: our caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn a_call_allocates_once() {
    tiles::on("a_call_allocates_once", "scipy-openblas32", |blas| {
        let before = ALLOCATIONS.get();
        drop(std::hint::black_box(Box::new(0)));
        assert_eq!(ALLOCATIONS.get() - before, 1, "they are counted");
        for case in ALL.into_iter().flat_map(Case::all::<f64>) {
            let case = Case {
                shape: [40, 40, 40],
                ..case
            };
            let mut operands = case.operands::<f64>();
            // What a thread needs once.
            case.call(blas, &mut operands);
            let allocations: Vec<usize> = (0..9)
                .map(|_| {
                    let before = ALLOCATIONS.get();
                    case.call(blas, &mut operands);
                    ALLOCATIONS.get() - before
                })
                .collect();
            // A call that takes milliseconds, on a busy machine, offers its tiles again: not most of them.
            let once = allocations.iter().filter(|&&count| count <= 1).count();
            assert!(once >= 5, "{case:?}: {allocations:?} allocations");
        }
    });
}
