/* SPDX-License-Identifier: Apache-2.0 */
/* What a setup takes: the KV pools that the profile asks for, and all that an engine will allocate.
 */
#include "runtime/setup.h"

#include <stdio.h>

/* Part of a device's free memory that `auto` leaves alone: other programs, fragmentation, the
 * driver's own. */
static const double device_reserve = 0.1;

/* MemAvailable of /proc/meminfo, bytes; 0 when it cannot be read. */
static uint64_t host_free_bytes(void)
{
    FILE *f = fopen("/proc/meminfo", "re");
    char line[128];
    unsigned long long kib = 0;
    if (!f)
        return 0;
    while (fgets(line, sizeof line, f) && sscanf(line, "MemAvailable: %llu", &kib) != 1)
        ;
    fclose(f);
    return (uint64_t)kib * 1024;
}

/* What is free on the device, or on the host. */
static tn_status free_now(const tn_device *device, uint64_t *out, tn_error *err)
{
    char name[64];
    uint64_t total;
    if (tn_device_is_host(device)) {
        *out = host_free_bytes();
        return TN_OK;
    }
    return device->domain->describe(device->self, device->index, name, sizeof name, out, &total,
                                    err);
}

/* Packed weights, each blob once; what the kernels need besides, and the activations. */
static tn_status add_domain(const tn_setup *s, int32_t d, tn_memory_need *need, tn_error *err)
{
    const tn_binding *b = s->binding;
    tn_memory_plan plan;
    uint64_t workspace, zeroed;
    TN_TRY(tn_memory_plan_make(b, false, &plan, err));
    need->activation_bytes += plan.arena_bytes[d];
    tn_memory_plan_deinit(&plan);
    tn_executor_kernel_bytes(b, d, &workspace, &zeroed);
    need->workspace_bytes += workspace + zeroed;
    for (int32_t i = 0; i < b->n_nodes; i++)
        if (b->node[i].domain == d && tn_weight_store_owner(b, i) == i)
            need->weight_bytes += b->node[i].plan.weight_bytes;
    return TN_OK;
}

/* The domain of the KV pools. */
static int32_t kv_domain(const tn_setup *s)
{
    return s->graph.n_layers ? s->binding->kv[0].domain : 0;
}

/* Free on the device of the KV pools after weights and workspace, or free on the host. */
static tn_status free_for_kv(const tn_setup *s, uint64_t *out, tn_error *err)
{
    const tn_device *device = &s->binding->device[kv_domain(s)];
    tn_memory_need need = { 0 };
    TN_TRY(free_now(device, out, err));
    if (tn_device_is_host(device))
        return TN_OK;
    TN_TRY(add_domain(s, kv_domain(s), &need, err));
    const uint64_t used = need.weight_bytes + need.activation_bytes + need.workspace_bytes;
    *out = *out > used ? (uint64_t)((double)(*out - used) * (1.0 - device_reserve)) : 0;
    return TN_OK;
}

/* Bytes that max_sequences of the whole context would take in every layer. */
static double full_bytes(const tn_setup *s)
{
    double token_blocks = (double)s->context / s->binding->block_tokens + 1, layers = 0;
    for (int32_t i = 0; i < s->graph.n_layers; i++)
        layers += (double)s->binding->kv[i].block_bytes;
    return layers * token_blocks * s->binding->max_seqs;
}

tn_status tn_setup_kv_bytes(const tn_setup *s, uint64_t *out_bytes, tn_error *err)
{
    const tn_profile_size *memory = &s->profile->kv.memory;
    uint64_t available;
    TN_TRY(free_for_kv(s, &available, err));
    double bytes = full_bytes(s), cap = (double)available;
    if (memory->kind == TN_PROFILE_MEMORY_BYTES)
        cap = (double)memory->bytes;
    else if (memory->kind == TN_PROFILE_MEMORY_PERCENT)
        cap *= memory->percent / 100.0;
    else if (tn_device_is_host(&s->binding->device[kv_domain(s)]))
        cap *= 0.25;
    *out_bytes = (uint64_t)(bytes < cap ? bytes : cap);
    return TN_OK;
}

tn_status tn_setup_memory_need(const tn_setup *s, tn_memory_need *out, tn_error *err)
{
    const tn_binding *b = s->binding;
    tn_engine_args args;
    uint64_t block_bytes = 0;
    *out = (tn_memory_need){ .block_tokens = b->block_tokens };
    TN_TRY(tn_setup_engine_args(s, &args, err));
    TN_TRY(tn_engine_kv_blocks(&args, &out->blocks, err));
    for (int32_t d = 0; d < b->n_domains; d++)
        TN_TRY(add_domain(s, d, out, err));
    for (int32_t l = 0; l < b->graph->n_layers; l++)
        block_bytes += b->kv[l].block_bytes;
    out->kv_token_bytes = block_bytes / (uint64_t)b->block_tokens;
    out->kv_bytes = block_bytes * (uint64_t)out->blocks;
    out->total_bytes =
        out->weight_bytes + out->activation_bytes + out->workspace_bytes + out->kv_bytes;
    return free_now(&b->device[kv_domain(s)], &out->free_bytes, err);
}
