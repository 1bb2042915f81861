//! The four element types, as dispatch needs them.

use super::level2::Both;
use super::tables::Listed;
use crate::sys::blas::Element;
use num_complex::Complex;
use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub};

/// An element type of BLAS: `f32`, `f64`, and the complex numbers over them. Nothing else can implement it.
///
/// ```
/// use threadctl::dispatch::Scalar;
/// assert_eq!(f64::ONE.conj(), 1.0);
/// ```
pub trait Scalar:
    Element<Real: PartialOrd + Debug + Send + Sync>
    + Listed
    + Both
    + Send
    + Sync
    + Debug
    + Default
    + PartialEq
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + MulAssign
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Its complex conjugate; itself, where it is real.
    #[must_use]
    fn conj(self) -> Self;
    /// Its real part.
    fn re(self) -> Self::Real;
    /// |Re x| + |Im x|: what BLAS compares and sums where it means absolute values.
    fn abs1(self) -> Self::Real;
    /// The complex number with that real part.
    fn of_real(real: Self::Real) -> Self;
    /// The smallest number of the real type whose inverse is a number.
    const SAFE_MIN: f64;
    /// Half of the distance from 1 to the next number of the real type: LAPACK's eps.
    const ROUNDING: f64;
    /// The same number in double precision.
    fn widen(self) -> Complex<f64>;
    /// The nearest number; of a real type, to the real part.
    fn narrow(wide: Complex<f64>) -> Self;
}

macro_rules! real {
    ($type:ty) => {
        impl Scalar for $type {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            fn conj(self) -> Self {
                self
            }
            fn re(self) -> Self {
                self
            }
            fn abs1(self) -> Self {
                self.abs()
            }
            fn of_real(real: Self) -> Self {
                real
            }
            const SAFE_MIN: f64 = <$type>::MIN_POSITIVE as f64;
            const ROUNDING: f64 = <$type>::EPSILON as f64 / 2.0;
            fn widen(self) -> Complex<f64> {
                Complex::new(f64::from(self), 0.0)
            }
            #[allow(clippy::cast_possible_truncation, reason = "rounded to this type")]
            fn narrow(wide: Complex<f64>) -> Self {
                wide.re as $type
            }
        }
    };
}

macro_rules! complex {
    ($real:ty) => {
        impl Scalar for Complex<$real> {
            const ZERO: Self = Complex::new(0.0, 0.0);
            const ONE: Self = Complex::new(1.0, 0.0);
            fn conj(self) -> Self {
                Complex::conj(&self)
            }
            fn re(self) -> $real {
                self.re
            }
            fn abs1(self) -> $real {
                self.re.abs() + self.im.abs()
            }
            fn of_real(real: $real) -> Self {
                Complex::new(real, 0.0)
            }
            const SAFE_MIN: f64 = <$real>::MIN_POSITIVE as f64;
            const ROUNDING: f64 = <$real>::EPSILON as f64 / 2.0;
            fn widen(self) -> Complex<f64> {
                Complex::new(f64::from(self.re), f64::from(self.im))
            }
            #[allow(clippy::cast_possible_truncation, reason = "rounded to this type")]
            fn narrow(wide: Complex<f64>) -> Self {
                Complex::new(wide.re as $real, wide.im as $real)
            }
        }
    };
}

real!(f32);
real!(f64);
complex!(f32);
complex!(f64);
