//! Our side: waits for the driver's words on standard input and answers each with a line. `peer.py` is the same in Python.
//!
//! `prepare KEY` answers `ready`; `once KEY` does it and answers seconds, and the nanoseconds that all threads ran and
//! waited for a core meanwhile; `round KEY` does too, but a short one is repeated (see [`AWAKE`]); `result KEY FILE` writes what was computed last;
//! `forget` drops all that was prepared.
//! A KEY is `ROW` for ours, `ROW:N` for the row's peer N.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use threadctl::diagnose::QueueTimes;

use crate::rows::{Job, Prepare, Who, Workload};
use crate::side::Side;

/// A core that has rested is slow to come back, and at first both threads may stand before one core: up to 40 % of a round of 10 ms
/// was run-queue wait, on an idle machine. So what takes less than this is repeated for so long without being counted, as in a
/// program that goes on, and then for so long again, of which the mean counts. `peer.py` does the same.
const AWAKE: Duration = Duration::from_millis(60);

pub fn serve(workload: &Workload) {
    Side::within(|side| answer_all(workload, side));
}

fn answer_all(workload: &Workload, side: &Side) {
    let mut jobs: HashMap<String, Box<dyn Job>> = HashMap::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("the driver writes text");
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match words[..] {
            ["prepare", key] => {
                jobs.insert(key.to_owned(), prepared(workload, key)(side));
                "ready".to_owned()
            }
            ["round", key] => round(jobs.get_mut(key).expect("prepared").as_mut()),
            ["once", key] => {
                let job = jobs.get_mut(key).expect("prepared");
                repetitions(job.as_mut(), Duration::ZERO)
            }
            ["result", key, file] => {
                let result = jobs[key].result();
                let bytes: Vec<u8> = result.iter().flat_map(|it| it.to_le_bytes()).collect();
                std::fs::write(file, bytes).expect("the result is written");
                "written".to_owned()
            }
            ["forget"] => {
                jobs.clear();
                "forgotten".to_owned()
            }
            _ => panic!("the driver said `{line}`"),
        };
        println!("{answer}");
        std::io::stdout().flush().expect("the driver reads");
    }
}

fn round(job: &mut dyn Job) -> String {
    let begun = Instant::now();
    let first = repetitions(job, Duration::ZERO);
    if begun.elapsed() >= AWAKE {
        return first;
    }
    while begun.elapsed() < AWAKE {
        job.round();
    }
    repetitions(job, AWAKE)
}

/// At least one, and for at least so long: the mean seconds of one, and what the threads did in all. (The kernel's account goes
/// forward in steps of some milliseconds, too long for one short repetition.)
fn repetitions(job: &mut dyn Job, least: Duration) -> String {
    let before = QueueTimes::now();
    let begun = Instant::now();
    let (mut times, mut ran, mut waited) = (0, 0, 0);
    while times == 0 || begun.elapsed() < least {
        job.round();
        times += 1;
        let children = job.children();
        ran += children.0;
        waited += children.1;
    }
    let seconds = begun.elapsed().as_secs_f64() / f64::from(times);
    if let Some(added) = QueueTimes::now().since(&before) {
        ran += added.ran;
        waited += added.waited;
    }
    format!("{seconds} {ran} {waited}")
}

fn prepared(workload: &Workload, key: &str) -> Prepare {
    let (row, peer) = match key.split_once(':') {
        Some((row, peer)) => (row, Some(peer.parse::<usize>().expect("a number"))),
        None => (key, None),
    };
    let row = workload.rows.iter().find(|known| known.key == row);
    let row = row.expect("a known row");
    match peer.map(|peer| &row.peers[peer].who) {
        None => row.ours,
        Some(Who::Ours(prepare)) => *prepare,
        Some(Who::Script(name)) => panic!("{name} is the script's"),
    }
}
