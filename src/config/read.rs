//! From texts to settings. Pure: the environment comes in as a function.
//!
//! Invariant: a value is taken whole or not at all, and a wrong one leaves the others as they are.

use super::file::{self, Refused, Trust};
use super::table::{BACKEND, JOBSERVER, LIMITS, PIN, TUNING, VARIABLES, Variable};
use super::tuning::TuningFile;
use crate::backend::{self, Choice};
use crate::budget;
use crate::cores::workers::Workers;
use crate::error::{Error, ErrorKind, Result};
use crate::limit::{Limits, nearest};
use std::cell::RefCell;
use std::ffi::OsString;
use tracing::Level;

/// What the library's environment variables say.
///
/// ```
/// let settings = threadctl::config::Settings::from_env()?;
/// println!("{:?}", settings.num_threads);
/// # Ok::<(), threadctl::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Settings {
    /// `THREADCTL_NUM_THREADS`: how many cores the process may use.
    pub num_threads: Option<Workers<'static>>,
    /// `THREADCTL_LIMITS`.
    pub limits: Option<Limits>,
    /// `THREADCTL_SCOPE`: for whom the limits hold.
    pub scope: Scope,
    /// `THREADCTL_TUNING`: the file with the numbers of dispatch.
    pub tuning: TuningFile,
    /// `THREADCTL_BACKEND`: the library behind the BLAS and LAPACK symbols of the provider.
    pub backend: Option<Choice>,
    /// `THREADCTL_JOBSERVER`: the budget of cores to be in.
    pub jobserver: budget::Choice,
    /// `THREADCTL_PIN`: whether workers of pools are bound to cores.
    pub pin: bool,
    /// `THREADCTL_LOG`; `None` is off.
    pub log: Option<Level>,
}

/// For whom `THREADCTL_LIMITS` holds.
///
/// ```
/// assert_eq!(threadctl::config::Scope::default(), threadctl::config::Scope::Process);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scope {
    /// Every thread of the process.
    #[default]
    Process,
    /// The thread that calls [`init`](crate::init).
    Thread,
}

/// What a value is read with.
pub(super) struct Context {
    pub trust: Trust,
    /// The files that were named and are not used.
    pub refused: RefCell<Vec<Refused>>,
}

impl Context {
    pub(super) fn new(trust: Trust) -> Self {
        Context {
            trust,
            refused: RefCell::default(),
        }
    }
}

/// A value that was read.
pub(super) type Read<T> = std::result::Result<T, Wrong>;

/// What is wrong with a value.
#[derive(Debug)]
pub(super) struct Wrong {
    why: String,
    /// The nearest value that is accepted.
    near: Option<String>,
}

impl Settings {
    /// Reads the environment as it is now, and changes nothing. A variable that is empty counts as not set.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`]: the variables whose values cannot be used, each with its value, what is accepted,
    /// and the nearest value that is.
    ///
    /// ```
    /// use threadctl::config::{Scope, Settings};
    /// assert_eq!(Settings::from_env().unwrap().scope, Scope::Process);
    /// ```
    pub fn from_env() -> Result<Self> {
        let (settings, refused) = Settings::checked()?;
        file::report(&refused);
        Ok(settings)
    }

    /// The same for those who report what is not used themselves, later.
    pub(super) fn checked() -> Result<(Self, Vec<Refused>)> {
        let (settings, errors, refused) = Settings::of_process();
        joined(errors).map_or(Ok((settings, refused)), Err)
    }

    /// What can be used, what is wrong with the rest, and what is not used.
    pub(super) fn of_process() -> (Self, Vec<Error>, Vec<Refused>) {
        let context = Context::new(Trust::of_process());
        let (settings, errors) =
            Settings::read(VARIABLES, &|name| std::env::var_os(name), &context);
        (settings, errors, context.refused.into_inner())
    }

    pub(super) fn read(
        variables: &[Variable],
        lookup: &dyn Fn(&str) -> Option<OsString>,
        context: &Context,
    ) -> (Self, Vec<Error>) {
        let mut settings = Settings::default();
        let mut errors = Vec::new();
        for variable in variables {
            let Some(value) = lookup(variable.name) else {
                continue;
            };
            let read = match value.to_str().map(str::trim) {
                Some("") => Ok(()),
                Some(text) => (variable.read)(text, context, &mut settings),
                None => Err(Wrong {
                    why: "it is not UTF-8".to_owned(),
                    near: None,
                }),
            };
            if let Err(wrong) = read {
                errors.push(error(variable, &value.to_string_lossy(), &wrong));
            }
        }
        (settings, errors)
    }
}

/// What `THREADCTL_NUM_THREADS` says now.
pub(crate) fn num_threads_of_process() -> Result<Option<Workers<'static>>> {
    one(super::table::NUM_THREADS).map(|settings| settings.num_threads)
}

/// What `THREADCTL_BACKEND` says now.
pub(crate) fn backend_of_process() -> Result<Option<Choice>> {
    one(BACKEND).map(|settings| settings.backend)
}

/// What `THREADCTL_JOBSERVER` says now.
pub(crate) fn jobserver_of_process() -> Result<budget::Choice> {
    one(JOBSERVER).map(|settings| settings.jobserver)
}

/// What `THREADCTL_PIN` says now; a wrong value is reported elsewhere, and binds nobody.
pub(crate) fn pin_of_process() -> bool {
    one(PIN).is_ok_and(|settings| settings.pin)
}

/// What one variable says now.
pub(super) fn one(name: &str) -> Result<Settings> {
    let context = Context::new(Trust::of_process());
    let at = VARIABLES.iter().position(|row| row.name == name);
    let rows = at.map_or(&[][..], |at| &VARIABLES[at..=at]);
    let (settings, errors) = Settings::read(rows, &|name| std::env::var_os(name), &context);
    joined(errors).map_or(Ok(settings), Err)
}

fn error(variable: &Variable, value: &str, wrong: &Wrong) -> Error {
    let near = wrong
        .near
        .as_ref()
        .map(|near| format!("; did you mean {near:?}"))
        .unwrap_or_default();
    Error::new(
        ErrorKind::Configuration,
        format!(
            "{name}={value:?}: {why}{near}{end} Accepted is {grammar}, as in {name}={example}",
            name = variable.name,
            why = wrong.why,
            end = if near.is_empty() { "." } else { "?" },
            grammar = variable.grammar,
            example = variable.example
        ),
    )
}

/// One error out of several; `None` out of none.
fn joined(errors: Vec<Error>) -> Option<Error> {
    if errors.is_empty() {
        return None;
    }
    let messages: Vec<String> = errors.iter().map(Error::to_string).collect();
    Some(Error::new(ErrorKind::Configuration, messages.join("\n")))
}

pub(super) fn num_threads(text: &str, _: &Context, settings: &mut Settings) -> Read<()> {
    match text.parse() {
        Ok(workers) => settings.num_threads = Some(workers),
        Err(_) => {
            let why = if text
                .trim_start_matches(['+', '-'])
                .bytes()
                .all(|byte| byte == b'0')
            {
                "0 threads can do no work"
            } else if is_whole(text) {
                "no machine has that many"
            } else {
                "it is not a whole number"
            };
            return Err(Wrong {
                why: why.to_owned(),
                near: Some(number_in(text).unwrap_or_else(|| Workers::ALL.to_string())),
            });
        }
    }
    Ok(())
}

fn is_whole(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The number that a text begins with, if it can be one of workers.
fn number_in(text: &str) -> Option<String> {
    let text = text.trim_start_matches('+');
    let sign = if text.starts_with('-') { "-" } else { "" };
    let digits: String = text[sign.len()..]
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    let number = format!("{sign}{digits}");
    number
        .parse::<Workers>()
        .ok()
        .map(|workers| workers.to_string())
}

pub(super) fn limits(text: &str, context: &Context, settings: &mut Settings) -> Read<()> {
    // A path has no comma in it here, and a name that begins with a slash is a path.
    let (paths, names): (Vec<&str>, Vec<&str>) = text
        .split(',')
        .partition(|entry| entry.trim_start().starts_with('/'));
    let kept: String;
    let is_refused = |path: &&&str| !file::allowed(LIMITS, path.trim(), context);
    // Each is asked about, so that each is reported.
    let text = if paths.iter().filter(is_refused).count() == 0 {
        text
    } else if names.is_empty() {
        return Ok(());
    } else {
        kept = names.join(",");
        &kept
    };
    match text.parse() {
        Ok(limits) => settings.limits = Some(limits),
        Err(error) => {
            let message = error.to_string();
            // It names the nearest spelling itself, where there is one.
            let (why, near) = match message.split_once("; did you mean ") {
                Some((why, near)) => (why, Some(near.trim_matches(['"', '?']).to_owned())),
                None => (message.as_str(), None),
            };
            return Err(Wrong {
                why: why.to_owned(),
                near,
            });
        }
    }
    Ok(())
}

pub(super) fn scope(text: &str, _: &Context, settings: &mut Settings) -> Read<()> {
    settings.scope = word(
        text,
        &[("process", Scope::Process), ("thread", Scope::Thread)],
    )?;
    Ok(())
}

pub(super) fn tuning(text: &str, context: &Context, settings: &mut Settings) -> Read<()> {
    if text.starts_with('/') {
        if file::allowed(TUNING, text, context) {
            settings.tuning = TuningFile::At(text.into());
        }
        return Ok(());
    }
    settings.tuning = word(text, &[("off", ())]).map(|()| TuningFile::Off)?;
    Ok(())
}

pub(super) fn backend(text: &str, context: &Context, settings: &mut Settings) -> Read<()> {
    for entry in text.split(':').map(str::trim) {
        if let Some(why) = backend::fault(entry) {
            return Err(Wrong {
                why: format!("{entry:?}: {why}"),
                near: nearest(&entry.to_lowercase(), &backend::names()).map(str::to_owned),
            });
        }
    }
    let choice: Option<Choice> = text.parse().ok();
    settings.backend =
        choice.filter(|choice| !choice.names_files() || file::allowed(BACKEND, text, context));
    Ok(())
}

pub(super) fn jobserver(text: &str, context: &Context, settings: &mut Settings) -> Read<()> {
    if !text.contains([',', ':']) {
        settings.jobserver =
            word(text, &[("off", ()), ("no", ())]).map(|()| budget::Choice::Off)?;
        return Ok(());
    }
    let auth: budget::Auth = text.parse().map_err(|why| Wrong { why, near: None })?;
    if file::allowed(JOBSERVER, text, context) {
        settings.jobserver = budget::Choice::At(auth);
    }
    Ok(())
}

pub(super) fn pin(text: &str, _: &Context, settings: &mut Settings) -> Read<()> {
    settings.pin = word(text, &[("on", true), ("off", false)])?;
    Ok(())
}

pub(super) fn log(text: &str, _: &Context, settings: &mut Settings) -> Read<()> {
    settings.log = word(
        text,
        &[
            ("off", None),
            ("error", Some(Level::ERROR)),
            ("warn", Some(Level::WARN)),
            ("info", Some(Level::INFO)),
            ("debug", Some(Level::DEBUG)),
            ("trace", Some(Level::TRACE)),
        ],
    )?;
    Ok(())
}

/// What a word of a list means, in capitals or not.
fn word<T: Copy>(text: &str, words: &[(&'static str, T)]) -> Read<T> {
    if let Some((_, meaning)) = words
        .iter()
        .find(|(word, _)| word.eq_ignore_ascii_case(text))
    {
        return Ok(*meaning);
    }
    let candidates: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    // `warning` and `proc` are further from what is meant than a slip of the finger, but plain.
    let lower = text.to_lowercase();
    let begun = candidates
        .iter()
        .copied()
        .find(|word| lower.starts_with(word) || word.starts_with(&lower));
    Err(Wrong {
        why: "there is no such value".to_owned(),
        near: nearest(text, &candidates).or(begun).map(str::to_owned),
    })
}
