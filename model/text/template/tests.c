/* SPDX-License-Identifier: Apache-2.0 */
/* What stands behind `is`: Jinja2's tests. */
#include "model/text/template/ast.h"
#include "model/text/template/function.h"
#include "model/text/template/lexer.h"

#include <string.h>

static tn_status give(tpl_value *out, bool truth)
{
    *out = TPL_BOOL_VALUE(truth);
    return TN_OK;
}

static tn_status modulo_is(tpl_env *e, tpl_value v, tpl_value by, int64_t want, tpl_value *out)
{
    tpl_value rest;
    bool equal;
    TN_TRY(tpl_binary(e, TPL_T_MOD, v, by, &rest));
    TN_TRY(tpl_equal(e, rest, TPL_INT_VALUE(want), &equal));
    return give(out, equal);
}

static tn_status test_odd(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return modulo_is(e, c->self, TPL_INT_VALUE(2), 1, out);
}

static tn_status test_even(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return modulo_is(e, c->self, TPL_INT_VALUE(2), 0, out);
}

static tn_status test_divisibleby(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return modulo_is(e, c->self, c->p[0], 0, out);
}

#define KIND_TEST(name, condition)                                                                 \
    static tn_status test_##name(tpl_env *e, const tpl_call *c, tpl_value *out)                    \
    {                                                                                              \
        const tpl_value v = c->self;                                                               \
        (void)e, (void)v;                                                                          \
        return give(out, condition);                                                               \
    }

KIND_TEST(defined, v.kind != TPL_UNDEFINED)
KIND_TEST(undefined, v.kind == TPL_UNDEFINED)
KIND_TEST(none, v.kind == TPL_NONE)
KIND_TEST(boolean, v.kind == TPL_BOOL)
KIND_TEST(true, v.kind == TPL_BOOL && v.u.i)
KIND_TEST(false, v.kind == TPL_BOOL && !v.u.i)
KIND_TEST(integer, v.kind == TPL_INT)
KIND_TEST(float, v.kind == TPL_FLOAT)
KIND_TEST(number, tpl_is_number(v))
KIND_TEST(string, v.kind == TPL_STR)
KIND_TEST(mapping, v.kind == TPL_DICT)
KIND_TEST(sequence, v.kind == TPL_UNDEFINED || v.kind == TPL_STR || v.kind == TPL_LIST ||
                        v.kind == TPL_TUPLE || v.kind == TPL_DICT || v.kind == TPL_RANGE)
KIND_TEST(iterable, tpl_is_iterable(v))
KIND_TEST(callable, v.kind == TPL_UNDEFINED || v.kind == TPL_LOOP || v.kind == TPL_MACRO ||
                        v.kind == TPL_FUNCTION || v.kind == TPL_METHOD || v.kind == TPL_JOINER)
KIND_TEST(escaped, false)

/* Jinja2 looks the name up in a dict, which refuses lists. */
static tn_status test_filter(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    TN_TRY(tpl_need_hashable(e, c->self));
    return give(out, c->self.kind == TPL_STR && tpl_find_filter(c->self.u.s));
}

static tn_status test_test(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    TN_TRY(tpl_need_hashable(e, c->self));
    return give(out, c->self.kind == TPL_STR && tpl_find_test(c->self.u.s));
}

static tn_status is_case(tpl_env *e, const tpl_call *c, bool upper, tpl_value *out)
{
    const tpl_str *s;
    bool cased = false;
    TN_TRY(tpl_to_str(e, c->self, &s));
    for (size_t i = 0; i < s->n; i++) {
        const char ch = s->data[i];
        const bool is_upper = ch >= 'A' && ch <= 'Z', is_lower = ch >= 'a' && ch <= 'z';
        if ((unsigned char)ch >= 0x80)
            return tpl_unsupported(e, "the tests upper and lower on other than ASCII text");
        if (upper ? is_lower : is_upper)
            return give(out, false);
        cased = cased || is_upper || is_lower;
    }
    return give(out, cased);
}

static tn_status test_upper(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return is_case(e, c, true, out);
}

static tn_status test_lower(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return is_case(e, c, false, out);
}

static tn_status test_in(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    bool found;
    TN_TRY(tpl_contains(e, c->self, c->p[0], &found));
    return give(out, found);
}

/* Identity, where Python's own rules fix it. */
static tn_status test_sameas(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    const tpl_value a = c->self, b = c->p[0];
    if (a.kind != b.kind)
        return give(out, false);
    if (a.kind == TPL_NONE)
        return give(out, true);
    if (a.kind == TPL_BOOL)
        return give(out, a.u.i == b.u.i);
    if (a.kind == TPL_INT && a.u.i >= -5 && a.u.i <= 256 && b.u.i >= -5 && b.u.i <= 256)
        return give(out, a.u.i == b.u.i);
    if (a.kind == TPL_NAMESPACE || a.kind == TPL_LOOP)
        return give(out, a.u.ns == b.u.ns);
    return tpl_unsupported(e, "the test sameas on values of type %s", tpl_type_name(a));
}

#define COMPARE_TEST(name, op)                                                                     \
    static tn_status test_##name(tpl_env *e, const tpl_call *c, tpl_value *out)                    \
    {                                                                                              \
        bool holds;                                                                                \
        TN_TRY(tpl_compare(e, op, c->self, c->p[0], &holds));                                      \
        return give(out, holds);                                                                   \
    }

COMPARE_TEST(eq, TPL_T_EQ)
COMPARE_TEST(ne, TPL_T_NE)
COMPARE_TEST(gt, TPL_T_GT)
COMPARE_TEST(ge, TPL_T_GE)
COMPARE_TEST(lt, TPL_T_LT)
COMPARE_TEST(le, TPL_T_LE)

static const tpl_function rows[] = {
    { "odd", test_odd, "" },
    { "even", test_even, "" },
    { "divisibleby", test_divisibleby, "num!" },
    { "defined", test_defined, "" },
    { "undefined", test_undefined, "" },
    { "filter", test_filter, "" },
    { "test", test_test, "" },
    { "none", test_none, "" },
    { "boolean", test_boolean, "" },
    { "false", test_false, "" },
    { "true", test_true, "" },
    { "integer", test_integer, "" },
    { "float", test_float, "" },
    { "lower", test_lower, "" },
    { "upper", test_upper, "" },
    { "string", test_string, "" },
    { "mapping", test_mapping, "" },
    { "number", test_number, "" },
    { "sequence", test_sequence, "" },
    { "iterable", test_iterable, "" },
    { "callable", test_callable, "" },
    { "sameas", test_sameas, "other!" },
    { "escaped", test_escaped, "" },
    { "in", test_in, "seq!" },
    { "==", test_eq, "/other!" },
    { "eq", test_eq, "/other!" },
    { "equalto", test_eq, "/other!" },
    { "!=", test_ne, "/other!" },
    { "ne", test_ne, "/other!" },
    { ">", test_gt, "/other!" },
    { "gt", test_gt, "/other!" },
    { "greaterthan", test_gt, "/other!" },
    { ">=", test_ge, "/other!" },
    { "ge", test_ge, "/other!" },
    { "<", test_lt, "/other!" },
    { "lt", test_lt, "/other!" },
    { "lessthan", test_lt, "/other!" },
    { "<=", test_le, "/other!" },
    { "le", test_le, "/other!" },
    { NULL, NULL, NULL },
};

const tpl_function *tpl_find_test(const tpl_str *name)
{
    return tpl_find_row(rows, name);
}
