//! The tiles of matrix products, and of what is cut like one.

use super::Pool;
use super::table::{Row, Table};
use super::weight;
use crate::dispatch::grid::{Cut, Grid};
use crate::dispatch::scalar::Scalar;
use crate::dispatch::tuning::Family;

/// How much work so many results of `depth` pairs each are.
fn work<T: Scalar>(m: usize, n: usize, depth: usize) -> usize {
    m.saturating_mul(n)
        .saturating_mul(depth)
        .saturating_mul(weight::<T>())
}

/// The tiles of an m x n result whose elements cost `depth` pairs each; `None`: through.
pub(crate) fn product<T: Scalar>(m: usize, n: usize, depth: usize, pool: Pool<'_>) -> Option<Grid> {
    let row = &pool.table().product;
    if !pool.divides(Family::Product, work::<T>(m, n, depth)) {
        return None;
    }
    cut(row, m, n, pool.width)
}

/// The tiles of a product with a symmetric matrix. Columns are cut first whatever side it stands on: beside the block on
/// its diagonal most of a tile is gemm then, which packs less than the routine's own kernel.
pub(crate) fn mirrored<T: Scalar>(
    m: usize,
    n: usize,
    depth: usize,
    pool: Pool<'_>,
) -> Option<Grid> {
    let row = &pool.table().mirrored;
    if !pool.divides(Family::Mirrored, work::<T>(m, n, depth)) {
        return None;
    }
    cut(row, m, n, pool.width)
}

/// A length in parts that small ones end, where these are still wide enough to be worth what each of them packs.
fn strips(row: &Row, len: usize, parts: usize, step: usize) -> Cut {
    if len / (4 * parts) < row.taper {
        Cut::even(len, parts, step)
    } else {
        Cut::tapered(len, parts, step)
    }
}

fn cut(row: &Row, m: usize, n: usize, width: usize) -> Option<Grid> {
    let [row_step, col_step] = row.steps;
    // Panels of columns, which kernels like best, as long as they are wide enough; then rows are cut as well.
    let narrowest = match m.max(n) / row.narrowest {
        0 | 1 => Table::narrow(),
        _ => row.narrowest,
    };
    let across = width.min((n / narrowest).max(1));
    let down = width.div_ceil(across).min((m / narrowest).max(1));
    if across * down == 1 {
        return None;
    }
    Some(Grid {
        rows: match (down, across) {
            (1, _) => Cut::whole(m),
            (_, 1) => strips(row, m, down, row_step),
            _ => Cut::even(m, down, row_step),
        },
        cols: if across == 1 {
            Cut::whole(n)
        } else {
            strips(row, n, across, col_step)
        },
    })
}

/// How a product with a triangular matrix, or its solution, is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Substitution {
    /// Along the dimension in which it falls apart.
    Free(Cut),
    /// Along the triangle, in blocks of that size, one after the other, each with a product that is cut.
    Blocks(usize),
}

/// The tiles where a triangle of `order` stands beside a matrix that has `free` in its other dimension.
pub(crate) fn substitution<T: Scalar>(
    order: usize,
    free: usize,
    pool: Pool<'_>,
) -> Option<Substitution> {
    let table = pool.table();
    let row = &table.sides;
    if !pool.divides(Family::Sides, work::<T>(order, order, free) / 2) {
        return None;
    }
    let width = pool.width;
    let parts = width.min((free / row.narrowest).max(1));
    // Where the free dimension feeds half of the pool or more, it does: blocks have to wait for each other.
    if 2 * parts <= width && order / table.block >= table.least_blocks {
        return Some(Substitution::Blocks(table.block));
    }
    let step = row.steps[1];
    (parts > 1).then(|| Substitution::Free(strips(row, free, parts, step)))
}

/// The parts of `len` lines that are work of so many pairs each.
pub(crate) fn along<T: Scalar>(len: usize, pairs: usize, pool: Pool<'_>) -> Option<Cut> {
    let row = &pool.table().product;
    if !pool.divides(Family::Product, work::<T>(len, pairs, 1)) {
        return None;
    }
    let parts = pool.width.min(len / row.narrowest);
    (parts > 1).then(|| strips(row, len, parts, row.steps[0]))
}

/// How many products of one shape are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Batch {
    /// The products that make a group.
    pub groups: Cut,
    /// The tiles of each product, where a group is one.
    pub grid: Option<Grid>,
}

/// The tiles of `count` products of m x k by k x n.
pub(crate) fn batch<T: Scalar>(
    [m, n, k]: [usize; 3],
    count: usize,
    pool: Pool<'_>,
) -> Option<Batch> {
    let row = &pool.table().product;
    let each = work::<T>(m, n, k);
    if count == 0 || !pool.divides(Family::Product, each.saturating_mul(count)) {
        return None;
    }
    let width = pool.width;
    // Few large ones do not come out even: each is cut, into as many as make four tiles for each worker.
    let pieces = (4 * width).div_ceil(count);
    let grid = (count < 4 * width && pool.divides(Family::Product, each))
        .then(|| cut(row, m, n, pieces.min(width)))
        .flatten();
    let groups = if grid.is_some() {
        Cut::even(count, count, 1)
    } else {
        Cut::tapered(count, width, 1)
    };
    (grid.is_some() || groups.parts() > 1).then_some(Batch { groups, grid })
}

/// How long a call takes, compared with waking somebody who sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// Hardly longer: not worth it for one call alone.
    Brief,
    /// Longer.
    Large,
}

impl Size {
    /// That of an m x n result whose elements cost `depth` pairs each.
    pub fn of_product<T: Scalar>(m: usize, n: usize, depth: usize) -> Self {
        if work::<T>(m, n, depth) < Table::brief() {
            Size::Brief
        } else {
            Size::Large
        }
    }
}
