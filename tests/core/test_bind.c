/* SPDX-License-Identifier: Apache-2.0 */
/* The binder: chains, preference, rules, plans. */
#include "core/base/alloc.h"
#include "tests/core/bind_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h wants the four above first. */
#include <cmocka.h>

/* ---- fusing ---- */

static void chains_fuse_as_wide_as_the_plugin_goes(void **state)
{
    fixture *f = *state;
    LIST(f, "base", HOST_FAKE, ALL);

    assert_bound(f);

    /* embed, six a layer, gather, norm, tied head, argmax */
    assert_int_equal(f->binding->n_nodes, 1 + 6 * LAYERS + 4);
    assert_node(f, "layer.0.qkv", "norm_linear", "base");
    assert_node(f, "layer.0.kv_write", "rope_kv_write", "base");
    assert_node(f, "layer.0.attention", "attention", "base");
    assert_node(f, "layer.1.attn_out", "linear_add", "base");
    assert_node(f, "layer.1.gate_up", "norm_linear_glu", "base");
    assert_node(f, "layer.1.down", "linear_add", "base");
    assert_order(f);
}

/* A blob with the norm's weights in it could not be the table of embed, too. */
static void a_tied_head_stays_apart_from_its_norm_so_that_its_table_is_packed_once(void **state)
{
    fixture *f = *state;
    LIST(f, "base", HOST_FAKE, ALL);

    assert_bound(f);

    const tn_bound_node *head = node_at(f, "head"), *embed = node_at(f, "embed");
    assert_node(f, "head", "linear", "base");
    assert_int_equal(head->n_weights, 1);
    assert_string_equal(head->weight[0].name, embed->weight[0].name);
}

static void a_fused_linear_carries_what_its_members_brought(void **state)
{
    fixture *f = *state;
    f->desc.residual_scale = 0.5f;
    LIST(f, "base", HOST_FAKE, ALL);

    assert_bound(f);

    const tn_bound_node *node = node_at(f, "layer.1.gate_up");
    const tn_linear *linear = node->node.param;
    assert_int_equal(linear->n_parts, 2);
    assert_int_equal(linear->act, TN_ACT_SILU);
    assert_float_equal(linear->eps, 1e-5f, 0);
    assert_float_equal(linear->offset, 1.0f, 0);
    assert_int_equal(node->n_weights, 3);
    assert_string_equal(node->weight[0].name, "blk.1.ffn_gate.weight");
    assert_string_equal(node->weight[1].name, "blk.1.ffn_up.weight");
    assert_string_equal(node->weight[2].name, "blk.1.ffn_norm.weight");
    assert_int_equal(node->node.n_in, 1);
    assert_int_equal(f->graph.edge[node->in[0]].cls, TN_EDGE_RESID);
    assert_int_equal(f->graph.edge[node->out[0]].width, FFN);
    node = node_at(f, "layer.0.attn_out");
    assert_int_equal(node->node.n_in, 2);
    assert_int_equal(f->graph.edge[node->in[1]].cls, TN_EDGE_RESID);
    assert_int_equal(f->graph.edge[node->out[0]].cls, TN_EDGE_RESID);
    linear = node->node.param;
    assert_float_equal(linear->out_scale, 0.5f, 0);
    assert_string_equal(node->plan.layout, "fake.1");
}

static void no_fusion_binds_every_primitive(void **state)
{
    fixture *f = *state;
    LIST(f, "base", HOST_FAKE, ALL);
    f->args.no_fusion = true;

    assert_bound(f);

    assert_int_equal(f->binding->n_nodes, f->graph.n_nodes);
    assert_node(f, "layer.0.rope", "rope", "base");
    assert_node(f, "layer.0.glu", "glu", "base");
    assert_order(f);
}

static void an_overlay_that_has_linear_only_is_not_robbed_by_fused_ops(void **state)
{
    fixture *f = *state;
    LIST(f, "overlay", HOST_FAKE, { "ops", "linear" });
    LIST(f, "base", HOST_FAKE, ALL);

    assert_bound(f);

    assert_node(f, "layer.0.qkv", "linear", "overlay");
    assert_node(f, "layer.0.attn_norm", "rmsnorm", "base");
    assert_node(f, "layer.0.gate_up", "linear", "overlay");
    assert_node(f, "layer.0.glu", "glu", "base");
    assert_node(f, "layer.0.attn_out", "linear", "overlay");
    assert_node(f, "layer.0.attn_add", "add", "base");
    assert_order(f);
}

static void an_overlay_for_one_weight_format_takes_its_linears_in_its_widest_form(void **state)
{
    fixture *f = *state;
    f->shapes = (shapes){ "blk.0.ffn_down.weight", "u4b.g32" };
    LIST(f, "w4", HOST_FAKE, { "wfmt", "u4b.g32" }, { "ops", "linear,linear_add" });
    LIST(f, "base", HOST_FAKE, ALL);

    assert_bound(f);

    assert_node(f, "layer.0.down", "linear_add", "w4");
    assert_node(f, "layer.1.down", "linear_add", "base");
}

static void parts_of_unlike_format_are_single_nodes_behind_one_norm(void **state)
{
    fixture *f = *state;
    f->shapes = (shapes){ "blk.0.attn_v.weight", "q8.g32" };
    LIST(f, "base", HOST_FAKE, ALL);

    assert_bound(f);

    /* The norm has three readers now and stays alone. */
    assert_node(f, "layer.0.attn_norm", "rmsnorm", "base");
    assert_node(f, "layer.0.q", "linear", "base");
    assert_node(f, "layer.0.k", "linear", "base");
    assert_node(f, "layer.0.v", "linear", "base");
    assert_node(f, "layer.0.kv_write", "rope_kv_write", "base");
    assert_node(f, "layer.1.qkv", "norm_linear", "base");
    assert_order(f);
}

static void glu_of_two_linears_stays_a_primitive(void **state)
{
    fixture *f = *state;
    f->shapes = (shapes){ "blk.0.ffn_up.weight", "q8.g32" };
    LIST(f, "base", HOST_FAKE, ALL);

    assert_bound(f);

    assert_node(f, "layer.0.gate", "linear", "base");
    assert_node(f, "layer.0.up", "linear", "base");
    assert_node(f, "layer.0.glu", "glu", "base");
}

static void qk_norm_joins_the_kv_write(void **state)
{
    fixture *f = *state;
    f->desc.qk_norm = 1;
    LIST(f, "base", HOST_FAKE, ALL);

    assert_bound(f);

    const tn_bound_node *node = node_at(f, "layer.0.kv_write");
    assert_string_equal(node->node.op, "rope_kv_write");
    assert_null(node_at(f, "layer.0.qk_norm"));
    assert_int_equal(((const tn_rope *)node->node.param)->qk_norm, 1);
    assert_int_equal(((const tn_attention *)node->node.param2)->kv_heads, KV_HEADS);
    assert_int_equal(node->n_weights, 2);
    assert_string_equal(node->weight[1].name, "blk.0.attn_k_norm.weight");
    assert_int_equal(node->node.n_in, 3);
    assert_int_equal(f->graph.edge[node->in[2]].heads, KV_HEADS);
    assert_order(f);
}

/* ---- who gets what ---- */

static void the_error_of_an_unclaimed_node_names_every_plugin_and_its_reason(void **state)
{
    fixture *f = *state;
    LIST(f, "first", HOST_FAKE, { "ops", "embed" });
    LIST(f, "second", HOST_FAKE, { "refuse", "layer.1.down" });

    assert_refused(f, TN_UNSUPPORTED, "no plugin claims node layer.1.down (linear f16)");
    assert_non_null(strstr(f->err.text, "first: linear is not among its ops"));
    assert_non_null(strstr(f->err.text, "second: it refuses layer.1.down"));
}

static void rules_give_nodes_to_the_plugin_they_name(void **state)
{
    fixture *f = *state;
    const tn_bind_rule rules[] = { { "layer.0.ffn_norm", "second" }, { "layer.1.*", "second" } };
    LIST(f, "first", HOST_FAKE, ALL);
    LIST(f, "second", HOST_FAKE, ALL);
    f->args.rule = rules;
    f->args.n_rules = 2;

    assert_bound(f);

    assert_node(f, "layer.0.qkv", "norm_linear", "first");
    /* A rule for the norm alone keeps it out of the other plugin's fused op. */
    assert_node(f, "layer.0.ffn_norm", "rmsnorm", "second");
    assert_node(f, "layer.0.gate_up", "linear_glu", "first");
    assert_node(f, "layer.1.qkv", "norm_linear", "second");
    assert_node(f, "layer.1.attention", "attention", "second");
    assert_node(f, "head", "linear", "first");
}

static void a_rule_whose_plugin_refuses_is_an_error_with_its_reason(void **state)
{
    fixture *f = *state;
    const tn_bind_rule rule = { "layer.0.*", "second" };
    LIST(f, "first", HOST_FAKE, ALL);
    LIST(f, "second", HOST_FAKE, { "ops", "linear,norm_linear" });
    f->args.rule = &rule;
    f->args.n_rules = 1;

    assert_refused(f, TN_UNSUPPORTED,
                   "under bind rule \"layer.0.*\": second: kv_write is not among its ops");
}

static void senseless_rules_and_formats_are_refused(void **state)
{
    fixture *f = *state;
    tn_bind_rule rule = { "layer.0.*", "nobody" };
    LIST(f, "base", HOST_FAKE, ALL);
    f->args.rule = &rule;
    f->args.n_rules = 1;

    assert_refused(f, TN_INVALID, "names the plugin nobody");
    rule = (tn_bind_rule){ "layer.7.*", "base" };
    assert_refused(f, TN_INVALID, "matches no node");
    f->args.n_rules = 0;
    f->args.kv_format = "f8";
    assert_refused(f, TN_INVALID, "KV format f8 is unknown");
    f->args.kv_format = "i8-static";
    assert_refused(f, TN_INVALID, "kv.params");
    f->args.kv_format = "f16";
    f->args.block_tokens = 24;
    assert_refused(f, TN_INVALID, "16, 32, 64 and 128");
}

static void a_plan_that_fails_or_makes_no_sense_is_an_error(void **state)
{
    fixture *f = *state;
    LIST(f, "base", HOST_FAKE, { "plan", "fail" });
    assert_refused(f, TN_INTERNAL, "claimed the node, then: the plan failed");

    tn_plugin_set_close(f->set);
    f->set = NULL;
    f->option[0][0].value = "huge";
    assert_refused(f, TN_INVALID, "2^42");

    tn_plugin_set_close(f->set);
    f->set = NULL;
    f->option[0][0].value = "nolayout";
    assert_refused(f, TN_INVALID, "without a layout id");
}

static void every_failed_allocation_is_reported(void **state)
{
    fixture *f = *state;
    LIST(f, "base", HOST_FAKE, ALL);
    assert_bound(f);
    tn_status status = TN_NO_MEMORY;
    int n = 0;

    while (status == TN_NO_MEMORY && n < 10000) {
        tn_alloc_fail_at((uint64_t)++n);
        status = bind_all(f);
        tn_alloc_fail_at(0);
    }

    assert_int_equal(status, TN_OK);
    assert_in_range(n, 8, 9999);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_fixture, free_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(chains_fuse_as_wide_as_the_plugin_goes),
        TEST(a_tied_head_stays_apart_from_its_norm_so_that_its_table_is_packed_once),
        TEST(a_fused_linear_carries_what_its_members_brought),
        TEST(no_fusion_binds_every_primitive),
        TEST(an_overlay_that_has_linear_only_is_not_robbed_by_fused_ops),
        TEST(an_overlay_for_one_weight_format_takes_its_linears_in_its_widest_form),
        TEST(parts_of_unlike_format_are_single_nodes_behind_one_norm),
        TEST(glu_of_two_linears_stays_a_primitive),
        TEST(qk_norm_joins_the_kv_write),
        TEST(the_error_of_an_unclaimed_node_names_every_plugin_and_its_reason),
        TEST(rules_give_nodes_to_the_plugin_they_name),
        TEST(a_rule_whose_plugin_refuses_is_an_error_with_its_reason),
        TEST(senseless_rules_and_formats_are_refused),
        TEST(a_plan_that_fails_or_makes_no_sense_is_an_error),
        TEST(every_failed_allocation_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
