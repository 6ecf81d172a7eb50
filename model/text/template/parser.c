/* SPDX-License-Identifier: Apache-2.0 */
/* Statements. The grammar is that of Jinja2 3.1's parser.py, with the extensions loopcontrols and
 * generation. */
#include "model/text/template/parser.h"

#include <string.h>

/* ---- tools ---- */

tn_status tpl_nodes_add(tpl_parser *p, tpl_nodes *nodes, tpl_node *node)
{
    if (nodes->n == nodes->capacity) {
        tpl_node **grown;
        const size_t capacity = nodes->capacity ? nodes->capacity * 2 : 4;
        TN_TRY(tpl_alloc(p->e, capacity, sizeof(tpl_node *), &grown));
        if (nodes->n)
            memcpy(grown, nodes->node, nodes->n * sizeof(tpl_node *));
        nodes->node = grown;
        nodes->capacity = capacity;
    }
    nodes->node[nodes->n++] = node;
    return TN_OK;
}

tn_status tpl_new_node(tpl_parser *p, uint8_t kind, int32_t line, tpl_node **out)
{
    TN_TRY(tpl_alloc(p->e, 1, sizeof **out, out));
    (*out)->kind = kind;
    (*out)->line = line;
    p->e->line = p->at->line;
    return TN_OK;
}

static void deepen(tpl_node *node, const tpl_node *child)
{
    if (child && child->depth >= node->depth)
        node->depth = child->depth + 1;
}

tn_status tpl_finish_node(tpl_parser *p, tpl_node *node)
{
    const tpl_node *const children[] = { node->a, node->b, node->c, node->d, node->g, node->h };
    for (size_t i = 0; i < sizeof children / sizeof children[0]; i++)
        deepen(node, children[i]);
    for (size_t i = 0; i < node->n_list; i++)
        deepen(node, node->list[i]);
    for (size_t i = 0; i < node->n_list2; i++)
        deepen(node, node->list2[i]);
    if (node->depth <= TPL_MAX_TREE_DEPTH)
        return TN_OK;
    p->e->line = node->line;
    return tpl_fail(p->e, "an expression or statement nests deeper than %d levels",
                    TPL_MAX_TREE_DEPTH);
}

tn_status tpl_new_pair(tpl_parser *p, uint8_t kind, int32_t line, tpl_node *a, tpl_node *b,
                       tpl_node **out)
{
    tpl_node *node;
    TN_TRY(tpl_new_node(p, kind, line, &node));
    node->a = a;
    node->b = b;
    *out = node;
    return tpl_finish_node(p, node);
}

bool tpl_token_is(const tpl_token *t, const char *name)
{
    return t->type == TPL_T_NAME && tpl_str_is(t->value.u.s, name);
}

bool tpl_at_name(const tpl_parser *p, const char *name)
{
    return tpl_token_is(p->at, name);
}

bool tpl_skip(tpl_parser *p, int32_t type)
{
    const bool found = p->at->type == type;
    p->at += found;
    return found;
}

bool tpl_skip_name(tpl_parser *p, const char *name)
{
    const bool found = tpl_at_name(p, name);
    p->at += found;
    return found;
}

tn_status tpl_unexpected(tpl_parser *p, const char *wanted)
{
    const tpl_token *t = p->at;
    p->e->line = t->line;
    if (t->type == TPL_T_NAME)
        return tpl_fail(p->e, "expected %s, got '%.*s'", wanted,
                        (int)(t->value.u.s->n < 60 ? t->value.u.s->n : 60), t->value.u.s->data);
    return tpl_fail(p->e, "expected %s, got '%s'", wanted, tpl_token_name(t->type));
}

tn_status tpl_expect(tpl_parser *p, int32_t type)
{
    return tpl_skip(p, type) ? TN_OK : tpl_unexpected(p, tpl_token_name(type));
}

static tn_status expect_name(tpl_parser *p, const char *name)
{
    return tpl_skip_name(p, name) ? TN_OK : tpl_unexpected(p, name);
}

/* ---- bodies ---- */

static tn_status parse_statement(tpl_parser *p, tpl_node **out);

static bool at_one_of(const tpl_parser *p, const char *const *ends)
{
    for (; ends && *ends; ends++)
        if (tpl_at_name(p, *ends))
            return true;
    return false;
}

static tn_status parse_output(tpl_parser *p, tpl_node **out)
{
    TN_TRY(tpl_new_node(p, TPL_N_OUTPUT, p->at->line, out));
    if (p->at->type == TPL_T_DATA) {
        (*out)->kind = TPL_N_DATA;
        (*out)->value = p->at->value;
        p->at++;
        return TN_OK;
    }
    p->at++;
    TN_TRY(tpl_parse_tuple(p, TPL_WITH_COND, &(*out)->a));
    TN_TRY(tpl_expect(p, TPL_T_VARIABLE_END));
    return tpl_finish_node(p, *out);
}

/* Up to one of the tags `ends` (NULL: the end of the template), which stays to be read. */
static tn_status parse_until(tpl_parser *p, const char *const *ends, tpl_node **out)
{
    tpl_nodes body = { 0 };
    TN_TRY(tpl_new_node(p, TPL_N_BLOCK, p->at->line, out));
    while (p->at->type != TPL_T_EOF) {
        tpl_node *node;
        if (p->at->type == TPL_T_BLOCK_BEGIN) {
            p->at++;
            if (at_one_of(p, ends))
                break;
            TN_TRY(parse_statement(p, &node));
            TN_TRY(tpl_expect(p, TPL_T_BLOCK_END));
        } else {
            TN_TRY(parse_output(p, &node));
        }
        TN_TRY(tpl_nodes_add(p, &body, node));
    }
    (*out)->list = body.node;
    (*out)->n_list = body.n;
    if (ends && p->at->type == TPL_T_EOF)
        return tpl_fail(
            p->e, "Unexpected end of template: {%% %s %%} of line %d is not closed, %s is missing",
            p->open_tag, (int)p->open_line, *ends);
    return tpl_finish_node(p, *out);
}

/* The rest of the tag, then the body. */
static tn_status parse_body(tpl_parser *p, const char *const *ends, tpl_node **out)
{
    tpl_skip(p, TPL_T_COLON);
    TN_TRY(tpl_expect(p, TPL_T_BLOCK_END));
    if (p->depth >= TPL_MAX_TREE_DEPTH)
        return tpl_fail(p->e, "statements nest deeper than %d levels", TPL_MAX_TREE_DEPTH);
    p->depth++;
    tn_status status = parse_until(p, ends, out);
    p->depth--;
    return status;
}

/* A body that ends with one tag, which is read as well. A scope of its own in which unknown filters
 * are errors at once. */
static tn_status parse_scope(tpl_parser *p, const char *end, tpl_node **out)
{
    const char *const ends[] = { end, NULL };
    const bool soft = p->soft;
    p->soft = false;
    TN_TRY(parse_body(p, ends, out));
    p->soft = soft;
    p->at++;
    return TN_OK;
}

/* ---- targets ---- */

static tn_status set_store(tpl_parser *p, tpl_node *target)
{
    if (target->kind == TPL_N_NSREF)
        return TN_OK;
    if (target->kind == TPL_N_NAME) {
        target->op = TPL_STORE;
        return TN_OK;
    }
    if (target->kind != TPL_N_TUPLE)
        return tpl_fail(
            p->e,
            "can't assign to this; only to names, tuples of names and attributes of namespaces");
    for (size_t i = 0; i < target->n_list; i++)
        TN_TRY(set_store(p, target->list[i]));
    return TN_OK;
}

static tn_status parse_target(tpl_parser *p, unsigned flags, tpl_node **out)
{
    TN_TRY(tpl_parse_tuple(p, TPL_ONLY_PRIMARY | flags, out));
    return set_store(p, *out);
}

static tn_status parse_plain_name(tpl_parser *p, uint8_t op, tpl_node **out)
{
    const tpl_token *t = p->at;
    TN_TRY(tpl_expect(p, TPL_T_NAME));
    static const char *const constants[] = { "true", "false", "none", "True", "False", "None" };
    for (size_t i = 0; i < sizeof constants / sizeof constants[0]; i++)
        if (tpl_token_is(t, constants[i]))
            return tpl_fail(p->e, "can't assign to '%s'", constants[i]);
    TN_TRY(tpl_new_node(p, TPL_N_NAME, t->line, out));
    (*out)->name = t->value.u.s;
    (*out)->op = op;
    return TN_OK;
}

static tn_status clone_target(tpl_parser *p, const tpl_node *from, tpl_node **out)
{
    tpl_nodes items = { 0 };
    TN_TRY(tpl_new_node(p, from->kind, from->line, out));
    **out = *from;
    for (size_t i = 0; i < from->n_list; i++) {
        tpl_node *item;
        TN_TRY(clone_target(p, from->list[i], &item));
        TN_TRY(tpl_nodes_add(p, &items, item));
    }
    (*out)->list = items.node;
    return TN_OK;
}

/* ---- statements ---- */

static tn_status check_loop_name(tpl_parser *p, const tpl_node *target)
{
    if (target->kind == TPL_N_NAME && tpl_str_is(target->name, "loop"))
        return tpl_fail(p->e, "Can't assign to special loop variable in for-loop target");
    for (size_t i = 0; i < target->n_list; i++)
        TN_TRY(check_loop_name(p, target->list[i]));
    return TN_OK;
}

static tn_status parse_for(tpl_parser *p, tpl_node *node)
{
    static const char *const ends[] = { "endfor", "else", NULL };
    const bool soft = p->soft;
    TN_TRY(parse_target(p, TPL_UNTIL_IN, &node->a));
    TN_TRY(check_loop_name(p, node->a));
    TN_TRY(expect_name(p, "in"));
    TN_TRY(tpl_parse_tuple(p, TPL_UNTIL_RECURSIVE, &node->b));
    p->soft = false;
    if (tpl_skip_name(p, "if")) {
        TN_TRY(tpl_parse_expression(p, &node->c));
        TN_TRY(clone_target(p, node->a, &node->h));
    }
    node->recursive = tpl_skip_name(p, "recursive");
    const int32_t loops = p->loops;
    p->loops = node->recursive ? 1 : loops + 1;
    TN_TRY(parse_body(p, ends, &node->d));
    p->loops = node->recursive ? 0 : loops;
    const bool has_else = tpl_at_name(p, "else");
    p->at++;
    if (has_else)
        TN_TRY(parse_scope(p, "endfor", &node->g));
    p->loops = loops;
    p->soft = soft;
    return TN_OK;
}

/* p stands behind "if" or "elif". One IF a branch, the next in its c; the branches do not nest in
 * the parser's stack. */
static tn_status parse_if(tpl_parser *p, tpl_node *node)
{
    static const char *const ends[] = { "endif", "elif", "else", NULL }, *const end[] = { "endif",
                                                                                          NULL };
    const bool soft = p->soft;
    p->soft = true;
    tpl_nodes branches = { 0 };
    for (;;) {
        TN_TRY(tpl_parse_tuple(p, 0, &node->a));
        TN_TRY(parse_body(p, ends, &node->b));
        TN_TRY(tpl_nodes_add(p, &branches, node));
        if (!tpl_skip_name(p, "elif"))
            break;
        TN_TRY(tpl_new_node(p, TPL_N_IF, p->at->line, &node->c));
        node = node->c;
    }
    if (tpl_skip_name(p, "else"))
        TN_TRY(parse_body(p, end, &node->c));
    p->at++;
    p->soft = soft;
    for (size_t i = branches.n; i-- > 1;) /* parse_statement finishes the first */
        TN_TRY(tpl_finish_node(p, branches.node[i]));
    return TN_OK;
}

static tn_status parse_set(tpl_parser *p, tpl_node *node)
{
    TN_TRY(parse_target(p, TPL_NAMESPACES, &node->a));
    if (tpl_skip(p, TPL_T_ASSIGN))
        return tpl_parse_tuple(p, TPL_WITH_COND, &node->b);
    node->kind = TPL_N_SETBLOCK;
    TN_TRY(tpl_parse_filter(p, false, &node->b));
    return parse_scope(p, "endset", &node->c);
}

/* "(a, b=1)" into list and list2. */
static tn_status parse_signature(tpl_parser *p, tpl_node *node)
{
    tpl_nodes names = { 0 }, defaults = { 0 };
    TN_TRY(tpl_expect(p, TPL_T_LPAREN));
    while (p->at->type != TPL_T_RPAREN) {
        tpl_node *name, *value;
        if (names.n)
            TN_TRY(tpl_expect(p, TPL_T_COMMA));
        TN_TRY(parse_plain_name(p, TPL_PARAM, &name));
        if (tpl_str_is(name->name, "caller") || tpl_str_is(name->name, "kwargs") ||
            tpl_str_is(name->name, "varargs"))
            return tpl_unsupported(p->e, "a macro parameter named %.*s", (int)name->name->n,
                                   name->name->data);
        for (size_t i = 0; i < names.n; i++)
            if (names.node[i]->name->n == name->name->n &&
                memcmp(names.node[i]->name->data, name->name->data, name->name->n) == 0)
                return tpl_fail(p->e, "duplicate argument '%.*s'", (int)name->name->n,
                                name->name->data);
        if (names.n == 64)
            return tpl_fail(p->e, "a macro with over 64 parameters");
        if (tpl_skip(p, TPL_T_ASSIGN)) {
            TN_TRY(tpl_parse_expression(p, &value));
            TN_TRY(tpl_nodes_add(p, &defaults, value));
        } else if (defaults.n) {
            return tpl_fail(p->e, "non-default argument follows default argument");
        }
        TN_TRY(tpl_nodes_add(p, &names, name));
    }
    node->list = names.node;
    node->n_list = names.n;
    node->list2 = defaults.node;
    node->n_list2 = defaults.n;
    return tpl_expect(p, TPL_T_RPAREN);
}

/* The body of a macro or call block: break does not leave it. */
static tn_status parse_function_body(tpl_parser *p, const char *end, tpl_node **out)
{
    const int32_t loops = p->loops;
    p->loops = 0;
    TN_TRY(parse_scope(p, end, out));
    p->loops = loops;
    return TN_OK;
}

static tn_status parse_macro(tpl_parser *p, tpl_node *node)
{
    TN_TRY(parse_plain_name(p, TPL_STORE, &node->h));
    node->name = node->h->name;
    TN_TRY(parse_signature(p, node));
    return parse_function_body(p, "endmacro", &node->d);
}

static tn_status parse_call_block(tpl_parser *p, tpl_node *node)
{
    if (p->at->type == TPL_T_LPAREN)
        TN_TRY(parse_signature(p, node));
    TN_TRY(tpl_parse_expression(p, &node->a));
    if (node->a->kind != TPL_N_CALL)
        return tpl_fail(p->e, "expected call");
    return parse_function_body(p, "endcall", &node->d);
}

static tn_status parse_generation(tpl_parser *p, tpl_node *node)
{
    return parse_function_body(p, "endgeneration", &node->d);
}

static tn_status parse_filter_block(tpl_parser *p, tpl_node *node)
{
    TN_TRY(tpl_parse_filter(p, true, &node->b));
    return parse_scope(p, "endfilter", &node->c);
}

static tn_status parse_with(tpl_parser *p, tpl_node *node)
{
    tpl_nodes targets = { 0 }, values = { 0 };
    while (p->at->type != TPL_T_BLOCK_END) {
        tpl_node *target, *value;
        if (targets.n)
            TN_TRY(tpl_expect(p, TPL_T_COMMA));
        TN_TRY(parse_plain_name(p, TPL_PARAM, &target));
        TN_TRY(tpl_expect(p, TPL_T_ASSIGN));
        TN_TRY(tpl_parse_expression(p, &value));
        TN_TRY(tpl_nodes_add(p, &targets, target));
        TN_TRY(tpl_nodes_add(p, &values, value));
    }
    node->list = targets.node;
    node->list2 = values.node;
    node->n_list = node->n_list2 = targets.n;
    return parse_scope(p, "endwith", &node->d);
}

static tn_status parse_print(tpl_parser *p, tpl_node *node)
{
    tpl_nodes outputs = { 0 };
    while (p->at->type != TPL_T_BLOCK_END) {
        tpl_node *output;
        if (outputs.n)
            TN_TRY(tpl_expect(p, TPL_T_COMMA));
        TN_TRY(tpl_new_node(p, TPL_N_OUTPUT, p->at->line, &output));
        TN_TRY(tpl_parse_expression(p, &output->a));
        TN_TRY(tpl_finish_node(p, output));
        TN_TRY(tpl_nodes_add(p, &outputs, output));
    }
    node->list = outputs.node;
    node->n_list = outputs.n;
    return TN_OK;
}

static tn_status parse_jump(tpl_parser *p, tpl_node *node)
{
    if (p->loops == 0)
        return tpl_fail(p->e, "'%s' outside loop",
                        node->kind == TPL_N_BREAK ? "break" : "continue");
    return TN_OK;
}

typedef struct statement {
    const char *name;
    uint8_t kind;
    tn_status (*parse)(tpl_parser *p, tpl_node *node);
} statement;

static const statement statements[] = {
    { "if", TPL_N_IF, parse_if },
    { "for", TPL_N_FOR, parse_for },
    { "set", TPL_N_SET, parse_set },
    { "macro", TPL_N_MACRO, parse_macro },
    { "call", TPL_N_CALLBLOCK, parse_call_block },
    { "filter", TPL_N_FILTERBLOCK, parse_filter_block },
    { "generation", TPL_N_CALLBLOCK, parse_generation },
    { "with", TPL_N_WITH, parse_with },
    { "break", TPL_N_BREAK, parse_jump },
    { "continue", TPL_N_CONTINUE, parse_jump },
    { "print", TPL_N_BLOCK, parse_print },
};

static tn_status unknown_tag(tpl_parser *p)
{
    static const char *const of_jinja[] = { "block",  "extends", "include",
                                            "import", "from",    "autoescape" };
    p->e->line = p->at->line;
    if (p->at->type != TPL_T_NAME)
        return tpl_unexpected(p, "a tag name");
    const tpl_str *name = p->at->value.u.s;
    for (size_t i = 0; i < sizeof of_jinja / sizeof of_jinja[0]; i++)
        if (tpl_str_is(name, of_jinja[i]))
            return tpl_unsupported(p->e, "{%% %s %%} is not supported in chat templates",
                                   of_jinja[i]);
    if (p->open_tag)
        return tpl_fail(p->e, "unknown tag '%.*s'; {%% %s %%} of line %d is still open",
                        (int)(name->n < 40 ? name->n : 40), name->data, p->open_tag,
                        (int)p->open_line);
    return tpl_fail(p->e, "unknown tag '%.*s'", (int)(name->n < 40 ? name->n : 40), name->data);
}

static tn_status parse_statement(tpl_parser *p, tpl_node **out)
{
    const statement *s = statements, *end = statements + sizeof statements / sizeof statements[0];
    while (s < end && !tpl_at_name(p, s->name))
        s++;
    if (s == end)
        return unknown_tag(p);
    const char *const open_tag = p->open_tag;
    const int32_t open_line = p->open_line;
    p->open_tag = s->name;
    p->open_line = p->at->line;
    TN_TRY(tpl_new_node(p, s->kind, p->at->line, out));
    p->at++;
    TN_TRY(s->parse(p, *out));
    p->open_tag = open_tag;
    p->open_line = open_line;
    return tpl_finish_node(p, *out);
}

tn_status tpl_parse(tpl_env *e, const char *text, size_t n, tpl_tree *out)
{
    tpl_tokens tokens = { 0 };
    TN_TRY(tpl_tokenize(e, text, n, &tokens));
    tpl_parser p = { .e = e, .at = tokens.token };
    TN_TRY(parse_until(&p, NULL, &out->root));
    return tpl_resolve(e, out);
}
