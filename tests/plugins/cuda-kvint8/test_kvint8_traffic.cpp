// SPDX-License-Identifier: Apache-2.0
// What the kernels move, counted by the emulator on the shapes of cuda-fp16's own table: columns of
// theirs in docs/cuda.md.
#include "tests/plugins/cuda-fp16/traffic.h"
#include "tests/plugins/cuda-kvint8/rope_case.h"

using namespace fp16_test;

static void attention_reads_the_cache_once(void **)
{
    const struct {
        int heads, kv_heads, dim;
    } shapes[] = { { 9, 3, 64 }, { 8, 2, 96 }, { 4, 1, 128 }, { 4, 1, 256 } };
    for (const char *format : { "i8", "i8-static" })
        for (const auto &one : shapes) {
            attention_shape s = { one.heads, one.kv_heads, one.dim,
                                  64,        TN_F16,       0,
                                  0,         0.0f,         { { 1, 64 }, { 1, 768 } } };
            s.kvfmt = format;
            measure_attention(std::string("64 and 768 positions, ") + format, s, false);
            s.sequences = { { 64, 128 } };
            measure_attention(std::string("64 of 128 positions, ") + format, s, true);
        }
}

// q in and out, k and v in, their codes out (not those of padding); a token's parameters are a
// sector of their own.
static void rope_moves_what_heads_are(void **)
{
    for (const char *format : { "i8", "i8-static" }) {
        rope_shape s = { format, 9, 3, 64, 16, TN_F16, TN_ROPE_HALVES, 64 };
        s.n_tokens = 4;
        const rope_case c(s);
        const double params = c.is_static() ? 0 : 32, written = s.n_tokens - 1;
        const double ideal = s.n_tokens * (s.heads * s.dim * 4.0 + 2 * s.kv_heads * s.dim * 2.0 +
                                           (s.heads + s.kv_heads) * s.dim / 2.0 * 4) +
                             written * 2 * s.kv_heads * (s.dim + params);
        measure("rope_kernel", std::string("4 tokens of 9/3 heads of 64, ") + format, ideal, [&] {
            c.run([&](const fp16_rope_args *a) {
                tn_simt_reset_counters();
                return fp16_rope(a, nullptr);
            });
            return cudaSuccess;
        });
    }
}

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(attention_reads_the_cache_once, simt_test::reset),
        cmocka_unit_test_setup(rope_moves_what_heads_are, simt_test::reset),
    };
    return cmocka_run_group_tests_name("kvint8_traffic", tests, nullptr, nullptr);
}
