//! A budget of cores shared out between an outer level (tasks that run at once) and an inner one (the width of each).
//!
//! Pure. Invariants, tested exhaustively for up to 64 cores and 256 tasks: the widths never add up to more than the
//! cores; with at least one task they add up to exactly the cores, so none is idle; no two widths differ by more than
//! one.

use std::num::NonZeroUsize;

/// How a budget of cores is shared out: so many tasks at once, so many cores each.
///
/// ```
/// use std::num::NonZeroUsize;
/// let seven = NonZeroUsize::new(7).unwrap();
///
/// // Fewer tasks than cores: what does not divide evenly goes to the first tasks.
/// let split = threadctl::split(seven, 3);
/// assert_eq!(split.outer(), 3);
/// assert_eq!(split.widths().collect::<Vec<_>>(), [3, 2, 2]);
///
/// // More tasks than cores: as many at once as there are cores, one core each.
/// let split = threadctl::split(seven, 100);
/// assert_eq!((split.outer(), split.inner()), (7, 1));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Split {
    outer: usize,
    inner: usize,
    /// How many of the outer level have one core more.
    wider: usize,
}

/// Shares `cores` out among `tasks`: as many at once as there are cores for, and all cores among those.
///
/// Without a task nothing is shared out.
///
/// ```
/// let cores = std::num::NonZeroUsize::new(8).unwrap();
/// let split = threadctl::split(cores, 3);
/// assert_eq!(split.widths().sum::<usize>(), 8);
/// assert_eq!(threadctl::split(cores, 0).outer(), 0);
/// ```
pub fn split(cores: NonZeroUsize, tasks: usize) -> Split {
    let cores = cores.get();
    let outer = tasks.min(cores);
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
    /// let cores = std::num::NonZeroUsize::new(4).unwrap();
    /// assert_eq!(threadctl::split(cores, 9).outer(), 4);
    /// ```
    pub fn outer(&self) -> usize {
        self.outer
    }

    /// The width that each of them can have: the smallest of [`widths`](Split::widths), for those who cannot give each
    /// its own. It leaves [`remainder`](Split::remainder) cores idle then.
    ///
    /// ```
    /// let cores = std::num::NonZeroUsize::new(7).unwrap();
    /// assert_eq!(threadctl::split(cores, 3).inner(), 2);
    /// ```
    pub fn inner(&self) -> usize {
        self.inner
    }

    /// How many of them have one core more than [`inner`](Split::inner): the first ones.
    ///
    /// ```
    /// let cores = std::num::NonZeroUsize::new(7).unwrap();
    /// assert_eq!(threadctl::split(cores, 3).remainder(), 1);
    /// ```
    pub fn remainder(&self) -> usize {
        self.wider
    }

    /// The width of one of them, counted from 0; `None` for one that does not run at once with the others.
    ///
    /// ```
    /// let cores = std::num::NonZeroUsize::new(7).unwrap();
    /// let split = threadctl::split(cores, 3);
    /// assert_eq!((split.width(0), split.width(2), split.width(3)), (Some(3), Some(2), None));
    /// ```
    pub fn width(&self, index: usize) -> Option<usize> {
        (index < self.outer).then(|| self.inner + usize::from(index < self.wider))
    }

    /// The width of each of them, the widest first.
    ///
    /// ```
    /// let cores = std::num::NonZeroUsize::new(5).unwrap();
    /// assert!(threadctl::split(cores, 2).widths().eq([3, 2]));
    /// ```
    pub fn widths(&self) -> impl Iterator<Item = usize> + use<> {
        let split = *self;
        (0..split.outer).filter_map(move |index| split.width(index))
    }
}
