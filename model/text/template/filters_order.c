/* SPDX-License-Identifier: Apache-2.0 */
/* Filters that compare items: sort, unique, min, max, groupby, dictsort, sum. */
#include "model/text/template/function.h"
#include "model/text/template/lexer.h"
#include "model/text/template/unicode.h"

#include <string.h>

static const tpl_value nothing = { 0 };

/* A text in lower case, unless case_sensitive; any other value as it is. */
static tn_status fold_case(tpl_env *e, tpl_value v, bool case_sensitive, tpl_value *out)
{
    *out = v;
    if (v.kind != TPL_STR || case_sensitive)
        return TN_OK;
    tn_strbuf text = tpl_buffer(e);
    if (tpl_put_lower(v.u.s->data, v.u.s->n, &text))
        return tpl_str_take(e, &text, out);
    tn_strbuf_deinit(&text);
    return tpl_unsupported(e, "the lower case of a text with a capital sigma");
}

/* What items are compared by. */
typedef struct key_rule {
    tpl_value attribute, absent;
    bool case_sensitive;
} key_rule;

static tn_status make_keys(tpl_env *e, const tpl_list *items, const key_rule *rule, tpl_value **out)
{
    TN_TRY(tpl_charge(e, items->n));
    TN_TRY(tpl_alloc(e, items->n, sizeof **out, out));
    for (size_t i = 0; i < items->n; i++) {
        tpl_value v;
        TN_TRY(tpl_get_path(e, items->item[i], rule->attribute, rule->absent, &v));
        TN_TRY(fold_case(e, v, rule->case_sensitive, &(*out)[i]));
    }
    return TN_OK;
}

static tn_status pick(tpl_env *e, const tpl_value *items, const size_t *index, size_t n,
                      tpl_value **out)
{
    TN_TRY(tpl_alloc(e, n, sizeof **out, out));
    for (size_t i = 0; i < n; i++)
        (*out)[i] = items[index[i]];
    return TN_OK;
}

/* ---- sort ---- */

/* Keys for "a,b": a list of the attributes each. */
static tn_status make_list_keys(tpl_env *e, const tpl_list *items, const key_rule *rule,
                                tpl_value **out)
{
    const tpl_str *path = rule->attribute.u.s;
    tpl_items columns = { 0 };
    size_t n_columns = 0;
    for (size_t at = 0; at <= path->n; n_columns++) {
        const char *comma = at < path->n ? memchr(path->data + at, ',', path->n - at) : NULL;
        const size_t n = (comma ? (size_t)(comma - path->data) : path->n) - at;
        key_rule one = *rule;
        tpl_value *keys;
        TN_TRY(tpl_str_borrow(e, path->data + at, n, &one.attribute));
        TN_TRY(make_keys(e, items, &one, &keys));
        for (size_t i = 0; i < items->n; i++)
            TN_TRY(tpl_items_add(e, &columns, keys[i]));
        at += n + 1;
    }
    TN_TRY(tpl_alloc(e, items->n, sizeof **out, out));
    for (size_t i = 0; i < items->n; i++) {
        tpl_value *row;
        TN_TRY(tpl_alloc(e, n_columns, sizeof *row, &row));
        for (size_t k = 0; k < n_columns; k++)
            row[k] = columns.item[k * items->n + i];
        TN_TRY(tpl_list_new(e, TPL_LIST, row, n_columns, &(*out)[i]));
    }
    return TN_OK;
}

static tn_status filter_sort(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    const key_rule rule = { c->p[2], nothing, tpl_truth(c->p[1]) };
    const bool several = rule.attribute.kind == TPL_STR && rule.attribute.u.s->n &&
                         memchr(rule.attribute.u.s->data, ',', rule.attribute.u.s->n);
    tpl_list items;
    tpl_value *keys, *sorted;
    size_t *index;
    TN_TRY(tpl_iterate(e, c->self, &items));
    TN_TRY(several ? make_list_keys(e, &items, &rule, &keys) : make_keys(e, &items, &rule, &keys));
    TN_TRY(tpl_alloc(e, items.n, sizeof *index, &index));
    const unsigned reverse = tpl_truth(c->p[0]) ? TPL_SORT_REVERSE : 0;
    TN_TRY(tpl_sort(e, keys, index, items.n, reverse | (several ? 0u : (unsigned)TPL_SORT_LISTS)));
    TN_TRY(pick(e, items.item, index, items.n, &sorted));
    return tpl_list_new(e, TPL_LIST, sorted, items.n, out);
}

static tn_status filter_dictsort(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    const tpl_str *by;
    TN_TRY(tpl_str_arg(e, c->p[1], &by));
    const bool by_value = by && tpl_str_is(by, "value");
    if (c->p[1].kind != TPL_MISSING && !by_value && !(by && tpl_str_is(by, "key")))
        return tpl_fail(e, "You can only sort by either \"key\" or \"value\"");
    if (c->self.kind == TPL_UNDEFINED)
        return tpl_undefined_error(e, c->self);
    if (c->self.kind != TPL_DICT)
        return tpl_fail(e, "dictsort needs a dict, not a value of type %s", tpl_type_name(c->self));
    const tpl_dict *d = c->self.u.dict;
    const key_rule rule = { nothing, nothing, tpl_truth(c->p[0]) };
    const tpl_list column = { .item = by_value ? d->value : d->key, .n = d->n };
    tpl_value *keys, *pairs;
    size_t *index;
    TN_TRY(make_keys(e, &column, &rule, &keys));
    TN_TRY(tpl_alloc(e, d->n, sizeof *index, &index));
    TN_TRY(tpl_sort(e, keys, index, d->n, tpl_truth(c->p[2]) ? TPL_SORT_REVERSE : TPL_SORT_PLAIN));
    TN_TRY(tpl_alloc(e, d->n, sizeof *pairs, &pairs));
    for (size_t i = 0; i < d->n; i++)
        TN_TRY(tpl_pair_new(e, d->key[index[i]], d->value[index[i]], &pairs[i]));
    return tpl_list_new(e, TPL_LIST, pairs, d->n, out);
}

/* ---- unique, min, max ---- */

static tn_status filter_unique(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    const key_rule rule = { c->p[1], nothing, tpl_truth(c->p[0]) };
    tpl_list items;
    tpl_items kept = { 0 };
    tpl_dict *seen;
    tpl_value *keys, found;
    TN_TRY(tpl_iterate(e, c->self, &items));
    TN_TRY(make_keys(e, &items, &rule, &keys));
    TN_TRY(tpl_dict_new(e, &seen));
    for (size_t i = 0; i < items.n; i++) {
        TN_TRY(tpl_dict_get(e, seen, keys[i], &found));
        if (found.kind != TPL_MISSING)
            continue;
        TN_TRY(tpl_dict_set(e, seen, keys[i], TPL_NONE_VALUE));
        TN_TRY(tpl_items_add(e, &kept, items.item[i]));
    }
    return tpl_list_new(e, TPL_ITER, kept.item, kept.n, out);
}

static tn_status extreme(tpl_env *e, const tpl_call *c, bool max, tpl_value *out)
{
    const key_rule rule = { c->p[1], nothing, tpl_truth(c->p[0]) };
    tpl_list items;
    tpl_value *keys;
    size_t best = 0;
    TN_TRY(tpl_iterate(e, c->self, &items));
    if (items.n == 0)
        return tpl_undefined_new(e, "No aggregated item, sequence was empty.", nothing, nothing,
                                 out);
    TN_TRY(make_keys(e, &items, &rule, &keys));
    for (size_t i = 1; i < items.n; i++) {
        bool better;
        TN_TRY(max ? tpl_less(e, keys[best], keys[i], &better)
                   : tpl_less(e, keys[i], keys[best], &better));
        if (better)
            best = i;
    }
    *out = items.item[best];
    return TN_OK;
}

static tn_status filter_min(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return extreme(e, c, false, out);
}

static tn_status filter_max(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return extreme(e, c, true, out);
}

/* ---- groupby ---- */

static tn_status make_group(tpl_env *e, tpl_value key, const tpl_value *items, size_t n,
                            tpl_value *out)
{
    tpl_value *parts;
    tpl_list *group;
    TN_TRY(tpl_alloc(e, 2, sizeof *parts, &parts));
    TN_TRY(tpl_alloc(e, 1, sizeof *group, &group));
    parts[0] = key;
    TN_TRY(tpl_list_new(e, TPL_LIST, items, n, &parts[1]));
    *group = (tpl_list){ .item = parts, .n = 2, .is_group = true };
    *out = (tpl_value){ .kind = TPL_TUPLE, .u.list = group };
    return TN_OK;
}

static tn_status filter_groupby(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    const key_rule rule = { c->p[0], c->p[1], tpl_truth(c->p[2]) };
    tpl_list items;
    tpl_items groups = { 0 };
    tpl_value *keys, *sorted, group, grouper;
    size_t *index, end;
    TN_TRY(tpl_iterate(e, c->self, &items));
    TN_TRY(make_keys(e, &items, &rule, &keys));
    TN_TRY(tpl_alloc(e, items.n, sizeof *index, &index));
    TN_TRY(tpl_sort(e, keys, index, items.n, TPL_SORT_PLAIN));
    TN_TRY(pick(e, items.item, index, items.n, &sorted));
    for (size_t at = 0; at < items.n; at = end) {
        bool equal = true;
        for (end = at + 1; end < items.n; end++) {
            TN_TRY(tpl_equal(e, keys[index[at]], keys[index[end]], &equal));
            if (!equal)
                break;
        }
        TN_TRY(tpl_get_path(e, sorted[at], rule.attribute, rule.absent, &grouper));
        TN_TRY(make_group(e, grouper, sorted + at, end - at, &group));
        TN_TRY(tpl_items_add(e, &groups, group));
    }
    return tpl_list_new(e, TPL_LIST, groups.item, groups.n, out);
}

/* ---- sum ---- */

static tn_status filter_sum(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    tpl_list items;
    tpl_value item;
    *out = c->p[1].kind == TPL_MISSING ? TPL_INT_VALUE(0) : c->p[1];
    if (out->kind == TPL_STR)
        return tpl_fail(e, "sum() can't sum strings [use join]");
    TN_TRY(tpl_iterate(e, c->self, &items));
    for (size_t i = 0; i < items.n; i++) {
        TN_TRY(tpl_get_path(e, items.item[i], c->p[0], nothing, &item));
        TN_TRY(tpl_binary(e, TPL_T_ADD, *out, item, out));
    }
    return TN_OK;
}

const tpl_function tpl_order_filters[] = {
    { "sort", filter_sort, "reverse case_sensitive attribute" },
    { "dictsort", filter_dictsort, "case_sensitive by reverse" },
    { "unique", filter_unique, "case_sensitive attribute" },
    { "min", filter_min, "case_sensitive attribute" },
    { "max", filter_max, "case_sensitive attribute" },
    { "groupby", filter_groupby, "attribute! default case_sensitive" },
    { "sum", filter_sum, "attribute start" },
    { NULL, NULL, NULL },
};
