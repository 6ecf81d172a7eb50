/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which nodes make the tokens differ: ddmin over the nodes that the reference computes instead.
 * Those that lockstep found wrong are tried first. When they are not enough, in two rounds, kernels
 * and then their nodes (as hierarchical delta debugging does, Misherghi and Su 2006), since a wrong
 * kernel is wrong in every layer more often than not.
 */
#include "apps/check/bisect.h"

#include "apps/check/ddmin.h"
#include "core/base/alloc.h"

#include <string.h>

enum { QUICK_TESTS = 64, TESTS = 256 };

typedef struct bisection {
    tn_check_session *s;
    const tn_check_free_state *f;
    int32_t last;       /* step */
    int32_t *group;     /* [n_nodes] what the node belongs to in this round; -1: stays as it is */
    bool *by_reference; /* [n_nodes] of the walk of a test */
    int32_t n_nodes;
} bisection;

/* Does the run pass with these groups by the reference? */
static tn_status passes(void *ctx, const bool *member, bool *out_holds, tn_error *err)
{
    bisection *b = ctx;
    const tn_check_session *s = b->s;
    tn_check_walk w = { 0 };
    tn_check_fault fault = { 0 };
    int32_t node;
    for (int32_t i = 0; i < b->n_nodes; i++)
        b->by_reference[i] = b->group[i] >= 0 && member[b->group[i]];
    tn_status status = tn_check_walk_open(s->setup->binding, s->setup->profile->kv.format,
                                          &b->f->schedule, s->runner, b->by_reference, &w, err);
    w.session = s;
    *out_holds = true;
    for (int32_t step = 0; step <= b->last && !status && *out_holds; step++) {
        tn_check_token token;
        status = tn_check_walk_step(&w, step, &fault, &node, err);
        *out_holds = !status && !fault.what;
        for (int32_t r = 0; *out_holds && r < b->f->schedule.step[step].n_rows; r++) {
            tn_check_free_token(b->f, &w, step, r, &token);
            *out_holds = !tn_check_free_fails(&token);
        }
        tn_check_track_end_step(&w.track, step);
    }
    tn_check_walk_close(&w);
    return status;
}

/* One group for each node that failed in lockstep. Their number. */
static int32_t group_by_lockstep(bisection *b)
{
    const tn_check_results *all = &b->s->report->results;
    const tn_bound_node *node = b->s->setup->binding->node;
    int32_t n = 0;
    for (int32_t i = 0; i < b->n_nodes; i++)
        b->group[i] = -1;
    for (int32_t r = 0; r < all->n; r++)
        for (int32_t i = 0; i < b->n_nodes; i++)
            if (all->item[r].part == TN_CHECK_LOCKSTEP && all->item[r].state == TN_CHECK_FAILED &&
                strcmp(all->item[r].node, node[i].node.path) == 0)
                b->group[i] = n++;
    return n;
}

/* Groups of the first round: one a kernel. Their number. */
static int32_t group_by_kernel(bisection *b)
{
    const tn_bound_node *node = b->s->setup->binding->node;
    int32_t n = 0;
    for (int32_t i = 0; i < b->n_nodes; i++) {
        int32_t like = 0;
        while (like < i && node[like].kernel != node[i].kernel)
            like++;
        b->group[i] = like < i ? b->group[like] : n++;
    }
    return n;
}

/* Groups of the second: one for each node of the kernels that are left. */
static int32_t group_by_node(bisection *b, const bool *kernel)
{
    int32_t n = 0;
    for (int32_t i = 0; i < b->n_nodes; i++)
        b->group[i] = kernel[b->group[i]] ? n++ : -1;
    return n;
}

static tn_status name_guilty(bisection *b, const bool *member, tn_error *err)
{
    tn_check_free_run *run = &b->s->report->free;
    tn_check_results *all = &b->s->report->results;
    run->guilty = tn_arena_alloc(&all->arena, (size_t)b->n_nodes * sizeof *run->guilty);
    if (!run->guilty)
        return tn_fail_memory(err, "the bisection");
    for (int32_t i = 0; i < b->n_nodes; i++) {
        const tn_bound_node *n = &b->s->setup->binding->node[i];
        if (b->group[i] < 0 || !member[b->group[i]])
            continue;
        run->guilty[run->n_guilty++] =
            (tn_check_pair){ .node = tn_check_results_text(all, "%s", n->node.path),
                             .kernel = tn_check_results_text(all, "%s", n->kernel->name),
                             .plugin = tn_check_results_text(all, "%s", n->plugin->name),
                             .op = n->op->name };
    }
    return TN_OK;
}

static tn_status minimise(bisection *b, bool *member, int32_t n, int32_t max_tests, tn_error *err)
{
    tn_check_free_run *run = &b->s->report->free;
    tn_ddmin d = { .test = passes, .ctx = b, .max_tests = max_tests };
    const tn_status status = tn_ddmin_run(&d, member, n, err);
    run->n_tests += d.n_tests;
    run->smallest = d.smallest;
    return status;
}

static int32_t all_members(bool *member, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        member[i] = true;
    return n;
}

/* A race passes by luck, and then any node seems to help: once more, with the nodes that were found
 * it must pass, and without any it must fail. */
static tn_status is_steady(bisection *b, bool *member, int32_t n, bool *out_steady, tn_error *err)
{
    bool with = false, without = false;
    bool *none = tn_alloc_array((size_t)n + 1, sizeof(bool));
    if (!none)
        return tn_fail_memory(err, "the bisection");
    tn_status status = passes(b, member, &with, err);
    if (!status)
        status = passes(b, none, &without, err);
    tn_free(none);
    b->s->report->free.n_tests += 2;
    *out_steady = !status && with && !without;
    b->s->report->free.unsteady = !*out_steady;
    return status;
}

static tn_status search(bisection *b, bool *member, tn_error *err)
{
    const int32_t max_tests = b->s->args->quick ? QUICK_TESTS : TESTS;
    bool enough = false;
    int32_t n = all_members(member, group_by_lockstep(b));
    if (n > 0) {
        b->s->report->free.n_tests++;
        TN_TRY(passes(b, member, &enough, err));
    }
    if (!enough) {
        n = all_members(member, group_by_kernel(b));
        TN_TRY(minimise(b, member, n, max_tests / 2, err));
        n = all_members(member, group_by_node(b, member));
    }
    TN_TRY(minimise(b, member, n, max_tests - b->s->report->free.n_tests, err));
    bool steady = false;
    TN_TRY(is_steady(b, member, n, &steady, err));
    return steady ? name_guilty(b, member, err) : TN_OK;
}

tn_status tn_check_bisect(tn_check_session *s, const tn_check_free_state *f, int32_t last,
                          tn_error *err)
{
    bisection b = { .s = s, .f = f, .last = last, .n_nodes = s->setup->binding->n_nodes };
    const size_t n = (size_t)b.n_nodes;
    bool *member = tn_alloc_array(n, sizeof(bool));
    b.group = tn_alloc_array(n, sizeof(int32_t));
    b.by_reference = tn_alloc_array(n, sizeof(bool));
    const tn_status status = member && b.group && b.by_reference
                                 ? search(&b, member, err)
                                 : tn_fail_memory(err, "the bisection");
    tn_free(member);
    tn_free(b.group);
    tn_free(b.by_reference);
    return status;
}
