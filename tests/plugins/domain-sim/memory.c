/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* MAP_ANONYMOUS, MAP_NORESERVE */
#include "tests/plugins/domain-sim/sim.h"

#include <string.h>
#include <sys/mman.h>

/* Between allocations, so that running past the end of one is never inside the next. */
static const uint64_t GUARD_BYTES = 256;
static const uint64_t WINDOW_BYTES = UINT64_C(8) << 30;
/* Fresh device memory is not zero; more than this of it is left as it comes, or a KV pool would be
 * touched whole. */
static const uint64_t MAX_POISON_BYTES = UINT64_C(1) << 20;

tn_status sim_memory_init(sim_memory *m, tn_error *err)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

    m->size = WINDOW_BYTES;
    void *real = mmap(NULL, m->size, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (real == MAP_FAILED)
        return tn_plugin_fail(err, TN_UNAVAILABLE, "cannot reserve the device's memory");
    void *window = mmap(NULL, m->size, PROT_NONE, flags, -1, 0);
    if (window == MAP_FAILED) {
        munmap(real, m->size);
        return tn_plugin_fail(err, TN_UNAVAILABLE, "cannot reserve the device's addresses");
    }
    m->real = real;
    m->window = window;
    pthread_mutex_init(&m->lock, NULL);
    return TN_OK;
}

void sim_memory_deinit(sim_memory *m)
{
    munmap(m->real, m->size);
    munmap(m->window, m->size);
    pthread_mutex_destroy(&m->lock);
}

int sim_is_device(const sim_memory *m, uint64_t addr)
{
    const uint64_t base = (uint64_t)(uintptr_t)m->window;

    return addr >= base && addr - base < m->size;
}

/* First fit; *index is where the new range goes in the sorted list. 0 when nothing fits. */
static int find_gap(const sim_memory *m, uint64_t bytes, int32_t *index, uint64_t *offset)
{
    uint64_t end = 0;

    if (m->n_live == SIM_MAX_LIVE)
        return 0;
    for (int32_t i = 0; i <= m->n_live; i++) {
        const uint64_t next = i < m->n_live ? m->live[i].offset : m->size;
        if (next - end >= bytes && next >= end) {
            *index = i;
            *offset = end;
            return 1;
        }
        if (i < m->n_live)
            end = (m->live[i].offset + m->live[i].bytes + 2 * GUARD_BYTES - 1) / GUARD_BYTES *
                  GUARD_BYTES;
    }
    return 0;
}

tn_status sim_memory_alloc(sim_memory *m, uint64_t bytes, uint64_t *addr, tn_error *err)
{
    int32_t index;
    uint64_t offset;
    tn_status status = TN_OK;

    *addr = 0;
    pthread_mutex_lock(&m->lock);
    if (bytes > m->size - 2 * GUARD_BYTES || !find_gap(m, bytes + GUARD_BYTES, &index, &offset)) {
        status = tn_plugin_fail(err, TN_NO_MEMORY, "simdev: %llu bytes do not fit its memory",
                                (unsigned long long)bytes);
    } else {
        memmove(&m->live[index + 1], &m->live[index],
                (size_t)(m->n_live - index) * sizeof(m->live[0]));
        m->live[index] = (sim_range){ .offset = offset, .bytes = bytes };
        m->n_live++;
        memset(m->real + offset, 0xA5, bytes < MAX_POISON_BYTES ? bytes : MAX_POISON_BYTES);
        *addr = (uint64_t)(uintptr_t)(m->window + offset);
    }
    pthread_mutex_unlock(&m->lock);
    return status;
}

int sim_memory_release(sim_memory *m, uint64_t addr)
{
    const uint64_t offset = addr - (uint64_t)(uintptr_t)m->window;
    int found = 0;

    pthread_mutex_lock(&m->lock);
    for (int32_t i = 0; i < m->n_live && !found; i++) {
        if (m->live[i].offset != offset)
            continue;
        found = 1;
        m->n_live--;
        memmove(&m->live[i], &m->live[i + 1], (size_t)(m->n_live - i) * sizeof(m->live[0]));
    }
    pthread_mutex_unlock(&m->lock);
    return found;
}

uint64_t sim_memory_free_bytes(sim_memory *m)
{
    pthread_mutex_lock(&m->lock);
    uint64_t free_bytes = m->size;
    for (int32_t i = 0; i < m->n_live; i++)
        free_bytes -= m->live[i].bytes;
    pthread_mutex_unlock(&m->lock);
    return free_bytes;
}

void *sim_translate(sim_memory *m, uint64_t addr, uint64_t bytes)
{
    void *real = NULL;

    if (!sim_is_device(m, addr))
        return NULL;
    const uint64_t offset = addr - (uint64_t)(uintptr_t)m->window;
    pthread_mutex_lock(&m->lock);
    for (int32_t i = 0; i < m->n_live && !real; i++) {
        const sim_range *range = &m->live[i];
        if (offset >= range->offset && offset - range->offset <= range->bytes &&
            bytes <= range->bytes - (offset - range->offset))
            real = m->real + offset;
    }
    pthread_mutex_unlock(&m->lock);
    return real;
}
