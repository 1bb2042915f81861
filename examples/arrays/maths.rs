//! The functions of array expressions, for f64 and f32: forms that a compiler turns into vector instructions, and exact ones.
//!
//! `exp` and `sin` are polynomials without branches (Cody and Waite's reduction, coefficients fitted to the functions in 40
//! digits); `isf` is statrs's. Invariant: a form without branches is right within its domain, and where it is not,
//! [`Maths::outside`] is set, on which the caller computes that element again with the standard library's functions.
//!
//! Largest distances, which the tests hold, in units of the last place (to the next larger number of the result's type): `exp` 1.5 and `sin` 2
//! from the standard library's for f64; `exp` 2 and `sin` 1 for f32, from those of f64.

use ndarray::NdFloat;
use statrs::function::erf::erfc_inv;

/// What the closure of an expression computes with.
#[derive(Debug)]
pub struct Maths {
    /// Use the standard library's functions.
    careful: bool,
    /// An argument was outside of the domain of a form without branches.
    outside: bool,
}

impl Maths {
    #[inline(always)]
    pub(super) fn fast() -> Maths {
        Maths {
            careful: false,
            outside: false,
        }
    }

    pub(super) fn careful() -> Maths {
        Maths {
            careful: true,
            outside: false,
        }
    }

    #[inline(always)]
    pub(super) fn outside(&self) -> bool {
        self.outside
    }

    /// The exponential.
    #[inline(always)]
    pub fn exp<T: Number>(&mut self, x: T) -> T {
        if self.careful {
            x.exp()
        } else {
            x.exp_without_branches()
        }
    }

    /// The sine.
    #[inline(always)]
    pub fn sin<T: Number>(&mut self, x: T) -> T {
        if self.careful {
            return x.sin();
        }
        self.outside |= x.abs() > T::SIN_DOMAIN;
        x.sin_without_branches()
    }

    /// The inverse survival function of the normal distribution, scipy's `norm.isf`: the number that a standard normal
    /// variable exceeds with probability `p`. NaN outside of 0 to 1.
    #[inline(always)]
    pub fn isf<T: Number>(&mut self, p: T) -> T {
        p.isf()
    }
}

/// f64 and f32.
pub trait Number: NdFloat + Default {
    /// Up to where `sin_without_branches` is right.
    const SIN_DOMAIN: Self;
    /// See [`Maths::exp`].
    #[must_use]
    fn exp_without_branches(self) -> Self;
    /// See [`Maths::sin`].
    #[must_use]
    fn sin_without_branches(self) -> Self;
    /// See [`Maths::isf`].
    #[must_use]
    fn isf(self) -> Self;
}

/// Adding it rounds to an integer, which is then in the low bits.
const ROUND: f64 = 6_755_399_441_055_744.0;
/// The same for f32.
const ROUND_F32: f32 = 12_582_912.0;

/// pi in three parts.
const PI: [f64; 3] = [
    std::f64::consts::PI,
    1.224_646_799_147_353_2e-16,
    -2.994_769_809_718_339_7e-33,
];
/// ln 2 in two parts; for f32, the first has zeros at its end.
const LN_2: [f64; 2] = [std::f64::consts::LN_2, 2.319_046_813_846_299_6e-17];
const LN_2_F32: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// sin x = x + x^3 p(x^2) for x within pi/2.
const SIN: [f64; 8] = [
    -0.166_666_666_666_666_66,
    0.008_333_333_333_333_316,
    -0.000_198_412_698_412_549_65,
    2.755_731_921_916_083_3e-6,
    -2.505_210_761_669_045e-8,
    1.605_897_729_264_274_3e-10,
    -7.643_969_663_988_074e-13,
    2.731_436_876_937_989_2e-15,
];
/// The same, as exact as f32 needs it.
const SIN_F32: [f64; 5] = [
    -0.166_666_666_638_798_5,
    0.008_333_332_768_529_358,
    -0.000_198_410_865_070_005_7,
    2.753_645_944_364_609e-6,
    -2.408_009_508_712_208e-8,
];
/// exp x = 1 + x + x^2 p(x) for x within ln 2 / 2.
const EXP: [f64; 10] = [
    0.500_000_000_000_000_1,
    0.166_666_666_666_666_67,
    0.041_666_666_666_624_13,
    0.008_333_333_333_330_06,
    0.001_388_888_891_721_371_7,
    0.000_198_412_698_630_536_17,
    2.480_152_129_595_437_5e-5,
    2.755_726_845_999_706_5e-6,
    2.762_008_844_540_975e-7,
    2.510_038_549_551_032e-8,
];
const EXP_F32: [f32; 6] = [
    0.5,
    0.166_666_67,
    0.041_666_465,
    0.008_333_31,
    0.001_393_365,
    0.000_198_909_91,
];

/// The polynomial with these coefficients, the constant first.
macro_rules! polynomial {
    ($x:expr, $coefficients:expr) => {{
        let coefficients = &$coefficients;
        let mut sum = coefficients[coefficients.len() - 1];
        let mut at = coefficients.len() - 1;
        while at > 0 {
            at -= 1;
            sum = sum.mul_add($x, coefficients[at]);
        }
        sum
    }};
}

impl Number for f64 {
    // Beyond, the product of pi's second part and the multiple is no longer small beside what is left.
    const SIN_DOMAIN: f64 = 1e6;

    #[inline(always)]
    fn exp_without_branches(self) -> f64 {
        // Beyond these the result is infinite or 0; a NaN stays.
        let x = if self > 710.0 { 710.0 } else { self };
        let x = if x < -746.0 { -746.0 } else { x };
        let multiple = x.mul_add(std::f64::consts::LOG2_E, ROUND) - ROUND;
        let rest = (-multiple).mul_add(LN_2[1], (-multiple).mul_add(LN_2[0], x));
        let power = (rest * rest).mul_add(polynomial!(rest, EXP), rest) + 1.0;
        // In two steps, since the power may be too small or too large for one.
        let half = multiple.mul_add(0.5, ROUND) - ROUND;
        power * two_to(half) * two_to(multiple - half)
    }

    #[inline(always)]
    fn sin_without_branches(self) -> f64 {
        let rounded = self.mul_add(std::f64::consts::FRAC_1_PI, ROUND);
        let multiple = -(rounded - ROUND);
        let rest = multiple.mul_add(PI[1], multiple.mul_add(PI[0], self));
        let rest = multiple.mul_add(PI[2], rest);
        let square = rest * rest;
        let sine = (rest * square).mul_add(polynomial!(square, SIN), rest);
        // Odd multiples change the sign. A zero keeps its own.
        let turned = f64::from_bits(sine.to_bits() ^ (rounded.to_bits() << 63));
        if self == 0.0 { self } else { turned }
    }

    #[inline(always)]
    fn isf(self) -> f64 {
        std::f64::consts::SQRT_2 * inverse(2.0 * self)
    }
}

/// 2 to an integer within -1022 to 1023.
#[inline(always)]
fn two_to(integer: f64) -> f64 {
    f64::from_bits(((integer + ROUND).to_bits().wrapping_add(1023)) << 52)
}

fn inverse(twice: f64) -> f64 {
    if (0.0..=2.0).contains(&twice) {
        erfc_inv(twice)
    } else {
        f64::NAN
    }
}

impl Number for f32 {
    // Computed in f64, which has digits enough for larger arguments than those of f64 itself.
    const SIN_DOMAIN: f32 = 1e6;

    #[inline(always)]
    fn exp_without_branches(self) -> f32 {
        let x = if self > 89.0 { 89.0 } else { self };
        let x = if x < -104.0 { -104.0 } else { x };
        let multiple = x.mul_add(std::f32::consts::LOG2_E, ROUND_F32) - ROUND_F32;
        let rest = (-multiple).mul_add(LN_2_F32[1], (-multiple).mul_add(LN_2_F32[0], x));
        let power = (rest * rest).mul_add(polynomial!(rest, EXP_F32), rest) + 1.0;
        let half = multiple.mul_add(0.5, ROUND_F32) - ROUND_F32;
        power * two_to_f32(half) * two_to_f32(multiple - half)
    }

    #[inline(always)]
    fn sin_without_branches(self) -> f32 {
        let x = f64::from(self);
        let rounded = x.mul_add(std::f64::consts::FRAC_1_PI, ROUND);
        let multiple = -(rounded - ROUND);
        let rest = multiple.mul_add(PI[1], multiple.mul_add(PI[0], x));
        let square = rest * rest;
        let sine = (rest * square).mul_add(polynomial!(square, SIN_F32), rest);
        let turned = f64::from_bits(sine.to_bits() ^ (rounded.to_bits() << 63)) as f32;
        if self == 0.0 { self } else { turned }
    }

    #[inline(always)]
    fn isf(self) -> f32 {
        f64::from(self).isf() as f32
    }
}

/// 2 to an integer within -126 to 127.
#[inline(always)]
fn two_to_f32(integer: f32) -> f32 {
    f32::from_bits(((integer + ROUND_F32).to_bits().wrapping_add(127)) << 23)
}
