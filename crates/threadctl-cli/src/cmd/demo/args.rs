//! The options of the demo and of its hidden child.

use clap::Args;

/// Options of `threadctl demo`.
#[derive(Args, Clone, Debug)]
pub(crate) struct DemoArgs {
    /// Print one versioned JSON document in place of the table.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of the hidden child.
#[derive(Args, Clone, Debug)]
pub(crate) struct ChildArgs {}
