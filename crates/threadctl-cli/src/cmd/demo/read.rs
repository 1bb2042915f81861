//! The CSV file of `--data`, as programs write it anywhere in the world: separated by commas, semicolons or tabs, with
//! or without a header, with decimal commas where commas do not separate, and with the `sep=;` of spreadsheets.
//!
//! Invariants: every number that leaves this file is finite; every complaint names the file and, where there is one, the
//! line, the column and the reason. What can be read in two ways is refused, not guessed.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::data::Table;
use crate::cmd::special;

/// More than this of a first line is not looked at to find the separator.
const FIRST_LINE: u64 = 1 << 20;

/// In the order in which they are looked for in a first line: numbers may have commas, so a comma comes last.
const SEPARATORS: &[(u8, &str)] = &[(b';', "semicolons"), (b'\t', "tabs"), (b',', "commas")];

/// Reads a CSV file. The separator is what a first line `sep=...` says, or the first of semicolon, tab and comma that the
/// first line has outside quotes; a line without any number before all others is a header.
///
/// # Errors
/// Every complaint names the file and, where there is one, the line, the column and the reason.
pub(crate) fn read_csv(path: &Path) -> Result<Table> {
    let source = path.display().to_string();
    if let Some(what) = special::of(path)
        && !special::is_open_already(path)
    {
        bail!(
            "--data {source}: this is {what}; name a file, or /dev/stdin to read what is piped in"
        );
    }
    let file = File::open(path).with_context(|| format!("cannot open {source}"))?;
    parse_csv(file, &source)
}

/// How fields are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Format {
    separator: u8,
    /// The name of the separator, for complaints.
    called: &'static str,
    /// Whether the first line only says so, and is not data.
    told: bool,
}

impl Format {
    fn of(first_line: &[u8], source: &str) -> Result<Self> {
        let line = first_line
            .strip_prefix("\u{feff}".as_bytes())
            .unwrap_or(first_line)
            .trim_ascii();
        let bare = line
            .strip_prefix(b"\"")
            .and_then(|rest| rest.strip_suffix(b"\""))
            .unwrap_or(line);
        if let Some((word, rest)) = bare.split_at_checked(4)
            && word.eq_ignore_ascii_case(b"sep=")
        {
            // The tab was trimmed away.
            let told = if rest.is_empty() { b"\t" } else { rest };
            let known = SEPARATORS
                .iter()
                .find(|(separator, _)| told == [*separator]);
            let (separator, called) = known.with_context(|| {
                format!(
                    "{source}: line 1, column 1: sep= names {:?}; what can separate here is a comma, a semicolon or a \
                     tab",
                    String::from_utf8_lossy(told)
                )
            })?;
            return Ok(Self {
                separator: *separator,
                called,
                told: true,
            });
        }
        let mut quoted = false;
        let outside: Vec<u8> = first_line
            .iter()
            .copied()
            .filter(|&byte| {
                quoted ^= byte == b'"';
                !quoted
            })
            .collect();
        let (separator, called) = SEPARATORS
            .iter()
            .find(|(separator, _)| outside.contains(separator))
            .copied()
            .unwrap_or((b',', "commas"));
        Ok(Self {
            separator,
            called,
            told: false,
        })
    }
}

pub(super) fn parse_csv(input: impl Read, source: &str) -> Result<Table> {
    let mut input = BufReader::new(input);
    let mut first_line = Vec::new();
    input
        .by_ref()
        .take(FIRST_LINE)
        .read_until(b'\n', &mut first_line)
        .with_context(|| format!("cannot read {source}"))?;
    let format = Format::of(&first_line, source)?;
    let lines_before = u64::from(format.told);
    if format.told {
        first_line.clear();
    }

    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        // Ragged rows are found below, where the message can name line and counts.
        .flexible(true)
        .trim(csv::Trim::All)
        .delimiter(format.separator)
        .from_reader(Cursor::new(first_line).chain(input));
    let mut numbers = Numbers::new(format);
    let mut names: Vec<String> = Vec::new();
    let mut rows: Vec<Vec<f64>> = Vec::new();
    let mut record = csv::ByteRecord::new();
    while reader
        .read_byte_record(&mut record)
        .with_context(|| format!("cannot read {source}"))?
    {
        let line = record.position().map_or(0, csv::Position::line) + lines_before;
        let fields: Vec<_> = record.iter().map(String::from_utf8_lossy).collect();
        if names.is_empty() {
            ensure!(
                fields.len() >= 2,
                "{source}: line {line}: has 1 column; at least 2 are needed, the last being the target (columns are \
                 separated by {}{})",
                format.called,
                if format.told { ", as sep= says" } else { "" }
            );
            if !fields.iter().any(|field| numbers.is_one(field)) {
                names = fields.iter().map(|field| field.to_string()).collect();
                continue;
            }
            names = (1..=fields.len())
                .map(|column| column.to_string())
                .collect();
        }
        ensure!(
            fields.len() == names.len(),
            "{source}: line {line}, column {}: the row has {} fields, the first has {} (separated by {})",
            fields.len().min(names.len()) + 1,
            fields.len(),
            names.len(),
            format.called
        );
        let row = fields
            .iter()
            .enumerate()
            .map(|(index, field)| {
                numbers.read(field, line, index + 1).map_err(|reason| {
                    let name = &names[index];
                    let named = if *name == (index + 1).to_string() {
                        String::new()
                    } else {
                        format!(" ({name})")
                    };
                    anyhow::anyhow!(
                        "{source}: line {line}, column {}{named}: {reason}",
                        index + 1
                    )
                })
            })
            .collect::<Result<Vec<_>>>()?;
        rows.push(row);
    }
    ensure!(!names.is_empty(), "{source}: the file is empty");
    ensure!(
        rows.len() >= 2,
        "{source}: has {} rows of data; at least 2 are needed",
        rows.len()
    );
    Ok(Table {
        source: source.to_owned(),
        names,
        rows,
    })
}

/// Reads numbers, and sees to it that a file has one decimal mark: in a file with both, one of them groups thousands,
/// and nothing tells which numbers are a thousand times too small.
struct Numbers {
    format: Format,
    /// The first decimal mark, with its line and column.
    mark: Option<(char, u64, usize)>,
}

impl Numbers {
    fn new(format: Format) -> Self {
        Self { format, mark: None }
    }

    /// Whether a field is a number in either spelling, which a header has none of.
    fn is_one(&self, field: &str) -> bool {
        field.parse::<f64>().is_ok() || self.with_decimal_comma(field).is_some()
    }

    fn with_decimal_comma(&self, field: &str) -> Option<f64> {
        let commas = field.matches(',').count();
        (self.format.separator != b',' && commas == 1 && !field.contains('.'))
            .then(|| field.replace(',', ".").parse().ok())
            .flatten()
    }

    /// One field as a finite number, or what is wrong with it.
    fn read(&mut self, field: &str, line: u64, column: usize) -> Result<f64, String> {
        if field.is_empty() {
            return Err("the field is empty; a number is needed".to_owned());
        }
        let value = match field
            .parse::<f64>()
            .ok()
            .or_else(|| self.with_decimal_comma(field))
        {
            Some(value) if value.is_finite() => value,
            Some(_) => return Err(format!("{field:?} is not a finite number")),
            None if self.format.separator == b',' && is_decimal_comma(field) => {
                return Err(format!(
                    "{field:?} is not a number; decimal commas are understood in files that are separated by \
                     semicolons or tabs"
                ));
            }
            None if field.contains(',') && field.contains('.') => {
                return Err(format!(
                    "{field:?} is not a number; write it without marks between the thousands"
                ));
            }
            None => return Err(format!("{field:?} is not a number")),
        };
        if let Some(mark) = field.chars().find(|mark| matches!(mark, ',' | '.')) {
            match self.mark {
                Some((first, at_line, at_column)) if first != mark => {
                    return Err(format!(
                        "{field:?} has {}, but the number in line {at_line}, column {at_column} has {}; one file \
                         must have one decimal mark",
                        called(mark),
                        called(first)
                    ));
                }
                Some(_) => {}
                None => self.mark = Some((mark, line, column)),
            }
        }
        Ok(value)
    }
}

fn is_decimal_comma(field: &str) -> bool {
    field.replacen(',', ".", 1).parse::<f64>().is_ok()
}

fn called(mark: char) -> &'static str {
    if mark == ',' {
        "a decimal comma"
    } else {
        "a decimal point"
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    fn complaint(text: &[u8]) -> String {
        parse_csv(text, "f.csv")
            .map(|table| format!("accepted: {table:?}"))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_header_is_what_has_no_number() {
        let with = parse_csv(&b"a,b\n1,2\n3,4\n"[..], "f").unwrap();
        assert_eq!(with.names, ["a", "b"]);
        let without = parse_csv(&b"1,2\n3,4\n"[..], "f").unwrap();
        assert_eq!(without.names, ["1", "2"]);
        assert_eq!(with.rows, without.rows);
    }

    #[test]
    fn separators_quotes_spaces_line_ends_and_byte_order_marks_are_read() {
        let plain = parse_csv(&b"1,2.5\n3,-4e1\n"[..], "f").unwrap().rows;
        for text in [
            "1;2.5\n3;-4e1",
            "1\t2.5\r\n3\t-4e1\r\n",
            " 1 ,\"2.5\"\n\n3, -4e1\n",
            "\u{feff}1,2.5\n3,-4e1\n",
        ] {
            assert_eq!(
                parse_csv(text.as_bytes(), "f").unwrap().rows,
                plain,
                "{text:?}"
            );
        }
    }

    #[test]
    fn complaints_name_line_column_and_reason() {
        assert_eq!(
            complaint(b"a,pH\n1,2\n3,x4\n"),
            "f.csv: line 3, column 2 (pH): \"x4\" is not a number"
        );
        assert_eq!(
            complaint(b"1,2\n,4\n"),
            "f.csv: line 2, column 1: the field is empty; a number is needed"
        );
        assert_eq!(
            complaint(b"1,2\n3,NaN\n"),
            "f.csv: line 2, column 2: \"NaN\" is not a finite number"
        );
        assert_eq!(
            complaint(b"1,2\n3,1e999\n"),
            "f.csv: line 2, column 2: \"1e999\" is not a finite number"
        );
        assert_eq!(
            complaint(b"1,2\n3,4,5\n"),
            "f.csv: line 2, column 3: the row has 3 fields, the first has 2 (separated by commas)"
        );
        assert_eq!(
            complaint(b"1,2,3\n4,5\n"),
            "f.csv: line 2, column 3: the row has 2 fields, the first has 3 (separated by commas)"
        );
        assert_eq!(
            complaint(b"1,2\n3,\xff\n"),
            "f.csv: line 2, column 2: \"\u{fffd}\" is not a number"
        );
        assert_eq!(
            complaint(b"x,2\n3,4\n"),
            "f.csv: line 1, column 1: \"x\" is not a number"
        );
        assert_eq!(complaint(b""), "f.csv: the file is empty");
        assert_eq!(
            complaint(b"a,b\n"),
            "f.csv: has 0 rows of data; at least 2 are needed"
        );
        assert_eq!(
            complaint(b"1,2\n"),
            "f.csv: has 1 rows of data; at least 2 are needed"
        );
        assert!(complaint(b"1\n2\n").starts_with("f.csv: line 1: has 1 column"));
    }

    #[test]
    fn lines_count_those_inside_quotes() {
        assert_eq!(
            complaint(b"\"a\nb\",c\n1,2\n3,x\n"),
            "f.csv: line 4, column 2 (c): \"x\" is not a number"
        );
    }

    #[test]
    fn the_sep_line_of_spreadsheets_is_obeyed_and_counted() {
        for text in [
            "sep=;\n1;2.5\n3;4",
            "\u{feff}SEP=,\r\n1,2.5\r\n3,4\r\n",
            "\"sep=\t\"\n1\t2.5\n3\t4",
            "sep=\t\n1\t2,5\n3\t4",
        ] {
            let table = parse_csv(text.as_bytes(), "f").unwrap();
            assert_eq!(table.rows, [[1.0, 2.5], [3.0, 4.0]], "{text:?}");
            assert_eq!(table.names, ["1", "2"], "{text:?}");
        }
        assert_eq!(
            complaint(b"sep=;\na;b\n1;2\n3;x\n"),
            "f.csv: line 4, column 2 (b): \"x\" is not a number"
        );
        assert_eq!(
            complaint(b"sep=|\n1|2\n"),
            "f.csv: line 1, column 1: sep= names \"|\"; what can separate here is a comma, a semicolon or a tab"
        );
        assert!(
            complaint(b"sep=,\n1;2\n3;4\n")
                .ends_with("(columns are separated by commas, as sep= says)")
        );
        assert_eq!(complaint(b"sep=;\n"), "f.csv: the file is empty");
    }

    #[test]
    fn decimal_commas_are_read_where_commas_do_not_separate() {
        let german = parse_csv(&b"3,5;-1,25e1\n4;0,5\n"[..], "f").unwrap();
        assert_eq!(german.rows, [[3.5, -12.5], [4.0, 0.5]]);
        assert_eq!(german.names, ["1", "2"], "the first line is no header");
        let named = parse_csv(&b"Gehalt, g;y\n3,5;1\n4,5;2\n"[..], "f").unwrap();
        assert_eq!(named.names, ["Gehalt, g", "y"]);
        let tabs = parse_csv(&b"3,5\t1\n4\t2\n"[..], "f").unwrap();
        assert_eq!(tabs.rows, [[3.5, 1.0], [4.0, 2.0]]);
        // A separator inside quotes is a part of a name.
        let quoted = parse_csv(&b"\"a;b\",c\n1,2\n3,4\n"[..], "f").unwrap();
        assert_eq!(quoted.names, ["a;b", "c"]);
    }

    #[test]
    fn numbers_that_can_be_read_in_two_ways_are_refused() {
        assert_eq!(
            complaint(b"1;2,5\n3;4.5\n"),
            "f.csv: line 2, column 2: \"4.5\" has a decimal point, but the number in line 1, column 2 has a decimal \
             comma; one file must have one decimal mark"
        );
        assert_eq!(
            complaint(b"a;b\n1;1.234,5\n"),
            "f.csv: line 2, column 2 (b): \"1.234,5\" is not a number; write it without marks between the thousands"
        );
        assert_eq!(
            complaint(b"a;b\n1;1,234,567\n"),
            "f.csv: line 2, column 2 (b): \"1,234,567\" is not a number"
        );
        assert_eq!(
            complaint(b"a,b\n1,\"2,5\"\n"),
            "f.csv: line 2, column 2 (b): \"2,5\" is not a number; decimal commas are understood in files that are \
             separated by semicolons or tabs"
        );
    }

    #[test]
    fn a_first_line_that_comes_in_pieces_tells_the_separator_all_the_same() {
        /// A pipe whose writer writes byte by byte.
        struct Dribble<'a>(&'a [u8]);
        impl Read for Dribble<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let (now, later) = self.0.split_at(self.0.len().min(1));
                self.0 = later;
                buffer[..now.len()].copy_from_slice(now);
                Ok(now.len())
            }
        }
        let table = parse_csv(Dribble(b"1;2\n3;4\n"), "f").unwrap();
        assert_eq!(table.rows, [[1.0, 2.0], [3.0, 4.0]]);
    }
}
