/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The binder on a two-layer Llama graph, with plugins that claim what their options say
 * (tests/plugins/fake), with cpu-ref's kernels on a simulated device, and with providers that are
 * not there.
 */
#include "core/base/alloc.h"
#include "core/base/log.h"
#include "core/bind/bind.h"
#include "model/arch/arch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h wants the four above first. */
#include <cmocka.h>

enum { DIM = 64, HEADS = 4, KV_HEADS = 2, HEAD_DIM = 16, FFN = 96, VOCAB = 40, LAYERS = 2 };

/* ---- a graph: shapes only, the weights are never read ---- */

typedef struct shapes {
    const char *odd_tensor, *odd_wfmt; /* one tensor of another format than f16 */
} shapes;

static void set_shape(tn_weight_info *info, int64_t rows, int64_t cols)
{
    info->rows = rows;
    info->cols = cols;
}

static tn_status find(void *self, const char *name, tn_weight_info *info)
{
    const shapes *s = self;

    *info = (tn_weight_info){ .name = name, .wfmt = "f16", .values = 1 };
    if (strstr(name, "bias") || strcmp(name, "output.weight") == 0)
        return TN_UNSUPPORTED;
    if (strstr(name, "attn_q_norm") || strstr(name, "attn_k_norm"))
        set_shape(info, 1, HEAD_DIM);
    else if (strstr(name, "norm"))
        set_shape(info, 1, DIM);
    else if (strstr(name, "token_embd"))
        set_shape(info, VOCAB, DIM);
    else if (strstr(name, "attn_q.") || strstr(name, "attn_output"))
        set_shape(info, DIM, DIM);
    else if (strstr(name, "attn_"))
        set_shape(info, (int64_t)KV_HEADS * HEAD_DIM, DIM);
    else if (strstr(name, "ffn_down"))
        set_shape(info, DIM, FFN);
    else
        set_shape(info, FFN, DIM);
    if (s->odd_tensor && strcmp(name, s->odd_tensor) == 0) {
        info->wfmt = s->odd_wfmt;
        info->values = 0;
        info->group = 32;
    }
    return TN_OK;
}

typedef struct fixture {
    shapes shapes;
    tn_weight_source source;
    tn_model_desc desc;
    tn_graph graph;
    tn_plugin_spec spec[3];
    tn_option option[3][3];
    tn_plugin_set_args set_args;
    tn_plugin_set *set;
    tn_bind_args args;
    tn_binding *binding;
    tn_error err;
    char log[2048];
} fixture;

static void keep_log(void *ctx, int32_t level, const char *module, const char *text)
{
    fixture *f = ctx;
    const size_t n = strlen(f->log);

    (void)level;
    snprintf(f->log + n, sizeof(f->log) - n, "%s: %s\n", module, text);
}

static int make_fixture(void **state)
{
    fixture *f = tn_alloc_array(1, sizeof(*f));

    assert_non_null(f);
    f->desc = (tn_model_desc){ .arch = "llama",
                               .name = "test",
                               .dim = DIM,
                               .n_layers = LAYERS,
                               .heads = HEADS,
                               .kv_heads = KV_HEADS,
                               .head_dim = HEAD_DIM,
                               .ffn = FFN,
                               .vocab = VOCAB,
                               .max_length = 128,
                               .act = TN_ACT_SILU,
                               .norm_eps = 1e-5f,
                               .norm_offset = 1.0f,
                               .rope = { .pairing = TN_ROPE_HALVES,
                                         .rotary_dim = HEAD_DIM,
                                         .base = 10000.0f,
                                         .factor = 1.0f } };
    f->source = (tn_weight_source){ .self = &f->shapes, .find = find };
    f->set_args =
        (tn_plugin_set_args){ .spec = f->spec, .plugin_dir = PLUGIN_DIR, .device = "cpu" };
    f->args = (tn_bind_args){ .kv_format = "f16",
                              .fallback = "none",
                              .max_tokens = 64,
                              .max_seqs = 4,
                              .max_ctx = 128,
                              .block_tokens = 16,
                              .max_rows = 4 };
    tn_log_configure(TN_LOG_WARNING, keep_log, f);
    *state = f;
    return 0;
}

static int free_fixture(void **state)
{
    fixture *f = *state;

    tn_binding_destroy(f->binding);
    tn_plugin_set_close(f->set);
    tn_graph_deinit(&f->graph);
    tn_log_configure(TN_LOG_WARNING, NULL, NULL);
    tn_free(f);
    return 0;
}

/* List the fake plugin under a name, on the host or on simdev, with up to three options. */
static void list_fake(fixture *f, const char *name, const char *file, const tn_option *options,
                      int32_t n_options)
{
    const int32_t i = f->set_args.n_specs++;

    assert_true(i < 3 && n_options <= 3);
    for (int32_t j = 0; j < n_options; j++)
        f->option[i][j] = options[j];
    f->spec[i] = (tn_plugin_spec){
        .name = name, .path = file, .option = f->option[i], .n_options = n_options
    };
}

#define HOST_FAKE   PLUGIN_DIR "/fake.so"
#define DEVICE_FAKE PLUGIN_DIR "/fake-simdev.so"
#define LIST(f, name, file, ...)                                                                   \
    list_fake(f, name, file, (const tn_option[]){ __VA_ARGS__ },                                   \
              (int32_t)(sizeof((const tn_option[]){ __VA_ARGS__ }) / sizeof(tn_option)))
#define ALL                                                                                        \
    {                                                                                              \
        "", ""                                                                                     \
    } /* an option nobody reads */

static tn_status bind_all(fixture *f)
{
    if (!f->graph.node)
        assert_int_equal(tn_arch_build(&f->desc, &f->source, 0, &f->graph, &f->err), TN_OK);
    if (!f->set)
        assert_int_equal(tn_plugin_set_open(&f->set_args, &f->set, &f->err), TN_OK);
    tn_binding_destroy(f->binding);
    f->args.graph = &f->graph;
    f->args.plugins = f->set;
    return tn_bind(&f->args, &f->binding, &f->err);
}

static void assert_bound(fixture *f)
{
    if (bind_all(f) != TN_OK)
        fail_msg("%s", f->err.text);
}

static void assert_refused(fixture *f, tn_status status, const char *text)
{
    const tn_status got = bind_all(f);

    if (got != status || !strstr(f->err.text, text))
        fail_msg("status %d, \"%s\"; wanted %d, \"%s\"", (int)got, f->err.text, (int)status, text);
    assert_null(f->binding);
}

static const tn_bound_node *node_at(const fixture *f, const char *path)
{
    for (int32_t i = 0; i < f->binding->n_nodes; i++)
        if (strcmp(f->binding->node[i].node.path, path) == 0)
            return &f->binding->node[i];
    return NULL;
}

static void assert_node(const fixture *f, const char *path, const char *op, const char *plugin)
{
    const tn_bound_node *node = node_at(f, path);

    if (!node)
        fail_msg("no node %s", path);
    assert_string_equal(node->node.op, op);
    assert_string_equal(node->op->name, op);
    assert_string_equal(node->plugin->name, plugin);
    assert_string_equal(node->kernel->op, op);
}

/* Every input is produced before it is read, and every edge that a node touches has a dtype. */
static void assert_order(const fixture *f)
{
    bool made[512] = { false };

    assert_true(f->graph.n_edges < 512);
    for (int32_t i = 0; i < f->binding->n_nodes; i++) {
        const tn_bound_node *node = &f->binding->node[i];
        for (int32_t j = 0; j < node->node.n_in; j++) {
            const tn_edge *edge = &f->graph.edge[node->in[j]];
            assert_true(made[edge->base >= 0 ? edge->base : node->in[j]]);
            assert_int_not_equal(f->binding->edge_dtype[node->in[j]], 0);
        }
        for (int32_t j = 0; j < node->node.n_out; j++)
            made[node->out[j]] = true;
    }
    assert_true(made[f->graph.logits] && made[f->graph.argmax]);
}

/* ---- fusing ---- */

static void chains_fuse_as_wide_as_the_plugin_goes(void **state)
{
    fixture *f = *state;
    LIST(f, "base", HOST_FAKE, ALL);

    assert_bound(f);

    /* embed, six a layer, gather, norm_linear of the head, argmax */
    assert_int_equal(f->binding->n_nodes, 1 + 6 * LAYERS + 3);
    assert_node(f, "layer.0.qkv", "norm_linear", "base");
    assert_node(f, "layer.0.kv_write", "rope_kv_write", "base");
    assert_node(f, "layer.0.attention", "attention", "base");
    assert_node(f, "layer.1.attn_out", "linear_add", "base");
    assert_node(f, "layer.1.gate_up", "norm_linear_glu", "base");
    assert_node(f, "layer.1.down", "linear_add", "base");
    assert_node(f, "head", "norm_linear", "base");
    assert_order(f);
}

static void a_fused_linear_carries_what_its_members_brought(void **state)
{
    fixture *f = *state;
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
    assert_node(f, "head", "norm_linear", "first");
}

static void a_rule_whose_plugin_refuses_is_an_error_with_its_reason(void **state)
{
    fixture *f = *state;
    const tn_bind_rule rule = { "layer.0.*", "second" };
    LIST(f, "first", HOST_FAKE, ALL);
    LIST(f, "second", HOST_FAKE, { "ops", "linear,norm_linear" });
    f->args.rule = &rule;
    f->args.n_rules = 1;

    assert_refused(f, TN_UNSUPPORTED, "bind rule \"layer.0.*\" gives it to second, which refuses");
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
    assert_refused(f, TN_UNSUPPORTED,
                   "no plugin claims both layer.0.kv_write and layer.0.attention");
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
    assert_non_null(strstr(f->log, "1 of 16 nodes run on the host"));
    tn_binding_explain(&f->args, f->binding, &text);
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
    tn_binding_explain(&f->args, f->binding, &text);
    assert_non_null(strstr(tn_strbuf_text(&text), "simdev.norm_linear_glu"));
    assert_null(strstr(tn_strbuf_text(&text), "crossings"));
    assert_false(text.failed);
    tn_strbuf_deinit(&text);
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
        TEST(every_failed_allocation_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
