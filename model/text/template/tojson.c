/* SPDX-License-Identifier: Apache-2.0 */
/* json.dumps() of Python. */
#include "model/text/template/unicode.h"
#include "model/text/template/value.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static void put_code_unit(unsigned code, tn_strbuf *out)
{
    tn_strbuf_printf(out, "\\u%04x", code);
}

static void put_char(uint32_t c, bool ensure_ascii, tn_strbuf *out)
{
    static const char from[] = "\"\\\n\r\t\f\b", to[] = "\"\\nrtfb";
    const char *simple = c && c < 0x80 ? strchr(from, (int)c) : NULL;
    if (simple)
        tn_strbuf_printf(out, "\\%c", to[simple - from]);
    else if (c < 0x20 || (ensure_ascii && c >= 0x7F && c < 0x10000))
        c == 0x7F ? tpl_put_char(c, out) : put_code_unit((unsigned)c, out);
    else if (ensure_ascii && c >= 0x10000) {
        put_code_unit((unsigned)(0xD800 + ((c - 0x10000) >> 10)), out);
        put_code_unit((unsigned)(0xDC00 + ((c - 0x10000) & 0x3FF)), out);
    } else
        tpl_put_char(c, out);
}

static void put_string(const tpl_str *s, const tpl_json_style *style, tn_strbuf *out)
{
    size_t bytes;
    tn_strbuf_puts(out, "\"");
    for (size_t at = 0; at < s->n; at += bytes)
        put_char(tpl_char_at(s->data + at, &bytes), style->ensure_ascii, out);
    tn_strbuf_puts(out, "\"");
}

static void put_float(double d, tn_strbuf *out)
{
    if (isnan(d))
        tn_strbuf_puts(out, "NaN");
    else if (isinf(d))
        tn_strbuf_puts(out, d < 0 ? "-Infinity" : "Infinity");
    else
        tpl_put_float(d, out);
}

static void put_newline(const tpl_json_style *style, int level, tn_strbuf *out)
{
    if (!style->indent)
        return;
    tn_strbuf_puts(out, "\n");
    for (int i = 0; i < level; i++)
        tn_strbuf_append(out, style->indent->data, style->indent->n);
}

static tn_status put_key(tpl_env *e, tpl_value key, const tpl_json_style *style, tn_strbuf *out)
{
    if (key.kind == TPL_STR) {
        put_string(key.u.s, style, out);
        return TN_OK;
    }
    tn_strbuf_puts(out, "\"");
    if (key.kind == TPL_NONE)
        tn_strbuf_puts(out, "null");
    else if (key.kind == TPL_BOOL)
        tn_strbuf_puts(out, key.u.i ? "true" : "false");
    else if (key.kind == TPL_INT)
        tn_strbuf_printf(out, "%" PRId64, key.u.i);
    else if (key.kind == TPL_FLOAT)
        put_float(key.u.d, out);
    else
        return tpl_fail(e, "tojson: keys must be str, int, float, bool or None, not %s",
                        tpl_type_name(key));
    tn_strbuf_puts(out, "\"");
    return TN_OK;
}

static tn_status put_value(tpl_env *e, tpl_value v, const tpl_json_style *style, int level,
                           tn_strbuf *out);

static tn_status put_list(tpl_env *e, const tpl_list *list, const tpl_json_style *style, int level,
                          tn_strbuf *out)
{
    if (list->n == 0) {
        tn_strbuf_puts(out, "[]");
        return TN_OK;
    }
    tn_strbuf_puts(out, "[");
    for (size_t i = 0; i < list->n; i++) {
        if (i)
            tn_strbuf_append(out, style->comma->data, style->comma->n);
        put_newline(style, level + 1, out);
        TN_TRY(put_value(e, list->item[i], style, level + 1, out));
    }
    put_newline(style, level, out);
    tn_strbuf_puts(out, "]");
    return TN_OK;
}

static tn_status put_dict(tpl_env *e, const tpl_dict *d, const tpl_json_style *style, int level,
                          tn_strbuf *out)
{
    size_t *index;
    if (d->n == 0) {
        tn_strbuf_puts(out, "{}");
        return TN_OK;
    }
    TN_TRY(tpl_alloc(e, d->n, sizeof *index, &index));
    for (size_t i = 0; i < d->n; i++)
        index[i] = i;
    if (style->sort_keys)
        TN_TRY(tpl_sort(e, d->key, index, d->n, TPL_SORT_PLAIN));
    tn_strbuf_puts(out, "{");
    for (size_t i = 0; i < d->n; i++) {
        if (i)
            tn_strbuf_append(out, style->comma->data, style->comma->n);
        put_newline(style, level + 1, out);
        TN_TRY(put_key(e, d->key[index[i]], style, out));
        tn_strbuf_append(out, style->colon->data, style->colon->n);
        TN_TRY(put_value(e, d->value[index[i]], style, level + 1, out));
    }
    put_newline(style, level, out);
    tn_strbuf_puts(out, "}");
    return TN_OK;
}

static tn_status put_scalar(tpl_env *e, tpl_value v, const tpl_json_style *style, tn_strbuf *out)
{
    switch (v.kind) {
    case TPL_NONE:
        tn_strbuf_puts(out, "null");
        return TN_OK;
    case TPL_BOOL:
        tn_strbuf_puts(out, v.u.i ? "true" : "false");
        return TN_OK;
    case TPL_INT:
        tn_strbuf_printf(out, "%" PRId64, v.u.i);
        return TN_OK;
    case TPL_FLOAT:
        put_float(v.u.d, out);
        return TN_OK;
    case TPL_STR:
        put_string(v.u.s, style, out);
        return tpl_charge(e, v.u.s->n / 16);
    default:
        return tpl_fail(e, "tojson: a value of type %s is not JSON serializable", tpl_type_name(v));
    }
}

static tn_status put_value(tpl_env *e, tpl_value v, const tpl_json_style *style, int level,
                           tn_strbuf *out)
{
    TN_TRY(tpl_charge(e, 1));
    if (v.kind != TPL_LIST && v.kind != TPL_TUPLE && v.kind != TPL_DICT)
        return put_scalar(e, v, style, out);
    TN_TRY(tpl_enter(e));
    tn_status status = v.kind == TPL_DICT ? put_dict(e, v.u.dict, style, level, out)
                                          : put_list(e, v.u.list, style, level, out);
    tpl_leave(e);
    return status;
}

tn_status tpl_put_json(tpl_env *e, tpl_value v, const tpl_json_style *style, tn_strbuf *out)
{
    return put_value(e, v, style, 0, out);
}
