/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/rig.h"

#include "model/arch/arch.h"
#include "tests/support/temp_dir.h"

/* cmocka.h needs the others before it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static void succeed(tn_status st, const tn_error *err)
{
    if (st)
        fail_msg("%s: %s", tn_status_name(st), err->text);
}

static void bind_graph(tn_rig *rig, const tn_rig_options *o)
{
    tn_error err = { 0 };
    const tn_bind_args args = { .graph = &rig->graph,
                                .plugins = rig->plugins,
                                .fallback = o->fallback ? o->fallback : "none",
                                .rule = o->rule,
                                .n_rules = o->n_rules,
                                .kv_format = o->kv_format,
                                .max_tokens = o->max_tokens,
                                .max_seqs = o->max_seqs,
                                .max_ctx = o->max_ctx,
                                .block_tokens = o->block_tokens,
                                .max_rows = o->max_rows,
                                .no_fusion = o->no_fusion };

    succeed(tn_bind(&args, &rig->binding, &err), &err);
}

void tn_rig_open(tn_rig *rig, const tn_rig_options *o)
{
    tn_error err = { 0 };
    const char *path = tn_temp_path("rig.gguf");
    const tn_plugin_spec spec[2] = { { .name = "overlay", .path = o->overlay_path },
                                     { .name = o->device   ? o->device
                                               : o->plugin ? o->plugin
                                                           : "cpu-ref",
                                       .path = o->plugin_path,
                                       .option = o->plugin_option,
                                       .n_options = o->n_plugin_options } };
    const int32_t first = o->overlay_path ? 0 : 1;

    *rig = (tn_rig){ 0 };
    succeed(tn_tiny_model_write(&o->model, path, &err), &err);
    succeed(tn_model_file_open(path, &rig->file, &err), &err);
    succeed(tn_model_file_desc(rig->file, &rig->desc, &err), &err);
    if (o->rope_scaling) {
        rig->desc.rope.scaling = o->rope_scaling;
        rig->desc.rope.factor = 2.0F;
    }
    succeed(tn_team_create(o->threads, &rig->team, &err), &err);
    const tn_plugin_set_args args = { .spec = spec + first,
                                      .n_specs = 2 - first,
                                      .plugin_dir = TN_RIG_PLUGIN_DIR,
                                      .device = o->device ? o->device : "cpu",
                                      .fallback = o->fallback ? o->fallback : "none",
                                      .team = rig->team };
    succeed(tn_plugin_set_open(&args, &rig->plugins, &err), &err);
    succeed(tn_plugin_set_require(rig->plugins, &err), &err);
    succeed(tn_arch_build(&rig->desc, tn_rig_source(rig), 0, &rig->graph, &err), &err);
    bind_graph(rig, o);
}

void tn_rig_close(tn_rig *rig)
{
    tn_binding_destroy(rig->binding);
    tn_graph_deinit(&rig->graph);
    tn_plugin_set_close(rig->plugins);
    tn_team_destroy(rig->team);
    tn_model_file_close(rig->file);
}

const tn_weight_source *tn_rig_source(const tn_rig *rig)
{
    return tn_model_file_weights(rig->file);
}
