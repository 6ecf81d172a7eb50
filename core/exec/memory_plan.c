/* SPDX-License-Identifier: Apache-2.0 */
#include "core/exec/memory_plan.h"

#include "core/base/alloc.h"

#include <string.h>

enum { ROW_BYTES = 16, BUFFER_BYTES = 256 };

/* Bytes in use at the current node; the list is ordered by offset. */
typedef struct span {
    uint64_t begin, end;
    int32_t last; /* last node that reads it */
} span;

typedef struct planner {
    const tn_binding *binding;
    const tn_graph *graph;
    tn_memory_plan *plan;
    bool keep_all;
    int32_t *last[TN_MAX_DOMAINS]; /* [n_edges] last node that reads the edge */
    span *live[TN_MAX_DOMAINS];    /* [n_edges] */
    int32_t n_live[TN_MAX_DOMAINS];
    int32_t *producer_domain; /* [n_edges] or -1 */
} planner;

uint32_t tn_dtype_bytes(int32_t dtype)
{
    switch (dtype) {
    case TN_F32:
    case TN_I32:
    case TN_U32:
        return 4;
    case TN_F16:
    case TN_BF16:
        return 2;
    case TN_I8:
    case TN_U8:
        return 1;
    default:
        return 0;
    }
}

int32_t tn_edge_owner(const tn_graph *graph, int32_t edge)
{
    return graph->edge[edge].base >= 0 ? graph->edge[edge].base : edge;
}

bool tn_node_is_wanted(const tn_graph *graph, const tn_bound_node *node)
{
    return node->op->n_out > 0 && graph->edge[node->out[0]].rows == TN_ROWS_WANTED;
}

/* Size, dtype and stride of an edge that node i is the first to see in domain d. */
static tn_status measure(planner *p, int32_t d, int32_t edge, int32_t i, int32_t dtype,
                         tn_error *err)
{
    const tn_edge *e = &p->graph->edge[edge];
    tn_edge_place *place = &p->plan->place[d][edge];
    int32_t rows = e->rows == TN_ROWS_WANTED ? p->binding->max_rows : p->binding->max_tokens;
    size_t element = tn_dtype_bytes(dtype);
    size_t row_bytes;
    size_t bytes;
    if (element == 0)
        return tn_fail(err, TN_INTERNAL, "edge %s has dtype %d, which has no size", e->name, dtype);
    if (!tn_size_mul((size_t)e->width, element, &row_bytes) ||
        !tn_size_add(row_bytes, ROW_BYTES - 1, &row_bytes))
        return tn_fail(err, TN_INVALID, "edge %s: a row of %d elements is too long", e->name,
                       e->width);
    /* Ids are one dense vector, everything else is rows. */
    row_bytes = e->cls == TN_EDGE_I32 ? element : row_bytes & ~(size_t)(ROW_BYTES - 1);
    if (!tn_size_mul(row_bytes, (size_t)rows, &bytes) ||
        !tn_size_add(bytes, BUFFER_BYTES - 1, &bytes))
        return tn_fail(err, TN_INVALID, "edge %s: %d rows of %zu bytes are too many", e->name, rows,
                       row_bytes);
    place->bytes = bytes & ~(size_t)(BUFFER_BYTES - 1);
    place->dtype = dtype;
    place->row_stride = (int64_t)(row_bytes / element);
    place->first = i;
    p->plan->sum_bytes[d] += place->bytes;
    return TN_OK;
}

/* Node i reads or writes the edge in domain d. */
static tn_status touch(planner *p, int32_t d, int32_t edge, int32_t i, int32_t dtype, tn_error *err)
{
    const tn_edge_place *place = &p->plan->place[d][edge];
    if (place->bytes == 0)
        TN_TRY(measure(p, d, edge, i, dtype, err));
    if (place->dtype != dtype)
        return tn_fail(err, TN_INTERNAL, "edge %s is wired with dtype %d and with dtype %d",
                       p->graph->edge[edge].name, place->dtype, dtype);
    int32_t last = p->keep_all ? p->binding->n_nodes : i;
    if (p->last[d][edge] < last)
        p->last[d][edge] = last;
    return TN_OK;
}

static tn_status touch_input(planner *p, const tn_bound_node *node, int32_t i, int32_t in,
                             tn_error *err)
{
    int32_t edge = tn_edge_owner(p->graph, node->in[in]);
    int32_t from = p->producer_domain[edge];
    if (from < 0)
        return tn_fail(err, TN_INTERNAL, "node %s reads edge %s before any node made it",
                       node->node.path, p->graph->edge[edge].name);
    /* The node before which the edge crosses is a reader of it on the side it comes from. */
    if (from != node->domain && p->plan->place[node->domain][edge].bytes == 0)
        TN_TRY(touch(p, from, edge, i, p->plan->place[from][edge].dtype, err));
    TN_TRY(touch(p, node->domain, edge, i, node->node.in_dtype[in], err));
    /* Rows above max_rows run in slices, each of which gathers again. */
    if (tn_node_is_wanted(p->graph, node) && p->graph->edge[edge].rows == TN_ROWS_TOKENS) {
        p->last[node->domain][edge] = p->binding->n_nodes;
        p->last[from][edge] = p->binding->n_nodes;
    }
    return TN_OK;
}

static tn_status find_lives(planner *p, tn_error *err)
{
    const tn_binding *b = p->binding;
    for (int32_t i = 0; i < b->n_nodes; i++) {
        const tn_bound_node *node = &b->node[i];
        for (int32_t in = 0; in < node->node.n_in; in++)
            TN_TRY(touch_input(p, node, i, in, err));
        for (int32_t out = 0; out < node->node.n_out; out++) {
            int32_t edge = node->out[out];
            p->producer_domain[edge] = node->domain;
            TN_TRY(touch(p, node->domain, edge, i, node->node.out_dtype[out], err));
        }
    }
    /* The host reads these two after the last node. */
    for (int32_t d = 0; d < b->n_domains; d++) {
        p->last[d][p->graph->logits] = b->n_nodes;
        p->last[d][p->graph->argmax] = b->n_nodes;
    }
    return TN_OK;
}

static void drop_dead(planner *p, int32_t d, int32_t i)
{
    int32_t kept = 0;
    for (int32_t s = 0; s < p->n_live[d]; s++)
        if (p->live[d][s].last >= i)
            p->live[d][kept++] = p->live[d][s];
    p->n_live[d] = kept;
}

/* The smallest gap that fits, else the end. */
static void put(planner *p, int32_t d, int32_t edge)
{
    tn_edge_place *place = &p->plan->place[d][edge];
    span *live = p->live[d];
    uint64_t end = 0;
    uint64_t best_gap = UINT64_MAX;
    int32_t at = p->n_live[d];
    for (int32_t s = 0; s < p->n_live[d]; s++) {
        uint64_t gap = live[s].begin - end;
        if (gap >= place->bytes && gap < best_gap) {
            best_gap = gap;
            at = s;
        }
        end = live[s].end;
    }
    place->offset = at > 0 ? live[at - 1].end : 0;
    memmove(&live[at + 1], &live[at], (size_t)(p->n_live[d] - at) * sizeof(*live));
    live[at] = (span){ place->offset, place->offset + place->bytes, p->last[d][edge] };
    p->n_live[d]++;
    if (live[at].end > p->plan->arena_bytes[d])
        p->plan->arena_bytes[d] = live[at].end;
}

/* Give output `out` of node i the bytes of an input that dies there; false when that is not
 * allowed. */
static bool put_in_place(planner *p, const tn_bound_node *node, int32_t i, int32_t out)
{
    int32_t in = node->op->n_out > 1 ? out : node->op->alias_in;
    int32_t d = node->domain;
    tn_edge_place *to = &p->plan->place[d][node->out[out]];
    if (p->keep_all || node->op->alias_in < 0 || !(node->kernel->flags & TN_K_IN_PLACE))
        return false;
    int32_t source = node->in[in];
    const tn_edge_place *from = &p->plan->place[d][source];
    if (p->graph->edge[source].base >= 0 || p->last[d][source] != i)
        return false;
    if (from->bytes != to->bytes || from->dtype != to->dtype || from->row_stride != to->row_stride)
        return false;
    for (int32_t other = 0; other < node->node.n_in; other++)
        if (other != in && tn_edge_owner(p->graph, node->in[other]) == source)
            return false;
    to->offset = from->offset;
    for (int32_t s = 0; s < p->n_live[d]; s++)
        if (p->live[d][s].begin == to->offset)
            p->live[d][s].last = p->last[d][node->out[out]];
    return true;
}

static void place_all(planner *p)
{
    for (int32_t i = 0; i < p->binding->n_nodes; i++) {
        const tn_bound_node *node = &p->binding->node[i];
        int32_t d = node->domain;
        for (int32_t each = 0; each < p->binding->n_domains; each++)
            drop_dead(p, each, i);
        for (int32_t in = 0; in < node->node.n_in; in++) {
            int32_t edge = tn_edge_owner(p->graph, node->in[in]);
            bool again = false; /* two views of one base */
            for (int32_t before = 0; before < in; before++)
                again = again || tn_edge_owner(p->graph, node->in[before]) == edge;
            if (!again && p->producer_domain[edge] != d && p->plan->place[d][edge].first == i)
                put(p, d, edge);
        }
        for (int32_t out = 0; out < node->node.n_out; out++)
            if (!put_in_place(p, node, i, out))
                put(p, d, node->out[out]);
    }
}

tn_status tn_memory_plan_make(const tn_binding *binding, bool keep_all, tn_memory_plan *out,
                              tn_error *err)
{
    planner p = { .binding = binding, .graph = binding->graph, .plan = out, .keep_all = keep_all };
    size_t n = (size_t)binding->graph->n_edges;
    tn_status st = TN_OK;
    *out = (tn_memory_plan){ 0 };
    p.producer_domain = tn_alloc_array(n, sizeof(int32_t));
    bool have = p.producer_domain != NULL;
    for (int32_t d = 0; d < binding->n_domains; d++) {
        out->place[d] = tn_alloc_array(n, sizeof(tn_edge_place));
        p.last[d] = tn_alloc_array(n, sizeof(int32_t));
        p.live[d] = tn_alloc_array(n + 1, sizeof(span));
        have = have && out->place[d] && p.last[d] && p.live[d];
    }
    if (!have) {
        st = tn_fail_memory(err, "the memory plan");
        goto out;
    }
    for (size_t e = 0; e < n; e++)
        p.producer_domain[e] = -1;
    st = find_lives(&p, err);
    if (!st)
        place_all(&p);
out:
    for (int32_t d = 0; d < TN_MAX_DOMAINS; d++) {
        tn_free(p.live[d]);
        tn_free(p.last[d]);
    }
    tn_free(p.producer_domain);
    if (st)
        tn_memory_plan_deinit(out);
    return st;
}

void tn_memory_plan_deinit(tn_memory_plan *plan)
{
    for (int32_t d = 0; d < TN_MAX_DOMAINS; d++)
        tn_free(plan->place[d]);
    *plan = (tn_memory_plan){ 0 };
}
