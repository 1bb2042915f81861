//! What the variables say about a budget. Pure: nothing is opened here.

use std::fmt;
use std::path::PathBuf;

/// A budget that a program is offered.
///
/// ```
/// use threadctl::budget::Auth;
/// assert_eq!("3,4".parse(), Ok(Auth::Pipe { read: 3, write: 4 }));
/// assert_eq!("fifo:/tmp/GMfifo12".parse(), Ok(Auth::Fifo("/tmp/GMfifo12".into())));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Auth {
    /// A pipe that was inherited, by its two descriptors: GNU make from 4.2 on, cargo.
    Pipe {
        /// The end that tokens are read from.
        read: u32,
        /// The end that they are written to.
        write: u32,
    },
    /// A named pipe: GNU make from 4.4 on.
    Fifo(PathBuf),
    /// The folder of a budget that `threadctl share` keeps.
    Shared(PathBuf),
}

/// What is accepted, as it is told to users.
pub(crate) const GRAMMAR: &str = "off or no; fifo:PATH, R,W (two descriptors) or share:PATH (what `threadctl share` \
                                  sets), the paths from the root on";

impl fmt::Display for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Auth::Pipe { read, write } => write!(f, "{read},{write}"),
            Auth::Fifo(path) => write!(f, "fifo:{}", path.display()),
            Auth::Shared(path) => write!(f, "share:{}", path.display()),
        }
    }
}

impl std::str::FromStr for Auth {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = |path: &str| {
            if path.starts_with('/') {
                Ok(PathBuf::from(path))
            } else {
                Err(format!("the path {path:?} does not begin at the root"))
            }
        };
        if let Some(named) = text.strip_prefix("fifo:") {
            return path(named).map(Auth::Fifo);
        }
        if let Some(named) = text.strip_prefix("share:") {
            return path(named).map(Auth::Shared);
        }
        let (read, write) = text
            .split_once(',')
            .ok_or_else(|| "it is neither a path nor two descriptors".to_owned())?;
        // Below zero: make says so to a program that shall not take part.
        if [read, write].iter().any(|end| end.trim().starts_with('-')) {
            return Err(
                "its maker says by a negative descriptor that there is no budget here".to_owned(),
            );
        }
        let end = |text: &str| {
            text.trim()
                .parse::<u32>()
                .ok()
                .filter(|end| i32::try_from(*end).is_ok())
        };
        match (end(read), end(write)) {
            (Some(read), Some(write)) => Ok(Auth::Pipe { read, write }),
            _ => Err("its two parts are not numbers of descriptors".to_owned()),
        }
    }
}

/// What `THREADCTL_JOBSERVER` asks for.
///
/// ```
/// assert_eq!(threadctl::budget::Choice::default(), threadctl::budget::Choice::Inherited);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Choice {
    /// It is not set: the budget of make or cargo, if there is one.
    #[default]
    Inherited,
    /// No budget, whatever make or cargo say.
    Off,
    /// This one.
    At(Auth),
}

/// The budget that a `MAKEFLAGS` offers, as its text says it; `None` if it offers none. Of several the last counts, as in make.
/// `--jobserver-fds` is what make called it before 4.2.
pub(super) fn in_makeflags(flags: &str) -> Option<&str> {
    flags
        .split_ascii_whitespace()
        // What follows are variables of the user's, not options.
        .take_while(|word| *word != "--")
        .filter_map(|word| {
            word.strip_prefix("--jobserver-auth=")
                .or_else(|| word.strip_prefix("--jobserver-fds="))
        })
        .last()
}

/// A `MAKEFLAGS` that offers this budget and keeps what else the user has in his: without jobservers and numbers of jobs, and with
/// the variables after `--` at the end, as make wants them. Pipes are named in both words, since makes before 4.2 know the older
/// one only; each make passes over the one that it does not know.
#[cfg(feature = "keeper")]
pub(super) fn with_offer(flags: &str, cores: usize, auth: &Auth) -> String {
    let mut words = words(flags).into_iter().peekable();
    let mut kept = Vec::new();
    // The letters of flags without arguments, with no dash before them, are the first word, or else there is a blank.
    let mut letters = String::new();
    if !flags.starts_with(' ')
        && let Some(first) = words.next_if(|word| !word.starts_with('-') && !word.contains('='))
    {
        first.clone_into(&mut letters);
        if let Some(at) = letters.find('j') {
            let digits = letters[at + 1..].bytes().take_while(u8::is_ascii_digit);
            let end = at + 1 + digits.count();
            letters.replace_range(at..end, "");
        }
    }
    let number = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    while let Some(word) = words.next_if(|word| *word != "--") {
        let jobs = word
            .strip_prefix("-j")
            .or_else(|| word.strip_prefix("--jobs="));
        if word == "-j" || word == "--jobs" {
            // Its number may be a word of its own.
            words.next_if(number);
        } else if !jobs.is_some_and(|jobs| number(&jobs)) && !word.starts_with("--jobserver") {
            kept.push(word);
        }
    }
    let mut text = letters;
    for word in kept {
        text += " ";
        text += word;
    }
    text += &format!(" -j{cores}");
    if let Auth::Pipe { .. } = auth {
        text += &format!(" --jobserver-fds={auth}");
    }
    text += &format!(" --jobserver-auth={auth}");
    for word in words {
        text += " ";
        text += word;
    }
    text
}

/// The words of a `MAKEFLAGS`; a blank after a backslash is part of one.
#[cfg(feature = "keeper")]
fn words(flags: &str) -> Vec<&str> {
    let mut escaped = false;
    let ends = |letter: char| {
        let ends = letter.is_ascii_whitespace() && !escaped;
        escaped = letter == '\\' && !escaped;
        ends
    };
    flags.split(ends).filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_make_and_cargo_write_is_read() {
        for (flags, offered) in [
            ("", None),
            ("k", None),
            (" -j4 --jobserver-auth=3,4", Some("3,4")),
            (
                "k -j --jobserver-auth=fifo:/tmp/GMfifo77",
                Some("fifo:/tmp/GMfifo77"),
            ),
            ("-j --jobserver-fds=8,9 --jobserver-auth=8,9", Some("8,9")),
            ("--jobserver-fds=5,6 -j", Some("5,6")),
            (
                "-j2 --jobserver-auth=3,4 -- CFLAGS=--jobserver-auth=1,2",
                Some("3,4"),
            ),
        ] {
            assert_eq!(in_makeflags(flags), offered, "{flags:?}");
        }
    }

    #[cfg(feature = "keeper")]
    #[test]
    fn the_users_own_flags_are_kept() {
        let pipe = Auth::Pipe { read: 8, write: 9 };
        let ours = " -j5 --jobserver-fds=8,9 --jobserver-auth=8,9";
        for (before, after) in [
            ("", "OURS"),
            ("k", "kOURS"),
            ("ks -j4 --jobserver-auth=3,4", "ksOURS"),
            ("kj4", "kOURS"),
            ("j", "OURS"),
            (
                " -j --jobserver-fds=3,4 --no-print-directory",
                " --no-print-directoryOURS",
            ),
            ("-j 3 -l 2 --jobs=7 --jobs 8 -k", " -l 2 -kOURS"),
            ("-I a\\ b -j2", " -I a\\ bOURS"),
            (
                "w -j2 -- CFLAGS=-j9\\ -g X=--jobs",
                "wOURS -- CFLAGS=-j9\\ -g X=--jobs",
            ),
            ("X=y", " X=yOURS"),
            ("--jobserver-style=pipe -n", " -nOURS"),
        ] {
            let after = after.replace("OURS", ours);
            assert_eq!(with_offer(before, 5, &pipe), after, "{before:?}");
            assert_eq!(in_makeflags(&after), Some("8,9"), "{before:?}");
        }
        assert_eq!(
            with_offer("n", 2, &Auth::Fifo("/f".into())),
            "n -j2 --jobserver-auth=fifo:/f"
        );
    }

    #[test]
    fn values_are_taken_or_told_what_is_wrong() {
        let read = |text: &str| text.parse::<Auth>();
        assert_eq!(read("3,4"), Ok(Auth::Pipe { read: 3, write: 4 }));
        assert_eq!(read("fifo:/a b:c"), Ok(Auth::Fifo("/a b:c".into())));
        assert_eq!(read("share:/run/x"), Ok(Auth::Shared("/run/x".into())));
        for (wrong, why) in [
            ("-2,-2", "negative"),
            ("3", "neither"),
            ("3,x", "not numbers"),
            ("3,4294967295", "not numbers"),
            ("fifo:here", "root"),
            ("share:", "root"),
        ] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains(why), "{wrong}: {error}");
        }
        for text in ["3,4", "fifo:/x", "share:/y"] {
            assert_eq!(read(text).unwrap().to_string(), text);
        }
    }
}
