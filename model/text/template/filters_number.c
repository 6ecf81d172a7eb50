/* SPDX-License-Identifier: Apache-2.0 */
/* Filters that make numbers, and default. */
#include "model/text/template/function.h"
#include "model/text/template/lexer.h"
#include "model/text/template/literal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static tpl_value or_else(tpl_value given, tpl_value otherwise)
{
    return given.kind == TPL_MISSING ? otherwise : given;
}

/* int(float(text)), or the default when that is an error. */
static tn_status int_of_float_text(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    bool ok;
    double d;
    int64_t i;
    TN_TRY(tpl_parse_float(e, c->self.u.s, &ok, &d));
    *out = or_else(c->p[0], TPL_INT_VALUE(0));
    if (!ok || !isfinite(d))
        return TN_OK;
    TN_TRY(tpl_float_to_int(e, d, &i));
    *out = TPL_INT_VALUE(i);
    return TN_OK;
}

static tn_status filter_int(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    int64_t i = 0, base;
    bool ok = true;
    TN_TRY(tpl_int_arg(e, c->p[1], 10, &base));
    if (c->self.kind == TPL_UNDEFINED)
        return tpl_undefined_error(e, c->self);
    if (c->self.kind == TPL_STR)
        TN_TRY(tpl_parse_int(e, c->self.u.s, base, &ok, &i));
    else if (tpl_is_int(c->self))
        i = c->self.u.i;
    else if (c->self.kind == TPL_FLOAT && !isnan(c->self.u.d))
        TN_TRY(tpl_float_to_int(e, c->self.u.d, &i));
    else
        ok = false;
    *out = ok ? TPL_INT_VALUE(i) : or_else(c->p[0], TPL_INT_VALUE(0));
    return ok || c->self.kind != TPL_STR ? TN_OK : int_of_float_text(e, c, out);
}

static tn_status filter_float(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    double d = 0;
    bool ok = true;
    if (c->self.kind == TPL_UNDEFINED)
        return tpl_undefined_error(e, c->self);
    if (c->self.kind == TPL_STR)
        TN_TRY(tpl_parse_float(e, c->self.u.s, &ok, &d));
    else if (tpl_is_number(c->self))
        d = tpl_as_double(c->self);
    else
        ok = false;
    *out = ok ? TPL_FLOAT_VALUE(d) : or_else(c->p[0], TPL_FLOAT_VALUE(0));
    return TN_OK;
}

static tn_status need_number(tpl_env *e, tpl_value v, const char *what)
{
    if (v.kind == TPL_UNDEFINED)
        return tpl_undefined_error(e, v);
    return tpl_is_number(v)
               ? TN_OK
               : tpl_fail(e, "%s needs a number, not a value of type %s", what, tpl_type_name(v));
}

static tn_status filter_abs(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    TN_TRY(need_number(e, c->self, "abs"));
    if (c->self.kind == TPL_FLOAT)
        *out = TPL_FLOAT_VALUE(fabs(c->self.u.d));
    else if (c->self.u.i < 0)
        return tpl_negate(e, c->self, out);
    else
        *out = TPL_INT_VALUE(c->self.u.i);
    return TN_OK;
}

/* ---- round ---- */

/* round(value, -digits) of a float. Where no digit is left it is one unit of the last place kept,
 * or, up to its half, nothing. */
static double round_float_left(double value, int64_t digits)
{
    char text[64];
    snprintf(text, sizeof text, "%.17e", value);
    const int64_t significant =
        value == 0.0 ? 0 : strtol(strchr(text, 'e') + 1, NULL, 10) + 1 - digits;
    if (significant < 0 || value == 0.0 || digits > 308)
        return copysign(0.0, value);
    const double unit = pow(10.0, (double)digits);
    if (significant >= 17) /* as many tell a double from all others */
        return value;
    if (significant == 0)
        return copysign(fabs(value) > unit / 2 ? unit : 0.0, value);
    snprintf(text, sizeof text, "%.*e", (int)significant - 1, value);
    return strtod(text, NULL);
}

/* round(value, -digits) of an int: to even. */
static tn_status round_int_left(tpl_env *e, int64_t value, int64_t digits, int64_t *out)
{
    int64_t unit = 1;
    *out = 0;
    if (digits > 19)
        return TN_OK;
    if (digits == 19) /* no unit of 64 bits: half of it is 5e18 */
        return value > 5000000000000000000 || value < -5000000000000000000
                   ? tpl_unsupported(e, "an integer of more than 64 bits")
                   : TN_OK;
    for (int64_t i = 0; i < digits; i++)
        unit *= 10;
    const int64_t whole = value / unit, rest = llabs(value % unit), half = unit / 2;
    const bool up = rest > half || (rest == half && unit > 1 && whole % 2 != 0);
    const int64_t units = whole + (up ? (value < 0 ? -1 : 1) : 0);
    return __builtin_mul_overflow(units, unit, out)
               ? tpl_unsupported(e, "an integer of more than 64 bits")
               : TN_OK;
}

/* round(value, precision): to even, by the exact value of the double, which is what printf does
 * too. */
static tn_status round_common(tpl_env *e, tpl_value v, int64_t precision, tpl_value *out)
{
    enum { MAX_DIGITS = 330 };
    char text[MAX_DIGITS * 2 + 32];
    *out = v.kind == TPL_FLOAT ? v : TPL_INT_VALUE(v.u.i);
    if (precision < 0 && v.kind != TPL_FLOAT)
        return round_int_left(e, v.u.i, precision < -20 ? 20 : -precision, &out->u.i);
    if (precision < 0 && isfinite(v.u.d)) {
        *out = TPL_FLOAT_VALUE(round_float_left(v.u.d, precision < -400 ? 400 : -precision));
        return TN_OK;
    }
    if (v.kind != TPL_FLOAT || !isfinite(v.u.d) || precision > MAX_DIGITS)
        return TN_OK;
    snprintf(text, sizeof text, "%.*f", (int)precision, v.u.d);
    *out = TPL_FLOAT_VALUE(strtod(text, NULL));
    return TN_OK;
}

/* math.ceil(value * 10**precision) / 10**precision */
static tn_status round_to(tpl_env *e, tpl_value v, int64_t precision, bool up, tpl_value *out)
{
    tpl_value scale, scaled;
    int64_t whole;
    TN_TRY(tpl_binary(e, TPL_T_POW, TPL_INT_VALUE(10), TPL_INT_VALUE(precision), &scale));
    TN_TRY(tpl_binary(e, TPL_T_MUL, v, scale, &scaled));
    if (scaled.kind == TPL_FLOAT) {
        TN_TRY(tpl_float_to_int(e, up ? ceil(scaled.u.d) : floor(scaled.u.d), &whole));
        scaled = TPL_INT_VALUE(whole);
    }
    return tpl_binary(e, TPL_T_DIV, scaled, scale, out);
}

static tn_status filter_round(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    const tpl_str *method;
    int64_t precision;
    TN_TRY(tpl_str_arg(e, c->p[1], &method));
    TN_TRY(tpl_int_arg(e, c->p[0], 0, &precision));
    TN_TRY(need_number(e, c->self, "round"));
    if ((!method && c->p[1].kind == TPL_MISSING) || (method && tpl_str_is(method, "common")))
        return round_common(e, c->self, precision, out);
    if (method && (tpl_str_is(method, "ceil") || tpl_str_is(method, "floor")))
        return round_to(e, c->self, precision, method->n == 4, out);
    return tpl_fail(e, "round: method must be common, ceil or floor");
}

/* ---- default ---- */

static tn_status filter_default(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    *out = c->self;
    if (c->self.kind != TPL_UNDEFINED && (!tpl_truth(c->p[1]) || tpl_truth(c->self)))
        return TN_OK;
    *out = c->p[0];
    return out->kind == TPL_MISSING ? tpl_str_borrow(e, "", 0, out) : TN_OK;
}

const tpl_function tpl_number_filters[] = {
    { "int", filter_int, "default base" },
    { "float", filter_float, "default" },
    { "abs", filter_abs, "" },
    { "round", filter_round, "precision method" },
    { "default", filter_default, "default_value boolean" },
    { "d", filter_default, "default_value boolean" },
    { NULL, NULL, NULL },
};
