/* SPDX-License-Identifier: Apache-2.0 */
/* A GGUF file of a model directory. */
#include "apps/convert/convert_impl.h"
#include "model/text/utf8.h"

#include <stdio.h>
#include <string.h>

typedef struct job {
    const tn_convert_args *args;
    tn_model_file *file;
    tn_convert_report *report;
    tn_arena arena;
    tn_gguf_writer *w;
    tn_convert_gguf_target target;
    tn_convert_gguf_rope rope;
    tn_convert_tensors tensors;
} job;

/* ---- general.* ---- */

static void put_text(tn_gguf_writer *w, const char *key, const char *text, size_t n)
{
    if (n > 0)
        tn_gguf_put_string(w, key, text, n);
}

/* The last part of the directory's path, which for downloads is the model's name. */
static void put_name(tn_gguf_writer *w, const char *path)
{
    size_t end = strlen(path), begin;
    while (end > 0 && path[end - 1] == '/')
        end--;
    for (begin = end; begin > 0 && path[begin - 1] != '/';)
        begin--;
    const bool is_text = tn_utf8_valid_prefix(path + begin, end - begin) == end - begin;
    if (path[begin] != '.' && is_text)
        put_text(w, "general.name", path + begin, end - begin);
}

/* "8.0B", "135M" (gguf-py, utility.py, model_weight_count_rounded_notation). */
static void put_size(tn_gguf_writer *w, uint64_t elements)
{
    static const struct {
        double unit;
        const char *sign;
    } units[] = { { 1e12, "T" }, { 1e9, "B" }, { 1e6, "M" }, { 1e3, "K" } };
    char text[32];
    size_t i = 0;
    while (i < 3 && (double)elements <= units[i].unit)
        i++;
    const double scaled = (double)elements / units[i].unit;
    const int n = snprintf(text, sizeof text, "%.*f%s", scaled < 9.5, scaled, units[i].sign);
    put_text(w, "general.size_label", text, (size_t)n);
}

/* LLAMA_FTYPE_* of llama.h: the type that most of the model has. */
static uint32_t file_type(const tn_convert_tensors *all)
{
    static const struct {
        const char *format;
        uint32_t type;
    } known[] = { { "F32", 0 }, { "F16", 1 }, { "BF16", 32 }, { "Q4_0", 2 }, { "Q4_1", 3 } };
    enum { N_KNOWN = sizeof known / sizeof known[0] };
    uint64_t elements[N_KNOWN] = { 0 };
    size_t most = 0;
    for (int32_t i = 0; i < all->n; i++)
        for (size_t k = 0; k < N_KNOWN; k++)
            if (strcmp(all->tensor[i].format->name, known[k].format) == 0)
                elements[k] +=
                    (uint64_t)all->tensor[i].info.rows * (uint64_t)all->tensor[i].info.cols;
    for (size_t k = 0; k < N_KNOWN; k++)
        most = elements[k] > elements[most] ? k : most;
    return known[most].type;
}

static void put_general(job *j)
{
    const uint32_t quantization_version = 2; /* GGML_QNT_VERSION of ggml.h */
    tn_gguf_writer *w = j->w;
    put_text(w, "general.architecture", j->target.arch, strlen(j->target.arch));
    put_text(w, "general.type", "model", 5);
    put_name(w, j->args->source);
    put_size(w, j->tensors.elements);
    tn_gguf_put_u32(w, "general.file_type", file_type(&j->tensors));
    tn_gguf_put_u32(w, "general.quantization_version", quantization_version);
}

/* ---- the file ---- */

/* In the order in which write_all streams. */
static void declare_tensors(job *j)
{
    for (int32_t i = 0; i < j->rope.n; i++)
        tn_gguf_declare(j->w, j->rope.tensor[i].name, "F32", 0, j->rope.width);
    for (int32_t i = 0; i < j->tensors.n; i++) {
        const tn_convert_tensor *t = &j->tensors.tensor[i];
        tn_gguf_declare(j->w, t->name, t->format->name, t->is_vector ? 0 : t->info.rows,
                        t->info.cols);
    }
}

static tn_status plan(job *j, tn_error *err)
{
    tn_model_desc desc;
    TN_TRY(tn_model_file_desc(j->file, &desc, err));
    TN_TRY(tn_convert_gguf_arch(&desc, j->file, &j->target, err));
    TN_TRY(tn_convert_gguf_list(j->args, j->file, &j->arena, &j->tensors, err));
    for (int32_t i = 0; i < j->tensors.n && j->target.is_paired; i++)
        tn_convert_set_order(&j->tensors.tensor[i], TN_ORDER_TO_PAIRS);
    TN_TRY(tn_convert_gguf_factors(&desc, &j->arena, &j->rope, err));
    TN_TRY(tn_gguf_writer_create(&j->w, err));
    put_general(j);
    tn_convert_gguf_model(&desc, j->target.arch, j->w);
    TN_TRY(tn_convert_gguf_vocab(tn_model_file_vocab(j->file), desc.vocab, j->w, j->report, err));
    declare_tensors(j);
    j->report->bytes = tn_gguf_writer_bytes(j->w);
    return TN_OK;
}

static tn_status put(void *sink, const void *bytes, size_t n, tn_error *err)
{
    return tn_gguf_writer_stream(sink, bytes, n, err);
}

static tn_status write_all(job *j, const char *target, tn_error *err)
{
    tn_convert_stream s;
    TN_TRY(tn_convert_stream_init(&s, j->args, j->file, err));
    s.sink = j->w;
    s.put = put;
    s.report = j->report;
    s.total = j->tensors.elements;
    TN_TRY(tn_gguf_writer_begin(j->w, target, err));
    for (int32_t i = 0; i < j->rope.n; i++)
        TN_TRY(tn_gguf_writer_stream(j->w, j->rope.tensor[i].factor,
                                     (size_t)j->rope.width * sizeof(float), err));
    for (int32_t i = 0; i < j->tensors.n; i++) {
        const tn_convert_tensor *t = &j->tensors.tensor[i];
        TN_TRY(tn_convert_stream_tensor(&s, t, err));
        tn_convert_count(j->report, t->format->name, tn_convert_bytes_of(t));
    }
    return tn_gguf_writer_end(j->w, err);
}

tn_status tn_convert_to_gguf(const tn_convert_args *args, tn_model_file *file, const char *target,
                             tn_convert_report *report, tn_error *err)
{
    job j = { .args = args, .file = file, .report = report };
    tn_status st = plan(&j, err);
    if (!st)
        st = tn_convert_check_space(target, report->bytes, err);
    if (!st)
        st = write_all(&j, target, err);
    tn_gguf_writer_destroy(j.w);
    tn_arena_deinit(&j.arena);
    return st;
}
