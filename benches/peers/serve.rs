//! Our side: waits for the driver's words on standard input and answers each with a line. `peer.py` is the same in Python.
//!
//! `prepare KEY` answers `ready`; `round KEY` does it once and answers seconds, and the nanoseconds that all threads ran and
//! waited for a core meanwhile; `result KEY FILE` writes what the last round computed; `forget` drops all that was prepared.
//! A KEY is `ROW` for ours, `ROW:N` for the row's peer N.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::time::Instant;

use threadctl::diagnose::QueueTimes;

use crate::rows::{Job, Prepare, Who, Workload};
use crate::side::Side;

pub fn serve(workload: &Workload) {
    let side = Side::new();
    let mut jobs: HashMap<String, Box<dyn Job>> = HashMap::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("the driver writes text");
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match words[..] {
            ["prepare", key] => {
                jobs.insert(key.to_owned(), prepared(workload, key)(&side));
                "ready".to_owned()
            }
            ["round", key] => round(jobs.get_mut(key).expect("prepared").as_mut()),
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
    let before = QueueTimes::now();
    let begun = Instant::now();
    job.round();
    let seconds = begun.elapsed().as_secs_f64();
    let added = QueueTimes::now().since(&before);
    // A round takes time, so something is added.
    let added = added.expect("the kernel keeps /proc/self/task/*/schedstat");
    let (ran, waited) = job.children();
    format!("{seconds} {} {}", added.ran + ran, added.waited + waited)
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
