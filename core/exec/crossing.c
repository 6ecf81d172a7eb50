/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/float16.h"
#include "core/exec/exec_internal.h"

#include <string.h>

static float load(const void *row, int32_t dtype, int32_t i)
{
    if (dtype == TN_F16)
        return tn_f16_to_f32(((const uint16_t *)row)[i]);
    if (dtype == TN_BF16)
        return tn_bf16_to_f32(((const uint16_t *)row)[i]);
    if (dtype == TN_I32)
        return (float)((const int32_t *)row)[i];
    return ((const float *)row)[i];
}

static void store(void *row, int32_t dtype, int32_t i, float value)
{
    if (dtype == TN_F16)
        ((uint16_t *)row)[i] = tn_f32_to_f16(value);
    else if (dtype == TN_BF16)
        ((uint16_t *)row)[i] = tn_f32_to_bf16(value);
    else if (dtype == TN_I32)
        ((int32_t *)row)[i] = (int32_t)value;
    else
        ((float *)row)[i] = value;
}

void tn_convert_rows(const void *src, int32_t src_dtype, int64_t src_stride, void *dst,
                     int32_t dst_dtype, int64_t dst_stride, int32_t rows, int32_t width)
{
    const size_t src_row = (size_t)src_stride * tn_dtype_bytes(src_dtype);
    const size_t dst_row = (size_t)dst_stride * tn_dtype_bytes(dst_dtype);
    for (int32_t r = 0; r < rows; r++) {
        const char *from = (const char *)src + (size_t)r * src_row;
        char *to = (char *)dst + (size_t)r * dst_row;
        if (src_dtype == dst_dtype) {
            memcpy(to, from, (size_t)width * tn_dtype_bytes(src_dtype));
            continue;
        }
        for (int32_t i = 0; i < width; i++)
            store(to, dst_dtype, i, load(from, src_dtype, i));
    }
}

tn_status tn_exec_fetch(tn_exec_domain *domain, uint64_t addr, uint64_t bytes, const void **out,
                        tn_error *err)
{
    const tn_device *device = &domain->device;
    *out = (const void *)(uintptr_t)addr;
    if (domain->is_host)
        return TN_OK;
    *out = domain->staging;
    TN_TRY(device->domain->copy(device->self, (uint64_t)(uintptr_t)domain->staging, addr, bytes,
                                TN_TO_HOST, domain->stream, err));
    return device->domain->stream_wait(device->self, domain->stream, err);
}

/* Copy the staging block to addr and wait, since the block is used again at once. */
static tn_status send(tn_exec_domain *domain, uint64_t addr, uint64_t bytes, tn_error *err)
{
    const tn_device *device = &domain->device;
    TN_TRY(device->domain->copy(device->self, addr, (uint64_t)(uintptr_t)domain->staging, bytes,
                                TN_TO_DEVICE, domain->stream, err));
    return device->domain->stream_wait(device->self, domain->stream, err);
}

static uint64_t rows_bytes(const tn_edge_place *place, int32_t rows)
{
    return (uint64_t)rows * (uint64_t)place->row_stride * tn_dtype_bytes(place->dtype);
}

tn_status tn_exec_cross(tn_executor *exec, int32_t edge, int32_t to, tn_error *err)
{
    int32_t from = exec->producer_domain[edge];
    const tn_edge_place *src = &exec->plan.place[from][edge];
    const tn_edge_place *dst = &exec->plan.place[to][edge];
    tn_exec_domain *target = &exec->domain[to];
    uint64_t dst_addr = target->arena.addr + dst->offset;
    int32_t rows = tn_exec_rows(exec, edge);
    const void *bytes;
    TN_TRY(tn_exec_fetch(&exec->domain[from], exec->domain[from].arena.addr + src->offset,
                         rows_bytes(src, rows), &bytes, err));
    void *into = target->is_host ? (void *)(uintptr_t)dst_addr : target->staging;
    tn_convert_rows(bytes, src->dtype, src->row_stride, into, dst->dtype, dst->row_stride, rows,
                    exec->graph->edge[edge].width);
    return target->is_host ? TN_OK : send(target, dst_addr, rows_bytes(dst, rows), err);
}

tn_status tn_exec_read_edge(tn_executor *exec, int32_t d, int32_t edge, int32_t rows, float *values,
                            tn_error *err)
{
    const tn_edge *e = &exec->graph->edge[edge];
    const tn_edge_place *place = &exec->plan.place[d][tn_edge_owner(exec->graph, edge)];
    size_t column = e->base >= 0 ? (size_t)e->offset * tn_dtype_bytes(place->dtype) : 0;
    const void *bytes;
    TN_TRY(tn_exec_fetch(&exec->domain[d], exec->domain[d].arena.addr + place->offset,
                         rows_bytes(place, rows), &bytes, err));
    tn_convert_rows((const char *)bytes + column, place->dtype, place->row_stride, values, TN_F32,
                    e->width, rows, e->width);
    return TN_OK;
}

tn_status tn_exec_write_edge(tn_executor *exec, int32_t d, int32_t edge, int32_t rows,
                             const float *values, tn_error *err)
{
    const tn_edge *e = &exec->graph->edge[edge];
    const tn_edge_place *place = &exec->plan.place[d][tn_edge_owner(exec->graph, edge)];
    size_t column = e->base >= 0 ? (size_t)e->offset * tn_dtype_bytes(place->dtype) : 0;
    tn_exec_domain *domain = &exec->domain[d];
    uint64_t addr = domain->arena.addr + place->offset;
    const void *other_columns;
    TN_TRY(tn_exec_fetch(domain, addr, rows_bytes(place, rows), &other_columns, err));
    char *into = domain->is_host ? (char *)(uintptr_t)addr : (char *)domain->staging;
    tn_convert_rows(values, TN_F32, e->width, into + column, place->dtype, place->row_stride, rows,
                    e->width);
    return domain->is_host ? TN_OK : send(domain, addr, rows_bytes(place, rows), err);
}

tn_status tn_executor_read_kv(tn_executor *exec, int32_t layer, int32_t block, const void **out,
                              tn_error *err)
{
    if (layer < 0 || layer >= exec->graph->n_layers || block < 0 || block >= exec->args.n_blocks)
        return tn_fail(err, TN_INVALID, "KV block %d of layer %d: there are %d blocks, %d layers",
                       block, layer, exec->args.n_blocks, exec->graph->n_layers);
    const tn_bound_kv *kv = &exec->binding->kv[layer];
    return tn_exec_fetch(&exec->domain[kv->domain],
                         exec->kv[layer].addr + (uint64_t)block * kv->block_bytes, kv->block_bytes,
                         out, err);
}
