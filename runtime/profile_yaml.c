/* SPDX-License-Identifier: Apache-2.0 */
/* libyaml's events to nodes. Only the plain part of YAML is let in, so that a profile has one
 * reading. */
#include "runtime/profile_internal.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

enum { SHOWN_FILE_BYTES = 80, SHOWN_VALUE_BYTES = 40 };

typedef struct open_node {
    tn_profile_node *node;
    tn_profile_node **tail; /* where the next child goes */
    const char *key;        /* of the value to come, or NULL */
    tn_profile_mark key_at;
} open_node;

typedef struct reader {
    yaml_parser_t parser;
    tn_arena *arena;
    tn_profile_mark origin;
    tn_profile_node *root;
    open_node open[TN_PROFILE_MAX_DEPTH];
    int depth, n_documents;
    tn_error *err;
} reader;

/* ---- messages ---- */

void tn_profile_format_mark(const tn_profile_mark *at, char *out, size_t n_out)
{
    const char *file = at->file;
    size_t n = strlen(file);
    const char *cut = "";

    if (n > SHOWN_FILE_BYTES) {
        file += n - SHOWN_FILE_BYTES;
        while (((unsigned char)*file & 0xC0) == 0x80)
            file++;
        cut = "...";
    }
    if (at->line)
        snprintf(out, n_out, "%s%s:%d:%d", cut, file, at->line, at->col);
    else
        snprintf(out, n_out, "%s%s", cut, file);
}

tn_status tn_profile_fail(tn_error *err, const tn_profile_mark *at, const char *format, ...)
{
    char where[SHOWN_FILE_BYTES + 32];
    va_list args;

    va_start(args, format);
    tn_status st = tn_fail_v(err, TN_INVALID, format, args);
    va_end(args);
    tn_profile_format_mark(at, where, sizeof(where));
    return err ? tn_error_wrap(err, st, "%s", where) : st;
}

/* Append c to out as messages show it: control characters as \n, \t or \x1b. Returns how many
 * bytes. */
static size_t show_char(char c, char *out)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char byte = (unsigned char)c;

    out[0] = c;
    if (byte >= 0x20 && byte != 0x7F)
        return 1;
    out[0] = '\\';
    out[1] = 'n';
    if (c == '\n')
        return 2;
    out[1] = 't';
    if (c == '\t')
        return 2;
    out[1] = 'x';
    out[2] = hex[byte >> 4];
    out[3] = hex[byte & 15];
    return 4;
}

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

const char *tn_profile_show(const char *text, char out[TN_SHOWN_BYTES])
{
    size_t n = 0;

    out[n++] = '"';
    while (*text && n < SHOWN_VALUE_BYTES)
        n += show_char(*text++, out + n);
    /* Cut between characters: the rest of one that was begun goes back. */
    for (; is_continuation(*text) && n > 1; text--)
        n--;
    if (*text) {
        memcpy(out + n, "...", 3);
        n += 3;
    }
    out[n++] = '"';
    out[n] = '\0';
    return out;
}

/* ---- bytes ---- */

/* Rows of RFC 3629, section 4: lead bytes, the range of the second byte, length. It leaves out
 * overlong forms and surrogates. */
static const struct {
    unsigned char first, last, second_min, second_max;
    size_t length;
} utf8_rows[] = {
    { 0x00, 0x7F, 0x00, 0xFF, 1 }, { 0xC2, 0xDF, 0x80, 0xBF, 2 }, { 0xE0, 0xE0, 0xA0, 0xBF, 3 },
    { 0xE1, 0xEC, 0x80, 0xBF, 3 }, { 0xED, 0xED, 0x80, 0x9F, 3 }, { 0xEE, 0xEF, 0x80, 0xBF, 3 },
    { 0xF0, 0xF0, 0x90, 0xBF, 4 }, { 0xF1, 0xF3, 0x80, 0xBF, 4 }, { 0xF4, 0xF4, 0x80, 0x8F, 4 },
};

/* Length of the well-formed UTF-8 character at s (n bytes left), 0 when it is none. */
static size_t utf8_length(const unsigned char *s, size_t n)
{
    size_t row = 0;

    while (row < sizeof(utf8_rows) / sizeof(utf8_rows[0]) && s[0] > utf8_rows[row].last)
        row++;
    if (row == sizeof(utf8_rows) / sizeof(utf8_rows[0]) || s[0] < utf8_rows[row].first)
        return 0;
    size_t length = utf8_rows[row].length;
    if (length > n)
        return 0;
    for (size_t i = 1; i < length; i++) {
        unsigned char min = i == 1 ? utf8_rows[row].second_min : 0x80;
        unsigned char max = i == 1 ? utf8_rows[row].second_max : 0xBF;
        if (s[i] < min || s[i] > max)
            return 0;
    }
    return length;
}

tn_status tn_profile_check_text(const char *text, size_t n, tn_profile_mark origin, tn_error *err)
{
    tn_profile_mark at = { origin.file, 1, 1 };
    size_t length;

    for (size_t i = 0; i < n; i += length) {
        unsigned char c = (unsigned char)text[i];
        bool control = (c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7F;
        length = utf8_length((const unsigned char *)text + i, n - i);
        if (origin.line == 0)
            at.line = 0;
        if (length == 0)
            return tn_profile_fail(err, &at, "byte 0x%02x is not UTF-8; save the file as UTF-8", c);
        if (control)
            return tn_profile_fail(err, &at, "control character 0x%02x is not allowed", c);
        at.col++;
        if (c == '\n') {
            at.line++;
            at.col = 1;
        }
    }
    return TN_OK;
}

/* ---- events ---- */

static tn_profile_mark mark_of(const reader *r, const yaml_mark_t *m)
{
    if (r->origin.line == 0)
        return (tn_profile_mark){ r->origin.file, 0, 0 };
    return (tn_profile_mark){ r->origin.file, (int32_t)m->line + 1, (int32_t)m->column + 1 };
}

static tn_status fail_memory(reader *r)
{
    return tn_fail_memory(r->err, "a profile");
}

static tn_status check_event(reader *r, const yaml_event_t *e, const yaml_char_t *anchor,
                             const yaml_char_t *tag)
{
    tn_profile_mark at = mark_of(r, &e->start_mark);
    char shown[TN_SHOWN_BYTES];

    if (anchor)
        return tn_profile_fail(r->err, &at,
                               "the anchor &%.40s is not allowed; write the value out, or use "
                               "extends for what profiles share",
                               (const char *)anchor);
    if (tag)
        return tn_profile_fail(r->err, &at, "the tag %s is not allowed; leave it out",
                               tn_profile_show((const char *)tag, shown));
    return TN_OK;
}

static tn_status take_key(reader *r, open_node *parent, const yaml_event_t *e, const char *text)
{
    tn_profile_mark at = mark_of(r, &e->start_mark);
    bool plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    char shown[TN_SHOWN_BYTES];

    if (plain && strcmp(text, "<<") == 0)
        return tn_profile_fail(r->err, &at,
                               "the merge key << is not allowed; use extends for what profiles "
                               "share");
    if (!*text)
        return tn_profile_fail(r->err, &at, "a key is empty");
    for (const tn_profile_node *n = parent->node->child; n; n = n->next) {
        if (strcmp(n->key, text) != 0)
            continue;
        tn_profile_show(text, shown);
        if (!at.line)
            return tn_profile_fail(r->err, &at, "the key %s is there twice", shown);
        return tn_profile_fail(r->err, &at, "the key %s is there twice, first at line %d; keep one",
                               shown, n->key_at.line);
    }
    parent->key = text;
    parent->key_at = at;
    return TN_OK;
}

/* Hang a new node under the innermost open one; *out_node is zeroed but for what a place defines.
 */
static tn_status add_node(reader *r, int8_t kind, const yaml_event_t *e, tn_profile_node **out_node)
{
    tn_profile_mark at = mark_of(r, &e->start_mark);
    open_node *parent = r->depth ? &r->open[r->depth - 1] : NULL;
    tn_profile_node *node = tn_arena_alloc(r->arena, sizeof(*node));

    *out_node = node;
    if (!node)
        return fail_memory(r);
    node->kind = kind;
    node->at = at;
    if (!parent) {
        r->root = node;
        return TN_OK;
    }
    if (parent->node->n_children == TN_PROFILE_MAX_ENTRIES)
        return tn_profile_fail(r->err, &at, "more than %d entries; that is too many",
                               TN_PROFILE_MAX_ENTRIES);
    node->key = parent->key;
    node->key_at = parent->key_at;
    parent->key = NULL;
    *parent->tail = node;
    parent->tail = &node->next;
    parent->node->n_children++;
    return TN_OK;
}

static bool wants_key(const reader *r)
{
    const open_node *top = r->depth ? &r->open[r->depth - 1] : NULL;

    return top && top->node->kind == TN_NODE_MAP && !top->key;
}

static tn_status on_scalar(reader *r, const yaml_event_t *e)
{
    const char *value = (const char *)e->data.scalar.value;
    size_t n = e->data.scalar.length;
    tn_profile_mark at = mark_of(r, &e->start_mark);
    tn_profile_node *node;

    TN_TRY(check_event(r, e, e->data.scalar.anchor, e->data.scalar.tag));
    if (memchr(value, '\0', n))
        return tn_profile_fail(r->err, &at, "a text with a NUL character is not allowed");
    const char *text = tn_arena_strdup(r->arena, value);
    if (!text)
        return fail_memory(r);
    if (wants_key(r))
        return take_key(r, &r->open[r->depth - 1], e, text);
    TN_TRY(add_node(r, TN_NODE_SCALAR, e, &node));
    node->text = text;
    node->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return TN_OK;
}

static tn_status on_open(reader *r, const yaml_event_t *e, int8_t kind)
{
    bool map = kind == TN_NODE_MAP;
    tn_profile_mark at = mark_of(r, &e->start_mark);
    tn_profile_node *node;

    TN_TRY(check_event(r, e, map ? e->data.mapping_start.anchor : e->data.sequence_start.anchor,
                       map ? e->data.mapping_start.tag : e->data.sequence_start.tag));
    if (wants_key(r))
        return tn_profile_fail(r->err, &at, "a key must be plain text, this is a %s",
                               map ? "map (a value with ${...} in a flow map needs quotes)"
                                   : "list");
    if (r->depth == TN_PROFILE_MAX_DEPTH)
        return tn_profile_fail(r->err, &at, "nested deeper than %d levels", TN_PROFILE_MAX_DEPTH);
    TN_TRY(add_node(r, kind, e, &node));
    r->open[r->depth++] = (open_node){ .node = node, .tail = &node->child };
    return TN_OK;
}

static tn_status on_event(reader *r, const yaml_event_t *e)
{
    tn_profile_mark at = mark_of(r, &e->start_mark);

    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (r->n_documents++)
            return tn_profile_fail(r->err, &at, "a second document starts here; a profile is one");
        return TN_OK;
    case YAML_ALIAS_EVENT:
        return tn_profile_fail(r->err, &at, "the alias *%.40s is not allowed; write the value out",
                               (const char *)e->data.alias.anchor);
    case YAML_SCALAR_EVENT:
        return on_scalar(r, e);
    case YAML_MAPPING_START_EVENT:
        return on_open(r, e, TN_NODE_MAP);
    case YAML_SEQUENCE_START_EVENT:
        return on_open(r, e, TN_NODE_LIST);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        r->depth--;
        return TN_OK;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
    default:
        return TN_OK;
    }
}

/* The byte at a line and column (from 0, in characters) of a text that is UTF-8, or '\0'. */
static char char_at(const char *text, size_t n, size_t line, size_t col)
{
    size_t i = 0;

    for (; line > 0 && i < n; i++)
        line -= text[i] == '\n' ? 1 : 0;
    for (; col > 0 && i < n; col--)
        i += utf8_length((const unsigned char *)text + i, n - i);
    if (i >= n)
        return '\0';
    return text[i];
}

static tn_status fail_libyaml(reader *r, const char *text, size_t n)
{
    const yaml_parser_t *p = &r->parser;
    tn_profile_mark at = mark_of(r, &p->problem_mark);
    const char *problem = p->problem ? p->problem : "not YAML";

    if (p->error == YAML_MEMORY_ERROR)
        return fail_memory(r);
    if (char_at(text, n, p->problem_mark.line, p->problem_mark.column) == '\t')
        return tn_profile_fail(r->err, &at, "a tab where indentation belongs; indent with spaces");
    if (p->context && r->origin.line)
        return tn_profile_fail(r->err, &at, "not YAML: %s, %s that starts at line %zu", problem,
                               p->context, p->context_mark.line + 1);
    return tn_profile_fail(r->err, &at, "not YAML: %s", problem);
}

tn_status tn_profile_yaml_parse(tn_arena *arena, const char *text, size_t n, tn_profile_mark origin,
                                tn_profile_node **out_root, tn_error *err)
{
    reader r = { .arena = arena, .origin = origin, .err = err };
    bool done = false;
    tn_status st = TN_OK;

    *out_root = NULL;
    if (n > TN_PROFILE_MAX_BYTES)
        return tn_profile_fail(err, &origin, "%zu bytes; a profile has at most %d", n,
                               TN_PROFILE_MAX_BYTES);
    TN_TRY(tn_profile_check_text(text, n, origin, err));
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3; /* libyaml would count a byte order mark as a column */
        n -= 3;
    }
    if (!yaml_parser_initialize(&r.parser))
        return fail_memory(&r);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, n);
    while (!st && !done) {
        yaml_event_t event;
        if (!yaml_parser_parse(&r.parser, &event)) {
            st = fail_libyaml(&r, text, n);
            break;
        }
        st = on_event(&r, &event);
        done = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&r.parser);
    if (!st)
        *out_root = r.root;
    return st;
}
