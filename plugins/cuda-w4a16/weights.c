/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/cuda-w4a16/weights.h"

#include "plugins/common/half.h"
#include "plugins/common/plugin_util.h"

#include <math.h>
#include <string.h>

enum { WHOLE = 31, HALF_STRIP = W4_STRIP / 2, MAX_CODE = 15, MAX_ZERO = 16 };

#define LAYOUT(what) TENON_PLUGIN_NAME "/" what "/1"
#define LAYOUTS(what)                                                                              \
    {                                                                                              \
        { LAYOUT(what), LAYOUT(what "+bias") },                                                    \
        {                                                                                          \
            LAYOUT(what "+glu"), LAYOUT(what "+glu+bias")                                          \
        }                                                                                          \
    }
#define FORMAT_LAYOUTS(format)                                                                     \
    {                                                                                              \
        LAYOUTS(format ".g32"), LAYOUTS(format ".g64"), LAYOUTS(format ".g128"),                   \
            LAYOUTS(format ".row")                                                                 \
    }
/* [u4z, u4b][group][is_glu][has_bias] */
static const char *const layouts[2][4][2][2] = { FORMAT_LAYOUTS("u4z"), FORMAT_LAYOUTS("u4b") };

/* Of groups of `group` columns in rows of cols; -1: not one that is taken. */
static int32_t shift_of(int32_t group, int32_t cols)
{
    for (int32_t shift = 5; shift <= 7; shift++)
        if (group == 1 << shift)
            return shift;
    return group == cols ? WHOLE : -1;
}

static tn_status check_format(const tn_part *part, int32_t cols, tn_error *why)
{
    const char *wfmt = part->wfmt ? part->wfmt : "(none)";
    int is_known = strncmp(wfmt, "u4z.", 4) == 0 || strncmp(wfmt, "u4b.", 4) == 0;
    if (!is_known || part->values)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "weight format %s: u4z and u4b are taken", wfmt);
    if (cols < 1 || cols % 8)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "%d input columns, a multiple of 8 is taken",
                              cols);
    if (part->group < 1 || cols % part->group || shift_of(part->group, cols) < 0)
        return tn_plugin_fail(why, TN_UNSUPPORTED,
                              "groups of %d of %d input columns: 32, 64, 128 and all are taken",
                              part->group, cols);
    return TN_OK;
}

tn_status w4_weights_init(const tn_part *part, int32_t cols, int32_t rows, int32_t is_glu,
                          int32_t has_bias, w4_weights *out, tn_error *why)
{
    TN_PLUGIN_TRY(check_format(part, cols, why));
    const int32_t shift = shift_of(part->group, cols), chunks = (cols - 1) / W4_CHUNK + 1;
    const int32_t used = is_glu ? rows / 2 : rows, step = is_glu ? HALF_STRIP : W4_STRIP;
    *out = (w4_weights){ .rows = rows,
                         .cols = cols,
                         .group = part->group,
                         .groups = shift == 5 ? 2 * chunks : (cols - 1) / part->group + 1,
                         .is_glu = is_glu,
                         .matrix = { .chunks = chunks,
                                     .strips = (used - 1) / step + 1,
                                     .group_shift = shift,
                                     .has_offset = strncmp(part->wfmt, "u4b.", 4) == 0 } };
    const uint64_t strips = (uint64_t)out->matrix.strips;
    int fits =
        tn_plugin_add_product(&out->params, strips * (uint64_t)chunks, W4_STRIP * W4_CHUNK / 2);
    out->bytes = out->params;
    fits &= tn_plugin_add_product(&out->bytes, strips * (uint64_t)out->groups, W4_STRIP * 4);
    if (!fits)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "the packed weights are too large");
    out->layout = layouts[out->matrix.has_offset][shift == WHOLE ? 3 : shift - 5][is_glu][has_bias];
    return TN_OK;
}

/* The column of all strips that a row is packed as. */
static int64_t column_of(const w4_weights *w, int64_t row)
{
    if (!w->is_glu)
        return row;
    const int64_t part = row >= w->rows / 2, at = row - part * (w->rows / 2);
    return at / HALF_STRIP * W4_STRIP + part * HALF_STRIP + at % HALF_STRIP;
}

/* The byte of a code, and its place there: 0 or 4. */
static uint64_t code_at(const w4_weights *w, int64_t column, int32_t k, int32_t *shift)
{
    const int64_t strip = column / W4_STRIP, chunk = k / W4_CHUNK;
    const int64_t tile = column % W4_STRIP / 16, second = column / 8 % 2;
    const int64_t lane = column % 8 * 4 + k % 32 / 8, word = k % W4_CHUNK / 4 % 2 + k / 32 % 2 * 2;
    *shift = k / 2 % 2 * 4;
    return (uint64_t)((((strip * w->matrix.chunks + chunk) * 4 + tile) * 32 + lane) * 16 +
                      word * 4 + k % 2 * 2 + second);
}

/* The two f16 of a column's group. */
static uint64_t params_at(const w4_weights *w, int64_t column, int64_t group)
{
    const int64_t strip = column / W4_STRIP, tile = column % W4_STRIP / 16;
    return w->params + (uint64_t)(((strip * w->groups + group) * W4_STRIP + tile * 16 +
                                   column % 8 * 2 + column / 8 % 2) *
                                  4);
}

/* {s, 1024 + z} or {s, b}; nothing that a code stands for is beyond f16. */
static tn_status narrow(const w4_weights *w, float scale, float zero, uint16_t *out, tn_error *err)
{
    const float low = w->matrix.has_offset ? zero : -zero * scale;
    const float high = low + (float)MAX_CODE * scale,
                limit = 65520.0f; /* what rounds to infinity */
    if (!w->matrix.has_offset && !(zero >= 0 && zero <= MAX_ZERO && zero == truncf(zero)))
        return tn_plugin_fail(err, TN_INVALID, "a zero point of %g, whole numbers to %d are taken",
                              (double)zero, MAX_ZERO);
    if (!(fabsf(low) < limit && fabsf(high) < limit && fabsf(scale) < limit))
        return tn_plugin_fail(err, TN_INVALID,
                              "weights from %g to %g by %g are beyond the largest f16, 65504: the "
                              "profile can say activations: bf16",
                              (double)low, (double)high, (double)scale);
    out[0] = tn_half_f32_to_f16(scale);
    out[1] = tn_half_f32_to_f16(w->matrix.has_offset ? zero : 1024.0f + zero);
    return TN_OK;
}

tn_status w4_weights_pack(const w4_weights *w, const tn_weight_rows *rows, int64_t row0, void *blob,
                          tn_error *err)
{
    if (rows->cols != w->cols || !rows->codes || !rows->scale || !rows->zero)
        return tn_plugin_fail(err, TN_INVALID,
                              "part %d: rows of %d columns lack what is packed, rows of %d",
                              rows->part, rows->cols, w->cols);
    const int32_t groups = w->cols / w->group;
    for (int64_t r = 0; r < rows->rows; r++) {
        const int64_t column = column_of(w, row0 + rows->row0 + r);
        for (int32_t g = 0; g < groups; g++) {
            uint16_t params[2];
            TN_PLUGIN_TRY(
                narrow(w, rows->scale[r * groups + g], rows->zero[r * groups + g], params, err));
            memcpy((uint8_t *)blob + params_at(w, column, g), params, sizeof params);
        }
        for (int32_t k = 0; k < w->cols; k++) {
            int32_t shift;
            const uint64_t at = code_at(w, column, k, &shift);
            const int32_t code = rows->codes[r * w->cols + k] & MAX_CODE;
            ((uint8_t *)blob)[at] = (uint8_t)(((uint8_t *)blob)[at] | code << shift);
        }
    }
    return TN_OK;
}

/* As kernels/w4.cuh expands them: one rounding, which f32 does not come between, as a product of 5
 * and 11 bits fits; a sum may be rounded there first. */
void w4_weights_row(const w4_weights *w, const void *blob, int64_t row, float *out)
{
    const uint8_t *bytes = blob;
    const int64_t column = column_of(w, row);
    for (int32_t k = 0; k < w->cols; k++) {
        uint16_t params[2];
        int32_t shift;
        const uint64_t at = code_at(w, column, k, &shift);
        const int32_t code = bytes[at] >> shift & MAX_CODE;
        memcpy(params, bytes + params_at(w, column, k / w->group), sizeof params);
        const float scale = tn_half_f16_to_f32(params[0]), second = tn_half_f16_to_f32(params[1]);
        const float value = w->matrix.has_offset ? (float)code * scale + second
                                                 : ((float)code - (second - 1024.0f)) * scale;
        out[k] = tn_half_f16_to_f32(tn_half_f32_to_f16(value));
    }
}
