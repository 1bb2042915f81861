"""Loads libraries, and says what threadpoolctl finds in this process.

report.py THREADPOOLCTL.PY [import:MODULE | load:LIBRARY]...

Prints the identity of the process, then what threadpool_info() returns, each as a line of JSON, and waits for lines on
standard input. For the line "limit N" it limits all runtimes to N threads and prints threadpool_info() again. At the
end of its input it ends.
"""

import ctypes
import importlib
import importlib.util
import json
import os
import sys

# Linux's Yama lets only ancestors read a process's memory, unless it allows others to: prctl(PR_SET_PTRACER, ANY).
PR_SET_PTRACER = 0x59616D61
ctypes.CDLL(None).prctl(PR_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)


def module_at(path):
    """Imports one file, without making its neighbours importable."""
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def say(what):
    print(json.dumps(what), flush=True)


threadpoolctl = module_at(sys.argv[1])
held = []
for item in sys.argv[2:]:
    action, _, name = item.partition(":")
    if action == "import":
        importlib.import_module(name)
    elif action == "load":
        # MKL uses the mathematical library without naming it.
        held.append(ctypes.CDLL("libm.so.6", mode=ctypes.RTLD_GLOBAL))
        held.append(ctypes.CDLL(name))
    else:
        sys.exit(f"neither import: nor load: in {item!r}")

say({"pid": os.getpid(), "threadpoolctl": threadpoolctl.__version__})
# threadpoolctl learns MKL's layer while it asks for the number of threads; the second answer has it.
threadpoolctl.threadpool_info()
say(threadpoolctl.threadpool_info())
for line in sys.stdin:
    held.append(threadpoolctl.threadpool_limits(int(line.removeprefix("limit "))))
    say(threadpoolctl.threadpool_info())
