//! What columns of a matrix and their mirror image give at once: y += A f and A^T x, each element read once.
//!
//! BLAS has no routine for that; libraries have it inside their symv, and a gemv for each takes 1.5 to 1.75 times as long. For
//! real elements on x86-64 with AVX2 and FMA, in intrinsics, since the compiler makes a vector across the columns of plain loops
//! (half the speed); elsewhere two gemv have to do.
//!
//! Invariant: the order of the additions depends on the shape alone, not on where operands lie.

use num_complex::Complex;

/// How many columns are taken at once: as many as have a register each for their factor and for their sum.
pub const COLUMNS: usize = 4;

/// Adds columns times their factors to y, and returns the products of the columns by x; all have y's length.
///
/// # Safety
/// It is for this CPU, as those that [`Both::at_once`] gives are.
type Kernel<T, const N: usize> = unsafe fn([&[T]; N], [T; N], &[T], &mut [T]) -> [T; N];

/// The kernels for several columns and for one.
#[derive(Debug, Clone, Copy)]
pub struct Kernels<T: 'static> {
    pub several: Kernel<T, COLUMNS>,
    pub one: Kernel<T, 1>,
}

/// An element type, and its kernels where there are any.
pub trait Both: Sized + 'static {
    /// Those for this CPU.
    fn at_once() -> Option<Kernels<Self>>;
}

macro_rules! complex {
    ($($type:ty),*) => {$(
        impl Both for $type {
            fn at_once() -> Option<Kernels<Self>> {
                None
            }
        }
    )*};
}

macro_rules! real {
    ($($type:ty, $module:ident;)*) => {$(
        impl Both for $type {
            #[cfg(target_arch = "x86_64")]
            fn at_once() -> Option<Kernels<Self>> {
                let has = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
                has.then_some(Kernels {
                    several: $module::product,
                    one: $module::product,
                })
            }

            #[cfg(not(target_arch = "x86_64"))]
            fn at_once() -> Option<Kernels<Self>> {
                None
            }
        }
    )*};
}

complex!(Complex<f32>, Complex<f64>);
real! {
    f32, single;
    f64, double;
}

#[cfg(target_arch = "x86_64")]
macro_rules! avx2 {
    ($module:ident, $type:ty, $lanes:literal, $zero:ident, $set:ident, $load:ident, $store:ident, $fma:ident) => {
        mod $module {
            use std::arch::x86_64::{$fma, $load, $set, $store, $zero};

            /// The pieces of a register's size first, then what is left.
            #[target_feature(enable = "avx2,fma")]
            pub(super) fn product<const N: usize>(
                columns: [&[$type]; N],
                factors: [$type; N],
                x: &[$type],
                y: &mut [$type],
            ) -> [$type; N] {
                let rows = y.len();
                // Whatever their callers promise: what is beyond these lengths is never looked at.
                let (columns, x) = (columns.map(|column| &column[..rows]), &x[..rows]);
                let whole = rows - rows % $lanes;
                let wide = factors.map(|factor| $set(factor));
                let mut sums = [$zero(); N];
                for at in (0..whole).step_by($lanes) {
                    // SAFETY: `at` and the lanes after it are below `rows`, the length of each slice.
                    unsafe {
                        let of_x = $load(x.as_ptr().add(at));
                        let mut of_y = $load(y.as_ptr().add(at));
                        for column in 0..N {
                            let piece = $load(columns[column].as_ptr().add(at));
                            of_y = $fma(piece, wide[column], of_y);
                            sums[column] = $fma(piece, of_x, sums[column]);
                        }
                        $store(y.as_mut_ptr().add(at), of_y);
                    }
                }
                let mut products = sums.map(|sum| {
                    let mut lanes = [0.0; $lanes];
                    // SAFETY: as many lanes as the register has.
                    unsafe { $store(lanes.as_mut_ptr(), sum) };
                    lanes.into_iter().sum::<$type>()
                });
                for at in whole..rows {
                    for column in 0..N {
                        let element = columns[column][at];
                        y[at] = element.mul_add(factors[column], y[at]);
                        products[column] = element.mul_add(x[at], products[column]);
                    }
                }
                products
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
avx2!(single, f32, 8, _mm256_setzero_ps, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps);
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
avx2!(double, f64, 4, _mm256_setzero_pd, _mm256_set1_pd, _mm256_loadu_pd, _mm256_storeu_pd, _mm256_fmadd_pd);
