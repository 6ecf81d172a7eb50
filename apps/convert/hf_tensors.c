/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/convert/convert_impl.h"
#include "model/formats/safetensors_writer.h"

#include <stdio.h>
#include <string.h>

/* ---- which ---- */

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

static tn_status add(const tn_convert_args *args, tn_model_file *file, const char *core,
                     const char *hf, tn_arena *arena, tn_convert_tensors *out, tn_error *err)
{
    const tn_weight_source *s = tn_model_file_weights(file);
    tn_convert_tensor *t = &out->tensor[out->n];
    tn_weight_info info;
    if (out->n == tn_model_file_n_tensors(file) || s->find(s->self, core, &info))
        return tn_fail(err, TN_INVALID, "the tensor %s is missing", core);
    *t = tn_convert_tensor_of(&info);
    t->name = tn_arena_strdup(arena, hf);
    if (!t->name)
        return tn_fail_memory(err, "a tensor's name");
    out->elements += (uint64_t)info.rows * (uint64_t)info.cols;
    out->n++;
    t->encode = tn_convert_encode_values;
    return tn_convert_plain_format(args->dtype, &info, &t->format, err);
}

static tn_status check_left_over(tn_model_file *file, const tn_convert_tensors *all, tn_error *err)
{
    for (int32_t i = 0; i < tn_model_file_n_tensors(file); i++) {
        tn_weight_info info;
        TN_TRY(tn_model_file_tensor(file, i, &info, err));
        bool is_used = strncmp(info.name, "rope_f", 6) == 0; /* in config.json */
        for (int32_t k = 0; k < all->n && !is_used; k++)
            is_used = all->tensor[k].info.handle == info.handle;
        if (!is_used)
            return tn_fail(err, TN_UNSUPPORTED, "the tensor %s has no place in the directory",
                           info.name);
    }
    return TN_OK;
}

tn_status tn_convert_list(const tn_convert_args *args, tn_model_file *file,
                          const tn_hf_family *family, uint32_t biases, tn_arena *arena,
                          tn_convert_tensors *out, tn_error *err)
{
    const tn_hf_names *names = family->names;
    const tn_weight_source *s = tn_model_file_weights(file);
    tn_model_desc desc;
    tn_weight_info info;
    char core[64], hf[128];
    TN_TRY(tn_model_file_desc(file, &desc, err));
    *out = (tn_convert_tensors){ 0 };
    out->tensor =
        tn_arena_alloc(arena, ((size_t)tn_model_file_n_tensors(file) + 1) * sizeof *out->tensor);
    if (!out->tensor)
        return tn_fail_memory(err, "the table of tensors");
    (void)snprintf(hf, sizeof hf, "%s.weight", names->embed);
    TN_TRY(add(args, file, "token_embd.weight", hf, arena, out, err));
    for (int32_t i = 0; i < desc.n_layers * TN_HF_MAX_ROLES; i++) {
        const tn_hf_role *role = &names->role[i % TN_HF_MAX_ROLES];
        const int layer = i / TN_HF_MAX_ROLES;
        for (int bias = 0; role->hf && bias <= ((role->bias & biases) != 0); bias++) {
            const char *kind = bias ? "bias" : "weight";
            (void)snprintf(core, sizeof core, "blk.%d.%s.%s", layer, role->core, kind);
            (void)snprintf(hf, sizeof hf, "%s.%d.%s.%s", names->layers, layer, role->hf, kind);
            TN_TRY(add(args, file, core, hf, arena, out, err));
        }
    }
    (void)snprintf(hf, sizeof hf, "%s.weight", names->norm);
    TN_TRY(add(args, file, "output_norm.weight", hf, arena, out, err));
    (void)snprintf(hf, sizeof hf, "%s.weight", names->head);
    if (!s->find(s->self, "output.weight", &info))
        TN_TRY(add(args, file, "output.weight", hf, arena, out, err));
    if (desc.rope.pairing == TN_ROPE_INTERLEAVED)
        tn_convert_set_order(out, TN_ORDER_TO_HALVES);
    return check_left_over(file, out, err);
}

/* ---- all of them ---- */

/* Those whose bytes are no multiple of 4 go last (safetensors_writer.h). */
static bool is_turn(const tn_convert_tensor *t, int turn)
{
    return (tn_convert_bytes_of(t) % 4 != 0) == turn;
}

static tn_status declare(const tn_convert_tensors *all, tn_safetensors_writer **w, tn_error *err)
{
    TN_TRY(tn_safetensors_writer_create(w, err));
    for (int32_t i = 0; i < 2 * all->n; i++) {
        const tn_convert_tensor *t = &all->tensor[i % all->n];
        const int64_t dim[] = { t->is_vector ? t->info.cols : t->info.rows, t->info.cols };
        if (is_turn(t, i / all->n))
            tn_safetensors_declare(*w, t->name, t->format->name, t->is_vector ? 1 : 2, dim);
    }
    return TN_OK;
}

tn_status tn_convert_tensor_bytes(const tn_convert_tensors *all, uint64_t *out, tn_error *err)
{
    tn_safetensors_writer *w = NULL;
    TN_TRY(declare(all, &w, err));
    *out = tn_safetensors_writer_bytes(w);
    tn_safetensors_writer_destroy(w);
    return TN_OK;
}

static tn_status put(void *sink, const void *bytes, size_t n, tn_error *err)
{
    return tn_safetensors_writer_put(sink, bytes, n, err);
}

tn_status tn_convert_write_tensors(const tn_convert_args *args, tn_model_file *file,
                                   const tn_convert_tensors *all, const char *path,
                                   tn_convert_report *report, tn_error *err)
{
    tn_convert_stream s;
    tn_safetensors_writer *w = NULL;
    TN_TRY(tn_convert_stream_init(&s, args, file, err));
    TN_TRY(declare(all, &w, err));
    s.sink = w;
    s.put = put;
    s.report = report;
    s.total = all->elements;
    tn_status st = tn_safetensors_writer_begin(w, path, err);
    for (int32_t i = 0; i < 2 * all->n && !st; i++)
        if (is_turn(&all->tensor[i % all->n], i / all->n))
            st = tn_convert_stream_tensor(&s, &all->tensor[i % all->n], err);
    if (!st)
        st = tn_safetensors_writer_end(w, err);
    tn_safetensors_writer_destroy(w);
    return st;
}
