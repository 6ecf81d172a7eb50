/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tensors of a directory's safetensors files: model.safetensors, or the shards that
 * model.safetensors.index.json names. Every tensor is in one shard, the one that the index says.
 * Thread: immutable after open, but for `used`.
 */
#ifndef TN_MODEL_FORMATS_HF_SHARDS_H
#define TN_MODEL_FORMATS_HF_SHARDS_H

#include "model/formats/hf_files.h"
#include "model/formats/safetensors.h"

#include <stdbool.h>

enum { TN_HF_MAX_SHARDS = 1024, TN_HF_MAX_TENSORS = 1 << 17 };

typedef struct tn_hf_shard {
    const tn_hf_file *file;
    tn_safetensors table;
} tn_hf_shard;

typedef struct tn_hf_source_tensor {
    const tn_st_tensor *tensor;
    const tn_hf_shard *shard;
    bool used; /* for whoever takes tensors, to find those that are left over */
} tn_hf_source_tensor;

typedef struct tn_hf_shards {
    tn_hf_shard *shard;
    int32_t n_shards;
    tn_hf_source_tensor *tensor; /* by ascending name */
    size_t n_tensors;
} tn_hf_shards;

/** On failure *s is what deinit takes. files is borrowed until deinit. */
tn_status tn_hf_shards_open(tn_hf_shards *s, tn_hf_files *files, tn_error *err) TN_MUST_USE;
void tn_hf_shards_deinit(tn_hf_shards *s);
/** NULL when there is none. */
tn_hf_source_tensor *tn_hf_shards_find(const tn_hf_shards *s, const char *name);
/** Hash of the tables and of samples of the tensors: of the content, not of the place on disk. */
uint64_t tn_hf_shards_id(const tn_hf_shards *s);

#endif
