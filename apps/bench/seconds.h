/* SPDX-License-Identifier: Apache-2.0 */
/* A clock that never goes back, in seconds. Thread: any. */
#ifndef TN_APPS_BENCH_SECONDS_H
#define TN_APPS_BENCH_SECONDS_H

#include <time.h>

static inline double tn_bench_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

#endif
