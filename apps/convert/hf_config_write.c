/* SPDX-License-Identifier: Apache-2.0 */
/* Keys: transformers' configuration classes and modeling_rope_utils.py. */
#include "apps/convert/convert_impl.h"

#include <string.h>

static json_t *numbers(const float *values, int32_t n)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < n && list; i++)
        (void)json_array_append_new(list, json_real((double)values[i]));
    return list;
}

static void set(json_t *object, const char *key, json_t *value)
{
    (void)json_object_set_new(object, key, value);
}

static void set_positive(json_t *object, const char *key, float value)
{
    if (value > 0)
        set(object, key, json_real((double)value));
}

/* GGUF's factors without a type are Llama 3's scaling worked out; longrope with the same factors
 * for any length says exactly that. */
static json_t *rope_scaling(const tn_model_desc *d)
{
    static const char *const types[] = { [TN_ROPE_SCALING_LINEAR] = "linear",
                                         [TN_ROPE_SCALING_YARN] = "yarn",
                                         [TN_ROPE_SCALING_LONGROPE] = "longrope" };
    const tn_rope_desc *r = &d->rope;
    const int32_t n = r->rotary_dim / 2;
    const bool is_worked_out = r->freq_factors && !r->long_factors;
    if (r->scaling == TN_ROPE_SCALING_NONE && !is_worked_out)
        return json_null();
    json_t *s = json_object();
    set(s, "rope_type", json_string(is_worked_out ? "longrope" : types[r->scaling]));
    set(s, "factor", json_real((double)r->factor));
    if (r->scaling != TN_ROPE_SCALING_LINEAR)
        set(s, "original_max_position_embeddings",
            json_integer(r->original_length ? r->original_length : d->max_length));
    if (r->freq_factors) {
        set(s, "short_factor", numbers(r->freq_factors, n));
        set(s, "long_factor", numbers(r->long_factors ? r->long_factors : r->freq_factors, n));
    }
    if (r->scaling == TN_ROPE_SCALING_YARN) {
        set_positive(s, "beta_fast", r->beta_fast);
        set_positive(s, "beta_slow", r->beta_slow);
    }
    set_positive(s, "attention_factor", is_worked_out ? 1.0f : r->attention_factor);
    return s;
}

static void set_id(json_t *object, const char *key, int32_t id)
{
    if (id >= 0)
        set(object, key, json_integer(id));
}

static void set_family(json_t *c, const tn_model_desc *d, const tn_hf_family *family,
                       uint32_t biases)
{
    const bool is_qwen = strncmp(family->model_type, "qwen", 4) == 0;
    if (strcmp(family->model_type, "internlm2") == 0)
        set(c, "bias", json_boolean(biases & TN_HF_BIAS_OUT));
    if (strcmp(family->model_type, "llama") == 0)
        set(c, "mlp_bias", json_boolean(biases & TN_HF_BIAS_MLP));
    if (strcmp(family->model_type, "llama") == 0 || strcmp(family->model_type, "qwen3") == 0)
        set(c, "attention_bias", json_boolean(biases & TN_HF_BIAS_OUT));
    set(c, "sliding_window", d->window ? json_integer(d->window) : json_null());
    if (is_qwen)
        set(c, "use_sliding_window", json_boolean(d->window));
    if (is_qwen && d->window)
        set(c, "max_window_layers", json_integer(d->window_layer));
}

json_t *tn_convert_config(const tn_model_desc *d, const tn_vocab *vocab, const tn_hf_family *family,
                          uint32_t biases, bool is_tied)
{
    json_t *c = json_object();
    set(c, "architectures", json_pack("[s]", family->class_name));
    set(c, "model_type", json_string(family->model_type));
    set(c, "vocab_size", json_integer(d->vocab));
    set(c, "hidden_size", json_integer(d->dim));
    set(c, "intermediate_size", json_integer(d->ffn));
    set(c, "num_hidden_layers", json_integer(d->n_layers));
    set(c, "num_attention_heads", json_integer(d->heads));
    set(c, "num_key_value_heads", json_integer(d->kv_heads));
    set(c, "head_dim", json_integer(d->head_dim));
    set(c, "max_position_embeddings", json_integer(d->max_length));
    set(c, "rms_norm_eps", json_real((double)d->norm_eps));
    set(c, "rope_theta", json_real((double)d->rope.base));
    set(c, "rope_scaling", rope_scaling(d));
    if (d->rope.rotary_dim != d->head_dim)
        set(c, "partial_rotary_factor", json_real((double)d->rope.rotary_dim / d->head_dim));
    set(c, "hidden_act", json_string("silu"));
    set(c, "tie_word_embeddings", json_boolean(is_tied));
    set_id(c, "bos_token_id", vocab->bos);
    set_id(c, "eos_token_id", vocab->eos);
    set_family(c, d, family, biases);
    return c;
}

/* Loaders ask for f16, the type of the scales; what stays plain is what AWQ never packs. */
void tn_convert_config_awq(json_t *config, const tn_hf_family *family)
{
    set(config, "torch_dtype", json_string("float16"));
    set(config, "quantization_config",
        json_pack("{sssssisisbs[ss]}", "quant_method", "awq", "version", "gemm", "bits", 4,
                  "group_size", 32, "zero_point", 1, "modules_to_not_convert", family->names->embed,
                  family->names->head));
}

json_t *tn_convert_generation_config(const tn_vocab *vocab)
{
    json_t *c = json_object(), *ends = json_array();
    set_id(c, "bos_token_id", vocab->bos);
    if (vocab->eos >= 0)
        (void)json_array_append_new(ends, json_integer(vocab->eos));
    if (vocab->eot >= 0 && vocab->eot != vocab->eos)
        (void)json_array_append_new(ends, json_integer(vocab->eot));
    if (json_array_size(ends))
        set(c, "eos_token_id", json_incref(ends));
    json_decref(ends);
    return c;
}
