//! Who looks after a budget: `threadctl share`.
//!
//! Invariants: cores of a process go back only when the kernel says that it has ended (a descriptor of the process itself, opened
//! while its start was the one that it wrote down, or its absence); a core is in the FIFO or lent by it only while its word in
//! the ledger says so, and the byte is written after the word, and read before it. Nothing waits.

use super::auth::{Auth, with_offer};
use super::find::own_level;
use super::ledger::{CLIENTS, Client, Ledger, Lent, MOST_CORES, length};
use super::plain::{is_absence, start_of};
use super::shared::{FIFO, LEDGER, namespaces, open};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::clock::cpu_time_of;
use crate::sys::shared::SharedWords;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often it looks while processes are in, and else.
const TICK: Duration = Duration::from_millis(5);
const IDLE: Duration = Duration::from_millis(20);

/// A process that used less CPU time than this part of the time between two looks rests; after so many in a row its own core
/// is lent.
const RESTS: f64 = 0.1;
const LAPSES: u32 = 2;

/// For how many looks a core must be free before it goes to the FIFO, while processes of the ledger are in. They take and give
/// cores with every call; a core that is free for so long is free.
const SPARE: u32 = 10;

/// A budget, kept for as long as this lives.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = tempfile::tempdir()?;
/// let mut keeper = threadctl::budget::Keeper::new(folder.path(), 4)?;
/// // Children that get these variables are in the budget.
/// for (name, value) in keeper.variables() {
///     println!("{name}={value}");
/// }
/// // To be called again and again, as often as it asks for.
/// let again = keeper.look();
/// assert!(again.as_millis() <= 100);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Keeper {
    folder: PathBuf,
    ledger: Ledger<SharedWords>,
    /// Locked.
    _file: File,
    fifo: File,
    watched: Vec<Option<Watched>>,
    /// For how many looks a core has been free.
    spare: u32,
    /// How many bytes were in the FIFO when we last looked.
    stocked: usize,
    looked: Instant,
    seen: Seen,
}

/// What a [`Keeper`] has seen so far.
///
/// ```
/// let seen = threadctl::budget::Seen::default();
/// assert_eq!(seen.returned, 0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Seen {
    /// Processes that were in the budget, other than plain clients of the jobserver.
    pub processes: u64,
    /// Of these, the ones that ended with tokens in hand.
    pub died_holding: u64,
    /// Tokens that were taken from the dead.
    pub returned: u64,
    /// How often a process that rested has lent its own core.
    pub lent: u64,
    /// Cores in use, over time; those in the FIFO count as free.
    pub mean_in_use: f64,
    /// The most at one look.
    pub peak_in_use: u32,
    /// For how long, in seconds.
    pub seconds: f64,
}

#[derive(Debug)]
struct Watched {
    pid: u32,
    start: u64,
    /// `None` where the kernel has none to give, or not now; then its absence tells.
    process: Option<OwnedFd>,
    looked: Instant,
    cpu: Option<Duration>,
    resting: u32,
}

impl Keeper {
    /// A new budget of so many cores, in a folder that is the caller's to make and to remove.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidLimit`] for 0 cores or more than 4096, [`ErrorKind::System`] when its files cannot be made, or
    /// where the folder has a name that `MAKEFLAGS` cannot hold (blanks, quotes, `$`, `#`, backslashes).
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// assert!(threadctl::budget::Keeper::new(folder.path(), 0).is_err());
    /// ```
    pub fn new(folder: &Path, cores: u32) -> Result<Self> {
        let count = cores as usize;
        if count == 0 || count > MOST_CORES {
            return Err(Error::new(
                ErrorKind::InvalidLimit,
                format!("a budget of {cores} cores: it has from 1 to {MOST_CORES}"),
            ));
        }
        if !folder
            .to_str()
            .is_some_and(|name| name.chars().all(is_plain))
        {
            return Err(Error::new(
                ErrorKind::System,
                format!(
                    "the folder {folder:?} of a budget: make is told of it in MAKEFLAGS, where a name can have no blanks, quotes, \
                     $, # or backslashes; choose another one (TMPDIR)"
                ),
            ));
        }
        let told = |what: &'static str| {
            move |error: io::Error| {
                Error::new(
                    ErrorKind::System,
                    format!("{what} of a budget in {}: {error}", folder.display()),
                )
            }
        };
        let path = folder.join(LEDGER);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(told("the ledger"))?;
        let bytes = length(count) * size_of::<u32>();
        file.set_len(bytes as u64).map_err(told("the ledger"))?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| told("the ledger's lock")(error.into()))?;
        let words = SharedWords::map(&file).map_err(told("the ledger"))?;
        let path = folder.join(FIFO);
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, 0o600.into())
            .map_err(|error| told("the FIFO")(error.into()))?;
        let fifo = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&path)
            .map_err(told("the FIFO"))?;
        Ok(Keeper {
            folder: folder.to_owned(),
            ledger: Ledger::begin(words, count, own_level(), namespaces()),
            _file: file,
            fifo,
            watched: (0..CLIENTS).map(|_| None).collect(),
            spare: SPARE,
            stocked: 0,
            looked: Instant::now(),
            seen: Seen::default(),
        })
    }

    /// The variables that put a child into the budget: the library's own, and `MAKEFLAGS` for make from 4.4 on, cargo and others,
    /// with what else this process's `MAKEFLAGS` has.
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let keeper = threadctl::budget::Keeper::new(folder.path(), 2).unwrap();
    /// assert!(keeper.variables().iter().any(|(name, _)| *name == "MAKEFLAGS"));
    /// ```
    pub fn variables(&self) -> [(&'static str, String); 2] {
        [
            (
                crate::config::JOBSERVER,
                format!("share:{}", self.folder.display()),
            ),
            (
                "MAKEFLAGS",
                self.makeflags(&Auth::Fifo(self.folder.join(FIFO))),
            ),
        ]
    }

    /// `MAKEFLAGS` with an offer in another form: two ends of [`pipe`](Self::pipe), for makes before 4.4.
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let keeper = threadctl::budget::Keeper::new(folder.path(), 2).unwrap();
    /// let flags = keeper.makeflags(&threadctl::budget::Auth::Pipe { read: 3, write: 4 });
    /// assert!(flags.contains("-j2 --jobserver-fds=3,4 --jobserver-auth=3,4"));
    /// ```
    pub fn makeflags(&self, auth: &Auth) -> String {
        let own = std::env::var_os("MAKEFLAGS").unwrap_or_default();
        with_offer(&own.to_string_lossy(), self.ledger.cores(), auth)
    }

    /// The FIFO opened anew, as makes before 4.4 want it: to be inherited by the child as both ends of a pipe.
    ///
    /// # Errors
    /// [`ErrorKind::System`] when it cannot be opened.
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let keeper = threadctl::budget::Keeper::new(folder.path(), 2).unwrap();
    /// assert!(keeper.pipe().is_ok());
    /// ```
    pub fn pipe(&self) -> Result<File> {
        let path = self.folder.join(FIFO);
        open(&path)
            .map_err(|error| Error::new(ErrorKind::System, format!("{}: {error}", path.display())))
    }

    /// Looks after the processes: those that have ended, and those that rest. Returns when to look again. Never waits.
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let mut keeper = threadctl::budget::Keeper::new(folder.path(), 2).unwrap();
    /// keeper.look();
    /// ```
    pub fn look(&mut self) -> Duration {
        let now = Instant::now();
        self.note(now);
        let mut anybody = false;
        let clients: Vec<_> = self.ledger.clients().collect();
        for (client, pid, start) in clients {
            if self.has_ended(client, pid, start) {
                self.bury(client);
            } else {
                anybody = true;
                self.notice_rest(client, now);
            }
        }
        self.mind_the_root();
        self.mind_the_fifo(anybody);
        if anybody { TICK } else { IDLE }
    }

    /// What it has seen so far.
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let keeper = threadctl::budget::Keeper::new(folder.path(), 2).unwrap();
    /// assert_eq!(keeper.seen().processes, 0);
    /// ```
    pub fn seen(&self) -> Seen {
        self.seen
    }

    /// How many of its cores are free, with those in the FIFO.
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let keeper = threadctl::budget::Keeper::new(folder.path(), 2).unwrap();
    /// assert_eq!(keeper.free(), 2);
    /// ```
    pub fn free(&self) -> usize {
        self.ledger.free() + self.in_fifo()
    }

    /// Notes how the budget is used.
    fn note(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.looked).as_secs_f64();
        self.looked = now;
        let used = self.ledger.cores().saturating_sub(self.free());
        let used = u32::try_from(used).unwrap_or(u32::MAX);
        let seen = &mut self.seen;
        let before = seen.mean_in_use * seen.seconds;
        seen.seconds += passed;
        if seen.seconds > 0.0 {
            seen.mean_in_use = (before + f64::from(used) * passed) / seen.seconds;
        }
        seen.peak_in_use = seen.peak_in_use.max(used);
    }

    /// Whether a process has ended; a new one is watched from now on.
    fn has_ended(&mut self, client: Client, pid: u32, start: Option<u64>) -> bool {
        // One that is just enrolling has taken nothing.
        let Some(start) = start else {
            let process = Path::new("/proc").join(pid.to_string());
            return matches!(process.try_exists(), Ok(false));
        };
        let place = &mut self.watched[client.index()];
        let known = place
            .as_ref()
            .is_some_and(|watched| (watched.pid, watched.start) == (pid, start));
        if !known {
            self.seen.processes += 1;
            *place = Some(Watched {
                pid,
                start,
                process: None,
                looked: Instant::now(),
                cpu: cpu_time_of(pid),
                resting: 0,
            });
        }
        let Some(watched) = place else { return false };
        if watched.process.is_none() {
            // In this order: a descriptor of a process whose start is right after it was opened is that process's.
            let process = i32::try_from(pid)
                .ok()
                .and_then(Pid::from_raw)
                .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
            match is_there(&start_of(&pid.to_string()), start) {
                Some(true) => watched.process = process,
                Some(false) => return true,
                // We cannot look now, and bury nobody whom we have not seen dead.
                None => return false,
            }
        }
        watched.process.as_ref().is_some_and(|process| {
            let mut polled = [PollFd::new(process, PollFlags::IN)];
            let now = rustix::event::Timespec::default();
            poll(&mut polled, Some(&now)).is_ok_and(|ready| ready > 0)
        })
    }

    fn bury(&mut self, client: Client) {
        self.watched[client.index()] = None;
        let returned = self.ledger.reap(client) as u64;
        self.seen.returned += returned;
        self.seen.died_holding += u64::from(returned > 0);
    }

    /// A process that does not run has no use for the core that it has put aside.
    fn notice_rest(&mut self, client: Client, now: Instant) {
        let Some(watched) = &mut self.watched[client.index()] else {
            return;
        };
        let passed = now.saturating_duration_since(watched.looked);
        if passed < TICK / 2 {
            return;
        }
        let cpu = cpu_time_of(watched.pid);
        let used = cpu
            .zip(watched.cpu)
            .map(|(now, before)| now.saturating_sub(before));
        watched.looked = now;
        watched.cpu = cpu;
        let rests = used.is_some_and(|used| used.as_secs_f64() < RESTS * passed.as_secs_f64());
        watched.resting = if rests { watched.resting + 1 } else { 0 };
        if watched.resting >= LAPSES {
            self.seen.lent += self.ledger.lapse(client) as u64;
            // It asks again when it goes on.
            self.ledger.unclaim(client);
        }
    }

    /// A make below the command runs one job on the command's own core: that core is in use, if such jobs are in the ledger.
    fn mind_the_root(&self) {
        let mut clients = self.ledger.clients();
        let wanted = clients.any(|(client, _, _)| self.ledger.is_paid(client));
        let there = self.ledger.lent(Lent::Root);
        if wanted && there == 0 {
            self.ledger.lend(Lent::Root);
        }
        // Two processes at once may each have taken one.
        for _ in usize::from(wanted)..there {
            self.ledger.return_from(Lent::Root);
        }
    }

    /// Moves cores between the ledger and the FIFO: one lies there for plain clients, if nobody in the ledger wants it.
    fn mind_the_fifo(&mut self, anybody: bool) {
        let lying = self.in_fifo();
        if self.ledger.is_claimed(None) {
            self.spare = 0;
            if lying > 0 {
                self.fetch();
            }
        } else {
            // Somebody has taken what lay there: more may be wanted.
            let taken = lying < self.stocked;
            self.spare = if self.ledger.free() == 0 {
                0
            } else {
                self.spare.saturating_add(1)
            };
            let due = !anybody || taken || self.spare >= SPARE;
            // One core is the command's own, as make counts.
            let most = self.ledger.cores() - 1;
            if lying == 0
                && due
                && self.ledger.lent(Lent::Fifo) < most
                && self.ledger.lend(Lent::Fifo)
            {
                self.put();
            }
        }
        // What plain clients gave back, above the one that lies ready.
        while self.in_fifo() > 1 {
            self.fetch();
        }
        self.stocked = self.in_fifo();
        self.ledger.note_lying(self.stocked);
    }

    fn in_fifo(&self) -> usize {
        rustix::io::ioctl_fionread(&self.fifo)
            .ok()
            .and_then(|lying| usize::try_from(lying).ok())
            .unwrap_or(0)
    }

    fn put(&self) {
        if (&self.fifo).write(b"+").is_err() {
            self.ledger.return_from(Lent::Fifo);
        }
    }

    fn fetch(&self) {
        // A byte that somebody made up has no core.
        if matches!((&self.fifo).read(&mut [0]), Ok(1)) {
            self.ledger.return_from(Lent::Fifo);
        }
    }
}

/// Whether a name in `MAKEFLAGS` may have this letter: make splits the text at blanks and expands it, and others split it only.
fn is_plain(letter: char) -> bool {
    !letter.is_whitespace() && !letter.is_control() && !"\\$#'\"`".contains(letter)
}

/// Whether the process that began at `start` is there, by what the kernel says of its number; `None` if it does not say.
fn is_there(found: &io::Result<u64>, start: u64) -> Option<bool> {
    match found {
        Ok(found) => Some(*found == start),
        Err(error) => is_absence(error).then_some(false),
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.ledger.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_absence_and_another_start_say_that_a_process_has_ended() {
        let failed = |code: i32| is_there(&Err(io::Error::from_raw_os_error(code)), 7);
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::EACCES] {
            assert_eq!(failed(code), None, "{code}");
        }
        for code in [libc::ENOENT, libc::ESRCH] {
            assert_eq!(failed(code), Some(false), "{code}");
        }
        assert_eq!(is_there(&Ok(7), 7), Some(true));
        assert_eq!(is_there(&Ok(8), 7), Some(false));
        assert_eq!(is_there(&Err(io::ErrorKind::InvalidData.into()), 7), None);
        // What the kernel really says.
        let us = start_of("self").unwrap();
        assert_eq!(
            is_there(&start_of(&std::process::id().to_string()), us),
            Some(true)
        );
        assert_eq!(is_there(&start_of("4194305"), us), Some(false));
    }
}
