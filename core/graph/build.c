/* SPDX-License-Identifier: Apache-2.0 */
/* The builder: one function an op, each checking its shapes against the edges and the weight
 * source. */
#include "core/base/alloc.h"
#include "core/graph/graph.h"

#include <string.h>

/* A graph of 4,096 layers with every primitive stays below both. */
enum { MAX_NODES = 1 << 17, MAX_EDGES = 1 << 18 };

static void fail(tn_graph *g, tn_status code, const char *format, ...) TN_PRINTF(3, 4);

static void fail(tn_graph *g, tn_status code, const char *format, ...)
{
    if (g->status)
        return;
    va_list args;
    va_start(args, format);
    g->status = tn_fail_v(&g->error, code, format, args);
    va_end(args);
}

static void *arena(tn_graph *g, void *object)
{
    if (!object && !g->status)
        g->status = tn_fail_memory(&g->error, "the model graph");
    return object;
}

static bool grow(tn_graph *g, void **array, int32_t *capacity, int32_t n, int32_t limit,
                 size_t size)
{
    if (n < *capacity)
        return true;
    int32_t wanted = *capacity ? *capacity * 2 : 256;
    if (n >= limit) {
        fail(g, TN_INVALID, "the model graph has more than %d nodes or edges", (int)limit);
        return false;
    }
    void *grown = tn_realloc_array(*array, (size_t)wanted, size);
    if (!arena(g, grown))
        return false;
    *array = grown;
    *capacity = wanted;
    return true;
}

static int32_t add_edge(tn_graph *g, const tn_edge *edge)
{
    void *array = g->edge;
    if (g->status || !grow(g, &array, &g->cap_edges, g->n_edges, MAX_EDGES, sizeof *g->edge))
        return -1;
    g->edge = array;
    g->edge[g->n_edges] = *edge;
    return g->n_edges++;
}

static const char *path_of(tn_graph *g, const char *name)
{
    if (g->layer < 0)
        return arena(g, tn_arena_strdup(&g->arena, name));
    return arena(g, tn_arena_printf(&g->arena, "layer.%d.%s", (int)g->layer, name));
}

/* Starts a node; its inputs are checked to exist. NULL after an error. Valid until the next
 * add_node. */
static tn_graph_node *add_node(tn_graph *g, const char *op, const char *name, const void *param)
{
    void *array = g->node;
    if (g->status || !grow(g, &array, &g->cap_nodes, g->n_nodes, MAX_NODES, sizeof *g->node))
        return NULL;
    g->node = array;
    const char *path = path_of(g, name);
    if (!path || !param)
        return NULL;
    tn_graph_node *node = &g->node[g->n_nodes];
    *node =
        (tn_graph_node){ .op = tn_op_find(op), .path = path, .layer = g->layer, .param = param };
    g->n_nodes++;
    return node;
}

static void add_input(tn_graph *g, tn_graph_node *node, int32_t edge)
{
    node->in[node->n_in++] = edge;
    g->edge[edge].n_consumers++;
    if (g->edge[edge].base >= 0)
        g->edge[g->edge[edge].base].n_consumers++;
}

/* A new edge written by the node that was added last. */
static int32_t add_output(tn_graph *g, tn_graph_node *node, const char *suffix, tn_edge edge)
{
    edge.name =
        suffix ? arena(g, tn_arena_printf(&g->arena, "%s.%s", node->path, suffix)) : node->path;
    edge.base = -1;
    edge.producer = g->n_nodes - 1;
    int32_t id = add_edge(g, &edge);
    node->out[node->n_out++] = id;
    return id;
}

static const char *copy_name(tn_graph *g, const char *text)
{
    return arena(g, tn_arena_strdup(&g->arena, text));
}

/* The tensor with its shape checked, or false after an error. */
static bool tensor_info(tn_graph *g, const char *tensor, int64_t rows, int64_t cols,
                        tn_weight_info *info)
{
    if (g->source->find(g->source->self, tensor, info)) {
        fail(g, TN_INVALID, "the model has no tensor %s", tensor);
        return false;
    }
    if (info->rows != rows || info->cols != cols) {
        fail(g, TN_INVALID, "tensor %s is %lld x %lld; the model's dimensions make it %lld x %lld",
             tensor, (long long)info->rows, (long long)info->cols, (long long)rows,
             (long long)cols);
        return false;
    }
    if (info->group > 0 && cols % info->group != 0) {
        fail(g, TN_INVALID, "tensor %s has %lld columns, not a multiple of its group of %d", tensor,
             (long long)cols, (int)info->group);
        return false;
    }
    return true;
}

static bool valid(const tn_graph *g, int32_t edge)
{
    return !g->status && edge >= 0 && edge < g->n_edges;
}

static bool check_width(tn_graph *g, const char *name, int32_t edge, int32_t width)
{
    if (g->edge[edge].width == width)
        return true;
    fail(g, TN_INTERNAL, "%s: input %s has width %d, %d is needed", name, g->edge[edge].name,
         (int)g->edge[edge].width, (int)width);
    return false;
}

static bool check_heads(tn_graph *g, const char *name, int32_t edge, int32_t heads,
                        int32_t head_dim)
{
    const tn_edge *e = &g->edge[edge];
    if (e->heads == heads && e->width == heads * head_dim)
        return true;
    fail(g, TN_INTERNAL, "%s: input %s is [M, %d, %d], [M, %d, %d] is needed", name, e->name,
         (int)e->heads, e->heads ? (int)(e->width / e->heads) : (int)e->width, (int)heads,
         (int)head_dim);
    return false;
}

void tn_build_layer(tn_graph *g, int32_t layer)
{
    g->layer = layer;
    if (layer >= g->n_layers)
        g->n_layers = layer + 1;
}

int32_t tn_build_embed(tn_graph *g, const char *name, const char *tensor, float scale)
{
    tn_weight_info info;
    const tn_model_desc *d = g->desc;
    if (g->status || !tensor_info(g, tensor, d->vocab, d->dim, &info))
        return -1;
    tn_embed param = { .size = sizeof param,
                       .vocab = d->vocab,
                       .dim = d->dim,
                       .group = info.group,
                       .values = info.values,
                       .scale = scale,
                       .wfmt = info.wfmt };
    const char *weight = copy_name(g, tensor);
    tn_graph_node *node =
        add_node(g, "embed", name, arena(g, tn_arena_copy(&g->arena, &param, sizeof param)));
    if (!node)
        return -1;
    node->n_weights = 1;
    node->weight[0].name = weight;
    return add_output(g, node, NULL,
                      (tn_edge){ .cls = TN_EDGE_RESID, .rows = TN_ROWS_TOKENS, .width = d->dim });
}

int32_t tn_build_rmsnorm(tn_graph *g, const char *name, int32_t x, const char *tensor, float eps,
                         float offset)
{
    tn_weight_info info;
    if (!valid(g, x) || !tensor_info(g, tensor, 1, g->edge[x].width, &info))
        return -1;
    tn_norm param = { .size = sizeof param, .dim = g->edge[x].width, .eps = eps, .offset = offset };
    const char *weight = copy_name(g, tensor);
    tn_graph_node *node =
        add_node(g, "rmsnorm", name, arena(g, tn_arena_copy(&g->arena, &param, sizeof param)));
    if (!node)
        return -1;
    node->n_weights = 1;
    node->weight[0].name = weight;
    add_input(g, node, x);
    return add_output(
        g, node, NULL,
        (tn_edge){ .cls = TN_EDGE_ACT, .rows = g->edge[x].rows, .width = g->edge[x].width });
}

/* ---- linear ---- */

typedef struct part_info {
    tn_weight_info weight;
    const char *tensor, *bias;
} part_info;

static bool find_part(tn_graph *g, const tn_linear_part *part, int32_t cols, part_info *out)
{
    *out = (part_info){ 0 };
    if (!tensor_info(g, part->tensor, part->rows, cols, &out->weight))
        return false;
    out->tensor = copy_name(g, part->tensor);
    tn_weight_info bias;
    if (part->bias && g->source->find(g->source->self, part->bias, &bias) == TN_OK) {
        if (!tensor_info(g, part->bias, 1, part->rows, &bias))
            return false;
        out->bias = copy_name(g, part->bias);
    }
    return !g->status;
}

static bool same_format(const tn_weight_info *a, const tn_weight_info *b)
{
    return strcmp(a->wfmt, b->wfmt) == 0 && a->group == b->group && a->values == b->values;
}

static const tn_linear *linear_param(tn_graph *g, const part_info *parts, int32_t n, int32_t cols,
                                     float out_scale)
{
    tn_part *part = arena(g, tn_arena_alloc(&g->arena, (size_t)n * sizeof *part));
    const tn_part **list = arena(g, tn_arena_alloc(&g->arena, (size_t)n * sizeof *list));
    if (!part || !list)
        return NULL;
    for (int32_t i = 0; i < n; i++) {
        part[i] = (tn_part){ .size = sizeof(tn_part),
                             .out = (int32_t)parts[i].weight.rows,
                             .bias = parts[i].bias != NULL,
                             .group = parts[i].weight.group,
                             .values = parts[i].weight.values,
                             .wfmt = parts[i].weight.wfmt };
        list[i] = &part[i];
    }
    tn_linear param = {
        .size = sizeof param, .in = cols, .n_parts = n, .part = list, .out_scale = out_scale
    };
    return arena(g, tn_arena_copy(&g->arena, &param, sizeof param));
}

static int32_t add_linear(tn_graph *g, const char *name, const part_info *parts, int32_t n,
                          int32_t x, const tn_linear_args *args)
{
    int64_t width = 0;
    for (int32_t i = 0; i < n; i++)
        width += parts[i].weight.rows;
    if (width > INT32_MAX) {
        fail(g, TN_INVALID, "%s has %lld outputs, at most %d are allowed", name, (long long)width,
             INT32_MAX);
        return -1;
    }
    tn_graph_node *node =
        add_node(g, "linear", name, linear_param(g, parts, n, g->edge[x].width, args->out_scale));
    if (!node)
        return -1;
    node->n_weights = n;
    for (int32_t i = 0; i < n; i++)
        node->weight[i] = (tn_weight_ref){ .name = parts[i].tensor, .bias = parts[i].bias };
    add_input(g, node, x);
    return add_output(
        g, node, NULL,
        (tn_edge){ .cls = args->out_class, .rows = g->edge[x].rows, .width = (int32_t)width });
}

/* Columns [offset, offset + width) of a base edge. */
static int32_t add_view(tn_graph *g, const char *name, int32_t base, int32_t offset, int32_t width)
{
    tn_edge view = g->edge[base];
    view.name = name;
    view.width = width;
    view.heads = 0;
    view.offset = (g->edge[base].base >= 0 ? g->edge[base].offset : 0) + offset;
    view.base = g->edge[base].base >= 0 ? g->edge[base].base : base;
    view.n_consumers = 0;
    return add_edge(g, &view);
}

void tn_build_linear(tn_graph *g, const tn_linear_args *args, int32_t x, int32_t *out_edges)
{
    part_info part[TN_MAX_PARTS];
    const int32_t n = args->n_parts;
    bool alike = true;
    for (int32_t i = 0; i < n; i++)
        out_edges[i] = -1;
    if (!valid(g, x))
        return;
    if (n < 1 || n > TN_MAX_PARTS - 1) {
        fail(g, TN_INTERNAL, "%s has %d parts, 1 to %d are allowed", args->name, (int)n,
             TN_MAX_PARTS - 1);
        return;
    }
    for (int32_t i = 0; i < n; i++) {
        if (!find_part(g, &args->part[i], g->edge[x].width, &part[i]))
            return;
        alike = alike && same_format(&part[0].weight, &part[i].weight);
    }
    if (!alike) {
        for (int32_t i = 0; i < n; i++)
            out_edges[i] = add_linear(g, args->part[i].short_name, &part[i], 1, x, args);
        return;
    }
    int32_t whole = add_linear(g, args->name, part, n, x, args), offset = 0;
    if (n == 1 || whole < 0) {
        out_edges[0] = whole;
        return;
    }
    for (int32_t i = 0; i < n; i++) {
        const char *name = arena(
            g, tn_arena_printf(&g->arena, "%s.%s", g->edge[whole].name, args->part[i].short_name));
        out_edges[i] = add_view(g, name, whole, offset, args->part[i].rows);
        offset += args->part[i].rows;
    }
}

int32_t tn_build_heads(tn_graph *g, int32_t edge, int32_t heads)
{
    if (!valid(g, edge))
        return -1;
    if (heads <= 0 || g->edge[edge].width % heads != 0) {
        fail(g, TN_INTERNAL, "%s: width %d is not a multiple of %d heads", g->edge[edge].name,
             (int)g->edge[edge].width, (int)heads);
        return -1;
    }
    int32_t view = add_view(g, g->edge[edge].name, edge, 0, g->edge[edge].width);
    if (view >= 0)
        g->edge[view].heads = heads;
    return view;
}

/* ---- the rest ---- */

static const tn_rows_op *rows_param(tn_graph *g, int32_t dim, int32_t act)
{
    tn_rows_op param = { .size = sizeof param, .dim = dim, .act = act };
    return arena(g, tn_arena_copy(&g->arena, &param, sizeof param));
}

int32_t tn_build_add(tn_graph *g, const char *name, int32_t y, int32_t x)
{
    if (!valid(g, y) || !valid(g, x) || !check_width(g, name, y, g->edge[x].width))
        return -1;
    tn_graph_node *node = add_node(g, "add", name, rows_param(g, g->edge[x].width, 0));
    if (!node)
        return -1;
    add_input(g, node, y);
    add_input(g, node, x);
    return add_output(
        g, node, NULL,
        (tn_edge){ .cls = TN_EDGE_RESID, .rows = g->edge[x].rows, .width = g->edge[x].width });
}

int32_t tn_build_glu(tn_graph *g, const char *name, int32_t gate, int32_t up, int32_t act)
{
    if (!valid(g, gate) || !valid(g, up) || !check_width(g, name, gate, g->edge[up].width))
        return -1;
    tn_graph_node *node = add_node(g, "glu", name, rows_param(g, g->edge[up].width, act));
    if (!node)
        return -1;
    add_input(g, node, gate);
    add_input(g, node, up);
    return add_output(
        g, node, NULL,
        (tn_edge){ .cls = TN_EDGE_ACT, .rows = g->edge[up].rows, .width = g->edge[up].width });
}

/* qk_norm and rope: q, k in, q', k' out; the edges are replaced. Returns the node, or NULL after an
 * error. */
static tn_graph_node *qk_node(tn_graph *g, const char *op, const char *name, int32_t *q, int32_t *k,
                              const tn_rope *rope)
{
    if (!valid(g, *q) || !valid(g, *k) || !check_heads(g, name, *q, rope->heads, rope->head_dim) ||
        !check_heads(g, name, *k, rope->kv_heads, rope->head_dim))
        return NULL;
    tn_graph_node *node =
        add_node(g, op, name, arena(g, tn_arena_copy(&g->arena, rope, sizeof *rope)));
    if (!node)
        return NULL;
    const int32_t index = g->n_nodes - 1;
    add_input(g, node, *q);
    add_input(g, node, *k);
    *q = add_output(g, node, "q",
                    (tn_edge){ .cls = TN_EDGE_ACT,
                               .rows = TN_ROWS_TOKENS,
                               .width = rope->heads * rope->head_dim,
                               .heads = rope->heads });
    *k = add_output(g, node, "k",
                    (tn_edge){ .cls = TN_EDGE_ACT,
                               .rows = TN_ROWS_TOKENS,
                               .width = rope->kv_heads * rope->head_dim,
                               .heads = rope->kv_heads });
    return g->status ? NULL : &g->node[index];
}

void tn_build_qk_norm(tn_graph *g, const char *name, int32_t *q, int32_t *k, const char *q_tensor,
                      const char *k_tensor, const tn_rope *rope)
{
    tn_weight_info info;
    if (g->status || !tensor_info(g, q_tensor, 1, rope->head_dim, &info) ||
        !tensor_info(g, k_tensor, 1, rope->head_dim, &info))
        return;
    tn_graph_node *node = qk_node(g, "qk_norm", name, q, k, rope);
    if (!node)
        return;
    node->n_weights = 2;
    node->weight[0].name = copy_name(g, q_tensor);
    node->weight[1].name = copy_name(g, k_tensor);
}

void tn_build_rope(tn_graph *g, const char *name, int32_t *q, int32_t *k, const tn_rope *rope)
{
    if (!g->status)
        qk_node(g, "rope", name, q, k, rope);
}

void tn_build_kv_write(tn_graph *g, const char *name, int32_t k, int32_t v,
                       const tn_attention *attention)
{
    if (!valid(g, k) || !valid(g, v) ||
        !check_heads(g, name, k, attention->kv_heads, attention->head_dim) ||
        !check_heads(g, name, v, attention->kv_heads, attention->head_dim))
        return;
    tn_graph_node *node = add_node(
        g, "kv_write", name, arena(g, tn_arena_copy(&g->arena, attention, sizeof *attention)));
    if (!node)
        return;
    add_input(g, node, k);
    add_input(g, node, v);
}

int32_t tn_build_attention(tn_graph *g, const char *name, int32_t q, const tn_attention *attention)
{
    if (!valid(g, q) || !check_heads(g, name, q, attention->heads, attention->head_dim))
        return -1;
    tn_graph_node *node = add_node(
        g, "attention", name, arena(g, tn_arena_copy(&g->arena, attention, sizeof *attention)));
    if (!node)
        return -1;
    add_input(g, node, q);
    return add_output(g, node, NULL,
                      (tn_edge){ .cls = TN_EDGE_ACT,
                                 .rows = TN_ROWS_TOKENS,
                                 .width = attention->heads * attention->head_dim });
}

int32_t tn_build_gather_rows(tn_graph *g, const char *name, int32_t x)
{
    if (!valid(g, x))
        return -1;
    tn_graph_node *node = add_node(g, "gather_rows", name, rows_param(g, g->edge[x].width, 0));
    if (!node)
        return -1;
    add_input(g, node, x);
    return add_output(
        g, node, NULL,
        (tn_edge){ .cls = TN_EDGE_RESID, .rows = TN_ROWS_WANTED, .width = g->edge[x].width });
}

void tn_build_argmax(tn_graph *g, const char *name, int32_t logits)
{
    if (!valid(g, logits) || !check_width(g, name, logits, g->desc->vocab))
        return;
    tn_graph_node *node = add_node(g, "argmax", name, rows_param(g, g->desc->vocab, 0));
    if (!node)
        return;
    add_input(g, node, logits);
    g->logits = logits;
    g->argmax = add_output(g, node, NULL,
                           (tn_edge){ .cls = TN_EDGE_I32, .rows = TN_ROWS_WANTED, .width = 1 });
}
