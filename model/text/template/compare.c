/* SPDX-License-Identifier: Apache-2.0 */
/* Equality, order, membership and sorting, as Python's operators do them. */
#include "model/text/template/value.h"

#include <math.h>
#include <string.h>

static bool numbers_equal(tpl_value a, tpl_value b)
{
    if (a.kind != TPL_FLOAT && b.kind != TPL_FLOAT)
        return a.u.i == b.u.i;
    if (a.kind == TPL_FLOAT && b.kind == TPL_FLOAT)
        return a.u.d == b.u.d;
    const double d = a.kind == TPL_FLOAT ? a.u.d : b.u.d;
    const int64_t i = a.kind == TPL_FLOAT ? b.u.i : a.u.i;
    return d >= -9223372036854775808.0 && d < 9223372036854775808.0 && d == floor(d) &&
           (int64_t)d == i;
}

/* An int and a float compare exactly, not after rounding the int. */
static bool int_less_than_float(int64_t i, double d)
{
    if (isnan(d))
        return false;
    if (d >= 9223372036854775808.0)
        return true;
    if (d < -9223372036854775808.0)
        return false;
    const double whole = floor(d);
    return i < (int64_t)whole || (i == (int64_t)whole && d > whole);
}

static bool float_less_than_int(double d, int64_t i)
{
    const tpl_value a = TPL_FLOAT_VALUE(d), b = TPL_INT_VALUE(i);
    return !isnan(d) && !numbers_equal(a, b) && !int_less_than_float(i, d);
}

static bool numbers_less(tpl_value a, tpl_value b)
{
    if (a.kind == TPL_FLOAT)
        return b.kind == TPL_FLOAT ? a.u.d < b.u.d : float_less_than_int(a.u.d, b.u.i);
    return b.kind == TPL_FLOAT ? int_less_than_float(a.u.i, b.u.d) : a.u.i < b.u.i;
}

static int compare_strings(const tpl_str *a, const tpl_str *b)
{
    const size_t n = a->n < b->n ? a->n : b->n;
    const int order = n ? memcmp(a->data, b->data, n) : 0;
    return order ? order : (a->n > b->n) - (a->n < b->n);
}

static tn_status lists_equal(tpl_env *e, const tpl_list *a, const tpl_list *b, bool *out)
{
    *out = a->n == b->n;
    TN_TRY(tpl_enter(e));
    tn_status status = TN_OK;
    for (size_t i = 0; *out && i < a->n && !status; i++)
        status = tpl_equal(e, a->item[i], b->item[i], out);
    tpl_leave(e);
    return status;
}

static tn_status dicts_equal(tpl_env *e, const tpl_dict *a, const tpl_dict *b, bool *out)
{
    *out = a->n == b->n;
    TN_TRY(tpl_enter(e));
    tn_status status = TN_OK;
    for (size_t i = 0; *out && i < a->n && !status; i++) {
        tpl_value other;
        status = tpl_dict_get(e, b, a->key[i], &other);
        *out = other.kind != TPL_MISSING;
        if (!status && *out)
            status = tpl_equal(e, a->value[i], other, out);
    }
    tpl_leave(e);
    return status;
}

static bool ranges_equal(const tpl_range *a, const tpl_range *b)
{
    return a->n == b->n &&
           (a->n == 0 || (a->start == b->start && (a->n == 1 || a->step == b->step)));
}

tn_status tpl_equal(tpl_env *e, tpl_value a, tpl_value b, bool *out)
{
    *out = false;
    TN_TRY(tpl_charge(e, 1));
    if (tpl_is_number(a) && tpl_is_number(b)) {
        *out = numbers_equal(a, b);
        return TN_OK;
    }
    if (a.kind != b.kind)
        return TN_OK;
    switch (a.kind) {
    case TPL_UNDEFINED:
    case TPL_NONE:
        *out = true;
        return TN_OK;
    case TPL_STR:
        TN_TRY(tpl_charge(e, a.u.s->n / 64));
        *out = a.u.s->n == b.u.s->n && compare_strings(a.u.s, b.u.s) == 0;
        return TN_OK;
    case TPL_LIST:
    case TPL_TUPLE:
        return lists_equal(e, a.u.list, b.u.list, out);
    case TPL_DICT:
        return dicts_equal(e, a.u.dict, b.u.dict, out);
    case TPL_RANGE:
        *out = ranges_equal(a.u.range, b.u.range);
        return TN_OK;
    case TPL_VIEW:
    case TPL_METHOD:
        return tpl_unsupported(e, "comparing values of type %s", tpl_type_name(a));
    default:
        *out = a.u.ns == b.u.ns; /* objects are equal to themselves only */
        return TN_OK;
    }
}

static tn_status lists_less(tpl_env *e, const tpl_list *a, const tpl_list *b, bool *out)
{
    tn_status status = TN_OK;
    bool equal = true;
    size_t i = 0;
    TN_TRY(tpl_enter(e));
    while (!status && equal && i < a->n && i < b->n) {
        status = tpl_equal(e, a->item[i], b->item[i], &equal);
        i += equal;
    }
    if (!status && !equal)
        status = tpl_less(e, a->item[i], b->item[i], out);
    else
        *out = a->n < b->n;
    tpl_leave(e);
    return status;
}

tn_status tpl_less(tpl_env *e, tpl_value a, tpl_value b, bool *out)
{
    *out = false;
    TN_TRY(tpl_charge(e, 1));
    if (a.kind == TPL_UNDEFINED || b.kind == TPL_UNDEFINED)
        return tpl_undefined_error(e, a.kind == TPL_UNDEFINED ? a : b);
    if (tpl_is_number(a) && tpl_is_number(b)) {
        *out = numbers_less(a, b);
        return TN_OK;
    }
    if (a.kind == TPL_STR && b.kind == TPL_STR) {
        *out = compare_strings(a.u.s, b.u.s) < 0;
        return tpl_charge(e, a.u.s->n / 64);
    }
    if (a.kind == b.kind && (a.kind == TPL_LIST || a.kind == TPL_TUPLE))
        return lists_less(e, a.u.list, b.u.list, out);
    if (a.kind == b.kind && a.kind == TPL_VIEW)
        return tpl_unsupported(e, "comparing dict views");
    return tpl_fail(e, "values of type %s and %s have no order", tpl_type_name(a),
                    tpl_type_name(b));
}

static tn_status str_contains(tpl_env *e, tpl_value item, const tpl_str *s, bool *out)
{
    if (item.kind != TPL_STR)
        return tpl_fail(e, "'in <string>' requires string as left operand, not %s",
                        tpl_type_name(item));
    *out = tpl_find_text(s->data, s->n, item.u.s, 0) != SIZE_MAX;
    return tpl_charge(e, s->n / 16);
}

static tn_status range_contains(tpl_env *e, tpl_value item, const tpl_range *r, bool *out)
{
    for (size_t i = 0; i < r->n && !*out; i++)
        TN_TRY(tpl_equal(e, item, tpl_range_at(r, i), out));
    return TN_OK;
}

tn_status tpl_contains(tpl_env *e, tpl_value item, tpl_value container, bool *out)
{
    tpl_list items;
    *out = false;
    if (container.kind == TPL_STR)
        return str_contains(e, item, container.u.s, out);
    if (container.kind == TPL_RANGE)
        return range_contains(e, item, container.u.range, out);
    if (container.kind == TPL_DICT ||
        (container.kind == TPL_VIEW && container.u.view->what == TPL_KEYS)) {
        tpl_value found;
        TN_TRY(tpl_dict_get(e,
                            container.kind == TPL_DICT ? container.u.dict : container.u.view->dict,
                            item, &found));
        *out = found.kind != TPL_MISSING;
        return TN_OK;
    }
    TN_TRY(tpl_iterate(e, container, &items));
    size_t i = 0;
    for (; i < items.n && !*out; i++)
        TN_TRY(tpl_equal(e, item, items.item[i], out));
    if (container.kind == TPL_ITER && i < items.n)
        container.u.iter->state = TPL_ITER_PARTLY;
    return TN_OK;
}

/* ---- sorting ---- */

/* Is b to stand before a? Equal ones keep their order, also in reverse. */
static tn_status out_of_order(tpl_env *e, tpl_value a, tpl_value b, unsigned flags, bool *out)
{
    const bool reverse = flags & TPL_SORT_REVERSE;
    const tpl_value low = reverse ? a : b, high = reverse ? b : a;
    if (flags & TPL_SORT_LISTS) {
        bool equal;
        *out = false;
        TN_TRY(tpl_equal(e, low, high, &equal));
        if (equal)
            return TN_OK;
    }
    return tpl_less(e, low, high, out);
}

static tn_status merge(tpl_env *e, const tpl_value *key, size_t *index, size_t *spare,
                       size_t sizes[2], unsigned flags)
{
    const size_t n_left = sizes[0], n = sizes[0] + sizes[1];
    size_t left = 0, right = n_left;
    for (size_t at = 0; at < n; at++) {
        bool take_right = left == n_left;
        if (!take_right && right < n)
            TN_TRY(out_of_order(e, key[index[left]], key[index[right]], flags, &take_right));
        spare[at] = index[take_right ? right++ : left++];
    }
    memcpy(index, spare, n * sizeof *index);
    return TN_OK;
}

tn_status tpl_sort(tpl_env *e, const tpl_value *key, size_t *index, size_t n, unsigned flags)
{
    size_t *spare;
    TN_TRY(tpl_alloc(e, n, sizeof *spare, &spare));
    for (size_t i = 0; i < n; i++)
        index[i] = i;
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t at = 0; at + width < n; at += 2 * width) {
            size_t sizes[2] = { width, n - at - width < width ? n - at - width : width };
            TN_TRY(merge(e, key, index + at, spare, sizes, flags));
        }
    }
    return TN_OK;
}
