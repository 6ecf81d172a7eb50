/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packed weights: tiles of 16 rows, in the order in which the dot products read them, the same for
 * every instruction set.
 *
 * f32, f16: [K][16] values. bf16: [K / 2][16][2], an even and an odd column in a lane, as dot
 * products of bf16 take them; K is padded to 2 with zeros.
 *
 * Coded kinds: f32 unit[16]; for each group of columns f16 scale[16], and f16 offset[16] (u4b) or
 * u8 zero[16] (u4z), padded together to 64 bytes; then codes, 4 columns ("a quad") of 16 rows in 64
 * bytes: q8 biased by 128, one quad each; u4 two quads in one, columns 8j..8j+3 in the low halves
 * and 8j+4..8j+7 in the high ones. K is padded to 32 with zeros.
 *
 * unit is a power of two by which a row's scales and offsets are multiplied when f16 would not
 * hold them as they are, so that bf16 and f32 scales keep 11 bits; else 1.
 */
#ifndef TN_PLUGINS_CPU_SIMD_WEIGHTS_H
#define TN_PLUGINS_CPU_SIMD_WEIGHTS_H

#include "plugins/common/plugin_util.h"
#include "plugins/cpu-simd/isa.h"

#include <stddef.h>

typedef struct simd_weights {
    int32_t kind;         /* SIMD_W_* */
    int32_t from_values;  /* 1: rows arrive as values and are coded here, as q8.g32 or u4b.g32
                             (K-quants) */
    int32_t cols, padded; /* K, and K as stored */
    int32_t most_steps; /* of recoded rows: those of a group lie on a grid of so many steps; 0: they
                           do not */
    int32_t group, n_groups;    /* columns a scale, a multiple of 32; coded kinds */
    uint64_t group_bytes;       /* parameters of one group */
    uint64_t codes, tile_bytes; /* offset of the codes in a tile; a tile */
} simd_weights;

/* What becomes of formats that arrive as values and have no kind of their own (K-quants). */
enum { SIMD_RECODE = 0, SIMD_KEEP_VALUES = 1 };

/** How to pack a format: by name, or any name when values is 1: as q8.g32 or u4b.g32, within class
 * w8, or kept as f32. */
tn_status simd_weights_init(const char *wfmt, int32_t group, int32_t values, int32_t cols,
                            int32_t keep, simd_weights *out, tn_error *why);
/** A kernel of class w8 takes the recoded formats and leaves the others to its twin, and the other
 * way round: recoded is what the kernel is for. */
tn_status simd_weights_check_twin(const simd_weights *w, int32_t recoded, const char *wfmt,
                                  tn_error *why);
static inline int32_t simd_is_coded(int32_t kind)
{
    return kind >= SIMD_W_U4Z;
}
/** Adds the bytes of `rows` rows, padded to whole tiles, to *total; 0 on overflow. */
int simd_weights_add_bytes(const simd_weights *w, int32_t rows, uint64_t *total);
/** Packs rows [row0, row0 + rows) into a part's tiles; row0 is a multiple of 16. */
tn_status simd_weights_pack(const simd_weights *w, const tn_weight_rows *rows, uint8_t *part,
                            tn_error *err);
/** scale * w of one row of a part, cols values. */
void simd_weights_row(const simd_weights *w, const uint8_t *part, int64_t row, float scale,
                      float *out);

#endif
