//! `threadctl env`: variable settings for every known runtime, as a shell reads them.

pub(crate) mod args;
mod plan;

use std::fmt::Write;

use anyhow::Result;
use serde::Serialize;
use threadctl::Workers;
use threadctl::cores::ChildCores;

use crate::{Verdict, out};
use args::{EnvArgs, Shell};
use plan::Plan;

/// The name and the version of the document.
const SCHEMA: &str = "threadctl.env/1";

/// The document.
#[derive(Debug, Serialize)]
struct Document<'a> {
    schema: &'static str,
    /// The version of this program.
    threadctl: &'static str,
    /// The cores that the jobs share.
    cores: u32,
    jobs: usize,
    /// Which of the jobs, from 1, where it was asked for one.
    job: Option<usize>,
    /// The cores of a job.
    width: u32,
    /// Threads of its parallel loops.
    outer: u32,
    /// Threads of a call into a library.
    inner: u32,
    /// How the settings differ from what was asked for, in words.
    notes: &'a [String],
    variables: Vec<Variable>,
}

#[derive(Debug, Serialize)]
struct Variable {
    name: &'static str,
    value: String,
    /// Who reads it.
    runtime: &'static str,
}

/// Prints the settings.
pub(crate) fn run(args: &EnvArgs) -> Result<Verdict> {
    // What is found here is what there is to share, a share given to this shell included.
    let cores = threadctl::cores().count();
    let mut plan = Plan::new(cores, jobs(args.jobs, cores), args.job, args.inner)?;
    plan.notes.extend(overruled());
    for note in &plan.notes {
        out::complain(&format!("note: {note}"));
    }
    match args.shell {
        Shell::Sh => out::text(&lines(&plan, "export ", "=")),
        Shell::Fish => out::text(&lines(&plan, "set -gx ", " ")),
        Shell::Json => out::json(&Document {
            schema: SCHEMA,
            threadctl: env!("CARGO_PKG_VERSION"),
            cores,
            jobs: plan.jobs,
            job: args.job,
            width: plan.share.cores(),
            outer: plan.share.outer(),
            inner: plan.share.inner(),
            notes: &plan.notes,
            variables: plan
                .share
                .variables()
                .map(|variable| Variable {
                    name: variable.name,
                    value: variable.value,
                    runtime: variable.runtime,
                })
                .collect(),
        }),
    }?;
    Ok(Verdict::Good)
}

/// The settings of one job, for a command that is started with them.
#[derive(Debug)]
pub(crate) struct Share {
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) notes: Vec<String>,
}

/// The settings of one of `jobs` jobs (one without it) that share `cores` (all without it).
pub(crate) fn share(wanted: Option<Workers<'_>>, among: Option<Workers<'_>>) -> Result<Share> {
    let all = threadctl::cores().count();
    let cores = wanted.map_or(all, |wanted| wanted.resolve(all));
    let count = among.map_or(1, |among| jobs(among, cores));
    let mut plan = Plan::new(cores, count, None, None)?;
    plan.notes.extend(overruled());
    Ok(Share {
        variables: plan
            .share
            .variables()
            .map(|variable| (variable.name.to_owned(), variable.value))
            .collect(),
        notes: plan.notes,
    })
}

/// What is set here already and goes before a setting. It is somebody's decision, so it is told and not unset.
pub(crate) fn overruled() -> impl Iterator<Item = String> {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    ChildCores::new(1).variables().flat_map(move |weaker| {
        let set = weaker.overruled_by.iter().filter(move |name| is_set(name));
        set.map(move |stronger| {
            let weaker = weaker.name;
            format!("{stronger} is set and goes before {weaker}; unset it for the settings to hold")
        })
    })
}

/// A number of jobs is taken as it is, also where it is more than the cores; a negative one counts from them.
fn jobs(wanted: Workers<'_>, cores: u32) -> usize {
    let counted = || usize::try_from(wanted.resolve(cores)).unwrap_or(1);
    wanted.to_string().parse().unwrap_or_else(|_| counted())
}

/// A line each, ended so that they may also be joined to one: `eval $(threadctl env)` without quotes.
fn lines(plan: &Plan, before: &str, between: &str) -> String {
    let mut lines = String::new();
    for variable in plan.share.variables() {
        let _ = writeln!(
            lines,
            "{before}{}{between}{};",
            variable.name, variable.value
        );
    }
    lines
}
