/* SPDX-License-Identifier: Apache-2.0 */
#include "model/formats/hf_weights.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Tensors of the core: at most three from one of the file; outside of layers embedding, norm and
 * head. */
enum { MAX_TAKES = 3, MAX_GLOBAL = 3 };

typedef struct mapper {
    tn_hf_weights *w;
    const tn_hf_config *config;
    const tn_hf_quant *quant;
    tn_arena *arena;
    size_t capacity;
} mapper;

/* ---- one tensor ---- */

static tn_status new_weight(const mapper *m, const char *name, int32_t part, tn_hf_weight **out,
                            tn_error *err)
{
    const size_t index = m->w->n_weights;
    tn_hf_weight *w = &m->w->weight[index];
    *out = NULL;
    if (index == m->capacity)
        return tn_fail(err, TN_INTERNAL, "more tensors than were planned");
    *w = (tn_hf_weight){ .part = part };
    w->info.name = tn_arena_strdup(m->arena, name);
    if (!w->info.name)
        return tn_fail_memory(err, "a tensor's name");
    m->w->n_weights++;
    *out = w;
    return TN_OK;
}

/* Rows (of a vector: elements) that a part has of a tensor with n of them. */
static tn_status part_rows(const mapper *m, int32_t part, const char *name, uint64_t n,
                           int64_t *rows, tn_error *err)
{
    const tn_model_desc *d = &m->config->desc;
    const int64_t all = ((int64_t)d->heads + 2 * d->kv_heads) * d->head_dim;
    *rows = (int64_t)n;
    if (part == TN_HF_WHOLE)
        return TN_OK;
    if (n != (uint64_t)all)
        return tn_fail(err, TN_INVALID,
                       "tensor %s has %" PRIu64 " rows; config.json makes it %" PRId64
                       ": %d query and 2 x %d kv heads of %d",
                       name, n, all, (int)d->heads, (int)d->kv_heads, (int)d->head_dim);
    *rows = (int64_t)(part == TN_HF_PACKED_Q ? d->heads : d->kv_heads) * d->head_dim;
    return TN_OK;
}

static tn_status need_plain(const tn_st_tensor *t, const tn_weight_format **out, tn_error *err)
{
    *out = NULL;
    if (t->type <= TN_ST_BF16)
        *out = tn_weight_format_of_name(t->type_name);
    if (!*out)
        return tn_fail(err, TN_UNSUPPORTED,
                       "tensor %s is %s; a weight must be F64, F32, F16 or BF16", t->name,
                       t->type_name);
    if (t->n_dims < 1 || t->n_dims > 2 || t->bytes == 0)
        return tn_fail(err, TN_INVALID,
                       "tensor %s has %d dimensions and %" PRIu64 " bytes; a "
                       "matrix or a vector is needed",
                       t->name, (int)t->n_dims, t->bytes);
    if (t->dim[t->n_dims - 1] > INT32_MAX)
        return tn_fail(err, TN_INVALID, "tensor %s has %" PRIu64 " columns; at most %d are allowed",
                       t->name, t->dim[t->n_dims - 1], INT32_MAX);
    return TN_OK;
}

static tn_status map_plain(const mapper *m, const char *name, tn_hf_source_tensor *from,
                           int32_t part, tn_error *err)
{
    const tn_st_tensor *t = from->tensor;
    const tn_weight_format *format = NULL;
    tn_hf_weight *w = NULL;
    int64_t n = 0;
    TN_TRY(need_plain(t, &format, err));
    TN_TRY(part_rows(m, part, t->name, t->dim[0], &n, err));
    TN_TRY(new_weight(m, name, part, &w, err));
    from->used = true;
    w->from = from;
    w->format = format;
    w->info.wfmt = format->wfmt;
    w->info.group = format->group;
    w->info.values = format->values;
    w->info.rows = t->n_dims == 1 ? 1 : n;
    w->info.cols = t->n_dims == 1 ? n : (int64_t)t->dim[1];
    w->info.file_bytes = t->bytes / t->dim[0] * (uint64_t)n;
    return TN_OK;
}

static const char *packed_wfmt(const mapper *m, int32_t group)
{
    if (group == 32 || group == 64 || group == 128)
        return group == 32 ? "u4z.g32" : group == 64 ? "u4z.g64" : "u4z.g128";
    return tn_arena_printf(m->arena, "u4z.g%d", (int)group);
}

static tn_status map_packed(const mapper *m, const char *name, const char *module,
                            tn_hf_source_tensor *codes, int32_t part, tn_error *err)
{
    tn_hf_weight *w = NULL;
    tn_hf_packed p;
    int64_t n = 0;
    TN_TRY(tn_hf_packed_find(&p, m->quant, m->w->shards, module, err));
    TN_TRY(part_rows(m, part, p.codes->name, (uint64_t)p.rows, &n, err));
    TN_TRY(new_weight(m, name, part, &w, err));
    w->from = codes;
    w->packed = p;
    w->info.wfmt = packed_wfmt(m, p.group);
    if (!w->info.wfmt)
        return tn_fail_memory(err, "a format's name");
    w->info.group = p.group;
    w->info.rows = n;
    w->info.cols = p.cols;
    w->info.file_bytes =
        (p.codes->bytes + p.zeros->bytes + p.scales->bytes) / (uint64_t)p.rows * (uint64_t)n;
    return TN_OK;
}

/* ---- all of them ---- */

static tn_hf_source_tensor *find_kind(const mapper *m, const char *module, const char *kind)
{
    char name[TN_ST_MAX_NAME_BYTES + 1];
    (void)snprintf(name, sizeof(name), "%s.%s", module, kind);
    return tn_hf_shards_find(m->w->shards, name);
}

static tn_status fail_missing(const mapper *m, const char *module, const char *kind, tn_error *err)
{
    return tn_fail(err, TN_INVALID,
                   "the tensor %s.%s is missing, which a model of %d layers of the type %s has",
                   module, kind, (int)m->config->desc.n_layers, m->config->family->model_type);
}

/* A module's weight, plain or packed. */
static tn_status map_weight(const mapper *m, const char *core, const char *module, int32_t part,
                            tn_error *err)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "%s.weight", core);
    tn_hf_source_tensor *plain = find_kind(m, module, "weight");
    tn_hf_source_tensor *codes = find_kind(m, module, "qweight");
    if (codes && !plain)
        return map_packed(m, name, module, codes, part, err);
    return plain ? map_plain(m, name, plain, part, err) : fail_missing(m, module, "weight", err);
}

/* Quantisers write biases of zeros into linears that have none, so there an unexpected one is
 * taken. */
static tn_status map_bias(const mapper *m, const char *core, const char *module,
                          const tn_hf_role *role, tn_error *err)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "%s.bias", core);
    const bool is_needed = (role->bias & m->config->biases) != 0;
    const bool is_allowed = role->bias && find_kind(m, module, "qweight");
    tn_hf_source_tensor *bias = find_kind(m, module, "bias");
    if (!is_needed && !(is_allowed && bias))
        return TN_OK;
    return bias ? map_plain(m, name, bias, role->rows, err) : fail_missing(m, module, "bias", err);
}

static tn_status map_layer(const mapper *m, int32_t layer, tn_error *err)
{
    const tn_hf_names *names = m->config->family->names;
    for (int32_t i = 0; i < TN_HF_MAX_ROLES && names->role[i].hf; i++) {
        const tn_hf_role *role = &names->role[i];
        char module[96], core[48];
        (void)snprintf(module, sizeof(module), "%s.%d.%s", names->layers, (int)layer, role->hf);
        (void)snprintf(core, sizeof(core), "blk.%d.%s", (int)layer, role->core);
        TN_TRY(map_weight(m, core, module, role->rows, err));
        TN_TRY(map_bias(m, core, module, role, err));
    }
    return TN_OK;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), n_end = strlen(end);
    return n >= n_end && strcmp(text + n - n_end, end) == 0;
}

/* What transformers does not load either: tables of rope that old checkpoints hold, and the head of
 * a tied model. */
static bool is_ignored(const mapper *m, const char *name)
{
    const char *head = m->config->family->names->head;
    if (ends_with(name, ".rotary_emb.inv_freq"))
        return true;
    return m->config->is_tied && strncmp(name, head, strlen(head)) == 0 &&
           strcmp(name + strlen(head), ".weight") == 0;
}

static tn_status check_left_over(const mapper *m, tn_error *err)
{
    const tn_hf_shards *s = m->w->shards;
    for (size_t i = 0; i < s->n_tensors; i++)
        if (!s->tensor[i].used && !is_ignored(m, s->tensor[i].tensor->name))
            return tn_fail(err, TN_INVALID,
                           "the tensor %s is left over: a model of %d layers of the type %s with "
                           "the settings of config.json has none of this name",
                           s->tensor[i].tensor->name, (int)m->config->desc.n_layers,
                           m->config->family->model_type);
    return TN_OK;
}

static int by_name(const void *a, const void *b)
{
    const tn_hf_weight *x = a, *y = b;
    return strcmp(x->info.name, y->info.name);
}

/* As many as the layers may have, and no more than the files have. */
static size_t most_weights(const tn_hf_shards *shards, int32_t n_layers)
{
    const size_t by_layers = MAX_GLOBAL + (size_t)n_layers * 2 * TN_HF_MAX_ROLES;
    const size_t by_files = MAX_TAKES * shards->n_tensors;
    return by_layers < by_files ? by_layers : by_files;
}

tn_status tn_hf_weights_map(tn_hf_weights *w, tn_hf_shards *shards, const tn_hf_config *config,
                            const tn_hf_quant *quant, tn_arena *arena, tn_error *err)
{
    const tn_model_desc *d = &config->desc;
    const tn_hf_names *names = config->family->names;
    *w = (tn_hf_weights){ .shards = shards,
                          .group = d->heads / d->kv_heads,
                          .kv_heads = d->kv_heads,
                          .head_dim = d->head_dim };
    const mapper m = { .w = w,
                       .config = config,
                       .quant = quant,
                       .arena = arena,
                       .capacity = most_weights(shards, d->n_layers) };
    w->weight = tn_arena_alloc(arena, m.capacity * sizeof(*w->weight));
    if (!w->weight)
        return tn_fail_memory(err, "the table of weights");
    TN_TRY(map_weight(&m, "token_embd", names->embed, TN_HF_WHOLE, err));
    TN_TRY(map_weight(&m, "output_norm", names->norm, TN_HF_WHOLE, err));
    if (!config->is_tied)
        TN_TRY(map_weight(&m, "output", names->head, TN_HF_WHOLE, err));
    for (int32_t layer = 0; layer < d->n_layers; layer++)
        TN_TRY(map_layer(&m, layer, err));
    TN_TRY(check_left_over(&m, err));
    qsort(w->weight, w->n_weights, sizeof(*w->weight), by_name);
    for (size_t i = 0; i < w->n_weights; i++)
        w->weight[i].info.handle = (int64_t)i;
    return TN_OK;
}

/* ---- weight source ---- */

static tn_status source_find(void *self, const char *name, tn_weight_info *info)
{
    const tn_hf_weights *w = self;
    const tn_hf_weight wanted = { .info = { .name = name } };
    const tn_hf_weight *found =
        w->n_weights ? bsearch(&wanted, w->weight, w->n_weights, sizeof(*w->weight), by_name)
                     : NULL;
    if (!found)
        return TN_UNSUPPORTED;
    *info = found->info;
    return TN_OK;
}

/* The row of the file's tensor where `row` of a part is, and how many of the n from there on follow
 * it in both. A kv head has its query heads, k and v one after another. */
static int64_t file_row(const tn_hf_weights *w, int32_t part, int64_t row, int64_t *n)
{
    if (part == TN_HF_WHOLE)
        return row;
    const int64_t head = row / w->head_dim, at = row % w->head_dim;
    const int64_t heads = w->group + 2; /* of a kv head */
    const int64_t left = w->head_dim - at;
    *n = *n < left ? *n : left;
    if (part == TN_HF_PACKED_Q)
        return (head / w->group * heads + head % w->group) * w->head_dim + at;
    return (head * heads + w->group + (part == TN_HF_PACKED_V)) * w->head_dim + at;
}

/* Rows of a matrix, or elements of a vector, which are rows of one column. */
static void read_rows(const tn_hf_weights *w, const tn_hf_weight *t, int64_t row0, int64_t n,
                      const tn_row_buffer *buffer)
{
    const size_t width = t->from->tensor->n_dims == 1 ? 1 : (size_t)t->info.cols;
    for (int64_t done = 0; done < n;) {
        int64_t run = n - done;
        const int64_t from = file_row(w, t->part, row0 + done, &run);
        const size_t at = (size_t)done * width;
        if (t->format)
            t->format->decode(t->from->tensor->data + (size_t)from * width * t->format->block_bytes,
                              (size_t)run * width,
                              &(tn_row_buffer){ .values = buffer->values + at });
        else
            tn_hf_packed_rows(&t->packed, from, (int32_t)run, (int32_t)done, buffer);
        done += run;
    }
}

static const tn_hf_weight *weight_of(const tn_hf_weights *w, const tn_weight_info *info)
{
    return info->handle >= 0 && (uint64_t)info->handle < w->n_weights ? &w->weight[info->handle]
                                                                      : NULL;
}

/* That the bytes which were read are in the files. */
static tn_status check_files(const tn_hf_weights *w, const tn_hf_weight *t, tn_error *err)
{
    const char *const names[] = { t->from->tensor->name, t->format ? NULL : t->packed.zeros->name,
                                  t->format ? NULL : t->packed.scales->name };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && names[i]; i++) {
        const tn_hf_file *f = tn_hf_shards_find(w->shards, names[i])->shard->file;
        TN_TRY(tn_map_guard_check(f->guard, f->path, err));
    }
    return TN_OK;
}

static tn_status source_rows(void *self, const tn_weight_info *info, int64_t row0, int32_t n,
                             const tn_row_buffer *buffer, tn_weight_rows *out, tn_error *err)
{
    const tn_hf_weights *w = self;
    const tn_hf_weight *t = weight_of(w, info);
    if (!t)
        return tn_fail(err, TN_INVALID, "%s: no tensor of this model", info->name);
    if (row0 < 0 || n < 0 || row0 > t->info.rows - n)
        return tn_fail(err, TN_INVALID,
                       "%s: rows %" PRId64 " to %" PRId64 " of %" PRId64 " were asked for",
                       t->info.name, row0, row0 + n, t->info.rows);
    if (t->from->tensor->n_dims == 1)
        read_rows(w, t, 0, n ? t->info.cols : 0, buffer);
    else
        read_rows(w, t, row0, n, buffer);
    *out = (tn_weight_rows){ .size = sizeof(*out),
                             .rows = n,
                             .cols = (int32_t)t->info.cols,
                             .group = t->info.group,
                             .row0 = row0,
                             .values = buffer->values,
                             .codes = buffer->codes,
                             .scale = buffer->scale,
                             .zero = buffer->zero };
    return check_files(w, t, err);
}

static void drop(const tn_hf_weights *w, const char *name)
{
    const tn_hf_source_tensor *from = tn_hf_shards_find(w->shards, name);
    if (from && from->shard->file->map.data)
        tn_file_map_drop(&from->shard->file->map, (size_t)from->tensor->offset,
                         (size_t)from->tensor->bytes);
}

static void source_done(void *self, const tn_weight_info *info)
{
    const tn_hf_weights *w = self;
    const tn_hf_weight *t = weight_of(w, info);
    if (!t)
        return;
    drop(w, t->from->tensor->name);
    if (t->format)
        return;
    drop(w, t->packed.zeros->name);
    drop(w, t->packed.scales->name);
}

tn_weight_source tn_hf_weights_source(tn_hf_weights *w, uint64_t id)
{
    return (tn_weight_source){
        .self = w, .id = id, .find = source_find, .rows = source_rows, .done = source_done
    };
}
