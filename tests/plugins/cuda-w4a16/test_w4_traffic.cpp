// SPDX-License-Identifier: Apache-2.0
// What the kernels of cuda-w4a16 move, as test_fp16_traffic: columns of their table in
// docs/cuda.md.
#include "tests/plugins/cuda-fp16/traffic.h"
#include "tests/plugins/cuda-w4a16/w4_case.h"

using namespace w4_test;
using fp16_test::measure;

enum : bool { by_gemm, by_gemv };

// Only a word that all lanes read is not counted.
constexpr fp16_test::traffic_rule whole_warps = { 1.0 / 32 };

// 1 x 576 x 2 x 1536, and what else is chosen.
static std::string name_of(const shape &s, int splits)
{
    const std::string in = std::to_string(s.in), out = std::to_string(s.out);
    return std::to_string(s.rows) + " x " + in + (s.act ? " x 2 x " : " x ") + out +
           (s.group == s.in ? ", whole rows" : ", groups of " + std::to_string(s.group)) +
           (splits > 1 ? ", split" : "");
}

// weight_reads: blocks of rows; x_reads: blocks of columns; splits: as the launcher chooses them,
// whose sums are written and read.
static void measure_linear(const char *kernel, const shape &s, bool is_gemv, int n_sms,
                           int weight_reads, int x_reads, int splits)
{
    const w4_case c(s, false);
    const size_t m = static_cast<size_t>(s.rows), n = static_cast<size_t>(s.out),
                 in = static_cast<size_t>(s.in);
    device_array<uint8_t> weights(c.blob);
    device_array<uint16_t> x(fp16_test::rows16(m, in, in, TN_F16, 1)), y(m * n);
    device_array<float> residual(numbers(m * n, 3)), y32(m * n),
        partial(static_cast<size_t>(w4_max_split_tiles(n_sms)) * W4_SPLIT_TILE * W4_SPLIT_TILE);
    device_array<uint32_t> done(
        std::vector<uint32_t>(static_cast<size_t>(w4_max_split_tiles(n_sms)), 0));
    w4_linear_args a = {};
    a.linear.x = x.p;
    a.linear.y = s.act ? static_cast<void *>(y.p) : y32.p;
    a.linear.residual = s.act ? nullptr : residual.p;
    a.linear.x_stride = a.linear.in = s.in;
    a.linear.y_stride = a.linear.residual_stride = a.linear.out = s.out;
    a.linear.rows = s.rows;
    a.linear.dtype = TN_F16;
    a.linear.y_dtype = s.act ? TN_F16 : TN_F32;
    a.linear.act = s.act;
    a.linear.out_scale = 1.0f;
    a.w = c.matrix(weights.p);
    a.partial = partial.p;
    a.done = done.p;
    double ideal = weight_reads * static_cast<double>(c.blob.size()) +
                   x_reads * static_cast<double>(m * in * 2) +
                   static_cast<double>(m * n) * (s.act ? 2 : 8);
    if (splits > 1)
        ideal += 2.0 * splits * static_cast<double>(c.matrices * m * n * 4);
    measure(
        kernel, name_of(s, splits), ideal,
        [&] { return is_gemv ? w4_gemv(&a, n_sms, nullptr) : w4_gemm(&a, n_sms, nullptr); },
        whole_warps);
}

// The shapes of SmolLM2-135M, and groups of larger models.
static void linears_read_weights_once(void **)
{
    measure_linear("gemv_kernel<8>", { 1, 576, 576, 32, "u4b", 0, 0, 0, 0 }, by_gemv, 1, 1, 9, 1);
    measure_linear("gemv_kernel<8>", { 1, 1536, 576, 32, "u4b", 0, 0, 0, 0 }, by_gemv, 108, 1, 9,
                   6);
    measure_linear("gemv_kernel<8>", { 8, 576, 1536, 32, "u4b", 0, 0, TN_ACT_SILU, 0 }, by_gemv, 1,
                   1, 48, 1);
    measure_linear("gemv_kernel<16>", { 16, 1024, 576, 64, "u4z", 0, 0, 0, 0 }, by_gemv, 1, 1, 9,
                   1);
    measure_linear("gemv_kernel<8>", { 1, 2048, 512, 128, "u4z", 0, 0, 0, 0 }, by_gemv, 1, 1, 8, 1);
    measure_linear("gemv_kernel<8>", { 1, 8192, 128, 8192, "u4z", 0, 0, 0, 0 }, by_gemv, 1, 1, 2,
                   1);
    measure_linear("gemm_kernel<32, 1, 6>", { 32, 1536, 576, 32, "u4b", 0, 0, 0, 0 }, by_gemm, 1, 1,
                   9, 1);
    measure_linear("gemm_kernel<32, 1, 6>", { 32, 1536, 576, 32, "u4b", 0, 0, 0, 0 }, by_gemm, 108,
                   1, 9, 6);
    measure_linear("gemm_kernel<64, 1, 4>", { 64, 1024, 512, 128, "u4z", 0, 0, 0, 0 }, by_gemm, 8,
                   1, 8, 2);
    measure_linear("gemm_kernel<64, 2, 3>", { 64, 576, 1536, 64, "u4z", 0, 0, 0, 0 }, by_gemm, 1, 1,
                   12, 1);
    measure_linear("gemm_kernel<64, 2, 3>", { 128, 576, 512, 32, "u4b", 0, 0, TN_ACT_SILU, 0 },
                   by_gemm, 1, 2, 8, 1);
}

static void expansion_reads_codes_and_writes_weights_once(void **)
{
    const w4_case c({ 1, 576, 1536, 32, "u4b", 0, 0, TN_ACT_SILU, 0 }, false);
    const size_t n = c.weight_rows * static_cast<size_t>(c.s.in);
    device_array<uint8_t> weights(c.blob);
    device_array<uint16_t> out(n);
    w4_dequantize_args a = { c.matrix(weights.p), out.p, 0, c.s.out, c.s.in, 1 };
    measure(
        "dequantize_kernel", "576 x 2 x 1536", static_cast<double>(c.blob.size() + 2 * n),
        [&] { return w4_dequantize(&a, nullptr); }, whole_warps);
}

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(linears_read_weights_once, simt_test::reset),
        cmocka_unit_test_setup(expansion_reads_codes_and_writes_weights_once, simt_test::reset),
    };
    return cmocka_run_group_tests_name("w4_traffic", tests, nullptr, nullptr);
}
