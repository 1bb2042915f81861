//! Layer 2: how many cores there are to use, and how they are shared out.

pub mod split;
pub mod workers;
