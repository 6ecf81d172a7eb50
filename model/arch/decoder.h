/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder that Llama (Touvron et al. 2023) and its relatives share: RMSNorm, rotary positions, grouped-query attention and a
 * gated feed-forward, with what the description asks for beyond: norms of q and k, a window, scales, logn; and a bias wherever the
 * model file has one. An architecture of this kind is a call of it. Thread: reentrant.
 */
#ifndef TN_MODEL_ARCH_DECODER_H
#define TN_MODEL_ARCH_DECODER_H

#include "model/arch/arch.h"

/* What a model of the architecture must have, or its file is refused. */
enum { TN_DECODER_QKV_BIAS = 1, TN_DECODER_QK_NORM = 2 };

/** tn_arch.build; needs: of TN_DECODER_*. */
void tn_decoder_build(tn_graph *g, int32_t n_layers, uint32_t needs);

#endif
