/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/compare.h"

#include <stdio.h>

void tn_check_verdict_fault(const tn_check_fault *fault, tn_check_verdict *out)
{
    if (!fault->what || out->failed)
        return;
    out->failed = true;
    out->metric = fault->what;
    out->value = 1;
    out->limit = 0;
    (void)snprintf(out->text, sizeof out->text, "%s", fault->text);
}

static void judge(const tn_check_tensor *t, const tn_check_metrics *m, tn_check_verdict *out)
{
    const bool first = !out->failed;
    tn_check_metrics_merge(&out->metrics, m);
    if (m->n_bad == 0 || !first)
        return;
    out->failed = true;
    out->metric = m->n_not_finite ? "not finite" : "error/limit";
    out->value = m->n_not_finite ? (double)m->n_not_finite : m->worst;
    out->limit = m->n_not_finite ? 0 : 1;
    (void)snprintf(out->text, sizeof out->text,
                   "%lld of %lld elements of %s are past their limit; the worst is [%lld, %lld]: "
                   "got %.9g, expected %.9g, limit %.3g",
                   (long long)m->n_bad, (long long)m->n, t->name, (long long)m->worst_row,
                   (long long)m->worst_col, m->got, m->expected, m->limit);
}

tn_status tn_check_compare(const tn_check_case *c, const tn_check_expected *e,
                           const tn_check_output *got, const tn_check_class *k, tn_team *team,
                           tn_check_verdict *out, tn_error *err)
{
    tn_check_limits limits;
    tn_status status = tn_check_limits_make(c, e, k, team, &limits, err);
    for (int32_t i = 0; i < c->node.n_out && !status; i++) {
        const tn_check_tensor *t = &c->out[i];
        tn_check_metrics m;
        tn_check_metrics_compare(got->out[i], e->out[i], limits.out[i], t->rows, t->width,
                                 t->is_ids ? TN_F32 : c->node.out_dtype[i], &m);
        judge(t, &m, out);
    }
    tn_check_limits_deinit(&limits);
    if (!status && got->pool && e->pool)
        status = tn_check_compare_pool(c, e, got->pool, k, out, err);
    return status;
}
