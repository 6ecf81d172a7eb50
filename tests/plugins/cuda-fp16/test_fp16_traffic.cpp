// SPDX-License-Identifier: Apache-2.0
// What every kernel moves, counted by the emulator on shapes of models: no wasted sector, no bank
// conflict, and hardly a byte above what the operation needs. The lines "traffic | ..." are columns
// of the table in docs/cuda.md (tests/plugins/cuda_table.py).
#include "tests/plugins/cuda-fp16/traffic.h"

using namespace fp16_test;

// Also not counted: words that more than two lanes of a warp read, to look up a block or a
// position, where warps are not full.
constexpr double partial_warps = 0.49;

// y = x w^T, or its gated form, for rows of 576 as SmolLM2-135M has them. A block reads its rows of
// x and `columns` columns of y, of each matrix; n_sms chooses the kernel. A y of f32 has a
// residual.
struct linear_shape {
    int rows, out, act, y_dtype, columns, n_sms;
};
static void measure_linear(const std::string &kernel, const linear_shape &s,
                           int (*launch)(const fp16_linear_args *, int, void *))
{
    const size_t in = 576, matrices = s.act ? 2 : 1, m = static_cast<size_t>(s.rows),
                 n = static_cast<size_t>(s.out);
    device_array<uint16_t> x(rows16(m, in, in, TN_F16, 1)),
        w(rows16(matrices * n, in, in, TN_F16, 2)), y(m * n);
    device_array<float> residual(numbers(m * n, 3)), y32(m * n);
    fp16_linear_args a = {};
    a.x = x.p;
    a.weight = w.p;
    a.y = s.y_dtype == TN_F16 ? static_cast<void *>(y.p) : y32.p;
    a.residual = s.y_dtype == TN_F16 ? nullptr : residual.p;
    a.x_stride = a.in = a.padded = static_cast<int32_t>(in);
    a.y_stride = a.residual_stride = a.out = s.out;
    a.rows = s.rows;
    a.dtype = TN_F16;
    a.y_dtype = s.y_dtype;
    a.act = s.act;
    a.out_scale = 1.0f;
    const int row_tiles = (s.rows + 63) / 64, x_reads = s.out / s.columns;
    const double ideal = static_cast<double>(matrices * n * in * 2) * row_tiles +
                         static_cast<double>(m * in * 2) * x_reads +
                         static_cast<double>(m * n) * (s.y_dtype == TN_F16 ? 2 : 8);
    measure(kernel,
            std::to_string(s.rows) + " x 576 x " + (s.act ? "2 x " : "") + std::to_string(s.out),
            ideal, [&] { return launch(&a, s.n_sms, nullptr); }, { partial_warps });
}

static void gemvs_read_weights_once(void **)
{
    const struct {
        const char *kernel; // behind the number of rows
        int out, act, y_dtype, columns, n_sms;
    } cases[] = { { "1, false>", 576, 0, TN_F32, 8, 108 },
                  { "2, false>", 960, 0, TN_F16, 16, 108 },
                  { "2, true>", 1536, TN_ACT_SILU, TN_F16, 16, 108 },
                  { "4, false>", 576, 0, TN_F32, 16, 1 },
                  { "4, true>", 1536, TN_ACT_SILU, TN_F16, 16, 1 } };
    for (int rows : { 1, 2, 4 })
        for (const auto &one : cases)
            measure_linear("gemv_kernel<" + std::to_string(rows) + ", " + one.kernel,
                           { rows, one.out, one.act, one.y_dtype, one.columns, one.n_sms },
                           fp16_gemv);
}

static void gemms_read_weights_once_for_64_rows(void **)
{
    const struct {
        const char *kernel;
        int rows, columns, n_sms;
    } cases[] = { { "gemm_kernel<16, 64, 1, 4>", 16, 64, 108 },
                  { "gemm_kernel<32, 64, 1, 4>", 32, 64, 108 },
                  { "gemm_kernel<64, 64, 2, 3>", 64, 64, 108 },
                  { "gemm_kernel<64, 128, 2, 3>", 128, 128, 1 } };
    for (const auto &one : cases) {
        measure_linear(one.kernel, { one.rows, 512, 0, TN_F32, one.columns, one.n_sms }, fp16_gemm);
        measure_linear(one.kernel,
                       { one.rows, 512, TN_ACT_SILU, TN_F16, one.columns / 2, one.n_sms },
                       fp16_gemm);
    }
}

static void attention_reads_the_cache_once(void **)
{
    const struct {
        int heads, kv_heads, dim;
    } shapes[] = { { 9, 3, 64 }, { 8, 2, 96 }, { 4, 1, 128 }, { 4, 1, 256 } };
    for (const auto &one : shapes) {
        attention_shape shape = { one.heads, one.kv_heads, one.dim,
                                  64,        TN_F16,       0,
                                  0,         0.0f,         { { 1, 64 }, { 1, 768 } } };
        measure_attention("64 and 768 positions", shape, false, { partial_warps });
        shape.sequences = { { 64, 128 } };
        measure_attention("64 of 128 positions", shape, true, { partial_warps });
    }
}

static void norms_read_their_rows_once(void **)
{
    const size_t rows = 4;
    const struct {
        const char *kernel;
        size_t dim;
    } cases[] = { { "rmsnorm_kernel<1>", 1024 },
                  { "rmsnorm_kernel<4>", 4096 },
                  { "rmsnorm_kernel<16>", 8192 } };
    for (const auto &one : cases) {
        const int64_t stride = static_cast<int64_t>(one.dim);
        device_array<float> x(numbers(rows * one.dim, 1)), weight(numbers(one.dim, 2));
        device_array<uint16_t> out(rows * one.dim);
        const fp16_norm_args norm = { x.p,
                                      weight.p,
                                      out.p,
                                      stride,
                                      stride,
                                      static_cast<int>(rows),
                                      static_cast<int>(one.dim),
                                      TN_F16,
                                      1e-5f,
                                      0.0f };
        measure(one.kernel, "4 x " + std::to_string(one.dim),
                static_cast<double>(rows * one.dim * 10),
                [&] { return fp16_rmsnorm(&norm, nullptr); });
    }
}

static void rows_move_what_they_are(void **)
{
    const size_t rows = 4, dim = 1024, n = rows * dim;
    const std::string shape = "4 x 1024";
    device_array<float> x(numbers(n, 1)), y(numbers(n, 2)), z(n);
    device_array<uint16_t> g(rows16(rows, 2 * dim, 2 * dim, TN_F16, 4)), h(n);
    device_array<int32_t> index(std::vector<int32_t>{ 3, 1, 2, 0 });
    fp16_embed_args e = { g.p, index.p, z.p, 2 * dim, dim, rows, dim, rows, TN_F16, 1.0f };
    measure("embed_kernel", shape, n * 6, [&] { return fp16_embed(&e, nullptr); });
    fp16_rows_args a = {};
    a.a = x.p;
    a.b = y.p;
    a.out = z.p;
    a.a_stride = a.b_stride = a.out_stride = dim;
    a.rows = rows;
    a.dim = dim;
    a.dtype = TN_F32;
    a.scale = 1.0f;
    a.index = index.p;
    measure("add_kernel<float>", shape, n * 12, [&] { return fp16_add(&a, nullptr); });
    measure("gather_rows_kernel", shape, n * 8, [&] { return fp16_gather_rows(&a, nullptr); });
    a.a = g.p;
    a.a_stride = 2 * dim;
    a.dtype = TN_F16;
    measure("add_kernel", shape, n * 10, [&] { return fp16_add(&a, nullptr); });
    a.b = g.p + dim;
    a.out = h.p;
    a.b_stride = 2 * dim;
    a.act = TN_ACT_SILU;
    measure("glu_kernel", shape, n * 6, [&] { return fp16_glu(&a, nullptr); });
    device_array<int32_t> best(rows);
    measure("argmax_kernel", shape, n * 4, [&] {
        return fp16_argmax(x.p, dim, best.p, 1, static_cast<int32_t>(rows),
                           static_cast<int32_t>(dim), nullptr);
    });
}

// q in and out, k and v in and into the pool, frequencies for every head of q and k.
static void rope_moves_what_heads_are(void **)
{
    const int tokens = 3, heads = 9, kv_heads = 3, dim = 64, block = 16;
    const size_t width = static_cast<size_t>((heads + 2 * kv_heads) * dim);
    device_array<uint16_t> qkv(rows16(tokens, width, width, TN_F16, 1)),
        pool(static_cast<size_t>(kv_heads * 2 * block * dim));
    device_array<float> frequencies(numbers(static_cast<size_t>(dim) / 2, 2));
    device_array<int32_t> at(std::vector<int32_t>{ 0, 1, 2, 3 }),
        start(std::vector<int32_t>{ 0, tokens }), length(std::vector<int32_t>{ tokens }),
        zero(std::vector<int32_t>{ 0 });
    fp16_rope_args a = {};
    a.q = qkv.p;
    a.k = qkv.p + heads * dim;
    a.v = qkv.p + (heads + kv_heads) * dim;
    a.q_out = qkv.p;
    a.q_stride = a.k_stride = a.v_stride = a.q_out_stride = static_cast<int64_t>(width);
    a.tokens = tokens;
    a.heads = heads;
    a.kv_heads = kv_heads;
    a.head_dim = a.rotary_dim = dim;
    a.dtype = TN_F16;
    a.pairing = TN_ROPE_HALVES;
    a.mscale = 1.0f;
    a.pos = a.slot = at.p;
    a.q_start = start.p;
    a.kv_len = length.p;
    a.rope_index = zero.p;
    a.rope_table = frequencies.p;
    a.n_seqs = 1;
    a.block_tokens = block;
    a.kv = reinterpret_cast<uint8_t *>(pool.p);
    a.kv_block_bytes = static_cast<uint64_t>(kv_heads * 2 * block * dim) * 2;
    const double ideal =
        tokens * (static_cast<double>(width) * 4 + (heads + kv_heads) * dim / 2.0 * 4);
    measure("rope_kernel", "3 tokens of 9/3 heads of 64", ideal,
            [&] { return fp16_rope(&a, nullptr); });
}

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(gemvs_read_weights_once, simt_test::reset),
        cmocka_unit_test_setup(gemms_read_weights_once_for_64_rows, simt_test::reset),
        cmocka_unit_test_setup(attention_reads_the_cache_once, simt_test::reset),
        cmocka_unit_test_setup(norms_read_their_rows_once, simt_test::reset),
        cmocka_unit_test_setup(rows_move_what_they_are, simt_test::reset),
        cmocka_unit_test_setup(rope_moves_what_heads_are, simt_test::reset),
    };
    return cmocka_run_group_tests_name("fp16_traffic", tests, nullptr, nullptr);
}
