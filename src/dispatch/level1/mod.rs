//! Level 1: vectors. Long ones are cut into parts, and what the parts give is put together in their order.

mod elementwise;
mod reductions;

use super::backend::Blas;
use super::grid::Cut;
use super::policy::vector::{Routine, stretch};
use super::ptr::Shared;
use super::scalar::Scalar;
use super::strided::Strided;
use crate::error::Result;
use smallvec::SmallVec;

/// So many results of parts fit the caller's stack.
const RESULTS: usize = 64;

impl Blas {
    /// Runs a routine over vectors of n elements: `call(n, starts)` where that is as good, else for each part, whose
    /// results `combine` puts together; if it cannot, the library is asked undivided.
    ///
    /// # Safety
    /// `call` may be called for all n elements, and from several threads for parts that have none in common.
    #[inline]
    unsafe fn vectors<T, R, const V: usize>(
        &self,
        routine: Routine,
        n: isize,
        vectors: [(*mut T, isize); V],
        call: impl Fn(isize, [*mut T; V]) -> R + Sync,
        combine: impl FnOnce(&Cut, &[R]) -> Option<R>,
    ) -> Result<R>
    where
        T: Scalar,
        R: Copy + Default + Send + Sync,
    {
        let mut integers = [n; 3];
        for (integer, (_, inc)) in integers[1..].iter_mut().zip(vectors) {
            *integer = inc;
        }
        self.check(routine.name(), &integers[..=V])?;
        let starts = vectors.map(|(start, _)| start);
        if let Some(done) = self.undivided::<T, R>(routine, n, || call(n, starts)) {
            return done;
        }
        let starts = vectors.map(|(start, _)| Shared::output(start));
        // SAFETY: the starts themselves.
        let through = || call(n, starts.each_ref().map(|start| unsafe { start.at_mut(0) }));
        let Some((cut, operands)) = self.cut_vectors(routine, n, vectors) else {
            return self.through(through);
        };
        let mut results: SmallVec<[R; RESULTS]> = SmallVec::from_elem(R::default(), cut.parts());
        let places = Shared::output(results.as_mut_ptr());
        self.tiles_of(routine.size::<T>(n), cut.parts(), &|tile| {
            let range = cut.part(tile);
            // SAFETY: parts of the vectors that no other tile has.
            let starts = operands
                .each_ref()
                .map(|operand| unsafe { operand.part(&range) });
            let result = call(range.len() as isize, starts);
            // SAFETY: there is a place for each tile.
            unsafe { places.at_mut(tile).write(result) };
        });
        match combine(&cut, &results) {
            Some(result) => Ok(result),
            None => self.through(through),
        }
    }

    /// The parts of vectors that can be cut.
    fn cut_vectors<T: Scalar, const V: usize>(
        &self,
        routine: Routine,
        n: isize,
        vectors: [(*mut T, isize); V],
    ) -> Option<(Cut, [Strided<T>; V])> {
        let n = usize::try_from(n).ok()?;
        let mut operands = [Strided::output(vectors[0].0, n, vectors[0].1)?; V];
        for (operand, (start, inc)) in operands.iter_mut().zip(vectors) {
            *operand = Strided::output(start, n, inc)?;
        }
        let usable = match operands.as_slice() {
            // Of a single vector, libraries take no elements where the increment is negative; or all, or one.
            [one] => one.inc() > 0,
            // Sums may be of a vector by itself.
            [one, other] => routine == Routine::Dot || one.apart_from([other.span()]),
            _ => false,
        };
        if !usable {
            return None;
        }
        let cut = self.shared(|pool| stretch::<T>(routine, n, pool))?;
        Some((cut, operands))
    }
}
