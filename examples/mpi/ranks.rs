//! How a program over ranks begins and ends: MPI, the node's budget, the pool, and errors that all ranks agree on.
//!
//! Invariants: every rank ends with the same exit code; an error is told by the first rank that has it, once; no rank waits for one that
//! has given up: ranks agree before they go on, and one that panics ends the job.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use ::mpi::Threading;
use ::mpi::collective::SystemOperation;
use ::mpi::topology::SimpleCommunicator;
use ::mpi::traits::{Communicator, CommunicatorCollectives};
use clap::Parser;
use threadctl::mpi::{Node, share};

use super::crew::Crew;

/// The exit code of a program that could not do what was asked.
const UNABLE: u8 = 2;

/// This rank, among all others.
#[derive(Debug)]
pub struct Ranks {
    /// Its part of its node.
    pub node: Node,
    /// Its workers: as many as the rank with the fewest can use, since results depend on their number; or as many as were asked for.
    pub crew: Crew,
    /// How many workers that are.
    pub width: u32,
    /// The cores of each rank's own.
    pub cores: Vec<u32>,
    /// Those of all hosts together.
    pub machine: u32,
    /// Whether ranks of some host have cores in common.
    pub oversubscribed: bool,
    world: World,
}

/// [`SimpleCommunicator`] cannot be printed.
struct World(SimpleCommunicator);

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "World({})", self.0.size())
    }
}

/// All ranks give up. One of them says why.
#[derive(Debug)]
pub struct GivenUp(pub Option<String>);

impl Ranks {
    fn begin(world: SimpleCommunicator, width: Option<u32>) -> Result<Self, GivenUp> {
        // Where one could not share, all have an error.
        let node = agree(&world, share(&world))?;
        let over = |own: u32, operation: SystemOperation| {
            let mut all = 0;
            world.all_reduce_into(&own, &mut all, operation);
            all
        };
        let narrowest = over(node.reach(), SystemOperation::min());
        let width = width.unwrap_or(narrowest);
        let first = node.rank() == 0;
        let machine = over(if first { node.cores() } else { 0 }, SystemOperation::sum());
        let crowded = over(node.is_oversubscribed().into(), SystemOperation::max());
        let cores = each(&world, node.share());
        let crew = agree(&world, Crew::new(width, node.share()))?;
        Ok(Ranks {
            node,
            crew,
            width,
            cores,
            machine,
            oversubscribed: crowded != 0,
            world: World(world),
        })
    }

    /// All ranks.
    pub fn world(&self) -> &SimpleCommunicator {
        &self.world.0
    }

    /// This one's number.
    #[must_use]
    pub fn rank(&self) -> usize {
        usize::try_from(self.world().rank()).unwrap_or(0)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.cores.len()
    }

    /// The outcome where every rank has one.
    ///
    /// # Errors
    /// A rank has an error.
    pub fn agree<T, E: ToString>(&self, outcome: Result<T, E>) -> Result<T, GivenUp> {
        agree(self.world(), outcome)
    }

    /// Whether all ranks have the same numbers: of the shape of a file, of which each host may have another copy.
    ///
    /// # Errors
    /// They differ.
    pub fn same(&self, what: &str, own: &[u64]) -> Result<(), GivenUp> {
        let mut most = vec![0; own.len()];
        let mut least = vec![0; own.len()];
        let world = self.world();
        world.all_reduce_into(own, &mut most[..], SystemOperation::max());
        world.all_reduce_into(own, &mut least[..], SystemOperation::min());
        let same = most == least;
        self.agree(same.then_some(()).ok_or_else(|| {
            format!("{what} is not the same for all ranks: at least {least:?}, at most {most:?}")
        }))
    }

    /// What each rank has, in their order.
    #[must_use]
    pub fn each(&self, own: u32) -> Vec<u32> {
        each(self.world(), own)
    }

    /// The largest of what each rank has, number by number.
    #[must_use]
    pub fn largest(&self, own: &[f64]) -> Vec<f64> {
        let mut all = vec![0.0; own.len()];
        let largest = SystemOperation::max();
        self.world().all_reduce_into(own, &mut all[..], largest);
        all
    }
}

fn each(world: &impl Communicator, own: u32) -> Vec<u32> {
    let mut all = vec![0; usize::try_from(world.size()).unwrap_or(1)];
    world.all_gather_into(&own, &mut all[..]);
    all
}

fn agree<T, E: ToString>(world: &impl Communicator, outcome: Result<T, E>) -> Result<T, GivenUp> {
    let rank = world.rank();
    let own = if outcome.is_ok() { world.size() } else { rank };
    let mut first = 0;
    world.all_reduce_into(&own, &mut first, SystemOperation::min());
    match outcome {
        Ok(done) if first == world.size() => Ok(done),
        Err(error) if first == rank => {
            Err(GivenUp(Some(format!("rank {rank}: {}", error.to_string()))))
        }
        _ => Err(GivenUp(None)),
    }
}

/// Runs a program: reads its options, finds the other ranks, does the work, and has the first rank print what it returns. `width` is how
/// many workers the options ask for.
///
/// Exit codes: 0 done, 2 the options cannot be read or the work cannot be done.
#[allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "programs that answer their user"
)]
pub fn main<A: Parser>(
    name: &str,
    width: impl FnOnce(&A) -> Option<u32>,
    work: impl FnOnce(&Ranks, &A) -> Result<String, GivenUp>,
) -> ExitCode {
    // Only this thread calls MPI.
    let Some((universe, _)) = ::mpi::initialize_with_threading(Threading::Funneled) else {
        eprintln!("{name}: MPI has been started before");
        return ExitCode::from(UNABLE);
    };
    let world = universe.world();
    let first = world.rank() == 0;
    let args = match A::try_parse() {
        Ok(args) => args,
        Err(said) => {
            // All ranks have the same arguments; one tells. Help is no error.
            if first {
                let _ = said.print();
            }
            return ExitCode::from(u8::try_from(said.exit_code()).unwrap_or(UNABLE));
        }
    };
    let run = || -> Result<String, GivenUp> {
        agree(&world, threadctl::init())?;
        work(&Ranks::begin(universe.world(), width(&args))?, &args)
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(answer)) => {
            if first {
                println!("{answer}");
            }
            ExitCode::SUCCESS
        }
        Ok(Err(GivenUp(why))) => {
            if let Some(why) = why {
                eprintln!("{name}: {why}");
            }
            ExitCode::from(UNABLE)
        }
        // The others may wait for this one in the middle of something.
        Err(_) => world.abort(101),
    }
}
