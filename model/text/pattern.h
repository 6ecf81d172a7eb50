/* SPDX-License-Identifier: Apache-2.0 */
/* A regular expression of PCRE2 over valid UTF-8, with limits: it can fail, never run away.
 * Internal to model/text. */
#ifndef TN_MODEL_TEXT_PATTERN_H
#define TN_MODEL_TEXT_PATTERN_H

#include "core/base/status.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Unicode White_Space, for use between [ and ]. PCRE2's own \s has U+180E as well, which is a
 * letter's joiner since Unicode 6.3 and no white space to the regex engines that the models were
 * trained with.
 */
#define TN_PATTERN_WS                                                                              \
    "\\t-\\r "                                                                                     \
    "\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"

/* OpenAI's GPT-2, encoder.py: 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+|
 * ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
#define TN_PATTERN_GPT2                                                                            \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" TN_PATTERN_WS "\\p{L}\\p{N}]+|"             \
    "[" TN_PATTERN_WS "]+(?![^" TN_PATTERN_WS "])|[" TN_PATTERN_WS "]+"

typedef struct tn_pattern tn_pattern;                 /* immutable; match from any thread */
typedef struct tn_pattern_scratch tn_pattern_scratch; /* of any patterns; one thread */

typedef struct tn_pattern_options {
    const char *name;     /* in messages, copied: "pre-tokenizer pattern 1" */
    uint32_t match_limit; /* backtracking steps that one match may take; 0 is the default */
    bool literal;         /* the text itself, no expression */
    bool multiline;       /* ^ and $ match at lines */
    bool is_foreign;      /* of a model file: its work is counted, over all matches of a text */
} tn_pattern_options;

/** TN_INVALID, with the byte at which text is no pattern. */
tn_status tn_pattern_create(const char *text, size_t n, const tn_pattern_options *options,
                            tn_pattern **out, tn_error *err) TN_MUST_USE;
void tn_pattern_destroy(tn_pattern *p);

/** For the matches of foreign patterns in a text of n bytes, and in what becomes of it: together
 * they may take 64 steps a byte and 4 million (the patterns of known models take up to 25). A step
 * is an item of the pattern that is tried, or a byte that is passed. NULL: no memory. */
tn_pattern_scratch *tn_pattern_scratch_create(size_t n);
void tn_pattern_scratch_destroy(tn_pattern_scratch *scratch);

/* Bytes [from, to) of a text; { n, n } when nothing was found. */
typedef struct tn_pattern_match {
    size_t from, to;
    bool found;
} tn_pattern_match;

/** The first match in text[0, n), valid UTF-8, at or after `from`; it may be empty. TN_INVALID when
 * it takes more than the match limit, or than the steps that are left. */
tn_status tn_pattern_next(const tn_pattern *p, tn_pattern_scratch *scratch, const char *text,
                          size_t n, size_t from, tn_pattern_match *out, tn_error *err) TN_MUST_USE;

#endif
