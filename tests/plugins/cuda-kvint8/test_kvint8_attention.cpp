// SPDX-License-Identifier: Apache-2.0
// Decode and prefill attention on pages of codes against loops over what cpu-ref decodes from them:
// both formats, every instance of head size, groups of query heads, lengths around blocks, tiles
// and splits, windows, padding; under every schedule. Then what folding scales could lose.
#include "tests/plugins/cuda-fp16/attention_case.h"

using namespace fp16_test;

static int decode(const fp16_attention_args *a)
{
    return fp16_attention_decode(a, nullptr);
}
static int prefill(const fp16_attention_args *a)
{
    return fp16_attention_prefill(a, nullptr);
}

static attention_shape shape(const char *format, int heads, int kv_heads, int dim, int block,
                             int dtype, const std::vector<sequence> &sequences)
{
    attention_shape s = { heads, kv_heads, dim, block, dtype, 0, 0, 0.0f, sequences };
    s.kvfmt = format;
    return s;
}

static const char *const formats[] = { "i8", "i8-static" };

static void decode_equals_loops_under_every_schedule(void **)
{
    for (const char *format : formats) {
        const attention_case c(
            shape(format, 6, 2, 64, 16, TN_F16, { { 1, 150 }, { 1, 0 }, { 1, 17 } }));
        simt_test::under_every_setting([&] { c.check(decode); });
    }
    const attention_case wide(shape("i8", 2, 1, 256, 32, TN_BF16, { { 1, 100 } }));
    simt_test::under_every_setting([&] { wide.check(decode); });
}

static void prefill_equals_loops_under_every_schedule(void **)
{
    for (const char *format : formats) {
        const attention_case c(shape(format, 3, 1, 64, 16, TN_F16, { { 30, 100 }, { 2, 2 } }));
        simt_test::under_every_setting([&] { c.check(prefill); });
    }
    const attention_case wide(shape("i8", 1, 1, 256, 32, TN_BF16, { { 5, 70 } }));
    simt_test::under_every_setting([&] { wide.check(prefill); });
}

static void every_group_head_size_and_block_gives_the_same_mean(void **)
{
    const struct {
        int heads, kv_heads, dim, block;
    } shapes[] = { { 2, 2, 8, 16 },   { 2, 1, 24, 32 },   { 3, 1, 64, 32 },   { 4, 1, 80, 64 },
                   { 8, 2, 96, 16 },  { 7, 1, 128, 16 },  { 8, 1, 200, 128 }, { 17, 1, 64, 16 },
                   { 4, 2, 256, 16 }, { 12, 3, 112, 16 }, { 2, 2, 56, 16 } };
    int i = 0;
    for (const auto &one : shapes) {
        if (SIMT_RIG_TSAN && one.dim != 8)
            continue; // its fibers are slow
        for (int n_static = 0; n_static < 3; n_static++) {
            const int dtype = i++ % 2 ? TN_BF16 : TN_F16;
            attention_shape s =
                shape(formats[n_static > 0], one.heads, one.kv_heads, one.dim, one.block, dtype,
                      { { 1, 1 }, { 1, 64 }, { 1, 65 }, { 1, 0 }, { 1, 130 } });
            s.n_static = n_static == 1 ? 1 : one.kv_heads;
            const attention_case single(s);
            single.check(decode);
            s.sequences = { { 1, 1 }, { 7, 70 }, { 3, 0 }, { 40, 40 } };
            const attention_case chunks(s);
            chunks.check(prefill);
        }
    }
}

static void windows_caps_and_logn_are_seen(void **)
{
    for (int window : { 1, 5, 64, 100 }) {
        if (SIMT_RIG_TSAN && window != 100)
            continue;
        attention_shape s =
            shape("i8", 4, 2, 64, 16, TN_F16, { { 1, 200 }, { 1, 63 }, { 1, 129 } });
        s.window = window;
        const attention_case single(s);
        single.check(decode);
        s.sequences = { { 50, 180 }, { 9, 9 } };
        const attention_case chunks(s);
        chunks.check(prefill);
    }
    attention_shape s = shape("i8", 2, 1, 64, 16, TN_F16, { { 1, 90 }, { 1, 3 } });
    s.softcap = 0.5f;
    const attention_case capped(s);
    capped.check(decode);
    capped.check(prefill);
    s.softcap = 0.0f;
    s.logn = 16;
    const attention_case longer(s);
    longer.check(decode);
    longer.check(prefill);
}

// A bucket of a graph is longer than any of its sequences.
static void a_grid_that_is_too_large_changes_nothing(void **)
{
    attention_case c(shape("i8", 4, 2, 64, 16, TN_F16, { { 1, 70 }, { 1, 0 }, { 1, 129 } }));
    const std::vector<uint16_t> expected = c.run(decode);
    c.max_kv = 640;
    assert_true(c.run(decode) == expected);
}

static void large_scores_do_not_overflow(void **)
{
    attention_case c(shape("i8", 2, 1, 64, 16, TN_F16, { { 1, 90 } }));
    for (uint16_t &x : c.q)
        x = narrow(widen(x, TN_F16) * 8192.0f, TN_F16);
    for (int (*kernel)(const fp16_attention_args *) : { decode, prefill })
        for (uint16_t x : c.run(kernel))
            assert_true(std::fabs(widen(x, TN_F16)) <= 1.01f);
}

static void check_changed(void (*change)(int, std::vector<float> &, std::vector<float> &),
                          double tolerance)
{
    attention_shape s = shape("i8", 2, 1, 64, 16, TN_F16, { { 1, 500 }, { 1, 70 } });
    s.change = change;
    const attention_case single(s);
    single.check(decode, tolerance);
    s.sequences = { { 20, 70 } };
    const attention_case chunk(s);
    chunk.check(prefill, tolerance);
}

// A scale of 8e-7 is a subnormal f16, and so would be its product with a weight.
static void scales_that_are_subnormal_in_f16_do_not_blur(void **)
{
    attention_shape s = shape("i8", 2, 1, 64, 16, TN_F16, { { 1, 3 }, { 1, 5 } });
    s.change = [](int, std::vector<float> &, std::vector<float> &v) {
        for (float &x : v)
            x *= 1e-4f;
    };
    const attention_case c(s);
    c.check(decode, 2e-7);
    c.check(prefill, 2e-7);
}

// Values far from 0 and close to each other: zero is large, codes times scale are small.
static void values_around_100_are_as_exact_as_any(void **)
{
    check_changed(
        [](int, std::vector<float> &, std::vector<float> &v) {
            for (float &x : v)
                x = 100.0f + 0.25f * x;
        },
        100 * 0x1p-10);
}

// One column that is 500 times as large makes scale * code and zero large where values are small:
// their roundings must cancel there.
static void a_large_column_does_not_blur_the_others(void **)
{
    attention_shape s = shape("i8", 2, 1, 64, 16, TN_F16, { { 20, 70 } });
    s.change = [](int, std::vector<float> &, std::vector<float> &v) { v[5] = 500.0f + v[5]; };
    const attention_case c(s);
    const std::vector<uint16_t> got = c.run(prefill);
    for (size_t i = 0; i < got.size(); i++)
        near(widen(got[i], TN_F16), c.expected[i],
             std::fabs(c.expected[i]) * 0x1p-10 + (i % 64 == 5 ? 0.0 : 2e-3), "out", i);
}

// A position whose scale is 4e6 times that of the others, and which hardly counts: theirs are
// subnormal beside it, and their values are still there.
static void a_position_of_large_scale_that_is_not_looked_at_takes_nothing(void **)
{
    attention_shape s = shape("i8", 2, 1, 64, 16, TN_F16, { { 1, 70 }, { 1, 64 } });
    s.change = [](int position, std::vector<float> &k, std::vector<float> &v) {
        for (size_t d = 0; d < v.size(); d++) {
            k[d] = position == 3 ? -8.0f : 8.0f;
            v[d] = position == 3 ? v[d] * 250.0f : 5.0f + v[d] * 1e-4f;
        }
    };
    attention_case c(s);
    for (uint16_t &x : c.q)
        x = narrow(1.0f, TN_F16); // scores of -64 and 64
    const std::vector<uint16_t> got = c.run(decode);
    for (size_t i = 0; i < got.size(); i++)
        near(widen(got[i], TN_F16), 5.0, 5 * 0x1p-10, "out", i);
}

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(decode_equals_loops_under_every_schedule, simt_test::reset),
        cmocka_unit_test_setup(prefill_equals_loops_under_every_schedule, simt_test::reset),
        cmocka_unit_test_setup(every_group_head_size_and_block_gives_the_same_mean,
                               simt_test::reset),
        cmocka_unit_test_setup(windows_caps_and_logn_are_seen, simt_test::reset),
        cmocka_unit_test_setup(a_grid_that_is_too_large_changes_nothing, simt_test::reset),
        cmocka_unit_test_setup(large_scores_do_not_overflow, simt_test::reset),
        cmocka_unit_test_setup(scales_that_are_subnormal_in_f16_do_not_blur, simt_test::reset),
        cmocka_unit_test_setup(values_around_100_are_as_exact_as_any, simt_test::reset),
        cmocka_unit_test_setup(a_large_column_does_not_blur_the_others, simt_test::reset),
        cmocka_unit_test_setup(a_position_of_large_scale_that_is_not_looked_at_takes_nothing,
                               simt_test::reset),
    };
    return cmocka_run_group_tests_name("kvint8_attention", tests, nullptr, nullptr);
}
