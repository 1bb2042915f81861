//! Ranks of MPI that share the cores of their node (feature `mpi`).
//!
//! A launcher divides a node among its ranks once and for all, or not at all. [`share`] has the ranks of each node find each other, by
//! the communicator of those that can share memory, divide the cores that they may use, and put themselves into one budget
//! ([`budget`]): each rank has its share, and what another one does not use at the moment its BLAS calls may take, core
//! by core. So a node computes with as many threads as it has cores, with one rank on it or with one for each core.
//!
//! ```no_run
//! use threadctl::mpi::rsmpi::{self, Threading, traits::*};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // Only this thread calls MPI.
//!     let started = rsmpi::initialize_with_threading(Threading::Funneled);
//!     let (universe, _) = started.ok_or("MPI has been started before")?;
//!     let world = universe.world();
//!     // Kept until the work is done.
//!     let node = threadctl::mpi::share(&world)?;
//!     let pool = threadctl::dispatch::Pool::new(node.reach())?;
//!     println!(
//!         "rank {} of {}: {} of the node's {} cores, on {} hosts",
//!         world.rank(), world.size(), node.share(), node.cores(), node.hosts(),
//!     );
//!     pool.rayon().install(|| { /* BLAS through dispatch, and rayon's loops */ });
//!     Ok(())
//! }
//! ```
//!
//! # What counts
//! The node's cores are those that any of its ranks may run on, SMT siblings once, and no more than a quota or the job's width there
//! allows. A core that several ranks may run on is one's share alone, so the shares add up to the node's cores, whatever the
//! launcher bound: everything to all (`--bind-to none`), a set to each, or some of both. With more ranks than cores each has one,
//! and that is told ([`Node::is_oversubscribed`]).
//!
//! Ranks share a budget with those whose CPUs they may run on too: all of a node where nothing is bound, those of a socket where
//! they are bound to sockets, and nobody where each has a set of its own, since a core on which a rank may not run is of no use to it.
//!
//! A budget counts what computes in BLAS calls through dispatch and in regions; rayon's own tasks need no token. A program whose
//! loops shall stay within the share cuts them into so many pieces, or has a pool of that size.
//!
//! # What else is respected
//! Ranks that are in a budget already (`threadctl share` around `mpirun`) stay in it, and where `THREADCTL_JOBSERVER` refuses all,
//! none is made: [`Node::sharing`]. `THREADCTL_NUM_THREADS` bounds each rank's share.
//!
//! Invariants: everything that calls MPI is generic, so that a program that does not use this module has no reference to an MPI
//! library, whatever the features of this crate; all ranks of the world return an error, or none does.

mod keeping;

pub use ::mpi as rsmpi;

use crate::budget::{self, Auth};
use crate::cores::System;
use crate::cores::ranks::{self, Division, SOURCE, Told};
use crate::error::{Error, ErrorKind, Result};
use ::mpi::collective::SystemOperation;
use ::mpi::topology::Color;
use ::mpi::traits::{Communicator, CommunicatorCollectives as _, Root as _};
use keeping::Kept;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// This rank's part of its node: see [`share`]. The first rank of those that share keeps the budget of all, so keep this until the
/// work is done; when it is dropped before, the others compute as without a budget, and nobody waits.
///
/// ```no_run
/// # let universe = threadctl::mpi::rsmpi::initialize().unwrap();
/// let node = threadctl::mpi::share(&universe.world())?;
/// assert!(node.share() <= node.reach());
/// # Ok::<(), threadctl::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "the budget of the node ends when this is dropped"]
pub struct Node {
    rank: u32,
    hosts: u32,
    division: Division,
    reach: u32,
    sharing: Sharing,
    _kept: Option<Kept>,
}

/// How the ranks of a node share its cores.
///
/// ```
/// assert_ne!(threadctl::mpi::Sharing::Made, threadctl::mpi::Sharing::Refused);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sharing {
    /// In a budget that was made for them.
    Made,
    /// One or several are in a budget that was there before; none was made.
    Found,
    /// `THREADCTL_JOBSERVER` refuses all in one or several of them; none was made.
    Refused,
}

impl Node {
    /// This rank's number on its node, from 0 on.
    ///
    /// ```no_run
    /// # let universe = threadctl::mpi::rsmpi::initialize().unwrap();
    /// # let node = threadctl::mpi::share(&universe.world())?;
    /// if node.rank() == 0 { /* once on each host */ }
    /// # Ok::<(), threadctl::Error>(())
    /// ```
    pub fn rank(&self) -> u32 {
        self.rank
    }

    /// How many ranks the node has.
    ///
    /// ```no_run
    /// # let universe = threadctl::mpi::rsmpi::initialize().unwrap();
    /// # let node = threadctl::mpi::share(&universe.world())?;
    /// assert!(node.rank() < node.size());
    /// # Ok::<(), threadctl::Error>(())
    /// ```
    pub fn size(&self) -> u32 {
        u32::try_from(self.division.shares.len()).unwrap_or(u32::MAX)
    }

    /// On how many hosts the ranks of the world are.
    ///
    /// ```no_run
    /// # let universe = threadctl::mpi::rsmpi::initialize().unwrap();
    /// # let node = threadctl::mpi::share(&universe.world())?;
    /// println!("{} hosts", node.hosts());
    /// # Ok::<(), threadctl::Error>(())
    /// ```
    pub fn hosts(&self) -> u32 {
        self.hosts
    }

    /// The cores that the ranks of this node may use together.
    ///
    /// ```no_run
    /// # let universe = threadctl::mpi::rsmpi::initialize().unwrap();
    /// # let node = threadctl::mpi::share(&universe.world())?;
    /// println!("{} cores", node.cores());
    /// # Ok::<(), threadctl::Error>(())
    /// ```
    pub fn cores(&self) -> u32 {
        self.division.cores
    }

    /// The cores of this rank's own.
    ///
    /// ```no_run
    /// # let universe = threadctl::mpi::rsmpi::initialize().unwrap();
    /// # let node = threadctl::mpi::share(&universe.world())?;
    /// assert!(node.share() >= 1);
    /// # Ok::<(), threadctl::Error>(())
    /// ```
    pub fn share(&self) -> u32 {
        let own = self.division.shares.get(self.rank as usize);
        own.copied().unwrap_or(1)
    }

    /// The same of each rank of the node, in their order there. They add up to the node's cores, or to less where
    /// `THREADCTL_NUM_THREADS` bounds some, or to more where the node [is oversubscribed](Self::is_oversubscribed).
    ///
    /// ```no_run
    /// # let universe = threadctl::mpi::rsmpi::initialize().unwrap();
    /// # let node = threadctl::mpi::share(&universe.world())?;
    /// assert_eq!(node.shares()[node.rank() as usize], node.share());
    /// # Ok::<(), threadctl::Error>(())
    /// ```
    pub fn shares(&self) -> &[u32] {
        &self.division.shares
    }

    /// The most cores that this rank can use while others rest: how many workers a pool is worth.
    ///
    /// ```no_run
    /// # let universe = threadctl::mpi::rsmpi::initialize().unwrap();
    /// # let node = threadctl::mpi::share(&universe.world())?;
    /// let pool = threadctl::dispatch::Pool::new(node.reach())?;
    /// # Ok::<(), threadctl::Error>(())
    /// ```
    pub fn reach(&self) -> u32 {
        self.reach
    }

    /// Whether ranks of this node have a core in common: there are more of them than cores, or they are bound so.
    ///
    /// ```no_run
    /// # let universe = threadctl::mpi::rsmpi::initialize().unwrap();
    /// # let node = threadctl::mpi::share(&universe.world())?;
    /// assert!(node.is_oversubscribed() || node.size() <= node.cores());
    /// # Ok::<(), threadctl::Error>(())
    /// ```
    pub fn is_oversubscribed(&self) -> bool {
        self.division.crowded
    }

    /// How the cores are shared.
    ///
    /// ```no_run
    /// # let universe = threadctl::mpi::rsmpi::initialize().unwrap();
    /// # let node = threadctl::mpi::share(&universe.world())?;
    /// println!("{:?}", node.sharing());
    /// # Ok::<(), threadctl::Error>(())
    /// ```
    pub fn sharing(&self) -> Sharing {
        self.sharing
    }
}

/// Has the ranks of each node share its cores: see [the module](self). Collective: every rank of `world` calls it, once, on the
/// thread that calls MPI, and before the work. Needs no more of MPI's threads than `MPI_THREAD_FUNNELED`.
///
/// In the first rank of those that share a thread of its own looks after the budget, and calls no MPI.
///
/// # Errors
/// [`ErrorKind::System`] where the ranks of a node cannot have a file in common, as in containers that hide their processes from each
/// other, or where a rank has joined a budget meanwhile. Every rank of the world gets an error then; those that could share get one that
/// names a rank that could not. Ranks run without a budget where `THREADCTL_JOBSERVER=off`.
///
/// ```no_run
/// # let universe = threadctl::mpi::rsmpi::initialize().unwrap();
/// let node = threadctl::mpi::share(&universe.world())?;
/// println!("{} cores", node.share());
/// # Ok::<(), threadctl::Error>(())
/// ```
pub fn share<C: Communicator>(world: &C) -> Result<Node> {
    let local = world.split_shared(0);
    let own = Own {
        told: ranks::tell(&System::this()),
        sharing: standing(),
    };
    let all = exchange(&local, &own);
    let told: Vec<Told> = all.iter().map(|rank| rank.told.clone()).collect();
    let mut division = divided(&local, &told);
    let any = |sharing| all.iter().any(|rank| rank.sharing == sharing);
    let sharing = [Sharing::Refused, Sharing::Found]
        .into_iter()
        .find(|sharing| any(*sharing))
        .unwrap_or(Sharing::Made);
    let joined = match sharing {
        Sharing::Made => join(&local, &division),
        Sharing::Found | Sharing::Refused => Ok(None),
    };
    let kept = agreed(world, joined)?;

    // With what was joined and what the user says; it may be less than what was divided.
    let reach = System::this().cores().count();
    let rank = u32::try_from(local.rank()).unwrap_or(0);
    let share = division.shares.get(rank as usize).copied().unwrap_or(1);
    local.all_gather_into(&share.min(reach), &mut division.shares[..]);
    let mut hosts = 0_u32;
    let sum = SystemOperation::sum();
    world.all_reduce_into(&u32::from(rank == 0), &mut hosts, sum);
    Ok(Node {
        rank,
        hosts,
        division,
        reach,
        sharing,
        _kept: kept,
    })
}

/// Waits until every rank of `world` is here, and uses no core meanwhile. Collective, as `MPI_Barrier` is.
///
/// MPI libraries spin while they wait, which keeps a core busy that others of the node could compute on: for the budget a rank that
/// spins does not rest. So call this before a reduction that some ranks may come to much earlier than others. What is waited for is
/// noticed some 0.1 ms later than by spinning, after long waits up to 1 ms.
///
/// ```no_run
/// # let universe = threadctl::mpi::rsmpi::initialize().unwrap();
/// let world = universe.world();
/// threadctl::mpi::meet(&world);
/// // Now a reduction.
/// ```
pub fn meet<C: Communicator>(world: &C) {
    const SHORTEST: Duration = Duration::from_micros(50);
    const LONGEST: Duration = Duration::from_millis(1);
    let mut request = world.immediate_barrier();
    let mut pause = SHORTEST;
    // `test` has MPI go on with what is under way.
    while let Err(waiting) = request.test() {
        request = waiting;
        thread::sleep(pause);
        pause = (pause * 5 / 4).min(LONGEST);
    }
}

/// What a rank tells those of its node.
struct Own {
    told: Told,
    sharing: Sharing,
}

/// Which budget this process is in. From here on it is settled, but for one that is joined.
fn standing() -> Sharing {
    let status = budget::status();
    match (status.auth, status.source) {
        (Some(_), _) => Sharing::Found,
        (None, Some(_)) => Sharing::Refused,
        (None, None) => Sharing::Made,
    }
}

/// What each rank of the node tells, as numbers: the most cores, the standing, and the CPUs as bits.
fn exchange<C: Communicator>(local: &C, own: &Own) -> Vec<Own> {
    const HEADER: usize = 2;
    let last = own.told.cpus.iter().last().unwrap_or(0);
    let mut words = 0_u32;
    let most = SystemOperation::max();
    local.all_reduce_into(&(last / u64::BITS + 1), &mut words, most);
    let length = HEADER + words as usize;
    let mut message = vec![0_u64; length];
    message[0] = own.told.most.into();
    message[1] = own.sharing as u64;
    for cpu in own.told.cpus.iter() {
        message[HEADER + (cpu / u64::BITS) as usize] |= 1 << (cpu % u64::BITS);
    }
    let ranks = usize::try_from(local.size()).unwrap_or(1);
    let mut all = vec![0_u64; length * ranks];
    local.all_gather_into(&message[..], &mut all[..]);
    let read = |message: &[u64]| {
        let cpus = (0..words * u64::BITS).filter(|cpu| {
            let word = message[HEADER + (cpu / u64::BITS) as usize];
            word >> (cpu % u64::BITS) & 1 == 1
        });
        let sharing = [Sharing::Found, Sharing::Refused]
            .into_iter()
            .find(|sharing| *sharing as u64 == message[1]);
        Own {
            told: Told {
                cpus: cpus.collect(),
                most: u32::try_from(message[0]).unwrap_or(u32::MAX),
            },
            sharing: sharing.unwrap_or(Sharing::Made),
        }
    };
    all.chunks_exact(length).map(read).collect()
}

/// The node's cores as its first rank divides them: files that say which CPUs are siblings are read once.
fn divided<C: Communicator>(local: &C, told: &[Told]) -> Division {
    let ranks = told.len();
    let mut message = vec![0_u32; 2 + 3 * ranks];
    if local.rank() == 0 {
        let division = ranks::divide(&System::this(), told);
        message[0] = division.cores;
        message[1] = division.crowded.into();
        let lists = [division.shares, division.groups, division.group_cores];
        message[2..].copy_from_slice(&lists.concat());
    }
    local.process_at_rank(0).broadcast_into(&mut message[..]);
    let list = |index: usize| message[2 + index * ranks..][..ranks].to_vec();
    Division {
        cores: message[0],
        crowded: message[1] != 0,
        shares: list(0),
        groups: list(1),
        group_cores: list(2),
    }
}

/// Makes a budget for the ranks of the node that can share, and joins it. Returns when all have tried.
fn join<C: Communicator>(local: &C, division: &Division) -> Result<Option<Kept>> {
    let own = usize::try_from(local.rank()).unwrap_or(0);
    let color = i32::try_from(division.groups[own]).unwrap_or(0);
    let group = local.split_by_color(Color::with_value(color));
    match group {
        Some(group) => join_group(&group, division.group_cores[own]),
        // Each rank has named a colour, so there is one.
        None => Err(unable("MPI makes no group of them")),
    }
}

fn join_group<C: Communicator>(group: &C, cores: u32) -> Result<Option<Kept>> {
    let made = (group.rank() == 0).then(|| Kept::begin(cores)).transpose();
    let name = match &made {
        Ok(Some((_, folder))) => folder.path().as_os_str().as_bytes(),
        Ok(None) | Err(_) => &[],
    };
    let mut name = name.to_vec();
    let mut length = name.len();
    let first = group.process_at_rank(0);
    first.broadcast_into(&mut length);
    name.resize(length, 0);
    first.broadcast_into(&mut name[..]);
    let folder = PathBuf::from(OsString::from_vec(name));
    let joined = match &made {
        // Its own error says more.
        Err(_) => Ok(()),
        Ok(_) if length == 0 => Err(unable("the first of them could make none")),
        Ok(_) => enter(&folder),
    };
    // The folder goes when all have it open.
    group.barrier();
    let kept = made?.map(|(kept, _)| kept);
    joined.map(|()| kept)
}

fn enter(folder: &Path) -> Result<()> {
    budget::join(SOURCE, Auth::Shared(folder.to_owned())).map_err(|why| unable(&why))
}

fn unable(why: &str) -> Error {
    Error::new(
        ErrorKind::System,
        format!(
            "the ranks of this node cannot share a budget: {why}; {}=off runs them without one",
            crate::config::JOBSERVER
        ),
    )
}

/// The same outcome everywhere: where a rank has an error, the others have one that names it.
fn agreed<C: Communicator, T>(world: &C, outcome: Result<T>) -> Result<T> {
    let own = if outcome.is_ok() {
        world.size()
    } else {
        world.rank()
    };
    let mut first = 0;
    world.all_reduce_into(&own, &mut first, SystemOperation::min());
    match outcome {
        Ok(_) if first < world.size() => Err(unable(&format!("rank {first} could not"))),
        outcome => outcome,
    }
}
