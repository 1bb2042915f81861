//! What can go wrong, in one type.
//!
//! Every message names the value at fault, where it came from and what would be accepted.

/// An error of this crate: its kind, and in words what is wrong with which value.
///
/// ```
/// let error = "blas=0".parse::<threadctl::Limits>().unwrap_err();
/// assert_eq!(error.kind(), threadctl::ErrorKind::InvalidLimit);
/// assert!(error.to_string().contains("blas=0"));
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
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
