//! What every table in BENCHMARKS.md is made with: the manifest, median and quartiles, the marks, and programs without the
//! settings of whoever runs the benches.

use std::path::Path;
use std::process::Command;

/// A field of a library in the manifest.
pub fn manifest(key: &str, field: &str) -> String {
    let file = std::env::var("THREADCTL_TEST_LIBS")
        .expect("run it through `cargo xtask`, which sets THREADCTL_TEST_LIBS");
    let text = std::fs::read_to_string(&file).expect("the manifest; run `cargo xtask setup`");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    json["libraries"][key][field]
        .as_str()
        .unwrap_or_else(|| panic!("the manifest has no {key}"))
        .to_owned()
}

/// Median and quartiles.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    /// A quarter of the rounds was below.
    pub low: f64,
    /// Half of them was.
    pub median: f64,
    /// Three quarters were.
    pub high: f64,
}

/// Of a sample that is not empty.
pub fn spread(mut sample: Vec<f64>) -> Spread {
    sample.sort_by(f64::total_cmp);
    let at = |part: f64| sample[((sample.len() - 1) as f64 * part).round() as usize];
    Spread {
        low: at(0.25),
        median: at(0.5),
        high: at(0.75),
    }
}

/// Median and quartiles with `digits` digits after the point.
pub fn shown(spread: Spread, digits: usize) -> String {
    format!(
        "{:.digits$} [{:.digits$} to {:.digits$}]",
        spread.median, spread.low, spread.high
    )
}

/// What `f` makes of what is between the marks that bear this name in BENCHMARKS.md takes its place there.
pub fn rewrite(root: &Path, name: &str, f: impl FnOnce(&str) -> String) {
    let file = root.join("BENCHMARKS.md");
    let text = std::fs::read_to_string(&file).expect("BENCHMARKS.md");
    let (head, old, tail) = between(&text, name);
    let text = format!("{head}{}{tail}", f(old));
    std::fs::write(&file, text).expect("BENCHMARKS.md is written");
}

/// The text up to the end of the first mark, what is between the marks, and the rest.
pub fn between<'t>(text: &'t str, name: &str) -> (&'t str, &'t str, &'t str) {
    let (begin, end) = (
        format!("<!-- begin {name} -->\n"),
        format!("<!-- end {name} -->"),
    );
    let start = text.find(&begin).expect("BENCHMARKS.md has the mark") + begin.len();
    let length = text[start..]
        .find(&end)
        .expect("BENCHMARKS.md has the mark");
    let (head, rest) = text.split_at(start);
    let (old, tail) = rest.split_at(length);
    (head, old, tail)
}

/// Marks a figure that misses its target.
pub fn against(value: f64, target: f64, higher: bool) -> &'static str {
    if (value >= target) == higher {
        ""
    } else {
        " (missed)"
    }
}

pub fn geometric_mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| {
        (sum + value.ln(), count + 1)
    });
    (sum / f64::from(count.max(1))).exp()
}

/// The machine of a table.
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model = std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            text.lines()
                .find_map(|line| line.strip_prefix("model name").map(str::to_owned))
        })
        .map_or_else(
            || "an unnamed CPU".to_owned(),
            |name| name.trim_start_matches([' ', '\t', ':']).to_owned(),
        );
    format!("{cores} cores of {model}, shared.")
}

/// Variables of whoever runs the benches that would decide them.
const SETTINGS: &[&str] = &[
    "OMP_",
    "GOMP_",
    "KMP_",
    "OPENBLAS_",
    "MKL_",
    "BLIS_",
    "RAYON_",
    "NUMBA_",
    "THREADCTL_",
];

/// A command without such settings.
pub fn without_settings(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if SETTINGS.iter().any(|known| text.starts_with(known)) {
            command.env_remove(&name);
        }
    }
    command
}
