/* SPDX-License-Identifier: Apache-2.0 */
/* Layers of a profile, lowest first: defaults of the table, extended profiles, the profile,
 * --model, --set. */
#include "runtime/profile.h"

#include "core/base/alloc.h"
#include "model/formats/file_map.h"
#include "runtime/profile_internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_SETS = 256 };

typedef struct layer {
    const char *name, *dir; /* dir NULL: the working directory */
    const tn_profile_node *root;
    struct stat identity;
} layer;

static tn_status fail_memory(tn_profile_loader *l)
{
    return tn_fail_memory(l->err, "a profile");
}

/* ---- files ---- */

static tn_status parse_layer(tn_profile_loader *l, layer *layer_, const char *text, size_t n)
{
    tn_profile_mark top = { layer_->name, 1, 1 };
    tn_profile_node *root;

    TN_TRY(tn_profile_yaml_parse(&l->nodes, text, n, top, &root, l->err));
    if (!root || tn_profile_is_null(root))
        return tn_profile_fail(l->err, &top, "the profile is empty; it needs at least model: PATH");
    if (root->kind != TN_NODE_MAP)
        return tn_profile_fail(l->err, &root->at, "a profile is a map of keys, this is %s",
                               tn_profile_kind_name(root));
    layer_->root = root;
    return TN_OK;
}

/* dir of "a/b.yaml" is "a", of "b.yaml" NULL, of "/b.yaml" "". */
static tn_status name_layer(tn_profile_loader *l, layer *layer_, const char *path)
{
    char *name = tn_arena_strdup(&l->nodes, path);
    char *dir = tn_arena_strdup(&l->nodes, path);

    if (!name || !dir)
        return fail_memory(l);
    char *slash = strrchr(dir, '/');
    if (slash)
        *slash = '\0';
    layer_->name = name;
    layer_->dir = slash ? dir : NULL;
    return TN_OK;
}

static tn_status read_layer(tn_profile_loader *l, layer *layer_, const char *path)
{
    char *text = NULL;
    size_t n = 0;

    TN_TRY(name_layer(l, layer_, path));
    TN_TRY(tn_file_read(path, TN_PROFILE_MAX_BYTES, &text, &n, l->err));
    tn_status st = TN_OK;
    if (stat(path, &layer_->identity) != 0)
        st = tn_fail(l->err, TN_INVALID, "%s vanished while it was read", path);
    if (!st)
        st = parse_layer(l, layer_, text, n);
    tn_free(text);
    return st;
}

static const tn_profile_node *find_extends(const layer *layer_)
{
    for (const tn_profile_node *c = layer_->root->child; c; c = c->next) {
        if (strcmp(c->key, "extends") == 0)
            return c;
    }
    return NULL;
}

/* The path that v names, seen from the directory of the layer it stands in. */
static tn_status extended_path(tn_profile_loader *l, const layer *layer_, const tn_profile_node *v,
                               const char **out)
{
    const char *text;

    TN_TRY(tn_profile_scalar_text(l, tn_profile_key_find("extends"), v, &text));
    l->dir = layer_->dir;
    return tn_profile_store_path(l, out, text);
}

static tn_status check_cycle(tn_profile_loader *l, const layer *layers, int n,
                             const tn_profile_node *v)
{
    const struct stat *last = &layers[n - 1].identity;

    for (int i = 0; i < n - 1; i++) {
        if (layers[i].identity.st_dev == last->st_dev && layers[i].identity.st_ino == last->st_ino)
            return tn_profile_fail(l->err, &v->at,
                                   "extends goes in a circle: %s is already being read",
                                   layers[n - 1].name);
    }
    return TN_OK;
}

/* Read what layers[0] extends, and so on; *n counts up. */
static tn_status read_extended(tn_profile_loader *l, layer *layers, int *n)
{
    for (;;) {
        const layer *top = &layers[*n - 1];
        const tn_profile_node *v = find_extends(top);
        char where[160];
        const char *path;
        if (!v)
            return TN_OK;
        if (*n == TN_PROFILE_MAX_DEPTH)
            return tn_profile_fail(l->err, &v->at, "extends is nested deeper than %d profiles",
                                   TN_PROFILE_MAX_DEPTH);
        TN_TRY(extended_path(l, top, v, &path));
        tn_status st = read_layer(l, &layers[*n], path);
        if (st) {
            tn_profile_format_mark(&v->at, where, sizeof(where));
            return st == TN_INVALID ? tn_error_wrap(l->err, st, "%s: extends", where) : st;
        }
        ++*n;
        TN_TRY(check_cycle(l, layers, *n, v));
    }
}

static tn_status apply_layers(tn_profile_loader *l, const layer *layers, int n)
{
    for (int i = n - 1; i >= 0; i--) {
        l->dir = layers[i].dir;
        TN_TRY(tn_profile_apply_file(l, layers[i].root));
    }
    return TN_OK;
}

static tn_status apply_profile(tn_profile_loader *l, const tn_profile_options *o)
{
    layer layers[TN_PROFILE_MAX_DEPTH] = { { 0 } };
    int n = 1;

    if (!o->path && !o->text)
        return TN_OK;
    if (!o->text) {
        TN_TRY(read_layer(l, &layers[0], o->path));
        TN_TRY(read_extended(l, layers, &n));
        return apply_layers(l, layers, n);
    }
    layers[0].name = o->path ? o->path : "profile";
    TN_TRY(parse_layer(l, &layers[0], o->text, o->n_text));
    const tn_profile_node *v = find_extends(&layers[0]);
    if (v)
        return tn_profile_fail(l->err, &v->at, "extends needs a profile that is a file");
    return apply_layers(l, layers, 1);
}

/* ---- defaults, --model, --set ---- */

/* A node for text: a scalar as it is where the key is one, otherwise YAML. */
static tn_status node_from_text(tn_profile_loader *l, const tn_profile_key *key, const char *text,
                                tn_profile_mark at, tn_profile_node **out)
{
    bool list = key->type == TN_KEY_TEXTS || key->type == TN_KEY_PLUGINS;
    bool word = key->type == TN_KEY_ROPE && *text != '{';
    tn_strbuf b = TN_STRBUF(TN_PROFILE_MAX_BYTES);

    if (word || key->type == TN_KEY_EXTENDS || tn_profile_type_is_scalar(key->type)) {
        *out = tn_arena_alloc(&l->nodes, sizeof(**out));
        if (!*out)
            return fail_memory(l);
        **out = (tn_profile_node){ .kind = TN_NODE_SCALAR, .text = text, .at = at };
        return TN_OK;
    }
    bool bare = list && *text != '[';
    tn_strbuf_printf(&b, bare ? "[%s]" : "%s", text);
    tn_status st = b.failed ? fail_memory(l) : TN_OK;
    if (!st)
        st = tn_profile_yaml_parse(&l->nodes, tn_strbuf_text(&b), b.len, at, out, l->err);
    tn_strbuf_deinit(&b);
    if (!st && !*out)
        st = tn_profile_fail(l->err, &at, "no value; write KEY=VALUE");
    return st;
}

static tn_status apply_defaults(tn_profile_loader *l)
{
    tn_profile_node *node;

    for (size_t i = 0; i < tn_profile_n_keys; i++) {
        const tn_profile_key *key = &tn_profile_keys[i];
        if (!key->fallback || strchr(key->path, '['))
            continue;
        tn_profile_mark at = { "default", 0, 0 };
        TN_TRY(node_from_text(l, key, key->fallback, at, &node));
        TN_TRY(tn_profile_apply_key(l, key, node));
    }
    return TN_OK;
}

static tn_status apply_model(tn_profile_loader *l, const char *model)
{
    const tn_profile_key *key = tn_profile_key_find("model");

    if (!*model)
        return tn_fail(l->err, TN_INVALID, "--model: empty; give the path of a model");
    TN_TRY(tn_profile_store_text(l, &l->profile->model, model));
    l->profile->priv->where[key - tn_profile_keys] = "--model";
    return TN_OK;
}

/* bind.GLOB=PLUGIN: one entry of the map. */
static tn_status apply_set_bind(tn_profile_loader *l, const char *glob, const char *plugin,
                                tn_profile_mark at)
{
    tn_profile_node entry = {
        .kind = TN_NODE_SCALAR, .key = glob, .text = plugin, .key_at = at, .at = at
    };
    tn_profile_node map = { .kind = TN_NODE_MAP, .at = at, .n_children = 1, .child = &entry };

    if (!*glob)
        return tn_profile_fail(l->err, &at, "a key is empty");
    return tn_profile_apply_key(l, tn_profile_key_find("bind"), &map);
}

static tn_status apply_set(tn_profile_loader *l, const char *set)
{
    const char *value = strchr(set, '=');
    tn_profile_mark at = { "--set", 0, 0 };
    char shown[TN_SHOWN_BYTES];
    tn_profile_node *node;

    TN_TRY(tn_profile_check_text(set, strlen(set), at, l->err));
    if (!value || value == set)
        return tn_profile_fail(l->err, &at, "%s; write KEY=VALUE, such as kv.format=i8",
                               tn_profile_show(set, shown));
    char *path = tn_arena_copy(&l->nodes, set, (size_t)(value - set) + 1);
    char *label =
        path ? tn_arena_alloc(&l->nodes, strlen("--set ") + (size_t)(value - set) + 1) : NULL;
    if (!label)
        return fail_memory(l);
    path[value - set] = '\0';
    snprintf(label, strlen("--set ") + (size_t)(value - set) + 1, "--set %s", path);
    at.file = label;
    if (strncmp(path, "bind.", 5) == 0)
        return apply_set_bind(l, path + 5, value + 1, at);
    const tn_profile_key *key = strchr(path, '[') ? NULL : tn_profile_key_find(path);
    if (!key)
        return tn_profile_fail_unknown_path(l, path);
    TN_TRY(node_from_text(l, key, value + 1, at, &node));
    return tn_profile_apply_key(l, key, node);
}

static tn_status apply_command_line(tn_profile_loader *l, const tn_profile_options *o)
{
    l->dir = NULL;
    l->command_line = true;
    if (o->model)
        TN_TRY(apply_model(l, o->model));
    if (o->n_sets > MAX_SETS)
        return tn_fail(l->err, TN_INVALID, "--set: %zu times; at most %d are allowed", o->n_sets,
                       MAX_SETS);
    for (size_t i = 0; i < o->n_sets; i++)
        TN_TRY(apply_set(l, o->sets[i]));
    return TN_OK;
}

/* ---- checks between keys ---- */

/* Which rope types a number belongs to, by bit of its TN_ROPE_SCALING_*. */
static const struct {
    const char *key;
    uint32_t types;
} rope_numbers[] = {
    { "factor", 1u << TN_ROPE_SCALING_LINEAR | 1u << TN_ROPE_SCALING_DYNAMIC |
                    1u << TN_ROPE_SCALING_YARN | 1u << TN_ROPE_SCALING_LLAMA3 |
                    1u << TN_ROPE_SCALING_LONGROPE },
    { "original_length", 1u << TN_ROPE_SCALING_DYNAMIC | 1u << TN_ROPE_SCALING_YARN |
                             1u << TN_ROPE_SCALING_LLAMA3 | 1u << TN_ROPE_SCALING_LONGROPE },
    { "low_freq_factor", 1u << TN_ROPE_SCALING_LLAMA3 },
    { "high_freq_factor", 1u << TN_ROPE_SCALING_LLAMA3 },
    { "beta_fast", 1u << TN_ROPE_SCALING_YARN },
    { "beta_slow", 1u << TN_ROPE_SCALING_YARN },
    { "attention_factor", 1u << TN_ROPE_SCALING_YARN | 1u << TN_ROPE_SCALING_LONGROPE },
};

/* Every number of the map is 0 while it is not given. */
static bool is_given(const tn_profile *p, const tn_profile_key *key)
{
    const char *field = (const char *)p + key->offset;
    float number;
    int32_t integer;

    memcpy(&number, field, sizeof(number));
    memcpy(&integer, field, sizeof(integer));
    return key->type == TN_KEY_FLOAT ? number > 0 : integer != 0;
}

static tn_status check_rope(tn_profile_loader *l)
{
    const tn_profile *p = l->profile;
    const tn_profile_rope *rope = &p->context.rope_scaling;
    const char *type = tn_profile_key_find("context.rope_scaling.type")->allowed[rope->type];
    char path[TN_KEY_PATH_BYTES];

    for (size_t i = 0; i < sizeof(rope_numbers) / sizeof(rope_numbers[0]); i++) {
        snprintf(path, sizeof(path), "context.rope_scaling.%s", rope_numbers[i].key);
        bool belongs = rope_numbers[i].types >> rope->type & 1;
        tn_profile_mark at = { tn_profile_where(p, path), 0, 0 };
        if (is_given(p, tn_profile_key_find(path)) && !belongs)
            return tn_profile_fail(l->err, &at,
                                   "%s is not for type %s; leave it out, or choose another type",
                                   path, type);
    }
    tn_profile_mark at = { tn_profile_where(p, "context.rope_scaling.type"), 0, 0 };
    bool needs_factor = rope_numbers[0].types >> rope->type & 1;
    if (needs_factor && !is_given(p, tn_profile_key_find("context.rope_scaling.factor")))
        return tn_profile_fail(
            l->err, &at, "context.rope_scaling.type %s needs a factor: {type: %s, factor: 2.0}",
            type, type);
    return TN_OK;
}

static tn_status check_whole(tn_profile_loader *l)
{
    const tn_profile *p = l->profile;
    tn_profile_mark source = { p->source, 0, 0 };
    tn_profile_mark kv = { tn_profile_where(p, "kv.format"), 0, 0 };

    if (!p->model)
        return tn_profile_fail(l->err, &source,
                               "no model; give --model PATH, or write model: PATH in the profile "
                               "(a GGUF file or a Hugging Face directory)");
    if (strcmp(p->kv.format, "i8-static") == 0 && !p->kv.params)
        return tn_profile_fail(
            l->err, &kv,
            "kv.format i8-static needs kv.params, the file that tenon calibrate writes");
    if (p->batch.max_tokens < p->batch.max_sequences) {
        tn_profile_mark at = { tn_profile_where(p, "batch.max_tokens"), 0, 0 };
        return tn_profile_fail(l->err, &at,
                               "batch.max_tokens %d is less than batch.max_sequences %d; a step "
                               "takes at least one token of each sequence",
                               (int)p->batch.max_tokens, (int)p->batch.max_sequences);
    }
    return check_rope(l);
}

/* ---- public ---- */

static tn_status create(tn_profile **out)
{
    tn_profile *p = tn_alloc_array(1, sizeof(*p));

    *out = p;
    if (!p)
        return TN_NO_MEMORY;
    p->priv = tn_alloc_array(1, sizeof(*p->priv));
    return p->priv ? TN_OK : TN_NO_MEMORY;
}

static tn_status load(tn_profile_loader *l, const tn_profile_options *o)
{
    const char *unnamed = o->text ? "profile" : "default";

    TN_TRY(tn_profile_store_text(l, &l->profile->source, o->path ? o->path : unnamed));
    TN_TRY(apply_defaults(l));
    TN_TRY(apply_profile(l, o));
    TN_TRY(apply_command_line(l, o));
    return check_whole(l);
}

tn_status tn_profile_load(const tn_profile_options *options, tn_profile **out_profile,
                          tn_error *err)
{
    tn_profile_loader l = { .err = err };

    *out_profile = NULL;
    tn_status st = create(&l.profile);
    if (st)
        st = fail_memory(&l);
    else
        st = load(&l, options);
    tn_arena_deinit(&l.nodes);
    if (st)
        tn_profile_destroy(l.profile);
    else
        *out_profile = l.profile;
    return st;
}

void tn_profile_destroy(tn_profile *profile)
{
    if (!profile)
        return;
    if (profile->priv)
        tn_arena_deinit(&profile->priv->memory);
    tn_free(profile->priv);
    tn_free(profile);
}

const char *tn_profile_where(const tn_profile *profile, const char *key)
{
    const tn_profile_key *row = tn_profile_key_find(key);
    const char *where = row ? profile->priv->where[row - tn_profile_keys] : NULL;

    return where ? where : "default";
}
