/* SPDX-License-Identifier: Apache-2.0 */
/* Families of Hugging Face models: one row each, and what only they have. */
#include "model/formats/hf_config.h"

#include <string.h>

static bool is_absent(const tn_hf_config *c, const char *key)
{
    return !json_object_get(c->json.object, key); /* null is a value: "none" */
}

static bool read_bool(tn_hf_config *c, const char *key, bool value)
{
    tn_json_bool(&c->json, key, &value);
    return value;
}

/* configuration_llama.py */
static void read_llama(tn_hf_config *c)
{
    c->biases = (read_bool(c, "attention_bias", false) ? TN_HF_BIAS_QKV | TN_HF_BIAS_OUT : 0) |
                (read_bool(c, "mlp_bias", false) ? TN_HF_BIAS_MLP : 0);
}

/* configuration_mistral.py */
static void read_mistral(tn_hf_config *c)
{
    c->desc.window = is_absent(c, "sliding_window") ? 4096 : 0;
    tn_json_int32(&c->json, "sliding_window", 1, TN_HF_MAX_CONTEXT, &c->desc.window);
}

/* configuration_internlm.py and modeling_internlm.py of internlm/internlm-chat-7b: positions are in
 * `rotary`. */
static void read_internlm(tn_hf_config *c)
{
    tn_rope_desc *rope = &c->desc.rope;
    c->biases = read_bool(c, "bias", true) ? TN_HF_BIAS_QKV | TN_HF_BIAS_OUT : 0;
    tn_json_reader rotary = tn_json_object(&c->json, "rotary", "config.json: rotary");
    const char *type = "origin";
    tn_json_positive(&rotary, "base", &rope->base);
    tn_json_string(&rotary, "type", &type);
    if (strcmp(type, "dynamic") == 0) {
        rope->scaling = TN_ROPE_SCALING_DYNAMIC;
        tn_json_positive(&rotary, "scaling_factor", &rope->factor);
    } else if (strcmp(type, "origin") != 0) {
        tn_json_fail(&rotary, TN_UNSUPPORTED, "type is \"%.64s\"; origin and dynamic are supported",
                     type);
    }
    tn_json_merge(&c->json, &rotary);
}

/* configuration_internlm2.py of internlm/internlm2-chat-7b */
static void read_internlm2(tn_hf_config *c)
{
    c->biases = read_bool(c, "bias", true) ? TN_HF_BIAS_QKV | TN_HF_BIAS_OUT : 0;
}

/* The layers from max_window_layers on look back a window only, the ones before it at everything;
 * newer files say the same in layer_types. configuration_qwen2.py */
static void read_qwen_window(tn_hf_config *c)
{
    tn_model_desc *d = &c->desc;
    if (read_bool(c, "use_sliding_window", false)) {
        d->window = 4096;
        d->window_layer = 28;
        tn_json_int32(&c->json, "sliding_window", 1, TN_HF_MAX_CONTEXT, &d->window);
        tn_json_int32(&c->json, "max_window_layers", 0, TN_HF_MAX_LAYERS, &d->window_layer);
    }
    const json_t *types = tn_json_get(&c->json, "layer_types");
    for (int32_t i = 0; i < d->n_layers && json_is_array(types); i++) {
        const bool has_window = d->window > 0 && i >= d->window_layer;
        const char *type = json_string_value(json_array_get(types, (size_t)i));
        const char *needed = has_window ? "sliding_attention" : "full_attention";
        if (!type || strcmp(type, needed) != 0)
            tn_json_fail(&c->json, TN_UNSUPPORTED,
                         "layer_types[%d] is \"%.64s\"; by use_sliding_window and "
                         "max_window_layers it is %s, and no other pattern is supported",
                         (int)i, type ? type : "", needed);
    }
}

static void read_qwen2(tn_hf_config *c)
{
    c->biases = TN_HF_BIAS_QKV;
    read_qwen_window(c);
}

/* configuration_qwen3.py */
static void read_qwen3(tn_hf_config *c)
{
    c->desc.qk_norm = 1;
    c->biases = read_bool(c, "attention_bias", false) ? TN_HF_BIAS_QKV | TN_HF_BIAS_OUT : 0;
    read_qwen_window(c);
}

static const tn_hf_family families[] = {
    { "llama", "LlamaForCausalLM", "llama", &tn_hf_names_llama, 0, 0, read_llama },
    { "mistral", "MistralForCausalLM", "mistral", &tn_hf_names_llama, 8, 0, read_mistral },
    { "internlm", "InternLMForCausalLM", "internlm", &tn_hf_names_llama, 0, 0, read_internlm },
    { "internlm2", "InternLM2ForCausalLM", "internlm2", &tn_hf_names_internlm2, 0, 0,
      read_internlm2 },
    { "qwen2", "Qwen2ForCausalLM", "qwen2", &tn_hf_names_llama, 32, 0, read_qwen2 },
    { "qwen3", "Qwen3ForCausalLM", "qwen3", &tn_hf_names_qwen3, 32, 128, read_qwen3 },
};
enum { N_FAMILIES = (int)(sizeof(families) / sizeof(families[0])) };

const tn_hf_family *tn_hf_family_find(const char *model_type)
{
    for (int i = 0; i < N_FAMILIES; i++)
        if (strcmp(families[i].model_type, model_type) == 0)
            return &families[i];
    return NULL;
}

void tn_hf_family_list(tn_strbuf *out)
{
    for (int i = 0; i < N_FAMILIES; i++)
        tn_strbuf_printf(out, "%s%s", i ? ", " : "", families[i].model_type);
}
