/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One kernel of one plugin, run on cases: weights packed once, every buffer guarded, the workspace
 * poisoned. What the kernel does wrong is a finding, not an error: `fault`. tn_error is for what
 * keeps the check itself from going on. Thread: one.
 */
#ifndef TN_APPS_CHECK_KERNEL_H
#define TN_APPS_CHECK_KERNEL_H

#include "apps/check/case.h"
#include "apps/check/guarded.h"
#include "core/plugin/plugin_set.h"

/* Something a kernel must not do. what: "overrun", "input", "run" ...; NULL: nothing. */
typedef struct tn_check_fault {
    const char *what;
    char text[320];
} tn_check_fault;

/* How run is called: as it is; outputs over the inputs that its op allows; h_* of the batch wrong.
 */
enum { TN_RUN_PLAIN, TN_RUN_IN_PLACE, TN_RUN_NO_MIRRORS };

typedef struct tn_check_kernel {
    const tn_plugin_entry *plugin;
    const tn_kernel *kernel;
    tn_device device;
    void *stream;
    bool has_stream;
    int32_t mode; /* TN_RUN_* of the next run */
    tn_node node; /* what the plugin was asked about; it may keep the pointer */
    tn_plan plan;
    tn_guarded weight, zeroed;
} tn_check_kernel;

/* What came out, as f32. */
typedef struct tn_check_output {
    float *out[TN_MAX_OUT]; /* [rows][width] */
    uint8_t *pool;          /* of ops that write it; else NULL */
} tn_check_output;

/** The first kernel of the plugin for this op that supports the node; NULL, and why, when none
 * does. */
const tn_kernel *tn_check_find_kernel(const tn_plugin_entry *plugin, const tn_node *node,
                                      tn_error *why);
/** The node with every float edge in f32, as a host kernel sees it. */
tn_node tn_check_host_node(const tn_node *node);

/** Input whose bytes output i may take, or -1. */
int32_t tn_check_alias(const tn_check_case *c, int32_t i);
/** Pack all parts into `blob` in ranges of `step` rows (0: at once), the last range first when
 * backwards. */
void tn_check_pack(const tn_check_kernel *k, const tn_check_part *part, int32_t n_parts,
                   int32_t step, bool backwards, void *blob, tn_check_fault *fault);
/** plan and pack. node's params must live as long as the kernel. A fault leaves it closed. */
tn_status tn_check_kernel_open(const tn_plugin_entry *plugin, const tn_kernel *kernel,
                               const tn_node *node, const tn_check_part *part, int32_t n_parts,
                               tn_team *team, tn_check_kernel **out, tn_check_fault *fault,
                               tn_error *err) TN_MUST_USE;
/** Look at the packed weights no more after a run, and keep no image of them: for long walks. */
void tn_check_kernel_trust(tn_check_kernel *k);
void tn_check_kernel_close(tn_check_kernel *k);
/** Run it and look at every byte around. On a fault *out may still hold what came back. */
tn_status tn_check_kernel_run(tn_check_kernel *k, const tn_check_case *c, tn_check_output *out,
                              tn_check_fault *fault, tn_error *err) TN_MUST_USE;
void tn_check_output_deinit(tn_check_output *out);

void tn_check_set_fault(tn_check_fault *fault, const char *what, const char *format, ...)
    TN_PRINTF(3, 4);

#endif
