/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts text at the matches of a pattern, in the five ways of Hugging Face's Split. Internal to
 * model/text. */
#ifndef TN_MODEL_TEXT_HF_SPLIT_H
#define TN_MODEL_TEXT_HF_SPLIT_H

#include "model/text/hf/section.h"
#include "model/text/pattern.h"

enum {
    TN_SPLIT_REMOVED,    /* the matches are left out */
    TN_SPLIT_ISOLATED,   /* each match is a piece */
    TN_SPLIT_PREVIOUS,   /* a match belongs to what is before it */
    TN_SPLIT_NEXT,       /* a match belongs to what follows it */
    TN_SPLIT_CONTIGUOUS, /* matches side by side are one piece */
    TN_N_SPLITS,
};
extern const char *const tn_split_names[TN_N_SPLITS]; /* as tokenizer.json has them */

typedef struct tn_split {
    tn_pattern *pattern; /* owned; NULL matches nothing */
    int32_t behavior;    /* TN_SPLIT_* */
    bool invert;         /* what lies between the matches is the match */
} tn_split;

/** The pattern at `key`: {"String": "x"} or {"Regex": "x+"}. *out NULL: it matches nothing. */
void tn_hf_read_pattern(tn_json_reader *part, const char *key, tn_pattern **out);

/* A part of the text in order: a match, or what lies between two. May be empty. */
typedef tn_status (*tn_segment_fn)(void *ctx, size_t from, size_t to, bool is_match, tn_error *err);
/** All of text[0, n), as Oniguruma's iterator finds it: no empty match right after a match. */
tn_status tn_pattern_segments(const tn_pattern *pattern, tn_pattern_scratch *scratch,
                              const char *text, size_t n, tn_segment_fn fn, void *ctx,
                              tn_error *err) TN_MUST_USE;

/* A piece in order, from < to. */
typedef tn_status (*tn_split_fn)(void *ctx, size_t from, size_t to, tn_error *err);
tn_status tn_split_run(const tn_split *split, tn_pattern_scratch *scratch, const char *text,
                       size_t n, tn_split_fn fn, void *ctx, tn_error *err) TN_MUST_USE;

#endif
