/* SPDX-License-Identifier: Apache-2.0 */
/* tenon plugins: those of a profile, or every NAME.so of the plugin directory and of its
 * sub-directory sim, each with what became of it. */
#include "apps/cli/commands.h"
#include "apps/cli/output.h"
#include "core/base/arena.h"
#include "runtime/host_cpus.h"
#include "runtime/setup.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* The builds of CUDA plugins that run on the emulator, which is a device of this name. */
static const char sim_directory[] = "sim", sim_device[] = "cuda-sim";

/* The plugins of a directory as a set; sub: a sub-directory, which may be absent, or "". */
static tn_status open_set(const tn_setup *s, const char *sub, const char *device, tn_arena *arena,
                          tn_plugin_set **out, tn_error *err)
{
    tn_plugin_spec spec[MAX_PLUGINS];
    char path[PATH_MAX];
    int32_t n = 0;
    const int length = snprintf(path, sizeof path, "%s/%s", s->plugin_dir, sub);
    if (length < 0 || length >= (int)sizeof path)
        return tn_fail(err, TN_INVALID, "plugin directory %.64s...: the path is too long",
                       s->plugin_dir);
    if (*sub && access(path, F_OK) != 0)
        return TN_OK;
    TN_TRY(scan(path, arena, spec, &n, err));
    if (*sub && n == 0)
        return TN_OK;
    const tn_plugin_set_args args = { .spec = spec,
                                      .n_specs = n,
                                      .plugin_dir = s->plugin_dir,
                                      .device = device,
                                      .fallback = "none",
                                      .team = s->team };
    return tn_plugin_set_open(&args, out, err);
}

static tn_status open_directory(tn_setup *s, const tn_cli_options *o, tn_arena *arena,
                                tn_plugin_set **out_sim, tn_error *err)
{
    TN_TRY(tn_setup_plugin_dir(s, o->plugin_dir, err));
    TN_TRY(tn_host_team_create(o->threads, TN_PROFILE_AFFINITY_NONE, &s->team, err));
    TN_TRY(open_set(s, "", "cpu", arena, &s->plugins, err));
    return open_set(s, sim_directory, sim_device, arena, out_sim, err);
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

/* What the listing shows before a name: where the plugin was found. */
static const char *prefix_of(bool is_sim)
{
    return is_sim ? "sim/" : "";
}

static void add_json(const tn_plugin_set *set, bool is_sim, json_t *list)
{
    for (int32_t i = 0; set && i < tn_plugin_set_size(set); i++) {
        const tn_plugin_entry *e = tn_plugin_set_entry(set, i);
        json_array_append_new(
            list, json_pack("{s:s+, s:s, s:s, s:s, s:s, s:s, s:i, s:i}", "name", prefix_of(is_sim),
                            e->name, "state", state_name(e->state), "reason", e->reason, "path",
                            e->path, "version", e->api.version ? e->api.version : "", "domain",
                            e->api.domain ? e->api.domain : "", "kernels", (int)e->n_kernels,
                            "kv_formats", (int)e->n_kv_formats));
    }
}

static int print_json(const tn_plugin_set *set, const tn_plugin_set *sim)
{
    json_t *list = json_array();
    add_json(set, false, list);
    add_json(sim, true, list);
    return tn_cli_print_json(json_pack("{s:o}", "plugins", list));
}

static void print_set(const tn_plugin_set *set, bool is_sim)
{
    for (int32_t i = 0; set && i < tn_plugin_set_size(set); i++) {
        const tn_plugin_entry *e = tn_plugin_set_entry(set, i);
        const char *prefix = prefix_of(is_sim);
        const int width = 16 - (int)strlen(prefix);
        if (e->state == TN_PLUGIN_LOADED)
            printf("%s%-*s loaded   %s, domain %s, %d kernels, %d KV formats, %s\n", prefix, width,
                   e->name, e->api.version ? e->api.version : "no version",
                   e->api.domain ? e->api.domain : "host", (int)e->n_kernels, (int)e->n_kv_formats,
                   e->path);
        else
            printf("%s%-*s %-8s %s\n", prefix, width, e->name, state_name(e->state), e->reason);
    }
}

static int print_table(const tn_plugin_set *set, const tn_plugin_set *sim)
{
    print_set(set, false);
    print_set(sim, true);
    return tn_cli_flush();
}

int tn_cmd_plugins(const tn_cli_options *o)
{
    tn_error err = { 0 };
    tn_arena arena = { 0 };
    tn_plugin_set *sim = NULL;
    tn_setup setup = { .graph = { .logits = -1, .argmax = -1 } };
    tn_status status = o->profile || o->model ? open_profile(&setup, o, &err)
                                              : open_directory(&setup, o, &arena, &sim, &err);
    int exit_status = status    ? tn_cli_error(status, &err)
                      : o->json ? print_json(setup.plugins, sim)
                                : print_table(setup.plugins, sim);
    tn_plugin_set_close(sim);
    tn_setup_close(&setup);
    tn_arena_deinit(&arena);
    return exit_status;
}
