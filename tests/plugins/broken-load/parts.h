/* SPDX-License-Identifier: Apache-2.0 */
/* What a correct plugin has, for plugins that are wrong in one place. */
#ifndef TN_TESTS_BROKEN_LOAD_PARTS_H
#define TN_TESTS_BROKEN_LOAD_PARTS_H

#include "plugins/common/sanitizer.h"

#include <tenon/plugin.h>

#include <stddef.h>

static inline tn_status part_supports(void *self, const tn_node *node, tn_error *why)
{
    (void)self;
    (void)node;
    (void)why;
    return TN_OK;
}

static inline tn_status part_run(void *self, const tn_node *node, const tn_launch *launch,
                                 tn_error *err)
{
    (void)self;
    (void)node;
    (void)launch;
    (void)err;
    return TN_OK;
}

#define PART_KERNEL                                                                                \
    .size = sizeof(tn_kernel), .op = "add", .name = "broken.add", .tolerance = "exact",            \
    .supports = part_supports, .run = part_run
#define PART_PLUGIN                                                                                \
    .size = sizeof(tn_plugin), .minor = TN_ABI_MINOR, .sanitizer = TN_SANITIZER, .name = "broken", \
    .version = "1", .domain = "host"

#endif
