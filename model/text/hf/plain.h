/* SPDX-License-Identifier: Apache-2.0 */
/* A tokenizer.json as a vocabulary of kind BPE or SPM (plain_vocab.h). Internal to model/text. */
#ifndef TN_MODEL_TEXT_HF_PLAIN_H
#define TN_MODEL_TEXT_HF_PLAIN_H

#include "core/base/arena.h"
#include "model/text/hf/section.h"

/**
 * out: tokens, types and special ids of the tokenizer.json are there; kind, pre, merges, scores and
 * switches are added, in `arena`. TN_UNSUPPORTED for a pipeline that neither kind has. losses:
 * TN_PLAIN_LOST_* are added.
 */
tn_status tn_hf_plain(const tn_vocab *from, tn_arena *arena, tn_vocab *out, uint32_t *losses,
                      tn_error *err) TN_MUST_USE;

/**
 * The scores with which SentencePiece merges as the file's merges do: every two tokens whose texts
 * make a third are a merge, and the merges of one token follow each other. TN_UNSUPPORTED where
 * that is not so. root: the file; in `arena`.
 */
tn_status tn_hf_plain_scores(const json_t *root, tn_arena *arena, tn_vocab *out,
                             tn_error *err) TN_MUST_USE;

#endif
