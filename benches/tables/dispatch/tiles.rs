//! What cutting costs as pools grow: tile efficiency, and the speed-up that list scheduling of the measured tiles gives.

use super::{children, direct, footnote, libraries, median, path};
use crate::common::Case;
use std::fmt::Write as _;
use std::time::Instant;
use threadctl::Limits;

const SIZES: &[usize] = &[1024, 4096, 8192];
const WIDTHS: &[usize] = &[4, 16, 64];
/// Below this the table says so.
const TARGET: f64 = 0.9;

/// The table, rows from each child.
pub fn table() -> String {
    let mut table = String::from(
        "| library | n | cores | tiles | tile efficiency | predicted speed-up | of the cores |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for library in libraries() {
        table += &children("dispatch-tiles", library, &[]);
    }
    table
        + &footnote(
            "dgemm of n x n. Tile efficiency: the undivided product's time at one thread over the sum of the tiles' times. \
             Predicted: the tiles' times given in order to so many cores, each to the one that is free first, against the \
             undivided time; no more than two cores were used, and what cores share (caches, memory, clock) is not in it. \
             (low): below 0.90.",
        )
}

/// What a child prints.
pub fn rows(case: &Case) -> String {
    path(case);
    let blas = direct(case);
    let _one = Limits::new()
        .user_api("blas", 1)
        .limit_process()
        .expect("it can be set");
    let mut text = String::new();
    for &n in SIZES {
        let rounds = if n > 4096 { 1 } else { 3 };
        let fill = |step: usize| -> Vec<f64> { (0..n * n).map(|at| (at % step) as f64).collect() };
        let (a, b, mut c) = (fill(17), fill(13), vec![0.0; n * n]);
        let ld = n as isize;
        let mut tile = |rows: std::ops::Range<usize>, cols: std::ops::Range<usize>| {
            let start = Instant::now();
            // SAFETY: a part of matrices of n x n.
            unsafe {
                blas.gemm(
                    b'N',
                    b'N',
                    rows.len() as isize,
                    cols.len() as isize,
                    ld,
                    1.0,
                    a.as_ptr().add(rows.start),
                    ld,
                    b.as_ptr().add(cols.start * n),
                    ld,
                    0.0,
                    c.as_mut_ptr().add(rows.start + cols.start * n),
                    ld,
                )
            }
            .expect("sizes fit");
            start.elapsed().as_secs_f64()
        };
        tile(0..n, 0..n);
        let mut whole = Vec::new();
        let mut cut: Vec<Vec<Vec<f64>>> = vec![Vec::new(); WIDTHS.len()];
        for _ in 0..rounds {
            whole.push(tile(0..n, 0..n));
            for (at, &width) in WIDTHS.iter().enumerate() {
                let parts = blas.product_tiles::<f64>([n, n, n], width);
                cut[at].push(
                    parts
                        .into_iter()
                        .map(|(rows, cols)| tile(rows, cols))
                        .collect(),
                );
            }
        }
        let whole = median(&whole);
        for (&width, rounds) in WIDTHS.iter().zip(&cut) {
            let sum = median(
                &rounds
                    .iter()
                    .map(|tiles| tiles.iter().sum())
                    .collect::<Vec<_>>(),
            );
            let ends = median(
                &rounds
                    .iter()
                    .map(|tiles| list_schedule(tiles, width))
                    .collect::<Vec<_>>(),
            );
            let efficiency = whole / sum;
            let _ = writeln!(
                text,
                "| {} | {n} | {width} | {} | {efficiency:.3}{} | {:.1} | {:.2} |",
                case.label,
                rounds[0].len(),
                if efficiency < TARGET { " (low)" } else { "" },
                whole / ends,
                whole / ends / width as f64,
            );
        }
    }
    text
}

/// When the last tile ends, if each core takes the next as soon as it is free.
fn list_schedule(tiles: &[f64], cores: usize) -> f64 {
    let mut busy = vec![0.0_f64; cores];
    for tile in tiles {
        let first = busy
            .iter_mut()
            .min_by(|one, other| one.total_cmp(other))
            .expect("cores");
        *first += tile;
    }
    busy.into_iter().fold(0.0, f64::max)
}
