/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments, macros, and calling whatever can be called. */
#include "model/text/template/eval.h"

#include <string.h>

/* ---- evaluating arguments ---- */

static tn_status add_keyword(tpl_env *e, tpl_items keys[2], tpl_value key, tpl_value value)
{
    TN_TRY(tpl_items_add(e, &keys[0], key));
    return tpl_items_add(e, &keys[1], value);
}

static tn_status eval_keywords(tpl_env *e, tpl_scope *scope, const tpl_node *node,
                               tpl_items keys[2])
{
    tpl_value key, value;
    for (size_t i = 0; i < node->n_list2; i++) {
        const tpl_str *name = node->list2[i]->name;
        TN_TRY(tpl_eval(e, scope, node->list2[i]->a, &value));
        TN_TRY(tpl_str_borrow(e, name->data, name->n, &key));
        TN_TRY(add_keyword(e, keys, key, value));
    }
    return TN_OK;
}

static tn_status eval_keyword_dict(tpl_env *e, tpl_scope *scope, const tpl_node *node,
                                   tpl_items keys[2])
{
    tpl_value all;
    TN_TRY(tpl_eval(e, scope, node->c, &all));
    if (all.kind != TPL_DICT)
        return tpl_fail(e, "argument after ** must be a mapping, not %s", tpl_type_name(all));
    for (size_t i = 0; i < all.u.dict->n; i++) {
        const tpl_value key = all.u.dict->key[i];
        if (key.kind != TPL_STR)
            return tpl_fail(e, "keywords must be strings");
        for (size_t k = 0; k < keys[0].n; k++) {
            bool equal;
            TN_TRY(tpl_equal(e, key, keys[0].item[k], &equal));
            if (equal)
                return tpl_fail(e, "got multiple values for keyword argument '%.*s'",
                                (int)key.u.s->n, key.u.s->data);
        }
        TN_TRY(add_keyword(e, keys, key, all.u.dict->value[i]));
    }
    return TN_OK;
}

tn_status tpl_eval_args(tpl_env *e, tpl_scope *scope, const tpl_node *node, const tpl_value *caller,
                        tpl_args *out)
{
    tpl_items items = { 0 }, keys[2] = { { 0 } };
    tpl_value value, key;
    for (size_t i = 0; i < node->n_list; i++) {
        TN_TRY(tpl_eval(e, scope, node->list[i], &value));
        TN_TRY(tpl_items_add(e, &items, value));
    }
    /* FILTER, TEST and CALL keep *args in b and **kwargs in c. */
    if (node->b) {
        tpl_list more;
        TN_TRY(tpl_eval(e, scope, node->b, &value));
        TN_TRY(tpl_iterate(e, value, &more));
        for (size_t i = 0; i < more.n; i++)
            TN_TRY(tpl_items_add(e, &items, more.item[i]));
    }
    TN_TRY(eval_keywords(e, scope, node, keys));
    if (caller) {
        TN_TRY(tpl_str_borrow(e, "caller", 6, &key));
        TN_TRY(add_keyword(e, keys, key, *caller));
    }
    if (node->c)
        TN_TRY(eval_keyword_dict(e, scope, node, keys));
    *out = (tpl_args){ items.item, items.n, keys[0].item, keys[1].item, keys[0].n };
    return TN_OK;
}

/* ---- rows ---- */

/* The parameter names "a! b c" one by one: its length, or 0 at the end. */
static size_t next_param(const char **at, const char **name, bool *required)
{
    while (**at == ' ' || **at == '/')
        (*at)++;
    *name = *at;
    const size_t n = strcspn(*at, " !");
    *at += n;
    *required = **at == '!';
    *at += *required;
    return n;
}

static tn_status bind_params(tpl_env *e, const tpl_function *f, const char *what, tpl_call *c)
{
    const tpl_args *args = c->args;
    const char *at = f->params, *name;
    const bool by_position = *at == '/';
    bool required;
    size_t n_params = 0, n_used = 0, n;
    for (; (n = next_param(&at, &name, &required)) > 0; n_params++) {
        tpl_value *p = &c->p[n_params];
        if (n_params < args->n)
            *p = args->item[n_params];
        for (size_t i = 0; i < args->n_keys && !by_position; i++) {
            const tpl_str *key = args->key[i].u.s;
            if (key->n != n || memcmp(key->data, name, n) != 0)
                continue;
            if (p->kind != TPL_MISSING)
                return tpl_fail(e, "%s %s got multiple values for argument '%.*s'", what, f->name,
                                (int)n, name);
            *p = args->value[i];
            n_used++;
        }
        if (required && p->kind == TPL_MISSING)
            return tpl_fail(e, "%s %s: missing argument '%.*s'", what, f->name, (int)n, name);
    }
    if (args->n > n_params)
        return tpl_fail(e, "%s %s takes at most %zu arguments (%zu given)", what, f->name, n_params,
                        args->n);
    if (n_used < args->n_keys)
        return tpl_fail(e, "%s %s got an unexpected keyword argument", what, f->name);
    return TN_OK;
}

/* Rows that do to such a text what they do to any. */
static bool keeps_markup(const tpl_function *f)
{
    static const char *const names[] = { "safe",    "e",  "escape",  "tojson", "length",    "count",
                                         "default", "d",  "defined", "string", "undefined", "none",
                                         "eq",      "==", "ne",      "!=",     "equalto",   "in" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(f->name, names[i]) == 0)
            return true;
    return false;
}

tn_status tpl_call_row(tpl_env *e, const tpl_function *f, const char *what, tpl_value self,
                       const tpl_args *args, tpl_value *out)
{
    tpl_call c = { .self = self, .args = args };
    TN_TRY(tpl_charge(e, 1));
    if (!f->run)
        return tpl_unsupported(e, "the %s %s is not supported", what, f->name);
    if (tpl_is_markup(self) && !keeps_markup(f))
        return tpl_unsupported(e, "the %s %s on a text that went through |safe or |escape", what,
                               f->name);
    if (f->params)
        TN_TRY(bind_params(e, f, what, &c));
    return f->run(e, &c, out);
}

/* ---- macros ---- */

tn_status tpl_macro_new(tpl_env *e, tpl_scope *scope, const tpl_node *node, tpl_value *out)
{
    tpl_macro *m;
    TN_TRY(tpl_alloc(e, 1, sizeof *m, &m));
    *m = (tpl_macro){ node, scope, node->name };
    *out = (tpl_value){ .kind = TPL_MACRO, .u.macro = m };
    return TN_OK;
}

/* The keyword argument `name`, marked as used in *used; MISSING when there is none. */
static tpl_value take_keyword(const tpl_args *args, const tpl_str *name, uint64_t used[2])
{
    for (size_t i = 0; i < args->n_keys; i++) {
        const tpl_str *key = args->key[i].u.s;
        if (key->n == name->n && memcmp(key->data, name->data, key->n) == 0) {
            used[i / 64] |= UINT64_C(1) << (i % 64);
            return args->value[i];
        }
    }
    return (tpl_value){ 0 };
}

static tn_status set_parameters(tpl_env *e, tpl_scope *scope, const tpl_macro *m,
                                const tpl_args *args, uint64_t used[2])
{
    const tpl_node *node = m->node;
    for (size_t i = 0; i < node->n_list; i++) {
        const tpl_node *name = node->list[i];
        scope->slot[name->slot] =
            i < args->n ? args->item[i] : take_keyword(args, name->name, used);
    }
    for (size_t i = 0; i < node->n_list; i++) {
        tpl_value *slot = &scope->slot[node->list[i]->slot];
        const size_t n_plain = node->n_list - node->n_list2;
        if (slot->kind != TPL_MISSING)
            continue;
        if (i >= n_plain)
            TN_TRY(tpl_eval(e, scope, node->list2[i - n_plain], slot));
        else
            TN_TRY(tpl_undefined_new(e, "a parameter of the macro was not provided",
                                     (tpl_value){ 0 }, (tpl_value){ 0 }, slot));
    }
    return TN_OK;
}

static tn_status set_caller(tpl_env *e, tpl_scope *scope, const tpl_args *args, uint64_t used[2])
{
    static const tpl_str name = { .data = "caller", .n = 6, .n_chars = 6 };
    tpl_value *slot = &scope->slot[scope->info->caller];
    *slot = take_keyword(args, &name, used);
    if (slot->kind == TPL_MISSING || slot->kind == TPL_NONE)
        return tpl_undefined_new(e, "No caller defined", (tpl_value){ 0 }, (tpl_value){ 0 }, slot);
    return TN_OK;
}

static tn_status set_kwargs(tpl_env *e, tpl_scope *scope, const tpl_macro *m, const tpl_args *args,
                            const uint64_t used[2])
{
    tpl_dict *rest;
    TN_TRY(tpl_dict_new(e, &rest));
    for (size_t i = 0; i < args->n_keys; i++) {
        if (used[i / 64] >> (i % 64) & 1)
            continue;
        const tpl_str *key = args->key[i].u.s;
        if (scope->info->kwargs < 0)
            return tpl_fail(e, "macro '%.*s' takes no keyword argument '%.*s'",
                            m->name ? (int)m->name->n : 6, m->name ? m->name->data : "caller",
                            (int)key->n, key->data);
        TN_TRY(tpl_dict_set(e, rest, args->key[i], args->value[i]));
    }
    if (scope->info->kwargs >= 0)
        scope->slot[scope->info->kwargs] = (tpl_value){ .kind = TPL_DICT, .u.dict = rest };
    return TN_OK;
}

static tn_status set_varargs(tpl_env *e, tpl_scope *scope, const tpl_macro *m, const tpl_args *args)
{
    const size_t n = m->node->n_list, more = args->n > n ? args->n - n : 0;
    if (scope->info->varargs >= 0)
        return tpl_list_new(e, TPL_TUPLE, more ? args->item + n : NULL, more,
                            &scope->slot[scope->info->varargs]);
    if (more)
        return tpl_fail(e, "macro '%.*s' takes not more than %zu argument(s)",
                        m->name ? (int)m->name->n : 6, m->name ? m->name->data : "caller", n);
    return TN_OK;
}

static tn_status call_macro(tpl_env *e, const tpl_macro *m, const tpl_args *args, tpl_value *out)
{
    tpl_scope *scope;
    uint64_t used[2] = { 0 };
    if (args->n_keys > 128)
        return tpl_fail(e, "a macro call with over 128 keyword arguments");
    TN_TRY(tpl_scope_new(e, m->scope, m->node->scope, &scope));
    if (scope->info->caller >= 0)
        TN_TRY(set_caller(e, scope, args, used));
    TN_TRY(set_parameters(e, scope, m, args, used));
    TN_TRY(set_kwargs(e, scope, m, args, used));
    TN_TRY(set_varargs(e, scope, m, args));
    tpl_capture c;
    int flow = TPL_FLOW_ON;
    tpl_capture_begin(e, &c);
    tn_status status = tpl_exec(e, scope, m->node->d, &flow);
    return tpl_capture_end(e, &c, status, out);
}

/* ---- calling ---- */

static tn_status call_loop(tpl_env *e, tpl_loop *loop, const tpl_args *args, tpl_value *out)
{
    tpl_capture c;
    int flow = TPL_FLOW_ON;
    if (!loop->node->recursive)
        return tpl_fail(e, "The loop must have the 'recursive' marker to be called recursively.");
    if (args->n != 1 || args->n_keys)
        return tpl_fail(e, "loop() takes one argument");
    tpl_capture_begin(e, &c);
    tn_status status =
        tpl_run_loop(e, loop->outer, loop->node, args->item[0], loop->depth0 + 1, &flow);
    return tpl_capture_end(e, &c, status, out);
}

static tn_status call_joiner(tpl_env *e, tpl_cycler *joiner, const tpl_args *args, tpl_value *out)
{
    if (args->n || args->n_keys)
        return tpl_fail(e, "a joiner takes no arguments");
    if (joiner->at++ == 0)
        return tpl_str_borrow(e, "", 0, out);
    *out = joiner->items.item[0];
    return TN_OK;
}

static tn_status call_kind(tpl_env *e, tpl_value callee, const tpl_args *args, tpl_value *out)
{
    switch (callee.kind) {
    case TPL_MACRO:
        return call_macro(e, callee.u.macro, args, out);
    case TPL_FUNCTION:
        return tpl_call_row(e, callee.u.function, "function", (tpl_value){ 0 }, args, out);
    case TPL_METHOD:
        return tpl_call_row(e, callee.u.method->function, "method", callee.u.method->self, args,
                            out);
    case TPL_LOOP:
        return call_loop(e, callee.u.loop, args, out);
    case TPL_JOINER:
        return call_joiner(e, callee.u.cycler, args, out);
    case TPL_UNDEFINED:
        return tpl_undefined_error(e, callee);
    default:
        return tpl_fail(e, "'%s' object is not callable", tpl_type_name(callee));
    }
}

tn_status tpl_call_value(tpl_env *e, tpl_value callee, const tpl_args *args, tpl_value *out)
{
    TN_TRY(tpl_enter(e));
    tn_status status = call_kind(e, callee, args, out);
    tpl_leave(e);
    return status;
}
