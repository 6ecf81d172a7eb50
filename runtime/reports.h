/* SPDX-License-Identifier: Apache-2.0 */
/* Graph, binding and memory plan as text for people. Each appends to *out; pure. */
#ifndef TN_RUNTIME_REPORTS_H
#define TN_RUNTIME_REPORTS_H

#include "core/base/strbuf.h"
#include "core/bind/bind.h"
#include "core/exec/memory_plan.h"
#include "core/graph/graph.h"

/** One line a node, or Graphviz DOT. */
void tn_report_graph(const tn_graph *g, tn_strbuf *out);
void tn_report_graph_dot(const tn_graph *g, tn_strbuf *out);
/** Table: node, op, plugin, kernel, layout, weight and workspace bytes; why earlier plugins said
 * no; KV pool; crossings with bytes a token. args are those of the binding. */
void tn_report_binding(const tn_bind_args *args, const tn_binding *binding, tn_strbuf *out);
enum { TN_REPORT_MAX_LAYOUTS = 64 };

/* Packed weights of one layout. Nodes that share a blob count once. */
typedef struct tn_layout_use {
    const char *layout;
    int32_t blobs, nodes;
    uint64_t bytes;
} tn_layout_use;

/** Fill use[max] in order of first use; the number of them, further ones are left out. */
int32_t tn_report_layout_uses(const tn_binding *binding, tn_layout_use *use, int32_t max);
/** The same as a table. */
void tn_report_layouts(const tn_binding *binding, tn_strbuf *out);
/** Activations of each domain: offset, bytes and edge. */
void tn_report_memory_plan(const tn_memory_plan *plan, const tn_binding *binding, tn_strbuf *out);

#endif
