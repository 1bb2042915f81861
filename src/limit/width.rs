//! What can say how many cores: a number, or workers.

use crate::cores::cores;
use crate::cores::workers::Workers;

/// What a limit can be given as: a number of cores (`u32`), or [`Workers`], which are resolved at once against the
/// cores that this process may use ([`cores()`](crate::cores())).
///
/// ```
/// use threadctl::{Limits, Workers};
/// let limits = Limits::new().user_api("blas", 1).user_api("openmp", Workers::ALL);
/// let cores = threadctl::cores().count();
/// assert_eq!(limits.to_string(), format!("blas=1,openmp={cores}"));
/// ```
pub trait Width: sealed::Sealed {
    /// The number.
    ///
    /// ```
    /// use threadctl::limit::Width;
    /// assert_eq!(3.limit(), 3);
    /// ```
    fn limit(self) -> u32;
}

impl Width for u32 {
    fn limit(self) -> u32 {
        self
    }
}

impl Width for Workers<'_> {
    fn limit(self) -> u32 {
        self.resolve(cores().count())
    }
}

mod sealed {
    /// No others: each must be a number of cores when it is given.
    pub trait Sealed {}
    impl Sealed for u32 {}
    impl Sealed for super::Workers<'_> {}
}
