//! The variables by which users set the threads of single runtimes. They bind their own runtime, never the process.
//!
//! Invariant: a value that its runtime would refuse is passed over and reported.

use super::launcher::MOST;
use super::system::System;

/// How a variable is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grammar {
    Number,
    /// One number per level of nesting; the first is the outermost.
    Levels,
    /// `MKL_DOMAIN_BLAS=4,MKL_DOMAIN_FFT=1`.
    Domains,
    /// A number, where 0 says that the runtime shall choose.
    NumberOrDefault,
}

/// A variable, who reads it, and its grammar.
struct Row {
    name: &'static str,
    /// As [`internal_api`](crate::RuntimeInfo) names it.
    runtime: &'static str,
    grammar: Grammar,
}

const fn row(name: &'static str, runtime: &'static str, grammar: Grammar) -> Row {
    Row {
        name,
        runtime,
        grammar,
    }
}

const ROWS: &[Row] = &[
    row("OMP_NUM_THREADS", "openmp", Grammar::Levels),
    row("OMP_THREAD_LIMIT", "openmp", Grammar::Number),
    row("OPENBLAS_NUM_THREADS", "openblas", Grammar::Number),
    row("GOTO_NUM_THREADS", "openblas", Grammar::Number),
    row("MKL_DOMAIN_NUM_THREADS", "mkl", Grammar::Domains),
    row("MKL_NUM_THREADS", "mkl", Grammar::Number),
    row("BLIS_NUM_THREADS", "blis", Grammar::Number),
    row("VECLIB_MAXIMUM_THREADS", "accelerate", Grammar::Number),
    row("RAYON_NUM_THREADS", "rayon", Grammar::NumberOrDefault),
];

/// Which variables a runtime asks, the first that is set being the one it believes.
const ASKED: &[(&str, &[&str])] = &[
    ("openmp", &["OMP_NUM_THREADS"]),
    (
        "openblas",
        &[
            "OPENBLAS_NUM_THREADS",
            "GOTO_NUM_THREADS",
            "OMP_NUM_THREADS",
        ],
    ),
    (
        "mkl",
        &[
            "MKL_DOMAIN_NUM_THREADS",
            "MKL_NUM_THREADS",
            "OMP_NUM_THREADS",
        ],
    ),
    ("blis", &["BLIS_NUM_THREADS", "OMP_NUM_THREADS"]),
    ("accelerate", &["VECLIB_MAXIMUM_THREADS"]),
    ("rayon", &["RAYON_NUM_THREADS"]),
];

/// A hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hint {
    pub(super) variable: &'static str,
    pub(super) runtime: &'static str,
    pub(super) value: String,
    pub(super) limit: u32,
}

/// The hints that are set, and what was wrong with others.
pub(super) fn find(system: &System) -> (Vec<Hint>, Vec<String>) {
    let mut problems = Vec::new();
    let hints = ROWS
        .iter()
        .filter_map(|row| {
            let value = system.variable(row.name)?.trim().to_owned();
            if value.is_empty() || row.grammar == Grammar::NumberOrDefault && value == "0" {
                return None;
            }
            let limit = match row.grammar {
                Grammar::Number | Grammar::NumberOrDefault => threads(&value),
                Grammar::Levels => levels(&value),
                // Settings for other domains alone are no error, and no bound on BLAS.
                Grammar::Domains => match domains(&value) {
                    Some(None) => return None,
                    of_blas => of_blas.flatten(),
                },
            };
            if limit.is_none() {
                let accepted = match row.grammar {
                    Grammar::Number | Grammar::NumberOrDefault => "a whole number from 1 on",
                    Grammar::Levels => {
                        "whole numbers from 1 on, one per level of nesting, as in 4,2"
                    }
                    Grammar::Domains => "settings such as MKL_DOMAIN_ALL=4,MKL_DOMAIN_BLAS=2",
                };
                problems.push(format!(
                    "{}={value:?} is not used; accepted is {accepted}",
                    row.name
                ));
            }
            Some(Hint {
                variable: row.name,
                runtime: row.runtime,
                limit: limit?,
                value,
            })
        })
        .collect();
    (hints, problems)
}

/// The variable that settles the runtime's number, and its limit if there is more than one bound.
pub(super) fn believed<'a>(
    runtime: &str,
    is_set: impl Fn(&str) -> Option<&'a super::Constraint>,
) -> Option<&'a super::Constraint> {
    let (_, asked) = ASKED.iter().find(|(name, _)| *name == runtime)?;
    let first = asked.iter().find_map(|name| is_set(name));
    let most = (runtime == "openmp")
        .then(|| is_set("OMP_THREAD_LIMIT"))
        .flatten();
    match (first, most) {
        (Some(first), Some(most)) => Some(if most.limit < first.limit {
            most
        } else {
            first
        }),
        (first, most) => first.or(most),
    }
}

/// A number of threads. One above what any machine has is no error: it binds nothing.
fn threads(text: &str) -> Option<u32> {
    let digits = text.trim();
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let count = digits.parse().map_or(MOST, |count: u32| count.min(MOST));
    (count > 0).then_some(count)
}

/// Reads `4,2,1`: all must be numbers; the outermost counts.
pub(super) fn levels(text: &str) -> Option<u32> {
    let levels: Option<Vec<u32>> = text.split(',').map(threads).collect();
    levels?.first().copied()
}

/// Reads `MKL_DOMAIN_ALL=4, MKL_DOMAIN_BLAS=2`: what holds for BLAS, `Some(None)` if only other domains are named. Their
/// numbers must be right too. As MKL does it (2026.0, asked): names are in capitals, of two settings of a domain the
/// first counts.
pub(super) fn domains(text: &str) -> Option<Option<u32>> {
    let (mut all, mut blas) = (None, None);
    // MKL takes blanks, commas, semicolons and colons between settings, and a comma for the equals sign.
    let separated = text.replace([',', ';', ':', ' ', '='], " ");
    let words: Vec<&str> = separated.split_whitespace().collect();
    for pair in words.chunks(2) {
        let [name, value] = pair else { return None };
        let count = threads(value)?;
        match *name {
            "MKL_DOMAIN_ALL" => all = all.or(Some(count)),
            "MKL_DOMAIN_BLAS" => blas = blas.or(Some(count)),
            name if name.starts_with("MKL_DOMAIN_") => {}
            _ => return None,
        }
    }
    (!words.is_empty()).then_some(blas.or(all))
}
