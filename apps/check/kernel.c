/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/kernel.h"

#include "core/base/alloc.h"
#include "core/plugin/normalise.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* A plan past this is a mistake in arithmetic, not a wish. */
static const uint64_t max_plan_bytes = UINT64_C(1) << 36;

enum { PACK_ROWS = 32 };

void tn_check_set_fault(tn_check_fault *fault, const char *what, const char *format, ...)
{
    va_list args;
    if (fault->what) /* the first counts */
        return;
    fault->what = what;
    va_start(args, format);
    (void)vsnprintf(fault->text, sizeof fault->text, format, args);
    va_end(args);
}

const tn_kernel *tn_check_find_kernel(const tn_plugin_entry *plugin, const tn_node *node,
                                      tn_error *why)
{
    (void)tn_fail(why, TN_UNSUPPORTED, "%s has no kernel for %s", plugin->name, node->op);
    for (int32_t i = 0; i < plugin->n_kernels; i++) {
        const tn_kernel *kernel = &plugin->kernel[i];
        if (strcmp(kernel->op, node->op) == 0 &&
            tn_plugin_status(kernel->supports(plugin->self, node, why), why) == TN_OK)
            return kernel;
    }
    return NULL;
}

tn_node tn_check_host_node(const tn_node *node)
{
    tn_node host = *node;
    host.resid_dtype = host.act_dtype = TN_F32;
    for (int32_t i = 0; i < host.n_in; i++)
        host.in_dtype[i] = host.in_dtype[i] == TN_I32 ? TN_I32 : TN_F32;
    for (int32_t i = 0; i < host.n_out; i++)
        host.out_dtype[i] = host.out_dtype[i] == TN_I32 ? TN_I32 : TN_F32;
    return host;
}

/* ---- packing ---- */

typedef struct pack_job {
    const tn_check_kernel *k;
    const tn_check_part *part;
    int32_t index, step;
    void *blob;
    atomic_flag failed;
    tn_error error;
} pack_job;

static void pack_ranges(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    pack_job *job = arg;
    (void)worker;
    for (int64_t i = i0; i < i1; i++) {
        const int32_t row0 = (int32_t)i * job->step, left = job->part->rows.rows - row0;
        const tn_weight_rows rows =
            tn_check_part_rows(job->part, job->index, row0, left < job->step ? left : job->step);
        tn_error err = { 0 };
        const tn_status status = tn_plugin_status(
            job->k->kernel->pack(job->k->plugin->self, &job->k->node, &rows, job->blob, &err),
            &err);
        if (status && !atomic_flag_test_and_set_explicit(&job->failed, memory_order_relaxed)) {
            err.code = status;
            job->error = err;
        }
    }
}

/* Every part in row ranges, as the weight store does it. */
static void pack(tn_check_kernel *k, const tn_check_part *part, int32_t n_parts, tn_team *team,
                 tn_check_fault *fault)
{
    const int32_t unit = (int32_t)k->plan.pack_rows;
    for (int32_t i = 0; i < n_parts && !fault->what; i++) {
        pack_job job = { .k = k, .part = &part[i], .index = i, .failed = ATOMIC_FLAG_INIT };
        if (!part[i].wfmt)
            continue;
        job.blob = tn_guarded_image(&k->weight);
        job.step =
            unit < 1 ? part[i].rows.rows : (unit >= PACK_ROWS ? unit : PACK_ROWS / unit * unit);
        tn_team_for(team, (part[i].rows.rows + job.step - 1) / job.step, pack_ranges, &job);
        if (job.error.code)
            tn_check_set_fault(fault, "pack", "pack of part %d: %s", (int)i, job.error.text);
    }
}

void tn_check_pack(const tn_check_kernel *k, const tn_check_part *part, int32_t n_parts,
                   int32_t step, bool backwards, void *blob, tn_check_fault *fault)
{
    for (int32_t i = 0; i < n_parts; i++) {
        const int32_t rows = part[i].rows.rows, each = step ? step : rows;
        const int32_t n = part[i].wfmt ? (rows + each - 1) / each : 0;
        for (int32_t range = 0; range < n && !fault->what; range++) {
            const int32_t row0 = (backwards ? n - 1 - range : range) * each;
            const tn_weight_rows some =
                tn_check_part_rows(&part[i], i, row0, rows - row0 < each ? rows - row0 : each);
            tn_error err = { 0 };
            if (tn_plugin_status(k->kernel->pack(k->plugin->self, &k->node, &some, blob, &err),
                                 &err))
                tn_check_set_fault(fault, "pack", "pack of rows %d to %d of part %d: %s", (int)row0,
                                   (int)(row0 + some.rows), (int)i, err.text);
        }
    }
}

static bool has_parts(const tn_check_part *part, int32_t n_parts)
{
    for (int32_t i = 0; i < n_parts; i++)
        if (part[i].wfmt)
            return true;
    return false;
}

static tn_status open_weights(tn_check_kernel *k, const tn_check_part *part, int32_t n_parts,
                              tn_team *team, tn_check_fault *fault, tn_error *err)
{
    if (k->plan.weight_bytes == 0)
        return TN_OK;
    if (!k->kernel->pack || !has_parts(part, n_parts)) {
        tn_check_set_fault(fault, "plan", "it plans %llu bytes of weights but %s",
                           (unsigned long long)k->plan.weight_bytes,
                           k->kernel->pack ? "the node has none" : "cannot pack them");
        return TN_OK;
    }
    TN_TRY(tn_guarded_open(&k->device, k->stream, (size_t)k->plan.weight_bytes, &k->weight, err));
    memset(tn_guarded_image(&k->weight), 0, k->weight.bytes);
    pack(k, part, n_parts, team, fault);
    if (!tn_guarded_image_is_whole(&k->weight))
        tn_check_set_fault(fault, "overrun", "pack wrote outside of its blob of %zu bytes",
                           k->weight.bytes);
    return tn_guarded_send(&k->weight, err);
}

static tn_status open_memory(tn_check_kernel *k, const tn_check_part *part, int32_t n_parts,
                             tn_team *team, tn_check_fault *fault, tn_error *err)
{
    tn_error own = { 0 };
    k->plan = (tn_plan){ .size = sizeof(tn_plan) };
    if (k->kernel->plan &&
        tn_plugin_status(k->kernel->plan(k->plugin->self, &k->node, &k->plan, &own), &own)) {
        tn_check_set_fault(fault, "plan", "plan fails on a node that it supports: %s", own.text);
        return TN_OK;
    }
    if (k->plan.weight_bytes > max_plan_bytes || k->plan.workspace_bytes > max_plan_bytes ||
        k->plan.zeroed_bytes > max_plan_bytes) {
        tn_check_set_fault(fault, "plan", "it plans %llu bytes of weights, %llu of workspace",
                           (unsigned long long)k->plan.weight_bytes,
                           (unsigned long long)k->plan.workspace_bytes);
        return TN_OK;
    }
    TN_TRY(open_weights(k, part, n_parts, team, fault, err));
    if (k->plan.zeroed_bytes == 0)
        return TN_OK;
    TN_TRY(tn_guarded_open(&k->device, k->stream, (size_t)k->plan.zeroed_bytes, &k->zeroed, err));
    memset(tn_guarded_image(&k->zeroed), 0, k->zeroed.bytes);
    return tn_guarded_send(&k->zeroed, err);
}

tn_status tn_check_kernel_open(const tn_plugin_entry *plugin, const tn_kernel *kernel,
                               const tn_node *node, const tn_check_part *part, int32_t n_parts,
                               tn_team *team, tn_check_kernel **out, tn_check_fault *fault,
                               tn_error *err)
{
    tn_check_kernel *k = tn_alloc_array(1, sizeof *k);
    *out = NULL;
    if (!k)
        return tn_fail_memory(err, "a kernel");
    *k = (tn_check_kernel){
        .plugin = plugin, .kernel = kernel, .device = plugin->device, .node = *node
    };
    const tn_domain *domain = k->device.domain;
    tn_status status = domain->attach(k->device.self, k->device.index, err);
    if (!status)
        status = domain->stream_new(k->device.self, k->device.index, &k->stream, err);
    k->has_stream = !status;
    if (!status)
        status = open_memory(k, part, n_parts, team, fault, err);
    if (status || fault->what) {
        tn_check_kernel_close(k);
        return status;
    }
    *out = k;
    return TN_OK;
}

void tn_check_kernel_trust(tn_check_kernel *k)
{
    tn_guarded_trust(&k->weight);
    tn_guarded_trust(&k->zeroed);
}

void tn_check_kernel_close(tn_check_kernel *k)
{
    if (!k)
        return;
    tn_guarded_close(&k->weight);
    tn_guarded_close(&k->zeroed);
    if (k->has_stream)
        k->device.domain->stream_release(k->device.self, k->stream);
    tn_free(k);
}

void tn_check_output_deinit(tn_check_output *out)
{
    for (int32_t i = 0; i < TN_MAX_OUT; i++)
        tn_free(out->out[i]);
    tn_free(out->pool);
    *out = (tn_check_output){ 0 };
}
