/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/cuda-fp16/weights.h"

#include "plugins/common/half.h"

#include <math.h>
#include <string.h>

enum { N_PLAIN = 3, N_KINDS = 6, CHUNK = 256 };

static const struct {
    const char *name; /* format id, or what stands before ".gN" */
    int32_t kind;
} formats[N_KINDS] = {
    { "f32", FP16_W_PLAIN }, { "f16", FP16_W_PLAIN }, { "bf16", FP16_W_PLAIN },
    { "u4z", FP16_W_U4Z },   { "u4b", FP16_W_U4B },   { "q8", FP16_W_Q8 },
};

/* Kind of rows that arrive as codes, or as the plain values of a plain format; -1: unknown. */
static int32_t kind_of(const char *wfmt, int32_t group)
{
    for (int32_t i = 0; wfmt && i < N_KINDS; i++) {
        size_t n = strlen(formats[i].name);
        char next = strncmp(wfmt, formats[i].name, n) == 0 ? wfmt[n] : '?';
        if (i < N_PLAIN ? next == '\0' && group == 0 : (next == '\0' || next == '.') && group > 0)
            return formats[i].kind;
    }
    return -1;
}

tn_status fp16_weights_init(const char *wfmt, int32_t group, int32_t values, int32_t cols,
                            int32_t dtype, fp16_weights *out, tn_error *why)
{
    fp16_weights w = { .kind = values ? FP16_W_PLAIN : kind_of(wfmt, group),
                       .cols = cols,
                       .group = group,
                       .dtype = dtype };
    if (w.kind < 0)
        return tn_plugin_fail(why, TN_UNSUPPORTED,
                              "weight format %s with group %d: f32 f16 bf16 u4z.gN u4b.gN q8.gN "
                              "and rows given as values are packed",
                              wfmt ? wfmt : "(none)", group);
    if (cols < 1 || cols > INT32_MAX - 8)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "rows of %d columns", cols);
    if (w.kind != FP16_W_PLAIN && cols % group)
        return tn_plugin_fail(why, TN_UNSUPPORTED,
                              "%d input columns are not a multiple of the group of %s", cols, wfmt);
    w.padded = (cols + 7) / 8 * 8;
    *out = w;
    return TN_OK;
}

const char *fp16_weights_layout(int32_t dtype, int has_bias)
{
    if (dtype == TN_BF16)
        return has_bias ? "cuda-fp16/bf16.k8+bias/1" : "cuda-fp16/bf16.k8/1";
    return has_bias ? "cuda-fp16/f16.k8+bias/1" : "cuda-fp16/f16.k8/1";
}

int fp16_weights_add_bytes(const fp16_weights *w, int32_t rows, uint64_t *total)
{
    return tn_plugin_add_product(total, (uint64_t)rows, (uint64_t)w->padded * sizeof(uint16_t));
}

/* Values of columns [k0, k0 + n) of a row, in one group. */
static void widen(const fp16_weights *w, const tn_weight_rows *rows, int64_t r, int32_t k0,
                  int32_t n, float *out)
{
    if (w->kind == FP16_W_PLAIN) {
        memcpy(out, rows->values + r * w->cols + k0, (size_t)n * sizeof *out);
        return;
    }
    const uint8_t *codes = rows->codes + r * w->cols + k0;
    int64_t group = r * (w->cols / w->group) + k0 / w->group;
    float scale = rows->scale[group], zero = rows->zero ? rows->zero[group] : 128.0f;
    for (int32_t k = 0; k < n; k++) {
        float q = (float)codes[k];
        out[k] = w->kind == FP16_W_U4B ? q * scale + zero : (q - zero) * scale;
    }
}

static tn_status narrow(const fp16_weights *w, const float *values, int32_t n, uint16_t *out,
                        tn_error *err)
{
    for (int32_t k = 0; k < n; k++) {
        out[k] =
            w->dtype == TN_F16 ? tn_half_f32_to_f16(values[k]) : tn_half_f32_to_bf16(values[k]);
        if (w->dtype == TN_F16 && fabsf(values[k]) >= 65520.0f && isfinite(values[k]))
            return tn_plugin_fail(
                err, TN_INVALID,
                "a weight of %g is beyond the largest f16, 65504: the profile can "
                "say activations: bf16",
                (double)values[k]);
    }
    return TN_OK;
}

tn_status fp16_weights_pack(const fp16_weights *w, const tn_weight_rows *rows, void *part,
                            tn_error *err)
{
    float values[CHUNK];
    int is_there = w->kind == FP16_W_PLAIN
                       ? rows->values != NULL
                       : rows->codes && rows->scale && (rows->zero || w->kind == FP16_W_Q8);
    if (rows->cols != w->cols || rows->row0 < 0 || !is_there)
        return tn_plugin_fail(err, TN_INVALID,
                              "part %d: rows of %d columns lack what is packed, rows of %d",
                              rows->part, rows->cols, w->cols);
    int32_t step = w->kind == FP16_W_PLAIN ? w->cols : w->group;
    for (int64_t r = 0; r < rows->rows; r++) {
        uint16_t *out = (uint16_t *)part + (rows->row0 + r) * w->padded;
        for (int32_t g = 0; g < w->cols; g += step)
            for (int32_t k = g; k < g + step; k += CHUNK) {
                int32_t n = g + step - k < CHUNK ? g + step - k : CHUNK;
                widen(w, rows, r, k, n, values);
                TN_PLUGIN_TRY(narrow(w, values, n, out + k, err));
            }
    }
    return TN_OK;
}

void fp16_weights_row(const fp16_weights *w, const void *part, int64_t row, float *out)
{
    const uint16_t *from = (const uint16_t *)part + row * w->padded;
    for (int32_t k = 0; k < w->cols; k++)
        out[k] = w->dtype == TN_F16 ? tn_half_f16_to_f32(from[k]) : tn_half_bf16_to_f32(from[k]);
}
