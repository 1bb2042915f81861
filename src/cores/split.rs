//! A budget of cores shared out between an outer level (tasks that run at once) and an inner one (the width of each).
//!
//! Pure, once the budget is a number. Invariants, tested exhaustively for up to 64 cores and 256 tasks: the widths never add up to more than the
//! cores; with at least one task they add up to exactly the cores, so none is idle; no two widths differ by more than
//! one.

use super::width::Width;

/// How a budget of cores is shared out: so many tasks at once, so many cores each.
///
/// ```
/// // Fewer tasks than cores: what does not divide evenly goes to the first tasks.
/// let split = threadctl::split(7, 3);
/// assert_eq!(split.outer(), 3);
/// assert_eq!(split.widths().collect::<Vec<_>>(), [3, 2, 2]);
///
/// // More tasks than cores: as many at once as there are cores, one core each.
/// let split = threadctl::split(7, 100);
/// assert_eq!((split.outer(), split.inner()), (7, 1));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Split {
    outer: u32,
    inner: u32,
    /// How many of the outer level have one core more.
    wider: u32,
}

/// Shares `cores` out among `tasks`: as many at once as there are cores for, and all cores among those. The budget is a
/// number, or what [`Workers`](crate::Workers) come to of the cores that this process may use.
///
/// Without a task nothing is shared out; 0 cores count as 1.
///
/// ```
/// let split = threadctl::split(8, 3);
/// assert_eq!(split.widths().sum::<u32>(), 8);
/// assert_eq!(threadctl::split(8, 0).outer(), 0);
///
/// let split = threadctl::split(threadctl::Workers::ALL, 100);
/// assert_eq!(split.outer(), threadctl::cores().count().min(100));
/// ```
pub fn split(cores: impl Width, tasks: usize) -> Split {
    let cores = cores.number().max(1);
    let outer = u32::try_from(tasks).map_or(cores, |tasks| tasks.min(cores));
    Split {
        outer,
        inner: cores.checked_div(outer).unwrap_or(0),
        wider: cores.checked_rem(outer).unwrap_or(0),
    }
}

impl Split {
    /// How many tasks run at once.
    ///
    /// ```
    /// assert_eq!(threadctl::split(4, 9).outer(), 4);
    /// ```
    pub fn outer(&self) -> u32 {
        self.outer
    }

    /// The width that each of them can have: the smallest of [`widths`](Split::widths), for those who cannot give each
    /// its own. It leaves [`remainder`](Split::remainder) cores idle then.
    ///
    /// ```
    /// assert_eq!(threadctl::split(7, 3).inner(), 2);
    /// ```
    pub fn inner(&self) -> u32 {
        self.inner
    }

    /// How many of them have one core more than [`inner`](Split::inner): the first ones.
    ///
    /// ```
    /// assert_eq!(threadctl::split(7, 3).remainder(), 1);
    /// ```
    pub fn remainder(&self) -> u32 {
        self.wider
    }

    /// The width of one of them, counted from 0; `None` for one that does not run at once with the others.
    ///
    /// ```
    /// let split = threadctl::split(7, 3);
    /// assert_eq!((split.width(0), split.width(2), split.width(3)), (Some(3), Some(2), None));
    /// ```
    pub fn width(&self, index: usize) -> Option<u32> {
        let index = u32::try_from(index).ok()?;
        (index < self.outer).then(|| self.inner + u32::from(index < self.wider))
    }

    /// The width of each of them, the widest first.
    ///
    /// ```
    /// assert!(threadctl::split(5, 2).widths().eq([3, 2]));
    /// ```
    pub fn widths(&self) -> impl Iterator<Item = u32> + use<> {
        let split = *self;
        (0..split.outer).map(move |index| split.inner + u32::from(index < split.wider))
    }
}
