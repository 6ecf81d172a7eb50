/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linears of AWQ and GPTQ, (q - z) * s in groups of 32 or more, as blocks of 32 with the same
 * codes: Q4_0, (q - 8) * d, where that says the same, else Q4_1, q * d + m with m = -s * z, which
 * f16 rounds.
 */
#include "apps/convert/convert_impl.h"
#include "model/formats/little_endian.h"

#include <math.h>
#include <string.h>

enum { QK = 32, SCAN_ELEMENTS = 1 << 18 };

bool tn_convert_has_codes(const tn_weight_info *info)
{
    return strncmp(info->wfmt, "u4z.", 4) == 0;
}

/* ---- blocks ---- */

static double in_f16(double value)
{
    return (double)tn_f16_to_f32(tn_f32_to_f16((float)value));
}

/* What a row loses, in one block after the other. */
typedef struct loss {
    double error, largest; /* of a weight */
} loss;

static void measure(loss *l, const uint8_t *codes, double scale, double zero, double d, double m)
{
    for (int i = 0; i < QK; i++) {
        const double value = (codes[i] - zero) * scale;
        l->error = fmax(l->error, fabs(codes[i] * d + m - value));
        l->largest = fmax(l->largest, fabs(value));
    }
}

static tn_status fail_range(const tn_convert_tensor *t, double value, tn_error *err)
{
    return tn_fail(err, TN_UNSUPPORTED,
                   "tensor %s: %g is past the range of the f16 that %s has for scales and offsets; "
                   "--type plain --dtype f32 takes it",
                   t->info.name, value, t->format->name);
}

static tn_status encode_row(const tn_convert_tensor *t, const tn_weight_rows *rows, int32_t row,
                            uint8_t *bytes, loss *l, tn_error *err)
{
    const bool is_q4_0 = strcmp(t->format->name, "Q4_0") == 0;
    const size_t cols = (size_t)rows->cols, group = (size_t)rows->group;
    const uint8_t *codes = rows->codes + (size_t)row * cols;
    for (size_t k = 0; k < cols; k += QK, bytes += t->format->block_bytes) {
        const size_t g = (size_t)row * (cols / group) + k / group;
        const double scale = (double)rows->scale[g], zero = (double)rows->zero[g];
        const double d = in_f16(scale), m = is_q4_0 ? -8.0 * d : in_f16(-scale * zero);
        if (!isfinite(d) || !isfinite(m))
            return fail_range(t, isfinite(d) ? -scale * zero : scale, err);
        if (is_q4_0)
            tn_pack_q4_0(codes + k, (float)d, bytes);
        else
            tn_pack_q4_1(codes + k, (float)d, (float)m, bytes);
        measure(l, codes + k, scale, zero, d, m);
    }
    return TN_OK;
}

static tn_status encode(tn_convert_stream *s, const tn_convert_tensor *t,
                        const tn_weight_rows *rows, uint8_t *bytes, tn_error *err)
{
    for (int32_t row = 0; row < rows->rows; row++) {
        loss l = { 0 };
        TN_TRY(encode_row(t, rows, row, bytes + (size_t)row * s->row_bytes, &l, err));
        tn_convert_note_error(s, t, l.error, l.largest);
    }
    return TN_OK;
}

/* ---- which blocks ---- */

static bool is_q4_0(const tn_weight_rows *rows)
{
    const size_t n = (size_t)rows->rows * (size_t)(rows->cols / rows->group);
    for (size_t g = 0; g < n; g++)
        if (rows->zero[g] != 8.0f || (double)rows->scale[g] != in_f16((double)rows->scale[g]))
            return false;
    return true;
}

static tn_status scan(const tn_weight_source *source, const tn_weight_info *info, int64_t step,
                      const tn_row_buffer *buffer, bool *out, tn_error *err)
{
    *out = true;
    for (int64_t row = 0; row < info->rows && *out; row += step) {
        const int64_t n = info->rows - row < step ? info->rows - row : step;
        tn_weight_rows rows = { .size = sizeof rows };
        TN_TRY(source->rows(source->self, info, row, (int32_t)n, buffer, &rows, err));
        *out = is_q4_0(&rows);
    }
    return TN_OK;
}

tn_status tn_convert_codes_format(const tn_weight_source *source, tn_convert_tensor *t,
                                  tn_error *err)
{
    const tn_weight_info *info = &t->info;
    const int64_t step = info->cols < SCAN_ELEMENTS ? SCAN_ELEMENTS / info->cols : 1;
    tn_row_buffer buffer;
    bool all = false;
    if (info->cols % QK)
        return tn_fail(err, TN_UNSUPPORTED,
                       "tensor %s has %lld inputs; a multiple of %d is needed for Q4_0 and Q4_1; "
                       "--type plain takes it",
                       info->name, (long long)info->cols, QK);
    TN_TRY(tn_row_buffer_init(&buffer, info, (int32_t)step, err));
    const tn_status st = scan(source, info, step, &buffer, &all, err);
    tn_row_buffer_deinit(&buffer);
    t->format = tn_weight_format_of_name(all ? "Q4_0" : "Q4_1");
    t->encode = encode;
    return st;
}
