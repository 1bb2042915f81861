//! Where sharing begins to win: the rule, and the search for the size. Pure.

use anyhow::Result;

/// How many times as fast a shared call must be.
pub(crate) const GAIN: f64 = 1.05;
/// At so many sizes in a row.
const ROW: usize = 3;

/// The first of `count` sizes from which `wins` holds at it and the next two, as far as there are some.
///
/// By bisection: what wins at one size is taken to win at larger ones; where that is wrong, the answer is a size at which
/// the rule holds all the same, or none.
pub(crate) fn first(
    count: usize,
    mut wins: impl FnMut(usize) -> Result<bool>,
) -> Result<Option<usize>> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        let mut all = true;
        for index in middle..count.min(middle + ROW) {
            all = all && wins(index)?;
        }
        if all {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok((high < count).then_some(high))
}

/// The median of some numbers and the distance of their quartiles, as a part of it.
pub(crate) fn median_and_spread(values: &mut [f64]) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |quarters: usize| {
        let index = (values.len().saturating_sub(1)) * quarters / 4;
        values.get(index).copied().unwrap_or(f64::NAN)
    };
    let median = at(2);
    (median, (at(3) - at(1)) / median)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_of(wins: &[bool]) -> Option<usize> {
        first(wins.len(), |index| Ok(wins[index])).ok().flatten()
    }

    #[test]
    fn what_wins_from_a_size_on_is_found() {
        for count in 1..40 {
            for start in 0..=count {
                let wins: Vec<bool> = (0..count).map(|index| index >= start).collect();
                assert_eq!(first_of(&wins), (start < count).then_some(start));
            }
        }
    }

    #[test]
    fn whatever_wins_the_answer_is_a_size_where_the_rule_holds() {
        for pattern in 0..1_u32 << 12 {
            let wins: Vec<bool> = (0..12).map(|bit| pattern >> bit & 1 == 1).collect();
            if let Some(found) = first_of(&wins) {
                assert!(
                    wins[found..wins.len().min(found + ROW)]
                        .iter()
                        .all(|&won| won)
                );
            }
        }
    }

    #[test]
    fn a_single_size_that_wins_by_chance_is_none() {
        let mut wins = [false; 20];
        wins[10] = true;
        assert_eq!(first_of(&wins), None);
    }

    #[test]
    fn one_outlier_does_not_move_the_median_nor_the_quartiles() {
        let mut values = [1.0, 1.02, 0.98, 1.01, 50.0, 0.99, 1.0, 1.0];
        let (median, spread) = median_and_spread(&mut values);
        assert!(
            (median - 1.0).abs() < 0.01 && spread < 0.05,
            "{median} {spread}"
        );
        assert!(median_and_spread(&mut []).0.is_nan());
    }
}
