/* SPDX-License-Identifier: Apache-2.0 */
/* Filters on sequences that keep their items. */
#include "model/text/template/function.h"
#include "model/text/template/unicode.h"

#include <string.h>

static tn_status filter_length(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    size_t n;
    TN_TRY(tpl_length(e, c->self, &n));
    *out = TPL_INT_VALUE((int64_t)n);
    return TN_OK;
}

static tn_status filter_list(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    tpl_list items;
    TN_TRY(tpl_iterate(e, c->self, &items));
    return tpl_list_new(e, TPL_LIST, items.item, items.n, out);
}

static tn_status none_there(tpl_env *e, const char *hint, tpl_value *out)
{
    return tpl_undefined_new(e, hint, (tpl_value){ 0 }, (tpl_value){ 0 }, out);
}

static tn_status filter_first(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    tpl_list items;
    tpl_iter *iter = c->self.kind == TPL_ITER ? c->self.u.iter : NULL;
    if (iter && iter->state == TPL_ITER_FRESH && iter->items.n > 0)
        items = iter->items; /* even if reading on would fail */
    else
        TN_TRY(tpl_iterate(e, c->self, &items));
    if (iter)
        iter->state = items.n > 1 ? TPL_ITER_PARTLY : TPL_ITER_DONE;
    if (items.n == 0)
        return none_there(e, "No first item, sequence was empty.", out);
    *out = items.item[0];
    return TN_OK;
}

static bool is_reversible(tpl_value v)
{
    return v.kind == TPL_UNDEFINED || (v.kind >= TPL_STR && v.kind < TPL_ITER);
}

static tn_status filter_last(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    tpl_list items;
    if (!is_reversible(c->self))
        return tpl_fail(e, "'%s' object is not reversible; |list makes a list of a generator",
                        tpl_type_name(c->self));
    TN_TRY(tpl_iterate(e, c->self, &items));
    if (items.n == 0)
        return none_there(e, "No last item, sequence was empty.", out);
    *out = items.item[items.n - 1];
    return TN_OK;
}

static tn_status reverse_text(tpl_env *e, const tpl_str *s, tpl_value *out)
{
    char *text;
    size_t to = s->n;
    TN_TRY(tpl_alloc(e, s->n, 1, &text));
    for (size_t at = 0; at < s->n;) {
        const size_t n = tpl_char_bytes(s->data[at]);
        to -= n;
        memcpy(text + to, s->data + at, n);
        at += n;
    }
    return tpl_str_borrow(e, text, s->n, out);
}

static tn_status filter_reverse(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    tpl_list items;
    tpl_value *reversed;
    if (c->self.kind == TPL_STR)
        return reverse_text(e, c->self.u.s, out);
    TN_TRY(tpl_iterate(e, c->self, &items));
    TN_TRY(tpl_charge(e, items.n));
    TN_TRY(tpl_alloc(e, items.n, sizeof *reversed, &reversed));
    for (size_t i = 0; i < items.n; i++)
        reversed[i] = items.item[items.n - 1 - i];
    return tpl_list_new(e, c->self.kind == TPL_ITER ? TPL_LIST : TPL_ITER, reversed, items.n, out);
}

/* ---- batch, slice ---- */

static tn_status add_list(tpl_env *e, tpl_items *lists, const tpl_items *items)
{
    tpl_value list;
    TN_TRY(tpl_list_new(e, TPL_LIST, items->item, items->n, &list));
    return tpl_items_add(e, lists, list);
}

static tn_status filter_batch(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    tpl_list items;
    tpl_items batch = { 0 }, batches = { 0 };
    int64_t size;
    TN_TRY(tpl_int_arg(e, c->p[0], 0, &size));
    TN_TRY(tpl_iterate(e, c->self, &items));
    for (size_t i = 0; i < items.n; i++) {
        if ((int64_t)batch.n == size) {
            TN_TRY(add_list(e, &batches, &batch));
            batch = (tpl_items){ 0 };
        }
        TN_TRY(tpl_items_add(e, &batch, items.item[i]));
    }
    while (batch.n && c->p[1].kind != TPL_MISSING && c->p[1].kind != TPL_NONE &&
           (int64_t)batch.n < size)
        TN_TRY(tpl_items_add(e, &batch, c->p[1]));
    if (batch.n)
        TN_TRY(add_list(e, &batches, &batch));
    return tpl_list_new(e, TPL_ITER, batches.item, batches.n, out);
}

static tn_status filter_slice(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    tpl_list items;
    tpl_items slices = { 0 };
    int64_t n_slices;
    size_t at = 0;
    TN_TRY(tpl_int_arg(e, c->p[0], 0, &n_slices));
    TN_TRY(tpl_iterate(e, c->self, &items));
    if (n_slices == 0)
        return tpl_fail(e, "slice: integer division or modulo by zero");
    for (int64_t i = 0; i < n_slices; i++) {
        const size_t count = (size_t)n_slices, n = items.n / count + ((size_t)i < items.n % count);
        tpl_items slice = { 0 };
        for (size_t k = 0; k < n; k++)
            TN_TRY(tpl_items_add(e, &slice, items.item[at++]));
        if (c->p[1].kind != TPL_MISSING && c->p[1].kind != TPL_NONE && (size_t)i >= items.n % count)
            TN_TRY(tpl_items_add(e, &slice, c->p[1]));
        TN_TRY(add_list(e, &slices, &slice));
    }
    return tpl_list_new(e, TPL_ITER, slices.item, slices.n, out);
}

/* ---- items ---- */

static tn_status filter_items(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    tpl_items pairs = { 0 };
    if (c->self.kind == TPL_UNDEFINED)
        return tpl_list_new(e, TPL_ITER, NULL, 0, out);
    if (c->self.kind != TPL_DICT)
        return tpl_iter_new(e, tpl_fail(e, "Can only get item pairs from a mapping."), NULL, 0,
                            out);
    const tpl_dict *d = c->self.u.dict;
    for (size_t i = 0; i < d->n; i++) {
        tpl_value pair;
        TN_TRY(tpl_pair_new(e, d->key[i], d->value[i], &pair));
        TN_TRY(tpl_items_add(e, &pairs, pair));
    }
    return tpl_list_new(e, TPL_ITER, pairs.item, pairs.n, out);
}

const tpl_function tpl_sequence_filters[] = {
    { "length", filter_length, "" },
    { "count", filter_length, "" },
    { "list", filter_list, "" },
    { "first", filter_first, "" },
    { "last", filter_last, "" },
    { "reverse", filter_reverse, "" },
    { "batch", filter_batch, "linecount! fill_with" },
    { "slice", filter_slice, "slices! fill_with" },
    { "items", filter_items, "" },
    { "random", NULL, NULL },
    { NULL, NULL, NULL },
};
