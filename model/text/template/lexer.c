/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/template/lexer.h"

#include "model/text/template/literal.h"
#include "model/text/template/unicode.h"

#include <string.h>

enum { MAX_BRACKETS = 256 };

typedef struct lexer {
    tpl_env *e;
    tpl_tokens *tokens;
    const char *text;
    size_t n, at;
    char bracket[MAX_BRACKETS]; /* closing brackets that are due */
    int n_brackets;
} lexer;

static const char *const operators[] = { "//", "**", "==", "!=", ">=", "<=", "+", "-", "*",
                                         "/",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                         ">",  "<",  "=",  ".",  ":",  "|",  ",", ";" };
static const uint8_t operator_types[] = {
    TPL_T_FLOORDIV, TPL_T_POW,      TPL_T_EQ,     TPL_T_NE,     TPL_T_GE,     TPL_T_LE,
    TPL_T_ADD,      TPL_T_SUB,      TPL_T_MUL,    TPL_T_DIV,    TPL_T_MOD,    TPL_T_TILDE,
    TPL_T_LBRACKET, TPL_T_RBRACKET, TPL_T_LPAREN, TPL_T_RPAREN, TPL_T_LBRACE, TPL_T_RBRACE,
    TPL_T_GT,       TPL_T_LT,       TPL_T_ASSIGN, TPL_T_DOT,    TPL_T_COLON,  TPL_T_PIPE,
    TPL_T_COMMA,    TPL_T_SEMICOLON
};

const char *tpl_token_name(int32_t type)
{
    static const char *const names[] = {
        [TPL_T_EOF] = "end of template",
        [TPL_T_DATA] = "template text",
        [TPL_T_BLOCK_BEGIN] = "begin of statement block",
        [TPL_T_BLOCK_END] = "end of statement block",
        [TPL_T_VARIABLE_BEGIN] = "begin of print statement",
        [TPL_T_VARIABLE_END] = "end of print statement",
        [TPL_T_NAME] = "name",
        [TPL_T_STRING] = "string",
        [TPL_T_INTEGER] = "integer",
        [TPL_T_FLOAT] = "float",
    };
    if (type <= TPL_T_FLOAT)
        return names[type];
    for (size_t i = 0; i < sizeof operator_types; i++)
        if (operator_types[i] == type)
            return operators[i];
    return "?";
}

static bool looking_at(const lexer *l, size_t at, const char *text)
{
    const size_t n = strlen(text);
    return at <= l->n && l->n - at >= n && memcmp(l->text + at, text, n) == 0;
}

static size_t skip_space(const lexer *l, size_t at)
{
    return at + tpl_leading_space(l->text + at, l->n - at);
}

/* Moves to `to`; the lines between are counted. */
static void advance(lexer *l, size_t to)
{
    for (; l->at < to; l->at++)
        l->e->line += l->text[l->at] == '\n';
}

static tn_status add(lexer *l, int32_t type, tpl_value value)
{
    tpl_tokens *t = l->tokens;
    if (t->n == t->capacity) {
        tpl_token *grown;
        const size_t capacity = t->capacity ? t->capacity * 2 : 256;
        TN_TRY(tpl_alloc(l->e, capacity, sizeof *grown, &grown));
        if (t->n)
            memcpy(grown, t->token, t->n * sizeof *grown);
        t->token = grown;
        t->capacity = capacity;
    }
    t->token[t->n++] = (tpl_token){ type, l->e->line, value };
    return TN_OK;
}

static tn_status add_text(lexer *l, int32_t type, size_t from, size_t to)
{
    tpl_value value;
    if (from == to)
        return TN_OK;
    TN_TRY(tpl_str_borrow(l->e, l->text + from, to - from, &value));
    return add(l, type, value);
}

/* ---- text outside of tags ---- */

/*
 * The end of the text [from, tag) that is written before a tag with this sign: '-' removes all
 * white space before it; none removes that between the begin of a line and a tag which is no {{
 * (lstrip_blocks).
 */
static size_t text_end(const lexer *l, size_t from, size_t tag, char sign, bool is_variable)
{
    const char *text = l->text + from;
    const size_t n = tag - from;
    if (sign == '-')
        return tag - tpl_trailing_space(text, n);
    if (sign == '+' || is_variable)
        return tag;
    size_t line = n;
    while (line > 0 && text[line - 1] != '\n')
        line--;
    const bool at_line_start = line > 0 || from == 0 || l->text[from - 1] == '\n';
    if (at_line_start && tpl_leading_space(text + line, n - line) == n - line)
        return from + line;
    return tag;
}

static char sign_at(const lexer *l, size_t at)
{
    return at < l->n && (l->text[at] == '-' || l->text[at] == '+') ? l->text[at] : '\0';
}

/* The end of a tag's close: "-%}" with the white space behind it, "+%}", or "%}" with one newline
 * (trim_blocks). 0: none here. */
static size_t close_end(const lexer *l, size_t at, const char *close)
{
    const char sign = sign_at(l, at);
    const size_t begin = at + (sign != '\0');
    if (!looking_at(l, begin, close))
        return 0;
    const size_t end = begin + 2;
    if (sign == '-')
        return skip_space(l, end);
    return sign == '\0' && looking_at(l, end, "\n") ? end + 1 : end;
}

static tn_status read_comment(lexer *l)
{
    const size_t begin = l->at + 2;
    for (size_t at = begin + (sign_at(l, begin) != '\0'); at < l->n; at++) {
        const size_t end = close_end(l, at, "#}");
        if (end) {
            advance(l, end);
            return TN_OK;
        }
    }
    return tpl_fail(l->e, "Missing end of comment tag");
}

/* The end of "{% raw %}" at `at`, or 0. Its close takes no '+' and trims no newline. */
static size_t raw_begin_end(const lexer *l, size_t at)
{
    at += 2;
    at += sign_at(l, at) != '\0';
    at = skip_space(l, at);
    if (!looking_at(l, at, "raw"))
        return 0;
    at = skip_space(l, at + 3);
    if (looking_at(l, at, "-%}"))
        return skip_space(l, at + 3);
    return looking_at(l, at, "%}") ? at + 2 : 0;
}

static size_t raw_end_end(const lexer *l, size_t at)
{
    at += 2;
    at += sign_at(l, at) != '\0';
    at = skip_space(l, at);
    if (!looking_at(l, at, "endraw"))
        return 0;
    return close_end(l, skip_space(l, at + 6), "%}");
}

static tn_status read_raw(lexer *l, size_t begin_end)
{
    advance(l, begin_end);
    for (size_t at = l->at; at < l->n; at++) {
        const size_t end = looking_at(l, at, "{%") ? raw_end_end(l, at) : 0;
        if (!end)
            continue;
        TN_TRY(add_text(l, TPL_T_DATA, l->at, text_end(l, l->at, at, sign_at(l, at + 2), false)));
        advance(l, end);
        return TN_OK;
    }
    return tpl_fail(l->e, "Missing end of raw directive");
}

/* ---- inside of tags ---- */

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static tn_status read_name(lexer *l)
{
    size_t end = l->at;
    while (end < l->n && is_name_char(l->text[end]))
        end++;
    TN_TRY(add_text(l, TPL_T_NAME, l->at, end));
    advance(l, end);
    return TN_OK;
}

static tn_status read_string(lexer *l)
{
    const char quote = l->text[l->at];
    size_t end = l->at + 1;
    while (end < l->n && l->text[end] != quote)
        end += l->text[end] == '\\' ? 2 : 1;
    if (end >= l->n)
        return tpl_fail(l->e, "unexpected char %c: a string that does not end", quote);
    tpl_value value;
    TN_TRY(tpl_read_string(l->e, l->text + l->at + 1, end - l->at - 1, &value));
    TN_TRY(add(l, TPL_T_STRING, value));
    advance(l, end + 1);
    return TN_OK;
}

static tn_status balance(lexer *l, char c)
{
    if (c == '(' || c == '[' || c == '{') {
        if (l->n_brackets == MAX_BRACKETS)
            return tpl_fail(l->e, "brackets nest deeper than %d levels", MAX_BRACKETS);
        l->bracket[l->n_brackets++] = (char)(c == '(' ? ')' : c + 2);
        return TN_OK;
    }
    if (c != ')' && c != ']' && c != '}')
        return TN_OK;
    if (l->n_brackets == 0)
        return tpl_fail(l->e, "unexpected '%c'", c);
    const char due = l->bracket[--l->n_brackets];
    if (due != c)
        return tpl_fail(l->e, "unexpected '%c', expected '%c'", c, due);
    return TN_OK;
}

static tn_status read_operator(lexer *l)
{
    for (size_t i = 0; i < sizeof operator_types; i++) {
        if (!looking_at(l, l->at, operators[i]))
            continue;
        TN_TRY(balance(l, operators[i][0]));
        TN_TRY(add(l, operator_types[i], (tpl_value){ 0 }));
        advance(l, l->at + strlen(operators[i]));
        return TN_OK;
    }
    size_t bytes;
    if ((unsigned char)l->text[l->at] >= 0x80) {
        const unsigned code = (unsigned)tpl_char_at(l->text + l->at, &bytes);
        return tpl_unsupported(l->e, "character U+%04X outside of a string; names are ASCII", code);
    }
    return tpl_fail(l->e, "unexpected char '%c'", l->text[l->at]);
}

static tn_status read_number(lexer *l)
{
    tpl_value value;
    size_t n;
    TN_TRY(tpl_read_number(l->e, l->text, l->n, l->at, &n, &value));
    TN_TRY(add(l, value.kind == TPL_INT ? TPL_T_INTEGER : TPL_T_FLOAT, value));
    advance(l, l->at + n);
    return TN_OK;
}

static tn_status read_token(lexer *l)
{
    const char c = l->text[l->at];
    if (c >= '0' && c <= '9')
        return read_number(l);
    if (is_name_char(c))
        return read_name(l);
    if (c == '\'' || c == '"')
        return read_string(l);
    return read_operator(l);
}

/* Where the tag ends at this place, or 0. {{ }} has no "+}}", and trims nothing by itself. */
static size_t tag_end(const lexer *l, bool is_variable)
{
    if (!is_variable)
        return close_end(l, l->at, "%}");
    if (looking_at(l, l->at, "-}}"))
        return skip_space(l, l->at + 3);
    return looking_at(l, l->at, "}}") ? l->at + 2 : 0;
}

static tn_status read_tag(lexer *l, bool is_variable)
{
    TN_TRY(add(l, is_variable ? TPL_T_VARIABLE_BEGIN : TPL_T_BLOCK_BEGIN, (tpl_value){ 0 }));
    l->at += 2;
    l->at += sign_at(l, l->at) != '\0';
    for (;;) {
        const size_t end = l->n_brackets == 0 ? tag_end(l, is_variable) : 0;
        if (end) {
            TN_TRY(add(l, is_variable ? TPL_T_VARIABLE_END : TPL_T_BLOCK_END, (tpl_value){ 0 }));
            advance(l, end);
            return TN_OK;
        }
        advance(l, skip_space(l, l->at));
        if (l->at >= l->n) /* the parser says what is missing */
            return TN_OK;
        if (l->n_brackets > 0 || !tag_end(l, is_variable))
            TN_TRY(read_token(l));
    }
}

/* ---- the whole ---- */

static size_t find_tag(const lexer *l)
{
    for (size_t at = l->at; at + 1 < l->n; at++)
        if (l->text[at] == '{' &&
            (l->text[at + 1] == '{' || l->text[at + 1] == '%' || l->text[at + 1] == '#'))
            return at;
    return l->n;
}

static tn_status read_piece(lexer *l)
{
    const size_t tag = find_tag(l);
    if (tag == l->n) {
        TN_TRY(add_text(l, TPL_T_DATA, l->at, l->n));
        advance(l, l->n);
        return TN_OK;
    }
    const char kind = l->text[tag + 1];
    TN_TRY(
        add_text(l, TPL_T_DATA, l->at, text_end(l, l->at, tag, sign_at(l, tag + 2), kind == '{')));
    advance(l, tag);
    if (kind == '#')
        return read_comment(l);
    const size_t raw = kind == '%' ? raw_begin_end(l, tag) : 0;
    if (raw)
        return read_raw(l, raw);
    return read_tag(l, kind == '{');
}

tn_status tpl_tokenize(tpl_env *e, const char *text, size_t n, tpl_tokens *out)
{
    lexer l = { .e = e, .tokens = out, .text = text, .n = n };
    e->line = 1;
    while (l.at < l.n)
        TN_TRY(read_piece(&l));
    return add(&l, TPL_T_EOF, (tpl_value){ 0 });
}
