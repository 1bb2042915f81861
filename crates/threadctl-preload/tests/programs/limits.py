# How much of the products' CPU time other threads than the caller's had, in percent.
import resource
import time
import numpy as np

a = np.ones((900, 900))
a @ a
# The library's own threads look for work for a while after they were started, before they sleep.
time.sleep(0.3)


def spent():
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_THREAD)]
    return [times.ru_utime + times.ru_stime for times in both]


before = spent()
for _ in range(8):
    a @ a
process, caller = (after - before for after, before in zip(spent(), before))
print(round(100 * (process - caller) / process))
