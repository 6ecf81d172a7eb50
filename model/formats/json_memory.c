/* SPDX-License-Identifier: Apache-2.0 */
#include "model/formats/json_memory.h"

#include "core/base/alloc.h"

#include <jansson.h>
#include <stdatomic.h>

/* jansson has no room for a hook's context, so this is of the process. */
static atomic_uint failures;

static void *allocate(size_t n)
{
    void *block = tn_alloc(n);
    if (!block)
        atomic_fetch_add(&failures, 1);
    return block;
}

void tn_json_count_failures(void)
{
    json_set_alloc_funcs(allocate, tn_free);
}

uint32_t tn_json_failures(void)
{
    return atomic_load(&failures);
}
