//! Many products of one shape: groups of them are tiles, and where they are few and large each is cut as well.

use super::gemm::Factors;
use super::operand::Op;
use crate::dispatch::backend::Blas;
use crate::dispatch::check::{Trans, positive};
use crate::dispatch::matrix::Matrix;
use crate::dispatch::policy;
use crate::dispatch::ptr::Shared;
use crate::dispatch::scalar::Scalar;
use crate::error::{Error, ErrorKind, Result};
use std::ops::Range;

/// What the products have in common.
#[derive(Clone, Copy)]
struct Common<T> {
    flags: [u8; 2],
    shape: [isize; 3],
    lds: [isize; 3],
    alpha: T,
    beta: T,
    count: isize,
}

impl<T: Scalar> Common<T> {
    fn new(
        flags: [u8; 2],
        shape: [isize; 3],
        lds: [isize; 3],
        [alpha, beta]: [T; 2],
        count: isize,
    ) -> Self {
        Common {
            flags,
            shape,
            lds,
            alpha,
            beta,
            count,
        }
    }
}

/// Whether products that are computed at the same time do not disturb each other, where the first ones begin there.
fn are_apart<T: Scalar>(
    common: &Common<T>,
    strides: [isize; 3],
    [a, b, c]: [Shared<T>; 3],
) -> bool {
    (|| {
        let [m, n, k] = positive(common.shape)?;
        let [lda, ldb, ldc] = positive(common.lds)?;
        let [ta, tb] = common.flags.map(Trans::read);
        let last = positive([common.count])?[0] - 1;
        let span = |(rows, cols): (usize, usize), ld: usize| {
            (cols - 1).saturating_mul(ld).saturating_add(rows)
        };
        let span_c = span((m, n), ldc);
        let step = strides[2].unsigned_abs();
        // One after the other, or side by side in a matrix that has room for the rows of all.
        let results_apart = last == 0
            || step >= span_c
            || (step >= m && last.saturating_mul(step).saturating_add(m) <= ldc);
        let apart_from_c = |x: Shared<T>, span_x: usize, stride: isize| {
            let (all_x, all_c) = (
                places(x, span_x, stride, last),
                places(c, span_c, strides[2], last),
            );
            // Or the operands of each product lie together, apart from those of the next.
            let (one_x, one_c) = (places(x, span_x, 0, 0), places(c, span_c, 0, 0));
            let window = one_x.end.max(one_c.end) - one_x.start.min(one_c.start);
            disjoint(&all_x, &all_c)
                || stride == strides[2]
                    && disjoint(&one_x, &one_c)
                    && window <= (stride.unsigned_abs() * size_of::<T>()) as i128
        };
        Some(
            results_apart
                && apart_from_c(a, span(ta?.stored(m, k), lda), strides[0])
                && apart_from_c(b, span(tb?.stored(k, n), ldb), strides[1]),
        )
    })()
    .unwrap_or(false)
}

/// The addresses of all that begin at multiples of the stride, in integers that no product leaves.
fn places<T>(start: Shared<T>, span: usize, stride: isize, last: usize) -> Range<i128> {
    let size = size_of::<T>() as i128;
    let first = start.ptr() as usize as i128;
    let shift = stride as i128 * last as i128 * size;
    first + shift.min(0)..first + shift.max(0) + span as i128 * size
}

fn disjoint(one: &Range<i128>, other: &Range<i128>) -> bool {
    one.end <= other.start || other.end <= one.start
}

impl Blas {
    /// C\[i\] = alpha op(A\[i\]) op(B\[i\]) + beta C\[i\] for `batch` matrices of one shape, each `stride` elements after the
    /// one before; a stride of 0 is one matrix for all.
    ///
    /// # Errors
    /// As for [`gemm`](Blas::gemm), and [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for a negative `batch`.
    ///
    /// # Safety
    /// As for [`gemm`](Blas::gemm), for each of the products. Results that have elements in common, or are inputs of
    /// other products, are computed one after the other.
    ///
    /// ```
    /// let products = |blas: &threadctl::dispatch::Blas, a: &[f64; 8], b: &[f64; 4]| {
    ///     let mut c = [0.0; 8];
    ///     // SAFETY: two 2x2 matrices, one for both, and two.
    ///     unsafe {
    ///         blas.gemm_batch_strided(
    ///             b'N', b'N', 2, 2, 2, 1.0, a.as_ptr(), 2, 4, b.as_ptr(), 2, 0, 0.0, c.as_mut_ptr(), 2, 4, 2,
    ///         )
    ///     }?;
    ///     threadctl::Result::Ok(c)
    /// };
    /// # let _ = products;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "BLAS has them")]
    pub unsafe fn gemm_batch_strided<T: Scalar>(
        &self,
        transa: u8,
        transb: u8,
        m: isize,
        n: isize,
        k: isize,
        alpha: T,
        a: *const T,
        lda: isize,
        stride_a: isize,
        b: *const T,
        ldb: isize,
        stride_b: isize,
        beta: T,
        c: *mut T,
        ldc: isize,
        stride_c: isize,
        batch: isize,
    ) -> Result<()> {
        let (flags, shape, lds) = ([transa, transb], [m, n, k], [lda, ldb, ldc]);
        let common = Common::new(flags, shape, lds, [alpha, beta], batch);
        let strides = [stride_a, stride_b, stride_c];
        let (a, b, c) = (Shared::input(a), Shared::input(b), Shared::output(c));
        let nth = |index: usize| {
            let [a_step, b_step, c_step] =
                strides.map(|stride| stride.wrapping_mul(index as isize) as usize);
            [a.moved(a_step), b.moved(b_step), c.moved(c_step)]
        };
        let apart = || are_apart(&common, strides, nth(0));
        // SAFETY: our caller's promise, handed on.
        unsafe { self.batch("gemm_batch_strided", &common, nth, apart) }
    }

    /// C\[i\] = alpha op(A\[i\]) op(B\[i\]) + beta C\[i\] for `batch` matrices of one shape, wherever they are.
    ///
    /// # Errors
    /// As for [`gemm_batch_strided`](Blas::gemm_batch_strided).
    ///
    /// # Safety
    /// As for [`gemm`](Blas::gemm), for each of the products. The lists have `batch` entries. Results have no elements in
    /// common with each other, nor with inputs.
    ///
    /// ```
    /// let products = |blas: &threadctl::dispatch::Blas, a: &[[f64; 4]; 2], b: &[f64; 4]| {
    ///     let mut c = [[0.0; 4]; 2];
    ///     let [first, second] = &mut c;
    ///     let (a, b) = ([a[0].as_ptr(), a[1].as_ptr()], [b.as_ptr(), b.as_ptr()]);
    ///     let results = [first.as_mut_ptr(), second.as_mut_ptr()];
    ///     // SAFETY: two 2x2 matrices each.
    ///     unsafe {
    ///         blas.gemm_batch(
    ///             b'N', b'N', 2, 2, 2, 1.0, a.as_ptr(), 2, b.as_ptr(), 2, 0.0, results.as_ptr(), 2, 2,
    ///         )
    ///     }?;
    ///     threadctl::Result::Ok(c)
    /// };
    /// # let _ = products;
    /// ```
    #[expect(clippy::too_many_arguments, reason = "BLAS has them")]
    pub unsafe fn gemm_batch<T: Scalar>(
        &self,
        transa: u8,
        transb: u8,
        m: isize,
        n: isize,
        k: isize,
        alpha: T,
        a: *const *const T,
        lda: isize,
        b: *const *const T,
        ldb: isize,
        beta: T,
        c: *const *mut T,
        ldc: isize,
        batch: isize,
    ) -> Result<()> {
        let (flags, shape, lds) = ([transa, transb], [m, n, k], [lda, ldb, ldc]);
        let common = Common::new(flags, shape, lds, [alpha, beta], batch);
        // `Shared` is a pointer in memory.
        let lists: [*const Shared<T>; 3] = [a.cast(), b.cast(), c.cast()];
        let lists = lists.map(Shared::input);
        // SAFETY: the lists have so many entries.
        let nth = |index: usize| lists.map(|list| unsafe { *list.moved(index).ptr() });
        // SAFETY: our caller's promise, handed on.
        unsafe { self.batch("gemm_batch", &common, nth, || true) }
    }

    /// Runs the products, whose operands `nth` tells, at the same time if they are `apart`.
    ///
    /// # Safety
    /// As for [`gemm`](Blas::gemm), for each of the products.
    unsafe fn batch<T: Scalar>(
        &self,
        name: &str,
        common: &Common<T>,
        nth: impl Fn(usize) -> [Shared<T>; 3] + Sync,
        apart: impl FnOnce() -> bool,
    ) -> Result<()> {
        let kernels = self.kernels::<T>();
        let &Common {
            flags: [transa, transb],
            shape: [m, n, k],
            lds: [lda, ldb, ldc],
            alpha,
            beta,
            count,
        } = common;
        self.check(name, &[m, n, k, lda, ldb, ldc])?;
        let Ok(count) = usize::try_from(count) else {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("{name} with a batch of {count}: 0 or more are accepted"),
            ));
        };
        let plain = |index: usize| {
            let [a, b, c] = nth(index);
            let (a, b, c) = (a.ptr(), b.ptr(), c.ptr_mut());
            // SAFETY: our caller's promise, handed on.
            unsafe { kernels.gemm(transa, transb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc) };
        };
        let valid = (|| {
            let (ta, tb) = (Trans::read(transa)?, Trans::read(transb)?);
            let [m, n, k, lda, ldb, ldc] = positive([m, n, k, lda, ldb, ldc])?;
            let nth = &nth;
            let factors = move |index: usize| {
                let [a, b, c] = nth(index);
                Factors {
                    a: Op::new(Matrix::new(a, lda), ta),
                    b: Op::new(Matrix::new(b, ldb), tb),
                    c: Matrix::new(c, ldc),
                }
            };
            (count > 0 && factors(0).hold([m, n, k])).then_some(([m, n, k], factors))
        })();
        // Nothing to do, which the library knows, or forbidden, which it says.
        let Some((shape, factors)) = valid else {
            return self.through(|| (0..count).for_each(plain));
        };
        let plan = self.shared(|pool| policy::batch::<T>(shape, count, pool));
        let Some(plan) = plan.filter(|_| apart()) else {
            return self.through(|| (0..count).for_each(plain));
        };
        let [m, n, k] = shape;
        let size = policy::Size::of_product::<T>(m.saturating_mul(count), n, k);
        let Some(grid) = plan.grid else {
            self.tiles_of(size, plan.groups.parts(), &|tile| {
                plan.groups.part(tile).for_each(plain);
            });
            return Ok(());
        };
        self.tiles_of(size, count * grid.tiles(), &|tile| {
            let product = factors(tile / grid.tiles());
            // SAFETY: the shape holds, and our caller's promise; no other tile has this part of C.
            unsafe { product.tile(kernels, (&grid, tile % grid.tiles()), k, alpha, beta) };
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The places of all elements of an operand, for each product.
    fn places(
        start: isize,
        stride: isize,
        (rows, cols): (usize, usize),
        ld: usize,
        count: usize,
    ) -> Vec<Vec<isize>> {
        let one = |i: usize| {
            let first = start + stride * i as isize;
            (0..cols)
                .flat_map(|col| (0..rows).map(move |row| first + (row + col * ld) as isize))
                .collect()
        };
        (0..count).map(one).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// What is computed at the same time has no element of a result in common with anything.
        #[test]
        fn products_at_the_same_time_do_not_meet(
            shape in [1_usize..4, 1_usize..4, 1_usize..4], gaps in [0_usize..8, 0_usize..3, 0_usize..8],
            starts in [0_isize..60, 0_isize..60, 0_isize..60], strides in [-20_isize..20, -20_isize..20, -20_isize..20],
            same_stride: bool, count in 1_usize..5,
        ) {
            let [m, n, k] = shape;
            let strides = if same_stride { [strides[2]; 3] } else { strides };
            let lds = [m + gaps[0], k + gaps[1], m + gaps[2]];
            let buffer = [0.0_f32; 512];
            let begin = |start: isize| Shared::input(buffer.as_ptr().wrapping_offset(200 + start));
            let common = Common::new(
                [b'N', b'N'],
                shape.map(|size| size as isize),
                lds.map(|ld| ld as isize),
                [1.0, 0.0],
                count as isize,
            );
            let apart = are_apart(&common, strides, starts.map(begin));
            let a = places(starts[0], strides[0], (m, k), lds[0], count);
            let b = places(starts[1], strides[1], (k, n), lds[1], count);
            let c = places(starts[2], strides[2], (m, n), lds[2], count);
            let read: std::collections::HashSet<_> = a.iter().chain(&b).flatten().collect();
            let mut written = std::collections::HashSet::new();
            let once = c.iter().flatten().all(|place| written.insert(place));
            prop_assert!(!apart || once && written.is_disjoint(&read));
        }
    }

    #[test]
    fn batches_as_they_are_stored_are_apart() {
        let buffer = [0.0_f64; 1000];
        let at = |start: usize| Shared::input(buffer[start..].as_ptr());
        let common = |ldc| Common::new([b'N'; 2], [4, 4, 4], [4, 4, ldc], [1.0, 0.0], 10);
        // One array each; A, B and C of each product together; results side by side in one matrix; one A for all.
        assert!(are_apart(&common(4), [16; 3], [at(0), at(160), at(320)]));
        assert!(are_apart(&common(4), [48; 3], [at(0), at(16), at(32)]));
        assert!(are_apart(
            &common(40),
            [16, 16, 4],
            [at(0), at(160), at(320)]
        ));
        assert!(are_apart(
            &common(4),
            [0, 16, 16],
            [at(0), at(160), at(320)]
        ));
        // One result for all; results that begin in each other; what one reads, another writes.
        assert!(!are_apart(
            &common(4),
            [16, 16, 0],
            [at(0), at(160), at(320)]
        ));
        assert!(!are_apart(
            &common(4),
            [16, 16, 8],
            [at(0), at(160), at(320)]
        ));
        assert!(!are_apart(&common(4), [16; 3], [at(0), at(320), at(16)]));
    }
}
