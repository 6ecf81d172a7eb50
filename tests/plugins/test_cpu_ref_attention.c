/* SPDX-License-Identifier: Apache-2.0 */
/* cpu-ref: attention over ragged batches, permuted block tables and poisoned free blocks, against a
 * plain f64 softmax. */
#include "core/base/alloc.h"
#include "plugins/cpu-ref/kernels.h"
#include "tests/support/plugin_harness.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { H = 6, G = 2, D = 24, T = 16, BLOCKS = 24, SEQS = 4, LENGTH = 80, MAX_Q = 64 };

static const char *const formats[] = { "f32", "f16", "i8", "i8-static" };
static const float kv_static[4] = { 0.016f, 0.1f, 0.017f, -0.1f };
/* Each sequence's blocks: out of order, interleaved, with free ones between. */
static const int32_t blocks[SEQS][5] = {
    { 17, 3, 9, 22, 5 }, { 1, 20, 2, 19, 4 }, { 8, 7, 6, 10, 11 }, { 23, 0, 15, 14, 12 }
};
static const int32_t past[SEQS] = { 37, 0, 15, 63 }, n_new[SEQS] = { 1, 33, 1, 17 };

typedef struct world {
    tn_attention param;
    uint8_t *pool;
    uint64_t stride, bytes;
    float k[SEQS][LENGTH][G * D], v[SEQS][LENGTH][G * D], q[SEQS][LENGTH][H * D];
    float k_page[SEQS][LENGTH][G * D], v_page[SEQS][LENGTH][G * D]; /* as they are in the pool */
} world;

static const tn_kv_format *format_named(const char *name)
{
    for (const tn_kv_format *const *f = tn_cpu_ref_kv_formats; *f; f++)
        if (strcmp((*f)->name, name) == 0)
            return *f;
    fail_msg("no KV format %s", name);
    return tn_cpu_ref_kv_formats[0];
}

static void write_tokens(world *w, harness *h, const char *format)
{
    static harness_batch b;
    static float k[SEQS * LENGTH][G * D], v[SEQS * LENGTH][G * D];
    for (int32_t s = 0; s < SEQS; s++) {
        int32_t n = past[s] + n_new[s];
        harness_op op;
        tn_node node = harness_node("kv_write", 2, 0, &w->param);
        node.kvfmt = format;
        harness_batch_init(&b, NULL, 0);
        harness_batch_add(&b, 0, n, blocks[s], T, 0);
        memcpy(k, w->k[s], sizeof w->k[s]);
        memcpy(v, w->v[s], sizeof w->v[s]);
        harness_op_init(&op, h, &node);
        op.kv = w->pool;
        op.kv_block_bytes = w->stride;
        tn_tensor in[2] = { harness_heads(k, n, G, D, G * D), harness_heads(v, n, G, D, G * D) };
        harness_run(&op, in, 2, NULL, 0, &b.batch);
        harness_op_deinit(&op);
    }
}

/* What the pages hold, as f32: attention reads that, not what was written. */
static void read_pages(world *w, const char *format)
{
    static float k[G][T][D], v[G][T][D];
    for (int32_t s = 0; s < SEQS; s++)
        for (int32_t p = 0; p < past[s] + n_new[s]; p++) {
            const uint8_t *block = w->pool + (uint64_t)blocks[s][p / T] * w->stride;
            assert_int_equal(
                format_named(format)->to_f32(NULL, &w->param, T, block, k[0][0], v[0][0], NULL),
                TN_OK);
            for (int32_t g = 0; g < G; g++) {
                memcpy(w->k_page[s][p] + g * D, k[g][p % T], sizeof k[0][0]);
                memcpy(w->v_page[s][p] + g * D, v[g][p % T], sizeof v[0][0]);
            }
        }
}

/* A pool of 0xff bytes (NaN as f32 and f16) with the four sequences in it. */
static world *world_new(harness *h, const char *format, const tn_attention *options)
{
    uint64_t seed = 11;
    world *w = tn_alloc_array(1, sizeof *w);
    assert_non_null(w);
    w->param = *options;
    w->param.size = sizeof w->param;
    w->param.heads = H;
    w->param.kv_heads = G;
    w->param.head_dim = D;
    w->param.kv_static = kv_static;
    w->param.n_kv_static = 1;
    assert_int_equal(format_named(format)->block_bytes(NULL, &w->param, T, &w->stride, NULL),
                     TN_OK);
    w->stride = (w->stride + 511) / 256 * 256; /* a stride with room between blocks */
    w->bytes = w->stride * BLOCKS;
    w->pool = tn_alloc_aligned((size_t)w->bytes);
    assert_non_null(w->pool);
    memset(w->pool, 0xff, (size_t)w->bytes);
    harness_fill(&seed, w->k[0][0], sizeof w->k / sizeof(float), -2.0f, 2.0f);
    harness_fill(&seed, w->v[0][0], sizeof w->v / sizeof(float), -2.0f, 2.0f);
    harness_fill(&seed, w->q[0][0], sizeof w->q / sizeof(float), -2.0f, 2.0f);
    write_tokens(w, h, format);
    read_pages(w, format);
    return w;
}

static void world_free(world *w)
{
    tn_free(w->pool);
    tn_free(w);
}

/* Attention of n tokens of a batch, whose queries are rows of q. */
static void run_attention(world *w, harness *h, const char *format, const harness_batch *b,
                          const float *q, int64_t q_stride, float *out)
{
    harness_op op;
    tn_node node = harness_node("attention", 1, 1, &w->param);
    node.kvfmt = format;
    harness_op_init(&op, h, &node);
    op.kv = w->pool;
    op.kv_block_bytes = w->stride;
    int32_t n = b->batch.n_tokens;
    tn_tensor in = harness_heads(q, n, H, D, q_stride), y = harness_rows(out, n, H * D, H * D);
    harness_run(&op, &in, 1, &y, 1, &b->batch);
    harness_op_deinit(&op);
}

static double naive_score(const world *w, int32_t s, int32_t p, int32_t head, int32_t j)
{
    const tn_attention *a = &w->param;
    double scale = a->scale == 0.0f ? 1.0 / sqrt(D) : (double)a->scale, dot = 0.0;
    if (a->logn_length)
        scale *= fmax(1.0, log(p + 1.0) / log(a->logn_length));
    for (int32_t d = 0; d < D; d++)
        dot += (double)w->q[s][p][head * D + d] * scale *
               (double)w->k_page[s][j][head / (H / G) * D + d];
    return a->softcap > 0.0f ? (double)a->softcap * tanh(dot / (double)a->softcap) : dot;
}

static void naive_attention(const world *w, int32_t s, int32_t p, double *out)
{
    int32_t first = w->param.window && p >= w->param.window ? p - w->param.window + 1 : 0;
    for (int32_t head = 0; head < H; head++) {
        double total = 0.0, sum[D] = { 0 };
        for (int32_t j = first; j <= p; j++) {
            double e = exp(naive_score(w, s, p, head, j));
            total += e;
            for (int32_t d = 0; d < D; d++)
                sum[d] += e * (double)w->v_page[s][j][head / (H / G) * D + d];
        }
        for (int32_t d = 0; d < D; d++)
            out[head * D + d] = sum[d] / total;
    }
}

/* All new tokens of the four sequences together, with a padding sequence at the end; q gets their
 * rows. */
static int32_t mixed_batch(const world *w, harness_batch *b, float *q)
{
    static const int32_t order[SEQS] = { 0, 2, 1, 3 }; /* decode first */
    int32_t row = 0;
    harness_batch_init(b, NULL, 0);
    for (int32_t i = 0; i < SEQS; i++) {
        int32_t s = order[i];
        harness_batch_add(b, past[s], n_new[s], blocks[s], T, 0);
        for (int32_t t = 0; t < n_new[s]; t++, row++)
            memcpy(q + row * H * D, w->q[s][past[s] + t], H * D * sizeof *q);
    }
    b->batch.n_decode = 2;
    harness_batch_pad(b, 2);
    memset(q + row * H * D, 0xff, 2 * H * D * sizeof *q);
    return row;
}

static float queries[(MAX_Q + 2) * H * D], result[(MAX_Q + 2) * H * D], other[(MAX_Q + 2) * H * D];

static void check_against_formula(const char *format, const tn_attention *options)
{
    static const int32_t order[SEQS] = { 0, 2, 1, 3 };
    static harness_batch b;
    harness h;
    harness_open(&h, 2);
    world *w = world_new(&h, format, options);
    int32_t row = 0, n = mixed_batch(w, &b, queries);
    run_attention(w, &h, format, &b, queries, H * D, result);
    for (int32_t i = 0; i < SEQS; i++)
        for (int32_t t = 0; t < n_new[order[i]]; t++, row++) {
            double expected[H * D];
            naive_attention(w, order[i], past[order[i]] + t, expected);
            harness_assert_close(result + row * H * D, expected, H * D, 0x1p-24 * 1.001, 1e-12);
        }
    for (int32_t i = n * H * D; i < (n + 2) * H * D; i++)
        assert_true(result[i] == 0.0f); /* padding */
    world_free(w);
    harness_close(&h);
}

static void every_format_matches_a_plain_softmax(void **state)
{
    (void)state;
    tn_attention options = { 0 };
    for (size_t f = 0; f < 4; f++)
        check_against_formula(formats[f], &options);
}

static void scale_window_soft_cap_and_logn_match_the_formula(void **state)
{
    (void)state;
    static const int32_t windows[] = { 1, 7, 16, 17, 100 };
    tn_attention scaled = { .scale = 0.3f }, capped = { .softcap = 1.5f, .scale = 1.0f };
    tn_attention logn = { .logn_length = 20 };
    check_against_formula("f16", &scaled);
    check_against_formula("f16", &capped);
    check_against_formula("f16", &logn);
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        tn_attention all = {
            .window = windows[i], .softcap = 20.0f, .logn_length = 30, .scale = 0.4f
        };
        check_against_formula("i8", &all);
    }
}

static void batch_chunk_and_threads_do_not_change_a_bit(void **state)
{
    (void)state;
    static harness_batch b;
    static const int32_t order[SEQS] = { 0, 2, 1, 3 };
    tn_attention options = { .window = 40 };
    for (size_t f = 0; f < 4; f++) {
        harness h;
        harness_open(&h, 1);
        world *w = world_new(&h, formats[f], &options);
        int32_t n = mixed_batch(w, &b, queries), row = 0;
        run_attention(w, &h, formats[f], &b, queries, H * D, result);
        harness_close(&h);
        for (int32_t threads = 2; threads <= 3; threads++) {
            harness_open(&h, threads);
            run_attention(w, &h, formats[f], &b, queries, H * D, other);
            harness_assert_same_bits(other, result, (size_t)(n * H * D));
            harness_close(&h);
        }
        harness_open(&h, 2);
        for (int32_t i = 0; i < SEQS; i++)
            for (int32_t t = 0; t < n_new[order[i]]; t++, row++) {
                int32_t s = order[i];
                harness_batch_init(&b, NULL, 0);
                harness_batch_add(&b, past[s] + t, 1, blocks[s], T, 0);
                run_attention(w, &h, formats[f], &b, w->q[s][past[s] + t], H * D, other);
                harness_assert_same_bits(other, result + row * H * D, H * D);
            }
        harness_close(&h);
        world_free(w);
    }
}

static void queries_may_be_a_view_with_a_token_stride(void **state)
{
    (void)state;
    enum { WIDE = (H + 2 * G) * D };
    static float qkv[(MAX_Q + 2) * WIDE];
    static harness_batch b;
    tn_attention options = { 0 };
    harness h;
    harness_open(&h, 2);
    world *w = world_new(&h, "f16", &options);
    int32_t n = mixed_batch(w, &b, queries);
    run_attention(w, &h, "f16", &b, queries, H * D, result);
    for (int32_t t = 0; t < n + 2; t++)
        memcpy(qkv + t * WIDE, queries + t * H * D, H * D * sizeof *qkv);

    run_attention(w, &h, "f16", &b, qkv, WIDE, other);

    harness_assert_same_bits(other, result, (size_t)((n + 2) * H * D));
    world_free(w);
    harness_close(&h);
}

static void far_scores_stay_finite(void **state)
{
    (void)state;
    static harness_batch b;
    tn_attention options = { .scale = 1e4f }; /* exp of a raw score would overflow f64 */
    harness h;
    harness_open(&h, 1);
    world *w = world_new(&h, "f32", &options);
    int32_t n = mixed_batch(w, &b, queries);
    run_attention(w, &h, "f32", &b, queries, H * D, result);
    for (int32_t i = 0; i < n * H * D; i++)
        assert_true(isfinite(result[i]) && fabsf(result[i]) <= 2.0f);
    world_free(w);
    harness_close(&h);
}

static void positions_past_the_bound_are_an_error(void **state)
{
    (void)state;
    static harness_batch b;
    tn_attention options = { 0 };
    tn_error err = { 0 };
    harness h;
    harness_op op;
    harness_open(&h, 1);
    world *w = world_new(&h, "f32", &options);
    (void)mixed_batch(w, &b, queries);
    tn_node node = harness_node("attention", 1, 1, &w->param);
    node.kvfmt = "f32";
    node.max_ctx = 60;
    harness_op_init(&op, &h, &node);
    op.kv = w->pool;
    op.kv_block_bytes = w->stride;
    tn_tensor in = harness_heads(queries, b.batch.n_tokens, H, D, H * D);
    tn_tensor y = harness_rows(result, b.batch.n_tokens, H * D, H * D);
    assert_int_equal(harness_try_run(&op, &in, 1, &y, 1, &b.batch, &err), TN_INVALID);
    assert_non_null(strstr(err.text, "60"));
    harness_op_deinit(&op);
    world_free(w);
    harness_close(&h);
}

static void supports_refuses_bad_attention_with_a_reason(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    tn_attention param = { .size = sizeof param, .heads = 6, .kv_heads = 2, .head_dim = 64 };
    tn_node node = harness_node("attention", 1, 1, &param), bad = node;
    node.kvfmt = "f16";
    harness_refuses(&h, &bad); /* no format */
    param.kv_heads = 4;
    harness_refuses(&h, &node);
    param.kv_heads = 2;
    param.head_dim = 2048;
    harness_refuses(&h, &node);
    param.head_dim = 64;
    param.window = -1;
    harness_refuses(&h, &node);
    param.window = 0;
    param.softcap = NAN;
    harness_refuses(&h, &node);
    param.softcap = 0.0f;
    param.logn_length = 1;
    harness_refuses(&h, &node);
    param.logn_length = 0;
    node.kvfmt = "i8-static"; /* no parameters */
    harness_refuses(&h, &node);
    harness_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_matches_a_plain_softmax),
        cmocka_unit_test(scale_window_soft_cap_and_logn_match_the_formula),
        cmocka_unit_test(batch_chunk_and_threads_do_not_change_a_bit),
        cmocka_unit_test(queries_may_be_a_view_with_a_token_stride),
        cmocka_unit_test(far_scores_stay_finite),
        cmocka_unit_test(positions_past_the_bound_are_an_error),
        cmocka_unit_test(supports_refuses_bad_attention_with_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
