//! The ways in which a call runs: as it is, or tile by tile.

use super::backend::Blas;
use super::policy::vector::Routine;
use super::policy::{Pool, Size};
use super::share::{share_kernels, width};
use super::under_way::{self, Kept, Mark, UnderWay};
use crate::error::Result;

impl Blas {
    /// Refuses integers that the library's cannot hold.
    #[inline]
    pub(super) fn check(&self, routine: &str, integers: &[isize]) -> Result<()> {
        if self.kernels::<f64>().fit(integers) {
            Ok(())
        } else {
            Err(self.too_large(routine, integers))
        }
    }

    /// A call that is too small for threads of any library. That is for gemm and routines of levels 1 and 2 only: of the
    /// others OpenBLAS gives some (syr2k, trmm, trsm) to threads from 2 x 2 on.
    #[inline]
    pub(super) fn tiny<R>(&self, call: impl FnOnce() -> R) -> Result<R> {
        if self.tiny_is_free() {
            Ok(call())
        } else {
            self.through(call)
        }
    }

    /// A call that is not cut, and whose caller is not counted: others neither wait for its core nor leave theirs to it.
    ///
    /// Most are small, and counting would cost more than it saves. Of the large ones, in a pool of one worker nobody could
    /// help, and outside callers share that core by the kernel's scheduler as they would share a queue. Those with arguments
    /// that BLAS forbids end in the library's error handler, which may be the program's own and leave by `longjmp` (R's
    /// does); a count would never be put right. What remains are operands that overlap, and routines without factors
    /// (alpha = 0): rare, and not known from those before the library has looked at them.
    #[inline(never)]
    pub(super) fn through<R>(&self, call: impl FnOnce() -> R) -> Result<R> {
        if self.needs_nothing() {
            return Ok(call());
        }
        let mark = Mark(0);
        let _under_way = UnderWay::begin(&mark, || Kept::held(self.held()));
        Ok(call())
    }

    /// A call of level 1 or 2 on so many elements, if these are too few to be shared in any pool.
    #[inline]
    pub(super) fn undivided<T, R>(
        &self,
        routine: Routine,
        elements: isize,
        call: impl FnOnce() -> R,
    ) -> Option<Result<R>> {
        if elements <= routine.alone() {
            Some(self.tiny(call))
        } else if routine.undivided::<T>(elements, self.least()) {
            Some(self.through(call))
        } else {
            None
        }
    }

    /// The plan of a call that can be cut, for the pool that the caller is in.
    pub(super) fn shared<P>(&self, plan: impl FnOnce(Pool<'_>) -> Option<P>) -> Option<P> {
        let least = self.least();
        self.shares().then(|| {
            plan(Pool {
                width: width(),
                least,
                shapes: self.shapes(),
            })
        })?
    }

    /// Runs tiles of the caller's own as a call of this library, under the limits on it: to see how many threads such a call
    /// has. Not for programs.
    #[doc(hidden)]
    pub fn simulate_call<F: Fn(usize) + Sync>(&self, count: usize, tile: F) {
        self.tiles(count, &tile);
    }

    /// Runs the tiles, each held at one thread.
    pub(super) fn tiles(&self, count: usize, tile: &(dyn Fn(usize) + Sync)) {
        self.tiles_of(Size::Large, count, tile);
    }

    /// The same for a call of that size.
    pub(super) fn tiles_of(&self, size: Size, count: usize, tile: &(dyn Fn(usize) + Sync)) {
        under_way::see();
        share_kernels(count, size == Size::Brief, self.most(), &|index| {
            let _held = self.held();
            tile(index);
        });
    }
}
