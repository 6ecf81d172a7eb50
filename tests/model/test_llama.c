/* SPDX-License-Identifier: Apache-2.0 */
/* The graph of the Llama family: what is built from a description, and what is refused. The weights
 * here have shapes but no values. */
#include "model/arch/arch.h"
#include "runtime/reports.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* A source that answers by name; `change` alters one tensor. */
typedef struct fake {
    const char *missing, *biased; /* a tensor that is not there; layers' role that has biases */
    const char *other_format;     /* a tensor that is q8.g32 where the others are u4b.g32 */
    const char *wrong_rows;       /* a tensor with one row too many */
    bool tied;
} fake;

static const tn_model_desc desc = {
    .arch = "llama",
    .name = "tiny",
    .dim = 64,
    .n_layers = 2,
    .heads = 4,
    .kv_heads = 2,
    .head_dim = 16,
    .ffn = 96,
    .vocab = 100,
    .max_length = 128,
    .act = TN_ACT_SILU,
    .norm_eps = 1e-5f,
    .rope = { .pairing = TN_ROPE_INTERLEAVED, .rotary_dim = 16, .base = 10000, .factor = 1 }
};

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static tn_status find(void *self, const char *name, tn_weight_info *info)
{
    static const struct {
        const char *end;
        int32_t rows, cols;
    } shapes[] = { { "attn_q_norm.weight", 1, 16 },  { "attn_k_norm.weight", 1, 16 },
                   { "token_embd.weight", 100, 64 }, { "output.weight", 100, 64 },
                   { "attn_q.weight", 64, 64 },      { "attn_k.weight", 32, 64 },
                   { "attn_v.weight", 32, 64 },      { "attn_output.weight", 64, 64 },
                   { "ffn_gate.weight", 96, 64 },    { "ffn_up.weight", 96, 64 },
                   { "ffn_down.weight", 64, 96 },    { "norm.weight", 1, 64 },
                   { "attn_q.bias", 1, 64 },         { "attn_k.bias", 1, 32 } };
    const fake *f = self;
    if ((f->missing && strcmp(f->missing, name) == 0) ||
        (f->tied && strcmp(name, "output.weight") == 0))
        return TN_UNSUPPORTED;
    if (ends_with(name, ".bias") && !(f->biased && strstr(name, f->biased)))
        return TN_UNSUPPORTED;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        /* "output.weight" itself, not the end of "attn_output.weight" */
        const bool whole = strcmp(shapes[i].end, "output.weight") == 0;
        if (whole ? strcmp(name, shapes[i].end) != 0 : !ends_with(name, shapes[i].end))
            continue;
        const bool vector = shapes[i].rows == 1,
                   q8 = f->other_format && strcmp(f->other_format, name) == 0;
        *info = (tn_weight_info){ .name = name,
                                  .wfmt = vector ? "f32"
                                          : q8   ? "q8.g32"
                                                 : "u4b.g32",
                                  .group = vector ? 0 : 32,
                                  .values = vector,
                                  .rows = shapes[i].rows,
                                  .cols = shapes[i].cols };
        info->rows += f->wrong_rows && strcmp(f->wrong_rows, name) == 0;
        return TN_OK;
    }
    return TN_UNSUPPORTED;
}

static tn_status build(const tn_model_desc *d, fake *f, int32_t max_layers, tn_graph *g,
                       tn_error *err)
{
    const tn_weight_source source = { .self = f, .find = find };
    return tn_arch_build(d, &source, max_layers, g, err);
}

static const tn_graph_node *node_of(const tn_graph *g, const char *path)
{
    for (int32_t i = 0; i < g->n_nodes; i++)
        if (strcmp(g->node[i].path, path) == 0)
            return &g->node[i];
    return NULL;
}

static void a_layer_has_the_nodes_of_the_design_in_order(void **state)
{
    static const char *const expected[] = { "embed",
                                            "layer.0.attn_norm",
                                            "layer.0.qkv",
                                            "layer.0.rope",
                                            "layer.0.kv_write",
                                            "layer.0.attention",
                                            "layer.0.attn_out",
                                            "layer.0.attn_add",
                                            "layer.0.ffn_norm",
                                            "layer.0.gate_up",
                                            "layer.0.glu",
                                            "layer.0.down",
                                            "layer.0.ffn_add" };
    fake f = { 0 };
    tn_graph g;
    (void)state;
    assert_int_equal(build(&desc, &f, 0, &g, NULL), TN_OK);
    assert_int_equal(g.n_nodes, 1 + 2 * 12 + 4);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        assert_string_equal(g.node[i].path, expected[i]);
    assert_string_equal(g.node[g.n_nodes - 4].path, "gather");
    assert_string_equal(g.node[g.n_nodes - 1].path, "argmax");
    assert_int_equal(g.edge[g.logits].cls, TN_EDGE_F32);
    assert_int_equal(g.edge[g.logits].rows, TN_ROWS_WANTED);
    assert_int_equal(g.edge[g.logits].width, 100);
    tn_graph_deinit(&g);
}

static void q_k_and_v_are_views_of_one_linear(void **state)
{
    fake f = { 0 };
    tn_graph g;
    (void)state;
    assert_int_equal(build(&desc, &f, 1, &g, NULL), TN_OK);
    const tn_graph_node *qkv = node_of(&g, "layer.0.qkv"), *rope = node_of(&g, "layer.0.rope"),
                        *write = node_of(&g, "layer.0.kv_write");
    assert_int_equal(qkv->n_weights, 3);
    assert_string_equal(qkv->weight[1].name, "blk.0.attn_k.weight");
    assert_int_equal(g.edge[qkv->out[0]].width, 128);
    const tn_edge *q = &g.edge[rope->in[0]], *k = &g.edge[rope->in[1]], *v = &g.edge[write->in[1]];
    assert_int_equal(q->base, qkv->out[0]);
    assert_int_equal(k->base, qkv->out[0]);
    assert_int_equal(v->base, qkv->out[0]);
    assert_int_equal(q->offset, 0);
    assert_int_equal(k->offset, 64);
    assert_int_equal(v->offset, 96);
    assert_int_equal(q->heads, 4);
    assert_int_equal(v->heads, 2);
    tn_graph_deinit(&g);
}

static void parts_of_unlike_format_become_single_nodes(void **state)
{
    fake f = { .other_format = "blk.0.attn_v.weight" };
    tn_graph g;
    (void)state;
    assert_int_equal(build(&desc, &f, 0, &g, NULL), TN_OK);
    assert_null(node_of(&g, "layer.0.qkv"));
    assert_non_null(node_of(&g, "layer.0.q"));
    assert_non_null(node_of(&g, "layer.0.k"));
    assert_non_null(node_of(&g, "layer.0.v"));
    assert_non_null(node_of(&g, "layer.1.qkv"));
    const tn_graph_node *norm = node_of(&g, "layer.0.attn_norm");
    assert_int_equal(g.edge[norm->out[0]].n_consumers, 3);
    tn_graph_deinit(&g);
}

static void biases_are_used_where_the_model_has_them(void **state)
{
    fake f = { .biased = "attn_q" };
    tn_graph g;
    (void)state;
    assert_int_equal(build(&desc, &f, 0, &g, NULL), TN_OK);
    const tn_graph_node *qkv = node_of(&g, "layer.1.qkv");
    const tn_linear *linear = qkv->param;
    assert_string_equal(qkv->weight[0].bias, "blk.1.attn_q.bias");
    assert_null(qkv->weight[1].bias);
    assert_int_equal(linear->part[0]->bias, 1);
    assert_int_equal(linear->part[1]->bias, 0);
    tn_graph_deinit(&g);
}

static void a_missing_head_is_tied_to_the_embedding(void **state)
{
    fake f = { .tied = true }, g_untied = { 0 };
    tn_graph g;
    (void)state;
    assert_int_equal(build(&desc, &f, 0, &g, NULL), TN_OK);
    assert_string_equal(node_of(&g, "head")->weight[0].name, "token_embd.weight");
    tn_graph_deinit(&g);
    assert_int_equal(build(&desc, &g_untied, 0, &g, NULL), TN_OK);
    assert_string_equal(node_of(&g, "head")->weight[0].name, "output.weight");
    tn_graph_deinit(&g);
}

static void qk_norm_stands_before_rope_when_the_description_asks(void **state)
{
    tn_model_desc d = desc;
    fake f = { 0 };
    tn_graph g;
    (void)state;
    d.qk_norm = 1;
    assert_int_equal(build(&d, &f, 0, &g, NULL), TN_OK);
    const tn_graph_node *norm = node_of(&g, "layer.0.qk_norm"), *rope = node_of(&g, "layer.0.rope");
    assert_non_null(norm);
    assert_int_equal(rope->in[0], norm->out[0]);
    assert_int_equal(rope->in[1], norm->out[1]);
    tn_graph_deinit(&g);
}

static void the_window_begins_at_its_layer(void **state)
{
    tn_model_desc d = desc;
    fake f = { 0 };
    tn_graph g;
    (void)state;
    d.arch = "mistral";
    d.window = 7;
    d.window_layer = 1;
    assert_int_equal(build(&d, &f, 0, &g, NULL), TN_OK);
    const tn_attention *first = node_of(&g, "layer.0.attention")->param,
                       *second = node_of(&g, "layer.1.attention")->param;
    assert_int_equal(first->window, 0);
    assert_int_equal(second->window, 7);
    tn_graph_deinit(&g);
}

static void a_file_without_what_makes_its_architecture_is_refused(void **state)
{
    tn_model_desc qwen2 = desc, qwen3 = desc;
    fake f = { 0 };
    tn_graph g;
    tn_error err = { 0 };
    (void)state;
    qwen2.arch = "qwen2";
    qwen3.arch = "qwen3";
    assert_int_equal(build(&qwen2, &f, 0, &g, &err), TN_INVALID);
    assert_string_equal(err.text,
                        "the model has no tensor blk.0.attn_q.bias, which every qwen2 has");
    assert_int_equal(build(&qwen3, &f, 0, &g, &err), TN_INVALID);
    assert_string_equal(err.text, "the model has no norms of q and k, which every qwen3 has");
}

static void max_layers_cuts_the_model(void **state)
{
    fake f = { 0 };
    tn_graph g;
    (void)state;
    assert_int_equal(build(&desc, &f, 1, &g, NULL), TN_OK);
    assert_int_equal(g.n_layers, 1);
    assert_null(node_of(&g, "layer.1.qkv"));
    tn_graph_deinit(&g);
}

static void what_contradicts_the_description_is_refused_with_the_numbers(void **state)
{
    fake missing = { .missing = "blk.1.ffn_up.weight" },
         wrong = { .wrong_rows = "blk.0.attn_k.weight" };
    tn_model_desc unknown = desc;
    fake f = { 0 };
    tn_graph g;
    tn_error err = { 0 };
    (void)state;
    assert_int_equal(build(&desc, &missing, 0, &g, &err), TN_INVALID);
    assert_string_equal(err.text, "the model has no tensor blk.1.ffn_up.weight");
    assert_int_equal(build(&desc, &wrong, 0, &g, &err), TN_INVALID);
    assert_string_equal(
        err.text, "tensor blk.0.attn_k.weight is 33 x 64; the model's dimensions make it 32 x 64");
    unknown.arch = "mamba";
    assert_int_equal(build(&unknown, &f, 0, &g, &err), TN_UNSUPPORTED);
    assert_string_equal(
        err.text,
        "architecture \"mamba\" is not supported; these run: llama, mistral, internlm, internlm2, "
        "qwen2, qwen3");
}

static void a_group_that_does_not_divide_the_columns_is_refused(void **state)
{
    tn_model_desc d = desc;
    fake f = { 0 };
    tn_graph g;
    tn_error err = { 0 };
    const tn_weight_source source = { .self = &f, .find = find };
    tn_weight_info info;
    (void)state;
    assert_int_equal(source.find(source.self, "blk.0.attn_q.weight", &info), TN_OK);
    assert_int_equal(info.cols % info.group, 0);
    d.dim = 48; /* the tensors say 64 */
    assert_int_equal(build(&d, &f, 0, &g, &err), TN_INVALID);
    assert_non_null(strstr(err.text, "48"));
}

static void dumps_name_every_node(void **state)
{
    fake f = { 0 };
    tn_graph g;
    tn_strbuf text = TN_STRBUF(1 << 20), dot = TN_STRBUF(1 << 20);
    (void)state;
    assert_int_equal(build(&desc, &f, 0, &g, NULL), TN_OK);
    tn_report_graph(&g, &text);
    tn_report_graph_dot(&g, &dot);
    for (int32_t i = 0; i < g.n_nodes; i++) {
        assert_non_null(strstr(tn_strbuf_text(&text), g.node[i].path));
        assert_non_null(strstr(tn_strbuf_text(&dot), g.node[i].path));
    }
    assert_non_null(strstr(tn_strbuf_text(&text), "layer.0.qkv.q:act[T,4,16]"));
    tn_strbuf_deinit(&text);
    tn_strbuf_deinit(&dot);
    tn_graph_deinit(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_layer_has_the_nodes_of_the_design_in_order),
        cmocka_unit_test(q_k_and_v_are_views_of_one_linear),
        cmocka_unit_test(parts_of_unlike_format_become_single_nodes),
        cmocka_unit_test(biases_are_used_where_the_model_has_them),
        cmocka_unit_test(a_missing_head_is_tied_to_the_embedding),
        cmocka_unit_test(qk_norm_stands_before_rope_when_the_description_asks),
        cmocka_unit_test(the_window_begins_at_its_layer),
        cmocka_unit_test(a_file_without_what_makes_its_architecture_is_refused),
        cmocka_unit_test(max_layers_cuts_the_model),
        cmocka_unit_test(what_contradicts_the_description_is_refused_with_the_numbers),
        cmocka_unit_test(a_group_that_does_not_divide_the_columns_is_refused),
        cmocka_unit_test(dumps_name_every_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
