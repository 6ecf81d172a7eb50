/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/reference.h"

#include "apps/check/make.h"
#include "core/base/alloc.h"

#include <string.h>

typedef struct opener {
    const tn_plugin_set *set;
    const tn_node *node;
    tn_team *team;
    tn_check_reference *r;
} opener;

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* One primitive of the node: the first plugin that supports it. */
static tn_status open_stage(opener *o, int32_t stage, const char *op, const void *param,
                            const tn_check_part *part, int32_t n_parts, tn_error *err)
{
    const tn_op_info *info = tn_op_find(op);
    tn_node node = tn_check_host_node(o->node);
    tn_check_fault fault = { 0 };
    tn_error why = { 0 };
    node.op = info->name;
    node.param = param;
    if (stage != TN_STAGE_WHOLE) {
        node.param2 = NULL;
        node.kvfmt = info->uses_kv ? o->node->kvfmt : NULL;
        node.n_in = info->max_in;
        node.n_out = info->n_out;
        for (int32_t i = 0; i < TN_MAX_IN; i++)
            node.in_dtype[i] = i < node.n_in ? TN_F32 : 0;
        for (int32_t i = 0; i < TN_MAX_OUT; i++)
            node.out_dtype[i] = i < node.n_out ? TN_F32 : 0;
    }
    for (int32_t i = 0; i < tn_plugin_set_size(o->set); i++) {
        const tn_plugin_entry *plugin = tn_plugin_set_entry(o->set, i);
        if (plugin->state != TN_PLUGIN_LOADED || !tn_device_is_host(&plugin->device))
            continue;
        const tn_kernel *kernel = tn_check_find_kernel(plugin, &node, &why);
        if (!kernel)
            continue;
        TN_TRY(tn_check_kernel_open(plugin, kernel, &node, part, n_parts, o->team,
                                    &o->r->kernel[stage], &fault, err));
        if (fault.what)
            return tn_fail(err, TN_INTERNAL, "%s: the reference %s: %s", node.path, plugin->name,
                           fault.text);
        return TN_OK;
    }
    return tn_fail(err, TN_UNSUPPORTED, "%s: the reference cannot compute %s: %s", node.path, op,
                   why.text);
}

static tn_status open_chain(opener *o, const tn_check_part *part, tn_error *err)
{
    tn_check_reference *r = o->r;
    const tn_linear *linear = o->node->param;
    const bool is_glu = strstr(o->node->op, "_glu") != NULL;
    const bool is_add = strcmp(o->node->op, "linear_add") == 0;
    const int32_t n = linear->n_parts;
    if (has_prefix(o->node->op, "norm_")) {
        r->norm = (tn_norm){
            .size = sizeof(tn_norm), .dim = linear->in, .eps = linear->eps, .offset = linear->offset
        };
        TN_TRY(open_stage(o, TN_STAGE_NORM, "rmsnorm", &r->norm, &part[n], 1, err));
    }
    r->linear = *linear;
    if (is_glu)
        r->linear.out_scale = 1;
    TN_TRY(open_stage(o, TN_STAGE_LINEAR, "linear", &r->linear, part, n, err));
    r->rows = (tn_rows_op){ .size = sizeof(tn_rows_op),
                            .dim = linear->part[0]->out,
                            .act = linear->act,
                            .scale = is_glu ? linear->out_scale : 1 };
    if (is_glu)
        return open_stage(o, TN_STAGE_GLU, "glu", &r->rows, NULL, 0, err);
    return is_add ? open_stage(o, TN_STAGE_ADD, "add", &r->rows, NULL, 0, err) : TN_OK;
}

static tn_status open_rope_kv(opener *o, const tn_check_part *part, int32_t n_parts, tn_error *err)
{
    tn_check_reference *r = o->r;
    r->rope = *(const tn_rope *)o->node->param;
    r->attention = o->node->param2;
    if (r->rope.qk_norm)
        TN_TRY(open_stage(o, TN_STAGE_QK_NORM, "qk_norm", o->node->param, part, 2, err));
    r->rope.qk_norm = 0;
    TN_TRY(open_stage(o, TN_STAGE_ROPE, "rope", &r->rope, NULL, 0, err));
    return open_stage(o, TN_STAGE_KV_WRITE, "kv_write", r->attention, part + 2,
                      n_parts > 2 ? n_parts - 2 : 0, err);
}

static tn_status open_stages(opener *o, const tn_op_info *op, const tn_check_part *part,
                             int32_t n_parts, tn_error *err)
{
    if (op->fused[0] && op->param == TN_PARAM_LINEAR)
        return open_chain(o, part, err);
    if (op->fused[0])
        return open_rope_kv(o, part, n_parts, err);
    return open_stage(o, TN_STAGE_WHOLE, op->name, o->node->param, part, n_parts, err);
}

tn_status tn_check_reference_open(const tn_plugin_set *set, const tn_op_info *op,
                                  const tn_node *node, const tn_check_part *part, int32_t n_parts,
                                  tn_team *team, tn_check_reference **out, tn_error *err)
{
    tn_check_reference *r = tn_alloc_array(1, sizeof *r);
    opener o = { .set = set, .node = node, .team = team, .r = r };
    *out = NULL;
    if (!r)
        return tn_fail_memory(err, "the reference");
    r->op = op;
    const tn_status status = open_stages(&o, op, part, n_parts, err);
    if (status) {
        tn_check_reference_close(r);
        return status;
    }
    *out = r;
    return TN_OK;
}

void tn_check_reference_close(tn_check_reference *r)
{
    if (!r)
        return;
    for (int32_t i = 0; i < TN_N_STAGES; i++)
        tn_check_kernel_close(r->kernel[i]);
    tn_free(r);
}

void tn_check_reference_trust(tn_check_reference *r)
{
    for (int32_t i = 0; i < TN_N_STAGES; i++)
        if (r->kernel[i])
            tn_check_kernel_trust(r->kernel[i]);
}

void tn_check_expected_deinit(tn_check_expected *e)
{
    for (int32_t i = 0; i < TN_N_STAGES; i++)
        tn_check_output_deinit(&e->stage[i]);
    *e = (tn_check_expected){ 0 };
}

void tn_check_expected_take(tn_check_expected *e, float *out[TN_MAX_OUT], uint8_t **pool)
{
    memcpy(out, e->out, sizeof e->out);
    *pool = e->pool;
    for (int32_t s = 0; s < TN_N_STAGES; s++) {
        for (int32_t i = 0; i < TN_MAX_OUT; i++)
            if (e->stage[s].out[i] && e->stage[s].out[i] == e->out[i])
                e->stage[s].out[i] = NULL;
        if (e->stage[s].pool == e->pool)
            e->stage[s].pool = NULL;
    }
    memset(e->out, 0, sizeof e->out);
    e->pool = NULL;
}

/* ---- run ---- */

/* Run a stage whose inputs stand in *c. */
static tn_status run_stage(tn_check_reference *r, int32_t stage, tn_check_case *c,
                           tn_check_expected *e, tn_error *err)
{
    tn_check_fault fault = { 0 };
    tn_check_kernel *k = r->kernel[stage];
    c->node = k->node;
    c->op = tn_op_find(k->node.op);
    if (!c->op->uses_kv)
        c->pool = (tn_check_pool){ 0 };
    TN_TRY(tn_check_kernel_run(k, c, &e->stage[stage], &fault, err));
    if (fault.what)
        return tn_fail(err, TN_INTERNAL, "%s: the reference %s: %s", c->name, k->plugin->name,
                       fault.text);
    return TN_OK;
}

static tn_status columns(const float *from, int32_t rows, int32_t stride, int32_t offset,
                         int32_t width, float **out, tn_error *err)
{
    *out = tn_alloc_array((size_t)rows * (size_t)width, sizeof(float));
    if (!*out)
        return tn_fail_memory(err, "a part of a linear");
    for (int32_t r = 0; r < rows; r++)
        memcpy(*out + (size_t)r * (size_t)width, from + (size_t)r * (size_t)stride + offset,
               (size_t)width * sizeof(float));
    return TN_OK;
}

static tn_status run_glu(tn_check_reference *r, const tn_check_case *c, tn_check_expected *e,
                         tn_error *err)
{
    const int32_t rows = c->in[0].rows, f = r->rows.dim;
    float *gate = NULL, *up = NULL;
    tn_check_case s = *c;
    tn_status status = columns(e->stage[TN_STAGE_LINEAR].out[0], rows, 2 * f, 0, f, &gate, err);
    if (!status)
        status = columns(e->stage[TN_STAGE_LINEAR].out[0], rows, 2 * f, f, f, &up, err);
    s.in[0] = tn_check_dense("gate", rows, f, 0, gate);
    s.in[1] = tn_check_dense("up", rows, f, 0, up);
    s.out[0] = tn_check_dense(c->out[0].name, rows, f, 0, NULL);
    if (!status)
        status = run_stage(r, TN_STAGE_GLU, &s, e, err);
    tn_free(gate);
    tn_free(up);
    e->out[0] = e->stage[TN_STAGE_GLU].out[0];
    return status;
}

static tn_status run_chain(tn_check_reference *r, const tn_check_case *c, tn_check_expected *e,
                           tn_error *err)
{
    const int32_t rows = c->in[0].rows;
    int32_t width = 0;
    tn_check_case s = *c;
    for (int32_t i = 0; i < r->linear.n_parts; i++)
        width += r->linear.part[i]->out;
    if (r->kernel[TN_STAGE_NORM]) {
        s.out[0] = tn_check_dense("norm", rows, r->linear.in, 0, NULL);
        TN_TRY(run_stage(r, TN_STAGE_NORM, &s, e, err));
        s.in[0] = tn_check_dense("norm", rows, r->linear.in, 0, e->stage[TN_STAGE_NORM].out[0]);
    }
    s.out[0] = tn_check_dense("linear", rows, width, 0, NULL);
    TN_TRY(run_stage(r, TN_STAGE_LINEAR, &s, e, err));
    e->out[0] = e->stage[TN_STAGE_LINEAR].out[0];
    if (r->kernel[TN_STAGE_GLU])
        return run_glu(r, c, e, err);
    if (!r->kernel[TN_STAGE_ADD])
        return TN_OK;
    s = *c;
    s.in[0] = tn_check_dense("linear", rows, width, 0, e->stage[TN_STAGE_LINEAR].out[0]);
    s.in[1] = c->in[1];
    TN_TRY(run_stage(r, TN_STAGE_ADD, &s, e, err));
    e->out[0] = e->stage[TN_STAGE_ADD].out[0];
    return TN_OK;
}

static tn_status run_rope_kv(tn_check_reference *r, const tn_check_case *c, tn_check_expected *e,
                             tn_error *err)
{
    const int32_t rows = c->in[0].rows;
    tn_check_case s = *c;
    s.out[0] = tn_check_dense("q", rows, c->in[0].width, c->in[0].heads, NULL);
    s.out[1] = tn_check_dense("k", rows, c->in[1].width, c->in[1].heads, NULL);
    if (r->kernel[TN_STAGE_QK_NORM]) {
        TN_TRY(run_stage(r, TN_STAGE_QK_NORM, &s, e, err));
        s.in[0] = tn_check_dense("q", rows, c->in[0].width, c->in[0].heads,
                                 e->stage[TN_STAGE_QK_NORM].out[0]);
        s.in[1] = tn_check_dense("k", rows, c->in[1].width, c->in[1].heads,
                                 e->stage[TN_STAGE_QK_NORM].out[1]);
    }
    TN_TRY(run_stage(r, TN_STAGE_ROPE, &s, e, err));
    e->out[0] = e->stage[TN_STAGE_ROPE].out[0];
    s.in[0] =
        tn_check_dense("k", rows, c->in[1].width, c->in[1].heads, e->stage[TN_STAGE_ROPE].out[1]);
    s.in[1] = c->in[2];
    s.pool = c->pool;
    TN_TRY(run_stage(r, TN_STAGE_KV_WRITE, &s, e, err));
    e->pool = e->stage[TN_STAGE_KV_WRITE].pool;
    return TN_OK;
}

tn_status tn_check_reference_run(tn_check_reference *r, const tn_check_case *c,
                                 tn_check_expected *out, tn_error *err)
{
    tn_check_case s = *c;
    *out = (tn_check_expected){ 0 };
    if (r->kernel[TN_STAGE_LINEAR])
        return run_chain(r, c, out, err);
    if (r->kernel[TN_STAGE_ROPE])
        return run_rope_kv(r, c, out, err);
    TN_TRY(run_stage(r, TN_STAGE_WHOLE, &s, out, err));
    for (int32_t i = 0; i < TN_MAX_OUT; i++)
        out->out[i] = out->stage[TN_STAGE_WHOLE].out[i];
    out->pool = out->stage[TN_STAGE_WHOLE].pool;
    return TN_OK;
}
