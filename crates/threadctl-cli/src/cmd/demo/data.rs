//! The demo's data: the wine-quality set or what `read` made of a CSV file, thinned to the wanted rows and standardised.
//!
//! Invariants: every number that leaves this file is finite; a prepared problem has at least 2 rows and 1 feature,
//! no constant column, and each of its columns has mean 0 and variance 1.

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
    use super::super::read::parse_csv;
    use super::*;

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
