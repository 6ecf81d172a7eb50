/* SPDX-License-Identifier: Apache-2.0 */
/* Qwen3 (Yang et al. 2025): Llama with norms of q and k. */
#include "model/arch/decoder.h"

static void build(tn_graph *g, int32_t n_layers)
{
    tn_decoder_build(g, n_layers, TN_DECODER_QK_NORM);
}

const tn_arch tn_arch_qwen3 = { .name = "qwen3", .text = "Qwen 3", .build = build };
