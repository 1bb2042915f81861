//! From a command with places for values to the line that the shell runs. Pure.
//!
//! Invariants: a value is one word for the shell, whatever bytes it has; a line is the same for the same values, number and
//! place.

use anyhow::{Result, bail};

/// A command with places for values.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    /// Of one of several lists, from 0; of all of them without it.
    Value {
        list: Option<usize>,
        part: Part,
    },
    /// The values as they are: commands.
    Commands,
    /// The number of the job.
    Number,
    /// Its place among those that run at once.
    Slot,
}

/// What of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Stem,
    Name,
    Folder,
    NameStem,
}

/// How each is written between braces, behind the number of a list.
const PARTS: &[(&str, Part)] = &[
    ("", Part::Whole),
    (".", Part::Stem),
    ("/", Part::Name),
    ("//", Part::Folder),
    ("/.", Part::NameStem),
];

impl Template {
    /// Of the words of a command, with blanks between them, for so many lists of values.
    ///
    /// # Errors
    /// A word names a list that there is not.
    pub(super) fn new(words: &[Vec<u8>], lists: usize) -> Result<Self> {
        if words.is_empty() {
            return Ok(Template {
                pieces: vec![Piece::Commands],
            });
        }
        let line = words.join(&b' ');
        let mut pieces = Vec::new();
        let mut text = Vec::new();
        let mut rest = &line[..];
        while let Some((&byte, after)) = rest.split_first() {
            let found = (byte == b'{').then(|| placeholder(after)).flatten();
            let Some((piece, length)) = found else {
                text.push(byte);
                rest = after;
                continue;
            };
            if let Piece::Value {
                list: Some(list), ..
            } = piece
                && list >= lists
            {
                let name = String::from_utf8_lossy(&after[..length - 1]).into_owned();
                bail!("{{{name}}}: the lists are numbered from 1 to {lists}");
            }
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(piece);
            rest = &after[length..];
        }
        let has_places = !pieces.is_empty();
        if !has_places {
            text.push(b' ');
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        if !has_places {
            let (list, part) = (None, Part::Whole);
            pieces.push(Piece::Value { list, part });
        }
        Ok(Template { pieces })
    }

    /// The line of one job. `values` has one of each list.
    pub(super) fn line(&self, values: &[Vec<u8>], number: usize, slot: usize) -> Vec<u8> {
        let mut line = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => line.extend_from_slice(text),
                Piece::Value { list, part } => {
                    let chosen = match list {
                        Some(list) => values.get(*list..=*list).unwrap_or_default(),
                        None => values,
                    };
                    let words: Vec<Vec<u8>> = chosen
                        .iter()
                        .map(|value| quoted(&of(value, *part)))
                        .collect();
                    line.extend_from_slice(&words.join(&b' '));
                }
                Piece::Commands => line.extend_from_slice(&values.join(&b' ')),
                Piece::Number => line.extend_from_slice(number.to_string().as_bytes()),
                Piece::Slot => line.extend_from_slice(slot.to_string().as_bytes()),
            }
        }
        line
    }

    /// Whether a job's line depends on its place, which differs from run to run.
    pub(super) fn has_slot(&self) -> bool {
        self.pieces.contains(&Piece::Slot)
    }
}

/// What a brace opens, and how long it is after the brace; `None` where it is text.
fn placeholder(after: &[u8]) -> Option<(Piece, usize)> {
    let end = after.iter().position(|byte| *byte == b'}')?;
    let inside = str::from_utf8(&after[..end]).ok()?;
    let piece = match inside {
        "#" => Piece::Number,
        "%" => Piece::Slot,
        _ => {
            let digits = inside.bytes().take_while(u8::is_ascii_digit).count();
            let (list, part) = inside.split_at(digits);
            let (_, part) = PARTS.iter().find(|(name, _)| *name == part)?;
            let list = match list {
                "" => None,
                // {0} is nobody's, and so text.
                list => Some(list.parse::<usize>().ok()?.checked_sub(1)?),
            };
            Piece::Value { list, part: *part }
        }
    };
    Some((piece, end + 1))
}

fn of(value: &[u8], part: Part) -> Vec<u8> {
    match part {
        Part::Whole => value.to_vec(),
        Part::Stem => stem(value).to_vec(),
        Part::Name => name(value).to_vec(),
        Part::NameStem => stem(name(value)).to_vec(),
        Part::Folder => match value.iter().rposition(|byte| *byte == b'/') {
            None => b".".to_vec(),
            Some(0) => b"/".to_vec(),
            Some(slash) => value[..slash].to_vec(),
        },
    }
}

/// Up to the last dot, if no slash comes after it.
fn stem(value: &[u8]) -> &[u8] {
    match value.iter().rposition(|byte| b"./".contains(byte)) {
        Some(at) if value[at] == b'.' => &value[..at],
        _ => value,
    }
}

/// After the last slash.
fn name(value: &[u8]) -> &[u8] {
    let slash = value.iter().rposition(|byte| *byte == b'/');
    slash.map_or(value, |slash| &value[slash + 1..])
}

/// One word for the shell.
pub(super) fn quoted(value: &[u8]) -> Vec<u8> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./:,+@%=".contains(byte);
    if !value.is_empty() && value.iter().all(plain) {
        return value.to_vec();
    }
    let mut word = vec![b'\''];
    for byte in value {
        match byte {
            b'\'' => word.extend_from_slice(br"'\''"),
            byte => word.push(*byte),
        }
    }
    word.push(b'\'');
    word
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn line(command: &str, values: &[&str]) -> String {
        let words: Vec<Vec<u8>> = command.split(' ').map(|word| word.into()).collect();
        let values: Vec<Vec<u8>> = values.iter().map(|value| (*value).into()).collect();
        let template = Template::new(&words, values.len()).unwrap();
        String::from_utf8(template.line(&values, 7, 2)).unwrap()
    }

    #[test]
    fn values_take_their_places_and_parts_as_gnu_parallel_has_them() {
        for (command, value, expected) in [
            ("cat", "a", "cat a"),
            ("cat {} > {}.out", "a", "cat a > a.out"),
            ("f {.}", "d.x/a.tar.gz", "f d.x/a.tar"),
            ("f {.}", "d.x/a", "f d.x/a"),
            ("f {/}", "d/e/a.gz", "f a.gz"),
            ("f {//}", "d/e/a.gz", "f d/e"),
            ("f {//}", "a.gz", "f ."),
            ("f {//}", "/a", "f /"),
            ("f {/.}", "d/e/a.gz", "f a"),
            ("f {#} {%}", "a", "f 7 2"),
            ("f {x} {}", "a", "f {x} a"),
            ("awk {print}", "a", "awk {print} a"),
            ("f {", "a", "f { a"),
            ("f {0} {}", "a", "f {0} a"),
            ("f", "", "f ''"),
            ("f", "a b", "f 'a b'"),
            ("f", "it's $HOME", r"f 'it'\''s $HOME'"),
            ("f", "a\nb", "f 'a\nb'"),
            ("f", "~", "f '~'"),
        ] {
            assert_eq!(line(command, &[value]), expected, "{command} with {value}");
        }
    }

    #[test]
    fn several_lists_are_all_values_or_one() {
        assert_eq!(line("f {2} {1.}", &["a.x", "b"]), "f b a");
        assert_eq!(line("f {}", &["a", "b c"]), "f a 'b c'");
        assert_eq!(line("f", &["a", "b"]), "f a b");
        let error = Template::new(&[b"f".to_vec(), b"{3/}".to_vec()], 2).unwrap_err();
        assert_eq!(
            error.to_string(),
            "{3/}: the lists are numbered from 1 to 2"
        );
    }

    #[test]
    fn without_a_command_the_value_is_one() {
        let template = Template::new(&[], 1).unwrap();
        let value = b"echo $HOME | wc -c".to_vec();
        assert_eq!(template.line(std::slice::from_ref(&value), 1, 1), value);
    }

    #[test]
    fn every_byte_comes_through_the_shell_as_it_was() {
        use std::os::unix::ffi::OsStringExt as _;
        // All but NUL, which no argument can have.
        let value: Vec<u8> = (1..=255).collect();
        let template = Template::new(&[b"printf %s".to_vec()], 1).unwrap();
        let line = std::ffi::OsString::from_vec(template.line(std::slice::from_ref(&value), 1, 1));
        let output = std::process::Command::new("sh")
            .arg("-c")
            .arg(line)
            .output();
        assert_eq!(output.unwrap().stdout, value);
    }
}
