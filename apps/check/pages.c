/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KV pages after a write. Slots that the step did not write must hold the same bytes as before, to
 * the last one; written slots must decode to what the reference wrote, but for the rounding of
 * their format: an i8 code may differ by 1, an f16 value by its last bit.
 */
#include "apps/check/compare.h"
#include "core/base/alloc.h"
#include "core/exec/executor.h"
#include "runtime/kv_values.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct pages_job {
    const tn_check_case *c;
    const tn_check_pool *pool;
    const tn_check_class *k;
    uint8_t *mask;      /* [block_bytes * n_blocks] 1: written by this step */
    const float *limit; /* [tokens][kv_heads * head_dim] error of k before it is coded, or NULL */
    float *got, *expected, *most; /* [2][kv_heads][block_tokens][head_dim] */
} pages_job;

static size_t element_bytes(const char *format)
{
    return strcmp(format, "f32") == 0 ? 4 : strcmp(format, "f16") == 0 ? 2 : 1;
}

/* The bytes of one slot: rows of K and V of every head, and their parameters. */
static void mark_slot(pages_job *j, int32_t slot)
{
    const tn_attention *a = j->pool->attention;
    const size_t tokens = (size_t)j->pool->block_tokens, t = (size_t)slot % tokens;
    const size_t row = (size_t)a->head_dim * element_bytes(j->pool->format);
    const size_t params = strcmp(j->pool->format, "i8") == 0 ? 4 : 0;
    const size_t head = 2 * tokens * (row + params);
    uint8_t *block = j->mask + (size_t)slot / tokens * (size_t)j->pool->block_bytes;
    for (int32_t h = 0; h < a->kv_heads; h++) {
        uint8_t *at = block + (size_t)h * head;
        for (size_t which = 0; which < 2; which++) {
            memset(at + which * tokens * row + t * row, 1, row);
            memset(at + 2 * tokens * row + which * tokens * params + t * params, 1, params);
        }
    }
}

static void compare_unwritten(pages_job *j, const uint8_t *got, tn_check_verdict *out)
{
    const size_t n = (size_t)j->pool->n_blocks * (size_t)j->pool->block_bytes;
    for (size_t i = 0; i < n && !out->failed; i++) {
        if (j->mask[i] || got[i] == j->pool->bytes[i])
            continue;
        tn_check_fault fault = { 0 };
        tn_check_set_fault(&fault, "kv pool",
                           "it changed byte %zu of KV block %zu, which no token of the step writes",
                           i % (size_t)j->pool->block_bytes, i / (size_t)j->pool->block_bytes);
        tn_check_verdict_fault(&fault, out);
    }
}

/* What the format may lose of a row that is `most` at its largest and spans `range`. */
static double format_limit(const pages_job *j, const float *row, int32_t head, int32_t which)
{
    const tn_attention *a = j->pool->attention;
    const char *format = j->pool->format;
    double low = HUGE_VAL, high = -HUGE_VAL;
    if (j->k->exact)
        return 0;
    for (int32_t d = 0; d < a->head_dim; d++) {
        low = fmin(low, (double)row[d]);
        high = fmax(high, (double)row[d]);
    }
    if (strcmp(format, "i8-static") == 0)
        return 1.001 * (double)a->kv_static[(a->n_kv_static > 1 ? 4 * head : 0) + 2 * which];
    if (strcmp(format, "i8") == 0)
        return 1.25 * (high - low) / 255 + 0x1p-10 * fmax(fabs(low), fabs(high)) + 0x1p-24;
    return 0;
}

/* Limits of one written slot's K or V; token -1 is one that nobody wrote. */
static void limit_slot(pages_job *j, int32_t token, int32_t slot_in_block, int32_t which)
{
    const tn_attention *a = j->pool->attention;
    const size_t dim = (size_t)a->head_dim;
    const bool is_f16 = strcmp(j->pool->format, "f16") == 0;
    for (int32_t h = 0; h < a->kv_heads; h++) {
        const size_t row =
            (((size_t)which * (size_t)a->kv_heads + (size_t)h) * (size_t)j->pool->block_tokens +
             (size_t)slot_in_block) *
            dim;
        const double format = format_limit(j, j->expected + row, h, which);
        for (size_t d = 0; d < dim; d++) {
            double limit = format;
            if (which == 0 && j->limit)
                limit +=
                    2 *
                    (double)j->limit[((size_t)token * (size_t)a->kv_heads + (size_t)h) * dim + d];
            if (is_f16 && !j->k->exact)
                limit += 0x1p-10 * fabs((double)j->expected[row + d]) + 0x1p-24;
            j->most[row + d] = (float)limit;
        }
    }
}

static void judge_page(pages_job *j, int32_t block, tn_check_verdict *out)
{
    const tn_attention *a = j->pool->attention;
    const int32_t rows = 2 * a->kv_heads * j->pool->block_tokens;
    tn_check_metrics m;
    tn_check_metrics_compare(j->got, j->expected, j->most, rows, a->head_dim, TN_F32, &m);
    tn_check_metrics_merge(&out->metrics, &m);
    if (m.n_bad == 0 || out->failed)
        return;
    const int32_t t = (int32_t)(m.worst_row % j->pool->block_tokens);
    const int32_t h = (int32_t)(m.worst_row / j->pool->block_tokens % a->kv_heads);
    const bool is_v = m.worst_row >= rows / 2;
    out->failed = true;
    out->metric = "kv page";
    out->value = m.worst;
    out->limit = 1;
    (void)snprintf(out->text, sizeof out->text,
                   "%lld elements of KV block %d are past their limit; the worst is %s of head %d, "
                   "slot %d, element %lld: got %.9g, expected %.9g, limit %.3g",
                   (long long)m.n_bad, (int)block, is_v ? "V" : "K", (int)h, (int)t,
                   (long long)m.worst_col, m.got, m.expected, m.limit);
}

/* Decode a block of both pools and compare what this step wrote; the rest compares equal. */
static tn_status compare_block(pages_job *j, int32_t block, const uint8_t *got,
                               const uint8_t *expected, tn_check_verdict *out, tn_error *err)
{
    const tn_check_pool *p = j->pool;
    const tn_check_batch *b = j->c->batch;
    const size_t at = (size_t)block * (size_t)p->block_bytes;
    const size_t half =
        (size_t)p->attention->kv_heads * (size_t)p->block_tokens * (size_t)p->attention->head_dim;
    TN_TRY(tn_kv_block_values(p->format, p->attention, p->block_tokens, got + at, j->got,
                              j->got + half, err));
    TN_TRY(tn_kv_block_values(p->format, p->attention, p->block_tokens, expected + at, j->expected,
                              j->expected + half, err));
    memset(j->most, 0, 2 * half * sizeof(float));
    for (int32_t t = 0; t < b->n_tokens; t++) {
        if (b->slot[t] < 0 || b->slot[t] / p->block_tokens != block)
            continue;
        limit_slot(j, t, b->slot[t] % p->block_tokens, 0);
        limit_slot(j, t, b->slot[t] % p->block_tokens, 1);
    }
    judge_page(j, block, out);
    return TN_OK;
}

static bool is_written(const tn_check_case *c, int32_t block)
{
    for (int32_t t = 0; t < c->batch->n_tokens; t++)
        if (c->batch->slot[t] >= 0 && c->batch->slot[t] / c->pool.block_tokens == block)
            return true;
    return false;
}

static tn_status compare_blocks(pages_job *j, const uint8_t *got, const uint8_t *expected,
                                tn_check_verdict *out, tn_error *err)
{
    for (int32_t t = 0; t < j->c->batch->n_tokens; t++)
        if (j->c->batch->slot[t] >= 0)
            mark_slot(j, j->c->batch->slot[t]);
    compare_unwritten(j, got, out);
    for (int32_t i = 0; i < j->pool->n_blocks; i++)
        if (is_written(j->c, i))
            TN_TRY(compare_block(j, i, got, expected, out, err));
    return TN_OK;
}

tn_status tn_check_compare_pool(const tn_check_case *c, const tn_check_expected *e,
                                const uint8_t *got, const tn_check_class *k, tn_check_verdict *out,
                                tn_error *err)
{
    const tn_check_pool *p = &c->pool;
    const size_t half =
        (size_t)p->attention->kv_heads * (size_t)p->block_tokens * (size_t)p->attention->head_dim;
    pages_job j = { .c = c, .pool = p, .k = k };
    tn_check_limits rope = { 0 };
    tn_status status = TN_OK;
    if (e->stage[TN_STAGE_ROPE].out[1] && !k->exact)
        status = tn_check_key_limits(c, e, k, &rope, err);
    j.limit = rope.out[1];
    j.mask = tn_alloc_array((size_t)p->n_blocks, (size_t)p->block_bytes);
    j.got = tn_alloc_array(6 * half, sizeof(float));
    if (!status && (!j.mask || !j.got))
        status = tn_fail_memory(err, "the KV pages");
    if (!status) {
        j.expected = j.got + 2 * half;
        j.most = j.expected + 2 * half;
        status = compare_blocks(&j, got, e->pool, out, err);
    }
    tn_check_limits_deinit(&rope);
    tn_free(j.mask);
    tn_free(j.got);
    return status;
}
