/* SPDX-License-Identifier: Apache-2.0 */
/* Sequences over a paged pool in permuted blocks, and their attention by loops in f64. */
#ifndef TN_TESTS_PLUGINS_CUDA_FP16_ATTENTION_CASE_H
#define TN_TESTS_PLUGINS_CUDA_FP16_ATTENTION_CASE_H

#include "tests/plugins/cuda-fp16/fp16_rig.h"

namespace fp16_test
{

struct sequence {
    int q_len, kv_len; /* kv_len 0: padding */
};

struct attention_shape {
    int heads, kv_heads, head_dim, block_tokens, dtype, window, logn;
    float softcap;
    std::vector<sequence> sequences;
};

struct attention_case {
    attention_shape s;
    int split = 64; /* positions a split of decode */
    int n_tokens = 0, stride = 0, max_q = 0, max_kv = 0, n_blocks = 0;
    std::vector<int32_t> q_start{ 0 }, kv_len, table;
    std::vector<uint16_t> q, pool; /* the pool's blocks that no sequence has are NaN */
    std::vector<double> expected;

    explicit attention_case(const attention_shape &how) : s(how)
    {
        for (const sequence &one : s.sequences) {
            n_tokens += one.q_len;
            q_start.push_back(n_tokens);
            kv_len.push_back(one.kv_len);
            stride = std::max(stride, blocks_of(one));
            max_q = std::max(max_q, one.q_len);
            max_kv = std::max(max_kv, one.kv_len);
            n_blocks += blocks_of(one);
        }
        place_blocks();
        q = rows16(static_cast<size_t>(n_tokens), width(), width(), s.dtype, 5);
        for (size_t i = 0; i < s.sequences.size(); i++)
            for (int t = 0; t < s.sequences[i].q_len; t++)
                for (int h = 0; h < s.heads; h++)
                    attend(i, t, h);
    }

    size_t width() const
    {
        return static_cast<size_t>(s.heads * s.head_dim);
    }
    int blocks_of(const sequence &one) const
    {
        return (one.kv_len + s.block_tokens - 1) / s.block_tokens;
    }
    size_t block_halves() const
    {
        return static_cast<size_t>(s.kv_heads * 2 * s.block_tokens * s.head_dim);
    }

    /* Blocks from the pool's end, each sequence's in reverse; the first one is nobody's. */
    void place_blocks()
    {
        int next = n_blocks;
        table.assign(s.sequences.size() * static_cast<size_t>(std::max(stride, 1)), 0x7fffffff);
        pool.assign(static_cast<size_t>(n_blocks + 1) * block_halves(), 0xffff);
        uint32_t seed = 6;
        for (size_t i = 0; i < s.sequences.size(); i++)
            for (int b = 0; b < blocks_of(s.sequences[i]); b++)
                table[i * static_cast<size_t>(stride) + static_cast<size_t>(b)] = next--;
        for (size_t i = 0; i < s.sequences.size(); i++)
            for (int p = 0; p < s.sequences[i].kv_len; p++)
                for (int h = 0; h < s.kv_heads; h++)
                    for (int v = 0; v < 2; v++) {
                        std::vector<float> x = numbers(static_cast<size_t>(s.head_dim), seed++);
                        for (size_t d = 0; d < x.size(); d++)
                            pool[row(i, p, h, v) + d] = tn_half_f32_to_f16(x[d]);
                    }
    }

    size_t row(size_t sequence_index, int position, int head, int is_value) const
    {
        const int32_t block = table[sequence_index * static_cast<size_t>(stride) +
                                    static_cast<size_t>(position / s.block_tokens)];
        return static_cast<size_t>(block) * block_halves() +
               static_cast<size_t>(
                   ((head * 2 + is_value) * s.block_tokens + position % s.block_tokens) *
                   s.head_dim);
    }

    double scale_at(int position) const
    {
        const double scale = 1.0 / std::sqrt(static_cast<double>(s.head_dim));
        return s.logn && position + 1 > s.logn ? scale * std::log(position + 1.0) / std::log(s.logn)
                                               : scale;
    }

    void attend(size_t i, int t, int head)
    {
        const sequence &one = s.sequences[i];
        const size_t dim = static_cast<size_t>(s.head_dim);
        const int position = one.kv_len - one.q_len + t, kv_head = head / (s.heads / s.kv_heads);
        const uint16_t *query =
            &q[static_cast<size_t>(q_start[i] + t) * width() + static_cast<size_t>(head) * dim];
        std::vector<double> sum(dim, 0.0);
        double total = 0.0;
        for (int p = s.window ? std::max(0, position - s.window + 1) : 0;
             one.kv_len > 0 && p <= position; p++) {
            double score = 0.0;
            for (size_t d = 0; d < dim; d++)
                score += static_cast<double>(widen(query[d], s.dtype)) *
                         static_cast<double>(tn_half_f16_to_f32(pool[row(i, p, kv_head, 0) + d]));
            score *= scale_at(position);
            const double cap = static_cast<double>(s.softcap);
            const double weight = std::exp(cap > 0.0 ? cap * std::tanh(score / cap) : score);
            total += weight;
            for (size_t d = 0; d < dim; d++)
                sum[d] += weight *
                          static_cast<double>(tn_half_f16_to_f32(pool[row(i, p, kv_head, 1) + d]));
        }
        for (size_t d = 0; d < dim; d++)
            expected.push_back(one.kv_len > 0 ? sum[d] / total : 0.0);
    }

    /* The case on the device; launch takes its arguments. */
    template <class Launch> std::vector<uint16_t> run(Launch launch) const
    {
        device_array<uint16_t> dq(q), out(q.size()), dpool(pool);
        device_array<int32_t> dstart(q_start), dlen(kv_len), dtable(table);
        const int splits = (max_kv + split - 1) / split;
        const size_t seqs = s.sequences.size(), heads = static_cast<size_t>(s.heads);
        device_array<float> sums(seqs * heads * static_cast<size_t>((splits + 1) * s.head_dim)),
            states(seqs * heads * static_cast<size_t>(splits + 1) * FP16_DECODE_ROWS * 2);
        device_array<uint32_t> done(std::vector<uint32_t>(seqs * heads, 0));
        fp16_attention_args a = {};
        a.q = dq.p;
        a.out = out.p;
        a.q_stride = a.out_stride = static_cast<int64_t>(width());
        a.kv = reinterpret_cast<const uint8_t *>(dpool.p);
        a.kv_block_bytes = block_halves() * 2;
        a.table = dtable.p;
        a.q_start = dstart.p;
        a.kv_len = dlen.p;
        a.table_stride = stride;
        a.block_tokens = s.block_tokens;
        a.n_seqs = static_cast<int32_t>(seqs);
        a.max_q = max_q;
        a.max_kv = max_kv;
        a.heads = s.heads;
        a.kv_heads = s.kv_heads;
        a.head_dim = s.head_dim;
        a.dtype = s.dtype;
        a.window = s.window;
        a.logn_length = s.logn;
        a.scale = 1.0f / std::sqrt(static_cast<float>(s.head_dim));
        a.softcap = s.softcap;
        a.split_tokens = split;
        a.max_splits = splits;
        a.sums = sums.p;
        a.states = states.p;
        a.done = done.p;
        assert_int_equal(launch(&a), cudaSuccess);
        assert_int_equal(cudaDeviceSynchronize(), cudaSuccess);
        for (uint32_t left : done.read())
            assert_int_equal(left, 0);
        return out.read();
    }

    template <class Launch> void check(Launch launch) const
    {
        const std::vector<uint16_t> got = run(launch);
        const double unit = s.dtype == TN_BF16 ? 0x1p-8 : 0x1p-11;
        for (size_t i = 0; i < got.size(); i++)
            near(widen(got[i], s.dtype), expected[i], unit + 1e-3, "out", i);
    }
};

} // namespace fp16_test

#endif
