/* SPDX-License-Identifier: Apache-2.0 */
/* Which tensors a directory has, and what each is made of. */
#include "apps/convert/hf_tensors.h"

#include <stdio.h>
#include <string.h>

typedef struct planner {
    const tn_convert_args *args;
    tn_model_file *file;
    tn_arena *arena;
    tn_convert_hf_tensors *out;
    int32_t order; /* of q and k */
} planner;

uint32_t tn_convert_biases(tn_model_file *file, const tn_hf_family *family)
{
    const tn_weight_source *s = tn_model_file_weights(file);
    tn_weight_info info;
    uint32_t biases = 0;
    for (int32_t i = 0; i < TN_HF_MAX_ROLES && family->names->role[i].hf; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "blk.0.%s.bias", family->names->role[i].core);
        if (!s->find(s->self, name, &info))
            biases |= family->names->role[i].bias;
    }
    return biases;
}

bool tn_convert_is_awq(const tn_convert_args *args)
{
    return args->type && strcmp(args->type, "awq") == 0;
}

/* ---- one ---- */

/* The tensor of that name: a new one, or the one that has q already. */
static tn_convert_hf_tensor *tensor_of(const planner *p, const char *module, const char *kind)
{
    tn_convert_hf_tensors *all = p->out;
    for (int32_t i = all->n - 1; i >= 0 && strcmp(all->tensor[i].module, module) == 0; i--)
        if (strcmp(all->tensor[i].kind, kind) == 0)
            return &all->tensor[i];
    tn_convert_hf_tensor *t = &all->tensor[all->n];
    *t = (tn_convert_hf_tensor){ .module = tn_arena_strdup(p->arena, module), .kind = kind };
    if (!t->module)
        return NULL;
    all->n++;
    return t;
}

/* That rows can be reckoned from the heads, as tn_convert_hf_write does it of several parts. */
static tn_status check_part(const planner *p, const tn_convert_hf_tensor *t, int32_t rows,
                            tn_error *err)
{
    const tn_convert_hf_tensors *all = p->out;
    const tn_convert_tensor *first = &t->part[0], *part = &t->part[t->n_parts];
    const int32_t heads = all->kv_heads * (rows == TN_HF_PACKED_Q ? all->group : 1);
    const int64_t n = part->is_vector ? part->info.cols : part->info.rows;
    const bool is_alike = part->is_vector == first->is_vector &&
                          (part->is_vector || part->info.cols == first->info.cols);
    if (rows == TN_HF_WHOLE || (is_alike && n == (int64_t)heads * all->head_dim))
        return TN_OK;
    return tn_fail(err, TN_INVALID, "tensor %s has %lld rows; %d heads of %d have %lld",
                   part->info.name, (long long)n, (int)heads, (int)all->head_dim,
                   (long long)heads * all->head_dim);
}

static tn_status add(const planner *p, const char *module, const char *core, const char *kind,
                     int32_t rows, tn_error *err)
{
    const tn_weight_source *s = tn_model_file_weights(p->file);
    tn_weight_info info;
    char name[80];
    (void)snprintf(name, sizeof name, "%s.%s", core, kind);
    if (p->out->n == tn_model_file_n_tensors(p->file) || s->find(s->self, name, &info))
        return tn_fail(err, TN_INVALID, "the tensor %s is missing", name);
    tn_convert_hf_tensor *t = tensor_of(p, module, kind);
    if (!t)
        return tn_fail_memory(err, "a tensor's name");
    tn_convert_tensor *part = &t->part[t->n_parts];
    *part = tn_convert_tensor_of(&info);
    part->encode = tn_convert_encode_values;
    TN_TRY(check_part(p, t, rows, err));
    tn_convert_set_order(part, p->order);
    TN_TRY(tn_convert_plain_format(p->args->dtype, &t->part[0].info, &part->format, err));
    t->is_awq = tn_convert_is_awq(p->args) && !part->is_vector && strncmp(core, "blk.", 4) == 0;
    t->n_parts++;
    t->rows += part->is_vector ? info.cols : info.rows;
    t->cols = part->is_vector ? 1 : info.cols;
    p->out->elements += (uint64_t)info.rows * (uint64_t)info.cols;
    return t->is_awq ? tn_convert_awq_format(t, err) : TN_OK;
}

/* ---- all of them ---- */

static bool is_used(const tn_convert_hf_tensors *all, const tn_weight_info *info)
{
    for (int32_t i = 0; i < all->n; i++)
        for (int32_t k = 0; k < all->tensor[i].n_parts; k++)
            if (all->tensor[i].part[k].info.handle == info->handle)
                return true;
    return strncmp(info->name, "rope_f", 6) == 0; /* in config.json */
}

static tn_status check_left_over(const planner *p, tn_error *err)
{
    for (int32_t i = 0; i < tn_model_file_n_tensors(p->file); i++) {
        tn_weight_info info;
        TN_TRY(tn_model_file_tensor(p->file, i, &info, err));
        if (!is_used(p->out, &info))
            return tn_fail(err, TN_UNSUPPORTED, "the tensor %s has no place in the directory",
                           info.name);
    }
    return TN_OK;
}

static tn_status add_layer(const planner *p, const tn_hf_names *names, int32_t layer,
                           uint32_t biases, tn_error *err)
{
    char core[64], module[128];
    for (int32_t i = 0; i < TN_HF_MAX_ROLES && names->role[i].hf; i++) {
        const tn_hf_role *role = &names->role[i];
        (void)snprintf(core, sizeof core, "blk.%d.%s", (int)layer, role->core);
        (void)snprintf(module, sizeof module, "%s.%d.%s", names->layers, (int)layer, role->hf);
        TN_TRY(add(p, module, core, "weight", role->rows, err));
        if (role->bias & biases)
            TN_TRY(add(p, module, core, "bias", role->rows, err));
    }
    return TN_OK;
}

static tn_status start(planner *p, int32_t *n_layers, tn_error *err)
{
    tn_model_desc d;
    TN_TRY(tn_model_file_desc(p->file, &d, err));
    *n_layers = d.n_layers;
    p->order = d.rope.pairing == TN_ROPE_INTERLEAVED ? TN_ORDER_TO_HALVES : TN_ORDER_SAME;
    *p->out = (tn_convert_hf_tensors){ .kv_heads = d.kv_heads,
                                       .group = d.heads / d.kv_heads,
                                       .head_dim = d.head_dim };
    p->out->tensor = tn_arena_alloc(p->arena, ((size_t)tn_model_file_n_tensors(p->file) + 1) *
                                                  sizeof *p->out->tensor);
    if (!p->out->tensor)
        return tn_fail_memory(err, "the table of tensors");
    if (!p->args->type || strcmp(p->args->type, "plain") == 0 || tn_convert_is_awq(p->args))
        return TN_OK;
    return tn_fail(err, TN_INVALID, "--type %s: plain and awq are allowed of a directory",
                   p->args->type);
}

tn_status tn_convert_hf_list(const tn_convert_args *args, tn_model_file *file,
                             const tn_hf_family *family, uint32_t biases, tn_arena *arena,
                             tn_convert_hf_tensors *out, tn_error *err)
{
    const tn_hf_names *names = family->names;
    const tn_weight_source *s = tn_model_file_weights(file);
    planner p = { .args = args, .file = file, .arena = arena, .out = out };
    int32_t n_layers = 0;
    tn_weight_info info;
    TN_TRY(start(&p, &n_layers, err));
    TN_TRY(add(&p, names->embed, "token_embd", "weight", TN_HF_WHOLE, err));
    for (int32_t layer = 0; layer < n_layers; layer++)
        TN_TRY(add_layer(&p, names, layer, biases, err));
    TN_TRY(add(&p, names->norm, "output_norm", "weight", TN_HF_WHOLE, err));
    if (!s->find(s->self, "output.weight", &info))
        TN_TRY(add(&p, names->head, "output", "weight", TN_HF_WHOLE, err));
    TN_TRY(check_left_over(&p, err));
    return tn_convert_hf_cut(args, out, arena, err);
}
