/* SPDX-License-Identifier: Apache-2.0 */
#include "core/graph/weight_source.h"

#include "core/base/alloc.h"

#include <stdbool.h>
#include <string.h>

/* Elements decoded at once by tn_weight_values: small enough to stay in cache. */
enum { CHUNK_ELEMENTS = 1 << 16 };

/* What codes, scale and zero of a canonical format mean (docs/numerics.md). */
typedef enum formula { FORMULA_NONE, FORMULA_U4Z, FORMULA_U4B, FORMULA_Q8 } formula;

static formula formula_of(const char *wfmt)
{
    if (strncmp(wfmt, "u4z.g", 5) == 0)
        return FORMULA_U4Z;
    if (strncmp(wfmt, "u4b.g", 5) == 0)
        return FORMULA_U4B;
    return strncmp(wfmt, "q8.g", 4) == 0 ? FORMULA_Q8 : FORMULA_NONE;
}

static bool is_plain(const tn_weight_info *info)
{
    return info->values || info->group == 0;
}

tn_status tn_row_buffer_init(tn_row_buffer *buffer, const tn_weight_info *info, int32_t n_rows,
                             tn_error *err)
{
    *buffer = (tn_row_buffer){ 0 };
    size_t n = 0;
    if (n_rows < 0 || info->cols < 1 || info->cols > INT32_MAX || info->group < 0)
        return tn_fail(err, TN_INVALID,
                       "%s: no room can be made for %d rows of %lld columns in groups of %d",
                       info->name, n_rows, (long long)info->cols, info->group);
    if (!tn_size_mul((size_t)n_rows, (size_t)info->cols, &n))
        return tn_fail_memory(err, "weight rows");
    if (is_plain(info)) {
        buffer->values = tn_alloc_array(n, sizeof(float));
        return buffer->values ? TN_OK : tn_fail_memory(err, "weight rows");
    }
    formula f = formula_of(info->wfmt);
    if (f == FORMULA_NONE || info->cols % info->group)
        return tn_fail(
            err, TN_UNSUPPORTED,
            "%s: weight format %s with %lld columns in groups of %d has no canonical rows",
            info->name, info->wfmt, (long long)info->cols, info->group);
    size_t n_groups = n / (size_t)info->group;
    buffer->codes = tn_alloc_array(n, 1);
    buffer->scale = tn_alloc_array(n_groups, sizeof(float));
    buffer->zero = f == FORMULA_Q8 ? NULL : tn_alloc_array(n_groups, sizeof(float));
    if (buffer->codes && buffer->scale && (buffer->zero || f == FORMULA_Q8))
        return TN_OK;
    tn_row_buffer_deinit(buffer);
    return tn_fail_memory(err, "weight rows");
}

void tn_row_buffer_deinit(tn_row_buffer *buffer)
{
    tn_free(buffer->values);
    tn_free(buffer->scale);
    tn_free(buffer->zero);
    tn_free(buffer->codes);
    *buffer = (tn_row_buffer){ 0 };
}

/* One group of n codes. Computed in f64 and rounded once, so the result is the f32 nearest to the
 * file's exact meaning. */
static void group_values(formula f, const uint8_t *codes, int32_t n, double scale, double zero,
                         float *values)
{
    if (f == FORMULA_U4Z)
        for (int32_t i = 0; i < n; i++)
            values[i] = (float)((codes[i] - zero) * scale);
    else if (f == FORMULA_U4B)
        for (int32_t i = 0; i < n; i++)
            values[i] = (float)(codes[i] * scale + zero);
    else
        for (int32_t i = 0; i < n; i++)
            values[i] = (float)((codes[i] - 128) * scale);
}

tn_status tn_weight_rows_values(const char *wfmt, const tn_weight_rows *rows, float *values,
                                tn_error *err)
{
    size_t n = 0;
    if (rows->rows < 0 || rows->cols < 0 ||
        !tn_size_mul((size_t)rows->rows, (size_t)rows->cols, &n))
        return tn_fail(err, TN_INVALID, "%d rows of %d columns are no weight rows", rows->rows,
                       rows->cols);
    if (rows->values) {
        memcpy(values, rows->values, n * sizeof(float));
        return TN_OK;
    }
    formula f = formula_of(wfmt);
    if (f == FORMULA_NONE)
        return tn_fail(err, TN_UNSUPPORTED,
                       "weight format %s has no formula; u4z.gN, u4b.gN and q8.gN have", wfmt);
    bool has_zero = f == FORMULA_Q8 || rows->zero;
    if (rows->group < 1 || rows->cols % rows->group || !rows->codes || !rows->scale || !has_zero)
        return tn_fail(err, TN_INVALID,
                       "weight rows of format %s lack codes, scale or zero, or %d columns are no "
                       "multiple of the group %d",
                       wfmt, rows->cols, rows->group);
    size_t group = (size_t)rows->group;
    for (size_t g = 0; g < n / group; g++) {
        double zero = rows->zero ? (double)rows->zero[g] : 0.0;
        group_values(f, rows->codes + g * group, rows->group, (double)rows->scale[g], zero,
                     values + g * group);
    }
    return TN_OK;
}

/* Decode all rows, chunk by chunk, through `buffer` (room for `step` rows). */
static tn_status decode_chunks(const tn_weight_source *source, const tn_weight_info *info,
                               const tn_row_buffer *buffer, int64_t step, float *values,
                               tn_error *err)
{
    for (int64_t row0 = 0; row0 < info->rows; row0 += step) {
        int64_t n = info->rows - row0 < step ? info->rows - row0 : step;
        tn_weight_rows rows = { .size = sizeof(rows) };
        TN_TRY(source->rows(source->self, info, row0, (int32_t)n, buffer, &rows, err));
        TN_TRY(tn_weight_rows_values(info->wfmt, &rows, values + (size_t)row0 * (size_t)info->cols,
                                     err));
    }
    return TN_OK;
}

tn_status tn_weight_values(const tn_weight_source *source, const tn_weight_info *info,
                           float **out_values, tn_error *err)
{
    *out_values = NULL;
    size_t n = 0;
    if (info->rows < 1 || info->cols < 1 ||
        !tn_size_mul((size_t)info->rows, (size_t)info->cols, &n))
        return tn_fail(err, TN_INVALID, "%s: %lld rows of %lld columns cannot be read", info->name,
                       (long long)info->rows, (long long)info->cols);
    int64_t step = CHUNK_ELEMENTS / info->cols;
    step = step < 1 ? 1 : step > info->rows ? info->rows : step;
    tn_row_buffer buffer;
    TN_TRY(tn_row_buffer_init(&buffer, info, (int32_t)step, err));
    float *values = tn_alloc_array(n, sizeof(float));
    tn_status st = values ? decode_chunks(source, info, &buffer, step, values, err)
                          : tn_fail_memory(err, "tensor values");
    tn_row_buffer_deinit(&buffer);
    if (st) {
        tn_free(values);
        return st;
    }
    *out_values = values;
    return TN_OK;
}
