/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes to kernels, once, at load. Chains around a linear are fused as wide as the first plugin that supports the linear allows;
 * rope_kv_write and attention of a layer bind together through their KV format; `bind:` globs override; a node that nobody claims
 * is an error naming the node, each plugin and its reason. Rules: design "Binding", docs/ops.md "Binding of chains".
 *
 * Thread: made by one thread, immutable afterwards. Borrows graph and plugin set until destroy.
 */
#ifndef TN_CORE_BIND_BIND_H
#define TN_CORE_BIND_BIND_H

#include "core/base/arena.h"
#include "core/graph/graph.h"
#include "core/plugin/plugin_set.h"

typedef struct tn_bind_rule {
    const char *glob, *plugin; /* node path glob -> plugin name; the first that matches wins */
} tn_bind_rule;

typedef struct tn_bind_args {
    const tn_graph *graph;
    const tn_plugin_set *plugins;
    const tn_bind_rule *rule;
    int32_t n_rules;
    const char *fallback;      /* "none" or a host plugin of the set */
    const char *kv_format;     /* "f32" "f16" "i8" "i8-static" or a plugin's own */
    const float *const *kv_static; /* i8-static: [n_layers] arrays [n_kv_static][4]; else NULL */
    int32_t n_kv_static;       /* 1 or kv_heads */
    int32_t act_dtype;         /* 0: the domain's own; TN_F16, TN_BF16 */
    int32_t max_tokens, max_seqs, max_ctx, block_tokens, max_rows;
    bool no_fusion;            /* primitives only: tests */
} tn_bind_args;

enum { TN_MAX_DOMAINS = 2 }; /* 0: the device of the profile; 1: host, when fallback brought it in */

typedef struct tn_bound_node {
    tn_node node;              /* what the plugin sees; its pointers live as long as the binding */
    const tn_op_info *op;
    const tn_plugin_entry *plugin;
    const tn_kernel *kernel;
    tn_plan plan;
    int32_t domain;            /* index into tn_binding.device */
    int32_t in[TN_MAX_IN], out[TN_MAX_OUT];  /* graph edges */
    int32_t n_weights;
    tn_weight_ref weight[TN_MAX_PARTS];
} tn_bound_node;

/* A layer's KV pool. */
typedef struct tn_bound_kv {
    const tn_kv_format *format; /* of the plugin that reads and writes it */
    const tn_plugin_entry *plugin;
    tn_attention attention;
    uint64_t block_bytes;       /* a multiple of 256 */
    int32_t domain;
} tn_bound_kv;

typedef struct tn_binding {
    const tn_graph *graph;
    tn_bound_node *node;       /* execution order */
    int32_t n_nodes;
    int32_t *edge_dtype;       /* [graph->n_edges] TN_F32 ...; 0 for edges that fusion removed */
    tn_bound_kv *kv;           /* [graph->n_layers] */
    tn_device device[TN_MAX_DOMAINS];
    int32_t resid_dtype[TN_MAX_DOMAINS], act_dtype[TN_MAX_DOMAINS]; /* of the two edge classes in each domain */
    int32_t n_domains;
    int32_t max_tokens, max_seqs, max_ctx, block_tokens, max_rows;
    tn_arena arena;
} tn_binding;

/** Bind everything. Errors: TN_UNSUPPORTED (a node nobody claims), TN_INVALID (a rule naming an unknown plugin, kv format unknown). */
tn_status tn_bind(const tn_bind_args *args, tn_binding **out, tn_error *err) TN_MUST_USE;
void tn_binding_destroy(tn_binding *binding);

/**
 * The dtype an edge has in a domain. A node sees each of its inputs in its own domain's dtype for the edge's class; where that is
 * not edge_dtype[edge] (the producer's), or the producer is in the other domain, the executor copies and converts on the way.
 */
int32_t tn_binding_edge_dtype(const tn_binding *binding, int32_t edge, int32_t domain);

/*
 * Name of a weight part that is in no file: the KV calibration of the node's layer, f32 [n_kv_static][4], to be packed from
 * kv_static of the node's tn_attention (param of kv_write and attention, param2 of rope_kv_write).
 */
#define TN_KV_STATIC_WEIGHT "@kv_static"

/**
 * Bytes of a catalogue KV block (heads consecutive, each K[T][D] V[T][D] and its parameters), not rounded to a stride; 0 for an
 * unknown format or senseless dimensions.
 */
uint64_t tn_kv_block_bytes(const char *format, int32_t kv_heads, int32_t head_dim, int32_t block_tokens);

#endif
