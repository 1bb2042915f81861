"""Who counts how many cores under which constraint, as a table in Markdown.

    cargo build --release --example available_parallelism
    sudo env PYTHONPATH=FOLDER_OF_JOBLIB python3 benches/peers/cores_table.py target/release/examples/available_parallelism

Needs root (it makes control groups of v1), util-linux, coreutils and joblib. The example prints the standard library's
answer and threadctl's.
"""
import os
import subprocess
import sys

EXAMPLE = os.path.abspath(sys.argv[1])
PYTHON = "import os, joblib; print(os.cpu_count(), joblib.cpu_count(), joblib.cpu_count(only_physical_cores=True))"


def mount(controller):
    for line in open("/proc/self/mounts"):
        _, point, kind, options, *_ = line.split()
        if kind == "cgroup" and controller in options.split(","):
            return point
    sys.exit(f"no v1 hierarchy of {controller} is mounted")


def row(name, prefix=(), env=(), groups=()):
    made = []
    folder = None
    for controller, settings in groups:
        folder = (folder or mount(controller)) + "/threadctl-table"
        os.mkdir(folder)
        made.append(folder)
        for file, value in settings.items():
            with open(f"{folder}/{file}", "w") as out:
                out.write(value)
    enter = f"echo $$ > {folder}/cgroup.procs; " if folder else ""

    def ask(*command):
        words = ["sh", "-c", enter + 'exec "$@"', "sh", *prefix, *command]
        return subprocess.check_output(words, env={**os.environ, **dict(env)}, text=True).split()

    try:
        std, ours = ask(EXAMPLE)
        (nproc,) = ask("nproc")
        python, joblib, physical = ask(sys.executable, "-W", "ignore", "-c", PYTHON)
    finally:
        for folder in reversed(made):
            os.rmdir(folder)
    print(f"| {name} | {ours} | {std} | {nproc} | {python} | {joblib} | {physical} |")


def quota(cores):
    return ("cpu", {"cpu.cfs_quota_us": str(int(cores * 100000))})


print("| constraint | threadctl | available_parallelism | nproc | os.cpu_count | joblib | joblib, physical |")
print("| --- | --- | --- | --- | --- | --- | --- |")
row("none")
row("taskset, 1 CPU", prefix=["taskset", "-c", "0"])
row("quota 0.5", groups=[quota(0.5)])
row("quota 1", groups=[quota(1)])
row("quota 1.5", groups=[quota(1.5)])
row("quota 1 of the parent", groups=[quota(1), ("cpu", {})])
row("cpuset, 1 CPU", groups=[("cpuset", {"cpuset.cpus": "1", "cpuset.mems": "0"})])
row("SLURM_CPUS_PER_TASK=1", env=[("SLURM_CPUS_PER_TASK", "1")])
row("Open MPI, 2 ranks, not bound", env=[("OMPI_COMM_WORLD_LOCAL_SIZE", "2"), ("OMPI_COMM_WORLD_LOCAL_RANK", "0")])
row("THREADCTL_NUM_THREADS=1", env=[("THREADCTL_NUM_THREADS", "1")])
row("OMP_NUM_THREADS=1", env=[("OMP_NUM_THREADS", "1")])
