/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata keys: ggml's docs/gguf.md and llama.cpp's llama-arch.cpp; defaults as in llama.cpp's
 * llama-model.cpp. */
#include "core/base/hash.h"
#include "model/formats/gguf.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Far above any known model, low enough that products of two fit 64 bits and of heads and head size
 * fit 32. */
enum {
    MAX_DIM = 1 << 20,
    MAX_FFN = 1 << 22,
    MAX_LAYERS = 4096,
    MAX_HEADS = 1 << 14,
    MAX_HEAD_DIM = 1 << 12,
    MAX_HEADS_WIDTH = 1 << 24,
    MAX_VOCAB = 1 << 24,
    MAX_CONTEXT = 1 << 30,
    MAX_ARCH_BYTES = 64,
};

/* What GGUF's converter does to the architectures whose descriptions are checked here. */
typedef struct convention {
    const char *arch;
    int32_t pairing, act, qk_norm;
} convention;
static const convention conventions[] = {
    /* convert_hf_to_gguf.py permutes the rows of q and k, so that pairs are neighbours. */
    { "llama", TN_ROPE_INTERLEAVED, TN_ACT_SILU, 0 },
    { "internlm2", TN_ROPE_INTERLEAVED, TN_ACT_SILU, 0 },
    /* The rows are as Hugging Face has them. */
    { "qwen2", TN_ROPE_HALVES, TN_ACT_SILU, 0 },
    { "qwen3", TN_ROPE_HALVES, TN_ACT_SILU, 1 },
};

/* Errors are sticky: the first is kept, reading goes on, so that the description is as full as it
 * can be. */
typedef struct reader {
    const tn_gguf *g;
    const char *arch;
    tn_arena *arena;
    tn_status status;
    tn_error error;
    char key[MAX_ARCH_BYTES + 64]; /* of the last call of key_of */
} reader;

static const char *key_of(reader *r, const char *suffix)
{
    (void)snprintf(r->key, sizeof(r->key), "%s.%s", r->arch, suffix);
    return r->key;
}

static void keep(reader *r, tn_status status, const tn_error *error)
{
    if (!status || r->status)
        return;
    r->status = status;
    r->error = *error;
}

static void fail(reader *r, tn_status status, const char *format, ...) TN_PRINTF(3, 4);
static void fail(reader *r, tn_status status, const char *format, ...)
{
    tn_error error;
    va_list args;
    va_start(args, format);
    keep(r, tn_fail_v(&error, status, format, args), &error);
    va_end(args);
}

/* An integer of at least 1; absent: *out stays. */
static void get_int(reader *r, const char *suffix, int32_t max, int32_t *out)
{
    tn_error error;
    int64_t value = *out;
    keep(r, tn_gguf_int(r->g, key_of(r, suffix), 1, max, &value, &error), &error);
    *out = (int32_t)value;
}

static void require(reader *r, const char *suffix)
{
    if (!tn_gguf_find(r->g, key_of(r, suffix)))
        fail(r, TN_INVALID, "the metadata lacks %s", r->key);
}

static void need_int(reader *r, const char *suffix, int32_t max, int32_t *out)
{
    require(r, suffix);
    get_int(r, suffix, max, out);
}

/* A positive float; absent: *out stays. */
static void get_float(reader *r, const char *suffix, float *out)
{
    tn_error error;
    float value = *out;
    const char *key = key_of(r, suffix);
    tn_status status = tn_gguf_float(r->g, key, &value, &error);
    keep(r, status, &error);
    if (!status && tn_gguf_find(r->g, key) && !(value > 0))
        fail(r, TN_INVALID, "%s is %g; it must be above 0", key, (double)value);
    *out = value;
}

static void get_string(reader *r, const char *key, const char **out)
{
    tn_error error;
    keep(r, tn_gguf_string(r->g, key, r->arena, out, &error), &error);
}

/* ---- parts of the description ---- */

static void read_sizes(reader *r, tn_model_desc *d)
{
    need_int(r, "block_count", MAX_LAYERS, &d->n_layers);
    need_int(r, "embedding_length", MAX_DIM, &d->dim);
    need_int(r, "feed_forward_length", MAX_FFN, &d->ffn);
    need_int(r, "attention.head_count", MAX_HEADS, &d->heads);
    d->kv_heads = d->heads;
    get_int(r, "attention.head_count_kv", MAX_HEADS, &d->kv_heads);
    need_int(r, "context_length", MAX_CONTEXT, &d->max_length);
    require(r, "attention.layer_norm_rms_epsilon");
    get_float(r, "attention.layer_norm_rms_epsilon", &d->norm_eps);
    if (d->heads > 0)
        d->head_dim = d->dim / d->heads;
    bool is_given = tn_gguf_find(r->g, key_of(r, "attention.key_length")) != NULL;
    if (!is_given && d->heads > 0 && d->dim % d->heads)
        fail(r, TN_INVALID, "%s.embedding_length %d is no multiple of %s.attention.head_count %d",
             r->arch, d->dim, r->arch, d->heads);
    get_int(r, "attention.key_length", MAX_HEAD_DIM, &d->head_dim);
    int32_t value_length = d->head_dim;
    get_int(r, "attention.value_length", MAX_HEAD_DIM, &value_length);
    if (value_length != d->head_dim)
        fail(
            r, TN_UNSUPPORTED,
            "%s.attention.value_length %d differs from the key length %d; equal ones are supported",
            r->arch, value_length, d->head_dim);
}

/* What some models of an architecture have, and what none that runs may have. */
static void read_extras(reader *r, tn_model_desc *d)
{
    int64_t experts = 0, window = 0; /* 0: none */
    tn_error error;
    keep(r, tn_gguf_int(r->g, key_of(r, "expert_count"), 0, INT32_MAX, &experts, &error), &error);
    keep(r,
         tn_gguf_int(r->g, key_of(r, "attention.sliding_window"), 0, MAX_CONTEXT, &window, &error),
         &error);
    d->window = (int32_t)window;
    if (experts > 0)
        fail(r, TN_UNSUPPORTED, "%s.expert_count is %d; mixtures of experts are not supported",
             r->arch, (int)experts);
}

static void read_scaling_type(reader *r, tn_rope_desc *rope)
{
    static const struct {
        const char *name;
        int32_t scaling;
    } known[] = { { "none", TN_ROPE_SCALING_NONE },
                  { "linear", TN_ROPE_SCALING_LINEAR },
                  { "yarn", TN_ROPE_SCALING_YARN },
                  { "longrope", TN_ROPE_SCALING_LONGROPE } };
    const char *type = "linear"; /* llama.cpp's default: a file may give a factor only */
    get_string(r, key_of(r, "rope.scaling.type"), &type);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(type, known[i].name) == 0) {
            rope->scaling = known[i].scaling;
            return;
        }
    fail(r, TN_UNSUPPORTED,
         "%s.rope.scaling.type is \"%s\"; none, linear, yarn and longrope are known", r->arch,
         type);
}

/* Divisors of the inverse frequencies, or NULL when there are none. */
static const float *read_factors(reader *r, const char *name, int32_t n)
{
    const tn_gguf_tensor *t = tn_gguf_find_tensor(r->g, name);
    if (!t || r->status)
        return NULL;
    if (t->format->block_elements > 1 || t->n_dims != 1 || t->dim[0] != (uint64_t)n) {
        fail(r, TN_INVALID,
             "tensor %s has %" PRIu64 " columns of type %s; a vector of %d plain values is needed",
             name, t->dim[0], t->format->name, (int)n);
        return NULL;
    }
    float *factors = tn_arena_alloc(r->arena, (size_t)n * sizeof(*factors));
    if (!factors) {
        fail(r, TN_NO_MEMORY, "cannot allocate memory for the rope factors");
        return NULL;
    }
    t->format->decode(t->data, (size_t)n, &(tn_row_buffer){ .values = factors });
    for (int32_t i = 0; i < n; i++)
        if (!(factors[i] > 0) || !isfinite(factors[i]))
            fail(r, TN_INVALID, "tensor %s: factor %d is %g; it must be above 0", name, (int)i,
                 (double)factors[i]);
    return factors;
}

/* rope_freqs is what the converter makes of Llama 3's rope scaling, the other two of longrope's;
 * llama.cpp takes them whatever the type says (llama-graph, get_rope_factors). */
static void read_all_factors(reader *r, tn_model_desc *d)
{
    tn_rope_desc *rope = &d->rope;
    const int32_t n = rope->rotary_dim / 2;
    rope->freq_factors = read_factors(r, "rope_freqs.weight", n);
    const float *longer = read_factors(r, "rope_factors_long.weight", n);
    const float *shorter = read_factors(r, "rope_factors_short.weight", n);
    if ((longer == NULL) != (shorter == NULL) && !r->status)
        fail(r, TN_INVALID,
             "the file has one of the tensors rope_factors_long.weight and "
             "rope_factors_short.weight; both are needed");
    if (!longer || !shorter)
        return;
    rope->scaling = TN_ROPE_SCALING_LONGROPE;
    rope->freq_factors = shorter;
    rope->long_factors = longer;
    if (rope->factor == 1.0f && rope->original_length > 0 && d->max_length > rope->original_length)
        rope->factor = (float)d->max_length / (float)rope->original_length;
}

static void read_rope(reader *r, tn_model_desc *d)
{
    tn_rope_desc *rope = &d->rope;
    rope->base = 10000.0f;
    rope->rotary_dim = d->head_dim;
    get_float(r, "rope.freq_base", &rope->base);
    get_int(r, "rope.dimension_count", MAX_HEAD_DIM, &rope->rotary_dim);
    read_scaling_type(r, rope);
    float factor = 0.0f;
    get_float(r, "rope.scale_linear", &factor); /* before rope.scaling.* */
    get_float(r, "rope.scaling.factor", &factor);
    rope->factor = factor > 0 ? factor : 1.0f;
    if (rope->scaling == TN_ROPE_SCALING_LINEAR && rope->factor == 1.0f)
        rope->scaling = TN_ROPE_SCALING_NONE;
    if (rope->scaling == TN_ROPE_SCALING_NONE)
        rope->factor = 1.0f;
    get_int(r, "rope.scaling.original_context_length", MAX_CONTEXT, &rope->original_length);
    rope->beta_fast = 32.0f; /* YaRN, Peng et al. 2023, section 3.2 */
    rope->beta_slow = 1.0f;
    get_float(r, "rope.scaling.yarn_beta_fast", &rope->beta_fast);
    get_float(r, "rope.scaling.yarn_beta_slow", &rope->beta_slow);
    float multiplier = 0.0f; /* the file's factor multiplies YaRN's; ours replaces it */
    get_float(r, "rope.scaling.attn_factor", &multiplier);
    if (multiplier > 0 && rope->scaling == TN_ROPE_SCALING_LONGROPE)
        rope->attention_factor = multiplier;
    else if (multiplier > 0)
        rope->attention_factor = multiplier * (0.1f * logf(rope->factor) + 1.0f);
    if (rope->rotary_dim % 2 || rope->rotary_dim > d->head_dim)
        fail(r, TN_INVALID,
             "%s.rope.dimension_count is %d; an even number up to the head size %d is allowed",
             r->arch, rope->rotary_dim, d->head_dim);
    read_all_factors(r, d);
}

static void read_vocab(reader *r, tn_model_desc *d)
{
    const tn_gguf_tensor *t = tn_gguf_find_tensor(r->g, "token_embd.weight");
    if (t && t->dim[1] <= MAX_VOCAB)
        d->vocab = (int32_t)t->dim[1];
    get_int(r, "vocab_size", MAX_VOCAB, &d->vocab);
    if (!t)
        fail(r, TN_INVALID, "the file lacks the tensor token_embd.weight: it holds no whole model");
    else if (t->n_dims != 2 || t->dim[0] != (uint64_t)d->dim || t->dim[1] != (uint64_t)d->vocab)
        fail(r, TN_INVALID,
             "tensor token_embd.weight is %" PRIu64 " x %" PRIu64
             "; the metadata says %d x %d (vocabulary x embedding length)",
             t->dim[1], t->dim[0], d->vocab, d->dim);
}

static void check(reader *r, const tn_model_desc *d)
{
    if (r->status)
        return;
    if (d->kv_heads < 1 || d->heads % d->kv_heads)
        fail(r, TN_INVALID,
             "%s.attention.head_count %d is no multiple of %s.attention.head_count_kv %d", r->arch,
             d->heads, r->arch, d->kv_heads);
    if (d->head_dim < 1 || (int64_t)d->heads * d->head_dim > MAX_HEADS_WIDTH)
        fail(r, TN_INVALID, "%d heads of size %d; a product of 1 to %d is allowed", d->heads,
             d->head_dim, MAX_HEADS_WIDTH);
}

uint64_t tn_gguf_source_id(const tn_gguf *g)
{
    /* Fine-tunes of one model differ in weights alone, so some of them are looked at; not all,
     * which would read the file. */
    enum { SAMPLES = 64, SAMPLE_BYTES = 256 };
    uint64_t id = tn_hash64(g->data, g->data_start, (uint64_t)g->size ^ g->joined_id);
    size_t step = g->n_tensors / SAMPLES + 1;
    for (size_t i = 0; i < g->n_tensors; i += step) {
        const tn_gguf_tensor *t = &g->tensor[i];
        size_t n = t->bytes < SAMPLE_BYTES ? (size_t)t->bytes : SAMPLE_BYTES;
        id = tn_hash64(t->data, n, id);
    }
    return id;
}

tn_status tn_gguf_desc(const tn_gguf *g, tn_arena *arena, tn_model_desc *out, tn_error *err)
{
    reader r = { .g = g, .arena = arena, .arch = "" };
    *out = (tn_model_desc){ .arch = "", .name = "", .source_id = tn_gguf_source_id(g) };
    get_string(&r, "general.architecture", &out->arch);
    get_string(&r, "general.name", &out->name);
    if (!r.status && !out->arch[0])
        fail(&r, TN_INVALID, "the metadata lacks general.architecture");
    if (strlen(out->arch) > MAX_ARCH_BYTES) {
        fail(&r, TN_INVALID, "general.architecture is longer than %d bytes", MAX_ARCH_BYTES);
        out->arch = "";
    }
    if (r.status)
        return tn_fail(err, r.status, "%s", r.error.text);
    r.arch = out->arch;
    out->act = TN_ACT_SILU;
    out->rope.pairing = TN_ROPE_HALVES;
    bool is_checked = false;
    for (size_t i = 0; i < sizeof(conventions) / sizeof(conventions[0]); i++)
        if (strcmp(out->arch, conventions[i].arch) == 0) {
            is_checked = true;
            out->rope.pairing = conventions[i].pairing;
            out->act = conventions[i].act;
            out->qk_norm = conventions[i].qk_norm;
        }
    read_sizes(&r, out);
    read_extras(&r, out);
    read_rope(&r, out);
    read_vocab(&r, out);
    check(&r, out);
    /* What an architecture that is not in the table lacks or means is not known here; model/arch
     * refuses it by name. */
    return is_checked && r.status ? tn_fail(err, r.status, "%s", r.error.text) : TN_OK;
}
