//! The ledger of a budget: a word for each core that says whose it is.
//!
//! Invariants (the proof is in this folder's README):
//! - a core's word is 0 (free) or names its one owner; every change is one compare-and-swap on that word, from free to the
//!   one who takes it, or from its owner to free. So at every moment, also when a process is killed, each core has one owner or
//!   none: none is lost, none is there twice.
//! - a process changes only words that are free or its own; the keeper besides takes away what a process has put aside,
//!   and what is left of the dead.
//! - claims are a bit for each process, set and cleared by the process, or by the keeper once it is dead.
//!
//! Model-checked (tests/loom_budget.rs), and tried at random with deaths between any two steps (tests.rs).

use crate::sync::{AtomicU32, Ordering};

/// The words before those of the cores.
const HEADER: usize = 16;
/// The most cores that a budget has.
pub const MOST_CORES: usize = 4096;
/// The most processes that can be in one.
// Models have two, since each word is one more for loom.
pub const CLIENTS: usize = if cfg!(loom) { 2 } else { 512 };
const BITS: usize = 32;
const CLAIMS: usize = CLIENTS.div_ceil(BITS);
/// The words of one process: its number, whether it is ready, its start (two), whether its own core is paid for elsewhere.
const CLIENT: usize = 8;

/// In a core's word: put aside by its owner, who has no use for it at the moment.
const ASIDE: u32 = 1 << 31;
/// Owners that are no processes: the jobserver's FIFO, from which plain clients take, and the command's own core where a make
/// below it counts on that.
const FIFO: u32 = ASIDE - 1;
const ROOT: u32 = ASIDE - 2;

const MAGIC: u32 = 0x7464_6231;
const VERSION: u32 = 1;

/// The header's words.
const AT_MAGIC: usize = 0;
const AT_VERSION: usize = 1;
const AT_CORES: usize = 2;
const AT_CLOSED: usize = 3;
const AT_LEVEL: usize = 4;
const AT_LYING: usize = 5;
const AT_NAMESPACES: usize = 6;

/// A process in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client(u32);

impl Client {
    /// The one at this place.
    pub fn at(index: usize) -> Self {
        Client(u32::try_from(index).unwrap_or(u32::MAX) & (ASIDE - 1))
    }

    /// Its place.
    pub fn index(self) -> usize {
        self.0 as usize
    }

    fn word(self) -> u32 {
        self.0 + 1
    }

    fn of(word: u32) -> Option<Self> {
        match word & !ASIDE {
            0 | FIFO | ROOT => None,
            client => Some(Client(client - 1)),
        }
    }
}

/// Owners that the keeper acts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lent {
    /// To the FIFO.
    #[cfg(any(feature = "keeper", test, loom))]
    Fifo,
    /// To the command itself.
    Root,
}

impl Lent {
    fn word(self) -> u32 {
        match self {
            #[cfg(any(feature = "keeper", test, loom))]
            Lent::Fifo => FIFO,
            Lent::Root => ROOT,
        }
    }
}

/// How the cores are divided at one moment; a hint, since others change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shares {
    /// Cores of the process that asks, with those it has put aside.
    pub held: usize,
    /// What each process could have if all who have or want some had as many; at least 1.
    pub fair: usize,
    /// Nobody has them.
    pub free: usize,
}

/// The ledger, in words that all processes see.
#[derive(Debug)]
pub struct Ledger<W> {
    words: W,
    cores: usize,
}

/// How many words a ledger of so many cores has.
pub fn length(cores: usize) -> usize {
    clients_at(cores) + CLIENTS * CLIENT
}

fn claims_at(cores: usize) -> usize {
    HEADER + cores.next_multiple_of(HEADER)
}

fn clients_at(cores: usize) -> usize {
    claims_at(cores) + CLAIMS
}

impl<W: AsRef<[AtomicU32]>> Ledger<W> {
    /// One that is there.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn join(words: W) -> Result<Self, &'static str> {
        let all = words.as_ref();
        let header = all.get(..HEADER).ok_or("it is too short")?;
        if header[AT_MAGIC].load(Ordering::Acquire) != MAGIC {
            return Err("it is no ledger of a budget");
        }
        if header[AT_VERSION].load(Ordering::Relaxed) != VERSION {
            return Err("it is of another version of threadctl");
        }
        let cores = header[AT_CORES].load(Ordering::Relaxed) as usize;
        if cores == 0 || cores > MOST_CORES || all.len() < length(cores) {
            return Err("its length is wrong");
        }
        if header[AT_CLOSED].load(Ordering::Relaxed) != 0 {
            return Err("the budget has ended");
        }
        Ok(Ledger { words, cores })
    }

    fn header(&self, at: usize) -> &AtomicU32 {
        &self.words.as_ref()[at]
    }

    fn core(&self, core: usize) -> &AtomicU32 {
        &self.words.as_ref()[HEADER + core]
    }

    fn owners(&self) -> &[AtomicU32] {
        &self.words.as_ref()[HEADER..HEADER + self.cores]
    }

    fn claims(&self) -> &[AtomicU32] {
        let at = claims_at(self.cores);
        &self.words.as_ref()[at..at + CLAIMS]
    }

    fn client(&self, client: Client) -> &[AtomicU32] {
        let at = clients_at(self.cores) + client.index() * CLIENT;
        &self.words.as_ref()[at..at + CLIENT]
    }

    /// How many cores the budget has.
    pub fn cores(&self) -> usize {
        self.cores
    }

    /// The depth of makes at which it was begun.
    pub fn level(&self) -> u32 {
        self.header(AT_LEVEL).load(Ordering::Relaxed)
    }

    /// In which namespaces (of processes, of time) its keeper is.
    pub fn namespaces(&self) -> [u32; 2] {
        [0, 1].map(|at| self.header(AT_NAMESPACES + at).load(Ordering::Relaxed))
    }

    /// The keeper has ended: nobody looks after it any more.
    pub fn is_closed(&self) -> bool {
        self.header(AT_CLOSED).load(Ordering::Relaxed) != 0
    }

    // What a process does.

    /// Makes the process `pid`, begun at `start`, known, before it takes anything; `None` if the ledger is full. With `paid`
    /// somebody has paid for its own core.
    pub fn enrol(&self, pid: u32, start: u64, paid: bool) -> Option<Client> {
        (0..CLIENTS).map(Client::at).find(|client| {
            let words = self.client(*client);
            let mine = words[0]
                // Acquire: the keeper's clearing of whoever was here before.
                .compare_exchange(0, pid, Ordering::Acquire, Ordering::Relaxed)
                .is_ok();
            if mine {
                words[2].store((start >> 32) as u32, Ordering::Relaxed);
                words[3].store((start & u64::from(u32::MAX)) as u32, Ordering::Relaxed);
                words[4].store(u32::from(paid), Ordering::Relaxed);
                // Release: the keeper, which looks at this, finds the rest.
                words[1].store(1, Ordering::Release);
            }
            mine
        })
    }

    /// Takes a core that nobody has.
    pub fn take(&self, me: Client) -> Option<usize> {
        self.take_as(me.word())
    }

    fn take_as(&self, owner: u32) -> Option<usize> {
        self.owners().iter().position(|word| {
            word.load(Ordering::Relaxed) == 0
                // Acquire: what the core's last owner did with it was before.
                && word
                    .compare_exchange(0, owner, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
        })
    }

    /// Takes a free core for somebody who is no process.
    pub fn lend(&self, to: Lent) -> bool {
        self.take_as(to.word()).is_some()
    }

    /// How many cores they have.
    pub fn lent(&self, to: Lent) -> usize {
        let words = self.owners().iter();
        words
            .filter(|word| word.load(Ordering::Relaxed) == to.word())
            .count()
    }

    /// Gives a core back.
    pub fn give(&self, me: Client, core: usize) {
        self.change(core, me.word(), 0);
    }

    /// Puts a core aside: ours, until the keeper sees that we do not run.
    pub fn put_aside(&self, me: Client, core: usize) {
        self.change(core, me.word(), me.word() | ASIDE);
    }

    /// Takes up a core that was put aside, if it is still ours.
    pub fn take_up(&self, me: Client, core: usize) -> bool {
        self.change(core, me.word() | ASIDE, me.word())
    }

    fn change(&self, core: usize, from: u32, to: u32) -> bool {
        self.core(core)
            // Release: for whoever takes it next; Acquire: from the keeper.
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Says that this process wants a core and has less than its share.
    pub fn claim(&self, me: Client) {
        let (word, bit) = self.claim_of(me);
        if word.load(Ordering::Relaxed) & bit == 0 {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// Says that it wants none any more.
    pub fn unclaim(&self, me: Client) {
        let (word, bit) = self.claim_of(me);
        // A claim that this thread made, or that was made before something it has seen, is seen here.
        if word.load(Ordering::Relaxed) & bit != 0 {
            word.fetch_and(!bit, Ordering::Relaxed);
        }
    }

    /// Whether this process says so.
    pub fn claims_one(&self, me: Client) -> bool {
        let (word, bit) = self.claim_of(me);
        word.load(Ordering::Relaxed) & bit != 0
    }

    fn claim_of(&self, me: Client) -> (&AtomicU32, u32) {
        let index = me.index();
        (&self.claims()[index / BITS], 1 << (index % BITS))
    }

    /// Whether somebody else wants a core.
    pub fn is_claimed(&self, except: Option<Client>) -> bool {
        self.claims().iter().enumerate().any(|(at, word)| {
            let own = except
                .filter(|me| me.index() / BITS == at)
                .map_or(0, |me| 1 << (me.index() % BITS));
            word.load(Ordering::Relaxed) & !own != 0
        })
    }

    /// How the cores are divided, for this process.
    pub fn shares(&self, me: Client) -> Shares {
        let mut seen = [0_u32; CLAIMS];
        let (mut held, mut free, mut lent) = (0, 0, 0_usize);
        for (bits, word) in seen.iter_mut().zip(self.claims()) {
            *bits = word.load(Ordering::Relaxed);
        }
        for word in self.owners() {
            let word = word.load(Ordering::Relaxed);
            match Client::of(word) {
                Some(client) => {
                    let index = client.index() % CLIENTS;
                    seen[index / BITS] |= 1 << (index % BITS);
                    held += usize::from(client == me);
                }
                None if word == 0 => free += 1,
                None => lent += 1,
            }
        }
        // What lies in the FIFO is fetched for whoever claims it.
        let lying = self.header(AT_LYING).load(Ordering::Relaxed) as usize;
        let lent = lent.saturating_sub(lying);
        let index = me.index();
        seen[index / BITS] |= 1 << (index % BITS);
        let sharers: u32 = seen.iter().map(|bits| bits.count_ones()).sum();
        Shares {
            held,
            fair: ((self.cores - lent) / sharers as usize).max(1),
            free,
        }
    }
}

/// What the keeper does, and whoever looks on.
#[cfg(any(feature = "keeper", test, loom))]
impl<W: AsRef<[AtomicU32]>> Ledger<W> {
    /// A new one in words that are all 0, [`length`] of them. `level` is the depth of makes at which it was begun.
    pub fn begin(words: W, cores: usize, level: u32, namespaces: [u32; 2]) -> Self {
        let ledger = Ledger { words, cores };
        let header = &ledger.words.as_ref()[..HEADER];
        let set = |at: usize, value: u32| header[at].store(value, Ordering::Relaxed);
        set(AT_VERSION, VERSION);
        set(AT_CORES, u32::try_from(cores).unwrap_or(u32::MAX));
        set(AT_LEVEL, level);
        set(AT_NAMESPACES, namespaces[0]);
        set(AT_NAMESPACES + 1, namespaces[1]);
        // Release: whoever sees this sees the others.
        header[AT_MAGIC].store(MAGIC, Ordering::Release);
        ledger
    }

    /// The keeper ends.
    pub fn close(&self) {
        self.header(AT_CLOSED).store(1, Ordering::Relaxed);
    }

    /// The processes that are in: their numbers and starts; no start for one that is not ready.
    pub fn clients(&self) -> impl Iterator<Item = (Client, u32, Option<u64>)> + '_ {
        (0..CLIENTS).map(Client::at).filter_map(|client| {
            let words = self.client(client);
            let pid = words[0].load(Ordering::Relaxed);
            let ready = words[1].load(Ordering::Acquire) != 0;
            let start = || {
                u64::from(words[2].load(Ordering::Relaxed)) << 32
                    | u64::from(words[3].load(Ordering::Relaxed))
            };
            (pid != 0).then(|| (client, pid, ready.then(start)))
        })
    }

    /// Whether somebody else has paid for a process's own core.
    pub fn is_paid(&self, client: Client) -> bool {
        self.client(client)[4].load(Ordering::Relaxed) != 0
    }

    /// Takes what a process has put aside; how many cores.
    pub fn lapse(&self, client: Client) -> usize {
        let aside = client.word() | ASIDE;
        (0..self.cores)
            .filter(|core| {
                self.core(*core).load(Ordering::Relaxed) == aside && self.change(*core, aside, 0)
            })
            .count()
    }

    /// Takes all that a process had which is dead, and forgets it; how many cores, without those that it had put aside.
    pub fn reap(&self, client: Client) -> usize {
        self.unclaim(client);
        self.lapse(client);
        let owned = |core: &usize| {
            self.core(*core).load(Ordering::Relaxed) == client.word()
                && self.change(*core, client.word(), 0)
        };
        let freed = (0..self.cores).filter(owned).count();
        let words = self.client(client);
        words[1].store(0, Ordering::Relaxed);
        // Release: whoever enrols here finds it empty.
        words[0].store(0, Ordering::Release);
        freed
    }

    /// Such a core is free again; `false` if there is none.
    pub fn return_from(&self, lent: Lent) -> bool {
        (0..self.cores).any(|core| {
            self.core(core).load(Ordering::Relaxed) == lent.word()
                && self.change(core, lent.word(), 0)
        })
    }

    /// So many of those that the FIFO has lie there; plain clients have the others.
    pub fn note_lying(&self, lying: usize) {
        let lying = u32::try_from(lying).unwrap_or(u32::MAX);
        self.header(AT_LYING).store(lying, Ordering::Relaxed);
    }

    /// How many cores a process has.
    pub fn held(&self, client: Client) -> usize {
        let words = self.owners().iter();
        words
            .filter(|word| Client::of(word.load(Ordering::Relaxed)) == Some(client))
            .count()
    }

    /// How many cores nobody has.
    pub fn free(&self) -> usize {
        let words = self.owners().iter();
        words
            .filter(|word| word.load(Ordering::Relaxed) == 0)
            .count()
    }
}
