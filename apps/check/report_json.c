/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/report.h"

#include <math.h>

/* JSON has no infinity. */
static double finite(double x)
{
    return isfinite(x) ? x : 1e308;
}

static json_t *tokens(const tn_check_free_run *run)
{
    static const char *const states[] = { "same", "tie", "different", "logits" };
    json_t *all = json_array();
    for (int32_t i = 0; i < run->n_tokens; i++) {
        const tn_check_token *t = &run->token[i];
        json_array_append_new(all,
                              json_pack("{s:s, s:i, s:i, s:i, s:i, s:f, s:f, s:f, s:f}", "state",
                                        states[t->state], "sequence", (int)t->seq, "position",
                                        (int)t->pos, "expected", (int)t->expected, "got",
                                        (int)t->got, "gap", finite(t->gap), "rms", finite(t->rms),
                                        "deviation", finite(t->deviation), "kl", finite(t->kl)));
    }
    return all;
}

static json_t *drift(const tn_check_free_run *run)
{
    json_t *all = json_array();
    for (int32_t i = 0; i < run->n_drift; i++) {
        const tn_check_drift *d = &run->drift[i];
        json_array_append_new(all, json_pack("{s:s, s:s, s:i, s:b, s:f}", "node", d->node, "kernel",
                                             d->kernel, "layer", (int)d->layer, "ends_layer",
                                             (int)d->ends_layer, "relative", finite(d->relative)));
    }
    return all;
}

static json_t *bisection(const tn_check_free_run *run)
{
    json_t *nodes = json_array();
    if (run->n_guilty == 0) {
        json_decref(nodes);
        return json_null();
    }
    for (int32_t i = 0; i < run->n_guilty; i++)
        json_array_append_new(nodes, json_pack("{s:s, s:s, s:s}", "node", run->guilty[i].node, "op",
                                               run->guilty[i].op, "kernel", run->guilty[i].kernel));
    return json_pack("{s:o, s:i, s:b}", "nodes", nodes, "runs", (int)run->n_tests, "smallest",
                     (int)run->smallest);
}

/* null when it did not run; "why_not" then tells why, if it was meant to. */
static json_t *free_run(const tn_check_free_run *run)
{
    if (!run->ran)
        return run->why_not ? json_pack("{s:s}", "why_not", run->why_not) : json_null();
    return json_pack("{s:b, s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:b, s:o, s:o, s:o}", "passed",
                     (int)!run->failed, "tokens", (int)run->n_tokens, "same", (int)run->n_same,
                     "first_difference", (int)run->first, "mean_kl", finite(run->mean_kl), "max_kl",
                     finite(run->most_kl), "max_rms", finite(run->most_rms), "rms_limit",
                     run->rms_limit, "unsteady", (int)run->unsteady, "rows", tokens(run), "drift",
                     drift(run), "bisection", bisection(run));
}

static json_t *matrix_json(const tn_check_matrix *m)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < m->n; i++) {
        const tn_check_cell *c = &m->cell[i];
        const char *weights = *c->format && !c->op->uses_kv ? c->format : NULL;
        const char *pages = *c->format && c->op->uses_kv ? c->format : NULL;
        json_array_append_new(
            list, json_pack("{s:s, s:s?, s:s?, s:s, s:i, s:i, s:i, s:f, s:s}", "op", c->op->name,
                            "weights", weights, "kv", pages, "kernel", c->kernel, "cases",
                            (int)c->cases, "supported", (int)c->supported, "failed", (int)c->failed,
                            "worst", finite(c->worst), "reason", c->reason));
    }
    return list;
}

json_t *tn_check_json(const tn_check_report *r)
{
    json_t *failed = json_array();
    for (int32_t i = 0; i < r->results.n; i++) {
        const tn_check_result *f = &r->results.item[i];
        if (f->state != TN_CHECK_FAILED)
            continue;
        json_array_append_new(failed,
                              json_pack("{s:s, s:s, s:s, s:s, s:s, s:f, s:f, s:s, s:s, s:s}",
                                        "node", f->node, "op", f->op, "kernel", f->kernel, "part",
                                        tn_check_part_name(f->part), "metric", f->metric, "value",
                                        finite(f->value), "limit", finite(f->limit), "shape",
                                        f->shape, "text", f->text, "repro", f->repro));
    }
    json_t *all = json_pack("{s:s, s:s, s:b, s:I, s:o, s:o}", r->plugin ? "plugin" : "profile",
                            r->plugin ? r->plugin : r->profile, "against", r->against, "passed",
                            (int)r->passed, "cases", (json_int_t)r->n_cases, "failed", failed,
                            "free_run", free_run(&r->free));
    if (r->plugin)
        json_object_set_new(all, "matrix", matrix_json(&r->matrix));
    return all;
}
