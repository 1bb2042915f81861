//! Householder reflectors: one, a few, and a block of them at a time.
//!
//! A block of k reflectors is H1 H2 .. Hk = I - V T V^H: V has a unit lower trapezoid, whose ones are not stored, and T
//! is an upper triangle. Sources: R. Schreiber, C. Van Loan, "A storage-efficient WY representation for products of
//! Householder transformations", SIAM J. Sci. Stat. Comput. 10 (1989); E. Elmroth, F. Gustavson, "Applying recursion to
//! serial and parallel QR factorization leads to better performance", IBM J. Res. Dev. 44 (2000), of which is the
//! recursion that finds V and T of half of the columns at a time.

use super::cells::{get, set};
use crate::dispatch::backend::Blas;
use crate::dispatch::matrix::Matrix;
use crate::dispatch::policy::lapack::{numbers, reflected};
use crate::dispatch::ptr::Shared;
use crate::dispatch::scalar::Scalar;
use crate::dispatch::workspace::Workspace;
use crate::error::Result;
use crate::sys::blas::Kernels;
use num_complex::Complex;

/// A block of reflectors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block<T> {
    /// Below the diagonal of a matrix, of which nothing else is looked at.
    pub v: Matrix<T>,
    /// The rows of V.
    pub len: usize,
    /// The columns of V, which are not more.
    pub count: usize,
    pub t: Matrix<T>,
}

/// Which way a block is applied to a matrix C.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// H C.
    Left,
    /// H^H C.
    LeftAdjoint,
    /// C H.
    Right,
    /// C H^H.
    RightAdjoint,
}

impl Way {
    pub fn is_left(self) -> bool {
        matches!(self, Way::Left | Way::LeftAdjoint)
    }

    /// How T is taken.
    fn flag(self) -> u8 {
        if matches!(self, Way::Left | Way::Right) {
            b'N'
        } else {
            b'C'
        }
    }
}

/// Memory for what lies between: for so many lines of C, and so many reflectors.
pub(super) struct Scratch<T> {
    memory: Workspace<T>,
    /// For each line.
    each: usize,
}

/// Lines of it begin at such multiples, so that they lie at fixed alignments.
const LINE: usize = 16;

impl<T: Scalar> Scratch<T> {
    pub fn new(lines: usize, reflectors: usize) -> Self {
        let each = reflectors.next_multiple_of(LINE);
        Scratch {
            memory: Workspace::new(1, each * lines.max(1)),
            each,
        }
    }

    fn shared(&mut self) -> Shared<T> {
        self.memory.shared()
    }

    /// Where what belongs to columns is, for tiles that have some of them each.
    pub fn lines(&mut self) -> Lines<T> {
        Lines {
            memory: self.shared(),
            each: self.each,
        }
    }
}

/// The scratch of columns that a block is applied to from the left.
#[derive(Clone, Copy)]
pub(super) struct Lines<T> {
    memory: Shared<T>,
    each: usize,
}

impl<T: Scalar> Lines<T> {
    /// That of the columns from this one on.
    pub fn at(&self, first: usize) -> Matrix<T> {
        Matrix::new(self.memory.moved(first * self.each), self.each)
    }
}

/// Who computes a product: a kernel, where the library is held already, or a call that may be cut.
#[derive(Clone, Copy)]
pub(super) enum Hand<'a, T> {
    Kernel(&'a Kernels<T>),
    Call(&'a Blas),
}

impl<T: Scalar> Hand<'_, T> {
    /// C = alpha op(A) op(B) + C.
    ///
    /// # Safety
    /// As for [`gemm`](Blas::gemm).
    pub unsafe fn gemm(
        self,
        [transa, transb]: [u8; 2],
        [m, n, k]: [usize; 3],
        (alpha, a, b): (T, Matrix<T>, Matrix<T>),
        c: Matrix<T>,
    ) -> Result<()> {
        if m == 0 || n == 0 || k == 0 {
            return Ok(());
        }
        let [m, n, k] = [m, n, k].map(|size| size as isize);
        let (lda, ldb, ldc) = (a.ld(), b.ld(), c.ld());
        let (a, b, c) = (a.ptr(), b.ptr(), c.ptr_mut());
        let one = T::ONE;
        // SAFETY: our caller's promise, handed on.
        unsafe {
            match self {
                Hand::Kernel(kernels) => {
                    kernels.gemm(transa, transb, m, n, k, alpha, a, lda, b, ldb, one, c, ldc);
                    Ok(())
                }
                Hand::Call(blas) => {
                    blas.gemm(transa, transb, m, n, k, alpha, a, lda, b, ldb, one, c, ldc)
                }
            }
        }
    }

    /// B = alpha op(A) B or alpha B op(A), A triangular.
    ///
    /// # Safety
    /// As for [`trmm`](Blas::trmm).
    pub unsafe fn trmm(
        self,
        [side, uplo, trans, diag]: [u8; 4],
        [m, n]: [usize; 2],
        alpha: T,
        a: Matrix<T>,
        b: Matrix<T>,
    ) -> Result<()> {
        if m == 0 || n == 0 {
            return Ok(());
        }
        let [m, n] = [m, n].map(|size| size as isize);
        let (lda, ldb) = (a.ld(), b.ld());
        let (a, b) = (a.ptr(), b.ptr_mut());
        // SAFETY: our caller's promise, handed on.
        unsafe {
            match self {
                Hand::Kernel(kernels) => {
                    kernels.trmm(side, uplo, trans, diag, m, n, alpha, a, lda, b, ldb);
                    Ok(())
                }
                Hand::Call(blas) => blas.trmm(side, uplo, trans, diag, m, n, alpha, a, lda, b, ldb),
            }
        }
    }
}

impl<T: Scalar> Block<T> {
    /// Applies it to so many lines of C (columns from the left, rows from the right), by way of W, which has a row or a
    /// column for each reflector.
    ///
    /// # Safety
    /// They are as large as that and live, nobody writes to V and T, and nobody else touches C and W.
    pub unsafe fn apply(
        &self,
        hand: Hand<'_, T>,
        way: Way,
        (c, lines): (Matrix<T>, usize),
        w: Matrix<T>,
    ) -> Result<()> {
        let (k, rest) = (self.count, self.len - self.count);
        let below = self.v.from(k, 0);
        let minus = -T::ONE;
        // SAFETY: our caller's promise: V1 and C1 are the parts that the first k rows of V meet, V2 and C2 the others.
        unsafe {
            if way.is_left() {
                let other = c.from(k, 0);
                copy(c, w, [k, lines]);
                hand.trmm(*b"LLCU", [k, lines], T::ONE, self.v, w)?;
                hand.gemm(*b"CN", [k, lines, rest], (T::ONE, below, other), w)?;
                hand.trmm(
                    [b'L', b'U', way.flag(), b'N'],
                    [k, lines],
                    T::ONE,
                    self.t,
                    w,
                )?;
                hand.gemm(*b"NN", [rest, lines, k], (minus, below, w), other)?;
                hand.trmm(*b"LLNU", [k, lines], T::ONE, self.v, w)?;
                subtract(w, c, [k, lines]);
            } else {
                let other = c.from(0, k);
                copy(c, w, [lines, k]);
                hand.trmm(*b"RLNU", [lines, k], T::ONE, self.v, w)?;
                hand.gemm(*b"NN", [lines, k, rest], (T::ONE, other, below), w)?;
                hand.trmm(
                    [b'R', b'U', way.flag(), b'N'],
                    [lines, k],
                    T::ONE,
                    self.t,
                    w,
                )?;
                hand.gemm(*b"NC", [lines, rest, k], (minus, w, below), other)?;
                hand.trmm(*b"RLCU", [lines, k], T::ONE, self.v, w)?;
                subtract(w, c, [lines, k]);
            }
        }
        Ok(())
    }
}

/// # Safety
/// Both are of that shape and live, and nobody else touches the second.
unsafe fn copy<T: Scalar>(from: Matrix<T>, to: Matrix<T>, [rows, cols]: [usize; 2]) {
    for col in 0..cols {
        let (from, to) = (from.from(0, col).ptr(), to.from(0, col).ptr_mut());
        // SAFETY: our caller's promise.
        unsafe { from.copy_to_nonoverlapping(to, rows) };
    }
}

/// # Safety
/// As for [`copy`].
unsafe fn subtract<T: Scalar>(what: Matrix<T>, from: Matrix<T>, [rows, cols]: [usize; 2]) {
    for col in 0..cols {
        let (what, from) = (what.from(0, col).ptr(), from.from(0, col).ptr_mut());
        for row in 0..rows {
            // SAFETY: our caller's promise.
            unsafe { *from.add(row) += -*what.add(row) };
        }
    }
}

impl Blas {
    /// Applies a block to so many lines of C: each tile has lines of its own, where there are enough for all; else the
    /// products are cut.
    ///
    /// # Safety
    /// They are as large as that and live, nobody writes to V and T, and nobody else touches C; the scratch has room.
    pub(super) unsafe fn reflect<T: Scalar>(
        &self,
        block: &Block<T>,
        way: Way,
        (c, lines): (Matrix<T>, usize),
        scratch: &mut Scratch<T>,
    ) -> Result<()> {
        if lines == 0 || block.count == 0 {
            return Ok(());
        }
        let each = scratch.each;
        let memory = scratch.shared();
        let between = |first: usize, lines: usize| {
            let ld = if way.is_left() { each } else { lines };
            Matrix::new(memory.moved(first * each), ld)
        };
        let pairs = 2 * block.len * block.count;
        let Some(cut) = self.shared(|pool| reflected::<T>(lines, pairs, pool)) else {
            // SAFETY: our caller's promise, handed on.
            return unsafe { block.apply(Hand::Call(self), way, (c, lines), between(0, lines)) };
        };
        let kernels = self.kernels::<T>();
        self.tiles(cut.parts(), &|tile| {
            let part = cut.part(tile);
            let c = if way.is_left() {
                c.from(0, part.start)
            } else {
                c.from(part.start, 0)
            };
            let w = between(part.start, part.len());
            // SAFETY: our caller's promise; these lines and their scratch are no other tile's. Kernels do not fail.
            let _ = unsafe { block.apply(Hand::Kernel(kernels), way, (c, part.len()), w) };
        });
        Ok(())
    }

    /// Factors columns that are not longer than there are rows into reflectors, in place, with their factors and T.
    ///
    /// # Safety
    /// The columns, one `tau` for each, and T, are outputs that live and that nobody else touches; the scratch has room for
    /// as many lines and reflectors as there are columns.
    pub(super) unsafe fn find_block<T: Scalar>(
        &self,
        block: &Block<T>,
        tau: *mut T,
        scratch: &mut Scratch<T>,
    ) -> Result<()> {
        let n = block.count;
        // SAFETY: our caller's promise: parts of the block, one after the other.
        unsafe {
            if n <= numbers().single {
                let w = scratch.shared();
                return self.through(|| {
                    let kernels = self.kernels::<T>();
                    for col in 0..n {
                        find(kernels, block, col, tau, w.ptr_mut());
                    }
                    close(kernels, block, tau);
                });
            }
            let (left, right) = halves(block);
            self.find_block(&left, tau, scratch)?;
            let beside = (block.v.from(0, left.count), right.count);
            self.reflect(&left, Way::LeftAdjoint, beside, scratch)?;
            self.find_block(&right, tau.add(left.count), scratch)?;
            self.join(&left, &right, block.t.from(0, left.count))
        }
    }

    /// T of a block whose reflectors are there.
    ///
    /// # Safety
    /// V and one `tau` for each column live, and nobody writes to them; T is an output that nobody else touches.
    pub(super) unsafe fn close_block<T: Scalar>(
        &self,
        block: &Block<T>,
        tau: *const T,
    ) -> Result<()> {
        // SAFETY: our caller's promise: parts of the block, one after the other.
        unsafe {
            if block.count <= numbers().single {
                return self.through(|| close(self.kernels::<T>(), block, tau));
            }
            let (left, right) = halves(block);
            self.close_block(&left, tau)?;
            self.close_block(&right, tau.add(left.count))?;
            self.join(&left, &right, block.t.from(0, left.count))
        }
    }

    /// The part of T where two halves of a block meet: -T1 V1^H V2 T2.
    ///
    /// # Safety
    /// As for [`close_block`](Blas::close_block); that part is nobody else's.
    unsafe fn join<T: Scalar>(
        &self,
        left: &Block<T>,
        right: &Block<T>,
        corner: Matrix<T>,
    ) -> Result<()> {
        let (k, n) = (left.count, right.count);
        let hand = Hand::Call(self);
        // V1 without the rows where V2 is zero: what meets V2's unit lower triangle, and the rows below.
        let meets = left.v.from(k, 0);
        let below = left.v.from(k + n, 0);
        // SAFETY: our caller's promise.
        unsafe {
            for col in 0..n {
                (0..k).for_each(|row| set(corner, row, col, get(meets, col, row).conj()));
            }
            hand.trmm(*b"RLNU", [k, n], T::ONE, right.v, corner)?;
            let operands = (T::ONE, below, right.v.from(n, 0));
            hand.gemm(*b"CN", [k, n, right.len - n], operands, corner)?;
            hand.trmm(*b"LUNN", [k, n], -T::ONE, left.t, corner)?;
            hand.trmm(*b"RUNN", [k, n], T::ONE, right.t, corner)
        }
    }
}

/// The halves of a block's columns.
fn halves<T: Scalar>(block: &Block<T>) -> (Block<T>, Block<T>) {
    let half = numbers().half(block.count);
    let left = Block {
        count: half,
        ..*block
    };
    let right = Block {
        v: block.v.from(half, half),
        len: block.len - half,
        count: block.count - half,
        t: block.t.from(half, half),
    };
    (left, right)
}

/// Makes one column a reflector, and applies it to the columns of the block that come after.
///
/// # Safety
/// The column is in the block, which is an output, as are `tau` and `w`, which has an element for each column; the library
/// is held.
unsafe fn find<T: Scalar>(
    kernels: &Kernels<T>,
    block: &Block<T>,
    col: usize,
    tau: *mut T,
    w: *mut T,
) {
    let len = block.len - col;
    let (rest, ld) = ((block.count - col - 1) as isize, block.v.ld());
    let start = block.v.from(col, col);
    // SAFETY: our caller's promise: the column from the diagonal down, and those on its right.
    unsafe {
        let factor = reflector(kernels, len, start.ptr_mut());
        tau.add(col).write(factor);
        if rest == 0 || factor == T::ZERO {
            return;
        }
        // With its first element, which is not stored: C = C - conj(tau) v (C^H v)^H.
        let diagonal = start.ptr().read();
        start.ptr_mut().write(T::ONE);
        let c = block.v.from(col, col + 1);
        let (v, m) = (start.ptr(), len as isize);
        kernels.gemv(b'C', m, rest, T::ONE, c.ptr(), ld, v, 1, T::ZERO, w, 1);
        kernels.gerc(m, rest, -factor.conj(), v, 1, w, 1, c.ptr_mut(), ld);
        start.ptr_mut().write(diagonal);
    }
}

/// T of very few reflectors.
///
/// # Safety
/// As for [`close_block`](Blas::close_block); the library is held.
unsafe fn close<T: Scalar>(kernels: &Kernels<T>, block: &Block<T>, tau: *const T) {
    let ld = block.v.ld();
    for col in 0..block.count {
        // SAFETY: our caller's promise: the column of T that belongs to this reflector.
        unsafe {
            let factor = tau.add(col).read();
            set(block.t, col, col, factor);
            if col == 0 {
                continue;
            }
            // Its own first element is a 1 that is not stored.
            for before in 0..col {
                let first = get(block.v, col, before).conj();
                set(block.t, before, col, -factor * first);
            }
            let (k, t) = (col as isize, block.t.from(0, col));
            let below = (block.len - col - 1) as isize;
            if below > 0 {
                let (others, own) = (block.v.from(col + 1, 0), block.v.from(col + 1, col));
                kernels.gemv(
                    b'C',
                    below,
                    k,
                    -factor,
                    others.ptr(),
                    ld,
                    own.ptr(),
                    1,
                    T::ONE,
                    t.ptr_mut(),
                    1,
                );
            }
            kernels.trmv(
                b'U',
                b'N',
                b'N',
                k,
                block.t.ptr(),
                block.t.ld(),
                t.ptr_mut(),
                1,
            );
        }
    }
}

/// LAPACK's larfg: the reflector H = I - tau (1, v) (1, v)^H for which H^H x is real and zero but for its first element.
/// That takes x's first place, v the others. Returns tau.
///
/// # Safety
/// The vector has so many elements, one at least, which nobody else touches; the library is held.
unsafe fn reflector<T: Scalar>(kernels: &Kernels<T>, len: usize, x: *mut T) -> T {
    let n = len as isize - 1;
    let safe_min = T::SAFE_MIN / T::ROUNDING;
    // SAFETY: our caller's promise.
    unsafe {
        let rest = x.add(1);
        let length = || T::of_real(kernels.nrm2(n, rest, 1)).widen().re;
        let scale = |by: f64| kernels.scal(n, T::narrow(Complex::new(by, 0.0)), rest, 1);
        let norm = |alpha: Complex<f64>, rest: f64| {
            -alpha.re.hypot(alpha.im).hypot(rest).copysign(alpha.re)
        };
        let mut alpha = x.read().widen();
        let mut tail = if n > 0 { length() } else { 0.0 };
        if tail == 0.0 && alpha.im == 0.0 {
            return T::ZERO;
        }
        let mut beta = norm(alpha, tail);
        let mut scaled = 0;
        // What is so small that its inverse is no number is made larger first, and this undone in the end.
        while beta.abs() < safe_min && scaled < 20 {
            scaled += 1;
            scale(1.0 / safe_min);
            beta /= safe_min;
            alpha /= safe_min;
        }
        if scaled > 0 {
            tail = if n > 0 { length() } else { 0.0 };
            beta = norm(alpha, tail);
        }
        let tau = Complex::new((beta - alpha.re) / beta, -alpha.im / beta);
        let inverse = inverse(Complex::new(alpha.re - beta, alpha.im));
        kernels.scal(n, T::narrow(inverse), rest, 1);
        (0..scaled).for_each(|_| beta *= safe_min);
        x.write(T::narrow(Complex::new(beta, 0.0)));
        T::narrow(tau)
    }
}

/// 1 / x without squaring what may be too large for it (Smith 1962).
fn inverse(x: Complex<f64>) -> Complex<f64> {
    if x.im == 0.0 {
        Complex::new(1.0 / x.re, 0.0)
    } else if x.re.abs() >= x.im.abs() {
        let ratio = x.im / x.re;
        let whole = x.re + x.im * ratio;
        Complex::new(1.0 / whole, -ratio / whole)
    } else {
        let ratio = x.re / x.im;
        let whole = x.re * ratio + x.im;
        Complex::new(ratio / whole, -1.0 / whole)
    }
}
