/* SPDX-License-Identifier: Apache-2.0 */
/* "%s of %d" % (a, b): Python's printf-style formatting. */
#include "model/text/template/format.h"
#include "model/text/template/function.h"
#include "model/text/template/literal.h"
#include "model/text/template/unicode.h"

#include <string.h>

typedef struct state {
    tpl_env *e;
    const tpl_str *format;
    size_t at;
    tpl_value args;
    size_t n_used;
    bool keyed; /* a %(name)s was seen */
    tn_strbuf *out;
} state;

static bool is_mapping(tpl_value v)
{
    return v.kind == TPL_DICT || v.kind == TPL_LIST || v.kind == TPL_UNDEFINED ||
           v.kind == TPL_RANGE;
}

static tn_status next_argument(state *s, tpl_value *out)
{
    const size_t n = s->args.kind == TPL_TUPLE ? s->args.u.list->n : 1;
    if (s->keyed)
        return tpl_unsupported(s->e, "a format with %%(name) and without");
    if (s->n_used >= n)
        return tpl_fail(s->e, "not enough arguments for format string");
    *out = s->args.kind == TPL_TUPLE ? s->args.u.list->item[s->n_used] : s->args;
    s->n_used++;
    return TN_OK;
}

static char here(const state *s)
{
    return s->at < s->format->n ? s->format->data[s->at] : '\0';
}

/* "(name)": the value of that key. */
static tn_status keyed_argument(state *s, tpl_value *out)
{
    const char *begin = s->format->data + s->at + 1;
    const char *end = memchr(begin, ')', s->format->n - s->at - 1);
    tpl_value key;
    if (!end || memchr(begin, '(', (size_t)(end - begin)))
        return tpl_fail(s->e, "incomplete format key");
    if (s->args.kind != TPL_DICT)
        return tpl_fail(s->e, "format requires a mapping");
    if (s->n_used)
        return tpl_unsupported(s->e, "a format with %%(name) and without");
    TN_TRY(tpl_str_borrow(s->e, begin, (size_t)(end - begin), &key));
    TN_TRY(tpl_dict_get(s->e, s->args.u.dict, key, out));
    if (out->kind == TPL_MISSING)
        return tpl_fail(s->e, "the format wants the key '%.*s', which is not there",
                        (int)key.u.s->n, key.u.s->data);
    s->at = (size_t)(end - s->format->data) + 1;
    s->keyed = true;
    return TN_OK;
}

/* Digits, or '*' for the next argument; -1 when there is neither. */
static tn_status read_count(state *s, int32_t max, int32_t *out)
{
    int64_t n = -1;
    if (here(s) == '*') {
        tpl_value v;
        s->at++;
        TN_TRY(next_argument(s, &v));
        if (!tpl_is_int(v))
            return tpl_fail(s->e, "* wants int");
        n = v.u.i;
    } else {
        for (; here(s) >= '0' && here(s) <= '9'; s->at++)
            if (n <= max) /* more digits make it no less too large */
                n = (n < 0 ? 0 : n) * 10 + (here(s) - '0');
    }
    if (n > max || n < -max)
        return tpl_fail(s->e, "a width or precision in a format; at most %d is allowed", (int)max);
    *out = (int32_t)n;
    return TN_OK;
}

static tn_status read_spec(state *s, tpl_spec *spec)
{
    bool left = false, zero = false;
    for (; here(s) && strchr("-0+ #", here(s)); s->at++) {
        const char c = here(s);
        left = left || c == '-';
        zero = zero || c == '0';
        spec->alternate = spec->alternate || c == '#';
        if (c == '+' || (c == ' ' && !spec->sign))
            spec->sign = c;
    }
    TN_TRY(read_count(s, TPL_MAX_WIDTH, &spec->width));
    if (spec->width < -1) { /* a negative argument of '*' */
        spec->width = -spec->width;
        left = true;
    }
    if (here(s) == '.') {
        s->at++;
        TN_TRY(read_count(s, TPL_MAX_PRECISION, &spec->precision));
        spec->precision = spec->precision < 0 ? 0 : spec->precision;
    }
    while (here(s) == 'l' || here(s) == 'h' || here(s) == 'L')
        s->at++;
    spec->align = left ? '<' : zero ? '=' : '>';
    spec->fill = zero && !left ? "0" : " ";
    spec->n_fill = 1;
    spec->type = here(s);
    s->at++;
    return TN_OK;
}

/* %s and %r */
static tn_status put_text(state *s, tpl_spec *spec, tpl_value v)
{
    tn_strbuf text = tpl_buffer(s->e);
    tn_status status =
        spec->type == 's' ? tpl_put_str(s->e, v, &text) : tpl_put_repr(s->e, v, &text);
    spec->align = spec->align == '<' ? '<' : '>';
    spec->fill = " ";
    if (!status)
        status = tpl_check_buffer(s->e, &text);
    if (!status)
        status = tpl_format_text(s->e, spec, tn_strbuf_text(&text), text.len, s->out);
    tn_strbuf_deinit(&text);
    return status;
}

static tn_status put_character(state *s, tpl_spec *spec, tpl_value v)
{
    tn_strbuf text = TN_STRBUF(16);
    if (v.kind == TPL_STR && v.u.s->n_chars == 1)
        tn_strbuf_append(&text, v.u.s->data, v.u.s->n);
    else if (tpl_is_int(v) && v.u.i >= 0 && v.u.i <= 0x10FFFF && (v.u.i < 0xD800 || v.u.i > 0xDFFF))
        tpl_put_char((uint32_t)v.u.i, &text);
    else
        return tpl_fail(s->e, "%%c requires int or char");
    spec->align = spec->align == '<' ? '<' : '>';
    spec->fill = " ";
    spec->precision = -1;
    tn_status status = tpl_format_text(s->e, spec, tn_strbuf_text(&text), text.len, s->out);
    tn_strbuf_deinit(&text);
    return status;
}

static tn_status put_int(state *s, tpl_spec *spec, tpl_value v)
{
    int64_t i = v.u.i;
    const bool decimal = strchr("diu", spec->type) != NULL;
    if (v.kind == TPL_FLOAT && decimal)
        TN_TRY(tpl_float_to_int(s->e, v.u.d, &i));
    else if (!tpl_is_int(v))
        return tpl_fail(s->e, "%%%c format: a number is required, not %s", spec->type,
                        tpl_type_name(v));
    if (decimal)
        spec->type = 'd';
    return tpl_format_int(s->e, spec, i, s->out);
}

static tn_status put_conversion(state *s)
{
    tpl_spec spec = { .width = -1, .precision = -1 };
    tpl_value v = { 0 };
    s->at++;
    const bool keyed = here(s) == '(';
    if (keyed)
        TN_TRY(keyed_argument(s, &v));
    TN_TRY(read_spec(s, &spec));
    if (s->at > s->format->n)
        return tpl_fail(s->e, "incomplete format");
    if (spec.type == '%') {
        tn_strbuf_puts(s->out, "%");
        return TN_OK;
    }
    if (!spec.type || !strchr("srcdiuoxXeEfFgG", spec.type))
        return spec.type == 'a' ? tpl_unsupported(s->e, "the format %%a")
                                : tpl_fail(s->e, "unsupported format character");
    if (!keyed)
        TN_TRY(next_argument(s, &v));
    if (spec.type == 's' || spec.type == 'r')
        return put_text(s, &spec, v);
    if (v.kind == TPL_UNDEFINED)
        return tpl_undefined_error(s->e, v);
    if (spec.type == 'c')
        return put_character(s, &spec, v);
    if (strchr("diuoxX", spec.type))
        return put_int(s, &spec, v);
    if (!tpl_is_number(v))
        return tpl_fail(s->e, "must be real number, not %s", tpl_type_name(v));
    return tpl_format_float(s->e, &spec, tpl_as_double(v), s->out);
}

static tn_status put_all(state *s)
{
    while (s->at < s->format->n) {
        const char *begin = s->format->data + s->at,
                   *percent = memchr(begin, '%', s->format->n - s->at);
        const size_t n = percent ? (size_t)(percent - begin) : s->format->n - s->at;
        tn_strbuf_append(s->out, begin, n);
        s->at += n;
        if (percent)
            TN_TRY(put_conversion(s));
    }
    const size_t n_args = s->args.kind == TPL_TUPLE ? s->args.u.list->n : 1;
    if (!s->keyed && s->n_used < n_args && !is_mapping(s->args))
        return tpl_fail(s->e, "not all arguments converted during string formatting");
    return TN_OK;
}

tn_status tpl_format_percent(tpl_env *e, const tpl_str *format, tpl_value args, tpl_value *out)
{
    tn_strbuf text = tpl_buffer(e);
    state s = { .e = e, .format = format, .args = args, .out = &text };
    tn_status status = put_all(&s);
    if (!status)
        return tpl_str_take(e, &text, out);
    tn_strbuf_deinit(&text);
    return status;
}
