//! Helpers and callers on different CPUs.
//!
//! The kernel wakes a thread where it last ran, or beside whoever wakes it, and looks for an idle CPU only among those that
//! share a cache. On machines whose CPUs share none (many virtual ones, several sockets) a worker that is woken may so be
//! queued behind the very caller that it is to help, while a CPU idles; the next balancing is milliseconds away. So a
//! helper that finds itself on its caller's CPU moves.
//!
//! Invariant: a thread's affinity is the same before and after.

use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// The CPU that this thread is on.
pub(super) fn cpu() -> usize {
    sched_getcpu()
}

/// Moves the calling thread away from a CPU, if it is there and may be elsewhere.
pub(super) fn apart_from(cpu: usize) {
    if cpu != sched_getcpu() || cpu >= CpuSet::MAX_CPU {
        return;
    }
    let Ok(allowed) = sched_getaffinity(None) else {
        return;
    };
    let mut others = allowed;
    others.unset(cpu);
    // The kernel moves us in the first call. An error leaves us where we are, which costs time and nothing else.
    if others.count() > 0 && sched_setaffinity(None, &others).is_ok() {
        let _ = sched_setaffinity(None, &allowed);
    }
}
