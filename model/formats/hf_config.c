/* SPDX-License-Identifier: Apache-2.0 */
#include "model/formats/hf_config.h"

#include <string.h>

enum { MAX_NAME_BYTES = 64 };

/* ---- what families share ---- */

static void check_heads(tn_hf_config *c)
{
    const tn_model_desc *d = &c->desc;
    if (!c->json.status && d->heads % d->kv_heads)
        tn_json_fail(&c->json, TN_INVALID,
                     "num_attention_heads %d is no multiple of num_key_value_heads %d",
                     (int)d->heads, (int)d->kv_heads);
    if (!c->json.status && (d->head_dim < 1 || d->head_dim > TN_HF_MAX_HEAD_DIM ||
                            (int64_t)d->heads * d->head_dim > TN_HF_MAX_HEADS_WIDTH))
        tn_json_fail(&c->json, TN_INVALID,
                     "%d heads of size %d; a size up to %d and a product up to %d are allowed",
                     (int)d->heads, (int)d->head_dim, TN_HF_MAX_HEAD_DIM, TN_HF_MAX_HEADS_WIDTH);
}

static void read_heads(tn_hf_config *c)
{
    tn_model_desc *d = &c->desc;
    tn_json_reader *r = &c->json;
    const tn_hf_family *f = c->family;
    tn_json_need(r, "num_attention_heads");
    tn_json_int32(r, "num_attention_heads", 1, TN_HF_MAX_HEADS, &d->heads);
    d->kv_heads = d->heads;
    /* A class may have a default of its own; null says "as many as heads". */
    if (f && f->kv_heads && !json_object_get(r->object, "num_key_value_heads"))
        d->kv_heads = f->kv_heads;
    tn_json_int32(r, "num_key_value_heads", 1, TN_HF_MAX_HEADS, &d->kv_heads);
    if (f && f->head_dim)
        d->head_dim = f->head_dim;
    else if (d->heads > 0)
        d->head_dim = d->dim / d->heads;
    if (!(f && f->head_dim) && !tn_json_get(r, "head_dim") && d->heads > 0 && d->dim % d->heads)
        tn_json_fail(r, TN_INVALID, "hidden_size %d is no multiple of num_attention_heads %d",
                     (int)d->dim, (int)d->heads);
    tn_json_int32(r, "head_dim", 1, TN_HF_MAX_HEAD_DIM, &d->head_dim);
    check_heads(c);
}

static void need_int(tn_hf_config *c, const char *key, int32_t max, int32_t *out)
{
    tn_json_need(&c->json, key);
    tn_json_int32(&c->json, key, 1, max, out);
}

static void read_sizes(tn_hf_config *c)
{
    tn_model_desc *d = &c->desc;
    need_int(c, "num_hidden_layers", TN_HF_MAX_LAYERS, &d->n_layers);
    need_int(c, "hidden_size", TN_HF_MAX_DIM, &d->dim);
    need_int(c, "intermediate_size", TN_HF_MAX_FFN, &d->ffn);
    need_int(c, "vocab_size", TN_HF_MAX_VOCAB, &d->vocab);
    need_int(c, "max_position_embeddings", TN_HF_MAX_CONTEXT, &d->max_length);
    read_heads(c);
    d->norm_eps = 1e-6f; /* of every class that has rms_norm_eps */
    tn_json_positive(&c->json, "rms_norm_eps", &d->norm_eps);
}

/* Qwen's, and in use for others: attention grows with the logarithm of the length, past the trained
 * one (configuration_qwen.py of Qwen/Qwen-7B: use_logn_attn, seq_length). */
static void read_logn(tn_hf_config *c)
{
    bool is_on = false;
    int32_t length = c->desc.max_length;
    tn_json_bool(&c->json, "use_logn_attn", &is_on);
    tn_json_int32(&c->json, "seq_length", 2, TN_HF_MAX_CONTEXT, &length);
    c->desc.logn_length = is_on ? length : 0;
}

static void read_act(tn_hf_config *c)
{
    /* transformers' ACT2FN. */
    static const struct {
        const char *name;
        int32_t act;
    } known[] = { { "silu", TN_ACT_SILU },
                  { "swish", TN_ACT_SILU },
                  { "gelu", TN_ACT_GELU },
                  { "gelu_pytorch_tanh", TN_ACT_GELU_TANH },
                  { "gelu_new", TN_ACT_GELU_TANH } };
    const char *act = "silu";
    tn_json_string(&c->json, "hidden_act", &act);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(act, known[i].name) == 0) {
            c->desc.act = known[i].act;
            return;
        }
    tn_json_fail(
        &c->json, TN_UNSUPPORTED,
        "hidden_act is \"%.64s\"; silu, gelu, gelu_pytorch_tanh and gelu_new are supported", act);
}

/* ---- all of it ---- */

/* The family of model_type, and whether the directory holds a model of it that generates text. */
static void find_family(tn_hf_config *c)
{
    const char *type = "";
    tn_json_need(&c->json, "model_type");
    tn_json_string(&c->json, "model_type", &type);
    if (c->json.status)
        return;
    char *name = tn_arena_strdup(c->arena, strlen(type) > MAX_NAME_BYTES ? "" : type);
    if (!name) {
        tn_json_fail(&c->json, TN_NO_MEMORY, "cannot allocate memory for a name");
        return;
    }
    c->desc.arch = name;
    c->family = tn_hf_family_find(type);
    if (!c->family) {
        tn_strbuf list = TN_STRBUF(1024);
        tn_hf_family_list(&list);
        tn_json_fail(&c->json, TN_UNSUPPORTED,
                     "model_type \"%.64s\" is not supported; these run: %s", type,
                     tn_strbuf_text(&list));
        tn_strbuf_deinit(&list);
        return;
    }
    c->desc.arch = c->family->arch;
    const json_t *classes = tn_json_get(&c->json, "architectures");
    const char *class_name = json_string_value(json_array_get(classes, 0));
    if (class_name && strcmp(class_name, c->family->class_name) != 0)
        tn_json_fail(&c->json, TN_UNSUPPORTED,
                     "architectures is \"%.64s\"; of model_type %s only %s generates text",
                     class_name, type, c->family->class_name);
}

tn_status tn_hf_config_read(tn_hf_config *c, const json_t *root, tn_arena *arena, tn_error *err)
{
    *c = (tn_hf_config){ .json = { .object = root, .file = "config.json" },
                         .arena = arena,
                         .desc = { .arch = "", .name = "" } };
    const char *name = "";
    tn_json_string(&c->json, "_name_or_path", &name);
    c->desc.name = tn_arena_strdup(arena, name);
    if (!c->desc.name)
        return tn_fail_memory(err, "a name");
    find_family(c);
    read_sizes(c);
    read_act(c);
    tn_hf_rope_read(c);
    read_logn(c);
    tn_json_bool(&c->json, "tie_word_embeddings", &c->is_tied);
    if (c->family)
        c->family->read(c);
    return c->json.status ? tn_fail(err, c->json.status, "%s", c->json.error.text) : TN_OK;
}
