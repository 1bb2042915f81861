//! Pictures: what `threadctl plot` and `threadctl run --plot` draw (`files`), and what a browser makes of the page (`browser`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod browser;
#[path = "../../../../tests/common/mod.rs"]
mod common;
mod files;

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn threadctl(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_threadctl"));
    command.args(args);
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A report of so many groups over so many seconds: each group has one thread that waits half of its time. `cores` are there.
fn report(groups: u32, seconds: f64, looks: u32, cores: u32) -> Value {
    let name = |at: u32| {
        format!(
            "lib{}{at}",
            "abcdefghijklmnopqrstuvwxyz"
                .get(..(at as usize % 20))
                .unwrap()
        )
    };
    let who: Vec<Value> = (0..groups)
        .map(|at| {
            json!({"name": name(at), "kind": "library", "threads": at + 1, "peak": at + 1, "cpu_seconds": seconds / f64::from(at + 1),
                   "wait_seconds": seconds / 2.0, "overlap_seconds": 0.0, "guessed": 0})
        })
        .collect();
    let each = seconds / f64::from(looks);
    let timeline: Vec<Value> = (0..looks)
        .map(|look| {
            // They come one after another, and stay.
            let there = (look * groups / looks + 1).min(groups);
            let counts: serde_json::Map<_, _> = (0..there).map(|at| (name(at), json!(1))).collect();
            json!({"at": f64::from(look) * each, "seconds": each, "runnable": there, "running": 1.0, "waiting": f64::from(there) / 2.0,
                   "groups": counts, "groups_mean": counts})
        })
        .collect();
    json!({
        "schema": "threadctl.run/1", "command": ["python", "job <b>&amp;\u{1b}[31m"], "status": 0, "signal": null,
        "wall_seconds": seconds, "cpu_seconds": seconds, "cores": {"count": cores, "kind": "affinity", "because": "sched_getaffinity", "online": 64},
        "cores_used": 1.0, "runnable": {"peak": groups, "mean": 1.5}, "wait": {"seconds": seconds / 2.0, "share": 0.25, "exact": true, "covered": 1.0},
        "who": who, "timeline": timeline, "notes": ["a note"],
        "findings": [{"rule": "nested-pools", "title": "Two pools of threads nest", "evidence": "4 x 4 threads on 2 cores",
                      "cost": "a third of thread time", "confidence": "certain", "remedies": ["threadctl run --limit blas=1 -- python 'job <b>'"]}],
    })
}

/// Draws a report to `folder/picture.ENDING`.
fn draw(folder: &Path, report: &Value, ending: &str) -> PathBuf {
    let document = folder.join("report.json");
    std::fs::write(&document, report.to_string()).unwrap();
    let picture = folder.join("picture").with_extension(ending);
    let output = threadctl(&["plot"])
        .arg(&document)
        .arg("-o")
        .arg(&picture)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
    picture
}

/// A picture's pixels: how many there are of each colour, without its transparency.
fn colours(file: &Path) -> std::collections::HashMap<[u8; 3], usize> {
    let decoder = png::Decoder::new(std::io::BufReader::new(std::fs::File::open(file).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    assert_eq!(info.bit_depth, png::BitDepth::Eight);
    let mut counts = std::collections::HashMap::new();
    for pixel in bytes
        .get(..info.buffer_size())
        .unwrap()
        .chunks_exact(info.color_type.samples())
    {
        let &[red, green, blue, ..] = pixel else {
            panic!("{:?}", info.color_type)
        };
        *counts.entry([red, green, blue]).or_default() += 1;
    }
    counts
}

/// The areas of the chart, of a parsed document.
fn areas(document: &roxmltree::Document<'_>) -> Vec<String> {
    let areas = document
        .descendants()
        .filter(|node| node.attribute("class") == Some("tc-area"));
    areas
        .map(|node| node.attribute("data-group").unwrap().to_owned())
        .collect()
}
