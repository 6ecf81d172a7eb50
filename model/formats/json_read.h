/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON of model directories, with limits: no nesting or number of values can make the parser take
 * more stack or memory than they allow. Duplicate keys and text that is no UTF-8 are errors.
 *
 *     tn_json_parse(text, n, &tn_json_settings, true, &root, err);
 *     tn_json_reader r = { .object = root, .file = "config.json" };
 *     int64_t layers = 0;
 *     tn_json_int(&r, "num_hidden_layers", 1, 4096, &layers);
 *     if (r.status) ... r.error.text
 *
 * Thread: pure.
 */
#ifndef TN_MODEL_FORMATS_JSON_READ_H
#define TN_MODEL_FORMATS_JSON_READ_H

#include "core/base/strbuf.h"

#include <jansson.h>

enum {
    TN_JSON_MAX_DEPTH = 32,
    TN_JSON_MAX_FILE_BYTES = 16 << 20, /* of settings */
    TN_JSON_MAX_STRING_BYTES = 4 << 20,
};

/* What one kind of file may hold. A value takes jansson up to 200 bytes, a string twice its own. */
typedef struct tn_json_limits {
    size_t max_values;     /* objects, arrays and what is in them */
    size_t max_text_bytes; /* all strings together */
} tn_json_limits;
extern const tn_json_limits tn_json_settings; /* config.json and its like */

/** text[0, n) as one object within the limits. Numbers are read as the text has them: integers past
 * int64 as reals when `big_integers`, else an error. *out: json_decref. */
tn_status tn_json_parse(const char *text, size_t n, const tn_json_limits *limits, bool big_integers,
                        json_t **out, tn_error *err) TN_MUST_USE;

/** Append the value as compact ASCII JSON, cut to max bytes. */
void tn_json_show(const json_t *value, size_t max, tn_strbuf *out);

/*
 * Typed reading, errors sticky: the first is kept. A key that is absent or null leaves *out as it
 * is. A value of another type, or out of range, is TN_INVALID with file, key and value.
 */
typedef struct tn_json_reader {
    const json_t *object; /* borrowed; NULL reads as {} */
    const char *file;     /* "config.json", or "config.json: rope_scaling" */
    tn_status status;
    tn_error error;
} tn_json_reader;

/** The value, or NULL when it is absent or null. */
const json_t *tn_json_get(const tn_json_reader *r, const char *key);
void tn_json_int(tn_json_reader *r, const char *key, int64_t min, int64_t max, int64_t *out);
void tn_json_int32(tn_json_reader *r, const char *key, int32_t min, int32_t max, int32_t *out);
/** Finite, and more than 0. */
void tn_json_positive(tn_json_reader *r, const char *key, float *out);
void tn_json_bool(tn_json_reader *r, const char *key, bool *out);
/** Borrowed from the object. */
void tn_json_string(tn_json_reader *r, const char *key, const char **out);
/** An object as a reader of its own, {} when absent; its errors are r's after tn_json_merge. */
tn_json_reader tn_json_object(tn_json_reader *r, const char *key, const char *file);
void tn_json_merge(tn_json_reader *r, const tn_json_reader *inner);
/** The key must be there. */
void tn_json_need(tn_json_reader *r, const char *key);
void tn_json_fail(tn_json_reader *r, tn_status status, const char *format, ...) TN_PRINTF(3, 4);

#endif
