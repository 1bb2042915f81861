"""Contaminant removal as its users have it: Numba's loop over all pairs, left at the first hit, and SciPy's k-d tree."""
import math

import numba
import numpy
from scipy.spatial import cKDTree

import peer

OBJECTS, CONTAMINANTS = 500_000, 50_000


def sphere(seed, count):
    """Points spread evenly over the sphere (Marsaglia 1972). Nothing but sums, products and roots, so that both sides have
    the same bits."""
    pairs = peer.uniform(seed, 3 * count, -1.0, 1.0).reshape(-1, 2)
    squared = pairs[:, 0] * pairs[:, 0] + pairs[:, 1] * pairs[:, 1]
    inside = numpy.flatnonzero(squared < 1.0)[:count]
    assert len(inside) == count
    (u, v), s = pairs[inside].T, squared[inside]
    root = numpy.sqrt(1.0 - s)
    return numpy.stack([2.0 * u * root, 2.0 * v * root, 1.0 - 2.0 * s], axis=1)


def catalogues():
    return sphere(1, OBJECTS), sphere(2, CONTAMINANTS)


@numba.njit(parallel=True)
def near(objects, contaminants, cosine):
    found = numpy.zeros(len(objects), dtype=numpy.bool_)
    for i in numba.prange(len(objects)):
        x, y, z = objects[i]
        for j in range(len(contaminants)):
            if x * contaminants[j, 0] + y * contaminants[j, 1] + z * contaminants[j, 2] >= cosine:
                found[i] = True
                break
    return found


def keeping(work):
    """What is timed, and the last of what it returned."""
    kept = [None]

    def round():
        kept[0] = work()

    return round, lambda: kept[0]


def loop(degrees):
    objects, contaminants = catalogues()
    cosine = math.cos(math.radians(degrees))
    # It is compiled here, not in a round.
    near(objects[:8], contaminants[:8], cosine)
    return keeping(lambda: numpy.flatnonzero(~near(objects, contaminants, cosine)))


def tree(degrees):
    objects, contaminants = catalogues()
    chord = 2.0 * math.sin(math.radians(degrees) / 2.0)

    def work():
        # Built in the round, as ours is. A bound and one neighbour: the fastest of its ways to ask.
        tree = cKDTree(contaminants)
        distances, _ = tree.query(objects, distance_upper_bound=chord, workers=peer.WORKERS)
        return numpy.flatnonzero(numpy.isinf(distances))

    return keeping(work)


@peer.row
def loop_narrow():
    return loop(0.05)


@peer.row
def loop_wide():
    return loop(1.0)


@peer.row
def tree_narrow():
    return tree(0.05)


@peer.row
def tree_wide():
    return tree(1.0)


if __name__ == "__main__":
    peer.serve("numba", "scipy")
