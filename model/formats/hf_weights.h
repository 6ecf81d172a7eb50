/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tensors of a Hugging Face model under the core's names. Every tensor that the family's table
 * lists is there, and no other. Thread: immutable after tn_hf_weights_map; rows may be read by
 * several threads.
 */
#ifndef TN_MODEL_FORMATS_HF_WEIGHTS_H
#define TN_MODEL_FORMATS_HF_WEIGHTS_H

#include "model/formats/hf_config.h"
#include "model/formats/hf_quant.h"

/* A tensor of the core. */
typedef struct tn_hf_weight {
    tn_weight_info info;
    const tn_hf_source_tensor *from; /* or the codes of a packed one */
    const tn_weight_format *format;  /* NULL: packed */
    tn_hf_packed packed;
    int32_t part; /* TN_HF_WHOLE ... */
} tn_hf_weight;

typedef struct tn_hf_weights {
    tn_hf_weight *weight; /* by ascending name */
    size_t n_weights;
    int32_t group, kv_heads, head_dim; /* of TN_HF_PACKED_*: query heads a kv head */
    tn_hf_shards *shards;
} tn_hf_weights;

/** shards is borrowed, everything else is in `arena`. TN_INVALID for a tensor that is missing, left
 * over or of a wrong shape. */
tn_status tn_hf_weights_map(tn_hf_weights *w, tn_hf_shards *shards, const tn_hf_config *config,
                            const tn_hf_quant *quant, tn_arena *arena, tn_error *err) TN_MUST_USE;
/** w is borrowed. */
tn_weight_source tn_hf_weights_source(tn_hf_weights *w, uint64_t id);

#endif
