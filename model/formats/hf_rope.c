/* SPDX-License-Identifier: Apache-2.0 */
/* Rope settings of config.json; keys and defaults as in transformers' modeling_rope_utils.py. */
#include "model/formats/hf_config.h"

#include <math.h>
#include <string.h>

static void read_type(tn_json_reader *r, tn_rope_desc *rope)
{
    static const struct {
        const char *name;
        int32_t scaling;
    } known[] = { { "default", TN_ROPE_SCALING_NONE },    { "linear", TN_ROPE_SCALING_LINEAR },
                  { "dynamic", TN_ROPE_SCALING_DYNAMIC }, { "yarn", TN_ROPE_SCALING_YARN },
                  { "llama3", TN_ROPE_SCALING_LLAMA3 },   { "longrope", TN_ROPE_SCALING_LONGROPE },
                  { "su", TN_ROPE_SCALING_LONGROPE } /* its first name */ };
    const char *type = "default";
    tn_json_string(r, "type", &type); /* before transformers 4.43 */
    tn_json_string(r, "rope_type", &type);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(type, known[i].name) == 0) {
            rope->scaling = known[i].scaling;
            return;
        }
    tn_json_fail(r, TN_UNSUPPORTED,
                 "rope_type is \"%.64s\"; default, linear, dynamic, yarn, llama3 and longrope are "
                 "supported",
                 type);
}

/* factor, or what the trained and the whole length make it. */
static void read_factor(tn_hf_config *c, tn_json_reader *r)
{
    tn_rope_desc *rope = &c->desc.rope;
    const bool from_lengths =
        rope->scaling == TN_ROPE_SCALING_YARN || rope->scaling == TN_ROPE_SCALING_LONGROPE;
    if (from_lengths && rope->original_length > 0 && c->desc.max_length > 0)
        rope->factor = fmaxf((float)c->desc.max_length / (float)rope->original_length, 1.0f);
    else
        tn_json_need(r, "factor");
    tn_json_positive(r, "factor", &rope->factor);
}

static double mscale(double factor, double by)
{
    return factor <= 1 ? 1 : 0.1 * by * log(factor) + 1;
}

static void read_yarn(tn_json_reader *r, tn_rope_desc *rope)
{
    float by = 0, by_all = 0;
    bool truncate = true;
    tn_json_positive(r, "beta_fast", &rope->beta_fast);
    tn_json_positive(r, "beta_slow", &rope->beta_slow);
    tn_json_positive(r, "mscale", &by);
    tn_json_positive(r, "mscale_all_dim", &by_all);
    tn_json_bool(r, "truncate", &truncate);
    if (by > 0 && by_all > 0)
        rope->attention_factor = (float)(mscale((double)rope->factor, (double)by) /
                                         mscale((double)rope->factor, (double)by_all));
    if (!truncate)
        tn_json_fail(r, TN_UNSUPPORTED, "truncate is false; only true is supported");
}

static const float *read_factors(tn_hf_config *c, tn_json_reader *r, const char *key)
{
    const json_t *list = tn_json_get(r, key);
    const int32_t n = c->desc.rope.rotary_dim / 2;
    tn_json_need(r, key);
    if (r->status)
        return NULL;
    if (json_array_size(list) != (size_t)n) {
        tn_json_fail(r, TN_INVALID, "%s needs a list of %d numbers, half the rotary width", key,
                     (int)n);
        return NULL;
    }
    float *factors = tn_arena_alloc(c->arena, (size_t)n * sizeof(*factors));
    if (!factors)
        tn_json_fail(r, TN_NO_MEMORY, "cannot allocate the rope factors");
    for (int32_t i = 0; i < n && factors; i++) {
        factors[i] = (float)json_number_value(json_array_get(list, (size_t)i));
        if (!(factors[i] > 0) || !isfinite(factors[i]))
            tn_json_fail(r, TN_INVALID, "%s[%d] is not a number above 0", key, (int)i);
    }
    return factors;
}

static void read_scaling(tn_hf_config *c, tn_json_reader *r)
{
    tn_rope_desc *rope = &c->desc.rope;
    read_type(r, rope);
    if (rope->scaling == TN_ROPE_SCALING_NONE)
        return;
    /* Phi-3 has it outside of rope_scaling. */
    tn_json_int32(&c->json, "original_max_position_embeddings", 1, TN_HF_MAX_CONTEXT,
                  &rope->original_length);
    tn_json_int32(r, "original_max_position_embeddings", 1, TN_HF_MAX_CONTEXT,
                  &rope->original_length);
    read_factor(c, r);
    if (rope->scaling == TN_ROPE_SCALING_DYNAMIC)
        rope->original_length = 0; /* max_position_embeddings, whatever else is said */
    if (rope->scaling == TN_ROPE_SCALING_LLAMA3) {
        tn_json_need(r, "original_max_position_embeddings");
        tn_json_need(r, "low_freq_factor");
        tn_json_need(r, "high_freq_factor");
    }
    tn_json_positive(r, "low_freq_factor", &rope->low_freq_factor);
    tn_json_positive(r, "high_freq_factor", &rope->high_freq_factor);
    if (rope->scaling == TN_ROPE_SCALING_YARN)
        read_yarn(r, rope);
    if (rope->scaling == TN_ROPE_SCALING_LONGROPE) {
        rope->freq_factors = read_factors(c, r, "short_factor");
        rope->long_factors = read_factors(c, r, "long_factor");
    }
    tn_json_positive(r, "attention_factor", &rope->attention_factor);
}

static void read_width(tn_hf_config *c, float part)
{
    tn_rope_desc *rope = &c->desc.rope;
    rope->rotary_dim = part < 1 ? (int32_t)((float)c->desc.head_dim * part) : c->desc.head_dim;
    if (!c->json.status && (rope->rotary_dim < 2 || rope->rotary_dim % 2))
        tn_json_fail(&c->json, TN_INVALID,
                     "positions rotate %d of %d dimensions; an even number is needed",
                     (int)rope->rotary_dim, (int)c->desc.head_dim);
}

/* Models of several kinds of attention may have settings for each. */
static void refuse_nested(tn_json_reader *r)
{
    static const char *const kinds[] = { "full_attention", "sliding_attention" };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (tn_json_get(r, kinds[i]))
            tn_json_fail(r, TN_UNSUPPORTED, "%s has settings of its own, which is not supported",
                         kinds[i]);
}

void tn_hf_rope_read(tn_hf_config *c)
{
    tn_rope_desc *rope = &c->desc.rope;
    tn_json_reader *r = &c->json;
    float part = 1;
    *rope = (tn_rope_desc){ .pairing = TN_ROPE_HALVES, .base = 10000, .factor = 1 };
    tn_json_reader old = tn_json_object(r, "rope_scaling", "config.json: rope_scaling");
    /* From transformers 5 on all of it is in rope_parameters. */
    tn_json_reader now = tn_json_object(r, "rope_parameters", "config.json: rope_parameters");
    refuse_nested(&now);
    tn_json_positive(r, "rope_theta", &rope->base);
    tn_json_positive(&now, "rope_theta", &rope->base);
    tn_json_positive(r, "partial_rotary_factor", &part);
    tn_json_positive(&now, "partial_rotary_factor", &part);
    read_width(c, part);
    if (now.object)
        read_scaling(c, &now);
    else if (old.object)
        read_scaling(c, &old);
    tn_json_merge(r, &now);
    tn_json_merge(r, &old);
}
