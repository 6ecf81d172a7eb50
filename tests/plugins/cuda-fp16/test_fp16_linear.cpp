// SPDX-License-Identifier: Apache-2.0
// GEMV and GEMM against loops: numbers of rows around every tile, widths that are multiples of
// nothing, all that is fused behind the product, both types; under every schedule.
#include "tests/plugins/cuda-fp16/fp16_rig.h"

using namespace fp16_test;

struct shape {
    int rows, in, out, dtype;
    bool bias, residual;
    int act;
    bool f32;
};

static double silu(double g)
{
    return g / (1.0 + std::exp(-g));
}

// A case: what loops give, and its device memory.
struct linear_case {
    shape s;
    size_t padded, x_stride, y_stride;
    std::vector<uint16_t> x, w;
    std::vector<float> bias, residual;
    std::vector<double> expected;

    double product(int row, int column) const
    {
        double sum = s.bias ? static_cast<double>(bias[static_cast<size_t>(column)]) : 0.0;
        for (int k = 0; k < s.in; k++)
            sum += static_cast<double>(widen(
                       x[static_cast<size_t>(row) * x_stride + static_cast<size_t>(k)], s.dtype)) *
                   static_cast<double>(widen(
                       w[static_cast<size_t>(column) * padded + static_cast<size_t>(k)], s.dtype));
        return sum;
    }

    explicit linear_case(const shape &how) : s(how)
    {
        const size_t matrices = s.act ? 2 : 1, rows = static_cast<size_t>(s.rows),
                     in = static_cast<size_t>(s.in), out = static_cast<size_t>(s.out);
        padded = (in + 7) / 8 * 8;
        x_stride = padded + 8;
        y_stride = (out + 7) / 8 * 8 + 8;
        x = rows16(rows, in, x_stride, s.dtype, 1);
        w = rows16(matrices * out, in, padded, s.dtype, 2, 0);
        bias = numbers(matrices * out, 3);
        residual = numbers(rows * y_stride, 4);
        for (int r = 0; r < s.rows; r++)
            for (int c = 0; c < s.out; c++) {
                double y = product(r, c);
                if (s.act)
                    y = silu(y) * product(r, s.out + c);
                y *= 0.5;
                if (s.residual)
                    y += static_cast<double>(
                        residual[static_cast<size_t>(r) * y_stride + static_cast<size_t>(c)]);
                expected.push_back(y);
            }
    }

    // Returns the words of y.
    std::vector<uint32_t> check(int (*launch)(const fp16_linear_args *)) const
    {
        device_array<uint16_t> dx(x), dw(w);
        device_array<float> db(bias), dr(residual), y32(static_cast<size_t>(s.rows) * y_stride);
        device_array<uint16_t> y16(static_cast<size_t>(s.rows) * y_stride);
        fp16_linear_args a = {};
        a.x = dx.p;
        a.weight = dw.p;
        a.bias = s.bias ? db.p : nullptr;
        a.residual = s.residual ? dr.p : nullptr;
        a.y = s.f32 ? static_cast<void *>(y32.p) : y16.p;
        a.x_stride = static_cast<int64_t>(x_stride);
        a.y_stride = a.residual_stride = static_cast<int64_t>(y_stride);
        a.rows = s.rows;
        a.in = s.in;
        a.padded = static_cast<int32_t>(padded);
        a.out = s.out;
        a.dtype = s.dtype;
        a.y_dtype = s.f32 ? TN_F32 : s.dtype;
        a.act = s.act;
        a.out_scale = 0.5f;
        assert_int_equal(launch(&a), cudaSuccess);
        assert_int_equal(cudaDeviceSynchronize(), cudaSuccess);
        const std::vector<float> f32 = y32.read();
        const std::vector<uint16_t> f16 = y16.read();
        compare(f32, f16);
        std::vector<uint32_t> words(f16.begin(), f16.end());
        if (s.f32) {
            words.resize(f32.size());
            std::memcpy(words.data(), f32.data(), f32.size() * sizeof(float));
        }
        return words;
    }

    // The result within its own rounding, and nothing behind a row's end.
    void compare(const std::vector<float> &f32, const std::vector<uint16_t> &f16) const
    {
        const double unit = s.f32 ? 0x1p-20 : s.dtype == TN_BF16 ? 0x1p-8 : 0x1p-11;
        for (size_t r = 0; r < static_cast<size_t>(s.rows); r++)
            for (size_t c = 0; c < y_stride; c++) {
                const size_t at = r * y_stride + c, out = static_cast<size_t>(s.out);
                const float got = s.f32 ? f32[at] : widen(f16[at], s.dtype);
                if (c >= out)
                    assert_true(std::isnan(got));
                else
                    near(got, expected[r * out + c], unit * std::fabs(expected[r * out + c]) + 1e-4,
                         "y", at);
            }
    }
};

// As on a device of 108 SMs, and of one: then outputs are wide, and a warp takes 4 columns. How
// many it takes changes no bit.
static int gemv_narrow(const fp16_linear_args *a)
{
    return fp16_gemv(a, 108, nullptr);
}
static int gemv_wide(const fp16_linear_args *a)
{
    return fp16_gemv(a, 1, nullptr);
}
static int gemm(const fp16_linear_args *a)
{
    return fp16_gemm(a, 1, nullptr);
}
static int gemm_on_many(const fp16_linear_args *a)
{
    return fp16_gemm(a, 108, nullptr);
}

static void the_gemv_equals_loops_under_every_schedule(void **)
{
    const shape shapes[] = {
        { 1, 300, 70, TN_F16, false, false, 0, false },
        { 2, 2056, 9, TN_BF16, true, true, 0, true }, // more than one chunk of x
        { 4, 37, 45, TN_F16, true, false, TN_ACT_SILU, false },
        { 3, 300, 43, TN_BF16, false, true, 0, true },
    };
    for (const shape &s : shapes) {
        linear_case c(s);
        simt_test::under_every_setting(
            [&] { assert_true(c.check(gemv_narrow) == c.check(gemv_wide)); });
    }
}

static void the_gemm_equals_loops_under_every_schedule(void **)
{
    const shape shapes[] = {
        { 7, 300, 70, TN_F16, true, true, 0, true },
        { 17, 72, 133, TN_BF16, false, false, TN_ACT_SILU, false },
        { 40, 136, 140, TN_F16, false, true, 0, false },
    };
    for (const shape &s : shapes) {
        linear_case c(s);
        simt_test::under_every_setting([&] { c.check(gemm); });
    }
}

static void every_number_of_rows_and_width_gives_the_same_product(void **)
{
    const int widths[] = { 1, 7, 8, 63, 64, 65, 127, 129 };
    for (int rows : { 1, 2, 3, 4, 5, 15, 16, 17, 32, 33, 64, 65 }) {
        if (SIMT_RIG_TSAN && rows != 5)
            continue; // its fibers are slow
        for (int i = 0; i < 3; i++) {
            const int n = (rows + 3 * i) % 8;
            const linear_case c({ rows, widths[7 - n] + 1, widths[n], i % 2 ? TN_BF16 : TN_F16,
                                  i == 1, i == 2, i == 0 ? TN_ACT_SILU : 0, i == 2 });
            if (rows <= FP16_GEMV_ROWS)
                c.check(i ? gemv_narrow : gemv_wide);
            c.check(gemm);
            c.check(gemm_on_many);
        }
    }
}

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_gemv_equals_loops_under_every_schedule, simt_test::reset),
        cmocka_unit_test_setup(the_gemm_equals_loops_under_every_schedule, simt_test::reset),
        cmocka_unit_test_setup(every_number_of_rows_and_width_gives_the_same_product,
                               simt_test::reset),
    };
    return cmocka_run_group_tests_name("fp16_linear", tests, nullptr, nullptr);
}
