/* SPDX-License-Identifier: Apache-2.0 */
/* Linears on weights of 4 bits for cuda-w4a16's launchers: codes, scales and zero points whose
 * weights f16 holds exactly, packed as the plugin does, and what plain loops in f64 give. */
#ifndef TN_TESTS_PLUGINS_CUDA_W4A16_CASE_H
#define TN_TESTS_PLUGINS_CUDA_W4A16_CASE_H

#include "tests/plugins/cuda-fp16/fp16_rig.h"

extern "C" {
#include "plugins/cuda-w4a16/weights.h"
}

#include <string>

namespace w4_test
{

using fp16_test::near;
using simt_test::device_array;
using simt_test::numbers;

struct shape {
    int rows, in, out;
    int group; /* in: whole rows */
    const char *format;
    bool bias, residual;
    int act;
    bool f32;
};

static inline double silu(double g)
{
    return g / (1.0 + std::exp(-g));
}

struct w4_case {
    shape s;
    size_t matrices, weight_rows, groups, x_stride, y_stride;
    std::vector<uint8_t> codes, blob;
    std::vector<float> scale, zero, bias, residual;
    std::vector<uint16_t> x;
    std::vector<double> expected; /* of y; empty unless asked for */
    w4_weights w;

    explicit w4_case(const shape &how, bool is_expected = true) : s(how)
    {
        const size_t in = static_cast<size_t>(s.in), rows = static_cast<size_t>(s.rows);
        matrices = s.act ? 2 : 1;
        weight_rows = matrices * static_cast<size_t>(s.out);
        groups = in / static_cast<size_t>(s.group);
        x_stride = in + 8;
        y_stride = (static_cast<size_t>(s.out) + 7) / 8 * 8 + 8;
        x = fp16_test::rows16(rows, in, x_stride, TN_F16, 1);
        bias = numbers(weight_rows, 3);
        residual = numbers(rows * y_stride, 4);
        make_weights();
        pack();
        if (is_expected)
            expect();
    }

    double weight(size_t row, size_t k) const
    {
        const size_t g = row * groups + k / static_cast<size_t>(s.group);
        const double q = codes[row * static_cast<size_t>(s.in) + k], z = zero[g];
        return w.matrix.has_offset ? q * static_cast<double>(scale[g]) + z
                                   : (q - z) * static_cast<double>(scale[g]);
    }

    w4_matrix matrix(const uint8_t *at) const
    {
        w4_matrix m = w.matrix;
        m.codes = at;
        m.params = at + w.params;
        return m;
    }

    /* done: of as many tiles as n_sms allows, and left zero. */
    void check(int (*launch)(const w4_linear_args *, int, void *), int n_sms) const
    {
        const size_t tiles = static_cast<size_t>(w4_max_split_tiles(n_sms));
        device_array<uint8_t> weights(blob);
        device_array<uint16_t> dx(x), y16(static_cast<size_t>(s.rows) * y_stride);
        device_array<float> db(bias), dr(residual), y32(static_cast<size_t>(s.rows) * y_stride),
            partial(tiles * W4_SPLIT_TILE * W4_SPLIT_TILE);
        device_array<uint32_t> done(std::vector<uint32_t>(tiles, 0));
        w4_linear_args a = {};
        a.linear.x = dx.p;
        a.linear.bias = s.bias ? db.p : nullptr;
        a.linear.residual = s.residual ? dr.p : nullptr;
        a.linear.y = s.f32 ? static_cast<void *>(y32.p) : y16.p;
        a.linear.x_stride = static_cast<int64_t>(x_stride);
        a.linear.y_stride = a.linear.residual_stride = static_cast<int64_t>(y_stride);
        a.linear.rows = s.rows;
        a.linear.in = s.in;
        a.linear.out = s.out;
        a.linear.dtype = TN_F16;
        a.linear.y_dtype = s.f32 ? TN_F32 : TN_F16;
        a.linear.act = s.act;
        a.linear.out_scale = 0.5f;
        a.w = matrix(weights.p);
        a.partial = partial.p;
        a.done = done.p;
        assert_int_equal(launch(&a, n_sms, nullptr), cudaSuccess);
        if (cudaDeviceSynchronize() != cudaSuccess)
            fail_msg("%s", tn_simt_fault());
        compare(y32.read(), y16.read());
        for (uint32_t count : done.read())
            assert_int_equal(count, 0);
    }

  private:
    void make_weights()
    {
        const std::vector<float> a = numbers(weight_rows * static_cast<size_t>(s.in), 5),
                                 b = numbers(weight_rows * groups, 6),
                                 c = numbers(weight_rows * groups, 7);
        const bool has_offset = std::string(s.format) == "u4b";
        for (float v : a)
            codes.push_back(static_cast<uint8_t>((v + 1.0f) * 8.0f));
        for (size_t i = 0; i < b.size(); i++) {
            scale.push_back((std::floor(b[i] * 16.0f) + 17.0f) / 512.0f); /* 1/512 to 32/512 */
            zero.push_back(has_offset ? c[i] : std::floor((c[i] + 1.0f) * 8.5f)); /* 0 to 16 */
        }
    }

    void pack()
    {
        const std::string name = std::string(s.format) + ".g" + std::to_string(s.group);
        tn_part part = {};
        part.group = s.group;
        part.wfmt = name.c_str();
        tn_error err;
        assert_int_equal(w4_weights_init(&part, s.in, static_cast<int32_t>(weight_rows), s.act != 0,
                                         0, &w, &err),
                         TN_OK);
        blob.assign(w.bytes, 0);
        tn_weight_rows rows = {};
        rows.rows = static_cast<int32_t>(weight_rows);
        rows.cols = s.in;
        rows.group = s.group;
        rows.codes = codes.data();
        rows.scale = scale.data();
        rows.zero = zero.data();
        assert_int_equal(w4_weights_pack(&w, &rows, 0, blob.data(), &err), TN_OK);
    }

    double product(size_t row, size_t column) const
    {
        double sum = s.bias ? static_cast<double>(bias[column]) : 0.0;
        for (size_t k = 0; k < static_cast<size_t>(s.in); k++)
            sum +=
                static_cast<double>(tn_half_f16_to_f32(x[row * x_stride + k])) * weight(column, k);
        return sum;
    }

    void expect()
    {
        for (size_t r = 0; r < static_cast<size_t>(s.rows); r++)
            for (size_t c = 0; c < static_cast<size_t>(s.out); c++) {
                double y = product(r, c);
                if (s.act)
                    y = silu(y) * product(r, static_cast<size_t>(s.out) + c);
                y *= 0.5;
                if (s.residual)
                    y += static_cast<double>(residual[r * y_stride + c]);
                expected.push_back(y);
            }
    }

    /* The result within its own rounding, and nothing behind a row's end. */
    void compare(const std::vector<float> &f32, const std::vector<uint16_t> &f16) const
    {
        const double unit = s.f32 ? 0x1p-20 : 0x1p-11;
        const size_t out = static_cast<size_t>(s.out);
        for (size_t r = 0; r < static_cast<size_t>(s.rows); r++)
            for (size_t c = 0; c < y_stride; c++) {
                const size_t at = r * y_stride + c;
                const float got = s.f32 ? f32[at] : tn_half_f16_to_f32(f16[at]);
                if (c >= out)
                    assert_true(std::isnan(got));
                else
                    near(got, expected[r * out + c], unit * std::fabs(expected[r * out + c]) + 1e-4,
                         "y", at);
            }
    }
};

} // namespace w4_test

#endif
