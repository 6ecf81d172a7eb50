/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and strings as Python writes them. */
#ifndef TN_MODEL_TEXT_TEMPLATE_LITERAL_H
#define TN_MODEL_TEXT_TEMPLATE_LITERAL_H

#include "model/text/template/value.h"

/** The string between quotes, its escapes resolved. */
tn_status tpl_read_string(tpl_env *e, const char *text, size_t n, tpl_value *out) TN_MUST_USE;
/** The number literal at text[at], a digit; *out_n is its length. */
tn_status tpl_read_number(tpl_env *e, const char *text, size_t n, size_t at, size_t *out_n,
                          tpl_value *out) TN_MUST_USE;

/** int(text, base) and float(text); false when the text is no such number. Overflow is an error. */
tn_status tpl_parse_int(tpl_env *e, const tpl_str *s, int64_t base, bool *out_ok,
                        int64_t *out) TN_MUST_USE;
tn_status tpl_parse_float(tpl_env *e, const tpl_str *s, bool *out_ok, double *out) TN_MUST_USE;
/** int(d) */
tn_status tpl_float_to_int(tpl_env *e, double d, int64_t *out) TN_MUST_USE;

#endif
