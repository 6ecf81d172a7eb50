/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tensors of a Hugging Face model and what the core calls them. A table lists every tensor that
 * a family's model has, so that one too few or too many is found. Thread: immutable.
 */
#ifndef TN_MODEL_FORMATS_HF_NAMES_H
#define TN_MODEL_FORMATS_HF_NAMES_H

#include <stdint.h>

/* Linears that have a bias in some models. */
enum { TN_HF_BIAS_QKV = 1, TN_HF_BIAS_OUT = 2, TN_HF_BIAS_MLP = 4 };

/* The rows of the file's tensor that a tensor of the core has. PACKED_*: q, k and v are one tensor;
 * each kv head has its q heads, its k and its v one after another (InternLM2). */
enum { TN_HF_WHOLE = 0, TN_HF_PACKED_Q, TN_HF_PACKED_K, TN_HF_PACKED_V };
enum { TN_HF_MAX_ROLES = 16 };

typedef struct tn_hf_role {
    const char *hf;   /* module inside the layer: "self_attn.q_proj" */
    const char *core; /* "attn_q" */
    uint32_t bias;    /* the TN_HF_BIAS_* that says whether it has one; 0: a vector, or never */
    int32_t rows;     /* TN_HF_WHOLE ... */
} tn_hf_role;

typedef struct tn_hf_names {
    const char *embed, *norm, *head;  /* modules: "model.embed_tokens" */
    const char *layers;               /* "model.layers" */
    tn_hf_role role[TN_HF_MAX_ROLES]; /* ends with hf NULL */
} tn_hf_names;

extern const tn_hf_names tn_hf_names_llama, tn_hf_names_internlm2, tn_hf_names_qwen3;

#endif
