/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/convert/convert_impl.h"
#include "core/base/alloc.h"
#include "model/formats/safetensors_writer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CHUNK_ELEMENTS = 1 << 18 };

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

static const tn_weight_format *format_for(const char *dtype, const tn_weight_info *info)
{
    static const char *const names[][2] = { { "f32", "F32" },
                                            { "f16", "F16" },
                                            { "bf16", "BF16" } };
    const bool is_auto = !dtype || strcmp(dtype, "auto") == 0;
    for (size_t i = 0; i < 3; i++)
        if (strcmp(is_auto ? info->wfmt : dtype, names[i][0]) == 0)
            return tn_weight_format_of_name(names[i][1]);
    return is_auto ? tn_weight_format_of_name("F16") : NULL;
}

static tn_status add(const tn_convert_args *args, tn_model_file *file, const char *core,
                     const char *hf, tn_arena *arena, tn_convert_tensors *out, tn_error *err)
{
    const tn_weight_source *s = tn_model_file_weights(file);
    tn_convert_tensor *t = &out->tensor[out->n];
    if (out->n == tn_model_file_n_tensors(file) || s->find(s->self, core, &t->info))
        return tn_fail(err, TN_INVALID, "the tensor %s is missing", core);
    t->name = tn_arena_strdup(arena, hf);
    if (!t->name)
        return tn_fail_memory(err, "a tensor's name");
    t->format = format_for(args->dtype, &t->info);
    if (!t->format)
        return tn_fail(err, TN_INVALID, "--dtype %s: auto, f32, f16 and bf16 are allowed",
                       args->dtype);
    t->is_vector = t->info.rows == 1 && (strstr(core, "norm.") || strstr(core, ".bias"));
    t->is_paired = strstr(core, ".attn_q.") || strstr(core, ".attn_k.");
    out->elements += (uint64_t)t->info.rows * (uint64_t)t->info.cols;
    out->n++;
    return TN_OK;
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
    return check_left_over(file, out, err);
}

/* ---- rows ---- */

typedef struct job {
    const tn_convert_args *args;
    const tn_weight_source *source;
    const tn_rope_desc *rope;
    int32_t head_dim;
    tn_safetensors_writer *w;
    tn_convert_report *report;
    uint64_t done, total;
    float *values, *line; /* of a piece; of one row, in the target's rounding */
    uint8_t *bytes;
} job;

/* The row of GGUF where a row of Hugging Face's order is: pairs there are neighbours, here halves
 * of a head apart (convert_hf_to_gguf.py, LlamaModel.permute, reversed). */
static int64_t source_row(const job *j, const tn_convert_tensor *t, int64_t row)
{
    const int64_t at = row % j->head_dim, half = j->rope->rotary_dim / 2;
    if (!t->is_paired || j->rope->pairing != TN_ROPE_INTERLEAVED || at >= 2 * half)
        return row;
    return row - at + at % half * 2 + at / half;
}

/* One row of n values to bytes, its rounding held against the report's largest. */
static tn_status encode(const job *j, const tn_convert_tensor *t, const float *values, size_t n,
                        uint8_t *bytes, tn_error *err)
{
    const tn_row_buffer back = { .values = j->line };
    t->format->encode(values, n, bytes);
    t->format->decode(bytes, n, &back);
    for (size_t i = 0; i < n; i++) {
        const double error = fabs((double)values[i] - (double)j->line[i]);
        if (isfinite(values[i]) && !isfinite(j->line[i]))
            return tn_fail(err, TN_INVALID,
                           "tensor %s: %g is past the range of %s; give --dtype bf16 or f32",
                           t->info.name, (double)values[i], t->format->name);
        if (error > j->report->largest_error) {
            j->report->largest_error = error;
            (void)snprintf(j->report->error_tensor, sizeof j->report->error_tensor, "%s",
                           t->info.name);
        }
    }
    return TN_OK;
}

/* n lines, rows or elements of a vector, of `width` values. */
static tn_status write_lines(job *j, const tn_convert_tensor *t, int64_t n, size_t width,
                             tn_error *err)
{
    const size_t line_bytes = width * t->format->block_bytes;
    for (int64_t i = 0; i < n; i++)
        TN_TRY(encode(j, t, j->values + (size_t)source_row(j, t, i) * width, width,
                      j->bytes + (size_t)i * line_bytes, err));
    TN_TRY(tn_safetensors_writer_put(j->w, j->bytes, (size_t)n * line_bytes, err));
    j->done += (uint64_t)n * width;
    if (j->args->progress && !j->args->progress(j->args->ctx, j->done, j->total))
        return tn_fail(err, TN_INTERNAL, "interrupted; nothing was written");
    return TN_OK;
}

/* Pieces are whole heads, so that the order changes within a piece. */
static tn_status write_rows(job *j, const tn_convert_tensor *t, const tn_row_buffer *buffer,
                            int64_t step, tn_error *err)
{
    for (int64_t row = 0; row < t->info.rows; row += step) {
        const int64_t n = t->info.rows - row < step ? t->info.rows - row : step;
        tn_weight_rows rows = { .size = sizeof rows };
        TN_TRY(j->source->rows(j->source->self, &t->info, row, (int32_t)n, buffer, &rows, err));
        TN_TRY(tn_weight_rows_values(t->info.wfmt, &rows, j->values, err));
        if (t->is_vector)
            TN_TRY(write_lines(j, t, t->info.cols, 1, err));
        else
            TN_TRY(write_lines(j, t, n, (size_t)t->info.cols, err));
    }
    return TN_OK;
}

static tn_status write_tensor(job *j, const tn_convert_tensor *t, tn_error *err)
{
    tn_row_buffer buffer;
    size_t n = 0;
    int64_t step = CHUNK_ELEMENTS / t->info.cols / j->head_dim * j->head_dim;
    step = step < 1 ? j->head_dim : step;
    step = step > t->info.rows ? t->info.rows : step;
    TN_TRY(tn_row_buffer_init(&buffer, &t->info, (int32_t)step, err));
    if (tn_size_mul((size_t)step, (size_t)t->info.cols, &n)) {
        j->values = tn_alloc_array(n, sizeof *j->values);
        j->bytes = tn_alloc_array(n, sizeof(float));
        j->line = tn_alloc_array((size_t)t->info.cols, sizeof *j->line);
    }
    tn_status st = j->values && j->bytes && j->line ? write_rows(j, t, &buffer, step, err)
                                                    : tn_fail_memory(err, "a piece of a tensor");
    tn_free(j->values);
    tn_free(j->bytes);
    tn_free(j->line);
    j->values = j->line = NULL;
    j->bytes = NULL;
    tn_row_buffer_deinit(&buffer);
    if (j->source->done)
        j->source->done(j->source->self, &t->info);
    return st;
}

/* ---- all of them ---- */

static uint64_t bytes_of(const tn_convert_tensor *t)
{
    return (uint64_t)t->info.rows * (uint64_t)t->info.cols * t->format->block_bytes;
}

/* Those whose bytes are no multiple of 4 go last (safetensors_writer.h). */
static bool is_turn(const tn_convert_tensor *t, int turn)
{
    return (bytes_of(t) % 4 != 0) == turn;
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

static void count(tn_convert_report *r, const tn_convert_tensor *t)
{
    int32_t k = 0;
    while (k < r->n_formats && strcmp(r->format[k].name, t->format->name) != 0)
        k++;
    if (k == r->n_formats)
        r->format[r->n_formats++].name = t->format->name;
    r->format[k].tensors++;
    r->format[k].bytes += bytes_of(t);
}

tn_status tn_convert_write_tensors(const tn_convert_args *args, tn_model_file *file,
                                   const tn_convert_tensors *all, const char *path,
                                   tn_convert_report *report, tn_error *err)
{
    tn_model_desc desc;
    TN_TRY(tn_model_file_desc(file, &desc, err));
    job j = { .args = args,
              .source = tn_model_file_weights(file),
              .rope = &desc.rope,
              .head_dim = desc.head_dim,
              .report = report,
              .total = all->elements };
    TN_TRY(declare(all, &j.w, err));
    tn_status st = tn_safetensors_writer_begin(j.w, path, err);
    for (int32_t i = 0; i < 2 * all->n && !st; i++) {
        const tn_convert_tensor *t = &all->tensor[i % all->n];
        if (!is_turn(t, i / all->n))
            continue;
        st = write_tensor(&j, t, err);
        count(report, t);
    }
    if (!st)
        st = tn_safetensors_writer_end(j.w, err);
    tn_safetensors_writer_destroy(j.w);
    return st;
}
