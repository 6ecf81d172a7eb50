/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/bind_fixture.h"

#include "core/base/alloc.h"
#include "core/base/log.h"
#include "model/arch/arch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h wants the four above first. */
#include <cmocka.h>

/* ---- shapes of tensors; their rows are never read ---- */

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

static void keep_log(void *ctx, int32_t level, const char *module, const char *text)
{
    fixture *f = ctx;
    const size_t n = strlen(f->log);

    (void)level;
    snprintf(f->log + n, sizeof(f->log) - n, "%s: %s\n", module, text);
}

int make_fixture(void **state)
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

int free_fixture(void **state)
{
    fixture *f = *state;

    tn_binding_destroy(f->binding);
    tn_plugin_set_close(f->set);
    tn_graph_deinit(&f->graph);
    tn_log_configure(TN_LOG_WARNING, NULL, NULL);
    tn_free(f);
    return 0;
}

void list_fake(fixture *f, const char *name, const char *file, const tn_option *options,
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

tn_status bind_all(fixture *f)
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

void assert_bound(fixture *f)
{
    if (bind_all(f) != TN_OK)
        fail_msg("%s", f->err.text);
}

void assert_refused(fixture *f, tn_status status, const char *text)
{
    const tn_status got = bind_all(f);

    if (got != status || !strstr(f->err.text, text))
        fail_msg("status %d, \"%s\"; wanted %d, \"%s\"", (int)got, f->err.text, (int)status, text);
    assert_null(f->binding);
}

const tn_bound_node *node_at(const fixture *f, const char *path)
{
    for (int32_t i = 0; i < f->binding->n_nodes; i++)
        if (strcmp(f->binding->node[i].node.path, path) == 0)
            return &f->binding->node[i];
    return NULL;
}

void assert_node(const fixture *f, const char *path, const char *op, const char *plugin)
{
    const tn_bound_node *node = node_at(f, path);

    if (!node)
        fail_msg("no node %s", path);
    assert_string_equal(node->node.op, op);
    assert_string_equal(node->op->name, op);
    assert_string_equal(node->plugin->name, plugin);
    assert_string_equal(node->kernel->op, op);
}

void assert_order(const fixture *f)
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
