"""`job.py SEED FILE`: one of many jobs, a program of NumPy's that knows nothing of the others. Leaves its numbers, and the
nanoseconds that its threads ran and waited for a core."""
import glob
import sys

import numpy

seed, file = int(sys.argv[1]), sys.argv[2]
series = numpy.random.default_rng(seed).standard_normal((800, 2000))
values = numpy.linalg.eigvalsh(series @ series.T)
queue = numpy.zeros(2)
for name in glob.glob("/proc/self/task/*/schedstat"):
    with open(name) as schedstat:
        queue += [float(number) for number in schedstat.read().split()[:2]]
numpy.concatenate([queue, values]).tofile(file)
