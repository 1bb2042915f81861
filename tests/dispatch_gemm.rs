//! gemm through dispatch on a real library, against a loop.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    reason = "a test fails by panicking; sizes are small"
)]

mod common;

use common::{in_own_process, library};
use threadctl::dispatch::{Blas, simulate_cores};

#[test]
fn a_shared_product_is_a_product() {
    in_own_process("a_shared_product_is_a_product", &[], || {
        simulate_cores(std::num::NonZeroUsize::new(8));
        // SAFETY: OpenBLAS.
        let blas = unsafe { Blas::open(&library("scipy-openblas32")) }.unwrap();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(8)
            .build()
            .unwrap();
        pool.install(|| {
            let (m, n, k) = (301, 203, 257);
            let a: Vec<f64> = (0..m * k).map(|i| (i % 17) as f64 - 8.0).collect();
            let b: Vec<f64> = (0..k * n).map(|i| (i % 13) as f64 - 6.0).collect();
            let mut c = vec![f64::NAN; m * n];
            // SAFETY: matrices of these sizes.
            unsafe {
                blas.gemm(
                    b'N',
                    b'N',
                    m as isize,
                    n as isize,
                    k as isize,
                    1.0,
                    a.as_ptr(),
                    m as isize,
                    b.as_ptr(),
                    k as isize,
                    0.0,
                    c.as_mut_ptr(),
                    m as isize,
                )
            }
            .unwrap();
            for col in 0..n {
                for row in 0..m {
                    // Small whole numbers: exact in any order.
                    let sum: f64 = (0..k).map(|i| a[row + i * m] * b[i + col * k]).sum();
                    assert!(sum == c[row + col * m], "{row} {col}");
                }
            }
        });
    });
}
