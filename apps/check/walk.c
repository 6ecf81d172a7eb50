/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/walk.h"

#include "apps/check/session.h"
#include "core/base/alloc.h"

#include <stdio.h>

tn_status tn_check_walk_open(const tn_binding *binding, const char *kv_format,
                             const tn_check_schedule *schedule, const tn_check_runner *runner,
                             const bool *by_reference, tn_check_walk *out, tn_error *err)
{
    *out = (tn_check_walk){ .runner = runner, .by_reference = by_reference };
    return tn_check_track_open(binding, kv_format, schedule, &out->track, err);
}

void tn_check_walk_close(tn_check_walk *w)
{
    tn_check_track_close(&w->track);
}

static tn_status run_reference(tn_check_walk *w, int32_t node, int32_t step, const tn_check_case *c,
                               tn_error *err)
{
    tn_check_expected e;
    float *out[TN_MAX_OUT];
    uint8_t *pool;
    const tn_status status = tn_check_reference_run(w->runner[node].reference, c, &e, err);
    if (!status) {
        tn_check_expected_take(&e, out, &pool);
        tn_check_track_put(&w->track, node, step, out, &pool);
    }
    tn_check_expected_deinit(&e);
    return status;
}

static tn_status run_kernel(tn_check_walk *w, int32_t node, int32_t step, const tn_check_case *c,
                            tn_check_fault *fault, tn_error *err)
{
    tn_check_output got;
    const tn_status status = tn_check_kernel_run(w->runner[node].kernel, c, &got, fault, err);
    if (!status && !fault->what)
        tn_check_track_put(&w->track, node, step, got.out, &got.pool);
    tn_check_output_deinit(&got);
    return status;
}

static void begin(const tn_check_walk *w, int32_t node, int32_t step, bool exact)
{
    const tn_bound_node *b = &w->track.binding->node[node];
    char what[32];
    if (!w->session)
        return;
    (void)snprintf(what, sizeof what, "step %d", (int)step + 1);
    tn_check_begin_case(w->session, &(tn_check_next){ .part = TN_CHECK_FREE,
                                                      .name = b->node.path,
                                                      .what = what,
                                                      .node = &b->node,
                                                      .plugin = exact ? NULL : b->plugin,
                                                      .kernel = b->kernel });
}

tn_status tn_check_walk_step(tn_check_walk *w, int32_t step, tn_check_fault *fault,
                             int32_t *out_node, tn_error *err)
{
    tn_status status = TN_OK;
    for (int32_t i = 0; i < w->track.binding->n_nodes && !status && !fault->what; i++) {
        const bool exact = !w->by_reference || w->by_reference[i];
        tn_check_case c;
        float *inputs;
        bool has_rows;
        *out_node = i;
        w->track.exact = exact;
        begin(w, i, step, exact);
        status = tn_check_track_case(&w->track, i, step, NULL, &c, &inputs, &has_rows, err);
        if (!status && has_rows)
            status =
                exact ? run_reference(w, i, step, &c, err) : run_kernel(w, i, step, &c, fault, err);
        tn_free(inputs);
    }
    return status;
}
