// SPDX-License-Identifier: Apache-2.0
// qk_norm, rope and the cache's write in one kernel: against loops under every schedule, and at the
// positions of long contexts.
#include "tests/plugins/cuda-fp16/fp16_rig.h"

using namespace fp16_test;

// One head of 64 at a position: q in and out, nothing written.
static std::vector<uint16_t> rotate(const std::vector<uint16_t> &head, int position,
                                    const std::vector<float> &frequencies)
{
    device_array<uint16_t> q(head), out(head.size()), k(head), k_out(head.size());
    device_array<float> table(frequencies);
    device_array<int32_t> pos(std::vector<int32_t>{ position }),
        start(std::vector<int32_t>{ 0, 1 }), length(std::vector<int32_t>{ position + 1 }),
        zero(std::vector<int32_t>{ 0 });
    fp16_rope_args a = {};
    a.q = q.p;
    a.k = k.p;
    a.q_out = out.p;
    a.k_out = k_out.p;
    a.q_stride = a.k_stride = a.q_out_stride = a.k_out_stride = 64;
    a.tokens = a.heads = a.kv_heads = a.n_seqs = 1;
    a.head_dim = a.rotary_dim = 64;
    a.dtype = TN_F16;
    a.pairing = TN_ROPE_HALVES;
    a.mscale = 1.0f;
    a.pos = pos.p;
    a.q_start = start.p;
    a.kv_len = length.p;
    a.rope_index = zero.p;
    a.rope_table = table.p;
    assert_int_equal(fp16_rope(&a, nullptr), cudaSuccess);
    assert_int_equal(cudaDeviceSynchronize(), cudaSuccess);
    assert_true(out.read() == k_out.read());
    return out.read();
}

// The angle is the product rounded to f32 (docs/numerics.md); a turn of a million radians loses
// nothing beyond the rounding of the result.
static void rope_is_as_exact_at_a_million_as_at_one(void **)
{
    std::vector<float> frequencies;
    for (int i = 0; i < 32; i++)
        frequencies.push_back(std::pow(10000.0f, -static_cast<float>(i) / 32.0f));
    const std::vector<uint16_t> head = rows16(1, 64, 64, TN_F16, 1);
    for (int position : { 0, 1, 7, 1000, 32767, 131071, 1048575 }) {
        const std::vector<uint16_t> got = rotate(head, position, frequencies);
        for (size_t i = 0; i < 32; i++) {
            const double angle = static_cast<double>(static_cast<float>(position) * frequencies[i]);
            const double x = static_cast<double>(widen(head[i], TN_F16)),
                         y = static_cast<double>(widen(head[i + 32], TN_F16));
            const double first = x * std::cos(angle) - y * std::sin(angle),
                         second = x * std::sin(angle) + y * std::cos(angle);
            near(widen(got[i], TN_F16), first, std::fabs(first) * 0x1p-11 + 1e-6, "first", i);
            near(widen(got[i + 32], TN_F16), second, std::fabs(second) * 0x1p-11 + 1e-6, "second",
                 i);
        }
    }
}

// Two sequences and a token of padding; q, k and v side by side as a qkv linear leaves them.
struct rope_case {
    enum : int { heads = 5, kv_heads = 2, dim = 64, rotary = 32, block = 16, tokens = 4 };
    enum : size_t { stride = (heads + 2 * kv_heads) * dim + 8, q_stride = heads * dim + 8 };
    int dtype, pairing;
    std::vector<int32_t> pos{ 5, 6, 1000, 0 }, slot{ 21, 22, 40, -1 }, q_start{ 0, 2, 3, 4 },
        kv_len{ 7, 1001, 0 }, rope_index{ 1, 0, 0 };
    std::vector<float> table = numbers(rotary, 1), q_weight = numbers(dim, 2),
                       k_weight = numbers(dim, 3);
    std::vector<uint16_t> qkv;

    rope_case(int type, int pairs)
        : dtype(type), pairing(pairs), qkv(rows16(tokens, stride - 8, stride, type, 4))
    {
    }

    // Head `head` of a token, counted through q, k and v, after the steps that it goes through.
    std::vector<double> expected(size_t token, int head) const
    {
        std::vector<double> x;
        for (size_t d = 0; d < dim; d++)
            x.push_back(static_cast<double>(
                widen(qkv[token * stride + static_cast<size_t>(head) * dim + d], dtype)));
        if (head >= heads + kv_heads)
            return x;
        const std::vector<float> &weight = head < heads ? q_weight : k_weight;
        double squares = 0.0;
        for (double one : x)
            squares += one * one;
        for (size_t d = 0; d < dim; d++)
            x[d] *= (static_cast<double>(weight[d]) + 1.0) / std::sqrt(squares / dim + 1e-5);
        const size_t sequence = token < 2 ? 0 : token - 1;
        for (size_t p = 0; p < rotary / 2 && kv_len[sequence] > 0; p++) {
            const size_t first = pairing == TN_ROPE_HALVES ? p : 2 * p,
                         second = pairing == TN_ROPE_HALVES ? p + rotary / 2 : 2 * p + 1;
            const float turn = table[static_cast<size_t>(rope_index[sequence]) * (rotary / 2) + p];
            const double angle = static_cast<double>(static_cast<float>(pos[token]) * turn);
            const double a = x[first], b = x[second];
            x[first] = 1.5 * (a * std::cos(angle) - b * std::sin(angle));
            x[second] = 1.5 * (a * std::sin(angle) + b * std::cos(angle));
        }
        return x;
    }

    void compare(const uint16_t *got, int type, size_t token, int head, const char *what) const
    {
        const std::vector<double> want = expected(token, head);
        const double unit = type == TN_BF16 ? 0x1p-8 : 0x1p-11;
        for (size_t d = 0; d < dim; d++)
            near(widen(got[d], type), want[d], unit * std::fabs(want[d]) + 1e-5, what, d);
    }

    void check() const
    {
        const size_t pool_size = 3 * kv_heads * 2 * block * dim;
        device_array<uint16_t> x(qkv), q_out(tokens * q_stride),
            pool(std::vector<uint16_t>(pool_size, 0xffff));
        device_array<int32_t> dpos(pos), dslot(slot), dstart(q_start), dlen(kv_len),
            dindex(rope_index);
        device_array<float> dtable(table), dq(q_weight), dk(k_weight);
        fp16_rope_args a = {};
        a.q = x.p;
        a.k = x.p + heads * dim;
        a.v = x.p + (heads + kv_heads) * dim;
        a.q_out = q_out.p;
        a.q_stride = a.k_stride = a.v_stride = stride;
        a.q_out_stride = q_stride;
        a.tokens = tokens;
        a.heads = heads;
        a.kv_heads = kv_heads;
        a.head_dim = dim;
        a.dtype = dtype;
        a.rotary_dim = rotary;
        a.pairing = pairing;
        a.q_weight = dq.p;
        a.k_weight = dk.p;
        a.eps = 1e-5f;
        a.offset = 1.0f;
        a.mscale = 1.5f;
        a.pos = dpos.p;
        a.slot = dslot.p;
        a.q_start = dstart.p;
        a.kv_len = dlen.p;
        a.rope_index = dindex.p;
        a.rope_table = dtable.p;
        a.n_seqs = 3;
        a.block_tokens = block;
        a.kv = reinterpret_cast<uint8_t *>(pool.p);
        a.kv_block_bytes = kv_heads * 2 * block * dim * 2;
        assert_int_equal(fp16_rope(&a, nullptr), cudaSuccess);
        assert_int_equal(cudaDeviceSynchronize(), cudaSuccess);
        compare_all(q_out.read(), pool.read());
    }

    // Every head of every token, and nothing else in the pool than what slots say.
    void compare_all(const std::vector<uint16_t> &q, const std::vector<uint16_t> &pool) const
    {
        size_t n_written = 0;
        for (size_t t = 0; t < tokens; t++) {
            for (int h = 0; h < heads; h++)
                compare(&q[t * q_stride + static_cast<size_t>(h * dim)], dtype, t, h, "q");
            for (int h = 0; h < 2 * kv_heads && slot[t] >= 0; h++) {
                const int head = h % kv_heads, is_value = h / kv_heads;
                const int row = (slot[t] / block * kv_heads * 2 + head * 2 + is_value) * block +
                                slot[t] % block;
                compare(&pool[static_cast<size_t>(row * dim)], TN_F16, t, heads + h, "pool");
                n_written += dim;
            }
        }
        for (uint16_t one : pool)
            n_written -= one != 0xffff;
        assert_int_equal(n_written, 0);
    }
};

static void heads_are_normed_turned_and_written_under_every_schedule(void **)
{
    for (int dtype : { TN_F16, TN_BF16 })
        for (int pairing : { TN_ROPE_HALVES, TN_ROPE_INTERLEAVED }) {
            const rope_case c(dtype, pairing);
            simt_test::under_every_setting([&] { c.check(); });
        }
}

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(heads_are_normed_turned_and_written_under_every_schedule,
                               simt_test::reset),
        cmocka_unit_test_setup(rope_is_as_exact_at_a_million_as_at_one, simt_test::reset),
    };
    return cmocka_run_group_tests_name("fp16_rope", tests, nullptr, nullptr);
}
