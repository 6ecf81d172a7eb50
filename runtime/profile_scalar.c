/* SPDX-License-Identifier: Apache-2.0 */
/* Keys with one value: each type of the table that is a scalar has one function here. */
#include "runtime/nearest_name.h"
#include "runtime/profile_internal.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_DEVICE_NAME_BYTES = 65, MAX_WORKING_DIRECTORY_BYTES = 4096 };

static tn_arena *memory_of(tn_profile_loader *l)
{
    return &l->profile->priv->memory;
}

static tn_status fail_memory(tn_profile_loader *l)
{
    return tn_fail_memory(l->err, "a profile");
}

/* ---- messages ---- */

/* "KEY is WHAT; allowed: ..., did you mean ..." */
tn_status tn_profile_fail_value(tn_profile_loader *l, const tn_profile_key *key,
                                const tn_profile_node *v, const char *what)
{
    char allowed[TN_ALLOWED_BYTES];
    const char *near = NULL;

    tn_profile_key_allowed(key, allowed);
    if (key->allowed && key->type != TN_KEY_ENUM_INT && v->kind == TN_NODE_SCALAR)
        near = tn_nearest_name(v->text, key->allowed);
    if (near)
        return tn_profile_fail(l->err, &v->at, "%s is %s; allowed: %s; did you mean \"%s\"",
                               key->path, what, allowed, near);
    return tn_profile_fail(l->err, &v->at, "%s is %s; allowed: %s", key->path, what, allowed);
}

static tn_status fail_text(tn_profile_loader *l, const tn_profile_key *key,
                           const tn_profile_node *v, const char *text)
{
    char shown[TN_SHOWN_BYTES];

    return tn_profile_fail_value(l, key, v, tn_profile_show(text, shown));
}

const char *tn_profile_kind_name(const tn_profile_node *v)
{
    static const char *const names[] = { "one value", "a map", "a list" };

    return names[v->kind];
}

/* ---- texts ---- */

bool tn_profile_is_null(const tn_profile_node *v)
{
    static const char *const nulls[] = { "", "~", "null", "Null", "NULL" };

    for (size_t i = 0; v->kind == TN_NODE_SCALAR && !v->quoted && i < 5; i++) {
        if (strcmp(v->text, nulls[i]) == 0)
            return true;
    }
    return false;
}

/* The expanded text of a scalar; borrowed from the loader's nodes. */
tn_status tn_profile_scalar_text(tn_profile_loader *l, const tn_profile_key *key,
                                 const tn_profile_node *v, const char **out)
{
    if (tn_profile_is_null(v))
        return tn_profile_fail_value(l, key, v,
                                     "without a value (leave the key out for its default)");
    if (v->kind != TN_NODE_SCALAR)
        return tn_profile_fail_value(l, key, v, tn_profile_kind_name(v));
    TN_TRY(tn_profile_expand(&l->nodes, v->text, &v->at, out, l->err));
    if (!**out)
        return tn_profile_fail_value(l, key, v, "empty");
    return TN_OK;
}

/* As scalar_text, for numbers and booleans: quotes make a text of them, unless they are there for
 * ${}. */
static tn_status bare_text(tn_profile_loader *l, const tn_profile_key *key,
                           const tn_profile_node *v, const char **out)
{
    TN_TRY(tn_profile_scalar_text(l, key, v, out));
    if (v->quoted && *out == v->text && !(key->word && strcmp(key->word, *out) == 0)) {
        char shown[TN_SHOWN_BYTES];
        return tn_profile_fail(l->err, &v->at, "%s is text, %s; write it without quotes", key->path,
                               tn_profile_show(*out, shown));
    }
    return TN_OK;
}

tn_status tn_profile_store_text(tn_profile_loader *l, void *field, const char *text)
{
    const char *copy = tn_arena_strdup(memory_of(l), text);

    if (!copy)
        return fail_memory(l);
    *(const char **)field = copy;
    return TN_OK;
}

/* dir/text, or text alone when it is absolute or starts at the working directory. */
static tn_status store_joined(tn_profile_loader *l, void *field, const char *dir, const char *text)
{
    if (*text == '/' || !dir)
        return tn_profile_store_text(l, field, text);
    size_t n_dir = strlen(dir);
    size_t n_text = strlen(text);
    char *path = tn_arena_alloc(memory_of(l), n_dir + n_text + 2);
    if (!path)
        return fail_memory(l);
    memcpy(path, dir, n_dir);
    path[n_dir] = '/';
    memcpy(path + n_dir + 1, text, n_text + 1);
    *(const char **)field = path;
    return TN_OK;
}

tn_status tn_profile_store_path(tn_profile_loader *l, void *field, const char *text)
{
    return store_joined(l, field, l->dir, text);
}

tn_status tn_profile_store_value(tn_profile_loader *l, const tn_profile_key *key, void *field,
                                 const tn_profile_node *v)
{
    const char *text = "";

    TN_TRY(tn_profile_scalar_text(l, key, v, &text));
    return tn_profile_store_text(l, field, text);
}

static tn_status apply_path(tn_profile_loader *l, const tn_profile_key *key, void *field,
                            const tn_profile_node *v)
{
    const char *text = "";

    TN_TRY(tn_profile_scalar_text(l, key, v, &text));
    return tn_profile_store_path(l, field, text);
}

static tn_status apply_plugin_name(tn_profile_loader *l, const tn_profile_key *key, void *field,
                                   const tn_profile_node *v)
{
    const char *text = "";

    TN_TRY(tn_profile_scalar_text(l, key, v, &text));
    if (!tn_profile_is_name(text))
        return fail_text(l, key, v, text);
    return tn_profile_store_text(l, field, text);
}

/* Absolute in a file, so that a profile cannot pick up what lies in the working directory; made
 * absolute from --set. */
static tn_status apply_plugin_path(tn_profile_loader *l, const tn_profile_key *key, void *field,
                                   const tn_profile_node *v)
{
    char cwd[MAX_WORKING_DIRECTORY_BYTES];
    const char *text = "";

    TN_TRY(tn_profile_scalar_text(l, key, v, &text));
    if (*text == '/')
        return tn_profile_store_text(l, field, text);
    if (!l->command_line)
        return fail_text(l, key, v, text);
    if (!getcwd(cwd, sizeof(cwd)))
        return tn_profile_fail(l->err, &v->at,
                               "the working directory has no path; write %s absolute", key->path);
    return store_joined(l, field, cwd, text);
}

static tn_status apply_reference(tn_profile_loader *l, const tn_profile_key *key, void *field,
                                 const tn_profile_node *v)
{
    const char *text = "";

    TN_TRY(tn_profile_scalar_text(l, key, v, &text));
    const char *dot = strrchr(text, '.');
    bool yaml = dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
    if (yaml || strchr(text, '/'))
        return tn_profile_store_path(l, field, text);
    if (!tn_profile_is_name(text))
        return fail_text(l, key, v, text);
    return tn_profile_store_text(l, field, text);
}

static tn_status apply_sha256(tn_profile_loader *l, const tn_profile_key *key, void *field,
                              const tn_profile_node *v)
{
    char lower[65] = { 0 };
    const char *text = "";

    TN_TRY(tn_profile_scalar_text(l, key, v, &text));
    size_t n = strlen(text);
    if (n != 64 || strspn(text, "0123456789abcdefABCDEF") != n)
        return fail_text(l, key, v, text);
    for (size_t i = 0; i < n; i++)
        lower[i] = (char)(text[i] >= 'A' && text[i] <= 'F' ? text[i] - 'A' + 'a' : text[i]);
    return tn_profile_store_text(l, field, lower);
}

static int32_t index_of(const char *text, const char *const *names)
{
    for (int32_t i = 0; names[i]; i++) {
        if (strcmp(text, names[i]) == 0)
            return i;
    }
    return -1;
}

static tn_status apply_kv_format(tn_profile_loader *l, const tn_profile_key *key, void *field,
                                 const tn_profile_node *v)
{
    const char *text = "";

    TN_TRY(tn_profile_scalar_text(l, key, v, &text));
    const char *slash = strchr(text, '/');
    bool private_format = slash && slash != text && slash[1] && !strchr(slash + 1, '/');
    if (index_of(text, key->allowed) < 0 && !private_format)
        return fail_text(l, key, v, text);
    return tn_profile_store_text(l, field, text);
}

static tn_status apply_device(tn_profile_loader *l, const tn_profile_key *key, void *field,
                              const tn_profile_node *v)
{
    tn_profile_device *device = field;
    char name[MAX_DEVICE_NAME_BYTES];
    int32_t index;
    const char *text = "";

    TN_TRY(tn_profile_scalar_text(l, key, v, &text));
    if (!tn_profile_parse_device(text, name, sizeof(name), &index))
        return fail_text(l, key, v, text);
    TN_TRY(tn_profile_store_text(l, &device->name, name));
    TN_TRY(tn_profile_store_text(l, &device->raw, text));
    device->index = index;
    return TN_OK;
}

/* ---- numbers ---- */

static tn_status apply_enum(tn_profile_loader *l, const tn_profile_key *key, void *field,
                            const tn_profile_node *v)
{
    const char *text = "";

    TN_TRY(tn_profile_scalar_text(l, key, v, &text));
    int32_t index = index_of(text, key->allowed);
    if (index < 0)
        return fail_text(l, key, v, text);
    *(int32_t *)field = index;
    return TN_OK;
}

static tn_status apply_enum_int(tn_profile_loader *l, const tn_profile_key *key, void *field,
                                const tn_profile_node *v)
{
    const char *text = "";
    int64_t number = 0;

    TN_TRY(bare_text(l, key, v, &text));
    if (index_of(text, key->allowed) < 0 || !tn_profile_parse_int(text, &number))
        return fail_text(l, key, v, text);
    *(int32_t *)field = (int32_t)number;
    return TN_OK;
}

static tn_status apply_int(tn_profile_loader *l, const tn_profile_key *key, void *field,
                           const tn_profile_node *v)
{
    const char *text = "";
    int64_t number = 0;

    TN_TRY(bare_text(l, key, v, &text));
    bool word = key->word && strcmp(text, key->word) == 0;
    if (!word && (!tn_profile_parse_int(text, &number) || (double)number < key->min ||
                  (double)number > key->max))
        return fail_text(l, key, v, text);
    *(int32_t *)field = (int32_t)number;
    return TN_OK;
}

static tn_status apply_float(tn_profile_loader *l, const tn_profile_key *key, void *field,
                             const tn_profile_node *v)
{
    const char *text = "";
    double number = 0;

    TN_TRY(bare_text(l, key, v, &text));
    if (!tn_profile_parse_float(text, &number) || number < key->min || number > key->max)
        return fail_text(l, key, v, text);
    *(float *)field = (float)number;
    return TN_OK;
}

static tn_status apply_bool(tn_profile_loader *l, const tn_profile_key *key, void *field,
                            const tn_profile_node *v)
{
    const char *text = "";

    TN_TRY(bare_text(l, key, v, &text));
    bool yes = strcmp(text, "true") == 0;
    if (!yes && strcmp(text, "false") != 0)
        return fail_text(l, key, v, text);
    *(bool *)field = yes;
    return TN_OK;
}

static tn_status apply_seed(tn_profile_loader *l, const tn_profile_key *key, void *field,
                            const tn_profile_node *v)
{
    tn_profile_generate *generate = &l->profile->generate;
    const char *text = "";
    uint64_t seed = 0;

    (void)field;
    TN_TRY(bare_text(l, key, v, &text));
    bool draw = strcmp(text, key->word) == 0;
    if (!draw && !tn_profile_parse_u64(text, &seed))
        return fail_text(l, key, v, text);
    generate->seed_auto = draw;
    generate->seed = seed;
    return TN_OK;
}

static tn_status apply_size(tn_profile_loader *l, const tn_profile_key *key, void *field,
                            const tn_profile_node *v)
{
    const char *text = "";

    TN_TRY(tn_profile_scalar_text(l, key, v, &text));
    if (!tn_profile_parse_size(text, field))
        return fail_text(l, key, v, text);
    return TN_OK;
}

/* ---- by type ---- */

typedef tn_status (*apply_fn)(tn_profile_loader *l, const tn_profile_key *key, void *field,
                              const tn_profile_node *v);

static const apply_fn appliers[TN_N_KEY_TYPES] = {
    [TN_KEY_TEXT] = tn_profile_store_value,
    [TN_KEY_PATH] = apply_path,
    [TN_KEY_PLUGIN_NAME] = apply_plugin_name,
    [TN_KEY_PLUGIN_PATH] = apply_plugin_path,
    [TN_KEY_REFERENCE] = apply_reference,
    [TN_KEY_SHA256] = apply_sha256,
    [TN_KEY_KV_FORMAT] = apply_kv_format,
    [TN_KEY_DEVICE] = apply_device,
    [TN_KEY_ENUM] = apply_enum,
    [TN_KEY_ENUM_INT] = apply_enum_int,
    [TN_KEY_INT] = apply_int,
    [TN_KEY_FLOAT] = apply_float,
    [TN_KEY_BOOL] = apply_bool,
    [TN_KEY_SEED] = apply_seed,
    [TN_KEY_SIZE] = apply_size,
};

bool tn_profile_type_is_scalar(int32_t type)
{
    return appliers[type] != NULL;
}

tn_status tn_profile_apply_scalar(tn_profile_loader *l, const tn_profile_key *key, void *field,
                                  const tn_profile_node *v)
{
    return appliers[key->type](l, key, field, v);
}
