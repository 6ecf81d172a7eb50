/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KV blocks as f32, for people and the checker. The layouts of the catalogue formats are not the
 * plugin's to choose: a block holds its heads one after the other, each with K[T][D], V[T][D] and,
 * for i8, Kparam[T] and Vparam[T] of {scale, zero} in f16. Source: docs/ops.md.
 */
#ifndef TN_RUNTIME_KV_VALUES_H
#define TN_RUNTIME_KV_VALUES_H

#include "core/base/status.h"

#include <tenon/plugin.h>

/**
 * A block in host memory as k, v: f32 [kv_heads][block_tokens][head_dim] each. TN_UNSUPPORTED for a
 * format that is not in the catalogue: its plugin has to_f32. Thread: pure.
 */
tn_status tn_kv_block_values(const char *format, const tn_attention *attention,
                             int32_t block_tokens, const void *block, float *k, float *v,
                             tn_error *err) TN_MUST_USE;

#endif
