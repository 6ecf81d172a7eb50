// SPDX-License-Identifier: Apache-2.0
// Decode and prefill attention against loops: groups of 1, 3, 4, 7, 8 and 17 query heads, every
// instance of head size, lengths around blocks, tiles and splits, windows, padding; under every
// schedule.
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

static void decode_equals_loops_under_every_schedule(void **)
{
    const attention_case c(
        { 6, 2, 64, 16, TN_F16, 0, 0, 0.0f, { { 1, 150 }, { 1, 0 }, { 1, 17 } } });
    simt_test::under_every_setting([&] { c.check(decode); });
    const attention_case wide({ 2, 1, 256, 32, TN_BF16, 0, 0, 0.0f, { { 1, 100 } } });
    simt_test::under_every_setting([&] { wide.check(decode); });
}

static void prefill_equals_loops_under_every_schedule(void **)
{
    const attention_case c({ 3, 1, 64, 16, TN_F16, 0, 0, 0.0f, { { 30, 100 }, { 2, 2 } } });
    simt_test::under_every_setting([&] { c.check(prefill); });
    const attention_case wide({ 1, 1, 256, 32, TN_BF16, 0, 0, 0.0f, { { 5, 70 } } });
    simt_test::under_every_setting([&] { wide.check(prefill); });
}

static void every_group_head_size_and_block_gives_the_same_mean(void **)
{
    const struct {
        int heads, kv_heads, dim, block;
    } shapes[] = { { 2, 2, 8, 16 },   { 3, 1, 64, 32 },   { 4, 1, 80, 64 }, { 8, 2, 96, 16 },
                   { 7, 1, 128, 16 }, { 8, 1, 200, 128 }, { 17, 1, 64, 16 } };
    int i = 0;
    for (const auto &one : shapes) {
        if (SIMT_RIG_TSAN && one.dim != 8)
            continue; // its fibers are slow
        const int dtype = i++ % 2 ? TN_BF16 : TN_F16;
        const attention_case single({ one.heads,
                                      one.kv_heads,
                                      one.dim,
                                      one.block,
                                      dtype,
                                      0,
                                      0,
                                      0.0f,
                                      { { 1, 1 }, { 1, 64 }, { 1, 65 }, { 1, 0 }, { 1, 130 } } });
        single.check(decode);
        const attention_case chunks({ one.heads,
                                      one.kv_heads,
                                      one.dim,
                                      one.block,
                                      dtype,
                                      0,
                                      0,
                                      0.0f,
                                      { { 1, 1 }, { 7, 70 }, { 3, 0 }, { 40, 40 } } });
        chunks.check(prefill);
    }
}

static void windows_caps_and_logn_are_seen(void **)
{
    for (int window : { 1, 5, 64, 100 }) {
        if (SIMT_RIG_TSAN && window != 100)
            continue;
        const attention_case single(
            { 4, 2, 64, 16, TN_F16, window, 0, 0.0f, { { 1, 200 }, { 1, 63 }, { 1, 129 } } });
        single.check(decode);
        const attention_case chunks(
            { 4, 2, 64, 16, TN_F16, window, 0, 0.0f, { { 50, 180 }, { 9, 9 } } });
        chunks.check(prefill);
    }
    const attention_case capped({ 2, 1, 64, 16, TN_F16, 0, 0, 0.5f, { { 1, 90 }, { 1, 3 } } });
    capped.check(decode);
    capped.check(prefill);
    const attention_case longer({ 2, 1, 64, 16, TN_F16, 0, 16, 0.0f, { { 1, 90 }, { 1, 3 } } });
    longer.check(decode);
    longer.check(prefill);
}

// A bucket of a graph is longer than any of its sequences.
static void a_grid_that_is_too_large_changes_nothing(void **)
{
    attention_case c({ 4, 2, 64, 16, TN_F16, 0, 0, 0.0f, { { 1, 70 }, { 1, 0 }, { 1, 129 } } });
    const std::vector<uint16_t> expected = c.run(decode);
    c.max_kv = 640;
    assert_true(c.run(decode) == expected);
}

// The state of a softmax survives scores far from 0: only differences count.
static void large_scores_do_not_overflow(void **)
{
    attention_case c({ 2, 1, 64, 16, TN_F16, 0, 0, 0.0f, { { 1, 90 } } });
    for (uint16_t &x : c.q)
        x = narrow(widen(x, TN_F16) * 8192.0f, TN_F16);
    for (int (*kernel)(const fp16_attention_args *) : { decode, prefill })
        for (uint16_t x : c.run(kernel))
            assert_true(std::fabs(widen(x, TN_F16)) <= 1.0f);
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
    };
    return cmocka_run_group_tests_name("fp16_attention", tests, nullptr, nullptr);
}
