/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic and comparison, as Python's operators; an int that leaves 64 bits is an error. */
#include "model/text/template/ast.h"
#include "model/text/template/function.h"
#include "model/text/template/lexer.h"

#include <math.h>
#include <string.h>

static tn_status overflow(tpl_env *e)
{
    return tpl_unsupported(e, "an integer of more than 64 bits");
}

static tn_status power(tpl_env *e, int64_t base, int64_t exponent, int64_t *out)
{
    int64_t result = 1;
    for (; exponent > 0; exponent >>= 1) {
        if ((exponent & 1) && __builtin_mul_overflow(result, base, &result))
            return overflow(e);
        if (exponent > 1 && __builtin_mul_overflow(base, base, &base))
            return overflow(e);
    }
    *out = result;
    return TN_OK;
}

static tn_status int_divide(tpl_env *e, int op, int64_t a, int64_t b, int64_t *out)
{
    if (b == 0)
        return tpl_fail(e, "integer division or modulo by zero");
    if (b == -1) { /* INT64_MIN / -1 does not fit */
        *out = 0;
        if (op == TPL_T_FLOORDIV && __builtin_sub_overflow(INT64_C(0), a, out))
            return overflow(e);
        return TN_OK;
    }
    const int64_t quotient = a / b, rest = a % b;
    const bool round_down = rest != 0 && (rest < 0) != (b < 0);
    *out = op == TPL_T_FLOORDIV ? quotient - round_down : rest + (round_down ? b : 0);
    return TN_OK;
}

static tn_status binary_int(tpl_env *e, int op, int64_t a, int64_t b, tpl_value *out)
{
    int64_t result = 0;
    bool lost = false;
    if (op == TPL_T_ADD)
        lost = __builtin_add_overflow(a, b, &result);
    else if (op == TPL_T_SUB)
        lost = __builtin_sub_overflow(a, b, &result);
    else if (op == TPL_T_MUL)
        lost = __builtin_mul_overflow(a, b, &result);
    else if (op == TPL_T_POW)
        TN_TRY(power(e, a, b, &result));
    else
        TN_TRY(int_divide(e, op, a, b, &result));
    *out = TPL_INT_VALUE(result);
    return lost ? overflow(e) : TN_OK;
}

/* Python's float_divmod: the rest has the sign of the divisor. */
static void float_divide(double a, double b, double *quotient, double *rest)
{
    *rest = fmod(a, b);
    double q = (a - *rest) / b;
    if (*rest != 0) {
        if ((b < 0) != (*rest < 0)) {
            *rest += b;
            q -= 1;
        }
    } else {
        *rest = copysign(0.0, b);
    }
    if (q != 0) {
        *quotient = floor(q);
        if (q - *quotient > 0.5)
            *quotient += 1;
    } else {
        *quotient = copysign(0.0, a / b);
    }
}

static tn_status float_power(tpl_env *e, double a, double b, double *out)
{
    if (a == 0 && b < 0)
        return tpl_fail(e, "0.0 cannot be raised to a negative power");
    if (a < 0 && isfinite(a) && isfinite(b) && b != floor(b))
        return tpl_unsupported(e, "complex numbers");
    *out = pow(a, b);
    if (isinf(*out) && isfinite(a) && isfinite(b))
        return tpl_fail(e, "the result of ** is too large");
    return TN_OK;
}

static tn_status binary_float(tpl_env *e, int op, double a, double b, tpl_value *out)
{
    double result = 0, rest;
    if (b == 0 && (op == TPL_T_DIV || op == TPL_T_FLOORDIV || op == TPL_T_MOD))
        return tpl_fail(e, "division by zero");
    if (op == TPL_T_ADD)
        result = a + b;
    else if (op == TPL_T_SUB)
        result = a - b;
    else if (op == TPL_T_MUL)
        result = a * b;
    else if (op == TPL_T_DIV)
        result = a / b;
    else if (op == TPL_T_FLOORDIV)
        float_divide(a, b, &result, &rest);
    else if (op == TPL_T_MOD)
        float_divide(a, b, &rest, &result);
    else
        TN_TRY(float_power(e, a, b, &result));
    *out = TPL_FLOAT_VALUE(result);
    return TN_OK;
}

/* Ints beyond 2^53 do not divide exactly in double; Python rounds the true quotient. */
static tn_status divide_ints(tpl_env *e, int64_t a, int64_t b, tpl_value *out)
{
    const int64_t limit = INT64_C(1) << 53;
    if (a > limit || a < -limit || b > limit || b < -limit)
        return tpl_unsupported(e, "dividing integers of more than 53 bits");
    return binary_float(e, TPL_T_DIV, (double)a, (double)b, out);
}

static tn_status binary_numbers(tpl_env *e, int op, tpl_value a, tpl_value b, tpl_value *out)
{
    if (a.kind == TPL_FLOAT || b.kind == TPL_FLOAT || (op == TPL_T_POW && b.u.i < 0))
        return binary_float(e, op, tpl_as_double(a), tpl_as_double(b), out);
    return op == TPL_T_DIV ? divide_ints(e, a.u.i, b.u.i, out)
                           : binary_int(e, op, a.u.i, b.u.i, out);
}

static tn_status join(tpl_env *e, tpl_value a, tpl_value b, tpl_value *out)
{
    if (a.kind == TPL_STR) {
        char *text;
        TN_TRY(tpl_alloc(e, a.u.s->n + b.u.s->n, 1, &text));
        memcpy(text, a.u.s->data, a.u.s->n);
        memcpy(text + a.u.s->n, b.u.s->data, b.u.s->n);
        return tpl_str_borrow(e, text, a.u.s->n + b.u.s->n, out);
    }
    const tpl_list *x = a.u.list, *y = b.u.list;
    tpl_value *items;
    TN_TRY(tpl_charge(e, x->n + y->n));
    TN_TRY(tpl_alloc(e, x->n + y->n, sizeof *items, &items));
    if (x->n)
        memcpy(items, x->item, x->n * sizeof *items);
    if (y->n)
        memcpy(items + x->n, y->item, y->n * sizeof *items);
    return tpl_list_new(e, a.kind, items, x->n + y->n, out);
}

static tn_status repeat(tpl_env *e, tpl_value v, int64_t times, tpl_value *out)
{
    const bool text = v.kind == TPL_STR;
    const size_t size = text ? 1 : sizeof(tpl_value), n = text ? v.u.s->n : v.u.list->n;
    size_t count = times > 0 ? (size_t)times : 0, total;
    char *copy;
    if (n == 0)
        count = 0;
    if (!__builtin_mul_overflow(n, count, &total))
        TN_TRY(tpl_charge(e, total / 16));
    else
        return tpl_fail(e, "the result of * is too long");
    TN_TRY(tpl_alloc(e, total, size, &copy));
    for (size_t i = 0; i < count; i++)
        memcpy(copy + i * n * size, text ? (const void *)v.u.s->data : v.u.list->item, n * size);
    if (text)
        return tpl_str_borrow(e, copy, total, out);
    return tpl_list_new(e, v.kind, (const tpl_value *)(void *)copy, total, out);
}

static bool is_sequence(tpl_value v)
{
    return v.kind == TPL_STR || v.kind == TPL_LIST || v.kind == TPL_TUPLE;
}

tn_status tpl_binary(tpl_env *e, int op, tpl_value a, tpl_value b, tpl_value *out)
{
    if (tpl_is_markup(a) || tpl_is_markup(b))
        return tpl_unsupported(e, "%s on a text that went through |safe or |escape; use ~",
                               tpl_token_name(op));
    /* '%' first: a format shows an undefined value as nothing. */
    if (op == TPL_T_MOD && a.kind == TPL_STR)
        return tpl_format_percent(e, a.u.s, b, out);
    if (a.kind == TPL_UNDEFINED || b.kind == TPL_UNDEFINED)
        return tpl_undefined_error(e, a.kind == TPL_UNDEFINED ? a : b);
    if (tpl_is_number(a) && tpl_is_number(b))
        return binary_numbers(e, op, a, b, out);
    if (op == TPL_T_ADD && a.kind == b.kind && is_sequence(a))
        return join(e, a, b, out);
    if (op == TPL_T_MUL && is_sequence(a) && tpl_is_int(b))
        return repeat(e, a, b.u.i, out);
    if (op == TPL_T_MUL && is_sequence(b) && tpl_is_int(a))
        return repeat(e, b, a.u.i, out);
    if (a.kind == TPL_DICT || a.kind == TPL_VIEW)
        return tpl_fail(e, "unsupported operand types for %s: %s and %s", tpl_token_name(op),
                        tpl_type_name(a), tpl_type_name(b));
    if (op == TPL_T_ADD && (a.kind == TPL_STR || b.kind == TPL_STR))
        return tpl_fail(e,
                        "can only concatenate str to str with +, not %s and %s; ~ joins any values",
                        tpl_type_name(a), tpl_type_name(b));
    return tpl_fail(e, "unsupported operand types for %s: %s and %s", tpl_token_name(op),
                    tpl_type_name(a), tpl_type_name(b));
}

tn_status tpl_negate(tpl_env *e, tpl_value a, tpl_value *out)
{
    if (a.kind == TPL_FLOAT) {
        *out = TPL_FLOAT_VALUE(-a.u.d);
        return TN_OK;
    }
    return tpl_binary(e, TPL_T_SUB, TPL_INT_VALUE(0), a, out);
}

tn_status tpl_compare(tpl_env *e, int op, tpl_value a, tpl_value b, bool *out)
{
    switch (op) {
    case TPL_T_EQ:
        return tpl_equal(e, a, b, out);
    case TPL_OP_IN:
        return tpl_contains(e, a, b, out);
    case TPL_T_LT:
        return tpl_less(e, a, b, out);
    case TPL_T_GT:
        return tpl_less(e, b, a, out);
    case TPL_T_NE:
        TN_TRY(tpl_equal(e, a, b, out));
        break;
    case TPL_OP_NOT_IN:
        TN_TRY(tpl_contains(e, a, b, out));
        break;
    default: { /* <= and >=: less or equal, which differs from "not greater" for NaN only */
        bool equal;
        TN_TRY(op == TPL_T_LE ? tpl_less(e, a, b, out) : tpl_less(e, b, a, out));
        TN_TRY(tpl_equal(e, a, b, &equal));
        *out = *out || equal;
        return TN_OK;
    }
    }
    *out = !*out;
    return TN_OK;
}
