/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of one sequence through rope_kv_write or kv_write, and the pages that cpu-ref makes of
 * what f64 rotates. */
#ifndef TN_TESTS_PLUGINS_CUDA_KVINT8_ROPE_CASE_H
#define TN_TESTS_PLUGINS_CUDA_KVINT8_ROPE_CASE_H

#include "tests/plugins/cuda-fp16/fp16_rig.h"

extern "C" {
#include "plugins/cpu-ref/kv.h"
}

namespace fp16_test
{

struct rope_shape {
    const char *format;
    int heads, kv_heads, dim, block_tokens, dtype, pairing, rotary; /* heads 0: kv_write */
    int n_tokens = 5, n_static = 1;
};

struct rope_case {
    rope_shape s;
    size_t width;
    std::vector<float> kv_static, frequencies;
    ref_kv kv = {};
    std::vector<uint16_t> qkv;
    std::vector<int32_t> slot; /* one of them is padding */

    explicit rope_case(const rope_shape &how) : s(how)
    {
        width = static_cast<size_t>((s.heads + 2 * s.kv_heads) * s.dim);
        qkv = rows16(static_cast<size_t>(s.n_tokens), width, width, s.dtype, 3);
        frequencies = numbers(static_cast<size_t>(std::max(s.rotary / 2, 1)), 2);
        for (int t = 0; t < s.n_tokens; t++)
            slot.push_back(t == 1 ? -1 : (t * 7 + 2) % (2 * s.block_tokens));
        for (int i = 0; i < s.n_static; i++) /* some values are beyond the codes */
            kv_static.insert(kv_static.end(), { 0.007f + 0.001f * static_cast<float>(i), 0.1f,
                                                0.006f, -0.1f * static_cast<float>(i) });
        tn_attention a = {};
        a.heads = a.kv_heads = s.kv_heads;
        a.head_dim = s.dim;
        a.kv_static = kv_static.data();
        a.n_kv_static = s.n_static;
        tn_error err = {};
        if (ref_kv_init(s.format, &a, s.block_tokens, &kv, &err))
            fail_msg("%s", err.text);
    }

    size_t block_bytes() const
    {
        return (static_cast<size_t>(ref_kv_block_bytes(&kv)) + 255) / 256 * 256;
    }
    bool is_static() const
    {
        return std::strcmp(s.format, "i8-static") == 0;
    }

    /* A head of k or v of a token, as it goes into its page. */
    std::vector<float> head(int token, int index, bool is_key) const
    {
        const size_t at =
            static_cast<size_t>(token) * width +
            static_cast<size_t>((s.heads + (is_key ? 0 : s.kv_heads) + index) * s.dim);
        std::vector<float> x(static_cast<size_t>(s.dim));
        for (size_t d = 0; d < x.size(); d++)
            x[d] = widen(qkv[at + d], s.dtype);
        for (int i = 0; is_key && s.heads && i < s.rotary / 2; i++) {
            const bool halves = s.pairing == TN_ROPE_HALVES;
            const size_t first = static_cast<size_t>(halves ? i : 2 * i),
                         second = static_cast<size_t>(halves ? i + s.rotary / 2 : 2 * i + 1);
            const double angle = static_cast<double>(static_cast<float>(token) *
                                                     frequencies[static_cast<size_t>(i)]);
            const double a = static_cast<double>(x[first]), b = static_cast<double>(x[second]);
            x[first] = static_cast<float>(a * std::cos(angle) - b * std::sin(angle));
            x[second] = static_cast<float>(a * std::sin(angle) + b * std::cos(angle));
        }
        return x;
    }

    std::vector<uint8_t> expected() const
    {
        std::vector<uint8_t> pool(2 * block_bytes(), 0xa5);
        for (int t = 0; t < s.n_tokens; t++)
            for (int h = 0; slot[static_cast<size_t>(t)] >= 0 && h < s.kv_heads; h++) {
                const int at = slot[static_cast<size_t>(t)];
                ref_kv_store(
                    &kv, pool.data() + static_cast<size_t>(at / s.block_tokens) * block_bytes(), h,
                    at % s.block_tokens, head(t, h, true).data(), head(t, h, false).data());
            }
        return pool;
    }

    /* The pool after a launch of two blocks of 0xa5. */
    template <class Launch> std::vector<uint8_t> run(Launch launch) const
    {
        device_array<uint16_t> in(qkv);
        device_array<uint8_t> pool(std::vector<uint8_t>(2 * block_bytes(), 0xa5));
        device_array<float> table(frequencies), params(kv_static);
        std::vector<int32_t> ascending;
        for (int t = 0; t < s.n_tokens; t++)
            ascending.push_back(t);
        device_array<int32_t> pos(ascending), slots(slot),
            start(std::vector<int32_t>{ 0, s.n_tokens }),
            length(std::vector<int32_t>{ s.n_tokens }), zero(std::vector<int32_t>{ 0 });
        fp16_rope_args a = {};
        a.q = s.heads ? in.p : nullptr;
        a.q_out = in.p;
        a.k = in.p + s.heads * s.dim;
        a.v = in.p + (s.heads + s.kv_heads) * s.dim;
        a.q_stride = a.k_stride = a.v_stride = a.q_out_stride = static_cast<int64_t>(width);
        a.tokens = s.n_tokens;
        a.heads = s.heads;
        a.kv_heads = s.kv_heads;
        a.head_dim = s.dim;
        a.rotary_dim = s.heads ? s.rotary : 0;
        a.dtype = s.dtype;
        a.pairing = s.pairing;
        a.mscale = 1.0f;
        a.pos = pos.p;
        a.slot = slots.p;
        a.q_start = start.p;
        a.kv_len = length.p;
        a.rope_index = zero.p;
        a.rope_table = table.p;
        a.n_seqs = 1;
        a.block_tokens = s.block_tokens;
        a.kv = pool.p;
        a.kv_block_bytes = block_bytes();
        a.kv_static = is_static() ? params.p : nullptr;
        a.n_kv_static = is_static() ? s.n_static : 0;
        assert_int_equal(launch(&a), cudaSuccess);
        assert_int_equal(cudaDeviceSynchronize(), cudaSuccess);
        return pool.read();
    }
};

} // namespace fp16_test

#endif
