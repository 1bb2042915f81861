//! What a picture shows, read from the report's JSON document alone, so that it can be drawn later and elsewhere.
//!
//! Invariants: of a document only its schema and what pictures need are asked for; numbers that no report has (negative, endless)
//! are made harmless here, so that drawing can do arithmetic without a second look.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

/// Documents that have a time line.
const SCHEMAS: &[&str] = &["threadctl.run/1", "threadctl.watch/1"];

/// The report, as far as it is shown.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Picture {
    command: Option<Vec<String>>,
    pid: Option<u32>,
    status: Option<u8>,
    signal: Option<u8>,
    pub(super) wall_seconds: f64,
    pub(super) cpu_seconds: f64,
    pub(super) cores: Cores,
    pub(super) cores_used: f64,
    pub(super) runnable: Runnable,
    pub(super) wait: Wait,
    pub(super) who: Vec<Group>,
    pub(super) timeline: Vec<Point>,
    pub(super) findings: Vec<Finding>,
    pub(super) notes: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Cores {
    pub(super) count: u32,
    pub(super) kind: String,
    pub(super) because: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Runnable {
    pub(super) peak: u32,
    pub(super) mean: f64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wait {
    pub(super) seconds: f64,
    pub(super) share: f64,
    pub(super) exact: bool,
}

/// Threads of one library.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) threads: u32,
    pub(super) peak: u32,
    pub(super) cpu_seconds: f64,
    pub(super) wait_seconds: f64,
    pub(super) overlap_seconds: f64,
    pub(super) guessed: u32,
}

/// A stretch of the run.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Point {
    pub(super) at: f64,
    pub(super) seconds: f64,
    pub(super) runnable: u32,
    pub(super) waiting: f64,
    pub(super) groups_mean: BTreeMap<String, f64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Finding {
    pub(super) rule: String,
    pub(super) title: String,
    pub(super) evidence: String,
    pub(super) cost: String,
    pub(super) confidence: String,
    pub(super) remedies: Vec<String>,
}

impl Picture {
    /// Of a document.
    ///
    /// # Errors
    /// If it is none of those that have a time line.
    pub(crate) fn of(document: Value) -> Result<Self> {
        let schema = document.get("schema").and_then(Value::as_str);
        match schema {
            Some(known) if SCHEMAS.contains(&known) => {}
            Some(other) => bail!(
                "its schema is {other:?}; pictures are drawn of {}",
                SCHEMAS.join(" and ")
            ),
            None => bail!(
                "it is no report of threadctl: it names no schema; pictures are drawn of {}",
                SCHEMAS.join(" and ")
            ),
        }
        let mut picture: Picture =
            serde_json::from_value(document).context("a field is not what its schema says")?;
        picture.make_harmless();
        Ok(picture)
    }

    fn make_harmless(&mut self) {
        let numbers = [
            &mut self.wall_seconds,
            &mut self.cpu_seconds,
            &mut self.cores_used,
            &mut self.runnable.mean,
            &mut self.wait.seconds,
            &mut self.wait.share,
        ];
        numbers.into_iter().for_each(tame);
        for group in &mut self.who {
            let times = [
                &mut group.cpu_seconds,
                &mut group.wait_seconds,
                &mut group.overlap_seconds,
            ];
            times.into_iter().for_each(tame);
        }
        for point in &mut self.timeline {
            let times = [&mut point.at, &mut point.seconds, &mut point.waiting];
            times.into_iter().for_each(tame);
            point.groups_mean.values_mut().for_each(tame);
        }
        self.timeline
            .sort_by(|one, next| one.at.total_cmp(&next.at));
    }

    /// What was looked at, on one line.
    pub(super) fn subject(&self) -> String {
        match (&self.command, self.pid) {
            (Some(command), _) => command.join(" "),
            (None, Some(pid)) => format!("process {pid}"),
            (None, None) => "a program".to_owned(),
        }
    }

    /// How it ended, if it did.
    pub(super) fn end(&self) -> Option<String> {
        match (self.signal, self.status) {
            (Some(signal), _) => Some(format!("killed by signal {signal}")),
            (None, Some(status)) => Some(format!("ended with status {status}")),
            (None, None) => None,
        }
    }

    /// The time that the time line covers, in seconds; never nothing.
    pub(super) fn length(&self) -> f64 {
        let end = self
            .timeline
            .last()
            .map_or(0.0, |last| last.at + last.seconds);
        end.max(self.wall_seconds).max(1e-6)
    }
}

/// Beyond these no program has anything.
fn tame(number: &mut f64) {
    *number = if number.is_finite() {
        number.clamp(0.0, 1e12)
    } else {
        0.0
    };
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_documents_with_a_time_line_are_taken() {
        assert!(Picture::of(json!({"schema": "threadctl.watch/1", "pid": 7})).is_ok());
        for (document, words) in [
            (json!({"schema": "threadctl.cores/1"}), "threadctl.cores/1"),
            (json!({"schema": "threadctl.run/2"}), "threadctl.run/1"),
            (json!([1]), "no report"),
            (json!({"schema": "threadctl.run/1", "who": 3}), "a field"),
        ] {
            let error = format!("{:#}", Picture::of(document).unwrap_err());
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn strange_numbers_and_order_do_no_harm() {
        let picture = Picture::of(json!({
            "schema": "threadctl.run/1", "wall_seconds": -3.0, "cpu_seconds": 1e300,
            "timeline": [{"at": 2.0, "seconds": 1.0}, {"at": 0.0, "seconds": -1.0, "waiting": -5.0}],
        }))
        .unwrap();
        assert_eq!((picture.wall_seconds, picture.cpu_seconds), (0.0, 1e12));
        assert_eq!(picture.length(), 3.0);
        assert_eq!(picture.timeline.first().unwrap().waiting, 0.0);
    }
}
