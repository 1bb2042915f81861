//! How many workers are wanted, as users of SciPy and joblib write it.
//!
//! Invariant: a `Workers` is never 0, and what it resolves to is from 1 to the cores that it is resolved against.

use crate::error::{Error, ErrorKind, Result};
use rayon::ThreadPool;
use std::fmt;
use std::num::NonZeroI64;
use std::str::FromStr;

/// What is accepted, in words.
pub(crate) const GRAMMAR: &str =
    "a whole number other than 0: 4 is four, -1 all cores, -2 all but one";

/// How many workers are wanted: a number, or a count from all cores downwards, or those of a rayon pool.
///
/// | written | means |
/// | --- | --- |
/// | `4` | four, or all cores where there are fewer |
/// | `-1` | all cores |
/// | `-2` | all but one, and so on; never less than 1 |
/// | `0` | an error |
///
/// This is joblib's `n_jobs` and SciPy's `workers`, with one difference: a number above the cores means all cores,
/// because more threads than cores do not compute faster. Where SciPy refuses a negative number below minus the
/// cores, 1 is meant, as in joblib.
///
/// Numbers come from [`TryFrom`], text from [`FromStr`], a pool from [`Workers::pool`] or [`From`], and what the user
/// of the program wants from [`Workers::from_env`].
///
/// ```
/// use threadctl::Workers;
///
/// let all_but_one: Workers = "-2".parse().unwrap();
/// assert_eq!(all_but_one.resolve(8), 7);
/// assert_eq!(Workers::try_from(3).unwrap().resolve(8), 3);
/// assert!(Workers::try_from(0).is_err());
///
/// // Wherever a limit is taken; of the cores that this process may use:
/// let _limits = threadctl::Limits::new().user_api("blas", all_but_one);
/// ```
#[derive(Clone, Copy)]
pub struct Workers<'pool>(Kind<'pool>);

#[derive(Clone, Copy)]
enum Kind<'pool> {
    Count(NonZeroI64),
    Pool(&'pool ThreadPool),
}

impl<'pool> Workers<'pool> {
    /// All cores: `-1`.
    ///
    /// ```
    /// assert_eq!(threadctl::Workers::ALL.to_string(), "-1");
    /// ```
    pub const ALL: Workers<'static> = match NonZeroI64::new(-1) {
        Some(count) => Workers(Kind::Count(count)),
        None => unreachable!(),
    };

    /// The workers of a rayon pool of one's own.
    ///
    /// ```
    /// let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    /// assert_eq!(threadctl::Workers::pool(&pool).resolve(8), 2);
    /// ```
    pub fn pool(pool: &'pool ThreadPool) -> Self {
        Workers(Kind::Pool(pool))
    }

    /// What `THREADCTL_NUM_THREADS` says now; `None` when it is not set.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for a value that is no number of workers.
    ///
    /// ```
    /// let workers = threadctl::Workers::from_env()?.unwrap_or(threadctl::Workers::ALL);
    /// println!("{workers}");
    /// # Ok::<(), threadctl::Error>(())
    /// ```
    pub fn from_env() -> Result<Option<Workers<'static>>> {
        crate::config::num_threads()
    }

    /// The pool that was given.
    ///
    /// ```
    /// let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    /// assert!(threadctl::Workers::from(&pool).as_pool().is_some());
    /// assert!(threadctl::Workers::ALL.as_pool().is_none());
    /// ```
    pub fn as_pool(&self) -> Option<&'pool ThreadPool> {
        match self.0 {
            Kind::Count(_) => None,
            Kind::Pool(pool) => Some(pool),
        }
    }

    /// How many that is where there are `cores`: from 1 to `cores`, and in the range of a limit. 0 cores count as 1.
    ///
    /// ```
    /// for (text, number) in [("1", 1), ("4", 4), ("9", 4), ("-1", 4), ("-2", 3), ("-4", 1), ("-9", 1)] {
    ///     assert_eq!(text.parse::<threadctl::Workers>().unwrap().resolve(4), number);
    /// }
    /// ```
    pub fn resolve(&self, cores: u32) -> u32 {
        let cores = cores.clamp(1, i32::MAX.unsigned_abs());
        let wanted = match self.0 {
            Kind::Pool(pool) => u32::try_from(pool.current_num_threads()).unwrap_or(u32::MAX),
            Kind::Count(count) => {
                let size = u32::try_from(count.unsigned_abs().get()).unwrap_or(u32::MAX);
                if count.is_positive() {
                    size
                } else {
                    cores.saturating_sub(size - 1)
                }
            }
        };
        wanted.clamp(1, cores)
    }
}

impl fmt::Debug for Workers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::Count(count) => write!(f, "Workers({count})"),
            Kind::Pool(pool) => write!(f, "Workers(pool of {})", pool.current_num_threads()),
        }
    }
}

/// As [`FromStr`] reads it; a pool as the number of its threads.
impl fmt::Display for Workers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::Count(count) => count.fmt(f),
            Kind::Pool(pool) => pool.current_num_threads().fmt(f),
        }
    }
}

/// The same number, or the same pool.
impl PartialEq for Workers<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self.0, other.0) {
            (Kind::Count(one), Kind::Count(other)) => one == other,
            (Kind::Pool(one), Kind::Pool(other)) => std::ptr::eq(one, other),
            _ => false,
        }
    }
}

impl Eq for Workers<'_> {}

impl<'pool> From<&'pool ThreadPool> for Workers<'pool> {
    fn from(pool: &'pool ThreadPool) -> Self {
        Workers::pool(pool)
    }
}

impl TryFrom<i64> for Workers<'_> {
    type Error = Error;

    /// # Errors
    /// [`ErrorKind::InvalidLimit`] for 0.
    fn try_from(count: i64) -> Result<Self> {
        match NonZeroI64::new(count) {
            Some(count) => Ok(Workers(Kind::Count(count))),
            None => Err(invalid("0")),
        }
    }
}

impl TryFrom<i32> for Workers<'_> {
    type Error = Error;

    /// # Errors
    /// [`ErrorKind::InvalidLimit`] for 0.
    fn try_from(count: i32) -> Result<Self> {
        Workers::try_from(i64::from(count))
    }
}

/// Blanks around the number are allowed, a plus sign is not.
impl FromStr for Workers<'_> {
    type Err = Error;

    /// # Errors
    /// [`ErrorKind::InvalidLimit`] for 0 and for what is no whole number.
    fn from_str(text: &str) -> Result<Self> {
        let number = text.trim();
        // `i64::from_str` would take a plus sign.
        let digits = number.strip_prefix('-').unwrap_or(number);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(invalid(number));
        }
        let count: Option<NonZeroI64> = number.parse().ok();
        match count {
            Some(count) => Ok(Workers(Kind::Count(count))),
            None => Err(invalid(number)),
        }
    }
}

fn invalid(text: &str) -> Error {
    Error::new(
        ErrorKind::InvalidLimit,
        format!("{text:?} workers: accepted is {GRAMMAR}"),
    )
}
