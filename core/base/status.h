/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Status and errors inside the host. Codes are those of <tenon/plugin.h>, so they cross the plugin border unchanged.
 * A fallible function returns tn_status and takes a caller-owned tn_error (NULL allowed) as its last parameter:
 *
 *     if (rows > max_rows)
 *         return tn_fail(err, TN_INVALID, "%s: %d rows, at most %d are allowed", name, rows, max_rows);
 *
 * A message is one line without a trailing period: what is wrong, where, what is allowed, what to do.
 */
#ifndef TN_CORE_BASE_STATUS_H
#define TN_CORE_BASE_STATUS_H

#include <tenon/plugin.h>

#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TN_MUST_USE __attribute__((warn_unused_result))
#define TN_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))

/* Return early on failure; only where nothing needs releasing. */
#define TN_TRY(call)                                                                               \
    do {                                                                                           \
        tn_status tn_try_status = (call);                                                          \
        if (tn_try_status)                                                                         \
            return tn_try_status;                                                                  \
    } while (0)

/** Set *err (if not NULL) to code and the formatted text, cut at 251 bytes on a UTF-8 border; returns code. */
tn_status tn_fail(tn_error *err, tn_status code, const char *format, ...) TN_PRINTF(3, 4);
tn_status tn_fail_v(tn_error *err, tn_status code, const char *format, va_list args) TN_PRINTF(3, 0);

/** Prefix err's text with "formatted: "; its code stays. Use once, at a module border. Returns err->code, or `code` when err is NULL. */
tn_status tn_error_wrap(tn_error *err, tn_status code, const char *format, ...) TN_PRINTF(3, 4);

/** "cannot allocate memory for WHAT" (what: "the block pool"). Returns TN_NO_MEMORY. */
tn_status tn_fail_memory(tn_error *err, const char *what);

/** Short English name of a code: "ok", "unsupported", "unavailable", "no memory", "invalid", "device lost", "internal". */
const char *tn_status_name(tn_status code);

#ifdef __cplusplus
}
#endif
#endif
