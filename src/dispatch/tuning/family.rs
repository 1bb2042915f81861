//! The routines, by what decides together from how much on they are shared.
//!
//! Invariant: the order is that of the policy's tables; level 3 first, then the routines of [`policy::vector`].

use crate::dispatch::policy::{self, BUILT_IN};
use std::fmt;

/// Routines that are shared from the same size on, for all four element types.
///
/// ```
/// use threadctl::dispatch::tuning::Family;
/// assert_eq!(Family::named("gemv"), Some(Family::Gemv));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Family {
    /// gemm, and products in batches.
    Product,
    /// symm, hemm.
    Mirrored,
    /// syrk, herk, syr2k, her2k, gemmt.
    Triangle,
    /// trmm, trsm.
    Sides,
    /// axpy.
    Axpy,
    /// axpby.
    Axpby,
    /// scal.
    Scal,
    /// copy.
    Copy,
    /// swap.
    Swap,
    /// dot, dotu, dotc.
    Dot,
    /// nrm2.
    Nrm2,
    /// asum.
    Asum,
    /// iamax.
    Iamax,
    /// gemv.
    Gemv,
    /// ger, geru, gerc.
    Ger,
    /// symv, hemv.
    Hemv,
    /// syr, her.
    Her,
    /// trmv.
    Trmv,
    /// trsv.
    Trsv,
}

/// What the size of a call is counted in.
///
/// ```
/// use threadctl::dispatch::tuning::{Family, Unit};
/// assert_eq!(Family::Dot.unit(), Unit::Bytes);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Pairs of a multiplication and an addition of real numbers; a pair of complex ones is four.
    Pairs,
    /// Bytes of the vector, of one where there are two, or of the matrix.
    Bytes,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unit::Pairs => "pairs",
            Unit::Bytes => "bytes",
        })
    }
}

const COUNT: usize = 19;

const NAMES: [&str; COUNT] = [
    "product", "mirrored", "triangle", "sides", "axpy", "axpby", "scal", "copy", "swap", "dot",
    "nrm2", "asum", "iamax", "gemv", "ger", "hemv", "her", "trmv", "trsv",
];

impl Family {
    /// Every family.
    ///
    /// ```
    /// assert!(threadctl::dispatch::tuning::Family::ALL.iter().any(|family| family.name() == "product"));
    /// ```
    pub const ALL: [Family; COUNT] = [
        Family::Product,
        Family::Mirrored,
        Family::Triangle,
        Family::Sides,
        Family::Axpy,
        Family::Axpby,
        Family::Scal,
        Family::Copy,
        Family::Swap,
        Family::Dot,
        Family::Nrm2,
        Family::Asum,
        Family::Iamax,
        Family::Gemv,
        Family::Ger,
        Family::Hemv,
        Family::Her,
        Family::Trmv,
        Family::Trsv,
    ];

    /// How many are of level 3.
    pub(crate) const LEVEL_3: usize = 4;

    /// Its name in a tuning.
    ///
    /// ```
    /// assert_eq!(threadctl::dispatch::tuning::Family::Sides.name(), "sides");
    /// ```
    pub fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    /// The family of that name.
    ///
    /// ```
    /// assert_eq!(threadctl::dispatch::tuning::Family::named("gem"), None);
    /// ```
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Family::ALL.into_iter();
        all.find(|family| family.name() == name)
    }

    /// What the size of its calls is counted in.
    ///
    /// ```
    /// use threadctl::dispatch::tuning::{Family, Unit};
    /// assert_eq!(Family::Triangle.unit(), Unit::Pairs);
    /// ```
    pub fn unit(self) -> Unit {
        if (self as usize) < Family::LEVEL_3 {
            Unit::Pairs
        } else {
            Unit::Bytes
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// From how much on a call of each family is shared, in its [`Unit`].
///
/// ```
/// use threadctl::dispatch::tuning::{Family, Least};
///
/// let least = Least::BUILT_IN.with(Family::Dot, 1 << 20);
/// assert_eq!(least.get(Family::Dot), 1 << 20);
/// assert_eq!(least.get(Family::Copy), Least::BUILT_IN.get(Family::Copy));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Least([usize; COUNT]);

impl Least {
    /// For a library of which nothing is known.
    ///
    /// ```
    /// use threadctl::dispatch::tuning::{Family, Least};
    /// assert!(Family::ALL.iter().all(|&family| Least::BUILT_IN.get(family) > 0));
    /// ```
    pub const BUILT_IN: Least = {
        let mut least = [0; COUNT];
        least[Family::Product as usize] = BUILT_IN.product.least;
        least[Family::Mirrored as usize] = BUILT_IN.mirrored.least;
        least[Family::Triangle as usize] = BUILT_IN.triangle.least;
        least[Family::Sides as usize] = BUILT_IN.sides.least;
        let mut index = Family::LEVEL_3;
        while index < COUNT {
            least[index] = policy::vector::SHARED[index - Family::LEVEL_3];
            index += 1;
        }
        Least(least)
    };

    /// No call is as large as this.
    ///
    /// ```
    /// use threadctl::dispatch::tuning::{Family, Least};
    /// assert!(Least::BUILT_IN.get(Family::Trsv) < Least::NEVER);
    /// ```
    pub const NEVER: usize = usize::MAX;

    /// That of one family.
    ///
    /// ```
    /// use threadctl::dispatch::tuning::{Family, Least};
    /// assert_eq!(Least::BUILT_IN.with(Family::Ger, 7).get(Family::Ger), 7);
    /// ```
    #[inline]
    pub fn get(&self, family: Family) -> usize {
        self.0[family as usize]
    }

    /// The same with another number for one family.
    ///
    /// ```
    /// use threadctl::dispatch::tuning::{Family, Least};
    /// assert_ne!(Least::BUILT_IN.with(Family::Ger, 7), Least::BUILT_IN);
    /// ```
    #[must_use]
    pub fn with(mut self, family: Family, least: usize) -> Self {
        self.0[family as usize] = least;
        self
    }
}
