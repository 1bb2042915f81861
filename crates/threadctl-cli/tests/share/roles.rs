//! What the processes of these tests do: the test program, started again for one test with a role.
//!
//! All compute on pools of four workers, whatever the machine has. Tiles mostly sleep: processes that fight for a CPU would tell nothing
//! of tokens. They compute for a fifth of their time, since a process that uses no CPU rests, and its cores are lent.

use crate::{share, succeed, until};
use serde_json::json;
use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};
use threadctl::budget::{Watch, status};
use threadctl::dispatch;

/// The role, and the file that it writes what it saw into, or looks for.
const ROLE: &str = "THREADCTL_TEST_ROLE";
const FILE: &str = "THREADCTL_TEST_FILE";

pub const CORES: usize = 4;
const TILE: Duration = Duration::from_micros(300);
const COMPUTED: Duration = Duration::from_micros(60);

fn tile() {
    let began = Instant::now();
    while began.elapsed() < COMPUTED {
        std::hint::spin_loop();
    }
    thread::sleep(TILE - COMPUTED);
}

/// This test program in a role, of this test.
pub fn role(test: &str, role: &str, file: impl Into<PathBuf>) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    as_role(&mut command, test, role, file);
    command
}

/// The same behind another command (`threadctl share --`).
pub fn as_role(command: &mut Command, test: &str, role: &str, file: impl Into<PathBuf>) {
    if command.get_program() != std::env::current_exe().unwrap() {
        command.arg(std::env::current_exe().unwrap());
    }
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
    command.env(ROLE, role).env(FILE, file.into());
}

/// Plays the driver of a test below `threadctl share` with these options; its file is a new one of this name.
pub fn below_share(test: &str, options: &[&str], file: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = share(options);
    as_role(&mut command, test, "driver", folder.path().join(file));
    succeed(&mut command);
}

/// The role as a line of a shell.
pub fn line(test: &str, role: &str, file: &str) -> String {
    let program = std::env::current_exe().unwrap();
    format!(
        "{ROLE}={role} {FILE}='{file}' '{}' {test} --exact --nocapture --test-threads=1",
        program.display()
    )
}

/// Plays the role that this process has; `None` if it has none and is the test itself. The others are a driver's, a test's own.
pub fn played() -> Option<String> {
    let role = std::env::var(ROLE).ok()?;
    dispatch::simulate_cores(NonZeroUsize::new(CORES));
    rayon::ThreadPoolBuilder::new()
        .num_threads(CORES)
        .build_global()
        .unwrap();
    match role.as_str() {
        "endless" => endless(),
        "busy" => busy(),
        "once" => once(),
        "leaves" => leaves(),
        "forks" => forks(),
        "region" => region(),
        _ => {}
    }
    Some(role)
}

pub fn file() -> PathBuf {
    std::env::var_os(FILE).unwrap().into()
}

fn write(value: &serde_json::Value) {
    std::fs::write(file(), value.to_string()).unwrap();
}

/// Is in one call until it is killed.
fn endless() {
    dispatch::share(usize::MAX / 4, |_| tile());
}

/// One call, watched: on how many threads at once it was, at the most, and on which.
fn watched(tiles: usize) -> (usize, usize) {
    let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let threads = Mutex::new(HashSet::new());
    dispatch::share(tiles, |_| {
        most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
        threads.lock().unwrap().insert(thread::current().id());
        tile();
        now.fetch_sub(1, SeqCst);
    });
    (most.into_inner(), threads.into_inner().unwrap().len())
}

/// Calls in a row until the file is there.
fn busy() {
    let mut most = 0;
    while !file().exists() {
        most = most.max(watched(200).0);
    }
    // One for each thread that computes.
    assert!(most <= CORES, "{most} threads at once");
}

/// One long call.
fn once() {
    let (most, threads) = watched(800);
    // A helper stays for a moment, in case another call comes, and gives its token back and takes it again meanwhile.
    let rests = std::cell::OnceCell::new();
    until("nothing in hand", || {
        let now = status();
        now.held == 0 && rests.set(now).is_ok()
    });
    let status = rests.into_inner().unwrap();
    write(&json!({
        "most": most,
        "threads": threads,
        "peak": status.peak,
        "held": status.held,
        "auth": status.auth.map(|auth| auth.to_string()),
        "source": status.source,
        "problems": status.problems,
    }));
}

/// A region whose workers make calls; what is left in the FIFO that descriptor 9 is.
fn region() {
    let left = || {
        let mut left: libc::c_int = -1;
        // SAFETY: a place for the number of bytes.
        assert_eq!(unsafe { libc::ioctl(9, libc::FIONREAD, &raw mut left) }, 0);
        left
    };
    let before = left();
    let region = dispatch::region().unwrap();
    let begun = left();
    let inner = dispatch::region().unwrap();
    let nested = left();
    drop(inner);
    let least = AtomicUsize::new(usize::MAX);
    let call = |tiles| {
        dispatch::share(tiles, |_| {
            least.fetch_min(usize::try_from(left()).unwrap(), SeqCst);
            tile();
        });
    };
    // Each worker makes calls of its own, then one alone with helpers.
    rayon::broadcast(|_| (0..20).for_each(|_| call(16)));
    rayon::join(|| call(200), || ());
    let workers = least.swap(usize::MAX, SeqCst);
    // The region's own thread computes on what its workers do not use; one that lingers uses it, so there may be one more.
    call(200);
    drop(region);
    // A helper that lingers gives its token back and takes it again meanwhile, so this is seen once, and not looked at again.
    until("all are back", || left() == before);
    write(&json!({
        "before": before,
        "begun": begun,
        "nested": nested,
        "workers": workers,
        "own": least.into_inner() >= 3,
    }));
}

/// Ends in the middle of a call of another thread's, as a program ends: by `exit`.
fn leaves() {
    thread::spawn(endless);
    until("tokens to leave with", || status().held >= 2);
    // SAFETY: ends the process with its handlers; nothing of this thread's is needed any more.
    unsafe { libc::exit(0) };
}

/// Forks in the middle of a call: the child has nothing of its parent's, and does not give it back.
fn forks() {
    let folder = match status().auth {
        Some(threadctl::budget::Auth::Shared(folder)) => folder,
        other => panic!("{other:?}"),
    };
    let watch = Watch::open(&folder).unwrap();
    let mine = || held(&watch, std::process::id());
    thread::spawn(endless);
    until("all tokens", || mine() == CORES);
    // SAFETY: the child makes calls, looks, and leaves by `_exit`; what else it may do after a fork of many threads is what this
    // is about.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        let before = status();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
        pool.unwrap().install(|| dispatch::share(64, |_| tile()));
        until("nothing in hand", || status().held == 0);
        let fine = before.held == 0;
        // SAFETY: ends this process at once.
        unsafe { libc::_exit(if fine { 0 } else { 7 }) };
    }
    let mut status = 0;
    // SAFETY: our child, and a place for its status.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "the child's status");
    // The child had less than its share, so some were lent; they come back when it has gone.
    until("all tokens again", || mine() == CORES);
}

/// How many cores a process has in a budget.
pub fn held(watch: &Watch, pid: u32) -> usize {
    let now = watch.now();
    let of = now.holders.iter().find(|holder| holder.pid == pid);
    of.map_or(0, |holder| holder.cores)
}
