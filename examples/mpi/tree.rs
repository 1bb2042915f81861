//! Sums over blocks whose order is that of a tree, so that they are the same bits wherever the blocks lie.
//!
//! The blocks are the leaves of a binary tree. A branch of level *l* and number *i* has the leaves from *i* 2^*l* on, 2^*l* of them, as
//! far as they exist; its sum is that of its two halves. A rank, whose leaves follow each other, adds up the largest branches that lie
//! in them as a whole, at most two for each level; these are all that is sent. Every rank completes the tree from them.
//!
//! Invariant: which sums are formed depends on the number of leaves alone.

use std::collections::BTreeMap;
use std::ops::Range;

use ::mpi::Count;
use ::mpi::datatype::PartitionMut;
use ::mpi::traits::{Communicator, CommunicatorCollectives};

/// What went between the ranks for one sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// What all ranks together put in.
    pub bytes: u64,
    /// In so many parts: one for each rank that had any.
    pub messages: u64,
}

/// A branch: its level, and its number there.
type Branch = (u32, usize);

/// The sum of all leaves, on every rank. `own` are this rank's, each of so many numbers; `parts` says which leaves are whose.
///
/// # Panics
/// `own` does not have as many leaves as this rank's part.
pub fn sum(
    world: &impl Communicator,
    parts: &[Range<usize>],
    own: &[Vec<f64>],
    numbers: usize,
) -> (Vec<f64>, Traffic) {
    let leaves = parts.last().map_or(0, |part| part.end);
    let rank = usize::try_from(world.rank()).unwrap_or(0);
    let mine = parts[rank].clone();
    assert_eq!(mine.len(), own.len(), "leaves of this rank");
    let sent: Vec<f64> = branches(&mine, leaves)
        .into_iter()
        .flat_map(|branch| {
            let leaf =
                |(level, number): Branch| (level == 0).then(|| own[number - mine.start].clone());
            add(branch, leaves, &leaf)
        })
        .collect();
    let all: Vec<Vec<Branch>> = parts.iter().map(|part| branches(part, leaves)).collect();
    let counts: Vec<usize> = all.iter().map(|own| own.len() * numbers).collect();
    let received = gather(world, &sent, &counts);
    let known: BTreeMap<Branch, &[f64]> = all
        .iter()
        .flatten()
        .copied()
        .zip(received.chunks_exact(numbers.max(1)))
        .collect();
    let traffic = Traffic {
        bytes: (received.len() * size_of::<f64>()) as u64,
        messages: counts.iter().filter(|count| **count > 0).count() as u64,
    };
    if leaves == 0 {
        return (vec![0.0; numbers], traffic);
    }
    let root = (leaves.next_power_of_two().trailing_zeros(), 0);
    let take = |branch: Branch| known.get(&branch).map(|sum| sum.to_vec());
    (add(root, leaves, &take), traffic)
}

/// What MPI can count to.
///
/// # Errors
/// There are more numbers than that.
pub fn countable(numbers: usize) -> Result<(), String> {
    match Count::try_from(numbers) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!(
            "{numbers} numbers are more than MPI can gather at once, which is {}",
            Count::MAX
        )),
    }
}

/// What each rank has, one behind the other, on every rank. `counts` says how many are whose; all together are
/// [`countable`].
pub fn gather<T>(world: &impl Communicator, own: &[T], counts: &[usize]) -> Vec<T>
where
    T: Clone + Default + ::mpi::traits::Equivalence,
{
    let mut all = vec![T::default(); counts.iter().sum()];
    let number = |count: usize| Count::try_from(count).unwrap_or(Count::MAX);
    let mut before = 0;
    let begins: Vec<Count> = counts
        .iter()
        .map(|count| {
            before += count;
            number(before - count)
        })
        .collect();
    let counts: Vec<Count> = counts.iter().map(|count| number(*count)).collect();
    let mut partition = PartitionMut::new(&mut all[..], counts, begins);
    world.all_gather_varcount_into(own, &mut partition);
    all
}

/// The largest branches that have leaves of this part alone, in order.
fn branches(part: &Range<usize>, leaves: usize) -> Vec<Branch> {
    if part.is_empty() {
        return Vec::new();
    }
    // What lies behind the last leaf belongs to whoever has that.
    let end = if part.end == leaves {
        leaves.next_power_of_two()
    } else {
        part.end
    };
    let (mut at, mut found) = (part.start, Vec::new());
    while at < end {
        let aligned = if at == 0 {
            u32::MAX
        } else {
            at.trailing_zeros()
        };
        let level = aligned.min((end - at).ilog2());
        // Branches without any leaf are none.
        if at < leaves {
            found.push((level, at >> level));
        }
        at += 1 << level;
    }
    found
}

/// The sum of a branch, from those that are known.
fn add(branch: Branch, leaves: usize, known: &impl Fn(Branch) -> Option<Vec<f64>>) -> Vec<f64> {
    if let Some(sum) = known(branch) {
        return sum;
    }
    let (level, number) = branch;
    // A leaf that nobody knows: `parts` and the leaves do not fit, which `sum` has refused.
    if level == 0 {
        return Vec::new();
    }
    let mut sum = add((level - 1, 2 * number), leaves, known);
    if (2 * number + 1) << (level - 1) < leaves {
        let right = add((level - 1, 2 * number + 1), leaves, known);
        for (sum, right) in sum.iter_mut().zip(right) {
            *sum += right;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `sum` does, without ranks.
    fn summed(parts: &[Range<usize>], leaves: &[f64]) -> (f64, usize) {
        let mut known = BTreeMap::new();
        for part in parts {
            for branch in branches(part, leaves.len()) {
                let leaf = |(level, number): Branch| {
                    assert!(
                        level > 0 || part.contains(&number),
                        "{branch:?} is not in {part:?}"
                    );
                    (level == 0).then(|| vec![leaves[number]])
                };
                known.insert(branch, add(branch, leaves.len(), &leaf));
            }
        }
        let root = (leaves.len().next_power_of_two().trailing_zeros(), 0);
        let sum = add(root, leaves.len(), &|branch| known.get(&branch).cloned());
        (sum[0], known.len())
    }

    #[test]
    fn sums_are_the_same_bits_however_the_leaves_are_parted() {
        // Sums of these depend on the order.
        let numbers: Vec<f64> = (0..77)
            .map(|i| (f64::from(i) * 0.7).sin() * 10_f64.powi(i % 9))
            .collect();
        for count in 1..numbers.len() {
            let leaves = &numbers[..count];
            let all = 0..count;
            let whole = summed(std::slice::from_ref(&all), leaves).0;
            let plain: f64 = leaves.iter().sum();
            assert!((whole - plain).abs() <= 1e-6 * (1.0 + plain.abs()));
            for at in 0..=count {
                let two = summed(&[0..at, at..count], leaves).0;
                assert_eq!(two.to_bits(), whole.to_bits(), "{count} at {at}");
                let third = at / 2;
                let three = summed(&[0..third, third..at, at..count], leaves).0;
                assert_eq!(three.to_bits(), whole.to_bits(), "{count} at {third}, {at}");
            }
        }
    }

    #[test]
    fn no_more_is_sent_than_two_branches_for_each_level() {
        for leaves in 1..200_usize {
            assert_eq!(branches(&(0..leaves), leaves).len(), 1);
            for begin in 0..leaves {
                let most = 2 * (leaves.ilog2() as usize + 1);
                assert!(branches(&(begin..leaves), leaves).len() <= most);
                assert_eq!(branches(&(begin..begin), leaves), []);
            }
        }
    }
}
