/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/cpu-ref/weights.h"

#include "plugins/common/half.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;     /* format id, or what stands before ".gN" */
    int32_t column_bytes; /* of 8 codes */
    int32_t scales;       /* f32 parameters of a row's group */
} formats[REF_N_WEIGHT_FORMATS] = {
    [REF_W_F32] = { "f32", 32, 0 },   [REF_W_F16] = { "f16", 16, 0 },
    [REF_W_BF16] = { "bf16", 16, 0 }, [REF_W_U4Z] = { "u4z", 4, 2 },
    [REF_W_U4B] = { "u4b", 4, 2 },    [REF_W_Q8] = { "q8", 8, 1 },
};

static int is_plain(int32_t kind)
{
    return formats[kind].scales == 0;
}

/* "u4b.g32" is kind U4B with group 32: the name before ".g", and the number after it equal to
 * group. */
static int name_matches(const char *wfmt, int32_t kind, int32_t group)
{
    size_t n = strlen(formats[kind].name);
    if (strncmp(wfmt, formats[kind].name, n) != 0)
        return 0;
    if (is_plain(kind))
        return wfmt[n] == '\0';
    if (wfmt[n] != '.' || wfmt[n + 1] != 'g' || wfmt[n + 2] < '0' || wfmt[n + 2] > '9')
        return 0;
    char *end = NULL;
    long number = strtol(wfmt + n + 2, &end, 10);
    return *end == '\0' && number == group;
}

tn_status ref_wfmt_parse(const char *wfmt, int32_t group, int32_t values, int32_t cols,
                         ref_wfmt *out, tn_error *why)
{
    if (cols < 1)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "%d input columns, at least 1 is needed", cols);
    if (!wfmt)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "the weight has no format");
    int32_t kind = 0;
    while (kind < REF_N_WEIGHT_FORMATS && !name_matches(wfmt, kind, group))
        kind++;
    /* Rows that arrive as values need no formula: f16 and bf16 keep their 16 bits, all else is f32.
     */
    if (values && (kind == REF_N_WEIGHT_FORMATS || !is_plain(kind)))
        kind = REF_W_F32;
    if (kind == REF_N_WEIGHT_FORMATS)
        return tn_plugin_fail(why, TN_UNSUPPORTED,
                              "weight format %s with group %d: cpu-ref packs f32 f16 bf16 u4z.gN "
                              "u4b.gN q8.gN and rows "
                              "given as values",
                              wfmt, group);
    *out = (ref_wfmt){ .kind = kind, .cols = cols, .group = cols };
    if (is_plain(kind))
        return TN_OK;
    if (group < 1 || cols % group)
        return tn_plugin_fail(why, TN_UNSUPPORTED,
                              "%d input columns are not a multiple of the group of %s", cols, wfmt);
    out->group = group;
    return TN_OK;
}

static uint64_t group_bytes(const ref_wfmt *format)
{
    return (uint64_t)formats[format->kind].scales * REF_LANES * sizeof(float) +
           (uint64_t)format->group * (uint64_t)formats[format->kind].column_bytes;
}

uint64_t ref_wfmt_block_bytes(const ref_wfmt *format)
{
    return group_bytes(format) * (uint64_t)(format->cols / format->group);
}

int ref_wfmt_add_bytes(const ref_wfmt *format, int32_t rows, uint64_t *total)
{
    uint64_t blocks = ((uint64_t)rows + REF_LANES - 1) / REF_LANES;
    return tn_plugin_add_product(total, blocks, ref_wfmt_block_bytes(format));
}

/* ---- pack ---- */

/* The 16-bit code of a value that came from one; 0 when the value does not convert back exactly. */
static int half_code(int32_t kind, float value, uint16_t *code)
{
    *code = kind == REF_W_F16 ? tn_half_f32_to_f16(value) : tn_half_f32_to_bf16(value);
    float back = kind == REF_W_F16 ? tn_half_f16_to_f32(*code) : tn_half_bf16_to_f32(*code);
    return tn_half_bits(back) == tn_half_bits(value) || (isnan(back) && isnan(value));
}

static tn_status pack_plain_row(const ref_wfmt *format, const float *values, int32_t lane,
                                uint8_t *block, tn_error *err)
{
    for (int64_t k = 0; k < format->cols; k++) {
        if (format->kind == REF_W_F32) {
            memcpy(block + (k * REF_LANES + lane) * 4, &values[k], 4);
            continue;
        }
        uint16_t code;
        if (!half_code(format->kind, values[k], &code))
            return tn_plugin_fail(err, TN_INVALID, "column %lld: %g is no %s value", (long long)k,
                                  (double)values[k], formats[format->kind].name);
        memcpy(block + (k * REF_LANES + lane) * 2, &code, 2);
    }
    return TN_OK;
}

static void pack_group(const ref_wfmt *format, const uint8_t *codes, float scale, const float *zero,
                       int32_t lane, uint8_t *out)
{
    memcpy(out + (size_t)lane * 4, &scale, 4);
    out += REF_LANES * 4;
    if (format->kind == REF_W_Q8) {
        for (int64_t k = 0; k < format->group; k++)
            out[k * REF_LANES + lane] = codes[k];
        return;
    }
    memcpy(out + (size_t)lane * 4, zero, 4);
    out += REF_LANES * 4;
    int32_t shift = lane >= 4 ? 4 : 0;
    for (int64_t k = 0; k < format->group; k++)
        out[k * 4 + lane % 4] |= (uint8_t)((codes[k] & 15u) << shift);
}

static void pack_coded_row(const ref_wfmt *format, const tn_weight_rows *rows, int64_t row,
                           int32_t lane, uint8_t *block)
{
    int64_t n_groups = format->cols / format->group;
    const uint8_t *codes = rows->codes + row * format->cols;
    for (int64_t g = 0; g < n_groups; g++) {
        const float *zero = format->kind == REF_W_Q8 ? NULL : &rows->zero[row * n_groups + g];
        pack_group(format, codes + g * format->group, rows->scale[row * n_groups + g], zero, lane,
                   block + (uint64_t)g * group_bytes(format));
    }
}

tn_status ref_wfmt_pack(const ref_wfmt *format, const tn_weight_rows *rows, uint8_t *part,
                        tn_error *err)
{
    int plain = is_plain(format->kind);
    if (rows->cols != format->cols || rows->row0 < 0 || rows->row0 % REF_LANES)
        return tn_plugin_fail(err, TN_INVALID,
                              "part %d: rows from %lld of %d columns, cpu-ref packs rows from a "
                              "multiple of 8 of %d columns",
                              rows->part, (long long)rows->row0, rows->cols, format->cols);
    if (plain ? !rows->values
              : !rows->codes || !rows->scale || (!rows->zero && format->kind != REF_W_Q8))
        return tn_plugin_fail(err, TN_INVALID, "part %d: the rows lack what %s needs", rows->part,
                              formats[format->kind].name);
    uint64_t block_bytes = ref_wfmt_block_bytes(format);
    for (int64_t r = 0; r < rows->rows; r++) {
        int64_t row = rows->row0 + r;
        uint8_t *block = part + (uint64_t)(row / REF_LANES) * block_bytes;
        int32_t lane = (int32_t)(row % REF_LANES);
        if (plain)
            TN_PLUGIN_TRY(
                pack_plain_row(format, rows->values + r * format->cols, lane, block, err));
        else
            pack_coded_row(format, rows, r, lane, block);
    }
    return TN_OK;
}

/* ---- evaluate ---- */

/* Each step is one flat loop, or eight lanes written out, since compilers vectorise both without
 * changing a result. */

static void widen_f32(const float *restrict codes, int32_t n, double *restrict w)
{
    for (int32_t i = 0; i < n; i++)
        w[i] = (double)codes[i];
}

static void widen_f16(const uint16_t *restrict codes, int32_t n, double *restrict w)
{
    for (int32_t i = 0; i < n; i++)
        w[i] = (double)tn_half_f16_to_f32(codes[i]);
}

static void widen_bf16(const uint16_t *restrict codes, int32_t n, double *restrict w)
{
    for (int32_t i = 0; i < n; i++)
        w[i] = (double)tn_half_bf16_to_f32(codes[i]);
}

static void widen_u8(const uint8_t *restrict codes, int32_t n, double *restrict w)
{
    for (int32_t i = 0; i < n; i++)
        w[i] = (double)codes[i];
}

/* Rows 0..3 are in the low halves of a column's 4 bytes, rows 4..7 in the high ones. */
static void spread_u4(const uint8_t *restrict codes, int32_t n, uint8_t *restrict q)
{
    for (int32_t k = 0; k < n; k++) {
        uint32_t column;
        memcpy(&column, codes + (size_t)k * 4, 4);
        uint32_t low = column & 0x0f0f0f0fu, high = (column >> 4) & 0x0f0f0f0fu;
        memcpy(q + (size_t)k * REF_LANES, &low, 4);
        memcpy(q + (size_t)k * REF_LANES + 4, &high, 4);
    }
}

/* w = (w - a) * b in place. */
static void shift_and_scale(const double *a, const double *b, int32_t n, double (*w)[REF_LANES])
{
    double a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3], a4 = a[4], a5 = a[5], a6 = a[6], a7 = a[7];
    double b0 = b[0], b1 = b[1], b2 = b[2], b3 = b[3], b4 = b[4], b5 = b[5], b6 = b[6], b7 = b[7];
    for (int32_t k = 0; k < n; k++) {
        w[k][0] = (w[k][0] - a0) * b0;
        w[k][1] = (w[k][1] - a1) * b1;
        w[k][2] = (w[k][2] - a2) * b2;
        w[k][3] = (w[k][3] - a3) * b3;
        w[k][4] = (w[k][4] - a4) * b4;
        w[k][5] = (w[k][5] - a5) * b5;
        w[k][6] = (w[k][6] - a6) * b6;
        w[k][7] = (w[k][7] - a7) * b7;
    }
}

/* w = w * a + b in place. */
static void scale_and_shift(const double *a, const double *b, int32_t n, double (*w)[REF_LANES])
{
    double a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3], a4 = a[4], a5 = a[5], a6 = a[6], a7 = a[7];
    double b0 = b[0], b1 = b[1], b2 = b[2], b3 = b[3], b4 = b[4], b5 = b[5], b6 = b[6], b7 = b[7];
    for (int32_t k = 0; k < n; k++) {
        w[k][0] = w[k][0] * a0 + b0;
        w[k][1] = w[k][1] * a1 + b1;
        w[k][2] = w[k][2] * a2 + b2;
        w[k][3] = w[k][3] * a3 + b3;
        w[k][4] = w[k][4] * a4 + b4;
        w[k][5] = w[k][5] * a5 + b5;
        w[k][6] = w[k][6] * a6 + b6;
        w[k][7] = w[k][7] * a7 + b7;
    }
}

static void widen_codes(int32_t kind, const uint8_t *codes, int32_t n, double (*w)[REF_LANES])
{
    uint8_t q[REF_CHUNK * REF_LANES];
    const void *plain = codes;
    int32_t count = n * REF_LANES;
    switch (kind) {
    case REF_W_F32:
        widen_f32(plain, count, w[0]);
        break;
    case REF_W_F16:
        widen_f16(plain, count, w[0]);
        break;
    case REF_W_BF16:
        widen_bf16(plain, count, w[0]);
        break;
    case REF_W_Q8:
        widen_u8(codes, count, w[0]);
        break;
    default:
        spread_u4(codes, n, q);
        widen_u8(q, count, w[0]);
        break;
    }
}

/* Columns [k0, k0 + n) of one group. */
static void expand_in_group(const ref_wfmt *format, const uint8_t *group, int32_t k0, int32_t n,
                            double (*w)[REF_LANES])
{
    double param[2][REF_LANES] = { { 0 } };
    int32_t n_params = formats[format->kind].scales;
    for (int32_t r = 0; r < REF_LANES; r++)
        param[1][r] = 128.0;
    for (int32_t i = 0; i < n_params * REF_LANES; i++) {
        float value;
        memcpy(&value, group + (size_t)i * 4, 4);
        param[i / REF_LANES][i % REF_LANES] = (double)value;
    }
    const uint8_t *codes = group + (size_t)n_params * REF_LANES * 4 +
                           (size_t)k0 * (size_t)formats[format->kind].column_bytes;
    widen_codes(format->kind, codes, n, w);
    if (format->kind == REF_W_U4B)
        scale_and_shift(param[0], param[1], n, w);
    else if (n_params) /* q8 has no zero array: its codes are biased by 128 */
        shift_and_scale(param[1], param[0], n, w);
}

void ref_wfmt_expand(const ref_wfmt *format, const uint8_t *block, int32_t k0, int32_t n,
                     double (*w)[REF_LANES])
{
    int32_t end = k0 + n;
    uint64_t bytes = group_bytes(format);
    for (int32_t k = k0; k < end;) {
        int32_t g = k / format->group, first = k - g * format->group;
        int32_t count = format->group - first;
        if (count > end - k)
            count = end - k;
        expand_in_group(format, block + (uint64_t)g * bytes, first, count, w + (k - k0));
        k += count;
    }
}

void ref_wfmt_row(const ref_wfmt *format, const uint8_t *part, int64_t row, double scale,
                  float *out)
{
    double w[REF_CHUNK][REF_LANES];
    const uint8_t *block = part + (uint64_t)(row / REF_LANES) * ref_wfmt_block_bytes(format);
    for (int32_t k0 = 0; k0 < format->cols; k0 += REF_CHUNK) {
        int32_t n = format->cols - k0 < REF_CHUNK ? format->cols - k0 : REF_CHUNK;
        ref_wfmt_expand(format, block, k0, n, w);
        for (int32_t k = 0; k < n; k++)
            out[k0 + k] = (float)(scale * w[k][row % REF_LANES]);
    }
}

/* sum[r] += w[k][r] * x[k], k ascending: eight chains that do not meet. */
static void dot_chunk(const double (*w)[REF_LANES], const float *x, int32_t n, double *sum)
{
    double a0 = sum[0], a1 = sum[1], a2 = sum[2], a3 = sum[3];
    double a4 = sum[4], a5 = sum[5], a6 = sum[6], a7 = sum[7];
    for (int32_t k = 0; k < n; k++) {
        double xk = (double)x[k];
        a0 += w[k][0] * xk;
        a1 += w[k][1] * xk;
        a2 += w[k][2] * xk;
        a3 += w[k][3] * xk;
        a4 += w[k][4] * xk;
        a5 += w[k][5] * xk;
        a6 += w[k][6] * xk;
        a7 += w[k][7] * xk;
    }
    sum[0] = a0;
    sum[1] = a1;
    sum[2] = a2;
    sum[3] = a3;
    sum[4] = a4;
    sum[5] = a5;
    sum[6] = a6;
    sum[7] = a7;
}

void ref_wfmt_dot(const ref_wfmt *format, const uint8_t *block, const float *x, int64_t stride,
                  int32_t n_x, double (*sum)[REF_LANES])
{
    double w[REF_CHUNK][REF_LANES];
    memset(sum, 0, (size_t)n_x * sizeof *sum);
    for (int32_t k0 = 0; k0 < format->cols; k0 += REF_CHUNK) {
        int32_t n = format->cols - k0 < REF_CHUNK ? format->cols - k0 : REF_CHUNK;
        ref_wfmt_expand(format, block, k0, n, w);
        for (int32_t i = 0; i < n_x; i++)
            dot_chunk((const double(*)[REF_LANES])w, x + i * stride + k0, n, sum[i]);
    }
}
