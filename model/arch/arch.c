/* SPDX-License-Identifier: Apache-2.0 */
#include "model/arch/arch.h"

#include <string.h>

static const tn_arch *const archs[] = { &tn_arch_llama,     &tn_arch_mistral, &tn_arch_internlm,
                                        &tn_arch_internlm2, &tn_arch_qwen2,   &tn_arch_qwen3 };
enum { N_ARCHS = sizeof archs / sizeof archs[0] };

const tn_arch *tn_arch_find(const char *name)
{
    for (int i = 0; i < N_ARCHS; i++)
        if (strcmp(archs[i]->name, name) == 0)
            return archs[i];
    return NULL;
}

static tn_status unknown(const char *name, tn_error *err)
{
    tn_strbuf known = TN_STRBUF(1024);
    for (int i = 0; i < N_ARCHS; i++)
        tn_strbuf_printf(&known, "%s%s", i ? ", " : "", archs[i]->name);
    tn_status status =
        tn_fail(err, TN_UNSUPPORTED, "architecture \"%s\" is not supported; these run: %s", name,
                tn_strbuf_text(&known));
    tn_strbuf_deinit(&known);
    return status;
}

tn_status tn_arch_build(const tn_model_desc *desc, const tn_weight_source *source,
                        int32_t max_layers, tn_graph *out, tn_error *err)
{
    const tn_arch *arch = tn_arch_find(desc->arch);
    *out = (tn_graph){ .logits = -1, .argmax = -1 };
    if (!arch)
        return unknown(desc->arch, err);
    TN_TRY(tn_graph_init(out, desc, source, err));
    arch->build(out, max_layers > 0 && max_layers < desc->n_layers ? max_layers : desc->n_layers);
    tn_status status = tn_graph_finish(out, err);
    if (status)
        tn_graph_deinit(out);
    return status;
}
