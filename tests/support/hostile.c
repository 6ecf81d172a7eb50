/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/hostile.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define SLOWER 10.0
#else
#    define SLOWER 1.0
#endif

static double refusal_began; /* seconds of the processor */

/* Pages of address space, the first number of statm (man 5 proc). */
static size_t used_bytes(void)
{
    unsigned long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (!statm || fscanf(statm, "%lu", &pages) != 1)
        abort();
    fclose(statm);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

void tn_test_memory_limit(size_t bytes)
{
    struct rlimit limit;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    bytes = 0;
#endif
    if (getrlimit(RLIMIT_AS, &limit) != 0)
        abort();
    malloc_trim(0); /* what was freed counts again */
    limit.rlim_cur = bytes ? used_bytes() + bytes : limit.rlim_max;
    if (setrlimit(RLIMIT_AS, &limit) != 0)
        abort();
}

static double processor_seconds(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0)
        abort();
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void tn_test_refusal_begin(void)
{
    tn_test_memory_limit((size_t)64 << 20);
    refusal_began = processor_seconds();
}

bool tn_test_refusal_end(void)
{
    const double seconds = processor_seconds() - refusal_began;
    tn_test_memory_limit(0);
    return seconds < 1.0 * SLOWER;
}
