//! Where threads began, from the memory of their process: the C library keeps a descriptor of each thread at the top of its stack,
//! with the thread's number and the routine that it was started with.
//!
//! Invariants: memory is read, never written, and nothing is stopped; so whatever is read may be half changed or not a
//! descriptor at all, and counts only if everything in it agrees: its own address twice, the number of a thread that is there, a
//! routine that lies in code. What does not agree is left out. Pure, but for [`starts`], [`calls`] and [`sleeps_in`].
//!
//! Below the descriptor is the stack itself, with the addresses that calls return to: what the thread has called.
//!
//! Known limitations: glibc (since 2.34, where the layout is as below) on x86-64 only; elsewhere, and where this user may not read the
//! process's memory, nothing is found.

use super::who::Group;
use crate::sys::memory;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;

/// Where things are in a descriptor, in bytes.
mod descriptor {
    /// Its own address, also at its beginning.
    pub const SELF: usize = 16;
    /// Links to the descriptors of other threads, at the same place in them.
    pub const LINKS: usize = 704;
    pub const TID: usize = 720;
    /// The routine is in here, and its argument behind it; where exactly depends on the version.
    pub const ROUTINE: std::ops::Range<usize> = 1400..1800;
    pub const SIZE: usize = 1808;
    /// They begin at multiples of this.
    pub const ALIGNED: usize = 64;
}

/// The end of a stack in which its descriptor is looked for. Thread-local variables lie between them.
const TOP: u64 = 16 * 1024;

/// How far above what a sleeping thread has on its stack its descriptor is looked for, where the stack's end is not that of a mapping.
const DEEP: u64 = 256 * 1024;

/// As much of a stack is read at once, and in all, to find what its thread has called: arrays on the stack may lie above it.
const PIECE: u64 = 64 * 1024;
const STACK: u64 = 1024 * 1024;

/// So many pieces with nothing in them are taken for the end of what was ever used.
const UNUSED: u32 = 4;

/// What a thread that sleeps inside a library has there at most between the end of its stack and the library's addresses.
const NEAR: u64 = 2048;

/// The most descriptors that links are followed to.
const MOST: usize = 1 << 16;

/// A line of `maps`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mapping {
    start: u64,
    end: u64,
    is_stack_like: bool,
    is_code: bool,
    path: String,
}

impl Mapping {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.splitn(6, ' ');
        let (start, end) = fields.next()?.split_once('-')?;
        let permissions = fields.next()?;
        let path = fields.nth(3).unwrap_or("").trim_start();
        Some(Mapping {
            start: u64::from_str_radix(start, 16).ok()?,
            end: u64::from_str_radix(end, 16).ok()?,
            is_stack_like: permissions.starts_with("rw")
                && (path.is_empty() || path.starts_with("[anon") || path.starts_with("[stack:")),
            is_code: permissions.as_bytes().get(2) == Some(&b'x'),
            path: path.strip_suffix(" (deleted)").unwrap_or(path).to_owned(),
        })
    }
}

/// A process's memory.
struct Memory<'a> {
    mappings: Vec<Mapping>,
    read: &'a dyn Fn(u64, &mut [u8]) -> bool,
}

impl Memory<'_> {
    fn mapping(&self, address: u64) -> Option<&Mapping> {
        let after = self
            .mappings
            .partition_point(|mapping| mapping.start <= address);
        let mapping = self.mappings.get(after.checked_sub(1)?)?;
        (address < mapping.end).then_some(mapping)
    }

    /// The file that an address is in.
    fn file(&self, address: u64) -> Option<&str> {
        let path = self.mapping(address)?.path.as_str();
        path.starts_with('/').then_some(path)
    }

    fn code(&self, address: u64) -> Option<&str> {
        self.mapping(address).filter(|mapping| mapping.is_code)?;
        self.file(address)
    }

    fn bytes(&self, address: u64, length: u64) -> Option<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        (self.read)(address, &mut bytes).then_some(bytes)
    }

    fn word_at(&self, address: u64) -> Option<u64> {
        word(&self.bytes(address, 8)?, 0)
    }

    /// Descriptors between two addresses.
    fn search(&self, from: u64, to: u64, found: &mut VecDeque<u64>) {
        let aligned = descriptor::ALIGNED as u64;
        let Some(from) = from.checked_next_multiple_of(aligned) else {
            return;
        };
        let Some(bytes) = to
            .checked_sub(from)
            .and_then(|length| self.bytes(from, length))
        else {
            return;
        };
        let places = (0..bytes.len()).step_by(descriptor::ALIGNED);
        found.extend(places.filter_map(|at| {
            let address = from + at as u64;
            let is_own = |at| word(&bytes, at) == Some(address);
            (is_own(at) && is_own(at + descriptor::SELF)).then_some(address)
        }));
    }

    /// The thread of a descriptor, the file that it began in, and the descriptors that it is linked with.
    fn descriptor(
        &self,
        address: u64,
        threads: &BTreeSet<u32>,
    ) -> Option<(u32, Option<String>, [u64; 2])> {
        let bytes = self.bytes(address, descriptor::SIZE as u64)?;
        let is_own = |at| word(&bytes, at) == Some(address);
        let tid = u32::try_from(word(&bytes, descriptor::TID)? & u64::from(u32::MAX)).ok()?;
        if !is_own(0) || !is_own(descriptor::SELF) || !threads.contains(&tid) {
            return None;
        }
        let link = |at: usize| {
            Some(word(&bytes, descriptor::LINKS + at)?.wrapping_sub(descriptor::LINKS as u64))
        };
        let routine = descriptor::ROUTINE
            .step_by(8)
            .find_map(|at| Some((at, self.code(word(&bytes, at)?)?)));
        let start = routine.map(|(at, file)| {
            // C++'s std::thread starts every thread in its own library; what it is handed is an object of the program, whose
            // table of virtual functions lies in the file that asked for the thread.
            let argument = file
                .contains("libstdc++")
                .then(|| word(&bytes, at + 8))
                .flatten();
            let table = argument.and_then(|argument| self.word_at(argument));
            table
                .and_then(|table| self.file(table))
                .unwrap_or(file)
                .to_owned()
        });
        Some((tid, start, [link(0)?, link(8)?]))
    }

    /// The descriptors of the threads, and the files that these began in; `tops` are the stacks' tops as far as they are known.
    fn descriptors(
        &self,
        threads: &BTreeSet<u32>,
        tops: &[u64],
    ) -> BTreeMap<u32, (u64, Option<String>)> {
        let mut places = VecDeque::new();
        for mapping in self.mappings.iter().filter(|mapping| mapping.is_stack_like) {
            self.search(
                mapping.start.max(mapping.end.saturating_sub(TOP)),
                mapping.end,
                &mut places,
            );
        }
        for &top in tops {
            let end = self.mapping(top).map_or(top, |mapping| mapping.end);
            self.search(top, end.min(top.saturating_add(DEEP)), &mut places);
        }
        let mut visited = BTreeSet::new();
        let mut found = BTreeMap::new();
        while let Some(place) = places.pop_front() {
            if visited.len() >= MOST || !visited.insert(place) {
                continue;
            }
            if let Some((tid, start, links)) = self.descriptor(place, threads) {
                places.extend(links);
                found.insert(tid, (place, start));
            }
        }
        found
    }

    /// The code of pools.
    fn pools(&self) -> Vec<Code> {
        let code = self.mappings.iter().filter(|mapping| mapping.is_code);
        code.filter_map(|mapping| {
            let pool = Group::of_file(&mapping.path, "");
            (mapping.path.starts_with('/') && pool.kind.is_pool()).then_some(Code {
                start: mapping.start,
                end: mapping.end,
                pool,
            })
        })
        .collect()
    }

    /// The pools whose code is named on the stack below a descriptor; `None` if it cannot be read.
    fn called(&self, descriptor: u64, code: &[Code]) -> Option<BTreeSet<Group>> {
        let start = self.mapping(descriptor)?.start;
        let end = start.max(descriptor.saturating_sub(STACK));
        let (mut to, mut unused, mut pools) = (descriptor, 0, BTreeSet::new());
        while to > end && unused < UNUSED {
            let from = end.max(to.saturating_sub(PIECE)).next_multiple_of(8);
            let bytes = self.bytes(from, to.checked_sub(from)?)?;
            let (is_used, mut found) = named(&bytes, code);
            unused = if is_used { 0 } else { unused + 1 };
            pools.append(&mut found);
            to = from;
        }
        Some(pools)
    }
}

/// A stretch of code of a pool's library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Code {
    start: u64,
    end: u64,
    pool: Group,
}

/// Whether there is anything but zeros in these bytes, and the pools that addresses among them belong to.
fn named(bytes: &[u8], code: &[Code]) -> (bool, BTreeSet<Group>) {
    let first = code.iter().map(|code| code.start).min().unwrap_or(0);
    let last = code.iter().map(|code| code.end).max().unwrap_or(0);
    let (mut pools, mut is_used) = (BTreeSet::new(), false);
    for word in bytes.chunks_exact(8) {
        let Ok(word) = word.try_into() else { continue };
        let address = u64::from_ne_bytes(word);
        is_used |= address != 0;
        // Most words are none: this loop is the whole cost.
        if address < first || address >= last {
            continue;
        }
        let is_in = |code: &&Code| (code.start..code.end).contains(&address);
        if let Some(code) = code.iter().find(is_in)
            && !pools.contains(&code.pool)
        {
            pools.insert(code.pool.clone());
        }
    }
    (is_used, pools)
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_ne_bytes(bytes.try_into().ok()?))
}

/// Calls a function with the memory of a process, as far as its layout is known here.
fn with_memory<R: Default>(pid: u32, f: impl FnOnce(&Memory<'_>) -> R) -> R {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        return R::default();
    }
    let maps = fs::read(format!("/proc/{pid}/maps")).unwrap_or_default();
    f(&Memory {
        mappings: String::from_utf8_lossy(&maps)
            .lines()
            .filter_map(Mapping::parse)
            .collect(),
        read: &|address, into| memory::read(pid, address, into).is_ok(),
    })
}

/// The descriptors of these threads; those that are not where a mapping ends are looked for above what sleeping threads have on
/// their stacks.
fn descriptors(
    memory: &Memory<'_>,
    pid: u32,
    threads: &BTreeSet<u32>,
) -> BTreeMap<u32, (u64, Option<String>)> {
    let mut found = memory.descriptors(threads, &[]);
    let missing = threads.iter().copied();
    let missing = missing.filter(|tid| {
        let known = found.get(tid).and_then(|(_, start)| start.as_ref());
        known.is_none() && *tid != pid
    });
    let tops: Vec<u64> = missing.filter_map(|tid| stack_top(pid, tid)).collect();
    if !tops.is_empty() {
        found.extend(memory.descriptors(threads, &tops));
    }
    found
}

/// The files that these threads of a process began in, as far as its memory tells: their start routines' files.
pub(super) fn starts(pid: u32, threads: &BTreeSet<u32>) -> BTreeMap<u32, String> {
    files(with_memory(pid, |memory| descriptors(memory, pid, threads)))
}

/// Of descriptors, the files that their threads began in.
fn files(descriptors: BTreeMap<u32, (u64, Option<String>)>) -> BTreeMap<u32, String> {
    let found = descriptors.into_iter();
    found
        .filter_map(|(tid, (_, start))| Some((tid, start?)))
        .collect()
}

/// The code of the pools that a process has loaded, and of each of these threads whose stack can be read the pools that it has called.
pub(super) fn calls(
    pid: u32,
    threads: &BTreeSet<u32>,
) -> (Vec<Code>, BTreeMap<u32, BTreeSet<Group>>) {
    with_memory(pid, |memory| {
        let code = memory.pools();
        let found = descriptors(memory, pid, threads).into_iter();
        let called = found
            .filter_map(|(tid, (place, _))| Some((tid, memory.called(place, &code)?)))
            .collect();
        (code, called)
    })
}

/// The pools in whose code a thread sleeps; `None` if it does not sleep, or nothing can be read.
pub(super) fn sleeps_in(pid: u32, tid: u32, code: &[Code]) -> Option<BTreeSet<Group>> {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        return None;
    }
    let top = stack_top(pid, tid)?.next_multiple_of(8);
    let mut bytes = [0; NEAR as usize];
    memory::read(pid, top, &mut bytes).ok()?;
    Some(named(&bytes, code).1)
}

/// The stack pointer of a thread that sleeps: the last but one of the fields.
fn stack_top(pid: u32, tid: u32) -> Option<u64> {
    let line = fs::read_to_string(format!("/proc/{pid}/task/{tid}/syscall")).ok()?;
    let field = line.split_ascii_whitespace().rev().nth(1)?;
    u64::from_str_radix(field.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: u64 = 0x1000;
    const BASE: u64 = 0x10_0000;

    /// A process with code in a file, and one mapping with these descriptors in it: place, thread, routine, next.
    fn starts_of(
        descriptors: &[(u64, u32, u64, u64)],
        size: u64,
        tops: &[u64],
    ) -> BTreeMap<u32, String> {
        let mut bytes = vec![0u8; size as usize];
        let mut put = |address: u64, value: u64| {
            let at = (address - BASE) as usize;
            bytes[at..at + 8].copy_from_slice(&value.to_ne_bytes());
        };
        for &(place, tid, routine, next) in descriptors {
            put(place, place);
            put(place + 16, place);
            put(place + 704, next.wrapping_add(704));
            put(place + 712, next.wrapping_add(704));
            put(place + 720, u64::from(tid));
            put(place + 1592, routine);
        }
        let read = |address: u64, into: &mut [u8]| {
            let Some(at) = address.checked_sub(BASE).map(|at| at as usize) else {
                return false;
            };
            let Some(found) = bytes.get(at..at.saturating_add(into.len())) else {
                return false;
            };
            into.copy_from_slice(found);
            true
        };
        let lines = [
            format!("{CODE:x}-2000 r-xp 00000000 00:00 7      /lib/libgomp.so.1 (deleted)"),
            format!("{BASE:x}-{:x} rw-p 00000000 00:00 0 ", BASE + size),
        ];
        let memory = Memory {
            mappings: lines
                .iter()
                .filter_map(|line| Mapping::parse(line))
                .collect(),
            read: &read,
        };
        files(memory.descriptors(&BTreeSet::from([7, 8]), tops))
    }

    #[test]
    fn a_descriptor_at_the_top_of_a_stack_tells_where_its_thread_began() {
        let top = BASE + 0x10_0000 - 2368;
        let found = starts_of(&[(top, 7, CODE + 8, 0)], 0x10_0000, &[]);
        assert_eq!(found, BTreeMap::from([(7, "/lib/libgomp.so.1".to_owned())]));
    }

    #[test]
    fn what_does_not_agree_is_left_out() {
        let top = BASE + 0x10_0000 - 2368;
        // A thread that is not there; a routine that is no code.
        assert!(starts_of(&[(top, 9, CODE, 0)], 0x10_0000, &[]).is_empty());
        assert!(starts_of(&[(top, 7, BASE, 0)], 0x10_0000, &[]).is_empty());
        assert!(starts_of(&[], 0x10_0000, &[BASE, 5, u64::MAX]).is_empty());
    }

    #[test]
    fn others_are_found_by_links_and_by_what_sleeping_threads_have_on_their_stacks() {
        let (top, inside) = (BASE + 0x10_0000 - 2368, BASE + 0x4_0000);
        let linked = [(top, 7, CODE, inside), (inside, 8, CODE, top)];
        assert_eq!(starts_of(&linked, 0x10_0000, &[]).len(), 2);
        let alone = [(inside, 8, CODE, inside)];
        assert!(starts_of(&alone, 0x10_0000, &[]).is_empty());
        assert_eq!(starts_of(&alone, 0x10_0000, &[inside - 5000]).len(), 1);
    }

    #[test]
    fn what_a_thread_has_called_is_on_its_stack() {
        let (top, size) = (BASE + 0x20_0000 - 2368, 0x20_0000);
        let lines = [
            format!("{CODE:x}-2000 r-xp 00000000 00:00 7      /lib/libgomp.so.1"),
            "3000-4000 r-xp 00000000 00:00 7      /lib/libopenblas.so.0".to_owned(),
            "5000-6000 r-xp 00000000 00:00 7      /lib/libc.so.6".to_owned(),
            "7000-8000 r--p 00000000 00:00 7      /lib/libopenblas.so.0".to_owned(),
            format!("{BASE:x}-{:x} rw-p 00000000 00:00 0 ", BASE + size),
        ];
        let called = |words: &[(u64, u64)]| {
            let mut bytes = vec![0u8; size as usize];
            for (address, value) in words {
                let at = (address - BASE) as usize;
                bytes[at..at + 8].copy_from_slice(&value.to_ne_bytes());
            }
            let memory = Memory {
                mappings: lines
                    .iter()
                    .filter_map(|line| Mapping::parse(line))
                    .collect(),
                read: &|address, into| {
                    let at = (address - BASE) as usize;
                    into.copy_from_slice(&bytes[at..at + into.len()]);
                    true
                },
            };
            let pools = memory.called(top, &memory.pools()).unwrap();
            pools.into_iter().map(|pool| pool.name).collect::<Vec<_>>()
        };
        assert!(called(&[]).is_empty());
        // What is no code of a pool, or lies above the stack, or too deep.
        let others = [
            (top - 8, 0x5008),
            (top - 16, 0x7008),
            (top + 8, 0x3008),
            (top - STACK - 64, 0x3008),
        ];
        assert!(called(&others).is_empty());
        assert_eq!(called(&[(top - 800, 0x3008)]), ["libopenblas"]);
        // Below an array of the program, and below what was never used.
        let array = (1..=50).map(|piece| (top - 8000 * piece, 7));
        let mut below: Vec<(u64, u64)> = array.collect();
        below.push((top - 400_800, 0x3008));
        assert_eq!(called(&below), ["libopenblas"]);
        assert!(called(&[(top - 400_800, 0x3008)]).is_empty());
        assert_eq!(
            called(&[(top - 8, 0x1010), (top - 4096, 0x3ff8)]),
            ["libgomp", "libopenblas"]
        );
    }

    #[test]
    fn this_process_is_read() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            sender
                .send(rustix::thread::gettid().as_raw_nonzero().get())
                .unwrap();
            let _ = ended.recv();
        });
        let tid = receiver.recv().unwrap() as u32;
        let found = starts(std::process::id(), &BTreeSet::from([tid]));
        drop(end);
        thread.join().unwrap();
        if cfg!(all(target_arch = "x86_64", target_env = "gnu")) {
            let own = std::env::current_exe().unwrap();
            assert_eq!(found.get(&tid).map(String::as_str), own.to_str());
        }
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_read_without_a_panic(line: String) {
            let _ = Mapping::parse(&line);
        }
    }
}
