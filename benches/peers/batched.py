"""Batched SVDs as NumPy has them: in a pool of threads, under every limit of threadpoolctl, and as stacks."""
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import mkl
import numpy
import threadpoolctl

import peer

COUNT, SMALL, LARGE = 1000, 64, 800
controller = threadpoolctl.ThreadpoolController()


def matrix(seed, order):
    return peer.uniform(seed, order * order, -1.0, 1.0).reshape(order, order)


def values(matrix):
    return numpy.linalg.svd(matrix, compute_uv=False)


def limited(threads):
    return nullcontext() if threads is None else controller.limit(limits=threads, user_api="blas")


def pooled(threads, workers=peer.WORKERS, parts=COUNT, large=False, values=values):
    """The small ones in `parts` stacks, one of which is an item of the pool, and the large one before them."""
    small = numpy.array_split(numpy.stack([matrix(seed, SMALL) for seed in range(COUNT)]), parts)
    if values is mkl.singular_values:
        small = [stack[0] for stack in small]
    big = matrix(COUNT, LARGE)
    pool = ThreadPoolExecutor(workers)
    kept = [None]

    def round():
        with limited(threads):
            beside = [pool.submit(values, big)] if large else []
            found = list(pool.map(values, small))
            kept[0] = found + [one.result() for one in beside]

    return round, lambda: numpy.concatenate([one.ravel() for one in kept[0]])


@peer.row
def alone_default():
    return pooled(None)


@peer.row
def alone_1():
    return pooled(1)


@peer.row
def alone_2():
    return pooled(2)


@peer.row
def alone_stacks_1():
    return pooled(1, parts=peer.WORKERS)


@peer.row
def alone_stack_default():
    return pooled(None, workers=1, parts=1)


@peer.row
def alone_mkl():
    return pooled(None, values=mkl.singular_values)


@peer.row
def beside_mkl():
    return pooled(None, large=True, values=mkl.singular_values)


@peer.row
def beside_default():
    return pooled(None, large=True)


@peer.row
def beside_1():
    return pooled(1, large=True)


@peer.row
def beside_2():
    return pooled(2, large=True)


@peer.row
def beside_stacks_1():
    return pooled(1, parts=8 * peer.WORKERS, large=True)


if __name__ == "__main__":
    peer.serve("threadpoolctl", more=mkl.version)
