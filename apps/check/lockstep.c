/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every node of the profile, fed with the reference's values: an error does not travel, so the
 * first bad node is read off in one pass. Node by node, and for each node step by step, so that
 * weights are packed once and let go again.
 */
#include "apps/check/session.h"
#include "core/base/alloc.h"

#include <stdio.h>
#include <string.h>

static const char *const planning = "weights are planned and packed";

typedef struct node_check {
    tn_check_session *s;
    tn_check_track *track;
    int32_t index;
    const tn_bound_node *bound;
    tn_check_part part[TN_MAX_PARTS];
    tn_check_reference *reference;
    tn_check_kernel *kernel; /* NULL: not selected, or it could not be opened */
    tn_check_result *result; /* NULL: not selected */
    int32_t result_index;
} node_check;

/* What of the node runs next, on the plugin or (NULL) the reference. c may be NULL. */
static void begin(const node_check *n, int32_t part, const tn_plugin_entry *plugin,
                  const char *what, const tn_check_case *c)
{
    tn_check_begin_case(n->s, &(tn_check_next){ .part = part,
                                                .name = n->bound->node.path,
                                                .what = what,
                                                .node = &n->bound->node,
                                                .plugin = plugin,
                                                .kernel = n->bound->kernel,
                                                .c = c });
}

static tn_status open_candidate(node_check *n, tn_error *err)
{
    const tn_bound_node *b = n->bound;
    tn_check_fault fault = { 0 };
    tn_check_verdict verdict = { 0 };
    if (!tn_check_selected(n->s->args, b->node.path, b->op->name))
        return TN_OK;
    n->result = tn_check_add_result(n->s, TN_CHECK_LOCKSTEP, b->node.path, &b->node,
                                    b->plugin->name, b->kernel);
    if (!n->result)
        return tn_fail_memory(err, "the results");
    n->result_index = n->s->report->results.n - 1;
    begin(n, TN_CHECK_LOCKSTEP, b->plugin, planning, NULL);
    TN_TRY(tn_check_kernel_open(b->plugin, b->kernel, &b->node, n->part, b->n_weights,
                                n->s->setup->team, &n->kernel, &fault, err));
    tn_check_verdict_fault(&fault, &verdict);
    if (verdict.failed)
        tn_check_note(n->s, n->result, NULL, "", &verdict);
    return TN_OK;
}

/* Widths of the node's edges, which with the kernel tell one claim check from another. */
static const char *signature(const tn_check_case *c, char *text, size_t cap)
{
    size_t used = 0;
    text[0] = 0;
    for (int32_t i = 0; i < c->node.n_in + c->node.n_out && used < cap; i++)
        used += (size_t)snprintf(
            text + used, cap - used, "%s%d", i ? "," : "",
            (int)(i < c->node.n_in ? c->in[i].width : c->out[i - c->node.n_in].width));
    return text;
}

static bool claims_are_known(const node_check *n, const char *shape)
{
    const tn_check_results *all = &n->s->report->results;
    for (int32_t i = 0; i < all->n; i++)
        if (all->item[i].part == TN_CHECK_CLAIMS &&
            strcmp(all->item[i].kernel, n->kernel->kernel->name) == 0 &&
            strcmp(all->item[i].signature, shape) == 0)
            return true;
    return false;
}

/* Claims, once for every kernel and shape: layers are alike. */
static tn_status check_claims(node_check *n, const tn_check_case *c, tn_error *err)
{
    char shape[96];
    tn_check_verdict verdict = { 0 };
    if (claims_are_known(n, signature(c, shape, sizeof shape)))
        return TN_OK;
    begin(n, TN_CHECK_CLAIMS, n->bound->plugin, "claims", c);
    TN_TRY(tn_check_claims(n->s, n->kernel, c, &verdict, err));
    tn_check_result *r =
        tn_check_add_result(n->s, TN_CHECK_CLAIMS, n->bound->node.path, &n->bound->node,
                            n->bound->plugin->name, n->bound->kernel);
    if (!r)
        return tn_fail_memory(err, "the results");
    r->signature = tn_check_results_text(&n->s->report->results, "%s", shape);
    tn_check_note(n->s, r, c, "", &verdict);
    TN_TRY(tn_check_save(n->s, n->s->report->results.n - 1, n->bound->plugin, n->bound->kernel, c,
                         err));
    n->result = &n->s->report->results.item[n->result_index];
    return TN_OK;
}

static tn_status check_step(node_check *n, int32_t step, tn_error *err)
{
    tn_check_case c;
    tn_check_expected expected = { 0 };
    tn_check_verdict verdict = { 0 };
    float *storage, *out[TN_MAX_OUT];
    uint8_t *pool = NULL;
    char where[32];
    bool has_rows;
    tn_status status =
        tn_check_track_case(n->track, n->index, step, n->part, &c, &storage, &has_rows, err);
    (void)snprintf(where, sizeof where, "step %d", (int)step + 1);
    if (!status && has_rows) {
        begin(n, TN_CHECK_LOCKSTEP, NULL, where, &c);
        status = tn_check_reference_run(n->reference, &c, &expected, err);
        if (!status && n->kernel) {
            begin(n, TN_CHECK_LOCKSTEP, n->bound->plugin, where, &c);
            status = tn_check_one(n->s, n->kernel, &c, &expected, &verdict, err);
            tn_check_note(n->s, n->result, &c, where, &verdict);
            if (!status && !verdict.failed)
                status = check_claims(n, &c, err);
        }
        if (!status && n->result)
            status =
                tn_check_save(n->s, n->result_index, n->bound->plugin, n->bound->kernel, &c, err);
        if (!status) {
            tn_check_expected_take(&expected, out, &pool);
            tn_check_track_put(n->track, n->index, step, out, &pool);
        }
        tn_check_expected_deinit(&expected);
    }
    tn_free(storage);
    return status;
}

static tn_status check_node(node_check *n, tn_error *err)
{
    TN_TRY(tn_check_node_parts(n->s, n->bound, n->part, err));
    begin(n, TN_CHECK_LOCKSTEP, NULL, planning, NULL);
    TN_TRY(tn_check_reference_open(n->s->reference, n->bound->op, &n->bound->node, n->part,
                                   n->bound->n_weights, n->s->setup->team, &n->reference, err));
    TN_TRY(open_candidate(n, err));
    for (int32_t step = 0; step < n->track->schedule->n_steps; step++)
        TN_TRY(check_step(n, step, err));
    return TN_OK;
}

/* The free run needs all nodes at once; layers' weights are then packed once for both parts. */
static void keep_or_close(node_check *n, tn_status status)
{
    if (n->s->runner && !status && n->kernel) {
        tn_check_kernel_trust(n->kernel);
        tn_check_reference_trust(n->reference);
        n->s->runner[n->index] =
            (tn_check_runner){ .kernel = n->kernel, .reference = n->reference };
        return;
    }
    tn_check_kernel_close(n->kernel);
    tn_check_reference_close(n->reference);
}

static tn_status check_nodes(tn_check_session *s, tn_check_track *track, tn_error *err)
{
    const tn_binding *b = s->setup->binding;
    tn_status status = TN_OK;
    for (int32_t i = 0; i < b->n_nodes && !status; i++) {
        node_check n = { .s = s, .track = track, .index = i, .bound = &b->node[i] };
        status = check_node(&n, err);
        keep_or_close(&n, status);
        tn_check_node_parts_deinit(n.part);
        tn_check_track_forget(track, i);
        if (s->args->progress)
            s->args->progress(s->args->ctx, (uint64_t)i + 1, (uint64_t)b->n_nodes);
    }
    return status;
}

tn_status tn_check_lockstep(tn_check_session *s, tn_error *err)
{
    const tn_binding *b = s->setup->binding;
    const tn_check_schedule_args args = tn_check_session_schedule(s);
    tn_check_track track;
    TN_TRY(tn_check_schedule_mixed(&args, &s->schedule, err));
    tn_status status =
        tn_check_track_open(b, s->setup->profile->kv.format, &s->schedule, &track, err);
    if (!status)
        status = check_nodes(s, &track, err);
    tn_check_track_close(&track);
    return status;
}
