/* SPDX-License-Identifier: Apache-2.0 */
/* cpu-ref's kernels under simdev's name: everything pure is passed on, `run` is queued. */
#include "plugins/cpu-ref/kernels.h"

#include "tests/plugins/domain-sim/sim.h"

#include <string.h>

/* The kernel of cpu-ref that stands behind the node: its first that claims it. */
static const tn_kernel *find_ref(sim *s, const tn_node *node, tn_error *why)
{
    tn_plugin_fail(why, TN_UNSUPPORTED, "cpu-ref has no kernel for %s", node->op);
    for (const tn_kernel *const *k = tn_cpu_ref_kernels; *k; k++)
        if (strcmp((*k)->op, node->op) == 0 && (*k)->supports(s->ref, node, why) == TN_OK)
            return *k;
    return NULL;
}

static tn_status supports(void *self, const tn_node *node, tn_error *why)
{
    return find_ref(self, node, why) ? TN_OK : TN_UNSUPPORTED;
}

static tn_status plan(void *self, const tn_node *node, tn_plan *out, tn_error *err)
{
    sim *s = self;
    const tn_kernel *ref = find_ref(s, node, err);

    if (!ref)
        return TN_UNSUPPORTED;
    return ref->plan ? ref->plan(s->ref, node, out, err) : TN_OK;
}

static tn_status pack(void *self, const tn_node *node, const tn_weight_rows *rows, void *blob,
                      tn_error *err)
{
    sim *s = self;
    const tn_kernel *ref = find_ref(s, node, err);

    if (!ref)
        return TN_UNSUPPORTED;
    if (!ref->pack)
        return tn_plugin_fail(err, TN_INTERNAL, "%s: cpu-ref packs nothing here", node->path);
    return ref->pack(s->ref, node, rows, blob, err);
}

static tn_status unpack(void *self, const tn_node *node, int32_t part, int64_t row,
                        const void *blob, float *values, tn_error *err)
{
    sim *s = self;
    const tn_kernel *ref = find_ref(s, node, err);

    if (!ref)
        return TN_UNSUPPORTED;
    if (!ref->unpack)
        return tn_plugin_fail(err, TN_UNSUPPORTED, "%s: cpu-ref unpacks nothing here", node->path);
    return ref->unpack(s->ref, node, part, row, blob, values, err);
}

static tn_status run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    sim *s = self;
    const tn_kernel *ref = find_ref(s, node, err);
    tn_plan planned = { .size = sizeof(planned) };
    sim_task task = { .kind = SIM_LAUNCH };
    sim_launch *l = &task.launch;

    if (!ref)
        return TN_INTERNAL;
    if (launch->n_in > SIM_MAX_IN || launch->n_out > SIM_MAX_OUT || !launch->stream)
        return tn_plugin_fail(err, TN_INTERNAL, "simdev: %s: %u inputs, %u outputs, stream %p",
                              node->path, launch->n_in, launch->n_out, launch->stream);
    if (ref->plan)
        TN_PLUGIN_TRY(ref->plan(s->ref, node, &planned, err));
    *l = (sim_launch){ .kernel = ref,
                       .node = node, /* lives until close, as the header promises */
                       .launch = *launch,
                       .batch = *launch->batch,
                       .weight_bytes = planned.weight_bytes,
                       .zeroed_bytes = planned.zeroed_bytes };
    if (launch->n_in)
        memcpy(l->in, launch->in, launch->n_in * sizeof(l->in[0]));
    if (launch->n_out)
        memcpy(l->out, launch->out, launch->n_out * sizeof(l->out[0]));
    sim_stream_push(launch->stream, &task);
    return TN_OK;
}

#define KERNEL(op_name)                                                                            \
    static const tn_kernel k_##op_name = { .size = sizeof(tn_kernel),                              \
                                           .flags = TN_K_DETERMINISTIC | TN_K_BATCH_INVARIANT,     \
                                           .op = #op_name,                                         \
                                           .name = "simdev." #op_name,                             \
                                           .tolerance = "exact",                                   \
                                           .supports = supports,                                   \
                                           .plan = plan,                                           \
                                           .pack = pack,                                           \
                                           .unpack = unpack,                                       \
                                           .run = run }
KERNEL(embed);
KERNEL(rmsnorm);
KERNEL(linear);
KERNEL(add);
KERNEL(glu);
KERNEL(qk_norm);
KERNEL(rope);
KERNEL(kv_write);
KERNEL(attention);
KERNEL(gather_rows);
KERNEL(argmax);
KERNEL(linear_add);
KERNEL(linear_glu);
KERNEL(norm_linear);
KERNEL(norm_linear_glu);
KERNEL(rope_kv_write);

const tn_kernel *const sim_kernels[] = {
    &k_embed,      &k_rmsnorm,     &k_linear,          &k_add,           &k_glu,    &k_qk_norm,
    &k_rope,       &k_kv_write,    &k_attention,       &k_gather_rows,   &k_argmax, &k_linear_add,
    &k_linear_glu, &k_norm_linear, &k_norm_linear_glu, &k_rope_kv_write, NULL,
};
