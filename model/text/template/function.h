/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filters, tests, methods and global functions: tables of rows, and how rows are called. `params`
 * names the parameters, "a! b c": those with '!' must be given; a '/' in front: by position only.
 * NULL: the function looks at all arguments itself. The body finds the arguments in order in c->p,
 * MISSING where none was given.
 */
#ifndef TN_MODEL_TEXT_TEMPLATE_FUNCTION_H
#define TN_MODEL_TEXT_TEMPLATE_FUNCTION_H

#include "model/text/template/value.h"

enum { TPL_MAX_PARAMS = 6 };

typedef struct tpl_args {
    const tpl_value *item; /* [n] by position */
    size_t n;
    const tpl_value *key, *value; /* [n_keys] by name; keys are strings */
    size_t n_keys;
} tpl_args;

typedef struct tpl_call {
    tpl_value self; /* what is filtered, tested, or has the method */
    tpl_value p[TPL_MAX_PARAMS];
    const tpl_args *args;
} tpl_call;

typedef tn_status tpl_body(tpl_env *e, const tpl_call *c, tpl_value *out);

typedef struct tpl_function {
    const char *name;
    tpl_body *run;
    const char *params;
} tpl_function;

const tpl_function *tpl_find_filter(const tpl_str *name);
const tpl_function *tpl_find_test(const tpl_str *name);
const tpl_function *tpl_find_global(const tpl_str *name);
/** The row of an attribute that Python's type of v has; run is NULL for those that are not
 * supported, and params "unsafe" for those that the sandbox forbids. NULL: no such attribute. */
const tpl_function *tpl_find_method(tpl_value v, const tpl_str *name);

/** Rows of the parts; ended by a row without name. */
extern const tpl_function tpl_text_filters[], tpl_format_filters[], tpl_sequence_filters[],
    tpl_order_filters[];
extern const tpl_function tpl_number_filters[], tpl_select_filters[];
extern const tpl_function tpl_str_methods[], tpl_str_predicates[], tpl_list_methods[],
    tpl_dict_methods[];
const tpl_function *tpl_find_row(const tpl_function *rows, const tpl_str *name);

/** Call a row with its parameters bound. what: "filter", for errors. */
tn_status tpl_call_row(tpl_env *e, const tpl_function *f, const char *what, tpl_value self,
                       const tpl_args *args, tpl_value *out) TN_MUST_USE;
/** Call any value. */
tn_status tpl_call_value(tpl_env *e, tpl_value callee, const tpl_args *args,
                         tpl_value *out) TN_MUST_USE;

/* ---- reading arguments ---- */

/** An int argument; `absent` when it was not given. */
tn_status tpl_int_arg(tpl_env *e, tpl_value v, int64_t absent, int64_t *out) TN_MUST_USE;
/** A string argument; NULL when it is absent or None. */
tn_status tpl_str_arg(tpl_env *e, tpl_value v, const tpl_str **out) TN_MUST_USE;
/** The filtered value as text: str(v). */
tn_status tpl_self_text(tpl_env *e, const tpl_call *c, const tpl_str **out) TN_MUST_USE;

/* ---- access.c ---- */

tn_status tpl_get_attr(tpl_env *e, tpl_value v, const tpl_str *name, tpl_value *out) TN_MUST_USE;
tn_status tpl_get_item(tpl_env *e, tpl_value v, tpl_value key, tpl_value *out) TN_MUST_USE;
/** parts: start, stop, step; MISSING or NONE when left out. */
tn_status tpl_get_slice(tpl_env *e, tpl_value v, const tpl_value part[3],
                        tpl_value *out) TN_MUST_USE;
/** "a.b.0" of a value, as the parameter `attribute` of filters means it; absent: instead of an
 * undefined part, or MISSING. */
tn_status tpl_get_path(tpl_env *e, tpl_value v, tpl_value path, tpl_value absent,
                       tpl_value *out) TN_MUST_USE;

/* ---- operators.c ---- */

/** op: a token type. */
tn_status tpl_binary(tpl_env *e, int op, tpl_value a, tpl_value b, tpl_value *out) TN_MUST_USE;
tn_status tpl_negate(tpl_env *e, tpl_value a, tpl_value *out) TN_MUST_USE;
tn_status tpl_compare(tpl_env *e, int op, tpl_value a, tpl_value b, bool *out) TN_MUST_USE;

/* ---- format.c ---- */

/** format % args, as for str; args is a TUPLE for several. */
tn_status tpl_format_percent(tpl_env *e, const tpl_str *format, tpl_value args,
                             tpl_value *out) TN_MUST_USE;
/** format.format(args...) */
tn_status tpl_format_braces(tpl_env *e, const tpl_str *format, const tpl_args *args,
                            tpl_value *out) TN_MUST_USE;

#endif
