/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts text into the pieces inside which BPE merges. A pre-tokenizer is a sequence of patterns:
 * each cuts every piece of the one before into its matches and what lies between them (Hugging Face
 * tokenizers: Sequence of Split(isolated)). Runs of bytes that are no UTF-8 are pieces of their
 * own. PCRE2 with limits: a pattern can fail, never run away.
 */
#ifndef TN_MODEL_TEXT_PRETOKENIZER_H
#define TN_MODEL_TEXT_PRETOKENIZER_H

#include "core/base/status.h"
#include "core/base/strbuf.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct tn_pretokenizer tn_pretokenizer; /* immutable; split from any thread */

/* What a model's name for its pre-tokenizer means. */
typedef struct tn_pretokenizer_spec {
    const char *const *pattern; /* NULL-terminated */
    bool ignore_merges; /* a piece that is a token becomes that token without merging (Hugging Face:
                           BPE.ignore_merges) */
} tn_pretokenizer_spec;

/** TN_UNSUPPORTED, with the known names, for another name. NULL or "" is "default". */
tn_status tn_pretokenizer_lookup(const char *name, tn_pretokenizer_spec *out,
                                 tn_error *err) TN_MUST_USE;

/** Append a pattern of a spec as regex engines have it that take \s for Unicode's White_Space:
 * those of the models' own tokenizer.json. */
void tn_pretokenizer_put_regex(const char *pattern, tn_strbuf *out);

/** *out: the name of the pre-tokenizer with these n patterns, as tn_pretokenizer_put_regex writes
 * them, or NULL when none is known. */
tn_status tn_pretokenizer_find(const tn_strbuf *regex, size_t n, bool ignore_merges,
                               const char **out, tn_error *err) TN_MUST_USE;

/** patterns: NULL-terminated, at most 8. match_limit: backtracking steps that one match may take; 0
 * is the default. */
tn_status tn_pretokenizer_create(const char *const *patterns, uint32_t match_limit,
                                 tn_pretokenizer **out, tn_error *err) TN_MUST_USE;
void tn_pretokenizer_destroy(tn_pretokenizer *p);

/** A piece in order, n >= 1; a failure ends the split and is returned. */
typedef tn_status (*tn_piece_fn)(void *ctx, const char *piece, size_t n, tn_error *err);

/** TN_INVALID when a pattern needs more than the match limit on this text. */
tn_status tn_pretokenizer_split(const tn_pretokenizer *p, const char *text, size_t n,
                                tn_piece_fn fn, void *ctx, tn_error *err) TN_MUST_USE;

#endif
