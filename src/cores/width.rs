//! What can say how many cores: a number, or workers.
//!
//! Invariant: whatever takes a number of cores takes a [`Width`], so that workers are accepted everywhere or nowhere.

use super::cores;
use super::workers::Workers;
use rayon::ThreadPool;

/// What a number of cores can be given as, to limits, to [`Runtime::set_num_threads`](crate::Runtime::set_num_threads)
/// and to [`split`](crate::split): a number (`u32`), or [`Workers`], or a rayon pool. The last two are resolved at once
/// against the cores that this process may use ([`cores()`](crate::cores())), so they never exceed them; a number is
/// taken as it is.
///
/// ```
/// use threadctl::{Limits, Workers};
/// let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
/// let limits = Limits::new().user_api("blas", &pool).user_api("openmp", Workers::ALL);
/// let cores = threadctl::cores().count();
/// assert_eq!(limits.to_string(), format!("blas=1,openmp={cores}"));
/// ```
pub trait Width: sealed::Sealed {
    /// The number.
    ///
    /// ```
    /// use threadctl::cores::Width;
    /// assert_eq!(3.number(), 3);
    /// ```
    fn number(self) -> u32;
}

impl Width for u32 {
    fn number(self) -> u32 {
        self
    }
}

impl Width for Workers<'_> {
    fn number(self) -> u32 {
        self.resolve(cores().count())
    }
}

impl Width for &ThreadPool {
    fn number(self) -> u32 {
        Workers::pool(self).number()
    }
}

mod sealed {
    use super::{ThreadPool, Workers};

    /// No others: each must be a number of cores when it is given.
    pub trait Sealed {}
    impl Sealed for u32 {}
    impl Sealed for Workers<'_> {}
    impl Sealed for &ThreadPool {}
}
