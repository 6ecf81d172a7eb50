/* SPDX-License-Identifier: Apache-2.0 */
/* Llama 2 and 3 (Touvron et al. 2023; Grattafiori et al. 2024). In GGUF files Mistral is one too.
 */
#include "model/arch/decoder.h"

static void build(tn_graph *g, int32_t n_layers)
{
    tn_decoder_build(g, n_layers, 0);
}

const tn_arch tn_arch_llama = { .name = "llama", .text = "Llama 2, 3", .build = build };
