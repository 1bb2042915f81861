"""The parallel cookbook's table as Python has it."""
import math
from multiprocessing import Pool
from multiprocessing.pool import ThreadPool

import joblib
import numba
import numpy

import peer

COUNT = 10_000_000
ITEMS = 100_000


def numbers(first, end):
    return (numpy.arange(first, end) % 1000) * 1e-3


def halves():
    return [(0, COUNT // 2), (COUNT // 2, COUNT)]


def loop(values):
    return [math.exp(value) for value in values]


def loop_of_part(bounds):
    return numpy.array(loop(numbers(*bounds).tolist()))


def item(value):
    for _ in range(10):
        value = math.exp(-value)
    return value


@peer.row
def loop_python():
    values = numbers(0, COUNT).tolist()
    return peer.keeping(lambda: loop(values))


@peer.row
def loop_python_threads():
    pool = ThreadPool(peer.WORKERS)
    parts = [numbers(*half).tolist() for half in halves()]
    return peer.keeping(lambda: [value for part in pool.map(loop, parts) for value in part])


@peer.row
def loop_python_processes():
    def work():
        with Pool(peer.WORKERS) as pool:
            return numpy.concatenate(pool.map(loop_of_part, halves()))

    return peer.keeping(work)


@peer.row
def loop_joblib():
    def work():
        parallel = joblib.Parallel(peer.WORKERS)
        return numpy.concatenate(parallel(joblib.delayed(loop_of_part)(half) for half in halves()))

    return peer.keeping(work)


def compiled(parallel):
    @numba.njit(parallel=parallel)
    def loop(values, out):
        for i in numba.prange(values.size):
            out[i] = math.exp(values[i])

    values = numbers(0, COUNT)
    out = numpy.empty_like(values)
    return lambda: loop(values, out), lambda: out


@peer.row
def loop_numba():
    return compiled(parallel=False)


@peer.row
def loop_numba_threads():
    return compiled(parallel=True)


@peer.row
def array_numpy():
    values = numbers(0, COUNT)
    out = numpy.empty_like(values)
    return lambda: numpy.exp(values, out=out), lambda: out


@peer.row
def array_threads():
    values, pool = numbers(0, COUNT), ThreadPool(peer.WORKERS)
    out = numpy.empty_like(values)
    parts = [slice(*half) for half in halves()]
    return lambda: pool.map(lambda part: numpy.exp(values[part], out=out[part]), parts), lambda: out


def array_of_part(bounds):
    return numpy.exp(numbers(*bounds))


@peer.row
def array_processes():
    def work():
        with Pool(peer.WORKERS) as pool:
            return numpy.concatenate(pool.map(array_of_part, halves()))

    return peer.keeping(work)


@peer.row
def map_threads():
    pool, values = ThreadPool(peer.WORKERS), numbers(0, ITEMS).tolist()
    return peer.keeping(lambda: pool.map(item, values))


@peer.row
def map_processes():
    pool, values = Pool(peer.WORKERS), numbers(0, ITEMS).tolist()
    return peer.keeping(lambda: pool.map(item, values))


if __name__ == "__main__":
    peer.serve("numba", "joblib")
