/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/template/format.h"
#include "model/text/template/unicode.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void put_fill(const tpl_spec *spec, size_t n, tn_strbuf *out)
{
    for (; n > 0; n--)
        tn_strbuf_append(out, spec->fill, spec->n_fill);
}

/* prefix: sign and base, before which or behind which is filled. */
static tn_status put_padded(tpl_env *e, const tpl_spec *spec, const char *prefix, const char *text,
                            size_t n, tn_strbuf *out)
{
    const size_t n_chars = strlen(prefix) + tpl_count_chars(text, n);
    const size_t missing =
        spec->width > 0 && (size_t)spec->width > n_chars ? (size_t)spec->width - n_chars : 0;
    const size_t left = spec->align == '<' ? 0 : spec->align == '^' ? missing / 2 : missing;
    TN_TRY(tpl_charge(e, (missing + n) / 16));
    if (spec->align != '=')
        put_fill(spec, left, out);
    tn_strbuf_puts(out, prefix);
    if (spec->align == '=')
        put_fill(spec, left, out);
    tn_strbuf_append(out, text, n);
    put_fill(spec, missing - left, out);
    return TN_OK;
}

tn_status tpl_format_text(tpl_env *e, const tpl_spec *spec, const char *text, size_t n,
                          tn_strbuf *out)
{
    if (spec->precision >= 0)
        n = tpl_bytes_of(text, n, (size_t)spec->precision);
    return put_padded(e, spec, "", text, n, out);
}

static const char *sign_of(const tpl_spec *spec, bool negative)
{
    return negative ? "-" : spec->sign == '+' ? "+" : spec->sign == ' ' ? " " : "";
}

/* The digits of text[0, n) in groups, counted from the right, then the rest (a fraction). */
static void put_grouped(const char *text, size_t n_digits, size_t n, size_t size, char separator,
                        tn_strbuf *out)
{
    for (size_t i = 0; i < n_digits; i++) {
        if (i > 0 && (n_digits - i) % size == 0)
            tn_strbuf_append(out, &separator, 1);
        tn_strbuf_append(out, &text[i], 1);
    }
    tn_strbuf_append(out, text + n_digits, n - n_digits);
}

static tn_status put_number(tpl_env *e, const tpl_spec *spec, const char *prefix, const char *text,
                            size_t n_digits, size_t group, tn_strbuf *out)
{
    const size_t n = strlen(text);
    if (!spec->grouping)
        return put_padded(e, spec, prefix, text, n, out);
    if (spec->align == '=' && spec->fill[0] == '0')
        return tpl_unsupported(e, "a format with a thousands separator and zeros in front");
    tn_strbuf grouped = TN_STRBUF(4096);
    put_grouped(text, n_digits, n, group, spec->grouping, &grouped);
    tn_status status =
        grouped.failed ? tn_fail_memory(e->err, "a number")
                       : put_padded(e, spec, prefix, tn_strbuf_text(&grouped), grouped.len, out);
    tn_strbuf_deinit(&grouped);
    return status;
}

tn_status tpl_format_int(tpl_env *e, const tpl_spec *spec, int64_t value, tn_strbuf *out)
{
    char text[TPL_MAX_PRECISION + 72], prefix[8];
    const char *symbols = spec->type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    const unsigned base = spec->type == 'b'            ? 2
                          : spec->type == 'o'          ? 8
                          : (spec->type | 0x20) == 'x' ? 16
                                                       : 10;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    size_t at = sizeof text - 1, n = 0;
    text[at] = '\0';
    do {
        text[--at] = symbols[rest % base];
        rest /= base;
        n++;
    } while (rest > 0);
    for (; (int32_t)n < spec->precision && n < TPL_MAX_PRECISION; n++)
        text[--at] = '0';
    snprintf(prefix, sizeof prefix, "%s%s%.1s", sign_of(spec, value < 0),
             spec->alternate && base != 10 ? "0" : "",
             spec->alternate && base != 10 ? &spec->type : "");
    return put_number(e, spec, prefix, text + at, n, base == 10 ? 3 : 4, out);
}

/* The digits of |value|, a finite number. */
static void print_float(const tpl_spec *spec, double value, char *text, size_t size)
{
    const int precision = spec->precision < 0 ? 6 : spec->precision;
    const char type = (char)(spec->type | 0x20);
    if (type == 'e')
        snprintf(text, size, "%.*e", precision, value);
    else if (type == 'g')
        snprintf(text, size, "%.*g", precision, value);
    else
        snprintf(text, size, "%.*f%s", precision, value, spec->type == '%' ? "%" : "");
}

tn_status tpl_format_float(tpl_env *e, const tpl_spec *spec, double value, tn_strbuf *out)
{
    char text[TPL_MAX_PRECISION + 400];
    if (spec->alternate)
        return tpl_unsupported(e, "'#' in the format of a float");
    if (spec->precision > TPL_MAX_PRECISION)
        return tpl_fail(e, "a precision of %d; at most %d is allowed", (int)spec->precision,
                        TPL_MAX_PRECISION);
    if (spec->type == '%')
        value *= 100;
    if (isfinite(value))
        print_float(spec, fabs(value), text, sizeof text);
    else
        snprintf(text, sizeof text, "%s%s", isnan(value) ? "nan" : "inf",
                 spec->type == '%' ? "%" : "");
    if (spec->type >= 'A' && spec->type <= 'Z')
        for (char *c = text; *c; c++)
            if (*c >= 'a' && *c <= 'z')
                *c = (char)(*c - 32);
    const size_t n_digits = strspn(text, "0123456789");
    return put_number(e, spec, sign_of(spec, signbit(value) && !isnan(value)), text, n_digits, 3,
                      out);
}
