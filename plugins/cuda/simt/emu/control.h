/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings and results of the emulator, for tests and tools; kernels do not need it. The first use
 * reads the environment: TENON_SIMT_SCHEDULE (fifo lifo random), TENON_SIMT_SEED,
 * TENON_SIMT_CP_ASYNC (late eager), TENON_SIMT_STREAMS (lazy eager), TENON_SIMT_DEVICE (a100 h100
 * v100 none), TENON_SIMT_DRIVER (12040: CUDA 12.4), TENON_SIMT_WORKERS, TENON_SIMT_MEMORY_MB. One
 * thread at a time may change settings, while no kernel runs.
 */
#ifndef TN_PLUGINS_CUDA_SIMT_EMU_CONTROL_H
#define TN_PLUGINS_CUDA_SIMT_EMU_CONTROL_H

#include "plugins/cuda/simt/emu/core.h"

namespace simt
{

enum class schedule { fifo, lifo, random };   /* which thread of a block runs next */
enum class copies { late, eager };            /* cp.async lands in its wait, or at once */
enum class streams { lazy, eager };           /* work runs when somebody waits for it, or at once */
enum class device { a100, h100, v100, none }; /* v100: too old for the plugins */

struct settings {
    simt::schedule schedule;
    simt::copies copies;
    simt::streams streams;
    simt::device device;
    uint32_t seed;
    int n_workers;      /* threads of the host, each with one block at a time */
    int reverse_blocks; /* last block first */
    int count;          /* keep the counters below */
    int quiet;          /* faults are not printed */
    int driver_version; /* 12040: CUDA 12.4; 0: that of the runtime */
    uint64_t max_memory_bytes;
};

/* Of one wrapper call in one kernel. What a request costs at best, and what it did: 32-byte sectors
 * in global memory, passes over the 32 banks in shared memory. */
struct counter {
    const char *kernel, *file;
    int line;
    int is_shared;
    uint64_t n_requests, n_lanes, n_bytes;
    uint64_t n_sectors, n_ideal_sectors;
    uint64_t n_passes, n_ideal_passes;
};

struct totals {
    uint64_t n_launches, n_blocks, n_threads, n_switches, n_barriers, n_mma;
};

} // namespace simt

extern "C" {
SIMT_API void tn_simt_get_settings(simt::settings *out);
SIMT_API void tn_simt_set_settings(const simt::settings *settings);
/* The last fault: "kernel: what, block and thread, file:line"; empty when there is none. Until the
 * next fault or reset. */
SIMT_API const char *tn_simt_fault(void);
/* Forget the fault and the sticky error, as a new process would. Memory and streams stay. */
SIMT_API void tn_simt_clear_fault(void);
/* Counters of the kernels that ran since the last reset, ordered by kernel, file and line. Returns
 * how many there are. */
SIMT_API size_t tn_simt_counters(simt::counter *out, size_t max_counters);
SIMT_API void tn_simt_totals(simt::totals *out);
SIMT_API void tn_simt_reset_counters(void);
/* How threads are switched: "x86-64", "aarch64", "ucontext". */
SIMT_API const char *tn_simt_switch_kind(void);
}

#endif
