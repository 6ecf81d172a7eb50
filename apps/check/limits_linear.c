/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounds of a linear and of what is fused to it. For every group of columns the norms of x and of w
 * give what a dense pass over |x| |w| would give, within a small factor (Cauchy and Schwarz), at a
 * fraction of its cost.
 */
#include "apps/check/limits.h"
#include "core/base/alloc.h"

#include <math.h>
#include <string.h>

static const double tiny = 0x1p-126;

/* Norms of the input rows by group of columns. */
typedef struct input_norms {
    int32_t rows, cols, group, n_groups;
    double *size; /* [rows][n_groups] 2-norm */
    double *most; /* [rows][n_groups] squared largest */
} input_norms;

/* A row of weights, group by group. */
typedef struct weight_norms {
    double *squared; /* [n_groups] squared 2-norm of the weights */
    double *most;    /* [n_groups] squared largest */
    double *terms;   /* [n_groups] 2-norm of the terms that stand for a weight in a sum */
    double total;    /* of the 2-norms */
} weight_norms;

/* What an element's bound is made of. */
typedef struct element_size {
    double m; /* sum |x| |w|, w by the terms of its formula */
    double s; /* sum (max |x|)^2 w^2, the maximum of a group */
    double p; /* sum x^2 w^2 */
    double r; /* sum (step of w)^2 x^2, and of the rounding of its scale */
    double w; /* sum of the norms of w */
} element_size;

typedef struct linear_job {
    const tn_check_case *c;
    const tn_linear *linear;
    const tn_check_class *k;
    const input_norms *in;
    const float *y; /* [rows][width] of the inner linear */
    float *limit;   /* [rows][width] */
    float *scratch; /* [workers][cols] */
    double *weight; /* [workers][3][n_groups] */
    int32_t part, column0, width;
    bool has_norm;
    tn_status status; /* of a bad format: every row would give it */
} linear_job;

static tn_status measure_input(const tn_check_case *c, const float *x, int32_t group,
                               input_norms *in, tn_error *err)
{
    const size_t n = (size_t)in->rows * (size_t)in->n_groups;
    (void)c;
    in->size = tn_alloc_array(n, sizeof(double));
    in->most = tn_alloc_array(n, sizeof(double));
    if (!in->size || !in->most)
        return tn_fail_memory(err, "the limits");
    for (int32_t r = 0; r < in->rows; r++) {
        for (int32_t k = 0; k < in->cols; k++) {
            const size_t g = (size_t)r * (size_t)in->n_groups + (size_t)(k / group);
            const double v = (double)x[(size_t)r * (size_t)in->cols + (size_t)k];
            in->size[g] += v * v;
            in->most[g] = fmax(in->most[g], v * v);
        }
    }
    for (size_t g = 0; g < n; g++)
        in->size[g] = sqrt(in->size[g]);
    return TN_OK;
}

/* A coded weight (q - z) s or q s + b may be summed as q s and z s, or b, apart: what they lose is
 * in proportion to them, even where they cancel. */
static double term_size(const tn_weight_rows *rows, const char *wfmt, int32_t k, double value)
{
    if (rows->values || !rows->zero)
        return fabs(value);
    const int32_t g = k / rows->group;
    const double s = fabs((double)rows->scale[g]), z = fabs((double)rows->zero[g]);
    return rows->codes[k] * s + (wfmt[2] == 'b' ? z : z * s);
}

static void measure_weights(const linear_job *j, const tn_weight_rows *rows, const float *w,
                            weight_norms *out)
{
    const input_norms *in = j->in;
    const char *wfmt = j->c->part[j->part].wfmt;
    memset(out->squared, 0, (size_t)in->n_groups * sizeof(double));
    memset(out->most, 0, (size_t)in->n_groups * sizeof(double));
    memset(out->terms, 0, (size_t)in->n_groups * sizeof(double));
    out->total = 0;
    for (int32_t k = 0; k < in->cols; k++) {
        const double square = (double)w[k] * (double)w[k];
        const double term = term_size(rows, wfmt, k, (double)w[k]);
        const int32_t g = k / in->group;
        out->squared[g] += square;
        out->most[g] = fmax(out->most[g], square);
        out->terms[g] += term * term;
    }
    for (int32_t g = 0; g < in->n_groups; g++) {
        out->terms[g] = sqrt(out->terms[g]);
        out->total += out->terms[g];
    }
}

/* Sums over a group by its norms: |x| |w| (Cauchy and Schwarz); x^2 w^2 by the smaller of max x^2
 * |w|^2 and max w^2 |x|^2. A rounding to a step is taken as uniform, with the variance step^2 / 12.
 * Of a scale's rounding to f16, uniform within 2^-11, all terms of a group suffer together:
 * (|x| |w|)^2 2^-22 / 3. */
static element_size size_element(const input_norms *in, int32_t row, const weight_norms *w)
{
    const double steps = 12.0 * TN_CHECK_MAX_CODE * TN_CHECK_MAX_CODE;
    element_size e = { .w = w->total };
    for (int32_t g = 0; g < in->n_groups; g++) {
        const size_t at = (size_t)row * (size_t)in->n_groups + (size_t)g;
        const double x = in->size[at], s = in->most[at] * w->squared[g];
        e.m += x * w->terms[g];
        e.s += s;
        e.p += fmin(s, x * x * w->most[g]);
        e.r += x * x * (w->most[g] / steps + w->squared[g] * 0x1p-22 / 3);
    }
    return e;
}

/* Independent relative roundings of each term within a unit have the variance unit^2 / 3. */
static double element_limit(const linear_job *j, const element_size *e, double y)
{
    const tn_check_class *k = j->k;
    const tn_part *part = j->linear->part[j->part];
    const double terms = tn_check_sum_terms(j->in->cols);
    const double norm_terms = j->has_norm ? terms / 2 + 8 : 0;
    const double inner = j->has_norm ? tn_check_unit(j->c->node.act_dtype) : 0;
    const bool recoded = tn_check_recodes(k, &j->c->part[j->part]);
    const bool coded = recoded || (part->group > 0 && !part->values);
    double limit = k->sum * (terms + norm_terms) * e->m;
    limit += tiny * (j->in->cols + sqrt(j->in->cols) * e->w);
    limit += TN_CHECK_SIGMAS * sqrt(e->p * 2 / 3) * k->operand + 2 * k->operand * fabs(y);
    if (inner > 0x1p-24) /* the norm's result may be rounded to the edge's type */
        limit += TN_CHECK_SIGMAS * sqrt(e->p / 3) * inner;
    if (k->a8 && coded)
        limit += TN_CHECK_SIGMAS * sqrt(e->s / 12) / TN_CHECK_MAX_CODE;
    if (k->a8 && strcmp(j->c->part[j->part].wfmt, "bf16") == 0)
        limit += TN_CHECK_SIGMAS * sqrt(e->p / 3) * tn_check_unit(TN_BF16);
    if (recoded)
        limit += TN_CHECK_SIGMAS * sqrt(e->r);
    return limit;
}

static void limit_row(const linear_job *j, int32_t row, int32_t worker)
{
    const input_norms *in = j->in;
    const size_t groups = (size_t)in->n_groups;
    float *w = j->scratch + (size_t)worker * (size_t)in->cols;
    weight_norms norms = { .squared = j->weight + (size_t)worker * 3 * groups };
    norms.most = norms.squared + groups;
    norms.terms = norms.most + groups;
    const tn_check_part *part = &j->c->part[j->part];
    const tn_weight_rows rows = tn_check_part_rows(part, j->part, row, 1);
    const double scale = j->linear->out_scale != 0 ? fabs((double)j->linear->out_scale) : 1;
    const bool is_glu = strstr(j->c->op->name, "_glu") != NULL;
    const double bias = part->rows.bias ? fabs((double)part->rows.bias[row]) : 0;
    (void)!tn_weight_rows_values(part->wfmt, &rows, w, NULL); /* the first row was tried before */
    measure_weights(j, &rows, w, &norms);
    for (int32_t r = 0; r < in->rows; r++) {
        const size_t at = (size_t)r * (size_t)j->width + (size_t)(j->column0 + row);
        const element_size e = size_element(in, r, &norms);
        const double limit = element_limit(j, &e, (double)j->y[at]);
        j->limit[at] = (float)((limit + 2 * j->k->sum * bias) * (is_glu ? 1 : scale));
    }
}

static void limit_rows(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    for (int64_t i = i0; i < i1; i++)
        limit_row(arg, (int32_t)i, worker);
}

static tn_status limit_part(linear_job *j, const float *x, tn_team *team, tn_error *err)
{
    const tn_part *part = j->linear->part[j->part];
    const int32_t cols = j->linear->in;
    const int32_t group = part->group > 0 && !part->values ? part->group : TN_CHECK_CODE_GROUP;
    const size_t workers = (size_t)tn_team_workers(team);
    input_norms in = { .rows = j->c->in[0].rows,
                       .cols = cols,
                       .group = group,
                       .n_groups = (cols + group - 1) / group };
    tn_weight_rows first = tn_check_part_rows(&j->c->part[j->part], j->part, 0, 1);
    j->in = &in;
    j->scratch = tn_alloc_array(workers * (size_t)cols, sizeof(float));
    j->weight = tn_alloc_array(workers * 3 * (size_t)in.n_groups, sizeof(double));
    tn_status status = j->scratch && j->weight ? TN_OK : tn_fail_memory(err, "the limits");
    if (!status)
        status = tn_weight_rows_values(j->c->part[j->part].wfmt, &first, j->scratch, err);
    if (!status)
        status = measure_input(j->c, x, group, &in, err);
    if (!status)
        tn_team_for(team, part->out, limit_rows, j);
    tn_free(in.size);
    tn_free(in.most);
    tn_free(j->scratch);
    tn_free(j->weight);
    return status;
}

/* ---- what comes behind the linear ---- */

static double gate(int32_t act, double g)
{
    if (act == TN_ACT_GELU)
        return g / 2 * (1 + erf(g / sqrt(2)));
    if (act == TN_ACT_GELU_TANH)
        return g / 2 * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (g + 0.044715 * g * g * g)));
    return g / (1 + exp(-g));
}

/* The slope of every gate function is below 1.13. */
static void glu_from_linear(const linear_job *j, float *limit)
{
    const int32_t f = j->linear->part[0]->out;
    const double scale = j->linear->out_scale != 0 ? fabs((double)j->linear->out_scale) : 1;
    for (int32_t r = 0; r < j->c->in[0].rows; r++) {
        for (int32_t i = 0; i < f; i++) {
            const size_t a = (size_t)r * (size_t)j->width + (size_t)i, b = a + (size_t)f;
            const double g = (double)j->y[a], u = fabs((double)j->y[b]);
            const double eg = (double)j->limit[a], eu = (double)j->limit[b];
            const double act = fabs(gate(j->linear->act, g));
            const double own = j->k->sum * (16 * fabs(g) + (fabs(g) + 8) * act) +
                               j->k->operand * (4 * act + 2 * fmin(fabs(g), 1));
            limit[(size_t)r * (size_t)f + (size_t)i] =
                (float)(scale *
                            ((1.13 * eg + own) * (u + eu) + act * eu + 4 * j->k->sum * act * u) +
                        tiny);
        }
    }
}

static void add_from_linear(const linear_job *j, float *limit)
{
    const size_t n = (size_t)j->c->in[0].rows * (size_t)j->width;
    for (size_t i = 0; i < n; i++) {
        const double size = fabs((double)j->y[i]) + fabs((double)j->c->in[1].values[i]);
        limit[i] = (float)((double)j->limit[i] + (2 * j->k->sum + 2 * j->k->operand) * size + tiny);
    }
}

tn_status tn_check_linear_limits(const tn_check_case *c, const tn_check_expected *e,
                                 const tn_check_class *k, tn_team *team, float *limit,
                                 tn_error *err)
{
    const float *norm = e->stage[TN_STAGE_NORM].out[0], *inner = e->stage[TN_STAGE_LINEAR].out[0];
    linear_job j = { .c = c,
                     .linear = c->node.param,
                     .k = k,
                     .y = inner ? inner : e->out[0],
                     .has_norm = norm != NULL };
    tn_status status = TN_OK;
    for (int32_t i = 0; i < j.linear->n_parts; i++)
        j.width += j.linear->part[i]->out;
    j.limit = tn_alloc_array((size_t)c->in[0].rows * (size_t)j.width, sizeof(float));
    if (!j.limit)
        return tn_fail_memory(err, "the limits");
    for (; j.part < j.linear->n_parts && !status; j.part++) {
        status = limit_part(&j, norm ? norm : c->in[0].values, team, err);
        j.column0 += j.linear->part[j.part]->out;
    }
    if (!status && strstr(c->op->name, "_glu"))
        glu_from_linear(&j, limit);
    else if (!status && strcmp(c->op->name, "linear_add") == 0)
        add_from_linear(&j, limit);
    else if (!status)
        memcpy(limit, j.limit, (size_t)c->in[0].rows * (size_t)j.width * sizeof(float));
    tn_free(j.limit);
    return status;
}
