/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/log.h"

#include <pthread.h>
#include <stdio.h>

enum { MAX_LINE_BYTES = 1024 };

/* The one mutable global of the core (docs/style.md 12): libraries have no handle to log through.
 */
static struct {
    pthread_mutex_t lock;
    tn_log_sink sink;
    void *ctx;
    int32_t level;
} state = { .lock = PTHREAD_MUTEX_INITIALIZER, .level = TN_LOG_WARNING };

void tn_log_configure(int32_t level, tn_log_sink sink, void *ctx)
{
    pthread_mutex_lock(&state.lock);
    state.level = level;
    state.sink = sink;
    state.ctx = ctx;
    pthread_mutex_unlock(&state.lock);
}

void tn_log(int32_t level, const char *module, const char *format, ...)
{
    char text[MAX_LINE_BYTES];
    va_list args;

    pthread_mutex_lock(&state.lock);
    if (level > state.level)
        goto out;
    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (n < 0)
        goto out;
    if (state.sink)
        state.sink(state.ctx, level, module, text);
    else
        fprintf(stderr, "tenon: %s: %s\n", module, text);
out:
    pthread_mutex_unlock(&state.lock);
}
