//! Processes that are killed with tokens in hand.

use crate::roles::{CORES, as_role, below_share, file, held, played, role};
use crate::{read, schema, succeed, threadctl, until};
use std::fs;
use std::time::Duration;
use threadctl::budget::Watch;

const ROUNDS: usize = 200;

/// The others have the tokens of the dead within 100 ms, which the share bench measures; here is what even a machine that is
/// busy with other tests keeps to.
const SOON: Duration = Duration::from_secs(5);

#[test]
fn two_hundred_that_are_killed_in_a_call_give_their_tokens_back() {
    const TEST: &str = "kill::two_hundred_that_are_killed_in_a_call_give_their_tokens_back";
    if let Some(role) = played() {
        if role == "driver" {
            drive(TEST);
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let cores = CORES.to_string();
    let mut command = threadctl(&["share", "--cores", &cores, "--json", "--report"]);
    command.arg(&report).arg("--");
    as_role(&mut command, TEST, "driver", folder.path().join("stop"));
    succeed(&mut command);
    let report = read(&report);
    schema::check_with(schema::SHARE, &report);
    // The survivor may end while a helper of its lingers.
    let died = report["died_holding"].as_u64().unwrap() as usize;
    assert!((ROUNDS..=ROUNDS + 1).contains(&died), "{report}");
    assert!(report["returned"].as_u64().unwrap() >= ROUNDS as u64);
    assert_eq!(report["peak_in_use"], CORES as u64);
}

/// Kills one process after another beside one that goes on.
fn drive(test: &str) {
    let watch = Watch::inherited().unwrap();
    let has = |pid: u32, cores: usize| held(&watch, pid) >= cores;
    let mut survivor = Killed(role(test, "busy", file()).spawn().unwrap());
    let id = survivor.0.id();
    until("the survivor has all", || has(id, CORES - 1));
    for round in 0..ROUNDS {
        let mut victim = Killed(role(test, "endless", file()).spawn().unwrap());
        let dead = victim.0.id();
        // Its share of the four: what the survivor gave it, tile by tile.
        until("the victim has its share", || has(dead, 2));
        // At another moment of its tiles each time.
        std::thread::sleep(Duration::from_micros((round as u64 * 37) % 1000));
        victim.0.kill().unwrap();
        let took = until("the survivor has them back", || has(id, CORES - 1));
        assert!(took < SOON, "round {round}: {took:?}");
        victim.0.wait().unwrap();
        let now = watch.now();
        assert!(
            now.holders.iter().all(|holder| holder.pid != dead),
            "{now:?}"
        );
    }
    fs::write(file(), "").unwrap();
    let end = survivor.0.wait().unwrap();
    assert!(end.success(), "{end}");
    // Nobody is left: all are free again, none too many.
    until("all are free", || {
        let now = watch.now();
        now.free + now.in_fifo == CORES
    });
    assert_eq!(watch.now().cores, CORES);
}

/// Where the keeper cannot open anything, it learns nothing of a process, and takes nothing from it.
#[test]
fn nobody_is_buried_by_a_keeper_that_cannot_look() {
    const TEST: &str = "kill::nobody_is_buried_by_a_keeper_that_cannot_look";
    if let Some(role) = played() {
        if role == "driver" {
            beside_a_blind_keeper(TEST);
        }
        return;
    }
    below_share(TEST, &["--cores", &CORES.to_string()], "stop");
}

fn beside_a_blind_keeper(test: &str) {
    let watch = Watch::inherited().unwrap();
    let keeper = std::os::unix::process::parent_id();
    // It allows itself more files once this has started: when it has done so.
    std::thread::sleep(Duration::from_millis(200));
    // It has these open, and more.
    let before = limit_files(keeper, 4);
    let mut child = Killed(role(test, "endless", file()).spawn().unwrap());
    let pid = child.0.id();
    let all = || held(&watch, pid) >= CORES - 1;
    until("the child has all", all);
    // Dozens of looks.
    std::thread::sleep(Duration::from_millis(300));
    assert!(all(), "{:?}", watch.now());
    assert_eq!(child.0.try_wait().unwrap(), None);
    limit_files(keeper, before);
    child.0.kill().unwrap();
    until("all are free", || {
        let now = watch.now();
        now.holders.is_empty() && now.free + now.in_fifo == CORES
    });
}

/// A process that does not outlive the test, lest it keep what the test waits for open.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How many files a process may open; what it was.
fn limit_files(process: u32, files: u64) -> u64 {
    let empty = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    let (mut before, mut after) = (empty, empty);
    let process = libc::pid_t::try_from(process).unwrap();
    // SAFETY: places for the limits, of this function's own.
    let (got, set) = unsafe {
        let got = libc::prlimit(
            process,
            libc::RLIMIT_NOFILE,
            std::ptr::null(),
            &raw mut before,
        );
        after.rlim_cur = files;
        after.rlim_max = before.rlim_max;
        let set = libc::prlimit(
            process,
            libc::RLIMIT_NOFILE,
            &raw const after,
            std::ptr::null_mut(),
        );
        (got, set)
    };
    assert_eq!((got, set), (0, 0), "{}", std::io::Error::last_os_error());
    before.rlim_cur
}
