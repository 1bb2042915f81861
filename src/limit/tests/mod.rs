//! Tests of what is pure in this layer. The real libraries are in `tests/limit_*.rs`, every interleaving of the ledger
//! in `tests/loom_ledger.rs`.

mod ledger;
mod parse;
mod plan;
