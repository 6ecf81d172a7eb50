/* SPDX-License-Identifier: Apache-2.0 */
/* Operators, by the grammar of Jinja2 3.1's parser.py, with its precedences (** is left associative
 * there). */
#include "model/text/template/parser.h"

/* Left associative binary operators of one precedence; level counts from ** (0), * / // % (1), + -
 * (2). */
static tn_status parse_binary(tpl_parser *p, int level, tpl_node **out);

static bool is_operator(int32_t type, int level)
{
    if (level == 0)
        return type == TPL_T_POW;
    if (level == 1)
        return type == TPL_T_MUL || type == TPL_T_DIV || type == TPL_T_FLOORDIV ||
               type == TPL_T_MOD;
    return type == TPL_T_ADD || type == TPL_T_SUB;
}

static tn_status parse_concat(tpl_parser *p, tpl_node **out)
{
    const int32_t line = p->at->line;
    TN_TRY(parse_binary(p, 1, out));
    if (p->at->type != TPL_T_TILDE)
        return TN_OK;
    tpl_nodes parts = { 0 };
    TN_TRY(tpl_nodes_add(p, &parts, *out));
    while (tpl_skip(p, TPL_T_TILDE)) {
        tpl_node *part;
        TN_TRY(parse_binary(p, 1, &part));
        TN_TRY(tpl_nodes_add(p, &parts, part));
    }
    TN_TRY(tpl_new_node(p, TPL_N_CONCAT, line, out));
    (*out)->list = parts.node;
    (*out)->n_list = parts.n;
    return tpl_finish_node(p, *out);
}

static tn_status parse_operand(tpl_parser *p, int level, tpl_node **out)
{
    if (level == 0)
        return tpl_parse_unary(p, true, out);
    return level == 1 ? parse_binary(p, 0, out) : parse_concat(p, out);
}

static tn_status parse_binary(tpl_parser *p, int level, tpl_node **out)
{
    TN_TRY(parse_operand(p, level, out));
    while (is_operator(p->at->type, level)) {
        tpl_node *right;
        const tpl_token *t = p->at++;
        TN_TRY(parse_operand(p, level, &right));
        TN_TRY(tpl_new_pair(p, TPL_N_BINARY, t->line, *out, right, out));
        (*out)->op = (uint8_t)t->type;
    }
    return TN_OK;
}

/* The comparison operator here, skipped; 0: none. */
static uint8_t comparison(tpl_parser *p)
{
    const int32_t type = p->at->type;
    if (type >= TPL_T_EQ && type <= TPL_T_LE) {
        p->at++;
        return (uint8_t)type;
    }
    if (tpl_skip_name(p, "in"))
        return TPL_OP_IN;
    if (tpl_at_name(p, "not") && tpl_token_is(p->at + 1, "in")) {
        p->at += 2;
        return TPL_OP_NOT_IN;
    }
    return 0;
}

static tn_status parse_compare(tpl_parser *p, tpl_node **out)
{
    tpl_nodes operands = { 0 };
    tpl_node *first;
    uint8_t op;
    const int32_t line = p->at->line;
    TN_TRY(parse_binary(p, 2, &first));
    while ((op = comparison(p)) != 0) {
        tpl_node *right, *operand;
        TN_TRY(parse_binary(p, 2, &right));
        TN_TRY(tpl_new_pair(p, TPL_N_OPERAND, line, right, NULL, &operand));
        operand->op = op;
        TN_TRY(tpl_nodes_add(p, &operands, operand));
    }
    *out = first;
    if (operands.n == 0)
        return TN_OK;
    TN_TRY(tpl_new_node(p, TPL_N_COMPARE, line, out));
    (*out)->a = first;
    (*out)->list = operands.node;
    (*out)->n_list = operands.n;
    return tpl_finish_node(p, *out);
}

static tn_status parse_not(tpl_parser *p, tpl_node **out)
{
    size_t nots = 0;
    const int32_t line = p->at->line;
    while (tpl_skip_name(p, "not"))
        nots++;
    TN_TRY(parse_compare(p, out));
    for (; nots > 0; nots--)
        TN_TRY(tpl_new_pair(p, TPL_N_NOT, line, *out, NULL, out));
    return TN_OK;
}

static tn_status parse_and(tpl_parser *p, tpl_node **out)
{
    TN_TRY(parse_not(p, out));
    while (tpl_skip_name(p, "and")) {
        tpl_node *right;
        TN_TRY(parse_not(p, &right));
        TN_TRY(tpl_new_pair(p, TPL_N_AND, right->line, *out, right, out));
    }
    return TN_OK;
}

tn_status tpl_parse_or(tpl_parser *p, tpl_node **out)
{
    TN_TRY(parse_and(p, out));
    while (tpl_skip_name(p, "or")) {
        tpl_node *right;
        TN_TRY(parse_and(p, &right));
        TN_TRY(tpl_new_pair(p, TPL_N_OR, right->line, *out, right, out));
    }
    return TN_OK;
}

static tn_status parse_condition(tpl_parser *p, tpl_node **out)
{
    /* A filter in "x|f if y" may be unknown when it is not reached; that it stands in a condition
     * is known only behind it. */
    const bool soft = p->soft;
    const tpl_token *begin = p->at;
    TN_TRY(tpl_parse_or(p, out));
    while (tpl_skip_name(p, "if")) {
        tpl_node *node;
        p->soft = true;
        TN_TRY(tpl_new_node(p, TPL_N_COND, begin->line, &node));
        node->b = *out;
        TN_TRY(tpl_parse_or(p, &node->a));
        if (tpl_skip_name(p, "else"))
            TN_TRY(tpl_parse_expression(p, &node->c));
        p->soft = soft;
        TN_TRY(tpl_finish_node(p, node));
        *out = node;
    }
    return TN_OK;
}

tn_status tpl_parse_expression(tpl_parser *p, tpl_node **out)
{
    if (p->depth >= TPL_MAX_TREE_DEPTH)
        return tpl_fail(p->e, "an expression nests deeper than %d levels", TPL_MAX_TREE_DEPTH);
    p->depth++;
    tn_status status = parse_condition(p, out);
    p->depth--;
    return status;
}
