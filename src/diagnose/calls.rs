//! Which threads call a pool's library, and wait inside it, by what is on their stacks.
//!
//! A thread that has called a library has addresses of its code on its stack, also for a while after it has returned; one that
//! sleeps in it, for a lock that another caller holds, has them at the very top. That tells threads that call a pool from threads that
//! only run beside it, and the library's lock from the program's own.
//!
//! Invariants: memory is only read, and seldom: whole stacks after 1, 2, 4, 8 ... looks that found a pool runnable, the tops of a few
//! sleeping threads in each of these. Where it cannot be read nothing is known.
//!
//! Known limitation: the C library gives the stack of a thread that has ended to another one, with what is on it.

use super::stacks::{self, Code};
use super::who::{Group, GroupKind};
use std::collections::{BTreeMap, BTreeSet};

/// As many stacks are read at once.
const WHOLE: usize = 16;

/// As many sleeping threads are looked at in one look.
const SLEEPING: usize = 8;

/// What is known of one process.
#[derive(Debug, Clone, Default)]
pub(super) struct Calls {
    looks: u32,
    code: Vec<Code>,
    /// The pools whose code was on its stack, of each thread whose stack was read.
    pub threads: BTreeMap<u32, BTreeSet<Group>>,
    /// Of the threads of a group, while a pool was runnable: how many sleeping ones were seen, and how many of them inside its library.
    pub sleeping: BTreeMap<(Group, Group), (u32, u32)>,
}

/// Whether a group's threads are called, and do not call others.
fn is_innermost(group: &Group) -> bool {
    group.kind == GroupKind::Blas
}

impl Calls {
    /// To be called at each look that found a pool runnable: all threads but the first, their groups, and whether they were.
    pub fn look(&mut self, pid: u32, threads: &[(u32, &Group, bool)]) {
        self.looks = self.looks.saturating_add(1);
        let others = || {
            let outer = threads.iter().filter(|(_, group, _)| !is_innermost(group));
            outer.copied()
        };
        if self.looks.is_power_of_two() {
            let asked: BTreeSet<u32> = others().map(|(tid, ..)| tid).take(WHOLE).collect();
            if asked.is_empty() {
                return;
            }
            let (code, found) = stacks::calls(pid, &asked);
            self.code = code;
            for (tid, pools) in found {
                self.threads.entry(tid).or_default().extend(pools);
            }
        }
        let runnable = threads.iter().filter(|(.., is_runnable)| *is_runnable);
        let pools: BTreeSet<&Group> = runnable
            .map(|(_, group, _)| *group)
            .filter(|group| group.kind.is_pool())
            .collect();
        let asleep = others().filter(|(.., is_runnable)| !is_runnable);
        for (tid, group, _) in asleep.take(SLEEPING) {
            let Some(inside) = stacks::sleeps_in(pid, tid, &self.code) else {
                continue;
            };
            for &pool in pools.iter().filter(|pool| **pool != group) {
                let (seen, within) = self
                    .sleeping
                    .entry((group.clone(), pool.clone()))
                    .or_default();
                *seen += 1;
                *within += u32::from(inside.contains(pool));
            }
        }
    }
}
