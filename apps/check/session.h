/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of one check share. Thread: one. */
#ifndef TN_APPS_CHECK_SESSION_H
#define TN_APPS_CHECK_SESSION_H

#include "apps/check/check.h"
#include "apps/check/compare.h"
#include "apps/check/walk.h"

typedef struct tn_check_session {
    const tn_check_args *args;
    const tn_setup *setup;
    const tn_plugin_spec
        *plugin;              /* of a check of a plugin alone: setup has no profile; else NULL */
    tn_setup against;         /* the reference: plugins, and their profile if there is one */
    tn_plugin_set *reference; /* its plugins */
    tn_check_report *report;
    tn_check_schedule schedule; /* of lockstep */
    tn_check_runner
        *runner;    /* [n_nodes] kept open by lockstep for the free run; NULL: there is none */
    tn_setup other; /* the profile's plugins once more, on another number of threads */
} tn_check_session;

/* What runs next: a kernel on a node, on a case. */
typedef struct tn_check_next {
    int32_t part;
    const char *name, *what; /* of the result; in words */
    const tn_node *node;
    const tn_plugin_entry *plugin; /* NULL: the reference */
    const tn_kernel *kernel;       /* NULL: the plugin is asked which one supports it */
    const tn_check_case *c;        /* may be NULL */
} tn_check_next;

double tn_check_now_s(void);
/** Before anything of a plugin runs: what that is, if it should not come back. NULL is "". */
void tn_check_begin(const tn_check_session *s, const tn_check_result *next);
/** The same of a node or a case. */
void tn_check_begin_case(const tn_check_session *s, const tn_check_next *next);
/** Between the runs of what takes many. */
void tn_check_alive(const tn_check_session *s);
/** TN_INVALID when there is no such op. op NULL: any. */
tn_status tn_check_known_op(const char *op, tn_error *err) TN_MUST_USE;
/** A set of one plugin. */
tn_status tn_check_open_plugin(const tn_plugin_spec *spec, const char *plugin_dir, tn_team *team,
                               tn_plugin_set **out, tn_error *err) TN_MUST_USE;
tn_status tn_check_open_reference(tn_check_session *s, tn_error *err) TN_MUST_USE;
/** The plugins under test once more, as if in a new process, on the team of *again. */
tn_status tn_check_open_again(tn_check_session *s, tn_setup *again, tn_error *err) TN_MUST_USE;
/** This plugin there; NULL when it did not open again. */
const tn_plugin_entry *tn_check_same_plugin(const tn_setup *again, const tn_plugin_entry *plugin);
/** What the session opened. */
void tn_check_session_close(tn_check_session *s);

/** Weights of a bound node: part[TN_MAX_PARTS]. On failure nothing is left in it. */
tn_status tn_check_node_parts(const tn_check_session *s, const tn_bound_node *bound,
                              tn_check_part *part, tn_error *err) TN_MUST_USE;
void tn_check_node_parts_deinit(tn_check_part *part);
/** True when --node and --only select it. */
bool tn_check_selected(const tn_check_args *args, const char *path, const char *op);
/** A result for a kernel on a node; NULL without memory. */
tn_check_result *tn_check_add_result(tn_check_session *s, int32_t part, const char *name,
                                     const tn_node *node, const char *plugin,
                                     const tn_kernel *kernel);
/** Put a verdict into a result; the first failure stays. shape: of the case. */
void tn_check_note(tn_check_session *s, tn_check_result *r, const tn_check_case *c,
                   const char *where, const tn_check_verdict *v);
/** One case on an open kernel against what is expected of it; also its claims when asked. */
tn_status tn_check_one(tn_check_session *s, tn_check_kernel *k, const tn_check_case *c,
                       const tn_check_expected *e, tn_check_verdict *out,
                       tn_error *err) TN_MUST_USE;

/** What the kernel claims, and what every kernel owes, on one case; the first breach is the
 * verdict. */
tn_status tn_check_claims(tn_check_session *s, tn_check_kernel *k, const tn_check_case *c,
                          tn_check_verdict *out, tn_error *err) TN_MUST_USE;

/** Write a repro file for a failed result, unless its kernel has one of this part already. That
 * none could be written is told in the result. */
tn_status tn_check_save(tn_check_session *s, int32_t result, const tn_plugin_entry *plugin,
                        const tn_kernel *kernel, const tn_check_case *c, tn_error *err) TN_MUST_USE;

/* ---- the parts ---- */
tn_status tn_check_ops(tn_check_session *s, tn_error *err) TN_MUST_USE;
tn_status tn_check_lockstep(tn_check_session *s, tn_error *err) TN_MUST_USE;
tn_status tn_check_free(tn_check_session *s, tn_error *err) TN_MUST_USE;
/** Run the case of a repro file again, alone. */
tn_status tn_check_replay(tn_check_session *s, const struct tn_check_repro *repro,
                          tn_error *err) TN_MUST_USE;
void tn_check_runners_close(tn_check_session *s);

/** What the binding and the options say of any schedule; prompts are left to the caller. */
tn_check_schedule_args tn_check_session_schedule(const tn_check_session *s);

#endif
