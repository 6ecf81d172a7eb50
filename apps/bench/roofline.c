/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/bench/roofline.h"

#include "apps/bench/seconds.h"
#include "core/base/alloc.h"

#include <math.h>
#include <stdatomic.h>

/* The buffer is larger than the last cache of any CPU of today but the very largest servers'; a run
 * is long beside the wake-up of a worker. Tiles are small beside a run, so that workers end
 * together. */
enum { BUFFER_BYTES = 256 << 20, TILE_BYTES = 1 << 20, RUNS = 5, TILES = 64 };

typedef struct job {
    const uint64_t *words;
    const tn_peak_kernels *kernels;
    float (*floats)(int64_t rounds); /* of the kernels, f32 or bf16 */
    int64_t rounds;
    atomic_uint_fast64_t sink; /* keeps the compiler from dropping the work */
} job;

static void read_tiles(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    job *j = arg;
    const uint64_t *at = j->words + (size_t)i0 * (TILE_BYTES / sizeof(uint64_t));
    const size_t n = (size_t)(i1 - i0) * (TILE_BYTES / sizeof(uint64_t));
    uint64_t sum[8] = { 0 };
    (void)worker;
    for (size_t i = 0; i < n; i += 8)
        for (size_t k = 0; k < 8; k++)
            sum[k] += at[i + k];
    atomic_fetch_add_explicit(&j->sink,
                              sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7],
                              memory_order_relaxed);
}

static void float_tiles(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    job *j = arg;
    (void)worker;
    float sum = j->floats(j->rounds * (i1 - i0));
    atomic_fetch_add_explicit(&j->sink, sum > 0.0f, memory_order_relaxed);
}

static void int8_tiles(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    job *j = arg;
    (void)worker;
    int32_t sum = j->kernels->int8(j->rounds * (i1 - i0));
    atomic_fetch_add_explicit(&j->sink, (uint64_t)(uint32_t)sum, memory_order_relaxed);
}

/* Work a second, of the best run; the first run also wakes the team and touches the pages. */
static double best_rate(tn_team *team, int64_t tiles, tn_team_fn fn, job *j, double work)
{
    double best = 0.0;
    for (int run = 0; run <= RUNS; run++) {
        const double begin = tn_bench_seconds();
        tn_team_for(team, tiles, fn, j);
        const double rate = work / (tn_bench_seconds() - begin);
        if (run > 0 && rate > best)
            best = rate;
    }
    return best;
}

tn_status tn_roofline_measure(tn_team *team, tn_roofline *out, tn_error *err)
{
    uint64_t *words = tn_pages_alloc(BUFFER_BYTES);
    if (!words)
        return tn_fail_memory(err, "the buffer that measures memory speed");
    /* Pages that were never written may all be the one page of zeros, which a cache holds. */
    for (size_t i = 0; i < BUFFER_BYTES / sizeof *words; i++)
        words[i] = i;
    job j = { .words = words, .kernels = tn_peak_kernels_find(), .rounds = 100000 };
    const double rounds = (double)j.rounds * TILES;
    *out = (tn_roofline){ .threads = tn_team_workers(team), .isa = j.kernels->isa };
    out->read_bytes_s =
        best_rate(team, BUFFER_BYTES / TILE_BYTES, read_tiles, &j, (double)BUFFER_BYTES);
    j.floats = j.kernels->f32;
    out->f32_ops_s = best_rate(team, TILES, float_tiles, &j, j.kernels->f32_ops * rounds);
    j.floats = j.kernels->bf16;
    if (j.floats)
        out->bf16_ops_s = best_rate(team, TILES, float_tiles, &j, j.kernels->bf16_ops * rounds);
    if (j.kernels->int8)
        out->int8_ops_s = best_rate(team, TILES, int8_tiles, &j, j.kernels->int8_ops * rounds);
    /* Narrow values can always be widened. */
    out->bf16_ops_s = fmax(out->bf16_ops_s, out->f32_ops_s);
    out->int8_ops_s = fmax(out->int8_ops_s, out->f32_ops_s);
    tn_pages_release(words, BUFFER_BYTES);
    return TN_OK;
}
