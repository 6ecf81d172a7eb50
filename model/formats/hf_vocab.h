/* SPDX-License-Identifier: Apache-2.0 */
/* The vocabulary of a Hugging Face directory (vocab.h): the file that holds it, and what the
 * settings beside it say. */
#ifndef TN_MODEL_FORMATS_HF_VOCAB_H
#define TN_MODEL_FORMATS_HF_VOCAB_H

#include "model/formats/hf_files.h"
#include "model/formats/vocab.h"

/** config: config.json, for ids that no other file has. n_rows: rows of the model's logits. The
 * source is borrowed from `files`, the rest is in `arena`. */
tn_status tn_hf_vocab_read(tn_vocab *v, tn_hf_files *files, const json_t *config, int32_t n_rows,
                           tn_arena *arena, tn_error *err) TN_MUST_USE;

#endif
