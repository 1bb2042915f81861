//! The demo's data: the wine-quality set or a CSV file, checked, thinned to the wanted rows, and standardised.
//!
//! Invariants: every number that leaves this file is finite; a prepared problem has at least 2 rows and 1 feature,
//! no constant column, and each of its columns has mean 0 and variance 1.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// How many rows are used when nobody says: the cost grows with the cube of this.
pub(crate) const DEFAULT_MOST_ROWS: usize = 2_000;

/// Numbers as they were read: rows of equal length, the target last.
#[derive(Debug, PartialEq)]
pub(crate) struct Table {
    /// What to call it in the report.
    pub(crate) source: String,
    /// One name per column; numbered when the file has no header.
    pub(crate) names: Vec<String>,
    /// Row after row.
    pub(crate) rows: Vec<Vec<f64>>,
}

/// A regression problem ready for the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Problem {
    /// Rows.
    pub(crate) n: usize,
    /// Features.
    pub(crate) d: usize,
    /// Features, `n` x `d`, column-major.
    pub(crate) x: Vec<f64>,
    /// Target, `n`.
    pub(crate) y: Vec<f64>,
}

/// The red-wine quality data of Cortez et al. (2009), 1,599 rows, 11 features, as linfa-datasets carries it.
pub(crate) fn wine() -> Table {
    let data = linfa_datasets::winequality();
    let mut names: Vec<String> = data
        .feature_names()
        .iter()
        .map(ToString::to_string)
        .collect();
    names.push("quality".to_owned());
    let rows = data
        .records
        .rows()
        .into_iter()
        .zip(data.targets.iter())
        .map(|(row, &target)| row.iter().copied().chain([target as f64]).collect())
        .collect();
    Table {
        source: "wine quality (linfa-datasets)".to_owned(),
        names,
        rows,
    }
}

/// Reads a CSV file. The separator is a comma, semicolon or tab, whichever the first line has; a first line
/// without any number is a header.
///
/// # Errors
/// Every complaint names the file and, where there is one, the line, the column and the reason.
pub(crate) fn read_csv(path: &Path) -> Result<Table> {
    let source = path.display().to_string();
    let file = File::open(path).with_context(|| format!("cannot open {source}"))?;
    parse_csv(file, &source)
}

fn parse_csv(input: impl Read, source: &str) -> Result<Table> {
    let mut input = BufReader::new(input);
    // The separator is guessed from what is buffered, without consuming it.
    let start = loop {
        match input.fill_buf() {
            Ok(start) => break start,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).with_context(|| format!("cannot read {source}")),
        }
    };
    let first_line = start
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    let separator = [b',', b';', b'\t']
        .into_iter()
        .find(|byte| first_line.contains(byte))
        .unwrap_or(b',');

    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        // Ragged rows are found below, where the message can name line and counts.
        .flexible(true)
        .trim(csv::Trim::All)
        .delimiter(separator)
        .from_reader(input);
    let mut names: Vec<String> = Vec::new();
    let mut rows: Vec<Vec<f64>> = Vec::new();
    let mut record = csv::ByteRecord::new();
    while reader
        .read_byte_record(&mut record)
        .with_context(|| format!("cannot read {source}"))?
    {
        let line = record.position().map_or(0, csv::Position::line);
        let fields: Vec<_> = record.iter().map(String::from_utf8_lossy).collect();
        if names.is_empty() {
            ensure!(
                fields.len() >= 2,
                "{source}: line {line}: has 1 column; at least 2 are needed, the last being the target"
            );
            if fields.iter().all(|field| field.parse::<f64>().is_err()) {
                names = fields.iter().map(|field| field.to_string()).collect();
                continue;
            }
            names = (1..=fields.len())
                .map(|column| column.to_string())
                .collect();
        }
        ensure!(
            fields.len() == names.len(),
            "{source}: line {line}, column {}: the row has {} fields, the first has {}",
            fields.len().min(names.len()) + 1,
            fields.len(),
            names.len()
        );
        let row = fields
            .iter()
            .enumerate()
            .map(|(index, field)| {
                number(field).map_err(|reason| {
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

/// One field as a finite number, or what is wrong with it.
fn number(field: &str) -> Result<f64, String> {
    if field.is_empty() {
        return Err("the field is empty; a number is needed".to_owned());
    }
    match field.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err(format!("{field:?} is not a finite number")),
        Err(_) => Err(format!("{field:?} is not a number")),
    }
}

impl Table {
    /// The problem of `rows` rows spread evenly over the table (all, up to [`DEFAULT_MOST_ROWS`], if none is
    /// given), and the names of the features left out because they are constant there.
    ///
    /// # Errors
    /// When the table has fewer rows, the target or every feature is constant, or a column is too large to square.
    pub(crate) fn prepare(&self, rows: Option<usize>) -> Result<(Problem, Vec<String>)> {
        let have = self.rows.len();
        let n = rows.unwrap_or(have.min(DEFAULT_MOST_ROWS));
        if n > have {
            bail!("--rows {n}: {} has {have} rows", self.source);
        }
        let chosen: Vec<&[f64]> = (0..n).map(|i| self.rows[i * have / n].as_slice()).collect();
        let mut x = Vec::new();
        let mut left_out = Vec::new();
        let mut target = None;
        for (index, name) in self.names.iter().enumerate() {
            let column: Vec<f64> = chosen.iter().map(|row| row[index]).collect();
            let standard = standardise(&column)
                .with_context(|| format!("{}: column {} ({name})", self.source, index + 1))?;
            match standard {
                standard if index + 1 == self.names.len() => target = standard,
                Some(standard) => x.extend(standard),
                None => left_out.push(name.clone()),
            }
        }
        let Some(y) = target else {
            bail!(
                "{}: the target (the last column) is constant in the {n} rows used",
                self.source
            );
        };
        let d = x.len() / n;
        ensure!(
            d >= 1,
            "{}: every feature is constant in the {n} rows used",
            self.source
        );
        Ok((Problem { n, d, x, y }, left_out))
    }
}

/// The column at mean 0 and variance 1; `None` when it is constant.
fn standardise(column: &[f64]) -> Result<Option<Vec<f64>>> {
    if column.iter().all(|&value| value == column[0]) {
        return Ok(None);
    }
    let n = column.len() as f64;
    let mean = column.iter().map(|value| value / n).sum::<f64>();
    let deviation = (column
        .iter()
        .map(|value| (value - mean).powi(2))
        .sum::<f64>()
        / n)
        .sqrt();
    ensure!(
        // The sum of squares overflows above about 1e154, and underflows below 1e-162.
        deviation.is_normal() && mean.is_finite(),
        "the values are too large or too close together to standardise"
    );
    let standard = column
        .iter()
        .map(|value| (value - mean) / deviation)
        .collect();
    Ok(Some(standard))
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
            "f.csv: line 2, column 3: the row has 3 fields, the first has 2"
        );
        assert_eq!(
            complaint(b"1,2,3\n4,5\n"),
            "f.csv: line 2, column 3: the row has 2 fields, the first has 3"
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
    fn columns_are_standardised_and_constant_features_left_out() {
        let table = parse_csv(&b"a,b,c\n1,7,10\n3,7,30\n"[..], "f").unwrap();
        let (problem, left_out) = table.prepare(None).unwrap();
        assert_eq!(
            problem,
            Problem {
                n: 2,
                d: 1,
                x: vec![-1.0, 1.0],
                y: vec![-1.0, 1.0]
            }
        );
        assert_eq!(left_out, ["b"]);
    }

    #[test]
    fn what_cannot_be_modelled_is_refused() {
        let refused = |text: &[u8], rows| {
            parse_csv(text, "f")
                .unwrap()
                .prepare(rows)
                .map(|_| ())
                .unwrap_err()
        };
        assert!(
            refused(b"1,5\n2,5\n", None)
                .to_string()
                .contains("the target (the last column) is constant")
        );
        assert!(
            refused(b"1,5\n1,6\n", None)
                .to_string()
                .contains("every feature is constant")
        );
        assert!(
            refused(b"1,5\n2,6\n", Some(3))
                .to_string()
                .contains("--rows 3: f has 2 rows")
        );
        assert!(
            format!("{:#}", refused(b"1e200,5\n-1e200,6\n", None))
                .contains("column 1 (1): the values are too large")
        );
    }

    #[test]
    fn rows_are_spread_evenly() {
        let table = Table {
            source: "f".to_owned(),
            names: vec!["a".to_owned(), "b".to_owned()],
            rows: (0..9)
                .map(|i| vec![f64::from(i), f64::from(i % 5)])
                .collect(),
        };
        let (problem, _) = table.prepare(Some(3)).unwrap();
        // Rows 0, 3 and 6: equal steps, so the middle one is the mean.
        assert!((problem.x[0] + problem.x[2]).abs() < 1e-12 && problem.x[1].abs() < 1e-12);
    }

    #[test]
    fn the_wine_data_is_whole() {
        let table = wine();
        assert_eq!((table.rows.len(), table.names.len()), (1_599, 12));
        let (problem, left_out) = table.prepare(None).unwrap();
        assert_eq!((problem.n, problem.d, left_out.len()), (1_599, 11, 0));
    }
}
