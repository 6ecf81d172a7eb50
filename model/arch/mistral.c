/* SPDX-License-Identifier: Apache-2.0 */
/* Mistral (Jiang et al. 2023): Llama, whose attention looks back a window only. */
#include "model/arch/decoder.h"

static void build(tn_graph *g, int32_t n_layers)
{
    tn_decoder_build(g, n_layers, 0);
}

const tn_arch tn_arch_mistral = { .name = "mistral", .text = "Mistral", .build = build };
