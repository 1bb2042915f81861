//! A look at a budget of `threadctl share` from outside, for reports and tests.
//!
//! Invariant: nothing in it is changed.

use super::auth::Auth;
use super::ledger::{Ledger, Lent};
use super::shared::{LEDGER, open};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::shared::SharedWords;
use std::path::Path;

/// Looks at a budget. Does not take part in it.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let _keeper = threadctl::budget::Keeper::new(folder.path(), 4)?;
/// let watch = threadctl::budget::Watch::open(folder.path())?;
/// assert_eq!(watch.now().cores, 4);
/// assert_eq!(watch.now().free, 4);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Watch(Ledger<SharedWords>);

/// A budget at one moment. Processes change it meanwhile, so what is looked at first may be older than the rest.
///
/// ```
/// assert_eq!(threadctl::budget::Now::default().free, 0);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Now {
    /// Its cores.
    pub cores: usize,
    /// Those that nobody has.
    pub free: usize,
    /// Those that plain clients of the jobserver have or could have at once.
    pub in_fifo: usize,
    /// The processes in it.
    pub holders: Vec<Holder>,
}

/// A process in a budget.
///
/// ```
/// let holder = threadctl::budget::Holder::default();
/// assert!(!holder.claims);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// How many cores it has, with one that it has put aside.
    pub cores: usize,
    /// It has its own core beside these: a make below the keeper has paid for it.
    pub paid: bool,
    /// It wants one more, and has less than its share.
    pub claims: bool,
}

impl Watch {
    /// The budget in this folder.
    ///
    /// # Errors
    /// [`ErrorKind::System`] when there is none.
    ///
    /// ```
    /// assert!(threadctl::budget::Watch::open("/nonexistent".as_ref()).is_err());
    /// ```
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(LEDGER);
        let told = |why: &dyn std::fmt::Display| {
            Error::new(ErrorKind::System, format!("{}: {why}", path.display()))
        };
        let file = open(&path).map_err(|error| told(&error))?;
        let words = SharedWords::map(&file).map_err(|error| told(&error))?;
        Ledger::join(words).map(Watch).map_err(|why| told(&why))
    }

    /// The budget that processes started from here would be in, if it is one of `threadctl share`.
    ///
    /// ```
    /// assert!(threadctl::budget::Watch::inherited().is_none());
    /// ```
    pub fn inherited() -> Option<Self> {
        match super::status().auth? {
            Auth::Shared(folder) => Self::open(&folder).ok(),
            Auth::Pipe { .. } | Auth::Fifo(_) => None,
        }
    }

    /// How it is now.
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let _keeper = threadctl::budget::Keeper::new(folder.path(), 4).unwrap();
    /// # let watch = threadctl::budget::Watch::open(folder.path()).unwrap();
    /// assert!(watch.now().holders.is_empty());
    /// ```
    pub fn now(&self) -> Now {
        let clients = self.0.clients();
        Now {
            holders: clients
                .map(|(client, pid, _)| Holder {
                    pid,
                    cores: self.0.held(client),
                    paid: self.0.is_paid(client),
                    claims: self.0.claims_one(client),
                })
                .collect(),
            cores: self.0.cores(),
            free: self.0.free(),
            in_fifo: self.0.lent(Lent::Fifo),
        }
    }
}
