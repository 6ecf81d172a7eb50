/* SPDX-License-Identifier: Apache-2.0 */
/* The made-up cases of every op, on every kernel that supports them. */
#include "apps/check/session.h"
#include "apps/check/sweep.h"
#include "core/base/alloc.h"

#include <stdio.h>
#include <string.h>

/* Results of the kernels of one plugin: values, and claims. */
typedef struct op_check {
    tn_check_session *s;
    const tn_plugin_entry *plugin;
    int32_t *values, *claims; /* [n_kernels] index of the result, or -1 */
} op_check;

static tn_check_result *result_of(op_check *o, int32_t *index, int32_t part, const tn_check_case *c,
                                  const tn_kernel *kernel)
{
    tn_check_results *all = &o->s->report->results;
    if (*index < 0) {
        const char *name = tn_check_results_text(all, "cases of %s", c->op->name);
        tn_check_result *r =
            tn_check_add_result(o->s, part, name, &c->node, o->plugin->name, kernel);
        *index = r ? all->n - 1 : -1;
        if (r)
            r->layer = -1;
        return r;
    }
    return &all->item[*index];
}

/* What of a case runs next, on the plugin or (NULL) the reference. */
static void begin(const op_check *o, int32_t part, const tn_plugin_entry *plugin,
                  const tn_kernel *kernel, const tn_check_case *c)
{
    char name[80];
    (void)snprintf(name, sizeof name, "cases of %s", c->op->name);
    tn_check_begin_case(o->s, &(tn_check_next){ .part = part,
                                                .name = name,
                                                .what = c->name,
                                                .node = &c->node,
                                                .plugin = plugin,
                                                .kernel = kernel,
                                                .c = c });
}

/* The pool of an attention case, as the reference writes it. */
static tn_status fill_pool(op_check *o, tn_check_made *m, tn_error *err)
{
    tn_check_reference *r;
    tn_check_expected e;
    tn_team *team = o->s->setup->team;
    if (!m->has_fill)
        return TN_OK;
    begin(o, TN_CHECK_OPS, NULL, NULL, &m->c);
    TN_TRY(tn_check_reference_open(o->s->reference, m->fill.op, &m->fill.node, m->part,
                                   m->c.n_parts, team, &r, err));
    const tn_status status = tn_check_reference_run(r, &m->fill, &e, err);
    if (!status) {
        const size_t n = (size_t)m->c.pool.n_blocks * (size_t)m->c.pool.block_bytes;
        m->c.pool.bytes = tn_arena_copy(&m->arena, e.pool, n);
        tn_check_expected_deinit(&e);
    }
    tn_check_reference_close(r);
    if (!status && !m->c.pool.bytes)
        return tn_fail_memory(err, "a case");
    return status;
}

static tn_status compare_case(op_check *o, tn_check_kernel *k, const tn_check_case *c,
                              tn_check_verdict *out, tn_error *err)
{
    tn_check_reference *r;
    tn_check_expected e = { 0 };
    begin(o, TN_CHECK_OPS, NULL, NULL, c);
    TN_TRY(tn_check_reference_open(o->s->reference, c->op, &c->node, c->part, c->n_parts,
                                   o->s->setup->team, &r, err));
    tn_status status = tn_check_reference_run(r, c, &e, err);
    begin(o, TN_CHECK_OPS, o->plugin, k->kernel, c);
    if (!status)
        status = tn_check_one(o->s, k, c, &e, out, err);
    tn_check_expected_deinit(&e);
    tn_check_reference_close(r);
    return status;
}

/* The case in the matrix of a plugin that is checked alone. kernel NULL: nobody took it. */
static tn_status note_cell(op_check *o, const tn_check_made *m, const tn_kernel *kernel,
                           const tn_error *why, const tn_check_verdict *v, tn_error *err)
{
    tn_check_matrix *all = &o->s->report->matrix;
    tn_check_cell *cell = tn_check_matrix_at(all, m->c.op, m->format);
    if (!cell)
        return tn_fail_memory(err, "the support matrix");
    cell->cases++;
    if (!kernel) {
        if (!*cell->reason)
            cell->reason = tn_check_matrix_text(all, why->text);
        return TN_OK;
    }
    cell->supported++;
    cell->kernel = tn_check_matrix_text(all, kernel->name);
    cell->failed += v->failed;
    if (v->metrics.worst > cell->worst)
        cell->worst = v->metrics.worst;
    return TN_OK;
}

static tn_status run_case(op_check *o, tn_check_made *m, const tn_kernel *kernel,
                          tn_check_verdict *out, tn_error *err)
{
    const int32_t at = (int32_t)(kernel - o->plugin->kernel);
    tn_check_kernel *k;
    tn_check_fault fault = { 0 };
    tn_check_verdict values = { 0 }, claims = { 0 };
    TN_TRY(fill_pool(o, m, err));
    begin(o, TN_CHECK_OPS, o->plugin, kernel, &m->c);
    TN_TRY(tn_check_kernel_open(o->plugin, kernel, &m->c.node, m->part, m->c.n_parts,
                                o->s->setup->team, &k, &fault, err));
    tn_check_verdict_fault(&fault, &values);
    tn_status status = k ? compare_case(o, k, &m->c, &values, err) : TN_OK;
    begin(o, TN_CHECK_CLAIMS, o->plugin, kernel, &m->c);
    if (!status && k && !values.failed)
        status = tn_check_claims(o->s, k, &m->c, &claims, err);
    tn_check_kernel_close(k);
    if (status)
        return status;
    tn_check_result *r = result_of(o, &o->values[at], TN_CHECK_OPS, &m->c, kernel);
    if (!r)
        return tn_fail_memory(err, "the results");
    tn_check_note(o->s, r, &m->c, m->c.name, &values);
    if (values.failed)
        TN_TRY(tn_check_save(o->s, o->values[at], o->plugin, kernel, &m->c, err));
    r = result_of(o, &o->claims[at], TN_CHECK_CLAIMS, &m->c, kernel);
    if (!r)
        return tn_fail_memory(err, "the results");
    if (!values.failed)
        tn_check_note(o->s, r, &m->c, m->c.name, &claims);
    *out = values;
    out->failed = values.failed || claims.failed;
    return claims.failed ? tn_check_save(o->s, o->claims[at], o->plugin, kernel, &m->c, err)
                         : TN_OK;
}

static bool lists_format(const tn_plugin_entry *plugin, const char *format)
{
    for (int32_t i = 0; i < plugin->n_kv_formats; i++)
        if (strcmp(plugin->kv_format[i].name, format) == 0)
            return true;
    return false;
}

static tn_status check_case(op_check *o, const tn_check_sweep *sweep, int32_t index, tn_error *err)
{
    const tn_domain *domain = o->plugin->device.domain;
    const int32_t act = tn_device_is_host(&o->plugin->device) || !o->s->setup->bind_args.act_dtype
                            ? domain->act_dtype
                            : o->s->setup->bind_args.act_dtype;
    tn_check_made m;
    tn_error why = { 0 };
    TN_TRY(tn_check_sweep_make(sweep, index, o->s->args->seed, domain->resid_dtype, act, &m, err));
    const tn_kernel *kernel = NULL;
    begin(o, TN_CHECK_OPS, o->plugin, NULL, &m.c);
    if (!m.c.node.kvfmt || lists_format(o->plugin, m.c.node.kvfmt))
        kernel = tn_check_find_kernel(o->plugin, &m.c.node, &why);
    else
        (void)tn_fail(&why, TN_UNSUPPORTED, "%s has no KV format %s", o->plugin->name,
                      m.c.node.kvfmt);
    tn_check_verdict verdict = { 0 };
    tn_status status = kernel ? run_case(o, &m, kernel, &verdict, err) : TN_OK;
    if (!status && o->s->plugin)
        status = note_cell(o, &m, kernel, &why, &verdict, err);
    tn_check_made_deinit(&m);
    return status;
}

static tn_status check_plugin(op_check *o, tn_error *err)
{
    const size_t n = (size_t)o->plugin->n_kernels;
    tn_status status = TN_OK;
    o->values = tn_alloc_array(n, sizeof(int32_t));
    o->claims = tn_alloc_array(n, sizeof(int32_t));
    if (!o->values || !o->claims)
        status = tn_fail_memory(err, "the results");
    for (size_t i = 0; i < n && !status; i++)
        o->values[i] = o->claims[i] = -1;
    for (const tn_check_sweep *w = tn_check_sweep_table(); w->op && !status; w++) {
        for (int32_t i = 0; i < w->n_cases && !status; i++)
            if (!o->s->args->op || strcmp(o->s->args->op, w->op) == 0)
                status = check_case(o, w, i, err);
        if (o->s->plugin && o->s->args->progress)
            o->s->args->progress(o->s->args->ctx, (uint64_t)(w - tn_check_sweep_table()) + 1,
                                 tn_check_sweep_count());
    }
    tn_free(o->values);
    tn_free(o->claims);
    return status;
}

tn_status tn_check_ops(tn_check_session *s, tn_error *err)
{
    for (int32_t i = 0; i < tn_plugin_set_size(s->setup->plugins); i++) {
        op_check o = { .s = s, .plugin = tn_plugin_set_entry(s->setup->plugins, i) };
        if (o.plugin->state == TN_PLUGIN_LOADED && o.plugin->listed && o.plugin->n_kernels > 0)
            TN_TRY(check_plugin(&o, err));
    }
    return TN_OK;
}
