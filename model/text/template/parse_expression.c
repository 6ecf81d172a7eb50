/* SPDX-License-Identifier: Apache-2.0 */
/* Operands, by the grammar of Jinja2 3.1's parser.py: primaries, subscripts, calls, filters, tests,
 * signs. */
#include "model/text/template/function.h"
#include "model/text/template/parser.h"

#include <string.h>

/* ---- primaries ---- */

static tn_status parse_constant(tpl_parser *p, tpl_value value, tpl_node **out)
{
    TN_TRY(tpl_new_node(p, TPL_N_CONST, p->at->line, out));
    (*out)->value = value;
    p->at++;
    return TN_OK;
}

static tn_status parse_name(tpl_parser *p, unsigned flags, tpl_node **out)
{
    const tpl_token *t = p->at;
    const tpl_str *name = t->value.u.s;
    if (tpl_str_is(name, "true") || tpl_str_is(name, "True"))
        return parse_constant(p, TPL_BOOL_VALUE(true), out);
    if (tpl_str_is(name, "false") || tpl_str_is(name, "False"))
        return parse_constant(p, TPL_BOOL_VALUE(false), out);
    if (tpl_str_is(name, "none") || tpl_str_is(name, "None"))
        return parse_constant(p, TPL_NONE_VALUE, out);
    p->at++;
    TN_TRY(tpl_new_node(p, TPL_N_NAME, t->line, out));
    (*out)->name = name;
    if ((flags & TPL_NAMESPACES) && tpl_skip(p, TPL_T_DOT)) {
        (*out)->kind = TPL_N_NSREF;
        (*out)->value = p->at->value;
        return tpl_expect(p, TPL_T_NAME);
    }
    return TN_OK;
}

static tn_status parse_strings(tpl_parser *p, tpl_node **out)
{
    TN_TRY(parse_constant(p, p->at->value, out));
    while (p->at->type == TPL_T_STRING) {
        tn_strbuf both = TN_STRBUF(1u << 24);
        const tpl_str *a = (*out)->value.u.s, *b = p->at->value.u.s;
        tn_strbuf_append(&both, a->data, a->n);
        tn_strbuf_append(&both, b->data, b->n);
        TN_TRY(tpl_str_take(p->e, &both, &(*out)->value));
        p->at++;
    }
    return TN_OK;
}

static tn_status parse_list(tpl_parser *p, tpl_node **out)
{
    tpl_nodes items = { 0 };
    TN_TRY(tpl_new_node(p, TPL_N_LIST, p->at->line, out));
    p->at++;
    while (p->at->type != TPL_T_RBRACKET) {
        tpl_node *item;
        if (items.n)
            TN_TRY(tpl_expect(p, TPL_T_COMMA));
        if (p->at->type == TPL_T_RBRACKET)
            break;
        TN_TRY(tpl_parse_expression(p, &item));
        TN_TRY(tpl_nodes_add(p, &items, item));
    }
    (*out)->list = items.node;
    (*out)->n_list = items.n;
    TN_TRY(tpl_expect(p, TPL_T_RBRACKET));
    return tpl_finish_node(p, *out);
}

static tn_status parse_dict(tpl_parser *p, tpl_node **out)
{
    tpl_nodes items = { 0 };
    TN_TRY(tpl_new_node(p, TPL_N_DICT, p->at->line, out));
    p->at++;
    while (p->at->type != TPL_T_RBRACE) {
        tpl_node *key, *value;
        if (items.n)
            TN_TRY(tpl_expect(p, TPL_T_COMMA));
        if (p->at->type == TPL_T_RBRACE)
            break;
        TN_TRY(tpl_parse_expression(p, &key));
        TN_TRY(tpl_expect(p, TPL_T_COLON));
        TN_TRY(tpl_parse_expression(p, &value));
        TN_TRY(tpl_nodes_add(p, &items, key));
        TN_TRY(tpl_nodes_add(p, &items, value));
    }
    (*out)->list = items.node;
    (*out)->n_list = items.n;
    TN_TRY(tpl_expect(p, TPL_T_RBRACE));
    return tpl_finish_node(p, *out);
}

static tn_status parse_primary(tpl_parser *p, unsigned flags, tpl_node **out)
{
    switch (p->at->type) {
    case TPL_T_NAME:
        return parse_name(p, flags, out);
    case TPL_T_STRING:
        return parse_strings(p, out);
    case TPL_T_INTEGER:
    case TPL_T_FLOAT:
        return parse_constant(p, p->at->value, out);
    case TPL_T_LPAREN:
        p->at++;
        TN_TRY(tpl_parse_tuple(p, TPL_WITH_COND | TPL_PARENTHESES, out));
        return tpl_expect(p, TPL_T_RPAREN);
    case TPL_T_LBRACKET:
        return parse_list(p, out);
    case TPL_T_LBRACE:
        return parse_dict(p, out);
    default:
        return tpl_unexpected(p, "an expression");
    }
}

static bool is_tuple_end(const tpl_parser *p, unsigned flags)
{
    const int32_t type = p->at->type;
    return type == TPL_T_VARIABLE_END || type == TPL_T_BLOCK_END || type == TPL_T_RPAREN ||
           ((flags & TPL_UNTIL_IN) && tpl_at_name(p, "in")) ||
           ((flags & TPL_UNTIL_RECURSIVE) && tpl_at_name(p, "recursive"));
}

static tn_status parse_tuple_item(tpl_parser *p, unsigned flags, tpl_node **out)
{
    if (flags & TPL_ONLY_PRIMARY)
        return parse_primary(p, flags, out);
    if (flags & TPL_WITH_COND)
        return tpl_parse_expression(p, out);
    return tpl_parse_or(p, out);
}

static tn_status parse_tuple(tpl_parser *p, unsigned flags, tpl_node **out)
{
    tpl_nodes items = { 0 };
    bool is_tuple = false;
    const int32_t line = p->at->line;
    for (;;) {
        tpl_node *item;
        if (items.n)
            TN_TRY(tpl_expect(p, TPL_T_COMMA));
        if (is_tuple_end(p, flags))
            break;
        TN_TRY(parse_tuple_item(p, flags, &item));
        TN_TRY(tpl_nodes_add(p, &items, item));
        if (p->at->type != TPL_T_COMMA)
            break;
        is_tuple = true;
    }
    if (!is_tuple && items.n) {
        *out = items.node[0];
        return TN_OK;
    }
    if (!is_tuple && !(flags & TPL_PARENTHESES))
        return tpl_unexpected(p, "an expression");
    TN_TRY(tpl_new_node(p, TPL_N_TUPLE, line, out));
    (*out)->list = items.node;
    (*out)->n_list = items.n;
    return tpl_finish_node(p, *out);
}

tn_status tpl_parse_tuple(tpl_parser *p, unsigned flags, tpl_node **out)
{
    if (p->depth >= TPL_MAX_TREE_DEPTH)
        return tpl_fail(p->e, "an expression nests deeper than %d levels", TPL_MAX_TREE_DEPTH);
    p->depth++;
    tn_status status = parse_tuple(p, flags, out);
    p->depth--;
    return status;
}

/* ---- calls, subscripts, filters, tests ---- */

typedef struct arguments {
    tpl_nodes positional, keyword;
} arguments;

static tn_status parse_argument(tpl_parser *p, arguments *args, tpl_node *call)
{
    static const char wrong[] = "invalid syntax for function call expression";
    tpl_node *node;
    if (tpl_skip(p, TPL_T_MUL)) {
        if (call->b || call->c)
            return tpl_fail(p->e, wrong);
        return tpl_parse_expression(p, &call->b);
    }
    if (tpl_skip(p, TPL_T_POW)) {
        if (call->c)
            return tpl_fail(p->e, wrong);
        return tpl_parse_expression(p, &call->c);
    }
    if (p->at->type == TPL_T_NAME && p->at[1].type == TPL_T_ASSIGN) {
        if (call->c)
            return tpl_fail(p->e, wrong);
        TN_TRY(tpl_new_node(p, TPL_N_KEYWORD, p->at->line, &node));
        node->name = p->at->value.u.s;
        for (size_t i = 0; i < args->keyword.n; i++) {
            const tpl_str *other = args->keyword.node[i]->name;
            if (other->n == node->name->n && memcmp(other->data, node->name->data, other->n) == 0)
                return tpl_fail(p->e, "keyword argument repeated: %.*s", (int)other->n,
                                other->data);
        }
        p->at += 2;
        TN_TRY(tpl_parse_expression(p, &node->a));
        TN_TRY(tpl_finish_node(p, node));
        return tpl_nodes_add(p, &args->keyword, node);
    }
    if (call->b || call->c || args->keyword.n)
        return tpl_fail(p->e, wrong);
    TN_TRY(tpl_parse_expression(p, &node));
    return tpl_nodes_add(p, &args->positional, node);
}

/* "(...)" into list, list2, b and c of call. */
static tn_status parse_arguments(tpl_parser *p, tpl_node *call)
{
    arguments args = { 0 };
    bool more = false;
    TN_TRY(tpl_expect(p, TPL_T_LPAREN));
    while (p->at->type != TPL_T_RPAREN) {
        if (more)
            TN_TRY(tpl_expect(p, TPL_T_COMMA));
        if (p->at->type == TPL_T_RPAREN)
            break;
        TN_TRY(parse_argument(p, &args, call));
        more = true;
        if (args.keyword.n > 64)
            return tpl_fail(p->e, "a call with over 64 keyword arguments");
    }
    call->list = args.positional.node;
    call->n_list = args.positional.n;
    call->list2 = args.keyword.node;
    call->n_list2 = args.keyword.n;
    return tpl_expect(p, TPL_T_RPAREN);
}

static tn_status parse_call(tpl_parser *p, tpl_node **node)
{
    tpl_node *call;
    TN_TRY(tpl_new_node(p, TPL_N_CALL, p->at->line, &call));
    call->a = *node;
    TN_TRY(parse_arguments(p, call));
    *node = call;
    return tpl_finish_node(p, call);
}

/* The parts of "a:b:c", or a plain expression. */
static tn_status parse_subscribed(tpl_parser *p, tpl_node **out)
{
    tpl_node *part[3] = { NULL };
    const int32_t line = p->at->line;
    if (p->at->type != TPL_T_COLON) {
        TN_TRY(tpl_parse_expression(p, &part[0]));
        if (p->at->type != TPL_T_COLON) {
            *out = part[0];
            return TN_OK;
        }
    }
    for (int i = 1; i < 3 && tpl_skip(p, TPL_T_COLON); i++) {
        const int32_t type = p->at->type;
        if (type != TPL_T_COLON && type != TPL_T_RBRACKET && type != TPL_T_COMMA)
            TN_TRY(tpl_parse_expression(p, &part[i]));
    }
    TN_TRY(tpl_new_node(p, TPL_N_SLICE, line, out));
    (*out)->a = part[0];
    (*out)->b = part[1];
    (*out)->c = part[2];
    return tpl_finish_node(p, *out);
}

static tn_status parse_subscript(tpl_parser *p, tpl_node **node)
{
    const tpl_token *t = p->at++;
    if (t->type == TPL_T_DOT) {
        if (p->at->type != TPL_T_NAME && p->at->type != TPL_T_INTEGER)
            return tpl_unexpected(p, "a name or number");
        const bool is_name = p->at->type == TPL_T_NAME;
        tpl_node *key = NULL, *out;
        const tpl_str *name = is_name ? p->at->value.u.s : NULL;
        if (is_name)
            p->at++;
        else
            TN_TRY(parse_constant(p, p->at->value, &key));
        TN_TRY(tpl_new_pair(p, is_name ? TPL_N_ATTR : TPL_N_ITEM, t->line, *node, key, &out));
        out->name = name;
        *node = out;
        return TN_OK;
    }
    tpl_nodes keys = { 0 };
    while (p->at->type != TPL_T_RBRACKET) {
        tpl_node *key;
        if (keys.n)
            TN_TRY(tpl_expect(p, TPL_T_COMMA));
        TN_TRY(parse_subscribed(p, &key));
        TN_TRY(tpl_nodes_add(p, &keys, key));
    }
    TN_TRY(tpl_expect(p, TPL_T_RBRACKET));
    if (keys.n == 1)
        return tpl_new_pair(p, TPL_N_ITEM, t->line, *node, keys.node[0], node);
    tpl_node *tuple;
    TN_TRY(tpl_new_node(p, TPL_N_TUPLE, t->line, &tuple));
    tuple->list = keys.node;
    tuple->n_list = keys.n;
    for (size_t i = 0; i < keys.n; i++)
        if (keys.node[i]->kind == TPL_N_SLICE)
            return tpl_fail(p->e, "a slice in a subscript with commas");
    TN_TRY(tpl_finish_node(p, tuple));
    return tpl_new_pair(p, TPL_N_ITEM, t->line, *node, tuple, node);
}

static tn_status parse_postfix(tpl_parser *p, tpl_node **node)
{
    for (;;) {
        if (p->at->type == TPL_T_DOT || p->at->type == TPL_T_LBRACKET)
            TN_TRY(parse_subscript(p, node));
        else if (p->at->type == TPL_T_LPAREN)
            TN_TRY(parse_call(p, node));
        else
            return TN_OK;
    }
}

static tn_status find_function(tpl_parser *p, tpl_node *node)
{
    const bool filter = node->kind == TPL_N_FILTER;
    if (p->at->type == TPL_T_DOT)
        return tpl_unsupported(p->e, "a %s with a dot in its name", filter ? "filter" : "test");
    const tpl_str *name = node->name;
    node->function = filter ? tpl_find_filter(name) : tpl_find_test(name);
    if (!node->function && !p->soft)
        return tpl_unsupported(p->e, "No %s named '%.*s'.", filter ? "filter" : "test",
                               (int)name->n, name->data);
    return TN_OK;
}

tn_status tpl_parse_filter(tpl_parser *p, bool start_inline, tpl_node **node)
{
    while (start_inline || tpl_skip(p, TPL_T_PIPE)) {
        tpl_node *filter;
        TN_TRY(tpl_new_node(p, TPL_N_FILTER, p->at->line, &filter));
        filter->a = *node;
        filter->name = p->at->value.u.s;
        TN_TRY(tpl_expect(p, TPL_T_NAME));
        TN_TRY(find_function(p, filter));
        if (p->at->type == TPL_T_LPAREN)
            TN_TRY(parse_arguments(p, filter));
        TN_TRY(tpl_finish_node(p, filter));
        *node = filter;
        start_inline = false;
    }
    return TN_OK;
}

static bool begins_test_argument(const tpl_parser *p)
{
    switch (p->at->type) {
    case TPL_T_NAME:
        return !tpl_at_name(p, "else") && !tpl_at_name(p, "or") && !tpl_at_name(p, "and");
    case TPL_T_STRING:
    case TPL_T_INTEGER:
    case TPL_T_FLOAT:
    case TPL_T_LBRACKET:
    case TPL_T_LBRACE:
        return true;
    default:
        return false;
    }
}

static tn_status parse_test(tpl_parser *p, tpl_node **node)
{
    tpl_node *test;
    TN_TRY(tpl_new_node(p, TPL_N_TEST, p->at->line, &test));
    p->at++;
    const bool negated = tpl_skip_name(p, "not");
    test->a = *node;
    test->name = p->at->value.u.s;
    TN_TRY(tpl_expect(p, TPL_T_NAME));
    TN_TRY(find_function(p, test));
    if (p->at->type == TPL_T_LPAREN) {
        TN_TRY(parse_arguments(p, test));
    } else if (begins_test_argument(p)) {
        tpl_nodes args = { 0 };
        tpl_node *argument;
        if (tpl_at_name(p, "is"))
            return tpl_fail(p->e, "You cannot chain multiple tests with is");
        TN_TRY(parse_primary(p, 0, &argument));
        TN_TRY(parse_postfix(p, &argument));
        TN_TRY(tpl_nodes_add(p, &args, argument));
        test->list = args.node;
        test->n_list = args.n;
    }
    TN_TRY(tpl_finish_node(p, test));
    *node = test;
    return negated ? tpl_new_pair(p, TPL_N_NOT, test->line, test, NULL, node) : TN_OK;
}

static tn_status parse_filters_and_tests(tpl_parser *p, tpl_node **node)
{
    for (;;) {
        if (p->at->type == TPL_T_PIPE)
            TN_TRY(tpl_parse_filter(p, false, node));
        else if (tpl_at_name(p, "is"))
            TN_TRY(parse_test(p, node));
        else if (p->at->type == TPL_T_LPAREN)
            TN_TRY(parse_call(p, node));
        else
            return TN_OK;
    }
}

/* ---- unary ---- */

static tn_status parse_sign(tpl_parser *p, tpl_node **out)
{
    const uint8_t kind = p->at->type == TPL_T_SUB ? TPL_N_NEG : TPL_N_POS;
    const int32_t line = p->at->line;
    tpl_node *operand;
    if (p->depth >= TPL_MAX_TREE_DEPTH)
        return tpl_fail(p->e, "an expression nests deeper than %d levels", TPL_MAX_TREE_DEPTH);
    p->at++;
    p->depth++;
    TN_TRY(tpl_parse_unary(p, false, &operand));
    p->depth--;
    return tpl_new_pair(p, kind, line, operand, NULL, out);
}

tn_status tpl_parse_unary(tpl_parser *p, bool with_filter, tpl_node **out)
{
    if (p->at->type == TPL_T_SUB || p->at->type == TPL_T_ADD)
        TN_TRY(parse_sign(p, out));
    else
        TN_TRY(parse_primary(p, 0, out));
    TN_TRY(parse_postfix(p, out));
    return with_filter ? parse_filters_and_tests(p, out) : TN_OK;
}
