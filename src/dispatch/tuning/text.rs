//! Tunings as text: `openblas 0.3.34 Zen product 373248`, a line for each number, and comments after `#`. Pure.
//!
//! Invariant: a text is read whole or not at all; the first wrong line is named, with what is accepted there.

use super::{Family, Least, Name, Tuning};
use crate::error::{Error, ErrorKind};
use crate::limit::nearest;

/// The word for [`Least::NEVER`].
const NEVER: &str = "never";

/// What is wrong with a line.
#[derive(Debug)]
pub(super) struct Wrong {
    line: usize,
    why: String,
}

impl Wrong {
    /// The error for a text from there.
    pub fn of(self, origin: &str) -> Error {
        let Wrong { line, why } = self;
        Error::new(
            ErrorKind::Configuration,
            format!(
                "{origin}, line {line}: {why}; a line is LIBRARY VERSION KERNELS ROUTINE NUMBER, as in `openblas 0.3.34 Zen \
                 product 373248`"
            ),
        )
    }
}

/// One number.
struct Entry {
    name: Name,
    family: Family,
    number: usize,
}

pub(super) fn parse(text: &str) -> Result<Tuning, Wrong> {
    let mut tuning = Tuning::default();
    for (index, line) in text.lines().enumerate() {
        let wrong = |why| Wrong {
            line: index + 1,
            why,
        };
        let Some(entry) = entry(line).map_err(wrong)? else {
            continue;
        };
        let Entry {
            name,
            family,
            number,
        } = entry;
        let of_library = tuning.0.entry(name.clone()).or_default();
        if of_library.insert(family, number).is_some() {
            return Err(wrong(format!("{name} has a number for {family} already")));
        }
    }
    Ok(tuning)
}

fn entry(line: &str) -> Result<Option<Entry>, String> {
    let line = line.split('#').next().unwrap_or_default();
    let words: Vec<&str> = line.split_whitespace().collect();
    let [api, version, kernels, routine, number] = *words else {
        return match words.len() {
            0 => Ok(None),
            count => Err(format!("{:?} is {count} words, not 5", line.trim())),
        };
    };
    let names = Family::ALL.map(Family::name);
    let family = Family::named(routine).ok_or_else(|| {
        let near = nearest(routine, &names)
            .map(|near| format!("; did you mean {near:?}?"))
            .unwrap_or_default();
        format!(
            "there is no routine {routine:?}{near} Accepted are {}",
            names.join(", ")
        )
    })?;
    let number = match number.parse() {
        _ if number == NEVER => Least::NEVER,
        Ok(number) if number > 0 && number < Least::NEVER => number,
        _ => {
            return Err(format!(
                "{number:?} is no number for {family}: accepted are whole {} from 1 to {}, or `{NEVER}`",
                family.unit(),
                Least::NEVER - 1
            ));
        }
    };
    Ok(Some(Entry {
        name: Name::of_words([api, version, kernels]),
        family,
        number,
    }))
}

pub(super) fn replaced(
    text: &str,
    name: &Name,
    numbers: &[(Family, usize)],
) -> Result<String, Wrong> {
    parse(text)?;
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let replaced = entry(line).ok().flatten().is_some_and(|entry| {
            entry.name == *name && numbers.iter().any(|(family, _)| *family == entry.family)
        });
        if !replaced {
            lines.push(line.to_owned());
        }
    }
    for &(family, number) in numbers {
        let number = match number {
            Least::NEVER => NEVER.to_owned(),
            number => number.to_string(),
        };
        lines.push(format!("{name} {family} {number}"));
    }
    lines.push(String::new());
    Ok(lines.join("\n"))
}
