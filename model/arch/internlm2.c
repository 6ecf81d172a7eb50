/* SPDX-License-Identifier: Apache-2.0 */
/* InternLM2 (Cai et al. 2024): Llama; that q, k and v are one tensor in its files is model/formats'
 * matter. */
#include "model/arch/decoder.h"

static void build(tn_graph *g, int32_t n_layers)
{
    tn_decoder_build(g, n_layers, 0);
}

const tn_arch tn_arch_internlm2 = { .name = "internlm2",
                                    .text = "InternLM 2, 2.5",
                                    .build = build };
