/* SPDX-License-Identifier: Apache-2.0 */
/* Sequences over a paged pool in permuted blocks, whose bytes are those of cpu-ref, and their
 * attention by loops in f64. */
#ifndef TN_TESTS_PLUGINS_CUDA_FP16_ATTENTION_CASE_H
#define TN_TESTS_PLUGINS_CUDA_FP16_ATTENTION_CASE_H

#include "tests/plugins/cuda-fp16/fp16_rig.h"

extern "C" {
#include "plugins/cpu-ref/kv.h"
}

namespace fp16_test
{

struct sequence {
    int q_len, kv_len; /* kv_len 0: padding */
};

struct attention_shape {
    int heads, kv_heads, head_dim, block_tokens, dtype, window, logn;
    float softcap;
    std::vector<sequence> sequences;
    const char *kvfmt = "f16";
    int n_static = 1; /* of i8-static: sets of parameters */
    /* Makes other numbers of K and V of a position. */
    void (*change)(int position, std::vector<float> &k, std::vector<float> &v) = nullptr;
};

struct attention_case {
    attention_shape s;
    int split = 64; /* positions a split of decode */
    int n_tokens = 0, stride = 0, max_q = 0, max_kv = 0, n_blocks = 0;
    std::vector<int32_t> q_start{ 0 }, kv_len, table;
    std::vector<uint16_t> q;
    std::vector<float> kv_static;
    ref_kv kv = {};
    std::vector<uint8_t> pool; /* what no sequence has is NaN, codes apart */
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
        open_format();
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
    /* As the core lays blocks out: 256 bytes apart, or a multiple. */
    size_t block_bytes() const
    {
        return (static_cast<size_t>(ref_kv_block_bytes(&kv)) + 255) / 256 * 256;
    }
    uint8_t *block(size_t sequence_index, int position)
    {
        const int32_t id = table[sequence_index * static_cast<size_t>(stride) +
                                 static_cast<size_t>(position / s.block_tokens)];
        return pool.data() + static_cast<size_t>(id) * block_bytes();
    }

    void open_format()
    {
        tn_attention a = {};
        a.heads = s.heads;
        a.kv_heads = s.kv_heads;
        a.head_dim = s.head_dim;
        if (std::strcmp(s.kvfmt, "i8-static") == 0) {
            for (int i = 0; i < s.n_static; i++) { /* some values are beyond the codes */
                const float step = static_cast<float>(i);
                kv_static.insert(kv_static.end(),
                                 { 0.0075f + 0.0005f * step, 0.01f * step, 0.007f, -0.02f * step });
            }
            a.kv_static = kv_static.data();
            a.n_kv_static = s.n_static;
        }
        tn_error err = {};
        if (ref_kv_init(s.kvfmt, &a, s.block_tokens, &kv, &err))
            fail_msg("%s", err.text);
    }

    /* Blocks from the pool's end, each sequence's in reverse; the first one is nobody's. */
    void place_blocks()
    {
        int next = n_blocks;
        table.assign(s.sequences.size() * static_cast<size_t>(std::max(stride, 1)), 0x7fffffff);
        pool.assign(static_cast<size_t>(n_blocks + 1) * block_bytes(), 0xff);
        uint32_t seed = 6;
        for (size_t i = 0; i < s.sequences.size(); i++)
            for (int b = 0; b < blocks_of(s.sequences[i]); b++)
                table[i * static_cast<size_t>(stride) + static_cast<size_t>(b)] = next--;
        for (size_t i = 0; i < s.sequences.size(); i++)
            for (int p = 0; p < s.sequences[i].kv_len; p++)
                for (int h = 0; h < s.kv_heads; h++) {
                    const size_t dim = static_cast<size_t>(s.head_dim);
                    std::vector<float> k = numbers(dim, seed), v = numbers(dim, seed + 1);
                    seed += 2;
                    if (s.change)
                        s.change(p, k, v);
                    ref_kv_store(&kv, block(i, p), h, p % s.block_tokens, k.data(), v.data());
                }
    }

    std::vector<float> row(size_t sequence_index, int position, int head, int which)
    {
        std::vector<float> x(static_cast<size_t>(s.head_dim));
        ref_kv_load(&kv, block(sequence_index, position), head, position % s.block_tokens, which,
                    x.data());
        return x;
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
            const std::vector<float> k = row(i, p, kv_head, REF_K), v = row(i, p, kv_head, REF_V);
            double score = 0.0;
            for (size_t d = 0; d < dim; d++)
                score += static_cast<double>(widen(query[d], s.dtype)) * static_cast<double>(k[d]);
            score *= scale_at(position);
            const double cap = static_cast<double>(s.softcap);
            const double weight = std::exp(cap > 0.0 ? cap * std::tanh(score / cap) : score);
            total += weight;
            for (size_t d = 0; d < dim; d++)
                sum[d] += weight * static_cast<double>(v[d]);
        }
        for (size_t d = 0; d < dim; d++)
            expected.push_back(one.kv_len > 0 ? sum[d] / total : 0.0);
    }

    /* The case on the device; launch takes its arguments. */
    template <class Launch> std::vector<uint16_t> run(Launch launch) const
    {
        device_array<uint16_t> dq(q), out(q.size());
        device_array<uint8_t> dpool(pool);
        device_array<float> dstatic(kv_static);
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
        a.kv = dpool.p;
        a.kv_block_bytes = block_bytes();
        a.kv_static = kv_static.empty() ? nullptr : dstatic.p;
        a.n_kv_static = static_cast<int32_t>(kv_static.size() / 4);
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

    template <class Launch> void check(Launch launch, double tolerance = 1e-3) const
    {
        const std::vector<uint16_t> got = run(launch);
        const double unit = s.dtype == TN_BF16 ? 0x1p-8 : 0x1p-11;
        for (size_t i = 0; i < got.size(); i++)
            near(widen(got[i], s.dtype), expected[i],
                 unit * std::min(1.0, std::fabs(expected[i])) + tolerance, "out", i);
    }
};

} // namespace fp16_test

#endif
