//! Vectors that become a number: what the parts give is put together in their order, whoever computed it.

use crate::dispatch::backend::Blas;
use crate::dispatch::policy::vector::Routine;
use crate::dispatch::scalar::Scalar;
use crate::dispatch::workspace::Workspace;
use crate::error::Result;

/// The sum, from the first to the last.
fn sum<T: Scalar>(terms: impl IntoIterator<Item = T>) -> T {
    let mut sum = T::ZERO;
    for term in terms {
        sum += term;
    }
    sum
}

/// So many elements stay in the cache between one look at them and the next.
const LOOKED_AT: usize = 2048;
/// So many are compared at once: two of AVX2's registers of f64, measured on Zen.
const LANES: usize = 8;

/// The first of the largest, of pairs of a place and a size; `None` beside one that is `None`.
fn first_largest<R: PartialOrd>(
    candidates: impl IntoIterator<Item = Option<(isize, R)>>,
) -> Option<isize> {
    let mut best: Option<(isize, R)> = None;
    for candidate in candidates {
        let candidate = candidate?;
        if best.as_ref().is_none_or(|best| candidate.1 > best.1) {
            best = Some(candidate);
        }
    }
    best.map(|(place, _)| place)
}

/// Where the largest of n elements is; `None` if there is a NaN among them, beside which each library finds another one,
/// depending on where its vector registers begin. Loops of our own: a search by the library's kernel and a look for NaN beside
/// it take up to twice as long as one loop that does both.
///
/// # Safety
/// There are that many elements, with that increment, which is above 0.
unsafe fn largest<T: Scalar>(n: isize, x: *const T, inc: isize) -> Option<isize> {
    if inc != 1 {
        // SAFETY: our caller's promise.
        return first_largest((0..n).map(|at| number(at + 1, unsafe { *x.offset(at * inc) })));
    }
    // SAFETY: our caller's promise.
    let x = unsafe { std::slice::from_raw_parts(x, n as usize) };
    let part = first_largest(
        (0..)
            .zip(x.chunks(LOOKED_AT))
            .map(|(part, few)| Some((part, peak(few)?))),
    )?;
    let start = part as usize * LOOKED_AT;
    let few = (start as isize + 1..).zip(&x[start..x.len().min(start + LOOKED_AT)]);
    first_largest(few.map(|(place, &element)| number(place, element)))
}

/// A place and the size of what is there, unless that is a NaN.
fn number<T: Scalar>(place: isize, element: T) -> Option<(isize, T::Real)> {
    let size = element.abs1();
    size.partial_cmp(&size)?;
    Some((place, size))
}

/// The size of the largest of some elements; `None` if there are none, or if there is a NaN.
fn peak<T: Scalar>(x: &[T]) -> Option<T::Real> {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        // SAFETY: it has been detected.
        return unsafe { peak_with_avx2(x) };
    }
    peak_in_lanes(x)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn peak_with_avx2<T: Scalar>(x: &[T]) -> Option<T::Real> {
    peak_in_lanes(x)
}

/// Goes through all of them, without a way out, so that the compiler makes vectors of it.
#[inline(always)]
fn peak_in_lanes<T: Scalar>(x: &[T]) -> Option<T::Real> {
    let mut lanes = [x.first()?.abs1(); LANES];
    let mut nan = false;
    let mut look = |few: &[T]| {
        for (lane, &element) in lanes.iter_mut().zip(few) {
            let size = element.abs1();
            nan |= size.partial_cmp(&size).is_none();
            *lane = if size > *lane { size } else { *lane };
        }
    };
    let chunks = x.chunks_exact(LANES);
    look(chunks.remainder());
    chunks.for_each(look);
    if nan {
        return None;
    }
    let [first, rest @ ..] = lanes;
    let larger = |largest, lane| if lane > largest { lane } else { largest };
    Some(rest.into_iter().fold(first, larger))
}

impl Blas {
    /// The sum of x y, for real elements.
    ///
    /// # Errors
    /// As for [`axpy`](Blas::axpy).
    ///
    /// # Safety
    /// The vectors are as large as the arguments say, and nobody writes to them meanwhile.
    ///
    /// ```
    /// let dot = |blas: &threadctl::dispatch::Blas, x: &[f64; 2], y: &[f64; 2]| {
    ///     // SAFETY: two elements each.
    ///     unsafe { blas.dot(2, x.as_ptr(), 1, y.as_ptr(), 1) }
    /// };
    /// # let _ = dot;
    /// ```
    pub unsafe fn dot<T: Scalar<Real = T>>(
        &self,
        n: isize,
        x: *const T,
        incx: isize,
        y: *const T,
        incy: isize,
    ) -> Result<T> {
        // SAFETY: our caller's promise, handed on.
        unsafe { self.dotu(n, x, incx, y, incy) }
    }

    /// The sum of x y, for any elements.
    ///
    /// # Errors
    /// As for [`axpy`](Blas::axpy).
    ///
    /// # Safety
    /// As for [`dot`](Blas::dot).
    ///
    /// ```
    /// use num_complex::Complex;
    /// let dot = |blas: &threadctl::dispatch::Blas, x: &[Complex<f64>; 2], y: &[Complex<f64>; 2]| {
    ///     // SAFETY: two elements each.
    ///     unsafe { blas.dotu(2, x.as_ptr(), 1, y.as_ptr(), 1) }
    /// };
    /// # let _ = dot;
    /// ```
    pub unsafe fn dotu<T: Scalar>(
        &self,
        n: isize,
        x: *const T,
        incx: isize,
        y: *const T,
        incy: isize,
    ) -> Result<T> {
        // SAFETY: our caller's promise, handed on.
        unsafe { self.inner_product(false, n, (x, incx), (y, incy)) }
    }

    /// The sum of conj(x) y.
    ///
    /// # Errors
    /// As for [`axpy`](Blas::axpy).
    ///
    /// # Safety
    /// As for [`dot`](Blas::dot).
    ///
    /// ```
    /// use num_complex::Complex;
    /// let square = |blas: &threadctl::dispatch::Blas, x: &[Complex<f64>; 2]| {
    ///     // SAFETY: two elements.
    ///     unsafe { blas.dotc(2, x.as_ptr(), 1, x.as_ptr(), 1) }
    /// };
    /// # let _ = square;
    /// ```
    pub unsafe fn dotc<T: Scalar>(
        &self,
        n: isize,
        x: *const T,
        incx: isize,
        y: *const T,
        incy: isize,
    ) -> Result<T> {
        // SAFETY: our caller's promise, handed on.
        unsafe { self.inner_product(true, n, (x, incx), (y, incy)) }
    }

    #[inline]
    unsafe fn inner_product<T: Scalar>(
        &self,
        conjugated: bool,
        n: isize,
        (x, incx): (*const T, isize),
        (y, incy): (*const T, isize),
    ) -> Result<T> {
        let kernels = self.kernels::<T>();
        // SAFETY: our caller's promise; nothing is written.
        unsafe {
            self.vectors(
                Routine::Dot,
                n,
                [(x.cast_mut(), incx), (y.cast_mut(), incy)],
                |n, [x, y]| kernels.dot(conjugated, n, x, incx, y, incy),
                |_, sums| Some(sum(sums.iter().copied())),
            )
        }
    }

    /// The Euclidean length of x, without overflow or underflow on the way where the library's own has none.
    ///
    /// # Errors
    /// As for [`axpy`](Blas::axpy).
    ///
    /// # Safety
    /// The vector is as large as the arguments say, and nobody writes to it meanwhile.
    ///
    /// ```
    /// let length = |blas: &threadctl::dispatch::Blas, x: &[f64; 2]| {
    ///     // SAFETY: two elements.
    ///     unsafe { blas.nrm2(2, x.as_ptr(), 1) }
    /// };
    /// # let _ = length;
    /// ```
    pub unsafe fn nrm2<T: Scalar>(&self, n: isize, x: *const T, incx: isize) -> Result<T::Real> {
        let kernels = self.kernels::<T>();
        // SAFETY: our caller's promise; nothing is written.
        unsafe {
            self.vectors(
                Routine::Nrm2,
                n,
                [(x.cast_mut(), incx)],
                |n, [x]| kernels.nrm2(n, x, incx),
                |_, norms| {
                    // The norm of the norms; they are as many as there are parts.
                    let mut all = Workspace::<T>::new(1, norms.len());
                    let places = all.shared();
                    for (index, &norm) in norms.iter().enumerate() {
                        places.at_mut(index).write(T::of_real(norm));
                    }
                    Some(kernels.nrm2(norms.len() as isize, places.at(0), 1))
                },
            )
        }
    }

    /// The sum of |Re x| + |Im x|.
    ///
    /// # Errors
    /// As for [`axpy`](Blas::axpy).
    ///
    /// # Safety
    /// As for [`nrm2`](Blas::nrm2).
    ///
    /// ```
    /// let sum = |blas: &threadctl::dispatch::Blas, x: &[f64; 2]| {
    ///     // SAFETY: two elements.
    ///     unsafe { blas.asum(2, x.as_ptr(), 1) }
    /// };
    /// # let _ = sum;
    /// ```
    pub unsafe fn asum<T: Scalar>(&self, n: isize, x: *const T, incx: isize) -> Result<T::Real> {
        let kernels = self.kernels::<T>();
        // SAFETY: our caller's promise; nothing is written.
        unsafe {
            self.vectors(
                Routine::Asum,
                n,
                [(x.cast_mut(), incx)],
                |n, [x]| kernels.asum(n, x, incx),
                |_, sums| Some(sum(sums.iter().copied().map(T::of_real)).re()),
            )
        }
    }

    /// The first place, from 1, where |Re x| + |Im x| is largest; 0 if there is none. What it is beside a NaN is up to the
    /// library.
    ///
    /// # Errors
    /// As for [`axpy`](Blas::axpy).
    ///
    /// # Safety
    /// As for [`nrm2`](Blas::nrm2).
    ///
    /// ```
    /// let place = |blas: &threadctl::dispatch::Blas, x: &[f64; 2]| {
    ///     // SAFETY: two elements.
    ///     unsafe { blas.iamax(2, x.as_ptr(), 1) }
    /// };
    /// # let _ = place;
    /// ```
    pub unsafe fn iamax<T: Scalar>(&self, n: isize, x: *const T, incx: isize) -> Result<isize> {
        let kernels = self.kernels::<T>();
        // References are aligned; BLAS's operands need not be.
        if !x.is_aligned() {
            // SAFETY: our caller's promise.
            return self.through(|| unsafe { kernels.iamax(n, x, incx) });
        }
        // SAFETY: our caller's promise; nothing is written.
        unsafe {
            self.vectors(
                Routine::Iamax,
                n,
                [(x.cast_mut(), incx)],
                |part, [x]| {
                    if part == n {
                        kernels.iamax(n, x, incx)
                    } else {
                        largest(part, x, incx).unwrap_or(0)
                    }
                },
                |cut, places| {
                    first_largest(places.iter().enumerate().map(|(part, &place)| {
                        let place = (place > 0).then(|| place + cut.part(part).start as isize)?;
                        Some((place, (*x.offset((place - 1) * incx)).abs1()))
                    }))
                },
            )
        }
    }
}
