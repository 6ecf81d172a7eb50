/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kv.params file of format i8-static (docs/numerics.md): JSON
 * {"format": "i8-static", "layers": [{"k": [[scale, zp], ...], "v": [[scale, zp], ...]}, ...]}, one
 * pair or one a kv head.
 */
#ifndef TN_RUNTIME_KV_PARAMS_H
#define TN_RUNTIME_KV_PARAMS_H

#include "core/base/status.h"

typedef struct tn_kv_params {
    int32_t n_layers, n_pairs; /* n_pairs: 1 or kv_heads, the same in every layer */
    const float **layer;       /* [n_layers] -> [n_pairs][4]: k_scale k_zp v_scale v_zp */
    float *values;
} tn_kv_params;

/** Errors: TN_INVALID with path and place for a file that is missing, not JSON, of another shape,
 * or with values that are not finite. */
tn_status tn_kv_params_load(const char *path, int32_t n_layers, int32_t kv_heads,
                            tn_kv_params **out, tn_error *err) TN_MUST_USE;
void tn_kv_params_destroy(tn_kv_params *params);

#endif
