/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/template/loop.h"

#include "model/text/template/eval.h"

/* The next item that passes the loop's `if`. */
static tn_status read_next(tpl_env *e, tpl_loop *loop, tpl_value *out)
{
    *out = (tpl_value){ 0 };
    while (loop->at < loop->items.n) {
        const tpl_value item = loop->items.item[loop->at++];
        if (loop->test) {
            tpl_value passes;
            TN_TRY(tpl_assign(e, loop->test, loop->node->h, item));
            TN_TRY(tpl_eval(e, loop->test, loop->node->c, &passes));
            if (!tpl_truth(passes))
                continue;
        }
        *out = item;
        return TN_OK;
    }
    return TN_OK;
}

tn_status tpl_loop_next(tpl_env *e, tpl_loop *loop, bool *out_has)
{
    tpl_value next = loop->after;
    loop->after = (tpl_value){ 0 };
    if (next.kind == TPL_MISSING)
        TN_TRY(read_next(e, loop, &next));
    *out_has = next.kind != TPL_MISSING;
    if (!*out_has)
        return TN_OK;
    loop->index0++;
    loop->before = loop->current;
    loop->current = next;
    return TN_OK;
}

static tn_status peek(tpl_env *e, tpl_loop *loop)
{
    return loop->after.kind == TPL_MISSING ? read_next(e, loop, &loop->after) : TN_OK;
}

tn_status tpl_loop_length(tpl_env *e, tpl_loop *loop, size_t *out)
{
    if (loop->length == SIZE_MAX) { /* the rest must be tested to be counted */
        tpl_items rest = { 0 };
        for (;;) {
            tpl_value item;
            TN_TRY(read_next(e, loop, &item));
            if (item.kind == TPL_MISSING)
                break;
            TN_TRY(tpl_items_add(e, &rest, item));
        }
        loop->items = (tpl_list){ .item = rest.item, .n = rest.n };
        loop->at = 0;
        loop->test = NULL;
        loop->length = rest.n + loop->index0 + 1 + (loop->after.kind != TPL_MISSING);
    }
    *out = loop->length;
    return TN_OK;
}

static tn_status call_cycle(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    if (c->args->n == 0)
        return tpl_fail(e, "no items for cycling given");
    if (c->args->n_keys)
        return tpl_fail(e, "loop.cycle() takes no keyword arguments");
    *out = c->args->item[c->self.u.loop->index0 % c->args->n];
    return TN_OK;
}

static tn_status call_changed(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    tpl_loop *loop = c->self.u.loop;
    const tpl_list now = { .item = c->args->item, .n = c->args->n };
    const tpl_value a = { .kind = TPL_TUPLE, .u.list = &loop->changed },
                    b = { .kind = TPL_TUPLE, .u.list = &now };
    bool equal = false;
    if (c->args->n_keys)
        return tpl_fail(e, "loop.changed() takes no keyword arguments");
    if (loop->was_changed)
        TN_TRY(tpl_equal(e, a, b, &equal));
    if (!equal) {
        loop->was_changed = true;
        loop->changed = now;
    }
    *out = TPL_BOOL_VALUE(!equal);
    return TN_OK;
}

static const tpl_function methods[] = { { "cycle", call_cycle, NULL },
                                        { "changed", call_changed, NULL },
                                        { NULL, NULL, NULL } };

static tn_status neighbour(tpl_env *e, tpl_value v, const char *hint, tpl_value *out)
{
    *out = v;
    return v.kind == TPL_MISSING ? tpl_undefined_new(e, hint, v, v, out) : TN_OK;
}

static tn_status from_end(tpl_env *e, tpl_loop *loop, const tpl_str *name, tpl_value *out)
{
    size_t length;
    TN_TRY(tpl_loop_length(e, loop, &length));
    int64_t n = (int64_t)length;
    if (!tpl_str_is(name, "length"))
        n -= (int64_t)loop->index0 + tpl_str_is(name, "revindex0");
    *out = TPL_INT_VALUE(n);
    return TN_OK;
}

static tn_status bind_method(tpl_env *e, tpl_loop *loop, const tpl_function *f, tpl_value *out)
{
    tpl_method *m;
    TN_TRY(tpl_alloc(e, 1, sizeof *m, &m));
    *m = (tpl_method){ { .kind = TPL_LOOP, .u.loop = loop }, f };
    *out = (tpl_value){ .kind = TPL_METHOD, .u.method = m };
    return TN_OK;
}

tn_status tpl_loop_attr(tpl_env *e, tpl_loop *loop, const tpl_str *name, tpl_value *out)
{
    const int64_t index0 = (int64_t)loop->index0;
    *out = (tpl_value){ 0 };
    if (tpl_str_is(name, "index0"))
        *out = TPL_INT_VALUE(index0);
    else if (tpl_str_is(name, "index"))
        *out = TPL_INT_VALUE(index0 + 1);
    else if (tpl_str_is(name, "first"))
        *out = TPL_BOOL_VALUE(index0 == 0);
    else if (tpl_str_is(name, "depth0"))
        *out = TPL_INT_VALUE((int64_t)loop->depth0);
    else if (tpl_str_is(name, "depth"))
        *out = TPL_INT_VALUE((int64_t)loop->depth0 + 1);
    else if (tpl_str_is(name, "length") || tpl_str_is(name, "revindex") ||
             tpl_str_is(name, "revindex0"))
        return from_end(e, loop, name, out);
    else if (tpl_str_is(name, "previtem"))
        return neighbour(e, index0 == 0 ? (tpl_value){ 0 } : loop->before,
                         "there is no previous item", out);
    else if (tpl_str_is(name, "nextitem") || tpl_str_is(name, "last")) {
        TN_TRY(peek(e, loop));
        if (name->n == 8)
            return neighbour(e, loop->after, "there is no next item", out);
        *out = TPL_BOOL_VALUE(loop->after.kind == TPL_MISSING);
    } else {
        const tpl_function *f = tpl_find_row(methods, name);
        return f ? bind_method(e, loop, f, out) : TN_OK;
    }
    return TN_OK;
}

/* ---- running ---- */

static tn_status create(tpl_env *e, tpl_scope *outer, const tpl_node *node, tpl_value iterable,
                        size_t depth0, tpl_loop **out)
{
    tpl_loop *loop;
    TN_TRY(tpl_alloc(e, 1, sizeof *loop, &loop));
    loop->node = node;
    loop->outer = outer;
    loop->index0 = SIZE_MAX;
    loop->depth0 = depth0;
    if (iterable.kind == TPL_LOOP)
        return tpl_unsupported(e, "a loop over the variable loop");
    TN_TRY(tpl_iterate(e, iterable, &loop->items));
    loop->length = node->c || iterable.kind == TPL_ITER ? SIZE_MAX : loop->items.n;
    if (node->c)
        TN_TRY(tpl_scope_new(e, outer, node->test_scope, &loop->test));
    *out = loop;
    return TN_OK;
}

static tn_status run_body(tpl_env *e, tpl_scope *scope, tpl_loop *loop, int *flow)
{
    const tpl_node *node = loop->node;
    TN_TRY(tpl_scope_reset(e, scope));
    if (scope->info->loop >= 0)
        scope->slot[scope->info->loop] = (tpl_value){ .kind = TPL_LOOP, .u.loop = loop };
    TN_TRY(tpl_assign(e, scope, node->a, loop->current));
    return tpl_exec(e, scope, node->d, flow);
}

static tn_status run_else(tpl_env *e, tpl_scope *outer, const tpl_node *node, int *flow)
{
    tpl_scope *scope;
    TN_TRY(tpl_scope_new(e, outer, node->else_scope, &scope));
    return tpl_exec(e, scope, node->g, flow);
}

tn_status tpl_run_loop(tpl_env *e, tpl_scope *outer, const tpl_node *node, tpl_value iterable,
                       size_t depth0, int *flow)
{
    tpl_scope *scope;
    tpl_loop *loop = NULL;
    bool has, ended = false; /* an iteration came to its end: not broken, not continued */
    TN_TRY(create(e, outer, node, iterable, depth0, &loop));
    TN_TRY(tpl_scope_new(e, outer, node->scope, &scope));
    for (;;) {
        int body_flow = TPL_FLOW_ON;
        TN_TRY(tpl_loop_next(e, loop, &has));
        if (!has)
            break;
        TN_TRY(run_body(e, scope, loop, &body_flow));
        ended = ended || body_flow == TPL_FLOW_ON;
        if (body_flow == TPL_FLOW_BREAK)
            break;
    }
    if (has && iterable.kind == TPL_ITER && loop->at < loop->items.n)
        iterable.u.iter->state = TPL_ITER_PARTLY;
    for (int32_t i = 0; i < scope->info->n;
         i++) /* a macro of the body that lives on finds nothing */
        scope->slot[i] = (tpl_value){ 0 };
    return node->g && !ended ? run_else(e, outer, node, flow) : TN_OK;
}
