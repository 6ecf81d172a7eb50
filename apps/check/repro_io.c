/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/repro_io.h"

#include <math.h>
#include <string.h>

enum { MAX_TEXT = 255 };

void tn_repro_fail(tn_repro_io *io, tn_status status, const char *format, ...)
{
    va_list args;
    if (io->status)
        return;
    va_start(args, format);
    io->status = tn_fail_v(&io->error, status, format, args);
    va_end(args);
}

static json_t *inner(const tn_repro_io *io)
{
    return io->object[io->depth];
}

bool tn_repro_begin(tn_repro_io *io, const char *key)
{
    if (!io->status && io->depth + 1 == TN_REPRO_MAX_DEPTH)
        tn_repro_fail(io, TN_INTERNAL, "objects lie too deep");
    if (io->status)
        return false;
    json_t *object = io->reading ? json_object_get(inner(io), key) : json_object();
    if (!io->reading && json_object_set_new(inner(io), key, object))
        tn_repro_fail(io, TN_NO_MEMORY, "cannot allocate memory for a repro file");
    else if (!json_is_object(object))
        tn_repro_fail(io, TN_INVALID, "\"%s\" is no object", key);
    if (!io->status)
        io->object[++io->depth] = object;
    return !io->status;
}

void tn_repro_end(tn_repro_io *io)
{
    if (!io->status)
        io->depth--;
}

static void put(tn_repro_io *io, const char *key, json_t *value)
{
    if (!io->status && json_object_set_new(inner(io), key, value))
        tn_repro_fail(io, TN_NO_MEMORY, "cannot allocate memory for a repro file");
}

void tn_repro_int(tn_repro_io *io, const char *key, int32_t min, int32_t max, int32_t *value)
{
    if (!io->reading)
        put(io, key, json_integer(*value));
    if (!io->reading || io->status)
        return;
    const json_t *json = json_object_get(inner(io), key);
    const json_int_t got = json_integer_value(json);
    if (!json_is_integer(json) || got < min || got > max)
        tn_repro_fail(io, TN_INVALID, "\"%s\" is no whole number from %d to %d", key, (int)min,
                      (int)max);
    else
        *value = (int32_t)got;
}

void tn_repro_real(tn_repro_io *io, const char *key, float *value)
{
    if (!io->reading)
        put(io, key, json_real((double)*value));
    if (!io->reading || io->status)
        return;
    const json_t *json = json_object_get(inner(io), key);
    const double got = json_number_value(json);
    if (!json_is_number(json) || !isfinite((float)got))
        tn_repro_fail(io, TN_INVALID, "\"%s\" is no number", key);
    else
        *value = (float)got;
}

void tn_repro_text(tn_repro_io *io, const char *key, const char **value)
{
    if (!io->reading)
        put(io, key, *value ? json_stringn_nocheck(*value, strlen(*value)) : json_null());
    if (!io->reading || io->status)
        return;
    const json_t *json = json_object_get(inner(io), key);
    const char *text = json_string_value(json);
    *value = NULL;
    if (json_is_null(json))
        return;
    if (!text || strlen(text) > MAX_TEXT) {
        tn_repro_fail(io, TN_INVALID, "\"%s\" is no text of at most %d bytes", key, MAX_TEXT);
        return;
    }
    *value = tn_arena_strdup(io->arena, text);
    if (!*value)
        tn_repro_fail(io, TN_NO_MEMORY, "cannot allocate memory for a case");
}

static const tn_st_tensor *find(const tn_safetensors *file, const char *name)
{
    for (size_t i = 0; i < file->n_tensors; i++)
        if (strcmp(file->tensor[i].name, name) == 0)
            return &file->tensor[i];
    return NULL;
}

/* All elements count as a flat array. Copied, since the file's may lie at odd addresses. */
static void read_array(tn_repro_io *io, const char *name, const char *type, size_t n,
                       const void **data)
{
    const tn_st_tensor *t = find(io->file, name);
    if (!t || strcmp(t->type_name, type) != 0 || t->bytes / (type[0] == 'U' ? 1 : 4) != n) {
        tn_repro_fail(io, TN_INVALID, "there is no array %s of %zu elements of type %s", name, n,
                      type);
        return;
    }
    *data = tn_arena_copy(io->arena, t->data, (size_t)t->bytes);
    if (!*data)
        tn_repro_fail(io, TN_NO_MEMORY, "cannot allocate memory for a case");
}

void tn_repro_array_of(tn_repro_io *io, const char *name, const char *type, size_t n, bool needed,
                       const void **data)
{
    if (io->status)
        return;
    if (io->reading) {
        *data = NULL;
        if (needed && n > 0)
            read_array(io, name, type, n, data);
        return;
    }
    if (n == 0 || !*data)
        return;
    if (io->n_arrays == TN_REPRO_MAX_ARRAYS) {
        tn_repro_fail(io, TN_INTERNAL, "the case has too many arrays");
        return;
    }
    tn_repro_array *a = &io->array[io->n_arrays++];
    *a = (tn_repro_array){ .type = type, .data = *data, .n = n };
    a->bytes = n * (type[0] == 'U' ? 1 : 4);
    (void)strncpy(a->name, name, sizeof a->name - 1);
}
