/* SPDX-License-Identifier: Apache-2.0 */
/* Small helpers that every plugin needs and that must not pull in the core: errors and checked
 * sizes. */
#ifndef TN_PLUGINS_COMMON_PLUGIN_UTIL_H
#define TN_PLUGINS_COMMON_PLUGIN_UTIL_H

#include <tenon/plugin.h>

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

/* Return early on failure; only where nothing needs releasing. */
#define TN_PLUGIN_TRY(call)                                                                        \
    do {                                                                                           \
        tn_status tn_plugin_try_status = (call);                                                   \
        if (tn_plugin_try_status)                                                                  \
            return tn_plugin_try_status;                                                           \
    } while (0)

/** Set *err (if not NULL) to code and the formatted text, cut where it does not fit; returns code.
 */
static inline tn_status tn_plugin_fail(tn_error *err, tn_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static inline tn_status tn_plugin_fail(tn_error *err, tn_status code, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        err->code = code;
        (void)vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return code;
}

/** *total += a * b; 0 when the result does not fit 63 bits (then *total is untouched), else 1. */
static inline int tn_plugin_add_product(uint64_t *total, uint64_t a, uint64_t b)
{
    const uint64_t limit = (uint64_t)INT64_MAX;
    if (*total > limit || (b && a > (limit - *total) / b))
        return 0;
    *total += a * b;
    return 1;
}

#endif
