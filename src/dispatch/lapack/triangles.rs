//! Triangles: their inverses and squares, what is solved by them, and the inverses that are made of these.
//!
//! Sources: J. Du Croz, N. Higham, "Stability of methods for matrix inversion", IMA J. Numer. Anal. 12 (1992), for which
//! factor of the corner is inverted already when it is used; E. Elmroth, F. Gustavson, I. Jonsson, B. Kagstrom, "Recursive
//! blocked algorithms and hybrid data structures for dense matrix library software", SIAM Review 46 (2004), for the recursions.

use super::cells::{get, set};
use super::{forbidden, is_leading, is_one_of, size};
use crate::dispatch::backend::Blas;
use crate::dispatch::matrix::Matrix;
use crate::dispatch::policy::lapack::numbers;
use crate::dispatch::scalar::Scalar;
use crate::error::Result;

/// What is stored of a triangle: its side, and whether its diagonal is.
#[derive(Debug, Clone, Copy)]
struct Kind {
    uplo: u8,
    diag: u8,
}

impl Kind {
    fn is_lower(self) -> bool {
        self.uplo.eq_ignore_ascii_case(&b'L')
    }

    fn is_unit(self) -> bool {
        self.diag.eq_ignore_ascii_case(&b'U')
    }
}

/// The first zero on the diagonal, from 1; 0 if there is none.
///
/// # Safety
/// The diagonal lives, and nobody writes to it.
unsafe fn first_zero<T: Scalar>(a: Matrix<T>, n: usize) -> isize {
    // SAFETY: our caller's promise.
    let zero = (0..n).find(|&i| unsafe { get(a, i, i) } == T::ZERO);
    zero.map_or(0, |at| at as isize + 1)
}

impl Blas {
    /// The inverse of a triangle of order n, in its place: the lower one with `uplo` `b'L'`, the upper one with `b'U'`; with
    /// `diag` `b'U'` its diagonal is all ones, and not stored.
    ///
    /// Returns LAPACK's `info`: 0, or -i if it forbids argument i, or i if `A[i, i]` is zero; nothing is computed then.
    ///
    /// # Errors
    /// As for [`gemm`](Blas::gemm).
    ///
    /// # Safety
    /// A is as large as the arguments say, and nobody touches it meanwhile.
    ///
    /// ```
    /// let invert = |blas: &threadctl::dispatch::Blas, a: &mut [f64; 4]| {
    ///     // SAFETY: a 2x2 matrix.
    ///     unsafe { blas.trtri(b'U', b'N', 2, a.as_mut_ptr(), 2) }
    /// };
    /// # let _ = invert;
    /// ```
    pub unsafe fn trtri<T: Scalar>(
        &self,
        uplo: u8,
        diag: u8,
        n: isize,
        a: *mut T,
        lda: isize,
    ) -> Result<isize> {
        self.check("trtri", &[n, lda])?;
        let lapack = self.lapack::<T>();
        // SAFETY: our caller's promise, handed on; of a forbidden call nothing but these arguments is looked at.
        let own = || unsafe { lapack.trtri(uplo, diag, n, a, lda) };
        let bad = forbidden(&[
            (is_one_of(uplo, b"UL"), 1),
            (is_one_of(diag, b"NU"), 2),
            (n >= 0, 3),
            (is_leading(lda, n), 5),
        ]);
        if let Some(info) = bad {
            return self.refused(info, own);
        }
        let order = size(n);
        let (kind, matrix) = (Kind { uplo, diag }, Matrix::output(a, size(lda)));
        // SAFETY: as above.
        unsafe {
            if !kind.is_unit() {
                let info = first_zero(matrix, order);
                if info != 0 {
                    return Ok(info);
                }
            }
            let small = order == 0 || numbers().is_small::<T>(order, order, order);
            if let Some(info) = self.undivided_lapack(small, own)? {
                return Ok(info);
            }
            self.invert_triangle(kind, order, matrix)?;
        }
        Ok(0)
    }

    /// # Safety
    /// As for [`trtri`](Blas::trtri); there is no zero on the diagonal.
    unsafe fn invert_triangle<T: Scalar>(&self, kind: Kind, n: usize, a: Matrix<T>) -> Result<()> {
        let Kind { uplo, diag } = kind;
        // SAFETY: our caller's promise, handed on: parts of the triangle, one after the other.
        unsafe {
            let lapack = self.lapack::<T>();
            let own = || lapack.trtri(uplo, diag, n as isize, a.ptr_mut(), a.ld());
            if n <= numbers().block && self.through(own)?.is_some() {
                return Ok(());
            }
            if n <= numbers().single {
                invert_by_columns(kind, n, a);
                return Ok(());
            }
            let half = numbers().half(n);
            let (first, second) = (half as isize, (n - half) as isize);
            let (rest, ld) = (a.from(half, half), a.ld());
            self.invert_triangle(kind, half, a)?;
            // The corner between two factors: the first is inverted already, the second is not.
            if kind.is_lower() {
                let corner = a.from(half, 0).ptr_mut();
                self.trmm(
                    b'R',
                    uplo,
                    b'N',
                    diag,
                    second,
                    first,
                    T::ONE,
                    a.ptr(),
                    ld,
                    corner,
                    ld,
                )?;
                self.trsm(
                    b'L',
                    uplo,
                    b'N',
                    diag,
                    second,
                    first,
                    -T::ONE,
                    rest.ptr(),
                    ld,
                    corner,
                    ld,
                )?;
            } else {
                let corner = a.from(0, half).ptr_mut();
                self.trmm(
                    b'L',
                    uplo,
                    b'N',
                    diag,
                    first,
                    second,
                    T::ONE,
                    a.ptr(),
                    ld,
                    corner,
                    ld,
                )?;
                self.trsm(
                    b'R',
                    uplo,
                    b'N',
                    diag,
                    first,
                    second,
                    -T::ONE,
                    rest.ptr(),
                    ld,
                    corner,
                    ld,
                )?;
            }
            self.invert_triangle(kind, n - half, rest)
        }
    }

    /// U U^H with `uplo` `b'U'`, L^H L with `b'L'`, for a triangle of order n, of which the result's takes the place. Its
    /// diagonal is taken as real.
    ///
    /// Returns LAPACK's `info`: 0, or -i if it forbids argument i.
    ///
    /// # Errors
    /// As for [`gemm`](Blas::gemm).
    ///
    /// # Safety
    /// As for [`trtri`](Blas::trtri).
    ///
    /// ```
    /// let square = |blas: &threadctl::dispatch::Blas, a: &mut [f64; 4]| {
    ///     // SAFETY: a 2x2 matrix.
    ///     unsafe { blas.lauum(b'L', 2, a.as_mut_ptr(), 2) }
    /// };
    /// # let _ = square;
    /// ```
    pub unsafe fn lauum<T: Scalar>(
        &self,
        uplo: u8,
        n: isize,
        a: *mut T,
        lda: isize,
    ) -> Result<isize> {
        self.check("lauum", &[n, lda])?;
        let lapack = self.lapack::<T>();
        // SAFETY: our caller's promise, handed on; of a forbidden call nothing but these arguments is looked at.
        let own = || unsafe { lapack.lauum(uplo, n, a, lda) };
        let bad = forbidden(&[
            (is_one_of(uplo, b"UL"), 1),
            (n >= 0, 2),
            (is_leading(lda, n), 4),
        ]);
        if let Some(info) = bad {
            return self.refused(info, own);
        }
        let order = size(n);
        if order == 0 {
            return Ok(0);
        }
        let small = numbers().is_small::<T>(order, order, order);
        if let Some(info) = self.undivided_lapack(small, own)? {
            return Ok(info);
        }
        let lower = uplo.eq_ignore_ascii_case(&b'L');
        // SAFETY: as above.
        unsafe { self.square_triangle(lower, order, Matrix::output(a, size(lda))) }?;
        Ok(0)
    }

    /// # Safety
    /// As for [`lauum`](Blas::lauum).
    unsafe fn square_triangle<T: Scalar>(&self, lower: bool, n: usize, a: Matrix<T>) -> Result<()> {
        let uplo = if lower { b'L' } else { b'U' };
        // SAFETY: our caller's promise, handed on: parts of the triangle, one after the other.
        unsafe {
            let lapack = self.lapack::<T>();
            let own = || lapack.lauum(uplo, n as isize, a.ptr_mut(), a.ld());
            if n <= numbers().block && self.through(own)?.is_some() {
                return Ok(());
            }
            if n <= numbers().single {
                square_by_columns(lower, n, a);
                return Ok(());
            }
            let half = numbers().half(n);
            let (first, second) = (half as isize, (n - half) as isize);
            let (rest, ld) = (a.from(half, half), a.ld());
            let one = T::ONE.re();
            self.square_triangle(lower, half, a)?;
            if lower {
                let corner = a.from(half, 0).ptr_mut();
                self.herk(
                    uplo,
                    b'C',
                    first,
                    second,
                    one,
                    corner,
                    ld,
                    one,
                    a.ptr_mut(),
                    ld,
                )?;
                self.trmm(
                    b'L',
                    uplo,
                    b'C',
                    b'N',
                    second,
                    first,
                    T::ONE,
                    rest.ptr(),
                    ld,
                    corner,
                    ld,
                )?;
            } else {
                let corner = a.from(0, half).ptr_mut();
                self.herk(
                    uplo,
                    b'N',
                    first,
                    second,
                    one,
                    corner,
                    ld,
                    one,
                    a.ptr_mut(),
                    ld,
                )?;
                self.trmm(
                    b'R',
                    uplo,
                    b'C',
                    b'N',
                    first,
                    second,
                    T::ONE,
                    rest.ptr(),
                    ld,
                    corner,
                    ld,
                )?;
            }
            self.square_triangle(lower, n - half, rest)
        }
    }

    /// The inverse of a Hermitian matrix of order n by the factor that [`potrf`](Blas::potrf) made of it, in its place: one
    /// triangle.
    ///
    /// Returns LAPACK's `info`: 0, or -i if it forbids argument i, or i if the factor's diagonal is zero there; nothing is
    /// computed then.
    ///
    /// # Errors
    /// As for [`gemm`](Blas::gemm).
    ///
    /// # Safety
    /// As for [`trtri`](Blas::trtri).
    ///
    /// ```
    /// let invert = |blas: &threadctl::dispatch::Blas, a: &mut [f64; 4]| {
    ///     // SAFETY: the factor of a 2x2 matrix.
    ///     unsafe { blas.potri(b'L', 2, a.as_mut_ptr(), 2) }
    /// };
    /// # let _ = invert;
    /// ```
    pub unsafe fn potri<T: Scalar>(
        &self,
        uplo: u8,
        n: isize,
        a: *mut T,
        lda: isize,
    ) -> Result<isize> {
        self.check("potri", &[n, lda])?;
        let lapack = self.lapack::<T>();
        let bad = forbidden(&[
            (is_one_of(uplo, b"UL"), 1),
            (n >= 0, 2),
            (is_leading(lda, n), 4),
        ]);
        // SAFETY: our caller's promise, handed on; of a forbidden call nothing but these arguments is looked at.
        unsafe {
            if let Some(info) = bad {
                return self.refused(info, || lapack.potri(uplo, n, a, lda));
            }
            if n == 0 {
                return Ok(0);
            }
            let info = self.trtri(uplo, b'N', n, a, lda)?;
            if info != 0 {
                return Ok(info);
            }
            self.lauum(uplo, n, a, lda)
        }
    }

    /// Solves op(A) X = B, where A is a triangle of order n; X takes the place of B, which has `nrhs` columns.
    ///
    /// Returns LAPACK's `info`: 0, or -i if it forbids argument i, or i if `A[i, i]` is zero; nothing is solved then.
    ///
    /// # Errors
    /// As for [`gemm`](Blas::gemm).
    ///
    /// # Safety
    /// The operands are as large as the arguments say; nobody writes to A, or touches B, meanwhile.
    ///
    /// ```
    /// let solve = |blas: &threadctl::dispatch::Blas, a: &[f64; 4], b: &mut [f64; 2]| {
    ///     // SAFETY: a 2x2 matrix, and one column.
    ///     unsafe { blas.trtrs(b'U', b'N', b'N', 2, 1, a.as_ptr(), 2, b.as_mut_ptr(), 2) }
    /// };
    /// # let _ = solve;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "LAPACK has them")]
    pub unsafe fn trtrs<T: Scalar>(
        &self,
        uplo: u8,
        trans: u8,
        diag: u8,
        n: isize,
        nrhs: isize,
        a: *const T,
        lda: isize,
        b: *mut T,
        ldb: isize,
    ) -> Result<isize> {
        self.check("trtrs", &[n, nrhs, lda, ldb])?;
        let lapack = self.lapack::<T>();
        let bad = forbidden(&[
            (is_one_of(uplo, b"UL"), 1),
            (is_one_of(trans, b"NTC"), 2),
            (is_one_of(diag, b"NU"), 3),
            (n >= 0, 4),
            (nrhs >= 0, 5),
            (is_leading(lda, n), 7),
            (is_leading(ldb, n), 9),
        ]);
        // SAFETY: our caller's promise, handed on; of a forbidden call nothing but these arguments is looked at.
        unsafe {
            if let Some(info) = bad {
                return self.refused(info, || {
                    lapack.trtrs(uplo, trans, diag, n, nrhs, a, lda, b, ldb)
                });
            }
            if !diag.eq_ignore_ascii_case(&b'U') {
                let info = first_zero(Matrix::input(a, size(lda)), size(n));
                if info != 0 {
                    return Ok(info);
                }
            }
            if n > 0 && nrhs > 0 {
                self.trsm(b'L', uplo, trans, diag, n, nrhs, T::ONE, a, lda, b, ldb)?;
            }
        }
        Ok(0)
    }
}

/// The inverse of a very small triangle, column by column.
///
/// # Safety
/// It is an output that lives, and that nobody else touches.
unsafe fn invert_by_columns<T: Scalar>(kind: Kind, n: usize, a: Matrix<T>) {
    // Of a lower triangle the last column comes first, so that what a column is multiplied by is inverted already.
    let order: Vec<usize> = if kind.is_lower() {
        (0..n).rev().collect()
    } else {
        (0..n).collect()
    };
    for col in order {
        let inside: Vec<usize> = if kind.is_lower() {
            (col + 1..n).rev().collect()
        } else {
            (0..col).collect()
        };
        // SAFETY: our caller's promise: elements of the triangle.
        unsafe {
            let pivot = if kind.is_unit() {
                T::ONE
            } else {
                let inverse = T::ONE / get(a, col, col);
                set(a, col, col, inverse);
                inverse
            };
            // The column beside the diagonal, times the inverse of the triangle beside it, times -pivot.
            for &row in &inside {
                let mut sum = T::ZERO;
                for &with in &inside {
                    let is_stored = if kind.is_lower() {
                        with <= row
                    } else {
                        with >= row
                    };
                    if !is_stored {
                        continue;
                    }
                    let value = get(a, with, col);
                    sum += if with == row && kind.is_unit() {
                        value
                    } else {
                        get(a, row, with) * value
                    };
                }
                set(a, row, col, -(sum * pivot));
            }
        }
    }
}

/// The square of a very small triangle, element by element.
///
/// # Safety
/// It is an output that lives, and that nobody else touches.
unsafe fn square_by_columns<T: Scalar>(lower: bool, n: usize, a: Matrix<T>) {
    // SAFETY: our caller's promise: elements of the triangle, of which those that come later are as they were.
    unsafe {
        for i in 0..n {
            let diagonal = T::of_real(get(a, i, i).re());
            // Row i of L^H L, or column i of U U^H, from its first element to the diagonal, last.
            for j in 0..=i {
                let mut sum = T::ZERO;
                for k in i..n {
                    let (one, other) = if lower {
                        (get(a, k, i), get(a, k, j))
                    } else {
                        (get(a, i, k), get(a, j, k))
                    };
                    let one = if k == i { diagonal } else { one };
                    let other = if k == i && j == i { diagonal } else { other };
                    sum += one.conj() * other;
                }
                if i == j {
                    sum = T::of_real(sum.re());
                }
                let (row, col) = if lower { (i, j) } else { (j, i) };
                set(a, row, col, sum);
            }
        }
    }
}
