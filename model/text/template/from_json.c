/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/template/value.h"

#include <jansson.h>

static tn_status read_array(tpl_env *e, const json_t *json, tpl_value *out)
{
    const size_t n = json_array_size(json);
    tpl_value *items;
    TN_TRY(tpl_alloc(e, n, sizeof *items, &items));
    for (size_t i = 0; i < n; i++)
        TN_TRY(tpl_from_json(e, json_array_get(json, i), &items[i]));
    return tpl_list_new(e, TPL_LIST, items, n, out);
}

/* The keys of a JSON object differ, so they need no look-up. */
static tn_status read_object(tpl_env *e, const json_t *json, tpl_value *out)
{
    json_t *object = json_incref((json_t *)(uintptr_t)json); /* the iterator takes no const */
    const size_t n = json_object_size(json);
    tpl_dict *d;
    tn_status status = tpl_dict_new(e, &d);
    if (!status)
        status = tpl_alloc(e, n, sizeof *d->key, &d->key);
    if (!status)
        status = tpl_alloc(e, n, sizeof *d->value, &d->value);
    for (void *at = json_object_iter(object); at && !status;
         at = json_object_iter_next(object, at)) {
        d->capacity = n;
        status = tpl_str_borrow(e, json_object_iter_key(at), json_object_iter_key_len(at),
                                &d->key[d->n]);
        if (!status)
            status = tpl_from_json(e, json_object_iter_value(at), &d->value[d->n]);
        d->n++;
    }
    json_decref(object);
    *out = (tpl_value){ .kind = TPL_DICT, .u.dict = d };
    return status;
}

tn_status tpl_from_json(tpl_env *e, const json_t *json, tpl_value *out)
{
    tn_status status = TN_OK;
    TN_TRY(tpl_charge(e, 1));
    TN_TRY(tpl_enter(e));
    switch ((int)json_typeof(json)) {
    case JSON_STRING:
        status = tpl_str_borrow(e, json_string_value(json), json_string_length(json), out);
        break;
    case JSON_INTEGER:
        *out = TPL_INT_VALUE(json_integer_value(json));
        break;
    case JSON_REAL:
        *out = TPL_FLOAT_VALUE(json_real_value(json));
        break;
    case JSON_ARRAY:
        status = read_array(e, json, out);
        break;
    case JSON_OBJECT:
        status = read_object(e, json, out);
        break;
    case JSON_NULL:
        *out = TPL_NONE_VALUE;
        break;
    default:
        *out = TPL_BOOL_VALUE(json_is_true(json));
        break;
    }
    tpl_leave(e);
    return status;
}
