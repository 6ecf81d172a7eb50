/* SPDX-License-Identifier: Apache-2.0 */
/* Qwen2 and 2.5 (Yang et al. 2024): Llama with biases of q, k and v. */
#include "model/arch/decoder.h"

static void build(tn_graph *g, int32_t n_layers)
{
    tn_decoder_build(g, n_layers, TN_DECODER_QKV_BIAS);
}

const tn_arch tn_arch_qwen2 = { .name = "qwen2", .text = "Qwen 2, 2.5", .build = build };
