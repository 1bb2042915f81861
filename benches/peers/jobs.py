"""Many jobs as they are run in a shell: `xargs -P`, which starts processes and has no say in their threads."""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy

import peer

JOB = Path(__file__).with_name("job.py")


def xargs(jobs, **variables):
    folder = tempfile.TemporaryDirectory()
    # The functions keep the folder, which goes with the last of them.
    files = [Path(folder.name) / str(seed) for seed in range(jobs)]
    lines = "".join(f"{seed} {file}\n" for seed, file in enumerate(files))
    command = ["xargs", "-P", str(peer.WORKERS), "-L", "1", sys.executable, str(JOB)]

    def round():
        subprocess.run(command, input=lines, text=True, check=True, env=os.environ | variables)

    return round, lambda: folder and numpy.concatenate([numpy.fromfile(file)[2:] for file in files])


@peer.row
def eight():
    return xargs(8)


@peer.row
def eight_1():
    return xargs(8, OMP_NUM_THREADS="1")


@peer.row
def one():
    return xargs(1)


@peer.row
def one_1():
    return xargs(1, OMP_NUM_THREADS="1")


if __name__ == "__main__":
    peer.serve()
