/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/guarded.h"

#include "core/base/alloc.h"

#include <string.h>

/* Wider than a vector register or a page of a careless memset; a multiple of the alignment. */
enum { GUARD_BYTES = 1024, POISON = 0xff };

static uint8_t canary(size_t i)
{
    return (uint8_t)(0xa5u ^ (i * 37u));
}

static size_t whole(const tn_guarded *g)
{
    return g->bytes + 2 * (size_t)GUARD_BYTES;
}

tn_status tn_guarded_open(const tn_device *device, void *stream, size_t bytes, tn_guarded *out,
                          tn_error *err)
{
    size_t total;
    *out = (tn_guarded){ .device = device, .stream = stream, .bytes = bytes };
    if (!tn_size_add(bytes, 2 * (size_t)GUARD_BYTES, &total))
        return tn_fail_memory(err, "a guarded buffer");
    out->sent = tn_alloc(total);
    out->back = tn_alloc(total);
    if (!out->sent || !out->back)
        return tn_fail_memory(err, "a guarded buffer");
    for (size_t i = 0; i < GUARD_BYTES; i++)
        out->sent[i] = out->sent[GUARD_BYTES + bytes + i] = canary(i);
    memset(out->sent + GUARD_BYTES, POISON, bytes);
    TN_TRY(device->domain->alloc(device->self, device->index, total, &out->base, err));
    out->addr = out->base + GUARD_BYTES;
    return TN_OK;
}

void tn_guarded_close(tn_guarded *g)
{
    if (g->base)
        g->device->domain->release(g->device->self, g->device->index, g->base);
    tn_free(g->sent);
    tn_free(g->back);
    *g = (tn_guarded){ 0 };
}

void tn_guarded_trust(tn_guarded *g)
{
    tn_free(g->sent);
    tn_free(g->back);
    g->sent = g->back = NULL;
}

void *tn_guarded_image(const tn_guarded *g)
{
    return g->sent + GUARD_BYTES;
}

const void *tn_guarded_result(const tn_guarded *g)
{
    return g->back + GUARD_BYTES;
}

bool tn_guarded_image_is_whole(const tn_guarded *g)
{
    for (size_t i = 0; i < GUARD_BYTES; i++)
        if (g->sent[i] != canary(i) || g->sent[GUARD_BYTES + g->bytes + i] != canary(i))
            return false;
    return true;
}

tn_status tn_guarded_send(tn_guarded *g, tn_error *err)
{
    TN_TRY(g->device->domain->copy(g->device->self, g->base, (uint64_t)(uintptr_t)g->sent, whole(g),
                                   TN_TO_DEVICE, g->stream, err));
    return g->device->domain->stream_wait(g->device->self, g->stream, err);
}

tn_status tn_guarded_fetch(tn_guarded *g, tn_error *err)
{
    TN_TRY(g->device->domain->copy(g->device->self, (uint64_t)(uintptr_t)g->back, g->base, whole(g),
                                   TN_TO_HOST, g->stream, err));
    return g->device->domain->stream_wait(g->device->self, g->stream, err);
}

static bool first_change(const tn_guarded *g, size_t begin, size_t end, int64_t *out_at)
{
    if (memcmp(g->sent + begin, g->back + begin, end - begin) == 0)
        return false;
    while (g->sent[begin] == g->back[begin])
        begin++;
    *out_at = (int64_t)begin - GUARD_BYTES;
    return true;
}

bool tn_guarded_overrun(const tn_guarded *g, int64_t *out_at)
{
    return first_change(g, GUARD_BYTES + g->bytes, whole(g), out_at) ||
           first_change(g, 0, GUARD_BYTES, out_at);
}

bool tn_guarded_changed(const tn_guarded *g, int64_t *out_at)
{
    return first_change(g, GUARD_BYTES, GUARD_BYTES + g->bytes, out_at);
}
