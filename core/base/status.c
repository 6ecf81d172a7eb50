/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/status.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { MAX_TEXT_BYTES = sizeof(((tn_error *)0)->text) };

/* The text was cut at the end of the buffer: drop the first bytes of a character whose rest is
 * gone. */
static void trim_partial_utf8(char *text)
{
    size_t n = strlen(text);
    size_t start = n;
    size_t want = 1;

    while (start > 0 && n - start < 4 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
        start--;
    if (start == 0)
        return;
    start--;
    unsigned char lead = (unsigned char)text[start];
    if (lead >= 0xF0)
        want = 4;
    else if (lead >= 0xE0)
        want = 3;
    else if (lead >= 0xC0)
        want = 2;
    if (want > 1 && n - start < want)
        text[start] = '\0';
}

TN_PRINTF(2, 0)
static void format_text(char text[MAX_TEXT_BYTES], const char *format, va_list args)
{
    int n = vsnprintf(text, MAX_TEXT_BYTES, format, args);

    if (n < 0)
        text[0] = '\0';
    else if (n >= MAX_TEXT_BYTES)
        trim_partial_utf8(text);
}

tn_status tn_fail_v(tn_error *err, tn_status code, const char *format, va_list args)
{
    if (err) {
        char text[MAX_TEXT_BYTES]; /* an argument may point into err->text */

        format_text(text, format, args);
        err->code = code;
        memcpy(err->text, text, sizeof(text));
    }
    return code;
}

tn_status tn_fail(tn_error *err, tn_status code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    tn_fail_v(err, code, format, args);
    va_end(args);
    return code;
}

tn_status tn_error_wrap(tn_error *err, tn_status code, const char *format, ...)
{
    if (!err)
        return code;

    char prefix[MAX_TEXT_BYTES];
    va_list args;

    va_start(args, format);
    format_text(prefix, format, args);
    va_end(args);
    return tn_fail(err, err->code ? err->code : code, "%s: %s", prefix, err->text);
}

tn_status tn_fail_memory(tn_error *err, const char *what)
{
    return tn_fail(err, TN_NO_MEMORY, "cannot allocate memory for %s", what);
}

const char *tn_status_name(tn_status code)
{
    static const char *const names[] = {
        [TN_OK] = "ok",
        [TN_UNSUPPORTED] = "unsupported",
        [TN_UNAVAILABLE] = "unavailable",
        [TN_NO_MEMORY] = "no memory",
        [TN_INVALID] = "invalid",
        [TN_DEVICE_LOST] = "device lost",
        [TN_INTERNAL] = "internal",
    };
    bool known = code >= 0 && code < (tn_status)(sizeof(names) / sizeof(names[0]));

    return known ? names[code] : "unknown status";
}
