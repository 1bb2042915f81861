//! `threadctl run`: starts a command, looks at its threads until it ends, reports, and ends as the command did.
//!
//! Invariants: once the command was started its status is passed on, whatever becomes of the report; nothing is written to
//! standard output, which is the command's.

mod agent;
pub(crate) mod args;
pub(crate) mod budget;
pub(crate) mod child;
mod json;
mod preload;
mod settings;
pub(crate) mod text;
mod tokens;

use std::fs::File;
use std::io::Write as _;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::time::TimeVal;
use threadctl::diagnose::{AgentFile, Finding, Observer, Report, Totals, findings};

use crate::plot::{Picture, Target};
use crate::{Verdict, out};
use agent::Agent;
use args::RunArgs;
use budget::Budget;
use child::{Child, End};
use json::{Document, SCHEMA};
use settings::Settings;
use tokens::{Counter, Tokens};

/// Time between the first looks, which doubles until it is the interval: a short program is seen too.
const SOON: Duration = Duration::from_millis(1);

/// Runs the command.
pub(crate) fn run(args: &RunArgs) -> Result<Verdict> {
    let (program, rest) = args.command.split_first().context("no command")?;
    let mut command = Command::new(program);
    command.args(rest);
    let settings = Settings::new(args.cores, args.jobs, &args.limit)?;
    for note in &settings.notes {
        out::complain(&format!("note: {note}"));
    }
    let set: Vec<String> = settings
        .variables
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    command.envs(settings.variables);
    if args.dispatch {
        preload::add(&mut command, &preload::library()?);
        if let Some(why) = preload::refuses(program) {
            out::complain(&format!("note: --dispatch has no effect: {why}"));
        }
    }
    // A file that cannot be written is found now, and not when an hour of work has ended.
    let file = args.report.as_ref().map(|path| {
        File::create(path)
            .with_context(|| format!("the report cannot be written to {}", path.display()))
    });
    let file = file.transpose()?;
    let mut notes = Vec::new();
    let (records, agent) = match set_up_agent(args, &mut command) {
        Ok(Some((records, agent))) => (Some(records), Some(agent)),
        Ok(None) => (None, None),
        // Without it the report is poorer, but the command runs all the same.
        Err(error) => {
            notes.push(format!(
                "whose the threads are is a guess, without the agent: {error:#}"
            ));
            (None, None)
        }
    };

    // A shell that becomes this program leaves it the counts of the commands that it ran before.
    let before = totals();
    let mut observer = Observer::of_children(records);
    let mut counter = Counter::new();
    let child = Child::start(command)?;
    allow_many_files();
    let (mut interval, mut budget) = (SOON, Budget::new());
    let end = child.wait(|| {
        let cost = observer.look();
        if let Some(counter) = &mut counter {
            counter.look();
        }
        interval = (interval * 2).min(args.interval);
        budget.pause(interval, cost)
    })?;
    observer.look();
    if let Some(agent) = agent {
        agent.end(observer.alive() > 0);
    }
    let mut report = observer.report(since(totals(), before));
    report.notes.extend(notes);

    let shown: Vec<String> = args
        .command
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    let quoted: Vec<String> = shown.iter().map(|part| quoted(part)).collect();
    let findings = findings(&report, Some(&quoted.join(" ")));
    let outcome = Outcome {
        command: &shown,
        set: &set,
        end,
        report: &report,
        findings: &findings,
        tokens: counter.as_ref().map(Counter::tokens),
    };
    if let Err(error) = deliver(args, file, &outcome) {
        out::complain(&format!("{error:#}"));
    }
    if let Some(target) = &args.plot
        && let Err(error) = draw(target, &outcome)
    {
        out::complain(&format!("{error:#}"));
    }
    let exceeds = args.fail_over.is_some_and(|most| loss(&report) > most);
    if exceeds && end == End::Exited(0) {
        out::complain(&format!(
            "{:.1} % of thread time was lost waiting for a core (--fail-over {})",
            loss(&report),
            args.fail_over.unwrap_or_default()
        ));
        return Ok(Verdict::BadNews);
    }
    Ok(Verdict::Status(end.code()))
}

fn set_up_agent(args: &RunArgs, command: &mut Command) -> Result<Option<(AgentFile, Agent)>> {
    if args.no_agent {
        return Ok(None);
    }
    let records = AgentFile::new()?;
    let agent = Agent::set_up(command, &records)?;
    Ok(Some((records, agent)))
}

/// Two files stay open for each thread, and there may be thousands. The child has the limit that this process was given.
pub(crate) fn allow_many_files() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // What cannot be opened is not counted; nothing else depends on it.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}

/// What has come to the counts.
fn since(now: Totals, before: Totals) -> Totals {
    let count = |now: Option<u64>, before: Option<u64>| Some(now?.saturating_sub(before?));
    Totals {
        cpu: now
            .cpu
            .zip(before.cpu)
            .map(|(now, before)| now.saturating_sub(before)),
        voluntary_switches: count(now.voluntary_switches, before.voluntary_switches),
        involuntary_switches: count(now.involuntary_switches, before.involuntary_switches),
    }
}

/// What the kernel counted of all processes that ended below this one.
fn totals() -> Totals {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else {
        return Totals::default();
    };
    let time = |time: TimeVal| {
        let (seconds, micros) = (time.tv_sec().unsigned_abs(), time.tv_usec().unsigned_abs());
        Duration::from_secs(seconds) + Duration::from_micros(micros)
    };
    let count = |count: i64| u64::try_from(count).ok();
    Totals {
        cpu: Some(time(usage.user_time()) + time(usage.system_time())),
        voluntary_switches: count(usage.voluntary_context_switches()),
        involuntary_switches: count(usage.involuntary_context_switches()),
    }
}

/// Per cent of thread time that went into waiting for a core.
pub(crate) fn loss(report: &Report) -> f64 {
    report.wait.share * 100.0
}

/// All that there is to report.
#[derive(Debug)]
struct Outcome<'a> {
    command: &'a [String],
    /// The variables that `--limit`, `--cores` and `--jobs` have set.
    set: &'a [String],
    end: End,
    report: &'a Report,
    findings: &'a [Finding],
    /// What it had of a budget, if it was in one.
    tokens: Option<Tokens>,
}

impl Outcome<'_> {
    fn document(&self) -> Document<'_> {
        Document {
            schema: SCHEMA,
            threadctl: env!("CARGO_PKG_VERSION"),
            command: self.command,
            status: self.end.code(),
            signal: match self.end {
                End::Exited(_) => None,
                End::Killed(signal) => Some(signal),
            },
            loss_percent: loss(self.report),
            findings: self.findings,
            tokens: self.tokens.as_ref(),
            report: self.report,
        }
    }
}

/// Draws the picture, of the document alone.
fn draw(target: &Target, outcome: &Outcome<'_>) -> Result<()> {
    target.draw(&Picture::of(serde_json::to_value(outcome.document())?)?)
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,+@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Writes the report where it is wanted.
fn deliver(args: &RunArgs, file: Option<File>, outcome: &Outcome<'_>) -> Result<()> {
    if args.quiet && file.is_none() {
        return Ok(());
    }
    let mut text = if args.json {
        serde_json::to_string_pretty(&outcome.document())?
    } else {
        let ended = match outcome.end {
            End::Exited(code) => format!("ended with status {code}"),
            End::Killed(signal) => format!("was killed by signal {signal}"),
        };
        let mut heading = format!(
            "threadctl: {} {ended}",
            out::shown(&outcome.command.join(" "))
        );
        if !outcome.set.is_empty() {
            // What a job script needs to have the same without this command.
            let set = out::wrapped(&outcome.set.join(" "), 21);
            heading.push_str(&format!("\n  {:<18} {set}", "set for it"));
        }
        if let Some(tokens) = &outcome.tokens {
            let tokens = out::wrapped(&out::shown(&tokens::words(tokens)), 21);
            heading.push_str(&format!("\n  {:<18} {tokens}", "budget"));
        }
        if let Some(bars) = outcome.tokens.as_ref().and_then(tokens::bars) {
            heading.push_str(&format!("\n{bars}"));
        }
        text::report(&heading, outcome.report, outcome.findings)
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    match file {
        Some(mut file) => file
            .write_all(out::plain(&text).as_bytes())
            .with_context(|| {
                let path = args.report.clone().unwrap_or_default();
                format!("the report cannot be written to {}", path.display())
            }),
        None => {
            // Whoever read it may have gone; that is not the command's fault.
            let mut stderr = std::io::stderr().lock();
            let _ = stderr.write_all(out::coloured(&stderr, &text).as_bytes());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_take_them_apart() {
        for (word, expected) in [
            ("job.py", "job.py"),
            ("--n=3", "--n=3"),
            ("", "''"),
            ("a b", "'a b'"),
            ("$HOME", "'$HOME'"),
            ("it's", r"'it'\''s'"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
