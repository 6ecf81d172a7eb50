/* SPDX-License-Identifier: Apache-2.0 */
/* What a launch moves, counted by the emulator: no wasted sector, no bank conflict, and hardly a
 * byte above what the operation needs. The tables are those of docs/cuda.md. */
#ifndef TN_TESTS_PLUGINS_CUDA_FP16_TRAFFIC_H
#define TN_TESTS_PLUGINS_CUDA_FP16_TRAFFIC_H

#include "tests/plugins/cuda-fp16/attention_case.h"

namespace fp16_test
{

/* What a measurement leaves out. */
struct traffic_rule {
    /* Places with at most this share of the ideal sectors: a word that many lanes read at once,
     * such as the id of a block, comes from L1. By itself: one address of 4 bytes a warp. */
    double shared_by_lanes = 0.25;
};

/* Sectors and passes of every place are the ideal ones; the bytes in global memory are within 2 %.
 */
static inline void assert_traffic(const std::string &kernel, const std::string &shape,
                                  double ideal_bytes, const traffic_rule &rule)
{
    std::vector<simt::counter> all(64);
    const size_t n = tn_simt_counters(all.data(), all.size());
    uint64_t sectors = 0, ideal_sectors = 0, passes = 0, ideal_passes = 0;
    assert_true(n > 0 && n <= all.size());
    for (size_t i = 0; i < n; i++) {
        const simt::counter &c = all[i];
        if (c.n_sectors > c.n_ideal_sectors || c.n_passes > c.n_ideal_passes)
            fail_msg("%s, %s, %s, line %d: %llu sectors for %llu, %llu passes for %llu",
                     kernel.c_str(), shape.c_str(), c.file, c.line,
                     static_cast<unsigned long long>(c.n_sectors),
                     static_cast<unsigned long long>(c.n_ideal_sectors),
                     static_cast<unsigned long long>(c.n_passes),
                     static_cast<unsigned long long>(c.n_ideal_passes));
        passes += c.n_passes;
        ideal_passes += c.n_ideal_passes;
        if (c.is_shared || static_cast<double>(c.n_sectors) <=
                               rule.shared_by_lanes * static_cast<double>(c.n_ideal_sectors))
            continue;
        sectors += c.n_sectors;
        ideal_sectors += c.n_ideal_sectors;
    }
    const double of_ideal = static_cast<double>(sectors * 32) / ideal_bytes;
    print_message("traffic | %s | %s | %.3f | %.2f | %.2f\n", kernel.c_str(), shape.c_str(),
                  of_ideal, static_cast<double>(sectors) / static_cast<double>(ideal_sectors),
                  ideal_passes ? static_cast<double>(passes) / static_cast<double>(ideal_passes)
                               : 1.0);
    assert_true(of_ideal <= 1.02 && of_ideal >= 0.98);
}

template <class Launch>
static void measure(const std::string &kernel, const std::string &shape, double ideal_bytes,
                    Launch launch, const traffic_rule &rule = {})
{
    simt::settings s = simt_test::default_settings();
    s.count = 1;
    tn_simt_set_settings(&s);
    tn_simt_reset_counters();
    assert_int_equal(launch(), cudaSuccess);
    assert_int_equal(cudaDeviceSynchronize(), cudaSuccess);
    assert_traffic(kernel, shape, ideal_bytes, rule);
}

/* K and V of a position, of all kv heads. */
static inline double position_bytes(const attention_case &c)
{
    return static_cast<double>(ref_kv_block_bytes(&c.kv)) / c.s.block_tokens;
}

/* K and V of every tile of 64 rows up to its last position, queries and results once. */
static inline double prefill_bytes(const attention_case &c)
{
    const int group = c.s.heads / c.s.kv_heads;
    double positions = 0;
    for (const sequence &one : c.s.sequences)
        for (int row = 0; row < one.q_len * group; row += 64) {
            const int last = std::min(row + 64, one.q_len * group) - 1;
            positions += one.kv_len - one.q_len + last / group + 1;
        }
    return positions * position_bytes(c) + static_cast<double>(c.q.size() * 4);
}

/* K and V once, queries and results once, and partial results written and read. */
static inline double decode_bytes(const attention_case &c)
{
    double bytes = static_cast<double>(c.q.size() * 4);
    for (const sequence &one : c.s.sequences) {
        const int splits = (one.kv_len + c.split - 1) / c.split;
        bytes += one.kv_len * position_bytes(c);
        if (splits > 1)
            bytes += 2.0 * splits * c.s.heads * c.s.head_dim * 4;
    }
    return bytes;
}

static inline void measure_attention(const std::string &positions, const attention_shape &shape,
                                     bool is_prefill, const traffic_rule &rule = {})
{
    attention_case c(shape);
    c.split = 256; // as planned
    const std::string kernel = is_prefill ? "prefill_kernel<" : "decode_kernel<",
                      heads = std::to_string(shape.heads) + "/" + std::to_string(shape.kv_heads);
    const auto launch = [&] {
        c.run([&](const fp16_attention_args *a) {
            tn_simt_reset_counters();
            return is_prefill ? fp16_attention_prefill(a, nullptr)
                              : fp16_attention_decode(a, nullptr);
        });
        return cudaSuccess;
    };
    measure(kernel + std::to_string(shape.head_dim) + ">", heads + " heads, " + positions,
            is_prefill ? prefill_bytes(c) : decode_bytes(c), launch, rule);
}

} // namespace fp16_test

#endif
