/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text to ids and back. Made from a model file's vocabulary: byte-level BPE (own merges, PCRE2
 * pre-tokenizer patterns with match limits), or SentencePiece through libsentencepiece. Thread:
 * immutable after create; encode and piece from any thread.
 */
#ifndef TN_MODEL_TEXT_TOKENIZER_H
#define TN_MODEL_TEXT_TOKENIZER_H

#include "core/base/status.h"
#include "core/base/strbuf.h"
#include "model/formats/vocab.h"

#include <stdbool.h>

typedef struct tn_tokenizer tn_tokenizer;

typedef struct tn_ids {
    int32_t *id;
    size_t n, capacity;
} tn_ids;
void tn_ids_deinit(tn_ids *ids);
tn_status tn_ids_append(tn_ids *ids, int32_t id, tn_error *err) TN_MUST_USE;

enum {
    TN_ENCODE_BOS = 1,     /* add what the model adds (BOS; EOS if it says so) */
    TN_ENCODE_SPECIAL = 2, /* texts of special tokens ("<|im_start|>") become their ids */
};

/** vocab is borrowed until destroy. TN_UNSUPPORTED with the list of what is known for an unknown
 * pre-tokenizer or vocabulary kind. */
tn_status tn_tokenizer_create(const tn_vocab *vocab, tn_tokenizer **out, tn_error *err) TN_MUST_USE;
void tn_tokenizer_destroy(tn_tokenizer *t);

/**
 * Append the ids of text[0, n) to *ids; on an error *ids is as before. Any bytes are accepted,
 * invalid UTF-8 too. At most 16 MiB.
 *
 * Control and unknown tokens are found in the text with TN_ENCODE_SPECIAL only; user-defined tokens
 * always (as llama.cpp does). The longest text at the leftmost position counts, before the text is
 * cut into pieces.
 * Byte-level BPE: decode gives the same bytes back, but a byte for which the vocabulary has no
 * token is left out (SmolLM2 has none for 21 bytes, such as 0x04 and 0xFF), as Hugging Face and
 * llama.cpp do. SentencePiece: with add_space_prefix a blank goes before the text and before text
 * that follows a control token. Bytes that are no UTF-8 become byte tokens. U+2581 is a blank.
 * Errors: TN_INVALID (too long; a character that a SentencePiece vocabulary cannot spell; more
 * steps of a tokenizer.json's patterns than a text may take), TN_NO_MEMORY.
 */
tn_status tn_tokenizer_encode(const tn_tokenizer *t, const char *text, size_t n, unsigned flags,
                              tn_ids *ids, tn_error *err) TN_MUST_USE;
/**
 * Append the bytes of one token (may be part of a UTF-8 character). `special`: also write control
 * tokens' text. Out of range: TN_INVALID. An unknown token is hidden like a control token in
 * byte-level BPE, and " U+2047 " in SentencePiece.
 */
tn_status tn_tokenizer_piece(const tn_tokenizer *t, int32_t id, bool special, tn_strbuf *out,
                             tn_error *err) TN_MUST_USE;
/**
 * Whole decode as the model's own detokenizer does it (SentencePiece drops the dummy prefix of the
 * first visible token).
 */
tn_status tn_tokenizer_decode(const tn_tokenizer *t, const int32_t *ids, size_t n, bool special,
                              tn_strbuf *out, tn_error *err) TN_MUST_USE;

/** The vocabulary: that of create, or for kinds HF_JSON and SPM_MODEL what was read from its source
 * (tokens, types, special ids, add_bos, add_eos; n_merges counts, `merge` is NULL). Borrowed. */
const tn_vocab *tn_tokenizer_vocab(const tn_tokenizer *t);
int32_t tn_tokenizer_n_tokens(const tn_tokenizer *t);
int32_t tn_tokenizer_bos(const tn_tokenizer *t); /* -1: none */
/** Ids that end a generation (EOS, EOT, and <|im_end|>, <|eot_id|>, <|endoftext|>, <end_of_turn>...
 * when they are control tokens). */
const tn_ids *tn_tokenizer_stop_ids(const tn_tokenizer *t);
bool tn_tokenizer_is_control(const tn_tokenizer *t, int32_t id);
/** Id of an exact token text, or -1. */
int32_t tn_tokenizer_find(const tn_tokenizer *t, const char *text, size_t n);

#endif
