//! Limits written as text: `blas=1,openmp=4,/opt/blas/libopenblas.so=2`.

use super::select::{LARGEST, Limits, Request, Selector, invalid_limit, unknown};
use crate::cores::Width;
use crate::cores::workers::Workers;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::{Names, names};
use std::str::FromStr;

/// Reads entries `NAME=LIMIT`, with commas between them and blanks around them allowed. A name is looked up as `all`,
/// a user_api, an internal_api, the start of a file name, in this order; or it is an absolute path (one with a comma
/// in it can be given through [`Limits::path`] only). A runtime of one's own must be registered before its name is
/// read. A limit is a number, or -1 for all cores, -2 for all but one and so on, counted when it is read (see
/// [`Workers`]).
///
/// ```
/// use threadctl::{ErrorKind, Limits};
/// let limits: Limits = "all=1, libmkl=2, openmp=4".parse().unwrap();
/// assert_eq!(limits.to_string(), "all=1,libmkl=2,openmp=4");
///
/// let error = "blsa=1".parse::<Limits>().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::InvalidSelection);
/// assert!(error.to_string().contains("did you mean \"blas\"?"));
/// ```
impl FromStr for Limits {
    type Err = Error;

    /// # Errors
    /// [`ErrorKind::InvalidLimit`] for what is no limit, [`ErrorKind::InvalidSelection`] for everything else: the text
    /// or an entry is empty, has no `=`, names nothing that is known, or names it a second time.
    fn from_str(text: &str) -> Result<Self> {
        parse(text, &names())
    }
}

fn parse(text: &str, names: &Names) -> Result<Limits> {
    let mut limits = Limits::new();
    for entry in text.split(',').map(str::trim) {
        let request = request(entry, text, names)?;
        if limits
            .requests
            .iter()
            .any(|known| known.selector == request.selector)
        {
            return Err(Error::new(
                ErrorKind::InvalidSelection,
                format!(
                    "{entry}: {} has a limit already in {text:?}",
                    request.selector
                ),
            ));
        }
        limits.requests.push(request);
    }
    Ok(limits)
}

fn request(entry: &str, text: &str, names: &Names) -> Result<Request> {
    let selection = |message: String| Err(Error::new(ErrorKind::InvalidSelection, message));
    if entry.is_empty() {
        return selection(format!(
            "an entry of {text:?} is empty; limits are written NAME=LIMIT, with commas between them: blas=1,openmp=4"
        ));
    }
    // From the right: a path may have the sign in it, a number has not.
    let Some((name, limit)) = entry.rsplit_once('=') else {
        return selection(format!(
            "{entry}: it has no limit; limits are written NAME=LIMIT, as in blas=1"
        ));
    };
    let (name, limit) = (name.trim_end(), limit.trim_start());
    if name.is_empty() {
        return selection(format!(
            "{entry}: it does not say what to limit; limits are written NAME=LIMIT, as in blas=1"
        ));
    }
    let Some(selector) = Selector::of_name(name, names) else {
        let apis = names.user_apis.union(&names.internal_apis);
        return Err(unknown(
            entry,
            name,
            "user_api, internal_api, prefix or absolute path",
            apis.chain(&names.prefixes),
        ));
    };
    match number(limit) {
        Some(limit) => Ok(Request { selector, limit }),
        None => Err(invalid_limit(entry)),
    }
}

/// A positive number as it is, a negative one as workers.
fn number(text: &str) -> Option<u32> {
    if text.starts_with('-') {
        return text.parse().ok().map(Workers::number);
    }
    // Digits alone: `u32::from_str` would take a plus sign.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|limit| digits && (1..=LARGEST).contains(limit))
}
