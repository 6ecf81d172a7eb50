/* SPDX-License-Identifier: Apache-2.0 */
/* Properties that every plan must have, on a real binding, and aliasing on a hand-made one. */
#include "core/base/alloc.h"
#include "core/exec/memory_plan.h"
#include "runtime/reports.h"
#include "tests/support/rig.h"
#include "tests/support/temp_dir.h"

#include <string.h>

/* cmocka.h needs the others before it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static tn_memory_plan make_plan(const tn_binding *binding, bool keep_all)
{
    tn_memory_plan plan;
    tn_error err = { 0 };

    tn_status st = tn_memory_plan_make(binding, keep_all, &plan, &err);
    if (st)
        fail_msg("%s", err.text);
    return plan;
}

static bool overlap(const tn_edge_place *a, const tn_edge_place *b)
{
    return a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
}

/* Node after which nobody reads the edge or its views; simulated here, without the planner's
 * shortcuts. */
static int32_t last_read(const tn_binding *b, int32_t edge)
{
    int32_t last = edge == b->graph->logits || edge == b->graph->argmax ? b->n_nodes : -1;

    for (int32_t i = 0; i < b->n_nodes; i++)
        for (int32_t in = 0; in < b->node[i].node.n_in; in++)
            if (tn_edge_owner(b->graph, b->node[i].in[in]) == edge && last < i)
                last = i;
    return last;
}

/* Walk the nodes as the executor does: while an edge will be read, nothing else is written over it.
 */
static void assert_nothing_is_overwritten(const tn_binding *b, const tn_memory_plan *plan)
{
    for (int32_t i = 0; i < b->n_nodes; i++) {
        const tn_bound_node *node = &b->node[i];

        for (int32_t out = 0; out < node->node.n_out; out++) {
            const tn_edge_place *to = &plan->place[0][node->out[out]];

            assert_true(to->bytes > 0);
            assert_int_equal(to->offset % 256, 0);
            assert_true(to->offset + to->bytes <= plan->arena_bytes[0]);
            assert_int_equal((uint64_t)to->row_stride * tn_dtype_bytes(to->dtype) % 16,
                             b->graph->edge[node->out[out]].cls == TN_EDGE_I32 ? 4 : 0);
            for (int32_t e = 0; e < b->graph->n_edges; e++) {
                const tn_edge_place *other = &plan->place[0][e];
                bool may_alias = node->kernel->flags & TN_K_IN_PLACE && node->op->alias_in >= 0 &&
                                 e == node->in[node->op->n_out > 1 ? out : node->op->alias_in];

                if (e == node->out[out] || other->bytes == 0 || other->first > i)
                    continue;
                /* Alive: read by this node (unless it may be written in place) or by a later one.
                 */
                if (last_read(b, e) > i || (last_read(b, e) == i && !may_alias))
                    assert_false(overlap(to, other));
            }
        }
    }
}

static void plans_share_memory_but_never_overwrite_what_is_still_read(void **state)
{
    (void)state;
    for (int32_t no_fusion = 0; no_fusion < 2; no_fusion++) {
        tn_rig rig;
        tn_rig_options o = TN_RIG_DEFAULT;

        o.no_fusion = no_fusion;
        o.model.v_type = "F16"; /* q, k, v become single nodes */
        o.model.layers = 3;
        tn_rig_open(&rig, &o);
        tn_memory_plan plan = make_plan(rig.binding, false);
        assert_nothing_is_overwritten(rig.binding, &plan);
        assert_true(plan.arena_bytes[0] < plan.sum_bytes[0] / 3);
        tn_memory_plan_deinit(&plan);
        tn_rig_close(&rig);
    }
}

static void keeping_all_edges_gives_each_its_own_bytes(void **state)
{
    tn_rig rig;
    tn_rig_options o = TN_RIG_DEFAULT;

    (void)state;
    tn_rig_open(&rig, &o);
    tn_memory_plan plan = make_plan(rig.binding, true);
    assert_int_equal(plan.arena_bytes[0], plan.sum_bytes[0]);
    for (int32_t a = 0; a < rig.graph.n_edges; a++)
        for (int32_t b = a + 1; b < rig.graph.n_edges; b++)
            if (plan.place[0][a].bytes > 0 && plan.place[0][b].bytes > 0)
                assert_false(overlap(&plan.place[0][a], &plan.place[0][b]));
    tn_memory_plan_deinit(&plan);
    tn_rig_close(&rig);
}

/* A chain x -> add(y, x) -> add(y2, x'), built by hand, with the kernel's flag under the test's
 * control. */
typedef struct chain {
    tn_edge edge[5];
    tn_graph graph;
    tn_kernel kernel;
    tn_bound_node node[5];
    tn_binding binding;
} chain;

static void open_chain(chain *c, uint32_t flags)
{
    static const char *const op[5] = { "embed", "rmsnorm", "add", "rmsnorm", "argmax" };

    *c = (chain){ 0 };
    c->kernel.flags = flags;
    for (int32_t i = 0; i < 5; i++) {
        c->edge[i] = (tn_edge){ .name = op[i],
                                .cls = TN_EDGE_RESID,
                                .rows = TN_ROWS_TOKENS,
                                .width = 20,
                                .base = -1,
                                .producer = i };
        c->node[i] = (tn_bound_node){ .node = { .path = op[i], .n_in = i > 0, .n_out = 1 },
                                      .op = tn_op_find(op[i]),
                                      .kernel = &c->kernel,
                                      .out = { i } };
        c->node[i].in[0] = i - 1;
        c->node[i].node.in_dtype[0] = c->node[i].node.in_dtype[1] = c->node[i].node.out_dtype[0] =
            TN_F32;
    }
    c->node[2].node.n_in = 2; /* add(rmsnorm(x), x) */
    c->node[2].in[1] = 0;
    c->graph = (tn_graph){ .edge = c->edge, .n_edges = 5, .logits = 3, .argmax = 4 };
    c->binding = (tn_binding){ .graph = &c->graph,
                               .node = c->node,
                               .n_nodes = 5,
                               .n_domains = 1,
                               .max_tokens = 7,
                               .max_rows = 7 };
}

static void an_input_that_dies_is_written_in_place_only_when_the_kernel_allows_it(void **state)
{
    chain c;

    (void)state;
    open_chain(&c, TN_K_IN_PLACE);
    tn_memory_plan plan = make_plan(&c.binding, false);
    assert_int_equal(plan.place[0][2].offset, plan.place[0][0].offset);
    tn_memory_plan_deinit(&plan);
    plan = make_plan(&c.binding, true);
    assert_int_not_equal(plan.place[0][2].offset, plan.place[0][0].offset);
    tn_memory_plan_deinit(&plan);

    open_chain(&c, 0);
    plan = make_plan(&c.binding, false);
    assert_int_not_equal(plan.place[0][2].offset, plan.place[0][0].offset);
    tn_memory_plan_deinit(&plan);

    open_chain(&c, TN_K_IN_PLACE);
    c.node[3].in[0] = 0; /* x is read again after add */
    plan = make_plan(&c.binding, false);
    assert_int_not_equal(plan.place[0][2].offset, plan.place[0][0].offset);
    tn_memory_plan_deinit(&plan);
}

static void sizes_are_rows_of_16_bytes_in_buffers_of_256(void **state)
{
    chain c;

    (void)state;
    open_chain(&c, 0);
    c.edge[0].width = 21;
    tn_memory_plan plan = make_plan(&c.binding, false);
    assert_int_equal(plan.place[0][0].row_stride, 24);
    assert_int_equal(plan.place[0][0].bytes, (24 * 4 * 7 + 255) / 256 * 256);
    tn_memory_plan_deinit(&plan);
}

static void a_crossing_edge_has_a_place_on_both_sides(void **state)
{
    chain c;

    (void)state;
    open_chain(&c, 0);
    c.binding.n_domains = 2;
    c.node[3].domain = 1;
    c.node[3].node.in_dtype[0] = TN_F16;
    c.node[4].domain = 1;
    tn_memory_plan plan = make_plan(&c.binding, false);
    assert_int_equal(plan.place[0][2].dtype, TN_F32);
    assert_int_equal(plan.place[1][2].dtype, TN_F16);
    assert_int_equal(plan.place[1][2].first, 3);
    assert_int_equal(plan.place[0][3].bytes, 0);
    assert_false(overlap(&plan.place[1][2], &plan.place[1][3]));
    tn_memory_plan_deinit(&plan);
}

static void senseless_wiring_is_an_error(void **state)
{
    chain c;
    tn_memory_plan plan;
    tn_error err = { 0 };

    (void)state;
    open_chain(&c, 0);
    c.node[1].in[0] = 3;
    assert_int_equal(tn_memory_plan_make(&c.binding, false, &plan, &err), TN_INTERNAL);
    assert_non_null(strstr(err.text, "before any node made it"));
    open_chain(&c, 0);
    c.node[1].node.in_dtype[0] = TN_F16;
    assert_int_equal(tn_memory_plan_make(&c.binding, false, &plan, &err), TN_INTERNAL);
    assert_null(plan.place[0]);
    open_chain(&c, 0);
    for (uint64_t n = 1; n <= 4; n++) {
        tn_alloc_fail_at(n);
        assert_int_equal(tn_memory_plan_make(&c.binding, false, &plan, &err), TN_NO_MEMORY);
    }
    tn_alloc_fail_at(0);
}

static void the_dump_names_edges_and_totals(void **state)
{
    tn_rig rig;
    tn_rig_options o = TN_RIG_DEFAULT;
    tn_strbuf out = TN_STRBUF(1 << 20);

    (void)state;
    tn_rig_open(&rig, &o);
    tn_memory_plan plan = make_plan(rig.binding, false);
    tn_report_memory_plan(&plan, rig.binding, &out);
    assert_non_null(strstr(tn_strbuf_text(&out), "activations in host: "));
    assert_non_null(strstr(tn_strbuf_text(&out), "  embed\n"));
    tn_strbuf_deinit(&out);
    tn_memory_plan_deinit(&plan);
    tn_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_share_memory_but_never_overwrite_what_is_still_read),
        cmocka_unit_test(keeping_all_edges_gives_each_its_own_bytes),
        cmocka_unit_test(an_input_that_dies_is_written_in_place_only_when_the_kernel_allows_it),
        cmocka_unit_test(sizes_are_rows_of_16_bytes_in_buffers_of_256),
        cmocka_unit_test(a_crossing_edge_has_a_place_on_both_sides),
        cmocka_unit_test(senseless_wiring_is_an_error),
        cmocka_unit_test(the_dump_names_edges_and_totals),
    };

    return cmocka_run_group_tests(tests, tn_temp_dir_setup, tn_temp_dir_teardown);
}
