// SPDX-License-Identifier: Apache-2.0
// What every kernel moves, counted by the emulator on shapes of models: no wasted sector, no bank
// conflict, and hardly a byte above what the operation needs. The lines "traffic | ..." are columns
// of the table in docs/cuda.md (tests/plugins/cuda_table.py).
#include "tests/plugins/cuda-fp16/attention_case.h"

using namespace fp16_test;

// Sectors and passes of every place are the ideal ones; the bytes in global memory are within 2 %.
// Not counted are places where more than two lanes of a warp read the same word, as they do to look
// up a block or a position: the first one brings it into L1. In the file `narrow`, if any, sectors
// count in the bytes only.
static void assert_traffic(const std::string &kernel, const std::string &shape, double ideal_bytes,
                           const char *narrow)
{
    std::vector<simt::counter> all(64);
    const size_t n = tn_simt_counters(all.data(), all.size());
    uint64_t bytes = 0, sectors = 0, ideal_sectors = 0, passes = 0, ideal_passes = 0;
    assert_true(n > 0 && n <= all.size());
    for (size_t i = 0; i < n; i++) {
        const simt::counter &c = all[i];
        const bool is_narrow = narrow && std::strstr(c.file, narrow);
        if ((c.n_sectors > c.n_ideal_sectors && !is_narrow) || c.n_passes > c.n_ideal_passes)
            fail_msg("%s, line %d: %llu sectors for %llu, %llu passes for %llu", kernel.c_str(),
                     c.line, static_cast<unsigned long long>(c.n_sectors),
                     static_cast<unsigned long long>(c.n_ideal_sectors),
                     static_cast<unsigned long long>(c.n_passes),
                     static_cast<unsigned long long>(c.n_ideal_passes));
        passes += c.n_passes;
        ideal_passes += c.n_ideal_passes;
        if (c.is_shared || c.n_sectors * 2 < c.n_ideal_sectors)
            continue;
        bytes += c.n_sectors * 32;
        sectors += c.n_sectors;
        ideal_sectors += c.n_ideal_sectors;
    }
    const double of_ideal = static_cast<double>(bytes) / ideal_bytes;
    print_message("traffic | %s | %s | %.3f | %.2f | %.2f\n", kernel.c_str(), shape.c_str(),
                  of_ideal, static_cast<double>(sectors) / static_cast<double>(ideal_sectors),
                  ideal_passes ? static_cast<double>(passes) / static_cast<double>(ideal_passes)
                               : 1.0);
    assert_true(of_ideal <= 1.02 && of_ideal >= 0.98);
}

template <class Launch>
static void measure(const std::string &kernel, const std::string &shape, double ideal_bytes,
                    Launch launch, const char *narrow = nullptr)
{
    simt::settings s = simt_test::default_settings();
    s.count = 1;
    tn_simt_set_settings(&s);
    tn_simt_reset_counters();
    assert_int_equal(launch(), cudaSuccess);
    assert_int_equal(cudaDeviceSynchronize(), cudaSuccess);
    assert_traffic(kernel, shape, ideal_bytes, narrow);
}

// y = x w^T, or its gated form, for rows of 576 as SmolLM2-135M has them. A block reads its rows of
// x and `columns` columns of y, of each matrix; n_sms chooses the kernel. Four columns are less
// than a sector of a row of y.
struct linear_shape {
    int rows, out, act, columns, n_sms;
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
    a.y = s.act ? static_cast<void *>(y.p) : y32.p;
    a.residual = s.act ? nullptr : residual.p;
    a.x_stride = a.in = a.padded = static_cast<int32_t>(in);
    a.y_stride = a.residual_stride = a.out = s.out;
    a.rows = s.rows;
    a.dtype = TN_F16;
    a.y_dtype = s.act ? TN_F16 : TN_F32;
    a.act = s.act;
    a.out_scale = 1.0f;
    const int row_tiles = (s.rows + 63) / 64, x_reads = s.out / s.columns;
    const double ideal = static_cast<double>(matrices * n * in * 2) * row_tiles +
                         static_cast<double>(m * in * 2) * x_reads +
                         static_cast<double>(m * n) * (s.act ? 2 : 8);
    measure(
        kernel,
        std::to_string(s.rows) + " x 576 x " + (s.act ? "2 x " : "") + std::to_string(s.out), ideal,
        [&] { return launch(&a, s.n_sms, nullptr); }, s.columns < 8 ? "linear.cuh" : nullptr);
}

static void gemvs_read_weights_once(void **)
{
    for (int rows : { 1, 2, 4 })
        for (int columns : { 1, 4 })
            for (int act : { 0, static_cast<int>(TN_ACT_SILU) }) {
                const std::string kernel = "gemv_kernel<" + std::to_string(rows) + ", " +
                                           std::to_string(columns) + (act ? ", true>" : ", false>");
                const int n_sms = columns == 1 ? 108 : 1;
                measure_linear(kernel, { rows, act ? 1536 : 576, act, 4 * columns, n_sms },
                               fp16_gemv);
            }
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
        measure_linear(one.kernel, { one.rows, 512, 0, one.columns, one.n_sms }, fp16_gemm);
        measure_linear(one.kernel, { one.rows, 512, TN_ACT_SILU, one.columns / 2, one.n_sms },
                       fp16_gemm);
    }
}

// K and V of every tile of 64 rows up to its last position, queries and results once.
static double prefill_bytes(const attention_case &c)
{
    const int group = c.s.heads / c.s.kv_heads;
    double positions = 0;
    for (const sequence &one : c.s.sequences)
        for (int row = 0; row < one.q_len * group; row += 64) {
            const int last = std::min(row + 64, one.q_len * group) - 1;
            positions += one.kv_len - one.q_len + last / group + 1;
        }
    return positions * c.s.kv_heads * c.s.head_dim * 4 + static_cast<double>(c.q.size() * 4);
}

// K and V once, queries and results once, and partial results written and read.
static double decode_bytes(const attention_case &c)
{
    double bytes = static_cast<double>(c.q.size() * 4);
    for (const sequence &one : c.s.sequences) {
        const int splits = (one.kv_len + c.split - 1) / c.split;
        bytes += static_cast<double>(one.kv_len) * c.s.kv_heads * c.s.head_dim * 4;
        if (splits > 1)
            bytes += 2.0 * splits * c.s.heads * c.s.head_dim * 4;
    }
    return bytes;
}

static void measure_attention(const std::string &kernel, const std::string &positions,
                              const attention_shape &shape, bool is_prefill)
{
    attention_case c(shape);
    c.split = 256; // as planned
    measure(kernel + std::to_string(shape.head_dim) + ">",
            std::to_string(shape.heads) + "/" + std::to_string(shape.kv_heads) + " heads, " +
                positions,
            is_prefill ? prefill_bytes(c) : decode_bytes(c), [&] {
                c.run([&](const fp16_attention_args *a) {
                    tn_simt_reset_counters();
                    return is_prefill ? fp16_attention_prefill(a, nullptr)
                                      : fp16_attention_decode(a, nullptr);
                });
                return cudaSuccess;
            });
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
        measure_attention("decode_kernel<", "64 and 768 positions", shape, false);
        shape.sequences = { { 64, 128 } };
        measure_attention("prefill_kernel<", "64 of 128 positions", shape, true);
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
