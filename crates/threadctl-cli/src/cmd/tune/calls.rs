//! One call of each family, on operands that stay as they are however often it runs. All unsafe code of `tune` is in
//! this file.
//!
//! Invariants: each call is given slices as long as its sizes say, which is checked; no result grows or shrinks so far
//! that arithmetic changes its speed, so matrices that are multiplied or solved with are nearly the identity.

use std::path::Path;

use anyhow::{Result, bail};
use threadctl::dispatch::Blas;
use threadctl::dispatch::tuning::{Family, Unit};

/// What a call is measured by.
const ELEMENT: usize = size_of::<f64>();

/// So small that sums of products stay what they are.
const SMALL: f64 = 1e-9;

/// After so many elements operands repeat themselves; no power of two.
const PERIOD: usize = 5 * 37 * 8;

/// How the operands of a family grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Two vectors of n elements.
    Vectors,
    /// A matrix of n x n, and two vectors.
    Matrix,
    /// Three matrices of n x n.
    Matrices,
}

fn kind(family: Family) -> Kind {
    match (family.unit(), family) {
        (Unit::Pairs, _) => Kind::Matrices,
        (
            Unit::Bytes,
            Family::Gemv | Family::Ger | Family::Hemv | Family::Her | Family::Trmv | Family::Trsv,
        ) => Kind::Matrix,
        (Unit::Bytes, _) => Kind::Vectors,
    }
}

/// How much a call of size n is, in the unit of its family, as dispatch counts it.
pub(crate) fn amount(family: Family, n: usize) -> usize {
    match (kind(family), family) {
        (Kind::Vectors, _) => n * ELEMENT,
        (Kind::Matrix, _) => n * n * ELEMENT,
        (Kind::Matrices, Family::Triangle) => n * n / 2 * n,
        (Kind::Matrices, Family::Sides) => n * n * n / 2,
        (Kind::Matrices, _) => n * n * n,
    }
}

/// The sizes that are tried, growing; `step` is how much more bytes or rows each has than the one before.
pub(crate) fn sizes(family: Family, quick: bool) -> Vec<usize> {
    let (first, last, step, multiple): (f64, f64, f64, f64) = match kind(family) {
        Kind::Matrices => (56.0, 512.0, if quick { 1.2 } else { 1.08 }, 8.0),
        Kind::Matrix => (64.0, 2900.0, if quick { 1.5 } else { 1.2 }, 8.0),
        Kind::Vectors => (4096.0, 8_388_608.0, if quick { 2.0 } else { 1.42 }, 64.0),
    };
    let mut sizes = Vec::new();
    let mut size = first;
    while size <= last {
        // Sizes of this kind are small and positive.
        sizes.push(((size / multiple).round() * multiple) as usize);
        size *= step;
    }
    sizes.dedup();
    sizes
}

/// Opens the library for dispatch.
pub(crate) fn open(library: &Path) -> Result<Blas> {
    // SAFETY: the user names it for this: it is trusted to be what its names say.
    Ok(unsafe { Blas::open(library) }?)
}

/// The operands of calls up to a size.
pub(crate) struct Operands {
    a: Vec<f64>,
    b: Vec<f64>,
    c: Vec<f64>,
}

impl Operands {
    /// For calls of these sizes.
    pub(crate) fn new(family: Family, largest: usize) -> Self {
        let square = largest * largest;
        let (a, b, c) = match kind(family) {
            Kind::Vectors => (0, largest, largest),
            Kind::Matrix => (square, largest, largest),
            Kind::Matrices => (square, square, square),
        };
        Operands {
            a: filled(a, SMALL),
            b: filled(b, 1.0),
            c: filled(c, 1.0),
        }
    }

    /// One call of size n.
    pub(crate) fn call(&mut self, blas: &Blas, family: Family, n: usize) -> Result<()> {
        let (of_a, of_b, of_c) = match kind(family) {
            Kind::Vectors => (0, n, n),
            Kind::Matrix => (n * n, n, n),
            Kind::Matrices => (n * n, n * n, n * n),
        };
        if self.a.len() < of_a || self.b.len() < of_b || self.c.len() < of_c {
            bail!("operands for a {family} of {n} were not made");
        }
        let m = isize::try_from(n)?;
        let a = self.a.as_mut_ptr();
        let (b, c) = (self.b.as_mut_ptr(), self.c.as_mut_ptr());
        // SAFETY: vectors of n elements, matrices of n x n, as was just checked, and nobody else has them.
        unsafe {
            match family {
                Family::Product => {
                    blas.gemm(b'N', b'N', m, m, m, 1.0, a, m, b, m, 0.0, c, m)?;
                }
                Family::Mirrored => {
                    blas.symm(b'L', b'L', m, m, 1.0, a, m, b, m, 0.0, c, m)?;
                }
                Family::Triangle => blas.syrk(b'L', b'N', m, m, 1.0, b, m, 0.0, c, m)?,
                Family::Sides => blas.trmm(b'L', b'L', b'N', b'U', m, m, 1.0, a, m, b, m)?,
                Family::Axpy => blas.axpy(m, SMALL, b, 1, c, 1)?,
                Family::Axpby => blas.axpby(m, SMALL, b, 1, 1.0 - SMALL, c, 1)?,
                Family::Scal => blas.scal(m, 1.0 - SMALL, c, 1)?,
                Family::Copy => blas.copy(m, b, 1, c, 1)?,
                Family::Swap => blas.swap(m, b, 1, c, 1)?,
                Family::Dot => drop(blas.dot(m, b, 1, c, 1)?),
                Family::Nrm2 => drop(blas.nrm2(m, b, 1)?),
                Family::Asum => drop(blas.asum(m, b, 1)?),
                Family::Iamax => drop(blas.iamax(m, b, 1)?),
                Family::Gemv => blas.gemv(b'N', m, m, 1.0, a, m, b, 1, 0.0, c, 1)?,
                Family::Ger => blas.ger(m, m, SMALL, b, 1, c, 1, a, m)?,
                Family::Hemv => blas.symv(b'L', m, 1.0, a, m, b, 1, 0.0, c, 1)?,
                Family::Her => blas.syr(b'L', m, SMALL, b, 1, a, m)?,
                Family::Trmv => blas.trmv(b'L', b'N', b'U', m, a, m, b, 1)?,
                Family::Trsv => blas.trsv(b'L', b'N', b'U', m, a, m, b, 1)?,
                _ => bail!("{family} is not measured"),
            }
        }
        Ok(())
    }
}

/// Numbers of either sign up to `scale`, none of them small beside it.
fn filled(len: usize, scale: f64) -> Vec<f64> {
    let pattern: Vec<f64> = (0..PERIOD)
        .map(|index| {
            let sign = if index % 2 == 0 { 1.0 } else { -1.0 };
            sign * scale * (0.5 + (index % 37) as f64 / 74.0)
        })
        .collect();
    let mut all = pattern.repeat(len.div_ceil(PERIOD));
    all.truncate(len);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_grow_and_reach_from_what_is_through_to_what_is_shared_by_default() {
        use threadctl::dispatch::tuning::Least;
        for family in Family::ALL {
            for quick in [false, true] {
                let sizes = sizes(family, quick);
                assert!(sizes.len() >= 9, "{family}: {sizes:?}");
                assert!(sizes.windows(2).all(|pair| pair[0] < pair[1]));
                let built_in = Least::BUILT_IN.get(family);
                let of = |size: Option<&usize>| size.map(|&size| amount(family, size));
                assert!(of(sizes.first()) < Some(built_in), "{family}");
                assert!(of(sizes.last()) > Some(built_in), "{family}");
            }
        }
    }
}
