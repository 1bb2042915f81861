//! The variables by which users set the threads of single runtimes. They bind their own runtime, never the process.
//!
//! Invariant: a value that its runtime would refuse is passed over and reported.

use super::launcher::positive;
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
            let value = system.variable(row.name)?;
            if value.trim().is_empty()
                || row.grammar == Grammar::NumberOrDefault && value.trim() == "0"
            {
                return None;
            }
            let limit = match row.grammar {
                Grammar::Number | Grammar::NumberOrDefault => positive(&value),
                Grammar::Levels => levels(&value),
                Grammar::Domains => domains(&value),
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

/// Reads `4,2,1`: all must be numbers; the outermost counts.
pub(super) fn levels(text: &str) -> Option<u32> {
    let levels: Option<Vec<u32>> = text.split(',').map(positive).collect();
    levels?.first().copied()
}

/// Reads `MKL_DOMAIN_ALL=4, MKL_DOMAIN_BLAS=2`: what holds for BLAS. The numbers of other domains must be right too.
pub(super) fn domains(text: &str) -> Option<u32> {
    let (mut all, mut blas) = (None, None);
    let mut any = false;
    // MKL takes blanks, commas, semicolons and colons between settings, and a comma for the equals sign.
    let separated = text.replace([',', ';', ':', ' ', '='], " ");
    let words: Vec<&str> = separated.split_whitespace().collect();
    for pair in words.chunks(2) {
        let [name, value] = pair else { return None };
        let count = positive(value)?;
        match name.to_ascii_uppercase().as_str() {
            "MKL_DOMAIN_ALL" | "MKL_ALL" => all = Some(count),
            "MKL_DOMAIN_BLAS" | "MKL_BLAS" => blas = Some(count),
            name if name.starts_with("MKL_") => {}
            _ => return None,
        }
        any = true;
    }
    // Settings for other domains only are no error, and no bound on BLAS.
    if any {
        blas.or(all).or(Some(u32::from(u16::MAX)))
    } else {
        None
    }
}
