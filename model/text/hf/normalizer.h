/* SPDX-License-Identifier: Apache-2.0 */
/* The normalizer of a tokenizer.json. Internal to model/text. */
#ifndef TN_MODEL_TEXT_HF_NORMALIZER_H
#define TN_MODEL_TEXT_HF_NORMALIZER_H

#include "core/base/strbuf.h"
#include "model/text/hf/split.h"

/* One part. */
typedef struct tn_hf_normal {
    int32_t kind, form; /* normalizer.c; TN_NFC.. */
    bool left, right;   /* Strip */
    char *text;         /* Prepend, Replace: owned */
    size_t n_text;
    tn_pattern *pattern; /* Replace: owned; NULL matches nothing */
} tn_hf_normal;

typedef struct tn_hf_normalizer {
    tn_hf_normal part[TN_HF_MAX_PARTS];
    int32_t n;
} tn_hf_normalizer; /* immutable after init */

tn_status tn_hf_normalizer_init(tn_hf_normalizer *normalizer, const json_t *root,
                                tn_error *err) TN_MUST_USE;
void tn_hf_normalizer_deinit(tn_hf_normalizer *normalizer);

/**
 * Append text[0, n), valid UTF-8, normalised. *first: in, that it begins where the whole text
 * begins; out, that it still does: false when what it began with was taken away. continues: other
 * text stands right before it, so that nothing is prepended.
 */
tn_status tn_hf_normalizer_run(const tn_hf_normalizer *normalizer, tn_pattern_scratch *scratch,
                               const char *text, size_t n, bool continues, bool *first,
                               tn_strbuf *out, tn_error *err) TN_MUST_USE;

#endif
