/* SPDX-License-Identifier: Apache-2.0 */
/* Reading arguments, and where filters are looked up. */
#include "model/text/template/function.h"

tn_status tpl_int_arg(tpl_env *e, tpl_value v, int64_t absent, int64_t *out)
{
    *out = absent;
    if (v.kind == TPL_MISSING)
        return TN_OK;
    if (v.kind == TPL_UNDEFINED)
        return tpl_undefined_error(e, v);
    if (!tpl_is_int(v))
        return tpl_fail(e, "'%s' object cannot be interpreted as an integer", tpl_type_name(v));
    *out = v.u.i;
    return TN_OK;
}

tn_status tpl_str_arg(tpl_env *e, tpl_value v, const tpl_str **out)
{
    *out = NULL;
    if (v.kind == TPL_MISSING || v.kind == TPL_NONE)
        return TN_OK;
    if (v.kind == TPL_UNDEFINED)
        return tpl_undefined_error(e, v);
    if (v.kind != TPL_STR)
        return tpl_fail(e, "a text is needed, not a value of type %s", tpl_type_name(v));
    *out = v.u.s;
    return TN_OK;
}

tn_status tpl_self_text(tpl_env *e, const tpl_call *c, const tpl_str **out)
{
    return tpl_to_str(e, c->self, out);
}

const tpl_function *tpl_find_filter(const tpl_str *name)
{
    static const tpl_function *const tables[] = { tpl_text_filters,     tpl_format_filters,
                                                  tpl_sequence_filters, tpl_order_filters,
                                                  tpl_number_filters,   tpl_select_filters };
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        const tpl_function *found = tpl_find_row(tables[i], name);
        if (found)
            return found;
    }
    return NULL;
}
