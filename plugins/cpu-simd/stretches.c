/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/cpu-simd/simd.h"

#include <stdatomic.h>

/* PARTS: as many of a stretch as the host's team makes of a worker's share, so that a late worker
 * holds back an eighth of it. */
enum { PARTS = 8, MAX_WORKERS = 64 };

typedef struct stretch {
    _Alignas(64) _Atomic int64_t next; /* first part that nobody took; it may pass the end */
} stretch;

typedef struct stretches {
    simd_range_fn fn;
    void *arg;
    int64_t n, workers, parts; /* parts of each stretch */
    stretch stretch[MAX_WORKERS];
} stretches;

/* The next part of a worker's own stretch, or when that is done, of another's. There are as many
 * tickets as parts, so one is left. */
static int64_t take_part(stretches *s, int32_t worker)
{
    for (int64_t i = 0; i < s->workers; i++) {
        int64_t of = (worker + i) % s->workers;
        /* Relaxed: only the number matters; the host orders the data. */
        int64_t part = atomic_fetch_add_explicit(&s->stretch[of].next, 1, memory_order_relaxed);
        if (part < s->parts)
            return of * s->parts + part;
    }
    return -1;
}

static void run_tickets(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    stretches *s = arg;
    int64_t all = s->workers * s->parts;
    for (int64_t i = i0; i < i1; i++) {
        int64_t part = take_part(s, worker);
        int64_t begin = part * s->n / all, end = (part + 1) * s->n / all;
        if (begin < end)
            s->fn(s->arg, begin, end, worker);
    }
}

void simd_for_stretches(void *self, int64_t n, simd_range_fn fn, void *arg)
{
    stretches s;
    s.workers = simd_workers(self);
    s.parts = n / s.workers < PARTS ? n / s.workers : PARTS;
    if (s.parts < 2 || s.workers > MAX_WORKERS || n > INT64_MAX / (MAX_WORKERS * PARTS)) {
        simd_for(self, n, fn, arg);
        return;
    }
    s.fn = fn;
    s.arg = arg;
    s.n = n;
    for (int64_t i = 0; i < s.workers; i++)
        atomic_init(&s.stretch[i].next, 0);
    simd_for(self, s.workers * s.parts, run_tickets, &s);
}
