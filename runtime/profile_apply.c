/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes into the profile, key by key: the walk over the table, and the keys that hold lists and
 * maps. */
#include "runtime/nearest_name.h"
#include "runtime/profile_internal.h"

#include <stdio.h>
#include <string.h>

typedef struct target {
    void *base;         /* tn_profile or tn_profile_plugin */
    const char *prefix; /* of its keys: "" or "plugins[]" */
} target;

static tn_status apply_map(tn_profile_loader *l, const target *t, const char *prefix,
                           const tn_profile_node *map);

static tn_arena *memory_of(tn_profile_loader *l)
{
    return &l->profile->priv->memory;
}

static tn_status fail_memory(tn_profile_loader *l)
{
    return tn_fail_memory(l->err, "a profile");
}

/* A key of the whole table whose last part is `word` or near it: for keys put at the wrong level.
 */
static const char *find_elsewhere(const char *word)
{
    const char *last[TN_PROFILE_MAX_KEYS];
    size_t n = 0;

    for (; n < tn_profile_n_keys; n++) {
        const char *dot = strrchr(tn_profile_keys[n].path, '.');
        last[n] = dot ? dot + 1 : tn_profile_keys[n].path;
    }
    last[n] = NULL;
    const char *near = tn_nearest_name(word, last);
    for (size_t i = 0; near && i < n; i++) {
        if (last[i] == near)
            return tn_profile_keys[i].path;
    }
    return NULL;
}

static tn_status fail_unknown(tn_profile_loader *l, const char *prefix, const char *word,
                              const tn_profile_mark *at)
{
    const char *names[TN_PROFILE_MAX_KEYS];
    char shown[TN_SHOWN_BYTES];

    tn_profile_show(word, shown);
    tn_profile_key_names(prefix, names);
    const char *dot = strrchr(word, '.');
    if (dot && !strchr(word, '[') && tn_profile_key_find(word))
        return tn_profile_fail(l->err, at, "unknown key %s; keys are nested: write %s inside %.*s",
                               shown, dot + 1, (int)(dot - word), word);
    const char *near = tn_nearest_name(word, names);
    if (near)
        return tn_profile_fail(l->err, at, "unknown key %s%s%s, did you mean \"%s%s%s\"", shown,
                               *prefix ? " in " : "", prefix, prefix, *prefix ? "." : "", near);
    near = find_elsewhere(word);
    if (near)
        return tn_profile_fail(l->err, at, "unknown key %s%s%s, did you mean \"%s\"", shown,
                               *prefix ? " in " : "", prefix, near);
    char known[TN_ALLOWED_BYTES];
    size_t n = 0;
    for (size_t i = 0; names[i] && n < sizeof(known); i++)
        n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", i ? ", " : "", names[i]);
    return tn_profile_fail(l->err, at, "unknown key %s%s%s; known: %s", shown,
                           *prefix ? " in " : "", prefix, known);
}

/* ---- lists and maps ---- */

static tn_status check_kind(tn_profile_loader *l, const tn_profile_key *key,
                            const tn_profile_node *v, int8_t kind)
{
    char shown[TN_SHOWN_BYTES];

    if (v->kind == kind)
        return TN_OK;
    if (tn_profile_is_null(v))
        return tn_profile_fail_value(l, key, v,
                                     "without a value (leave the key out for its default)");
    return tn_profile_fail_value(l, key, v,
                                 v->kind == TN_NODE_SCALAR ? tn_profile_show(v->text, shown)
                                                           : tn_profile_kind_name(v));
}

static tn_status apply_texts(tn_profile_loader *l, const tn_profile_key *key,
                             const tn_profile_node *v)
{
    size_t n = 0;

    TN_TRY(check_kind(l, key, v, TN_NODE_LIST));
    const char **texts = tn_arena_alloc(memory_of(l), v->n_children * sizeof(*texts));
    if (!texts)
        return fail_memory(l);
    for (const tn_profile_node *c = v->child; c; c = c->next)
        TN_TRY(tn_profile_store_value(l, key, &texts[n++], c));
    l->profile->generate.stop = texts;
    l->profile->generate.n_stop = n;
    return TN_OK;
}

static const char *where_text(tn_profile_loader *l, const tn_profile_mark *at)
{
    char where[160];

    tn_profile_format_mark(at, where, sizeof(where));
    return tn_arena_strdup(memory_of(l), where);
}

static tn_status apply_options(tn_profile_loader *l, const tn_profile_key *key,
                               tn_profile_plugin *plugin, const tn_profile_node *v)
{
    size_t n = 0;

    TN_TRY(check_kind(l, key, v, TN_NODE_MAP));
    tn_option *options = tn_arena_alloc(memory_of(l), v->n_children * sizeof(*options));
    if (!options)
        return fail_memory(l);
    for (const tn_profile_node *c = v->child; c; c = c->next, n++) {
        TN_TRY(tn_profile_store_text(l, &options[n].key, c->key));
        TN_TRY(tn_profile_store_value(l, key, &options[n].value, c));
    }
    plugin->options = options;
    plugin->n_options = n;
    return TN_OK;
}

/* The bare name of /x/cpu-ref.so is cpu-ref. */
static tn_status name_from_path(tn_profile_loader *l, const tn_profile_key *key,
                                const tn_profile_node *v, tn_profile_plugin *plugin)
{
    char shown[TN_SHOWN_BYTES];
    const char *last = strrchr(plugin->path, '/') + 1;
    size_t n = strlen(last);

    if (n > 3 && strcmp(last + n - 3, ".so") == 0)
        n -= 3;
    char *name = tn_arena_copy(memory_of(l), last, n + 1);
    if (!name)
        return fail_memory(l);
    name[n] = '\0';
    if (!tn_profile_is_name(name))
        return tn_profile_fail_value(l, key, v, tn_profile_show(plugin->path, shown));
    plugin->name = name;
    return TN_OK;
}

static tn_status fill_plugin(tn_profile_loader *l, const tn_profile_key *list,
                             const tn_profile_node *v, tn_profile_plugin *plugin)
{
    const target t = { .base = plugin, .prefix = "plugins[]" };
    const tn_profile_key *name = tn_profile_key_find("plugins[].name");
    const tn_profile_key *path = tn_profile_key_find("plugins[].path");
    const char *text = "";

    plugin->where = where_text(l, &v->at);
    if (!plugin->where)
        return fail_memory(l);
    if (v->kind == TN_NODE_SCALAR)
        TN_TRY(tn_profile_scalar_text(l, name, v, &text));
    if (v->kind == TN_NODE_MAP)
        TN_TRY(apply_map(l, &t, t.prefix, v));
    else if (strchr(text, '/'))
        TN_TRY(tn_profile_apply_scalar(l, path, &plugin->path, v));
    else
        TN_TRY(tn_profile_apply_scalar(l, name, &plugin->name, v));
    if (!plugin->name && plugin->path)
        return name_from_path(l, name, v, plugin);
    if (!plugin->name)
        return tn_profile_fail_value(l, list, v, "a plugin without name and path");
    return TN_OK;
}

static tn_status apply_plugins(tn_profile_loader *l, const tn_profile_key *key,
                               const tn_profile_node *v)
{
    size_t n = 0;

    TN_TRY(check_kind(l, key, v, TN_NODE_LIST));
    if (v->n_children == 0)
        return tn_profile_fail_value(l, key, v, "empty");
    tn_profile_plugin *plugins = tn_arena_alloc(memory_of(l), v->n_children * sizeof(*plugins));
    if (!plugins)
        return fail_memory(l);
    for (const tn_profile_node *c = v->child; c; c = c->next, n++) {
        TN_TRY(fill_plugin(l, key, c, &plugins[n]));
        for (size_t i = 0; i < n; i++) {
            if (strcmp(plugins[i].name, plugins[n].name) == 0)
                return tn_profile_fail(l->err, &c->at, "plugins has %s twice; keep one",
                                       plugins[n].name);
        }
    }
    l->profile->plugins = plugins;
    l->profile->n_plugins = n;
    return TN_OK;
}

static bool has_child(const tn_profile_node *map, const char *key)
{
    for (const tn_profile_node *c = map->child; c; c = c->next) {
        if (strcmp(c->key, key) == 0)
            return true;
    }
    return false;
}

/* The new entries in their order, then those of lower layers that are not given anew: the first
 * match counts. */
static tn_status apply_bind(tn_profile_loader *l, const tn_profile_key *key,
                            const tn_profile_node *v)
{
    tn_profile *p = l->profile;
    const tn_profile_key *name = tn_profile_key_find("fallback");
    size_t n = 0;

    TN_TRY(check_kind(l, key, v, TN_NODE_MAP));
    tn_profile_bind *bind =
        tn_arena_alloc(memory_of(l), (v->n_children + p->n_bind) * sizeof(*bind));
    if (!bind)
        return fail_memory(l);
    for (const tn_profile_node *c = v->child; c; c = c->next, n++) {
        tn_profile_key row = { .path = key->path, .type = name->type };
        TN_TRY(tn_profile_store_text(l, &bind[n].glob, c->key));
        TN_TRY(tn_profile_apply_scalar(l, &row, &bind[n].plugin, c));
        bind[n].where = where_text(l, &c->key_at);
        if (!bind[n].where)
            return fail_memory(l);
    }
    for (size_t i = 0; i < p->n_bind; i++) {
        if (!has_child(v, p->bind[i].glob))
            bind[n++] = p->bind[i];
    }
    p->bind = bind;
    p->n_bind = n;
    return TN_OK;
}

static tn_status apply_section(tn_profile_loader *l, const tn_profile_key *key,
                               const tn_profile_node *v)
{
    const target t = { .base = l->profile, .prefix = "" };

    TN_TRY(check_kind(l, key, v, TN_NODE_MAP));
    return apply_map(l, &t, key->path, v);
}

/* `rope_scaling: none` stands for a whole map: numbers of lower layers do not shine through. */
static tn_status apply_rope(tn_profile_loader *l, const tn_profile_key *key,
                            const tn_profile_node *v)
{
    if (v->kind != TN_NODE_SCALAR || tn_profile_is_null(v))
        return apply_section(l, key, v);
    l->profile->context.rope_scaling = (tn_profile_rope){ 0 };
    return tn_profile_apply_key(l, tn_profile_key_find("context.rope_scaling.type"), v);
}

/* Taken care of before: the layers are read from the bottom up. */
static tn_status apply_extends(tn_profile_loader *l, const tn_profile_key *key,
                               const tn_profile_node *v)
{
    (void)key;
    if (l->command_line)
        return tn_profile_fail(l->err, &v->at, "extends belongs in a profile file");
    return TN_OK;
}

/* ---- the walk ---- */

typedef tn_status (*apply_fn)(tn_profile_loader *l, const tn_profile_key *key,
                              const tn_profile_node *v);

/* The others are scalars. */
static const apply_fn appliers[TN_N_KEY_TYPES] = {
    [TN_KEY_SECTION] = apply_section, [TN_KEY_EXTENDS] = apply_extends,
    [TN_KEY_TEXTS] = apply_texts,     [TN_KEY_PLUGINS] = apply_plugins,
    [TN_KEY_BIND] = apply_bind,       [TN_KEY_ROPE] = apply_rope,
};

static tn_status apply_field(tn_profile_loader *l, const target *t, const tn_profile_key *key,
                             const tn_profile_node *v)
{
    char *base = t->base;

    if (key->type == TN_KEY_OPTIONS)
        return apply_options(l, key, t->base, v);
    if (appliers[key->type])
        return appliers[key->type](l, key, v);
    return tn_profile_apply_scalar(l, key, base + key->offset, v);
}

tn_status tn_profile_apply_key(tn_profile_loader *l, const tn_profile_key *key,
                               const tn_profile_node *value)
{
    const target t = { .base = l->profile, .prefix = "" };
    const char *where = where_text(l, &value->at);

    if (!where)
        return fail_memory(l);
    TN_TRY(apply_field(l, &t, key, value));
    l->profile->priv->where[key - tn_profile_keys] = where;
    return TN_OK;
}

static tn_status apply_map(tn_profile_loader *l, const target *t, const char *prefix,
                           const tn_profile_node *map)
{
    char path[TN_KEY_PATH_BYTES];

    for (const tn_profile_node *c = map->child; c; c = c->next) {
        int n = snprintf(path, sizeof(path), "%s%s%s", prefix, *prefix ? "." : "", c->key);
        const tn_profile_key *key = NULL;
        if (n > 0 && (size_t)n < sizeof(path) && !strpbrk(c->key, ".["))
            key = tn_profile_key_find(path);
        if (!key)
            return fail_unknown(l, prefix, c->key, &c->key_at);
        if (t->base == l->profile)
            TN_TRY(tn_profile_apply_key(l, key, c));
        else
            TN_TRY(apply_field(l, t, key, c));
    }
    return TN_OK;
}

tn_status tn_profile_apply_file(tn_profile_loader *l, const tn_profile_node *root)
{
    const target t = { .base = l->profile, .prefix = "" };

    return apply_map(l, &t, "", root);
}

tn_status tn_profile_fail_unknown_path(tn_profile_loader *l, const char *path)
{
    char prefix[TN_KEY_PATH_BYTES] = "";
    const tn_profile_mark at = { "--set", 0, 0 };
    const char *dot = strrchr(path, '.');

    /* Below a section that exists the nearest names are its own; otherwise the whole path is looked
     * up. */
    if (dot && (size_t)(dot - path) < sizeof(prefix)) {
        memcpy(prefix, path, (size_t)(dot - path));
        const tn_profile_key *section = tn_profile_key_find(prefix);
        if (section && (section->type == TN_KEY_SECTION || section->type == TN_KEY_ROPE))
            return fail_unknown(l, prefix, dot + 1, &at);
    }
    return fail_unknown(l, "", path, &at);
}
