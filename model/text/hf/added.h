/* SPDX-License-Identifier: Apache-2.0 */
/* The added_tokens of a tokenizer.json, and where they stand in a text. Internal to model/text. */
#ifndef TN_MODEL_TEXT_HF_ADDED_H
#define TN_MODEL_TEXT_HF_ADDED_H

#include "model/text/hf/normalizer.h"
#include "model/text/special.h"

typedef struct tn_hf_added_token {
    int32_t id;
    tn_text text; /* borrowed from the JSON */
    bool special, single_word, lstrip, rstrip, normalized;
} tn_hf_added_token;

/** The list of a file, in its order. *out: tn_free; its texts are the root's. */
tn_status tn_hf_read_added(const json_t *root, tn_hf_added_token **out, size_t *out_n,
                           tn_error *err) TN_MUST_USE;

/* Tokens that are looked for in one go. */
typedef struct tn_hf_added_set {
    tn_hf_added_token *token; /* [n] */
    tn_text *text;            /* [n] what stands in a text for it, into `bytes` */
    uint8_t *type;
    tn_strbuf bytes;
    tn_vocab vocab; /* the texts as tn_special takes them */
    tn_special find;
    size_t n;
} tn_hf_added_set; /* immutable after init; not to be copied */

/** Of tokens[n] those whose `normalized` is as given; their texts are normalised when it is true.
 */
tn_status tn_hf_added_set_init(tn_hf_added_set *set, const tn_hf_added_token *tokens, size_t n,
                               const tn_hf_normalizer *normalizer, bool normalized,
                               tn_error *err) TN_MUST_USE;
void tn_hf_added_set_deinit(tn_hf_added_set *set);

/* A stretch of a text: a token (id >= 0), or what lies between two (-1). */
typedef tn_status (*tn_hf_stretch_fn)(void *ctx, int32_t id, size_t from, size_t to, tn_error *err);
/** with_special: special tokens count too. */
tn_status tn_hf_added_find(const tn_hf_added_set *set, const char *text, size_t n,
                           bool with_special, tn_hf_stretch_fn fn, void *ctx,
                           tn_error *err) TN_MUST_USE;

#endif
