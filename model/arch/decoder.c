/* SPDX-License-Identifier: Apache-2.0 */
#include "model/arch/decoder.h"

#include "core/graph/rope.h"

#include <stdio.h>

/* Tensor names of one layer: "blk.7.attn_q.weight". The builder copies them. */
typedef struct names {
    char text[16][48];
    int n;
} names;

static const char *tensor(names *n, int32_t layer, const char *role, const char *kind)
{
    char *text = n->text[n->n++];
    snprintf(text, sizeof n->text[0], "blk.%d.%s.%s", (int)layer, role, kind);
    return text;
}

static tn_linear_part part(names *n, int32_t layer, const char *short_name, const char *role,
                           int32_t rows)
{
    return (tn_linear_part){ .short_name = short_name,
                             .tensor = tensor(n, layer, role, "weight"),
                             .bias = tensor(n, layer, role, "bias"),
                             .rows = rows };
}

static tn_rope rope_of(const tn_model_desc *d)
{
    return (tn_rope){ .size = sizeof(tn_rope),
                      .heads = d->heads,
                      .kv_heads = d->kv_heads,
                      .head_dim = d->head_dim,
                      .rotary_dim = d->rope.rotary_dim,
                      .pairing = d->rope.pairing,
                      .qk_norm = d->qk_norm,
                      .qk_eps = d->norm_eps,
                      .qk_offset = d->norm_offset,
                      .mscale = tn_rope_mscale(&d->rope, d->max_length) };
}

static tn_attention attention_of(const tn_model_desc *d, int32_t layer)
{
    return (tn_attention){ .size = sizeof(tn_attention),
                           .heads = d->heads,
                           .kv_heads = d->kv_heads,
                           .head_dim = d->head_dim,
                           .window = layer >= d->window_layer ? d->window : 0,
                           .logn_length = d->logn_length,
                           .scale = d->attn_scale,
                           .softcap = d->softcap };
}

static int32_t attention_block(tn_graph *g, int32_t layer, int32_t x)
{
    const tn_model_desc *d = g->desc;
    const tn_rope rope = rope_of(d);
    const tn_attention attention = attention_of(d, layer);
    names n = { .n = 0 };
    const int32_t kv_width = d->kv_heads * d->head_dim, q_width = d->heads * d->head_dim;

    int32_t h = tn_build_rmsnorm(g, "attn_norm", x, tensor(&n, layer, "attn_norm", "weight"),
                                 d->norm_eps, d->norm_offset);
    const tn_linear_part qkv[3] = { part(&n, layer, "q", "attn_q", q_width),
                                    part(&n, layer, "k", "attn_k", kv_width),
                                    part(&n, layer, "v", "attn_v", kv_width) };
    int32_t out[3];
    tn_build_linear(
        g, &(tn_linear_args){ .name = "qkv", .part = qkv, .n_parts = 3, .out_class = TN_EDGE_ACT },
        h, out);
    int32_t q = tn_build_heads(g, out[0], d->heads), k = tn_build_heads(g, out[1], d->kv_heads);
    const int32_t v = tn_build_heads(g, out[2], d->kv_heads);
    if (d->qk_norm)
        tn_build_qk_norm(g, "qk_norm", &q, &k, tensor(&n, layer, "attn_q_norm", "weight"),
                         tensor(&n, layer, "attn_k_norm", "weight"), &rope);
    tn_build_rope(g, "rope", &q, &k, &rope);
    tn_build_kv_write(g, "kv_write", k, v, &attention);
    const int32_t a = tn_build_attention(g, "attention", q, &attention);

    const tn_linear_part o = part(&n, layer, "attn_out", "attn_output", d->dim);
    int32_t y;
    tn_build_linear(g,
                    &(tn_linear_args){ .name = "attn_out",
                                       .part = &o,
                                       .n_parts = 1,
                                       .out_class = TN_EDGE_F32,
                                       .out_scale = d->residual_scale },
                    a, &y);
    return tn_build_add(g, "attn_add", y, x);
}

static int32_t feed_forward_block(tn_graph *g, int32_t layer, int32_t x)
{
    const tn_model_desc *d = g->desc;
    names n = { .n = 0 };
    int32_t h = tn_build_rmsnorm(g, "ffn_norm", x, tensor(&n, layer, "ffn_norm", "weight"),
                                 d->norm_eps, d->norm_offset);
    const tn_linear_part gate_up[2] = { part(&n, layer, "gate", "ffn_gate", d->ffn),
                                        part(&n, layer, "up", "ffn_up", d->ffn) };
    int32_t out[2];
    tn_build_linear(
        g,
        &(tn_linear_args){
            .name = "gate_up", .part = gate_up, .n_parts = 2, .out_class = TN_EDGE_ACT },
        h, out);
    const int32_t u = tn_build_glu(g, "glu", out[0], out[1], d->act);
    const tn_linear_part down = part(&n, layer, "down", "ffn_down", d->dim);
    int32_t y;
    tn_build_linear(g,
                    &(tn_linear_args){ .name = "down",
                                       .part = &down,
                                       .n_parts = 1,
                                       .out_class = TN_EDGE_F32,
                                       .out_scale = d->residual_scale },
                    u, &y);
    return tn_build_add(g, "ffn_add", y, x);
}

/* A file may lack what its architecture is nothing without: better refused than run as another. */
static void check_needs(tn_graph *g, uint32_t needs)
{
    tn_weight_info info;
    const bool has_bias =
        g->source && g->source->find(g->source->self, "blk.0.attn_q.bias", &info) == TN_OK;
    if (g->status)
        return;
    if ((needs & TN_DECODER_QKV_BIAS) && !has_bias)
        g->status =
            tn_fail(&g->error, TN_INVALID,
                    "the model has no tensor blk.0.attn_q.bias, which every %s has", g->desc->arch);
    else if ((needs & TN_DECODER_QK_NORM) && !g->desc->qk_norm)
        g->status = tn_fail(&g->error, TN_INVALID,
                            "the model has no norms of q and k, which every %s has", g->desc->arch);
}

void tn_decoder_build(tn_graph *g, int32_t n_layers, uint32_t needs)
{
    const tn_model_desc *d = g->desc;
    check_needs(g, needs);
    tn_build_layer(g, -1);
    int32_t x = tn_build_embed(g, "embed", "token_embd.weight", d->embed_scale);
    for (int32_t layer = 0; layer < n_layers; layer++) {
        tn_build_layer(g, layer);
        x = attention_block(g, layer, x);
        x = feed_forward_block(g, layer, x);
    }
    tn_build_layer(g, -1);
    x = tn_build_gather_rows(g, "gather", x);
    const int32_t h =
        tn_build_rmsnorm(g, "output_norm", x, "output_norm.weight", d->norm_eps, d->norm_offset);
    /* A model without an output matrix ties it to the embedding. */
    tn_weight_info info;
    const bool tied =
        g->source && g->source->find(g->source->self, "output.weight", &info) != TN_OK;
    const tn_linear_part head = { .short_name = "head",
                                  .tensor = tied ? "token_embd.weight" : "output.weight",
                                  .rows = d->vocab };
    int32_t logits;
    tn_build_linear(g,
                    &(tn_linear_args){ .name = "head",
                                       .part = &head,
                                       .n_parts = 1,
                                       .out_class = TN_EDGE_F32,
                                       .out_scale = d->logit_scale },
                    h, &logits);
    tn_build_argmax(g, "argmax", logits);
}
