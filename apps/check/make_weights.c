/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/make.h"
#include "core/base/float16.h"

#include <math.h>
#include <string.h>

static float plain_value(const char *wfmt, float value)
{
    if (strcmp(wfmt, "f16") == 0)
        return tn_f16_to_f32(tn_f32_to_f16(value));
    return strcmp(wfmt, "bf16") == 0 ? tn_bf16_to_f32(tn_f32_to_bf16(value)) : value;
}

/* Formats that arrive as values: the codes that a weight is made of (ggml-common.h of ggml), so
 * that a plugin that finds them again, or codes them anew, meets what files hold. */
typedef struct value_format {
    const char *name;
    int32_t group;         /* columns that share a step */
    int32_t lowest, codes; /* lowest, lowest + 1 ... */
    bool has_offset;       /* step * code - offset */
    const int8_t *table;   /* the codes, when they are not in a row */
} value_format;

static const int8_t iq4_codes[] = { -127, -104, -83, -65, -49, -35, -22, -10,
                                    1,    13,   25,  38,  53,  69,  89,  113 };

static const value_format value_formats[] = {
    { "q2_k", 16, 0, 4, true, NULL },          { "q3_k", 16, -4, 8, false, NULL },
    { "q4_k", 32, 0, 16, true, NULL },         { "q5_k", 32, 0, 32, true, NULL },
    { "q6_k", 16, -32, 64, false, NULL },      { "q5_0", 32, -16, 32, false, NULL },
    { "q5_1", 32, 0, 32, true, NULL },         { "q8_k", 256, -128, 256, false, NULL },
    { "iq4_nl", 32, 0, 16, false, iq4_codes }, { "iq4_xs", 32, 0, 16, false, iq4_codes },
};

static const value_format *find_value_format(const char *wfmt)
{
    for (size_t i = 0; i < sizeof value_formats / sizeof value_formats[0]; i++)
        if (strcmp(value_formats[i].name, wfmt) == 0)
            return &value_formats[i];
    return NULL;
}

/* A step is the f16 scale of a block times the small integer of a group, as of K-quants; weights
 * are about 1. */
static void fill_grid(tn_check_made *m, const value_format *f, float *v, size_t n)
{
    const float span = f->table ? 256.0f : (float)f->codes;
    const float unit = plain_value("f16", tn_check_uniform(&m->state, 0.5f, 1) / (30 * span));
    float step = 0, offset = 0;
    for (size_t i = 0; i < n; i++) {
        if (i % (size_t)f->group == 0) {
            step = unit * (float)(1 + tn_check_random(&m->state) % 60);
            offset = (float)(tn_check_random(&m->state) % (uint64_t)f->codes);
            offset = f->has_offset ? step * offset : 0;
        }
        const int32_t code = (int32_t)(tn_check_random(&m->state) % (uint64_t)f->codes);
        v[i] = step * (float)(f->table ? f->table[code] : f->lowest + code) - offset;
    }
}

static bool fill_plain(tn_check_made *m, tn_check_part *p, const char *wfmt, int32_t codes)
{
    const size_t n = (size_t)p->rows.rows * (size_t)p->rows.cols;
    const value_format *f = find_value_format(wfmt);
    float *v = tn_check_fill(m, TN_FILL_NORMAL, p->rows.rows, p->rows.cols, 0);
    for (size_t i = 0; v && !f && i < n; i++)
        v[i] = plain_value(wfmt, (codes == TN_CODES_ONE_SIGN ? fabsf(v[i]) : v[i]) * 0.5f);
    if (v && f)
        fill_grid(m, f, v, n);
    p->rows.values = v;
    return v != NULL;
}

/* The zero point, or the offset, of a group. Of one sign: all weights of u4z are at least 0, or at
 * most; those of u4b are more than 0. */
static float zero_of(tn_check_made *m, const tn_check_part *p, int32_t codes, size_t group)
{
    const bool one_sign = codes == TN_CODES_ONE_SIGN;
    if (p->wfmt[2] == 'z')
        return one_sign ? (group % 2 ? 16.0f : 0.0f) : (float)(tn_check_random(&m->state) % 17);
    return plain_value("f16", tn_check_uniform(&m->state, one_sign ? 0.1f : -0.5f, 0.5f));
}

static uint8_t code_of(tn_check_made *m, const tn_check_part *p, int32_t codes)
{
    const uint8_t code = (uint8_t)tn_check_random(&m->state);
    if (p->wfmt[0] == 'u')
        return code & 15u;
    return codes == TN_CODES_ONE_SIGN ? code | 128u : code; /* q8 is biased by 128 */
}

static bool fill_codes(tn_check_made *m, tn_check_part *p, int32_t codes)
{
    const size_t n = (size_t)p->rows.rows * (size_t)p->rows.cols;
    const size_t group = (size_t)p->rows.group, n_groups = n / group;
    const bool u4 = p->wfmt[0] == 'u';
    float *scale = tn_arena_alloc(&m->arena, n_groups * sizeof *scale);
    float *zero = tn_arena_alloc(&m->arena, n_groups * sizeof *zero);
    uint8_t *code = tn_arena_alloc(&m->arena, n);
    if (!scale || !zero || !code)
        return false;
    for (size_t g = 0; g < n_groups; g++) {
        scale[g] = plain_value("f16", tn_check_uniform(&m->state, 0.01f, 0.1f));
        zero[g] = zero_of(m, p, codes, g);
    }
    for (size_t i = 0; i < n; i++)
        code[i] = codes == TN_CODES_CONSTANT && i % group ? code[i - 1] : code_of(m, p, codes);
    p->rows.scale = scale;
    p->rows.zero = u4 ? zero : NULL;
    p->rows.codes = code;
    return true;
}

tn_status tn_check_made_weight(tn_check_made *m, int32_t index, const char *wfmt, int32_t rows,
                               int32_t cols, int32_t group, bool bias, int32_t codes, tn_part *part,
                               tn_error *err)
{
    tn_check_part *p = &m->part[index];
    *p = (tn_check_part){
        .wfmt = group ? tn_arena_printf(&m->arena, "%s.g%d", wfmt, (int)group) : wfmt,
        .rows = { .size = sizeof(tn_weight_rows), .rows = rows, .cols = cols, .group = group }
    };
    if (!p->wfmt || !(group ? fill_codes(m, p, codes) : fill_plain(m, p, wfmt, codes)))
        return tn_fail_memory(err, "a case");
    if (bias)
        p->rows.bias = tn_check_fill(m, TN_FILL_NORMAL, 1, rows, 0);
    if (bias && !p->rows.bias)
        return tn_fail_memory(err, "a case");
    m->c.n_parts = m->c.n_parts > index ? m->c.n_parts : index + 1;
    const value_format *f = find_value_format(wfmt);
    if (part)
        *part = (tn_part){ .size = sizeof *part,
                           .out = rows,
                           .bias = bias,
                           .group = f ? f->group : group,
                           .values = !group,
                           .wfmt = p->wfmt };
    return TN_OK;
}
