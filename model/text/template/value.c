/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/template/value.h"

#include "core/base/alloc.h"
#include "model/text/template/unicode.h"

#include <stdio.h>
#include <string.h>

TN_PRINTF(3, 0)
static tn_status fail_at_line(tpl_env *e, tn_status code, const char *format, va_list args)
{
    tn_error text;
    tn_fail_v(&text, code, format, args);
    return tn_fail(e->err, code, "line %d: %s", (int)e->line, text.text);
}

tn_status tpl_fail(tpl_env *e, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail_at_line(e, TN_INVALID, format, args);
    va_end(args);
    return TN_INVALID;
}

tn_status tpl_unsupported(tpl_env *e, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail_at_line(e, TN_UNSUPPORTED, format, args);
    va_end(args);
    return TN_UNSUPPORTED;
}

tn_status tpl_charge(tpl_env *e, size_t n)
{
    if (n < e->steps_left) {
        e->steps_left -= n;
        return TN_OK;
    }
    e->steps_left = 0;
    return tpl_fail(e, "the template takes more steps than are allowed; is a loop too long?");
}

tn_status tpl_enter(tpl_env *e)
{
    if (e->depth >= e->max_depth)
        return tpl_fail(e, "nested deeper than %d levels", (int)e->max_depth);
    e->depth++;
    return TN_OK;
}

void tpl_leave(tpl_env *e)
{
    e->depth--;
}

tn_status tpl_alloc(tpl_env *e, size_t n, size_t size, void *out)
{
    size_t bytes;
    /* 16 bytes more: what the arena rounds up to. */
    if (!tn_size_mul(n, size, &bytes) || bytes > e->max_bytes - e->used_bytes ||
        bytes + 16 > e->max_bytes - e->used_bytes)
        return tpl_fail(e, "the template needs more than %zu bytes of memory", e->max_bytes);
    void *memory = tn_arena_alloc(&e->arena, bytes);
    if (!memory)
        return tn_fail_memory(e->err, "the chat template");
    e->used_bytes += (bytes + 15) & ~(size_t)15;
    memcpy(out, &memory, sizeof memory);
    return TN_OK;
}

/* ---- making values ---- */

tn_status tpl_str_borrow(tpl_env *e, const char *data, size_t n, tpl_value *out)
{
    tpl_str *s;
    TN_TRY(tpl_charge(e, n / 64 + 1));
    TN_TRY(tpl_alloc(e, 1, sizeof *s, &s));
    *s = (tpl_str){ .data = data, .n = n, .n_chars = tpl_count_chars(data, n) };
    *out = (tpl_value){ .kind = TPL_STR, .u.s = s };
    return TN_OK;
}

tn_status tpl_str_copy(tpl_env *e, const char *data, size_t n, tpl_value *out)
{
    char *copy;
    TN_TRY(tpl_alloc(e, n, 1, &copy));
    if (n)
        memcpy(copy, data, n);
    return tpl_str_borrow(e, copy, n, out);
}

tn_status tpl_check_buffer(tpl_env *e, const tn_strbuf *b)
{
    const tn_status status = tn_strbuf_status(b, "a text", e->err);
    return status == TN_INVALID ? tn_error_wrap(e->err, status, "line %d", (int)e->line) : status;
}

tn_status tpl_str_take(tpl_env *e, tn_strbuf *b, tpl_value *out)
{
    tn_status status = tpl_check_buffer(e, b);
    if (!status)
        status = tpl_str_copy(e, tn_strbuf_text(b), b->len, out);
    tn_strbuf_deinit(b);
    return status;
}

tn_strbuf tpl_buffer(const tpl_env *e)
{
    return TN_STRBUF(e->max_output_bytes);
}

tn_status tpl_list_new(tpl_env *e, uint8_t kind, const tpl_value *items, size_t n, tpl_value *out)
{
    const tpl_list list = { .item = items, .n = n };
    if (kind == TPL_ITER) {
        tpl_iter *iter;
        TN_TRY(tpl_alloc(e, 1, sizeof *iter, &iter));
        iter->items = list;
        *out = (tpl_value){ .kind = TPL_ITER, .u.iter = iter };
        return TN_OK;
    }
    tpl_list *l;
    TN_TRY(tpl_alloc(e, 1, sizeof *l, &l));
    *l = list;
    *out = (tpl_value){ .kind = kind, .u.list = l };
    return TN_OK;
}

tn_status tpl_iter_new(tpl_env *e, tn_status status, const tpl_value *items, size_t n,
                       tpl_value *out)
{
    tn_error *text;
    if (status == TN_NO_MEMORY || e->steps_left == 0)
        return status;
    TN_TRY(tpl_alloc(e, 1, sizeof *text, &text));
    if (status && e->err)
        *text = *e->err;
    TN_TRY(tpl_list_new(e, TPL_ITER, items, n, out));
    out->u.iter->failure = status;
    out->u.iter->failure_text = text;
    return TN_OK;
}

tn_status tpl_pair_new(tpl_env *e, tpl_value a, tpl_value b, tpl_value *out)
{
    tpl_value *items;
    TN_TRY(tpl_alloc(e, 2, sizeof *items, &items));
    items[0] = a;
    items[1] = b;
    return tpl_list_new(e, TPL_TUPLE, items, 2, out);
}

tn_status tpl_undefined_new(tpl_env *e, const char *hint, tpl_value object, tpl_value name,
                            tpl_value *out)
{
    tpl_undefined *u;
    TN_TRY(tpl_alloc(e, 1, sizeof *u, &u));
    *u = (tpl_undefined){ hint, object, name };
    *out = (tpl_value){ .kind = TPL_UNDEFINED, .u.undefined = u };
    return TN_OK;
}

tn_status tpl_undefined_error(tpl_env *e, tpl_value v)
{
    const tpl_undefined *u = v.u.undefined;
    if (u->hint)
        return tpl_fail(e, "%s", u->hint);
    tn_strbuf name = TN_STRBUF(1 << 16);
    tn_status status = tpl_put_repr(e, u->name, &name);
    const char *text = status ? "?" : tn_strbuf_text(&name);
    const bool none = u->object.kind == TPL_NONE;
    if (u->object.kind == TPL_MISSING)
        status = tpl_fail(e, "%.120s is undefined", text);
    else
        status = tpl_fail(e, "'%s%s' has no %s %.120s", none ? "None" : tpl_type_name(u->object),
                          none ? "" : " object", u->name.kind == TPL_STR ? "attribute" : "element",
                          text);
    tn_strbuf_deinit(&name);
    return status;
}

bool tpl_hashable(tpl_value v)
{
    if (v.kind == TPL_LIST || v.kind == TPL_DICT || v.kind == TPL_VIEW)
        return false;
    if (v.kind != TPL_TUPLE)
        return true;
    for (size_t i = 0; i < v.u.list->n; i++)
        if (v.u.list->item[i].kind == TPL_TUPLE || !tpl_hashable(v.u.list->item[i]))
            return false;
    return true;
}

tn_status tpl_need_hashable(tpl_env *e, tpl_value v)
{
    if (tpl_hashable(v))
        return TN_OK;
    if (v.kind == TPL_TUPLE)
        return tpl_unsupported(e, "a tuple that holds tuples, lists or dicts as a key");
    return tpl_fail(e, "unhashable type: '%s'", tpl_type_name(v));
}

tn_status tpl_dict_new(tpl_env *e, tpl_dict **out)
{
    return tpl_alloc(e, 1, sizeof **out, out);
}

static tn_status find_key(tpl_env *e, const tpl_dict *d, tpl_value key, size_t *out)
{
    TN_TRY(tpl_need_hashable(e, key));
    TN_TRY(tpl_charge(e, d->n / 16));
    for (*out = 0; *out < d->n; (*out)++) {
        bool equal;
        const tpl_value k = d->key[*out];
        if (k.kind == TPL_STR && key.kind == TPL_STR)
            equal = k.u.s->n == key.u.s->n && memcmp(k.u.s->data, key.u.s->data, key.u.s->n) == 0;
        else
            TN_TRY(tpl_equal(e, k, key, &equal));
        if (equal)
            return TN_OK;
    }
    return TN_OK;
}

tn_status tpl_dict_set(tpl_env *e, tpl_dict *d, tpl_value key, tpl_value value)
{
    size_t at;
    TN_TRY(find_key(e, d, key, &at));
    if (at < d->n) {
        d->value[at] = value;
        return TN_OK;
    }
    if (d->n == d->capacity) {
        const size_t capacity = d->capacity ? d->capacity * 2 : 4;
        tpl_value *keys, *values;
        TN_TRY(tpl_alloc(e, capacity, sizeof *keys, &keys));
        TN_TRY(tpl_alloc(e, capacity, sizeof *values, &values));
        if (d->n) {
            memcpy(keys, d->key, d->n * sizeof *keys);
            memcpy(values, d->value, d->n * sizeof *values);
        }
        d->key = keys;
        d->value = values;
        d->capacity = capacity;
    }
    d->key[d->n] = key;
    d->value[d->n++] = value;
    return TN_OK;
}

tn_status tpl_dict_get(tpl_env *e, const tpl_dict *d, tpl_value key, tpl_value *out)
{
    size_t at;
    *out = (tpl_value){ 0 };
    TN_TRY(find_key(e, d, key, &at));
    if (at < d->n)
        *out = d->value[at];
    return TN_OK;
}

tpl_value tpl_dict_find(const tpl_dict *d, const char *key, size_t n)
{
    for (size_t i = 0; i < d->n; i++) {
        const tpl_value k = d->key[i];
        if (k.kind == TPL_STR && k.u.s->n == n && memcmp(k.u.s->data, key, n) == 0)
            return d->value[i];
    }
    return (tpl_value){ 0 };
}

tn_status tpl_items_add(tpl_env *e, tpl_items *items, tpl_value v)
{
    if (items->n == items->capacity) {
        const size_t capacity = items->capacity ? items->capacity * 2 : 8;
        tpl_value *grown;
        TN_TRY(tpl_alloc(e, capacity, sizeof *grown, &grown));
        if (items->n)
            memcpy(grown, items->item, items->n * sizeof *grown);
        items->item = grown;
        items->capacity = capacity;
    }
    items->item[items->n++] = v;
    return tpl_charge(e, 1);
}

/* ---- asking values ---- */

const char *tpl_type_name(tpl_value v)
{
    static const char *const names[] = {
        [TPL_MISSING] = "missing",   [TPL_UNDEFINED] = "Undefined",
        [TPL_NONE] = "NoneType",     [TPL_BOOL] = "bool",
        [TPL_INT] = "int",           [TPL_FLOAT] = "float",
        [TPL_STR] = "str",           [TPL_LIST] = "list",
        [TPL_TUPLE] = "tuple",       [TPL_DICT] = "dict",
        [TPL_VIEW] = "dict view",    [TPL_RANGE] = "range",
        [TPL_ITER] = "generator",    [TPL_NAMESPACE] = "Namespace",
        [TPL_LOOP] = "LoopContext",  [TPL_MACRO] = "Macro",
        [TPL_FUNCTION] = "function", [TPL_METHOD] = "method",
        [TPL_CYCLER] = "Cycler",     [TPL_JOINER] = "Joiner",
    };
    return names[v.kind];
}

bool tpl_is_int(tpl_value v)
{
    return v.kind == TPL_BOOL || v.kind == TPL_INT;
}

bool tpl_is_iterable(tpl_value v)
{
    return v.kind == TPL_UNDEFINED || (v.kind >= TPL_STR && v.kind <= TPL_ITER) ||
           v.kind == TPL_LOOP;
}

bool tpl_is_number(tpl_value v)
{
    return tpl_is_int(v) || v.kind == TPL_FLOAT;
}

double tpl_as_double(tpl_value v)
{
    return v.kind == TPL_FLOAT ? v.u.d : (double)v.u.i;
}

bool tpl_truth(tpl_value v)
{
    switch (v.kind) {
    case TPL_MISSING:
    case TPL_UNDEFINED:
    case TPL_NONE:
        return false;
    case TPL_BOOL:
    case TPL_INT:
        return v.u.i != 0;
    case TPL_FLOAT:
        return v.u.d != 0;
    case TPL_STR:
        return v.u.s->n > 0;
    case TPL_LIST:
    case TPL_TUPLE:
        return v.u.list->n > 0;
    case TPL_DICT:
        return v.u.dict->n > 0;
    case TPL_VIEW:
        return v.u.view->dict->n > 0;
    case TPL_RANGE:
        return v.u.range->n > 0;
    default:
        return true;
    }
}

tn_status tpl_length(tpl_env *e, tpl_value v, size_t *out)
{
    switch (v.kind) {
    case TPL_UNDEFINED:
        *out = 0;
        return TN_OK;
    case TPL_STR:
        *out = v.u.s->n_chars;
        return TN_OK;
    case TPL_LIST:
    case TPL_TUPLE:
        *out = v.u.list->n;
        return TN_OK;
    case TPL_DICT:
        *out = v.u.dict->n;
        return TN_OK;
    case TPL_VIEW:
        *out = v.u.view->dict->n;
        return TN_OK;
    case TPL_RANGE:
        *out = v.u.range->n;
        return TN_OK;
    default:
        return tpl_fail(e, "a value of type %s has no length", tpl_type_name(v));
    }
}

tpl_value tpl_range_at(const tpl_range *r, size_t index)
{
    return TPL_INT_VALUE((int64_t)((uint64_t)r->start + (uint64_t)r->step * index));
}

bool tpl_str_is(const tpl_str *s, const char *text)
{
    return strlen(text) == s->n && memcmp(s->data, text, s->n) == 0;
}

bool tpl_is_markup(tpl_value v)
{
    return v.kind == TPL_STR && v.u.s->markup;
}

size_t tpl_find_text(const char *text, size_t n, const tpl_str *part, size_t from)
{
    if (part->n == 0)
        return from <= n ? from : SIZE_MAX;
    while (from <= n && n - from >= part->n) {
        const char *at = memchr(text + from, part->data[0], n - from - part->n + 1);
        if (!at)
            break;
        from = (size_t)(at - text);
        if (memcmp(at, part->data, part->n) == 0)
            return from;
        from++;
    }
    return SIZE_MAX;
}

static tn_status iterate_str(tpl_env *e, const tpl_str *s, tpl_value *items)
{
    size_t n = 0;
    for (size_t at = 0; at < s->n; n++) {
        const size_t bytes = tpl_char_bytes(s->data[at]);
        TN_TRY(tpl_str_borrow(e, s->data + at, bytes, &items[n]));
        at += bytes;
    }
    return TN_OK;
}

static tn_status iterate_view(tpl_env *e, const tpl_view *view, tpl_value *items)
{
    const tpl_dict *d = view->dict;
    for (size_t i = 0; i < d->n; i++) {
        if (view->what == TPL_ITEMS)
            TN_TRY(tpl_pair_new(e, d->key[i], d->value[i], &items[i]));
        else
            items[i] = view->what == TPL_KEYS ? d->key[i] : d->value[i];
    }
    return TN_OK;
}

static tn_status iterate_iter(tpl_env *e, tpl_iter *iter, tpl_list *out)
{
    if (iter->failure) {
        if (e->err)
            *e->err = *iter->failure_text;
        return iter->failure;
    }
    if (iter->state == TPL_ITER_PARTLY)
        return tpl_unsupported(
            e, "a generator that was read in part is used again; make it a list first, with |list");
    *out = iter->state == TPL_ITER_FRESH ? iter->items : (tpl_list){ 0 };
    iter->state = TPL_ITER_DONE;
    return TN_OK;
}

tn_status tpl_iterate(tpl_env *e, tpl_value v, tpl_list *out)
{
    *out = (tpl_list){ 0 };
    if (v.kind == TPL_LIST || v.kind == TPL_TUPLE) {
        *out = *v.u.list;
        return TN_OK;
    }
    if (v.kind == TPL_ITER)
        return iterate_iter(e, v.u.iter, out);
    if (v.kind == TPL_DICT) {
        *out = (tpl_list){ .item = v.u.dict->key, .n = v.u.dict->n };
        return TN_OK;
    }
    if (v.kind != TPL_UNDEFINED && v.kind != TPL_STR && v.kind != TPL_VIEW && v.kind != TPL_RANGE)
        return tpl_fail(e, "a value of type %s cannot be iterated", tpl_type_name(v));
    size_t n;
    tpl_value *items;
    TN_TRY(tpl_length(e, v, &n));
    TN_TRY(tpl_charge(e, n));
    TN_TRY(tpl_alloc(e, n, sizeof *items, &items));
    if (v.kind == TPL_STR)
        TN_TRY(iterate_str(e, v.u.s, items));
    else if (v.kind == TPL_VIEW)
        TN_TRY(iterate_view(e, v.u.view, items));
    for (size_t i = 0; v.kind == TPL_RANGE && i < n; i++)
        items[i] = tpl_range_at(v.u.range, i);
    *out = (tpl_list){ .item = items, .n = n };
    return TN_OK;
}
