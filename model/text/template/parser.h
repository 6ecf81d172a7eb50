/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the parser share: parser.c (statements), parse_operators.c, parse_expression.c.
 */
#ifndef TN_MODEL_TEXT_TEMPLATE_PARSER_H
#define TN_MODEL_TEXT_TEMPLATE_PARSER_H

#include "model/text/template/ast.h"
#include "model/text/template/lexer.h"

typedef struct tpl_parser {
    tpl_env *e;
    const tpl_token *at;
    int32_t depth;
    int32_t loops;        /* that break can leave */
    bool soft;            /* inside of if: an unknown filter is an error only when it is reached */
    const char *open_tag; /* the innermost statement that waits for its end */
    int32_t open_line;
} tpl_parser;

typedef struct tpl_nodes {
    tpl_node **node;
    size_t n, capacity;
} tpl_nodes;

tn_status tpl_nodes_add(tpl_parser *p, tpl_nodes *nodes, tpl_node *node) TN_MUST_USE;
tn_status tpl_new_node(tpl_parser *p, uint8_t kind, int32_t line, tpl_node **out) TN_MUST_USE;
/** Set node->depth from its children; an error when it is too deep to be walked. */
tn_status tpl_finish_node(tpl_parser *p, tpl_node *node) TN_MUST_USE;
/** A finished node with the children a and b. */
tn_status tpl_new_pair(tpl_parser *p, uint8_t kind, int32_t line, tpl_node *a, tpl_node *b,
                       tpl_node **out) TN_MUST_USE;

bool tpl_at_name(const tpl_parser *p, const char *name);
bool tpl_token_is(const tpl_token *t, const char *name);
bool tpl_skip(tpl_parser *p, int32_t type);
bool tpl_skip_name(tpl_parser *p, const char *name);
tn_status tpl_expect(tpl_parser *p, int32_t type) TN_MUST_USE;
tn_status tpl_unexpected(tpl_parser *p, const char *wanted);

enum {
    TPL_WITH_COND = 1,
    TPL_PARENTHESES = 2,
    TPL_ONLY_PRIMARY = 4,
    TPL_NAMESPACES = 8,
    TPL_UNTIL_IN = 16,
    TPL_UNTIL_RECURSIVE = 32
};
tn_status tpl_parse_tuple(tpl_parser *p, unsigned flags, tpl_node **out) TN_MUST_USE;
tn_status tpl_parse_expression(tpl_parser *p, tpl_node **out) TN_MUST_USE;
/** What is between operators; with_filter: with the filters and tests behind it. */
tn_status tpl_parse_unary(tpl_parser *p, bool with_filter, tpl_node **out) TN_MUST_USE;
/** An expression without `x if y else z`. */
tn_status tpl_parse_or(tpl_parser *p, tpl_node **out) TN_MUST_USE;
/** |name(args)..., or name(args)... when start_inline; *node is what is filtered, or NULL. */
tn_status tpl_parse_filter(tpl_parser *p, bool start_inline, tpl_node **node) TN_MUST_USE;

#endif
