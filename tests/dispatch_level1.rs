//! Level 1 through dispatch, on real libraries, against loops in plain Rust.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "a test fails by panicking; sizes are small"
)]

mod common;
#[path = "common/operands.rs"]
mod operands;
#[path = "common/reference.rs"]
mod reference;

use num_complex::Complex;
use operands::{Number, Operand, Wide, assert_close, factor, repeated, same, undivided};
use threadctl::dispatch::Blas;

/// Around the edges of parts, which begin at multiples of 64.
const SIZES: [usize; 14] = [
    1, 2, 63, 64, 65, 127, 128, 129, 511, 512, 513, 1024, 1025, 3001,
];

const INCREMENTS: [(isize, isize); 7] =
    [(1, 1), (2, 1), (1, 3), (3, 2), (-1, 1), (1, -2), (-2, -3)];

libraries! {
    elementwise: each_type!(elementwise);
    reductions: each_type!(reductions);
    special_values: each_type!(special_values);
    as_by_default: |blas| {
        Blas::simulate_small_tiles(false);
        for n in [8, 5000, 400_001] {
            one_size::<f64>(blas, n, (1, 1));
            sums::<Complex<f32>>(blas, n, (1, 1));
        }
    };
}

fn elementwise<T: Number>(blas: &Blas) {
    for n in SIZES {
        for incs in INCREMENTS {
            one_size::<T>(blas, n, incs);
        }
    }
}

fn reductions<T: Number>(blas: &Blas) {
    for n in SIZES {
        for incs in INCREMENTS {
            sums::<T>(blas, n, incs);
        }
    }
}

/// Compares y and what it should be, element by element, where each is a sum of few terms.
fn assert_elements<T: Number>(what: &str, got: &Operand<T>, expected: impl Fn(usize) -> Wide) {
    for index in 0..got.len() {
        let what = format!("{what} [{index}]");
        assert_close::<T>(&what, got.get(index).wide(), expected(index), 4, 4.0);
    }
}

fn one_size<T: Number>(blas: &Blas, n: usize, (incx, incy): (isize, isize)) {
    let (x, y) = (
        Operand::<T>::vector(n, incx, 1),
        Operand::<T>::vector(n, incy, 2),
    );
    let (wx, wy) = (x.wide(), y.wide());
    let len = n as isize;
    let (alpha, beta) = (factor::<T>(0.75, -0.5), factor::<T>(-0.25, 0.625));
    let (wa, wb) = (alpha.wide(), beta.wide());
    let name = |routine| format!("{routine}::<{}> n={n} {incx} {incy}", T::LETTER);

    let what = name("axpy");
    let ([got], ()) = repeated(&what, [&y], |[y]| {
        // SAFETY: n elements each.
        unsafe { blas.axpy(len, alpha, x.ptr(), incx, y.ptr_mut(), incy) }.unwrap();
    });
    assert_elements(&what, &got, |i| wa * wx[i] + wy[i]);

    let what = name("axpby");
    let ([got], ()) = repeated(&what, [&y], |[y]| {
        // SAFETY: n elements each.
        unsafe { blas.axpby(len, alpha, x.ptr(), incx, beta, y.ptr_mut(), incy) }.unwrap();
    });
    assert_elements(&what, &got, |i| wa * wx[i] + wb * wy[i]);

    let what = name("copy");
    let ([got], ()) = repeated(&what, [&y], |[y]| {
        // SAFETY: n elements each.
        unsafe { blas.copy(len, x.ptr(), incx, y.ptr_mut(), incy) }.unwrap();
    });
    assert!((0..n).all(|i| got.get(i) == x.get(i)), "{what}");

    let what = name("swap");
    let ([got_x, got_y], ()) = repeated(&what, [&x, &y], |[x, y]| {
        // SAFETY: n elements each.
        unsafe { blas.swap(len, x.ptr_mut(), incx, y.ptr_mut(), incy) }.unwrap();
    });
    assert!(
        (0..n).all(|i| got_y.get(i) == x.get(i) && got_x.get(i) == y.get(i)),
        "{what}"
    );

    // Of a single vector, what a library does where the increment is negative is up to it.
    if incx > 0 {
        let what = name("scal");
        let ([got], ()) = repeated(&what, [&x], |[x]| {
            // SAFETY: n elements.
            unsafe { blas.scal(len, alpha, x.ptr_mut(), incx) }.unwrap();
        });
        assert_elements(&what, &got, |i| wa * wx[i]);

        let what = name("rscal");
        let ([got], ()) = repeated(&what, [&x], |[x]| {
            // SAFETY: n elements.
            unsafe { blas.rscal(len, alpha.re(), x.ptr_mut(), incx) }.unwrap();
        });
        assert_elements(&what, &got, |i| wx[i] * wa.re);
    }
}

fn sums<T: Number>(blas: &Blas, n: usize, (incx, incy): (isize, isize)) {
    let (x, y) = (
        Operand::<T>::vector(n, incx, 3),
        Operand::<T>::vector(n, incy, 4),
    );
    let (wx, wy) = (x.wide(), y.wide());
    let len = n as isize;
    let name = |routine| format!("{routine}::<{}> n={n} {incx} {incy}", T::LETTER);
    let no_output: [&Operand<T>; 0] = [];
    let size: f64 = wx.iter().zip(&wy).map(|(x, y)| x.norm() * y.norm()).sum();

    let what = name("dotu");
    let (_, got) = repeated(&what, no_output, |_| {
        // SAFETY: n elements each.
        unsafe { blas.dotu(len, x.ptr(), incx, y.ptr(), incy) }.unwrap()
    });
    let expected: Wide = wx.iter().zip(&wy).map(|(x, y)| x * y).sum();
    assert_close::<T>(&what, got.wide(), expected, n, size);

    let what = name("dotc");
    let (_, got) = repeated(&what, no_output, |_| {
        // SAFETY: n elements each.
        unsafe { blas.dotc(len, x.ptr(), incx, y.ptr(), incy) }.unwrap()
    });
    let expected: Wide = wx.iter().zip(&wy).map(|(x, y)| x.conj() * y).sum();
    assert_close::<T>(&what, got.wide(), expected, n, size);

    if incx < 0 {
        return;
    }
    let what = name("nrm2");
    let (_, got) = repeated(&what, no_output, |_| {
        // SAFETY: n elements.
        unsafe { blas.nrm2(len, x.ptr(), incx) }.unwrap()
    });
    let expected = wx.iter().map(Complex::norm_sqr).sum::<f64>().sqrt();
    assert_close::<T>(&what, T::of_real(got).wide(), expected.into(), n, expected);

    let what = name("asum");
    let (_, got) = repeated(&what, no_output, |_| {
        // SAFETY: n elements.
        unsafe { blas.asum(len, x.ptr(), incx) }.unwrap()
    });
    // OpenBLAS 0.3.21's own scasum adds up wrongly what is left over from vector registers (AVX-512).
    let wrong = T::LETTER == "c" && incx == 1 && !n.is_multiple_of(8);
    if !(wrong && blas.path().to_string_lossy().contains("openblas-")) {
        let expected: f64 = wx.iter().map(Complex::l1_norm).sum();
        let got = T::of_real(got).wide();
        assert_close::<T>(&what, got, expected.into(), 2 * n, expected);
    }

    // The largest is everywhere in turn, and there is another as large behind it.
    for place in [0, n / 3, n / 2, n - 1] {
        let mut x = x.clone();
        for place in [place, (place + 70).min(n - 1), n - 1] {
            x.set(place, factor(-7.0, 7.0));
        }
        let what = name("iamax");
        let (_, got) = repeated(&what, no_output, |_| {
            // SAFETY: n elements.
            unsafe { blas.iamax(len, x.ptr(), incx) }.unwrap()
        });
        assert_eq!(got, place as isize + 1, "{what}");
    }
}

fn special_values<T: Number>(blas: &Blas) {
    let n = 1000;
    let len = n as isize;
    let letter = T::LETTER;
    let (nan, inf) = (
        factor::<T>(f64::NAN, f64::NAN),
        factor::<T>(f64::INFINITY, 0.0),
    );
    let no_output: [&Operand<T>; 0] = [];
    let mut x = Operand::<T>::vector(n, 1, 5);
    let mut y = Operand::<T>::vector(n, 2, 6);
    for (index, value) in [(3, nan), (400, inf), (n - 1, nan)] {
        x.set(index, value);
        y.set(index + 1 - index / 500, value);
    }
    // Whatever the library makes of zero factors and of what is no number, tiles make the same.
    for alpha in [T::ZERO, T::ONE, factor(0.5, 0.25)] {
        for beta in [T::ZERO, T::ONE] {
            let both = |y: &mut Operand<T>| {
                // SAFETY: n elements each.
                unsafe { blas.axpby(len, alpha, x.ptr(), 1, beta, y.ptr_mut(), 2) }.unwrap();
            };
            let what = format!("axpby::<{letter}> {alpha:?} {beta:?}");
            let mut whole = y.clone();
            undivided(|| both(&mut whole));
            let ([got], ()) = repeated(&what, [&y], |[y]| both(y));
            assert!(
                (0..n).all(|i| same(got.get(i).wide(), whole.get(i).wide())),
                "{what}"
            );
            // What was in y does not matter where beta is 0; the reference BLAS, which lacks the routine, is no witness.
            let finite = |i: usize| got.get(i).wide().is_finite();
            assert!(
                beta != T::ZERO || finite(4) && finite(401),
                "{what}: y was read"
            );
        }
        let axpy = |y: &mut Operand<T>| {
            // SAFETY: n elements each.
            unsafe { blas.axpy(len, alpha, x.ptr(), 1, y.ptr_mut(), 2) }.unwrap();
        };
        let scal = |y: &mut Operand<T>| {
            // SAFETY: n elements.
            unsafe { blas.scal(len, alpha, y.ptr_mut(), 2) }.unwrap();
        };
        for (name, run) in [("axpy", &axpy as &dyn Fn(&mut Operand<T>)), ("scal", &scal)] {
            let what = format!("{name}::<{letter}> {alpha:?}");
            let mut whole = y.clone();
            undivided(|| run(&mut whole));
            let ([got], ()) = repeated(&what, [&y], |[y]| run(y));
            assert!(
                (0..n).all(|i| same(got.get(i).wide(), whole.get(i).wide())),
                "{what}"
            );
        }
    }
    // SAFETY: n elements.
    let iamax = |x: &Operand<T>| unsafe { blas.iamax(len, x.ptr(), x.step) }.unwrap();
    // A part that begins with no number is where the answer would depend on the parts.
    let mut begins = Operand::<T>::vector(n, 1, 5);
    begins.set(0, nan);
    for x in [&begins, &x] {
        let (_, got) = repeated("iamax", no_output, |_| iamax(x));
        assert_eq!(got, undivided(|| iamax(x)), "iamax::<{letter}> with NaN");
    }
    // Lengths whose squares are too large or too small.
    for size in [
        f64::from(f32::MAX) / 64.0,
        f64::from(f32::MIN_POSITIVE) * 16.0,
    ] {
        let size = if T::EPSILON < 1e-10 {
            size.powi(8)
        } else {
            size
        };
        let mut x = Operand::<T>::vector(n, 1, 7);
        (0..n).for_each(|index| x.set(index, factor(size, 0.0)));
        let (_, got) = repeated("nrm2", no_output, |_| {
            // SAFETY: n elements.
            unsafe { blas.nrm2(len, x.ptr(), 1) }.unwrap()
        });
        let ratio = got.into() / (size * (n as f64).sqrt());
        assert!(
            (ratio - 1.0).abs() < 1e-4,
            "nrm2::<{letter}> of {size:e}: {ratio}"
        );
    }
    // What tiles do not cover is as the library has it.
    for inc in [-1, -2, 0] {
        let x = Operand::<T>::vector(n, inc, 8);
        // SAFETY: n elements, or one.
        let sums = || unsafe {
            let nrm2 = blas.nrm2(len, x.ptr(), inc).unwrap();
            (nrm2, blas.asum(len, x.ptr(), inc).unwrap(), iamax(&x))
        };
        let (_, got) = repeated("sums", no_output, |_| sums());
        assert_eq!(
            got,
            undivided(sums),
            "sums::<{letter}> with the increment {inc}"
        );
    }
    let x = Operand::<T>::vector(n, 0, 9);
    let y = Operand::<T>::vector(n, 1, 10);
    let ([got], ()) = repeated("axpy", [&y], |[y]| {
        // SAFETY: one element, and n.
        unsafe { blas.axpy(len, T::ONE, x.ptr(), 0, y.ptr_mut(), 1) }.unwrap();
    });
    assert_elements("axpy of one element", &got, |i| {
        x.get(0).wide() + y.get(i).wide()
    });
    // Operands that overlap are not cut: each element would be another's input.
    let whole = Operand::<T>::vector(n + 1, 1, 11);
    let ripple = |memory: &mut Operand<T>| {
        let start = memory.ptr_mut();
        // SAFETY: n elements from each of the two places.
        unsafe { blas.copy(len, start.add(1).cast_const(), 1, start, 1) }.unwrap();
    };
    let mut expected = whole.clone();
    undivided(|| ripple(&mut expected));
    let ([got], ()) = repeated("copy", [&whole], |[memory]| ripple(memory));
    assert!(got.bytes() == expected.bytes(), "copy of what overlaps");
    // Nothing, and less.
    for n in [0, -1] {
        let ([_], sum) = repeated("nothing", [&y], |[y]| {
            // SAFETY: no elements.
            unsafe {
                blas.axpy(n, T::ONE, x.ptr(), 1, y.ptr_mut(), 1).unwrap();
                blas.dotu(n, x.ptr(), 1, y.ptr(), 1).unwrap()
            }
        });
        assert_eq!(sum, T::ZERO);
    }
}
