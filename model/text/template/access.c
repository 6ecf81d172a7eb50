/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes, items and slices, with Jinja2's order: a.b is the attribute first and then the item,
 * a["b"] the other way. */
#include "model/text/template/eval.h"
#include "model/text/template/unicode.h"

#include <string.h>

static tn_status undefined(tpl_env *e, tpl_value object, tpl_value name, tpl_value *out)
{
    return tpl_undefined_new(e, NULL, object, name, out);
}

/* The attribute of the object itself; MISSING when there is none. */
static tn_status get_own(tpl_env *e, tpl_value v, const tpl_str *name, tpl_value *out)
{
    *out = (tpl_value){ 0 };
    if (name->n > 1 && memcmp(name->data, "__", 2) == 0)
        return tpl_unsupported(e, "the attribute '%.*s'", (int)(name->n < 60 ? name->n : 60),
                               name->data);
    if (v.kind == TPL_UNDEFINED)
        return tpl_undefined_error(e, v);
    if (v.kind == TPL_LOOP)
        return tpl_loop_attr(e, v.u.loop, name, out);
    if (v.kind == TPL_NAMESPACE) {
        *out = tpl_dict_find(&v.u.ns->dict, name->data, name->n);
        return tpl_charge(e, v.u.ns->dict.n / 16);
    }
    if (v.kind == TPL_CYCLER && tpl_str_is(name, "current")) {
        *out = v.u.cycler->items.item[v.u.cycler->at];
        return TN_OK;
    }
    if (v.kind == TPL_TUPLE && v.u.list->is_group &&
        (tpl_str_is(name, "grouper") || tpl_str_is(name, "list"))) {
        *out = v.u.list->item[name->n == 4];
        return TN_OK;
    }
    if (v.kind == TPL_MACRO && tpl_str_is(name, "name") && v.u.macro->name)
        return tpl_str_borrow(e, v.u.macro->name->data, v.u.macro->name->n, out);
    const tpl_function *f = tpl_find_method(v, name);
    if (!f)
        return TN_OK;
    if (f->params && strcmp(f->params, "unsafe") == 0)
        return tpl_undefined_new(e, "access to a method that changes its object is unsafe",
                                 (tpl_value){ 0 }, (tpl_value){ 0 }, out);
    if (!f->run)
        return tpl_unsupported(e, "the attribute '%s' of %s", f->name, tpl_type_name(v));
    tpl_method *m;
    TN_TRY(tpl_alloc(e, 1, sizeof *m, &m));
    *m = (tpl_method){ v, f };
    *out = (tpl_value){ .kind = TPL_METHOD, .u.method = m };
    return TN_OK;
}

tn_status tpl_get_attr(tpl_env *e, tpl_value v, const tpl_str *name, tpl_value *out)
{
    const tpl_value key = { .kind = TPL_STR, .u.s = name };
    TN_TRY(get_own(e, v, name, out));
    if (out->kind == TPL_MISSING && v.kind == TPL_DICT)
        TN_TRY(tpl_dict_get(e, v.u.dict, key, out));
    return out->kind == TPL_MISSING ? undefined(e, v, key, out) : TN_OK;
}

/* index counted from the end when negative; false: outside. */
static bool place(int64_t index, size_t n, size_t *out)
{
    if (index < 0)
        index += (int64_t)n;
    *out = (size_t)index;
    return index >= 0 && index < (int64_t)n;
}

static tn_status get_by_int(tpl_env *e, tpl_value v, int64_t index, tpl_value *out)
{
    size_t n, at;
    TN_TRY(tpl_length(e, v, &n));
    if (!place(index, n, &at))
        return TN_OK;
    if (v.kind == TPL_RANGE) {
        *out = tpl_range_at(v.u.range, at);
        return TN_OK;
    }
    if (v.kind != TPL_STR) {
        *out = v.u.list->item[at];
        return TN_OK;
    }
    const tpl_str *s = v.u.s;
    TN_TRY(tpl_charge(e, s->n == s->n_chars ? 0 : at / 16));
    const size_t byte = s->n == s->n_chars ? at : tpl_bytes_of(s->data, s->n, at);
    return tpl_str_borrow(e, s->data + byte, tpl_char_bytes(s->data[byte]), out);
}

tn_status tpl_get_item(tpl_env *e, tpl_value v, tpl_value key, tpl_value *out)
{
    *out = (tpl_value){ 0 };
    if (v.kind == TPL_UNDEFINED)
        return tpl_undefined_error(e, v);
    const bool sequence =
        v.kind == TPL_LIST || v.kind == TPL_TUPLE || v.kind == TPL_STR || v.kind == TPL_RANGE;
    if (v.kind == TPL_DICT && tpl_hashable(key))
        TN_TRY(tpl_dict_get(e, v.u.dict, key, out));
    else if (sequence && tpl_is_int(key))
        TN_TRY(get_by_int(e, v, key.u.i, out));
    if (out->kind == TPL_MISSING && key.kind == TPL_STR)
        TN_TRY(get_own(e, v, key.u.s, out));
    return out->kind == TPL_MISSING ? undefined(e, v, key, out) : TN_OK;
}

/* ---- slices ---- */

typedef struct slice {
    int64_t start, stop, step;
    size_t n;
} slice;

static tn_status slice_part(tpl_env *e, tpl_value v, int64_t absent, int64_t *out)
{
    *out = absent;
    if (v.kind == TPL_MISSING || v.kind == TPL_NONE)
        return TN_OK;
    if (!tpl_is_int(v))
        return tpl_fail(e, "slice indices must be integers or None, not %s", tpl_type_name(v));
    *out = v.u.i;
    return TN_OK;
}

static int64_t clamp(int64_t i, int64_t n, int64_t low, int64_t high)
{
    if (i < 0)
        i = i < -n ? low : i + n;
    return i < low ? low : i > high ? high : i;
}

/* Python's PySlice_AdjustIndices. */
static tn_status adjust(tpl_env *e, const tpl_value part[3], size_t length, slice *out)
{
    const int64_t n = (int64_t)length;
    TN_TRY(slice_part(e, part[2], 1, &out->step));
    if (out->step == 0)
        return tpl_fail(e, "slice step cannot be zero");
    if (out->step < -INT64_MAX)
        out->step = -INT64_MAX;
    const bool back = out->step < 0;
    const int64_t low = back ? -1 : 0, high = back ? n - 1 : n;
    TN_TRY(slice_part(e, part[0], back ? INT64_MAX : 0, &out->start));
    TN_TRY(slice_part(e, part[1], back ? INT64_MIN : INT64_MAX, &out->stop));
    out->start = clamp(out->start, n, low, high);
    out->stop = clamp(out->stop, n, low, high);
    const int64_t span = back ? out->start - out->stop : out->stop - out->start;
    const uint64_t step = back ? (uint64_t)-out->step : (uint64_t)out->step;
    out->n = span > 0 ? (size_t)(((uint64_t)span - 1) / step + 1) : 0;
    return TN_OK;
}

static tn_status slice_str(tpl_env *e, const tpl_str *s, const slice *sl, tpl_value *out)
{
    const bool ascii = s->n == s->n_chars;
    TN_TRY(tpl_charge(e, s->n / 16));
    if (sl->step == 1) {
        const size_t from =
            ascii ? (size_t)sl->start : tpl_bytes_of(s->data, s->n, (size_t)sl->start);
        const size_t n = ascii ? sl->n : tpl_bytes_of(s->data + from, s->n - from, sl->n);
        return tpl_str_borrow(e, s->data + from, n, out);
    }
    /* Where each character begins. */
    size_t *begin, n_chars = 0;
    tn_strbuf text = tpl_buffer(e);
    TN_TRY(tpl_alloc(e, s->n_chars, sizeof *begin, &begin));
    for (size_t at = 0; at < s->n; at += tpl_char_bytes(s->data[at]))
        begin[n_chars++] = at;
    for (size_t i = 0; i < sl->n; i++) {
        const char *c = s->data + begin[sl->start + (int64_t)i * sl->step];
        tn_strbuf_append(&text, c, tpl_char_bytes(*c));
    }
    return tpl_str_take(e, &text, out);
}

/* Another range, as in Python; ends and step may be past the items, and past 64 bits. */
static tn_status slice_range(tpl_env *e, const tpl_range *r, const slice *sl, tpl_value *out)
{
    tpl_range *part;
    int64_t start, stop, step;
    if (__builtin_mul_overflow(r->step, sl->start, &start) ||
        __builtin_add_overflow(r->start, start, &start) ||
        __builtin_mul_overflow(r->step, sl->stop, &stop) ||
        __builtin_add_overflow(r->start, stop, &stop) ||
        __builtin_mul_overflow(r->step, sl->step, &step))
        return tpl_unsupported(e, "an integer of more than 64 bits");
    TN_TRY(tpl_alloc(e, 1, sizeof *part, &part));
    *part = (tpl_range){ start, stop, step, sl->n };
    *out = (tpl_value){ .kind = TPL_RANGE, .u.range = part };
    return TN_OK;
}

tn_status tpl_get_slice(tpl_env *e, tpl_value v, const tpl_value part[3], tpl_value *out)
{
    slice sl = { 0 };
    size_t n;
    tpl_value *items;
    if (v.kind == TPL_UNDEFINED)
        return tpl_undefined_error(e, v);
    if (tpl_is_markup(v))
        return tpl_unsupported(e, "a slice of a text that went through |safe or |escape");
    if (v.kind != TPL_STR && v.kind != TPL_LIST && v.kind != TPL_TUPLE && v.kind != TPL_RANGE)
        /* An error in Jinja2 too, but for constants, which give an undefined value. */
        return tpl_unsupported(e, "a slice of a value of type %s", tpl_type_name(v));
    TN_TRY(tpl_length(e, v, &n));
    TN_TRY(adjust(e, part, n, &sl));
    if (v.kind == TPL_STR)
        return slice_str(e, v.u.s, &sl, out);
    if (v.kind == TPL_RANGE)
        return slice_range(e, v.u.range, &sl, out);
    TN_TRY(tpl_charge(e, sl.n));
    TN_TRY(tpl_alloc(e, sl.n, sizeof *items, &items));
    for (size_t i = 0; i < sl.n; i++)
        items[i] = v.u.list->item[sl.start + (int64_t)i * sl.step];
    return tpl_list_new(e, v.kind, items, sl.n, out);
}

/* ---- paths ---- */

static tn_status get_part(tpl_env *e, tpl_value v, tpl_value part, tpl_value absent, tpl_value *out)
{
    TN_TRY(tpl_get_item(e, v, part, out));
    if (out->kind == TPL_UNDEFINED && absent.kind != TPL_MISSING && absent.kind != TPL_NONE)
        *out = absent;
    return TN_OK;
}

tn_status tpl_get_path(tpl_env *e, tpl_value v, tpl_value path, tpl_value absent, tpl_value *out)
{
    *out = v;
    if (path.kind == TPL_MISSING || path.kind == TPL_NONE)
        return TN_OK;
    if (path.kind != TPL_STR)
        return tpl_is_int(path)
                   ? get_part(e, v, path, absent, out)
                   : tpl_unsupported(e, "an attribute of type %s", tpl_type_name(path));
    const char *at = path.u.s->data, *end = at + path.u.s->n;
    for (;;) {
        const char *dot = at < end ? memchr(at, '.', (size_t)(end - at)) : NULL;
        const size_t n = (size_t)((dot ? dot : end) - at);
        tpl_value part;
        size_t digits = 0;
        TN_TRY(tpl_str_borrow(e, at, n, &part));
        while (digits < n && at[digits] >= '0' && at[digits] <= '9')
            digits++;
        if (n > 0 && digits == n && n < 10) {
            int64_t index = 0;
            for (size_t i = 0; i < n; i++)
                index = index * 10 + (at[i] - '0');
            part = TPL_INT_VALUE(index);
        }
        TN_TRY(get_part(e, *out, part, absent, out));
        if (!dot)
            return TN_OK;
        at = dot + 1;
    }
}
