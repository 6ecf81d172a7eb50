/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/template/eval.h"

#include "model/text/template/lexer.h"

#include <string.h>

/* ---- variables ---- */

static tpl_value resolve(const tpl_env *e, const tpl_str *name)
{
    const tpl_value v = tpl_dict_find(e->globals, name->data, name->n);
    if (v.kind != TPL_MISSING)
        return v;
    const tpl_function *f = tpl_find_global(name);
    return f ? (tpl_value){ .kind = TPL_FUNCTION, .u.function = f } : v;
}

static tpl_value variable(const tpl_env *e, const tpl_scope *scope, const tpl_node *name)
{
    if (name->slot < 0)
        return resolve(e, name->name);
    for (int32_t i = 0; i < name->hops; i++)
        scope = scope->parent;
    return scope->slot[name->slot];
}

tn_status tpl_scope_reset(tpl_env *e, tpl_scope *scope)
{
    TN_TRY(tpl_charge(e, (size_t)scope->info->n));
    for (int32_t i = 0; i < scope->info->n; i++) {
        const tpl_symbol *s = &scope->info->symbol[i];
        scope->slot[i] = (tpl_value){ 0 };
        if (s->action == TPL_SYM_RESOLVE)
            scope->slot[i] = resolve(e, s->name);
        if (s->action != TPL_SYM_ALIAS)
            continue;
        const tpl_scope *from = scope;
        for (int32_t hop = 0; hop < s->hops; hop++)
            from = from->parent;
        scope->slot[i] = from->slot[s->slot];
    }
    return TN_OK;
}

tn_status tpl_scope_new(tpl_env *e, tpl_scope *parent, const tpl_scope_info *info, tpl_scope **out)
{
    tpl_scope *scope;
    TN_TRY(tpl_alloc(e, 1, sizeof *scope, &scope));
    TN_TRY(tpl_alloc(e, (size_t)info->n, sizeof *scope->slot, &scope->slot));
    scope->parent = parent;
    scope->info = info;
    *out = scope;
    return tpl_scope_reset(e, scope);
}

static tn_status assign_attr(tpl_env *e, tpl_scope *scope, const tpl_node *target, tpl_value value)
{
    const tpl_value ns = variable(e, scope, target);
    if (ns.kind != TPL_NAMESPACE)
        return tpl_fail(e, "cannot assign attribute on non-namespace object");
    return tpl_dict_set(e, &ns.u.ns->dict, target->value, value);
}

static tn_status assign_tuple(tpl_env *e, tpl_scope *scope, const tpl_node *target, tpl_value value)
{
    tpl_list items;
    TN_TRY(tpl_iterate(e, value, &items));
    if (items.n != target->n_list)
        return tpl_fail(e, "%s values to unpack (expected %zu, got %zu)",
                        items.n < target->n_list ? "not enough" : "too many", target->n_list,
                        items.n);
    for (size_t i = 0; i < items.n; i++)
        TN_TRY(tpl_assign(e, scope, target->list[i], items.item[i]));
    return TN_OK;
}

tn_status tpl_assign(tpl_env *e, tpl_scope *scope, const tpl_node *target, tpl_value value)
{
    e->line = target->line;
    if (target->kind == TPL_N_NSREF)
        return assign_attr(e, scope, target, value);
    if (target->kind == TPL_N_TUPLE)
        return assign_tuple(e, scope, target, value);
    for (int32_t i = 0; i < target->hops; i++)
        scope = scope->parent;
    scope->slot[target->slot] = value;
    return TN_OK;
}

/* ---- expressions ---- */

static tn_status eval_name(tpl_env *e, tpl_scope *scope, const tpl_node *node, tpl_value *out)
{
    *out = variable(e, scope, node);
    if (out->kind != TPL_MISSING)
        return TN_OK;
    tpl_value name;
    TN_TRY(tpl_str_borrow(e, node->name->data, node->name->n, &name));
    return tpl_undefined_new(e, NULL, (tpl_value){ 0 }, name, out);
}

static tn_status eval_list(tpl_env *e, tpl_scope *scope, const tpl_node *node, tpl_value *out)
{
    tpl_value *items;
    TN_TRY(tpl_alloc(e, node->n_list, sizeof *items, &items));
    for (size_t i = 0; i < node->n_list; i++)
        TN_TRY(tpl_eval(e, scope, node->list[i], &items[i]));
    return tpl_list_new(e, node->kind == TPL_N_LIST ? TPL_LIST : TPL_TUPLE, items, node->n_list,
                        out);
}

static tn_status eval_dict(tpl_env *e, tpl_scope *scope, const tpl_node *node, tpl_value *out)
{
    tpl_dict *d;
    TN_TRY(tpl_dict_new(e, &d));
    for (size_t i = 0; i < node->n_list; i += 2) {
        tpl_value key, value;
        TN_TRY(tpl_eval(e, scope, node->list[i], &key));
        TN_TRY(tpl_eval(e, scope, node->list[i + 1], &value));
        TN_TRY(tpl_dict_set(e, d, key, value));
    }
    *out = (tpl_value){ .kind = TPL_DICT, .u.dict = d };
    return TN_OK;
}

static tn_status eval_item(tpl_env *e, tpl_scope *scope, const tpl_node *node, tpl_value *out)
{
    tpl_value object, key, part[3] = { { 0 } };
    TN_TRY(tpl_eval(e, scope, node->a, &object));
    if (node->b->kind != TPL_N_SLICE) {
        TN_TRY(tpl_eval(e, scope, node->b, &key));
        e->line = node->line;
        return tpl_get_item(e, object, key, out);
    }
    const tpl_node *const parts[] = { node->b->a, node->b->b, node->b->c };
    for (int i = 0; i < 3; i++)
        if (parts[i])
            TN_TRY(tpl_eval(e, scope, parts[i], &part[i]));
    e->line = node->line;
    return tpl_get_slice(e, object, part, out);
}

static tn_status eval_call(tpl_env *e, tpl_scope *scope, const tpl_node *node,
                           const tpl_value *caller, tpl_value *out)
{
    tpl_value callee;
    tpl_args args;
    TN_TRY(tpl_eval(e, scope, node->a, &callee));
    TN_TRY(tpl_eval_args(e, scope, node, caller, &args));
    e->line = node->line;
    return tpl_call_value(e, callee, &args, out);
}

/* Filters and tests. self: what is filtered, NULL to evaluate node->a. */
static tn_status eval_row(tpl_env *e, tpl_scope *scope, const tpl_node *node, const tpl_value *self,
                          tpl_value *out)
{
    const char *what = node->kind == TPL_N_FILTER ? "filter" : "test";
    tpl_value object;
    tpl_args args;
    if (self && !node->a)
        object = *self;
    else if (self) /* a chain of filters of a filter block or block set */
        TN_TRY(eval_row(e, scope, node->a, self, &object));
    else
        TN_TRY(tpl_eval(e, scope, node->a, &object));
    TN_TRY(tpl_eval_args(e, scope, node, NULL, &args));
    e->line = node->line;
    if (!node->function)
        return tpl_unsupported(e, "No %s named '%.*s'.", what, (int)node->name->n,
                               node->name->data);
    return tpl_call_row(e, node->function, what, object, &args, out);
}

static tn_status eval_compare(tpl_env *e, tpl_scope *scope, const tpl_node *node, tpl_value *out)
{
    tpl_value left, right;
    bool holds = true;
    TN_TRY(tpl_eval(e, scope, node->a, &left));
    for (size_t i = 0; i < node->n_list && holds; i++) {
        TN_TRY(tpl_eval(e, scope, node->list[i]->a, &right));
        e->line = node->line;
        TN_TRY(tpl_compare(e, node->list[i]->op, left, right, &holds));
        left = right;
    }
    *out = TPL_BOOL_VALUE(holds);
    return TN_OK;
}

static tn_status eval_concat(tpl_env *e, tpl_scope *scope, const tpl_node *node, tpl_value *out)
{
    tn_strbuf text = tpl_buffer(e);
    tn_status status = TN_OK;
    for (size_t i = 0; i < node->n_list && !status; i++) {
        tpl_value part;
        status = tpl_eval(e, scope, node->list[i], &part);
        e->line = node->line;
        if (!status)
            status = tpl_put_str(e, part, &text);
    }
    if (!status)
        return tpl_str_take(e, &text, out);
    tn_strbuf_deinit(&text);
    return status;
}

static tn_status eval_condition(tpl_env *e, tpl_scope *scope, const tpl_node *node, tpl_value *out)
{
    tpl_value test;
    TN_TRY(tpl_eval(e, scope, node->a, &test));
    if (tpl_truth(test))
        return tpl_eval(e, scope, node->b, out);
    if (node->c)
        return tpl_eval(e, scope, node->c, out);
    return tpl_undefined_new(
        e, "the inline if-expression evaluated to false and no else section was defined",
        (tpl_value){ 0 }, (tpl_value){ 0 }, out);
}

static tn_status eval_and_or(tpl_env *e, tpl_scope *scope, const tpl_node *node, tpl_value *out)
{
    TN_TRY(tpl_eval(e, scope, node->a, out));
    return tpl_truth(*out) == (node->kind == TPL_N_AND) ? tpl_eval(e, scope, node->b, out) : TN_OK;
}

static tn_status eval_unary(tpl_env *e, tpl_scope *scope, const tpl_node *node, tpl_value *out)
{
    tpl_value a;
    TN_TRY(tpl_eval(e, scope, node->a, &a));
    e->line = node->line;
    if (node->kind == TPL_N_NEG)
        return tpl_negate(e, a, out);
    if (node->kind == TPL_N_POS && a.kind == TPL_FLOAT)
        *out = a;
    else if (node->kind == TPL_N_POS)
        return tpl_binary(e, TPL_T_ADD, TPL_INT_VALUE(0), a, out);
    else
        *out = TPL_BOOL_VALUE(!tpl_truth(a));
    return TN_OK;
}

static tn_status eval_binary(tpl_env *e, tpl_scope *scope, const tpl_node *node, tpl_value *out)
{
    tpl_value a, b;
    TN_TRY(tpl_eval(e, scope, node->a, &a));
    TN_TRY(tpl_eval(e, scope, node->b, &b));
    e->line = node->line;
    return tpl_binary(e, node->op, a, b, out);
}

static tn_status eval_attr(tpl_env *e, tpl_scope *scope, const tpl_node *node, tpl_value *out)
{
    tpl_value object;
    TN_TRY(tpl_eval(e, scope, node->a, &object));
    e->line = node->line;
    return tpl_get_attr(e, object, node->name, out);
}

static tn_status eval_kind(tpl_env *e, tpl_scope *scope, const tpl_node *node, tpl_value *out)
{
    switch (node->kind) {
    case TPL_N_CONST:
        *out = node->value;
        return TN_OK;
    case TPL_N_NAME:
        return eval_name(e, scope, node, out);
    case TPL_N_TUPLE:
    case TPL_N_LIST:
        return eval_list(e, scope, node, out);
    case TPL_N_DICT:
        return eval_dict(e, scope, node, out);
    case TPL_N_ATTR:
        return eval_attr(e, scope, node, out);
    case TPL_N_ITEM:
        return eval_item(e, scope, node, out);
    case TPL_N_CALL:
        return eval_call(e, scope, node, NULL, out);
    case TPL_N_FILTER:
    case TPL_N_TEST:
        return eval_row(e, scope, node, NULL, out);
    case TPL_N_NEG:
    case TPL_N_POS:
    case TPL_N_NOT:
        return eval_unary(e, scope, node, out);
    case TPL_N_BINARY:
        return eval_binary(e, scope, node, out);
    case TPL_N_AND:
    case TPL_N_OR:
        return eval_and_or(e, scope, node, out);
    case TPL_N_COMPARE:
        return eval_compare(e, scope, node, out);
    case TPL_N_CONCAT:
        return eval_concat(e, scope, node, out);
    case TPL_N_COND:
        return eval_condition(e, scope, node, out);
    default:
        return tpl_unsupported(e, "this expression");
    }
}

tn_status tpl_eval(tpl_env *e, tpl_scope *scope, const tpl_node *node, tpl_value *out)
{
    e->line = node->line;
    TN_TRY(tpl_charge(e, 1));
    TN_TRY(tpl_enter(e));
    tn_status status = eval_kind(e, scope, node, out);
    tpl_leave(e);
    return status;
}

/* ---- statements ---- */

void tpl_capture_begin(tpl_env *e, tpl_capture *c)
{
    c->text = tpl_buffer(e);
    c->outer = e->out;
    e->out = &c->text;
}

tn_status tpl_capture_end(tpl_env *e, tpl_capture *c, tn_status status, tpl_value *out)
{
    e->out = c->outer;
    if (!status)
        return tpl_str_take(e, &c->text, out);
    tn_strbuf_deinit(&c->text);
    return status;
}

static tn_status exec_block(tpl_env *e, tpl_scope *scope, const tpl_node *node, int *flow)
{
    for (size_t i = 0; i < node->n_list && *flow == TPL_FLOW_ON; i++)
        TN_TRY(tpl_exec(e, scope, node->list[i], flow));
    return TN_OK;
}

static tn_status put_output(tpl_env *e, tpl_value v)
{
    TN_TRY(tpl_put_str(e, v, e->out));
    return tpl_check_buffer(e, e->out);
}

static tn_status exec_output(tpl_env *e, tpl_scope *scope, const tpl_node *node)
{
    tpl_value v = node->value;
    if (node->kind == TPL_N_OUTPUT)
        TN_TRY(tpl_eval(e, scope, node->a, &v));
    e->line = node->line;
    return put_output(e, v);
}

static tn_status exec_if(tpl_env *e, tpl_scope *scope, const tpl_node *node, int *flow)
{
    while (node && node->kind == TPL_N_IF) {
        tpl_value test;
        TN_TRY(tpl_eval(e, scope, node->a, &test));
        if (tpl_truth(test))
            return tpl_exec(e, scope, node->b, flow);
        node = node->c;
    }
    return node ? tpl_exec(e, scope, node, flow) : TN_OK;
}

static tn_status exec_set(tpl_env *e, tpl_scope *scope, const tpl_node *node)
{
    tpl_value value;
    TN_TRY(tpl_eval(e, scope, node->b, &value));
    return tpl_assign(e, scope, node->a, value);
}

/* The text of a filter or call block, which Jinja2 refuses to write when it is anything else. */
static tn_status put_block(tpl_env *e, tpl_value text, const char *what)
{
    if (text.kind != TPL_STR)
        return tpl_fail(e, "a %s block needs a text as its result, not a value of type %s", what,
                        tpl_type_name(text));
    return put_output(e, text);
}

/* {% filter f %}...{% endfilter %} and {% set x | f %}...{% endset %} */
static tn_status exec_buffer(tpl_env *e, tpl_scope *outer, const tpl_node *node, int *flow)
{
    tpl_scope *scope;
    tpl_capture c;
    tpl_value text;
    TN_TRY(tpl_scope_new(e, outer, node->scope, &scope));
    tpl_capture_begin(e, &c);
    tn_status status = tpl_exec(e, scope, node->c, flow);
    TN_TRY(tpl_capture_end(e, &c, status, &text));
    if (*flow != TPL_FLOW_ON)
        return TN_OK;
    if (node->b)
        TN_TRY(eval_row(e, scope, node->b, &text, &text));
    if (node->kind == TPL_N_SETBLOCK)
        return tpl_assign(e, outer, node->a, text);
    return put_block(e, text, "filter");
}

static tn_status exec_with(tpl_env *e, tpl_scope *outer, const tpl_node *node, int *flow)
{
    tpl_scope *scope;
    TN_TRY(tpl_scope_new(e, outer, node->scope, &scope));
    for (size_t i = 0; i < node->n_list; i++) {
        tpl_value value;
        TN_TRY(tpl_eval(e, outer, node->list2[i], &value));
        TN_TRY(tpl_assign(e, scope, node->list[i], value));
    }
    return tpl_exec(e, scope, node->d, flow);
}

static tn_status exec_macro(tpl_env *e, tpl_scope *scope, const tpl_node *node)
{
    tpl_value macro;
    TN_TRY(tpl_macro_new(e, scope, node, &macro));
    return tpl_assign(e, scope, node->h, macro);
}

static tn_status exec_call_block(tpl_env *e, tpl_scope *scope, const tpl_node *node)
{
    const tpl_args none = { 0 };
    tpl_value caller, text;
    TN_TRY(tpl_macro_new(e, scope, node, &caller));
    if (node->a)
        TN_TRY(eval_call(e, scope, node->a, &caller, &text));
    else /* {% generation %} */
        TN_TRY(tpl_call_value(e, caller, &none, &text));
    return put_block(e, text, "call");
}

static tn_status exec_for(tpl_env *e, tpl_scope *scope, const tpl_node *node, int *flow)
{
    tpl_value iterable, text;
    TN_TRY(tpl_eval(e, scope, node->b, &iterable));
    e->line = node->line;
    if (!node->recursive)
        return tpl_run_loop(e, scope, node, iterable, 0, flow);
    int own_flow = TPL_FLOW_ON;
    tpl_capture c;
    tpl_capture_begin(e, &c);
    tn_status status = tpl_run_loop(e, scope, node, iterable, 0, &own_flow);
    TN_TRY(tpl_capture_end(e, &c, status, &text));
    return put_output(e, text);
}

static tn_status exec_kind(tpl_env *e, tpl_scope *scope, const tpl_node *node, int *flow)
{
    switch (node->kind) {
    case TPL_N_BLOCK:
        return exec_block(e, scope, node, flow);
    case TPL_N_OUTPUT:
    case TPL_N_DATA:
        return exec_output(e, scope, node);
    case TPL_N_FOR:
        return exec_for(e, scope, node, flow);
    case TPL_N_IF:
        return exec_if(e, scope, node, flow);
    case TPL_N_SET:
        return exec_set(e, scope, node);
    case TPL_N_SETBLOCK:
    case TPL_N_FILTERBLOCK:
        return exec_buffer(e, scope, node, flow);
    case TPL_N_MACRO:
        return exec_macro(e, scope, node);
    case TPL_N_CALLBLOCK:
        return exec_call_block(e, scope, node);
    case TPL_N_WITH:
        return exec_with(e, scope, node, flow);
    default:
        *flow = node->kind == TPL_N_BREAK ? TPL_FLOW_BREAK : TPL_FLOW_CONTINUE;
        return TN_OK;
    }
}

tn_status tpl_exec(tpl_env *e, tpl_scope *scope, const tpl_node *node, int *flow)
{
    e->line = node->line;
    TN_TRY(tpl_charge(e, 1));
    TN_TRY(tpl_enter(e));
    tn_status status = exec_kind(e, scope, node, flow);
    tpl_leave(e);
    return status;
}
