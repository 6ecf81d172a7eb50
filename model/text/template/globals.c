/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that every template knows. */
#include "model/text/template/function.h"
#include "model/text/template/strftime.h"

#include <string.h>

enum { MAX_RANGE = 100000 /* of Jinja2's sandbox */ };

/* ---- range ---- */

static size_t range_length(int64_t start, int64_t stop, int64_t step)
{
    if (step > 0 ? start >= stop : start <= stop)
        return 0;
    const uint64_t span =
        step > 0 ? (uint64_t)stop - (uint64_t)start : (uint64_t)start - (uint64_t)stop;
    const uint64_t stride = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
    return (size_t)((span - 1) / stride + 1);
}

static tn_status call_range(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    int64_t part[3] = { 0, 0, 1 };
    const tpl_args *args = c->args;
    if (args->n_keys)
        return tpl_fail(e, "range() takes no keyword arguments");
    if (args->n < 1 || args->n > 3)
        return tpl_fail(e, "range expected 1 to 3 arguments, got %zu", args->n);
    for (size_t i = 0; i < args->n; i++)
        TN_TRY(tpl_int_arg(e, args->item[i], 0, &part[args->n == 1 ? 1 : i]));
    if (part[2] == 0)
        return tpl_fail(e, "range() arg 3 must not be zero");
    const size_t n = range_length(part[0], part[1], part[2]);
    if (n > MAX_RANGE)
        return tpl_fail(e, "Range too big. The sandbox blocks ranges larger than MAX_RANGE (%d).",
                        MAX_RANGE);
    tpl_range *r;
    TN_TRY(tpl_alloc(e, 1, sizeof *r, &r));
    *r = (tpl_range){ part[0], part[1], part[2], n };
    *out = (tpl_value){ .kind = TPL_RANGE, .u.range = r };
    return TN_OK;
}

/* ---- dict, namespace ---- */

static tn_status add_pairs(tpl_env *e, tpl_value from, tpl_dict *d)
{
    tpl_list pairs, pair;
    TN_TRY(tpl_iterate(e, from, &pairs));
    for (size_t i = 0; i < pairs.n; i++) {
        TN_TRY(tpl_iterate(e, pairs.item[i], &pair));
        if (pair.n != 2)
            return tpl_fail(e,
                            "dictionary update sequence element #%zu has length %zu; 2 is required",
                            i, pair.n);
        TN_TRY(tpl_dict_set(e, d, pair.item[0], pair.item[1]));
    }
    return TN_OK;
}

static tn_status add_arguments(tpl_env *e, const tpl_args *args, tpl_dict *d)
{
    if (args->n > 1)
        return tpl_fail(e, "dict expected at most 1 argument, got %zu", args->n);
    if (args->n == 1 && args->item[0].kind == TPL_UNDEFINED)
        return tpl_undefined_error(e, args->item[0]);
    if (args->n == 1 && args->item[0].kind == TPL_DICT) {
        const tpl_dict *from = args->item[0].u.dict;
        for (size_t i = 0; i < from->n; i++)
            TN_TRY(tpl_dict_set(e, d, from->key[i], from->value[i]));
    } else if (args->n == 1) {
        TN_TRY(add_pairs(e, args->item[0], d));
    }
    for (size_t i = 0; i < args->n_keys; i++)
        TN_TRY(tpl_dict_set(e, d, args->key[i], args->value[i]));
    return TN_OK;
}

static tn_status call_dict(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    tpl_dict *d;
    TN_TRY(tpl_dict_new(e, &d));
    *out = (tpl_value){ .kind = TPL_DICT, .u.dict = d };
    return add_arguments(e, c->args, d);
}

static tn_status call_namespace(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    tpl_namespace *ns;
    TN_TRY(tpl_alloc(e, 1, sizeof *ns, &ns));
    *out = (tpl_value){ .kind = TPL_NAMESPACE, .u.ns = ns };
    return add_arguments(e, c->args, &ns->dict);
}

/* ---- cycler, joiner ---- */

static tn_status new_cycler(tpl_env *e, uint8_t kind, const tpl_value *items, size_t n,
                            tpl_value *out)
{
    tpl_cycler *cycler;
    TN_TRY(tpl_alloc(e, 1, sizeof *cycler, &cycler));
    cycler->items = (tpl_list){ .item = items, .n = n };
    *out = (tpl_value){ .kind = kind, .u.cycler = cycler };
    return TN_OK;
}

static tn_status call_cycler(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    if (c->args->n_keys)
        return tpl_fail(e, "cycler() takes no keyword arguments");
    if (c->args->n == 0)
        return tpl_fail(e, "at least one item has to be provided");
    return new_cycler(e, TPL_CYCLER, c->args->item, c->args->n, out);
}

static tn_status call_joiner(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    tpl_value *separator;
    TN_TRY(tpl_alloc(e, 1, sizeof *separator, &separator));
    *separator = c->p[0];
    if (separator->kind == TPL_MISSING)
        TN_TRY(tpl_str_borrow(e, ", ", 2, separator));
    return new_cycler(e, TPL_JOINER, separator, 1, out);
}

/* ---- of transformers ---- */

static tn_status call_raise_exception(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    const tpl_str *message;
    (void)out;
    TN_TRY(tpl_to_str(e, c->p[0], &message));
    return tpl_fail(e, "the template refuses: %.*s", (int)(message->n < 200 ? message->n : 200),
                    message->data);
}

static tn_status call_strftime_now(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    const tpl_str *format;
    TN_TRY(tpl_str_arg(e, c->p[0], &format));
    if (!format)
        return tpl_fail(e, "strftime_now() needs a format");
    if (e->now == TPL_NO_TIME)
        return tpl_unsupported(e, "strftime_now, because the clock cannot be read");
    return tpl_strftime(e, format, e->now, out);
}

static const tpl_function rows[] = {
    { "range", call_range, NULL },
    { "dict", call_dict, NULL },
    { "namespace", call_namespace, NULL },
    { "cycler", call_cycler, NULL },
    { "joiner", call_joiner, "sep" },
    { "raise_exception", call_raise_exception, "message!" },
    { "strftime_now", call_strftime_now, "format!" },
    { "lipsum", NULL, NULL },
    { NULL, NULL, NULL },
};

const tpl_function *tpl_find_global(const tpl_str *name)
{
    return tpl_find_row(rows, name);
}
