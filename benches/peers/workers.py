"""SciPy's functions that take workers=."""
import functools
import multiprocessing

import numpy
import scipy.fft
import scipy.linalg
import scipy.optimize
from threadpoolctl import threadpool_limits

import peer

OBSERVED = 200
GENERATIONS = 40


def transform(shape, axes):
    parts = peer.uniform(1, 2 * int(numpy.prod(shape)), -1.0, 1.0)
    state = [parts.view(numpy.complex128).reshape(shape).copy()]
    forwards = functools.partial(scipy.fft.fftn, axes=axes, workers=peer.WORKERS)
    back = functools.partial(scipy.fft.ifftn, axes=axes, workers=peer.WORKERS)

    def round():
        state[0] = back(forwards(state[0], overwrite_x=True), overwrite_x=True)

    return round, lambda: forwards(state[0]).view(numpy.float64)


@peer.row
def fft_2():
    return transform((2048, 2048), (0, 1))


@peer.row
def fft_first():
    return transform((2048, 2048), (0,))


@peer.row
def fft_last():
    return transform((2000, 2187), (1,))


@peer.row
def fft_3():
    return transform((160, 160, 160), (0, 1, 2))


def unlikely(parameters, places, observed):
    length, size, noise = parameters
    distances = (places[:, None] - places) / length
    covariance = size * numpy.exp(-0.5 * distances * distances)
    covariance[numpy.diag_indices(OBSERVED)] += noise
    try:
        factor = scipy.linalg.cholesky(covariance, lower=True, overwrite_a=True, check_finite=False)
    except scipy.linalg.LinAlgError:
        return numpy.inf
    half = scipy.linalg.solve_triangular(factor, observed, lower=True, check_finite=False)
    return 0.5 * half @ half + numpy.log(factor.diagonal()).sum()


def search(map):
    places = peer.uniform(1, OBSERVED, 0.0, 10.0)
    observed = numpy.sin(places) + peer.uniform(2, OBSERVED, -0.5, 0.5)
    found = scipy.optimize.differential_evolution(
        unlikely,
        [(0.1, 5.0), (0.01, 5.0), (0.001, 1.0)],
        args=(places, observed),
        maxiter=GENERATIONS,
        tol=0.0,
        atol=0.0,
        polish=False,
        init="random",
        updating="deferred",
        workers=map,
        rng=1,
    )
    return found.fun


@peer.row
def evolution():
    # Made once, as ours is.
    pool = multiprocessing.Pool(peer.WORKERS)
    return peer.keeping(lambda: search(pool.map))


@peer.row
def evolution_limited():
    # The processes are forked within.
    with threadpool_limits(1, user_api="blas"):
        pool = multiprocessing.Pool(peer.WORKERS)
    return peer.keeping(lambda: search(pool.map))


if __name__ == "__main__":
    peer.serve("scipy", "threadpoolctl")
