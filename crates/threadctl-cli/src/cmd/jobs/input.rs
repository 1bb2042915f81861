//! The lists of values: arguments, files, standard input; and what is the command before them.
//!
//! Invariants: an entry is bytes without a NUL, since no command could have one; several lists make every combination, the
//! last varying fastest.

use std::ffi::OsString;
use std::fs::File;
use std::io::{IsTerminal as _, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::args::JobsArgs;
use crate::out;

/// Values come behind this.
const VALUES: &str = ":::";
/// Files of values.
const FILES: &str = "::::";

/// A command's words, and the values of each job.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) command: Vec<Vec<u8>>,
    /// How many lists there are, from which each job has a value.
    pub(super) lists: usize,
    /// For each job, a value of each list.
    pub(super) jobs: Vec<Vec<Vec<u8>>>,
}

/// Reads everything.
///
/// # Errors
/// A file cannot be read, or an entry cannot be an argument; both are named.
pub(super) fn read(args: &JobsArgs) -> Result<Input> {
    let is_mark =
        |word: &OsString| word == VALUES || word == FILES || word == ":::+" || word == "::::+";
    let end = args.command.iter().position(is_mark);
    let (command, rest) = args.command.split_at(end.unwrap_or(args.command.len()));
    let mut lists = Vec::new();
    for file in &args.arg_file {
        lists.push(of_file(file, args.null)?);
    }
    let mut mark = None;
    for word in rest {
        if is_mark(word) {
            if word.as_bytes().ends_with(b"+") {
                bail!(
                    "{}: lists are not linked here; give ::: and values, or :::: and files",
                    word.display()
                );
            }
            mark = Some(word);
            if word == VALUES {
                lists.push(Vec::new());
            }
        } else if mark.is_some_and(|mark| mark == FILES) {
            lists.push(of_file(Path::new(word), args.null)?);
        } else if let Some(list) = lists.last_mut() {
            list.push(word.as_bytes().to_vec());
        }
    }
    if lists.is_empty() {
        if std::io::stdin().is_terminal() {
            out::complain(
                "note: the list is read from this terminal; end it with Ctrl-D, or give ::: and values",
            );
        }
        lists.push(of_file(Path::new("-"), args.null)?);
    }
    Ok(Input {
        command: command.iter().map(|word| word.clone().into_vec()).collect(),
        lists: lists.len(),
        jobs: combinations(&lists),
    })
}

fn of_file(path: &Path, null: bool) -> Result<Vec<Vec<u8>>> {
    let mut text = Vec::new();
    let (name, read) = if path.as_os_str() == "-" {
        let name = "standard input".to_owned();
        (name, std::io::stdin().lock().read_to_end(&mut text))
    } else {
        let read = File::open(path).and_then(|mut file| file.read_to_end(&mut text));
        (path.display().to_string(), read)
    };
    read.with_context(|| format!("the list {name} cannot be read"))?;
    entries(&text, null).with_context(|| format!("the list {name}"))
}

/// The entries of a file. What comes after the last end is one too, if there is anything.
fn entries(text: &[u8], null: bool) -> Result<Vec<Vec<u8>>> {
    let end = if null { 0 } else { b'\n' };
    let text = text.strip_suffix(&[end]).unwrap_or(text);
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let entries: Vec<Vec<u8>> = text
        .split(|byte| *byte == end)
        .map(<[u8]>::to_vec)
        .collect();
    if let Some(line) = entries.iter().position(|entry| entry.contains(&0)) {
        bail!(
            "line {} has a NUL in it; if entries end with NUL, give -0",
            line + 1
        );
    }
    Ok(entries)
}

/// Every value of each list with every one of the others.
fn combinations(lists: &[Vec<Vec<u8>>]) -> Vec<Vec<Vec<u8>>> {
    lists.iter().fold(vec![Vec::new()], |before, list| {
        let longer = |so_far: &Vec<Vec<u8>>| {
            let so_far = so_far.clone();
            list.iter().map(move |value| {
                let mut all = so_far.clone();
                all.push(value.clone());
                all
            })
        };
        before.iter().flat_map(longer).collect()
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn texts(entries: &[Vec<u8>]) -> Vec<&str> {
        let text = |entry| str::from_utf8(entry).unwrap();
        entries.iter().map(|entry| text(entry)).collect()
    }

    #[test]
    fn a_line_is_an_entry_whether_the_last_one_ends_or_not() {
        for (text, expected) in [
            ("", &[][..]),
            ("a", &["a"]),
            ("a\n", &["a"]),
            ("a\n\nb c\n", &["a", "", "b c"]),
            ("\na", &["", "a"]),
        ] {
            assert_eq!(
                texts(&entries(text.as_bytes(), false).unwrap()),
                expected,
                "{text:?}"
            );
        }
        assert_eq!(texts(&entries(b"a\nb\0c\0", true).unwrap()), ["a\nb", "c"]);
        let error = entries(b"a\nb\0c\n", false).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("-0"), "{error}");
    }

    #[test]
    fn the_last_list_varies_fastest() {
        let list = |values: &[&str]| values.iter().map(|value| (*value).into()).collect();
        let jobs = combinations(&[list(&["a", "b"]), list(&["1", "2"])]);
        let jobs: Vec<String> = jobs.iter().map(|job| texts(job).concat()).collect();
        assert_eq!(jobs, ["a1", "a2", "b1", "b2"]);
        assert!(combinations(&[list(&["a"]), list(&[])]).is_empty());
    }
}
