//! The loop: jobs are started where there is room, waited for, logged, and printed.
//!
//! Invariants: one thread does everything, and waits in one place, for signals, ends of children and time (or for a reader,
//! where signals are obeyed too); a job is logged before it is printed; what was started is waited for, whatever goes wrong
//! elsewhere; where the log cannot be written, nothing more is started.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Error, Result};
use nix::sys::signal::Signal;

use super::args::Halt;
use super::job::{End, Given, Running};
use super::log::{Entry, Log};
use super::progress::Progress;
use super::seats::Seats;
use super::shares::{Next, Shares};
use super::signals::{Came, Signals};
use super::spool::{self, Printed, Shelf, Spool};
use super::template::Template;

/// From the signal that ends jobs to SIGTERM, and from that to SIGKILL.
const GRACE: Duration = Duration::from_secs(10);

/// For so long a reader that takes nothing is waited for when everything is being ended.
const LAST: Duration = Duration::from_secs(1);

/// What is to be done.
#[derive(Debug)]
pub(super) struct Work<'a> {
    pub(super) template: &'a Template,
    /// The values of each job.
    pub(super) jobs: &'a [Vec<Vec<u8>>],
    /// The jobs that run, by index, ascending; the others have succeeded before.
    pub(super) todo: Vec<usize>,
    pub(super) results: Option<&'a Path>,
    pub(super) keep_order: bool,
    pub(super) tag: bool,
    pub(super) halt: Halt,
}

/// How a job went.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) index: usize,
    pub(super) slot: usize,
    pub(super) width: u32,
    /// The CPUs that it was kept to.
    pub(super) cpus: Option<String>,
    /// Since the first one was started.
    pub(super) begun: Duration,
    pub(super) took: Duration,
    pub(super) end: End,
}

/// Why not all jobs were run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// `--halt`.
    Halt,
    /// The reader of standard output has gone.
    Closed,
    /// This signal.
    Signal(Signal),
    /// This program itself cannot go on: see [`Engine::problem`].
    Problem,
}

/// Everything that changes.
#[derive(Debug)]
pub(super) struct Engine<'a> {
    work: Work<'a>,
    shares: Shares,
    seats: Option<Seats>,
    log: Option<Log>,
    signals: Signals,
    progress: Progress,
    began: Instant,
    /// The next of `todo`.
    next: usize,
    running: Vec<Running>,
    shelf: Shelf,
    /// The next of `todo` to print, where they are kept in order.
    turn: usize,
    /// Nothing more is printed.
    mute: bool,
    ending: Option<Ending>,
    /// Jobs that have ended since the log could no longer be written; `None` while it can.
    unlogged: Option<Vec<usize>>,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) failed: usize,
    pub(super) stop: Option<Stop>,
    pub(super) problem: Option<Error>,
}

/// Jobs are being ended.
#[derive(Debug)]
struct Ending {
    /// What is sent when the time has come.
    next: Signal,
    at: Instant,
}

impl<'a> Engine<'a> {
    pub(super) fn new(
        work: Work<'a>,
        shares: Shares,
        seats: Option<Seats>,
        log: Option<Log>,
        signals: Signals,
        progress: Progress,
    ) -> Self {
        Engine {
            work,
            shares,
            seats,
            log,
            signals,
            progress,
            began: Instant::now(),
            next: 0,
            running: Vec::new(),
            shelf: Shelf::default(),
            turn: 0,
            mute: false,
            ending: None,
            unlogged: None,
            outcomes: Vec::new(),
            failed: 0,
            stop: None,
            problem: None,
        }
    }

    /// Runs until all jobs have ended, or no more are started and those that were have ended.
    ///
    /// # Errors
    /// Nothing can be waited for. Every other problem is in [`Engine::problem`], beside what was done.
    pub(super) fn run(&mut self) -> Result<()> {
        loop {
            self.hear();
            self.reap();
            // Before anything is started.
            self.hear();
            let timer = if self.stop.is_none() {
                self.start()
            } else {
                None
            };
            let is_over = self.stop.is_some() || self.next == self.work.todo.len();
            if self.running.is_empty() && is_over {
                break;
            }
            let timer = timer.into_iter().chain(self.escalate()).min();
            self.signals.wait(timer)?;
        }
        // Some that came late may have been waiting for one that never ran.
        while let Some(index) = self.shelf.first() {
            self.print_from_shelf(index);
        }
        self.progress.end();
        if let Some(unlogged) = self.unlogged.take() {
            let numbers: Vec<String> = unlogged.iter().map(usize::to_string).collect();
            let numbers = numbers.join(", ");
            self.problem = self.problem.take().map(|problem| {
                problem.context(format!(
                    "no more jobs were started; not in the log, though they have ended, are jobs {numbers}"
                ))
            });
        }
        Ok(())
    }

    /// The line of a job.
    pub(super) fn line(&self, index: usize, slot: usize) -> Vec<u8> {
        self.work
            .template
            .line(&self.work.jobs[index], index + 1, slot)
    }

    /// How long it took so far.
    pub(super) fn took(&self) -> Duration {
        self.began.elapsed()
    }

    /// Starts what there is room for; returns how long a start is put off at most.
    fn start(&mut self) -> Option<Duration> {
        loop {
            let left = self.work.todo.len() - self.next;
            let running = self.running.iter();
            let oldest = running
                .map(|job| job.begun.elapsed())
                .max()
                .unwrap_or_default();
            let now = self.began.elapsed();
            match self.shares.next(now, left, oldest) {
                Next::Nothing => return None,
                Next::Until(time) => return Some(time.saturating_sub(now)),
                Next::Start(widths) => {
                    for width in widths {
                        let index = self.work.todo[self.next];
                        self.next += 1;
                        self.start_one(index, width);
                        if self.stop.is_some() {
                            return None;
                        }
                    }
                }
            }
        }
    }

    fn start_one(&mut self, index: usize, width: u32) {
        let slot = (1..)
            .find(|slot| self.running.iter().all(|job| job.slot != *slot))
            .unwrap_or(1);
        let line = self.line(index, slot);
        let spool = match Spool::new(self.work.results, index + 1) {
            Ok(spool) => spool,
            Err(error) => {
                let error = Error::new(error).context("output of jobs cannot be kept");
                return self.fail(error);
            }
        };
        let given = Given {
            index,
            slot,
            width,
            seats: self.seats.as_mut().and_then(|seats| seats.take(width)),
        };
        let begun = self.began.elapsed();
        match Running::start(&line, given, spool, self.signals.before()) {
            Ok(job) => {
                self.shares.started(width);
                self.running.push(job);
            }
            Err((given, error)) => {
                let outcome = Outcome {
                    index,
                    slot,
                    width,
                    cpus: given.seats.as_ref().map(|seats| seats.cpus().to_string()),
                    begun,
                    took: Duration::ZERO,
                    end: End::NotStarted(error.to_string()),
                };
                self.free(given.seats);
                self.record(outcome, SystemTime::now(), 0);
                // An empty one takes its turn.
                if self.work.keep_order
                    && let Err(error) =
                        Spool::new(None, 0).and_then(|empty| self.shelf.put(index, &empty))
                {
                    self.fail(Error::new(error).context("output of jobs cannot be kept"));
                }
            }
        }
    }

    fn free(&mut self, taken: Option<super::seats::Taken>) {
        if let (Some(seats), Some(taken)) = (&mut self.seats, taken) {
            seats.give_back(taken);
        }
    }

    /// Looks which jobs have ended.
    fn reap(&mut self) {
        let mut at = 0;
        while at < self.running.len() {
            match self.running[at].ended(self.ending.is_some()) {
                Ok(None) => at += 1,
                Ok(Some(end)) => {
                    let job = self.running.swap_remove(at);
                    self.finish(job, end);
                }
                Err(error) => {
                    let job = self.running.swap_remove(at);
                    self.fail(Error::new(error).context("the status of a job cannot be had"));
                    self.finish(job, End::Killed(0));
                }
            }
        }
    }

    fn finish(&mut self, mut job: Running, end: End) {
        let seats = job.seats.take();
        let took = job.begun.elapsed();
        let cpus = seats.as_ref().map(|seats| seats.cpus().to_string());
        self.free(seats);
        self.shares.ended(job.width, took);
        let outcome = Outcome {
            index: job.index,
            slot: job.slot,
            width: job.width,
            cpus,
            begun: job.begun.duration_since(self.began),
            took,
            end,
        };
        let received = match job.spool.texts() {
            Ok(texts) => texts[0].length,
            Err(error) => {
                self.fail(Error::new(error).context("output of jobs cannot be read"));
                0
            }
        };
        self.record(outcome, job.begun_at, received);
        self.deliver(&job);
    }

    /// Writes down how a job ended, and sees whether that is the end of all.
    fn record(&mut self, outcome: Outcome, begun: SystemTime, received: u64) {
        let line = self.line(outcome.index, outcome.slot);
        let entry = Entry {
            number: outcome.index + 1,
            begun,
            took: outcome.took,
            received,
            end: &outcome.end,
            line: &line,
        };
        if let Some(unlogged) = &mut self.unlogged {
            unlogged.push(outcome.index + 1);
        } else if let Some(Err(error)) = self.log.as_mut().map(|log| log.write(&entry)) {
            // A line may be torn; nothing is written behind it.
            self.unlogged = Some(vec![outcome.index + 1]);
            self.fail(error);
        }
        self.failed += usize::from(!outcome.end.is_success());
        self.outcomes.push(outcome);
        self.progress.show(self.outcomes.len(), self.failed);
        let reached = |most| self.failed >= most && self.stop.is_none();
        match self.work.halt {
            Halt::Soon(most) if reached(most) => self.stop = Some(Stop::Halt),
            Halt::Now(most) if reached(most) => {
                self.stop = Some(Stop::Halt);
                self.end_all(Signal::SIGTERM);
            }
            _ => {}
        }
    }

    /// Prints what a job wrote, or keeps it until it is its turn.
    fn deliver(&mut self, job: &Running) {
        let is_next = self.work.todo.get(self.turn) == Some(&job.index);
        if self.work.keep_order && !is_next {
            if let Err(error) = self.shelf.put(job.index, &job.spool) {
                self.fail(Error::new(error).context("output of jobs cannot be kept"));
            }
        } else {
            match job.spool.texts() {
                Ok(texts) => self.print(job.index, &texts),
                Err(error) => {
                    self.fail(Error::new(error).context("output of jobs cannot be read"));
                }
            }
            self.turn += usize::from(self.work.keep_order);
        }
        while self.work.keep_order
            && let Some(index) = self.shelf.first()
            && self.work.todo.get(self.turn) == Some(&index)
        {
            self.turn += 1;
            self.print_from_shelf(index);
        }
    }

    fn print_from_shelf(&mut self, index: usize) {
        let shelf = std::mem::take(&mut self.shelf);
        if let Some(texts) = shelf.texts(index) {
            self.print(index, &texts);
        }
        self.shelf = shelf;
        self.shelf.forget(index);
    }

    fn print(&mut self, index: usize, texts: &[spool::Text<'_>; 2]) {
        if self.mute || texts.iter().all(|text| text.length == 0) {
            return;
        }
        let tag = self.work.tag.then(|| {
            let values = self.work.jobs[index].join(&b' ');
            let flat = values
                .iter()
                .map(|byte| if *byte == b'\n' { b' ' } else { *byte });
            flat.collect::<Vec<u8>>()
        });
        let mut asked = usize::from(self.ending.is_some());
        let progress = self.progress.clone();
        let mut ready = |to: BorrowedFd<'_>| self.ready(to, &mut asked);
        let printed = progress.aside(|| spool::print(texts, tag.as_deref(), &mut ready));
        match printed {
            Ok(Printed::Whole) => {}
            Ok(Printed::Not) => self.mute = true,
            Ok(Printed::Closed) => {
                self.mute = true;
                let is_last = self.next == self.work.todo.len() && self.running.is_empty();
                if self.stop.is_none() && !is_last {
                    self.stop = Some(Stop::Closed);
                    self.end_all(Signal::SIGTERM);
                }
            }
            Err(error) => {
                self.mute = true;
                self.fail(Error::new(error).context("output of jobs cannot be written"));
            }
        }
    }

    /// Waits until something can be written, and tells whether; obeys signals meanwhile. Once it was asked to end everything,
    /// a reader that takes nothing has a second; asked twice, it has no more.
    fn ready(&mut self, to: BorrowedFd<'_>, asked: &mut usize) -> io::Result<bool> {
        loop {
            let most = match *asked {
                0 => None,
                1 => Some(LAST),
                _ => return Ok(false),
            };
            let came = self.signals.wait_to_write(to, most)?;
            *asked += self.hear();
            self.escalate();
            match came {
                Came::Room => return Ok(true),
                Came::Nothing => return Ok(false),
                Came::Signal => {}
            }
        }
    }

    /// This program cannot go on as it should: what runs may end, and nothing more is started.
    fn fail(&mut self, problem: Error) {
        self.problem.get_or_insert(problem);
        self.stop.get_or_insert(Stop::Problem);
    }

    /// Obeys signals; returns how many asked to end everything.
    fn hear(&mut self) -> usize {
        let mut asked = 0;
        while let Some(signal) = self.signals.next() {
            if signal == Signal::SIGTSTP {
                self.each(Signal::SIGTSTP);
                // Until somebody continues it.
                let _ = nix::sys::signal::raise(Signal::SIGSTOP);
                self.each(Signal::SIGCONT);
                continue;
            }
            asked += 1;
            if !matches!(self.stop, Some(Stop::Signal(_))) {
                self.stop = Some(Stop::Signal(signal));
                self.end_all(signal);
            } else if let Some(ending) = &mut self.ending {
                // Asked again, so sooner.
                ending.at = Instant::now();
            }
        }
        asked
    }

    fn each(&self, signal: Signal) {
        self.running.iter().for_each(|job| job.send(signal));
    }

    fn end_all(&mut self, signal: Signal) {
        self.each(signal);
        // What is stopped hears nothing.
        self.each(Signal::SIGCONT);
        let next = match signal {
            Signal::SIGTERM | Signal::SIGKILL => Signal::SIGKILL,
            _ => Signal::SIGTERM,
        };
        let at = Instant::now() + GRACE;
        self.ending = Some(Ending { next, at });
    }

    /// Sends what the time has come for; returns when to come again.
    fn escalate(&mut self) -> Option<Duration> {
        let ending = self.ending.as_ref()?;
        let left = ending.at.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            return Some(left);
        }
        let next = ending.next;
        self.end_all(next);
        Some(GRACE)
    }
}

/// More files than the shell allows may be open: two for each job that runs.
pub(super) fn allow_files(at_once: u32) -> Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    // Standard streams, lists, log, shelf, and the pipes of a start.
    const OWN: u64 = 32;
    let wanted = u64::from(at_once) * 2 + OWN;
    let limit = Resource::RLIMIT_NOFILE;
    let (now, most) = getrlimit(limit).context("the limit of open files cannot be read")?;
    if wanted > most {
        anyhow::bail!(
            "-j {at_once}: so many at once need {wanted} open files, and {most} are allowed (ulimit -Hn)"
        );
    }
    if wanted > now {
        setrlimit(limit, wanted, most).context("the limit of open files cannot be raised")?;
    }
    Ok(())
}
