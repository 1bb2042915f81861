"""Limits BLAS to one core for a while, and says how many threads each library has meanwhile and afterwards.

    python limits.py /path/to/libthreadctl_preload.so
"""

import contextlib
import ctypes
import json
import sys

threadctl = ctypes.CDLL(sys.argv[1])
threadctl.threadctl_last_error.restype = ctypes.c_char_p
threadctl.threadctl_limit_begin.argtypes = (
    ctypes.c_char_p,
    ctypes.c_int,
    ctypes.c_uint,
    ctypes.POINTER(ctypes.c_uint64),
)
threadctl.threadctl_limit_end.argtypes = (ctypes.c_uint64,)
threadctl.threadctl_info.argtypes = (ctypes.POINTER(ctypes.c_void_p),)
threadctl.threadctl_free.argtypes = (ctypes.c_void_p,)
threadctl.threadctl_free.restype = None

PROCESS, THREAD = 0, 1


def check(status):
    if status != 0:
        raise RuntimeError(threadctl.threadctl_last_error().decode())


@contextlib.contextmanager
def limit(text, scope=PROCESS):
    handle = ctypes.c_uint64()
    check(threadctl.threadctl_limit_begin(text.encode(), scope, 0, handle))
    try:
        yield
    finally:
        check(threadctl.threadctl_limit_end(handle))


def info():
    text = ctypes.c_void_p()
    check(threadctl.threadctl_info(text))
    try:
        return json.loads(ctypes.string_at(text.value))
    finally:
        threadctl.threadctl_free(text)


def threads():
    return {it["internal_api"]: it["num_threads"] for it in info()["runtimes"]}


import numpy  # brings a BLAS

print(json.dumps({"before": threads()}))
with limit("blas=1"):
    print(json.dumps({"during": threads()}))
print(json.dumps({"after": threads()}))
