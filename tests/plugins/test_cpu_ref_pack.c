/* SPDX-License-Identifier: Apache-2.0 */
/* cpu-ref: packed weights of the linear family and embed. */
#include "tests/support/linear_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* ---- packing ---- */

static void packing_in_pieces_equals_packing_whole(void **state)
{
    (void)state;
    static const int32_t cuts[] = {
        32, 0, 8, 24, 40, 43
    }; /* order of ranges: 32..40, 0..8, 8..24, ... */
    static const int32_t ends[] = { 40, 8, 24, 32, 43, 43 };
    harness h;
    harness_open(&h, 1);
    for (size_t s = 0; s < LINEAR_SHAPES; s++) {
        linear_case_args args = { .op = "linear",
                                  .wfmt = linear_shapes[s].wfmt,
                                  .cols = linear_shapes[s].cols,
                                  .group = linear_shapes[s].group,
                                  .n_parts = 2,
                                  .bias = 1,
                                  .n_rows = 1,
                                  .out = { 43, 43 } };
        linear_case *c = linear_case_new(&h, &args, s);
        harness_op pieces;
        tn_error err = { 0 };
        harness_op_init(&pieces, &h, &c->node);
        assert_int_equal(pieces.plan.pack_rows, 8);
        for (int32_t i = 0; i < 10; i++) {
            tn_weight_rows rows =
                harness_weight_rows(&c->w[i % 2], i % 2, cuts[i / 2], ends[i / 2] - cuts[i / 2]);
            assert_int_equal(pieces.kernel->pack(h.self, &pieces.node, &rows, pieces.blob, &err),
                             TN_OK);
        }
        assert_memory_equal(pieces.blob, c->op.blob, (size_t)c->op.plan.weight_bytes);
        harness_op_deinit(&pieces);
        linear_case_free(c);
    }
    harness_close(&h);
}

static void unpack_gives_the_canonical_value_of_every_format(void **state)
{
    (void)state;
    static float row[600];
    tn_error err = { 0 };
    harness h;
    harness_open(&h, 1);
    for (size_t s = 0; s < LINEAR_SHAPES; s++) {
        linear_case_args args = { .op = "norm_linear",
                                  .wfmt = linear_shapes[s].wfmt,
                                  .cols = linear_shapes[s].cols,
                                  .group = linear_shapes[s].group,
                                  .n_parts = 2,
                                  .n_rows = 1,
                                  .out = { 11, 3 } };
        linear_case *c = linear_case_new(&h, &args, 40 + s);
        const tn_kernel *kernel = c->op.kernel;
        for (int32_t part = 0; part < 2; part++)
            for (int32_t r = 0; r < args.out[part]; r++) {
                assert_int_equal(
                    kernel->unpack(h.self, &c->op.node, part, r, c->op.blob, row, &err), TN_OK);
                for (int32_t k = 0; k < args.cols; k++)
                    assert_true(row[k] == (float)harness_weight_at(&c->w[part], r, k));
            }
        assert_int_equal(kernel->unpack(h.self, &c->op.node, 2, 0, c->op.blob, row, &err), TN_OK);
        harness_assert_same_bits(row, c->norm, (size_t)args.cols);
        assert_int_equal(kernel->unpack(h.self, &c->op.node, 1, 3, c->op.blob, row, &err),
                         TN_INVALID);
        linear_case_free(c);
    }
    harness_close(&h);
}

static void packed_formats_keep_their_bits_per_weight(void **state)
{
    (void)state;
    static const struct {
        const char *wfmt;
        double bytes; /* a weight: code, and f32 parameters over the group */
    } sizes[] = { { "f32", 4 },    { "f16", 2 },    { "bf16", 2 },
                  { "u4z", 0.75 }, { "u4b", 0.75 }, { "q8", 1.125 } };
    harness h;
    harness_open(&h, 1);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        linear_case_args args = { .op = "linear",
                                  .wfmt = sizes[s].wfmt,
                                  .cols = 64,
                                  .group = 32,
                                  .n_parts = 1,
                                  .n_rows = 1,
                                  .out = { 16 } };
        linear_case *c = linear_case_new(&h, &args, 3);
        assert_int_equal(c->op.plan.weight_bytes, (uint64_t)(16 * 64 * sizes[s].bytes));
        linear_case_free(c);
    }
    harness_close(&h);
}

static void pack_refuses_what_does_not_belong(void **state)
{
    (void)state;
    tn_error err = { 0 };
    harness h;
    harness_open(&h, 1);
    linear_case_args args = { .op = "linear",
                              .wfmt = "f16",
                              .cols = 16,
                              .n_parts = 1,
                              .bias = 1,
                              .n_rows = 1,
                              .out = { 16 } };
    linear_case *c = linear_case_new(&h, &args, 3);
    const tn_kernel *kernel = c->op.kernel;

    tn_weight_rows beyond = harness_weight_rows(&c->w[0], 0, 8, 8);
    beyond.row0 = 16;
    assert_int_equal(kernel->pack(h.self, &c->op.node, &beyond, c->op.blob, &err), TN_INVALID);
    tn_weight_rows unaligned = harness_weight_rows(&c->w[0], 0, 4, 8);
    assert_int_equal(kernel->pack(h.self, &c->op.node, &unaligned, c->op.blob, &err), TN_INVALID);
    tn_weight_rows no_bias = harness_weight_rows(&c->w[0], 0, 0, 16);
    no_bias.bias = NULL;
    assert_int_equal(kernel->pack(h.self, &c->op.node, &no_bias, c->op.blob, &err), TN_INVALID);
    tn_weight_rows no_part = harness_weight_rows(&c->w[0], 1, 0, 16);
    assert_int_equal(kernel->pack(h.self, &c->op.node, &no_part, c->op.blob, &err), TN_INVALID);
    tn_weight_rows inexact = harness_weight_rows(&c->w[0], 0, 0, 16);
    c->w[0].values[17] = 0.1f;
    assert_int_equal(kernel->pack(h.self, &c->op.node, &inexact, c->op.blob, &err), TN_INVALID);
    assert_non_null(strstr(err.text, "f16"));
    linear_case_free(c);
    harness_close(&h);
}

static void supports_refuses_bad_nodes_with_a_reason(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    tn_part part = { .size = sizeof part, .out = 8, .wfmt = "u4b.g32", .group = 32 }, other = part;
    const tn_part *parts[2] = { &part, &other };
    tn_linear linear = {
        .size = sizeof linear, .in = 64, .n_parts = 2, .act = TN_ACT_SILU, .part = parts
    };
    tn_node node = harness_node("linear_glu", 1, 1, &linear), bad = node;

    bad.in_dtype[0] = TN_F16;
    harness_refuses(&h, &bad);
    bad = node;
    bad.out_dtype[0] = TN_BF16;
    harness_refuses(&h, &bad);
    bad = node;
    bad.n_in = 2;
    harness_refuses(&h, &bad);
    bad = node;
    bad.param = NULL;
    harness_refuses(&h, &bad);
    linear.act = 9;
    harness_refuses(&h, &node);
    linear.act = TN_ACT_SILU;
    linear.in = 48; /* no multiple of 32 */
    harness_refuses(&h, &node);
    linear.in = 64;
    other.out = 16; /* gate and up of unlike width */
    harness_refuses(&h, &node);
    other.out = 8;
    other.wfmt = "u4z.g32"; /* unlike formats */
    harness_refuses(&h, &node);
    part.wfmt = other.wfmt = "q4_k"; /* coded, and no formula */
    harness_refuses(&h, &node);
    part.wfmt = other.wfmt = "u4b.g64"; /* name and group disagree */
    harness_refuses(&h, &node);
    part.wfmt = other.wfmt = "f32x";
    harness_refuses(&h, &node);
    linear.n_parts = 9;
    harness_refuses(&h, &node);
    harness_close(&h);
}

/* ---- embed ---- */

static void embed_and_head_share_layout_and_bytes(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    linear_case_args args = { .op = "linear",
                              .wfmt = "q8",
                              .cols = 96,
                              .group = 32,
                              .n_parts = 1,
                              .n_rows = 1,
                              .out = { 50 } };
    linear_case *c = linear_case_new(&h, &args, 12);
    const harness_weight *w = &c->w[0];
    tn_embed embed = { .size = sizeof embed, .vocab = 50, .dim = 96, .group = 32, .wfmt = w->wfmt };
    tn_node node = harness_node("embed", 0, 1, &embed);
    harness_op op;
    harness_op_init(&op, &h, &node);
    harness_pack(&op, w, 0);

    assert_string_equal(op.plan.layout, c->op.plan.layout);
    assert_int_equal(op.plan.weight_bytes, c->op.plan.weight_bytes);
    assert_memory_equal(op.blob, c->op.blob, (size_t)op.plan.weight_bytes);
    harness_op_deinit(&op);
    linear_case_free(c);
    harness_close(&h);
}

static void embed_scales_the_rows_of_its_tokens(void **state)
{
    (void)state;
    static float out[5 * 600];
    static harness_batch batch;
    harness h;
    harness_open(&h, 2);
    for (size_t s = 0; s < LINEAR_SHAPES; s++) {
        uint64_t seed = s;
        harness_weight w;
        int32_t cols = linear_shapes[s].cols;
        harness_weight_init(&w, &seed, linear_shapes[s].wfmt, 21, cols, linear_shapes[s].group, 0);
        tn_embed embed = { .size = sizeof embed,
                           .vocab = 21,
                           .dim = cols,
                           .group = w.group,
                           .values = w.as_values,
                           .scale = s % 2 ? 3.3f : 0.0f,
                           .wfmt = w.wfmt };
        tn_node node = harness_node("embed", 0, 1, &embed);
        harness_op op;
        harness_op_init(&op, &h, &node);
        harness_pack(&op, &w, 0);
        harness_batch_init(&batch, NULL, 0);
        static const int32_t tokens[5] = { 20, 0, 7, 8, 20 };
        memcpy(batch.tokens, tokens, sizeof tokens);
        tn_tensor y = harness_rows(out, 5, cols, cols);
        harness_run(&op, NULL, 0, &y, 1, &batch.batch);
        double scale = s % 2 ? (double)3.3f : 1.0;
        for (int32_t i = 0; i < 5; i++)
            for (int32_t k = 0; k < cols; k++)
                assert_true(out[i * cols + k] ==
                            (float)(scale * harness_weight_at(&w, tokens[i], k)));

        tn_error err = { 0 };
        batch.tokens[3] = 21;
        assert_int_equal(harness_try_run(&op, NULL, 0, &y, 1, &batch.batch, &err), TN_INVALID);
        harness_op_deinit(&op);
        harness_weight_deinit(&w);
    }
    harness_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packing_in_pieces_equals_packing_whole),
        cmocka_unit_test(unpack_gives_the_canonical_value_of_every_format),
        cmocka_unit_test(packed_formats_keep_their_bits_per_weight),
        cmocka_unit_test(pack_refuses_what_does_not_belong),
        cmocka_unit_test(supports_refuses_bad_nodes_with_a_reason),
        cmocka_unit_test(embed_and_head_share_layout_and_bytes),
        cmocka_unit_test(embed_scales_the_rows_of_its_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
