/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/strbuf.h"

#include "core/base/alloc.h"

#include <stdio.h>
#include <string.h>

enum { MIN_CAPACITY_BYTES = 64 };

/* Room for n more bytes and the NUL, or set b->failed. */
static bool reserve(tn_strbuf *b, size_t n)
{
    size_t need;

    if (b->failed)
        return false;
    if (n > b->max - b->len || !tn_size_add(b->len + n, 1, &need)) {
        b->failed = b->too_long = true;
        return false;
    }
    if (need <= b->capacity)
        return true;
    size_t capacity = b->capacity > SIZE_MAX / 2 ? need : b->capacity * 2;
    if (capacity < MIN_CAPACITY_BYTES)
        capacity = MIN_CAPACITY_BYTES;
    if (capacity < need)
        capacity = need;
    char *data = tn_realloc_array(b->data, capacity, 1);
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->capacity = capacity;
    return true;
}

tn_status tn_strbuf_status(const tn_strbuf *b, const char *what, tn_error *err)
{
    if (b->too_long)
        return tn_fail(err, TN_INVALID, "%s is longer than %zu bytes, the most that is allowed",
                       what, b->max);
    return b->failed ? tn_fail_memory(err, what) : TN_OK;
}

void tn_strbuf_append(tn_strbuf *b, const void *bytes, size_t n)
{
    if (n == 0 || !reserve(b, n))
        return;
    memcpy(b->data + b->len, bytes, n);
    b->len += n;
    b->data[b->len] = '\0';
}

void tn_strbuf_puts(tn_strbuf *b, const char *text)
{
    tn_strbuf_append(b, text, strlen(text));
}

void tn_strbuf_printf(tn_strbuf *b, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0)
        b->failed = true;
    if (n <= 0 || !reserve(b, (size_t)n))
        return;
    va_start(args, format);
    vsnprintf(b->data + b->len, (size_t)n + 1, format, args);
    va_end(args);
    b->len += (size_t)n;
}

void tn_strbuf_clear(tn_strbuf *b)
{
    b->len = 0;
    b->failed = b->too_long = false;
    if (b->data)
        b->data[0] = '\0';
}

const char *tn_strbuf_text(const tn_strbuf *b)
{
    return b->data ? b->data : "";
}

char *tn_strbuf_take(tn_strbuf *b)
{
    char *data = NULL;

    if (!b->failed)
        data = b->data ? b->data : tn_strdup("");
    if (data)
        b->data = NULL;
    tn_strbuf_deinit(b);
    return data;
}

void tn_strbuf_deinit(tn_strbuf *b)
{
    size_t max = b->max;

    tn_free(b->data);
    *b = TN_STRBUF(max);
}
