/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chat templates: Jinja2 as Hugging Face's transformers sets it up (trim_blocks, lstrip_blocks,
 * loop controls, {% generation %}, tojson without ASCII escapes, strftime_now, raise_exception).
 * What is not supported is an error that names line and construct, never another text.
 * docs/templates.md lists what there is.
 *
 *     tn_template *t;
 *     TN_TRY(tn_template_parse(text, strlen(text), &t, err));
 *     status = tn_template_render(t, context, &TN_TEMPLATE_DEFAULT, &out, err);
 *     tn_template_destroy(t);
 */
#ifndef TN_MODEL_TEXT_TEMPLATE_TEMPLATE_H
#define TN_MODEL_TEXT_TEMPLATE_TEMPLATE_H

#include "core/base/strbuf.h"

#include <stdint.h>

struct json_t;
typedef struct tn_template tn_template; /* immutable: several threads may render it */

typedef struct tn_template_options {
    uint64_t max_steps;      /* expressions and statements, and pieces of long texts */
    size_t max_memory_bytes; /* of all values together */
    size_t max_output_bytes; /* of the text, and of any value that is a text */
    int32_t max_depth;       /* expressions, statements and calls in each other */
    int64_t now; /* what strftime_now shows: seconds since 1970 on the clock that it shows;
                    TN_TEMPLATE_NO_TIME: strftime_now is an error */
} tn_template_options;

#define TN_TEMPLATE_NO_TIME INT64_MIN
#define TN_TEMPLATE_DEFAULT                                                                        \
    ((tn_template_options){ .max_steps = 50000000,                                                 \
                            .max_memory_bytes = (size_t)512 << 20,                                 \
                            .max_output_bytes = (size_t)64 << 20,                                  \
                            .max_depth = 600,                                                      \
                            .now = TN_TEMPLATE_NO_TIME })

enum {
    TN_TEMPLATE_MAX_BYTES = 1 << 20
}; /* of a template's text; the largest in use have some 30 KiB */

/** Errors: TN_INVALID ("line 3: expected ..."), TN_UNSUPPORTED ("line 3: the filter ..."). The text
 * is copied. */
tn_status tn_template_parse(const char *text, size_t n, tn_template **out,
                            tn_error *err) TN_MUST_USE;
/** Append the text for a context, a JSON object of variables. Errors as for parsing; out may then
 * hold a part. */
tn_status tn_template_render(const tn_template *t, const struct json_t *context,
                             const tn_template_options *options, tn_strbuf *out,
                             tn_error *err) TN_MUST_USE;
/** The wall clock of this place, for options.now. */
int64_t tn_template_local_time(void);
void tn_template_destroy(tn_template *t);

#endif
