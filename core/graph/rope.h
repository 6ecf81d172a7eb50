/* SPDX-License-Identifier: Apache-2.0 */
/* Rope frequency tables: inverse frequencies by scaling type. Plugins see inverse frequencies only. */
#ifndef TN_CORE_GRAPH_ROPE_H
#define TN_CORE_GRAPH_ROPE_H

#include "core/graph/model_desc.h"
#include "core/base/status.h"

/**
 * inv_freq[rotary_dim / 2] for one sequence; length: original prompt + max_tokens of it, used by dynamic NTK (and longrope), and
 * ignored by the others. Sources: docs/numerics.md#rope.
 */
tn_status tn_rope_inv_freq(const tn_rope_desc *rope, int32_t max_length, int32_t length, float *inv_freq, tn_error *err) TN_MUST_USE;
/** 1 when a sequence's row depends on its length. */
int32_t tn_rope_depends_on_length(const tn_rope_desc *rope);
/** Attention factor that multiplies cos and sin (tn_rope.mscale); 1 for most. */
float tn_rope_mscale(const tn_rope_desc *rope, int32_t max_length);

#endif
