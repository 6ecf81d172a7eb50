/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model on disk, whatever its format: description, weight source, vocabulary, facts for `inspect`.
 * Nothing in the file is trusted: every offset, size, product and string is checked before use.
 * Thread: immutable after open; the weight source may be used from several threads.
 */
#ifndef TN_MODEL_FORMATS_MODEL_FILE_H
#define TN_MODEL_FORMATS_MODEL_FILE_H

#include "core/graph/model_desc.h"
#include "core/graph/weight_source.h"
#include "model/formats/vocab.h"

typedef struct tn_model_file tn_model_file;

/* One fact of the file for people: "general.architecture" = "llama". Arrays are told by type and length. */
typedef struct tn_model_fact {
    const char *key, *value;
} tn_model_fact;

/**
 * Open a GGUF file or a Hugging Face directory. Reads metadata only; weights stay mapped. One shard
 * of a split GGUF (NAME-00001-of-0000N.gguf) opens all, which must lie beside it.
 */
tn_status tn_model_file_open(const char *path, tn_model_file **out, tn_error *err) TN_MUST_USE;
void tn_model_file_close(tn_model_file *file);

const char *tn_model_file_format(const tn_model_file *file);        /* "GGUF v3" */
const char *tn_model_file_path(const tn_model_file *file);
uint64_t tn_model_file_bytes(const tn_model_file *file);            /* of all shards */
int32_t tn_model_file_n_shards(const tn_model_file *file);          /* 1: the model is in one file */
const char *tn_model_file_shard(const tn_model_file *file, int32_t index); /* its path */
/** Fails (TN_INVALID / TN_UNSUPPORTED) when hyperparameters are missing, senseless, or contradict the tensors. */
tn_status tn_model_file_desc(tn_model_file *file, tn_model_desc *out, tn_error *err) TN_MUST_USE;
const tn_weight_source *tn_model_file_weights(tn_model_file *file);
const tn_vocab *tn_model_file_vocab(const tn_model_file *file);     /* kind NONE when the file has none */
int32_t tn_model_file_n_tensors(const tn_model_file *file);
tn_status tn_model_file_tensor(const tn_model_file *file, int32_t index, tn_weight_info *out, tn_error *err) TN_MUST_USE;
int32_t tn_model_file_n_facts(const tn_model_file *file);
tn_model_fact tn_model_file_fact(const tn_model_file *file, int32_t index);

#endif
