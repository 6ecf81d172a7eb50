/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kernel claims by its flags, and what all kernels owe: the same bits again, alone, in
 * pieces, on other threads, in place and without the host's mirrors.
 */
#include "apps/check/claims.h"

#include "core/base/alloc.h"

#include <pthread.h>
#include <string.h>

enum { MORE_RUNS = 2 };

typedef struct claim {
    tn_check_session *s;
    tn_check_kernel *k;
    const tn_check_case *c;
    const tn_check_output *base; /* of a plain run */
    tn_check_verdict *out;
} claim;

static void breach(const claim *a, const char *metric, const char *text)
{
    tn_check_fault fault = { 0 };
    tn_check_set_fault(&fault, metric, "%s", text);
    tn_check_verdict_fault(&fault, a->out);
}

/* n values of two runs, bit by bit. */
static bool same_bits(const claim *a, const char *metric, const char *how, const char *name,
                      const float *got, const float *expected, size_t n)
{
    char text[256];
    size_t at = 0;
    if (n == 0 || memcmp(got, expected, n * sizeof(float)) == 0)
        return true;
    while (memcmp(&got[at], &expected[at], sizeof(float)) == 0)
        at++;
    (void)snprintf(text, sizeof text, "%s: element %zu of %s is %.9g, and was %.9g", how, at, name,
                   (double)got[at], (double)expected[at]);
    breach(a, metric, text);
    return false;
}

static size_t size_of(const tn_check_tensor *t)
{
    return (size_t)t->rows * (size_t)t->width;
}

static bool same_pool(const claim *a, const char *metric, const char *how, const uint8_t *got)
{
    const size_t n = (size_t)a->c->pool.n_blocks * (size_t)a->c->pool.block_bytes;
    char text[256];
    if (!got || !a->base->pool || memcmp(got, a->base->pool, n) == 0)
        return true;
    (void)snprintf(text, sizeof text, "%s: it writes other bytes into the KV pool", how);
    breach(a, metric, text);
    return false;
}

/* Run the case on a kernel in a mode; everything must be as in the base run. */
static tn_status same_again(const claim *a, tn_check_kernel *k, const tn_check_case *c,
                            int32_t mode, const char *metric, const char *how, tn_error *err)
{
    tn_check_output got;
    tn_check_fault fault = { 0 };
    tn_check_alive(a->s);
    k->mode = mode;
    tn_status status = tn_check_kernel_run(k, c, &got, &fault, err);
    k->mode = TN_RUN_PLAIN;
    tn_check_verdict_fault(&fault, a->out);
    for (int32_t i = 0; i < c->node.n_out && !status && !fault.what; i++)
        (void)same_bits(a, metric, how, c->out[i].name, got.out[i], a->base->out[i],
                        size_of(&c->out[i]));
    if (!status && !fault.what)
        (void)same_pool(a, metric, how, got.pool);
    tn_check_output_deinit(&got);
    return status;
}

static tn_status check_determinism(const claim *a, tn_error *err)
{
    for (int32_t i = 0; i < MORE_RUNS && !a->out->failed; i++)
        TN_TRY(same_again(a, a->k, a->c, TN_RUN_PLAIN, "determinism",
                          "the same inputs give other bits in another run", err));
    return TN_OK;
}

static tn_status check_mirrors(const claim *a, tn_error *err)
{
    return same_again(a, a->k, a->c, TN_RUN_NO_MIRRORS, "capture",
                      "it claims CAPTURE_SAFE but reads the host's arrays h_* of the batch", err);
}

static tn_status check_in_place(const claim *a, tn_error *err)
{
    tn_check_case c = *a->c;
    if (c.op->alias_in < 0 || tn_check_alias(&c, 0) < 0)
        return TN_OK;
    for (int32_t i = 0; i < c.node.n_in; i++) {
        c.in[i].base_width = c.in[i].width;
        c.in[i].offset = 0;
    }
    return same_again(a, a->k, &c, TN_RUN_IN_PLACE, "in place",
                      "it claims IN_PLACE, but an output over its input gives other values", err);
}

/* ---- alone, and in pieces ---- */

/* Tokens [t0, t0 + n) of one sequence as a batch of its own. */
typedef struct slice {
    tn_check_batch batch;
    int32_t q_start[2], kv_len;
} slice;

static void slice_batch(const tn_check_batch *b, int32_t seq, int32_t t0, int32_t n, slice *out)
{
    out->batch = *b;
    out->q_start[0] = 0;
    out->q_start[1] = n;
    out->kv_len = b->pos[t0 + n - 1] + 1;
    out->batch.n_tokens = out->batch.max_q = n;
    out->batch.n_seqs = 1;
    out->batch.n_decode = n == 1;
    out->batch.n_rows = 0;
    out->batch.max_kv = out->kv_len;
    out->batch.tokens += t0;
    out->batch.pos += t0;
    out->batch.slot += t0;
    out->batch.q_start = out->q_start;
    out->batch.kv_len = &out->kv_len;
    out->batch.rope_index += seq;
    out->batch.table += (size_t)seq * (size_t)b->table_stride;
}

/* Run a slice; its rows must be the base run's. *pool is replaced by what it wrote. */
static tn_status run_slice(const claim *a, const tn_check_case *c, int32_t r0, const char *metric,
                           const char *how, uint8_t **pool, tn_error *err)
{
    tn_check_output got;
    tn_check_fault fault = { 0 };
    tn_check_alive(a->s);
    tn_status status = tn_check_kernel_run(a->k, c, &got, &fault, err);
    tn_check_verdict_fault(&fault, a->out);
    for (int32_t i = 0; i < c->node.n_out && !status && !fault.what; i++)
        (void)same_bits(a, metric, how, c->out[i].name, got.out[i],
                        a->base->out[i] + (size_t)r0 * (size_t)c->out[i].width,
                        size_of(&c->out[i]));
    if (pool && got.pool) {
        tn_free(*pool);
        *pool = got.pool;
        got.pool = NULL;
    }
    tn_check_output_deinit(&got);
    return status;
}

static tn_status check_rows_alone(const claim *a, tn_error *err)
{
    const int32_t rows = a->c->out[0].rows;
    const int32_t pick[] = { 0, rows / 2, rows - 1 };
    for (int32_t i = 0; i < 3 && !a->out->failed; i++) {
        const tn_check_case c = tn_check_case_rows(a->c, pick[i], 1);
        TN_TRY(run_slice(a, &c, pick[i], "batch invariance",
                         "it claims BATCH_INVARIANT, but a row alone has other bits", NULL, err));
    }
    return TN_OK;
}

static tn_status check_sequence(const claim *a, int32_t seq, uint8_t **pool, tn_error *err)
{
    const tn_check_batch *b = a->c->batch;
    const int32_t first = b->q_start[seq], n = b->q_start[seq + 1] - first;
    /* A first piece of an odd length, so that no tile ends where it does. */
    const int32_t head = n > 1 ? (n + 2) / 3 : n;
    for (int32_t t = 0; t < n && !a->out->failed; t = head == n || t ? n : head) {
        const int32_t len = t ? n - t : head;
        slice s;
        slice_batch(b, seq, first + t, len, &s);
        tn_check_case c = tn_check_case_rows(a->c, first + t, len);
        c.batch = &s.batch;
        if (*pool)
            c.pool.bytes = *pool;
        TN_TRY(run_slice(a, &c, first + t, head == n ? "batch invariance" : "chunk invariance",
                         "it claims BATCH_INVARIANT, but a sequence alone, or in other chunks, has "
                         "other bits",
                         pool, err));
    }
    return TN_OK;
}

/* Every sequence alone and in two pieces; what they write must add up to the same pool. */
static tn_status check_pieces(const claim *a, tn_error *err)
{
    const tn_check_batch *b = a->c->batch;
    uint8_t *pool = NULL;
    tn_status status = TN_OK;
    for (int32_t s = 0; s < b->n_seqs && !status && !a->out->failed; s++)
        if (b->kv_len[s] > 0 && b->q_start[s + 1] > b->q_start[s])
            status = check_sequence(a, s, &pool, err);
    if (!status && pool && !a->out->failed)
        (void)same_pool(a, "chunk invariance",
                        "it claims BATCH_INVARIANT, but sequences one by one", pool);
    tn_free(pool);
    return status;
}

static bool reads_batch(const tn_op_info *op)
{
    static const char *const ops[] = { "embed", "rope", "kv_write", "rope_kv_write", "attention" };
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (strcmp(op->name, ops[i]) == 0)
            return true;
    return false;
}

static tn_status check_batch(const claim *a, tn_error *err)
{
    if (strcmp(a->c->op->name, "gather_rows") == 0)
        return TN_OK;
    return reads_batch(a->c->op) ? check_pieces(a, err) : check_rows_alone(a, err);
}

/* ---- other threads ---- */

static tn_status open_other(tn_check_session *s, tn_error *err)
{
    if (s->other.plugins)
        return TN_OK;
    TN_TRY(tn_team_create(tn_team_workers(s->setup->team) == 1 ? 4 : 1, &s->other.team, err));
    return tn_check_open_again(s, &s->other, err);
}

static tn_status check_threads(const claim *a, tn_error *err)
{
    tn_check_kernel *k = NULL;
    tn_check_fault fault = { 0 };
    TN_TRY(open_other(a->s, err));
    const tn_plugin_entry *plugin = tn_check_same_plugin(&a->s->other, a->k->plugin);
    if (!plugin)
        return TN_OK;
    TN_TRY(tn_check_kernel_open(plugin, &plugin->kernel[a->k->kernel - a->k->plugin->kernel],
                                &a->k->node, a->c->part, a->c->n_parts, a->s->other.team, &k,
                                &fault, err));
    tn_check_verdict_fault(&fault, a->out);
    tn_status status = TN_OK;
    if (k)
        status = same_again(a, k, a->c, TN_RUN_PLAIN, "thread invariance",
                            "it claims BATCH_INVARIANT, but on another number of threads it gives "
                            "other bits",
                            err);
    tn_check_kernel_close(k);
    return status;
}

/* ---- supports ---- */

typedef struct question {
    const tn_check_kernel *k;
    tn_status answer;
} question;

static void *ask(void *arg)
{
    question *q = arg;
    tn_error why = { 0 };
    q->answer = q->k->kernel->supports(q->k->plugin->self, &q->k->node, &why);
    return NULL;
}

/* It said yes before: it must again, also when two threads ask at once. */
static void check_supports(const claim *a)
{
    question other = { .k = a->k }, here = { .k = a->k };
    pthread_t thread;
    const bool started = pthread_create(&thread, NULL, ask, &other) == 0;
    (void)ask(&here);
    if (started)
        (void)pthread_join(thread, NULL);
    if (here.answer != TN_OK || other.answer != TN_OK)
        breach(a, "supports", "supports said yes to the node, and no when it was asked again");
}

/* ---- all ---- */

static tn_status check_flags(const claim *a, tn_error *err)
{
    const uint32_t flags = a->k->kernel->flags;
    if (flags & TN_K_DETERMINISTIC)
        TN_TRY(check_determinism(a, err));
    if (flags & TN_K_BATCH_INVARIANT && !a->out->failed)
        TN_TRY(check_batch(a, err));
    if (flags & TN_K_BATCH_INVARIANT && !a->out->failed)
        TN_TRY(check_threads(a, err));
    if (flags & TN_K_CAPTURE_SAFE && !a->out->failed)
        TN_TRY(check_mirrors(a, err));
    if (flags & TN_K_IN_PLACE && !a->out->failed)
        TN_TRY(check_in_place(a, err));
    return TN_OK;
}

tn_status tn_check_claims(tn_check_session *s, tn_check_kernel *k, const tn_check_case *c,
                          tn_check_verdict *out, tn_error *err)
{
    tn_check_output base;
    tn_check_fault fault = { 0 };
    const claim a = { .s = s, .k = k, .c = c, .base = &base, .out = out };
    TN_TRY(tn_check_pack_claims(k, c, out, err));
    check_supports(&a);
    tn_status status = tn_check_kernel_run(k, c, &base, &fault, err);
    tn_check_verdict_fault(&fault, out);
    if (!status && !out->failed)
        status = check_flags(&a, err);
    tn_check_output_deinit(&base);
    return status;
}
