//! Every operation of ndarray-linalg over the provider, on each backend, beside the build with openblas-src: the same
//! results within rounding (`src/operations/` says what is computed, and how far it is determined).
//!
//! Both are programs: `operations-openblas` is linked with the system's OpenBLAS, `operations` with nothing but the provider.
//! Dispatch is made to cut from the smallest sizes on, so that tiles have part in it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../../common/mod.rs"]
mod common;

use common::library;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How far apart results may be, in units of rounding and of the largest number of the result: libraries sum in other orders,
/// by as many as 75 terms, and the worst of the matrices' condition numbers are about 70.
const UNITS: f64 = 2000.0;

struct Line {
    name: String,
    columns_only: bool,
    shape: (usize, usize),
    numbers: Vec<[f64; 2]>,
}

impl Line {
    fn read(line: &str) -> Self {
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap();
        let name = word().to_owned();
        let columns_only = match word() {
            "Columns" => true,
            "Wholly" => false,
            other => panic!("{other}"),
        };
        let shape = (word().parse().unwrap(), word().parse().unwrap());
        let parts: Vec<f64> = words.map(|word| word.parse().unwrap()).collect();
        let numbers = parts.as_chunks().0.to_vec();
        assert_eq!(numbers.len(), shape.0 * shape.1, "{name}");
        Line {
            name,
            columns_only,
            shape,
            numbers,
        }
    }

    fn rounding(&self) -> f64 {
        match &self.name[..3] {
            "f32" | "c32" => f64::from(f32::EPSILON),
            _ => f64::EPSILON,
        }
    }

    /// The numbers, each column times the factor that brings it nearest to the other's.
    fn turned_to(&self, other: &Line) -> Vec<[f64; 2]> {
        let mut numbers = self.numbers.clone();
        let columns = self.shape.1;
        for column in 0..columns {
            let places = || (column..numbers.len()).step_by(columns);
            let mut sum = [0.0; 2];
            for place in places() {
                // conj(own) times the other's.
                let (a, b) = (numbers[place], other.numbers[place]);
                sum[0] += a[0] * b[0] + a[1] * b[1];
                sum[1] += a[0] * b[1] - a[1] * b[0];
            }
            let length = sum[0].hypot(sum[1]);
            for place in places().collect::<Vec<_>>() {
                let [re, im] = numbers[place];
                numbers[place] = [
                    (re * sum[0] - im * sum[1]) / length,
                    (re * sum[1] + im * sum[0]) / length,
                ];
            }
        }
        numbers
    }

    fn is_that_of(&self, reference: &Line) {
        let name = &reference.name;
        assert_eq!((&self.name, self.shape), (name, reference.shape));
        let own = if self.columns_only {
            self.turned_to(reference)
        } else {
            self.numbers.clone()
        };
        let size = |[re, im]: [f64; 2]| re.hypot(im);
        let largest = reference
            .numbers
            .iter()
            .map(|&x| size(x))
            .fold(0.0, f64::max);
        let allowed = UNITS * self.rounding() * largest.max(f64::MIN_POSITIVE);
        for (place, (own, theirs)) in own.iter().zip(&reference.numbers).enumerate() {
            let off = size([own[0] - theirs[0], own[1] - theirs[1]]);
            // So that no number that is none passes.
            assert!(
                off <= allowed,
                "{name}, number {place}: {own:?}, and with openblas-src {theirs:?}; {allowed:e} is allowed"
            );
        }
    }
}

fn lines(command: &mut Command) -> Vec<Line> {
    common::without_thread_variables(command);
    command.env("LD_LIBRARY_PATH", common::mkl_folder());
    // Debian's OpenBLAS 0.3.21 reads one element beyond a strided x in zgemv (without us too), which ends the process where the heap ends
    // there: in one run of twenty of this program. So there is more of the heap.
    command.env("MALLOC_TOP_PAD_", "67108864");
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(Line::read).collect()
}

/// The backends: their libraries in the manifest.
const BACKENDS: &[(&str, &[&str])] = &[
    ("OpenBLAS of the wheel", &["scipy-openblas32"]),
    ("OpenBLAS with threads of its own", &["openblas-pthread"]),
    ("OpenBLAS over OpenMP", &["openblas-openmp"]),
    ("OpenBLAS without threads", &["openblas-serial"]),
    ("MKL", &["mkl-rt"]),
    (
        "BLIS with the reference LAPACK",
        &["blis-pthread", "lapack"],
    ),
    ("the reference libraries", &["netlib", "lapack"]),
    ("ATLAS", &["atlas", "atlas-lapack"]),
];

/// Whether the program over this backend gives what the other gave.
fn is_same(keys: &[&str], reference: &[Line]) {
    let paths: Vec<String> = keys
        .iter()
        .map(|key| library(key).to_str().unwrap().to_owned())
        .collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_operations"));
    let own = lines(command.env("THREADCTL_BACKEND", paths.join(":")));
    assert_eq!(own.len(), reference.len());
    for (own, reference) in own.iter().zip(reference) {
        own.is_that_of(reference);
    }
}

/// One test, so that the reference is computed once.
#[test]
fn each_backend_gives_what_openblas_src_gives() {
    let reference = lines(&mut Command::new(env!("CARGO_BIN_EXE_operations-openblas")));
    // Four types, two orders, two layouts, and as many operations of each.
    assert!(reference.len() > 16 * 150, "{} results", reference.len());
    let (next, differ) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let compare = || {
        while let Some((name, keys)) = BACKENDS.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Some(why) = common::absent(keys[0]) {
                // Of all, only ATLAS is not in every release.
                assert!(why.contains("ATLAS"), "{why}");
                continue;
            }
            // Its own words are written where it fails; here, which it was.
            if std::panic::catch_unwind(|| is_same(keys, &reference)).is_err() {
                differ.lock().unwrap().push(*name);
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(compare);
        scope.spawn(compare);
    });
    let differ = differ.into_inner().unwrap();
    assert!(differ.is_empty(), "not the same on {}", differ.join(", "));
}

/// The comparison must be able to fail.
#[test]
fn another_result_is_seen() {
    let reference = Line::read("f64.x Wholly 1 2 1 0 2 0");
    let changed = Line::read("f64.x Wholly 1 2 1 0 2.000000001 0");
    let none = Line::read("f64.x Wholly 1 2 NaN 0 2 0");
    let fails = |own: &Line| {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| own.is_that_of(&reference)))
            .is_err()
    };
    assert!(!fails(&reference) && fails(&changed) && fails(&none));
    // Turned by a factor, columns are the same; otherwise not.
    let reference = Line::read("c64.x Columns 2 1 0.6 0 0.8 0");
    Line::read("c64.x Columns 2 1 0 0.6 0 0.8").is_that_of(&reference);
    let mixed = Line::read("c64.x Columns 2 1 0 0.6 0.8 0");
    let differs = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        mixed.is_that_of(&reference)
    }));
    assert!(differs.is_err());
}
