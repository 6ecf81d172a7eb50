/* SPDX-License-Identifier: Apache-2.0 */
/* cpu-simd against cpu-ref on the same random nodes, on every instruction set that the machine
 * has; sets that it lacks are printed as not run. */
#include "core/base/alloc.h"
#include "plugins/cpu-ref/kernels.h"
#include "plugins/cpu-simd/isa.h"
#include "plugins/cpu-simd/simd.h"
#include "tests/support/linear_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Calls check for each set that runs here; at least plain C does. */
static void on_every_set(const char *dot, void (*check)(const char *const *options))
{
    int32_t n = 0;
    for (const simd_isa *const *isa = simd_isas; *isa; isa++) {
        const char *options[] = { "isa", (*isa)->name, "dot", dot, NULL };
        if (!simd_isa_runs(*isa)) {
            print_message("not run: this machine has no %s\n", (*isa)->name);
            continue;
        }
        check(options);
        n++;
    }
    assert_true(n > 0);
}

/* Each element within `sigmas` times the expected error, which is `noise` of the rms output. */
static void assert_near(const float *a, const float *b, size_t n, double noise, double sigmas)
{
    double square = 0.0;
    for (size_t i = 0; i < n; i++)
        square += (double)b[i] * (double)b[i];
    double limit = sigmas * noise * sqrt(square / (double)n) + 1e-30;
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)a[i] - (double)b[i]) <= limit))
            fail_msg("element %zu is %.9g, cpu-ref has %.9g, %.3g are allowed", i, (double)a[i],
                     (double)b[i], limit);
}

/* ---- linears ---- */

static linear_case_args case_args(size_t o, size_t s, int32_t n_rows)
{
    int32_t glu = strstr(linear_ops[o], "_glu") != NULL;
    return (linear_case_args){ .op = linear_ops[o],
                               .wfmt = linear_shapes[s].wfmt,
                               .cols = linear_shapes[s].cols,
                               .group = linear_shapes[s].group,
                               .n_parts = glu ? 2 : 1 + (int32_t)(s % 3),
                               .bias = (int32_t)(s % 2),
                               .n_rows = n_rows,
                               .out = { 35, glu ? 35 : 16, 5 },
                               .out_scale = s % 3 == 1 ? 0.25f : 0.0f };
}

/* Rounding of inputs to 8 bits: step / sqrt(12), a step being the largest of 32 uniform values over
 * 127, is 0.45 % of their rms. Scales are kept as f16, and these random ones are not f16: 2^-11.
 * f32 sums of some hundred terms: 1e-6. K-quants are coded anew. Inputs of bf16 weights are
 * rounded to bf16 by the set that has such products: 2^-7 / sqrt(12) of a number between 1 and 2.
 */
static double noise_of(const char *set, const char *dot, size_t shape)
{
    int coded = linear_shapes[shape].group > 0;
    int values = linear_shapes[shape].wfmt[1] == '5';
    if (strcmp(linear_shapes[shape].wfmt, "bf16") == 0)
        return strcmp(dot, "a8") == 0 && strcmp(set, "avx512-bf16") == 0 ? 0.002 : 1e-6;
    if (values)
        return strcmp(dot, "a8") == 0 ? 0.008 : 1e-6; /* recoded in 8 bits, or kept as f32 */
    return !coded ? 1e-6 : strcmp(dot, "a8") == 0 ? 0.006 : 5e-4;
}

static void compare_linears(const char *const *options)
{
    static const int32_t rows[] = { 1, 2, 3, 7, 12, 33, 40 };
    harness ref, simd;
    harness_open(&ref, 1);
    assert_int_equal(harness_open_simd(&simd, 2, options), TN_OK);
    for (size_t o = 0; o < LINEAR_OPS; o++)
        for (size_t s = 0; s < LINEAR_SHAPES; s++) {
            linear_case_args args = case_args(o, s, rows[(o + s) % 7]);
            linear_case *a = linear_case_new(&simd, &args, 100 * o + s);
            linear_case *b = linear_case_new(&ref, &args, 100 * o + s);
            linear_case_run(a, a->out);
            linear_case_run(b, b->out);
            /* A gate times an up has the error of both, in a heavier tail. */
            assert_near(a->out, b->out, (size_t)(a->n_rows * a->width),
                        noise_of(options[1], options[3], s), a->is_glu ? 32 : 8);
            linear_case_free(a);
            linear_case_free(b);
        }
    harness_close(&simd);
    harness_close(&ref);
}

static void linears_agree_with_the_reference_with_8_bit_inputs(void **state)
{
    (void)state;
    on_every_set("a8", compare_linears);
}

static void linears_agree_with_the_reference_with_f32_inputs(void **state)
{
    (void)state;
    on_every_set("f32", compare_linears);
}

/* All rows by three threads, then each row alone by one. */
static void compare_row_bits(const char *const *options)
{
    harness many, one;
    assert_int_equal(harness_open_simd(&many, 3, options), TN_OK);
    assert_int_equal(harness_open_simd(&one, 1, options), TN_OK);
    for (size_t o = 0; o < LINEAR_OPS; o++)
        for (size_t s = 0; s < LINEAR_SHAPES; s++) {
            linear_case_args args = case_args(o, s, 40), single = case_args(o, s, 1);
            linear_case *a = linear_case_new(&many, &args, s);
            linear_case *b = linear_case_new(&one, &single, s);
            linear_case_run(a, a->out);
            for (int32_t row = 0; row < 40; row += 3) {
                memcpy(b->x, a->x + row * args.cols, (size_t)args.cols * sizeof(float));
                memcpy(b->add, a->add + row * a->width, (size_t)a->width * sizeof(float));
                memcpy(b->norm, a->norm, sizeof a->norm);
                linear_case_run(b, b->out);
                harness_assert_same_bits(a->out + row * a->width, b->out, (size_t)a->width);
            }
            linear_case_free(a);
            linear_case_free(b);
        }
    harness_close(&one);
    harness_close(&many);
}

static void a_row_has_the_same_bits_alone_and_among_others(void **state)
{
    (void)state;
    on_every_set("a8", compare_row_bits);
    on_every_set("f32", compare_row_bits);
}

/* ---- rope, KV pages and attention ---- */

enum { H = 6, G = 2, T = 16, LENGTH = 320, BLOCKS = 40, MAX_D = 80 };

static const char *const kv_formats[] = { "f32", "f16", "i8", "i8-static" };
static const float kv_static[4] = { 0.02f, 0.1f, 0.021f, -0.1f };
static const float inv_freq[MAX_D / 2] = { 1.0f, 0.7f, 0.3f, 0.1f, 0.05f, 0.01f };

typedef struct page_world {
    tn_rope rope;
    tn_attention attention;
    uint64_t stride;
    uint8_t *pool[2]; /* of the reference, of cpu-simd */
    int32_t blocks[LENGTH / T];
    float *qkv, *q[2], *out[2];
} page_world;

static uint64_t page_stride(const char *format, const tn_attention *attention)
{
    uint64_t bytes = 0;
    for (const tn_kv_format *const *f = tn_cpu_ref_kv_formats; *f; f++)
        if (strcmp((*f)->name, format) == 0)
            assert_int_equal((*f)->block_bytes(NULL, attention, T, &bytes, NULL), TN_OK);
    assert_true(bytes > 0);
    return (bytes + 255) / 256 * 256;
}

static void world_open(page_world *w, const char *format, const tn_attention *options, int32_t dim)
{
    uint64_t seed = 7;
    size_t width = (size_t)(H + 2 * G) * (size_t)dim;
    *w = (page_world){ .attention = *options };
    w->rope = (tn_rope){ .size = sizeof w->rope,
                         .heads = H,
                         .kv_heads = G,
                         .head_dim = dim,
                         .rotary_dim = 12,
                         .pairing = dim % 16 ? TN_ROPE_INTERLEAVED : TN_ROPE_HALVES };
    w->attention.size = sizeof w->attention;
    w->attention.heads = H;
    w->attention.kv_heads = G;
    w->attention.head_dim = dim;
    w->attention.kv_static = kv_static;
    w->attention.n_kv_static = 1;
    w->stride = page_stride(format, &w->attention);
    w->qkv = tn_alloc_array(LENGTH * width, sizeof(float));
    assert_non_null(w->qkv);
    harness_fill(&seed, w->qkv, LENGTH * width, -2.0f, 2.0f);
    for (int i = 0; i < 2; i++) {
        w->pool[i] = tn_alloc_aligned(w->stride * BLOCKS);
        w->q[i] = tn_alloc_array((size_t)LENGTH * H * (size_t)dim, sizeof(float));
        w->out[i] = tn_alloc_array((size_t)LENGTH * H * (size_t)dim, sizeof(float));
        assert_true(w->pool[i] && w->q[i] && w->out[i]);
        memset(w->pool[i], 0xff, w->stride * BLOCKS); /* NaN where nothing is written */
    }
    for (int32_t i = 0; i < LENGTH / T; i++) /* scattered */
        w->blocks[i] = (i * 7 + 3) % BLOCKS;
}

static void world_close(page_world *w)
{
    for (int i = 0; i < 2; i++) {
        tn_free(w->pool[i]);
        tn_free(w->q[i]);
        tn_free(w->out[i]);
    }
    tn_free(w->qkv);
}

/* Tokens [n_past, n_past + n) of the sequence: written, then attended over pages of `pool`. */
static void run_tokens(page_world *w, harness *h, const char *format, int side, int32_t n_past,
                       int32_t n)
{
    static harness_batch b;
    int64_t dim = w->attention.head_dim, width = (H + 2 * G) * dim;
    float *from = w->qkv + n_past * width;
    float *q = w->q[side] + n_past * H * dim, *out = w->out[side] + n_past * H * dim;
    tn_node node = harness_node("rope_kv_write", 3, 1, &w->rope);
    harness_op op;
    node.param2 = &w->attention;
    node.kvfmt = format;
    harness_batch_init(&b, inv_freq, 1);
    harness_batch_add(&b, n_past, n, w->blocks, T, 0);
    harness_op_init(&op, h, &node);
    op.kv = w->pool[side];
    op.kv_block_bytes = w->stride;
    tn_tensor in[3] = { harness_heads(from, n, H, dim, width),
                        harness_heads(from + H * dim, n, G, dim, width),
                        harness_heads(from + (H + G) * dim, n, G, dim, width) };
    tn_tensor turned = harness_heads(q, n, H, dim, H * dim);
    harness_run(&op, in, 3, &turned, 1, &b.batch);
    harness_op_deinit(&op);

    node = harness_node("attention", 1, 1, &w->attention);
    node.kvfmt = format;
    harness_op_init(&op, h, &node);
    op.kv = w->pool[side];
    op.kv_block_bytes = w->stride;
    tn_tensor y = harness_rows(out, n, H * dim, H * dim);
    harness_run(&op, &turned, 1, &y, 1, &b.batch);
    harness_op_deinit(&op);
}

/* A code may round to its neighbour when rope's last bit differs: 1/255 of a value's range. */
static double page_noise(const char *format)
{
    return strncmp(format, "i8", 2) == 0 ? 2e-4 : strcmp(format, "f16") == 0 ? 3e-5 : 2e-6;
}

static const tn_attention attention_options[] = {
    { 0 }, { .window = 50 }, { .softcap = 5.0f, .scale = 0.2f }, { .logn_length = 40 }
};
enum { OPTIONS = 4 };

static void compare_attention(const char *const *options)
{
    static const int32_t dims[] = { 16, 20, 64, 80 };
    harness ref, simd;
    harness_open(&ref, 2);
    assert_int_equal(harness_open_simd(&simd, 3, options), TN_OK);
    for (size_t f = 0; f < 4; f++)
        for (size_t o = 0; o < OPTIONS; o++) {
            page_world w;
            size_t n = (size_t)LENGTH * H * (size_t)dims[(f + o) % 4];
            world_open(&w, kv_formats[f], &attention_options[o], dims[(f + o) % 4]);
            /* A chunk, one token at a time over a block's border, and the rest. */
            static const int32_t steps[] = { 60, 1, 1, 1, 1, 1, 255 };
            for (int32_t i = 0, past = 0; i < 7; past += steps[i++]) {
                int32_t most = past + steps[i] > LENGTH ? LENGTH - past : steps[i];
                for (int32_t t = 0; t < most; t += HARNESS_TOKENS) {
                    int32_t count = most - t < HARNESS_TOKENS ? most - t : HARNESS_TOKENS;
                    run_tokens(&w, &ref, kv_formats[f], 0, past + t, count);
                    run_tokens(&w, &simd, kv_formats[f], 1, past + t, count);
                }
            }
            assert_near(w.q[1], w.q[0], n, 1e-7, 8);
            assert_near(w.out[1], w.out[0], n, page_noise(kv_formats[f]), 16);
            world_close(&w);
        }
    harness_close(&simd);
    harness_close(&ref);
}

static void rope_pages_and_attention_agree_with_the_reference(void **state)
{
    (void)state;
    on_every_set("a8", compare_attention);
}

/* A prompt at once, against the same in chunks and token by token: the last over splits that
 * spread over threads. */
static void compare_attention_bits(const char *const *options)
{
    harness many, one;
    assert_int_equal(harness_open_simd(&many, 3, options), TN_OK);
    assert_int_equal(harness_open_simd(&one, 1, options), TN_OK);
    for (size_t f = 0; f < 4; f++)
        for (size_t o = 0; o < OPTIONS; o++) {
            page_world w;
            size_t n = (size_t)LENGTH * H * 24;
            world_open(&w, kv_formats[f], &attention_options[o], 24);
            run_tokens(&w, &one, kv_formats[f], 0, 0, 200);
            run_tokens(&w, &one, kv_formats[f], 0, 200, LENGTH - 200);
            run_tokens(&w, &many, kv_formats[f], 1, 0, 33);
            run_tokens(&w, &many, kv_formats[f], 1, 33, 222);
            for (int32_t p = 255; p < LENGTH; p++)
                run_tokens(&w, &many, kv_formats[f], 1, p, 1);
            harness_assert_same_bits(w.q[0], w.q[1], n);
            harness_assert_same_bits(w.out[0], w.out[1], n);
            world_close(&w);
        }
    harness_close(&one);
    harness_close(&many);
}

static void attention_has_the_same_bits_in_chunks_and_on_threads(void **state)
{
    (void)state;
    on_every_set("a8", compare_attention_bits);
}

/* Attention flushes denormals, its caller's arithmetic must not. */
static void divide_after_attention(const char *const *options)
{
    volatile float least = 0x1p-126f;
    harness h;
    page_world w;
    assert_int_equal(harness_open_simd(&h, 1, options), TN_OK);
    world_open(&w, "f16", &attention_options[0], 24);
    run_tokens(&w, &h, "f16", 0, 0, 8);
    assert_true(least / 2 > 0.0f);
    world_close(&w);
    harness_close(&h);
}

static void denormals_are_numbers_after_attention(void **state)
{
    (void)state;
    on_every_set("a8", divide_after_attention);
}

/* A set that runs but is slower on this machine than the next one (bf16 on Intel) is only taken by
 * name. */
static void auto_is_the_first_set_that_runs_and_pays(void **state)
{
    (void)state;
    harness h;
    const char *automatic[] = { "isa", "auto", NULL };
    const simd_isa *const *first = simd_isas;
    while (!simd_isa_runs(*first) || !simd_isa_pays(*first))
        first++;
    assert_int_equal(harness_open_simd(&h, 1, automatic), TN_OK);
    assert_ptr_equal(((const simd_plugin *)h.self)->isa, *first);
    harness_close(&h);
}

static void unknown_options_and_absent_sets_are_named(void **state)
{
    (void)state;
    harness h;
    const char *no_set[] = { "isa", "sse9", NULL }, *no_dot[] = { "dot", "f8", NULL };
    assert_int_equal(harness_open_simd(&h, 1, no_set), TN_INVALID);
    assert_int_equal(harness_open_simd(&h, 1, no_dot), TN_INVALID);
    for (const simd_isa *const *isa = simd_isas; *isa; isa++) {
        const char *options[] = { "isa", (*isa)->name, NULL };
        tn_status st = harness_open_simd(&h, 1, options);
        assert_int_equal(st, simd_isa_runs(*isa) ? TN_OK : TN_UNAVAILABLE);
        if (!st)
            harness_close(&h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linears_agree_with_the_reference_with_8_bit_inputs),
        cmocka_unit_test(linears_agree_with_the_reference_with_f32_inputs),
        cmocka_unit_test(a_row_has_the_same_bits_alone_and_among_others),
        cmocka_unit_test(rope_pages_and_attention_agree_with_the_reference),
        cmocka_unit_test(attention_has_the_same_bits_in_chunks_and_on_threads),
        cmocka_unit_test(denormals_are_numbers_after_attention),
        cmocka_unit_test(auto_is_the_first_set_that_runs_and_pays),
        cmocka_unit_test(unknown_options_and_absent_sets_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
