"""MKL with TBB, as its own users have it: the calls by ctypes, since NumPy's packages come with OpenBLAS.

Invariant: the layer is chosen before MKL's first call, and numbers of threads are TBB's own.
"""
import ctypes
import importlib.metadata
import os

import numpy

os.environ["MKL_THREADING_LAYER"] = "TBB"
_mkl = ctypes.CDLL("libmkl_rt.so.3")
_ROWS, _NO = 101, 111


def _pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def product(a, b, out):
    """`out = a @ b` for contiguous matrices of f64."""
    (rows, inner), columns = a.shape, b.shape[1]
    _mkl.cblas_dgemm(
        _ROWS, _NO, _NO, rows, columns, inner, ctypes.c_double(1.0),
        _pointer(a), inner, _pointer(b), columns, ctypes.c_double(0.0), _pointer(out), columns,
    )


def singular_values(matrix):
    """By gesdd, as NumPy; the matrix is kept."""
    given, order = matrix.copy(), matrix.shape[0]
    values = numpy.empty(order)
    none = ctypes.c_void_p(None)
    info = _mkl.LAPACKE_dgesdd(
        _ROWS, ctypes.c_char(b"N"), order, order, _pointer(given), order, _pointer(values), none, order, none, order
    )
    if info != 0:
        raise ArithmeticError(f"dgesdd: {info}")
    return values


def version():
    return f", MKL {importlib.metadata.version('mkl')} with its TBB layer (TBB {importlib.metadata.version('tbb')})"
