//! Calls of level 3: what each reads, what it should make of it, and the call itself.
//!
//! Invariant: a [`Case`] alone decides the operands, so that it can be repeated bit by bit.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    reason = "each test file uses a part of it; a test fails by panicking; sizes are small"
)]

use crate::reference::{Dense, Number, Stored, Sum, Wide, assert_close};
use num_complex::Complex;
use threadctl::dispatch::Blas;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routine {
    Gemm,
    Gemmt,
    Symm,
    Hemm,
    Syrk,
    Herk,
    Syr2k,
    Her2k,
    Trmm,
    Trsm,
}

use Routine::*;

pub const ALL: [Routine; 10] = [
    Gemm, Gemmt, Symm, Hemm, Syrk, Herk, Syr2k, Her2k, Trmm, Trsm,
];

/// One call.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub routine: Routine,
    pub side: u8,
    pub uplo: u8,
    pub ta: u8,
    pub tb: u8,
    pub diag: u8,
    /// m, n, k; those that a routine has.
    pub shape: [usize; 3],
    /// By how much columns are further apart than they are long.
    pub gaps: [usize; 3],
    pub alpha: (f64, f64),
    pub beta: (f64, f64),
}

/// The operands of a call.
#[derive(Clone)]
pub struct Operands<T> {
    pub a: Stored<T>,
    pub b: Stored<T>,
    /// The result, and what is there before.
    pub c: Stored<T>,
}

impl Case {
    /// All flags that a routine has for this type, with sizes and factors to be filled in.
    pub fn all<T: Number>(routine: Routine) -> Vec<Case> {
        let (left, both) = (b"L".as_slice(), b"LR".as_slice());
        let (any, up_low) = (b"NTC".as_slice(), b"UL".as_slice());
        let (none, units) = (b"N".as_slice(), b"NU".as_slice());
        let symmetric = if T::COMPLEX { b"NT".as_slice() } else { any };
        let hermitian = if T::COMPLEX { b"NC".as_slice() } else { any };
        let [sides, uplos, tas, tbs, diags] = match routine {
            Gemm => [left, b"U", any, any, none],
            Gemmt => [left, up_low, any, any, none],
            Symm | Hemm => [both, up_low, none, none, none],
            Syrk | Syr2k => [left, up_low, symmetric, none, none],
            Herk | Her2k => [left, up_low, hermitian, none, none],
            Trmm | Trsm => [both, up_low, any, none, units],
        };
        let mut cases = Vec::new();
        for &side in sides {
            for &uplo in uplos {
                for &ta in tas {
                    for &tb in tbs {
                        for &diag in diags {
                            cases.push(Case {
                                routine,
                                side,
                                uplo,
                                ta,
                                tb,
                                diag,
                                shape: [1; 3],
                                gaps: [0; 3],
                                alpha: (1.0, 0.0),
                                beta: (0.0, 0.0),
                            });
                        }
                    }
                }
            }
        }
        cases
    }

    /// Whether the routine has that flag.
    pub fn has(&self, flag: &str) -> bool {
        match flag {
            "side" => matches!(self.routine, Symm | Hemm | Trmm | Trsm),
            "uplo" => self.routine != Gemm,
            "ta" => !matches!(self.routine, Symm | Hemm),
            "tb" => matches!(self.routine, Gemm | Gemmt),
            _ => matches!(self.routine, Trmm | Trsm),
        }
    }

    /// Whether one triangle of the result is meant.
    pub fn is_triangle(&self) -> bool {
        matches!(self.routine, Gemmt | Syrk | Herk | Syr2k | Her2k)
    }

    /// Whether alpha is real for complex elements too.
    fn real_alpha(&self) -> bool {
        self.routine == Herk
    }

    fn real_beta(&self) -> bool {
        matches!(self.routine, Herk | Her2k)
    }

    fn hermitian(&self) -> bool {
        matches!(self.routine, Hemm | Herk | Her2k)
    }

    fn alpha<T: Number>(&self) -> T {
        let im = if self.real_alpha() { 0.0 } else { self.alpha.1 };
        T::of(Complex::new(self.alpha.0, im))
    }

    fn beta<T: Number>(&self) -> T {
        let im = if self.real_beta() { 0.0 } else { self.beta.1 };
        T::of(Complex::new(self.beta.0, im))
    }

    /// The rows and columns of the result.
    fn result(&self) -> (usize, usize) {
        let [m, n, _] = self.shape;
        if self.is_triangle() { (n, n) } else { (m, n) }
    }

    /// Whether an element of the result is written.
    pub fn is_meant(&self, row: usize, col: usize) -> bool {
        !self.is_triangle() || inside(self.uplo, row, col)
    }

    /// How many products are added up in an element, where that is an argument.
    fn depth(&self) -> Option<usize> {
        (self.is_triangle() || self.routine == Gemm).then_some(self.shape[2])
    }

    /// The order of the matrix of which one triangle is stored.
    fn order(&self) -> usize {
        self.shape[usize::from(self.side == b'R')]
    }

    pub fn operands<T: Number>(&self) -> Operands<T> {
        let [m, n, k] = self.shape;
        let stored = |flag, rows, cols| {
            if flag == b'N' {
                (rows, cols)
            } else {
                (cols, rows)
            }
        };
        let everywhere = |_, _| true;
        let triangle = |row, col| inside(self.uplo, row, col);
        let (a, b) = match self.routine {
            Gemm | Gemmt => (stored(self.ta, self.result().0, k), stored(self.tb, k, n)),
            Symm | Hemm | Trmm | Trsm => ((self.order(), self.order()), (m, n)),
            Syrk | Herk | Syr2k | Her2k => (stored(self.ta, n, k), stored(self.ta, n, k)),
        };
        let mut a: Stored<T> = match self.routine {
            Symm | Hemm | Trmm | Trsm => Stored::filled(a, self.gaps[0], 1, triangle),
            _ => Stored::filled(a, self.gaps[0], 1, everywhere),
        };
        let b = Stored::filled(b, self.gaps[1], 2, everywhere);
        let unread = self.beta == (0.0, 0.0) && !matches!(self.routine, Trmm | Trsm);
        let c = if unread {
            Stored::nan(self.result().0, self.result().1, self.gaps[2])
        } else {
            Stored::filled(self.result(), self.gaps[2], 3, everywhere)
        };
        for i in 0..a.rows.min(a.cols) {
            match self.routine {
                // Not referenced, hence NaN.
                Hemm if T::COMPLEX => {
                    let re = a.get(i, i).wide().re;
                    a.set(i, i, T::of(Complex::new(re, f64::NAN)));
                }
                Trmm | Trsm if self.diag == b'U' => {
                    a.set(i, i, T::of(Complex::new(f64::NAN, f64::NAN)));
                }
                _ => {}
            }
        }
        if matches!(self.routine, Trmm | Trsm) {
            tame(&mut a);
        }
        Operands { a, b, c }
    }

    /// A, as the routine understands it: of the right order, with both triangles, as it is taken.
    fn understood<T: Number>(&self, a: &Stored<T>) -> Dense {
        match self.routine {
            Symm | Hemm => Dense::new(a.rows, a.cols, |row, col| {
                let real = self.hermitian() && T::COMPLEX;
                Some(if row == col && real {
                    Complex::new(a.get(row, row).wide().re, 0.0)
                } else if inside(self.uplo, row, col) {
                    a.get(row, col).wide()
                } else if real {
                    a.get(col, row).wide().conj()
                } else {
                    a.get(col, row).wide()
                })
            }),
            Trmm | Trsm => Dense::new(a.rows, a.cols, |row, col| {
                if row == col && self.diag == b'U' {
                    Some(Wide::ONE)
                } else {
                    inside(self.uplo, row, col).then(|| a.get(row, col).wide())
                }
            })
            .taken(self.ta),
            _ => a.dense().taken(self.ta),
        }
    }

    /// Asserts that `after` is what the routine makes of the operands.
    pub fn assert_result<T: Number>(&self, before: &Operands<T>, after: &Stored<T>) {
        let what = format!("{self:?} of {}", T::LETTER);
        after.assert_untouched(&before.c, |row, col| self.is_meant(row, col), &what);
        let (alpha, beta) = (self.alpha::<T>().wide(), self.beta::<T>().wide());
        let nothing_to_add = alpha == Wide::ZERO || (self.depth() == Some(0));
        let in_place = matches!(self.routine, Trmm | Trsm);
        if nothing_to_add && beta == Wide::ONE && !in_place {
            assert!(after.same(&before.c), "{what}: not left as it was");
            return;
        }
        let a = self.understood(&before.a);
        let flip = if self.hermitian() { b'C' } else { b'T' };
        let (old, new) = (before.c.dense(), after.dense());
        // Whose sum should be what.
        let (terms, goal): (Vec<(Wide, Dense, Dense)>, Option<Dense>) = match self.routine {
            Gemm | Gemmt => (vec![(alpha, a, before.b.dense().taken(self.tb))], None),
            Symm | Hemm if self.side == b'L' => (vec![(alpha, a, before.b.dense())], None),
            Symm | Hemm => (vec![(alpha, before.b.dense(), a)], None),
            Syrk | Herk => (vec![(alpha, a.clone(), a.taken(flip))], None),
            Syr2k | Her2k => {
                let b = before.b.dense().taken(self.ta);
                let other = if self.routine == Her2k {
                    alpha.conj()
                } else {
                    alpha
                };
                (
                    vec![(alpha, a.clone(), b.taken(flip)), (other, b, a.taken(flip))],
                    None,
                )
            }
            Trmm if self.side == b'L' => (vec![(alpha, a, old.clone())], None),
            Trmm => (vec![(alpha, old.clone(), a)], None),
            Trsm if alpha == Wide::ZERO => (vec![], None),
            Trsm if self.side == b'L' => (vec![(Wide::ONE, a, new.clone())], Some(old.clone())),
            Trsm => (vec![(Wide::ONE, new.clone(), a)], Some(old.clone())),
        };
        let sum = Sum::new(&terms);
        let depth = sum.depth();
        let scaled = !in_place && beta != Wide::ZERO;
        for col in 0..after.cols {
            for row in 0..after.rows {
                if !self.is_meant(row, col) {
                    continue;
                }
                let what = || format!("{what} [{row}, {col}]");
                let (mut value, mut size) = sum.at(row, col);
                if let Some(goal) = &goal {
                    let goal = alpha * goal.at(row, col).unwrap();
                    assert_close::<T>(goal, (value, size + goal.l1_norm()), depth, &what);
                    continue;
                }
                let real_diagonal = row == col && self.hermitian() && self.is_triangle();
                if scaled {
                    let mut old = old.at(row, col).unwrap();
                    if real_diagonal {
                        old.im = 0.0;
                    }
                    value += beta * old;
                    size += beta.l1_norm() * old.l1_norm();
                }
                let got = new.at(row, col).unwrap();
                if real_diagonal {
                    value.im = 0.0;
                    assert!(
                        got.im == 0.0,
                        "{}: {got} on the diagonal is not real",
                        what()
                    );
                }
                assert_close::<T>(got, (value, size), depth, &what);
            }
        }
    }

    /// Makes the call.
    pub fn call<T: Number>(&self, blas: &Blas, operands: &mut Operands<T>) {
        self.try_call(blas, operands).unwrap();
    }

    /// Makes the call, which may be refused.
    pub fn try_call<T: Number>(
        &self,
        blas: &Blas,
        operands: &mut Operands<T>,
    ) -> threadctl::Result<()> {
        let Operands { a, b, c } = operands;
        let Case {
            side,
            uplo,
            ta,
            tb,
            diag,
            ..
        } = *self;
        let [m, n, k] = self.shape.map(|size| size as isize);
        let (alpha, beta) = (self.alpha::<T>(), self.beta::<T>());
        let (real_alpha, real_beta) = (T::real(self.alpha.0), T::real(self.beta.0));
        let (ap, lda, bp, ldb, ldc) = (a.ptr(), a.ld(), b.ptr(), b.ld(), c.ld());
        let cp = c.ptr_mut();
        // SAFETY: `operands` made matrices of these shapes.
        unsafe {
            match self.routine {
                Gemm => blas.gemm(ta, tb, m, n, k, alpha, ap, lda, bp, ldb, beta, cp, ldc),
                Gemmt => blas.gemmt(uplo, ta, tb, n, k, alpha, ap, lda, bp, ldb, beta, cp, ldc),
                Symm => blas.symm(side, uplo, m, n, alpha, ap, lda, bp, ldb, beta, cp, ldc),
                Hemm => blas.hemm(side, uplo, m, n, alpha, ap, lda, bp, ldb, beta, cp, ldc),
                Syrk => blas.syrk(uplo, ta, n, k, alpha, ap, lda, beta, cp, ldc),
                Herk => blas.herk(uplo, ta, n, k, real_alpha, ap, lda, real_beta, cp, ldc),
                Syr2k => blas.syr2k(uplo, ta, n, k, alpha, ap, lda, bp, ldb, beta, cp, ldc),
                Her2k => blas.her2k(uplo, ta, n, k, alpha, ap, lda, bp, ldb, real_beta, cp, ldc),
                Trmm => blas.trmm(side, uplo, ta, diag, m, n, alpha, ap, lda, cp, ldc),
                Trsm => blas.trsm(side, uplo, ta, diag, m, n, alpha, ap, lda, cp, ldc),
            }
        }
    }
}

fn inside(uplo: u8, row: usize, col: usize) -> bool {
    if uplo == b'L' { row >= col } else { row <= col }
}

/// Makes a triangular matrix one that can be solved well: a large diagonal, a small rest.
fn tame<T: Number>(a: &mut Stored<T>) {
    let order = a.rows as f64;
    for col in 0..a.cols {
        for row in 0..a.rows {
            let value = a.get(row, col).wide();
            let value = if row == col {
                value + value / value.l1_norm()
            } else {
                value / order
            };
            a.set(row, col, T::of(value));
        }
    }
}
