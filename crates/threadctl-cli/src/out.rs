//! Where the commands write: answers on standard output, complaints on standard error.
//!
//! `println!` panics when the reader has gone; these return the error, marked, so that `main` can stay quiet.

use std::io::{self, Write};

use anstream::AutoStream;
use anstream::stream::RawStream;
use anstyle::{AnsiColor, Style};
use anyhow::Result;
use serde::Serialize;

/// What is wrong.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What is as it should be.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// What can be typed.
pub(crate) const TYPE: Style = Style::new().bold();

/// Standard output was closed by its reader. Kept apart from every other broken pipe (a child's, say), which is a
/// real error.
#[derive(Debug)]
struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("standard output was closed")
    }
}

impl std::error::Error for Closed {}

/// Whether `error` only says that the reader of standard output has gone.
pub(crate) fn is_closed(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<Closed>())
}

/// Writes `text` to standard output, with a line end if it has none.
pub(crate) fn text(text: &str) -> Result<()> {
    bytes(text.as_bytes())
}

/// The same for text that need not be UTF-8.
pub(crate) fn bytes(text: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(text)
        .and_then(|()| {
            if text.ends_with(b"\n") {
                Ok(())
            } else {
                stdout.write_all(b"\n")
            }
        })
        .and_then(|()| stdout.flush());
    match written {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Closed.into()),
        Err(error) => Err(anyhow::Error::new(error).context("cannot write to standard output")),
    }
}

/// The text as this stream takes it: with its colours on a terminal, unless `NO_COLOR` (or another of the usual variables) says
/// otherwise, and elsewhere without.
pub(crate) fn coloured(stream: &impl RawStream, text: &str) -> String {
    match AutoStream::choice(stream) {
        anstream::ColorChoice::Never => plain(text),
        _ => text.to_owned(),
    }
}

/// The text without colours.
pub(crate) fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

/// Writes `value` to standard output as indented JSON.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<()> {
    text(&serde_json::to_string_pretty(value)?)
}

/// Writes a message to standard error, marked as this program's. Its own failure has nowhere to go.
pub(crate) fn complain(message: &str) {
    let _ = writeln!(io::stderr().lock(), "threadctl: {message}");
}

/// Text of others with what is not printed, or turns the direction of the letters, written as Rust writes it: `\u{1b}`.
pub(crate) fn shown(text: &str) -> String {
    let turns = |letter| matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut clean = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            clean.extend(letter.escape_default());
        } else if turns(letter) {
            clean.extend(letter.escape_unicode());
        } else {
            clean.push(letter);
        }
    }
    clean
}

/// The columns that text for people is kept to.
const WIDTH: usize = 80;

/// Text broken at spaces into lines of at most [`WIDTH`] columns, all but the first of them indented. A word that is longer
/// stays whole.
pub(crate) fn wrapped(text: &str, indent: usize) -> String {
    let mut wrapped = String::new();
    let mut column = indent;
    for word in text.split_ascii_whitespace() {
        let length = word.chars().count();
        if column > indent && column + 1 + length > WIDTH {
            wrapped.push('\n');
            wrapped.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if column > indent {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += length;
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_full_and_not_longer() {
        let text = "word ".repeat(60);
        let lines = wrapped(&text, 4);
        for (at, line) in lines.lines().enumerate() {
            let columns = line.len() + if at == 0 { 4 } else { 0 };
            assert!(
                columns <= WIDTH && (columns > WIDTH - 6 || at == 3),
                "{line:?}"
            );
            assert_eq!(line.starts_with("    "), at > 0);
        }
        assert_eq!(wrapped(&"x".repeat(100), 2), "x".repeat(100));
    }
}
