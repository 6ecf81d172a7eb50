// SPDX-License-Identifier: Apache-2.0
// Pages that rope and kv_write make: bytes of cpu-ref where nothing is rotated, codes and
// parameters beside them where the rotation's last bits differ.
#include "tests/plugins/cuda-kvint8/rope_case.h"

using namespace fp16_test;

static int launch(const fp16_rope_args *a)
{
    return fp16_rope(a, nullptr);
}

static void assert_same_bytes(const rope_case &c)
{
    const std::vector<uint8_t> got = c.run(launch), expected = c.expected();
    for (size_t i = 0; i < got.size(); i++)
        if (got[i] != expected[i])
            fail_msg("%s x %d, byte %zu: %d, expected %d", c.s.format, c.s.dim, i, got[i],
                     expected[i]);
}

static void kv_write_gives_the_bytes_of_cpu_ref(void **)
{
    for (const char *format : { "i8", "i8-static" })
        for (int dim : { 2, 8, 24, 64, 80, 96, 128, 200, 256 })
            for (int dtype : { TN_F16, TN_BF16 })
                for (int block : { 16, 128 }) {
                    if (SIMT_RIG_TSAN && (dim != 96 || block != 16))
                        continue; // its fibers are slow
                    rope_shape s = { format, 0, 3, dim, block, dtype, TN_ROPE_HALVES, 0 };
                    s.n_static = block == 16 ? 1 : 3;
                    assert_same_bytes(rope_case(s));
                }
}

static void kv_write_is_the_same_under_every_schedule(void **)
{
    for (const char *format : { "i8", "i8-static" }) {
        const rope_case c({ format, 0, 3, 96, 16, TN_F16, TN_ROPE_HALVES, 0 });
        simt_test::under_every_setting([&] { assert_same_bytes(c); });
    }
}

// Every finite f16 is met, by heads of a few magnitudes each, and so are ties between two codes.
static void every_f16_is_coded_as_cpu_ref_does(void **)
{
    if (SIMT_RIG_TSAN)
        return;
    for (const char *format : { "i8", "i8-static" }) {
        rope_shape s = { format, 0, 2, 256, 128, TN_F16, TN_ROPE_HALVES, 0 };
        s.n_tokens = 64;
        rope_case c(s);
        for (size_t t = 0; t < 64; t++) {
            c.slot[t] = static_cast<int32_t>(t * 3 % 256);
            for (size_t d = 0; d < c.width; d++) {
                const uint16_t bits = static_cast<uint16_t>(t * 1024 + d % 512 * 2 + d / 512);
                c.qkv[t * c.width + d] = (bits & 0x7c00) == 0x7c00 ? 0 : bits;
            }
        }
        assert_same_bytes(c);
    }
}

static void heads_of_one_value_of_nan_and_of_infinities_have_finite_pages(void **)
{
    const uint16_t nan = 0x7e00, infinity = 0x7c00, minus_infinity = 0xfc00;
    for (const char *format : { "i8", "i8-static" }) {
        rope_shape s = { format, 0, 1, 64, 16, TN_F16, TN_ROPE_HALVES, 0 };
        s.n_tokens = 9;
        rope_case c(s);
        const auto set = [&](size_t token, uint16_t all, uint16_t one) {
            for (size_t d = 0; d < c.width; d++)
                c.qkv[token * c.width + d] = d % 64 == 40 ? one : all;
        };
        set(0, narrow(0.25f, TN_F16), narrow(0.25f, TN_F16));
        set(2, nan, nan);
        set(3, narrow(1.0f, TN_F16), nan);
        set(4, narrow(1.0f, TN_F16), infinity);
        set(5, minus_infinity, infinity);
        set(6, narrow(-65504.0f, TN_F16), narrow(65504.0f, TN_F16));
        set(7, 0x0001, 0x8001); // the smallest subnormals
        set(8, infinity, infinity);
        assert_same_bytes(c);
    }
}

// Codes may be the neighbours, parameters the neighbours in f16; all else is as it was.
static void assert_pages_beside(const rope_case &c, const std::vector<uint8_t> &got)
{
    const std::vector<uint8_t> expected = c.expected();
    const size_t codes = static_cast<size_t>(2 * c.s.block_tokens * c.s.dim),
                 record = static_cast<size_t>(ref_kv_block_bytes(&c.kv)) /
                          static_cast<size_t>(c.s.kv_heads);
    size_t n_off = 0;
    for (size_t i = 0; i < got.size(); i++) {
        const size_t in_block = i % c.block_bytes(), in_record = in_block % record;
        const int off = std::abs(got[i] - expected[i]);
        n_off += off != 0;
        if (in_block >= record * static_cast<size_t>(c.s.kv_heads))
            assert_int_equal(off, 0);
        else if (in_record < codes && off > 1)
            fail_msg("code %zu: %d, expected %d", i, got[i], expected[i]);
        else if (in_record >= codes && i % 2 == 0) {
            const int mine = got[i] | got[i + 1] << 8, theirs = expected[i] | expected[i + 1] << 8;
            if (std::abs(mine - theirs) > 1)
                fail_msg("parameter at %zu: %04x, expected %04x", i, mine, theirs);
        }
    }
    assert_true(n_off * 50 < got.size()); // the last bit of a rotation is seldom seen
}

static void rope_kv_write_gives_codes_within_one(void **)
{
    for (const char *format : { "i8", "i8-static" })
        for (int dim : { 64, 80, 128, 256 })
            for (int pairing : { TN_ROPE_HALVES, TN_ROPE_INTERLEAVED })
                for (int rotary : { dim, dim / 2 }) {
                    if (SIMT_RIG_TSAN && dim != 80)
                        continue;
                    const rope_case c({ format, 4, 2, dim, 16, TN_F16, pairing, rotary });
                    assert_pages_beside(c, c.run(launch));
                }
}

static void rope_kv_write_is_the_same_under_every_schedule(void **)
{
    const rope_case c({ "i8", 4, 2, 64, 16, TN_BF16, TN_ROPE_INTERLEAVED, 32 });
    const std::vector<uint8_t> first = c.run(launch);
    assert_pages_beside(c, first);
    simt_test::under_every_setting([&] { assert_true(c.run(launch) == first); });
}

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(kv_write_gives_the_bytes_of_cpu_ref, simt_test::reset),
        cmocka_unit_test_setup(kv_write_is_the_same_under_every_schedule, simt_test::reset),
        cmocka_unit_test_setup(every_f16_is_coded_as_cpu_ref_does, simt_test::reset),
        cmocka_unit_test_setup(heads_of_one_value_of_nan_and_of_infinities_have_finite_pages,
                               simt_test::reset),
        cmocka_unit_test_setup(rope_kv_write_gives_codes_within_one, simt_test::reset),
        cmocka_unit_test_setup(rope_kv_write_is_the_same_under_every_schedule, simt_test::reset),
    };
    return cmocka_run_group_tests_name("kvint8_rope", tests, nullptr, nullptr);
}
