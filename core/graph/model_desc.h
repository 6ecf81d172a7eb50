/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a model is, in numbers: filled by model/formats from the file's metadata (checked there), read by model/arch to build
 * the graph and by the engine for rope tables and limits. The core knows no file format. Plain data; strings are owned by
 * whoever made it and live as long as the model.
 */
#ifndef TN_CORE_GRAPH_MODEL_DESC_H
#define TN_CORE_GRAPH_MODEL_DESC_H

#include <stdint.h>

enum { TN_ROPE_SCALING_NONE = 0, TN_ROPE_SCALING_LINEAR, TN_ROPE_SCALING_DYNAMIC, TN_ROPE_SCALING_YARN,
       TN_ROPE_SCALING_LLAMA3, TN_ROPE_SCALING_LONGROPE };

typedef struct tn_rope_desc {
    int32_t scaling;         /* TN_ROPE_SCALING_* */
    int32_t pairing;         /* TN_ROPE_HALVES or TN_ROPE_INTERLEAVED */
    int32_t rotary_dim;      /* even, <= head_dim */
    int32_t original_length; /* trained context before scaling, tokens; 0 = max_length */
    float base;              /* theta, 10000 */
    float factor;            /* scaling factor, 1 = none */
    float low_freq_factor, high_freq_factor;          /* llama3 */
    float beta_fast, beta_slow, attention_factor;     /* YaRN; longrope has the last */
    /* [rotary_dim / 2] divisors of the inverse frequencies (GGUF rope_freqs.weight; longrope: short_factor), or NULL; and those of
     * sequences past original_length (longrope: long_factor), or NULL */
    const float *freq_factors, *long_factors;
} tn_rope_desc;

typedef struct tn_model_desc {
    const char *arch;      /* "llama" ... the key of the architecture table */
    const char *name;      /* the file's own name for the model, or "" */
    uint64_t source_id;    /* hash of the file's identity and metadata: seeds the prefix index */
    int32_t dim;           /* hidden size */
    int32_t n_layers, heads, kv_heads, head_dim;
    int32_t ffn;           /* feed-forward width */
    int32_t vocab;
    int32_t max_length;    /* trained context, tokens */
    int32_t act;           /* TN_ACT_* of the gated unit */
    int32_t window;        /* sliding window, tokens; 0 = none */
    int32_t window_layer;  /* the first layer that has it; those before see everything */
    float norm_eps, norm_offset;
    float embed_scale, attn_scale, logit_scale;       /* 0 = default (1, 1/sqrt(head_dim), 1) */
    float residual_scale;  /* 0 = 1; out_scale of the linears that feed the residual stream */
    float softcap;         /* attention soft cap; 0 = none */
    int32_t logn_length;   /* logn attention: trained length; 0 = off */
    int32_t qk_norm;       /* 1: per-head norm of q and k before rope */
    tn_rope_desc rope;
} tn_model_desc;

#endif
