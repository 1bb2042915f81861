/*
 * threadctl: finds, reads and limits the thread pools of this process (OpenBLAS, MKL, BLIS, OpenMP runtimes and others), and
 * tells how many cores there are for all of them.
 *
 * Open libthreadctl_preload.so, or link it, after the BLAS: the library has the names of BLAS and LAPACK too, and calls of a program
 * that links it go through dispatch, to the BLAS that comes after it. All functions may be called from any thread at any time, also at once; none prints,
 * ends the process, or lets a C++ or Rust exception out.
 *
 * Errors. Functions of type int return THREADCTL_OK (0) or one of the other codes of enum threadctl_status, and write to
 * their out-parameters only if they return THREADCTL_OK. threadctl_last_error() says in words what was wrong with which value.
 *
 * Texts. What comes in is UTF-8 and ends with a NUL byte; it is not kept. What goes out is UTF-8 and ends with a NUL byte,
 * and is given back to threadctl_free() when it was stored through a char **.
 *
 * Environment. The first of these functions to be called puts the variables of threadctl in force (THREADCTL_LIMITS, THREADCTL_LOG ...:
 * docs/CONFIGURATION.md), but in programs with more rights than their caller. A wrong value is ignored, and reported in the log.
 *
 * fork. A child has copies of its parent's limits under the same handles, and may end them for itself. As with any library
 * that has locks, a child that was forked while another thread was inside one of these functions must exec before it calls
 * one itself.
 *
 * Linux only.
 */
#ifndef THREADCTL_H
#define THREADCTL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the functions of type int return. Codes are added at the end only. */
enum threadctl_status {
    THREADCTL_OK = 0,
    /* A null pointer where none is allowed, a text that is not UTF-8, a scope or an option that does not exist. */
    THREADCTL_ERROR_ARGUMENT = 1,
    /* A limit that is no limit: 0, or larger than any library can take. */
    THREADCTL_ERROR_LIMIT = 2,
    /* A text of limits that cannot be read, or that names what no runtime is called. */
    THREADCTL_ERROR_SELECTION = 3,
    /* THREADCTL_STRICT was asked for, and a limit does not hold. Nothing was left changed. */
    THREADCTL_ERROR_NOT_HONOURED = 4,
    /* A handle that was never given out, or whose limit was ended before. */
    THREADCTL_ERROR_HANDLE = 5,
    /* A limit of thread scope, which belongs to another thread. */
    THREADCTL_ERROR_THREAD = 6,
    /* A runtime cannot do what was asked of it. */
    THREADCTL_ERROR_UNSUPPORTED = 7,
    /* An environment variable of threadctl has a value that cannot be used. */
    THREADCTL_ERROR_CONFIGURATION = 8,
    /* The operating system refused. */
    THREADCTL_ERROR_SYSTEM = 9,
    /* A fault of threadctl itself: please report it. */
    THREADCTL_ERROR_INTERNAL = 10
};

/* Where a limit holds. */
enum threadctl_scope {
    /* In all threads. */
    THREADCTL_PROCESS = 0,
    /* In the calling thread. */
    THREADCTL_THREAD = 1
};

/* What may be asked of a limit beside. */
enum threadctl_option {
    /* It is an error if a limit does not hold, or an entry other than `all` means no runtime that is loaded. */
    THREADCTL_STRICT = 1
};

/* A limit that was begun. Never 0; a handle is not given out a second time, so one whose limit has ended stays invalid. */
typedef uint64_t threadctl_limit;

/*
 * Begins limits: from now on until threadctl_limit_end(), a call into a runtime uses at most so many cores, the caller's
 * included. Of several limits on one runtime the smallest is in force; when the last of them ends, the number that the
 * runtime had comes back, in whatever order they end.
 *
 * limits   what to limit, as in the variable THREADCTL_LIMITS: NAME=LIMIT, with commas between entries ("blas=1,openmp=4").
 *          A NAME is `all`, `blas`, `openmp`, an implementation (`openblas`, `mkl`, `blis` ...), the beginning of a file
 *          name, or an absolute path. A LIMIT is a number of cores, or -1 for all of them, -2 for all but one ...
 *          Runtimes that are loaded later are not limited.
 * scope    one of enum threadctl_scope. THREADCTL_PROCESS leaves runtimes alone that can only be limited thread by thread;
 *          THREADCTL_THREAD limits the whole process where a runtime knows nothing else; threadctl_limit_outcome() tells
 *          of both. A limit of thread scope belongs to the calling thread: it is ended there, at the latest with the thread.
 * options  0, or THREADCTL_STRICT.
 * limit    the handle is stored here.
 */
int threadctl_limit_begin(const char *limits, int scope, unsigned int options, threadctl_limit *limit);

/*
 * Ends limits that threadctl_limit_begin() began: on any thread if they have process scope, else on the thread that began
 * them (THREADCTL_ERROR_THREAD elsewhere; they stay in force then). A handle that is invalid, such as one that was ended
 * before or 0, is THREADCTL_ERROR_HANDLE and changes nothing.
 */
int threadctl_limit_end(threadctl_limit limit);

/*
 * What became of limits when they were begun, as JSON: an object with `scope` (`process` or `thread`), `outcomes`, and
 * `unmatched`, the entries that meant no runtime that was loaded. An outcome has `user_api`, `internal_api` and `filepath` of a
 * runtime, `requested`, `effective` (the number in force, null where it is not known), `honoured`, and `shortfall`: in words
 * how the two differ, or null. On the threads on which they can be ended.
 *
 * json  the text is stored here. Give it back to threadctl_free().
 */
int threadctl_limit_outcome(threadctl_limit limit, char **json);

/*
 * The runtimes that are loaded in this process now, as JSON: what `threadctl info --json` prints. `runtimes` in it is a superset
 * of the list of threadpoolctl's threadpool_info(); a number in it is that of the calling thread.
 *
 * json  the text is stored here. Give it back to threadctl_free().
 */
int threadctl_info(char **json);

/*
 * How many cores this process may use for computing: the least that the machine, affinity, cgroups, the launcher and
 * THREADCTL_NUM_THREADS leave to it. Counted again when the last count is older than 0.1 s.
 *
 * count  the number, at least 1, is stored here.
 */
int threadctl_cores(uint32_t *count);

/*
 * The same with every constraint and its source, as JSON: what `threadctl cores --json` prints.
 *
 * json  the text is stored here. Give it back to threadctl_free().
 */
int threadctl_cores_info(char **json);

/*
 * Gives back a text that was stored through a char **. A null pointer is allowed and does nothing. A text is given back
 * once, as with free().
 */
void threadctl_free(char *text);

/*
 * In words, what was wrong when one of these functions last returned an error on the calling thread; "" if none has. Valid
 * until the next error on this thread, or until it ends. Never null; not for threadctl_free().
 */
const char *threadctl_last_error(void);

/* The version of the library, such as "0.1.0". Valid for good; not for threadctl_free(). */
const char *threadctl_version(void);

#ifdef __cplusplus
}
#endif

#endif
