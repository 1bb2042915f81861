//! Start to end of the whole command, beside threadpoolctl's.

use super::{machine, program, shown, whole};
use crate::common::{manifest, spread};
use std::process::Command;

/// The table.
pub fn table() -> String {
    let threadctl = program();
    let ours = || {
        whole(Command::new(&threadctl).args([
            "info",
            "--load",
            &manifest("openblas-pthread", "path"),
        ]))
    };
    let bare = || whole(Command::new(&threadctl).arg("--version"));
    let theirs = || {
        whole(
            Command::new(manifest("python", "path"))
                .args(["-m", "threadpoolctl", "-i", "numpy"])
                .env("PYTHONPATH", manifest("python-packages", "path")),
        )
    };
    let mut columns = [(); 4].map(|()| Vec::new());
    for round in 0..=40 {
        let [bare, ours, theirs] = [bare(), ours(), theirs()];
        if round > 0 {
            for (column, value) in columns.iter_mut().zip([bare, ours, theirs, theirs / ours]) {
                column.push(value);
            }
        }
    }
    let [bare, ours, theirs, ratio] = columns.map(spread);
    format!(
        "| whole process | milliseconds |\n| --- | --- |\n\
         | `threadctl --version` (no library opened) | {} |\n\
         | `threadctl info --load libopenblas.so.0` | {} |\n\
         | `python -m threadpoolctl -i numpy` | {} |\n\
         | ratio of the last two | {:.1}x [{:.1} to {:.1}] |\n\n\
         Median of 40 rounds in turn, quartiles in brackets. numpy {}. {}\n",
        shown(bare, 1),
        shown(ours, 1),
        shown(theirs, 1),
        ratio.median,
        ratio.low,
        ratio.high,
        manifest("numpy", "version"),
        machine()
    )
}
