/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A check in a process of its own, so that a plugin that crashes or hangs ends in a report. Before
 * anything of a plugin runs, the child writes what that is, and what it has found so far, into
 * memory that both processes share.
 *
 *     st = tn_check_watch_open(&w, &err);                  // forks: while there is one thread
 *     if (w.child == 0) { ...; tn_check_watch_finished(&w); return exit_status; }
 *     if (!tn_check_watch_wait(&w, limit_s, &exit_status)) // it died
 *         st = tn_check_watch_found(&w, &begun, &err) ... tn_check_watch_fail(&w, &begun, "", &err)
 *     tn_check_watch_close(&w);
 *
 * Thread: one.
 */
#ifndef TN_APPS_CHECK_WATCH_H
#define TN_APPS_CHECK_WATCH_H

#include "apps/check/check.h"

#include <sys/types.h>

enum { TN_CHECK_SILENT_S = 600 }; /* no kernel on a case takes so long */

typedef struct tn_check_watch {
    pid_t child; /* 0: this is the child */
    struct tn_check_watch_shared *shared;
    int fd;                 /* of a pipe that ends when the child does */
    tn_check_report report; /* of the parent; profile, plugin, against and seed are the caller's */
    bool hangs;
    char how[160]; /* it ended, when that was not as it should */
    double start_s;
} tn_check_watch;

/** Returns in both processes. The child ends when its parent does. */
tn_status tn_check_watch_open(tn_check_watch *w, tn_error *err) TN_MUST_USE;
void tn_check_watch_close(tn_check_watch *w);

/** In the child: what runs next, and what of the results is new. w NULL: nobody watches. */
void tn_check_watch_begin(tn_check_watch *w, const tn_check_report *so_far,
                          const tn_check_result *next);
/** In the child: that still runs, and has got on. */
void tn_check_watch_alive(tn_check_watch *w);
/** In the child: no code of a plugin runs any more, and what follows is output. */
void tn_check_watch_finished(tn_check_watch *w);

/** In the parent: true when the child ended by itself, with *out_exit_status. A child that is
 * silent for limit_s seconds is killed. A signal of the user's (SIGINT ...) ends the parent too. */
bool tn_check_watch_wait(tn_check_watch *w, int32_t limit_s, int *out_exit_status);
/** After false: the child had come to its output, and has told all that it found itself. */
bool tn_check_watch_is_finished(const tn_check_watch *w);
/** After false, and not finished: takes what the child had found into w->report. *out_begun is what
 * ran. Its texts, here and below, live until close. */
tn_status tn_check_watch_found(tn_check_watch *w, tn_check_result *out_begun,
                               tn_error *err) TN_MUST_USE;
/** Adds what ran as a failure. again: a command that runs it once more, or "". */
tn_status tn_check_watch_fail(tn_check_watch *w, const tn_check_result *begun, const char *again,
                              tn_error *err) TN_MUST_USE;

#endif
