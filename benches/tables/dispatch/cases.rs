//! The single calls that are compared, with the memory that they need.
//!
//! Invariant, on which every call relies: the buffers are larger than the operands of any call, and each call has its own
//! three.

use num_complex::Complex;
use threadctl::dispatch::{Blas, Scalar};

/// Which target a call has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    Gemm,
    Level3,
    Level2,
    Level1,
}

impl Group {
    pub const ALL: &[Group] = &[Group::Gemm, Group::Level3, Group::Level2, Group::Level1];

    pub fn name(self) -> &'static str {
        match self {
            Group::Gemm => "gemm",
            Group::Level3 => "other level 3",
            Group::Level2 => "level 2",
            Group::Level1 => "level 1",
        }
    }

    /// The least that any call may reach of the library's own threads, and the geometric mean.
    pub fn targets(self) -> (f64, Option<f64>) {
        match self {
            Group::Gemm => (0.97, Some(1.03)),
            Group::Level3 => (0.95, Some(1.0)),
            Group::Level2 | Group::Level1 => (0.95, None),
        }
    }
}

/// Makes the call.
type Run = Box<dyn Fn(&Blas, &mut Buffers)>;

/// One call.
pub struct Call {
    pub group: Group,
    pub name: String,
    pub run: Run,
}

/// The memory of all calls, large enough for the largest.
pub struct Buffers {
    s: [Vec<f32>; 3],
    d: [Vec<f64>; 3],
    c: [Vec<Complex<f32>>; 3],
    z: [Vec<Complex<f64>>; 3],
}

/// Elements of the largest operand: 4096 x 4096 of f64; the others need less.
const LARGEST: usize = 4096 * 4096;

impl Buffers {
    pub fn new() -> Self {
        fn three<T: Scalar>(len: usize) -> [Vec<T>; 3] {
            // Small, so that triangles are well conditioned and repeated products stay finite.
            [(); 3].map(|()| vec![T::ZERO; len])
        }
        let mut buffers = Buffers {
            s: three(LARGEST / 4),
            d: three(LARGEST),
            c: three(LARGEST / 16),
            z: three(LARGEST / 16),
        };
        let value = |at: usize| (at % 19) as f64 * 1e-5 + 1e-5;
        for operand in 0..3 {
            fill(&mut buffers.s[operand], |at| value(at) as f32);
            fill(&mut buffers.d[operand], value);
            fill(&mut buffers.c[operand], |at| {
                Complex::new(value(at) as f32, 1e-5)
            });
            fill(&mut buffers.z[operand], |at| Complex::new(value(at), 1e-5));
        }
        buffers
    }
}

fn fill<T>(buffer: &mut [T], value: impl Fn(usize) -> T) {
    for (at, element) in buffer.iter_mut().enumerate() {
        *element = value(at);
    }
}

/// A type with its buffers.
trait Buffered: Scalar {
    const NAME: char;
    fn of(buffers: &mut Buffers) -> &mut [Vec<Self>; 3];
    fn real(value: f64) -> Self::Real;
}

macro_rules! buffered {
    ($type:ty, $field:ident, $letter:literal, $real:ty) => {
        impl Buffered for $type {
            const NAME: char = $letter;
            fn of(buffers: &mut Buffers) -> &mut [Vec<Self>; 3] {
                &mut buffers.$field
            }
            fn real(value: f64) -> $real {
                value as $real
            }
        }
    };
}

buffered!(f32, s, 's', f32);
buffered!(f64, d, 'd', f64);
buffered!(Complex<f32>, c, 'c', f32);
buffered!(Complex<f64>, z, 'z', f64);

/// The sizes of square products.
const SQUARES: &[isize] = &[
    64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 512, 768, 1024, 1536, 2048,
];

/// Tall, wide and thin: m, n, k.
const SHAPES: &[[isize; 3]] = &[
    [4096, 64, 64],
    [64, 4096, 64],
    [64, 64, 4096],
    [4096, 512, 32],
    [32, 4096, 512],
    [4096, 32, 512],
    [2048, 16, 2048],
    [16, 2048, 2048],
    [1000, 1000, 8],
    [200, 1000, 300],
];

/// All of them.
pub fn all() -> Vec<Call> {
    let mut calls = Vec::new();
    for &n in SQUARES {
        calls.push(gemm::<f64>(b'N', n, n, n));
    }
    for &[m, n, k] in SHAPES {
        calls.push(gemm::<f64>(b'N', m, n, k));
    }
    calls.push(gemm::<f64>(b'T', 300, 300, 300));
    calls.push(gemm::<f64>(b'T', 1000, 1000, 1000));
    for n in [96, 192, 384, 768] {
        calls.push(gemm::<f32>(b'N', n, n, n));
        calls.push(gemm::<Complex<f32>>(b'N', n, n, n));
        calls.push(gemm::<Complex<f64>>(b'N', n, n, n));
    }
    for n in [128, 256, 512, 1024, 2048] {
        level3::<f64>(&mut calls, n);
    }
    for n in [192, 768] {
        level3::<f32>(&mut calls, n);
        level3::<Complex<f32>>(&mut calls, n);
        level3::<Complex<f64>>(&mut calls, n);
    }
    for n in [2048, 4096] {
        level2(&mut calls, n);
    }
    for n in [1_000_000, 8_000_000] {
        level1(&mut calls, n);
    }
    calls
}

fn call<T: Buffered>(
    calls: &mut Vec<Call>,
    group: Group,
    routine: &str,
    size: &str,
    run: impl Fn(&Blas, &mut [Vec<T>; 3]) + 'static,
) {
    calls.push(Call {
        group,
        name: format!("{}{routine} {size}", T::NAME),
        run: Box::new(move |blas, buffers| run(blas, T::of(buffers))),
    });
}

fn gemm<T: Buffered>(transa: u8, m: isize, n: isize, k: isize) -> Call {
    let mut calls = Vec::new();
    let size = format!("{m}x{n}x{k}{}", if transa == b'N' { "" } else { " A^T" });
    call::<T>(
        &mut calls,
        Group::Gemm,
        "gemm",
        &size,
        move |blas, [a, b, c]| {
            let lda = if transa == b'N' { m } else { k };
            // SAFETY: the buffers are large enough.
            unsafe {
                blas.gemm(
                    transa,
                    b'N',
                    m,
                    n,
                    k,
                    T::ONE,
                    a.as_ptr(),
                    lda,
                    b.as_ptr(),
                    k,
                    T::ZERO,
                    c.as_mut_ptr(),
                    m,
                )
            }
            .expect("sizes fit");
        },
    );
    calls.remove(0)
}

fn level3<T: Buffered>(calls: &mut Vec<Call>, n: isize) {
    let size = n.to_string();
    let mut add =
        |routine: &str, run: fn(&Blas, &mut [Vec<T>; 3], isize) -> threadctl::Result<()>| {
            call::<T>(
                calls,
                Group::Level3,
                routine,
                &size,
                move |blas, buffers| {
                    run(blas, buffers, n).expect("sizes fit");
                },
            );
        };
    // SAFETY: matrices of n x n, which each of the buffers has room for.
    add("symm", |blas, [a, b, c], n| unsafe {
        blas.symm(
            b'L',
            b'U',
            n,
            n,
            T::ONE,
            a.as_ptr(),
            n,
            b.as_ptr(),
            n,
            T::ZERO,
            c.as_mut_ptr(),
            n,
        )
    });
    // SAFETY: matrices of n x n, which each of the buffers has room for.
    add("syrk", |blas, [a, _, c], n| unsafe {
        blas.syrk(
            b'L',
            b'N',
            n,
            n,
            T::ONE,
            a.as_ptr(),
            n,
            T::ZERO,
            c.as_mut_ptr(),
            n,
        )
    });
    // SAFETY: matrices of n x n, which each of the buffers has room for.
    add("syr2k", |blas, [a, b, c], n| unsafe {
        blas.syr2k(
            b'U',
            b'N',
            n,
            n,
            T::ONE,
            a.as_ptr(),
            n,
            b.as_ptr(),
            n,
            T::ZERO,
            c.as_mut_ptr(),
            n,
        )
    });
    // SAFETY: matrices of n x n, which each of the buffers has room for.
    add("trmm", |blas, [a, _, c], n| unsafe {
        blas.trmm(
            b'L',
            b'U',
            b'N',
            b'U',
            n,
            n,
            T::ONE,
            a.as_ptr(),
            n,
            c.as_mut_ptr(),
            n,
        )
    });
    // SAFETY: matrices of n x n, which each of the buffers has room for.
    add("trsm", |blas, [a, _, c], n| unsafe {
        blas.trsm(
            b'R',
            b'L',
            b'T',
            b'U',
            n,
            n,
            T::ONE,
            a.as_ptr(),
            n,
            c.as_mut_ptr(),
            n,
        )
    });
    if matches!(T::NAME, 'c' | 'z') {
        // SAFETY: matrices of n x n, which each of the buffers has room for.
        add("hemm", |blas, [a, b, c], n| unsafe {
            blas.hemm(
                b'R',
                b'L',
                n,
                n,
                T::ONE,
                a.as_ptr(),
                n,
                b.as_ptr(),
                n,
                T::ZERO,
                c.as_mut_ptr(),
                n,
            )
        });
        // SAFETY: matrices of n x n, which each of the buffers has room for.
        add("herk", |blas, [a, _, c], n| unsafe {
            blas.herk(
                b'U',
                b'C',
                n,
                n,
                T::real(1.0),
                a.as_ptr(),
                n,
                T::real(0.0),
                c.as_mut_ptr(),
                n,
            )
        });
        // SAFETY: matrices of n x n, which each of the buffers has room for.
        add("her2k", |blas, [a, b, c], n| unsafe {
            blas.her2k(
                b'L',
                b'N',
                n,
                n,
                T::ONE,
                a.as_ptr(),
                n,
                b.as_ptr(),
                n,
                T::real(0.0),
                c.as_mut_ptr(),
                n,
            )
        });
    }
}

fn level2(calls: &mut Vec<Call>, n: isize) {
    let size = n.to_string();
    let mut add =
        |routine: &str, run: fn(&Blas, &mut [Vec<f64>; 3], isize) -> threadctl::Result<()>| {
            call::<f64>(
                calls,
                Group::Level2,
                routine,
                &size,
                move |blas, buffers| {
                    run(blas, buffers, n).expect("sizes fit");
                },
            );
        };
    // SAFETY: a matrix of n x n and vectors of n, which the buffers have room for.
    add("gemv N", |blas, [a, b, c], n| unsafe {
        blas.gemv(
            b'N',
            n,
            n,
            1.0,
            a.as_ptr(),
            n,
            b.as_ptr(),
            1,
            0.0,
            c.as_mut_ptr(),
            1,
        )
    });
    // SAFETY: a matrix of n x n and vectors of n, which the buffers have room for.
    add("gemv T", |blas, [a, b, c], n| unsafe {
        blas.gemv(
            b'T',
            n,
            n,
            1.0,
            a.as_ptr(),
            n,
            b.as_ptr(),
            1,
            0.0,
            c.as_mut_ptr(),
            1,
        )
    });
    // SAFETY: a matrix of n x n and vectors of n, which the buffers have room for.
    add("ger", |blas, [a, b, c], n| unsafe {
        blas.ger(n, n, 1e-9, a.as_ptr(), 1, b.as_ptr(), 1, c.as_mut_ptr(), n)
    });
    // SAFETY: a matrix of n x n and vectors of n, which the buffers have room for.
    add("symv", |blas, [a, b, c], n| unsafe {
        blas.symv(
            b'L',
            n,
            1.0,
            a.as_ptr(),
            n,
            b.as_ptr(),
            1,
            0.0,
            c.as_mut_ptr(),
            1,
        )
    });
    // SAFETY: a matrix of n x n and vectors of n, which the buffers have room for.
    add("syr", |blas, [a, _, c], n| unsafe {
        blas.syr(b'U', n, 1e-9, a.as_ptr(), 1, c.as_mut_ptr(), n)
    });
    // SAFETY: a matrix of n x n and vectors of n, which the buffers have room for.
    add("trmv", |blas, [a, _, c], n| unsafe {
        blas.trmv(b'U', b'N', b'U', n, a.as_ptr(), n, c.as_mut_ptr(), 1)
    });
    // SAFETY: a matrix of n x n and vectors of n, which the buffers have room for.
    add("trsv", |blas, [a, _, c], n| unsafe {
        blas.trsv(b'L', b'N', b'U', n, a.as_ptr(), n, c.as_mut_ptr(), 1)
    });
}

fn level1(calls: &mut Vec<Call>, n: isize) {
    let size = n.to_string();
    let mut add =
        |routine: &str, run: fn(&Blas, &mut [Vec<f64>; 3], isize) -> threadctl::Result<()>| {
            call::<f64>(
                calls,
                Group::Level1,
                routine,
                &size,
                move |blas, buffers| {
                    run(blas, buffers, n).expect("sizes fit");
                },
            );
        };
    // SAFETY: vectors of n, which the buffers have room for.
    add("axpy", |blas, [a, _, c], n| unsafe {
        blas.axpy(n, 1e-9, a.as_ptr(), 1, c.as_mut_ptr(), 1)
    });
    // SAFETY: vectors of n, which the buffers have room for.
    add("scal", |blas, [_, _, c], n| unsafe {
        blas.scal(n, 0.999_999, c.as_mut_ptr(), 1)
    });
    // SAFETY: vectors of n, which the buffers have room for.
    add("copy", |blas, [a, _, c], n| unsafe {
        blas.copy(n, a.as_ptr(), 1, c.as_mut_ptr(), 1)
    });
    // SAFETY: vectors of n, which the buffers have room for.
    add("swap", |blas, [_, b, c], n| unsafe {
        blas.swap(n, b.as_mut_ptr(), 1, c.as_mut_ptr(), 1)
    });
    // SAFETY: vectors of n, which the buffers have room for.
    add("dot", |blas, [a, b, _], n| unsafe {
        std::hint::black_box(blas.dot(n, a.as_ptr(), 1, b.as_ptr(), 1)?);
        Ok(())
    });
    // SAFETY: vectors of n, which the buffers have room for.
    add("nrm2", |blas, [a, _, _], n| unsafe {
        std::hint::black_box(blas.nrm2(n, a.as_ptr(), 1)?);
        Ok(())
    });
    // SAFETY: vectors of n, which the buffers have room for.
    add("asum", |blas, [a, _, _], n| unsafe {
        std::hint::black_box(blas.asum(n, a.as_ptr(), 1)?);
        Ok(())
    });
    // SAFETY: vectors of n, which the buffers have room for.
    add("iamax", |blas, [a, _, _], n| unsafe {
        std::hint::black_box(blas.iamax(n, a.as_ptr(), 1)?);
        Ok(())
    });
}
