/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "apps/check/watch.h"

#include "apps/check/session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TICK_MS = 1000, DYING_TICK_MS = 10, RECORD_BYTES = 4096, MAX_RESULTS = 1 << 14 };

/* ---- what both processes see ---- */

/* A result, and its texts one behind the other, for the addresses in r are the child's. */
typedef struct record {
    tn_check_result r;
    char texts[RECORD_BYTES - sizeof(tn_check_result)];
} record;

/* Only the pages that are written take memory. The child may have died in the middle of a write, or
 * a plugin may have written here: the parent believes no value. */
typedef struct tn_check_watch_shared {
    _Atomic uint64_t beats; /* grows whenever the child gets on. Relaxed: it carries nothing */
    _Atomic bool finished;  /* relaxed: it is read when the child is dead, or as a hint */
    int32_t n_results;
    int64_t n_cases;
    record begun, against; /* against: its node */
    record result[MAX_RESULTS];
} shared_memory;

enum { N_TEXTS = 10 };

static void list_texts(tn_check_result *r, const char **text[N_TEXTS])
{
    const char **const all[N_TEXTS] = { &r->node,  &r->op,        &r->plugin, &r->kernel,
                                        &r->shape, &r->tolerance, &r->metric, &r->signature,
                                        &r->repro, &r->text };
    memcpy(text, all, sizeof all);
}

/* What has no room is cut. */
static void put_record(record *to, const tn_check_result *r)
{
    const char **text[N_TEXTS];
    size_t at = 0;
    to->r = *r;
    list_texts(&to->r, text);
    for (size_t i = 0; i < N_TEXTS; i++) {
        const size_t room = sizeof to->texts - at - (N_TEXTS - i);
        const char *from = *text[i] ? *text[i] : "";
        const size_t n = strnlen(from, room);
        memcpy(to->texts + at, from, n);
        to->texts[at + n] = 0;
        at += n + 1;
    }
}

/* A copy whose texts live in the report. */
static tn_check_result take_record(tn_check_watch *w, record *from)
{
    const char **text[N_TEXTS], *at = from->texts;
    const char *const end = from->texts + sizeof from->texts - 1;
    tn_check_result r = from->r;
    from->texts[sizeof from->texts - 1] = 0;
    if (r.part < 0 || r.part >= TN_CHECK_PARTS)
        r.part = TN_CHECK_PLUGIN;
    if (r.state < 0 || r.state > TN_CHECK_SKIPPED)
        r.state = TN_CHECK_FAILED;
    list_texts(&r, text);
    for (size_t i = 0; i < N_TEXTS; i++) {
        *text[i] = tn_check_results_text(&w->report.results, "%s", at);
        at += strlen(at);
        at += at < end;
    }
    return r;
}

/* ---- the child ---- */

void tn_check_watch_alive(tn_check_watch *w)
{
    if (w)
        (void)atomic_fetch_add_explicit(&w->shared->beats, 1, memory_order_relaxed);
}

/* A result changes as long as its cases run. Its texts are never written over, so equal addresses
 * are equal texts. */
static void put_results(shared_memory *s, const tn_check_results *all)
{
    const int32_t n = all->n < MAX_RESULTS ? all->n : MAX_RESULTS;
    for (int32_t i = 0; i < n; i++)
        if (i >= s->n_results || memcmp(&s->result[i].r, &all->item[i], sizeof all->item[i]) != 0)
            put_record(&s->result[i], &all->item[i]);
    s->n_results = n;
}

void tn_check_watch_begin(tn_check_watch *w, const tn_check_report *so_far,
                          const tn_check_result *next)
{
    if (!w)
        return;
    put_results(w->shared, &so_far->results);
    w->shared->n_cases = so_far->n_cases;
    put_record(&w->shared->against, &(tn_check_result){ .node = so_far->against });
    put_record(&w->shared->begun, next);
    tn_check_watch_alive(w);
}

void tn_check_watch_finished(tn_check_watch *w)
{
    if (w)
        atomic_store_explicit(&w->shared->finished, true, memory_order_relaxed);
}

static tn_status open_shared(tn_check_watch *w, int end[2], tn_error *err)
{
    shared_memory *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (s == MAP_FAILED)
        return tn_fail_memory(err, "the results");
    w->shared = s;
    put_record(&s->begun, &(tn_check_result){ .part = TN_CHECK_PLUGIN,
                                              .layer = -1,
                                              .node = "loading",
                                              .shape = "plugins are opened" });
    if (pipe(end) < 0)
        return tn_fail(err, TN_INTERNAL, "cannot make a pipe: %s", strerror(errno));
    (void)fcntl(end[0], F_SETFD, FD_CLOEXEC);
    (void)fcntl(end[1], F_SETFD, FD_CLOEXEC);
    w->fd = end[0];
    return TN_OK;
}

tn_status tn_check_watch_open(tn_check_watch *w, tn_error *err)
{
    const pid_t parent = getpid();
    int end[2];
    *w = (tn_check_watch){ .child = -1, .fd = -1, .start_s = tn_check_now_s() };
    tn_status status = open_shared(w, end, err);
    if (!status) {
        w->child = fork();
        if (w->child < 0)
            status = tn_fail(err, TN_INTERNAL, "cannot start a process: %s", strerror(errno));
        (void)close(end[w->child != 0]); /* the child keeps its end as long as it lives */
        w->fd = w->child == 0 ? -1 : end[0];
    }
    if (status)
        tn_check_watch_close(w);
    /* The parent may have been killed before this call, and is then another one. */
    if (w->child == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent))
        _exit(1);
    return status;
}

void tn_check_watch_close(tn_check_watch *w)
{
    if (w->fd >= 0)
        (void)close(w->fd);
    if (w->shared)
        (void)munmap(w->shared, sizeof *w->shared);
    w->fd = -1;
    w->shared = NULL;
    tn_check_report_deinit(&w->report);
}

/* ---- the parent ---- */

bool tn_check_watch_is_finished(const tn_check_watch *w)
{
    return atomic_load_explicit(&w->shared->finished, memory_order_relaxed);
}

static const char *signal_name(int number)
{
    static const struct {
        int number;
        const char *name;
    } all[] = {
        { SIGSEGV, "SIGSEGV" }, { SIGABRT, "SIGABRT" }, { SIGBUS, "SIGBUS" },
        { SIGFPE, "SIGFPE" },   { SIGILL, "SIGILL" },   { SIGTRAP, "SIGTRAP" },
        { SIGSYS, "SIGSYS" },   { SIGKILL, "SIGKILL" },
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i].number == number)
            return all[i].name;
    return "a signal";
}

/* Who ends the child alone by one of these wants the whole to end. */
static void pass_on(int number)
{
    if (number != SIGINT && number != SIGTERM && number != SIGHUP && number != SIGQUIT)
        return;
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

/* True when it ended by itself. Else w->how has words for it. */
static bool judge(tn_check_watch *w, int wait_status, int *out_exit_status)
{
    *out_exit_status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 1;
    if (WIFEXITED(wait_status) && tn_check_watch_is_finished(w) && *out_exit_status <= 2)
        return true;
    if (WIFSIGNALED(wait_status)) {
        const int number = WTERMSIG(wait_status);
        pass_on(number);
        (void)snprintf(w->how, sizeof w->how, "it ended the process by %s (%s)%s",
                       signal_name(number), strsignal(number),
                       number == SIGKILL ? ", as the system does when memory runs out" : "");
        return false;
    }
    (void)snprintf(w->how, sizeof w->how,
                   "it ended the process with exit status %d, before its time", *out_exit_status);
    return false;
}

static void kill_silent(tn_check_watch *w, int32_t limit_s)
{
    const bool minutes = limit_s % 60 == 0;
    const int n = (int)(minutes ? limit_s / 60 : limit_s);
    (void)kill(w->child, SIGKILL);
    while (waitpid(w->child, NULL, 0) < 0 && errno == EINTR)
        ;
    w->hangs = true;
    (void)snprintf(w->how, sizeof w->how, "no progress for %d %s%s: it hangs, and was killed", n,
                   minutes ? "minute" : "second", n == 1 ? "" : "s");
}

/* Silence is counted in ticks and not by a clock: while both processes are stopped it does not
 * grow. The end of the pipe is the child's end, unless a process that it started still has the
 * pipe. */
bool tn_check_watch_wait(tn_check_watch *w, int32_t limit_s, int *out_exit_status)
{
    struct pollfd p = { .fd = w->fd, .events = POLLIN };
    uint64_t beats = 0;
    int64_t silent_ms = 0;
    int wait_status;
    for (;;) {
        const int tick_ms = p.fd < 0 ? DYING_TICK_MS : TICK_MS;
        const int ready = poll(&p, 1, tick_ms);
        const uint64_t now = atomic_load_explicit(&w->shared->beats, memory_order_relaxed);
        if (ready > 0)
            p.fd = -1;
        if (waitpid(w->child, &wait_status, WNOHANG) == w->child)
            return judge(w, wait_status, out_exit_status);
        silent_ms = now != beats || tn_check_watch_is_finished(w) ? 0 : silent_ms + tick_ms;
        beats = now;
        if (ready >= 0 && silent_ms >= (int64_t)limit_s * 1000) {
            kill_silent(w, limit_s);
            *out_exit_status = 1;
            return false;
        }
    }
}

tn_status tn_check_watch_found(tn_check_watch *w, tn_check_result *out_begun, tn_error *err)
{
    shared_memory *s = w->shared;
    tn_check_report *report = &w->report;
    for (int32_t i = 0; i < s->n_results && i < MAX_RESULTS; i++) {
        if (!tn_check_results_add(&report->results, TN_CHECK_PLUGIN, ""))
            return tn_fail_memory(err, "the results");
        report->results.item[i] = take_record(w, &s->result[i]);
    }
    report->n_cases = s->n_cases;
    report->against = take_record(w, &s->against).node;
    report->seconds = tn_check_now_s() - w->start_s;
    *out_begun = take_record(w, &s->begun);
    return TN_OK;
}

/* What ran: the result that the child had for it, or a new one; NULL without memory. */
static tn_check_result *result_of(tn_check_results *all, const tn_check_result *b)
{
    for (int32_t i = all->n - 1; i >= 0; i--) {
        tn_check_result *r = &all->item[i];
        if (r->part == b->part && r->state == TN_CHECK_PASSED && strcmp(r->node, b->node) == 0 &&
            strcmp(r->kernel, b->kernel) == 0 && strcmp(r->plugin, b->plugin) == 0)
            return r;
    }
    tn_check_result *r = tn_check_results_add(all, b->part, "");
    if (r)
        *r = *b;
    return r;
}

tn_status tn_check_watch_fail(tn_check_watch *w, const tn_check_result *begun, const char *again,
                              tn_error *err)
{
    tn_check_results *all = &w->report.results;
    tn_check_result *r = result_of(all, begun);
    if (!r)
        return tn_fail_memory(err, "the results");
    w->report.passed = false;
    w->report.n_cases++;
    r->n_cases++;
    r->state = TN_CHECK_FAILED;
    r->metric = w->hangs ? "hang" : "crash";
    r->value = 1;
    r->limit = 0;
    r->shape = tn_check_results_text(all, "%s", begun->shape);
    r->text = tn_check_results_text(all, "%s%s%s%s", w->how, *again ? "; `" : "", again,
                                    *again ? "` runs it again" : "");
    return TN_OK;
}
