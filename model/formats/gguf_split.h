/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Models cut into several GGUF files, shards, as llama.cpp's llama-gguf-split cuts them: file i of
 * n is PREFIX-0000i-of-0000n.gguf and says split.no (i - 1), split.count and split.tensors.count
 * (of all shards); metadata of the model is in the first. Thread: pure.
 */
#ifndef TN_MODEL_FORMATS_GGUF_SPLIT_H
#define TN_MODEL_FORMATS_GGUF_SPLIT_H

#include "model/formats/gguf.h"

enum { TN_GGUF_MAX_SHARDS = 1024 };

typedef struct tn_gguf_split {
    int32_t no, count; /* no: from 0. count 1: a whole model */
    int64_t n_tensors; /* of all shards; -1 when the file does not say */
} tn_gguf_split;

tn_status tn_gguf_split_read(const tn_gguf *g, tn_gguf_split *out, tn_error *err) TN_MUST_USE;
/** The path of shard `no` beside `path`, in `arena`. TN_INVALID when path is not named as the shard
 * that `split` is of it. */
tn_status tn_gguf_split_path(const char *path, const tn_gguf_split *split, int32_t no,
                             tn_arena *arena, const char **out, tn_error *err) TN_MUST_USE;
/** g must be shard `no` of `count`, of a model with n_tensors (-1: any). */
tn_status tn_gguf_split_check(const tn_gguf *g, int32_t no, int32_t count, int64_t n_tensors,
                              tn_error *err) TN_MUST_USE;

#endif
