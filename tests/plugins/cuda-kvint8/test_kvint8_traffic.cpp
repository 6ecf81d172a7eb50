// SPDX-License-Identifier: Apache-2.0
// What the kernels move, counted by the emulator on the shapes of cuda-fp16's own table.
#include "tests/plugins/cuda-fp16/traffic.h"
#include "tests/plugins/cuda-kvint8/rope_case.h"

using namespace fp16_test;

static void measure_both(const char *heads, const char *format, int n_heads, int kv_heads, int dim)
{
    char name[64];
    attention_shape s = {
        n_heads, kv_heads, dim, 64, TN_F16, 0, 0, 0.0f, { { 1, 64 }, { 1, 768 } }
    };
    s.kvfmt = format;
    std::snprintf(name, sizeof name, "decode, %s, %s", heads, format);
    measure_attention(name, s, false);
    s.sequences = { { 64, 128 } };
    std::snprintf(name, sizeof name, "prefill, %s, %s", heads, format);
    measure_attention(name, s, true);
}

static void attention_reads_the_cache_once(void **)
{
    for (const char *format : { "i8", "i8-static" }) {
        measure_both("9/3 x 64", format, 9, 3, 64);
        measure_both("8/2 x 96", format, 8, 2, 96);
        measure_both("4/1 x 128", format, 4, 1, 128);
        measure_both("4/1 x 256", format, 4, 1, 256);
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
        measure(format, ideal, [&] {
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
