/* SPDX-License-Identifier: Apache-2.0 */
/* The binder: KV pools, and devices that refuse, fall back or are not there. */
#include "runtime/reports.h"
#include "tests/core/bind_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h wants the four above first. */
#include <cmocka.h>

/* ---- the KV pool ---- */

static void catalogue_block_bytes_are_those_of_the_design(void **state)
{
    (void)state;
    /* heads * tokens * (K and V rows, and for i8 two f16 pairs) */
    assert_int_equal(tn_kv_block_bytes("f32", 2, 16, 32), 2 * 32 * 2 * 16 * 4);
    assert_int_equal(tn_kv_block_bytes("f16", 2, 16, 32), 2 * 32 * 2 * 16 * 2);
    assert_int_equal(tn_kv_block_bytes("i8", 2, 16, 32), 2 * 32 * (2 * 16 + 8));
    assert_int_equal(tn_kv_block_bytes("i8-static", 2, 16, 32), 2 * 32 * 2 * 16);
    assert_int_equal(tn_kv_block_bytes("f8", 2, 16, 32), 0);
    assert_int_equal(tn_kv_block_bytes("f32", INT32_MAX, INT32_MAX, INT32_MAX), 0);
    assert_int_equal(tn_kv_block_bytes("f32", -1, 16, 32), 0);
}

static void writer_and_attention_go_to_one_plugin(void **state)
{
    fixture *f = *state;
    LIST(f, "writer", HOST_FAKE, { "ops", "rope_kv_write,kv_write,rope" });
    LIST(f, "reader", HOST_FAKE, { "ops", "attention" });
    LIST(f, "base", HOST_FAKE, ALL);

    assert_bound(f);

    assert_node(f, "layer.0.kv_write", "rope_kv_write", "base");
    assert_node(f, "layer.0.attention", "attention", "base");
    assert_string_equal(f->binding->kv[1].plugin->name, "base");
    assert_string_equal(f->binding->kv[1].format->name, "f16");
    assert_int_equal(f->binding->kv[1].block_bytes, 2 * 16 * 2 * HEAD_DIM * 2);
    assert_int_equal(f->binding->kv[0].domain, 0);
}

static void a_kv_overlay_without_the_fused_op_gets_the_primitive_writer(void **state)
{
    fixture *f = *state;
    LIST(f, "kv", HOST_FAKE, { "ops", "kv_write,attention" });
    LIST(f, "base", HOST_FAKE, ALL);

    assert_bound(f);

    assert_node(f, "layer.0.kv_write", "kv_write", "kv");
    assert_node(f, "layer.0.attention", "attention", "kv");
    assert_node(f, "layer.0.rope", "rope", "base");
    assert_order(f);
}

static void rules_may_split_a_catalogue_format_but_not_a_private_one(void **state)
{
    fixture *f = *state;
    const tn_bind_rule rule = { "layer.0.attention", "second" };
    LIST(f, "first", HOST_FAKE, ALL);
    LIST(f, "second", HOST_FAKE, { "ops", "attention" });
    f->args.rule = &rule;
    f->args.n_rules = 1;

    assert_bound(f);
    assert_node(f, "layer.0.kv_write", "rope_kv_write", "first");
    assert_node(f, "layer.0.attention", "attention", "second");
    assert_string_equal(f->binding->kv[0].plugin->name, "second");

    f->args.kv_format = "fake/kv";
    assert_refused(
        f, TN_UNSUPPORTED,
        "no plugin claims node layer.0.kv_write (kv_write) together with layer.0.attention");
}

static void a_private_kv_format_binds_in_its_plugin(void **state)
{
    fixture *f = *state;
    LIST(f, "base", HOST_FAKE, { "kv_extra", "40" });
    f->args.kv_format = "fake/kv";

    assert_bound(f);

    assert_string_equal(node_at(f, "layer.0.attention")->node.kvfmt, "fake/kv");
    /* 2 heads * 16 tokens * 64 bytes, and 40, rounded up to the stride's multiple of 256 */
    assert_int_equal(f->binding->kv[0].block_bytes, 2304);
}

static void a_plugin_that_counts_other_block_bytes_than_the_catalogue_is_an_error(void **state)
{
    fixture *f = *state;
    LIST(f, "base", HOST_FAKE, { "kv_extra", "8" });

    assert_refused(f, TN_INVALID, "2056 bytes, the catalogue 2048");
}

static void a_kv_format_that_nobody_offers_names_the_plugins(void **state)
{
    fixture *f = *state;
    LIST(f, "base", HOST_FAKE, ALL);
    f->args.kv_format = "i8";

    assert_refused(f, TN_UNSUPPORTED, "base: it has no KV format i8");
}

static void calibrated_kv_is_a_parameter_and_a_weight_part(void **state)
{
    fixture *f = *state;
    float layer[LAYERS][4] = { { 0.5f, 0.0f, 0.25f, 1.0f }, { 2.0f, 0.0f, 3.0f, 4.0f } };
    const float *params[LAYERS] = { layer[0], layer[1] };
    LIST(f, "base", HOST_FAKE, ALL);
    f->args.kv_format = "i8-static";
    f->args.kv_static = params;
    f->args.n_kv_static = 1;

    assert_bound(f);
    const tn_bound_node *writer = node_at(f, "layer.1.kv_write");
    const tn_bound_node *reader = node_at(f, "layer.1.attention");
    assert_string_equal(writer->node.op, "rope_kv_write");
    assert_int_equal(writer->n_weights, 3);
    assert_null(writer->weight[0].name);
    assert_string_equal(writer->weight[2].name, TN_KV_STATIC_WEIGHT);
    assert_string_equal(reader->weight[0].name, TN_KV_STATIC_WEIGHT);
    layer[1][3] = 9.0f; /* the binding has its own copy */
    const tn_attention *attention = writer->node.param2;
    assert_int_equal(attention->n_kv_static, 1);
    assert_float_equal(attention->kv_static[3], 4.0f, 0);
    assert_float_equal(((const tn_attention *)reader->node.param)->kv_static[0], 2.0f, 0);

    layer[1][0] = 0.0f;
    assert_refused(f, TN_INVALID, "the KV parameters of layer 1 hold 0");
    f->args.n_kv_static = 3;
    assert_refused(f, TN_INVALID, "3 pairs a layer; 1 or 2");
}

/* ---- devices ---- */

static void a_node_the_device_refuses_runs_on_the_fallback_and_its_crossings_are_told(void **state)
{
    fixture *f = *state;
    tn_strbuf text = TN_STRBUF(1 << 16);
    LIST(f, "gpu", DEVICE_FAKE, { "refuse", "layer.1.down" });
    LIST(f, "host", HOST_FAKE, ALL);
    f->set_args.device = "simdev";
    f->set_args.fallback = f->args.fallback = "host";
    f->args.act_dtype = TN_F16;

    assert_bound(f);

    assert_int_equal(f->binding->n_domains, 2);
    assert_string_equal(f->binding->device[0].domain->name, "simdev");
    assert_true(tn_device_is_host(&f->binding->device[1]));
    assert_node(f, "layer.1.down", "linear_add", "host");
    const tn_bound_node *node = node_at(f, "layer.1.down");
    assert_int_equal(node->domain, 1);
    /* The host sees its own dtypes; the edge was produced as f16 on the device. */
    assert_int_equal(node->node.in_dtype[0], TN_F32);
    assert_int_equal(f->binding->edge_dtype[node->in[0]], TN_F16);
    assert_int_equal(tn_binding_edge_dtype(f->binding, node->in[0], 0), TN_F16);
    assert_int_equal(tn_binding_edge_dtype(f->binding, node->in[0], 1), TN_F32);
    assert_int_equal(node_at(f, "layer.0.down")->domain, 0);
    assert_int_equal(node_at(f, "layer.0.down")->node.in_dtype[0], TN_F16);
    assert_non_null(strstr(f->log, "1 of 17 nodes run on the host"));
    tn_report_binding(&f->args, f->binding, &text);
    assert_non_null(strstr(tn_strbuf_text(&text), "gpu: it refuses layer.1.down"));
    /* glu's 96 halves and the residual stream's 64 floats go over, 64 floats come back */
    assert_non_null(strstr(tn_strbuf_text(&text), "for layer.1.down, 192 bytes a token"));
    assert_non_null(strstr(tn_strbuf_text(&text), "3 crossings, 704 bytes a token"));
    tn_strbuf_deinit(&text);
}

static void without_fallback_a_host_plugin_in_the_list_takes_nothing_of_a_device(void **state)
{
    fixture *f = *state;
    LIST(f, "gpu", DEVICE_FAKE, { "refuse", "layer.1.down" });
    LIST(f, "host", HOST_FAKE, ALL);
    f->set_args.device = "simdev";

    assert_refused(f, TN_UNSUPPORTED, "host: it runs in host");
}

static void a_rule_may_move_a_node_to_the_host(void **state)
{
    fixture *f = *state;
    const tn_bind_rule rule = { "layer.0.gate_up", "host" };
    LIST(f, "gpu", DEVICE_FAKE, ALL);
    LIST(f, "host", HOST_FAKE, ALL);
    f->set_args.device = "simdev";
    f->args.rule = &rule;
    f->args.n_rules = 1;

    assert_bound(f);

    /* Norm and glu have no rule and no fallback, so they stay on the device. */
    assert_node(f, "layer.0.gate_up", "linear", "host");
    assert_node(f, "layer.0.glu", "glu", "gpu");
    assert_node(f, "layer.1.gate_up", "norm_linear_glu", "gpu");
}

static void writer_and_reader_must_share_a_domain(void **state)
{
    fixture *f = *state;
    const tn_bind_rule rule = { "layer.0.attention", "host" };
    LIST(f, "gpu", DEVICE_FAKE, ALL);
    LIST(f, "host", HOST_FAKE, ALL);
    f->set_args.device = "simdev";
    f->args.rule = &rule;
    f->args.n_rules = 1;

    assert_refused(f, TN_INVALID, "different domains");
}

static void an_absent_device_is_an_error_or_runs_on_the_fallback_with_one_warning(void **state)
{
    fixture *f = *state;
    const tn_bind_rule rule = { "layer.0.*", "gpu" };
    LIST(f, "gpu", PLUGIN_DIR "/broken-load/needs_gone.so", ALL);
    LIST(f, "gone", PLUGIN_DIR "/broken-load/gone.so", ALL);
    LIST(f, "host", HOST_FAKE, ALL);
    f->set_args.device = "gone";
    f->args.rule = &rule;
    f->args.n_rules = 1;

    assert_refused(f, TN_UNAVAILABLE, "device gone is not there: the device has left the building");
    f->args.fallback = "host";
    f->log[0] = '\0';
    assert_bound(f);

    assert_int_equal(f->binding->n_domains, 1);
    assert_true(tn_device_is_host(&f->binding->device[0]));
    assert_node(f, "layer.0.qkv", "norm_linear", "host");
    assert_string_equal(f->log,
                        "bind: device gone is not there (the device has left the building): "
                        "everything runs on host\n");
}

static void cpu_refs_kernels_bind_on_the_simulated_device(void **state)
{
    fixture *f = *state;
    tn_strbuf text = TN_STRBUF(1 << 16);
    f->spec[0] = (tn_plugin_spec){ .name = "simdev" };
    f->set_args.n_specs = 1;
    f->set_args.device = "simdev";

    assert_bound(f);

    assert_node(f, "layer.0.gate_up", "norm_linear_glu", "simdev");
    assert_true(node_at(f, "layer.0.gate_up")->plan.weight_bytes > 0);
    tn_report_binding(&f->args, f->binding, &text);
    assert_non_null(strstr(tn_strbuf_text(&text), "simdev.norm_linear_glu"));
    assert_null(strstr(tn_strbuf_text(&text), "crossings"));
    assert_false(text.failed);
    tn_strbuf_deinit(&text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_fixture, free_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(catalogue_block_bytes_are_those_of_the_design),
        TEST(writer_and_attention_go_to_one_plugin),
        TEST(a_kv_overlay_without_the_fused_op_gets_the_primitive_writer),
        TEST(rules_may_split_a_catalogue_format_but_not_a_private_one),
        TEST(a_private_kv_format_binds_in_its_plugin),
        TEST(a_plugin_that_counts_other_block_bytes_than_the_catalogue_is_an_error),
        TEST(a_kv_format_that_nobody_offers_names_the_plugins),
        TEST(calibrated_kv_is_a_parameter_and_a_weight_part),
        TEST(a_node_the_device_refuses_runs_on_the_fallback_and_its_crossings_are_told),
        TEST(without_fallback_a_host_plugin_in_the_list_takes_nothing_of_a_device),
        TEST(a_rule_may_move_a_node_to_the_host),
        TEST(writer_and_reader_must_share_a_domain),
        TEST(an_absent_device_is_an_error_or_runs_on_the_fallback_with_one_warning),
        TEST(cpu_refs_kernels_bind_on_the_simulated_device),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
