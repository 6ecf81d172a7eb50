/* SPDX-License-Identifier: Apache-2.0 */
/* What a launch moves, counted by the emulator: no wasted sector, no bank conflict, and hardly a
 * byte above what the operation needs. The tables are those of docs/cuda.md. */
#ifndef TN_TESTS_PLUGINS_CUDA_FP16_TRAFFIC_H
#define TN_TESTS_PLUGINS_CUDA_FP16_TRAFFIC_H

#include "tests/plugins/cuda-fp16/attention_case.h"

namespace fp16_test
{

/* Sectors and passes of every place are the ideal ones; the bytes in global memory are within 2 %,
 * less places where a sector serves as much as `broadcast` ideal ones. */
static inline void assert_traffic(const char *name, double ideal_bytes, uint64_t broadcast)
{
    std::vector<simt::counter> all(64);
    const size_t n = tn_simt_counters(all.data(), all.size());
    uint64_t sectors = 0, passes = 0, ideal_passes = 0;
    assert_true(n > 0 && n <= all.size());
    for (size_t i = 0; i < n; i++) {
        const simt::counter &c = all[i];
        if (c.n_sectors > c.n_ideal_sectors || c.n_passes > c.n_ideal_passes)
            fail_msg("%s, %s, line %d: %llu sectors for %llu, %llu passes for %llu", name, c.file,
                     c.line, static_cast<unsigned long long>(c.n_sectors),
                     static_cast<unsigned long long>(c.n_ideal_sectors),
                     static_cast<unsigned long long>(c.n_passes),
                     static_cast<unsigned long long>(c.n_ideal_passes));
        if (!c.is_shared && c.n_sectors * broadcast > c.n_ideal_sectors)
            sectors += c.n_sectors;
        passes += c.n_passes;
        ideal_passes += c.n_ideal_passes;
    }
    const double bytes = static_cast<double>(sectors * 32);
    print_message(
        "%-22s %10.0f bytes, %.3f of ideal; shared passes %.2f\n", name, bytes, bytes / ideal_bytes,
        ideal_passes ? static_cast<double>(passes) / static_cast<double>(ideal_passes) : 1.0);
    assert_true(bytes <= 1.02 * ideal_bytes && bytes >= 0.98 * ideal_bytes);
}

/* broadcast: by itself, places where a warp reads one address of 4 bytes are left out. */
template <class Launch>
static void measure(const char *name, double ideal_bytes, Launch launch, uint64_t broadcast = 4)
{
    simt::settings s = simt_test::default_settings();
    s.count = 1;
    tn_simt_set_settings(&s);
    tn_simt_reset_counters();
    assert_int_equal(launch(), cudaSuccess);
    assert_int_equal(cudaDeviceSynchronize(), cudaSuccess);
    assert_traffic(name, ideal_bytes, broadcast);
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

static inline void measure_attention(const char *name, const attention_shape &shape,
                                     bool is_prefill)
{
    attention_case c(shape);
    c.split = 256; // as planned
    measure(name, is_prefill ? prefill_bytes(c) : decode_bytes(c), [&] {
        c.run([&](const fp16_attention_args *a) {
            tn_simt_reset_counters();
            return is_prefill ? fp16_attention_prefill(a, nullptr)
                              : fp16_attention_decode(a, nullptr);
        });
        return cudaSuccess;
    });
}

} // namespace fp16_test

#endif
