/* SPDX-License-Identifier: Apache-2.0 */
#include "model/formats/hf_files.h"

#include "model/formats/json_read.h"

#include <string.h>
#include <unistd.h>

enum { MAX_NAME_BYTES = 255 };

static const char *join(tn_arena *arena, const char *dir, const char *name)
{
    const size_t n = strlen(dir), n_name = strlen(name);
    char *path = tn_arena_alloc(arena, n + 1 + n_name + 1);
    if (!path)
        return NULL;
    memcpy(path, dir, n);
    path[n] = '/';
    memcpy(path + n + 1, name, n_name);
    return path;
}

static tn_status check_name(const char *name, tn_error *err)
{
    if (name[0] && name[0] != '.' && !strchr(name, '/') && strlen(name) <= MAX_NAME_BYTES)
        return TN_OK;
    return tn_fail(err, TN_INVALID,
                   "\"%.64s\" is no name of a file in the directory: a name without / that does "
                   "not begin with . is needed",
                   name);
}

/* Fill f; *found false: there is no such file. */
static tn_status open_file(tn_hf_files *files, tn_hf_file *f, bool *found, tn_error *err)
{
    *found = false;
    for (size_t i = 0; i < files->n_memory && !*found; i++)
        if (strcmp(files->memory[i].name, f->name) == 0) {
            f->data = files->memory[i].data;
            f->size = files->memory[i].size;
            *found = true;
        }
    if (files->memory || access(f->path, F_OK) != 0)
        return TN_OK;
    TN_TRY(tn_file_map_open(&f->map, f->path, err));
    f->data = f->map.data;
    f->size = f->map.size;
    *found = true;
    return tn_map_guard_add(&f->map, &f->guard, err);
}

tn_status tn_hf_files_open(tn_hf_files *files, const char *name, const tn_hf_file **out,
                           tn_error *err)
{
    bool found = false;
    *out = NULL;
    TN_TRY(check_name(name, err));
    for (const tn_hf_file *f = files->opened; f; f = f->next)
        if (strcmp(f->name, name) == 0) {
            *out = f;
            return TN_OK;
        }
    tn_hf_file *f = tn_arena_alloc(&files->arena, sizeof(*f));
    if (!f)
        return tn_fail_memory(err, "a file of the model");
    f->name = tn_arena_strdup(&files->arena, name);
    f->path = join(&files->arena, files->dir, name);
    if (!f->name || !f->path)
        return tn_fail_memory(err, "a file of the model");
    tn_status st = open_file(files, f, &found, err);
    if (st || !found) {
        tn_file_map_close(&f->map);
        return st;
    }
    f->next = files->opened;
    files->opened = f;
    *out = f;
    return TN_OK;
}

tn_status tn_hf_files_json(tn_hf_files *files, const char *name, json_t **out, tn_error *err)
{
    const tn_hf_file *f = NULL;
    *out = NULL;
    TN_TRY(tn_hf_files_open(files, name, &f, err));
    if (!f)
        return TN_OK;
    if (f->size > TN_JSON_MAX_FILE_BYTES)
        return tn_fail(err, TN_INVALID, "%s has %zu bytes; at most %d are allowed", f->path,
                       f->size, TN_JSON_MAX_FILE_BYTES);
    tn_status st = tn_json_parse((const char *)f->data, f->size, &tn_json_settings, true, out, err);
    return st ? tn_error_wrap(err, st, "%s", f->path) : TN_OK;
}

tn_status tn_hf_files_check(const tn_hf_files *files, tn_error *err)
{
    for (const tn_hf_file *f = files->opened; f; f = f->next)
        TN_TRY(tn_map_guard_check(f->guard, f->path, err));
    return TN_OK;
}

void tn_hf_files_deinit(tn_hf_files *files)
{
    for (tn_hf_file *f = files->opened; f; f = f->next) {
        tn_map_guard_remove(f->guard);
        tn_file_map_close(&f->map);
    }
    tn_arena_deinit(&files->arena);
    *files = (tn_hf_files){ 0 };
}
