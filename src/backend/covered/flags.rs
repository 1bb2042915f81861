//! The constants of CBLAS, and how a call on matrices by rows reads on their transposes. Pure.
//!
//! Invariant: `None` is for what CBLAS forbids, and for what has no counterpart by columns.

use crate::error::Result;
use std::ffi::c_int;

/// Whether matrices are stored by rows.
pub(super) fn by_rows(order: c_int) -> Option<bool> {
    match order {
        101 => Some(true),
        102 => Some(false),
        _ => None,
    }
}

pub(super) fn trans(flag: c_int) -> Option<u8> {
    match flag {
        111 => Some(b'N'),
        112 => Some(b'T'),
        113 => Some(b'C'),
        _ => None,
    }
}

/// By rows it is the other triangle of the transpose.
pub(super) fn uplo(flag: c_int, rows: bool) -> Option<u8> {
    match (flag, rows) {
        (121, false) | (122, true) => Some(b'U'),
        (122, false) | (121, true) => Some(b'L'),
        _ => None,
    }
}

pub(super) fn diag(flag: c_int) -> Option<u8> {
    match flag {
        131 => Some(b'N'),
        132 => Some(b'U'),
        _ => None,
    }
}

/// By rows the factors of the transposed product change places.
pub(super) fn side(flag: c_int, rows: bool) -> Option<u8> {
    match (flag, rows) {
        (141, false) | (142, true) => Some(b'L'),
        (142, false) | (141, true) => Some(b'R'),
        _ => None,
    }
}

/// How the stored matrix is taken, where by rows it is the transpose. Conjugated without being transposed is nothing that
/// BLAS has.
pub(super) fn other(trans: u8, rows: bool, complex: bool) -> Option<u8> {
    match (trans, rows) {
        (_, false) => Some(trans),
        (b'N', true) => Some(b'T'),
        (b'T', true) => Some(b'N'),
        _ => (!complex).then_some(b'N'),
    }
}

/// The same for products of a matrix and its own adjoint, where the result is conjugated with it.
pub(super) fn adjoint(flag: c_int, rows: bool) -> Option<u8> {
    match (trans(flag)?, rows) {
        (b'N', false) | (b'C', true) => Some(b'N'),
        (b'C', false) | (b'N', true) => Some(b'C'),
        _ => None,
    }
}

/// The rows and columns of the transpose, which is what is stored by columns.
pub(super) fn turned(rows: bool, [m, n]: [isize; 2]) -> Option<[isize; 2]> {
    sizes([m, n])?;
    Some(if rows { [n, m] } else { [m, n] })
}

/// The least stride of a matrix that is m x n as it is taken.
pub(super) fn order_of(rows: bool, trans: u8, [m, n]: [isize; 2]) -> isize {
    if rows == (trans == b'N') { n } else { m }
}

/// A stride that is large enough.
pub(super) fn least(stride: isize, length: isize) -> Option<()> {
    (stride >= length.max(1)).then_some(())
}

pub(super) fn sizes<const N: usize>(sizes: [isize; N]) -> Option<()> {
    sizes.iter().all(|size| *size >= 0).then_some(())
}

pub(super) fn steps<const N: usize>(steps: [isize; N]) -> Option<()> {
    steps.iter().all(|step| *step != 0).then_some(())
}

pub(super) fn never(condition: bool) -> Option<()> {
    (!condition).then_some(())
}

/// An outer product of two vectors added to a matrix: by rows, the vectors change places.
pub(super) fn outer<T>(
    order: c_int,
    [m, n, incx, incy, lda]: [isize; 5],
    (x, y): (*const T, *const T),
    call: impl FnOnce([isize; 5], *const T, *const T) -> Result<()>,
) -> Option<Result<()>> {
    let rows = by_rows(order)?;
    sizes([m, n])?;
    steps([incx, incy])?;
    Some(if rows {
        least(lda, n)?;
        call([n, m, incy, incx, lda], y, x)
    } else {
        least(lda, m)?;
        call([m, n, incx, incy, lda], x, y)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_by_rows_is_its_transpose() {
        assert_eq!(
            [uplo(121, true), uplo(121, false)],
            [Some(b'L'), Some(b'U')]
        );
        assert_eq!(
            [side(141, true), side(141, false)],
            [Some(b'R'), Some(b'L')]
        );
        assert_eq!(other(b'N', true, true), Some(b'T'));
        assert_eq!(other(b'C', true, true), None);
        assert_eq!(other(b'C', true, false), Some(b'N'));
        assert_eq!(
            [adjoint(111, true), adjoint(113, true)],
            [Some(b'C'), Some(b'N')]
        );
        assert_eq!(adjoint(112, false), None);
        // 3 x 5 by rows: 5 apart; by columns: 3 apart; what is taken transposed is stored the other way.
        assert_eq!(order_of(true, b'N', [3, 5]), 5);
        assert_eq!(order_of(false, b'N', [3, 5]), 3);
        assert_eq!(order_of(true, b'T', [3, 5]), 3);
        assert_eq!(order_of(false, b'C', [3, 5]), 5);
    }

    #[test]
    fn what_cblas_forbids_is_none() {
        assert_eq!((by_rows(0), trans(0), diag(0)), (None, None, None));
        assert_eq!((uplo(0, true), side(0, false)), (None, None));
        assert_eq!(
            (least(0, 0), least(1, 0), least(4, 5)),
            (None, Some(()), None)
        );
        assert_eq!((sizes([-1]), steps([0])), (None, None));
    }
}
