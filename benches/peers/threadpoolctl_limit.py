"""threadpoolctl's side of the bench `tables`: times `with controller.limit(...)` on one BLAS.

Arguments: the library to open, the value to set. For each line on standard input it times one batch of that many turns
and prints nanoseconds per turn.
"""
import ctypes
import sys
import time

import threadpoolctl

ctypes.CDLL(sys.argv[1], mode=ctypes.RTLD_GLOBAL)
value = int(sys.argv[2])
controller = threadpoolctl.ThreadpoolController().select(user_api="blas")
assert controller.lib_controllers, "threadpoolctl does not know this library"

print(threadpoolctl.__version__, flush=True)
for line in sys.stdin:
    turns = int(line)
    start = time.perf_counter_ns()
    for _ in range(turns):
        with controller.limit(limits=value, user_api="blas"):
            pass
    print((time.perf_counter_ns() - start) / turns, flush=True)
