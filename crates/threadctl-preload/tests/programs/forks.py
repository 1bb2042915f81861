# Children that are forked after the parent has used BLAS, and use it too: each by itself, on one core.
import multiprocessing
import os
import sys
import numpy as np

n = 400
a = np.arange(n * n, dtype=float).reshape(n, n) % 7 - 3
expected = (a.astype(int) @ a.astype(int)).astype(float)


def square(_):
    return bool((a @ a == expected).all()) and bool(np.abs(np.linalg.solve(a + 500 * np.eye(n), a[0])).max() < 1)


def threads():
    return len(os.listdir("/proc/self/task"))


# The parent has computed what is too small for anybody to help with, so it has no workers yet.
a[:4, :4] @ a[:4, :4]
pid = os.fork()
if pid == 0:
    os._exit(0 if square(0) and threads() == 1 else 3)
assert os.waitpid(pid, 0)[1] == 0

assert square(0)
context = multiprocessing.get_context("fork")
with context.Pool(2) as pool:
    assert all(pool.map(square, range(6), chunksize=1))
child = context.Process(target=square, args=(0,))
child.start()
child.join()
assert child.exitcode == 0

# A child that ends as programs do.
pid = os.fork()
if pid == 0:
    sys.exit(0 if square(0) else 3)
assert os.waitpid(pid, 0)[1] == 0
assert square(0)
print("right")
