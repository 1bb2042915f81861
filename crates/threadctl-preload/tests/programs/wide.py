# How many threads numpy's library has while one of its drivers runs, seen from another thread: alone, beside others who
# compute, and in a child that is forked meanwhile. Prints the most that were seen alone.
import ctypes
import glob
import os
import threading
import time
import numpy as np

[library] = glob.glob(os.path.join(os.path.dirname(np.__file__), "..", "numpy.libs", "libscipy_openblas64*"))
threads = ctypes.CDLL(library).scipy_openblas_get_num_threads64_

rng = np.random.default_rng(11)
large = rng.standard_normal((900, 900))
# Whole numbers, so that the product is the same in whatever order it is summed.
small = rng.integers(-9, 10, (250, 250)).astype(float)
expected = small @ small
assert threads() == 1


def decompose(matrix):
    u, s, vt = np.linalg.svd(matrix)
    assert np.abs((u * s) @ vt - matrix).max() < 1e-10


def during(work, look):
    """Looks every millisecond while the work is done on a thread of its own."""
    seen = []
    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive():
        seen.append(look())
        time.sleep(0.001)
    thread.join()
    return seen


most = max(during(lambda: np.linalg.svd(large), threads))
assert threads() == 1, "the number was not put back"


def beside():
    before = threads()
    product = small @ small
    after = threads()
    assert (product == expected).all()
    # The call of the product has lowered it, and it is not raised again at once.
    assert after == 1, after
    return before


if most > 1:
    # Between two products there is time to raise it.
    def look():
        time.sleep(0.02)
        return beside()

    assert max(during(lambda: np.linalg.svd(large), look)) > 1


def child():
    if threads() < most:
        return False
    pid = os.fork()
    if pid == 0:
        right = (small @ small == expected).all()
        os._exit((0 if threads() == 1 else 4) if right else 3)
    status = os.waitpid(pid, 0)[1]
    assert status == 0, status
    return True


assert any(during(lambda: np.linalg.svd(large), child))

# Two at once, neither of them alone for long.
ends = time.monotonic() + 0.4


def many():
    while time.monotonic() < ends:
        decompose(small)


second = threading.Thread(target=many)
second.start()
seen = during(many, threads)
second.join()
# But for the last, which may be alone.
raised = sum(number > 1 for number in seen)
assert raised <= len(seen) // 10, (raised, len(seen))
assert threads() == 1
print(most)
