# Matrix programs over scipy and numpy in one process. From PyPI each brings an OpenBLAS of its own, one of them with 64-bit
# integers.
import numpy as np
import scipy.linalg as sl
from scipy.linalg import blas, lapack
from scipy.sparse import diags
from scipy.sparse.linalg import eigsh, splu

rng = np.random.default_rng(3)
n = 160
a = rng.standard_normal((n, n))
b = rng.standard_normal((n, n))
good = a / n + np.eye(n) * 2
positive = good @ good.T


def show(what, value):
    print(f"{what} {float(np.real(value)):.17g} {float(np.imag(value)):.17g}")


show("numpy's product", (a @ b)[3:9, 4:8].sum())
show("scipy's product", blas.dgemm(1.0, a, b)[3:9, 4:8].sum())
show("float", float(blas.sgemm(1.0, np.eye(n), np.asfortranarray(good, dtype=np.float32)).sum()) > 0)
show("complex", blas.zgemm(1.0, a + 1j * b, b)[0, 0])
show("complex dot", blas.zdotc(a[0] + 1j * b[0], b[0] + 1j * a[1]))
show("largest", blas.idamax(a[0]))
show("solve", sl.solve(good, b).sum())
show("positive", sl.solve(positive, b, assume_a="pos").sum())
lu, pivots = sl.lu_factor(good)
show("pivots", pivots.sum())
show("lu", sl.lu_solve((lu, pivots), b).sum())
show("cholesky", sl.cholesky(positive, lower=True).sum())
show("triangle", sl.solve_triangular(sl.cholesky(positive, lower=True), b, lower=True).sum())
show("qr", np.abs(np.diag(sl.qr(good)[1])).sum())
show("inverse", sl.inv(good).sum())
show("svd", sl.svd(good)[1].sum())
show("old svd", sl.svd(good, lapack_driver="gesvd")[1].sum())
show("eigh", sl.eigh(positive)[0].sum())
show("expm", sl.expm(good / 4).sum())
show("least squares", sl.lstsq(good[:, :100], b[:, :5])[0].sum())
show("schur", np.abs(np.diag(sl.schur(good, output="complex")[0])).sum())
info = lapack.dpotrf(-np.eye(5))[1]
show("not positive", info)
band = diags([np.full(n - 1, -1.0), np.full(n, 2.5), np.full(n - 1, -1.0)], [-1, 0, 1]).tocsc()
show("arpack", eigsh(band, k=4, return_eigenvectors=False, v0=np.ones(n)).sum())
show("superlu", splu(band).solve(b[0]).sum())
