//! syrk, herk, syr2k, her2k and gemmt: the calls of the family of `rank.rs`.

use super::operand::{Op, product};
use super::rank::{Sum, Term};
use crate::dispatch::backend::Blas;
use crate::dispatch::check::{Trans, letter, positive};
use crate::dispatch::matrix::Matrix;
use crate::dispatch::ptr::Shared;
use crate::dispatch::scalar::Scalar;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::blas::Kernels;

/// Whether and how A is transposed, where BLAS allows one way only for complex elements and all for real ones.
fn transposed<T: Scalar>(flag: u8, hermitian: bool) -> Option<Trans> {
    let trans = Trans::read(flag)?;
    let other = if hermitian {
        Trans::Yes
    } else {
        Trans::Conjugated
    };
    (!T::COMPLEX || trans != other).then_some(trans)
}

/// How far on the rows from `start` on begin in a matrix as it is taken.
fn rows_from(flag: u8, start: usize, ld: isize) -> usize {
    if flag.eq_ignore_ascii_case(&b'N') {
        start
    } else {
        columns(start, ld)
    }
}

/// How far on its columns from `start` on begin.
fn cols_from(flag: u8, start: usize, ld: isize) -> usize {
    if flag.eq_ignore_ascii_case(&b'N') {
        columns(start, ld)
    } else {
        start
    }
}

/// How far on in C the diagonal from `start` on begins.
fn diagonal(start: usize, ld: isize) -> usize {
    columns(start, ld).wrapping_add(start)
}

/// So many columns. Where the distance is no distance, `start` is 0: the call goes through.
fn columns(start: usize, ld: isize) -> usize {
    start.wrapping_mul(ld as usize)
}

/// What syrk and herk compute from one matrix, syr2k and her2k from two.
fn sum<T: Scalar>(
    hermitian: bool,
    [uplo, trans]: [u8; 2],
    [n, k]: [isize; 2],
    alpha: T,
    factors: [Option<(Shared<T>, isize)>; 2],
    beta: T,
    (c, ldc): (Shared<T>, isize),
) -> Option<Sum<T>> {
    let lower = letter(uplo, *b"LU")?;
    let trans = transposed::<T>(trans, hermitian)?;
    let [order, depth, ldc] = positive([n, k, ldc])?;
    let op = |(start, ld)| {
        let [ld] = positive([ld])?;
        Some(Op::new(Matrix::new(start, ld), trans))
    };
    let term = |factor, left, right: Op<T>| {
        Some(Term {
            factor,
            left,
            right: right.transposed(hermitian),
        })
    };
    let a = op(factors[0]?)?;
    let terms = match factors[1] {
        None => [term(alpha, a, a), None],
        Some(b) => {
            let b = op(b)?;
            let other = if hermitian { alpha.conj() } else { alpha };
            [term(alpha, a, b), term(other, b, a)]
        }
    };
    Some(Sum {
        lower,
        order,
        depth,
        terms,
        beta,
        c: Matrix::new(c, ldc),
    })
}

/// Up to this order a triangle is computed as a square, aside, when the library has no gemmt.
const SQUARE: usize = 16;

/// The block of that size on the diagonal of a sum of one term, by gemm alone.
///
/// # Safety
/// As for [`Blas::gemm`]; nobody else touches this triangle of C.
unsafe fn by_products<T: Scalar>(kernels: &Kernels<T>, sum: &Sum<T>, size: usize, start: usize) {
    let [Some(term), _] = sum.terms else {
        return;
    };
    let rectangle = |rows: usize, cols: usize, shape: [usize; 2], (beta, c)| {
        let factors = (
            term.factor,
            term.left.from(rows, 0),
            term.right.from(0, cols),
        );
        // SAFETY: rows of the left factor and columns of the right one, and a place of that shape.
        unsafe { product(kernels, [shape[0], shape[1], sum.depth], factors, (beta, c)) };
    };
    if size > SQUARE {
        let half = (size / 2).next_multiple_of(SQUARE);
        let (rest, middle) = (size - half, start + half);
        let (rows, cols, shape) = if sum.lower {
            (middle, start, [rest, half])
        } else {
            (start, middle, [half, rest])
        };
        rectangle(rows, cols, shape, (sum.beta, sum.c.from(rows, cols)));
        // SAFETY: our caller's promise, for parts of the triangle.
        unsafe {
            by_products(kernels, sum, half, start);
            by_products(kernels, sum, rest, middle);
        }
        return;
    }
    let mut square = [T::ZERO; SQUARE * SQUARE];
    let aside = Matrix::output(square.as_mut_ptr(), SQUARE);
    rectangle(start, start, [size, size], (T::ZERO, aside));
    for col in 0..size {
        let rows = if sum.lower { col..size } else { 0..col + 1 };
        for row in rows {
            let place = sum.c.from(start + row, start + col).ptr_mut();
            // SAFETY: an element of this triangle, and one of the square, which nothing else points to any more.
            unsafe {
                let new = *aside.from(row, col).ptr();
                // What C holds is not looked at when beta is 0.
                *place = if sum.beta == T::ZERO {
                    new
                } else {
                    sum.beta * *place + new
                };
            }
        }
    }
}

impl Blas {
    /// C = alpha op(A) op(A)^T + beta C, where op(A) is n x k; one triangle of C is written and no other element.
    ///
    /// # Errors
    /// As for [`gemm`](Blas::gemm).
    ///
    /// # Safety
    /// As for [`gemm`](Blas::gemm).
    ///
    /// ```
    /// let squares = |blas: &threadctl::dispatch::Blas, a: &[f64; 6]| {
    ///     let mut c = [0.0; 4];
    ///     // SAFETY: a matrix of 2x3, and one of 2x2.
    ///     unsafe { blas.syrk(b'L', b'N', 2, 3, 1.0, a.as_ptr(), 2, 0.0, c.as_mut_ptr(), 2) }?;
    ///     threadctl::Result::Ok(c)
    /// };
    /// # let _ = squares;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "BLAS has them")]
    pub unsafe fn syrk<T: Scalar>(
        &self,
        uplo: u8,
        trans: u8,
        n: isize,
        k: isize,
        alpha: T,
        a: *const T,
        lda: isize,
        beta: T,
        c: *mut T,
        ldc: isize,
    ) -> Result<()> {
        let kernels = self.kernels::<T>();
        self.check("syrk", &[n, k, lda, ldc])?;
        let (a, c) = (Shared::input(a), Shared::output(c));
        let own = |size, start| {
            let a = a.moved(rows_from(trans, start, lda)).ptr();
            let c = c.moved(diagonal(start, ldc)).ptr_mut();
            // SAFETY: the whole, or a block of it; our caller's promise.
            unsafe { kernels.syrk(uplo, trans, size, k, alpha, a, lda, beta, c, ldc) };
        };
        let read = || {
            sum::<T>(
                false,
                [uplo, trans],
                [n, k],
                alpha,
                [Some((a, lda)), None],
                beta,
                (c, ldc),
            )
        };
        // SAFETY: our caller's promise, handed on.
        unsafe { self.rank([n, k], own, read) }
    }

    /// C = alpha op(A) op(A)^H + beta C, where op(A) is n x k; one triangle of C is written and no other element. The
    /// imaginary parts of its diagonal become 0.
    ///
    /// # Errors
    /// As for [`gemm`](Blas::gemm).
    ///
    /// # Safety
    /// As for [`gemm`](Blas::gemm).
    ///
    /// ```
    /// use num_complex::Complex;
    /// let squares = |blas: &threadctl::dispatch::Blas, a: &[Complex<f32>; 6]| {
    ///     let mut c = [Complex::new(0.0, 0.0); 4];
    ///     // SAFETY: a matrix of 3x2, and one of 2x2.
    ///     unsafe { blas.herk(b'U', b'C', 2, 3, 1.0, a.as_ptr(), 3, 0.0, c.as_mut_ptr(), 2) }?;
    ///     threadctl::Result::Ok(c)
    /// };
    /// # let _ = squares;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "BLAS has them")]
    pub unsafe fn herk<T: Scalar>(
        &self,
        uplo: u8,
        trans: u8,
        n: isize,
        k: isize,
        alpha: T::Real,
        a: *const T,
        lda: isize,
        beta: T::Real,
        c: *mut T,
        ldc: isize,
    ) -> Result<()> {
        let kernels = self.kernels::<T>();
        self.check("herk", &[n, k, lda, ldc])?;
        let (a, c) = (Shared::input(a), Shared::output(c));
        let own = |size, start| {
            let a = a.moved(rows_from(trans, start, lda)).ptr();
            let c = c.moved(diagonal(start, ldc)).ptr_mut();
            // SAFETY: the whole, or a block of it; our caller's promise.
            unsafe { kernels.herk(uplo, trans, size, k, alpha, a, lda, beta, c, ldc) };
        };
        let read = || {
            let (alpha, beta) = (T::of_real(alpha), T::of_real(beta));
            sum(
                true,
                [uplo, trans],
                [n, k],
                alpha,
                [Some((a, lda)), None],
                beta,
                (c, ldc),
            )
        };
        // SAFETY: our caller's promise, handed on.
        unsafe { self.rank([n, k], own, read) }
    }

    /// C = alpha op(A) op(B)^T + alpha op(B) op(A)^T + beta C, where op(A) and op(B) are n x k; one triangle of C is
    /// written and no other element.
    ///
    /// # Errors
    /// As for [`gemm`](Blas::gemm).
    ///
    /// # Safety
    /// As for [`gemm`](Blas::gemm).
    ///
    /// ```
    /// let sum = |blas: &threadctl::dispatch::Blas, a: &[f64; 6], b: &[f64; 6]| {
    ///     let mut c = [0.0; 4];
    ///     // SAFETY: two matrices of 2x3, and one of 2x2.
    ///     unsafe { blas.syr2k(b'L', b'N', 2, 3, 1.0, a.as_ptr(), 2, b.as_ptr(), 2, 0.0, c.as_mut_ptr(), 2) }?;
    ///     threadctl::Result::Ok(c)
    /// };
    /// # let _ = sum;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "BLAS has them")]
    pub unsafe fn syr2k<T: Scalar>(
        &self,
        uplo: u8,
        trans: u8,
        n: isize,
        k: isize,
        alpha: T,
        a: *const T,
        lda: isize,
        b: *const T,
        ldb: isize,
        beta: T,
        c: *mut T,
        ldc: isize,
    ) -> Result<()> {
        let kernels = self.kernels::<T>();
        self.check("syr2k", &[n, k, lda, ldb, ldc])?;
        let (a, b, c) = (Shared::input(a), Shared::input(b), Shared::output(c));
        let own = |size, start| {
            let a = a.moved(rows_from(trans, start, lda)).ptr();
            let b = b.moved(rows_from(trans, start, ldb)).ptr();
            let c = c.moved(diagonal(start, ldc)).ptr_mut();
            // SAFETY: the whole, or a block of it; our caller's promise.
            unsafe { kernels.syr2k(uplo, trans, size, k, alpha, a, lda, b, ldb, beta, c, ldc) };
        };
        let (ab, shape) = ([Some((a, lda)), Some((b, ldb))], [n, k]);
        let read = || sum::<T>(false, [uplo, trans], shape, alpha, ab, beta, (c, ldc));
        // SAFETY: our caller's promise, handed on.
        unsafe { self.rank([n, k], own, read) }
    }

    /// C = alpha op(A) op(B)^H + conj(alpha) op(B) op(A)^H + beta C, where op(A) and op(B) are n x k; one triangle of C
    /// is written and no other element. The imaginary parts of its diagonal become 0.
    ///
    /// # Errors
    /// As for [`gemm`](Blas::gemm).
    ///
    /// # Safety
    /// As for [`gemm`](Blas::gemm).
    ///
    /// ```
    /// use num_complex::Complex;
    /// let sum = |blas: &threadctl::dispatch::Blas, a: &[Complex<f64>; 6], b: &[Complex<f64>; 6]| {
    ///     let mut c = [Complex::new(0.0, 0.0); 4];
    ///     let i = Complex::new(0.0, 1.0);
    ///     // SAFETY: two matrices of 3x2, and one of 2x2.
    ///     unsafe { blas.her2k(b'U', b'C', 2, 3, i, a.as_ptr(), 3, b.as_ptr(), 3, 0.0, c.as_mut_ptr(), 2) }?;
    ///     threadctl::Result::Ok(c)
    /// };
    /// # let _ = sum;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "BLAS has them")]
    pub unsafe fn her2k<T: Scalar>(
        &self,
        uplo: u8,
        trans: u8,
        n: isize,
        k: isize,
        alpha: T,
        a: *const T,
        lda: isize,
        b: *const T,
        ldb: isize,
        beta: T::Real,
        c: *mut T,
        ldc: isize,
    ) -> Result<()> {
        let kernels = self.kernels::<T>();
        self.check("her2k", &[n, k, lda, ldb, ldc])?;
        let (a, b, c) = (Shared::input(a), Shared::input(b), Shared::output(c));
        let own = |size, start| {
            let a = a.moved(rows_from(trans, start, lda)).ptr();
            let b = b.moved(rows_from(trans, start, ldb)).ptr();
            let c = c.moved(diagonal(start, ldc)).ptr_mut();
            // SAFETY: the whole, or a block of it; our caller's promise.
            unsafe { kernels.her2k(uplo, trans, size, k, alpha, a, lda, b, ldb, beta, c, ldc) };
        };
        let (ab, shape) = ([Some((a, lda)), Some((b, ldb))], [n, k]);
        let read = || {
            let beta = T::of_real(beta);
            sum(true, [uplo, trans], shape, alpha, ab, beta, (c, ldc))
        };
        // SAFETY: our caller's promise, handed on.
        unsafe { self.rank([n, k], own, read) }
    }

    /// C = alpha op(A) op(B) + beta C, where op(A) is n x k and op(B) is k x n; one triangle of C is written and no other
    /// element. Libraries that have no such routine do it by blocks.
    ///
    /// # Errors
    /// As for [`gemm`](Blas::gemm); and [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for arguments that BLAS
    /// forbids where the library has no gemmt, and hence no error handling for it.
    ///
    /// # Safety
    /// As for [`gemm`](Blas::gemm).
    ///
    /// ```
    /// let product = |blas: &threadctl::dispatch::Blas, a: &[f64; 6], b: &[f64; 6]| {
    ///     let mut c = [0.0; 4];
    ///     // SAFETY: matrices of 2x3, 3x2 and 2x2.
    ///     unsafe { blas.gemmt(b'L', b'N', b'N', 2, 3, 1.0, a.as_ptr(), 2, b.as_ptr(), 3, 0.0, c.as_mut_ptr(), 2) }?;
    ///     threadctl::Result::Ok(c)
    /// };
    /// # let _ = product;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "BLAS has them")]
    pub unsafe fn gemmt<T: Scalar>(
        &self,
        uplo: u8,
        transa: u8,
        transb: u8,
        n: isize,
        k: isize,
        alpha: T,
        a: *const T,
        lda: isize,
        b: *const T,
        ldb: isize,
        beta: T,
        c: *mut T,
        ldc: isize,
    ) -> Result<()> {
        let kernels = self.kernels::<T>();
        self.check("gemmt", &[n, k, lda, ldb, ldc])?;
        let (a, b, c) = (Shared::input(a), Shared::input(b), Shared::output(c));
        let read = || {
            let [lda, ldb, ldc] = positive([lda, ldb, ldc])?;
            let term = Term {
                factor: alpha,
                left: Op::new(Matrix::new(a, lda), Trans::read(transa)?),
                right: Op::new(Matrix::new(b, ldb), Trans::read(transb)?),
            };
            Some(Sum {
                lower: letter(uplo, *b"LU")?,
                order: usize::try_from(n).ok()?,
                depth: usize::try_from(k).ok()?,
                terms: [Some(term), None],
                beta,
                c: Matrix::new(c, ldc),
            })
        };
        if kernels.has_gemmt() {
            let own = |size, start| {
                let a = a.moved(rows_from(transa, start, lda)).ptr();
                let b = b.moved(cols_from(transb, start, ldb)).ptr();
                let c = c.moved(diagonal(start, ldc)).ptr_mut();
                let flags = (uplo, transa, transb);
                // SAFETY: the whole, or a block of it; our caller's promise.
                unsafe {
                    kernels.gemmt(
                        flags.0, flags.1, flags.2, size, k, alpha, a, lda, b, ldb, beta, c, ldc,
                    );
                };
            };
            // SAFETY: our caller's promise, handed on.
            return unsafe { self.rank([n, k], own, read) };
        }
        let Some(mut sum) = read().filter(Sum::holds) else {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "gemmt with uplo, transa, transb {:?}, n, k, lda, ldb, ldc {:?}: BLAS forbids these, and {} has no \
                     gemmt to say what is wrong with them",
                    [uplo, transa, transb].map(char::from),
                    [n, k, lda, ldb, ldc],
                    self.path().display()
                ),
            ));
        };
        if (alpha == T::ZERO || k == 0) && beta == T::ONE {
            return Ok(());
        }
        // Not every gemm leaves its factors alone where alpha is 0 (OpenBLAS 0.3.21 with small ones).
        if alpha == T::ZERO {
            sum.depth = 0;
        }
        // SAFETY: our caller's promise, handed on.
        let own = |size: isize, start| unsafe { by_products(kernels, &sum, size as usize, start) };
        // SAFETY: as above.
        unsafe { self.rank([n, k], own, || Some(sum)) }
    }
}
