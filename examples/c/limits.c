/* Limits BLAS to one core for a while, says what became of it on each library, and how many cores there are.
 *     cc limits.c -I include -L lib -lthreadctl_preload -o limits
 */
#include <inttypes.h>
#include <stdio.h>

#include "threadctl.h"

static int failed(const char *what) {
    fprintf(stderr, "%s: %s\n", what, threadctl_last_error());
    return 1;
}

int main(void) {
    threadctl_limit limit;
    char *outcome;
    uint32_t cores;

    if (threadctl_limit_begin("blas=1", THREADCTL_PROCESS, 0, &limit) != THREADCTL_OK)
        return failed("blas=1");
    /* Calls into any BLAS use one core here, in every thread. */
    if (threadctl_limit_outcome(limit, &outcome) != THREADCTL_OK)
        return failed("outcome");
    puts(outcome);
    threadctl_free(outcome);
    if (threadctl_limit_end(limit) != THREADCTL_OK)
        return failed("end");

    if (threadctl_cores(&cores) != THREADCTL_OK)
        return failed("cores");
    printf("%" PRIu32 " cores, threadctl %s\n", cores, threadctl_version());
    return 0;
}
