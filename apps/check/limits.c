/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/limits.h"

#include "core/base/alloc.h"

#include <math.h>
#include <string.h>

/* Denormals may be flushed: an absolute slack of the smallest normal number a term. */
static const double tiny = 0x1p-126;

/* The last column is calibrated, not derived: how errors of layers add up is the model's. Wrong
 * kernels that change tokens give 0.3 and more; correct ones at most 0.001 (f32acc and f16acc) and
 * 0.08 (a8) on SmolLM2-135M and 60 tiny models (docs/check.md). */
static const tn_check_class classes[] = {
    { "exact", 0, 0, true, false, false, 0.02 },
    { "f32acc", 0x1p-24, 0, false, false, false, 0.02 },
    { "f16acc", 0x1p-24, 0x1p-11, false, false, false, 0.02 },
    { "a8", 0x1p-24, 0, false, true, false, 0.2 },
    { "w8", 0x1p-24, 0, false, false, true, 0.2 },
    { "w8a8", 0x1p-24, 0, false, true, true, 0.2 },
    { NULL, 0, 0, false, false, false, 0 },
};

const tn_check_class *tn_check_class_table(void)
{
    return classes;
}

const tn_check_class *tn_check_class_find(const char *name)
{
    for (const tn_check_class *k = classes; k->name; k++)
        if (name && strcmp(k->name, name) == 0)
            return k;
    return NULL;
}

tn_check_class tn_check_class_of(const char *name, const tn_node *node)
{
    const tn_check_class *found = tn_check_class_find(name);
    tn_check_class k = found ? *found : classes[0]; /* the loader lets no other name in */
    if (k.operand > 0)
        k.operand = fmax(k.operand, node->act_dtype == TN_BF16 ? tn_check_unit(TN_BF16) : 0);
    return k;
}

double tn_check_unit(int32_t dtype)
{
    return dtype == TN_F16 ? 0x1p-11 : dtype == TN_BF16 ? 0x1p-8 : 0x1p-24;
}

double tn_check_sum_terms(double n)
{
    return n <= 1024 ? n + 8 : 32 * sqrt(n) + 8;
}

bool tn_check_recodes(const tn_check_class *k, const tn_check_part *part)
{
    const char *const plain[] = { "f32", "f16", "bf16" };
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        if (strcmp(part->wfmt, plain[i]) == 0)
            return false;
    return k->w8 && part->rows.values;
}

double tn_check_recode_error(const tn_check_class *k, const tn_check_part *part, int64_t row,
                             int32_t col)
{
    const int32_t cols = part->rows.cols, first = col - col % TN_CHECK_CODE_GROUP;
    double most = 0;
    if (!tn_check_recodes(k, part))
        return 0;
    const float *w = part->rows.values + row * cols;
    for (int32_t i = first; i < first + TN_CHECK_CODE_GROUP && i < cols; i++)
        most = fmax(most, fabs((double)w[i]));
    return most / (2 * TN_CHECK_MAX_CODE) + fabs((double)w[col]) * 0x1p-11;
}

static size_t size_of(const tn_check_tensor *t)
{
    return (size_t)t->rows * (size_t)t->width;
}

/* ---- rows of norms ---- */

static const float *part_values(const tn_check_case *c, int32_t part)
{
    return part < c->n_parts ? c->part[part].rows.values : NULL;
}

/* One vector of n values: y = x / rms * (w + offset). The mean's relative error is half of the
 * sum's; the additions of eps and offset, the root, the division and the product are 8 more. */
static void norm_row(const tn_check_class *k, const float *x, const float *w, double eps,
                     double offset, int32_t n, float *limit)
{
    double sum = 0;
    for (int32_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    const double inverse = 1.0 / sqrt(sum / n + eps);
    const double relative = k->sum * (tn_check_sum_terms(n) / 2 + 8) + 4 * k->operand;
    for (int32_t i = 0; i < n; i++) {
        const double factor = inverse * (fabs((double)w[i]) + fabs(offset));
        limit[i] = (float)(fabs((double)x[i]) * factor * relative + tiny * (1 + factor) +
                           (k->operand > 0 ? 0x1p-24 * factor : 0));
    }
}

static void rmsnorm_limits(const tn_check_case *c, const tn_check_class *k, float *limit)
{
    const tn_norm *norm = c->node.param;
    const float *w = part_values(c, 0);
    for (int32_t r = 0; w && r < c->in[0].rows; r++)
        norm_row(k, c->in[0].values + (size_t)r * (size_t)norm->dim, w, (double)norm->eps,
                 (double)norm->offset, norm->dim, limit + (size_t)r * (size_t)norm->dim);
}

static void qk_norm_limits(const tn_check_case *c, const tn_check_class *k, int32_t which,
                           float *limit)
{
    const tn_rope *rope = c->node.param;
    const tn_check_tensor *t = &c->in[which];
    const float *w = part_values(c, which);
    for (size_t i = 0; w && i < size_of(t); i += (size_t)rope->head_dim)
        norm_row(k, t->values + i, w, (double)rope->qk_eps, (double)rope->qk_offset, rope->head_dim,
                 limit + i);
}

/* ---- rope ---- */

/* A pair (a, b) of size |a| + |b|, turned: sine, cosine, two products and a sum. */
static void rope_head(const tn_rope *rope, double relative, const float *x, float *limit)
{
    const double scale = rope->mscale > 0 ? (double)rope->mscale : 1;
    const int32_t half = rope->rotary_dim / 2;
    for (int32_t i = 0; i < half; i++) {
        const bool halves = rope->pairing == TN_ROPE_HALVES;
        const int32_t a = halves ? i : 2 * i, b = halves ? i + half : 2 * i + 1;
        const double size = (fabs((double)x[a]) + fabs((double)x[b])) * scale;
        limit[a] = limit[b] = (float)(size * relative + 4 * tiny);
    }
}

static void rope_limits(const tn_check_case *c, const tn_check_expected *e, const tn_check_class *k,
                        int32_t which, float *limit)
{
    const tn_rope *rope = c->node.param;
    const tn_check_tensor *t = &c->in[which];
    const bool normed = rope->qk_norm && e->stage[TN_STAGE_QK_NORM].out[which];
    const float *x = normed ? e->stage[TN_STAGE_QK_NORM].out[which] : t->values;
    double relative = 8 * k->sum + 4 * k->operand;
    if (normed)
        relative += k->sum * (tn_check_sum_terms(rope->head_dim) / 2 + 8) + 4 * k->operand;
    for (size_t i = 0; i < size_of(t); i += (size_t)rope->head_dim) {
        rope_head(rope, relative, x + i, limit + i);
        for (int32_t d = rope->rotary_dim; d < rope->head_dim; d++)
            limit[i + (size_t)d] =
                (float)(fabs((double)x[i + (size_t)d]) * (normed ? relative : 2 * k->operand));
    }
}

/* ---- embed, add, glu ---- */

/* Terms of the row's formula: q * s and the zero point's share, however they cancel. */
static double code_size(const tn_check_part *part, int64_t row, int32_t col)
{
    const tn_weight_rows *w = &part->rows;
    if (w->values)
        return fabs((double)w->values[row * w->cols + col]);
    const int64_t group = row * (w->cols / w->group) + col / w->group;
    const double s = fabs((double)w->scale[group]);
    if (!w->zero)
        return 128 * s;
    const double z = fabs((double)w->zero[group]);
    return part->wfmt[2] == 'b' ? 16 * s + z : 32 * s;
}

static void embed_limits(const tn_check_case *c, const tn_check_class *k, float *limit)
{
    const tn_embed *embed = c->node.param;
    const double scale = embed->scale > 0 ? (double)embed->scale : 1;
    const double relative = (4 * k->sum + 2 * k->operand) * scale;
    for (int32_t t = 0; t < c->out[0].rows; t++) {
        for (int32_t i = 0; i < embed->dim; i++) {
            const int32_t row = c->batch->tokens[t];
            const double recode = tn_check_recode_error(k, &c->part[0], row, i) * scale;
            *limit++ = (float)(code_size(&c->part[0], row, i) * relative + recode + tiny);
        }
    }
}

static void add_limits(const tn_check_case *c, const tn_check_class *k, float *limit)
{
    for (size_t i = 0; i < size_of(&c->out[0]); i++) {
        const double size = fabs((double)c->in[0].values[i]) + fabs((double)c->in[1].values[i]);
        limit[i] = (float)(size * (2 * k->sum + 2 * k->operand) + tiny);
    }
}

/* The gate function near g loses up to a few units of |g| (gelu cancels for negative g), and e^-g
 * loses |g| units of itself. */
static void glu_limits(const tn_check_case *c, const tn_check_expected *e, const tn_check_class *k,
                       float *limit)
{
    const tn_rows_op *rows = c->node.param;
    const double scale = rows->scale > 0 ? (double)rows->scale : 1;
    for (size_t i = 0; i < size_of(&c->out[0]); i++) {
        const double g = fabs((double)c->in[0].values[i]), u = fabs((double)c->in[1].values[i]);
        const double y = fabs((double)e->out[0][i]);
        limit[i] = (float)(k->sum * (16 * g * u * scale + (g + 8) * y) +
                           k->operand * (4 * y + 2 * fmin(g, 1) * u * scale) + tiny * (1 + u));
    }
}

/* ---- all ---- */

/* The output is rounded to its edge's type, and so is the reference before it is compared. */
static void add_rounding(const tn_check_case *c, const tn_check_expected *e, int32_t i,
                         float *limit)
{
    const int32_t dtype = c->node.out_dtype[i];
    const double unit = tn_check_unit(dtype), least = dtype == TN_F16 ? 0x1p-24 : 0;
    for (size_t n = 0; dtype != TN_F32 && n < size_of(&c->out[i]); n++)
        limit[n] += (float)(2 * unit * fabs((double)e->out[i][n]) + least);
}

/* Operands in f16 below 2^-14 lose absolute, not relative, precision. */
static void add_subnormals(const tn_check_case *c, int32_t i, float *limit)
{
    if (strcmp(c->op->name, "gather_rows") == 0 || strcmp(c->op->name, "argmax") == 0)
        return;
    for (size_t n = 0; n < size_of(&c->out[i]); n++)
        limit[n] += c->node.n_in ? 0x1p-20f : 0;
}

static tn_status fill(const tn_check_case *c, const tn_check_expected *e, const tn_check_class *k,
                      tn_team *team, int32_t i, float *limit, tn_error *err)
{
    const char *op = c->op->name;
    if (c->op->param == TN_PARAM_LINEAR)
        return tn_check_linear_limits(c, e, k, team, limit, err);
    if (strcmp(op, "attention") == 0)
        return tn_check_attention_limits(c, k, limit, err);
    if (strcmp(op, "embed") == 0)
        embed_limits(c, k, limit);
    else if (strcmp(op, "rmsnorm") == 0)
        rmsnorm_limits(c, k, limit);
    else if (strcmp(op, "qk_norm") == 0)
        qk_norm_limits(c, k, i, limit);
    else if (strcmp(op, "rope") == 0 || strcmp(op, "rope_kv_write") == 0)
        rope_limits(c, e, k, i, limit);
    else if (strcmp(op, "add") == 0)
        add_limits(c, k, limit);
    else if (strcmp(op, "glu") == 0)
        glu_limits(c, e, k, limit);
    return TN_OK; /* gather_rows and argmax copy: nothing may differ */
}

tn_status tn_check_limits_make(const tn_check_case *c, const tn_check_expected *e,
                               const tn_check_class *k, tn_team *team, tn_check_limits *out,
                               tn_error *err)
{
    *out = (tn_check_limits){ 0 };
    for (int32_t i = 0; i < c->node.n_out; i++) {
        out->out[i] = tn_alloc_array(size_of(&c->out[i]), sizeof(float));
        if (!out->out[i])
            return tn_fail_memory(err, "the limits");
        if (k->exact)
            continue;
        TN_TRY(fill(c, e, k, team, i, out->out[i], err));
        if (k->operand > 0)
            add_subnormals(c, i, out->out[i]);
        if (strcmp(c->op->name, "gather_rows") != 0 && strcmp(c->op->name, "argmax") != 0)
            add_rounding(c, e, i, out->out[i]);
    }
    return TN_OK;
}

tn_status tn_check_key_limits(const tn_check_case *c, const tn_check_expected *e,
                              const tn_check_class *k, tn_check_limits *out, tn_error *err)
{
    *out = (tn_check_limits){ 0 };
    out->out[1] = tn_alloc_array(size_of(&c->in[1]), sizeof(float));
    if (!out->out[1])
        return tn_fail_memory(err, "the limits");
    rope_limits(c, e, k, 1, out->out[1]);
    return TN_OK;
}

void tn_check_limits_deinit(tn_check_limits *limits)
{
    for (int32_t i = 0; i < TN_MAX_OUT; i++)
        tn_free(limits->out[i]);
    *limits = (tn_check_limits){ 0 };
}
