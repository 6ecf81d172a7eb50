/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of dict, list, tuple and cycler, and which attributes the types have. */
#include "model/text/template/function.h"

#include <string.h>

/* ---- dict ---- */

static tn_status call_get(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    TN_TRY(tpl_dict_get(e, c->self.u.dict, c->p[0], out));
    if (out->kind == TPL_MISSING)
        *out = c->p[1].kind == TPL_MISSING ? TPL_NONE_VALUE : c->p[1];
    return TN_OK;
}

static tn_status view(tpl_env *e, const tpl_call *c, int32_t what, tpl_value *out)
{
    tpl_view *v;
    TN_TRY(tpl_alloc(e, 1, sizeof *v, &v));
    *v = (tpl_view){ c->self.u.dict, what };
    *out = (tpl_value){ .kind = TPL_VIEW, .u.view = v };
    return TN_OK;
}

static tn_status call_keys(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return view(e, c, TPL_KEYS, out);
}

static tn_status call_values(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return view(e, c, TPL_VALUES, out);
}

static tn_status call_items(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return view(e, c, TPL_ITEMS, out);
}

/* Values do not change, so a copy is as good as the value. */
static tn_status call_copy(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    (void)e;
    *out = c->self;
    return TN_OK;
}

const tpl_function tpl_dict_methods[] = {
    { "get", call_get, "/key! default" },
    { "keys", call_keys, "" },
    { "values", call_values, "" },
    { "items", call_items, "" },
    { "copy", call_copy, "" },
    { "fromkeys", NULL, NULL },
    { "clear", NULL, "unsafe" },
    { "pop", NULL, "unsafe" },
    { "popitem", NULL, "unsafe" },
    { "setdefault", NULL, "unsafe" },
    { "update", NULL, "unsafe" },
    { NULL, NULL, NULL },
};

/* ---- list, tuple ---- */

static tn_status call_index(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    const tpl_list *list = c->self.u.list;
    for (size_t i = 0; i < list->n; i++) {
        bool equal;
        TN_TRY(tpl_equal(e, list->item[i], c->p[0], &equal));
        if (equal) {
            *out = TPL_INT_VALUE((int64_t)i);
            return TN_OK;
        }
    }
    return tpl_fail(e, "the value is not in the %s", tpl_type_name(c->self));
}

static tn_status call_count(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    const tpl_list *list = c->self.u.list;
    int64_t n = 0;
    for (size_t i = 0; i < list->n; i++) {
        bool equal;
        TN_TRY(tpl_equal(e, list->item[i], c->p[0], &equal));
        n += equal;
    }
    *out = TPL_INT_VALUE(n);
    return TN_OK;
}

/* The first two are those of tuple as well. */
const tpl_function tpl_list_methods[] = {
    { "index", call_index, "/value!" }, { "count", call_count, "/value!" },
    { "copy", call_copy, "" },          { "append", NULL, "unsafe" },
    { "clear", NULL, "unsafe" },        { "pop", NULL, "unsafe" },
    { "reverse", NULL, "unsafe" },      { "insert", NULL, "unsafe" },
    { "sort", NULL, "unsafe" },         { "extend", NULL, "unsafe" },
    { "remove", NULL, "unsafe" },       { NULL, NULL, NULL },
};

/* ---- cycler ---- */

static tn_status call_next(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    tpl_cycler *cycler = c->self.u.cycler;
    (void)e;
    *out = cycler->items.item[cycler->at];
    cycler->at = (cycler->at + 1) % cycler->items.n;
    return TN_OK;
}

static tn_status call_reset(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    (void)e;
    c->self.u.cycler->at = 0;
    *out = TPL_NONE_VALUE;
    return TN_OK;
}

static const tpl_function cycler_methods[] = { { "next", call_next, "" },
                                               { "reset", call_reset, "" },
                                               { NULL, NULL, NULL } };

/* ---- other attributes that Python has ---- */

static const tpl_function number_attributes[] = {
    { "real", NULL, NULL },        { "imag", NULL, NULL },      { "numerator", NULL, NULL },
    { "denominator", NULL, NULL }, { "conjugate", NULL, NULL }, { "bit_length", NULL, NULL },
    { "bit_count", NULL, NULL },   { "to_bytes", NULL, NULL },  { "from_bytes", NULL, NULL },
    { "hex", NULL, NULL },         { "fromhex", NULL, NULL },   { "as_integer_ratio", NULL, NULL },
    { "is_integer", NULL, NULL },  { NULL, NULL, NULL },
};
static const tpl_function other_attributes[] = {
    { "start", NULL, NULL },         { "stop", NULL, NULL },      { "step", NULL, NULL },
    { "index", NULL, NULL },         { "count", NULL, NULL },     { "mapping", NULL, NULL },
    { "isdisjoint", NULL, NULL },    { "send", NULL, NULL },      { "throw", NULL, NULL },
    { "close", NULL, NULL },         { "gi_frame", NULL, NULL },  { "gi_code", NULL, NULL },
    { "name", NULL, NULL },          { "arguments", NULL, NULL }, { "catch_kwargs", NULL, NULL },
    { "catch_varargs", NULL, NULL }, { "caller", NULL, NULL },    { "explicit_caller", NULL, NULL },
    { "items", NULL, NULL },         { "pos", NULL, NULL },       { "sep", NULL, NULL },
    { "used", NULL, NULL },          { NULL, NULL, NULL },
};

const tpl_function *tpl_find_row(const tpl_function *rows, const tpl_str *name)
{
    for (; rows->name; rows++)
        if (tpl_str_is(name, rows->name))
            return rows;
    return NULL;
}

const tpl_function *tpl_find_method(tpl_value v, const tpl_str *name)
{
    const tpl_function *found;
    switch (v.kind) {
    case TPL_STR:
        found = tpl_find_row(tpl_str_methods, name);
        return found ? found : tpl_find_row(tpl_str_predicates, name);
    case TPL_DICT:
        return tpl_find_row(tpl_dict_methods, name);
    case TPL_LIST:
        return tpl_find_row(tpl_list_methods, name);
    case TPL_TUPLE:
        found = tpl_find_row(tpl_list_methods, name);
        return found && found - tpl_list_methods < 2 ? found : NULL;
    case TPL_CYCLER:
        found = tpl_find_row(cycler_methods, name);
        return found ? found : tpl_find_row(other_attributes, name);
    case TPL_BOOL:
    case TPL_INT:
    case TPL_FLOAT:
        return tpl_find_row(number_attributes, name);
    default:
        return v.kind == TPL_NONE ? NULL : tpl_find_row(other_attributes, name);
    }
}
