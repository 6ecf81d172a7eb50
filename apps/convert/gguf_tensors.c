/* SPDX-License-Identifier: Apache-2.0 */
/* The tensors of a model file in GGUF: names are the core's, which are GGUF's. */
#include "apps/convert/convert_impl.h"
#include "core/base/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- which type ---- */

tn_status tn_convert_gguf_format(const tn_convert_args *args, const tn_weight_source *source,
                                 tn_convert_tensor *t, tn_error *err)
{
    if (!args->type && tn_convert_has_codes(&t->info))
        return tn_convert_codes_format(source, t, err);
    t->encode = tn_convert_encode_values;
    TN_TRY(tn_convert_plain_format(args->dtype, &t->info, &t->format, err));
    if (t->is_vector) /* all that llama.cpp takes */
        t->format = tn_weight_format_of_name("F32");
    return TN_OK;
}

/* ---- which ---- */

static tn_status is_zero(const tn_weight_source *s, const tn_weight_info *info, bool *out,
                         tn_error *err)
{
    float *values = NULL;
    *out = true;
    TN_TRY(tn_weight_values(s, info, &values, err));
    for (int64_t i = 0; i < info->cols && *out; i++)
        *out = values[i] == 0.0f;
    tn_free(values);
    return TN_OK;
}

tn_status tn_convert_gguf_bias(tn_model_file *file, const char *arch, const tn_weight_info *info,
                               tn_convert_bias *out, tn_error *err)
{
    const tn_weight_source *s = tn_model_file_weights(file);
    const char *end = strstr(info->name, ".bias");
    tn_weight_info linear;
    char name[80];
    bool is_empty = false;
    *out = TN_BIAS_NONE;
    if (!end || (strcmp(arch, "qwen2") == 0 &&
                 (strstr(info->name, ".attn_q.") || strstr(info->name, ".attn_k.") ||
                  strstr(info->name, ".attn_v."))))
        return TN_OK;
    (void)snprintf(name, sizeof name, "%.*s.weight", (int)(end - info->name), info->name);
    if (s->find(s->self, name, &linear) == TN_OK && tn_convert_has_codes(&linear))
        TN_TRY(is_zero(s, info, &is_empty, err));
    *out = is_empty ? TN_BIAS_EMPTY : TN_BIAS_EXTRA;
    return TN_OK;
}

/* ---- all of them ---- */

/* Before the layers, their number, after them. */
static long place_of(const char *name)
{
    if (strncmp(name, "blk.", 4) == 0)
        return strtol(name + 4, NULL, 10);
    return strcmp(name, "token_embd.weight") == 0 ? -1 : INT32_MAX;
}

static int by_place(const void *a, const void *b)
{
    const char *x = ((const tn_convert_tensor *)a)->name, *y = ((const tn_convert_tensor *)b)->name;
    const long i = place_of(x), k = place_of(y);
    return i != k ? (i > k) - (i < k) : strcmp(x, y);
}

tn_status tn_convert_gguf_list(const tn_convert_args *args, tn_model_file *file, tn_arena *arena,
                               tn_convert_tensors *out, tn_error *err)
{
    const int32_t n = tn_model_file_n_tensors(file);
    tn_model_desc desc;
    *out = (tn_convert_tensors){ 0 };
    TN_TRY(tn_model_file_desc(file, &desc, err));
    out->tensor = tn_arena_alloc(arena, (size_t)n * sizeof *out->tensor);
    if (!out->tensor)
        return tn_fail_memory(err, "the table of tensors");
    for (int32_t i = 0; i < n; i++) {
        tn_weight_info info;
        tn_convert_tensor *t = &out->tensor[out->n];
        tn_convert_bias bias;
        TN_TRY(tn_model_file_tensor(file, i, &info, err));
        TN_TRY(tn_convert_gguf_bias(file, desc.arch, &info, &bias, err));
        if (bias == TN_BIAS_EMPTY)
            continue;
        out->n++;
        *t = tn_convert_tensor_of(&info);
        t->name = info.name;
        TN_TRY(tn_convert_gguf_format(args, tn_model_file_weights(file), t, err));
        out->elements += (uint64_t)info.rows * (uint64_t)info.cols;
    }
    qsort(out->tensor, (size_t)out->n, sizeof *out->tensor, by_place);
    return TN_OK;
}
