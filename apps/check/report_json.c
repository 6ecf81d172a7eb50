/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/report.h"

#include <math.h>

/* JSON has no infinity. */
static double finite(double x)
{
    return isfinite(x) ? x : 1e308;
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
    json_t *all = json_pack("{s:s, s:s, s:b, s:I, s:o}", r->plugin ? "plugin" : "profile",
                            r->plugin ? r->plugin : r->profile, "against", r->against, "passed",
                            (int)r->passed, "cases", (json_int_t)r->n_cases, "failed", failed);
    if (r->plugin)
        json_object_set_new(all, "matrix", matrix_json(&r->matrix));
    return all;
}
