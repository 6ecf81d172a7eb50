/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tenon check: any set of plugins against a reference, node by node. Four parts: op cases, lockstep
 * over the nodes of a loaded profile, a free run, and the claims of every kernel.
 *
 *     tn_check_args args = { .setup = &setup, .plugin_dir = setup.plugin_dir, .seed = 1 };
 *     st = tn_check_run(&args, &report, &err);   // TN_OK whatever was found
 *     if (!report.passed) ...
 *     tn_check_report_deinit(&report);
 *
 * Thread: one.
 */
#ifndef TN_APPS_CHECK_CHECK_H
#define TN_APPS_CHECK_CHECK_H

#include "apps/check/free_run.h"
#include "apps/check/matrix.h"
#include "apps/check/result.h"
#include "runtime/setup.h"

typedef struct tn_check_args {
    const tn_setup *setup;
    const char *against; /* a plugin's name, or the path of a profile: has / or ends with .yaml */
    const char *node;    /* glob of node paths, or NULL: all */
    const char *op;      /* only this op, or NULL */
    uint64_t seed;
    bool quick;
    const char *repro_dir; /* where files of failing cases go; NULL: none are written */
    const struct tn_check_repro *repro; /* only this case; the setup then needs plugins only */
    struct tn_check_watch *watch;       /* is told what runs; may be NULL */
    void (*progress)(void *ctx, uint64_t done, uint64_t total); /* may be NULL */
    void *ctx;
} tn_check_args;

/* A plugin alone, without a model. */
typedef struct tn_check_plugin_args {
    const char *path;       /* absolute */
    const char *plugin_dir; /* of the reference; NULL: where they are installed */
    const char *against, *op;
    const char *repro_dir; /* as above */
    uint64_t seed;
    int32_t threads;                                            /* 0: one a physical core */
    struct tn_check_watch *watch;                               /* as above */
    void (*progress)(void *ctx, uint64_t done, uint64_t total); /* may be NULL */
    void *ctx;
} tn_check_plugin_args;

typedef struct tn_check_report {
    const char *profile, *plugin; /* one of them is NULL */
    const char *against;
    uint64_t seed;
    bool passed;
    int64_t n_cases;
    double seconds;
    tn_check_results results;
    tn_check_free_run free; /* its memory is that of the results */
    tn_check_matrix matrix; /* of a plugin alone */
} tn_check_report;

/** TN_OK when the check could run, whatever it found. TN_INVALID: nothing matches node or op; the
 * reference cannot be had. */
tn_status tn_check_run(const tn_check_args *args, tn_check_report *out, tn_error *err) TN_MUST_USE;
/** What the file exports and needs, its descriptor, and the made-up cases and claims of every op.
 * Also TN_UNAVAILABLE: the plugin says that it cannot run on this machine. */
tn_status tn_check_plugin(const tn_check_plugin_args *args, tn_check_report *out,
                          tn_error *err) TN_MUST_USE;
void tn_check_report_deinit(tn_check_report *report);

#endif
