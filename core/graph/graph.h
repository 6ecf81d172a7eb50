/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model graph, in primitives: nodes in execution order, edges between them. model/arch builds it with the tn_build_*
 * functions, which check every shape; core/bind fuses chains of it and gives each node a kernel.
 *
 * A builder error is sticky: build freely, ask tn_graph_finish once. Thread: built by one thread, immutable afterwards.
 */
#ifndef TN_CORE_GRAPH_GRAPH_H
#define TN_CORE_GRAPH_GRAPH_H

#include "core/base/arena.h"
#include "core/base/strbuf.h"
#include "core/graph/catalogue.h"
#include "core/graph/model_desc.h"
#include "core/graph/weight_source.h"

#include <stdbool.h>

/* The class decides the dtype: RESID and ACT by the domain, F32 and I32 fixed. */
enum { TN_EDGE_RESID = 1, TN_EDGE_ACT = 2, TN_EDGE_F32 = 3, TN_EDGE_I32 = 4 };
/* Rows of an edge: one a token of the batch, or one a wanted row (after gather_rows). */
enum { TN_ROWS_TOKENS = 1, TN_ROWS_WANTED = 2 };

typedef struct tn_edge {
    const char *name;
    int32_t cls, rows;
    int32_t width;     /* elements of a row */
    int32_t heads;     /* 0: rank 2 [M, width]; else rank 3 [M, heads, width / heads] */
    int32_t base;      /* edge this one is a view of, or -1. Views are never views of views */
    int32_t offset;    /* first column in base */
    int32_t producer;  /* node, or -1 (for a view: base's) */
    int32_t n_consumers; /* reads of this edge itself; a base also counts the reads of its views */
} tn_edge;

typedef struct tn_weight_ref {
    const char *name, *bias; /* source tensor and its bias; name NULL: absent part, bias NULL: none */
} tn_weight_ref;

typedef struct tn_graph_node {
    const tn_op_info *op;
    const char *path;      /* "layer.7.qkv" */
    int32_t layer;         /* -1 outside the layers */
    int32_t n_in, n_out, in[TN_MAX_IN], out[TN_MAX_OUT];
    int32_t n_weights;
    tn_weight_ref weight[TN_MAX_PARTS];
    const void *param, *param2;
} tn_graph_node;

typedef struct tn_graph {
    const tn_model_desc *desc; /* borrowed */
    tn_edge *edge;
    tn_graph_node *node;
    int32_t n_edges, n_nodes, cap_edges, cap_nodes;
    int32_t n_layers;          /* as built: desc->n_layers or max_layers */
    int32_t logits, argmax;    /* edges: f32 [R, vocab], i32 [R] */
    tn_arena arena;            /* strings and params */
    /* builder state */
    const tn_weight_source *source;
    int32_t layer;
    tn_status status;
    tn_error error;
} tn_graph;

/** An empty graph; source is used to look up formats and shapes and is borrowed until tn_graph_finish. */
tn_status tn_graph_init(tn_graph *g, const tn_model_desc *desc, const tn_weight_source *source, tn_error *err) TN_MUST_USE;
void tn_graph_deinit(tn_graph *g);
/** First builder error, or the checks of the whole graph (every edge produced before use, logits set, one KV writer a layer). */
tn_status tn_graph_finish(tn_graph *g, tn_error *err) TN_MUST_USE;

/* Edge ids are >= 0; after an error they are -1 and later calls do nothing. Paths: a name inside the current layer ("qkv"). */
void tn_build_layer(tn_graph *g, int32_t layer); /* -1: outside the layers */
int32_t tn_build_embed(tn_graph *g, const char *name, const char *tensor, float scale);
int32_t tn_build_rmsnorm(tn_graph *g, const char *name, int32_t x, const char *tensor, float eps, float offset);

/* One linear over x: parts side by side. Parts of unlike format become single nodes "name.<short>". */
typedef struct tn_linear_part {
    const char *short_name, *tensor, *bias; /* bias: tensor name, used when the source has it; NULL: none */
    int32_t rows;                           /* expected rows of the tensor */
} tn_linear_part;
typedef struct tn_linear_args {
    const char *name;
    const tn_linear_part *part;
    int32_t n_parts, out_class; /* TN_EDGE_ACT, or TN_EDGE_F32 for logits and for what `add` takes into the residual stream */
    float out_scale;            /* 0 = 1 */
} tn_linear_args;
/** out_edges[n_parts]: a view a part (or whole edges when n_parts is 1 or formats differ). */
void tn_build_linear(tn_graph *g, const tn_linear_args *args, int32_t x, int32_t *out_edges);

int32_t tn_build_add(tn_graph *g, const char *name, int32_t y, int32_t x);
int32_t tn_build_glu(tn_graph *g, const char *name, int32_t gate, int32_t up, int32_t act);
/** q, k become per-head normed edges. q_tensor, k_tensor: 1 x head_dim. */
void tn_build_qk_norm(tn_graph *g, const char *name, int32_t *q, int32_t *k, const char *q_tensor, const char *k_tensor, const tn_rope *rope);
void tn_build_rope(tn_graph *g, const char *name, int32_t *q, int32_t *k, const tn_rope *rope);
void tn_build_kv_write(tn_graph *g, const char *name, int32_t k, int32_t v, const tn_attention *attention);
int32_t tn_build_attention(tn_graph *g, const char *name, int32_t q, const tn_attention *attention);
int32_t tn_build_gather_rows(tn_graph *g, const char *name, int32_t x);
/** Ends the graph: argmax over logits. */
void tn_build_argmax(tn_graph *g, const char *name, int32_t logits);
/** Rank-3 view [M, heads, width / heads] of a rank-2 edge or view. */
int32_t tn_build_heads(tn_graph *g, int32_t edge, int32_t heads);

#endif
