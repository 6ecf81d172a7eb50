/* SPDX-License-Identifier: Apache-2.0 */
/* BPE of Hugging Face tokenizers on one word. Internal to model/text. */
#ifndef TN_MODEL_TEXT_HF_WORDS_H
#define TN_MODEL_TEXT_HF_WORDS_H

#include "model/text/hf/vocabulary.h"

/** Append the ids of word[0, n), valid UTF-8. */
tn_status tn_hf_word_encode(const tn_hf_vocabulary *v, const tn_vocab_index *index,
                            const char *text, size_t n, tn_bpe_word *word, tn_ids *ids,
                            tn_error *err) TN_MUST_USE;
/** Append the ids of bytes that are no UTF-8: byte tokens where the vocabulary spells bytes in
 * either way, else U+FFFD for each ill-formed part. */
tn_status tn_hf_bytes_encode(const tn_hf_vocabulary *v, const tn_vocab_index *index,
                             bool spells_bytes, const char *bytes, size_t n, tn_bpe_word *word,
                             tn_ids *ids, tn_error *err) TN_MUST_USE;

#endif
