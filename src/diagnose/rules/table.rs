//! The rules, a row each.

use super::{Rule, checks, nesting};

/// All rules, those first that explain others.
///
/// ```
/// let ids: Vec<_> = threadctl::diagnose::RULES.iter().map(|rule| rule.id).collect();
/// assert!(ids.contains(&"nested-pools"));
/// ```
pub const RULES: &[Rule] = &[
    Rule {
        id: "limit-not-taken",
        title: "a limit that was set did not take",
        background: "A variable limits a pool, but the library made more threads than that. Each library reads its own \
variables, once, when it is loaded: one that is set later in the program comes too late; OpenBLAS built on OpenMP takes \
OMP_NUM_THREADS for the threads of its calls, whatever OPENBLAS_NUM_THREADS says; a program can set another number \
itself; and a number of OpenMP threads counts for each thread that opens a parallel region, not for all of them.\n\n\
Set the variable that the library in question reads, in the environment that the program is started with. `threadctl \
info --pid PID` shows what a running program has.",
        check: checks::limit_not_taken,
    },
    Rule {
        id: "affinity-one-core",
        title: "several threads are pinned to one core",
        background: "All threads of a process may use one CPU only, so they run in turns, however many cores the machine \
has. Threads inherit the CPUs of the thread that makes them. So a thread that was bound to one CPU (by OMP_PROC_BIND, \
GOMP_CPU_AFFINITY or KMP_AFFINITY when an OpenMP runtime was loaded, by an MPI launcher, by taskset) binds whatever it \
makes afterwards.\n\nUnset the binding, or bind each process to as many cores as it has threads (mpirun --bind-to none, or \
--map-by slot:PE=N).",
        check: checks::affinity_one_core,
    },
    Rule {
        id: "quota-smaller-than-pools",
        title: "a quota or a share leaves fewer cores than the pools have threads",
        background: "A control group (a container with --cpus, a systemd slice, a Kubernetes limit) or a batch system gives \
the program a part of the machine's CPU time, but libraries count the CPUs that they can see and start a thread for each. \
All of them run until the quota of a period is used up, and then all of them stand still until the next period: work \
comes in bursts, and whoever holds a lock when the time is up holds it for the rest of the period.\n\nGive the pools as \
many threads as there are cores: threadctl cores counts quotas and shares in, and --jobs 1 sets every known variable to \
that number.",
        check: checks::quota_smaller_than_pools,
    },
    Rule {
        id: "nested-pools",
        title: "a pool inside a pool: threads of one call into threads of another",
        background: "Several threads of the program (a thread pool, rayon, OpenMP) call a library that has threads of its own. \
Each side was made for all cores, so N threads times M threads want N cores: they wait for each other's cores, hold \
locks while they wait, and spin. The loss grows with the product; the same work is often several times slower than on \
one core.\n\nThreads belong on one level. If there are enough independent pieces of work, give the library one thread; if \
not, run the pieces one after another and leave the threads to the library.",
        check: nesting::nested_pools,
    },
    Rule {
        id: "idle-pool-spins",
        title: "a pool that nobody calls keeps cores that another one needs",
        background: "Two pools are used in turns: parallel loops, and BLAS calls between them. Each has a thread for each core, which is \
right. But threads that have just finished a call spin for a while, in case the next one comes soon (OpenBLAS's for a tenth of a \
second, OpenMP's for some milliseconds), and so they are still there when the other pool begins. Where a loop then waits for a thread \
that has lost its core, all others spin too.\n\nLet threads that have finished sleep sooner: OPENBLAS_THREAD_TIMEOUT=4 (it is a power of \
two, of clock cycles), GOMP_SPINCOUNT=0 for GCC's OpenMP and KMP_BLOCKTIME=0 for LLVM's and Intel's. An OpenBLAS that is built on \
OpenMP shares the threads of the loops, and has no such trouble.",
        check: nesting::idle_pool_spins,
    },
    Rule {
        id: "pool-exceeds-cores",
        title: "a pool has more threads than there are cores",
        background: "One pool alone has more threads that compute than the process has cores. More threads than cores do not \
compute faster: they take turns, and where they wait for each other (barriers, locks) everybody waits for those who have no \
core just then.\n\nSet the pool to the number of cores: threadctl cores prints it.",
        check: checks::pool_exceeds_cores,
    },
    Rule {
        id: "spin-wait",
        title: "waiting threads spin on cores that others need",
        background: "Threads of a pool that have nothing to do can sleep, which makes waking them slow, or look for work again and \
again, which keeps their core busy. With OMP_WAIT_POLICY=active, KMP_BLOCKTIME=infinite or a large GOMP_SPINCOUNT they \
do the latter for long, and if there are more threads than cores they take the cores from those that have work.\n\nLet idle \
threads sleep: OMP_WAIT_POLICY=passive, KMP_BLOCKTIME=0, GOMP_SPINCOUNT=0, OPENBLAS_THREAD_TIMEOUT=4; threadctl run --jobs 1 \
sets all of them.",
        check: checks::spin_wait,
    },
    Rule {
        id: "libomp-beside-libiomp5",
        title: "LLVM's and Intel's OpenMP runtimes are in one process",
        background: "libomp and libiomp5 are two builds of the same runtime with the same symbols. In one process they \
can crash, hang or give wrong results on Linux (threadpoolctl's documentation has the story), and each has its own \
threads.\n\nMake everything use one of them: packages of one source (all from conda-forge, or all from PyPI), MKL with \
MKL_THREADING_LAYER=GNU or the TBB layer, or clang's programs linked against libiomp5.",
        check: checks::libomp_beside_libiomp5,
    },
    Rule {
        id: "several-openmp-runtimes",
        title: "several OpenMP runtimes have threads in one process",
        background: "Wheels bring their own copies of OpenMP runtimes, and compilers have different ones. Each has its own pool, \
knows nothing of the others, and keeps its threads spinning for a while after a parallel loop: loops of different \
libraries that follow each other compete for the cores.\n\nLet idle threads sleep (OMP_WAIT_POLICY=passive, KMP_BLOCKTIME=0), \
or install packages that share one runtime, as conda-forge's do.",
        check: checks::several_openmp_runtimes,
    },
    Rule {
        id: "serial-openblas-concurrent",
        title: "a serial OpenBLAS in a program with several threads",
        background: "OpenBLAS can be built without threads (USE_THREAD=0), and then also without the locks that protect its buffers, \
unless it was built with USE_LOCKING=1. Debian's libopenblas0-serial is such a build: called from several threads at once it \
gives wrong results now and then, silently.\n\nUse the build with pthreads and one thread in each call: on Debian install \
libopenblas0-pthread, choose it with update-alternatives, and set OPENBLAS_NUM_THREADS=1.",
        check: checks::serial_openblas,
    },
    Rule {
        id: "openblas-max-threads",
        title: "more threads than OpenBLAS was built for",
        background: "OpenBLAS has room for a fixed number of threads, chosen when it is built (NUM_THREADS; 64 in Debian's packages and \
in the wheels of numpy and scipy). It makes no more threads than that itself. Threads of the program that call it at the same time \
need room too: beyond the number it makes do with an auxiliary array, and with several hundred callers it can abort (too many \
memory regions) or crash.\n\nCall it from fewer threads at once, or build it with a larger NUM_THREADS.",
        check: checks::openblas_max_threads,
    },
    Rule {
        id: "jobs-exceed-cores",
        title: "more jobs than cores",
        background: "More processes want to compute than there are cores. Each may be well set up by itself, but together they wait \
for cores: either the command started too many of them (multiprocessing, joblib, make -j, xargs -P), or others use the machine \
too.\n\nStart as many as there are cores, divide the cores among them (eval \"$(threadctl env --jobs N)\"), or wait until the \
others have ended.",
        check: checks::jobs_exceed_cores,
    },
    Rule {
        id: "blas-at-1-cores-idle",
        title: "BLAS has one thread while cores are idle",
        background: "The opposite mistake: a setting gives each call one thread, which is right inside a parallel loop, but this program \
has one busy thread only, so all other cores are idle. Often the setting comes from a job script or a shell profile.\n\nIf its \
time goes into BLAS calls (products, factorisations), give them more threads.",
        check: checks::blas_at_one,
    },
];
