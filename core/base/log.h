/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines to one sink (default: warnings and errors to stderr). Thread: locked. Never log and return the same error. */
#ifndef TN_CORE_BASE_LOG_H
#define TN_CORE_BASE_LOG_H

#include "core/base/status.h"

enum { TN_LOG_ERROR = 0, TN_LOG_WARNING = 1, TN_LOG_INFO = 2, TN_LOG_DEBUG = 3 };

typedef void (*tn_log_sink)(void *ctx, int32_t level, const char *module, const char *text);

/** Lines above `level` are dropped. sink NULL restores stderr ("tenon: module: text"). Set before threads start. */
void tn_log_configure(int32_t level, tn_log_sink sink, void *ctx);
void tn_log(int32_t level, const char *module, const char *format, ...) TN_PRINTF(3, 4);

#endif
