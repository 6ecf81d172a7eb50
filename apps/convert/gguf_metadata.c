/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model's description as metadata: keys of ggml's docs/gguf.md and llama.cpp's llama-arch.cpp,
 * values as llama.cpp's convert_hf_to_gguf.py gives them, the reverse of model/formats/gguf_desc.c.
 */
#include "apps/convert/convert_impl.h"
#include "core/graph/rope.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- what GGUF can say ---- */

static tn_status find_extra_bias(tn_model_file *file, const char *arch, bool *out, tn_error *err)
{
    *out = false;
    for (int32_t i = 0; i < tn_model_file_n_tensors(file) && !*out; i++) {
        tn_weight_info info;
        tn_convert_bias bias;
        TN_TRY(tn_model_file_tensor(file, i, &info, err));
        TN_TRY(tn_convert_gguf_bias(file, arch, &info, &bias, err));
        *out = bias == TN_BIAS_EXTRA;
    }
    return TN_OK;
}

/* What is in the description and has no key. */
static tn_status check_sayable(const tn_model_desc *d, tn_error *err)
{
    const char *what = d->rope.scaling == TN_ROPE_SCALING_DYNAMIC ? "dynamic rope scaling"
                       : d->logn_length                           ? "logn attention"
                       : d->act != TN_ACT_SILU                    ? "another activation than silu"
                       : d->window && d->window_layer > 0 && d->window_layer < d->n_layers
                           ? "a sliding window from a layer on"
                           : NULL;
    if (!what)
        return TN_OK;
    return tn_fail(err, TN_UNSUPPORTED,
                   "the model has %s, which a GGUF file cannot say; run the directory as it is",
                   what);
}

tn_status tn_convert_gguf_arch(const tn_model_desc *d, tn_model_file *file,
                               tn_convert_gguf_target *out, tn_error *err)
{
    /* Rows of q and k are permuted where llama.cpp rotates neighbours (llama_model_rope_type). */
    static const struct {
        const char *arch;
        tn_convert_gguf_target target;
    } known[] = { { "llama", { "llama", true } },         { "mistral", { "llama", true } },
                  { "internlm", { "llama", true } },      { "qwen2", { "qwen2", false } },
                  { "internlm2", { "internlm2", true } }, { "qwen3", { "qwen3", false } } };
    *out = (tn_convert_gguf_target){ 0 };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i].arch, d->arch) == 0)
            *out = known[i].target;
    if (!out->arch)
        return tn_fail(err, TN_UNSUPPORTED, "architecture \"%s\" cannot be converted", d->arch);
    /* llama.cpp takes biases past Qwen 2's of q, k and v in Llama only; InternLM2 is one, once q, k
     * and v are apart. */
    bool has_bias = false;
    TN_TRY(find_extra_bias(file, d->arch, &has_bias, err));
    if (has_bias && strcmp(out->arch, "internlm2") == 0)
        out->arch = "llama";
    if (has_bias && strcmp(out->arch, "llama") != 0)
        return tn_fail(err, TN_UNSUPPORTED,
                       "the model has biases that a GGUF file of the architecture "
                       "%s has not; run the directory as it is",
                       out->arch);
    return check_sayable(d, err);
}

/* ---- keys ---- */

typedef struct putter {
    tn_gguf_writer *w;
    const char *arch;
    char key[128]; /* of the last call of key_of */
} putter;

static const char *key_of(putter *p, const char *suffix)
{
    (void)snprintf(p->key, sizeof p->key, "%s.%s", p->arch, suffix);
    return p->key;
}

static void put_u32(putter *p, const char *suffix, int32_t value)
{
    tn_gguf_put_u32(p->w, key_of(p, suffix), (uint32_t)value);
}

static void put_positive(putter *p, const char *suffix, float value)
{
    if (value > 0)
        tn_gguf_put_f32(p->w, key_of(p, suffix), value);
}

static void put_type(putter *p, const char *type)
{
    tn_gguf_put_string(p->w, key_of(p, "rope.scaling.type"), type, strlen(type));
}

/* longrope has no factor here: llama.cpp would divide positions by it. */
static void put_rope(putter *p, const tn_model_desc *d)
{
    const tn_rope_desc *r = &d->rope;
    put_u32(p, "rope.dimension_count", r->rotary_dim);
    put_positive(p, "rope.freq_base", r->base);
    if (r->scaling == TN_ROPE_SCALING_LINEAR) {
        put_type(p, "linear");
        put_positive(p, "rope.scaling.factor", r->factor);
    }
    if (r->scaling != TN_ROPE_SCALING_YARN && r->scaling != TN_ROPE_SCALING_LONGROPE)
        return;
    put_u32(p, "rope.scaling.original_context_length",
            r->original_length ? r->original_length : d->max_length);
    if (r->scaling == TN_ROPE_SCALING_LONGROPE) {
        put_type(p, "longrope");
        put_positive(p, "rope.scaling.attn_factor", tn_rope_mscale(r, d->max_length));
        return;
    }
    put_type(p, "yarn");
    put_positive(p, "rope.scaling.factor", r->factor);
    put_positive(p, "rope.scaling.yarn_beta_fast", r->beta_fast);
    put_positive(p, "rope.scaling.yarn_beta_slow", r->beta_slow);
    if (r->attention_factor > 0) /* GGUF's multiplies YaRN's own */
        put_positive(p, "rope.scaling.attn_factor",
                     r->attention_factor / (0.1f * logf(r->factor) + 1.0f));
}

void tn_convert_gguf_model(const tn_model_desc *d, const char *arch, tn_gguf_writer *w)
{
    putter p = { .w = w, .arch = arch };
    put_u32(&p, "block_count", d->n_layers);
    put_u32(&p, "context_length", d->max_length);
    put_u32(&p, "embedding_length", d->dim);
    put_u32(&p, "feed_forward_length", d->ffn);
    put_u32(&p, "attention.head_count", d->heads);
    put_u32(&p, "attention.head_count_kv", d->kv_heads);
    put_u32(&p, "attention.key_length", d->head_dim);
    put_u32(&p, "attention.value_length", d->head_dim);
    if (d->window && d->window_layer == 0)
        put_u32(&p, "attention.sliding_window", d->window);
    put_positive(&p, "attention.layer_norm_rms_epsilon", d->norm_eps);
    put_u32(&p, "vocab_size", d->vocab);
    put_rope(&p, d);
}

/* ---- rope tensors ---- */

/* Llama 3's scaling as divisors of the inverse frequencies (LlamaModel.generate_extra_tensors). */
static tn_status work_out_llama3(const tn_model_desc *d, float *factors, tn_arena *arena,
                                 tn_error *err)
{
    const int32_t n = d->rope.rotary_dim / 2;
    tn_rope_desc plain = d->rope;
    plain.scaling = TN_ROPE_SCALING_NONE;
    float *scaled = tn_arena_alloc(arena, (size_t)n * sizeof *scaled);
    if (!scaled)
        return tn_fail_memory(err, "the rope factors");
    TN_TRY(tn_rope_inv_freq(&d->rope, d->max_length, 1, scaled, err));
    TN_TRY(tn_rope_inv_freq(&plain, d->max_length, 1, factors, err));
    for (int32_t i = 0; i < n; i++)
        factors[i] /= scaled[i];
    return TN_OK;
}

tn_status tn_convert_gguf_factors(const tn_model_desc *d, tn_arena *arena,
                                  tn_convert_gguf_rope *out, tn_error *err)
{
    const tn_rope_desc *r = &d->rope;
    *out = (tn_convert_gguf_rope){ .width = r->rotary_dim / 2 };
    if (r->scaling == TN_ROPE_SCALING_LONGROPE) {
        out->tensor[0].name = "rope_factors_long.weight";
        out->tensor[0].factor = r->long_factors;
        out->tensor[1].name = "rope_factors_short.weight";
        out->tensor[1].factor = r->freq_factors;
        out->n = 2;
    }
    if (r->scaling != TN_ROPE_SCALING_LLAMA3)
        return TN_OK;
    float *factors = tn_arena_alloc(arena, (size_t)out->width * sizeof *factors);
    if (!factors)
        return tn_fail_memory(err, "the rope factors");
    out->tensor[0].name = "rope_freqs.weight";
    out->tensor[0].factor = factors;
    out->n = 1;
    return work_out_llama3(d, factors, arena, err);
}
