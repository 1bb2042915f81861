//! The tiles of matrix products, and of what is cut like one.

use super::{TINY, weight};
use crate::dispatch::grid::{Cut, Grid};
use crate::dispatch::scalar::Scalar;

/// From so many pairs on a product is shared.
const PRODUCT: usize = 72 * 72 * 72;

/// The narrowest tile of a product, in columns and rows.
const NARROWEST: usize = 32;

const _: () = assert!(TINY < PRODUCT);

/// The tiles of an m x n result whose elements cost `depth` pairs each; `None`: through.
pub(crate) fn product<T: Scalar>(m: usize, n: usize, depth: usize, width: usize) -> Option<Grid> {
    let work = m
        .saturating_mul(n)
        .saturating_mul(depth)
        .saturating_mul(weight::<T>());
    if width < 2 || work < PRODUCT {
        return None;
    }
    // Panels of columns, which kernels like best, as long as they are wide enough; then rows are cut as well.
    let across = width.min((n / NARROWEST).max(1));
    let down = width.div_ceil(across).min((m / NARROWEST).max(1));
    if across * down == 1 {
        return None;
    }
    Some(Grid {
        rows: match (down, across) {
            (1, _) => Cut::whole(m),
            (_, 1) => Cut::tapered(m, down, 16),
            _ => Cut::even(m, down, 16),
        },
        cols: if across == 1 {
            Cut::whole(n)
        } else {
            Cut::tapered(n, across, 8)
        },
    })
}
