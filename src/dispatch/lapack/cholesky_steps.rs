//! The tiles of a Cholesky factorization by panels (pure): for the factorization itself, and for who measures or predicts it.
//!
//! Invariants: they depend on the order, on the size of the pool, and on whether the library is MKL, alone; the tiles of a step cover its panel, and the lower
//! triangle beyond it, none of it twice.

use crate::dispatch::backend::Blas;
use crate::dispatch::grid::Cut;
use crate::dispatch::policy::lapack::{Whole, numbers, panel};
use crate::dispatch::policy::{Part, Pool, Substitution, Triangle, along, substitution, triangle};
use crate::dispatch::scalar::Scalar;
use std::ops::Range;

/// A step of a factorization by panels of the lower triangle: see [`Blas::cholesky_steps`]. Rows and columns are the matrix's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CholeskyStep {
    /// The columns of the panel. The block on the diagonal that has these rows too was factored before.
    pub columns: Range<usize>,
    /// The rows of the panel, below that block, tile by tile: each is solved for with the block.
    pub panel: Vec<Range<usize>>,
    /// The next block on the diagonal: the square of its rows of the panel is taken from it, and it is factored, in one tile.
    pub next: Range<usize>,
    /// The other tiles: from these rows and columns the product of the panel's rows is taken. Where both are the same, a
    /// triangle is meant.
    pub update: Vec<(Range<usize>, Range<usize>)>,
}

/// What is cut beyond a panel `depth` wide: the triangle beyond the next block, if it is cut, and the strip beside that block.
pub(super) fn beyond<T: Scalar>(
    [order, next, depth]: [usize; 3],
    lower: bool,
    pool: Pool<'_>,
) -> (Option<Triangle>, Cut) {
    let beyond = order - next;
    let strip = along::<T>(beyond, next * depth, pool).unwrap_or_else(|| Cut::whole(beyond));
    (triangle::<T>(beyond, lower, depth, pool), strip)
}

impl Blas {
    /// The steps of [`potrf`](Blas::potrf) on the lower triangle of a matrix of that order in a pool of `width` workers; none where
    /// it is not done by panels. Pure: for measuring, and for pools that are wider than the machine.
    ///
    /// ```
    /// let steps = |blas: &threadctl::dispatch::Blas| blas.cholesky_steps::<f64>(2000, 64).len();
    /// # let _ = steps;
    /// ```
    pub fn cholesky_steps<T: Scalar>(&self, order: usize, width: usize) -> Vec<CholeskyStep> {
        if numbers().is_small_here::<T>(self.is_mkl(), Whole::Cholesky, [order; 3]) {
            return Vec::new();
        }
        steps::<T>(
            order,
            self.is_mkl(),
            Pool {
                width,
                least: self.least(),
                shapes: self.shapes(),
            },
        )
    }
}

fn steps<T: Scalar>(order: usize, mkl: bool, pool: Pool<'_>) -> Vec<CholeskyStep> {
    let Some(depth) = panel(order, mkl, pool) else {
        return Vec::new();
    };
    let mut steps = Vec::new();
    let mut start = 0;
    while start + depth < order {
        let end = start + depth;
        let rest = order - end;
        let next = depth.min(rest);
        let moved = |range: Range<usize>, by: usize| range.start + by..range.end + by;
        let cut = match substitution::<T>(depth, rest, pool) {
            Some(Substitution::Free(cut)) => cut,
            // A panel is never so wide that it is cut along its block.
            Some(Substitution::Blocks(_)) | None => Cut::whole(rest),
        };
        let (inner, strip) = beyond::<T>([rest, next, depth], true, pool);
        let first = end + next;
        let mut update: Vec<_> = match inner {
            Some(inner) => (0..inner.tiles())
                .map(|tile| match inner.tile(tile) {
                    Part::Diagonal(rows) => (moved(rows.clone(), first), moved(rows, first)),
                    Part::Rectangle(rows, columns) => (moved(rows, first), moved(columns, first)),
                })
                .collect(),
            None if first < order => vec![(first..order, first..order)],
            None => Vec::new(),
        };
        update.extend(
            (0..strip.parts()).map(|part| (moved(strip.part(part), first), end..end + next)),
        );
        steps.push(CholeskyStep {
            columns: start..end,
            panel: (0..cut.parts())
                .map(|part| moved(cut.part(part), end))
                .collect(),
            next: end..end + next,
            update,
        });
        start = end;
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tiles_of_a_step_cover_its_panel_and_the_triangle_beyond_it_once() {
        for (order, width, mkl) in [
            (400, 2, false),
            (400, 2, true),
            (1599, 2, false),
            (1599, 64, true),
            (1000, 7, false),
            (2049, 64, false),
        ] {
            let steps = steps::<f64>(order, mkl, Pool::built_in(width));
            assert!(!steps.is_empty(), "{order} of {width}");
            for step in &steps {
                let end = step.columns.end;
                let rows: usize = step.panel.iter().map(Range::len).sum();
                assert_eq!(rows, order - end);
                let mut times = vec![0_u8; order * order];
                let tiles = step
                    .update
                    .iter()
                    .cloned()
                    .chain([(step.next.clone(), step.next.clone())]);
                for (rows, columns) in tiles {
                    let triangle = rows == columns;
                    for column in columns {
                        for row in rows.clone().filter(|&row| !triangle || row >= column) {
                            times[column * order + row] += 1;
                        }
                    }
                }
                for column in 0..order {
                    for row in 0..order {
                        let inside = column >= end && row >= column;
                        assert_eq!(times[column * order + row], u8::from(inside));
                    }
                }
            }
        }
    }

    #[test]
    fn a_pool_of_one_worker_has_no_steps() {
        assert_eq!(steps::<f64>(1599, false, Pool::built_in(1)), []);
        assert_eq!(steps::<f64>(100, false, Pool::built_in(64)), []);
    }
}
