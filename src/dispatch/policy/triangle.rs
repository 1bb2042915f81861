//! The tiles of one triangle of a matrix: blocks on its diagonal, and rectangles beside them.

use super::Pool;
use super::weight;
use crate::dispatch::scalar::Scalar;
use crate::dispatch::tuning::Family;
use std::ops::Range;

/// A triangle cut into strips of columns: of each, the block on the diagonal is one tile, and what is beside it one or
/// more. The rectangles come first, the largest of them foremost; the blocks, which are half of a square, last.
///
/// In halves of a block, of which the triangle has `b^2` with `b` blocks a side: squares of one block are 2 each and blocks on
/// the diagonal 1, so that with `b` the size of the pool every worker can have `b` of them. Strips that are not cut are up
/// to `2 b` each: with `b` twice the size of the pool the longest is no more than one worker's share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Triangle {
    order: usize,
    lower: bool,
    /// Rows and columns of a block.
    size: usize,
    blocks: usize,
    /// How many blocks of a strip make a rectangle.
    group: usize,
    /// Whether rectangles are cut in two, across their columns.
    halved: bool,
}

/// A tile of a triangle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// These rows and columns, of which one triangle is meant.
    Diagonal(Range<usize>),
    /// These rows and these columns.
    Rectangle(Range<usize>, Range<usize>),
}

impl Triangle {
    /// How many tiles there are.
    pub fn tiles(&self) -> usize {
        let rectangles: usize = (1..self.blocks).map(|long| self.pieces(long)).sum();
        rectangles * (1 + usize::from(self.halved)) + self.blocks
    }

    /// One of them.
    pub fn tile(&self, index: usize) -> Part {
        if !self.halved {
            return self.whole_tile(index);
        }
        let blocks = self.tiles() - self.blocks;
        if index >= blocks {
            return self.whole_tile(index - blocks / 2);
        }
        match self.whole_tile(index / 2) {
            Part::Rectangle(rows, cols) => {
                let middle = cols.start + cols.len().div_ceil(2);
                let half = if index.is_multiple_of(2) {
                    cols.start..middle
                } else {
                    middle..cols.end
                };
                Part::Rectangle(rows, half)
            }
            diagonal @ Part::Diagonal(_) => diagonal,
        }
    }

    /// One of those there would be if rectangles were not cut in two.
    fn whole_tile(&self, index: usize) -> Part {
        let mut left = index;
        for long in (1..self.blocks).rev() {
            let pieces = self.pieces(long);
            if left < pieces {
                let first = left * self.group;
                let last = (first + self.group).min(long);
                return if self.lower {
                    let strip = self.blocks - 1 - long;
                    Part::Rectangle(
                        self.lines(strip + 1 + first..strip + 1 + last),
                        self.lines(strip..strip + 1),
                    )
                } else {
                    Part::Rectangle(self.lines(first..last), self.lines(long..long + 1))
                };
            }
            left -= pieces;
        }
        Part::Diagonal(self.lines(left..left + 1))
    }

    /// The rectangles of a strip that is so many blocks long beside the diagonal.
    fn pieces(&self, long: usize) -> usize {
        long.div_ceil(self.group)
    }

    fn lines(&self, blocks: Range<usize>) -> Range<usize> {
        blocks.start * self.size..(blocks.end * self.size).min(self.order)
    }
}

/// The tiles of a triangle of that order whose elements cost `depth` pairs each; `None`: through.
pub(crate) fn triangle<T: Scalar>(
    order: usize,
    lower: bool,
    depth: usize,
    pool: Pool<'_>,
) -> Option<Triangle> {
    let row = &pool.table().triangle;
    let work = (order.saturating_mul(order) / 2)
        .saturating_mul(depth)
        .saturating_mul(weight::<T>());
    let room = order / row.narrowest;
    if room < 2 || !pool.divides(Family::Triangle, work) {
        return None;
    }
    let width = pool.width;
    let squares = |blocks: usize| (blocks.min(room), 1);
    let (blocks, group) = match width {
        // Few large tiles: a square of two blocks' worth, and two blocks.
        2 | 3 => squares(width),
        // Long strips pack least, as long as they are not too narrow for what they read.
        4..=8 if 2 * width <= room => (2 * width, 2 * width),
        // An even share for each would be squares that pack more than it gains.
        _ => squares((6 * width).isqrt()),
    };
    let size = order.div_ceil(blocks).next_multiple_of(row.steps[0]);
    let blocks = order.div_ceil(size);
    (blocks > 1).then_some(Triangle {
        order,
        lower,
        size,
        blocks,
        group,
        // Where packing is little work beside the kernels' overhead for small triangles, four equal tiles are better
        // than one of half the work.
        halved: width == 2 && blocks == 2 && order < 4 * row.taper,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Substitution, batch, mirrored, product, substitution};
    use super::*;
    use crate::dispatch::grid::{Cut, Grid};
    use proptest::prelude::*;

    fn covers(cut: &Cut, len: usize) {
        let mut end = 0;
        for index in 0..cut.parts() {
            let part = cut.part(index);
            assert_eq!(part.start, end);
            assert!(part.end > part.start, "no part is empty");
            end = part.end;
        }
        assert_eq!(end, len);
    }

    fn grid_covers(grid: &Grid, m: usize, n: usize) {
        covers(&grid.rows, m);
        covers(&grid.cols, n);
    }

    proptest! {
        #[test]
        fn each_element_of_a_triangle_is_in_one_tile(
            order in 1_usize..300, lower: bool, width in 2_usize..70,
        ) {
            let Some(triangle) = triangle::<f64>(order, lower, 10_000, Pool::built_in(width)) else {
                prop_assert!(order < 96);
                return Ok(());
            };
            let mut seen = vec![0_u8; order * order];
            let mut largest = usize::MAX;
            for index in 0..triangle.tiles() {
                let tile = triangle.tile(index);
                let (rows, cols) = match &tile {
                    Part::Diagonal(part) => (part.clone(), part.clone()),
                    Part::Rectangle(rows, cols) => (rows.clone(), cols.clone()),
                };
                prop_assert!(!rows.is_empty() && !cols.is_empty());
                if triangle.group > 1 && matches!(tile, Part::Rectangle(..)) && lower {
                    prop_assert!(rows.len() * cols.len() <= largest, "the largest first");
                    largest = rows.len() * cols.len();
                }
                for col in cols {
                    for row in rows.clone() {
                        let meant = if lower { row >= col } else { row <= col };
                        match tile {
                            Part::Diagonal(_) if !meant => {}
                            _ => {
                                prop_assert!(meant, "{row} {col} is outside");
                                seen[row + col * order] += 1;
                            }
                        }
                    }
                }
            }
            for col in 0..order {
                for row in 0..order {
                    let meant = if lower { row >= col } else { row <= col };
                    prop_assert_eq!(seen[row + col * order], u8::from(meant));
                }
            }
        }

        #[test]
        fn no_worker_has_more_than_its_share_of_a_large_triangle(width in 2_usize..65) {
            let order = 8192;
            let triangle = triangle::<f64>(order, true, order, Pool::built_in(width)).unwrap();
            // The next one to be free takes the next tile.
            let mut busy = vec![0_usize; width];
            for index in 0..triangle.tiles() {
                let first = (0..width).min_by_key(|&worker| busy[worker]).unwrap();
                busy[first] += match triangle.tile(index) {
                    Part::Diagonal(part) => part.len() * part.len() / 2,
                    Part::Rectangle(rows, cols) => rows.len() * cols.len(),
                };
            }
            let (most, all) = (busy.iter().max().unwrap(), busy.iter().sum::<usize>());
            prop_assert!(most * width * 10 <= all * 13, "{most} of {all} for one of {width}");
        }

        #[test]
        fn blis_packs_what_is_large_enough_for_it(m in 512_usize..5000, n in 512_usize..5000, width in 2_usize..70) {
            let grid = product::<f64>(m, n, m, Pool::of("blis", width)).unwrap();
            for tile in 0..grid.tiles() {
                let (rows, cols) = grid.tile(tile);
                // Its limit is some 200. The last ones are what is left.
                prop_assert!(rows.end == m || rows.len() >= 256, "{rows:?}");
                prop_assert!(cols.end == n || cols.len() >= 256, "{cols:?}");
            }
        }

        #[test]
        fn grids_cover_the_result(
            m in 1_usize..2000, n in 1_usize..2000, k in 1_usize..2000, width in 1_usize..70, blis: bool,
        ) {
            let pool = Pool::of(if blis { "blis" } else { "mkl" }, width);
            if let Some(grid) = product::<f32>(m, n, k, pool) {
                prop_assert!(grid.tiles() > 1 && grid.tiles() <= 8 * width);
                grid_covers(&grid, m, n);
            }
            if let Some(grid) = mirrored::<f64>(m, n, k, pool) {
                grid_covers(&grid, m, n);
            }
            match substitution::<f64>(m, n, pool) {
                Some(Substitution::Free(cut)) => covers(&cut, n),
                Some(Substitution::Blocks(size)) => prop_assert!(m / size >= 2),
                None => {}
            }
            if let Some(batch) = batch::<f64>([m / 10 + 1, n / 10 + 1, 40], k, pool) {
                covers(&batch.groups, k);
                if let Some(grid) = batch.grid {
                    grid_covers(&grid, m / 10 + 1, n / 10 + 1);
                    prop_assert_eq!(batch.groups.parts(), k);
                }
            }
        }
    }
}
