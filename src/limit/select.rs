//! What is to be limited: the builder, and whom each of its entries means.
//!
//! Invariant: an entry is checked (its limit, its name) before a plan is made of it, never afterwards.

use crate::cores::Width;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::{Names, names};
use std::fmt;
use std::path::{Path, PathBuf};

/// Limits for the runtimes of a process: which ones, and how many cores each.
///
/// A limit of L on a runtime R in a scope S means: a call into R made within S uses at most L cores, the caller's
/// included. Several entries may be given; for each runtime the most specific one counts: `path` before `prefix` (the
/// longest that fits) before `internal_api` before `user_api` before `all`. Nothing is changed until a guard is made,
/// and what no entry means is never touched.
///
/// A limit may raise a number as well as lower it: what is in force is the smallest limit *alive*, even where the
/// number was smaller before. A limit is given as a number, as [`Workers`](crate::Workers), or as a rayon pool (see
/// [`Width`]).
///
/// ```
/// use threadctl::Limits;
/// let limits = Limits::new().user_api("blas", 1).user_api("openmp", 4);
/// assert_eq!(limits, "blas=1, openmp=4".parse().unwrap());
///
/// let guard = limits.limit_process().unwrap();
/// for outcome in guard.outcomes() {
///     println!("{outcome}");
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    pub(super) requests: Vec<Request>,
    pub(super) strict: bool,
    /// They are for the libraries' own threads, and say nothing of how calls are shared.
    pub(super) kernels: bool,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub selector: Selector,
    pub limit: u32,
}

/// Whom an entry means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Selector {
    All,
    UserApi(String),
    InternalApi(String),
    Prefix(String),
    Path(PathBuf),
}

/// The largest limit: what a C `int` can hold.
pub(super) const LARGEST: u32 = i32::MAX.unsigned_abs();

impl Limits {
    /// No limits yet.
    ///
    /// ```
    /// let guard = threadctl::Limits::new().limit_process().unwrap();
    /// assert!(guard.outcomes().is_empty());
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// For the libraries' own threads alone: how many cores dispatch uses for a call is left as it is. This is how dispatch
    /// itself holds them.
    pub(crate) fn kernels(mut self) -> Self {
        self.kernels = true;
        self
    }

    /// Limits every runtime that no other entry means.
    ///
    /// A number out of range (0, or more than a C `int` holds) is reported when a plan or a guard is made.
    ///
    /// ```
    /// use threadctl::{ErrorKind, Limits};
    /// let _guard = Limits::new().all(2).limit_process().unwrap();
    /// assert_eq!(Limits::new().all(0).limit_process().unwrap_err().kind(), ErrorKind::InvalidLimit);
    /// ```
    #[must_use]
    pub fn all(self, limit: impl Width) -> Self {
        self.with(Selector::All, limit.number())
    }

    /// Limits the runtimes that implement a standard: `blas`, `openmp`, `rayon`, or that of a registered runtime.
    ///
    /// ```
    /// let _guard = threadctl::Limits::new().user_api("blas", 1).limit_process().unwrap();
    /// ```
    #[must_use]
    pub fn user_api(self, name: &str, limit: impl Width) -> Self {
        self.with(Selector::UserApi(name.to_owned()), limit.number())
    }

    /// Limits one implementation: `openblas`, `mkl`, `blis` ...
    ///
    /// ```
    /// let _guard = threadctl::Limits::new().internal_api("mkl", 1).limit_process().unwrap();
    /// ```
    #[must_use]
    pub fn internal_api(self, name: &str, limit: impl Width) -> Self {
        self.with(Selector::InternalApi(name.to_owned()), limit.number())
    }

    /// Limits the runtimes whose file names start so.
    ///
    /// ```
    /// let _guard = threadctl::Limits::new().prefix("libscipy_openblas", 1).limit_process().unwrap();
    /// ```
    #[must_use]
    pub fn prefix(self, name: &str, limit: impl Width) -> Self {
        self.with(Selector::Prefix(name.to_owned()), limit.number())
    }

    /// Limits the runtime of one file, given by its absolute path; symbolic links are followed.
    ///
    /// ```
    /// let limits = threadctl::Limits::new().path("/opt/blas/libopenblas.so", 1);
    /// let guard = limits.limit_process().unwrap();
    /// assert_eq!(guard.unmatched(), ["/opt/blas/libopenblas.so"]);
    /// ```
    #[must_use]
    pub fn path(self, path: impl AsRef<Path>, limit: impl Width) -> Self {
        self.with(Selector::Path(path.as_ref().to_owned()), limit.number())
    }

    /// Whether a limit that does not hold is an error ([`ErrorKind::NotHonoured`]) with nothing left set, rather
    /// than reported in the guard's [`outcomes`](crate::ProcessGuard::outcomes). So is an entry that means no loaded
    /// runtime, other than `all`.
    ///
    /// ```
    /// let limits = threadctl::Limits::new().path("/opt/blas/libopenblas.so", 1).strict(true);
    /// let error = limits.limit_process().unwrap_err();
    /// assert_eq!(error.kind(), threadctl::ErrorKind::NotHonoured);
    /// ```
    #[must_use]
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// A second entry for one name takes the place of the first.
    fn with(mut self, selector: Selector, limit: u32) -> Self {
        match self
            .requests
            .iter_mut()
            .find(|request| request.selector == selector)
        {
            Some(request) => request.limit = limit,
            None => self.requests.push(Request { selector, limit }),
        }
        self
    }

    /// The entries, their limits and paths checked, with symbolic links resolved.
    pub(super) fn checked(&self) -> Result<Vec<Request>> {
        self.requests.iter().map(Request::checked).collect()
    }
}

impl Request {
    fn checked(&self) -> Result<Request> {
        if self.limit == 0 || self.limit > LARGEST {
            return Err(invalid_limit(&self.to_string()));
        }
        let selector = match &self.selector {
            Selector::Path(path) if path.is_absolute() => {
                Selector::Path(path.canonicalize().unwrap_or_else(|_| path.clone()))
            }
            Selector::Path(_) => {
                return Err(Error::new(
                    ErrorKind::InvalidSelection,
                    format!("{self}: a library is selected by its absolute path"),
                ));
            }
            named => {
                if let Selector::Prefix(_) = named {
                    self.check_name()?;
                }
                named.clone()
            }
        };
        Ok(Request {
            selector,
            limit: self.limit,
        })
    }

    /// Whether there can be a runtime of this name at all. Need not be asked of an API that a loaded runtime has.
    pub(super) fn check_name(&self) -> Result<()> {
        let names = names();
        let (name, kind, known) = match &self.selector {
            Selector::UserApi(name) => (name, "user_api", &names.user_apis),
            Selector::InternalApi(name) => (name, "internal_api", &names.internal_apis),
            Selector::Prefix(name) if is_prefix(name, &names) => return Ok(()),
            Selector::Prefix(name) => (name, "prefix", &names.prefixes),
            Selector::All | Selector::Path(_) => return Ok(()),
        };
        if known.contains(name) {
            return Ok(());
        }
        Err(unknown(&self.to_string(), name, kind, known.iter()))
    }
}

impl Selector {
    /// What a written name means; `None` when it is none that is known.
    pub(super) fn of_name(name: &str, names: &Names) -> Option<Self> {
        let owned = || name.to_owned();
        if name == "all" {
            Some(Selector::All)
        } else if name.starts_with('/') {
            Some(Selector::Path(PathBuf::from(name)))
        } else if names.user_apis.contains(name) {
            Some(Selector::UserApi(owned()))
        } else if names.internal_apis.contains(name) {
            Some(Selector::InternalApi(owned()))
        } else if is_prefix(name, names) {
            Some(Selector::Prefix(owned()))
        } else {
            None
        }
    }
}

/// Whether a file name that starts so can be that of a known runtime: `libopenblasp-r0`, `libopenblas`, and at the
/// end of a word also less than a known prefix, `libmkl`.
fn is_prefix(name: &str, names: &Names) -> bool {
    !name.is_empty()
        && names.prefixes.iter().any(|known| {
            name.starts_with(known.as_str())
                || known
                    .strip_prefix(name)
                    .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
        })
}

/// The error for a number that is no limit, in an entry as the user wrote it.
pub(super) fn invalid_limit(entry: &str) -> Error {
    Error::new(
        ErrorKind::InvalidLimit,
        format!(
            "{entry}: a limit is a whole number of cores from 1 to {LARGEST}, or -1 for all cores, -2 for all but one"
        ),
    )
}

/// The error for a name that nothing has.
pub(super) fn unknown<'a>(
    entry: &str,
    name: &str,
    kind: &str,
    candidates: impl Iterator<Item = &'a String>,
) -> Error {
    let candidates: Vec<&str> = candidates.map(String::as_str).collect();
    let advice = match nearest(name, &candidates) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("known are {}", candidates.join(", ")),
    };
    Error::new(
        ErrorKind::InvalidSelection,
        format!("{entry}: no runtime has the {kind} {name:?}; {advice}"),
    )
}

/// The candidate that a misspelt name most probably is.
pub(crate) fn nearest<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
    // The cost grows with the length, and nobody misspells that much.
    if name.len() > 64 {
        return None;
    }
    let name = name.to_lowercase();
    candidates
        .iter()
        .map(|candidate| (distance(&name, &candidate.to_lowercase()), *candidate))
        .filter(|(edits, candidate)| *edits <= (candidate.len() / 3).max(1))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one text into the other.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=other.len()).collect()];
    for i in 1..=one.len() {
        let mut row = vec![i; other.len() + 1];
        for j in 1..=other.len() {
            let same = one[i - 1] == other[j - 1];
            let mut best = (rows[i - 1][j] + 1)
                .min(row[j - 1] + 1)
                .min(rows[i - 1][j - 1] + usize::from(!same));
            if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row[j] = best;
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::All => f.write_str("all"),
            Selector::UserApi(name) | Selector::InternalApi(name) | Selector::Prefix(name) => {
                f.write_str(name)
            }
            Selector::Path(path) => path.display().fmt(f),
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.selector, self.limit)
    }
}

/// As [`FromStr`](std::str::FromStr) reads it.
impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, request) in self.requests.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{request}")?;
        }
        Ok(())
    }
}
