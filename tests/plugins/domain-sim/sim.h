/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device made of host memory that behaves like one: its addresses cannot be dereferenced by the
 * host, its stream runs late and on a thread of its own, and what goes wrong there surfaces at
 * stream_wait. cpu-ref's kernels compute on it, so that ids and bits equal the host's. It exists to
 * prove that the core is not host-shaped.
 */
#ifndef TN_TESTS_DOMAIN_SIM_H
#define TN_TESTS_DOMAIN_SIM_H

#include "plugins/common/plugin_util.h"

#include <tenon/plugin.h>

#include <pthread.h>

enum { SIM_MAX_LIVE = 16384, SIM_MAX_IN = 4, SIM_MAX_OUT = 2 };

typedef struct sim_range {
    uint64_t offset, bytes;
} sim_range;

/* Addresses of the device are window + offset, where nothing is mapped readable; the bytes are at
 * real + offset. */
typedef struct sim_memory {
    pthread_mutex_t lock;
    uint8_t *real, *window;
    uint64_t size;
    sim_range live[SIM_MAX_LIVE]; /* sorted by offset */
    int32_t n_live;
} sim_memory;

typedef struct sim {
    const tn_host *host;
    void *ref; /* cpu-ref's self */
    sim_memory memory;
} sim;

tn_status sim_memory_init(sim_memory *m, tn_error *err);
void sim_memory_deinit(sim_memory *m);
tn_status sim_memory_alloc(sim_memory *m, uint64_t bytes, uint64_t *addr, tn_error *err);
/** False when addr is not the start of a live allocation. */
int sim_memory_release(sim_memory *m, uint64_t addr);
uint64_t sim_memory_free_bytes(sim_memory *m);
/** Host pointer of [addr, addr + bytes), or NULL when that is not inside one live allocation. */
void *sim_translate(sim_memory *m, uint64_t addr, uint64_t bytes);
/** Is it an address that the device may have handed out? */
int sim_is_device(const sim_memory *m, uint64_t addr);

/* ---- stream ---- */
typedef struct sim_stream sim_stream;
enum { SIM_COPY = 1, SIM_FILL = 2, SIM_LAUNCH = 3 };

typedef struct sim_launch {
    const tn_kernel *kernel; /* cpu-ref's */
    const tn_node *node;
    tn_launch launch;
    tn_tensor in[SIM_MAX_IN], out[SIM_MAX_OUT];
    tn_batch batch;
    uint64_t weight_bytes, zeroed_bytes;
} sim_launch;

typedef struct sim_task {
    int32_t kind, direction;
    uint64_t dst, src, n;
    uint8_t byte;
    sim_launch launch;
} sim_task;

tn_status sim_stream_new(sim *s, sim_stream **out, tn_error *err);
void sim_stream_release(sim_stream *stream);
/** Copies the task into the queue; waits while the queue is full. */
void sim_stream_push(sim_stream *stream, const sim_task *task);
/** Until the queue is empty; the first error since the last wait. */
tn_status sim_stream_wait(sim_stream *stream, tn_error *err);

/** Translate every address of the launch, without host mirrors, and run it. Stream thread. */
tn_status sim_launch_run(sim *s, sim_launch *launch, tn_error *err);

extern const tn_kernel *const sim_kernels[];

#endif
