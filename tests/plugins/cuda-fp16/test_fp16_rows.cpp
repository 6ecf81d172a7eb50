// SPDX-License-Identifier: Apache-2.0
// What tenon check does not reach: rope at positions of long contexts, activations at the ends of
// their range, rows as long as they may be, ids outside of a table; and the norm and argmax, which
// share memory, under every schedule.
#include "tests/plugins/cuda-fp16/fp16_rig.h"

using namespace fp16_test;

// One head of 64 at a position: q in and out, nothing written.
static std::vector<uint16_t> rotate(const std::vector<uint16_t> &head, int position,
                                    const std::vector<float> &frequencies)
{
    device_array<uint16_t> q(head), out(head.size()), k(head), k_out(head.size());
    device_array<float> table(frequencies);
    device_array<int32_t> pos(std::vector<int32_t>{ position }),
        start(std::vector<int32_t>{ 0, 1 }), length(std::vector<int32_t>{ position + 1 }),
        zero(std::vector<int32_t>{ 0 });
    fp16_rope_args a = {};
    a.q = q.p;
    a.k = k.p;
    a.q_out = out.p;
    a.k_out = k_out.p;
    a.q_stride = a.k_stride = a.q_out_stride = a.k_out_stride = 64;
    a.tokens = a.heads = a.kv_heads = a.n_seqs = 1;
    a.head_dim = a.rotary_dim = 64;
    a.dtype = TN_F16;
    a.pairing = TN_ROPE_HALVES;
    a.mscale = 1.0f;
    a.pos = pos.p;
    a.q_start = start.p;
    a.kv_len = length.p;
    a.rope_index = zero.p;
    a.rope_table = table.p;
    assert_int_equal(fp16_rope(&a, nullptr), cudaSuccess);
    assert_int_equal(cudaDeviceSynchronize(), cudaSuccess);
    assert_true(out.read() == k_out.read());
    return out.read();
}

// The angle is the product rounded to f32 (docs/numerics.md); a turn of a million radians loses
// nothing beyond the rounding of the result.
static void rope_is_as_exact_at_a_million_as_at_one(void **)
{
    std::vector<float> frequencies;
    for (int i = 0; i < 32; i++)
        frequencies.push_back(std::pow(10000.0f, -static_cast<float>(i) / 32.0f));
    const std::vector<uint16_t> head = rows16(1, 64, 64, TN_F16, 1);
    for (int position : { 0, 1, 7, 1000, 32767, 131071, 1048575 }) {
        const std::vector<uint16_t> got = rotate(head, position, frequencies);
        for (size_t i = 0; i < 32; i++) {
            const double angle = static_cast<double>(static_cast<float>(position) * frequencies[i]);
            const double x = static_cast<double>(widen(head[i], TN_F16)),
                         y = static_cast<double>(widen(head[i + 32], TN_F16));
            const double first = x * std::cos(angle) - y * std::sin(angle),
                         second = x * std::sin(angle) + y * std::cos(angle);
            near(widen(got[i], TN_F16), first, std::fabs(first) * 0x1p-11 + 1e-6, "first", i);
            near(widen(got[i + 32], TN_F16), second, std::fabs(second) * 0x1p-11 + 1e-6, "second",
                 i);
        }
    }
}

static double reference_act(int act, double g)
{
    if (act == TN_ACT_GELU)
        return 0.5 * g * (1.0 + std::erf(g * 0.70710678118654752));
    if (act == TN_ACT_GELU_TANH)
        return 0.5 * g * (1.0 + std::tanh(0.79788456080286536 * (g + 0.044715 * g * g * g)));
    return g / (1.0 + std::exp(-g));
}

static void gates_are_finite_to_the_ends_of_f16(void **)
{
    std::vector<uint16_t> gate;
    for (float g : { 0.0f, 1e-4f, 0.5f, 3.0f, 10.0f, 20.0f, 88.0f, 100.0f, 1000.0f, 65504.0f })
        for (float sign : { 1.0f, -1.0f })
            gate.push_back(narrow(sign * g, TN_F16));
    const size_t n = gate.size();
    device_array<uint16_t> a(gate), b(std::vector<uint16_t>(n, narrow(0.5f, TN_F16))), out(n);
    for (int act = TN_ACT_SILU; act <= TN_ACT_GELU_TANH; act++) {
        fp16_rows_args args = {};
        args.a = a.p;
        args.b = b.p;
        args.out = out.p;
        args.a_stride = args.b_stride = args.out_stride = static_cast<int64_t>(n);
        args.rows = 1;
        args.dim = static_cast<int32_t>(n);
        args.dtype = TN_F16;
        args.act = act;
        args.scale = 1.0f;
        assert_int_equal(fp16_glu(&args, nullptr), cudaSuccess);
        const std::vector<uint16_t> got = out.read();
        for (size_t i = 0; i < n; i++) {
            const double expected =
                0.5 * reference_act(act, static_cast<double>(widen(gate[i], TN_F16)));
            near(widen(got[i], TN_F16), expected, std::fabs(expected) * 0x1p-10 + 1e-6, "gate", i);
        }
    }
}

static void check_norm(int dim)
{
    const size_t n = static_cast<size_t>(dim), stride = (n + 3) / 4 * 4;
    std::vector<float> x = numbers(2 * stride, 1), w = numbers(n, 2);
    device_array<float> dx(x), dw(w);
    device_array<uint16_t> out(2 * stride);
    const fp16_norm_args args = {
        dx.p,   dw.p,  out.p, static_cast<int64_t>(stride), static_cast<int64_t>(stride), 2, dim,
        TN_F16, 1e-5f, 1.0f
    };
    assert_int_equal(fp16_rmsnorm(&args, nullptr), cudaSuccess);
    const std::vector<uint16_t> got = out.read();
    for (size_t r = 0; r < 2; r++) {
        double sum = 0.0;
        for (size_t i = 0; i < n; i++)
            sum += static_cast<double>(x[r * stride + i]) * static_cast<double>(x[r * stride + i]);
        for (size_t i = 0; i < n; i++) {
            const double expected = static_cast<double>(x[r * stride + i]) /
                                    std::sqrt(sum / dim + 1e-5) * (static_cast<double>(w[i]) + 1.0);
            near(widen(got[r * stride + i], TN_F16), expected, std::fabs(expected) * 0x1p-11 + 1e-6,
                 "norm", i);
        }
    }
}

static void norms_of_every_length_are_those_of_loops(void **)
{
    simt_test::under_every_setting([] { check_norm(301); });
    for (int dim : { 1, 3, 4, 1023, 1024, 1025, 4096, 4099, static_cast<int>(FP16_MAX_NORM) })
        check_norm(dim);
}

static void argmax_takes_the_lowest_of_the_largest(void **)
{
    std::vector<float> x = numbers(5000, 3);
    x[17] = x[4801] = x[2901] = 9.0f;
    for (size_t i = 100; i < 4000; i += 7)
        x[i] = NAN;
    x[17] = NAN;
    device_array<float> dx(x);
    simt_test::under_every_setting([&] {
        device_array<int32_t> best(size_t(1));
        assert_int_equal(fp16_argmax(dx.p, 5000, best.p, 1, 1, 5000, nullptr), cudaSuccess);
        assert_int_equal(best.read()[0], 2901);
    });
}

static void an_id_outside_of_the_table_is_a_row_of_zeros(void **)
{
    device_array<uint16_t> table(rows16(4, 8, 8, TN_BF16, 1));
    device_array<int32_t> ids(std::vector<int32_t>{ 3, -1, 4, 0 });
    device_array<float> out(size_t(32));
    const fp16_embed_args args = { table.p, ids.p, out.p, 8, 8, 4, 8, 4, TN_BF16, 1.0f };
    assert_int_equal(fp16_embed(&args, nullptr), cudaSuccess);
    const std::vector<float> got = out.read();
    for (size_t i = 8; i < 24; i++)
        assert_true(got[i] == 0.0f);
    assert_true(got[0] != 0.0f && got[24] != 0.0f);
}

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(rope_is_as_exact_at_a_million_as_at_one, simt_test::reset),
        cmocka_unit_test_setup(gates_are_finite_to_the_ends_of_f16, simt_test::reset),
        cmocka_unit_test_setup(norms_of_every_length_are_those_of_loops, simt_test::reset),
        cmocka_unit_test_setup(argmax_takes_the_lowest_of_the_largest, simt_test::reset),
        cmocka_unit_test_setup(an_id_outside_of_the_table_is_a_row_of_zeros, simt_test::reset),
    };
    return cmocka_run_group_tests_name("fp16_rows", tests, nullptr, nullptr);
}
