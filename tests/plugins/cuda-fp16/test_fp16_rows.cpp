// SPDX-License-Identifier: Apache-2.0
// Kernels by row against loops, under every schedule: rows with a tail behind the last four columns
// and longer than a block; and what tenon check does not reach: activations at the ends of their
// range, rows as long as they may be, ids outside of a table.
#include "tests/plugins/cuda-fp16/fp16_rig.h"

using namespace fp16_test;

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

// Three rows of 515 columns, so that a row takes two blocks and ends within a vector.
enum : size_t { n_rows = 3, width = 515, row_stride = 520 };

static fp16_rows_args rows_args(const void *a, const void *b, void *out, int dtype)
{
    fp16_rows_args args = {};
    args.a = a;
    args.b = b;
    args.out = out;
    args.a_stride = args.b_stride = args.out_stride = row_stride;
    args.rows = n_rows;
    args.dim = width;
    args.dtype = dtype;
    args.scale = 0.5f;
    return args;
}

// Nothing is written behind a row: expected is of the columns that a row has.
template <class Expected>
static void check_rows(const std::vector<float> &got, double unit, Expected expected)
{
    for (size_t r = 0; r < n_rows; r++)
        for (size_t c = 0; c < row_stride; c++) {
            const size_t at = r * row_stride + c;
            if (c < width)
                near(got[at], expected(r, at), unit * std::fabs(expected(r, at)), "row", at);
            else
                assert_true(std::isnan(got[at]));
        }
}

static std::vector<float> widened(const std::vector<uint16_t> &x, int dtype)
{
    std::vector<float> out;
    for (uint16_t one : x)
        out.push_back(widen(one, dtype));
    return out;
}

static void add_equals_loops_under_every_schedule(void **)
{
    const std::vector<float> a = numbers(n_rows * row_stride, 1),
                             b = numbers(n_rows * row_stride, 2);
    for (int dtype : { TN_F32, TN_F16, TN_BF16 }) {
        std::vector<uint16_t> narrowed;
        for (float x : a)
            narrowed.push_back(narrow(x, dtype));
        simt_test::under_every_setting([&] {
            device_array<float> da(a), db(b), out(n_rows * row_stride);
            device_array<uint16_t> da16(narrowed);
            const void *from = dtype == TN_F32 ? static_cast<void *>(da.p) : da16.p;
            const fp16_rows_args args = rows_args(from, db.p, out.p, dtype);
            assert_int_equal(fp16_add(&args, nullptr), cudaSuccess);
            check_rows(out.read(), 0.0, [&](size_t, size_t at) {
                return static_cast<double>(a[at]) + static_cast<double>(b[at]);
            });
        });
    }
}

static void glu_equals_loops_under_every_schedule(void **)
{
    for (int dtype : { TN_F16, TN_BF16 }) {
        const std::vector<uint16_t> a = rows16(n_rows, row_stride, row_stride, dtype, 1),
                                    b = rows16(n_rows, row_stride, row_stride, dtype, 2);
        simt_test::under_every_setting([&] {
            device_array<uint16_t> da(a), db(b), out(n_rows * row_stride);
            fp16_rows_args args = rows_args(da.p, db.p, out.p, dtype);
            args.act = TN_ACT_SILU;
            assert_int_equal(fp16_glu(&args, nullptr), cudaSuccess);
            check_rows(widened(out.read(), dtype), dtype == TN_BF16 ? 0x1p-8 : 0x1p-10,
                       [&](size_t, size_t at) {
                           return 0.5 * static_cast<double>(widen(b[at], dtype)) *
                                  reference_act(TN_ACT_SILU,
                                                static_cast<double>(widen(a[at], dtype)));
                       });
        });
    }
}

static void gather_rows_equals_loops_under_every_schedule(void **)
{
    const std::vector<float> a = numbers(n_rows * row_stride, 1);
    const std::vector<int32_t> index = { 2, 0, 2 };
    simt_test::under_every_setting([&] {
        device_array<float> da(a), out(n_rows * row_stride);
        device_array<int32_t> di(index);
        fp16_rows_args args = rows_args(da.p, nullptr, out.p, TN_F32);
        args.index = di.p;
        assert_int_equal(fp16_gather_rows(&args, nullptr), cudaSuccess);
        check_rows(out.read(), 0.0, [&](size_t r, size_t at) {
            return static_cast<double>(a[at + (static_cast<size_t>(index[r]) - r) * row_stride]);
        });
    });
}

static void embed_equals_loops_under_every_schedule(void **)
{
    const std::vector<int32_t> ids = { 3, 1, 3 };
    for (int dtype : { TN_F16, TN_BF16 }) {
        const std::vector<uint16_t> table = rows16(4, row_stride, row_stride, dtype, 1);
        simt_test::under_every_setting([&] {
            device_array<uint16_t> dt(table);
            device_array<int32_t> di(ids);
            device_array<float> out(n_rows * row_stride);
            const fp16_embed_args args = { dt.p,   di.p,  out.p, row_stride, row_stride,
                                           n_rows, width, 4,     dtype,      0.5f };
            assert_int_equal(fp16_embed(&args, nullptr), cudaSuccess);
            check_rows(out.read(), 0.0, [&](size_t r, size_t at) {
                const size_t from = at + (static_cast<size_t>(ids[r]) - r) * row_stride;
                return 0.5 * static_cast<double>(widen(table[from], dtype));
            });
        });
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
    for (int dim : { 301, 1030, 4103 }) // an instance each
        simt_test::under_every_setting([&] { check_norm(dim); });
    for (int dim : { 1, 3, 4, 1023, 1024, 1025, 4096, 4099, static_cast<int>(FP16_MAX_NORM) })
        if (!SIMT_RIG_TSAN || dim < 1023) // its fibers are slow
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
        cmocka_unit_test_setup(gates_are_finite_to_the_ends_of_f16, simt_test::reset),
        cmocka_unit_test_setup(add_equals_loops_under_every_schedule, simt_test::reset),
        cmocka_unit_test_setup(glu_equals_loops_under_every_schedule, simt_test::reset),
        cmocka_unit_test_setup(gather_rows_equals_loops_under_every_schedule, simt_test::reset),
        cmocka_unit_test_setup(embed_equals_loops_under_every_schedule, simt_test::reset),
        cmocka_unit_test_setup(norms_of_every_length_are_those_of_loops, simt_test::reset),
        cmocka_unit_test_setup(argmax_takes_the_lowest_of_the_largest, simt_test::reset),
        cmocka_unit_test_setup(an_id_outside_of_the_table_is_a_row_of_zeros, simt_test::reset),
    };
    return cmocka_run_group_tests_name("fp16_rows", tests, nullptr, nullptr);
}
