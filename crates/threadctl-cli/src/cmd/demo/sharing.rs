//! How the runs of the demo call BLAS: as it comes, or under threadctl's limits.

use anyhow::Result;

use super::gp::Calls;

/// Calls that nobody limits.
pub(crate) struct AsTheyAre;

impl Calls for AsTheyAre {
    fn around<T>(&self, call: impl FnOnce() -> Result<T>) -> Result<T> {
        call()
    }
}
