//! The eigenvalues and eigenvectors that two halves of a tridiagonal matrix have together, as the divide-and-conquer drivers
//! (syevd, stedc, and heevd for its real part) need them: the roots of the secular equation.
//!
//! Sources: J. Cuppen, "A divide and conquer method for the symmetric tridiagonal eigenproblem", Numer. Math. 36 (1981);
//! M. Gu, S. Eisenstat, "A stable and efficient algorithm for the rank-one modification of the symmetric eigenproblem",
//! SIAM J. Matrix Anal. Appl. 15 (1994), whose vectors belong to a nearby problem with exactly these roots. What goes where
//! is the interface of LAPACK's laed3.
//!
//! Invariants: each root, with the differences of the poles from it, is a column that one tile writes; each number of the
//! nearby problem is a product in the order of the roots, whatever tile computes it, so results repeat bit by bit.

use super::cells::get;
use super::int::Pivots;
use super::{Int, forbidden, is_leading, size};
use crate::dispatch::backend::Blas;
use crate::dispatch::grid::Cut;
use crate::dispatch::matrix::Matrix;
use crate::dispatch::policy::lapack::roots;
use crate::dispatch::ptr::Shared;
use crate::dispatch::scalar::Scalar;
use crate::dispatch::workspace::Workspace;
use crate::error::Result;
use std::ops::Range;
use std::sync::atomic::{AtomicIsize, Ordering};

/// The equation 1 + rho * sum of z[i]^2 / (pole[i] - root) = 0.
struct Equation<T> {
    count: usize,
    poles: Shared<T>,
    z: Shared<T>,
    rho: Shared<T>,
}

/// The arguments of LAPACK's laed3 that are places, by its names.
pub(crate) struct Places<T, I> {
    /// The roots go there.
    pub d: *mut T,
    /// The eigenvectors go there.
    pub q: *mut T,
    pub rho: *const T,
    /// The poles.
    pub dlamda: *mut T,
    /// The halves' eigenvectors, by which the new ones are multiplied.
    pub q2: *const T,
    /// In what order the halves' eigenvectors are those of the poles.
    pub indx: *const I,
    /// How many of them have their upper half alone, both, and the lower alone.
    pub ctot: *const I,
    pub w: *mut T,
    pub s: *mut T,
}

impl Blas {
    /// LAPACK's laed3: the `k` eigenvalues that are left of two halves of orders `n1` and `n - n1`, and their eigenvectors.
    ///
    /// Returns its `info`: 0, -i if it forbids argument i, 1 if a root was not found; `None` if the library has no such routine and it
    /// is not to be shared.
    ///
    /// # Errors
    /// As for [`gemm`](Blas::gemm).
    ///
    /// # Safety
    /// As LAPACK demands of the arguments; T is real.
    pub(crate) unsafe fn laed3<T: Scalar, I: Int>(
        &self,
        [k, n, n1]: [isize; 3],
        ldq: isize,
        places: &Places<T, I>,
    ) -> Result<Option<isize>> {
        self.check("laed3", &[k, n, n1, ldq])?;
        let lapack = self.lapack::<T>();
        let Places {
            d,
            q,
            rho,
            dlamda,
            q2,
            indx,
            ctot,
            w,
            s,
        } = *places;
        let bad = forbidden(&[(k >= 0, 1), (n >= k, 2), (is_leading(ldq, n), 6)]);
        let read = if bad.is_none() { size(k) } else { 0 };
        let own = || {
            let wide = lapack.wide();
            // SAFETY: our caller's promise, handed on; of a forbidden call no places are looked at.
            unsafe {
                let mut indx = Pivots::read(read, wide, indx);
                let mut ctot = Pivots::read(read.min(1) * 4, wide, ctot);
                let (indx, ctot) = (indx.ptr(), ctot.ptr());
                lapack.laed3(k, n, n1, d, q, ldq, rho, dlamda, q2, indx, ctot, w, s)
            }
        };
        if let Some(info) = bad {
            return self.refused(info, own).map(Some);
        }
        let cut = self.shared(|pool| roots(size(k), pool));
        let Some(cut) = cut.filter(|_| lapack.has_laed4()) else {
            return self.through(own);
        };
        let [k, n, n1] = [k, n, n1].map(size);
        let equation = Equation {
            count: k,
            poles: Shared::output(dlamda),
            z: Shared::output(w),
            rho: Shared::input(rho),
        };
        let q = Matrix::output(q, size(ldq));
        // SAFETY: our caller's promise: all of them are as large as LAPACK says.
        unsafe {
            let info = self.find_roots(&equation, &cut, q, Shared::output(d));
            if info != 0 {
                return Ok(Some(info));
            }
            let mut nearby = Workspace::new(1, k);
            let nearby = nearby.shared();
            self.find_nearby(&equation, &cut, q, nearby);
            let [upper, both, lower] = [0, 1, 2].map(|at| size(ctot.add(at).read().get()));
            // Of the vectors in the order of the halves' eigenvectors, those rows that meet the first half, and the second.
            let halves = [0..upper + both, upper..upper + both + lower];
            let [first, second] = halves.each_ref().map(ExactSizeIterator::len);
            // Not the caller's workspace, which may be at another alignment the next time.
            let mut memory = Workspace::new(1, k * first.max(second));
            let memory = memory.shared();
            let table = Matrix::new(memory, second.max(1));
            self.find_vectors(&cut, (q, nearby, k), indx, &halves, table);
            let below = Matrix::input(q2.add(n1 * first), n - n1);
            self.multiply_half([n - n1, k, second], below, table, q.from(n1, 0))?;
            let table = Matrix::new(memory, first.max(1));
            self.tiles(cut.parts(), &|tile| {
                for root in cut.part(tile) {
                    let (from, to) = (q.from(0, root).ptr(), table.from(0, root).ptr_mut());
                    // There are no more of these rows than the first half has, so what was written below left them alone.
                    from.copy_to_nonoverlapping(to, first);
                }
            });
            self.multiply_half([n1, k, first], Matrix::input(q2, n1), table, q)?;
        }
        Ok(Some(0))
    }

    /// The roots, and in the column of each the differences of the poles from it. Returns LAPACK's `info`.
    ///
    /// # Safety
    /// As for [`laed3`](Blas::laed3), and the library has laed4.
    unsafe fn find_roots<T: Scalar>(
        &self,
        equation: &Equation<T>,
        cut: &Cut,
        q: Matrix<T>,
        d: Shared<T>,
    ) -> isize {
        let lapack = self.lapack::<T>();
        let failed = AtomicIsize::new(0);
        let Equation {
            count,
            poles,
            z,
            rho,
        } = equation;
        self.tiles(cut.parts(), &|tile| {
            for root in cut.part(tile) {
                // Relaxed, here and below: it is read when all tiles have ended, and before that only spares work.
                if failed.load(Ordering::Relaxed) != 0 {
                    break;
                }
                let (n, i) = (*count as isize, root as isize + 1);
                let column = q.from(0, root).ptr_mut();
                // SAFETY: our caller's promise; the column and the root are this tile's alone.
                let info = unsafe {
                    lapack.laed4(
                        n,
                        i,
                        poles.ptr(),
                        z.ptr(),
                        column,
                        rho.ptr(),
                        d.at_mut(root),
                    )
                };
                if info != Some(0) {
                    failed.store(info.unwrap_or(1), Ordering::Relaxed);
                }
            }
        });
        failed.into_inner()
    }

    /// The numbers z of the nearby problem, with the signs of the given ones.
    ///
    /// # Safety
    /// As for [`find_roots`](Blas::find_roots), which has been called; there is room for as many numbers.
    unsafe fn find_nearby<T: Scalar>(
        &self,
        equation: &Equation<T>,
        cut: &Cut,
        q: Matrix<T>,
        nearby: Shared<T>,
    ) {
        self.tiles(cut.parts(), &|tile| {
            let part = cut.part(tile);
            // SAFETY: our caller's promise; nobody writes to the columns and the poles meanwhile, and these numbers are this
            // tile's alone.
            unsafe {
                let products =
                    std::slice::from_raw_parts_mut(nearby.at_mut(part.start), part.len());
                let poles = std::slice::from_raw_parts(equation.poles.at(part.start), part.len());
                for (row, product) in part.clone().zip(products.iter_mut()) {
                    *product = get(q, row, row);
                }
                for root in 0..equation.count {
                    let column = q.from(part.start, root).ptr();
                    let column = std::slice::from_raw_parts(column, part.len());
                    let pole = equation.poles.at(root).read();
                    let multiply = |rows: Range<usize>, products: &mut [T]| {
                        let pairs = column[rows.clone()].iter().zip(&poles[rows.clone()]);
                        for (product, (difference, other)) in products[rows].iter_mut().zip(pairs) {
                            let factor = *difference / (*other - pole);
                            *product *= factor;
                        }
                    };
                    // All but its own.
                    let own = root.clamp(part.start, part.end) - part.start;
                    let next = (root + 1).clamp(part.start, part.end) - part.start;
                    multiply(0..own, products);
                    multiply(next..part.len(), products);
                }
                for (row, product) in part.zip(products) {
                    // What rounding left on the other side of 0 is 0. What is no number stays none.
                    let square = (-*product).widen().re;
                    let root = if square < 0.0 { 0.0 } else { square.sqrt() };
                    let sign = equation.z.at(row).read().widen().re;
                    *product = T::narrow(root.copysign(sign).into());
                }
            }
        });
    }

    /// The eigenvectors in terms of the halves': of each the rows that meet the first half take the place of its column, and those that
    /// meet the second go to the table.
    ///
    /// # Safety
    /// As for [`find_nearby`](Blas::find_nearby), which has been called; the table has a column of so many rows for each.
    unsafe fn find_vectors<T: Scalar, I: Int>(
        &self,
        cut: &Cut,
        (q, nearby, k): (Matrix<T>, Shared<T>, usize),
        indx: *const I,
        halves: &[Range<usize>; 2],
        table: Matrix<T>,
    ) {
        let kernels = self.kernels::<T>();
        let indx = Shared::input(indx);
        self.tiles(cut.parts(), &|tile| {
            let mut scratch = Workspace::new(1, k);
            let vector = scratch.shared();
            // SAFETY: our caller's promise; these columns of both are this tile's alone, as is the vector.
            unsafe {
                let vector = std::slice::from_raw_parts_mut(vector.ptr_mut(), k);
                let nearby = std::slice::from_raw_parts(nearby.ptr(), k);
                let order = std::slice::from_raw_parts(indx.ptr(), k);
                for root in cut.part(tile) {
                    let column = std::slice::from_raw_parts_mut(q.from(0, root).ptr_mut(), k);
                    for ((x, z), difference) in vector.iter_mut().zip(nearby).zip(&*column) {
                        *x = *z / *difference;
                    }
                    let length = T::of_real(kernels.nrm2(k as isize, vector.as_ptr(), 1));
                    let [upper, lower] = halves;
                    let below = table.from(0, root).ptr_mut();
                    let below = std::slice::from_raw_parts_mut(below, lower.len());
                    for (to, rows) in [(column, upper), (below, lower)] {
                        for (to, from) in to.iter_mut().zip(&order[rows.clone()]) {
                            *to = vector[size(from.get() - 1)] / length;
                        }
                    }
                }
            }
        });
    }

    /// The product of a half's eigenvectors, m x k, and a table, k x n.
    ///
    /// # Safety
    /// As for [`find_vectors`](Blas::find_vectors), which has been called; C is m x n.
    unsafe fn multiply_half<T: Scalar>(
        &self,
        [m, n, k]: [usize; 3],
        half: Matrix<T>,
        table: Matrix<T>,
        c: Matrix<T>,
    ) -> Result<()> {
        let [m, n, k] = [m, n, k].map(|len| len as isize);
        let (a, b, c, ldb, ldc) = (half.ptr(), table.ptr(), c.ptr_mut(), table.ld(), c.ld());
        // Without a half's eigenvectors there are zeros, which is what BLAS makes of an empty product.
        let (one, zero) = (T::ONE, T::ZERO);
        // SAFETY: our caller's promise.
        unsafe { self.gemm(b'N', b'N', m, n, k, one, a, m.max(1), b, ldb, zero, c, ldc) }
    }
}
