/* SPDX-License-Identifier: Apache-2.0 */
/* Characters of valid UTF-8: counting, white space as Python's str has it, letter case,
 * printability. */
#ifndef TN_MODEL_TEXT_TEMPLATE_UNICODE_H
#define TN_MODEL_TEXT_TEMPLATE_UNICODE_H

#include "core/base/strbuf.h"

#include <stdint.h>

/** Bytes of the character that begins with `lead`. */
size_t tpl_char_bytes(char lead);
size_t tpl_count_chars(const char *text, size_t n);
/** The character at text; *out_n is its bytes. */
uint32_t tpl_char_at(const char *text, size_t *out_n);
/** Bytes of the first `chars` characters. */
size_t tpl_bytes_of(const char *text, size_t n, size_t chars);
void tpl_put_char(uint32_t c, tn_strbuf *out);

bool tpl_is_space(uint32_t c);      /* str.isspace() */
bool tpl_is_line_break(uint32_t c); /* str.splitlines() */
bool tpl_is_printable(uint32_t c);  /* str.isprintable() */
/** Bytes of white space at the end, at the beginning. */
size_t tpl_trailing_space(const char *text, size_t n);
size_t tpl_leading_space(const char *text, size_t n);

/** str.lower(), str.upper(); false when a character needs its neighbours to decide (capital sigma).
 */
bool tpl_put_lower(const char *text, size_t n, tn_strbuf *out);
bool tpl_put_upper(const char *text, size_t n, tn_strbuf *out);
/** False when title case of c is not its upper case. */
bool tpl_title_is_upper(uint32_t c);

#endif
