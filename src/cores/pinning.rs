//! Threads bound to CPUs, where that is asked for: which worker gets which core, and the binding itself.
//!
//! Invariants: two workers of a pool never have the same core; a pool that is narrower than the machine has cores of as few
//! NUMA nodes as possible, and workers with neighbouring numbers are on one node; a thread that was bound here still counts
//! the cores of the process, not its own.

use super::cpus::CpuSet;
use super::places::Place;
use rustix::thread::{CpuSet as Mask, sched_getaffinity, sched_setaffinity};
use std::cell::Cell;
use std::io;

thread_local! {
    /// Where it might run before it was bound here.
    static BEFORE: Cell<Option<Mask>> = const { Cell::new(None) };
}

/// A place for each of so many workers, or `None` where there are fewer places, or CPUs that cannot be named to the kernel.
pub(crate) fn of(mut places: Vec<Place>, workers: usize) -> Option<Vec<Place>> {
    if places.len() < workers {
        return None;
    }
    // The first ones are on few nodes.
    places.truncate(workers);
    let known = |cpu: u32| usize::try_from(cpu).is_ok_and(|cpu| cpu < Mask::MAX_CPU);
    let all_known = places.iter().all(|place| place.cpus.iter().all(known));
    all_known.then_some(places)
}

/// Binds the calling thread.
///
/// # Errors
/// The kernel refuses, for instance because the process may no longer run there.
pub(crate) fn bind(cpus: &CpuSet) -> io::Result<()> {
    let mut mask = Mask::new();
    for cpu in cpus.iter() {
        let cpu = usize::try_from(cpu).ok().filter(|cpu| *cpu < Mask::MAX_CPU);
        mask.set(cpu.ok_or(rustix::io::Errno::INVAL)?);
    }
    let before = sched_getaffinity(None)?;
    sched_setaffinity(None, &mask)?;
    // A thread that is being torn down asks no more.
    let _ = BEFORE.try_with(|kept| kept.set(kept.get().or(Some(before))));
    Ok(())
}

/// Lets the calling thread run again where it might before it was bound here, if it was.
///
/// # Errors
/// The kernel refuses; it stays bound then.
pub(crate) fn unbind() -> io::Result<()> {
    let Some(before) = BEFORE.try_with(Cell::get).unwrap_or(None) else {
        return Ok(());
    };
    sched_setaffinity(None, &before)?;
    let _ = BEFORE.try_with(|kept| kept.set(None));
    Ok(())
}

/// Whether the calling thread was bound here.
pub(crate) fn is_bound() -> bool {
    matches!(BEFORE.try_with(Cell::get), Ok(Some(_)))
}
