/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json of a Hugging Face directory as a model description. A family (`model_type`) is one
 * row of the table in hf_families.c, with a function that reads what is its own and the names of
 * its tensors. Keys and defaults are those of transformers' configuration classes, or of the class
 * that the model's own repository holds. Thread: pure.
 */
#ifndef TN_MODEL_FORMATS_HF_CONFIG_H
#define TN_MODEL_FORMATS_HF_CONFIG_H

#include "core/base/arena.h"
#include "core/base/strbuf.h"
#include "core/graph/model_desc.h"
#include "model/formats/hf_names.h"
#include "model/formats/json_read.h"

/* As for GGUF: far above any known model, low enough that products fit. */
enum {
    TN_HF_MAX_DIM = 1 << 20,
    TN_HF_MAX_FFN = 1 << 22,
    TN_HF_MAX_LAYERS = 4096,
    TN_HF_MAX_HEADS = 1 << 14,
    TN_HF_MAX_HEAD_DIM = 1 << 12,
    TN_HF_MAX_HEADS_WIDTH = 1 << 24,
    TN_HF_MAX_VOCAB = 1 << 24,
    TN_HF_MAX_CONTEXT = 1 << 30,
};

typedef struct tn_hf_config tn_hf_config;

typedef struct tn_hf_family {
    const char *model_type; /* "llama" */
    const char *class_name; /* of `architectures`: "LlamaForCausalLM"; others of the family are
                               heads that do not generate text, and are refused */
    const char *arch;       /* tn_model_desc.arch: the row of model/arch that runs it */
    const tn_hf_names *names;
    int32_t kv_heads, head_dim; /* defaults of the class; 0: heads, and hidden size / heads */
    /** What the family has beyond the common keys, which are read before; errors go to c->json. */
    void (*read)(tn_hf_config *c);
} tn_hf_family;

struct tn_hf_config {
    tn_json_reader json; /* of config.json */
    tn_arena *arena;     /* for what desc points at */
    tn_model_desc desc;
    const tn_hf_family *family;
    bool is_tied;    /* the head is the embedding; a file's own head is not used */
    uint32_t biases; /* TN_HF_BIAS_*: the linears that have one */
};

/**
 * root: config.json, borrowed as long as c. c->desc is filled as far as it could be, also on
 * failure; family is NULL when it is not known, and desc.arch then the model_type. source_id is
 * left 0. TN_UNSUPPORTED for what is known not to run.
 */
tn_status tn_hf_config_read(tn_hf_config *c, const json_t *root, tn_arena *arena,
                            tn_error *err) TN_MUST_USE;

/** NULL for a type that is not known. */
const tn_hf_family *tn_hf_family_find(const char *model_type);
/** Append "llama, ...": the model types that are read. */
void tn_hf_family_list(tn_strbuf *out);
/** rope_theta, rope_scaling and rope_parameters into desc.rope; desc.head_dim and max_length are
 * there. */
void tn_hf_rope_read(tn_hf_config *c);

#endif
