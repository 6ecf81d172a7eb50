// SPDX-License-Identifier: Apache-2.0
// What the kernels move, counted by the emulator on shapes of models: no wasted sector, no bank
// conflict, and hardly a byte above what the operation needs.
#include "tests/plugins/cuda-fp16/traffic.h"

using namespace fp16_test;

enum : bool { by_gemm, by_gemv };

// y = x w^T for `rows` rows of 576, as in SmolLM2-135M; blocks: how often x is read.
static void measure_linear(const char *name, int rows, int out, int act, int x_reads, bool is_gemv,
                           int n_sms = 1)
{
    const size_t in = 576, matrices = act ? 2 : 1, m = static_cast<size_t>(rows),
                 n = static_cast<size_t>(out);
    device_array<uint16_t> x(rows16(m, in, in, TN_F16, 1)),
        w(rows16(matrices * n, in, in, TN_F16, 2)), y(m * n);
    device_array<float> residual(numbers(m * n, 3)), y32(m * n);
    fp16_linear_args a = {};
    a.x = x.p;
    a.weight = w.p;
    a.y = act ? static_cast<void *>(y.p) : y32.p;
    a.residual = act ? nullptr : residual.p;
    a.x_stride = a.in = a.padded = static_cast<int32_t>(in);
    a.y_stride = a.residual_stride = a.out = out;
    a.rows = rows;
    a.dtype = TN_F16;
    a.y_dtype = act ? TN_F16 : TN_F32;
    a.act = act;
    a.out_scale = 1.0f;
    const double row_tiles = is_gemv ? 1 : (rows + 63) / 64;
    const double ideal = static_cast<double>(matrices * n * in * 2) * row_tiles +
                         static_cast<double>(x_reads) * static_cast<double>(m * in * 2) +
                         static_cast<double>(m * n) * (act ? 2 : 8);
    measure(name, ideal,
            [&] { return is_gemv ? fp16_gemv(&a, 1, nullptr) : fp16_gemm(&a, n_sms, nullptr); });
}

static void linears_read_weights_once(void **)
{
    measure_linear("gemv, 1 row", 1, 576, 0, 36, by_gemv);
    measure_linear("gemv, 4 rows, gated", 4, 1536, TN_ACT_SILU, 96, by_gemv);
    measure_linear("gemm, 16 rows", 16, 576, 0, 9, by_gemm);
    measure_linear("gemm, 16 rows, gated", 16, 1536, TN_ACT_SILU, 48, by_gemm);
    measure_linear("gemm, 32 rows", 32, 1536, 0, 24, by_gemm);
    measure_linear("gemm, 64 rows", 64, 1536, 0, 24, by_gemm, 108);
    measure_linear("gemm, 64 rows, wide", 64, 1536, 0, 12, by_gemm);
    measure_linear("gemm, 128 rows, gated", 128, 512, TN_ACT_SILU, 8, by_gemm);
}

static void attention_reads_the_cache_once(void **)
{
    const std::vector<sequence> decoding = { { 1, 64 }, { 1, 768 } }, chunks = { { 64, 128 } };
    measure_attention("decode, 9/3 x 64", { 9, 3, 64, 64, TN_F16, 0, 0, 0.0f, decoding }, false);
    measure_attention("decode, 8/2 x 96", { 8, 2, 96, 64, TN_F16, 0, 0, 0.0f, decoding }, false);
    measure_attention("decode, 4/1 x 128", { 4, 1, 128, 64, TN_F16, 0, 0, 0.0f, decoding }, false);
    measure_attention("decode, 4/1 x 256", { 4, 1, 256, 64, TN_F16, 0, 0, 0.0f, decoding }, false);
    measure_attention("prefill, 9/3 x 64", { 9, 3, 64, 64, TN_F16, 0, 0, 0.0f, chunks }, true);
    measure_attention("prefill, 8/2 x 96", { 8, 2, 96, 64, TN_F16, 0, 0, 0.0f, chunks }, true);
    measure_attention("prefill, 4/1 x 128", { 4, 1, 128, 64, TN_F16, 0, 0, 0.0f, chunks }, true);
    measure_attention("prefill, 4/1 x 256", { 4, 1, 256, 64, TN_F16, 0, 0, 0.0f, chunks }, true);
}

static void measure_rows()
{
    const size_t rows = 4, dim = 1024, n = rows * dim;
    device_array<float> x(numbers(n, 1)), y(numbers(n, 2)), weight(numbers(dim, 3)), z(n);
    device_array<uint16_t> g(rows16(rows, 2 * dim, 2 * dim, TN_F16, 4)), h(n);
    device_array<int32_t> index(std::vector<int32_t>{ 3, 1, 2, 0 });
    fp16_embed_args e = { g.p, index.p, z.p, 2 * dim, dim, rows, dim, rows, TN_F16, 1.0f };
    measure("embed", n * 6, [&] { return fp16_embed(&e, nullptr); });
    fp16_norm_args norm = { x.p, weight.p, h.p, dim, dim, rows, dim, TN_F16, 1e-5f, 0.0f };
    measure("rmsnorm", n * 10, [&] { return fp16_rmsnorm(&norm, nullptr); });
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
    measure("add", n * 12, [&] { return fp16_add(&a, nullptr); });
    measure("gather_rows", n * 8, [&] { return fp16_gather_rows(&a, nullptr); });
    a.a = g.p;
    a.b = g.p + dim;
    a.out = h.p;
    a.a_stride = a.b_stride = 2 * dim;
    a.dtype = TN_F16;
    a.act = TN_ACT_SILU;
    measure("glu", n * 6, [&] { return fp16_glu(&a, nullptr); });
    device_array<int32_t> best(rows);
    measure("argmax", n * 4, [&] {
        return fp16_argmax(x.p, dim, best.p, 1, static_cast<int32_t>(rows),
                           static_cast<int32_t>(dim), nullptr);
    });
}

static void rows_move_what_they_are(void **)
{
    measure_rows();
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
    measure("rope_kv_write", ideal, [&] { return fp16_rope(&a, nullptr); });
}

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(linears_read_weights_once, simt_test::reset),
        cmocka_unit_test_setup(attention_reads_the_cache_once, simt_test::reset),
        cmocka_unit_test_setup(rows_move_what_they_are, simt_test::reset),
        cmocka_unit_test_setup(rope_moves_what_heads_are, simt_test::reset),
    };
    return cmocka_run_group_tests_name("fp16_traffic", tests, nullptr, nullptr);
}
