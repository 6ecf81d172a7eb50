/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/convert/tensor_stream.h"

#include "core/base/alloc.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CHUNK_ELEMENTS = 1 << 18 };

tn_status tn_convert_plain_format(const char *dtype, const tn_weight_info *info,
                                  const tn_weight_format **out, tn_error *err)
{
    static const char *const names[][2] = { { "f32", "F32" },
                                            { "f16", "F16" },
                                            { "bf16", "BF16" } };
    const bool is_auto = !dtype || strcmp(dtype, "auto") == 0;
    *out = is_auto ? tn_weight_format_of_name("F16") : NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(is_auto ? info->wfmt : dtype, names[i][0]) == 0)
            *out = tn_weight_format_of_name(names[i][1]);
    return *out
               ? TN_OK
               : tn_fail(err, TN_INVALID, "--dtype %s: auto, f32, f16 and bf16 are allowed", dtype);
}

tn_convert_tensor tn_convert_tensor_of(const tn_weight_info *info)
{
    const bool is_named_so = strstr(info->name, "norm.") || strstr(info->name, ".bias");
    return (tn_convert_tensor){ .info = *info, .is_vector = info->rows == 1 && is_named_so };
}

void tn_convert_set_order(tn_convert_tensor *t, int32_t order)
{
    if (strstr(t->info.name, ".attn_q.") || strstr(t->info.name, ".attn_k."))
        t->order = order;
}

/* ---- encoding ---- */

void tn_convert_note_error(tn_convert_stream *s, const tn_convert_tensor *t, double error,
                           double largest)
{
    tn_convert_report *r = s->report;
    if (error <= r->largest_error)
        return;
    r->largest_error = error;
    r->relative_error = error / largest;
    (void)snprintf(r->error_tensor, sizeof r->error_tensor, "%s", t->info.name);
}

/* One row, its rounding held against the report's largest. */
static tn_status encode_row(tn_convert_stream *s, const tn_convert_tensor *t, const float *values,
                            uint8_t *bytes, tn_error *err)
{
    const size_t n = (size_t)t->info.cols, n_blocks = n / t->format->block_elements;
    const tn_row_buffer back = { .values = s->line };
    double error = 0.0, largest = 0.0;
    t->format->encode(values, n_blocks, bytes);
    t->format->decode(bytes, n_blocks, &back);
    for (size_t i = 0; i < n; i++) {
        if (isfinite(values[i]) && !isfinite(s->line[i]))
            return tn_fail(err, TN_INVALID,
                           "tensor %s: %g is past the range of %s; give --dtype bf16 or f32",
                           t->info.name, (double)values[i], t->format->name);
        error = fmax(error, fabs((double)values[i] - (double)s->line[i]));
        largest = fmax(largest, fabs((double)values[i]));
    }
    tn_convert_note_error(s, t, error, largest);
    return TN_OK;
}

tn_status tn_convert_encode_values(tn_convert_stream *s, const tn_convert_tensor *t,
                                   const tn_weight_rows *rows, uint8_t *bytes, tn_error *err)
{
    TN_TRY(tn_weight_rows_values(t->info.wfmt, rows, s->values, err));
    for (int32_t row = 0; row < rows->rows; row++)
        TN_TRY(encode_row(s, t, s->values + (size_t)row * (size_t)t->info.cols,
                          bytes + (size_t)row * s->row_bytes, err));
    return TN_OK;
}

/* ---- order ---- */

/* The source's row for a row of the target: dimension i of a head is half i % 2, place i / 2 of the
 * pairs' order (convert_hf_to_gguf.py, LlamaModel.permute). What is not rotated stays. */
static int64_t source_row(const tn_convert_stream *s, int32_t order, int64_t row)
{
    const int64_t at = row % s->head_dim, half = s->rotary_dim / 2;
    if (order == TN_ORDER_SAME || at >= 2 * half)
        return row;
    return row - at +
           (order == TN_ORDER_TO_HALVES ? at % half * 2 + at / half : at % 2 * half + at / 2);
}

/* n lines of the piece in the target's order. */
static const uint8_t *put_in_order(tn_convert_stream *s, const tn_convert_tensor *t, int64_t n,
                                   size_t line_bytes)
{
    if (t->order == TN_ORDER_SAME)
        return s->bytes;
    for (int64_t i = 0; i < n; i++)
        memcpy(s->ordered + (size_t)i * line_bytes,
               s->bytes + (size_t)source_row(s, t->order, i) * line_bytes, line_bytes);
    return s->ordered;
}

/* ---- tensors ---- */

uint64_t tn_convert_bytes_of(const tn_convert_tensor *t)
{
    return (uint64_t)t->info.rows * ((uint64_t)t->info.cols / t->format->block_elements) *
           t->format->block_bytes;
}

/* n lines of a piece from `first` on. */
static tn_status stream_piece(tn_convert_stream *s, const tn_convert_tensor *t,
                              const tn_weight_rows *rows, int64_t first, int64_t n, tn_error *err)
{
    const int64_t n_lines = t->is_vector ? t->info.cols : rows->rows;
    const size_t line_bytes = t->is_vector ? t->format->block_bytes : s->row_bytes;
    TN_TRY(t->encode(s, t, rows, s->bytes, err));
    TN_TRY(s->put(s->sink, put_in_order(s, t, n_lines, line_bytes) + (size_t)first * line_bytes,
                  (size_t)n * line_bytes, err));
    s->done += (uint64_t)n * (t->is_vector ? 1 : (uint64_t)t->info.cols);
    if (s->args->progress && !s->args->progress(s->args->ctx, s->done, s->total))
        return tn_fail(err, TN_INTERNAL, "interrupted; nothing was written");
    return TN_OK;
}

/* Pieces are whole heads, so that the order changes within a piece. */
static int64_t rows_of_piece(const tn_convert_stream *s, const tn_convert_tensor *t)
{
    int64_t step = CHUNK_ELEMENTS / t->info.cols / s->head_dim * s->head_dim;
    step = step < 1 ? s->head_dim : step;
    return step < t->info.rows ? step : t->info.rows;
}

static tn_status stream_vector(tn_convert_stream *s, const tn_convert_tensor *t, int64_t first,
                               int64_t n, const tn_row_buffer *buffer, tn_error *err)
{
    tn_weight_rows rows = { .size = sizeof rows };
    TN_TRY(s->source->rows(s->source->self, &t->info, 0, 1, buffer, &rows, err));
    return stream_piece(s, t, &rows, first, n, err);
}

static tn_status stream_matrix(tn_convert_stream *s, const tn_convert_tensor *t, int64_t first,
                               int64_t n, int64_t step, const tn_row_buffer *buffer, tn_error *err)
{
    for (int64_t done = 0; done < n; done += step) {
        const int64_t now = n - done < step ? n - done : step;
        tn_weight_rows rows = { .size = sizeof rows };
        TN_TRY(s->source->rows(s->source->self, &t->info, first + done, (int32_t)now, buffer, &rows,
                               err));
        TN_TRY(stream_piece(s, t, &rows, 0, now, err));
    }
    return TN_OK;
}

void tn_convert_count(tn_convert_report *r, const char *format, uint64_t bytes)
{
    int32_t k = 0;
    while (k < r->n_formats && strcmp(r->format[k].name, format) != 0)
        k++;
    if (k == TN_CONVERT_MAX_FORMATS)
        return;
    if (k == r->n_formats)
        r->format[r->n_formats++].name = format;
    r->format[k].tensors++;
    r->format[k].bytes += bytes;
}

/* Room for a piece of `step` rows. */
static bool make_room(tn_convert_stream *s, const tn_convert_tensor *t, int64_t step)
{
    size_t n = 0;
    s->row_bytes = (size_t)t->info.cols / t->format->block_elements * t->format->block_bytes;
    if (!tn_size_mul((size_t)step, (size_t)t->info.cols, &n))
        return false;
    s->values = tn_alloc_array(n, sizeof *s->values);
    s->line = tn_alloc_array((size_t)t->info.cols, sizeof *s->line);
    s->bytes = tn_alloc_array((size_t)step, s->row_bytes);
    s->ordered = tn_alloc_array((size_t)step, s->row_bytes);
    return s->values && s->line && s->bytes && s->ordered;
}

static void free_room(tn_convert_stream *s)
{
    tn_free(s->values);
    tn_free(s->line);
    tn_free(s->bytes);
    tn_free(s->ordered);
    s->values = s->line = NULL;
    s->bytes = s->ordered = NULL;
}

tn_status tn_convert_stream_init(tn_convert_stream *s, const tn_convert_args *args,
                                 tn_model_file *file, tn_error *err)
{
    tn_model_desc desc;
    TN_TRY(tn_model_file_desc(file, &desc, err));
    *s = (tn_convert_stream){ .args = args,
                              .source = tn_model_file_weights(file),
                              .head_dim = desc.head_dim,
                              .rotary_dim = desc.rope.rotary_dim };
    return TN_OK;
}

tn_status tn_convert_stream_rows(tn_convert_stream *s, const tn_convert_tensor *t, int64_t first,
                                 int64_t n, tn_error *err)
{
    tn_row_buffer buffer;
    const int64_t step = rows_of_piece(s, t);
    TN_TRY(tn_row_buffer_init(&buffer, &t->info, (int32_t)step, err));
    tn_status st = TN_OK;
    if (!make_room(s, t, step))
        st = tn_fail_memory(err, "a piece of a tensor");
    else if (t->is_vector)
        st = stream_vector(s, t, first, n, &buffer, err);
    else
        st = stream_matrix(s, t, first, n, step, &buffer, err);
    free_room(s);
    tn_row_buffer_deinit(&buffer);
    return st;
}

void tn_convert_stream_done(const tn_convert_stream *s, const tn_convert_tensor *t)
{
    if (s->source->done)
        s->source->done(s->source->self, &t->info);
}

tn_status tn_convert_stream_tensor(tn_convert_stream *s, const tn_convert_tensor *t, tn_error *err)
{
    TN_TRY(tn_convert_stream_rows(s, t, 0, t->is_vector ? t->info.cols : t->info.rows, err));
    tn_convert_stream_done(s, t);
    return TN_OK;
}
