"""Compiled loops as Numba's users write them, and the same in NumPy."""
import math

import mkl
import numba
import numpy

import peer

COUNT = 10_000_000
SIZE = 600
PAIRS = 3000
POINTS, CENTROIDS, ROUNDS = 100_000, 16, 10

numba.set_num_threads(peer.WORKERS)


def binary(function):
    a, b = peer.uniform(1, COUNT), peer.uniform(2, COUNT)
    out = numpy.empty_like(a)
    return lambda: function(a, b, out), lambda: out


def matrix(seed, rows, columns):
    return peer.uniform(seed, rows * columns, -1.0, 1.0).reshape(rows, columns)


@numba.njit(parallel=True)
def add_loop(a, b, out):
    for i in numba.prange(a.size):
        out[i] = a[i] + b[i]


@numba.njit(parallel=True)
def multiply_loop(a, b, out):
    for i in numba.prange(a.size):
        out[i] = a[i] * b[i]


@numba.njit(parallel=True)
def sum_of_squares_loop(a):
    total = 0.0
    for i in numba.prange(a.size):
        total += a[i] * a[i]
    return total


@numba.vectorize(["float64(float64, float64)"], target="parallel")
def relative_difference_of(a, b):
    return 2 * (a - b) / (a + b)


@numba.njit(parallel=True)
def product_loop(a, b):
    out = numpy.zeros((a.shape[0], b.shape[1]))
    for i in numba.prange(a.shape[0]):
        for k in range(a.shape[1]):
            factor = a[i, k]
            for j in range(b.shape[1]):
                out[i, j] += factor * b[k, j]
    return out


@numba.njit(parallel=True)
def pairs_loop(points):
    count, dimensions = points.shape
    out = numpy.empty((count, count))
    for i in numba.prange(count):
        for j in range(count):
            total = 0.0
            for k in range(dimensions):
                difference = points[i, k] - points[j, k]
                total += difference * difference
            out[i, j] = math.sqrt(total)
    return out


@numba.njit(parallel=True)
def centroids_loop(points, centroids):
    out = numpy.empty((points.shape[0], centroids.shape[0]))
    for i in numba.prange(points.shape[0]):
        for j in range(centroids.shape[0]):
            total = 0.0
            for k in range(points.shape[1]):
                difference = points[i, k] - centroids[j, k]
                total += difference * difference
            out[i, j] = total
    return out


BLOCK = 1024


@numba.njit(parallel=True)
def kmeans_round(points, centroids, labels):
    """Each block finds its labels and makes its sums, which are then added in order: as ours does."""
    (count, dimensions), others = points.shape, centroids.shape[0]
    blocks = (count + BLOCK - 1) // BLOCK
    sums, counts = numpy.zeros((blocks, others, dimensions)), numpy.zeros((blocks, others))
    for block in numba.prange(blocks):
        for i in range(block * BLOCK, min(count, (block + 1) * BLOCK)):
            nearest, least = 0, numpy.inf
            for j in range(others):
                total = 0.0
                for k in range(dimensions):
                    difference = points[i, k] - centroids[j, k]
                    total += difference * difference
                if total < least:
                    nearest, least = j, total
            labels[i] = nearest
            counts[block, nearest] += 1
            for k in range(dimensions):
                sums[block, nearest, k] += points[i, k]
    means = centroids.copy()
    for j in range(others):
        total = counts[:, j].sum()
        for k in range(dimensions):
            if total > 0:
                means[j, k] = sums[:, j, k].sum() / total
    return means


def kmeans_of(points, round):
    centroids = points[:CENTROIDS].copy()
    labels = numpy.empty(points.shape[0], dtype=numpy.int64)
    for _ in range(ROUNDS):
        centroids = round(points, centroids, labels)
    return centroids


def squares(a, b):
    return numpy.maximum((a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * (a @ b.T), 0)


def kmeans_round_numpy(points, centroids, labels):
    labels[:] = squares(points, centroids).argmin(1)
    counts = numpy.bincount(labels, minlength=CENTROIDS)
    sums = [numpy.bincount(labels, points[:, k], CENTROIDS) for k in range(points.shape[1])]
    return numpy.where(counts[:, None] > 0, numpy.array(sums).T / counts[:, None], centroids)


@peer.row
def add():
    return binary(add_loop)


@peer.row
def add_numpy():
    return binary(lambda a, b, out: numpy.add(a, b, out=out))


@peer.row
def multiply():
    return binary(multiply_loop)


@peer.row
def multiply_numpy():
    return binary(lambda a, b, out: numpy.multiply(a, b, out=out))


@peer.row
def sum_of_squares():
    a = peer.uniform(1, COUNT, -1.0, 1.0)
    return peer.keeping(lambda: sum_of_squares_loop(a))


@peer.row
def sum_of_squares_numpy():
    a = peer.uniform(1, COUNT, -1.0, 1.0)
    return peer.keeping(lambda: numpy.dot(a, a))


@peer.row
def relative_difference():
    return binary(relative_difference_of)


@peer.row
def relative_difference_numpy():
    return binary(lambda a, b, out: numpy.divide(2 * (a - b), a + b, out=out))


@peer.row
def product():
    a, b = matrix(1, SIZE, SIZE), matrix(2, SIZE, SIZE)
    return peer.keeping(lambda: product_loop(a, b))


@peer.row
def product_numpy():
    a, b = matrix(1, SIZE, SIZE), matrix(2, SIZE, SIZE)
    return peer.keeping(lambda: a @ b)


@peer.row
def product_mkl():
    a, b, out = matrix(1, SIZE, SIZE), matrix(2, SIZE, SIZE), numpy.empty((SIZE, SIZE))
    return lambda: mkl.product(a, b, out), lambda: out


def pairs_of(dimensions, function):
    points = matrix(1, PAIRS, dimensions)
    return peer.keeping(lambda: function(points))


@peer.row
def pairs_3():
    return pairs_of(3, pairs_loop)


@peer.row
def pairs_16():
    return pairs_of(16, pairs_loop)


@peer.row
def pairs_product():
    return pairs_of(16, lambda points: numpy.sqrt(squares(points, points)))


def centroids_of(function):
    points, others = matrix(1, POINTS, 8), matrix(2, CENTROIDS, 8)
    return peer.keeping(lambda: function(points, others))


@peer.row
def centroids():
    return centroids_of(centroids_loop)


@peer.row
def centroids_product():
    return centroids_of(squares)


@peer.row
def kmeans():
    points = matrix(1, POINTS, 8)
    return peer.keeping(lambda: kmeans_of(points, kmeans_round))


@peer.row
def kmeans_numpy():
    points = matrix(1, POINTS, 8)
    return peer.keeping(lambda: kmeans_of(points, kmeans_round_numpy))


def layer():
    # It is chosen at the first parallel loop.
    sum_of_squares_loop(numpy.ones(8))
    return f" with its {numba.threading_layer()} layer" + mkl.version()


if __name__ == "__main__":
    peer.serve("numba", more=layer)
