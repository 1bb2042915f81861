# Matrix programs over numpy: one number each, which does not depend on signs or orders that LAPACK leaves open.
import numpy as np

rng = np.random.default_rng(7)
for kind in (np.float64, np.complex128, np.float32, np.complex64):
    n = 140
    a = rng.standard_normal((n, n))
    b = rng.standard_normal((n, n))
    if np.issubdtype(kind, np.complexfloating):
        a = a + 1j * rng.standard_normal((n, n))
        b = b + 1j * rng.standard_normal((n, n))
    a, b = a.astype(kind), b.astype(kind)
    good = (a / n + np.eye(n) * 2).astype(kind)
    hermitian = (good @ good.conj().T).astype(kind)

    def show(what, value):
        print(f"{what}.{np.dtype(kind).name} {float(np.real(value)):.17g} {float(np.imag(value)):.17g}")

    show("product", (a @ b)[3:9, 4:8].sum())
    show("transposed", (a.T @ b)[3:9, 4:8].sum())
    show("square", (a @ a.T)[3:9, 4:8].sum())
    show("stack", (a.reshape(4, 35, n) @ b).sum())
    show("vector", (a @ b[0])[5])
    show("dot", np.dot(a[0], b[0]))
    show("vdot", np.vdot(a[0], b[0]))
    show("einsum", np.einsum("ij,jk->ik", a, b, optimize=True).sum())
    show("power", np.linalg.matrix_power(good / 2, 5).sum())
    show("solve", np.linalg.solve(good, b).sum())
    show("inverse", np.linalg.inv(good).sum())
    show("determinant", np.linalg.slogdet(good)[1])
    show("cholesky", np.linalg.cholesky(hermitian).sum())
    show("qr", np.abs(np.diag(np.linalg.qr(good)[1])).sum())
    show("singular", np.linalg.svd(good, compute_uv=False).sum())
    u, s, vt = np.linalg.svd(good)
    show("svd", np.abs((u * s) @ vt - good).max() < 1e-3)
    show("hermitian", np.linalg.eigvalsh(hermitian).sum())
    w, q = np.linalg.eigh(hermitian)
    show("eigh", np.abs((q * w) @ q.conj().T - hermitian).max() < 1e-3)
    show("eigenvalues", np.abs(np.linalg.eigvals(good)).sum())
    show("least squares", np.linalg.lstsq(good[:, :70], b[:, :5], rcond=None)[0].sum())
    show("norm", np.linalg.norm(a, 2))
    show("condition", np.linalg.cond(good))
    show("pseudoinverse", np.linalg.pinv(good[:, :80]).sum())
