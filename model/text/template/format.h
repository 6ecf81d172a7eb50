/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and texts by a format specification, as Python's format() and % share it. */
#ifndef TN_MODEL_TEXT_TEMPLATE_FORMAT_H
#define TN_MODEL_TEXT_TEMPLATE_FORMAT_H

#include "model/text/template/value.h"

typedef struct tpl_spec {
    const char *fill; /* one character */
    size_t n_fill;
    char align;               /* '<' '>' '=' (between sign and digits) '^' */
    char sign;                /* '+', ' ', or 0: only of negative numbers */
    char grouping;            /* ',' '_' or 0 */
    char type;                /* 's' 'd' 'b' 'o' 'x' 'X' 'e' 'E' 'f' 'F' 'g' 'G' '%' */
    bool alternate;           /* '#' */
    int32_t width, precision; /* precision -1: not given; of an int: digits at least */
} tpl_spec;

enum { TPL_MAX_WIDTH = 1 << 16, TPL_MAX_PRECISION = 300 };

/** text[0, n) filled up to spec->width. */
tn_status tpl_format_text(tpl_env *e, const tpl_spec *spec, const char *text, size_t n,
                          tn_strbuf *out) TN_MUST_USE;
tn_status tpl_format_int(tpl_env *e, const tpl_spec *spec, int64_t value,
                         tn_strbuf *out) TN_MUST_USE;
tn_status tpl_format_float(tpl_env *e, const tpl_spec *spec, double value,
                           tn_strbuf *out) TN_MUST_USE;

#endif
