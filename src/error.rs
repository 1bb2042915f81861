//! What can go wrong, in one type.
//!
//! Every message names the value at fault, where it came from and what would be accepted.

use std::fmt;

/// An error of this crate: what kind it is, in words, and its cause where there is one.
///
/// ```
/// let error = "blas=0".parse::<threadctl::Limits>().unwrap_err();
/// assert_eq!(error.kind(), threadctl::ErrorKind::InvalidLimit);
/// assert!(error.to_string().contains("blas=0"));
/// ```
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The kinds of [`Error`].
///
/// ```
/// use threadctl::ErrorKind;
/// assert_ne!(ErrorKind::InvalidLimit, ErrorKind::NotHonoured);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A limit that is no limit: 0, or larger than any library can take.
    InvalidLimit,
    /// A selection that cannot be read, or that no runtime can match.
    InvalidSelection,
    /// Strict mode: a runtime could not honour a limit. Nothing was left changed.
    NotHonoured,
    /// A runtime cannot do what was asked of it: a switch of backends, a change of a fixed size.
    Unsupported,
    /// A library could not be opened.
    Library,
    /// An environment variable of this library has a value that cannot be used.
    Configuration,
    /// A registration that clashes with the catalog or is incomplete.
    Registration,
    /// The operating system refused.
    System,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// What kind of error this is.
    ///
    /// ```
    /// let error = "blas".parse::<threadctl::Limits>().unwrap_err();
    /// assert_eq!(error.kind(), threadctl::ErrorKind::InvalidSelection);
    /// ```
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// This crate's result.
///
/// ```
/// fn narrow() -> threadctl::Result<()> {
///     let _guard = "blas=1".parse::<threadctl::Limits>()?.limit_process()?;
///     Ok(())
/// }
/// narrow().unwrap();
/// ```
pub type Result<T> = std::result::Result<T, Error>;
