/* SPDX-License-Identifier: Apache-2.0 */
/* tenon plugins: those of a profile, or every NAME.so of the plugin directory, each with what
 * became of it. */
#include "apps/cli/commands.h"
#include "apps/cli/output.h"
#include "core/base/arena.h"
#include "runtime/host_cpus.h"
#include "runtime/setup.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PLUGINS = 256 };

static int by_name(const void *a, const void *b)
{
    return strcmp(((const tn_plugin_spec *)a)->name, ((const tn_plugin_spec *)b)->name);
}

/* Every NAME.so of the directory, sorted. Only this command looks into the directory; runs load
 * what the profile names. */
static tn_status scan(const char *dir, tn_arena *arena, tn_plugin_spec *spec, int32_t *n,
                      tn_error *err)
{
    DIR *d = opendir(dir);
    if (!d)
        return tn_fail(err, TN_INVALID, "plugin directory %s cannot be read", dir);
    for (struct dirent *entry; (entry = readdir(d)) && *n < MAX_PLUGINS;) {
        const size_t length = strlen(entry->d_name);
        if (length < 4 || strcmp(entry->d_name + length - 3, ".so") != 0)
            continue;
        char *name = tn_arena_strdup(arena, entry->d_name);
        if (!name) {
            closedir(d);
            return tn_fail_memory(err, "the list of plugins");
        }
        name[length - 3] = 0;
        spec[(*n)++] = (tn_plugin_spec){ .name = name };
    }
    closedir(d);
    qsort(spec, (size_t)*n, sizeof *spec, by_name);
    return TN_OK;
}

static tn_status open_directory(tn_setup *s, const tn_cli_options *o, tn_arena *arena,
                                tn_error *err)
{
    tn_plugin_spec spec[MAX_PLUGINS];
    int32_t n = 0;
    TN_TRY(tn_setup_plugin_dir(s, o->plugin_dir, err));
    TN_TRY(tn_host_team_create(o->threads, TN_PROFILE_AFFINITY_NONE, &s->team, err));
    TN_TRY(scan(s->plugin_dir, arena, spec, &n, err));
    const tn_plugin_set_args args = { .spec = spec,
                                      .n_specs = n,
                                      .plugin_dir = s->plugin_dir,
                                      .device = "cpu",
                                      .fallback = "none",
                                      .team = s->team };
    return tn_plugin_set_open(&args, &s->plugins, err);
}

static tn_status open_profile(tn_setup *s, const tn_cli_options *o, tn_error *err)
{
    const char *sets[TN_CLI_MAX_SETS];
    char thread_set[32];
    const tn_open_args args = tn_cli_open_args(o, sets, thread_set);
    const tn_profile_options options = {
        .path = args.profile, .model = args.model, .sets = args.set, .n_sets = (size_t)args.n_sets
    };
    TN_TRY(tn_profile_load(&options, &s->profile, err));
    return tn_setup_plugins(s, o->plugin_dir, err);
}

static const char *state_name(int32_t state)
{
    return state == TN_PLUGIN_LOADED ? "loaded" : state == TN_PLUGIN_SKIPPED ? "skipped" : "failed";
}

static int print_json(const tn_plugin_set *set)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < tn_plugin_set_size(set); i++) {
        const tn_plugin_entry *e = tn_plugin_set_entry(set, i);
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i}", "name", e->name,
                                        "state", state_name(e->state), "reason", e->reason, "path",
                                        e->path, "version", e->api.version ? e->api.version : "",
                                        "domain", e->api.domain ? e->api.domain : "", "kernels",
                                        (int)e->n_kernels, "kv_formats", (int)e->n_kv_formats));
    }
    return tn_cli_print_json(json_pack("{s:o}", "plugins", list));
}

static int print_table(const tn_plugin_set *set)
{
    for (int32_t i = 0; i < tn_plugin_set_size(set); i++) {
        const tn_plugin_entry *e = tn_plugin_set_entry(set, i);
        if (e->state == TN_PLUGIN_LOADED)
            printf("%-16s loaded   %s, domain %s, %d kernels, %d KV formats, %s\n", e->name,
                   e->api.version ? e->api.version : "no version",
                   e->api.domain ? e->api.domain : "host", (int)e->n_kernels, (int)e->n_kv_formats,
                   e->path);
        else
            printf("%-16s %-8s %s\n", e->name, state_name(e->state), e->reason);
    }
    return tn_cli_flush();
}

int tn_cmd_plugins(const tn_cli_options *o)
{
    tn_error err = { 0 };
    tn_arena arena = { 0 };
    tn_setup setup = { .graph = { .logits = -1, .argmax = -1 } };
    tn_status status = o->profile || o->model ? open_profile(&setup, o, &err)
                                              : open_directory(&setup, o, &arena, &err);
    int exit_status = status    ? tn_cli_error(status, &err)
                      : o->json ? print_json(setup.plugins)
                                : print_table(setup.plugins);
    tn_setup_close(&setup);
    tn_arena_deinit(&arena);
    return exit_status;
}
