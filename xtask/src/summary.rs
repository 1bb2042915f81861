//! Reads the totals that test runners print, so that a run can end with one line for all of them.
//!
//! Invariant: a run whose totals cannot be read is an error for the caller (`None`), never a run of no tests.

use std::fmt;
use std::ops::AddAssign;

/// How many tests ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub passed: u64,
    pub failed: u64,
    /// Ignored ones included.
    pub skipped: u64,
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

/// Who prints the totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runner {
    /// `cargo test`, doctests included: a `test result:` line for each test program.
    Libtest,
    /// `cargo nextest run`: one `Summary` line.
    Nextest,
}

impl Runner {
    /// The totals in a runner's output. `None` when there are none.
    pub fn totals(self, output: &str) -> Option<Totals> {
        let text = without_colours(output);
        let lines = text.lines().map(str::trim_start);
        match self {
            Self::Libtest => {
                let results = lines
                    .filter_map(|line| line.strip_prefix("test result: "))
                    .filter_map(libtest);
                results.fold(None, |sum, totals| {
                    let mut sum = sum.unwrap_or_default();
                    sum += totals;
                    Some(sum)
                })
            }
            Self::Nextest => {
                let summaries = lines.filter(|line| line.starts_with("Summary ["));
                summaries
                    .filter_map(|line| line.split_once(" run: "))
                    .filter_map(|(_, counts)| nextest(counts))
                    .next_back()
            }
        }
    }
}

/// `ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s`. `None` also for a run that
/// filtered tests out: ours never do, so that is the output of a test that started its own program again for one case.
fn libtest(line: &str) -> Option<Totals> {
    let counts = line.split_once(". ")?.1;
    let of = |what: &str| {
        counts
            .split("; ")
            .find_map(|part| part.strip_suffix(what)?.trim().parse::<u64>().ok())
    };
    let totals = Totals {
        passed: of(" passed")?,
        failed: of(" failed")?,
        skipped: of(" ignored")?,
    };
    (of(" filtered out")? == 0).then_some(totals)
}

/// `9 passed (1 slow, 2 flaky), 1 failed, 1 timed out, 2 skipped`. Whatever neither passed nor was skipped, failed:
/// nextest has several words for that.
fn nextest(counts: &str) -> Option<Totals> {
    let mut totals = Totals::default();
    for part in without_brackets(counts).split(',') {
        let (count, what) = part.trim().split_once(' ')?;
        let count: u64 = count.parse().ok()?;
        match what.trim() {
            "passed" => totals.passed += count,
            "skipped" => totals.skipped += count,
            _ => totals.failed += count,
        }
    }
    Some(totals)
}

fn without_brackets(text: &str) -> String {
    let mut depth = 0_usize;
    let outside = |c: &char| {
        match c {
            '(' => depth += 1,
            ')' => {
                depth = depth.saturating_sub(1);
                return false;
            }
            _ => {}
        }
        depth == 0
    };
    text.chars().filter(outside).collect()
}

/// Drops the escape sequences with which terminals are told colours (`ESC [ ... m`).
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\u{1b}[") {
        plain.push_str(&rest[..at]);
        let sequence = &rest[at + 2..];
        let end = sequence
            .find(|c: char| c.is_ascii_alphabetic())
            .map_or(sequence.len(), |end| end + 1);
        rest = &sequence[end..];
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(passed: u64, failed: u64, skipped: u64) -> Option<Totals> {
        Some(Totals {
            passed,
            failed,
            skipped,
        })
    }

    #[test]
    fn libtest_lines_are_added_up() {
        let output = "running 3 tests\ntest a ... ok\n\n\
            test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\n\
            \u{20}  Doc-tests x\n\n\
            test result: \u{1b}[31mFAILED\u{1b}[0m. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s\n";
        assert_eq!(Runner::Libtest.totals(output), totals(5, 1, 1));
    }

    #[test]
    fn a_run_inside_a_test_is_not_counted_again() {
        let inner = "test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 8 filtered out; finished in 0.00s\n";
        let outer = "test result: FAILED. 8 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
        assert_eq!(
            Runner::Libtest.totals(&format!("{inner}{outer}")),
            totals(8, 1, 0)
        );
    }

    #[test]
    fn no_test_is_not_the_same_as_no_totals() {
        let none = "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
        assert_eq!(Runner::Libtest.totals(none), totals(0, 0, 0));
        assert_eq!(
            Runner::Libtest.totals("error: could not compile `x`\n"),
            None
        );
        assert_eq!(
            Runner::Nextest.totals("error: could not compile `x`\n"),
            None
        );
    }

    #[test]
    fn nextest_summary_is_read_whatever_its_words() {
        for (line, expected) in [
            (
                "     Summary [   0.012s] 1 test run: 1 passed, 0 skipped",
                totals(1, 0, 0),
            ),
            (
                "Summary [ 10.1s] 12 tests run: 9 passed (1 slow, 2 flaky), 1 failed, 1 exec failed, 1 timed out, 2 skipped",
                totals(9, 3, 2),
            ),
            (
                "\u{1b}[32;1m Summary\u{1b}[0m [ 0.1s] \u{1b}[1m2\u{1b}[0m tests run: \u{1b}[1m2\u{1b}[0m passed, 0 skipped",
                totals(2, 0, 0),
            ),
            (
                "  Summary [ 0.1s] 1/5 tests run: 0 passed, 1 failed, 0 skipped",
                totals(0, 1, 0),
            ),
            ("  Summary [ 0.1s] nothing that is known", None),
        ] {
            assert_eq!(
                Runner::Nextest.totals(&format!("  PASS x\n{line}\n")),
                expected,
                "{line}"
            );
        }
    }

    #[test]
    fn the_closing_line_names_skipped_tests_only_if_there_are_any() {
        assert_eq!(
            Totals {
                passed: 3,
                failed: 0,
                skipped: 0
            }
            .to_string(),
            "3 passed, 0 failed"
        );
        assert_eq!(
            Totals {
                passed: 3,
                failed: 1,
                skipped: 2
            }
            .to_string(),
            "3 passed, 1 failed, 2 skipped"
        );
    }
}
