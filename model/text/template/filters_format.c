/* SPDX-License-Identifier: Apache-2.0 */
/* Filters that write any value as text: tojson, format, urlencode, filesizeformat, join. */
#include "model/text/template/function.h"

#include <string.h>

/* ---- tojson ---- */

static tn_status json_separators(tpl_env *e, tpl_value v, tpl_json_style *style)
{
    tpl_list pair;
    TN_TRY(tpl_iterate(e, v, &pair));
    if (pair.n != 2 || pair.item[0].kind != TPL_STR || pair.item[1].kind != TPL_STR)
        return tpl_fail(e, "tojson: separators must be two texts");
    style->comma = pair.item[0].u.s;
    style->colon = pair.item[1].u.s;
    return TN_OK;
}

static tn_status json_indent(tpl_env *e, tpl_value v, const tpl_str **out)
{
    enum { MAX_INDENT = 1024 };
    int64_t width;
    tpl_value blanks;
    if (v.kind == TPL_STR) {
        *out = v.u.s;
        return TN_OK;
    }
    TN_TRY(tpl_int_arg(e, v, 0, &width));
    if (width > MAX_INDENT)
        return tpl_fail(e, "tojson: an indent of %lld; at most %d is allowed", (long long)width,
                        MAX_INDENT);
    char text[MAX_INDENT];
    memset(text, ' ', sizeof text);
    TN_TRY(tpl_str_copy(e, text, width > 0 ? (size_t)width : 0, &blanks));
    *out = blanks.u.s;
    return TN_OK;
}

/* json.dumps(value, ensure_ascii, indent=, separators=, sort_keys=), as transformers calls it. */
static tn_status filter_tojson(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    static const tpl_str comma_blank = { ", ", 2, 2, false }, comma = { ",", 1, 1, false },
                         colon = { ": ", 2, 2, false };
    tpl_json_style style = { .comma = &comma_blank, .colon = &colon };
    style.ensure_ascii = tpl_truth(c->p[0]);
    style.sort_keys = tpl_truth(c->p[3]);
    if (c->p[1].kind != TPL_MISSING && c->p[1].kind != TPL_NONE) {
        TN_TRY(json_indent(e, c->p[1], &style.indent));
        style.comma = &comma;
    }
    if (c->p[2].kind != TPL_MISSING && c->p[2].kind != TPL_NONE)
        TN_TRY(json_separators(e, c->p[2], &style));
    tn_strbuf text = tpl_buffer(e);
    tn_status status = tpl_put_json(e, c->self, &style, &text);
    if (!status)
        return tpl_str_take(e, &text, out);
    tn_strbuf_deinit(&text);
    return status;
}

/* ---- format ---- */

static tn_status filter_format(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    const tpl_args *args = c->args;
    const tpl_str *format;
    tpl_value values;
    TN_TRY(tpl_self_text(e, c, &format));
    if (args->n && args->n_keys)
        return tpl_fail(e,
                        "format: can't handle positional and keyword arguments at the same time");
    if (args->n_keys == 0) {
        TN_TRY(tpl_list_new(e, TPL_TUPLE, args->item, args->n, &values));
        return tpl_format_percent(e, format, values, out);
    }
    tpl_dict *d;
    TN_TRY(tpl_dict_new(e, &d));
    for (size_t i = 0; i < args->n_keys; i++)
        TN_TRY(tpl_dict_set(e, d, args->key[i], args->value[i]));
    return tpl_format_percent(e, format, (tpl_value){ .kind = TPL_DICT, .u.dict = d }, out);
}

/* ---- urlencode ---- */

static tn_status put_quoted(tpl_env *e, tpl_value v, bool in_query, tn_strbuf *out)
{
    static const char plain[] = "_.-~";
    const tpl_str *s;
    TN_TRY(tpl_to_str(e, v, &s));
    TN_TRY(tpl_charge(e, s->n / 8));
    for (size_t i = 0; i < s->n; i++) {
        const char c = s->data[i];
        const bool safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || memchr(plain, c, sizeof plain - 1) ||
                          (c == '/' && !in_query);
        if (safe)
            tn_strbuf_append(out, &c, 1);
        else if (c == ' ' && in_query)
            tn_strbuf_append(out, "+", 1);
        else
            tn_strbuf_printf(out, "%%%02X", (unsigned)(unsigned char)c);
    }
    return TN_OK;
}

static tn_status put_query(tpl_env *e, tpl_value v, tn_strbuf *out)
{
    tpl_list items, pair;
    TN_TRY(tpl_iterate(e, v, &items));
    for (size_t i = 0; i < items.n; i++) {
        tpl_value key = items.item[i], value;
        if (v.kind == TPL_DICT) {
            value = v.u.dict->value[i];
        } else {
            TN_TRY(tpl_iterate(e, key, &pair));
            if (pair.n != 2)
                return tpl_fail(e, "urlencode needs pairs");
            key = pair.item[0];
            value = pair.item[1];
        }
        if (i)
            tn_strbuf_puts(out, "&");
        TN_TRY(put_quoted(e, key, true, out));
        tn_strbuf_puts(out, "=");
        TN_TRY(put_quoted(e, value, true, out));
    }
    return TN_OK;
}

static tn_status filter_urlencode(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    const tpl_value v = c->self;
    const bool one = v.kind == TPL_STR || !tpl_is_iterable(v);
    tn_strbuf text = tpl_buffer(e);
    tn_status status = one ? put_quoted(e, v, false, &text) : put_query(e, v, &text);
    if (!status)
        return tpl_str_take(e, &text, out);
    tn_strbuf_deinit(&text);
    return status;
}

/* ---- join ---- */

static tn_status put_joined(tpl_env *e, const tpl_call *c, const tpl_str *separator, tn_strbuf *out)
{
    tpl_list items;
    TN_TRY(tpl_iterate(e, c->self, &items));
    for (size_t i = 0; i < items.n; i++) {
        tpl_value item;
        TN_TRY(tpl_get_path(e, items.item[i], c->p[1], (tpl_value){ 0 }, &item));
        if (i && separator)
            tn_strbuf_append(out, separator->data, separator->n);
        TN_TRY(tpl_put_str(e, item, out));
        if (out->failed)
            return TN_OK; /* the caller tells */
    }
    return TN_OK;
}

static tn_status filter_join(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    const tpl_str *separator = NULL;
    if (c->p[0].kind != TPL_MISSING)
        TN_TRY(tpl_to_str(e, c->p[0], &separator));
    tn_strbuf text = tpl_buffer(e);
    tn_status status = put_joined(e, c, separator, &text);
    if (!status)
        return tpl_str_take(e, &text, out);
    tn_strbuf_deinit(&text);
    return status;
}

const tpl_function tpl_format_filters[] = {
    { "tojson", filter_tojson, "ensure_ascii indent separators sort_keys" },
    { "format", filter_format, NULL },
    { "urlencode", filter_urlencode, "" },
    { "join", filter_join, "d attribute" },
    { "filesizeformat", NULL, NULL },
    { "pprint", NULL, NULL },
    { NULL, NULL, NULL },
};
