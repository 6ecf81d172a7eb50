/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which variable a name means. Jinja2 decides it before it runs anything (idtracking.py of
 * version 3.1), and templates can see that: a variable that an outer scope sets anywhere hides the
 * context's one in all inner scopes, even before it is set. So this follows its rules. A scope
 * first collects the names that it reads and sets by itself, not those of scopes inside; then its
 * names get their slots; then the scopes inside are done.
 */
#include "model/text/template/ast.h"

#include <string.h>

enum { MAX_SYMBOLS = 1024 };

typedef struct resolver {
    tpl_env *e;
    tpl_scope_info *scope;
    int in_if; /* a name first set in a branch may stay unset: it is then what it was outside */
} resolver;

static bool same(const tpl_str *a, const tpl_str *b)
{
    return a->n == b->n && memcmp(a->data, b->data, a->n) == 0;
}

static int32_t find_here(const tpl_scope_info *scope, const tpl_str *name)
{
    for (int32_t i = 0; i < scope->n; i++)
        if (same(scope->symbol[i].name, name))
            return i;
    return -1;
}

/* The slot of name in scope or an outer one, *hops scopes away; -1: none. */
static int32_t find(const tpl_scope_info *scope, const tpl_str *name, int32_t *hops)
{
    for (*hops = 0; scope; scope = scope->parent, (*hops)++) {
        const int32_t slot = find_here(scope, name);
        if (slot >= 0)
            return slot;
    }
    return -1;
}

static tn_status add(resolver *r, tpl_symbol symbol, int32_t *out_slot)
{
    tpl_scope_info *s = r->scope;
    if (s->n == MAX_SYMBOLS)
        return tpl_fail(r->e, "a scope with over %d names", MAX_SYMBOLS);
    if (s->n == s->capacity) {
        tpl_symbol *grown;
        const int32_t capacity = s->capacity ? s->capacity * 2 : 8;
        TN_TRY(tpl_alloc(r->e, (size_t)capacity, sizeof *grown, &grown));
        if (s->n)
            memcpy(grown, s->symbol, (size_t)s->n * sizeof *grown);
        s->symbol = grown;
        s->capacity = capacity;
    }
    *out_slot = s->n;
    s->symbol[s->n++] = symbol;
    return TN_OK;
}

static tn_status load(resolver *r, const tpl_str *name)
{
    int32_t hops, slot;
    if (find(r->scope, name, &hops) >= 0)
        return TN_OK;
    return add(r, (tpl_symbol){ .name = name, .action = TPL_SYM_RESOLVE }, &slot);
}

static tn_status store(resolver *r, const tpl_str *name)
{
    int32_t hops, slot = find_here(r->scope, name);
    if (slot >= 0) {
        r->scope->symbol[slot].stored = true;
        return TN_OK;
    }
    tpl_symbol symbol = { .name = name,
                          .stored = true,
                          .action = r->in_if ? TPL_SYM_RESOLVE : TPL_SYM_UNDEFINED };
    if (r->scope->parent) {
        symbol.slot = find(r->scope->parent, name, &hops);
        symbol.hops = hops + 1;
        if (symbol.slot >= 0)
            symbol.action = TPL_SYM_ALIAS;
    }
    return add(r, symbol, &slot);
}

static tn_status declare(resolver *r, const tpl_str *name, int32_t *out_slot)
{
    *out_slot = find_here(r->scope, name);
    if (*out_slot < 0)
        return add(r, (tpl_symbol){ .name = name, .stored = true, .action = TPL_SYM_PARAM },
                   out_slot);
    r->scope->symbol[*out_slot].action = TPL_SYM_PARAM;
    return TN_OK;
}

/* ---- walking ---- */

typedef tn_status visitor(resolver *r, tpl_node *node);

static tn_status visit_list(resolver *r, tpl_node **list, size_t n, visitor *visit)
{
    for (size_t i = 0; i < n; i++)
        TN_TRY(visit(r, list[i]));
    return TN_OK;
}

static tn_status visit_children(resolver *r, tpl_node *node, visitor *visit)
{
    tpl_node *const children[] = { node->a, node->b, node->c, node->d, node->g, node->h };
    for (size_t i = 0; i < sizeof children / sizeof children[0]; i++)
        if (children[i])
            TN_TRY(visit(r, children[i]));
    TN_TRY(visit_list(r, node->list, node->n_list, visit));
    return visit_list(r, node->list2, node->n_list2, visit);
}

/* The parts of a statement with a scope of its own that belong to the scope around it. False: it is
 * no such statement. */
static bool outer_parts(const tpl_node *node, tpl_node **part)
{
    switch (node->kind) {
    case TPL_N_FOR:
        *part = node->b;
        return true;
    case TPL_N_MACRO:
        *part = node->h;
        return true;
    case TPL_N_CALLBLOCK:
        *part = node->a;
        return true;
    case TPL_N_FILTERBLOCK:
        *part = node->b;
        return true;
    case TPL_N_SETBLOCK:
        *part = node->a;
        return true;
    default:
        *part = NULL;
        return node->kind == TPL_N_WITH;
    }
}

/* Names that this scope reads and sets, in the order of Jinja2's visitors. */
static tn_status collect(resolver *r, tpl_node *node)
{
    tpl_node *part;
    int32_t slot;
    if (node->kind == TPL_N_NAME) {
        r->e->line = node->line;
        if (node->op == TPL_PARAM)
            return declare(r, node->name, &slot);
        return node->op == TPL_STORE ? store(r, node->name) : load(r, node->name);
    }
    if (node->kind == TPL_N_NSREF)
        return load(r, node->name);
    if (node->kind == TPL_N_WITH)
        return visit_list(r, node->list2, node->n_list2, collect);
    if (outer_parts(node, &part))
        return part ? collect(r, part) : TN_OK;
    if (node->kind == TPL_N_SET) {
        TN_TRY(collect(r, node->b));
        return collect(r, node->a);
    }
    if (node->kind == TPL_N_IF) {
        TN_TRY(collect(r, node->a));
        r->in_if++;
        tn_status status = collect(r, node->b);
        if (!status && node->c)
            status = collect(r, node->c);
        r->in_if--;
        return status;
    }
    return visit_children(r, node, collect);
}

/* ---- slots ---- */

static tn_status bind(resolver *r, tpl_node *node);

static tn_status new_scope(resolver *r, tpl_scope_info **out)
{
    TN_TRY(tpl_alloc(r->e, 1, sizeof **out, out));
    (*out)->parent = r->scope;
    (*out)->loop = (*out)->caller = (*out)->kwargs = (*out)->varargs = -1;
    r->scope = *out;
    return TN_OK;
}

/* Is a variable of this name read anywhere below node? Stops at the first of `found`. */
static bool reads_name(const tpl_node *node, const char *name)
{
    if (node->kind == TPL_N_NAME)
        return node->op == TPL_LOAD && tpl_str_is(node->name, name);
    const tpl_node *const children[] = { node->a, node->b, node->c, node->d, node->g, node->h };
    for (size_t i = 0; i < sizeof children / sizeof children[0]; i++)
        if (children[i] && reads_name(children[i], name))
            return true;
    for (size_t i = 0; i < node->n_list; i++)
        if (reads_name(node->list[i], name))
            return true;
    for (size_t i = 0; i < node->n_list2; i++)
        if (reads_name(node->list2[i], name))
            return true;
    return false;
}

static tn_status declare_special(resolver *r, const tpl_node *body, const char *name, int32_t *slot)
{
    tpl_value text;
    *slot = -1;
    if (!reads_name(body, name))
        return TN_OK;
    TN_TRY(tpl_str_borrow(r->e, name, strlen(name), &text));
    return declare(r, text.u.s, slot);
}

/* Mark the names of a for target as parameters of the loop's scope, as Jinja2 does. */
static tn_status declare_target(resolver *r, tpl_node *target)
{
    int32_t slot;
    if (target->kind == TPL_N_NAME)
        return declare(r, target->name, &slot);
    return visit_list(r, target->list, target->n_list, declare_target);
}

static tn_status bind_for(resolver *r, tpl_node *node)
{
    tpl_scope_info *outer = r->scope;
    TN_TRY(bind(r, node->b));
    TN_TRY(new_scope(r, &node->scope));
    TN_TRY(declare_special(r, node->d, "loop", &node->scope->loop));
    TN_TRY(declare_target(r, node->a));
    TN_TRY(collect(r, node->d));
    TN_TRY(bind(r, node->a));
    TN_TRY(bind(r, node->d));
    r->scope = outer;
    if (node->c) {
        TN_TRY(new_scope(r, &node->test_scope));
        TN_TRY(declare_target(r, node->h));
        TN_TRY(collect(r, node->c));
        TN_TRY(bind(r, node->h));
        TN_TRY(bind(r, node->c));
        r->scope = outer;
    }
    if (node->g) {
        TN_TRY(new_scope(r, &node->else_scope));
        TN_TRY(collect(r, node->g));
        TN_TRY(bind(r, node->g));
        r->scope = outer;
    }
    return TN_OK;
}

static tn_status bind_macro(resolver *r, tpl_node *node)
{
    tpl_scope_info *outer = r->scope;
    TN_TRY(new_scope(r, &node->scope));
    TN_TRY(visit_list(r, node->list, node->n_list, collect));
    TN_TRY(visit_list(r, node->list2, node->n_list2, collect));
    TN_TRY(declare_special(r, node->d, "caller", &node->scope->caller));
    TN_TRY(declare_special(r, node->d, "kwargs", &node->scope->kwargs));
    TN_TRY(declare_special(r, node->d, "varargs", &node->scope->varargs));
    TN_TRY(collect(r, node->d));
    TN_TRY(visit_list(r, node->list, node->n_list, bind));
    TN_TRY(visit_list(r, node->list2, node->n_list2, bind));
    TN_TRY(bind(r, node->d));
    r->scope = outer;
    return node->kind == TPL_N_MACRO ? bind(r, node->h) : node->a ? bind(r, node->a) : TN_OK;
}

/* A filter block, a block set: its filter is evaluated inside. */
static tn_status bind_buffer(resolver *r, tpl_node *node)
{
    tpl_scope_info *outer = r->scope;
    TN_TRY(new_scope(r, &node->scope));
    if (node->b)
        TN_TRY(collect(r, node->b));
    TN_TRY(collect(r, node->c));
    if (node->b)
        TN_TRY(bind(r, node->b));
    TN_TRY(bind(r, node->c));
    r->scope = outer;
    return node->a ? bind(r, node->a) : TN_OK;
}

static tn_status bind_with(resolver *r, tpl_node *node)
{
    tpl_scope_info *outer = r->scope;
    TN_TRY(visit_list(r, node->list2, node->n_list2, bind));
    TN_TRY(new_scope(r, &node->scope));
    TN_TRY(visit_list(r, node->list, node->n_list, collect));
    TN_TRY(collect(r, node->d));
    TN_TRY(visit_list(r, node->list, node->n_list, bind));
    TN_TRY(bind(r, node->d));
    r->scope = outer;
    return TN_OK;
}

static tn_status bind(resolver *r, tpl_node *node)
{
    tn_status status = TN_OK;
    const int in_if = r->in_if;
    r->in_if = 0;
    if (node->kind == TPL_N_NAME || node->kind == TPL_N_NSREF)
        node->slot = find(r->scope, node->name, &node->hops);
    else if (node->kind == TPL_N_FOR)
        status = bind_for(r, node);
    else if (node->kind == TPL_N_MACRO || node->kind == TPL_N_CALLBLOCK)
        status = bind_macro(r, node);
    else if (node->kind == TPL_N_FILTERBLOCK || node->kind == TPL_N_SETBLOCK)
        status = bind_buffer(r, node);
    else if (node->kind == TPL_N_WITH)
        status = bind_with(r, node);
    else
        status = visit_children(r, node, bind);
    r->in_if = in_if;
    return status;
}

tn_status tpl_resolve(tpl_env *e, tpl_tree *tree)
{
    resolver r = { .e = e };
    TN_TRY(new_scope(&r, &tree->scope));
    TN_TRY(collect(&r, tree->root));
    return bind(&r, tree->root);
}
