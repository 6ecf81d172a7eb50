/* SPDX-License-Identifier: Apache-2.0 */
/* A weight source in memory: owns copies of its tensors. */
#include "tests/support/memory_source.h"

#include "core/base/alloc.h"
#include "core/base/hash.h"

#include <stdbool.h>
#include <string.h>

typedef struct memory_tensor {
    tn_weight_info info; /* name and wfmt are owned copies */
    char *name, *wfmt;
    tn_row_buffer all; /* all rows */
} memory_tensor;

struct tn_memory_source {
    memory_tensor *tensor;
    size_t n, capacity;
    tn_weight_source interface;
};

static tn_status memory_find(void *self, const char *name, tn_weight_info *info)
{
    const tn_memory_source *m = self;
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->tensor[i].name, name) == 0) {
            *info = m->tensor[i].info;
            return TN_OK;
        }
    return TN_UNSUPPORTED;
}

/* Copy rows [row0, row0 + n) of src into dst; rows of `width` elements of `size` bytes. */
static void copy_rows(void *dst, const void *src, int64_t row0, int32_t n, int64_t width,
                      size_t size)
{
    memcpy(dst, (const char *)src + (size_t)(row0 * width) * size, (size_t)(n * width) * size);
}

static tn_status memory_rows(void *self, const tn_weight_info *info, int64_t row0, int32_t n,
                             const tn_row_buffer *buffer, tn_weight_rows *out, tn_error *err)
{
    const tn_memory_source *m = self;
    if (info->handle < 0 || (uint64_t)info->handle >= m->n)
        return tn_fail(err, TN_INVALID, "%s: no tensor of this source", info->name);
    const memory_tensor *t = &m->tensor[info->handle];
    if (row0 < 0 || n < 0 || row0 > t->info.rows - n)
        return tn_fail(err, TN_INVALID, "%s: rows %lld to %lld of %lld", t->name, (long long)row0,
                       (long long)(row0 + n), (long long)t->info.rows);
    *out = (tn_weight_rows){
        .size = sizeof(*out), .rows = n, .cols = (int32_t)t->info.cols, .row0 = row0
    };
    if (t->all.values) {
        copy_rows(buffer->values, t->all.values, row0, n, t->info.cols, sizeof(float));
        out->values = buffer->values;
        return TN_OK;
    }
    int64_t n_groups = t->info.cols / t->info.group;
    out->group = t->info.group;
    copy_rows(buffer->codes, t->all.codes, row0, n, t->info.cols, 1);
    copy_rows(buffer->scale, t->all.scale, row0, n, n_groups, sizeof(float));
    out->codes = buffer->codes;
    out->scale = buffer->scale;
    if (t->all.zero) {
        copy_rows(buffer->zero, t->all.zero, row0, n, n_groups, sizeof(float));
        out->zero = buffer->zero;
    }
    return TN_OK;
}

tn_status tn_memory_source_create(tn_memory_source **out, tn_error *err)
{
    *out = tn_alloc_array(1, sizeof(**out));
    if (!*out)
        return tn_fail_memory(err, "a memory weight source");
    (*out)->interface =
        (tn_weight_source){ .self = *out, .find = memory_find, .rows = memory_rows };
    return TN_OK;
}

static void memory_tensor_deinit(memory_tensor *t)
{
    tn_free(t->name);
    tn_free(t->wfmt);
    tn_row_buffer_deinit(&t->all);
}

/* Check that the arrays fit the format's buffer `all`, and copy them. Returns false when one is
 * missing. */
static bool copy_arrays(tn_row_buffer *all, const tn_weight_info *info, const tn_weight_rows *rows)
{
    bool complete = all->values ? rows->values != NULL
                                : rows->codes && rows->scale && (rows->zero || !all->zero);
    if (!complete)
        return false;
    int32_t n = (int32_t)info->rows;
    if (all->values) {
        copy_rows(all->values, rows->values, 0, n, info->cols, sizeof(float));
        return true;
    }
    copy_rows(all->codes, rows->codes, 0, n, info->cols, 1);
    copy_rows(all->scale, rows->scale, 0, n, info->cols / info->group, sizeof(float));
    if (all->zero)
        copy_rows(all->zero, rows->zero, 0, n, info->cols / info->group, sizeof(float));
    return true;
}

static uint64_t hash_tensor(const memory_tensor *t, uint64_t seed)
{
    size_t n = (size_t)(t->info.rows * t->info.cols);
    uint64_t id = tn_hash64(t->name, strlen(t->name) + 1, seed);
    id = tn_hash64(t->wfmt, strlen(t->wfmt) + 1, id);
    if (t->all.values)
        return tn_hash64(t->all.values, n * sizeof(float), id);
    size_t n_groups = n / (size_t)t->info.group;
    id = tn_hash64(t->all.codes, n, id);
    id = tn_hash64(t->all.scale, n_groups * sizeof(float), id);
    return t->all.zero ? tn_hash64(t->all.zero, n_groups * sizeof(float), id) : id;
}

tn_status tn_memory_source_add(tn_memory_source *m, const tn_weight_info *info,
                               const tn_weight_rows *all_rows, tn_error *err)
{
    tn_weight_info present;
    if (memory_find(m, info->name, &present) == TN_OK)
        return tn_fail(err, TN_INVALID, "%s: a tensor of this name is there already", info->name);
    if (info->rows < 1 || info->rows > INT32_MAX)
        return tn_fail(err, TN_INVALID, "%s: %lld rows", info->name, (long long)info->rows);
    if (m->n == m->capacity) {
        size_t capacity = m->capacity ? m->capacity * 2 : 16;
        memory_tensor *grown = tn_realloc_array(m->tensor, capacity, sizeof(*grown));
        if (!grown)
            return tn_fail_memory(err, "a memory weight source");
        m->tensor = grown;
        m->capacity = capacity;
    }
    memory_tensor t = { .info = *info };
    TN_TRY(tn_row_buffer_init(&t.all, info, (int32_t)info->rows, err));
    t.name = tn_strdup(info->name);
    t.wfmt = tn_strdup(info->wfmt);
    tn_status st = t.name && t.wfmt ? TN_OK : tn_fail_memory(err, "a tensor's name");
    if (!st && !copy_arrays(&t.all, info, all_rows))
        st = tn_fail(err, TN_INVALID, "%s: format %s needs other arrays than those given",
                     info->name, info->wfmt);
    if (st) {
        memory_tensor_deinit(&t);
        return st;
    }
    t.info.name = t.name;
    t.info.wfmt = t.wfmt;
    t.info.handle = (int64_t)m->n;
    m->tensor[m->n++] = t;
    m->interface.id = hash_tensor(&t, m->interface.id);
    return TN_OK;
}

const tn_weight_source *tn_memory_source_interface(tn_memory_source *m)
{
    return &m->interface;
}

void tn_memory_source_destroy(tn_memory_source *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n; i++)
        memory_tensor_deinit(&m->tensor[i]);
    tn_free(m->tensor);
    tn_free(m);
}
