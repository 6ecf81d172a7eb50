/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qk_norm, rope, kv_write and rope_kv_write read alike: which steps an op has, and what its
 * parameters must say. Arithmetic stays in each plugin. Thread: any; all is pure.
 */
#ifndef TN_PLUGINS_COMMON_ROPE_OP_H
#define TN_PLUGINS_COMMON_ROPE_OP_H

#include "plugins/common/plugin_util.h"

#include <string.h>

/** What an op does, with the parameters of what it does; those of other steps are NULL. */
typedef struct tn_rope_steps {
    int32_t norm, rotate, write;
    const tn_rope *rope;           /* norm, rotate */
    const tn_attention *attention; /* write */
} tn_rope_steps;

static inline tn_rope_steps tn_rope_steps_of(const tn_node *node)
{
    if (strcmp(node->op, "kv_write") == 0)
        return (tn_rope_steps){ .write = 1, .attention = node->param };
    const tn_rope *rope = node->param;
    if (strcmp(node->op, "rope_kv_write") == 0)
        return (tn_rope_steps){ .norm = rope->qk_norm != 0,
                                .rotate = 1,
                                .write = 1,
                                .rope = rope,
                                .attention = node->param2 };
    int32_t rotate = strcmp(node->op, "rope") == 0;
    return (tn_rope_steps){ .norm = !rotate, .rotate = rotate, .rope = rope };
}

/** TN_UNSUPPORTED for heads, sizes and pairings that no plugin takes, and heads past max_head_dim.
 */
static inline tn_status tn_rope_check(const tn_rope_steps *steps, int32_t max_head_dim,
                                      tn_error *why)
{
    const tn_rope *rope = steps->rope;
    if (rope->heads < 1 || rope->kv_heads < 1 || rope->head_dim < 1 ||
        rope->head_dim > max_head_dim)
        return tn_plugin_fail(why, TN_UNSUPPORTED,
                              "%d heads and %d kv heads of size %d, sizes 1 to %d are taken",
                              rope->heads, rope->kv_heads, rope->head_dim, max_head_dim);
    if (!steps->rotate)
        return TN_OK;
    if (rope->rotary_dim < 2 || rope->rotary_dim % 2 || rope->rotary_dim > rope->head_dim)
        return tn_plugin_fail(why, TN_UNSUPPORTED,
                              "rotary width %d, it must be even and 2 to the head size %d",
                              rope->rotary_dim, rope->head_dim);
    if (rope->pairing != TN_ROPE_HALVES && rope->pairing != TN_ROPE_INTERLEAVED)
        return tn_plugin_fail(why, TN_UNSUPPORTED,
                              "rope pairing %d, 1 (halves) and 2 (interleaved) are known",
                              rope->pairing);
    return TN_OK;
}

/** TN_UNSUPPORTED unless the two parameters of rope_kv_write mean the same heads. */
static inline tn_status tn_rope_check_agreement(const tn_rope_steps *steps, tn_error *why)
{
    const tn_rope *rope = steps->rope;
    const tn_attention *attention = steps->attention;
    if (rope->heads == attention->heads && rope->kv_heads == attention->kv_heads &&
        rope->head_dim == attention->head_dim)
        return TN_OK;
    return tn_plugin_fail(why, TN_UNSUPPORTED,
                          "rope has %d/%d heads of size %d, attention has %d/%d of size %d",
                          rope->heads, rope->kv_heads, rope->head_dim, attention->heads,
                          attention->kv_heads, attention->head_dim);
}

#endif
