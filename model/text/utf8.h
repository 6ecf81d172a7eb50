/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 as Unicode 15 table 3-7 defines it: no overlong forms, no surrogates, nothing above
 * U+10FFFF. */
#ifndef TN_MODEL_TEXT_UTF8_H
#define TN_MODEL_TEXT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TN_UTF8_CHAR = 0, TN_UTF8_INVALID = 1, TN_UTF8_PARTIAL = 2 };

/* What stands at the beginning of a byte string. */
typedef struct tn_utf8_unit {
    int32_t kind; /* TN_UTF8_* */
    uint32_t n;   /* bytes: the character; the maximal ill-formed part (>= 1); the beginning of a
                     character that the end cuts */
    uint32_t code_point; /* CHAR only */
} tn_utf8_unit;

/** bytes[0, n), n >= 1. INVALID covers a "maximal subpart" (Unicode 15, 3.9), so one U+FFFD stands
 * for it wherever the text is cut. */
tn_utf8_unit tn_utf8_next(const char *bytes, size_t n);

/** White_Space (Unicode 15, PropList.txt). */
bool tn_utf8_is_space(uint32_t code_point);

/** Bytes of the longest prefix of text[0, n) that is valid; n when all is. */
size_t tn_utf8_valid_prefix(const char *text, size_t n);
/** Bytes of the longest prefix of text[0, n) in which no valid character begins. */
size_t tn_utf8_invalid_prefix(const char *text, size_t n);

#endif
