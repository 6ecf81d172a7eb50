/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tiny model bound to a real plugin, cpu-ref unless another is named: what tests of weights,
 * executor and engine stand on.
 *
 *     tn_rig rig;
 *     tn_rig_options o = TN_RIG_DEFAULT;
 *     tn_rig_open(&rig, &o);         // fails the test on error
 *     ... rig.binding, tn_rig_source(&rig), rig.team
 *     tn_rig_close(&rig);
 *
 * The test group needs the fixtures of temp_dir.h. Thread: one thread.
 */
#ifndef TN_TESTS_SUPPORT_RIG_H
#define TN_TESTS_SUPPORT_RIG_H

#include "core/bind/bind.h"
#include "model/formats/model_file.h"
#include "tests/support/tiny_model.h"

typedef struct tn_rig_options {
    tn_tiny_model model;
    const char *kv_format;
    const char *device, *plugin_path; /* NULL: a plugin of the build on the host */
    const char *plugin;               /* its name; NULL: cpu-ref */
    const tn_option *plugin_option;
    int32_t n_plugin_options;
    const char *overlay_path; /* of a plugin that is asked before it, or NULL */
    const char *fallback;     /* NULL: none */
    const tn_bind_rule *rule;
    int32_t n_rules;
    int32_t threads;
    int32_t max_tokens, max_seqs, max_ctx, block_tokens, max_rows;
    bool no_fusion;
    int32_t rope_scaling; /* TN_ROPE_SCALING_* put into the description, factor 2, when not 0 */
} tn_rig_options;

#define TN_RIG_DEFAULT                                                                             \
    {                                                                                              \
        .model = TN_TINY_MODEL_DEFAULT, .kv_format = "f32", .threads = 1, .max_tokens = 512,       \
        .max_seqs = 32, .max_ctx = 256, .block_tokens = 16, .max_rows = 32                         \
    }

typedef struct tn_rig {
    tn_model_file *file;
    tn_model_desc desc;
    tn_team *team;
    tn_plugin_set *plugins;
    tn_graph graph;
    tn_binding *binding;
} tn_rig;

void tn_rig_open(tn_rig *rig, const tn_rig_options *options);
void tn_rig_close(tn_rig *rig);
const tn_weight_source *tn_rig_source(const tn_rig *rig);

#endif
