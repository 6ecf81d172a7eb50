/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a model file, for its readers: one a format, which fills what all formats have and
 * keeps its own in `self`. A reader is a function like tn_gguf_file_read, called by
 * tn_model_file_open on an empty file whose path is set.
 */
#ifndef TN_MODEL_FORMATS_MODEL_FILE_IMPL_H
#define TN_MODEL_FORMATS_MODEL_FILE_IMPL_H

#include "core/base/arena.h"
#include "model/formats/model_file.h"

struct tn_model_file {
    const char *path, *format;
    tn_arena arena; /* for everything that lives as long as the file */
    const char **shard;
    int32_t n_shards;
    uint64_t bytes; /* of all shards */
    tn_weight_info *tensor;
    int32_t n_tensors;
    tn_model_fact *fact;
    int32_t n_facts;
    tn_vocab vocab;
    tn_model_desc desc; /* as far as it could be read */
    tn_status desc_status;
    tn_error desc_error;
    tn_weight_source source;
    void *self; /* the reader's own, freed by close */
    void (*close)(void *self);
};

/** An empty file of that path; tn_model_file_close. */
tn_status tn_model_file_create(const char *path, tn_model_file **out, tn_error *err) TN_MUST_USE;

/* The readers. */
tn_status tn_gguf_file_read(tn_model_file *file, tn_error *err) TN_MUST_USE;
tn_status tn_hf_dir_read(tn_model_file *file, tn_error *err) TN_MUST_USE;

#endif
