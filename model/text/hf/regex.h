/* SPDX-License-Identifier: Apache-2.0 */
/* Oniguruma's regular expressions, which tokenizer.json is written in, as PCRE2's. Internal to
 * model/text. */
#ifndef TN_MODEL_TEXT_HF_REGEX_H
#define TN_MODEL_TEXT_HF_REGEX_H

#include "core/base/strbuf.h"

/**
 * Append to *out what PCRE2 (UTF, UCP, MULTILINE) takes for text[0, n) as Oniguruma reads it:
 * classes (\s \w \h), properties, \uHHHH, (?m), {n,m}+ and {,n} mean other things there.
 * TN_UNSUPPORTED for what has no counterpart, with the byte.
 */
tn_status tn_hf_regex_translate(const char *text, size_t n, tn_strbuf *out,
                                tn_error *err) TN_MUST_USE;

#endif
