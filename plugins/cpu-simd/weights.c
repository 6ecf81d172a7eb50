/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/cpu-simd/weights.h"

#include "plugins/common/half.h"

#include <math.h>
#include <string.h>

enum { UNIT_BYTES = SIMD_TILE * 4, QUAD_BYTES = SIMD_TILE * 4 };

static const struct {
    const char *name;     /* format id, or what stands before ".gN" */
    int32_t value_bytes;  /* plain kinds */
    int32_t param_bytes;  /* of a row's group; coded kinds */
    int32_t codes_a_byte; /* coded kinds */
} kinds[SIMD_N_KINDS] = {
    [SIMD_W_F32] = { "f32", 4, 0, 0 },   [SIMD_W_F16] = { "f16", 2, 0, 0 },
    [SIMD_W_BF16] = { "bf16", 2, 0, 0 }, [SIMD_W_U4Z] = { "u4z", 0, 3, 2 },
    [SIMD_W_U4B] = { "u4b", 0, 4, 2 },   [SIMD_W_Q8] = { "q8", 0, 2, 1 },
};

/* Formats whose values lie on a grid in each group of 32, so that codes hold them exactly:
 * most_steps from the smallest to the largest magnitude (q8), or value (u4b). Those with 16 columns
 * a step, or more than 4 bits and an offset, do not. */
static const struct {
    const char *name;
    int32_t kind, most_steps;
} grids[] = { { "q4_k", SIMD_W_U4B, 15 },
              { "q5_0", SIMD_W_Q8, 16 },
              { "iq4_nl", SIMD_W_Q8, 127 },
              { "iq4_xs", SIMD_W_Q8, 127 } };

/* Row of grids, or -1. */
static int32_t grid_of(const char *wfmt)
{
    for (int32_t i = 0; i < (int32_t)(sizeof grids / sizeof grids[0]); i++)
        if (wfmt && strcmp(wfmt, grids[i].name) == 0)
            return i;
    return -1;
}

static int32_t kind_of(const char *wfmt, int32_t group, int32_t values, int32_t keep)
{
    int32_t kind = 0;
    for (; kind < SIMD_N_KINDS; kind++) {
        size_t n = strlen(kinds[kind].name);
        if (wfmt && strncmp(wfmt, kinds[kind].name, n) == 0 &&
            (wfmt[n] == '\0' || (simd_is_coded(kind) && wfmt[n] == '.')))
            break;
    }
    if (values && (kind == SIMD_N_KINDS || simd_is_coded(kind)))
        return keep ? SIMD_W_F32 : grid_of(wfmt) >= 0 ? grids[grid_of(wfmt)].kind : SIMD_W_Q8;
    return kind < SIMD_N_KINDS && simd_is_coded(kind) == (group > 0) ? kind : SIMD_N_KINDS;
}

tn_status simd_weights_init(const char *wfmt, int32_t group, int32_t values, int32_t cols,
                            int32_t keep, simd_weights *out, tn_error *why)
{
    simd_weights w = { .kind = kind_of(wfmt, group, values, keep), .cols = cols, .padded = cols };
    if (w.kind == SIMD_N_KINDS)
        return tn_plugin_fail(why, TN_UNSUPPORTED,
                              "weight format %s: cpu-simd takes f32 f16 bf16 u4z u4b q8 and values",
                              wfmt ? wfmt : "(none)");
    if (cols < 1 || cols > INT32_MAX - SIMD_GROUP)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "rows of %d columns", cols);
    if (!simd_is_coded(w.kind)) {
        w.padded += w.kind == SIMD_W_BF16 ? cols % 2 : 0;
        w.tile_bytes = (uint64_t)w.padded * SIMD_TILE * (uint64_t)kinds[w.kind].value_bytes;
        *out = w;
        return TN_OK;
    }
    w.padded = (cols + SIMD_GROUP - 1) / SIMD_GROUP * SIMD_GROUP;
    w.from_values = values;
    w.most_steps = values && grid_of(wfmt) >= 0 ? grids[grid_of(wfmt)].most_steps : 0;
    w.group = values ? SIMD_GROUP : group;
    if (!values && w.group == cols) /* one group of whatever width */
        w.group = w.padded;
    else if (!values && (w.group < 1 || w.group % SIMD_GROUP || cols % w.group))
        return tn_plugin_fail(
            why, TN_UNSUPPORTED,
            "groups of %d in %d columns, cpu-simd takes multiples of 32 that divide the row, "
            "or the whole row",
            group, cols);
    w.n_groups = w.padded / w.group;
    w.group_bytes = (uint64_t)kinds[w.kind].param_bytes * SIMD_TILE;
    w.codes = (UNIT_BYTES + (uint64_t)w.n_groups * w.group_bytes + 63) / 64 * 64;
    w.tile_bytes = w.codes + (uint64_t)w.padded * SIMD_TILE / (uint64_t)kinds[w.kind].codes_a_byte;
    *out = w;
    return TN_OK;
}

tn_status simd_weights_check_twin(const simd_weights *w, int32_t recoded, const char *wfmt,
                                  tn_error *why)
{
    if (w->from_values == recoded)
        return TN_OK;
    return tn_plugin_fail(why, TN_UNSUPPORTED,
                          recoded ? "weight format %s is kept as it is, this kernel recodes"
                                  : "weight format %s is recoded in 8 bits, by the kernel with .w8",
                          wfmt);
}

int simd_weights_add_bytes(const simd_weights *w, int32_t rows, uint64_t *total)
{
    uint64_t tiles = ((uint64_t)rows + SIMD_TILE - 1) / SIMD_TILE;
    return tn_plugin_add_product(total, tiles, w->tile_bytes);
}

/* ---- pack ---- */

static void put_u16(uint8_t *at, uint16_t value)
{
    memcpy(at, &value, sizeof value);
}

static uint16_t get_u16(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* Where the value of column k of a lane lies. */
static size_t plain_at(const simd_weights *w, int32_t k, int32_t lane)
{
    const size_t column = (size_t)k, row = (size_t)lane;
    if (w->kind == SIMD_W_BF16)
        return (column / 2 * SIMD_TILE + row) * 4 + column % 2 * 2;
    return (column * SIMD_TILE + row) * (size_t)kinds[w->kind].value_bytes;
}

static void pack_plain(const simd_weights *w, const float *values, int32_t lane, uint8_t *tile)
{
    for (int32_t k = 0; k < w->padded; k++) {
        uint8_t *at = tile + plain_at(w, k, lane);
        float value = k < w->cols ? values[k] : 0.0f;
        if (w->kind == SIMD_W_F32)
            memcpy(at, &value, 4);
        else
            put_u16(at,
                    w->kind == SIMD_W_F16 ? tn_half_f32_to_f16(value) : tn_half_f32_to_bf16(value));
    }
}

/* `span` by the fewest steps that bring every value - base on the grid; 0 when none do. Values are
 * f32, so they may be off by units of the largest. */
static float grid_step(const float *values, int32_t n, float base, float span, int32_t most_steps)
{
    double largest = fmax(fabs((double)base), fabs((double)base + (double)span));
    for (int32_t steps = 1; steps <= most_steps; steps++) {
        double step = (double)span / steps, slack = 0x1p-14 + 0x1p-22 * largest / step;
        int32_t k = 0;
        for (; k < n; k++) {
            double at = ((double)values[k] - (double)base) / step;
            if (fabs(at - rint(at)) > fmin(slack, 0.25))
                break;
        }
        if (k == n)
            return (float)step;
    }
    return 0.0f;
}

/* Row r of the canonical rows: parameters of a group. Values are coded on their grid; without one
 * as q8, largest / 127, or u4b, 15 steps from the smallest to the largest. */
typedef struct code_row {
    const simd_weights *w;
    const tn_weight_rows *rows;
    int64_t r;
} code_row;

static const float *group_values(const code_row *row, int32_t g, int32_t *n)
{
    const simd_weights *w = row->w;
    int32_t left = w->cols - g * w->group;
    *n = left < w->group ? left : w->group;
    return row->rows->values + row->r * w->cols + (int64_t)g * w->group;
}

static float zero_of(const code_row *row, int32_t g)
{
    int32_t n;
    if (!row->w->from_values)
        return row->rows->zero[row->r * row->w->n_groups + g];
    const float *values = group_values(row, g, &n);
    float smallest = values[0];
    for (int32_t k = 1; k < n; k++)
        smallest = values[k] < smallest ? values[k] : smallest;
    return smallest;
}

static float scale_of(const code_row *row, int32_t g)
{
    const simd_weights *w = row->w;
    int32_t n, u4b = w->kind == SIMD_W_U4B;
    if (!w->from_values)
        return row->rows->scale[row->r * w->n_groups + g];
    const float *values = group_values(row, g, &n);
    float base = u4b ? zero_of(row, g) : 0.0f, span = 0.0f;
    for (int32_t k = 0; k < n; k++) {
        float size = u4b ? values[k] - base : fabsf(values[k]);
        span = size > span ? size : span;
    }
    float step = span > 0.0f ? grid_step(values, n, base, span, w->most_steps) : 0.0f;
    return step > 0.0f ? step : span / (u4b ? 15.0f : 127.0f);
}

/* Columns beyond the row meet zeros of the input; a biased 0 keeps their value 0 too. base: of
 * values in u4b. */
static uint8_t code_of(const code_row *row, int32_t k, float scale, float base)
{
    const simd_weights *w = row->w;
    if (k >= w->cols)
        return w->kind == SIMD_W_Q8 ? 128 : 0;
    if (!w->from_values)
        return row->rows->codes[row->r * w->cols + k];
    float value = row->rows->values[row->r * w->cols + k];
    float code = scale > 0.0f ? rintf((value - base) / scale) : 0.0f;
    if (w->kind == SIMD_W_U4B)
        return (uint8_t)(code >= 0.0f ? (code <= 15.0f ? code : 15.0f) : 0.0f);
    return (uint8_t)(128 + (int32_t)(code >= -127.0f ? (code <= 127.0f ? code : 127.0f) : -127.0f));
}

static int fits_f16(float value)
{
    return tn_half_f16_to_f32(tn_half_f32_to_f16(value)) == value;
}

/* 1 when f16 holds all parameters; else the power of two that brings the largest to 2^12..2^13. */
static float unit_for(const code_row *row)
{
    float largest = 0.0f;
    int exact = 1, exponent;
    for (int32_t g = 0; g < row->w->n_groups; g++) {
        float scale = scale_of(row, g);
        float offset = row->w->kind == SIMD_W_U4B ? zero_of(row, g) : 0.0f;
        largest = fabsf(scale) > largest ? fabsf(scale) : largest;
        largest = fabsf(offset) > largest ? fabsf(offset) : largest;
        exact = exact && fits_f16(scale) && fits_f16(offset);
    }
    if (exact || !(largest > 0.0f) || isinf(largest))
        return 1.0f;
    (void)frexpf(largest, &exponent);
    exponent = 13 - exponent;
    return ldexpf(1.0f, exponent > 126 ? 126 : exponent < -126 ? -126 : exponent);
}

/* Where the quads of columns k..k+3 of a lane lie; *high: 1 when in the high halves. */
static size_t quad_at(const simd_weights *w, int32_t lane, int32_t k, int32_t *high)
{
    int32_t q8 = w->kind == SIMD_W_Q8;
    *high = !q8 && k % 8 >= 4;
    return (size_t)w->codes + (size_t)(q8 ? k / 4 : k / 8) * QUAD_BYTES + (size_t)lane * 4;
}

static void pack_coded(const code_row *row, int32_t lane, uint8_t *tile)
{
    const simd_weights *w = row->w;
    float unit = unit_for(row), inverse = 1.0f / unit;
    memcpy(tile + (size_t)lane * 4, &inverse, 4);
    for (int32_t g = 0; g < w->n_groups; g++) {
        uint8_t *params = tile + UNIT_BYTES + (uint64_t)g * w->group_bytes;
        float scale = scale_of(row, g);
        put_u16(params + (size_t)lane * 2, tn_half_f32_to_f16(scale * unit));
        float base = w->kind == SIMD_W_U4B ? zero_of(row, g) : 0.0f;
        if (w->kind == SIMD_W_U4B)
            put_u16(params + (SIMD_TILE + (size_t)lane) * 2, tn_half_f32_to_f16(base * unit));
        else if (w->kind == SIMD_W_U4Z)
            params[SIMD_TILE * 2 + lane] = (uint8_t)zero_of(row, g);
        for (int32_t k = g * w->group; k < (g + 1) * w->group; k++) {
            int32_t high;
            uint8_t *at = tile + quad_at(w, lane, k, &high) + k % 4;
            uint8_t code = code_of(row, k, scale, base);
            if (w->kind == SIMD_W_Q8)
                *at = code;
            else
                *at = (uint8_t)(*at | ((code & 15) << (high ? 4 : 0)));
        }
    }
}

tn_status simd_weights_pack(const simd_weights *w, const tn_weight_rows *rows, uint8_t *part,
                            tn_error *err)
{
    int32_t from_values = w->from_values || !simd_is_coded(w->kind);
    if (rows->cols != w->cols || rows->row0 < 0 || rows->row0 % SIMD_TILE)
        return tn_plugin_fail(err, TN_INVALID,
                              "part %d: rows from %lld of %d columns, cpu-simd packs rows from a "
                              "multiple of 16 of %d columns",
                              rows->part, (long long)rows->row0, rows->cols, w->cols);
    if (from_values ? !rows->values
                    : !rows->codes || !rows->scale || (!rows->zero && w->kind != SIMD_W_Q8))
        return tn_plugin_fail(err, TN_INVALID, "part %d: the rows lack what %s needs", rows->part,
                              kinds[w->kind].name);
    for (int64_t r = 0; r < rows->rows; r++) {
        int64_t row = rows->row0 + r;
        uint8_t *tile = part + (uint64_t)(row / SIMD_TILE) * w->tile_bytes;
        int32_t lane = (int32_t)(row % SIMD_TILE);
        if (!simd_is_coded(w->kind))
            pack_plain(w, rows->values + r * w->cols, lane, tile);
        else
            pack_coded(&(code_row){ .w = w, .rows = rows, .r = r }, lane, tile);
    }
    return TN_OK;
}

/* ---- read back ---- */

static void plain_row(const simd_weights *w, const uint8_t *tile, int32_t lane, float *out)
{
    for (int32_t k = 0; k < w->cols; k++) {
        const uint8_t *at = tile + plain_at(w, k, lane);
        if (w->kind == SIMD_W_F32)
            memcpy(&out[k], at, 4);
        else
            out[k] = w->kind == SIMD_W_F16 ? tn_half_f16_to_f32(get_u16(at))
                                           : tn_half_bf16_to_f32(get_u16(at));
    }
}

static void coded_row(const simd_weights *w, const uint8_t *tile, int32_t lane, float *out)
{
    float unit;
    memcpy(&unit, tile + (size_t)lane * 4, 4);
    for (int32_t g = 0; g < w->n_groups; g++) {
        const uint8_t *params = tile + UNIT_BYTES + (uint64_t)g * w->group_bytes;
        float scale = tn_half_f16_to_f32(get_u16(params + (size_t)lane * 2)) * unit, offset = 0.0f;
        if (w->kind == SIMD_W_U4B)
            offset = tn_half_f16_to_f32(get_u16(params + (SIMD_TILE + (size_t)lane) * 2)) * unit;
        int32_t zero = w->kind == SIMD_W_U4Z ? params[SIMD_TILE * 2 + lane] : 0;
        if (w->kind == SIMD_W_Q8)
            zero = 128;
        for (int32_t k = g * w->group; k < (g + 1) * w->group && k < w->cols; k++) {
            int32_t high;
            int32_t code = tile[quad_at(w, lane, k, &high) + (size_t)(k % 4)];
            if (w->kind != SIMD_W_Q8)
                code = high ? code >> 4 : code & 15;
            out[k] = (float)(code - zero) * scale + offset;
        }
    }
}

void simd_weights_row(const simd_weights *w, const uint8_t *part, int64_t row, float scale,
                      float *out)
{
    const uint8_t *tile = part + (uint64_t)(row / SIMD_TILE) * w->tile_bytes;
    if (simd_is_coded(w->kind))
        coded_row(w, tile, (int32_t)(row % SIMD_TILE), out);
    else
        plain_row(w, tile, (int32_t)(row % SIMD_TILE), out);
    if (scale != 1.0f)
        for (int32_t k = 0; k < w->cols; k++)
            out[k] *= scale;
}
