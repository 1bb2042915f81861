//! `threadctl backends`: which libraries can stand behind the provider's BLAS and LAPACK symbols, and which one does.

pub(crate) mod args;
mod json;
mod table;

use anyhow::Result;
use threadctl::backend;

use crate::{Verdict, out};

/// Looks, opens the one that programs get, and prints. That none can be opened is bad news.
pub(crate) fn run(args: &args::BackendsArgs) -> Result<Verdict> {
    let available = backend::available();
    let current = backend::current();
    if args.json {
        out::json(&json::Document::new(&current, &available))?;
    } else {
        out::text(&table::of(&current, &available))?;
    }
    Ok(if current.is_ok() {
        Verdict::Good
    } else {
        Verdict::BadNews
    })
}
