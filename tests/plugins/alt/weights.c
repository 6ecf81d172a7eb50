/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/plugins/alt/weights.h"

#include "plugins/common/half.h"

static int32_t kind_of(const char *wfmt, int32_t group, int32_t values)
{
    static const char *const names[ALT_N_KINDS] = { "f32", "f16", "bf16", "u4z", "u4b", "q8" };
    for (int32_t kind = 0; wfmt && kind < ALT_N_KINDS; kind++) {
        size_t n = strlen(names[kind]);
        int coded = kind >= ALT_W_U4Z;
        if (strncmp(wfmt, names[kind], n) != 0 || coded != (group > 0) || (coded && values))
            continue;
        if (wfmt[n] == '\0' || (coded && wfmt[n] == '.'))
            return kind;
    }
    return values ? ALT_W_F32 : ALT_N_KINDS;
}

tn_status alt_weights_init(const void *self, const char *wfmt, int32_t group, int32_t values,
                           int32_t cols, alt_weights *out, tn_error *why)
{
    alt_weights w = {
        .kind = kind_of(wfmt, group, values), .cols = cols, .group = cols, .n_groups = 1
    };
    if (w.kind == ALT_N_KINDS)
        return tn_plugin_fail(why, TN_UNSUPPORTED,
                              "weight format %s: f32 f16 bf16 u4z u4b q8 and values are taken",
                              wfmt ? wfmt : "(none)");
    if (cols < 1 || (alt_is_coded(&w) && cols % group))
        return tn_plugin_fail(why, TN_UNSUPPORTED, "rows of %d columns in groups of %d", cols,
                              group);
    w.fault = ((const alt_plugin *)self)->fault;
    uint64_t n = (uint64_t)cols;
    if (alt_is_coded(&w)) {
        w.group = group;
        w.n_groups = cols / group;
        w.codes = (uint64_t)w.n_groups * sizeof(float) * (w.kind == ALT_W_Q8 ? 1 : 2);
        w.row_bytes = w.codes + (w.kind == ALT_W_Q8 ? n : (n + 1) / 2);
    } else {
        w.row_bytes = n * (w.kind == ALT_W_F32 ? 4 : 2);
    }
    w.row_bytes = (w.row_bytes + 3) / 4 * 4;
    *out = w;
    return TN_OK;
}

/* ---- pack ---- */

static tn_status pack_plain(const alt_weights *w, const float *values, uint8_t *record,
                            tn_error *err)
{
    if (w->kind == ALT_W_F32) {
        memcpy(record, values, (size_t)w->cols * sizeof *values);
        return TN_OK;
    }
    for (int32_t k = 0; k < w->cols; k++) {
        int is_f16 = w->kind == ALT_W_F16;
        uint16_t half = is_f16 ? tn_half_f32_to_f16(values[k]) : tn_half_f32_to_bf16(values[k]);
        float back = is_f16 ? tn_half_f16_to_f32(half) : tn_half_bf16_to_f32(half);
        if (back < values[k] || back > values[k])
            return tn_plugin_fail(err, TN_INVALID, "column %d is %.9g, which %s cannot hold", k,
                                  (double)values[k], is_f16 ? "f16" : "bf16");
        memcpy(record + (size_t)k * 2, &half, 2);
    }
    return TN_OK;
}

static void pack_codes(const alt_weights *w, const uint8_t *codes, uint8_t *out)
{
    int32_t half = (w->cols + 1) / 2;
    if (w->kind == ALT_W_Q8) {
        memcpy(out, codes, (size_t)w->cols);
        return;
    }
    for (int32_t j = 0; j < half; j++) {
        uint8_t high = j + half < w->cols ? codes[j + half] : 0;
        out[j] = (uint8_t)((codes[j] & 15u) | (unsigned)high << 4);
    }
}

static void pack_coded(const alt_weights *w, const tn_weight_rows *rows, int64_t r, uint8_t *record)
{
    size_t n_bytes = (size_t)w->n_groups * sizeof(float);
    memcpy(record, rows->scale + r * w->n_groups, n_bytes);
    if (w->kind != ALT_W_Q8)
        memcpy(record + n_bytes, rows->zero + r * w->n_groups, n_bytes);
    if (w->kind == ALT_W_U4Z && w->fault == ALT_FAULT_ZERO)
        for (int32_t g = 0; g < w->n_groups; g++)
            ((float *)(void *)(record + n_bytes))[g] -= 1.0f;
    pack_codes(w, rows->codes + r * w->cols, record + w->codes);
}

tn_status alt_weights_pack(const alt_weights *w, const tn_weight_rows *rows, uint8_t *part,
                           tn_error *err)
{
    int is_there = alt_is_coded(w)
                       ? rows->codes && rows->scale && (rows->zero || w->kind == ALT_W_Q8)
                       : rows->values != NULL;
    if (rows->cols != w->cols || rows->row0 < 0 || !is_there)
        return tn_plugin_fail(err, TN_INVALID,
                              "part %d: rows of %d columns lack what is packed, rows of %d",
                              rows->part, rows->cols, w->cols);
    for (int64_t r = 0; r < rows->rows; r++) {
        uint8_t *record = part + (uint64_t)(rows->row0 + r) * w->row_bytes;
        if (alt_is_coded(w))
            pack_coded(w, rows, r, record);
        else
            TN_PLUGIN_TRY(pack_plain(w, rows->values + r * w->cols, record, err));
    }
    return TN_OK;
}

/* ---- read back ---- */

static void plain_row(const alt_weights *w, const uint8_t *record, float *out)
{
    if (w->kind == ALT_W_F32) {
        memcpy(out, record, (size_t)w->cols * sizeof *out);
        return;
    }
    for (int32_t k = 0; k < w->cols; k++) {
        uint16_t half;
        memcpy(&half, record + (size_t)k * 2, 2);
        out[k] = w->kind == ALT_W_F16 ? tn_half_f16_to_f32(half) : tn_half_bf16_to_f32(half);
    }
}

static int32_t code_at(const alt_weights *w, const uint8_t *codes, int32_t k)
{
    int32_t half = (w->cols + 1) / 2;
    if (w->kind == ALT_W_Q8)
        return codes[k] - 128;
    return k < half ? codes[k] & 15 : codes[k - half] >> 4;
}

/* docs/numerics.md, "Weights", in f32. */
void alt_weights_row(const alt_weights *w, const uint8_t *part, int64_t row, float *out)
{
    const uint8_t *record = part + (uint64_t)row * w->row_bytes;
    if (!alt_is_coded(w)) {
        plain_row(w, record, out);
        return;
    }
    const float *scale = (const float *)(const void *)record, *zero = scale + w->n_groups;
    for (int32_t g = 0; g < w->n_groups; g++) {
        int32_t from = w->fault == ALT_FAULT_NEIGHBOUR && g % 8 == 7 ? g - 1 : g;
        for (int32_t k = g * w->group; k < (g + 1) * w->group; k++) {
            float code = (float)code_at(w, record + w->codes, k);
            if (w->kind == ALT_W_U4Z)
                out[k] = (code - zero[g]) * scale[from];
            else
                out[k] = code * scale[from] + (w->kind == ALT_W_U4B ? zero[g] : 0.0f);
        }
    }
}
