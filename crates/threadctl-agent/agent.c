/*
 * The preload agent of `threadctl run`: writes down who makes each thread, and what it has used when it ends.
 *
 * Invariants:
 * - The program must not notice. Nothing is printed; errno is kept; whatever cannot be done is left out; no signal, no
 *   thread, no allocation that outlives a thread, no lock but around the table of paths.
 * - The file is shared by all processes of the tree. A place in it is given out by one atomic counter and written by one
 *   process only; a record counts for readers once its state is stored, with release order, after everything else.
 * - No dependency is linked and no symbol has a version, so the library also loads into programs whose C library is
 *   older than the one here. What may be missing there is weak, and then the agent does nothing.
 * The layout is that of src/diagnose/agent.rs in the library `threadctl`.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#pragma weak dlsym
#pragma weak dladdr
#pragma weak getauxval
#pragma weak pthread_key_create
#pragma weak pthread_setspecific
#pragma weak secure_getenv

enum { PATHS = 1024, PATH_SIZE = 256, HEADER = 4096, RECORDS = 1 << 18 };
enum { FIRST = 1, MADE = 2, FOUND = 3, MODULE = 4 };
enum { LIVE = 1, ENDED = 2, ENDING = 3 };

struct header {
    uint64_t magic;
    uint32_t version, capacity;
    _Atomic uint32_t next;
    uint32_t path_capacity;
    _Atomic uint32_t next_path;
};

struct path {
    _Atomic uint32_t ready;
    char text[PATH_SIZE - 4];
};

struct record {
    _Atomic uint32_t state;
    uint32_t kind, pid;
    _Atomic uint32_t tid;
    uint32_t creator, start, caller, spare;
    uint64_t created, ended, ran, waited, voluntary, involuntary;
    char name[16];
    uint64_t migrations; /* one more than there were; 0 where the kernel does not tell */
    uint64_t reserved[3];
};
_Static_assert(sizeof(struct record) == 128, "the layout of src/diagnose/agent.rs");
_Static_assert(sizeof(struct path) == PATH_SIZE, "the layout of src/diagnose/agent.rs");

static struct header *file;
static pthread_key_t at_end;
static _Atomic uint32_t own_pid;
static _Atomic int ended;

static struct path *paths(void) { return (struct path *)((char *)file + HEADER); }
static struct record *records(void) { return (struct record *)((char *)paths() + (size_t)PATHS * PATH_SIZE); }
static uint32_t this_thread(void) { return (uint32_t)syscall(SYS_gettid); }
static uint32_t this_process(void) { return (uint32_t)syscall(SYS_getpid); }

static uint64_t nanoseconds(clockid_t clock) {
    struct timespec now = {0, 0};
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A place for a record, or none if all are taken. */
static struct record *place(uint32_t kind) {
    uint32_t index = atomic_fetch_add_explicit(&file->next, 1, memory_order_relaxed);
    if (index >= RECORDS)
        return NULL;
    struct record *record = records() + index;
    record->kind = kind;
    record->pid = this_process();
    record->created = nanoseconds(CLOCK_MONOTONIC);
    return record;
}

/* The place of a path in the table, from 1; 0 if it is full. Of a long path the end is kept, which has the name. */
static uint32_t index_of(const char *text) {
    size_t length = strlen(text);
    if (length > sizeof paths()->text - 1)
        text += length - (sizeof paths()->text - 1);
    uint32_t count = atomic_load_explicit(&file->next_path, memory_order_acquire);
    for (uint32_t at = 0; at < count && at < PATHS; at++) {
        struct path *path = paths() + at;
        if (atomic_load_explicit(&path->ready, memory_order_acquire) == 1 && strcmp(path->text, text) == 0)
            return at + 1;
    }
    /* Two threads may add the same path at once; then it is there twice, which harms nobody. */
    uint32_t at = atomic_fetch_add_explicit(&file->next_path, 1, memory_order_acq_rel);
    if (at >= PATHS)
        return 0;
    struct path *path = paths() + at;
    strcpy(path->text, text);
    atomic_store_explicit(&path->ready, 1, memory_order_release);
    return at + 1;
}

/* The main program. The loader only has the name that it was called by, which may be any. */
static uint32_t program(void) {
    char path[PATH_SIZE * 4];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    return index_of(path);
}

/* The file that an address is in. */
static uint32_t file_of(const void *address) {
    Dl_info info;
    if (!dladdr || !address || !dladdr(address, &info) || !info.dli_fname)
        return 0;
    uintptr_t headers = getauxval ? getauxval(AT_PHDR) : 0;
    if (strchr(info.dli_fname, '/') && (headers & ~(uintptr_t)4095) != (uintptr_t)info.dli_fbase)
        return index_of(info.dli_fname);
    return program();
}

/* C++'s std::thread starts every thread in its own library; what it is handed is an object of the program, whose table of
 * virtual functions lies in the file that asked for the thread. */
static uint32_t start_of(const void *routine, void *argument) {
    Dl_info info;
    if (dladdr && dladdr(routine, &info) && info.dli_fname && strstr(info.dli_fname, "libstdc++") && argument) {
        uint32_t asked = file_of(*(void **)argument);
        if (asked)
            return asked;
    }
    return file_of(routine);
}

static size_t read_small(const char *path, char *buffer, size_t size) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return 0;
    ssize_t length = read(descriptor, buffer, size - 1);
    close(descriptor);
    if (length < 0)
        length = 0;
    buffer[length] = 0;
    return (size_t)length;
}

static void path_of_thread(char *path, uint32_t tid, const char *name) {
    char digits[12];
    int at = 0;
    do
        digits[at++] = (char)('0' + tid % 10);
    while (tid /= 10);
    strcpy(path, "/proc/self/task/");
    char *end = path + strlen(path);
    while (at > 0)
        *end++ = digits[--at];
    strcpy(end, name);
}

/* Completes the record of a thread of this process, of the calling one or another. One of those who try does it. */
static void finish(struct record *record, uint32_t tid) {
    uint32_t live = LIVE;
    if (!atomic_compare_exchange_strong(&record->state, &live, ENDING))
        return;
    char path[64], text[2048];
    path_of_thread(path, tid, "/comm");
    size_t length = read_small(path, record->name, sizeof record->name);
    if (length > 0 && record->name[length - 1] == '\n')
        record->name[length - 1] = 0;
    struct rusage usage;
    if (tid == this_thread() && getrusage(RUSAGE_THREAD, &usage) == 0) {
        record->voluntary = (uint64_t)usage.ru_nvcsw;
        record->involuntary = (uint64_t)usage.ru_nivcsw;
    }
    path_of_thread(path, tid, "/sched");
    if (read_small(path, text, sizeof text) > 0) {
        const char *count = strstr(text, "nr_migrations");
        count = count ? strchr(count, ':') : NULL;
        record->migrations = count ? strtoull(count + 1, NULL, 10) + 1 : 0;
    }
    path_of_thread(path, tid, "/schedstat");
    if (read_small(path, text, sizeof text) > 0) {
        char *after;
        record->ran = strtoull(text, &after, 10);
        record->waited = strtoull(after, NULL, 10);
    }
    /* The clock of a thread, by the kernel's own encoding: schedstat may lag behind by a tick. Last, so that what this
     * function used is in it. */
    uint64_t ran = nanoseconds((clockid_t)((~(clockid_t)tid << 3) | 6));
    if (ran > record->ran)
        record->ran = ran;
    record->ended = nanoseconds(CLOCK_MONOTONIC);
    atomic_store_explicit(&record->state, ENDED, memory_order_release);
}

static void first_thread(void) {
    struct record *record = place(FIRST);
    atomic_store(&own_pid, this_process());
    atomic_store(&ended, 0);
    if (!record)
        return;
    record->start = program();
    atomic_store(&record->tid, this_process());
    atomic_store_explicit(&record->state, LIVE, memory_order_release);
}

static void thread_ends(void *record) {
    int error = errno;
    finish(record, this_thread());
    errno = error;
}

static int is_runtime(const char *path) {
    static const char *const words[] = {"blas", "blis", "omp", "mkl", "tbb", "atlas", "armpl", "nvpl", "lapack"};
    const char *name = strrchr(path, '/');
    for (size_t at = 0; at < sizeof words / sizeof *words; at++)
        if (strstr(name ? name : path, words[at]))
            return 1;
    return 0;
}

/* One line of /proc/self/maps. A file's code is mapped once, so each file is written once. */
static void write_module(char *line) {
    char *path = strchr(line, '/');
    struct record *record;
    if (path && strstr(line, " r-xp ") && is_runtime(path) && (record = place(MODULE)) != NULL) {
        record->start = index_of(path);
        atomic_store_explicit(&record->state, LIVE, memory_order_release);
    }
}

/* Asking the loader instead would take its lock, which a thread that was lost in a fork may hold for ever. */
static void write_modules(void) {
    int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (maps < 0)
        return;
    char buffer[8192];
    size_t kept = 0;
    ssize_t length;
    while ((length = read(maps, buffer + kept, sizeof buffer - 1 - kept)) > 0) {
        char *line = buffer, *end;
        buffer[kept + (size_t)length] = 0;
        while ((end = strchr(line, '\n')) != NULL) {
            *end = 0;
            write_module(line);
            line = end + 1;
        }
        kept = strlen(line);
        if (kept == sizeof buffer - 1)
            kept = 0; /* no path is that long */
        for (size_t at = 0; at < kept; at++)
            buffer[at] = line[at];
    }
    close(maps);
}

/* The directory entries as the kernel gives them: opendir allocates, and this may run in a process that is at its end. */
struct entry {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

static void each_thread(void (*act)(uint32_t tid)) {
    int folder = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return;
    char buffer[4096] __attribute__((aligned(8)));
    long length;
    while ((length = syscall(SYS_getdents64, folder, buffer, sizeof buffer)) > 0)
        for (long at = 0; at < length;) {
            struct entry *entry = (struct entry *)(buffer + at);
            uint32_t tid = (uint32_t)strtoul(entry->name, NULL, 10);
            if (tid)
                act(tid);
            at += entry->length;
        }
    close(folder);
}

static void end_thread(uint32_t tid) {
    uint32_t pid = this_process(), count = atomic_load(&file->next);
    if (count > RECORDS)
        count = RECORDS;
    /* The latest one: a number may have been given out before. */
    for (uint32_t at = count; at-- > 0;) {
        struct record *record = records() + at;
        if (record->pid == pid && record->kind != MODULE && atomic_load(&record->tid) == tid) {
            finish(record, tid);
            return;
        }
    }
    struct record *record = place(FOUND);
    if (!record)
        return;
    atomic_store(&record->tid, tid);
    record->created = 0;
    atomic_store_explicit(&record->state, LIVE, memory_order_release);
    finish(record, tid);
}

/* The process ends, and its other threads with it. */
static void process_ends(void) {
    if (!file || atomic_load(&own_pid) != this_process() || atomic_exchange(&ended, 1))
        return;
    int error = errno;
    write_modules();
    each_thread(end_thread);
    errno = error;
}

/* Under `threadctl run` below another one there are two agents, both of which would write to the file of the inner one. The first in
 * the loader's order, which is that one's, does it alone. */
static const char here = 0;

EXPORT const void *threadctl_agent(void) { return &here; }

static int is_second(void) {
    const void *(*first)(void);
    *(void **)&first = dlsym(RTLD_DEFAULT, "threadctl_agent");
    return first && first() != &here;
}

/* Libraries that the program is linked against are begun before this one, and some of them make their threads then: so it may be
 * called for the first of these. */
__attribute__((constructor)) static void begins(void) {
    static _Atomic int begun;
    if (atomic_exchange(&begun, 1))
        return;
    int error = errno;
    const char *path = secure_getenv ? secure_getenv("THREADCTL_AGENT_FILE") : NULL;
    if (path && dlsym && pthread_key_create && pthread_setspecific && !is_second()) {
        int descriptor = open(path, O_RDWR | O_CLOEXEC);
        if (descriptor >= 0) {
            size_t size = HEADER + (size_t)PATHS * PATH_SIZE + (size_t)RECORDS * sizeof(struct record);
            void *memory = MAP_FAILED;
            if (lseek(descriptor, 0, SEEK_END) == (off_t)size)
                memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
            close(descriptor);
            if (memory != MAP_FAILED && memcmp(memory, "TCTLAGT1", 8) == 0 && pthread_key_create(&at_end, thread_ends) == 0) {
                file = memory;
                first_thread();
            }
        }
    }
    errno = error;
}

__attribute__((destructor)) static void ends(void) { process_ends(); }

/* What a new thread is handed instead of its own routine and argument. */
struct start {
    union {
        void *(*posix)(void *);
        int (*c11)(void *);
    } routine;
    void *argument;
    struct record *record;
};

static struct start begin(struct start *given) {
    struct start start = *given;
    free(given);
    /* The one who made it may have been told of its failure meanwhile, but not of its number. */
    atomic_store(&start.record->tid, this_thread());
    pthread_setspecific(at_end, start.record);
    return start;
}

static void *run_posix(void *given) {
    struct start start = begin(given);
    return start.routine.posix(start.argument);
}

static int run_c11(void *given) {
    struct start start = begin(given);
    return start.routine.c11(start.argument);
}

static struct start *prepare(const void *routine, void *argument, const void *caller) {
    begins();
    if (!file)
        return NULL;
    if (atomic_load(&own_pid) != this_process())
        first_thread(); /* a child of fork that this library was not told of */
    struct start *start = malloc(sizeof *start);
    struct record *record = start ? place(MADE) : NULL;
    if (!record) {
        free(start);
        return NULL;
    }
    record->creator = this_thread();
    record->start = start_of(routine, argument);
    record->caller = file_of(caller);
    start->argument = argument;
    start->record = record;
    atomic_store_explicit(&record->state, LIVE, memory_order_release);
    return start;
}

static void failed(struct start *start) {
    atomic_store(&start->record->state, 0);
    free(start);
}

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*routine)(void *), void *argument) {
    static int (*_Atomic real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (!real && dlsym)
        *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    if (!real)
        return EAGAIN;
    int error = errno;
    struct start *start = prepare((const void *)routine, argument, __builtin_return_address(0));
    errno = error;
    if (!start)
        return real(thread, attributes, routine, argument);
    start->routine.posix = routine;
    int result = real(thread, attributes, run_posix, start);
    if (result != 0)
        failed(start);
    return result;
}

EXPORT int thrd_create(thrd_t *thread, thrd_start_t routine, void *argument) {
    static int (*_Atomic real)(thrd_t *, thrd_start_t, void *);
    if (!real && dlsym)
        *(void **)&real = dlsym(RTLD_NEXT, "thrd_create");
    if (!real)
        return thrd_error;
    int error = errno;
    struct start *start = prepare((const void *)routine, argument, __builtin_return_address(0));
    errno = error;
    if (!start)
        return real(thread, routine, argument);
    start->routine.c11 = routine;
    int result = real(thread, run_c11, start);
    if (result != thrd_success)
        failed(start);
    return result;
}

EXPORT pid_t fork(void) {
    static pid_t (*_Atomic real)(void);
    if (!real && dlsym)
        *(void **)&real = dlsym(RTLD_NEXT, "fork");
    pid_t child = real ? real() : (pid_t)syscall(SYS_fork);
    if (child == 0 && file) {
        int error = errno;
        first_thread();
        errno = error;
    }
    return child;
}

/* These end the process without its destructors. */
EXPORT _Noreturn void _exit(int status) {
    process_ends();
    for (;;)
        syscall(SYS_exit_group, status);
}

EXPORT _Noreturn void _Exit(int status) { _exit(status); }
