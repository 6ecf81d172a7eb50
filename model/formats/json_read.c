/* SPDX-License-Identifier: Apache-2.0 */
#include "model/formats/json_read.h"

#include "model/formats/json_memory.h"
#include "model/formats/printable.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* A value that is no number or bool is shown up to this many bytes. */
enum { SHOWN_BYTES = 48 };

/* ---- parse ---- */

const tn_json_limits tn_json_settings = { .max_values = 1 << 17, .max_text_bytes = 16 << 20 };

/* A text as the limits see it. */
typedef struct scan {
    size_t n_values, n_strings, string_start;
    int32_t depth;
    bool in_string;
} scan;

/* One byte; returns what is too much, or NULL. */
static const char *scan_byte(scan *s, char c, size_t at, const tn_json_limits *limits)
{
    if (c == '"') {
        s->in_string = !s->in_string;
        s->n_strings += s->in_string ? 0 : at - s->string_start;
        s->string_start = at;
        return s->n_strings > limits->max_text_bytes ? "more text than is read" : NULL;
    }
    if (s->in_string)
        return at - s->string_start > TN_JSON_MAX_STRING_BYTES ? "a longer string than is read"
                                                               : NULL;
    s->depth += (c == '{' || c == '[') - (c == '}' || c == ']');
    s->n_values += c == '{' || c == '[' || c == ',';
    if (s->depth > TN_JSON_MAX_DEPTH)
        return "objects and arrays that are nested deeper than is read";
    return s->n_values > limits->max_values ? "more values than are read" : NULL;
}

/* Limits, before the parser sees the text; what is no JSON is left to it. */
static tn_status check_limits(const char *text, size_t n, const tn_json_limits *limits,
                              tn_error *err)
{
    scan s = { .n_values = 1 };
    for (size_t i = 0; i < n; i++) {
        const char *excess = scan_byte(&s, text[i], i, limits);
        if (excess)
            return tn_fail(err, TN_INVALID,
                           "byte %zu: %s (%d deep, %zu values, strings of %d bytes, %zu in all)", i,
                           excess, TN_JSON_MAX_DEPTH, limits->max_values, TN_JSON_MAX_STRING_BYTES,
                           limits->max_text_bytes);
        if (s.in_string && text[i] == '\\')
            i++;
    }
    return TN_OK;
}

/* jansson's message may quote the text, which is not to be printed as it is. */
static tn_status fail_syntax(const json_error_t *where, tn_error *err)
{
    tn_strbuf text = TN_STRBUF(1024);
    tn_put_printable(&text, where->text, strlen(where->text));
    tn_status st = tn_fail(err, TN_INVALID, "no valid JSON at line %d, column %d: %s", where->line,
                           where->column, tn_strbuf_text(&text));
    tn_strbuf_deinit(&text);
    return st;
}

tn_status tn_json_parse(const char *text, size_t n, const tn_json_limits *limits, bool big_integers,
                        json_t **out, tn_error *err)
{
    json_error_t where;
    const uint32_t failures = tn_json_failures();
    *out = NULL;
    TN_TRY(check_limits(text, n, limits, err));
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &where);
    if (!root && big_integers) /* with all integers as reals, for the sake of one past int64 */
        root = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &where);
    if (tn_json_failures() != failures) { /* what was parsed may lack something */
        json_decref(root);
        return tn_fail_memory(err, "JSON");
    }
    if (!root)
        return fail_syntax(&where, err);
    if (!json_is_object(root)) {
        json_decref(root);
        return tn_fail(err, TN_INVALID, "no JSON object");
    }
    *out = root;
    return TN_OK;
}

/* ---- typed reading ---- */

void tn_json_fail(tn_json_reader *r, tn_status status, const char *format, ...)
{
    if (r->status)
        return;
    va_list args;
    va_start(args, format);
    r->status = tn_fail_v(&r->error, status, format, args);
    va_end(args);
    r->status = tn_error_wrap(&r->error, status, "%s", r->file);
}

void tn_json_merge(tn_json_reader *r, const tn_json_reader *inner)
{
    if (r->status || !inner->status)
        return;
    r->status = inner->status;
    r->error = inner->error;
}

const json_t *tn_json_get(const tn_json_reader *r, const char *key)
{
    const json_t *value = json_object_get(r->object, key);
    return json_is_null(value) ? NULL : value;
}

/* The first `max` bytes of a dump, and "..." when there are more. */
typedef struct shown {
    tn_strbuf *out;
    size_t left;
    bool is_cut;
} shown;

static int show_piece(const char *text, size_t n, void *arg)
{
    shown *s = arg;
    const size_t fits = n < s->left ? n : s->left;
    tn_strbuf_append(s->out, text, fits);
    s->left -= fits;
    s->is_cut = s->is_cut || fits < n;
    return 0;
}

void tn_json_show(const json_t *value, size_t max, tn_strbuf *out)
{
    shown s = { .out = out, .left = max };
    /* Escapes leave nothing that a terminal would act on; a lack of memory shows less. */
    (void)json_dump_callback(value, show_piece, &s,
                             JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII |
                                 JSON_REAL_PRECISION(10));
    tn_strbuf_puts(out, s.is_cut ? "..." : "");
}

static void fail_value(tn_json_reader *r, const char *key, const json_t *value, const char *needed)
{
    tn_strbuf text = TN_STRBUF(1024);
    tn_json_show(value, SHOWN_BYTES, &text);
    tn_json_fail(r, TN_INVALID, "%s is %s; %s", key, tn_strbuf_text(&text), needed);
    tn_strbuf_deinit(&text);
}

static void fail_range(tn_json_reader *r, const char *key, const json_t *value, int64_t min,
                       int64_t max)
{
    char needed[96];
    (void)snprintf(needed, sizeof(needed), "an integer from %lld to %lld is needed", (long long)min,
                   (long long)max);
    fail_value(r, key, value, needed);
}

void tn_json_int(tn_json_reader *r, const char *key, int64_t min, int64_t max, int64_t *out)
{
    const json_t *value = tn_json_get(r, key);
    if (!value)
        return;
    const double number = json_number_value(value);
    /* Settings are read with integers as reals: exact below 2^53, and nothing has more. */
    if (!json_is_number(value) || !(fabs(number) <= 9007199254740992.0) ||
        number != floor(number) || number < (double)min || number > (double)max) {
        fail_range(r, key, value, min, max);
        return;
    }
    *out = (int64_t)number;
}

void tn_json_int32(tn_json_reader *r, const char *key, int32_t min, int32_t max, int32_t *out)
{
    int64_t value = *out;
    tn_json_int(r, key, min, max, &value);
    *out = (int32_t)value;
}

void tn_json_positive(tn_json_reader *r, const char *key, float *out)
{
    const json_t *value = tn_json_get(r, key);
    if (!value)
        return;
    const float number = (float)json_number_value(value);
    if (!json_is_number(value) || !(number > 0) || !isfinite(number)) {
        fail_value(r, key, value, "a number above 0 is needed");
        return;
    }
    *out = number;
}

void tn_json_bool(tn_json_reader *r, const char *key, bool *out)
{
    const json_t *value = tn_json_get(r, key);
    if (!value)
        return;
    if (!json_is_boolean(value)) {
        fail_value(r, key, value, "true or false is needed");
        return;
    }
    *out = json_is_true(value);
}

void tn_json_string(tn_json_reader *r, const char *key, const char **out)
{
    const json_t *value = tn_json_get(r, key);
    if (!value)
        return;
    if (!json_is_string(value)) {
        fail_value(r, key, value, "a string is needed");
        return;
    }
    *out = json_string_value(value);
}

tn_json_reader tn_json_object(tn_json_reader *r, const char *key, const char *file)
{
    const json_t *value = tn_json_get(r, key);
    if (value && !json_is_object(value)) {
        fail_value(r, key, value, "an object is needed");
        value = NULL;
    }
    return (tn_json_reader){ .object = value, .file = file };
}

void tn_json_need(tn_json_reader *r, const char *key)
{
    if (!tn_json_get(r, key))
        tn_json_fail(r, TN_INVALID, "%s is missing", key);
}
