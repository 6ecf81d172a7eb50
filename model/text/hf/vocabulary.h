/* SPDX-License-Identifier: Apache-2.0 */
/* The model section of a tokenizer.json: tokens, merges and the switches of BPE. Internal to
 * model/text. */
#ifndef TN_MODEL_TEXT_HF_VOCABULARY_H
#define TN_MODEL_TEXT_HF_VOCABULARY_H

#include "core/base/strbuf.h"
#include "model/text/bpe_merge.h"
#include "model/text/hf/added.h"
#include "model/text/vocab_index.h"

typedef struct tn_hf_vocabulary {
    tn_vocab vocab; /* what was read: its arrays are those below */
    tn_text *token;
    int32_t *type;
    uint8_t *in_model; /* [n_tokens] 1: a token of the model, 0: only an added one */
    tn_strbuf bytes;   /* the tokens' texts, one after the other */
    tn_bpe_merges merges;
    int32_t unk;          /* unk_token, -1: none */
    int32_t byte_id[256]; /* <0x00>.. with byte_fallback; -1: none */
    bool fuse_unk, byte_fallback, ignore_merges;
} tn_hf_vocabulary;

/** source: what the model file says beside the tokenizer.json: special ids, their texts, rows. */
tn_status tn_hf_vocabulary_init(tn_hf_vocabulary *v, const json_t *root,
                                const tn_hf_added_token *added, size_t n_added,
                                const tn_vocab *source, tn_error *err) TN_MUST_USE;
void tn_hf_vocabulary_deinit(tn_hf_vocabulary *v);

/** Id of a text that is a token of the model, or -1. index: of v->vocab. */
int32_t tn_hf_find_token(const tn_hf_vocabulary *v, const tn_vocab_index *index, const char *text,
                         size_t n);
/** The two texts of a merge, "left right" or ["left", "right"]; false when it is none. */
bool tn_hf_merge_texts(const json_t *value, tn_text *left, tn_text *right);
/** The merges of the file. index: of v->vocab. */
tn_status tn_hf_vocabulary_read_merges(tn_hf_vocabulary *v, const json_t *root,
                                       const tn_vocab_index *index, tn_error *err) TN_MUST_USE;

#endif
