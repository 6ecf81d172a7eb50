/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tiny Llama models for tests, made from a seed: the same options give the same bytes on every
 * machine.
 *
 *     tn_tiny_model m = TN_TINY_MODEL_DEFAULT;
 *     m.type = "Q4_1";
 *     st = tn_tiny_model_write(&m, path, &err);
 */
#ifndef TN_TESTS_SUPPORT_TINY_MODEL_H
#define TN_TESTS_SUPPORT_TINY_MODEL_H

#include "core/base/status.h"

typedef struct tn_tiny_model {
    uint64_t seed;
    int32_t layers, dim, heads, kv_heads, head_dim, ffn;
    int32_t
        vocab; /* tokens; 0: as many as the vocabulary needs. More are filled with unused ones */
    int32_t context; /* trained length */
    int32_t tied;    /* 1: no output.weight */
    int32_t
        spm; /* 0: byte-level BPE, pre-tokenizer "smollm"; 1: SentencePiece with byte fallback */
    int32_t rotary_dim;   /* 0: head_dim */
    int32_t freq_factors; /* 1: a tensor rope_freqs.weight */
    int32_t shards;       /* more than 1: so many files, see tn_tiny_model_write */
    int32_t dequantised;  /* 1: matrices are F32, with the values that their types would give */
    const char *type;     /* of the layers' matrices, any that can be read; "Q4_K" and its like need
                             dim and ffn to be multiples of 256 */
    const char *embed_type; /* of token_embd.weight and output.weight; NULL: as type */
    const char *v_type;     /* of attn_v.weight; NULL: as type. Another one makes a mixed q, k, v */
    const char *rope_scaling; /* NULL, "linear" or "yarn" */
    float rope_factor, rope_base, eps;
    /* Of the layers' matrices, 1. With 2 attention is sharp and its output strong, so that greedy
     * ids hardly repeat. */
    float gain;
} tn_tiny_model;

/* A multiple of 32 everywhere, so that every weight type fits. */
#define TN_TINY_MODEL_DEFAULT                                                                      \
    {                                                                                              \
        .seed = 1, .layers = 2, .dim = 64, .heads = 4, .kv_heads = 2, .head_dim = 16, .ffn = 96,   \
        .context = 256, .tied = 1, .type = "F32", .rope_factor = 1.0f, .rope_base = 10000.0f,      \
        .eps = 1e-5f, .gain = 1.0f                                                                 \
    }

/** TN_INVALID for options that make no model. With N shards, path is that of the first:
 * NAME-00001-of-0000N.gguf. */
tn_status tn_tiny_model_write(const tn_tiny_model *m, const char *path, tn_error *err) TN_MUST_USE;

/** Next of a seeded sequence (SplitMix64, Steele et al. 2014), and a float of mean 0 and variance
 * 1, alike on every machine. */
uint64_t tn_test_random(uint64_t *state);
float tn_test_normal(uint64_t *state);

#endif
