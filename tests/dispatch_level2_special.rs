//! Level 2 through dispatch where BLAS has rules of its own: factors of zero, NaN, nothing to compute, what is forbidden,
//! operands that share memory or are larger than it.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "a test fails by panicking; sizes are small"
)]

mod common;
#[path = "common/operands.rs"]
mod operands;
#[path = "common/output.rs"]
mod output;
#[path = "common/reference.rs"]
mod reference;

use num_complex::Complex;
use operands::{
    Number, Operand, assert_close, everything, factor, hermitian, repeated, same, undivided,
};
use threadctl::dispatch::Blas;

libraries! {
    special_values: each_type!(special_values);
}

/// What tiles must make as the undivided library makes it: alpha = 0, which reads nothing and keeps or clears y; an
/// infinity and a NaN among numbers; increments and flags that no tile covers; operands that overlap.
fn special_values<T: Number>(blas: &Blas) {
    let (m, n) = (400, 300);
    let zero = T::ZERO;
    let a = Operand::<T>::matrix((m, n), 3, 1, |row, _| row != 5);
    let square = hermitian::<T>(b'L', n, 2);
    let x = Operand::<T>::vector(n, 1, 3);
    let mut y = Operand::<T>::vector(m, 1, 4);
    y.set(7, factor(f64::NAN, 0.0));
    y.set(250, factor(f64::INFINITY, 0.0));
    let (rows, cols, lda) = (m as isize, n as isize, a.step);
    type Run<'run, T> = (&'static str, Box<dyn Fn(&mut Operand<T>) + 'run>);
    let mut runs: Vec<Run<'_, T>> = Vec::new();
    for (alpha, beta) in [
        (zero, zero),
        (zero, T::ONE),
        (T::ONE, zero),
        (T::ONE, T::ONE),
    ] {
        let (a, x, square) = (&a, &x, &square);
        // SAFETY, here and below: operands of these sizes; n <= m.
        let gemv = move |y: &mut Operand<T>| {
            let to = y.ptr_mut();
            // SAFETY: operands of these sizes.
            unsafe {
                blas.gemv(
                    b'N',
                    rows,
                    cols,
                    alpha,
                    a.ptr(),
                    lda,
                    x.ptr(),
                    1,
                    beta,
                    to,
                    1,
                )
            }
            .unwrap();
        };
        let hemv = move |y: &mut Operand<T>| {
            let (from, ld, to) = (square.ptr(), square.step, y.ptr_mut());
            // SAFETY: operands of these sizes; n <= m.
            unsafe { blas.hemv(b'L', cols, alpha, from, ld, x.ptr(), 1, beta, to, 1) }.unwrap();
        };
        runs.push(("gemv", Box::new(gemv)));
        runs.push(("hemv", Box::new(hemv)));
    }
    for (name, run) in runs {
        let what = format!("{}{name} special", T::LETTER);
        let mut whole = y.clone();
        undivided(|| run(&mut whole));
        let ([got], ()) = repeated(&what, [&y], |[y]| run(y));
        // Finite numbers are sums in another order. The others are where they were; which part of a complex number they
        // reach depends on whether a factor of 1 multiplies.
        for index in 0..m {
            let (got, whole) = (got.get(index).wide(), whole.get(index).wide());
            let what = format!("{what} [{index}]");
            if whole.is_finite() {
                assert_close::<T>(&what, got, whole, n, n as f64);
            } else {
                let alike = if T::COMPLEX {
                    !got.is_finite()
                } else {
                    same(got, whole)
                };
                assert!(alike, "{what}: {got} instead of {whole}");
            }
        }
    }

    // ger and her with alpha = 0 leave a NaN alone.
    let ([got], ()) = repeated("ger", [&a], |[a]| {
        // SAFETY: as above.
        unsafe { blas.geru(rows, cols, zero, y.ptr(), 1, x.ptr(), 1, a.ptr_mut(), lda) }.unwrap();
    });
    assert!(got.bytes() == a.bytes(), "{}ger with alpha = 0", T::LETTER);

    // y is x: tiles would each clear a part of what the others read.
    let full = Operand::<T>::matrix((n, n), 0, 9, everything);
    let both = Operand::<T>::vector(n, 1, 10);
    let into_itself = |both: &mut Operand<T>| {
        let (from, memory) = (full.ptr(), both.ptr_mut());
        // SAFETY: a square matrix, and n elements.
        unsafe {
            blas.gemv(
                b'T',
                cols,
                cols,
                T::ONE,
                from,
                cols,
                memory,
                1,
                zero,
                memory,
                1,
            )
        }
        .unwrap();
    };
    let mut expected = both.clone();
    undivided(|| into_itself(&mut expected));
    let ([got], ()) = repeated("gemv", [&both], |[both]| into_itself(both));
    for index in 0..n {
        let (got, expected) = (got.get(index).wide(), expected.get(index).wide());
        assert!(
            same(got, expected),
            "gemv into its own vector: {got}, not {expected}"
        );
    }

    // Nothing to compute.
    for (m, n) in [(0, 5), (5, 0), (0, 0)] {
        let ([got], ()) = repeated("nothing", [&y], |[y]| {
            let to = y.ptr_mut();
            // SAFETY: no elements of A.
            unsafe { blas.gemv(b'N', m, n, T::ONE, a.ptr(), lda, x.ptr(), 1, T::ONE, to, 1) }
                .unwrap();
        });
        assert!(got.bytes() == y.bytes(), "gemv {m} {n}");
    }
}

/// Nothing of a matrix is looked at where alpha is 0, so its columns may be farther apart than memory is large.
#[test]
fn matrices_larger_than_memory_are_for_the_library() {
    const TEST: &str = "matrices_larger_than_memory_are_for_the_library";
    common::in_own_process(TEST, &[], || {
        operands::with_pool(&common::library("scipy-openblas64"), |blas| {
            Blas::simulate_small_tiles(false);
            const N: isize = 900;
            let x = vec![1.0; N as usize];
            let mut y = vec![1.0; (N * N) as usize];
            let (x, y) = (x.as_ptr(), y.as_mut_ptr());
            for ld in [isize::MAX, isize::MAX / 8, isize::MAX / 256] {
                // SAFETY: nothing of A is looked at, nor of B; y is a vector, or a matrix, of these sizes.
                unsafe {
                    blas.ger(N, N, 0.0, x, 1, x, 1, y, ld).unwrap();
                    blas.ger(N, N, 0.0, x, ld, x, 1, y, N).unwrap();
                    blas.gemv(b'N', N, N, 0.0, x, ld, x, 1, 1.0, y, 1).unwrap();
                    blas.gemm(b'N', b'N', N, N, N, 0.0, x, ld, x, ld, 1.0, y, N)
                        .unwrap();
                }
            }
            // SAFETY: as many elements.
            let y = unsafe { std::slice::from_raw_parts(y, (N * N) as usize) };
            assert!(y.iter().all(|&value| value == 1.0));
        });
    });
}

/// What BLAS forbids goes to the library, which says so and computes nothing; however large it is.
#[test]
fn what_is_forbidden_is_for_the_library() {
    const TEST: &str = "what_is_forbidden_is_for_the_library";
    const N: isize = 900;
    /// Who says that its arguments are wrong, in the order of the calls.
    const NAMES: [&str; 10] = [
        "DGEMV", "DGEMV", "DGEMV", "DGER", "DGER", "DSYMV", "DSYR", "DTRMV", "DTRSV", "DTRSV",
    ];
    let call = |blas: &Blas, index: usize, a: *const f64, y: *mut f64| {
        // SAFETY: matrices of N x N, whose first elements are the vectors; nothing is computed.
        unsafe {
            match index {
                0 => blas.gemv(b'X', N, N, 1.0, a, N, a, 1, 0.0, y, 1),
                1 => blas.gemv(b'N', N, N, 1.0, a, N - 1, a, 1, 0.0, y, 1),
                2 => blas.gemv(b'N', N, N, 1.0, a, N, a, 0, 0.0, y, 1),
                3 => blas.ger(N, N, 1.0, a, 1, a, 1, y, N - 1),
                4 => blas.ger(N, N, 1.0, a, 1, a, 0, y, N),
                5 => blas.symv(b'X', N, 1.0, a, N, a, 1, 0.0, y, 1),
                6 => blas.syr(b'X', N, 1.0, a, 1, y, N),
                7 => blas.trmv(b'U', b'N', b'X', N, a, N, y, 1),
                8 => blas.trsv(b'U', b'X', b'N', N, a, N, y, 1),
                _ => blas.trsv(b'U', b'N', b'N', N, a, N, y, 0),
            }
        }
    };
    common::in_own_process(TEST, &[], || {
        operands::with_pool(&common::library("scipy-openblas32"), |blas| {
            let a = vec![0.5; (N * N) as usize];
            for (index, name) in NAMES.into_iter().enumerate() {
                let mut y = a.clone();
                let told =
                    output::written(|| call(blas, index, a.as_ptr(), y.as_mut_ptr()).unwrap());
                assert!(told.contains(name), "call {index}, {name}: {told:?}");
                assert!(y == a, "call {index}, {name}: something was computed");
            }
        });
    });
}
