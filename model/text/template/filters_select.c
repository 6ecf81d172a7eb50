/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filters that call a filter or test on each item. Jinja2 does it when the result is read, this at
 * once and keeps an error for then: a template cannot see it, for values do not change. Namespaces
 * do, so they are refused.
 */
#include "model/text/template/function.h"

#include <string.h>

static const tpl_value nothing = { 0 };

static tn_status check_item(tpl_env *e, tpl_value item)
{
    if (item.kind == TPL_NAMESPACE || item.kind == TPL_CYCLER || item.kind == TPL_JOINER ||
        item.kind == TPL_LOOP)
        return tpl_unsupported(e, "map, select or reject over items of type %s",
                               tpl_type_name(item));
    return TN_OK;
}

/* The arguments behind the first n. */
static tpl_args rest_of(const tpl_args *args, size_t n)
{
    tpl_args rest = *args;
    rest.item = args->n > n ? args->item + n : NULL;
    rest.n = args->n > n ? args->n - n : 0;
    return rest;
}

static tn_status find(tpl_env *e, tpl_value name, bool test, const tpl_function **out)
{
    const char *what = test ? "test" : "filter";
    if (name.kind != TPL_STR)
        return tpl_fail(e, "the name of a %s must be a text, not a value of type %s", what,
                        tpl_type_name(name));
    const tpl_str *s = name.u.s;
    *out = test ? tpl_find_test(s) : tpl_find_filter(s);
    return *out ? TN_OK
                : tpl_unsupported(e, "No %s named '%.*s'.", what, (int)(s->n < 60 ? s->n : 60),
                                  s->data);
}

/* ---- map ---- */

/* map(attribute=..., default=...) */
static tn_status read_map_keywords(tpl_env *e, const tpl_args *args, tpl_value *attribute,
                                   tpl_value *absent)
{
    *attribute = *absent = nothing;
    for (size_t i = 0; i < args->n_keys; i++) {
        if (tpl_str_is(args->key[i].u.s, "attribute"))
            *attribute = args->value[i];
        else if (tpl_str_is(args->key[i].u.s, "default"))
            *absent = args->value[i];
    }
    const size_t n_known = (attribute->kind != TPL_MISSING) + (absent->kind != TPL_MISSING);
    if (attribute->kind == TPL_MISSING)
        return tpl_fail(e, "map requires a filter argument");
    return n_known == args->n_keys ? TN_OK : tpl_fail(e, "map got an unexpected keyword argument");
}

static tn_status map_items(tpl_env *e, const tpl_call *c, tpl_items *mapped)
{
    const tpl_args rest = rest_of(c->args, 1);
    const tpl_function *f = NULL;
    tpl_value attribute, absent, v;
    tpl_list items;
    if (!tpl_truth(c->self))
        return TN_OK;
    if (c->args->n == 0)
        TN_TRY(read_map_keywords(e, c->args, &attribute, &absent));
    else
        TN_TRY(find(e, c->args->item[0], false, &f));
    TN_TRY(tpl_iterate(e, c->self, &items));
    for (size_t i = 0; i < items.n; i++) {
        TN_TRY(check_item(e, items.item[i]));
        if (f)
            TN_TRY(tpl_call_row(e, f, "filter", items.item[i], &rest, &v));
        else
            TN_TRY(tpl_get_path(e, items.item[i], attribute, absent, &v));
        TN_TRY(tpl_items_add(e, mapped, v));
    }
    return TN_OK;
}

static tn_status filter_map(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    tpl_items mapped = { 0 };
    tn_status status = map_items(e, c, &mapped);
    return tpl_iter_new(e, status, mapped.item, mapped.n, out);
}

/* ---- select, reject ---- */

static tn_status keep_items(tpl_env *e, const tpl_call *c, bool by_attribute, bool wanted,
                            tpl_items *kept)
{
    const size_t at = by_attribute;
    const tpl_args rest = rest_of(c->args, at + 1);
    const tpl_function *test = NULL;
    tpl_list items;
    if (!tpl_truth(c->self))
        return TN_OK;
    if (by_attribute && c->args->n == 0)
        return tpl_fail(e, "Missing parameter for attribute name");
    const tpl_value attribute = by_attribute ? c->args->item[0] : nothing;
    if (c->args->n > at)
        TN_TRY(find(e, c->args->item[at], true, &test));
    TN_TRY(tpl_iterate(e, c->self, &items));
    for (size_t i = 0; i < items.n; i++) {
        tpl_value v;
        TN_TRY(check_item(e, items.item[i]));
        TN_TRY(tpl_get_path(e, items.item[i], attribute, nothing, &v));
        if (test)
            TN_TRY(tpl_call_row(e, test, "test", v, &rest, &v));
        if (tpl_truth(v) == wanted)
            TN_TRY(tpl_items_add(e, kept, items.item[i]));
    }
    return TN_OK;
}

static tn_status filter_by_test(tpl_env *e, const tpl_call *c, bool by_attribute, bool wanted,
                                tpl_value *out)
{
    tpl_items kept = { 0 };
    tn_status status = keep_items(e, c, by_attribute, wanted, &kept);
    return tpl_iter_new(e, status, kept.item, kept.n, out);
}

static tn_status filter_select(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return filter_by_test(e, c, false, true, out);
}

static tn_status filter_reject(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return filter_by_test(e, c, false, false, out);
}

static tn_status filter_selectattr(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return filter_by_test(e, c, true, true, out);
}

static tn_status filter_rejectattr(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return filter_by_test(e, c, true, false, out);
}

const tpl_function tpl_select_filters[] = {
    { "map", filter_map, NULL },
    { "select", filter_select, NULL },
    { "reject", filter_reject, NULL },
    { "selectattr", filter_selectattr, NULL },
    { "rejectattr", filter_rejectattr, NULL },
    { "attr", NULL, NULL },
    { NULL, NULL, NULL },
};
