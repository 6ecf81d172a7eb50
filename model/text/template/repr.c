/* SPDX-License-Identifier: Apache-2.0 */
/* str() and repr() of values. */
#include "model/text/template/lexer.h"
#include "model/text/template/loop.h"
#include "model/text/template/unicode.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Shortest digits that read back as d, then Python's choice of form: exponents below -4 and from 16
 * on. */
void tpl_put_float(double d, tn_strbuf *out)
{
    char text[40];
    if (!isfinite(d)) {
        tn_strbuf_puts(out, isnan(d) ? "nan" : d < 0 ? "-inf" : "inf");
        return;
    }
    int precision = 1;
    do {
        snprintf(text, sizeof text, "%.*e", precision - 1, d);
    } while (strtod(text, NULL) != d && ++precision <= 17);
    const char *exponent_at = strchr(text, 'e');
    const int exponent = exponent_at ? (int)strtol(exponent_at + 1, NULL, 10) : 0;
    if (exponent < -4 || exponent >= 16) {
        tn_strbuf_puts(out, text);
        return;
    }
    const int decimals = precision - 1 - exponent;
    tn_strbuf_printf(out, "%.*f", decimals > 0 ? decimals : 1, d);
}

static void put_escaped(uint32_t c, tn_strbuf *out)
{
    if (c == '\n' || c == '\r' || c == '\t')
        tn_strbuf_puts(out, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
    else if (c < 0x100)
        tn_strbuf_printf(out, "\\x%02x", (unsigned)c);
    else
        tn_strbuf_printf(out, c < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)c);
}

static void put_quoted(const tpl_str *s, tn_strbuf *out)
{
    const bool has_single = s->n && memchr(s->data, '\'', s->n),
               has_double = s->n && memchr(s->data, '"', s->n);
    const char quote = has_single && !has_double ? '"' : '\'';
    size_t bytes;
    tn_strbuf_append(out, &quote, 1);
    for (size_t at = 0; at < s->n; at += bytes) {
        const uint32_t c = tpl_char_at(s->data + at, &bytes);
        if (c == '\\' || c == (uint32_t)quote)
            tn_strbuf_append(out, "\\", 1);
        if (tpl_is_printable(c))
            tn_strbuf_append(out, s->data + at, bytes);
        else
            put_escaped(c, out);
    }
    tn_strbuf_append(out, &quote, 1);
}

static tn_status put_items(tpl_env *e, const tpl_list *list, const char *open, const char *close,
                           tn_strbuf *out)
{
    tn_status status = TN_OK;
    tn_strbuf_puts(out, open);
    TN_TRY(tpl_enter(e));
    for (size_t i = 0; i < list->n && !status; i++) {
        if (i)
            tn_strbuf_puts(out, ", ");
        status = tpl_put_repr(e, list->item[i], out);
    }
    tpl_leave(e);
    tn_strbuf_puts(out, close);
    return status;
}

static tn_status put_dict(tpl_env *e, const tpl_dict *d, tn_strbuf *out)
{
    tn_status status = TN_OK;
    tn_strbuf_puts(out, "{");
    TN_TRY(tpl_enter(e));
    for (size_t i = 0; i < d->n && !status; i++) {
        if (i)
            tn_strbuf_puts(out, ", ");
        status = tpl_put_repr(e, d->key[i], out);
        tn_strbuf_puts(out, ": ");
        if (!status)
            status = tpl_put_repr(e, d->value[i], out);
    }
    tpl_leave(e);
    tn_strbuf_puts(out, "}");
    return status;
}

static tn_status put_view(tpl_env *e, tpl_value v, tn_strbuf *out)
{
    static const char *const opens[] = { "dict_keys([", "dict_values([", "dict_items([" };
    tpl_list list;
    TN_TRY(tpl_iterate(e, v, &list));
    return put_items(e, &list, opens[v.u.view->what], "])", out);
}

static void put_range(const tpl_range *r, tn_strbuf *out)
{
    tn_strbuf_printf(out, "range(%" PRId64 ", %" PRId64, r->start, r->stop);
    if (r->step != 1)
        tn_strbuf_printf(out, ", %" PRId64, r->step);
    tn_strbuf_puts(out, ")");
}

static tn_status put_object(tpl_env *e, tpl_value v, tn_strbuf *out)
{
    if (v.kind == TPL_NAMESPACE) {
        tn_strbuf_puts(out, "<Namespace ");
        TN_TRY(put_dict(e, &v.u.ns->dict, out));
        tn_strbuf_puts(out, ">");
        return TN_OK;
    }
    if (v.kind == TPL_MACRO) {
        if (!v.u.macro->name) {
            tn_strbuf_puts(out, "<Macro anonymous>");
            return TN_OK;
        }
        tn_strbuf_puts(out, "<Macro ");
        put_quoted(v.u.macro->name, out);
        tn_strbuf_puts(out, ">");
        return TN_OK;
    }
    if (v.kind == TPL_LOOP) {
        size_t length;
        TN_TRY(tpl_loop_length(e, v.u.loop, &length));
        tn_strbuf_printf(out, "<LoopContext %zu/%zu>", v.u.loop->index0 + 1, length);
        return TN_OK;
    }
    return tpl_unsupported(e, "a value of type %s as text%s", tpl_type_name(v),
                           v.kind == TPL_ITER ? "; use |join or |list" : "");
}

tn_status tpl_put_repr(tpl_env *e, tpl_value v, tn_strbuf *out)
{
    TN_TRY(tpl_charge(e, 1));
    switch (v.kind) {
    case TPL_UNDEFINED:
        tn_strbuf_puts(out, "Undefined");
        return TN_OK;
    case TPL_NONE:
        tn_strbuf_puts(out, "None");
        return TN_OK;
    case TPL_BOOL:
        tn_strbuf_puts(out, v.u.i ? "True" : "False");
        return TN_OK;
    case TPL_INT:
        tn_strbuf_printf(out, "%" PRId64, v.u.i);
        return TN_OK;
    case TPL_FLOAT:
        tpl_put_float(v.u.d, out);
        return TN_OK;
    case TPL_STR:
        if (v.u.s->markup)
            return tpl_unsupported(e, "the repr of a text that went through |safe or |escape");
        put_quoted(v.u.s, out);
        return tpl_charge(e, v.u.s->n / 64);
    case TPL_LIST:
        return put_items(e, v.u.list, "[", "]", out);
    case TPL_TUPLE:
        return put_items(e, v.u.list, "(", v.u.list->n == 1 ? ",)" : ")", out);
    case TPL_DICT:
        return put_dict(e, v.u.dict, out);
    case TPL_VIEW:
        return put_view(e, v, out);
    case TPL_RANGE:
        put_range(v.u.range, out);
        return TN_OK;
    default:
        return put_object(e, v, out);
    }
}

tn_status tpl_put_str(tpl_env *e, tpl_value v, tn_strbuf *out)
{
    if (v.kind == TPL_STR) {
        tn_strbuf_append(out, v.u.s->data, v.u.s->n);
        return tpl_charge(e, v.u.s->n / 64);
    }
    return v.kind == TPL_UNDEFINED ? TN_OK : tpl_put_repr(e, v, out);
}

tn_status tpl_to_str(tpl_env *e, tpl_value v, const tpl_str **out)
{
    if (v.kind == TPL_STR) {
        *out = v.u.s;
        return TN_OK;
    }
    tn_strbuf text = tpl_buffer(e);
    tn_status status = tpl_put_str(e, v, &text);
    if (status) {
        tn_strbuf_deinit(&text);
        return status;
    }
    tpl_value value;
    TN_TRY(tpl_str_take(e, &text, &value));
    *out = value.u.s;
    return TN_OK;
}
