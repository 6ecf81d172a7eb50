/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Profile -> plugins, model file, graph, bound graph: everything before an engine. `explain` and
 * `check` stop here; the runtime goes on. Thread: made and ended by one thread, immutable in
 * between.
 */
#ifndef TN_RUNTIME_SETUP_H
#define TN_RUNTIME_SETUP_H

#include "core/engine/engine.h"
#include "model/formats/model_file.h"
#include "model/text/chat_template.h"
#include "runtime/profile.h"

#include <tenon/tenon.h>

typedef struct tn_setup {
    tn_profile *profile;
    tn_model_file *file;
    tn_model_desc desc; /* the file's, with the profile's rope scaling applied */
    int32_t context;    /* tokens a sequence may have */
    tn_team *team;
    tn_plugin_set *plugins;
    tn_graph graph;
    tn_bind_args bind_args; /* as given to tn_bind, for explain */
    tn_binding *binding;
    struct tn_kv_params *kv_params; /* i8-static parameters, or NULL */
    tn_tokenizer
        *tokenizer; /* NULL when the vocabulary cannot be used: why stands in tokenizer_error */
    tn_error tokenizer_error;
    tn_chat_template *chat; /* NULL when there is none that can be used: why stands in chat_error */
    tn_error chat_error;
    void *rules; /* bind rules, owned */
    char *plugin_dir;
} tn_setup;

/** Do it all. args as for tn_runtime_open. On failure *setup is empty. */
tn_status tn_setup_open(tn_setup *setup, const tn_open_args *args, tn_error *err) TN_MUST_USE;
void tn_setup_close(tn_setup *setup);

/** Set setup->plugin_dir: `dir` made absolute, or tn_default_plugin_dir when it is NULL. */
tn_status tn_setup_plugin_dir(tn_setup *setup, const char *dir, tn_error *err) TN_MUST_USE;
/** Load only the plugins of the profile (for `tenon plugins`); setup->profile must be set. */
tn_status tn_setup_plugins(tn_setup *setup, const char *plugin_dir, tn_error *err) TN_MUST_USE;

/** Bytes for the KV pools of all layers, by kv.memory of the profile and what is free. */
tn_status tn_setup_kv_bytes(const tn_setup *setup, uint64_t *out_bytes, tn_error *err) TN_MUST_USE;

/* What an engine of a setup will allocate, in all domains together; nothing is loaded to know it.
 */
typedef struct tn_memory_need {
    uint64_t weight_bytes, activation_bytes, workspace_bytes, kv_bytes;
    uint64_t total_bytes;    /* of these four */
    uint64_t kv_token_bytes; /* in all layers */
    uint64_t free_bytes;     /* now, where the KV pools go; 0: not known */
    int32_t blocks, block_tokens;
} tn_memory_need;

/** With kv.memory `auto` or a percentage the answer depends on what is free at this moment. */
tn_status tn_setup_memory_need(const tn_setup *setup, tn_memory_need *out,
                               tn_error *err) TN_MUST_USE;

/** What the engine of this setup is made with; the setup must outlive it. */
tn_status tn_setup_engine_args(const tn_setup *setup, tn_engine_args *out,
                               tn_error *err) TN_MUST_USE;

/** Directory of the plugins when none is given: lib/tenon/plugins of the tree that holds this code,
 * be it bin/tenon or libtenon.so (tn_free). */
tn_status tn_default_plugin_dir(char **out_dir, tn_error *err) TN_MUST_USE;

#endif
