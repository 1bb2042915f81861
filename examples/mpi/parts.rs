//! Which blocks are which rank's: so many each as it has cores, one behind the other.
//!
//! Invariants: every item is in exactly one part; parts are in the order of the ranks.

use std::ops::Range;

/// Where each rank's part begins and ends, of so many items; the ranks have so many cores.
#[must_use]
pub fn parts(items: usize, cores: &[u32]) -> Vec<Range<usize>> {
    let all: u64 = cores.iter().copied().map(u64::from).sum();
    let mut before = 0_u64;
    let at = |cores: u64| {
        // Both are far below what would overflow.
        let at = (items as u64 * cores) / all.max(1);
        usize::try_from(at).unwrap_or(items).min(items)
    };
    cores
        .iter()
        .map(|own| {
            let begin = at(before);
            before += u64::from(*own);
            begin..at(before)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn parts_follow_each_other_and_leave_nothing_out() {
        for items in [0, 1, 2, 7, 100] {
            for cores in [&[1][..], &[1, 1], &[3, 1], &[2, 0, 5], &[1; 9]] {
                let parts = parts(items, cores);
                assert_eq!(parts.len(), cores.len());
                assert_eq!(parts[0].start, 0);
                assert_eq!(parts[parts.len() - 1].end, items, "{items} {cores:?}");
                for pair in parts.windows(2) {
                    assert_eq!(pair[0].end, pair[1].start);
                }
            }
        }
        assert_eq!(parts(8, &[3, 1]), [0..6, 6..8]);
    }
}
