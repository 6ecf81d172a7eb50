/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/result.h"

#include "core/base/alloc.h"
#include "model/formats/printable.h"

#include <stdio.h>
#include <string.h>

enum { MAX_TEXT = 1024 };

tn_check_result *tn_check_results_add(tn_check_results *all, int32_t part, const char *node)
{
    if (all->n == all->capacity) {
        const int32_t capacity = all->capacity ? 2 * all->capacity : 64;
        tn_check_result *item = tn_realloc_array(all->item, (size_t)capacity, sizeof *item);
        if (!item)
            return NULL;
        all->item = item;
        all->capacity = capacity;
    }
    tn_check_result *r = &all->item[all->n++];
    *r = (tn_check_result){ .part = part,
                            .layer = -1,
                            .node = tn_check_results_text(all, "%s", node),
                            .op = "",
                            .plugin = "",
                            .kernel = "",
                            .tolerance = "",
                            .shape = "",
                            .signature = "",
                            .metric = "",
                            .text = "",
                            .repro = "" };
    return r;
}

void tn_check_results_deinit(tn_check_results *all)
{
    tn_free(all->item);
    tn_arena_deinit(&all->arena);
    *all = (tn_check_results){ 0 };
}

const char *tn_check_results_text(tn_check_results *all, const char *format, ...)
{
    char text[MAX_TEXT];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    tn_strbuf printable = TN_STRBUF(4 * MAX_TEXT);
    tn_put_printable(&printable, text, strlen(text));
    const char *copy = tn_arena_strdup(&all->arena, tn_strbuf_text(&printable));
    tn_strbuf_deinit(&printable);
    return copy ? copy : "";
}

const char *tn_check_part_name(int32_t part)
{
    static const char *const names[TN_CHECK_PARTS] = { "plugin", "ops", "lockstep", "free run",
                                                       "claims" };
    return names[part];
}
