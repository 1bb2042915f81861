//! What is said: counted calls, where a file for them is named, and the last words of a process whose call cannot be computed.
//!
//! Invariants: nothing is written unless the environment asks for it, but for last words, and for one line in programs with more
//! rights than their caller; there the environment is not obeyed.

use std::cell::Cell;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use threadctl::Error;
use threadctl::backend::supply::{Slots, calls, count_calls, register};

/// Names the file that counts are appended to when the process ends, one line of JSON for each process.
const COUNT: &str = "THREADCTL_COUNT_CALLS";

/// `small` has calls cut into the smallest tiles that there can be: for tests.
const TILES: &str = "THREADCTL_TILES";

static FILE: OnceLock<PathBuf> = OnceLock::new();

/// What is done once, at the beginning of a process, before whoever needs it goes on: those who come meanwhile wait. Not a `Once`,
/// which a child that was forked in the middle of one would wait for for ever: it does the work anew, and the locks that the work itself
/// takes remain.
struct First(AtomicU32);

/// It was done. Until then it is the number of the process that is at it, and 0 at the beginning: no process has either.
const DONE: u32 = u32::MAX;

thread_local! {
    /// This thread is at such work: what it calls there must not wait for it.
    static AT_IT: Cell<bool> = const { Cell::new(false) };
}

impl First {
    const fn new() -> Self {
        First(AtomicU32::new(0))
    }

    /// Whether this had it done.
    fn time(&self, work: impl FnOnce()) -> bool {
        let state = self.0.load(Ordering::Acquire);
        state != DONE && self.wait_or_do(state, work)
    }

    #[cold]
    fn wait_or_do(&self, mut state: u32, work: impl FnOnce()) -> bool {
        let own = std::process::id();
        while state != DONE {
            if state == own {
                if AT_IT.get() {
                    return false;
                }
                std::thread::yield_now();
                state = self.0.load(Ordering::Acquire);
                continue;
            }
            match (self.0).compare_exchange(state, own, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    let before = AT_IT.replace(true);
                    work();
                    AT_IT.set(before);
                    self.0.store(DONE, Ordering::Release);
                    return true;
                }
                Err(now) => state = now,
            }
        }
        false
    }
}

/// At the first call of the process.
pub(crate) fn begin() {
    static BEGUN: First = First::new();
    if BEGUN.time(set_up) && FILE.get().is_some() {
        // SAFETY: a function that may be called at the end of the process; this library is never unloaded.
        unsafe { libc::atexit(write_counts) };
    }
}

/// Puts in force what the `THREADCTL_*` variables say, at the first call of BLAS or of the C interface: not when the library
/// is loaded, for programs that it is preloaded into would have it done to them that never compute.
pub(crate) fn obey() {
    static OBEYED: First = First::new();
    OBEYED.time(|| {
        if !is_raised() {
            threadctl::config::init_unattended();
        }
    });
}

/// Whether this program has more rights than whoever started it.
fn is_raised() -> bool {
    // SAFETY: getauxval reads a table that the kernel made before the program began.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

fn set_up() {
    register(
        Slots {
            slots: &[],
            empty: std::ptr::null_mut(),
        },
        end,
    );
    if is_raised() {
        say("this program has more rights than its caller, so its calls are left as they are");
        return;
    }
    obey();
    if std::env::var_os(TILES).is_some_and(|value| value == "small") {
        threadctl::dispatch::Blas::simulate_small_tiles(true);
    }
    if let Some(file) = std::env::var_os(COUNT).filter(|file| !file.is_empty()) {
        let _ = FILE.set(file.into());
        count_calls(true);
    }
}

extern "C" fn write_counts() {
    let Some(file) = FILE.get() else {
        return;
    };
    let counts: Vec<String> = calls()
        .into_iter()
        .map(|(name, count)| format!("{name:?}: {count}"))
        .collect();
    let line = format!(
        "{{\"pid\": {}, \"calls\": {{{}}}}}\n",
        std::process::id(),
        counts.join(", ")
    );
    let written = OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = written {
        say(&format!("{COUNT}={}: {error}", file.display()));
    }
}

/// Ends a call that cannot be computed. There is no way to return an error from BLAS, and to return as if it had computed
/// would be a wrong number.
pub(crate) fn end(error: &Error) -> ! {
    say(&error.to_string());
    std::process::abort()
}

/// Nothing can be done where it cannot be written.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "threadctl-preload: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn what_is_done_first_is_done_once_and_waited_for() {
        for _ in 0..100 {
            let (first, begin, times) = (First::new(), Barrier::new(8), AtomicUsize::new(0));
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        begin.wait();
                        first.time(|| {
                            // Others come meanwhile, and so does what is called here.
                            std::thread::yield_now();
                            assert!(!first.time(|| ()), "inside itself");
                            times.fetch_add(1, Ordering::SeqCst);
                        });
                        assert_eq!(times.load(Ordering::SeqCst), 1);
                    });
                }
            });
        }
    }

    #[test]
    fn a_child_of_a_process_that_was_at_it_does_it_anew() {
        let first = First::new();
        // As it is in the child: the number is another process's.
        first.0.store(std::process::id() + 1, Ordering::SeqCst);
        assert!(first.time(|| ()) && !first.time(|| ()));
    }
}
