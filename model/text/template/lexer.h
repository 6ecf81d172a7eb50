/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Template text to tokens, by the rules of Jinja2 3.1's lexer with trim_blocks and lstrip_blocks on
 * and the default delimiters. White space control is done here: DATA tokens are what is written.
 */
#ifndef TN_MODEL_TEXT_TEMPLATE_LEXER_H
#define TN_MODEL_TEXT_TEMPLATE_LEXER_H

#include "model/text/template/value.h"

enum {
    TPL_T_EOF,
    TPL_T_DATA,
    TPL_T_BLOCK_BEGIN,
    TPL_T_BLOCK_END,
    TPL_T_VARIABLE_BEGIN,
    TPL_T_VARIABLE_END,
    TPL_T_NAME,
    TPL_T_STRING,
    TPL_T_INTEGER,
    TPL_T_FLOAT,
    /* operators */
    TPL_T_ADD,
    TPL_T_SUB,
    TPL_T_MUL,
    TPL_T_DIV,
    TPL_T_FLOORDIV,
    TPL_T_MOD,
    TPL_T_POW,
    TPL_T_TILDE,
    TPL_T_LBRACKET,
    TPL_T_RBRACKET,
    TPL_T_LPAREN,
    TPL_T_RPAREN,
    TPL_T_LBRACE,
    TPL_T_RBRACE,
    TPL_T_EQ,
    TPL_T_NE,
    TPL_T_GT,
    TPL_T_GE,
    TPL_T_LT,
    TPL_T_LE,
    TPL_T_ASSIGN,
    TPL_T_DOT,
    TPL_T_COLON,
    TPL_T_PIPE,
    TPL_T_COMMA,
    TPL_T_SEMICOLON
};

typedef struct tpl_token {
    int32_t type, line;
    tpl_value value; /* DATA, NAME, STRING: a string; INTEGER; FLOAT */
} tpl_token;

typedef struct tpl_tokens {
    tpl_token *token; /* the last is EOF */
    size_t n, capacity;
} tpl_tokens;

/** text is valid UTF-8 and must outlive the tokens. Their memory is e's. */
tn_status tpl_tokenize(tpl_env *e, const char *text, size_t n, tpl_tokens *out) TN_MUST_USE;
/** "'+'", "end of print statement": a token type for messages. */
const char *tpl_token_name(int32_t type);

#endif
