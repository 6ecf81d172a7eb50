/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/tiny_model.h"

#include "core/base/alloc.h"
#include "model/formats/gguf_split.h"
#include "model/formats/gguf_writer.h"
#include "tests/support/tiny_blocks.h"
#include "tests/support/tiny_vocab.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Largest side of a matrix: these are tiny models. */
enum { MAX_SIDE = 1 << 16, MAX_LAYERS = 128, MAX_SHARDS = 16, MAX_NAME = 48 };

uint64_t tn_test_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

float tn_test_normal(uint64_t *state)
{
    /* A sum of 12 uniforms: exact in f64, so no libm decides about the bytes of a file. */
    double sum = -6.0;
    for (int i = 0; i < 12; i++)
        sum += (double)(tn_test_random(state) >> 32) / 4294967296.0;
    return (float)sum;
}

typedef struct builder {
    const tn_tiny_model *m;
    tn_gguf_writer *w[MAX_SHARDS];
    int32_t n_shards, n_tensors, n_put;
    uint64_t random;
    float *values; /* room for the largest tensor, and for its blocks */
    uint8_t *blocks;
    tn_status status; /* the first error, but those of the writers */
    tn_error error;
} builder;

/* Tensors go to the shards in turn, as many to each. */
static tn_gguf_writer *next_writer(builder *b)
{
    return b->w[b->n_put++ * b->n_shards / b->n_tensors];
}

/* rows x cols of mean 0 and standard deviation gain / sqrt(cols), so that a product keeps its
 * input's size. */
static void put_matrix(builder *b, const char *name, const char *type, int32_t rows, int32_t cols,
                       float gain)
{
    const tn_weight_format *f = tn_weight_format_of_name(type);
    tn_gguf_writer *w = next_writer(b);
    bool is_writable = f && f->decode && cols % (int32_t)f->block_elements == 0;
    size_t n_blocks = is_writable ? (size_t)rows * (size_t)cols / (size_t)f->block_elements : 0;
    if (is_writable)
        tn_tiny_blocks_make(f, &b->random, gain / sqrtf((float)cols), n_blocks, b->values,
                            b->blocks);
    if (!is_writable || !b->m->dequantised) {
        tn_gguf_put_blocks(w, name, type, rows, cols, b->blocks);
        return;
    }
    if (!b->status)
        b->status = tn_tiny_blocks_values(f, b->blocks, n_blocks, b->values, &b->error);
    tn_gguf_put_tensor(w, name, "F32", rows, cols, b->values);
}

/* A vector near 1. */
static void put_vector(builder *b, const char *name, int32_t cols)
{
    for (int32_t i = 0; i < cols; i++)
        b->values[i] = 1.0f + 0.1f * tn_test_normal(&b->random);
    tn_gguf_put_tensor(next_writer(b), name, "F32", 0, cols, b->values);
}

static void put_layer(builder *b, int32_t layer)
{
    const tn_tiny_model *m = b->m;
    const char *v_type = m->v_type ? m->v_type : m->type;
    const float gain = m->gain > 0 ? m->gain : 1.0f;
    const int32_t q = m->heads * m->head_dim;
    const int32_t kv = m->kv_heads * m->head_dim;
    const struct {
        const char *role, *type;
        int32_t rows, cols;
        float gain;
    } tensors[] = {
        { "attn_norm", NULL, 0, m->dim, 1.0f },        { "attn_q", m->type, q, m->dim, gain },
        { "attn_k", m->type, kv, m->dim, gain },       { "attn_v", v_type, kv, m->dim, gain },
        { "attn_output", m->type, m->dim, q, gain },   { "ffn_norm", NULL, 0, m->dim, 1.0f },
        { "ffn_gate", m->type, m->ffn, m->dim, gain }, { "ffn_up", m->type, m->ffn, m->dim, 1.0f },
        { "ffn_down", m->type, m->dim, m->ffn, gain },
    };
    for (size_t i = 0; i < sizeof(tensors) / sizeof(tensors[0]); i++) {
        char name[MAX_NAME];
        (void)snprintf(name, sizeof(name), "blk.%d.%s.weight", layer, tensors[i].role);
        if (tensors[i].type)
            put_matrix(b, name, tensors[i].type, tensors[i].rows, tensors[i].cols, tensors[i].gain);
        else
            put_vector(b, name, tensors[i].cols);
    }
}

static void put_hyperparameters(tn_gguf_writer *w, const tn_tiny_model *m, int32_t vocab)
{
    tn_gguf_put_string(w, "general.architecture", "llama", 5);
    tn_gguf_put_string(w, "general.name", "tiny", 4);
    tn_gguf_put_u32(w, "llama.block_count", (uint32_t)m->layers);
    tn_gguf_put_u32(w, "llama.context_length", (uint32_t)m->context);
    tn_gguf_put_u32(w, "llama.embedding_length", (uint32_t)m->dim);
    tn_gguf_put_u32(w, "llama.feed_forward_length", (uint32_t)m->ffn);
    tn_gguf_put_u32(w, "llama.attention.head_count", (uint32_t)m->heads);
    tn_gguf_put_u32(w, "llama.attention.head_count_kv", (uint32_t)m->kv_heads);
    tn_gguf_put_u32(w, "llama.attention.key_length", (uint32_t)m->head_dim);
    tn_gguf_put_u32(w, "llama.attention.value_length", (uint32_t)m->head_dim);
    tn_gguf_put_f32(w, "llama.attention.layer_norm_rms_epsilon", m->eps);
    tn_gguf_put_u32(w, "llama.rope.dimension_count",
                    (uint32_t)(m->rotary_dim ? m->rotary_dim : m->head_dim));
    tn_gguf_put_f32(w, "llama.rope.freq_base", m->rope_base);
    if (m->rope_scaling) {
        tn_gguf_put_string(w, "llama.rope.scaling.type", m->rope_scaling, strlen(m->rope_scaling));
        tn_gguf_put_f32(w, "llama.rope.scaling.factor", m->rope_factor);
        tn_gguf_put_u32(w, "llama.rope.scaling.original_context_length", (uint32_t)m->context);
    }
    tn_gguf_put_u32(w, "llama.vocab_size", (uint32_t)vocab);
}

static void put_tensors(builder *b, int32_t vocab)
{
    const tn_tiny_model *m = b->m;
    const char *embed_type = m->embed_type ? m->embed_type : m->type;
    put_matrix(b, "token_embd.weight", embed_type, vocab, m->dim, m->tied ? 2.0f : 8.0f);
    if (m->freq_factors) {
        int32_t n = (m->rotary_dim ? m->rotary_dim : m->head_dim) / 2;
        for (int32_t i = 0; i < n; i++)
            b->values[i] = 1.0f + (float)i / 4.0f;
        tn_gguf_put_tensor(next_writer(b), "rope_freqs.weight", "F32", 0, n, b->values);
    }
    for (int32_t i = 0; i < m->layers; i++)
        put_layer(b, i);
    put_vector(b, "output_norm.weight", m->dim);
    if (!m->tied)
        put_matrix(b, "output.weight", embed_type, vocab, m->dim, 2.0f);
}

static tn_status check(const tn_tiny_model *m, tn_error *err)
{
    const int32_t sides[] = { m->dim, m->heads, m->kv_heads, m->head_dim, m->ffn, m->context };
    for (size_t i = 0; i < sizeof(sides) / sizeof(sides[0]); i++)
        if (sides[i] < 1 || sides[i] > MAX_SIDE)
            return tn_fail(err, TN_INVALID, "a tiny model with a size of %d; 1 to %d is allowed",
                           sides[i], MAX_SIDE);
    if (m->layers < 0 || m->layers > MAX_LAYERS || (int64_t)m->heads * m->head_dim > MAX_SIDE ||
        m->kv_heads > m->heads)
        return tn_fail(err, TN_INVALID, "a tiny model with %d layers and %d/%d heads of %d",
                       m->layers, m->heads, m->kv_heads, m->head_dim);
    if (m->shards > MAX_SHARDS)
        return tn_fail(err, TN_INVALID, "a tiny model in %d shards; up to %d are allowed",
                       m->shards, MAX_SHARDS);
    return TN_OK;
}

static size_t largest_tensor(const tn_tiny_model *m, int32_t vocab)
{
    size_t width = (size_t)(m->heads * m->head_dim);
    size_t rows = width > (size_t)m->ffn ? width : (size_t)m->ffn;
    rows = rows > (size_t)vocab ? rows : (size_t)vocab;
    return rows * (size_t)(m->dim > m->head_dim ? m->dim : m->head_dim);
}

/* One writer a shard; the model's metadata goes to the first. */
static tn_status start(builder *b, int32_t *vocab, tn_error *err)
{
    const tn_tiny_model *m = b->m;
    b->n_tensors = 2 + 9 * m->layers + (m->freq_factors != 0) + !m->tied;
    for (int32_t i = 0; i < b->n_shards; i++) {
        TN_TRY(tn_gguf_writer_create(&b->w[i], err));
        if (b->n_shards == 1)
            continue;
        tn_gguf_put_u16(b->w[i], "split.no", (uint16_t)i);
        tn_gguf_put_u16(b->w[i], "split.count", (uint16_t)b->n_shards);
        tn_gguf_put_i32(b->w[i], "split.tensors.count", b->n_tensors);
    }
    TN_TRY(tn_tiny_vocab_put(b->w[0], m->spm, vocab, err));
    put_hyperparameters(b->w[0], m, *vocab);
    size_t n = largest_tensor(m, *vocab);
    b->values = tn_alloc_array(n, sizeof(*b->values));
    b->blocks = tn_alloc_array(n, 4); /* of F32, the largest */
    return b->values && b->blocks ? TN_OK : tn_fail_memory(err, "a tiny model");
}

static tn_status finish(builder *b, const char *path, tn_error *err)
{
    tn_arena arena = { 0 };
    tn_status st = b->status ? tn_fail(err, b->status, "%s", b->error.text) : TN_OK;
    for (int32_t i = 0; i < b->n_shards && !st; i++) {
        const tn_gguf_split split = { .count = b->n_shards };
        const char *shard = path;
        if (b->n_shards > 1)
            st = tn_gguf_split_path(path, &split, i, &arena, &shard, err);
        if (!st)
            st = tn_gguf_writer_finish(b->w[i], shard, err);
    }
    tn_arena_deinit(&arena);
    return st;
}

tn_status tn_tiny_model_write(const tn_tiny_model *m, const char *path, tn_error *err)
{
    TN_TRY(check(m, err));
    int32_t vocab = m->vocab;
    builder b = { .m = m, .random = m->seed, .n_shards = m->shards > 1 ? m->shards : 1 };
    tn_status st = start(&b, &vocab, err);
    if (!st) {
        put_tensors(&b, vocab);
        st = finish(&b, path, err);
    }
    tn_free(b.values);
    tn_free(b.blocks);
    for (int32_t i = 0; i < b.n_shards; i++)
        tn_gguf_writer_destroy(b.w[i]);
    return st;
}
