//! Callers and helpers on different CPUs.
//!
//! The kernel wakes a thread where it last ran, or beside whoever wakes it, and looks for an idle CPU only among those that
//! share a cache. On machines whose CPUs share none (many virtual ones, several sockets) a worker that is woken may so be
//! queued behind the very caller that it is to help, while a CPU idles; the next balancing is milliseconds away. So a
//! thread that begins with tiles, and finds that another one is at tiles on the same CPU, moves to one where nobody is.
//!
//! For the same reason a sleeper is called to the CPU of whoever calls it and gives its core up.
//!
//! Invariants: a thread's affinity is the same before and after; a CPU is marked by one thread at a time, which takes the
//! mark away. A mark is where a thread began: the kernel may have moved it since. Being wrong costs time and nothing else.

use rustix::thread::{CpuSet, Pid, gettid, sched_getaffinity, sched_getcpu, sched_setaffinity};
use std::sync::atomic::{AtomicU64, Ordering};

const BITS: usize = u64::BITS as usize;

/// The CPUs on which somebody is at tiles.
#[derive(Default)]
pub(super) struct Seats([AtomicU64; CpuSet::MAX_CPU / BITS]);

/// A thread's mark on its CPU, for as long as it is at tiles.
pub(super) struct Seat<'seats>(Option<(&'seats Seats, usize)>);

impl Seats {
    /// Marks the CPU that this thread is on. If somebody else is there, and another CPU that we may use is free, that one.
    pub fn take(&self) -> Seat<'_> {
        let cpu = sched_getcpu();
        if self.mark(cpu) {
            return Seat(Some((self, cpu)));
        }
        let Some(cpu) = self.move_away() else {
            return Seat(None);
        };
        Seat(self.mark(cpu).then_some((self, cpu)))
    }

    /// Whether the mark is ours.
    fn mark(&self, cpu: usize) -> bool {
        // Relaxed, here and below: marks hand nothing over.
        let word = self.0.get(cpu / BITS);
        word.is_some_and(|word| {
            let bit = 1 << (cpu % BITS);
            word.fetch_or(bit, Ordering::Relaxed) & bit == 0
        })
    }

    fn is_marked(&self, cpu: usize) -> bool {
        let word = self.0.get(cpu / BITS);
        word.is_none_or(|word| word.load(Ordering::Relaxed) & (1 << (cpu % BITS)) != 0)
    }

    /// Goes to a CPU without a mark, and says where we are then; `None` if there is none for us.
    fn move_away(&self) -> Option<usize> {
        if !may_move() {
            return None;
        }
        let allowed = sched_getaffinity(None).ok()?;
        let mut free = CpuSet::new();
        (0..CpuSet::MAX_CPU)
            .filter(|&cpu| allowed.is_set(cpu) && !self.is_marked(cpu))
            .for_each(|cpu| free.set(cpu));
        if free.count() == 0 {
            return None;
        }
        // The kernel moves us in the first call. An error leaves us where we are.
        sched_setaffinity(None, &free).ok()?;
        sched_setaffinity(None, &allowed).ok()?;
        Some(sched_getcpu())
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if let Some((seats, cpu)) = self.0.take() {
            seats.0[cpu / BITS].fetch_and(!(1 << (cpu % BITS)), Ordering::Relaxed);
        }
    }
}

/// A thread that sleeps, and may be woken on another CPU than the kernel would choose.
pub(super) struct Home(Option<Pid>);

impl Home {
    /// The calling thread's; the kernel decides where it is not `calm`, since it would push whoever calls it off the CPU.
    pub fn here(calm: &Calm) -> Self {
        Home((calm.0 && may_move()).then(gettid))
    }

    /// To be called by another thread, which is about to sleep, before it wakes this one: the kernel will do so on the
    /// caller's CPU, if this thread may be there. What it returns is for the thread itself, once it is awake.
    pub fn call_here(&self) -> Option<Sent> {
        let thread = self.0?;
        let cpu = sched_getcpu();
        let before = sched_getaffinity(Some(thread)).ok()?;
        let mut here = CpuSet::new();
        here.set(cpu);
        if !before.is_set(cpu) {
            return None;
        }
        sched_setaffinity(Some(thread), &here).ok()?;
        Some(Sent { before, here })
    }
}

/// Where a thread was sent, and where it could be before.
pub(super) struct Sent {
    before: CpuSet,
    here: CpuSet,
}

impl Sent {
    /// To be called by the thread that was sent, once it is awake: from now on it may be anywhere again. What somebody else
    /// has set meanwhile stays.
    pub fn restore(&self) {
        if sched_getaffinity(None).is_ok_and(|now| now == self.here) {
            // An error would be a mask that has become impossible meanwhile; the kernel has replaced it then.
            let _ = sched_setaffinity(None, &self.before);
        }
    }
}

/// Whether the calling thread's affinity may be narrowed for a moment. The first thread's stands for the whole process
/// (`/proc/self/status`, `taskset -p`), which `cores` reads at any time.
fn may_move() -> bool {
    u32::try_from(gettid().as_raw_nonzero().get()) != Ok(std::process::id())
}

/// While this lives, the thread that made it pushes nobody off a CPU when it is woken: the one who calls it to its own CPU
/// can go to sleep first.
pub(super) struct Calm(bool);

impl Calm {
    /// For the calling thread, if it has the ordinary scheduling policy and may change it.
    pub fn begin() -> Self {
        Calm(policy() == Some(libc::SCHED_OTHER) && set_policy(libc::SCHED_BATCH))
    }
}

impl Drop for Calm {
    fn drop(&mut self) {
        // Not where somebody else has set another policy meanwhile.
        if self.0 && policy() == Some(libc::SCHED_BATCH) && !set_policy(libc::SCHED_OTHER) {
            tracing::warn!(
                "a thread that waited for its turn keeps the batch policy: it cannot be set back"
            );
        }
    }
}

/// The calling thread's.
pub(super) fn policy() -> Option<i32> {
    // SAFETY: no pointers.
    let policy = unsafe { libc::sched_getscheduler(0) };
    (policy >= 0).then_some(policy)
}

/// For the calling thread; whether it worked. Both policies are for everybody, at the priority that `nice` says.
fn set_policy(policy: i32) -> bool {
    // SAFETY: of integers only, for which zero is a value; 0 is what both policies want.
    let priority: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: `priority` lives until the call has returned.
    unsafe { libc::sched_setscheduler(0, policy, &raw const priority) == 0 }
}

#[cfg(all(test, not(loom)))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn allowed() -> Vec<usize> {
        let set = sched_getaffinity(None).unwrap();
        (0..CpuSet::MAX_CPU)
            .filter(|&cpu| set.is_set(cpu))
            .collect()
    }

    #[test]
    fn whoever_comes_second_goes_elsewhere_and_may_still_go_anywhere() {
        let before = allowed();
        let seats = Seats::default();
        // Somebody is on every CPU that we may use but one.
        let (free, others) = before.split_last().unwrap();
        others.iter().for_each(|&cpu| assert!(seats.mark(cpu)));
        let mut found = 0;
        for _ in 0..100 {
            let seat = seats.take();
            // The kernel may move us again at once.
            if let Some((_, cpu)) = &seat.0 {
                assert!(cpu == free && seats.is_marked(*free));
                found += 1;
            }
            drop(seat);
            assert!(!seats.is_marked(*free));
            assert_eq!(allowed(), before);
        }
        assert!(found > 0);
    }

    #[test]
    fn whoever_is_where_somebody_else_is_moves_away() {
        let before = allowed();
        let (&free, others) = before.split_last().unwrap();
        let seats = Seats::default();
        others.iter().for_each(|&cpu| assert!(seats.mark(cpu)));
        let set = |cpus: &[usize]| {
            let mut set = CpuSet::new();
            cpus.iter().for_each(|&cpu| set.set(cpu));
            sched_setaffinity(None, &set).unwrap();
        };
        let (mut tried, mut moved) = (0, 0);
        // Where there is but one CPU nobody can move.
        for &taken in others.iter().cycle().take(200) {
            set(&[taken]);
            set(&before);
            // The kernel may move us by itself at any moment, here too, but not every other time.
            let seat = seats.take();
            tried += 1;
            moved += usize::from(seat.0.as_ref().is_some_and(|(_, cpu)| *cpu == free));
        }
        assert!(moved * 2 > tried || tried == 0, "{moved} of {tried}");
    }

    #[test]
    fn where_every_cpu_is_taken_nobody_moves_and_no_mark_is_lost() {
        let before = allowed();
        let seats = Seats::default();
        before.iter().for_each(|&cpu| assert!(seats.mark(cpu)));
        drop(seats.take());
        assert!(before.iter().all(|&cpu| seats.is_marked(cpu)));
        assert_eq!(allowed(), before);
    }
}
