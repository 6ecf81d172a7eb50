/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tensors of a Hugging Face directory: what each is made of, in which file it is, its bytes.
 * Thread: one thread's.
 */
#ifndef TN_APPS_CONVERT_HF_TENSORS_H
#define TN_APPS_CONVERT_HF_TENSORS_H

#include "apps/convert/tensor_stream.h"
#include "core/base/arena.h"
#include "model/formats/awq_pack.h"
#include "model/formats/hf_config.h"

enum { TN_CONVERT_MAX_PARTS = 3 };

/* A tensor, or in AWQ's layout the three of a linear. */
typedef struct tn_convert_hf_tensor {
    const char *module, *kind; /* "model.layers.0.self_attn.q_proj", "weight" */
    /* What it is made of. Of several, q, k and v in one, each kv head has its query heads, its k
     * and its v (InternLM2). */
    tn_convert_tensor part[TN_CONVERT_MAX_PARTS];
    int32_t n_parts;
    int64_t rows, cols; /* of a vector: its elements, 1 */
    bool is_awq;
    tn_awq awq; /* its shape */
} tn_convert_hf_tensor;

/* A file, with tensors [begin, end). */
typedef struct tn_convert_shard {
    const char *name;
    int32_t begin, end;
} tn_convert_shard;

typedef struct tn_convert_hf_tensors {
    tn_convert_hf_tensor *tensor;
    int32_t n;
    tn_convert_shard *shard;
    int32_t n_shards;
    int32_t kv_heads, group, head_dim; /* group: query heads of a kv head */
    uint64_t elements, bytes;          /* of all */
} tn_convert_hf_tensors;

/** The linears that have biases, TN_HF_BIAS_*. */
uint32_t tn_convert_biases(tn_model_file *file, const tn_hf_family *family);
bool tn_convert_is_awq(const tn_convert_args *args);
/** Every tensor of the file under the family's names, in the order of layers; in `arena`.
 * TN_UNSUPPORTED for one that has no place there, or not in args->type. */
tn_status tn_convert_hf_list(const tn_convert_args *args, tn_model_file *file,
                             const tn_hf_family *family, uint32_t biases, tn_arena *arena,
                             tn_convert_hf_tensors *out, tn_error *err) TN_MUST_USE;
/** Cut into files of at most args->max_shard_bytes of tensors, or one tensor. */
tn_status tn_convert_hf_cut(const tn_convert_args *args, tn_convert_hf_tensors *all,
                            tn_arena *arena, tn_error *err) TN_MUST_USE;
/** model.safetensors.index.json (json_decref); NULL without memory. */
json_t *tn_convert_hf_index(const tn_convert_hf_tensors *all);
/** Bytes of all files. */
tn_status tn_convert_hf_bytes(const tn_convert_hf_tensors *all, uint64_t *out,
                              tn_error *err) TN_MUST_USE;
/** The files, in `directory`. */
tn_status tn_convert_hf_write(const tn_convert_args *args, tn_model_file *file,
                              const tn_convert_hf_tensors *all, const char *directory,
                              tn_convert_report *report, tn_error *err) TN_MUST_USE;

/* ---- AWQ ---- */

/** The last part of a linear is streamed as groups of codes; t->awq is its shape so far.
 * TN_UNSUPPORTED for another type or shape. */
tn_status tn_convert_awq_format(tn_convert_hf_tensor *t, tn_error *err) TN_MUST_USE;

/* Where the rows of such parts go: sink of a stream. */
typedef struct tn_convert_awq_sink {
    tn_awq awq;
    int64_t row;                    /* the next */
    double largest_error;           /* by zero points */
    const tn_convert_tensor *worst; /* where */
} tn_convert_awq_sink;

tn_status tn_convert_awq_put(void *sink, const void *bytes, size_t n, tn_error *err);
/** TN_UNSUPPORTED when zero points would change a weight. */
tn_status tn_convert_awq_exact(const tn_convert_awq_sink *sink, tn_error *err) TN_MUST_USE;

#endif
