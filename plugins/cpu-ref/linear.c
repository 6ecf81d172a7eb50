/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linear, linear_add, linear_glu, norm_linear, norm_linear_glu: one body. The norm rounds its rows
 * to f32 in the workspace, then each block of 8 weight rows is expanded once for up to 32 input
 * rows and its sums go through the op's tail.
 *
 * Blob: blocks of part 0, of part 1, ...; the biases of the parts that have one, f32; the norm
 * weight, f32.
 */
#include "plugins/cpu-ref/linear.h"

#include "plugins/cpu-ref/math_rows.h"
#include "plugins/cpu-ref/ops.h"
#include "plugins/cpu-ref/weights.h"

#include <string.h>

enum { MAX_PARTS = 8, MAX_X = 32 }; /* input rows that share one expansion of a block */

typedef struct linear_form {
    int32_t norm, glu, add; /* what the op does around the product */
} linear_form;

static linear_form form_of(const char *op)
{
    linear_form form = { .norm = strncmp(op, "norm_", 5) == 0 };
    size_t n = strlen(op);
    form.glu = n > 4 && strcmp(op + n - 4, "_glu") == 0;
    form.add = strcmp(op, "linear_add") == 0;
    return form;
}

/* Where everything of a node lies in its blob. */
typedef struct linear_blob {
    ref_wfmt format;
    linear_form form;
    int32_t n_parts, layout;
    uint64_t part[MAX_PARTS]; /* byte offset of the part's blocks */
    uint64_t bias[MAX_PARTS]; /* byte offset of its bias; 0: none */
    uint64_t norm, bytes;
} linear_blob;

#define LAYOUTS(kind)                                                                              \
    {                                                                                              \
        "cpu-ref/" kind ".r8/1", "cpu-ref/" kind ".r8+bias/1", "cpu-ref/" kind ".r8+norm/1",       \
            "cpu-ref/" kind ".r8+bias+norm/1"                                                      \
    }

const char *ref_linear_layout(int32_t kind, int32_t tail)
{
    static const char *const layouts[REF_N_WEIGHT_FORMATS][REF_N_LAYOUTS] = {
        LAYOUTS("f32"), LAYOUTS("f16"), LAYOUTS("bf16"),
        LAYOUTS("u4z"), LAYOUTS("u4b"), LAYOUTS("q8"),
    };
    return layouts[kind][tail];
}

static int same_format(const tn_part *a, const tn_part *b)
{
    return a->wfmt && b->wfmt && strcmp(a->wfmt, b->wfmt) == 0 && a->group == b->group &&
           a->values == b->values;
}

static tn_status check_parts(const tn_linear *linear, tn_error *err)
{
    if (linear->n_parts < 1 || linear->n_parts > MAX_PARTS)
        return tn_plugin_fail(err, TN_UNSUPPORTED, "%d parts, cpu-ref takes 1 to %d",
                              linear->n_parts, MAX_PARTS);
    for (int32_t i = 0; i < linear->n_parts; i++) {
        if (linear->part[i]->out < 1)
            return tn_plugin_fail(err, TN_UNSUPPORTED, "part %d has %d rows, at least 1 is needed",
                                  i, linear->part[i]->out);
        if (i && !same_format(linear->part[0], linear->part[i]))
            return tn_plugin_fail(err, TN_UNSUPPORTED, "parts 0 and %d have unlike weight formats",
                                  i);
    }
    return TN_OK;
}

static int place_tail(const tn_linear *linear, linear_blob *blob)
{
    int fits = 1;
    for (int32_t i = 0; i < blob->n_parts && fits; i++) {
        if (!linear->part[i]->bias)
            continue;
        blob->layout |= REF_LAYOUT_BIAS;
        blob->bias[i] = blob->bytes;
        fits = tn_plugin_add_product(&blob->bytes, (uint64_t)linear->part[i]->out, sizeof(float));
    }
    if (blob->form.norm && fits) {
        blob->layout |= REF_LAYOUT_NORM;
        blob->norm = blob->bytes;
        fits = tn_plugin_add_product(&blob->bytes, (uint64_t)linear->in, sizeof(float));
    }
    return fits;
}

static tn_status describe(const tn_node *node, linear_blob *blob, tn_error *err)
{
    const tn_linear *linear = node->param;
    *blob = (linear_blob){ .form = form_of(node->op), .n_parts = linear->n_parts };
    TN_PLUGIN_TRY(check_parts(linear, err));
    const tn_part *first = linear->part[0];
    TN_PLUGIN_TRY(
        ref_wfmt_parse(first->wfmt, first->group, first->values, linear->in, &blob->format, err));
    int fits = 1;
    for (int32_t i = 0; i < blob->n_parts && fits; i++) {
        blob->part[i] = blob->bytes;
        fits = ref_wfmt_add_bytes(&blob->format, linear->part[i]->out, &blob->bytes);
    }
    if (!fits || !place_tail(linear, blob))
        return tn_plugin_fail(err, TN_UNSUPPORTED, "the packed weights are too large");
    return TN_OK;
}

static tn_status supports(void *self, const tn_node *node, tn_error *why)
{
    (void)self;
    linear_form form = form_of(node->op);
    linear_blob blob;
    TN_PLUGIN_TRY(ref_check_edges(node, form.add ? 2 : 1, 1, 0, why));
    TN_PLUGIN_TRY(ref_check_param(node, 1, why));
    TN_PLUGIN_TRY(describe(node, &blob, why));
    const tn_linear *linear = node->param;
    if (!form.glu)
        return TN_OK;
    if (linear->n_parts != 2 || linear->part[0]->out != linear->part[1]->out)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "a gated linear needs two parts of equal width");
    return ref_check_act(linear->act, why);
}

static tn_status plan(void *self, const tn_node *node, tn_plan *out, tn_error *err)
{
    (void)self;
    linear_blob blob;
    TN_PLUGIN_TRY(describe(node, &blob, err));
    const tn_linear *linear = node->param;
    *out = (tn_plan){ .size = sizeof *out,
                      .pack_rows = REF_LANES,
                      .weight_bytes = blob.bytes,
                      .layout = ref_linear_layout(blob.format.kind, blob.layout) };
    uint64_t row_bytes = (uint64_t)linear->in * sizeof(float);
    if (blob.form.norm &&
        !tn_plugin_add_product(&out->workspace_bytes, (uint64_t)ref_max_rows(node), row_bytes))
        return tn_plugin_fail(err, TN_INVALID, "%s: the workspace is too large", node->path);
    return TN_OK;
}

static tn_status pack(void *self, const tn_node *node, const tn_weight_rows *rows, void *out,
                      tn_error *err)
{
    (void)self;
    linear_blob blob;
    uint8_t *bytes = out;
    TN_PLUGIN_TRY(describe(node, &blob, err));
    const tn_linear *linear = node->param;
    int32_t i = rows->part;
    if (blob.form.norm && i == blob.n_parts)
        return ref_pack_vector(rows, linear->in, (float *)(void *)(bytes + blob.norm), err);
    if (i < 0 || i >= blob.n_parts || rows->row0 + rows->rows > linear->part[i]->out)
        return tn_plugin_fail(err, TN_INVALID, "%s: part %d has no rows %lld to %lld", node->path,
                              i, (long long)rows->row0, (long long)(rows->row0 + rows->rows));
    if (blob.bias[i] && !rows->bias)
        return tn_plugin_fail(err, TN_INVALID, "%s: the bias of part %d is missing", node->path, i);
    TN_PLUGIN_TRY(ref_wfmt_pack(&blob.format, rows, bytes + blob.part[i], err));
    if (blob.bias[i])
        memcpy(bytes + blob.bias[i] + (uint64_t)rows->row0 * sizeof(float), rows->bias,
               (size_t)rows->rows * sizeof(float));
    return TN_OK;
}

static tn_status unpack(void *self, const tn_node *node, int32_t part, int64_t row,
                        const void *weights, float *values, tn_error *err)
{
    (void)self;
    linear_blob blob;
    const uint8_t *bytes = weights;
    TN_PLUGIN_TRY(describe(node, &blob, err));
    const tn_linear *linear = node->param;
    if (blob.form.norm && part == blob.n_parts && row == 0) {
        memcpy(values, bytes + blob.norm, (size_t)linear->in * sizeof(float));
        return TN_OK;
    }
    if (part < 0 || part >= blob.n_parts || row < 0 || row >= linear->part[part]->out)
        return tn_plugin_fail(err, TN_INVALID, "%s: part %d has no row %lld", node->path, part,
                              (long long)row);
    ref_wfmt_row(&blob.format, bytes + blob.part[part], row, 1.0, values);
    return TN_OK;
}

/* ---- run ---- */

typedef struct linear_job {
    linear_blob blob;
    const tn_linear *linear;
    const tn_launch *launch;
    const uint8_t *weights;
    double out_scale;
    const float *x; /* [rows][K], stride apart: the input, or its normed rows */
    int64_t x_stride, n_rows;
    int32_t first_column[MAX_PARTS];
} linear_job;

static void norm_range(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const linear_job *job = arg;
    const float *weight = (const float *)(const void *)(job->weights + job->blob.norm);
    (void)worker;
    for (int64_t i = i0; i < i1; i++)
        ref_rmsnorm_row(ref_row(&job->launch->in[0], i), weight, job->linear->in, job->linear->eps,
                        job->linear->offset,
                        ref_floats(job->launch->workspace) + i * job->linear->in);
}

/* Sums of one block of part for n_x input rows from row0, as values of the primitive `linear`. */
static void block_values(const linear_job *job, int32_t part, int64_t block, int64_t row0,
                         int32_t n_x, double out_scale, float (*value)[REF_LANES])
{
    double sum[MAX_X][REF_LANES];
    const linear_blob *blob = &job->blob;
    const float *bias = (const float *)(const void *)(job->weights + blob->bias[part]);
    int64_t first = block * REF_LANES, n = job->linear->part[part]->out - first;
    ref_wfmt_dot(&blob->format,
                 job->weights + blob->part[part] +
                     (uint64_t)block * ref_wfmt_block_bytes(&blob->format),
                 job->x + row0 * job->x_stride, job->x_stride, n_x, sum);
    for (int32_t i = 0; i < n_x; i++)
        for (int32_t r = 0; r < REF_LANES && r < n; r++)
            value[i][r] =
                ref_linear_value(sum[i][r], blob->bias[part] ? bias[first + r] : 0.0f, out_scale);
}

/* One block of one part (of both, for glu) against n_x input rows from row0. */
static void block_rows(const linear_job *job, int32_t part, int64_t block, int64_t row0,
                       int32_t n_x)
{
    float value[MAX_X][REF_LANES], up[MAX_X][REF_LANES];
    linear_form form = job->blob.form;
    int64_t first = block * REF_LANES, left = job->linear->part[part]->out - first;
    int32_t n = left < REF_LANES ? (int32_t)left : REF_LANES;
    /* linear_glu scales after the gate, as `linear` (scale 1) and `glu` (out_scale) would. */
    block_values(job, part, block, row0, n_x, form.glu ? 1.0 : job->out_scale, value);
    if (form.glu)
        block_values(job, 1, block, row0, n_x, 1.0, up);
    for (int32_t i = 0; i < n_x; i++) {
        int64_t column = job->first_column[part] + first;
        float *out = ref_row(&job->launch->out[0], row0 + i) + column;
        const float *x = form.add ? ref_row(&job->launch->in[1], row0 + i) + column : NULL;
        for (int32_t r = 0; r < n; r++) {
            if (form.glu)
                out[r] = ref_glu_value(job->linear->act, value[i][r], up[i][r], job->out_scale);
            else
                out[r] = form.add ? ref_add_value(value[i][r], x[r]) : value[i][r];
        }
    }
}

static int64_t n_blocks(const linear_job *job, int32_t part)
{
    return ((int64_t)job->linear->part[part]->out + REF_LANES - 1) / REF_LANES;
}

static void linear_range(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const linear_job *job = arg;
    (void)worker;
    for (int64_t i = i0; i < i1; i++) {
        int32_t part = 0;
        int64_t block = i;
        while (!job->blob.form.glu && block >= n_blocks(job, part))
            block -= n_blocks(job, part++);
        for (int64_t row = 0; row < job->n_rows; row += MAX_X) {
            int64_t left = job->n_rows - row;
            block_rows(job, part, block, row, left < MAX_X ? (int32_t)left : MAX_X);
        }
    }
}

static tn_status run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    const tn_linear *linear = node->param;
    linear_job job = { .linear = linear,
                       .launch = launch,
                       .weights = (const uint8_t *)(uintptr_t)launch->weight,
                       .out_scale = ref_scale(linear->out_scale),
                       .x = ref_floats(launch->in[0].addr),
                       .x_stride = launch->in[0].stride[0],
                       .n_rows = launch->in[0].dim[0] };
    TN_PLUGIN_TRY(describe(node, &job.blob, err));
    if (job.blob.form.norm) {
        uint64_t need = (uint64_t)job.n_rows * (uint64_t)linear->in * sizeof(float);
        if (launch->workspace_bytes < need)
            return tn_plugin_fail(err, TN_INVALID, "%s: %lld rows, at most %d were planned",
                                  node->path, (long long)job.n_rows, ref_max_rows(node));
        ref_for(self, job.n_rows, norm_range, &job);
        job.x = ref_floats(launch->workspace);
        job.x_stride = linear->in;
    }
    int64_t blocks = 0;
    for (int32_t i = 0; i < (job.blob.form.glu ? 1 : linear->n_parts); i++) {
        if (i)
            job.first_column[i] = job.first_column[i - 1] + linear->part[i - 1]->out;
        blocks += n_blocks(&job, i);
    }
    if (job.n_rows > 0)
        ref_for(self, blocks, linear_range, &job);
    return TN_OK;
}

#define LINEAR_KERNEL(op_name, extra_flags)                                                        \
    {                                                                                              \
        .size = sizeof(tn_kernel), .flags = REF_FLAGS | (extra_flags), .op = op_name,              \
        .name = "cpu-ref." op_name, .tolerance = "f32acc", .supports = supports, .plan = plan,     \
        .pack = pack, .unpack = unpack, .run = run                                                 \
    }

const tn_kernel ref_linear = LINEAR_KERNEL("linear", 0);
const tn_kernel ref_linear_add = LINEAR_KERNEL("linear_add", TN_K_IN_PLACE);
const tn_kernel ref_linear_glu = LINEAR_KERNEL("linear_glu", 0);
const tn_kernel ref_norm_linear = LINEAR_KERNEL("norm_linear", 0);
const tn_kernel ref_norm_linear_glu = LINEAR_KERNEL("norm_linear_glu", 0);
