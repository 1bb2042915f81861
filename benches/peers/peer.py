"""The peers' side: the same input as ours, and the same words (see serve.rs).

A script registers its rows and then serves them:

    import peer

    @peer.row
    def add():
        a, b = peer.uniform(1, 10_000_000), peer.uniform(2, 10_000_000)
        out = numpy.empty_like(a)
        # What is timed, and what it has computed.
        return lambda: numpy.add(a, b, out=out), lambda: out

    peer.serve()
"""
import importlib.metadata
import platform
import sys
import time

import numpy

WORKERS = 2
# Seconds for which a short round is repeated: see serve.rs.
AWAKE = 0.06
_rows = {}


def row(function):
    """Registers a row by the name of the function that prepares it."""
    _rows[function.__name__] = function
    return function


def uniform(seed, count, low=0.0, high=1.0, first=0):
    """`count` numbers from low to high: input.rs has the same formula."""
    at = numpy.arange(first + 1, first + count + 1, dtype=numpy.uint64)
    at += numpy.uint64(seed << 32)
    at *= numpy.uint64(0x9E3779B97F4A7C15)
    at ^= at >> numpy.uint64(30)
    at *= numpy.uint64(0xBF58476D1CE4E5B9)
    at ^= at >> numpy.uint64(27)
    at *= numpy.uint64(0x94D049BB133111EB)
    at ^= at >> numpy.uint64(31)
    unit = (at >> numpy.uint64(11)).astype(numpy.float64) / 2.0**53
    return low + (high - low) * unit


def keeping(work):
    """For a row without an output of its own: what is timed, and the last of what it returned."""
    kept = [None]

    def round():
        kept[0] = work()

    return round, lambda: kept[0]


def _round(work):
    """Seconds; see serve.rs."""
    woken = time.perf_counter()
    work()
    first = time.perf_counter() - woken
    if first >= AWAKE:
        return first
    while time.perf_counter() - woken < AWAKE:
        work()
    begun, times = time.perf_counter(), 0
    while times == 0 or time.perf_counter() - begun < AWAKE:
        work()
        times += 1
    return (time.perf_counter() - begun) / times


def versions(*packages):
    """Python, NumPy with its BLAS, and the packages that the script names."""
    blas = numpy.show_config(mode="dicts")["Build Dependencies"]["blas"]
    names = [f"Python {platform.python_version()}", f"numpy {numpy.__version__} (OpenBLAS {blas['version']})"]
    names += [f"{package} {importlib.metadata.version(package)}" for package in packages]
    return ", ".join(names)


def serve(*packages, more=lambda: ""):
    """Answers the driver until it ends; `packages` are named in the table's footnote."""
    jobs = {}
    answers = sys.stdout
    # What a library prints must not be taken for an answer.
    sys.stdout = sys.stderr
    for line in sys.stdin:
        match line.split():
            case ["prepare", key]:
                jobs[key] = _rows[key]()
                answer = "ready"
            case ["round", key]:
                answer = repr(_round(jobs[key][0]))
            case ["once", key]:
                begun = time.perf_counter()
                jobs[key][0]()
                answer = repr(time.perf_counter() - begun)
            case ["result", key, file]:
                numpy.asarray(jobs[key][1](), dtype="<f8").ravel().tofile(file)
                answer = "written"
            case ["forget"]:
                jobs.clear()
                answer = "forgotten"
            case ["versions"]:
                answer = versions(*packages) + more()
            case _:
                sys.exit(f"the driver said {line!r}")
        print(answer, file=answers, flush=True)
