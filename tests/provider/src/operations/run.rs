//! The operations themselves, a function per family.
#![allow(
    clippy::unwrap_used,
    reason = "an operation that fails ends the program, and with it the test"
)]

use super::matrices::{general, hermitian, laid, vector, with_diagonal};
use super::{Book, Number};
use ndarray::{Array1, Array2};
use ndarray_linalg::krylov::{self, Strategy};
use ndarray_linalg::*;

/// All of them, on matrices of about that order.
pub(super) fn run<A: Number>(book: &mut Book, order: usize, by_columns: bool) {
    systems::<A>(book, order, by_columns);
    hermitian_systems::<A>(book, order, by_columns);
    definite::<A>(book, order, by_columns);
    orthogonal::<A>(book, order, by_columns);
    singular::<A>(book, order, by_columns);
    eigen::<A>(book, order, by_columns);
    hermitian_eigen::<A>(book, order, by_columns);
    least::<A>(book, order, by_columns);
    norms::<A>(book, order, by_columns);
    triangles::<A>(book, order, by_columns);
    diagonals::<A>(book, order, by_columns);
}

/// The adjoint times the matrix, in loops of ndarray's own: no BLAS has part in it.
fn gram<A: Number>(matrix: &Array2<A>) -> Array2<A> {
    let n = matrix.ncols();
    laid((n, n), false, |row, column| {
        let pairs = matrix.column(row).into_iter().zip(matrix.column(column));
        pairs.fold(A::made(0.0, 0.0), |sum, (x, y)| sum + x.conj() * *y)
    })
}

/// The product of two matrices, likewise.
fn times<A: Number>(left: &Array2<A>, right: &Array2<A>) -> Array2<A> {
    laid((left.nrows(), right.ncols()), false, |row, column| {
        let pairs = left.row(row).into_iter().zip(right.column(column));
        pairs.fold(A::made(0.0, 0.0), |sum, (x, y)| sum + *x * *y)
    })
}

fn systems<A: Number>(book: &mut Book, n: usize, by_columns: bool) {
    let a = with_diagonal::<A>((n, n), by_columns, 1, |_| 2.0);
    let b = vector::<A>(n, 1);
    book.values("solve", a.solve(&b).unwrap());
    book.values("solve_into", a.solve_into(b.clone()).unwrap());
    let mut x = b.clone();
    a.solve_inplace(&mut x).unwrap();
    book.values("solve_inplace", x);
    book.values("solve_t", a.solve_t(&b).unwrap());
    book.values("solve_t_into", a.solve_t_into(b.clone()).unwrap());
    book.values("solve_h", a.solve_h(&b).unwrap());
    book.values("solve_h_into", a.solve_h_into(b.clone()).unwrap());
    let lu = a.factorize().unwrap();
    book.values("factorize.solve", lu.solve(&b).unwrap());
    book.values("factorize.solve_t", lu.solve_t(&b).unwrap());
    book.values("factorize.solve_h", lu.solve_h(&b).unwrap());
    book.matrix("factorize.inv", &lu.inv().unwrap());
    book.values("factorize.det", [lu.det().unwrap()]);
    book.values("factorize.rcond", [lu.rcond().unwrap()]);
    let lu = a.clone().factorize_into().unwrap();
    book.matrix("factorize_into.inv_into", &lu.inv_into().unwrap());
    book.matrix("inv", &a.inv().unwrap());
    book.matrix("inv_into", &a.clone().inv_into().unwrap());
    book.values("det", [a.det().unwrap()]);
    book.values("det_into", [a.clone().det_into().unwrap()]);
    let (sign, logarithm) = a.sln_det().unwrap();
    book.values("sln_det.sign", [sign]);
    book.values("sln_det.ln", [logarithm]);
    let (sign, logarithm) = a.clone().sln_det_into().unwrap();
    book.values("sln_det_into.sign", [sign]);
    book.values("sln_det_into.ln", [logarithm]);
    book.values("rcond", [a.rcond().unwrap()]);
    book.values("rcond_into", [a.clone().rcond_into().unwrap()]);
    // A matrix that is singular is an error, on every library.
    let singular = laid::<A>((n, n), by_columns, |row, column| {
        A::made(f64::from(u8::from(row > 0 && row == column)), 0.0)
    });
    book.values(
        "solve.singular",
        [f64::from(u8::from(singular.solve(&b).is_err()))],
    );
    book.values("det.singular", [singular.det().unwrap()]);
}

fn hermitian_systems<A: Number>(book: &mut Book, n: usize, by_columns: bool) {
    // Indefinite: signs alternate.
    let sign = |place: usize| if place.is_multiple_of(2) { 2.0 } else { -2.0 };
    let a = hermitian::<A>(n, by_columns, 2, sign);
    let b = vector::<A>(n, 2);
    book.values("solveh", a.solveh(&b).unwrap());
    book.values("solveh_into", a.solveh_into(b.clone()).unwrap());
    let mut x = b.clone();
    a.solveh_inplace(&mut x).unwrap();
    book.values("solveh_inplace", x);
    let factors = a.factorizeh().unwrap();
    book.values("factorizeh.solveh", factors.solveh(&b).unwrap());
    book.values("factorizeh.deth", [factors.deth()]);
    book.matrix("factorizeh.invh", &factors.invh().unwrap());
    let factors = a.clone().factorizeh_into().unwrap();
    book.matrix("factorizeh_into.invh_into", &factors.invh_into().unwrap());
    book.matrix("invh", &a.invh().unwrap());
    book.matrix("invh_into", &a.clone().invh_into().unwrap());
    book.values("deth", [a.deth().unwrap()]);
    book.values("deth_into", [a.clone().deth_into().unwrap()]);
    let (sign, logarithm) = a.sln_deth().unwrap();
    book.values("sln_deth", [sign, logarithm]);
    let (sign, logarithm) = a.sln_deth_into().unwrap();
    book.values("sln_deth_into", [sign, logarithm]);
}

fn definite<A: Number>(book: &mut Book, n: usize, by_columns: bool) {
    let a = hermitian::<A>(n, by_columns, 3, |_| 2.0);
    let b = vector::<A>(n, 3);
    for (name, uplo) in [("lower", UPLO::Lower), ("upper", UPLO::Upper)] {
        book.matrix(&format!("cholesky.{name}"), &a.cholesky(uplo).unwrap());
        book.matrix(
            &format!("cholesky_into.{name}"),
            &a.clone().cholesky_into(uplo).unwrap(),
        );
        let mut factor = a.clone();
        factor.cholesky_inplace(uplo).unwrap();
        book.matrix(&format!("cholesky_inplace.{name}"), &factor);
        let factors = a.factorizec(uplo).unwrap();
        book.values(
            &format!("factorizec.solvec.{name}"),
            factors.solvec(&b).unwrap(),
        );
        book.matrix(&format!("factorizec.invc.{name}"), &factors.invc().unwrap());
        book.values(&format!("factorizec.detc.{name}"), [factors.detc()]);
        let factors = a.clone().factorizec_into(uplo).unwrap();
        book.values(
            &format!("factorizec_into.ln_detc.{name}"),
            [factors.ln_detc()],
        );
        book.matrix(
            &format!("factorizec_into.invc_into.{name}"),
            &factors.invc_into().unwrap(),
        );
    }
    book.values("solvec", a.solvec(&b).unwrap());
    book.values("solvec_into", a.solvec_into(b.clone()).unwrap());
    let mut x = b.clone();
    a.solvec_inplace(&mut x).unwrap();
    book.values("solvec_inplace", x);
    book.matrix("invc", &a.invc().unwrap());
    book.matrix("invc_into", &a.clone().invc_into().unwrap());
    book.values("detc", [a.detc().unwrap(), a.clone().detc_into().unwrap()]);
    book.values(
        "ln_detc",
        [a.ln_detc().unwrap(), a.clone().ln_detc_into().unwrap()],
    );
    let indefinite = hermitian::<A>(n, by_columns, 3, |place| place as f64 - 2.0);
    let refused = indefinite.cholesky(UPLO::Lower).is_err();
    book.values("cholesky.indefinite", [f64::from(u8::from(refused))]);
}

fn orthogonal<A: Number>(book: &mut Book, n: usize, by_columns: bool) {
    for (name, shape) in [
        ("tall", (n + 5, n)),
        ("wide", (n, n + 5)),
        ("square", (n, n)),
    ] {
        let a = with_diagonal::<A>(shape, by_columns, 4, |_| 2.0);
        let (q, r) = a.qr().unwrap();
        book.matrix(&format!("qr.q.{name}"), &q);
        book.matrix(&format!("qr.r.{name}"), &r);
        let (q, r) = a.clone().qr_into().unwrap();
        book.matrix(&format!("qr_into.q.{name}"), &q);
        book.matrix(&format!("qr_into.r.{name}"), &r);
    }
    let a = with_diagonal::<A>((n, n), by_columns, 4, |_| 2.0);
    let (q, r) = a.qr_square().unwrap();
    book.matrix("qr_square.q", &q);
    book.matrix("qr_square.r", &r);
    let (q, r) = a.clone().qr_square_into().unwrap();
    book.matrix("qr_square_into.q", &q);
    book.matrix("qr_square_into.r", &r);
    let mut q = a.clone();
    let (_, r) = q.qr_square_inplace().unwrap();
    book.matrix("qr_square_inplace.r", &r);
    book.matrix("qr_square_inplace.q", &q);
    let columns = || a.columns().into_iter().map(|column| column.to_owned());
    let least = A::real(1e-5);
    let (q, r) = krylov::mgs(columns(), n, least, Strategy::Terminate);
    book.matrix("mgs.q", &q);
    book.matrix("mgs.r", &r);
    let (q, r) = krylov::householder(columns(), n, least, Strategy::Terminate);
    book.columns("householder.q", &q, n);
    book.matrix("householder.qr", &times(&q, &r));
}

fn singular<A: Number>(book: &mut Book, n: usize, by_columns: bool) {
    for (name, shape) in [
        ("tall", (n + 5, n)),
        ("wide", (n, n + 5)),
        ("square", (n, n)),
    ] {
        let a = with_diagonal::<A>(shape, by_columns, 5, |place| place as f64 + 1.0);
        let all = |book: &mut Book, how: &str, (u, s, vt): Parts<A>| {
            let what = format!("{how}.{name}");
            book.values(&format!("{what}.s"), s.iter().copied());
            let (Some(u), Some(vt)) = (u, vt) else {
                return;
            };
            // The first of them belong to singular values; of the others it is known that they are orthogonal.
            book.columns(&format!("{what}.u"), &u, n);
            book.columns(&format!("{what}.v"), &vt.t().to_owned(), n);
            // Products by loops take long in a debug build, so large ones are few.
            if n > 10 && !(name == "square" && ["svd", "svddc"].contains(&how)) {
                return;
            }
            book.matrix(&format!("{what}.uu"), &gram(&u));
            book.matrix(&format!("{what}.vv"), &gram(&vt.t().to_owned()));
            let scaled = laid((u.nrows(), n), false, |row, column| {
                u[(row, column)] * A::from_real(s[column])
            });
            let rows = vt.slice(ndarray::s![..n, ..]).to_owned();
            book.matrix(&format!("{what}.usv"), &times(&scaled, &rows));
        };
        all(book, "svd", a.svd(true, true).unwrap());
        all(book, "svd.values", a.svd(false, false).unwrap());
        all(book, "svd_into", a.clone().svd_into(true, true).unwrap());
        all(
            book,
            "svd_inplace",
            a.clone().svd_inplace(true, true).unwrap(),
        );
        all(book, "svddc", a.svddc(JobSvd::All).unwrap());
        all(book, "svddc.some", a.svddc(JobSvd::Some).unwrap());
        all(book, "svddc.values", a.svddc(JobSvd::None).unwrap());
        all(
            book,
            "svddc_into",
            a.clone().svddc_into(JobSvd::All).unwrap(),
        );
        all(
            book,
            "svddc_inplace",
            a.clone().svddc_inplace(JobSvd::All).unwrap(),
        );
    }
}

type Parts<A> = (
    Option<Array2<A>>,
    Array1<<A as Scalar>::Real>,
    Option<Array2<A>>,
);

/// The places of eigenvalues, by their real parts and then by the others: libraries differ in their order.
fn in_order<C: Scalar<Real: Into<f64>>>(values: &[C]) -> Vec<usize> {
    let key = |place: &usize| {
        let (re, im): (f64, f64) = (values[*place].re().into(), values[*place].im().into());
        re + 0.05 * im
    };
    let mut places: Vec<usize> = (0..values.len()).collect();
    places.sort_by(|one, other| key(one).total_cmp(&key(other)));
    places
}

fn eigen<A: Number>(book: &mut Book, n: usize, by_columns: bool)
where
    A::Complex: Scalar<Real: Into<f64>>,
{
    let a = general::<A>(n, by_columns);
    let (values, vectors) = a.eig().unwrap();
    let places = in_order(values.as_slice().unwrap());
    book.values("eig", places.iter().map(|&place| values[place]));
    book.columns("eig.vectors", &vectors.select(ndarray::Axis(1), &places), n);
    let values = a.eigvals().unwrap();
    let places = in_order(values.as_slice().unwrap());
    book.values("eigvals", places.iter().map(|&place| values[place]));
    let b = with_diagonal::<A>((n, n), by_columns, 6, |_| 1.0);
    let (values, vectors) = (a, b).eig_generalized(None).unwrap();
    let values: Vec<A::Complex> = values
        .iter()
        .map(|value| match value {
            GeneralizedEigenvalue::Finite(value, _) => *value,
            GeneralizedEigenvalue::Indeterminate(_) => A::complex(f64::NAN, f64::NAN),
        })
        .collect();
    let places = in_order(&values);
    book.values("eig_generalized", places.iter().map(|&place| values[place]));
    // Their lengths are another matter than for those of one matrix.
    let vectors = vectors.select(ndarray::Axis(1), &places);
    let mut unit = vectors.clone();
    for mut column in unit.columns_mut() {
        let squares = column.iter().fold(A::real(0.0), |sum, x| sum + x.square());
        let length = A::Complex::from_real(squares.sqrt());
        column.mapv_inplace(|x| x / length);
    }
    book.columns("eig_generalized.vectors", &unit, n);
}

fn hermitian_eigen<A: Number>(book: &mut Book, n: usize, by_columns: bool) {
    let a = hermitian::<A>(n, by_columns, 8, |place| place as f64 + 1.0);
    let b = hermitian::<A>(n, by_columns, 9, |_| 1.5);
    for (name, uplo) in [("lower", UPLO::Lower), ("upper", UPLO::Upper)] {
        let (values, vectors) = a.eigh(uplo).unwrap();
        book.values(&format!("eigh.{name}"), values);
        book.columns(&format!("eigh.vectors.{name}"), &vectors, n);
        let (values, vectors) = a.clone().eigh_into(uplo).unwrap();
        book.values(&format!("eigh_into.{name}"), values);
        book.columns(&format!("eigh_into.vectors.{name}"), &vectors, n);
        let mut vectors = a.clone();
        let (values, _) = vectors.eigh_inplace(uplo).unwrap();
        book.values(&format!("eigh_inplace.{name}"), values);
        book.columns(&format!("eigh_inplace.vectors.{name}"), &vectors, n);
        book.values(&format!("eigvalsh.{name}"), a.eigvalsh(uplo).unwrap());
        book.values(
            &format!("eigvalsh_into.{name}"),
            a.clone().eigvalsh_into(uplo).unwrap(),
        );
        book.values(
            &format!("eigvalsh_inplace.{name}"),
            a.clone().eigvalsh_inplace(uplo).unwrap(),
        );
        // For two matrices.
        let (values, (vectors, _)) = (a.clone(), b.clone()).eigh(uplo).unwrap();
        book.values(&format!("eigh.two.{name}"), values);
        book.columns(&format!("eigh.two.vectors.{name}"), &vectors, n);
        book.matrix(&format!("ssqrt.{name}"), &a.ssqrt(uplo).unwrap());
        book.matrix(
            &format!("ssqrt_into.{name}"),
            &a.clone().ssqrt_into(uplo).unwrap(),
        );
    }
}

fn least<A: Number>(book: &mut Book, n: usize, by_columns: bool) {
    // The last has no full rank.
    let shapes = [
        ("tall", (n + 5, n)),
        ("wide", (n, n + 5)),
        ("square", (n, n)),
    ];
    for (name, shape) in shapes.into_iter().chain([("poor", (n + 1, n))]) {
        let a = if name == "poor" {
            // Columns of zeros, so that no rounding decides on the rank.
            let mut a = with_diagonal::<A>(shape, by_columns, 10, |_| 2.0);
            a.slice_mut(ndarray::s![.., n - 2..])
                .fill(A::made(0.0, 0.0));
            a
        } else {
            with_diagonal::<A>(shape, by_columns, 10, |_| 2.0)
        };
        let b = vector::<A>(shape.0, 10);
        let bs = laid::<A>((shape.0, 3), by_columns, |row, column| {
            b[row] * A::made(1.0 + column as f64, 0.0)
        });
        let rank = |rank: i32| [f64::from(rank)];
        let one = a.least_squares(&b).unwrap();
        book.values(
            &format!("least_squares.{name}"),
            one.solution.iter().copied(),
        );
        book.values(
            &format!("least_squares.s.{name}"),
            one.singular_values.iter().take(2).copied(),
        );
        book.values(&format!("least_squares.rank.{name}"), rank(one.rank));
        let left = one.residual_sum_of_squares.map(|left| left.into_scalar());
        book.values(&format!("least_squares.left.{name}"), left);
        let one = a.clone().least_squares_into(b.clone()).unwrap();
        book.values(&format!("least_squares_into.{name}"), one.solution);
        let (mut own, mut right) = (a.clone(), b.clone());
        let one = own.least_squares_in_place(&mut right).unwrap();
        book.values(&format!("least_squares_in_place.{name}"), one.solution);
        let many = a.least_squares(&bs).unwrap();
        book.matrix(&format!("least_squares.many.{name}"), &many.solution);
        let left = many.residual_sum_of_squares.into_iter().flatten();
        book.values(&format!("least_squares.many.left.{name}"), left);
        let many = a.clone().least_squares_into(bs.clone()).unwrap();
        book.matrix(&format!("least_squares_into.many.{name}"), &many.solution);
    }
}

fn norms<A: Number>(book: &mut Book, n: usize, by_columns: bool) {
    let a = with_diagonal::<A>((n + 3, n), by_columns, 11, |_| 2.0);
    let (x, y) = (vector::<A>(n, 11), vector::<A>(n, 12));
    book.values(
        "norm.vector",
        [x.norm(), x.norm_l1(), x.norm_l2(), x.norm_max()],
    );
    book.values(
        "norm.matrix",
        [a.norm(), a.norm_l1(), a.norm_l2(), a.norm_max()],
    );
    let all = [a.opnorm_one(), a.opnorm_inf(), a.opnorm_fro()];
    book.values("opnorm", all.map(Result::unwrap));
    book.values("inner", [x.inner(&y)]);
    book.values("dot", [x.dot(&y)]);
    book.values("product.vector", a.dot(&x));
    book.matrix("product", &a.t().to_owned().dot(&a));
    let square = with_diagonal::<A>((n, n), by_columns, 12, |_| 2.0);
    book.values("trace", [square.trace().unwrap()]);
    let (unit, lengths) = normalize(a.clone(), NormalizeAxis::Column);
    book.matrix("normalize", &unit);
    book.values("normalize.lengths", lengths);
    let diagonal = x.clone().into_diagonal();
    book.values("diagonal.apply", diagonal.apply(&y));
}

fn triangles<A: Number>(book: &mut Book, n: usize, by_columns: bool) {
    let a = with_diagonal::<A>((n, n), by_columns, 14, |_| 2.0);
    let b = vector::<A>(n, 14);
    let bs = laid::<A>((n, 3), by_columns, |row, column| {
        b[row] * A::made(1.0 + column as f64, 0.0)
    });
    for (triangle, uplo) in [("lower", UPLO::Lower), ("upper", UPLO::Upper)] {
        for (unit, diag) in [("unit", 'U'), ("own", 'N')] {
            let diag = || {
                if diag == 'U' {
                    Diag::Unit
                } else {
                    Diag::NonUnit
                }
            };
            let name = |how: &str| format!("{how}.{triangle}.{unit}");
            book.values(
                &name("solve_triangular"),
                a.solve_triangular(uplo, diag(), &b).unwrap(),
            );
            book.values(
                &name("solve_triangular_into"),
                a.solve_triangular_into(uplo, diag(), b.clone()).unwrap(),
            );
            book.matrix(
                &name("solve_triangular.many"),
                &a.solve_triangular(uplo, diag(), &bs).unwrap(),
            );
            book.matrix(
                &name("solve_triangular_into.many"),
                &a.solve_triangular_into(uplo, diag(), bs.clone()).unwrap(),
            );
            let mut x = bs.clone();
            a.solve_triangular_inplace(uplo, diag(), &mut x).unwrap();
            book.matrix(&name("solve_triangular_inplace.many"), &x);
        }
        book.matrix(
            &format!("into_triangular.{triangle}"),
            &a.clone().into_triangular(uplo),
        );
    }
}

fn diagonals<A: Number>(book: &mut Book, n: usize, by_columns: bool) {
    let a = with_diagonal::<A>((n, n), by_columns, 15, |_| 1.5);
    let b = vector::<A>(n, 15);
    // By rows, which ndarray-linalg asks for here.
    let bs = laid::<A>((n, 3), false, |row, column| {
        b[row] * A::made(1.0 + column as f64, 0.0)
    });
    let three = a.extract_tridiagonal().unwrap();
    let factors = three.factorize_tridiagonal().unwrap();
    book.values("solve_tridiagonal", three.solve_tridiagonal(&b).unwrap());
    book.values(
        "solve_t_tridiagonal",
        three.solve_t_tridiagonal(&b).unwrap(),
    );
    book.values(
        "solve_h_tridiagonal",
        three.solve_h_tridiagonal(&b).unwrap(),
    );
    book.matrix(
        "solve_tridiagonal.many",
        &three.solve_tridiagonal(&bs).unwrap(),
    );
    book.matrix(
        "solve_t_tridiagonal.many",
        &three.solve_t_tridiagonal(&bs).unwrap(),
    );
    book.matrix(
        "solve_h_tridiagonal.many",
        &three.solve_h_tridiagonal(&bs).unwrap(),
    );
    book.matrix(
        "solve_tridiagonal_into.many",
        &three.solve_tridiagonal_into(bs.clone()).unwrap(),
    );
    book.values("solve_tridiagonal.full", a.solve_tridiagonal(&b).unwrap());
    book.values(
        "factorize_tridiagonal.solve",
        factors.solve_tridiagonal(&b).unwrap(),
    );
    book.values(
        "factorize_tridiagonal.solve_t",
        factors.solve_t_tridiagonal(&b).unwrap(),
    );
    book.values(
        "factorize_tridiagonal.solve_h",
        factors.solve_h_tridiagonal(&b).unwrap(),
    );
    book.values(
        "factorize_tridiagonal.rcond",
        [factors.rcond_tridiagonal().unwrap()],
    );
    book.values(
        "det_tridiagonal",
        [
            three.det_tridiagonal().unwrap(),
            a.det_tridiagonal().unwrap(),
        ],
    );
    book.values("rcond_tridiagonal", [a.rcond_tridiagonal().unwrap()]);
    let all = [three.opnorm_one(), three.opnorm_inf(), three.opnorm_fro()];
    book.values("opnorm.tridiagonal", all.map(Result::unwrap));
}
