# Children that are forked after the parent has used BLAS, and use it too.
import multiprocessing
import os
import sys
import numpy as np

n = 400
a = np.arange(n * n, dtype=float).reshape(n, n) % 7 - 3
expected = (a.astype(int) @ a.astype(int)).astype(float)


def square(_):
    return bool((a @ a == expected).all()) and bool(np.abs(np.linalg.solve(a + 500 * np.eye(n), a[0])).max() < 1)


assert square(0)
context = multiprocessing.get_context("fork")
with context.Pool(2) as pool:
    assert all(pool.map(square, range(6), chunksize=1))
# A child that ends as programs do, unlike those of the pool.
child = context.Process(target=square, args=(0,))
child.start()
child.join()

pid = os.fork()
if pid == 0:
    sys.exit(0 if square(0) else 3)
assert os.waitpid(pid, 0)[1] == 0
assert square(0)
print("right")
