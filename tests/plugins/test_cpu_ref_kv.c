/* SPDX-License-Identifier: Apache-2.0 */
/* cpu-ref: qk_norm, rope, kv_write, rope_kv_write, and the bytes of every KV format. */
#include "core/base/alloc.h"
#include "plugins/common/half.h"
#include "plugins/cpu-ref/kernels.h"
#include "tests/support/plugin_harness.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { H = 6, G = 2, D = 20, ROTARY = 12, T = 16, N = 5, QKV = (H + 2 * G) * D, BLOCKS = 4 };

static const float kv_static[G][4] = { { 0.02f, 0.5f, 0.03f, -0.25f }, { 0.01f, 0.0f, 0.5f, 0 } };
static const char *const formats[] = { "f32", "f16", "i8", "i8-static" };
static const double relative = 0x1p-24 * 1.001;

static tn_attention attention_param(void)
{
    return (tn_attention){ .size = sizeof(tn_attention),
                           .heads = H,
                           .kv_heads = G,
                           .head_dim = D,
                           .kv_static = kv_static[0],
                           .n_kv_static = G };
}

static tn_rope rope_param(int32_t pairing, int32_t qk_norm)
{
    return (tn_rope){ .size = sizeof(tn_rope),
                      .heads = H,
                      .kv_heads = G,
                      .head_dim = D,
                      .rotary_dim = ROTARY,
                      .pairing = pairing,
                      .qk_norm = qk_norm,
                      .qk_eps = 1e-5f,
                      .qk_offset = 1.0f,
                      .mscale = 1.25f };
}

static const tn_kv_format *format_named(const char *name)
{
    for (const tn_kv_format *const *f = tn_cpu_ref_kv_formats; *f; f++)
        if (strcmp((*f)->name, name) == 0)
            return *f;
    fail_msg("no KV format %s", name);
    return tn_cpu_ref_kv_formats[0];
}

/* Two rope tables; two sequences of 2 and 3 tokens in blocks 2 and 3, the second deep in its
 * context. */
static float rope_table[2][ROTARY / 2];
static void make_batch(harness_batch *b)
{
    static const int32_t first[] = { 2 }, second[] = { 0, 3 };
    uint64_t seed = 99;
    harness_fill(&seed, rope_table[0], ROTARY, 0.001f, 1.0f);
    harness_batch_init(b, rope_table[0], 2);
    harness_batch_add(b, 0, 2, first, T, 1);
    harness_batch_add(b, 14, 3, second, T, 0);
}

/* ---- rope, qk_norm ---- */

static void naive_rope(const tn_rope *rope, const harness_batch *b, int32_t token, const float *x,
                       double *out)
{
    const float *inv_freq = rope_table[token < 2 ? 1 : 0];
    for (int32_t i = 0; i < D; i++)
        out[i] = (double)x[i];
    for (int32_t i = 0; i < ROTARY / 2; i++) {
        float angle = (float)b->pos[token] * inv_freq[i];
        double c = cos((double)angle) * 1.25, s = sin((double)angle) * 1.25;
        int32_t first = rope->pairing == TN_ROPE_HALVES ? i : 2 * i;
        int32_t second = first + (rope->pairing == TN_ROPE_HALVES ? ROTARY / 2 : 1);
        out[first] = (double)x[first] * c - (double)x[second] * s;
        out[second] = (double)x[second] * c + (double)x[first] * s;
    }
}

static void rope_turns_both_pairings_and_copies_the_tail(void **state)
{
    (void)state;
    static float qkv[N * QKV], out[N * QKV];
    static harness_batch b;
    uint64_t seed = 1;
    harness h;
    harness_op op;
    harness_open(&h, 2);
    make_batch(&b);
    for (int32_t pairing = TN_ROPE_HALVES; pairing <= TN_ROPE_INTERLEAVED; pairing++) {
        tn_rope rope = rope_param(pairing, 0);
        tn_node node = harness_node("rope", 2, 2, &rope);
        harness_fill(&seed, qkv, N * QKV, -2.0f, 2.0f);
        harness_op_init(&op, &h, &node);
        tn_tensor in[2] = { harness_heads(qkv, N, H, D, QKV),
                            harness_heads(qkv + H * D, N, G, D, QKV) };
        tn_tensor y[2] = { harness_heads(out, N, H, D, QKV),
                           harness_heads(out + H * D, N, G, D, QKV) };
        harness_run(&op, in, 2, y, 2, &b.batch);
        for (int32_t t = 0; t < N; t++)
            for (int32_t head = 0; head < H + G; head++) {
                double expected[D];
                naive_rope(&rope, &b, t, qkv + t * QKV + head * D, expected);
                harness_assert_close(out + t * QKV + head * D, expected, D, relative, 1e-15);
            }
        harness_run(&op, in, 2, in, 2, &b.batch); /* in place */
        for (int32_t t = 0; t < N; t++)
            harness_assert_same_bits(qkv + t * QKV, out + t * QKV, (H + G) * D);
        harness_op_deinit(&op);
    }
    harness_close(&h);
}

static void rope_rounds_the_angle_once_at_far_positions(void **state)
{
    (void)state;
    float inv_freq[1] = { 0.7390851f }, x[2] = { 1.0f, 0.0f }, out[2];
    static harness_batch b;
    static const int32_t blocks[1] = { 0 };
    harness h;
    harness_op op;
    harness_open(&h, 1);
    harness_batch_init(&b, inv_freq, 1);
    harness_batch_add(&b, 0, 1, blocks, T, 0);
    b.pos[0] = 131071;
    tn_rope rope = { .size = sizeof rope,
                     .heads = 1,
                     .kv_heads = 1,
                     .head_dim = 2,
                     .rotary_dim = 2,
                     .pairing = TN_ROPE_HALVES };
    tn_node node = harness_node("rope", 2, 2, &rope);
    harness_op_init(&op, &h, &node);
    tn_tensor in[2] = { harness_heads(x, 1, 1, 2, 2), harness_heads(x, 1, 1, 2, 2) };
    float k_out[2];
    tn_tensor y[2] = { harness_heads(out, 1, 1, 2, 2), harness_heads(k_out, 1, 1, 2, 2) };
    harness_run(&op, in, 2, y, 2, &b.batch);
    float angle = 131071.0f * inv_freq[0];
    assert_true(out[0] == (float)cos((double)angle) && out[1] == (float)sin((double)angle));
    assert_true(out[0] !=
                (float)cos(131071.0 * (double)inv_freq[0])); /* the rounding matters here */
    harness_op_deinit(&op);
    harness_close(&h);
}

static void qk_norm_norms_each_head(void **state)
{
    (void)state;
    static float q[N * H * D], k[N * G * D], q_out[N * H * D], k_out[N * G * D];
    float w[2][D], row[D];
    uint64_t seed = 2;
    tn_error err = { 0 };
    harness h;
    harness_op op;
    harness_open(&h, 3);
    harness_fill(&seed, q, N * H * D, -2.0f, 2.0f);
    harness_fill(&seed, k, N * G * D, -2.0f, 2.0f);
    harness_fill(&seed, w[0], 2 * D, 0.5f, 1.5f);
    tn_rope rope = rope_param(0, 1); /* pairing is rope's, not qk_norm's */
    tn_node node = harness_node("qk_norm", 2, 2, &rope);
    harness_op_init(&op, &h, &node);
    for (int32_t part = 0; part < 2; part++) {
        harness_pack_vector(&op, w[part], D, part);
        assert_int_equal(op.kernel->unpack(h.self, &op.node, part, 0, op.blob, row, &err), TN_OK);
        harness_assert_same_bits(row, w[part], D);
    }
    tn_tensor in[2] = { harness_heads(q, N, H, D, H * D), harness_heads(k, N, G, D, G * D) };
    tn_tensor y[2] = { harness_heads(q_out, N, H, D, H * D), harness_heads(k_out, N, G, D, G * D) };

    harness_run(&op, in, 2, y, 2, NULL);

    for (int32_t i = 0; i < N * (H + G); i++) {
        const float *x = i < N * H ? q + i * D : k + (i - N * H) * D;
        const float *result = i < N * H ? q_out + i * D : k_out + (i - N * H) * D;
        double expected[D], sum = 0.0;
        for (int32_t d = 0; d < D; d++)
            sum += (double)x[d] * (double)x[d] / D;
        for (int32_t d = 0; d < D; d++)
            expected[d] =
                (double)x[d] / sqrt(sum + (double)1e-5f) * ((double)w[i < N * H ? 0 : 1][d] + 1.0);
        harness_assert_close(result, expected, D, relative, 0.0);
    }
    harness_run(&op, in, 2, in, 2, NULL);
    harness_assert_same_bits(q, q_out, N * H * D);
    harness_assert_same_bits(k, k_out, N * G * D);
    harness_op_deinit(&op);
    harness_close(&h);
}

/* ---- rope_kv_write and its primitives ---- */

static uint64_t pool_stride(const char *format)
{
    tn_attention attention = attention_param();
    uint64_t bytes = 0;
    assert_int_equal(format_named(format)->block_bytes(NULL, &attention, T, &bytes, NULL), TN_OK);
    return (bytes + 255) / 256 * 256;
}

static uint8_t *pool_new(uint64_t stride)
{
    uint8_t *pool = tn_alloc_aligned((size_t)stride * BLOCKS);
    assert_non_null(pool);
    memset(pool, 0xff, (size_t)stride * BLOCKS);
    return pool;
}

static void init_kv_op(harness_op *op, harness *h, tn_node *node, const char *format, uint8_t *pool)
{
    node->kvfmt = format;
    harness_op_init(op, h, node);
    op->kv = pool;
    op->kv_block_bytes = pool_stride(format);
}

static void run_separately(harness *h, const char *format, const tn_rope *rope, float *qkv,
                           const float (*w)[D], const harness_batch *b, uint8_t *pool)
{
    harness_op op;
    tn_attention attention = attention_param();
    tn_tensor qk[2] = { harness_heads(qkv, N, H, D, QKV),
                        harness_heads(qkv + H * D, N, G, D, QKV) };
    tn_tensor kv[2] = { qk[1], harness_heads(qkv + (H + G) * D, N, G, D, QKV) };
    if (rope->qk_norm) {
        tn_node node = harness_node("qk_norm", 2, 2, rope);
        harness_op_init(&op, h, &node);
        harness_pack_vector(&op, w[0], D, 0);
        harness_pack_vector(&op, w[1], D, 1);
        harness_run(&op, qk, 2, qk, 2, &b->batch);
        harness_op_deinit(&op);
    }
    tn_node turn = harness_node("rope", 2, 2, rope);
    harness_op_init(&op, h, &turn);
    harness_run(&op, qk, 2, qk, 2, &b->batch);
    harness_op_deinit(&op);
    tn_node write = harness_node("kv_write", 2, 0, &attention);
    init_kv_op(&op, h, &write, format, pool);
    harness_run(&op, kv, 2, NULL, 0, &b->batch);
    harness_op_deinit(&op);
}

static void run_fused(harness *h, const char *format, const tn_rope *rope, float *qkv, float *q_out,
                      int32_t q_stride, const float (*w)[D], const harness_batch *b, uint8_t *pool)
{
    harness_op op;
    tn_attention attention = attention_param();
    tn_node node = harness_node("rope_kv_write", 3, 1, rope);
    node.param2 = &attention;
    init_kv_op(&op, h, &node, format, pool);
    for (int32_t i = 0; i < 2 && rope->qk_norm; i++)
        harness_pack_vector(&op, w[i], D, i);
    tn_tensor in[3] = { harness_heads(qkv, N, H, D, QKV), harness_heads(qkv + H * D, N, G, D, QKV),
                        harness_heads(qkv + (H + G) * D, N, G, D, QKV) };
    tn_tensor out = harness_heads(q_out, N, H, D, q_stride);
    harness_run(&op, in, 3, &out, 1, &b->batch);
    harness_op_deinit(&op);
}

static void rope_kv_write_equals_its_primitives_to_the_bit(void **state)
{
    (void)state;
    static float qkv[N * QKV], separate[N * QKV], q_out[N * H * D];
    static harness_batch b;
    float w[2][D];
    uint64_t seed = 3;
    harness h;
    harness_open(&h, 2);
    make_batch(&b);
    b.slot[3] = -1; /* padding writes nothing */
    harness_fill(&seed, w[0], 2 * D, 0.5f, 1.5f);
    for (int32_t i = 0; i < 16; i++) {
        const char *format = formats[i / 4];
        tn_rope rope = rope_param(1 + i % 2, i / 2 % 2);
        uint64_t bytes = pool_stride(format) * BLOCKS;
        uint8_t *pool = pool_new(pool_stride(format)), *expected = pool_new(pool_stride(format));
        harness_fill(&seed, qkv, N * QKV, -2.0f, 2.0f);
        memcpy(separate, qkv, sizeof qkv);

        run_separately(&h, format, &rope, separate, (const float(*)[D])w, &b, expected);
        run_fused(&h, format, &rope, qkv, q_out, H * D, (const float(*)[D])w, &b, pool);

        assert_memory_equal(pool, expected, (size_t)bytes);
        for (int32_t t = 0; t < N; t++)
            harness_assert_same_bits(q_out + t * H * D, separate + t * QKV, H * D);
        run_fused(&h, format, &rope, qkv, qkv, QKV, (const float(*)[D])w, &b, pool);
        assert_memory_equal(pool, expected, (size_t)bytes); /* q in place leaves k and v alone */
        for (int32_t t = 0; t < N; t++)
            harness_assert_same_bits(qkv + t * QKV, separate + t * QKV, H * D);
        tn_free(pool);
        tn_free(expected);
    }
    harness_close(&h);
}

/* ---- formats ---- */

/* Write one token's k and v rows of head 1 at slot, and read them back through the format. */
static void write_and_read(const char *format, const float *k, const float *v, int32_t slot,
                           uint8_t *pool, float *k_back, float *v_back)
{
    static float rows[2][G * D], k_all[G * T * D], v_all[G * T * D];
    static harness_batch b;
    harness h;
    harness_op op;
    tn_attention attention = attention_param();
    tn_node node = harness_node("kv_write", 2, 0, &attention);
    harness_open(&h, 1);
    harness_batch_init(&b, NULL, 0);
    b.slot[0] = slot;
    memset(rows, 0, sizeof rows);
    memcpy(rows[0] + D, k, D * sizeof *k);
    memcpy(rows[1] + D, v, D * sizeof *v);
    init_kv_op(&op, &h, &node, format, pool);
    tn_tensor in[2] = { harness_heads(rows[0], 1, G, D, G * D),
                        harness_heads(rows[1], 1, G, D, G * D) };
    harness_run(&op, in, 2, NULL, 0, &b.batch);
    uint8_t *block = pool + (uint64_t)(slot / T) * op.kv_block_bytes;
    assert_int_equal(format_named(format)->to_f32(h.self, &attention, T, block, k_all, v_all, NULL),
                     TN_OK);
    memcpy(k_back, k_all + (T + slot % T) * D, D * sizeof *k_back);
    memcpy(v_back, v_all + (T + slot % T) * D, D * sizeof *v_back);
    harness_op_deinit(&op);
    harness_close(&h);
}

static void blocks_have_the_documented_bytes_and_places(void **state)
{
    (void)state;
    static const uint64_t expected[] = { G * 2 * T * D * 4, G * 2 * T * D * 2,
                                         G * (2 * T * D + 2 * T * 4), G * 2 * T * D };
    float k[D], v[D], k_back[D], v_back[D];
    uint64_t seed = 5;
    tn_attention attention = attention_param();
    for (size_t f = 0; f < 4; f++) {
        uint64_t bytes = 0;
        assert_int_equal(format_named(formats[f])->block_bytes(NULL, &attention, T, &bytes, NULL),
                         TN_OK);
        assert_int_equal(bytes, expected[f]);
    }
    harness_fill(&seed, k, D, -1.0f, 1.0f);
    harness_fill(&seed, v, D, -1.0f, 1.0f);
    uint8_t *pool = pool_new(pool_stride("f32"));
    write_and_read("f32", k, v, 2 * T + 7, pool, k_back, v_back);
    const uint8_t *record = pool + 2 * pool_stride("f32") + 2 * T * D * 4; /* block 2, head 1 */
    assert_memory_equal(record + 7 * D * 4, k, sizeof k);
    assert_memory_equal(record + (T + 7) * D * 4, v, sizeof v);
    harness_assert_same_bits(k_back, k, D);
    harness_assert_same_bits(v_back, v, D);
    tn_free(pool);
}

static void i8_codes_and_parameters_follow_the_formula(void **state)
{
    (void)state;
    float k[D], v[D], k_back[D], v_back[D];
    uint64_t seed = 6;
    uint8_t *pool = pool_new(pool_stride("i8"));
    for (int32_t round = 0; round < 50; round++) {
        float size = ldexpf(1.0f, round % 20 - 10);
        harness_fill(&seed, k, D, -size, 2.0f * size);
        harness_fill(&seed, v, D, size, 1.5f * size);
        write_and_read("i8", k, v, T + 3, pool, k_back, v_back);
        const uint8_t *record = pool + pool_stride("i8") + 2 * T * D + 2 * T * 4;
        for (int32_t which = 0; which < 2; which++) {
            const float *x = which ? v : k, *back = which ? v_back : k_back;
            float low = x[0], high = x[0];
            for (int32_t i = 1; i < D; i++) {
                low = fminf(low, x[i]);
                high = fmaxf(high, x[i]);
            }
            uint16_t param[2];
            memcpy(param, record + 2 * T * D + (which * T + 3) * 4, sizeof param);
            assert_int_equal(param[0], tn_half_f32_to_f16((high - low) / 255.0f));
            assert_int_equal(param[1], tn_half_f32_to_f16(low));
            float scale = tn_half_f16_to_f32(param[0]), zero = tn_half_f16_to_f32(param[1]);
            for (int32_t i = 0; i < D; i++) {
                float code = nearbyintf((x[i] - zero) / scale);
                code = fminf(fmaxf(code, 0.0f), 255.0f);
                assert_true(record[(which * T + 3) * D + i] == code);
                assert_true(back[i] == code * scale + zero);
            }
        }
    }
    tn_free(pool);
}

static void i8_survives_constant_huge_tiny_and_nan_rows(void **state)
{
    (void)state;
    float k[D], v[D], k_back[D], v_back[D];
    uint8_t *pool = pool_new(pool_stride("i8"));
    for (int32_t i = 0; i < D; i++) {
        k[i] = 0.75f;                /* constant: scale 0, code 0, the value is zero */
        v[i] = i % 2 ? 1e9f : -1e9f; /* scale and zero beyond f16: they stay at its largest */
    }
    write_and_read("i8", k, v, 0, pool, k_back, v_back);
    const uint8_t *record = pool + 2 * T * D + 2 * T * 4;
    for (int32_t i = 0; i < D; i++) {
        assert_true(k_back[i] == 0.75f);
        assert_int_equal(record[i], 0);
        assert_int_equal(record[T * D + i], i % 2 ? 255 : 0);
        assert_true(v_back[i] == (i % 2 ? 255.0f * 65504.0f - 65504.0f : -65504.0f));
    }
    for (int32_t i = 0; i < D; i++) {
        k[i] = 1.0f + 1e-6f * (float)(i % 2); /* range below the smallest f16 */
        v[i] = i ? (float)i : NAN;
    }
    write_and_read("i8", k, v, 1, pool, k_back, v_back);
    for (int32_t i = 0; i < D; i++) {
        assert_int_equal(record[D + i], 0);
        assert_true(k_back[i] == 1.0f);
        assert_true(i == 0 ? v_back[i] == 1.0f : fabsf(v_back[i] - (float)i) < 0.05f);
    }
    tn_free(pool);
}

static void i8_of_infinities_has_finite_parameters(void **state)
{
    (void)state;
    float k[D], v[D], k_back[D], v_back[D];
    uint8_t *pool = pool_new(pool_stride("i8"));
    for (int32_t i = 0; i < D; i++) {
        k[i] = INFINITY; /* the range is no number: scale 0 */
        v[i] = i % 2 ? INFINITY : -INFINITY;
    }
    write_and_read("i8", k, v, 2, pool, k_back, v_back);
    for (int32_t i = 0; i < D; i++) {
        assert_true(k_back[i] == 65504.0f);
        assert_true(v_back[i] == (i % 2 ? 254.0f * 65504.0f : -65504.0f));
    }
    tn_free(pool);
}

static void i8_rounds_halves_to_even(void **state)
{
    (void)state;
    /* min 0 and max 255 give scale 1 and zero 0: codes are the values, rounded. */
    float x[D] = { 0.0f, 255.0f, 0.5f, 1.5f, 2.5f, 253.5f, 254.5f, 127.49999f }, back[D], other[D];
    uint8_t *pool = pool_new(pool_stride("i8"));
    write_and_read("i8", x, x, 5, pool, back, other);
    static const float expected[8] = { 0, 255, 0, 2, 2, 254, 254, 127 };
    harness_assert_same_bits(back, expected, 8);
    harness_assert_same_bits(other, back, D);
    tn_free(pool);
}

static void i8_static_centres_codes_and_saturates(void **state)
{
    (void)state;
    /* Head 1: K scale 0.01, zp 0; V scale 0.5, zp 0. */
    float k[D] = { 0.0f, 0.01f, -1.28f, 1.27f, 5.0f, -5.0f, NAN, 0.012f };
    float v[D] = { 0.25f, 0.75f, 1.25f, 63.5f, 64.0f, -64.0f, INFINITY, -INFINITY };
    float k_back[D], v_back[D];
    uint8_t *pool = pool_new(pool_stride("i8-static"));
    write_and_read("i8-static", k, v, 9, pool, k_back, v_back);
    const uint8_t *record = pool + 2 * T * D;
    static const uint8_t k_codes[8] = { 128, 129, 0, 255, 255, 0, 0, 129 };
    static const uint8_t v_codes[8] = { 128, 130, 130, 255, 255, 0, 255, 0 };
    assert_memory_equal(record + 9 * D, k_codes, 8);
    assert_memory_equal(record + (T + 9) * D, v_codes, 8);
    for (int32_t i = 0; i < 8; i++) {
        assert_true(k_back[i] == (float)(k_codes[i] - 128) * 0.01f);
        assert_true(v_back[i] == (float)(v_codes[i] - 128) * 0.5f);
    }
    tn_free(pool);
}

static void f16_pages_round_to_nearest_even(void **state)
{
    (void)state;
    float x[D] = { 1.0f, 1.00048828125f, 65504.0f, 1e6f, -1e-8f, 6e-8f, 0.1f }, back[D], other[D];
    uint8_t *pool = pool_new(pool_stride("f16"));
    write_and_read("f16", x, x, 15, pool, back, other);
    for (int32_t i = 0; i < D; i++)
        assert_true(back[i] == tn_half_f16_to_f32(tn_half_f32_to_f16(x[i])));
    assert_true(back[1] == 1.0f && isinf(back[3]));
    tn_free(pool);
}

static void supports_refuses_bad_kv_nodes_with_a_reason(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    tn_attention attention = attention_param();
    tn_rope rope = rope_param(TN_ROPE_HALVES, 0);
    tn_node node = harness_node("rope_kv_write", 3, 1, &rope), bad = node;
    node.param2 = &attention;
    node.kvfmt = "f16";
    bad.kvfmt = "f16"; /* no param2 */
    harness_refuses(&h, &bad);
    bad = node;
    bad.kvfmt = "i4";
    harness_refuses(&h, &bad);
    bad.kvfmt = NULL;
    harness_refuses(&h, &bad);
    bad = node;
    bad.block_tokens = 24;
    harness_refuses(&h, &bad);
    rope.rotary_dim = 7;
    harness_refuses(&h, &node);
    rope.rotary_dim = D + 2;
    harness_refuses(&h, &node);
    rope.rotary_dim = D;
    rope.pairing = 3;
    harness_refuses(&h, &node);
    rope.pairing = TN_ROPE_HALVES;
    attention.kv_heads = 3; /* disagrees with rope */
    harness_refuses(&h, &node);
    attention.kv_heads = G;
    attention.n_kv_static = 3;
    node.kvfmt = "i8-static";
    harness_refuses(&h, &node);
    harness_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rope_turns_both_pairings_and_copies_the_tail),
        cmocka_unit_test(rope_rounds_the_angle_once_at_far_positions),
        cmocka_unit_test(qk_norm_norms_each_head),
        cmocka_unit_test(rope_kv_write_equals_its_primitives_to_the_bit),
        cmocka_unit_test(blocks_have_the_documented_bytes_and_places),
        cmocka_unit_test(i8_codes_and_parameters_follow_the_formula),
        cmocka_unit_test(i8_survives_constant_huge_tiny_and_nan_rows),
        cmocka_unit_test(i8_of_infinities_has_finite_parameters),
        cmocka_unit_test(i8_rounds_halves_to_even),
        cmocka_unit_test(i8_static_centres_codes_and_saturates),
        cmocka_unit_test(f16_pages_round_to_nearest_even),
        cmocka_unit_test(supports_refuses_bad_kv_nodes_with_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
