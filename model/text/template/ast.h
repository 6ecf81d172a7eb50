/* SPDX-License-Identifier: Apache-2.0 */
/* The tree of a template. One struct serves every kind; the comments say which fields a kind uses.
 */
#ifndef TN_MODEL_TEXT_TEMPLATE_AST_H
#define TN_MODEL_TEXT_TEMPLATE_AST_H

#include "model/text/template/value.h"

enum {
    /* expressions */
    TPL_N_CONST,   /* value */
    TPL_N_NAME,    /* name; op = TPL_LOAD, TPL_STORE or TPL_PARAM; hops, slot */
    TPL_N_NSREF,   /* target "name.attr": name; value = attr; hops, slot */
    TPL_N_TUPLE,   /* list */
    TPL_N_LIST,    /* list */
    TPL_N_DICT,    /* list: key, value, key, value ... */
    TPL_N_ATTR,    /* a.name */
    TPL_N_ITEM,    /* a[b] */
    TPL_N_SLICE,   /* a:b:c, each may be NULL */
    TPL_N_CALL,    /* a(list, list2, *b, **c) */
    TPL_N_FILTER,  /* a|name(list, list2, *b, **c); a NULL in filter blocks; function, NULL: not
                      known */
    TPL_N_TEST,    /* a is name(...), as FILTER */
    TPL_N_KEYWORD, /* name=a, in list2 of calls */
    TPL_N_NEG,     /* -a */
    TPL_N_POS,     /* +a */
    TPL_N_NOT,     /* not a */
    TPL_N_BINARY,  /* a op b; op = token type */
    TPL_N_AND,     /* a and b */
    TPL_N_OR,      /* a or b */
    TPL_N_COMPARE, /* a, then list of OPERAND */
    TPL_N_OPERAND, /* op a; op = token type, TPL_OP_IN, TPL_OP_NOT_IN */
    TPL_N_CONCAT,  /* list joined by ~ */
    TPL_N_COND,    /* b if a else c; c may be NULL */
    /* statements */
    TPL_N_BLOCK,  /* list of statements */
    TPL_N_OUTPUT, /* a */
    TPL_N_DATA,   /* value */
    TPL_N_FOR, /* for a in b if c: d else: g; recursive; scope (body), test_scope, else_scope; h = a
                  for the test */
    TPL_N_IF,  /* if a: b else: c; c a BLOCK or an IF (elif) */
    TPL_N_SET, /* a = b */
    TPL_N_SETBLOCK, /* a = filter b over block c; scope */
    TPL_N_MACRO, /* name; list = parameters (NAME), list2 = defaults of the last of them; d = body;
                    scope; h = NAME to store */
    TPL_N_CALLBLOCK,   /* as MACRO; a = the CALL, NULL for {% generation %} */
    TPL_N_FILTERBLOCK, /* b = filter, c = block; scope */
    TPL_N_WITH,        /* list = targets, list2 = values, d = body; scope */
    TPL_N_BREAK,
    TPL_N_CONTINUE
};
enum { TPL_LOAD, TPL_STORE, TPL_PARAM };
enum { TPL_OP_IN = 100, TPL_OP_NOT_IN };

/* What a variable of a scope is when the scope is entered; as the symbols of Jinja2's compiler. */
enum {
    TPL_SYM_UNDEFINED,
    TPL_SYM_RESOLVE /* from the context */,
    TPL_SYM_ALIAS /* of an outer scope */,
    TPL_SYM_PARAM
};

typedef struct tpl_symbol {
    const tpl_str *name;
    uint8_t action;
    bool stored;
    int32_t hops, slot; /* ALIAS: of what, counted from this scope */
} tpl_symbol;

typedef struct tpl_scope_info {
    struct tpl_scope_info *parent;
    tpl_symbol *symbol;
    int32_t n, capacity;
    /* slots of the special names, or -1 when the body does not use them */
    int32_t loop, caller, kwargs, varargs;
} tpl_scope_info;

typedef struct tpl_node {
    uint8_t kind, op;
    bool recursive;
    int32_t line, depth;
    int32_t hops, slot;
    const tpl_str *name;
    tpl_value value;
    struct tpl_node *a, *b, *c, *d, *g, *h;
    struct tpl_node **list, **list2;
    size_t n_list, n_list2;
    const struct tpl_function *function;
    tpl_scope_info *scope, *test_scope, *else_scope;
} tpl_node;

typedef struct tpl_tree {
    tpl_node *root; /* BLOCK */
    tpl_scope_info *scope;
} tpl_tree;

enum { TPL_MAX_TREE_DEPTH = 300 };

/** Parse and resolve every name. The tree is e's memory. */
tn_status tpl_parse(tpl_env *e, const char *text, size_t n, tpl_tree *out) TN_MUST_USE;
/** scope.c: give each name its scope and slot. */
tn_status tpl_resolve(tpl_env *e, tpl_tree *tree) TN_MUST_USE;

#endif
