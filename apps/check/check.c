/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/check.h"

#include "apps/check/session.h"
#include "core/base/alloc.h"
#include "core/base/glob.h"
#include "core/bind/bind.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

double tn_check_now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

bool tn_check_selected(const tn_check_args *args, const char *path, const char *op)
{
    return (!args->node || tn_glob_match(args->node, path)) &&
           (!args->op || strcmp(args->op, op) == 0);
}

/* ---- nodes ---- */

/* The calibration of a layer is in no file: it comes from the node's own parameters. */
static tn_status kv_static_part(const tn_bound_node *bound, tn_check_part *part, tn_error *err)
{
    const tn_attention *a =
        bound->op->param == TN_PARAM_ATTENTION ? bound->node.param : bound->node.param2;
    if (!a || !a->kv_static)
        return tn_fail(err, TN_INTERNAL, "%s: no static KV parameters are given", bound->node.path);
    *part = (tn_check_part){ .wfmt = "f32",
                             .rows = { .size = sizeof(tn_weight_rows),
                                       .rows = a->n_kv_static,
                                       .cols = 4,
                                       .values = a->kv_static } };
    return TN_OK;
}

tn_status tn_check_node_parts(const tn_check_session *s, const tn_bound_node *bound,
                              tn_check_part *part, tn_error *err)
{
    const tn_weight_source *source = tn_model_file_weights(s->setup->file);
    tn_status status = TN_OK;
    memset(part, 0, TN_MAX_PARTS * sizeof *part);
    for (int32_t i = 0; i < bound->n_weights && !status; i++) {
        const tn_weight_ref *w = &bound->weight[i];
        if (!w->name)
            continue;
        status = strcmp(w->name, TN_KV_STATIC_WEIGHT) == 0
                     ? kv_static_part(bound, &part[i], err)
                     : tn_check_part_load(source, w->name, w->bias, s->setup->team, &part[i], err);
    }
    if (status)
        tn_check_node_parts_deinit(part);
    return status;
}

void tn_check_node_parts_deinit(tn_check_part *part)
{
    for (int32_t i = 0; i < TN_MAX_PARTS; i++)
        tn_check_part_deinit(&part[i]);
}

/* ---- results ---- */

tn_check_result *tn_check_add_result(tn_check_session *s, int32_t part, const char *name,
                                     const tn_node *node, const char *plugin,
                                     const tn_kernel *kernel)
{
    tn_check_results *all = &s->report->results;
    tn_check_result *r = tn_check_results_add(all, part, name);
    if (!r)
        return NULL;
    r->op = tn_check_results_text(all, "%s", node->op);
    r->layer = node->layer;
    r->plugin = tn_check_results_text(all, "%s", plugin);
    r->kernel = tn_check_results_text(all, "%s", kernel->name);
    r->tolerance = tn_check_results_text(all, "%s", kernel->tolerance);
    return r;
}

void tn_check_note(tn_check_session *s, tn_check_result *r, const tn_check_case *c,
                   const char *where, const tn_check_verdict *v)
{
    tn_check_results *all = &s->report->results;
    char shape[256] = "";
    const double worst_before = r->metrics.worst;
    const bool first = r->n_cases == 0;
    r->n_cases++;
    s->report->n_cases++;
    tn_check_metrics_merge(&r->metrics, &v->metrics);
    if (r->state == TN_CHECK_FAILED)
        return;
    if (c && (v->failed || first || v->metrics.worst > worst_before)) {
        tn_check_case_shape(c, shape, sizeof shape);
        r->shape = tn_check_results_text(all, "%s%s%s", where, *where ? ": " : "", shape);
    }
    if (!v->failed) {
        r->metric = "error/limit";
        r->value = r->metrics.worst;
        r->limit = 1;
        return;
    }
    s->report->passed = false;
    r->state = TN_CHECK_FAILED;
    r->metric = v->metric;
    r->value = v->value;
    r->limit = v->limit;
    r->text = tn_check_results_text(all, "%s", v->text);
}

tn_status tn_check_one(tn_check_session *s, tn_check_kernel *k, const tn_check_case *c,
                       const tn_check_expected *e, tn_check_verdict *out, tn_error *err)
{
    tn_check_output got;
    tn_check_fault fault = { 0 };
    const tn_check_class class = tn_check_class_of(k->kernel->tolerance, &k->node);
    tn_status status = tn_check_kernel_run(k, c, &got, &fault, err);
    tn_check_verdict_fault(&fault, out);
    if (!status && got.out[0] == NULL && got.pool == NULL && fault.what)
        return TN_OK; /* it did not run to its end: nothing to compare */
    if (!status)
        status = tn_check_compare(c, e, &got, &class, s->setup->team, out, err);
    tn_check_output_deinit(&got);
    return status;
}

/* ---- the whole ---- */

tn_status tn_check_known_op(const char *op, tn_error *err)
{
    if (op && !tn_op_find(op))
        return tn_fail(err, TN_INVALID, "--only op=%s: there is no such op; docs/ops.md lists them",
                       op);
    return TN_OK;
}

static tn_status check_filters(const tn_check_session *s, tn_error *err)
{
    const tn_check_args *a = s->args;
    const tn_binding *b = s->setup->binding;
    TN_TRY(tn_check_known_op(a->op, err));
    for (int32_t i = 0; i < b->n_nodes; i++)
        if (tn_check_selected(a, b->node[i].node.path, b->node[i].op->name))
            return TN_OK;
    if (!a->node)
        return TN_OK; /* there are made-up cases of every op */
    return tn_fail(err, TN_INVALID,
                   "--node '%s' matches no node of this profile; `tenon explain` lists them",
                   a->node);
}

static tn_status run_repro(tn_check_session *s, tn_error *err)
{
    TN_TRY(tn_check_open_reference(s, err));
    return tn_check_replay(s, s->args->repro, err);
}

static tn_status run_parts(tn_check_session *s, tn_error *err)
{
    const bool whole = !s->args->node && !s->args->op;
    TN_TRY(check_filters(s, err));
    TN_TRY(tn_check_open_reference(s, err));
    if (whole) {
        s->runner = tn_alloc_array((size_t)s->setup->binding->n_nodes, sizeof *s->runner);
        if (!s->runner)
            return tn_fail_memory(err, "the nodes");
    }
    TN_TRY(tn_check_lockstep(s, err));
    if (whole)
        TN_TRY(tn_check_free(s, err));
    tn_check_runners_close(s);
    return s->args->node ? TN_OK : tn_check_ops(s, err);
}

tn_status tn_check_run(const tn_check_args *args, tn_check_report *out, tn_error *err)
{
    const double start = tn_check_now_s();
    tn_check_session s = { .args = args, .setup = args->setup, .report = out };
    *out = (tn_check_report){ .seed = args->seed, .passed = true };
    out->profile = tn_check_results_text(&out->results, "%s", args->setup->profile->source);
    out->against = tn_check_results_text(&out->results, "%s", args->against);
    const tn_status status = args->repro ? run_repro(&s, err) : run_parts(&s, err);
    tn_check_session_close(&s);
    out->seconds = tn_check_now_s() - start;
    if (status)
        tn_check_report_deinit(out);
    return status;
}

void tn_check_report_deinit(tn_check_report *report)
{
    tn_check_results_deinit(&report->results);
    tn_check_matrix_deinit(&report->matrix);
    *report = (tn_check_report){ 0 };
}
