/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder of a tokenizer.json, one token at a time, so that a stream shows what a whole decode
 * gives. Internal to model/text. */
#ifndef TN_MODEL_TEXT_HF_DECODER_H
#define TN_MODEL_TEXT_HF_DECODER_H

#include "core/base/strbuf.h"
#include "model/text/hf/split.h"

/* One part. */
typedef struct tn_hf_decoding {
    int32_t kind; /* decoder.c */
    tn_pattern *pattern;
    char *text; /* Replace: what comes instead; Strip, Metaspace: the character. Owned */
    size_t n_text;
    int32_t start, stop; /* Strip */
    bool drop_first;     /* Metaspace: the first token loses its blanks */
} tn_hf_decoding;

typedef struct tn_hf_decoder {
    tn_hf_decoding part[TN_HF_MAX_PARTS];
    int32_t n;
    int32_t n_token;    /* parts that see one token; those from here on see the text as a whole */
    bool spells_bytes;  /* ByteLevel */
    bool byte_fallback; /* <0x0A> is a byte */
    int32_t text_strip; /* the part that strips the text's beginning; -1: none */
    bool none;          /* no decoder: tokens with blanks between */
} tn_hf_decoder;        /* immutable after init */

tn_status tn_hf_decoder_init(tn_hf_decoder *decoder, const json_t *root, tn_error *err) TN_MUST_USE;
void tn_hf_decoder_deinit(tn_hf_decoder *decoder);

/* Where a decode stands; {0} is its beginning. */
typedef struct tn_hf_decode_state {
    bool begun;       /* a token has come */
    bool text_begun;  /* the text has a character that Strip left */
    int32_t stripped; /* characters taken from the beginning of the text */
} tn_hf_decode_state;

/** Append what a token adds to the text. */
tn_status tn_hf_decoder_step(const tn_hf_decoder *decoder, tn_text token, tn_hf_decode_state *state,
                             tn_strbuf *out, tn_error *err) TN_MUST_USE;

#endif
