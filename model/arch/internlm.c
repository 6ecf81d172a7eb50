/* SPDX-License-Identifier: Apache-2.0 */
/* InternLM (InternLM Team 2023): Llama, whose attention linears may have biases. */
#include "model/arch/decoder.h"

static void build(tn_graph *g, int32_t n_layers)
{
    tn_decoder_build(g, n_layers, 0);
}

const tn_arch tn_arch_internlm = { .name = "internlm", .text = "InternLM", .build = build };
