/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/setup.h"

#include "core/base/alloc.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/graph/rope.h"
#include "model/arch/arch.h"
#include "runtime/host_cpus.h"
#include "runtime/kv_params.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

/* Rows of logits computed at once; the executor slices above it. */
enum { MAX_ROWS = 64 };

/* A path of the command line is relative to the working directory; plugins are never looked up
 * there by name. */
static tn_status absolute_path(const char *path, char **out, tn_error *err)
{
    char cwd[PATH_MAX];
    tn_strbuf text = TN_STRBUF(2 * PATH_MAX);
    if (!*path) /* an unset variable of a script must not mean the working directory */
        return tn_fail(err, TN_INVALID, "--plugin-dir: empty; give the path of a directory");
    if (path[0] != '/') {
        if (!getcwd(cwd, sizeof cwd))
            return tn_fail(err, TN_INVALID,
                           "%s: the working directory cannot be read; give an absolute path", path);
        tn_strbuf_printf(&text, "%s/", cwd);
    }
    tn_strbuf_puts(&text, path);
    *out = tn_strbuf_take(&text);
    return *out ? TN_OK : tn_fail_memory(err, "a path");
}

tn_status tn_setup_plugin_dir(tn_setup *s, const char *dir, tn_error *err)
{
    return dir ? absolute_path(dir, &s->plugin_dir, err)
               : tn_default_plugin_dir(&s->plugin_dir, err);
}

/* ---- plugins ---- */

static tn_status open_set(tn_setup *s, tn_plugin_spec *spec, tn_error *err)
{
    const tn_profile *p = s->profile;
    for (size_t i = 0; i < p->n_plugins; i++)
        spec[i] = (tn_plugin_spec){ .name = p->plugins[i].name,
                                    .path = p->plugins[i].path,
                                    .sha256 = p->plugins[i].sha256,
                                    .option = p->plugins[i].options,
                                    .n_options = (int32_t)p->plugins[i].n_options };
    const tn_plugin_set_args args = { .spec = spec,
                                      .n_specs = (int32_t)p->n_plugins,
                                      .plugin_dir = s->plugin_dir,
                                      .device = p->device.name,
                                      .device_index = p->device.index,
                                      .fallback = p->fallback,
                                      .team = s->team };
    return tn_plugin_set_open(&args, &s->plugins, err);
}

tn_status tn_setup_plugins(tn_setup *s, const char *plugin_dir, tn_error *err)
{
    const tn_profile *p = s->profile;
    TN_TRY(tn_setup_plugin_dir(s, plugin_dir, err));
    if (!s->team)
        TN_TRY(tn_host_team_create(p->threads, p->affinity, &s->team, err));
    tn_plugin_spec *spec = tn_alloc_array(p->n_plugins, sizeof *spec);
    tn_status status = spec ? open_set(s, spec, err) : tn_fail_memory(err, "the plugin list");
    tn_free(spec);
    return status;
}

/* A plugin that the profile marks as required must not be skipped. */
static tn_status check_required(const tn_setup *s, tn_error *err)
{
    for (size_t i = 0; i < s->profile->n_plugins; i++) {
        const tn_profile_plugin *p = &s->profile->plugins[i];
        const tn_plugin_entry *entry = tn_plugin_set_find(s->plugins, p->name);
        if (p->required && entry && entry->state == TN_PLUGIN_SKIPPED)
            return tn_fail(err, TN_UNAVAILABLE, "%s: plugin %s is required but was skipped: %s",
                           p->where, p->name, entry->reason);
    }
    return tn_plugin_set_require(s->plugins, err);
}

/* ---- model ---- */

static void apply_rope(const tn_profile_rope *from, tn_rope_desc *rope)
{
    if (from->type == TN_PROFILE_ROPE_MODEL)
        return;
    rope->scaling = from->type;
    rope->factor = from->factor > 0 ? from->factor : 1;
    if (from->type != TN_ROPE_SCALING_LONGROPE) /* which can only be the model's */
        rope->freq_factors = rope->long_factors = NULL;
    if (from->original_length > 0)
        rope->original_length = from->original_length;
    rope->low_freq_factor = from->low_freq_factor > 0 ? from->low_freq_factor : 1;
    rope->high_freq_factor = from->high_freq_factor > 0 ? from->high_freq_factor : 4;
    rope->beta_fast = from->beta_fast;
    rope->beta_slow = from->beta_slow;
    rope->attention_factor = from->attention_factor;
}

static int32_t context_of(const tn_profile *p, const tn_model_desc *desc)
{
    if (p->context.length > 0)
        return p->context.length;
    double length = desc->max_length;
    if (p->context.rope_scaling.type != TN_PROFILE_ROPE_MODEL && p->context.rope_scaling.factor > 1)
        length *= (double)p->context.rope_scaling.factor;
    return length < INT32_MAX / 2 ? (int32_t)length : INT32_MAX / 2;
}

/* A model whose text cannot be used still runs on ids: why it cannot be is kept, but for a lack of
 * memory. */
static tn_status open_text(tn_setup *s, tn_error *err)
{
    const tn_vocab *vocab = tn_model_file_vocab(s->file);
    tn_status status = tn_tokenizer_create(vocab, &s->tokenizer, &s->tokenizer_error);
    if (status == TN_NO_MEMORY)
        return tn_fail(err, status, "%s", s->tokenizer_error.text);
    if (status) {
        s->chat_error = s->tokenizer_error;
        return TN_OK;
    }
    status = tn_chat_template_create(vocab, s->tokenizer, &s->chat, &s->chat_error);
    return status == TN_NO_MEMORY ? tn_fail(err, status, "%s", s->chat_error.text) : TN_OK;
}

static tn_status open_model(tn_setup *s, tn_error *err)
{
    const tn_profile *p = s->profile;
    TN_TRY(tn_model_file_open(p->model, &s->file, err));
    TN_TRY(tn_model_file_desc(s->file, &s->desc, err));
    apply_rope(&p->context.rope_scaling, &s->desc.rope);
    s->context = context_of(p, &s->desc);
    if (s->context > s->desc.max_length && !s->desc.rope.scaling)
        tn_log(TN_LOG_WARNING, "profile",
               "context.length %d is more than the %d tokens the model was trained for; without "
               "rope scaling its text will suffer",
               (int)s->context, (int)s->desc.max_length);
    TN_TRY(open_text(s, err));
    return tn_arch_build(&s->desc, tn_model_file_weights(s->file), p->debug_max_layers, &s->graph,
                         err);
}

static tn_status load_kv_params(tn_setup *s, tn_error *err)
{
    const tn_profile *p = s->profile;
    if (strcmp(p->kv.format, "i8-static") != 0)
        return TN_OK;
    if (!p->kv.params)
        return tn_fail(err, TN_INVALID,
                       "%s: kv.format i8-static needs kv.params, the calibration file",
                       tn_profile_where(p, "kv.format"));
    TN_TRY(tn_kv_params_load(p->kv.params, s->desc.n_layers, s->desc.kv_heads, &s->kv_params, err));
    s->bind_args.kv_static = s->kv_params->layer;
    s->bind_args.n_kv_static = s->kv_params->n_pairs;
    return TN_OK;
}

static tn_status bind_graph(tn_setup *s, tn_error *err)
{
    const tn_profile *p = s->profile;
    tn_bind_rule *rule = tn_alloc_array(p->n_bind, sizeof *rule);
    s->rules = rule;
    if (!rule)
        return tn_fail_memory(err, "the bind rules");
    for (size_t i = 0; i < p->n_bind; i++)
        rule[i] = (tn_bind_rule){ p->bind[i].glob, p->bind[i].plugin };
    static const int32_t act_dtypes[] = { 0, TN_F16, TN_BF16 };
    tn_bind_args *a = &s->bind_args;
    a->graph = &s->graph;
    a->plugins = s->plugins;
    a->rule = rule;
    a->n_rules = (int32_t)p->n_bind;
    a->fallback = p->fallback;
    a->kv_format = p->kv.format;
    a->act_dtype = act_dtypes[p->activations];
    a->max_tokens = p->batch.max_tokens;
    a->max_seqs = p->batch.max_sequences;
    a->max_ctx = s->context;
    a->block_tokens = p->kv.block_tokens;
    a->max_rows = p->batch.max_tokens < MAX_ROWS ? p->batch.max_tokens : MAX_ROWS;
    TN_TRY(load_kv_params(s, err));
    return tn_bind(a, &s->binding, err);
}

static tn_status open_all(tn_setup *s, const tn_open_args *args, tn_error *err)
{
    const tn_profile_options options = { .path = args->profile,
                                         .model = args->model,
                                         .sets = args->set,
                                         .n_sets = (size_t)args->n_sets };
    TN_TRY(tn_profile_load(&options, &s->profile, err));
    TN_TRY(open_model(s, err));
    TN_TRY(tn_setup_plugins(s, args->plugin_dir, err));
    TN_TRY(check_required(s, err));
    return bind_graph(s, err);
}

tn_status tn_setup_open(tn_setup *setup, const tn_open_args *args, tn_error *err)
{
    *setup = (tn_setup){ .graph = { .logits = -1, .argmax = -1 } };
    tn_status status = open_all(setup, args, err);
    if (status)
        tn_setup_close(setup);
    return status;
}

void tn_setup_close(tn_setup *s)
{
    tn_binding_destroy(s->binding);
    tn_graph_deinit(&s->graph);
    tn_plugin_set_close(s->plugins);
    tn_team_destroy(s->team);
    tn_chat_template_destroy(s->chat);
    tn_tokenizer_destroy(s->tokenizer);
    tn_kv_params_destroy(s->kv_params);
    tn_model_file_close(s->file);
    tn_profile_destroy(s->profile);
    tn_free(s->rules);
    tn_free(s->plugin_dir);
    *s = (tn_setup){ .graph = { .logits = -1, .argmax = -1 } };
}

/* Blocks may be shared only between runs of the same model, KV format and KV parameters. */
static uint64_t prefix_salt(const tn_setup *s)
{
    uint64_t salt =
        tn_hash64(s->profile->kv.format, strlen(s->profile->kv.format), s->desc.source_id);
    for (int32_t i = 0; s->bind_args.kv_static && i < s->graph.n_layers; i++)
        salt = tn_hash64(s->bind_args.kv_static[i],
                         (size_t)s->bind_args.n_kv_static * 4 * sizeof(float), salt);
    return salt;
}

tn_status tn_setup_engine_args(const tn_setup *s, tn_engine_args *out, tn_error *err)
{
    *out = (tn_engine_args){ .binding = s->binding,
                             .source = tn_model_file_weights(s->file),
                             .team = s->team,
                             .kv_format = s->profile->kv.format,
                             .prefix_salt = prefix_salt(s),
                             .max_sequences = s->profile->batch.max_sequences,
                             .max_tokens = s->profile->batch.max_tokens,
                             .max_context = s->context,
                             .max_chunk = s->profile->batch.max_chunk,
                             .prefix_cache = s->profile->kv.prefix_cache };
    return tn_setup_kv_bytes(s, &out->kv_bytes, err);
}
