"""Nearest neighbours by cosine as NumPy has them: products of tiles on OpenBLAS's own threads, each gone through by NumPy."""
import numpy

import peer

VECTORS, DIMENSIONS, COUNT = 100_000, 256, 10
THRESHOLD = 0.3
# The best of 128 to 2048 rows, and for pairs of 1024 to 100,000 columns.
ROWS, COLUMNS = 1024, 2048


def vectors(count):
    return peer.uniform(1, count * DIMENSIONS, -1.0, 1.0).astype(numpy.float32).reshape(count, DIMENSIONS)


def unit(vectors):
    return vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)


def nearest(vectors):
    """Whole rows of scores; the highest by a partition, those in order."""
    unit_vectors = unit(vectors)
    found = numpy.empty((len(vectors), COUNT), dtype=numpy.int64)
    for start in range(0, len(vectors), ROWS):
        end = min(start + ROWS, len(vectors))
        scores = unit_vectors[start:end] @ unit_vectors.T
        own = numpy.arange(end - start)
        scores[own, start + own] = -numpy.inf
        highest = numpy.argpartition(scores, -COUNT, axis=1)[:, -COUNT:]
        order = numpy.argsort(-numpy.take_along_axis(scores, highest, axis=1), axis=1)
        found[start:end] = numpy.take_along_axis(highest, order, axis=1)
    return found


def pairs_above(vectors, threshold, half):
    """Tile by tile; with `half` only those that have pairs above the diagonal."""
    unit_vectors = unit(vectors)
    firsts, seconds = [], []
    for start in range(0, len(vectors), ROWS):
        for column in range(start if half else 0, len(vectors), COLUMNS):
            scores = unit_vectors[start : start + ROWS] @ unit_vectors[column : column + COLUMNS].T
            first, second = numpy.divmod(numpy.flatnonzero(scores > threshold), scores.shape[1])
            first += start
            second += column
            above = second > first
            firsts.append(first[above])
            seconds.append(second[above])
    firsts, seconds = numpy.concatenate(firsts), numpy.concatenate(seconds)
    order = numpy.lexsort((seconds, firsts))
    return firsts[order], seconds[order]


def in_exact_order(vectors, found):
    """The neighbours of each vector by their cosines in f64, without the last."""
    exact = unit(vectors.astype(numpy.float64))
    ordered = numpy.empty((len(found), COUNT - 1))
    for start in range(0, len(found), 1000):
        part = found[start : start + 1000]
        cosines = numpy.einsum("qkd,qd->qk", exact[part], exact[start : start + 1000])
        order = numpy.argsort(-cosines, axis=1, kind="stable")[:, : COUNT - 1]
        ordered[start : start + 1000] = numpy.take_along_axis(part, order, axis=1)
    return ordered


@peer.row
def nearest_10():
    given = vectors(VECTORS)
    kept = [None]

    def round():
        kept[0] = nearest(given)

    return round, lambda: in_exact_order(given, kept[0])


def pairs_of(half):
    given = vectors(VECTORS)
    kept = [None]

    def round():
        kept[0] = pairs_above(given, numpy.float32(THRESHOLD), half)

    return round, lambda: numpy.stack(kept[0], axis=1)


@peer.row
def pairs():
    return pairs_of(half=False)


@peer.row
def pairs_half():
    return pairs_of(half=True)


if __name__ == "__main__":
    peer.serve()
