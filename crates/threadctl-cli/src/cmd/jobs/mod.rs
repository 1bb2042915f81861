//! `threadctl jobs`: many commands, a bounded number at once, each with its share of the cores.
//!
//! The files, in the order of the work: `args`, `input` (the lists), `template` (the lines), `log` (what is done already),
//! `shares` and `seats` (how many cores, and which), `engine` (the loop), over `job`, `spool`, `signals` and `progress`;
//! `report`.

pub(crate) mod args;
mod engine;
mod input;
mod job;
mod log;
mod progress;
mod report;
mod seats;
mod shares;
mod signals;
mod spool;
mod template;

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::thread::CpuSet;
use threadctl::cores::System;

use crate::cmd::env::overruled;
use crate::{Verdict, out};
use args::JobsArgs;
use engine::{Engine, Stop, Work};
use log::{Before, Opened};
use progress::Progress;
use report::Setting;
use seats::Seats;
use shares::Shares;
use signals::Signals;
use template::Template;

/// The exit code of a program that SIGPIPE ended, which is what becomes of one without a reader.
const NO_READER: u8 = 141;

/// Runs the jobs.
pub(crate) fn run(args: &JobsArgs) -> Result<Verdict> {
    let input = input::read(args)?;
    let template = Template::new(&input.command, input.lists)?;
    let all = threadctl::cores().count();
    let cores = args.cores.resolve(all);
    let at_once = args.jobs.map_or(cores, |at_once| at_once.of(cores));
    if !args.dry_run {
        engine::allow_files(at_once)?;
    }
    let (opened, before) = match &args.joblog {
        Some(path) if !args.dry_run => {
            let (opened, before) = Opened::open(path, args.resume)?;
            (Some(opened), before)
        }
        Some(path) if args.resume => (None, log::before(path)?),
        _ => (None, Before::default()),
    };
    let mut todo = Vec::new();
    for (index, values) in input.jobs.iter().enumerate() {
        let line = (!template.has_slot()).then(|| template.line(values, index + 1, 1));
        if !before.succeeded(index + 1, line.as_deref())? {
            todo.push(index);
        }
    }
    if args.dry_run {
        for index in todo {
            out::bytes(&template.line(&input.jobs[index], index + 1, 1))?;
        }
        return Ok(Verdict::Good);
    }
    if let Some(folder) = &args.results {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("--results {} cannot be made", folder.display()))?;
    }
    let report = args.report.as_deref().map(report_file).transpose()?;
    let signals = Signals::listen()?;
    // What an earlier run has left is taken away last, when nothing else can be wrong.
    let log = opened.map(Opened::begin).transpose()?;
    if let (Some(file), Some(path)) = (&report, &args.report) {
        empty(file).with_context(|| cannot_report(path))?;
    }

    let mut notes: Vec<String> = overruled().collect();
    let seats = seats(args, cores, at_once, &mut notes);
    for note in &notes {
        out::complain(&format!("note: {note}"));
    }
    let setting = Setting {
        cores,
        at_once,
        jobs: input.jobs.len(),
        skipped: input.jobs.len() - todo.len(),
        notes: &notes,
    };
    let progress = Progress::new(args.bar, todo.len());
    let work = Work {
        template: &template,
        jobs: &input.jobs,
        todo,
        results: args.results.as_deref(),
        keep_order: args.keep_order,
        tag: args.tag,
        halt: args.halt,
    };
    let mut engine = Engine::new(
        work,
        Shares::new(cores, at_once),
        seats,
        log,
        signals,
        progress,
    );
    engine.run()?;
    tell(args, report, &engine, &setting)?;
    verdict(engine)
}

/// Where the report goes; what is there stays for now.
fn report_file(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    options.open(path).with_context(|| cannot_report(path))
}

/// What is no file (a terminal, a FIFO) keeps nothing.
fn empty(file: &File) -> std::io::Result<()> {
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    Ok(())
}

fn cannot_report(path: &Path) -> String {
    format!("the report cannot be written to {}", path.display())
}

/// The cores by name, where each job can have its own: not where more run at once than there are cores, nor where the cores
/// are a number (a quota, a launcher's share, a variable) and not these CPUs.
fn seats(args: &JobsArgs, cores: u32, at_once: u32, notes: &mut Vec<String>) -> Option<Seats> {
    if args.no_affinity {
        return None;
    }
    if at_once > cores {
        notes.push(format!(
            "{at_once} jobs at once exceed the {cores} core(s): each gets 1 thread, and they take turns"
        ));
        return None;
    }
    let places = System::this().places();
    if u32::try_from(places.len()) != Ok(cores) {
        notes.push(format!(
            "jobs are not bound to CPUs: they share {cores} of {} core(s), and which is not theirs to say",
            places.len()
        ));
        return None;
    }
    let highest = places.iter().flat_map(|place| place.cpus.iter()).max();
    let known = |cpu: u32| usize::try_from(cpu).is_ok_and(|cpu| cpu < CpuSet::MAX_CPU);
    if !highest.is_some_and(known) {
        notes.push("jobs are not bound to CPUs: their numbers are too high".to_owned());
        return None;
    }
    Some(Seats::new(places))
}

/// Reports, in the way that was asked for.
fn tell(
    args: &JobsArgs,
    file: Option<File>,
    engine: &Engine<'_>,
    setting: &Setting<'_>,
) -> Result<()> {
    let words = report::words(engine, setting);
    let text = if args.json {
        report::json(engine, setting)? + "\n"
    } else {
        words.clone()
    };
    if let Some(mut file) = file {
        let path = args.report.clone().unwrap_or_default();
        file.write_all(text.as_bytes())
            .with_context(|| cannot_report(&path))?;
    } else if args.json {
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
        return Ok(());
    }
    // Without its reader it ends as quietly as any program.
    if engine.stop != Some(Stop::Closed) {
        let _ = std::io::stderr().lock().write_all(words.as_bytes());
    }
    Ok(())
}

fn verdict(engine: Engine<'_>) -> Result<Verdict> {
    if let Some(problem) = engine.problem {
        return Err(problem);
    }
    Ok(match engine.stop {
        Some(Stop::Closed) => Verdict::Status(NO_READER),
        Some(Stop::Signal(signal)) => {
            let signal = u8::try_from(signal as i32).unwrap_or_default();
            Verdict::Status(128_u8.saturating_add(signal))
        }
        _ if engine.failed > 0 => Verdict::BadNews,
        _ => Verdict::Good,
    })
}
