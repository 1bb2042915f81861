//! `threadctl explain`: the background of a rule, or the list of all.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use clap::Args;
use threadctl::diagnose::RULES;

use crate::{Verdict, out};

const EXAMPLES: &str = "\
Examples:
  threadctl explain                 all rules, a line each
  threadctl explain nested-pools    why it is wrong, and what helps

Exit codes: 0 printed, 2 there is no such rule.";

/// Tell the background of a rule that threadctl run has named.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExplainArgs {
    /// The rule; without it all rules are listed.
    #[arg(value_name = "RULE")]
    pub(crate) rule: Option<String>,
}

/// Prints it.
pub(crate) fn run(args: &ExplainArgs) -> Result<Verdict> {
    let mut text = String::new();
    match &args.rule {
        None => {
            for rule in RULES {
                let _ = writeln!(text, "{:<28}{}", rule.id, rule.title);
            }
        }
        Some(id) => {
            let Some(rule) = RULES.iter().find(|rule| rule.id == id) else {
                let known: Vec<&str> = RULES.iter().map(|rule| rule.id).collect();
                bail!(
                    "there is no rule {}; known are {}",
                    out::shown(id),
                    known.join(", ")
                );
            };
            let _ = writeln!(text, "{}: {}", rule.id, rule.title);
            for paragraph in rule.background.split("\n\n") {
                let _ = writeln!(text, "\n{}", out::wrapped(paragraph, 0));
            }
        }
    }
    out::text(&text)?;
    Ok(Verdict::Good)
}
