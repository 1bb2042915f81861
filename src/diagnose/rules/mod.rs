//! The verdict: what is wrong with what a report says, what it costs, and what to type.
//!
//! Invariants: a rule is a row of [`table::RULES`]; it sees nothing but the report, so that the same report always gives the
//! same findings; what it finds rests on numbers of threads, settings and files first, and on times only where there is no
//! other way, so that a busy machine does not make healthy programs look sick.

mod checks;
mod nesting;
mod settings;
mod table;
#[cfg(test)]
mod tests;

use super::report::Report;

pub use table::RULES;

/// A kind of mistake that is known.
///
/// ```
/// for rule in threadctl::diagnose::RULES {
///     println!("{}: {}", rule.id, rule.title);
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Rule {
    /// Its name, for `threadctl explain`.
    pub id: &'static str,
    /// What is wrong, in one line.
    pub title: &'static str,
    /// Why it is wrong and what helps, in a few paragraphs.
    pub background: &'static str,
    check: fn(&Context<'_>) -> Option<Found>,
}

/// How sure a finding is.
///
/// ```
/// assert_eq!(threadctl::diagnose::Confidence::Certain.to_string(), "certain");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Confidence {
    /// It follows from what was counted.
    Certain,
    /// What was counted has hardly another reason.
    Likely,
    /// It may have another reason.
    Possible,
}

impl std::fmt::Display for Confidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Confidence::Certain => "certain",
            Confidence::Likely => "likely",
            Confidence::Possible => "possible",
        })
    }
}

/// A rule that fits a report.
///
/// ```
/// use threadctl::diagnose::{Observer, Totals, findings};
/// let report = Observer::of_children(None).report(Totals::default());
/// assert!(findings(&report, Some("./job")).is_empty());
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Finding {
    /// [`Rule::id`].
    pub rule: &'static str,
    /// [`Rule::title`].
    pub title: &'static str,
    /// What was counted.
    pub evidence: String,
    /// What it costs, in words.
    pub cost: String,
    /// How sure it is.
    pub confidence: Confidence,
    /// Commands that help, to be pasted; the best first.
    pub remedies: Vec<String>,
}

/// What a rule looks at.
struct Context<'a> {
    report: &'a Report,
    /// As a shell would take it; unknown of a process that was running already.
    command: Option<&'a str>,
}

/// What a rule found.
struct Found {
    evidence: String,
    cost: String,
    confidence: Confidence,
    remedies: Vec<String>,
}

/// The rules that fit. `command` is what was run, quoted for a shell: remedies repeat it.
///
/// ```
/// use threadctl::diagnose::{Observer, Totals, findings};
/// let report = Observer::of_children(None).report(Totals::default());
/// for finding in findings(&report, None) {
///     println!("{}: {}", finding.rule, finding.evidence);
/// }
/// ```
pub fn findings(report: &Report, command: Option<&str>) -> Vec<Finding> {
    let context = Context { report, command };
    let found = |rule: &Rule| {
        let found = (rule.check)(&context)?;
        Some(Finding {
            rule: rule.id,
            title: rule.title,
            evidence: found.evidence,
            cost: found.cost,
            confidence: found.confidence,
            remedies: found.remedies,
        })
    };
    RULES.iter().filter_map(found).collect()
}

impl Context<'_> {
    /// The command again, with these options of `threadctl run`.
    fn run_with(&self, options: &str) -> String {
        format!(
            "threadctl run {options} -- {}",
            self.command.unwrap_or("COMMAND")
        )
    }

    /// The command again after these assignments.
    fn with_variables(&self, assignments: &str) -> String {
        format!("{assignments} {}", self.command.unwrap_or("COMMAND"))
    }

    /// What waiting costs.
    fn waiting(&self) -> String {
        let wait = &self.report.wait;
        format!(
            "{:.0} % of thread time went into waiting for a core ({}{:.1} s)",
            wait.share * 100.0,
            if wait.exact { "" } else { "at least " },
            wait.seconds
        )
    }
}
