/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Hugging Face directory as a model file: config.json, *.safetensors, and what there is of
 * tokenizer.json, tokenizer.model, tokenizer_config.json, special_tokens_map.json,
 * generation_config.json, chat_template.jinja.
 */
#ifndef TN_MODEL_FORMATS_HF_DIR_H
#define TN_MODEL_FORMATS_HF_DIR_H

#include "model/formats/model_file.h"

#include <stddef.h>

typedef struct tn_hf_bytes {
    const char *name; /* "config.json" */
    const uint8_t *data;
    size_t size;
} tn_hf_bytes;

/** A directory of files in memory, borrowed until close: for tests and fuzzing. */
tn_status tn_hf_open_memory(const tn_hf_bytes *files, size_t n_files, tn_model_file **out,
                            tn_error *err) TN_MUST_USE;

#endif
