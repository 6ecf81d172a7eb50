/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chains of primitives as fused ops. What a fused op stands for is in the op catalogue; this file
 * knows how its inputs, weights and parameters are put together from its members (docs/ops.md).
 */
#include "core/bind/binder.h"

#include <string.h>

static bool is_op(const tn_graph_node *node, const char *op)
{
    return strcmp(node->op->name, op) == 0;
}

static bool plain_scale(float scale)
{
    return scale == 0.0f || scale == 1.0f;
}

/* tn_attention of a node, with the layer's calibration in it where the KV format needs one. */
static const tn_attention *attention_param(tn_binder *b, const tn_graph_node *node)
{
    const tn_bind_args *args = b->args;

    if (!args->kv_static)
        return node->param;
    tn_attention *param = tn_arena_copy(&b->binding->arena, node->param, sizeof(*param));
    if (!param)
        return NULL;
    param->n_kv_static = args->n_kv_static;
    param->kv_static = tn_arena_copy(&b->binding->arena, args->kv_static[node->layer],
                                     (size_t)args->n_kv_static * 4 * sizeof(float));
    return param->kv_static ? param : NULL;
}

static void add_kv_static(const tn_binder *b, tn_bound_node *bound, int32_t part)
{
    if (!b->args->kv_static)
        return;
    bound->weight[part] = (tn_weight_ref){ .name = TN_KV_STATIC_WEIGHT };
    bound->n_weights = part + 1;
}

bool tn_form_of_node(tn_binder *b, int32_t index, tn_form *out)
{
    const tn_graph_node *node = &b->args->graph->node[index];
    tn_bound_node *bound = &out->bound;

    *out = (tn_form){ .member = { index }, .n_members = 1 };
    bound->op = node->op;
    bound->node = (tn_node){ .size = sizeof(tn_node),
                             .layer = node->layer,
                             .op = node->op->name,
                             .path = node->path,
                             .n_in = node->n_in,
                             .n_out = node->n_out,
                             .param = node->param,
                             .param2 = node->param2 };
    memcpy(bound->in, node->in, sizeof(bound->in));
    memcpy(bound->out, node->out, sizeof(bound->out));
    memcpy(bound->weight, node->weight, sizeof(bound->weight));
    bound->n_weights = node->n_weights;
    if (!node->op->uses_kv)
        return true;
    bound->node.param = attention_param(b, node);
    add_kv_static(b, bound, 0);
    return bound->node.param != NULL;
}

/* ---- chains around a linear ---- */

typedef struct chain {
    int32_t norm, linear, glu, add; /* graph nodes, -1: not there */
} chain;

/* Is it a table of embed, too? */
static bool is_table(const tn_graph *g, const char *weight)
{
    for (int32_t i = 0; i < g->n_nodes; i++)
        if (is_op(&g->node[i], "embed") && strcmp(g->node[i].weight[0].name, weight) == 0)
            return true;
    return false;
}

/* The linear's producer, when it is an rmsnorm that nobody else reads. A tied head stays alone: the
 * weights of a norm beside its own would make two blobs of one large tensor. */
static int32_t find_norm(const tn_binder *b, const tn_graph_node *linear)
{
    const tn_graph *g = b->args->graph;
    const tn_edge *x = &g->edge[linear->in[0]];

    if (x->base >= 0 || x->n_consumers != 1 || x->producer < 0 || b->taken[x->producer] ||
        is_table(g, linear->weight[0].name))
        return -1;
    return is_op(&g->node[x->producer], "rmsnorm") && linear->n_weights < TN_MAX_PARTS ? x->producer
                                                                                       : -1;
}

/* A view of exactly the columns of one part of the linear's output. */
static bool is_part_view(const tn_edge *view, int32_t base, int32_t offset, int32_t width)
{
    return view->base == base && view->offset == offset && view->width == width && !view->heads;
}

static int32_t find_glu(const tn_binder *b, const tn_graph_node *linear)
{
    const tn_graph *g = b->args->graph;
    const tn_linear *param = linear->param;
    const int32_t out = linear->out[0], reader = b->reader[out];

    /* The pair is scaled after the product when fused and before it when not: only 1 is the same.
     */
    if (param->n_parts != 2 || g->edge[out].n_consumers != 2 || reader < 0 ||
        !plain_scale(param->out_scale) || b->taken[reader] || !is_op(&g->node[reader], "glu"))
        return -1;
    const tn_graph_node *glu = &g->node[reader];
    const int32_t gate = param->part[0]->out, up = param->part[1]->out;
    return is_part_view(&g->edge[glu->in[0]], out, 0, gate) &&
                   is_part_view(&g->edge[glu->in[1]], out, gate, up)
               ? reader
               : -1;
}

static int32_t find_add(const tn_binder *b, const tn_graph_node *linear)
{
    const tn_graph *g = b->args->graph;
    const tn_linear *param = linear->param;
    const int32_t out = linear->out[0], reader = b->reader[out];

    if (param->n_parts != 1 || g->edge[out].cls != TN_EDGE_F32 || g->edge[out].n_consumers != 1 ||
        reader < 0 || b->taken[reader] || !is_op(&g->node[reader], "add"))
        return -1;
    const tn_graph_node *add = &g->node[reader];
    const tn_rows_op *rows = add->param;
    return add->in[0] == out && plain_scale(rows->scale) ? reader : -1;
}

static int32_t chain_member(const chain *c, const char *op)
{
    if (strcmp(op, "rmsnorm") == 0)
        return c->norm;
    if (strcmp(op, "linear") == 0)
        return c->linear;
    if (strcmp(op, "glu") == 0)
        return c->glu;
    return strcmp(op, "add") == 0 ? c->add : -1;
}

/* Members of a fused op in the chain; false when one is not there, or the op is not around a
 * linear. */
static bool match_chain(const tn_op_info *op, const chain *c, tn_form *form)
{
    bool around_linear = false;

    form->n_members = 0;
    for (int32_t i = 0; i < TN_MAX_FUSED && op->fused[i]; i++) {
        const int32_t member = chain_member(c, op->fused[i]);
        if (member < 0)
            return false;
        around_linear = around_linear || member == c->linear;
        form->member[form->n_members++] = member;
    }
    return around_linear;
}

/* Put the fused op together: the linear's form, widened by what its other members bring. */
static bool fuse_chain(tn_binder *b, const tn_op_info *op, const chain *c, tn_form *form)
{
    const tn_graph_node *node = b->args->graph->node;
    tn_bound_node *bound = &form->bound;
    tn_linear *param = tn_arena_copy(&b->binding->arena, node[c->linear].param, sizeof(tn_linear));

    if (!param)
        return false;
    bound->op = op;
    bound->node.op = op->name;
    bound->node.param = param;
    for (int32_t i = 0; i < form->n_members; i++) {
        const tn_graph_node *member = &node[form->member[i]];
        if (form->member[i] == c->norm) {
            const tn_norm *norm = member->param;
            param->eps = norm->eps;
            param->offset = norm->offset;
            bound->in[0] = member->in[0];
            bound->weight[bound->n_weights++] = member->weight[0];
        } else if (form->member[i] == c->glu) {
            const tn_rows_op *glu = member->param;
            param->act = glu->act;
            param->out_scale = glu->scale;
            bound->out[0] = member->out[0];
        } else if (form->member[i] == c->add) {
            bound->in[bound->node.n_in++] = member->in[1];
            bound->out[0] = member->out[0];
        }
    }
    return true;
}

int32_t tn_forms_of_linear(tn_binder *b, int32_t linear, tn_form forms[TN_MAX_FORMS])
{
    const tn_graph_node *node = &b->args->graph->node[linear];
    const chain c = { .norm = find_norm(b, node),
                      .linear = linear,
                      .glu = find_glu(b, node),
                      .add = find_add(b, node) };
    int32_t n = 0;

    for (const tn_op_info *op = tn_op_table(); op->name && n < TN_MAX_FORMS - 1; op++) {
        tn_form *form = &forms[n], match;
        if (b->args->no_fusion || !op->fused[0] || !match_chain(op, &c, &match))
            continue;
        if (!tn_form_of_node(b, linear, form))
            return 0;
        memcpy(form->member, match.member, sizeof(form->member));
        form->n_members = match.n_members;
        if (!fuse_chain(b, op, &c, form))
            return 0;
        n++;
    }
    return tn_form_of_node(b, linear, &forms[n]) ? n + 1 : 0;
}

/* ---- rope_kv_write ---- */

/* The node that makes k for `node` and q for `q_reader`, when it is an `op` whose outputs nobody
 * else reads. */
static int32_t find_qk(const tn_binder *b, int32_t k, int32_t q_reader, const char *op)
{
    const tn_graph *g = b->args->graph;
    const int32_t index = g->edge[k].producer;

    if (index < 0 || g->edge[k].base >= 0 || b->taken[index] || !is_op(&g->node[index], op))
        return -1;
    const tn_graph_node *node = &g->node[index];
    const tn_edge *q = &g->edge[node->out[0]];
    return node->out[1] == k && g->edge[k].n_consumers == 1 && q->n_consumers == 1 &&
                   b->reader[node->out[0]] == q_reader
               ? index
               : -1;
}

static bool fuse_kv_write(tn_binder *b, const tn_op_info *op, int32_t qk_norm, int32_t rope,
                          int32_t kv_write, tn_form *form)
{
    const tn_graph_node *node = b->args->graph->node;
    tn_bound_node *bound = &form->bound;
    tn_rope *param = tn_arena_copy(&b->binding->arena, node[rope].param, sizeof(*param));

    if (!param || !tn_form_of_node(b, kv_write, form))
        return false;
    const tn_graph_node *first = &node[qk_norm >= 0 ? qk_norm : rope];
    const tn_rope *norm = first->param;
    param->qk_norm = qk_norm >= 0;
    param->qk_eps = norm->qk_eps;
    param->qk_offset = norm->qk_offset;
    form->n_members = 0;
    if (qk_norm >= 0)
        form->member[form->n_members++] = qk_norm;
    form->member[form->n_members++] = rope;
    form->member[form->n_members++] = kv_write;
    bound->op = op;
    bound->node.op = op->name;
    bound->node.param2 = bound->node.param; /* tn_attention, as kv_write has it */
    bound->node.param = param;
    bound->node.n_in = 3;
    bound->node.n_out = 1;
    bound->in[0] = first->in[0];
    bound->in[1] = first->in[1];
    bound->in[2] = node[kv_write].in[1];
    bound->out[0] = node[rope].out[0];
    memset(bound->weight, 0, sizeof(bound->weight));
    bound->n_weights = 0;
    if (qk_norm >= 0) {
        memcpy(bound->weight, first->weight, 2 * sizeof(bound->weight[0]));
        bound->n_weights = 2;
    }
    add_kv_static(b, bound, 2);
    return true;
}

int32_t tn_forms_of_kv_write(tn_binder *b, int32_t kv_write, tn_form forms[TN_MAX_FORMS])
{
    const tn_graph *g = b->args->graph;
    const tn_op_info *op = tn_op_find("rope_kv_write");
    const int32_t k = g->node[kv_write].in[0], k_producer = g->edge[k].producer;
    int32_t rope = -1, n = 0;

    if (op && !b->args->no_fusion && k_producer >= 0 && g->node[k_producer].n_out == 2) {
        const int32_t attention = b->reader[g->node[k_producer].out[0]];
        /* The fused node stands where kv_write stood: q' must not be read before. */
        if (attention > kv_write)
            rope = find_qk(b, k, attention, "rope");
    }
    if (rope >= 0) {
        const int32_t qk_norm = find_qk(b, g->node[rope].in[1], rope, "qk_norm");
        if (qk_norm >= 0 && !fuse_kv_write(b, op, qk_norm, rope, kv_write, &forms[n++]))
            return 0;
        if (!fuse_kv_write(b, op, -1, rope, kv_write, &forms[n++]))
            return 0;
    }
    return tn_form_of_node(b, kv_write, &forms[n]) ? n + 1 : 0;
}
