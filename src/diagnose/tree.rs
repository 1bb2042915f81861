//! Which processes belong to a tree: one and all its descendants, or everything that descends from this process.
//!
//! Invariant: each number is asked for its parent once, when it is first seen, so that a look costs one listing of
//! `/proc` and whatever is new. A process cannot join a tree later on: its parent changes only when that ends, and then
//! to an ancestor. A number that was given back is forgotten by then, unless that happens between two looks.

use super::tasks::Stat;
use std::collections::HashMap;
use std::fs;

/// The processes of the tree.
#[derive(Debug)]
pub(super) struct Tree {
    root: u32,
    /// Whether the root itself is one of them.
    with_root: bool,
    /// Every process of the machine, and whether it is of the tree.
    seen: HashMap<u32, bool>,
}

impl Tree {
    /// `root` and all that descends from it.
    pub fn of(root: u32) -> Self {
        Tree {
            root,
            with_root: true,
            seen: HashMap::new(),
        }
    }

    /// All that descends from this process.
    pub fn of_children() -> Self {
        Tree {
            root: std::process::id(),
            with_root: false,
            seen: HashMap::new(),
        }
    }

    /// The numbers of those that there are now, zombies included, in ascending order.
    pub fn look(&mut self) -> Vec<u32> {
        let listed: Vec<u32> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        let parents: HashMap<u32, u32> = listed
            .iter()
            .filter(|pid| !self.seen.contains_key(pid))
            .filter_map(|&pid| Some((pid, parent(pid)?)))
            .collect();
        let (mut seen, mut found) = (HashMap::with_capacity(listed.len()), Vec::new());
        for &pid in &listed {
            let known = self.seen.get(&pid).copied();
            // One whose parent could not be read has just ended, or is looked at again next time.
            let Some(is_of_it) = known.or_else(|| self.belongs(pid, &parents)) else {
                continue;
            };
            seen.insert(pid, is_of_it);
            if is_of_it && (self.with_root || pid != self.root) {
                found.push(pid);
            }
        }
        self.seen = seen;
        found.sort_unstable();
        found
    }

    /// Follows the parents up to one that is known.
    fn belongs(&self, pid: u32, parents: &HashMap<u32, u32>) -> Option<bool> {
        let mut at = pid;
        // A chain of parents that were read one after another could have a circle in it.
        for _ in 0..=parents.len() {
            if at == self.root {
                return Some(true);
            }
            if let Some(known) = self.seen.get(&at) {
                return Some(*known);
            }
            match parents.get(&at) {
                Some(0) => return Some(false),
                Some(parent) => at = *parent,
                None => return None,
            }
        }
        None
    }
}

fn parent(pid: u32) -> Option<u32> {
    let line = fs::read(format!("/proc/{pid}/stat")).ok()?;
    Some(Stat::parse(&line)?.parent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_child_and_its_child_belong_and_others_do_not() {
        let mut tree = Tree::of_children();
        // The shell answers once its own child runs.
        let mut child = Command::new("sh")
            .args(["-c", "sleep 1000 & echo $!; wait"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = child.stdout.as_mut().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).unwrap();
        let grandchild: u32 = line.trim().parse().unwrap();
        let found = tree.look();
        assert!(
            found.contains(&child.id()) && found.contains(&grandchild),
            "{found:?}"
        );
        assert!(!found.contains(&std::process::id()) && !found.contains(&1));
        assert_eq!(Tree::of(child.id()).look(), [child.id(), grandchild]);

        let ended = Command::new("kill")
            .arg(grandchild.to_string())
            .status()
            .unwrap();
        assert!(ended.success());
        child.wait().unwrap();
        assert!(!tree.look().contains(&child.id()));
    }
}
