//! The parallel cookbook's two helpers, `foreach` and `map`, and its loop of exponentials.
//!
//! Invariants: results are in the order of the items; of several items that fail, the one with the smallest index is
//! reported, whatever the number of workers; items before it have all been done, items after it may have been left out.

pub mod processes;

use std::any::Any;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use thiserror::Error;
use threadctl::Workers;
use threadctl::dispatch::{Pool, region_in};

/// Why there are no results.
#[derive(Debug, Error)]
pub enum Failed<E> {
    /// An item had an error.
    #[error("item {index}: {error}")]
    Item {
        /// Which item, from 0.
        index: usize,
        /// What it said.
        error: E,
    },
    /// An item panicked.
    #[error("item {index} panicked: {message}")]
    Panic {
        /// Which item, from 0.
        index: usize,
        /// What it said.
        message: String,
    },
    /// The workers could not be started.
    #[error(transparent)]
    Workers(#[from] threadctl::Error),
}

impl<E> Failed<E> {
    /// The item that failed.
    #[must_use]
    pub fn index(&self) -> Option<usize> {
        match self {
            Failed::Item { index, .. } | Failed::Panic { index, .. } => Some(*index),
            Failed::Workers(_) => None,
        }
    }
}

/// Calls `f` on each item, `workers` at a time: a number of them, all cores (-1), or a pool of the caller's.
///
/// # Errors
/// An item panicked, or the workers could not be started.
pub fn foreach<T: Sync>(
    f: impl Fn(&T) + Sync,
    items: &[T],
    workers: Workers<'_>,
) -> Result<(), Failed<Infallible>> {
    let one = |item: &T| {
        f(item);
        Ok(())
    };
    map(one, items, workers).map(drop)
}

/// What `f` makes of each item, in the order of the items.
///
/// # Errors
/// An item had an error or panicked, or the workers could not be started.
pub fn map<T: Sync, R: Send, E: Send>(
    f: impl Fn(&T) -> Result<R, E> + Sync,
    items: &[T],
    workers: Workers<'_>,
) -> Result<Vec<R>, Failed<E>> {
    // The smallest index that has failed; what comes after it need not be done any more.
    let first = AtomicUsize::new(usize::MAX);
    let one = |(index, item)| {
        // Relaxed: a worker that sees the number late does an item in vain.
        if index > first.load(Ordering::Relaxed) {
            return None;
        }
        // What a panic left half done is dropped with the results.
        let outcome = match catch_unwind(AssertUnwindSafe(|| f(item))) {
            Ok(Ok(result)) => return Some(Ok(result)),
            Ok(Err(error)) => Failed::Item { index, error },
            Err(panic) => Failed::Panic {
                index,
                message: message(panic.as_ref()),
            },
        };
        first.fetch_min(index, Ordering::Relaxed);
        Some(Err(outcome))
    };
    let all: Vec<Option<Result<R, Failed<E>>>> =
        on(workers, || items.par_iter().enumerate().map(one).collect())?;
    // Only items after a failure are missing, and `collect` ends at the failure.
    all.into_iter().flatten().collect()
}

/// exp of each number, item by item.
///
/// # Errors
/// The workers could not be started.
pub fn exp(numbers: &[f64], out: &mut [f64], workers: Workers<'_>) -> threadctl::Result<()> {
    // Long enough that handing one out costs nothing, short enough for the cache.
    const CHUNK: usize = 4096;
    on(workers, || {
        out.par_chunks_mut(CHUNK)
            .zip(numbers.par_chunks(CHUNK))
            .for_each(|(out, numbers)| exp_one_by_one(numbers, out));
    })
}

/// The same loop on the calling thread.
pub fn exp_one_by_one(numbers: &[f64], out: &mut [f64]) {
    for (out, number) in out.iter_mut().zip(numbers) {
        *out = number.exp();
    }
}

/// Runs `work` on so many workers. BLAS calls in it use one thread each while all of them are busy.
fn on<R: Send>(workers: Workers<'_>, work: impl FnOnce() -> R + Send) -> threadctl::Result<R> {
    match workers.as_pool() {
        Some(pool) => {
            let _region = region_in(pool)?;
            Ok(pool.install(work))
        }
        None => Pool::new(workers)?.install(work),
    }
}

/// What `panic!` was given.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}
