"""Array expressions in NumPy and SciPy."""
import numpy
from scipy.special import ndtri
from scipy.stats import norm

import peer

COUNT = 10_000_000


def numbers(seed, low=0.0, high=1.0, dtype=numpy.float64):
    return peer.uniform(seed, COUNT, low, high).astype(dtype)


def unary(function, low, high, dtype=numpy.float64):
    """A function with an output argument."""
    b = numbers(1, low, high, dtype)
    out = numpy.empty_like(b)
    return lambda: function(b, out=out), lambda: out


def binary(function, dtype=numpy.float64):
    b, c = numbers(1, dtype=dtype), numbers(2, dtype=dtype)
    out = numpy.empty_like(b)
    return lambda: function(b, c, out), lambda: out


@peer.row
def add():
    return binary(numpy.add)


@peer.row
def add_f32():
    return binary(numpy.add, numpy.float32)


@peer.row
def add_in_place():
    a, b = numbers(1), numbers(2)

    def round():
        numpy.multiply(a, 0.5, out=a)
        numpy.add(a, b, out=a)

    return round, lambda: a


@peer.row
def sin():
    return unary(numpy.sin, -100.0, 100.0)


@peer.row
def sin_f32():
    return unary(numpy.sin, -100.0, 100.0, numpy.float32)


@peer.row
def exp():
    return unary(numpy.exp, -10.0, 10.0)


@peer.row
def exp_f32():
    return unary(numpy.exp, -10.0, 10.0, numpy.float32)


def isf_of(dtype):
    b = numbers(1, dtype=dtype)
    return peer.keeping(lambda: norm.isf(b))


@peer.row
def isf():
    return isf_of(numpy.float64)


@peer.row
def isf_f32():
    return isf_of(numpy.float32)


def minus_ndtri(b, out):
    ndtri(b, out=out)
    numpy.negative(out, out=out)


@peer.row
def ndtri_f64():
    return unary(minus_ndtri, 0.0, 1.0)


@peer.row
def ndtri_f32():
    return unary(minus_ndtri, 0.0, 1.0, numpy.float32)


@peer.row
def sin_strided():
    b = peer.uniform(1, 2 * COUNT, -100.0, 100.0)
    out = numpy.zeros_like(b)
    return lambda: numpy.sin(b[::2], out=out[::2]), lambda: out[::2]


def polynomial_of(b, c, out):
    numpy.subtract(2 * b + 3 * c, b * c, out=out)


@peer.row
def polynomial():
    return binary(polynomial_of)


@peer.row
def polynomial_f32():
    return binary(polynomial_of, numpy.float32)


@peer.row
def fused():
    return binary(lambda b, c, out: numpy.add(numpy.exp(-b * b / 2) * c, numpy.sin(b), out=out))


if __name__ == "__main__":
    peer.serve("scipy")
