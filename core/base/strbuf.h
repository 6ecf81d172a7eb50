/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing byte string with a size at which it must refuse to grow. Failure is sticky: append freely, ask once.
 *
 *     tn_strbuf b = TN_STRBUF(1 << 20);
 *     tn_strbuf_printf(&b, "%s: %d", name, n);
 *     if (b.failed) ...
 *     tn_strbuf_deinit(&b);
 */
#ifndef TN_CORE_BASE_STRBUF_H
#define TN_CORE_BASE_STRBUF_H

#include "core/base/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct tn_strbuf {
    char *data; /* NUL-terminated when not NULL; NULL while empty */
    size_t len, capacity, max;
    bool failed;   /* out of memory or past max: data is what fitted before */
    bool too_long; /* it was past max */
} tn_strbuf;

#define TN_STRBUF(max_bytes) ((tn_strbuf){ .max = (max_bytes) })

void tn_strbuf_append(tn_strbuf *b, const void *bytes, size_t n);
void tn_strbuf_puts(tn_strbuf *b, const char *text);
void tn_strbuf_printf(tn_strbuf *b, const char *format, ...) TN_PRINTF(2, 3);
/** Length 0; keeps the memory and clears `failed`. */
void tn_strbuf_clear(tn_strbuf *b);
/** TN_OK; "WHAT is longer than N bytes" (TN_INVALID), or lack of memory. */
tn_status tn_strbuf_status(const tn_strbuf *b, const char *what, tn_error *err) TN_MUST_USE;
/** The text, "" while empty; borrowed until the next call on b. */
const char *tn_strbuf_text(const tn_strbuf *b);
/** Give the NUL-terminated bytes to the caller (tn_free) and leave b empty; NULL if failed. */
char *tn_strbuf_take(tn_strbuf *b);
void tn_strbuf_deinit(tn_strbuf *b);

#endif
