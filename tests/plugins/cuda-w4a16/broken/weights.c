/* SPDX-License-Identifier: Apache-2.0 */
/* cuda-w4a16's packing with the fault FAULT, if it is one of packing. */
#include "plugins/cuda-w4a16/weights.h"

#include "tests/plugins/cuda-w4a16/broken/faults.h"

tn_status sound_pack(const w4_weights *w, const tn_weight_rows *rows, int64_t row0, void *blob,
                     tn_error *err);

#define w4_weights_pack sound_pack
#include "plugins/cuda-w4a16/weights.c"
#undef w4_weights_pack

enum { MAX_PARAMS = 1 << 16 };

tn_status w4_weights_pack(const w4_weights *w, const tn_weight_rows *rows, int64_t row0, void *blob,
                          tn_error *err)
{
    static _Thread_local float scale[MAX_PARAMS], zero[MAX_PARAMS];
    const int32_t groups = w->cols / w->group, n = rows->rows * groups;
    tn_weight_rows changed = *rows;
    if (n > MAX_PARAMS)
        return tn_plugin_fail(err, TN_INVALID, "%d groups are more than a broken plugin packs", n);
    for (int32_t i = 0; i < n; i++) {
        const int32_t r = i / groups, g = i % groups;
        scale[i] = rows->scale[FAULT == TRANSPOSED_SCALE ? g * rows->rows + r : i];
        zero[i] = rows->zero[FAULT == NEIGHBOUR_ZERO ? r * groups + (g + 1) % groups : i];
    }
    changed.scale = scale;
    changed.zero = zero;
    return sound_pack(w, &changed, row0, blob, err);
}
