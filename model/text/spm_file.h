/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tokenizer.model of SentencePiece as a vocabulary: its pieces, ids and switches, and the tokens
 * that the model's directory adds to it. Internal to model/text. Thread: immutable after create.
 */
#ifndef TN_MODEL_TEXT_SPM_FILE_H
#define TN_MODEL_TEXT_SPM_FILE_H

#include "core/base/status.h"
#include "model/formats/vocab.h"

typedef struct tn_spm_file tn_spm_file;

/**
 * from: kind SPM_MODEL, borrowed until destroy with its source. TN_INVALID for what is no
 * ModelProto; TN_UNSUPPORTED for models that join blanks or keep them elsewhere than before words, which
 * no language model does.
 */
tn_status tn_spm_file_create(const tn_vocab *from, tn_spm_file **out, tn_error *err) TN_MUST_USE;
/** TN_UNSUPPORTED, with the reason, for a source that pieces and scores do not tell all of: a model
 * that is no BPE, or that rewrites text. */
tn_status tn_spm_file_check_plain(const tn_vocab *from, tn_error *err) TN_MUST_USE;
/** Kind SPM, with `source` for tn_spm_create. */
const tn_vocab *tn_spm_file_vocab(const tn_spm_file *file);
void tn_spm_file_destroy(tn_spm_file *file);

#endif
