/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of a weight format with values of a given size: encoded where there is an encoder, random
 * codes under fitting scales where there is none. The same on every machine. */
#ifndef TN_TESTS_SUPPORT_TINY_BLOCKS_H
#define TN_TESTS_SUPPORT_TINY_BLOCKS_H

#include "model/formats/weight_format.h"

#include <stddef.h>

/** n_blocks blocks of mean 0 (or near) and the given deviation. values: room for their elements,
 * holds nothing of use afterwards. */
void tn_tiny_blocks_make(const tn_weight_format *f, uint64_t *random, float deviation,
                         size_t n_blocks, float *values, uint8_t *blocks);
/** The f32 values of blocks. */
tn_status tn_tiny_blocks_values(const tn_weight_format *f, const uint8_t *blocks, size_t n_blocks,
                                float *values, tn_error *err) TN_MUST_USE;

#endif
