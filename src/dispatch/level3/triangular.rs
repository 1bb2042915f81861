//! trmm and trsm: the columns of B (its rows, where A stands on the right) do not depend on each other, so they are cut.
//! Where these are too few, blocks of the triangle follow each other, and what each does to the rest of B is a product
//! that is cut.

use super::operand::{Op, product};
use crate::dispatch::backend::Blas;
use crate::dispatch::check::{Trans, letter, positive};
use crate::dispatch::matrix::Matrix;
use crate::dispatch::policy::{self, Size, Substitution};
use crate::dispatch::scalar::Scalar;
use crate::error::Result;
use crate::sys::blas::Kernels;
use std::ops::Range;

/// A call of either.
struct Call<T> {
    /// side, uplo, transa, diag.
    flags: [u8; 4],
    m: isize,
    n: isize,
    alpha: T,
    a: *const T,
    lda: isize,
    b: *mut T,
    ldb: isize,
}

/// The blocked form: what stands beside what.
struct Blocked<T> {
    left: bool,
    /// Whether a block of B, once it is final (trsm) or before it changes (trmm), is used for those after it.
    onwards: bool,
    order: usize,
    free: usize,
    a: Op<T>,
    b: Matrix<T>,
}

impl<T: Scalar> Blocked<T> {
    /// The block of B beside this part of the triangle.
    fn lines(&self, start: usize) -> Matrix<T> {
        if self.left {
            self.b.from(start, 0)
        } else {
            self.b.from(0, start)
        }
    }

    /// The part of B that a block of the triangle is used for.
    fn rest(&self, block: &Range<usize>) -> Range<usize> {
        if self.onwards {
            block.end..self.order
        } else {
            0..block.start
        }
    }
}

impl Blas {
    /// B = alpha op(A) B with `side` `b'L'`, B = alpha B op(A) with `b'R'`, where A is triangular and B is m x n.
    ///
    /// # Errors
    /// As for [`gemm`](Blas::gemm).
    ///
    /// # Safety
    /// As for [`gemm`](Blas::gemm), with B for C.
    ///
    /// ```
    /// let product = |blas: &threadctl::dispatch::Blas, a: &[f64; 4], b: &mut [f64; 2]| {
    ///     // SAFETY: a 2x2 matrix, of which the lower triangle is read, and one of 2x1.
    ///     unsafe { blas.trmm(b'L', b'L', b'N', b'N', 2, 1, 1.0, a.as_ptr(), 2, b.as_mut_ptr(), 2) }
    /// };
    /// # let _ = product;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "BLAS has them")]
    pub unsafe fn trmm<T: Scalar>(
        &self,
        side: u8,
        uplo: u8,
        transa: u8,
        diag: u8,
        m: isize,
        n: isize,
        alpha: T,
        a: *const T,
        lda: isize,
        b: *mut T,
        ldb: isize,
    ) -> Result<()> {
        let flags = [side, uplo, transa, diag];
        let call = Call {
            flags,
            m,
            n,
            alpha,
            a,
            lda,
            b,
            ldb,
        };
        // SAFETY: our caller's promise, handed on.
        unsafe { self.beside_triangle("trmm", false, &call) }
    }

    /// Solves op(A) X = alpha B with `side` `b'L'`, X op(A) = alpha B with `b'R'`, where A is triangular and B is m x n;
    /// X takes B's place.
    ///
    /// # Errors
    /// As for [`gemm`](Blas::gemm).
    ///
    /// # Safety
    /// As for [`gemm`](Blas::gemm), with B for C.
    ///
    /// ```
    /// let solve = |blas: &threadctl::dispatch::Blas, a: &[f64; 4], b: &mut [f64; 2]| {
    ///     // SAFETY: a 2x2 matrix, of which the upper triangle is read, and one of 1x2.
    ///     unsafe { blas.trsm(b'R', b'U', b'T', b'U', 1, 2, 1.0, a.as_ptr(), 2, b.as_mut_ptr(), 1) }
    /// };
    /// # let _ = solve;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "BLAS has them")]
    pub unsafe fn trsm<T: Scalar>(
        &self,
        side: u8,
        uplo: u8,
        transa: u8,
        diag: u8,
        m: isize,
        n: isize,
        alpha: T,
        a: *const T,
        lda: isize,
        b: *mut T,
        ldb: isize,
    ) -> Result<()> {
        let flags = [side, uplo, transa, diag];
        let call = Call {
            flags,
            m,
            n,
            alpha,
            a,
            lda,
            b,
            ldb,
        };
        // SAFETY: our caller's promise, handed on.
        unsafe { self.beside_triangle("trsm", true, &call) }
    }

    /// # Safety
    /// As for [`gemm`](Blas::gemm), with B for C.
    unsafe fn beside_triangle<T: Scalar>(
        &self,
        name: &str,
        solve: bool,
        call: &Call<T>,
    ) -> Result<()> {
        let kernels = self.kernels::<T>();
        let &Call {
            flags: [side, uplo, trans, diag],
            m,
            n,
            alpha,
            a,
            lda,
            b,
            ldb,
        } = call;
        self.check(name, &[m, n, lda, ldb])?;
        let own = |m, n, alpha, a, b| {
            let routine = if solve { Kernels::trsm } else { Kernels::trmm };
            // SAFETY: the whole, or a part of it; our caller's promise.
            unsafe {
                routine(
                    kernels, side, uplo, trans, diag, m, n, alpha, a, lda, b, ldb,
                )
            };
        };
        let through = || own(m, n, alpha, a, b);
        let (order, free) = if side.eq_ignore_ascii_case(&b'L') {
            (m, n)
        } else {
            (n, m)
        };
        if policy::tiny::<T>(order, order, free) {
            return self.through(through);
        }
        let plan = (|| {
            let left = letter(side, *b"LR")?;
            let lower = letter(uplo, *b"LU")?;
            let trans = Trans::read(trans)?;
            letter(diag, *b"UN")?;
            let [order, free, lda, ldb] = positive([order, free, lda, ldb])?;
            let shape = if left { [order, free] } else { [free, order] };
            let (a, b) = (
                Op::new(Matrix::input(a, lda), trans),
                Matrix::output(b, ldb),
            );
            let valid = alpha != T::ZERO && b.holds(shape) && a.is_apart([order, order], b, shape);
            let cut =
                self.shared(|pool| valid.then(|| policy::substitution::<T>(order, free, pool))?)?;
            let blocked = Blocked {
                left,
                // A lower triangle as it is taken uses rows further up, or columns further on.
                onwards: (lower == (trans == Trans::No)) == left,
                order,
                free,
                a,
                b,
            };
            Some((cut, blocked))
        })();
        let Some((cut, call)) = plan else {
            return self.through(through);
        };
        let part = |free: usize, order: usize| {
            let (free, order) = (free as isize, order as isize);
            if call.left {
                [order, free]
            } else {
                [free, order]
            }
        };
        let whole = Size::of_product::<T>(call.order, call.order / 2, call.free);
        match cut {
            Substitution::Free(cut) => self.tiles_of(whole, cut.parts(), &|tile| {
                let lines = cut.part(tile);
                let target = if call.left {
                    call.b.from(0, lines.start)
                } else {
                    call.b.from(lines.start, 0)
                };
                let [m, n] = part(lines.len(), call.order);
                own(m, n, alpha, call.a.ptr(), target.ptr_mut());
            }),
            Substitution::Blocks(size) => {
                // trsm goes where results are used, trmm from there, lest it uses what it has changed.
                let blocks = call.order.div_ceil(size);
                for step in 0..blocks {
                    let index = if call.onwards == solve {
                        step
                    } else {
                        blocks - 1 - step
                    };
                    let block = index * size..((index + 1) * size).min(call.order);
                    // The first step of trsm scales what is left of B.
                    let scale = if solve && step > 0 { T::ONE } else { alpha };
                    let diagonal = || {
                        let _held = self.held();
                        let [m, n] = part(call.free, block.len());
                        let a = call.a.from(block.start, block.start).ptr();
                        own(m, n, scale, a, call.lines(block.start).ptr_mut());
                    };
                    if solve {
                        diagonal();
                        // SAFETY: our caller's promise; this part of B is final.
                        unsafe { self.spread(&call, &block, (-T::ONE, scale)) };
                    } else {
                        // SAFETY: our caller's promise; this part of B is as it was.
                        unsafe { self.spread(&call, &block, (alpha, T::ONE)) };
                        diagonal();
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds what a block of B contributes to the rest of it: rest = alpha A block + beta rest, or with A on the right.
    ///
    /// # Safety
    /// As for [`gemm`](Blas::gemm), with B for C.
    unsafe fn spread<T: Scalar>(
        &self,
        call: &Blocked<T>,
        block: &Range<usize>,
        (alpha, beta): (T, T),
    ) {
        let rest = call.rest(block);
        if rest.is_empty() {
            return;
        }
        let kernels = self.kernels::<T>();
        let source = call.lines(block.start).plain();
        let tile = |lines: Range<usize>| {
            let (shape, first, second) = if call.left {
                let shape = [lines.len(), call.free, block.len()];
                (shape, call.a.from(lines.start, block.start), source)
            } else {
                let shape = [call.free, lines.len(), block.len()];
                (shape, source, call.a.from(block.start, lines.start))
            };
            let target = call.lines(lines.start);
            // SAFETY: our caller's promise: a part of B that no other tile has, and that the block is not in.
            unsafe { product(kernels, shape, (alpha, first, second), (beta, target)) };
        };
        let cut = self.shared(|pool| policy::along::<T>(rest.len(), call.free * block.len(), pool));
        let Some(cut) = cut else {
            let _held = self.held();
            return tile(rest);
        };
        let size = Size::of_product::<T>(rest.len(), call.free, block.len());
        self.tiles_of(size, cut.parts(), &|index| {
            let part = cut.part(index);
            tile(rest.start + part.start..rest.start + part.end);
        });
    }
}
