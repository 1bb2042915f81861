//! Sets of CPUs in the kernel's list format: `0-3,8,10-11`.
//!
//! Invariants: ranges are sorted, disjoint and not adjacent; numbers stay below [`MOST`], so that a damaged file can
//! neither overflow a count nor make a loop endless.

use std::fmt;

/// One above the largest number that is accepted. Linux is built for 8192 CPUs at most.
const MOST: u32 = 1 << 16;

/// A set of CPU numbers.
///
/// ```
/// let cpus: threadctl::cores::CpuSet = "0-3,8".parse().unwrap();
/// assert_eq!(cpus.count(), 5);
/// assert_eq!(cpus.to_string(), "0-3,8");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CpuSet {
    ranges: Vec<(u32, u32)>,
}

impl CpuSet {
    /// How many CPUs it has.
    ///
    /// ```
    /// assert_eq!(threadctl::cores::CpuSet::default().count(), 0);
    /// ```
    pub fn count(&self) -> u32 {
        self.ranges
            .iter()
            .map(|(first, last)| last - first + 1)
            .sum()
    }

    /// Whether it has none.
    ///
    /// ```
    /// assert!(threadctl::cores::CpuSet::default().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The numbers, ascending.
    ///
    /// ```
    /// let cpus: threadctl::cores::CpuSet = "4,1-2".parse().unwrap();
    /// assert!(cpus.iter().eq([1, 2, 4]));
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.ranges.iter().flat_map(|&(first, last)| first..=last)
    }

    /// Whether it has the CPU of this number.
    ///
    /// ```
    /// let cpus: threadctl::cores::CpuSet = "0-3".parse().unwrap();
    /// assert!(cpus.contains(3) && !cpus.contains(4));
    /// ```
    pub fn contains(&self, cpu: u32) -> bool {
        self.ranges
            .iter()
            .any(|&(first, last)| (first..=last).contains(&cpu))
    }

    /// The CPUs that both have.
    ///
    /// ```
    /// use threadctl::cores::CpuSet;
    /// let (a, b): (CpuSet, CpuSet) = ("0-3".parse().unwrap(), "2-9".parse().unwrap());
    /// assert_eq!(a.and(&b).to_string(), "2-3");
    /// ```
    #[must_use]
    pub fn and(&self, other: &CpuSet) -> CpuSet {
        let mut ranges = Vec::new();
        for &(first, last) in &self.ranges {
            for &(from, to) in &other.ranges {
                if first.max(from) <= last.min(to) {
                    ranges.push((first.max(from), last.min(to)));
                }
            }
        }
        CpuSet { ranges }
    }
}

impl std::str::FromStr for CpuSet {
    type Err = crate::Error;

    /// Reads the kernel's list format. The empty text is the empty set.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSelection`](crate::ErrorKind::InvalidSelection): an entry is neither a number nor a range of
    /// two ascending numbers, or a number is 65536 or more.
    fn from_str(text: &str) -> crate::Result<Self> {
        let mut ranges = Vec::new();
        for entry in text.trim().split(',').map(str::trim) {
            if entry.is_empty() && text.trim().is_empty() {
                break;
            }
            let (first, last) = entry.split_once('-').unwrap_or((entry, entry));
            match (first.parse::<u32>(), last.parse::<u32>()) {
                (Ok(first), Ok(last)) if first <= last && last < MOST => ranges.push((first, last)),
                _ => {
                    return Err(crate::Error::new(
                        crate::ErrorKind::InvalidSelection,
                        format!(
                            "{entry:?} in {text:?} is no CPU and no range of CPUs; lists are written 0-3,8"
                        ),
                    ));
                }
            }
        }
        Ok(joined(ranges))
    }
}

/// The set of these ranges, in any order and overlapping as they may.
fn joined(mut ranges: Vec<(u32, u32)>) -> CpuSet {
    ranges.sort_unstable();
    let mut joined: Vec<(u32, u32)> = Vec::new();
    for (first, last) in ranges {
        match joined.last_mut() {
            Some(before) if first <= before.1 + 1 => before.1 = before.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    CpuSet { ranges: joined }
}

/// Numbers of 65536 or more, which no kernel has, are left out.
///
/// ```
/// use threadctl::cores::CpuSet;
/// assert_eq!(CpuSet::from_iter([3, 1, 2, 9]).to_string(), "1-3,9");
/// ```
impl FromIterator<u32> for CpuSet {
    fn from_iter<I: IntoIterator<Item = u32>>(cpus: I) -> Self {
        let known = cpus.into_iter().filter(|cpu| *cpu < MOST);
        joined(known.map(|cpu| (cpu, cpu)).collect())
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.ranges.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            if first == last {
                write!(f, "{first}")?;
            } else {
                write!(f, "{first}-{last}")?;
            }
        }
        Ok(())
    }
}
