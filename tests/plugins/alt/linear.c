/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linear, linear_add, linear_glu, norm_linear, norm_linear_glu: input rows are normed and rounded
 * in the workspace, where the op or the variant asks for it; then each weight row is expanded once
 * and meets every input row.
 *
 * Blob: records of part 0, of part 1, ...; biases; the norm weight. Workspace: an expanded row
 * (glu: two) a worker, input rows.
 */
#include "tests/plugins/alt/weights.h"

#include <math.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

enum { MAX_PARTS = 8, A8_GROUP = 32 };

typedef struct linear_node {
    const tn_linear *linear;
    alt_weights weights;
    int32_t norm, glu, add; /* what the op does around the product */
    int32_t prepares;       /* input rows go through the workspace */
    uint64_t part[MAX_PARTS], bias[MAX_PARTS], norm_at,
        bytes; /* offsets in the blob; bias 0: none */
} linear_node;

static int ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static tn_status check_parts(const tn_linear *linear, tn_error *why)
{
    if (linear->n_parts < 1 || linear->n_parts > MAX_PARTS)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "%d parts, 1 to %d are taken", linear->n_parts,
                              MAX_PARTS);
    const tn_part *first = linear->part[0];
    for (int32_t i = 0; i < linear->n_parts; i++) {
        const tn_part *part = linear->part[i];
        int same = part->wfmt && first->wfmt && strcmp(part->wfmt, first->wfmt) == 0 &&
                   part->group == first->group && part->values == first->values;
        if (!same || part->out < 1)
            return tn_plugin_fail(why, TN_UNSUPPORTED,
                                  "part %d is empty or of another weight format than part 0", i);
    }
    return TN_OK;
}

static tn_status describe(void *self, const tn_node *node, linear_node *out, tn_error *why)
{
    const tn_linear *linear = node->param;
    int32_t variant = ((const alt_plugin *)self)->variant, fits = 1;
    linear_node n = { .linear = linear,
                      .norm = strncmp(node->op, "norm_", 5) == 0,
                      .glu = ends_with(node->op, "_glu"),
                      .add = ends_with(node->op, "_add") };
    TN_PLUGIN_TRY(check_parts(linear, why));
    const tn_part *first = linear->part[0];
    TN_PLUGIN_TRY(alt_weights_init(self, first->wfmt, first->group, first->values, linear->in,
                                   &n.weights, why));
    n.prepares = n.norm || variant == ALT_F16 || (variant == ALT_A8 && alt_is_coded(&n.weights));
    for (int32_t i = 0; i < linear->n_parts && fits; i++) {
        n.part[i] = n.bytes;
        fits = tn_plugin_add_product(&n.bytes, (uint64_t)linear->part[i]->out, n.weights.row_bytes);
    }
    for (int32_t i = 0; i < linear->n_parts && fits; i++) {
        n.bias[i] = linear->part[i]->bias ? n.bytes : 0;
        fits = tn_plugin_add_product(
            &n.bytes, (uint64_t)linear->part[i]->bias * (uint64_t)linear->part[i]->out,
            sizeof(float));
    }
    n.norm_at = n.bytes;
    if (!fits ||
        !tn_plugin_add_product(&n.bytes, (uint64_t)n.norm * (uint64_t)linear->in, sizeof(float)))
        return tn_plugin_fail(why, TN_UNSUPPORTED, "the packed weights are too large");
    *out = n;
    return TN_OK;
}

tn_status alt_linear_supports(void *self, const tn_node *node, tn_error *why)
{
    linear_node n;
    TN_PLUGIN_TRY(alt_check(self, node, ends_with(node->op, "_add") ? 2 : 1, 0, why));
    TN_PLUGIN_TRY(describe(self, node, &n, why));
    if (!n.glu)
        return TN_OK;
    if (n.linear->n_parts != 2 || n.linear->part[0]->out != n.linear->part[1]->out)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "a gated linear needs two parts of equal width");
    return tn_op_check_act(n.linear->act, why);
}

tn_status alt_linear_plan(void *self, const tn_node *node, tn_plan *out, tn_error *err)
{
    linear_node n;
    TN_PLUGIN_TRY(describe(self, node, &n, err));
    uint64_t rows = (uint64_t)alt_workers(self) * (n.glu ? 2 : 1);
    if (n.prepares)
        rows += (uint64_t)tn_op_max_rows(node);
    *out = (tn_plan){ .size = sizeof *out,
                      .pack_rows = 1,
                      .weight_bytes = n.bytes,
                      .zeroed_bytes = alt_has(self, ALT_FAULT_ZEROED) ? 256 : 0,
                      .layout = ((const alt_plugin *)self)->layout[n.weights.kind] };
    if (!tn_plugin_add_product(&out->workspace_bytes, rows, (uint64_t)n.linear->in * sizeof(float)))
        return tn_plugin_fail(err, TN_INVALID, "%s: the workspace is too large", node->path);
    return TN_OK;
}

tn_status alt_linear_pack(void *self, const tn_node *node, const tn_weight_rows *rows, void *blob,
                          tn_error *err)
{
    linear_node n;
    uint8_t *bytes = blob;
    int32_t i = rows->part;
    TN_PLUGIN_TRY(describe(self, node, &n, err));
    if (n.norm && i == n.linear->n_parts)
        return tn_op_pack_vector(rows, n.linear->in, (float *)(void *)(bytes + n.norm_at), err);
    if (i < 0 || i >= n.linear->n_parts || rows->row0 + rows->rows > n.linear->part[i]->out ||
        (n.bias[i] && !rows->bias))
        return tn_plugin_fail(err, TN_INVALID, "%s: part %d has no such rows, or no bias",
                              node->path, i);
    TN_PLUGIN_TRY(alt_weights_pack(&n.weights, rows, bytes + n.part[i], err));
    int64_t row0 = alt_has(self, ALT_FAULT_SPLIT) ? 0 : rows->row0;
    if (n.bias[i])
        memcpy(bytes + n.bias[i] + (uint64_t)row0 * sizeof(float), rows->bias,
               (size_t)rows->rows * sizeof(float));
    return TN_OK;
}

tn_status alt_linear_unpack(void *self, const tn_node *node, int32_t part, int64_t row,
                            const void *blob, float *values, tn_error *err)
{
    linear_node n;
    const uint8_t *bytes = blob;
    TN_PLUGIN_TRY(describe(self, node, &n, err));
    int32_t in = n.linear->in;
    if (n.norm && part == n.linear->n_parts && row == 0) {
        memcpy(values, bytes + n.norm_at, (size_t)in * sizeof *values);
        return TN_OK;
    }
    if (part < 0 || part >= n.linear->n_parts || row < 0 || row >= n.linear->part[part]->out)
        return tn_plugin_fail(err, TN_INVALID, "%s: part %d has no row %lld", node->path, part,
                              (long long)row);
    n.weights.fault = ALT_SOUND;
    alt_weights_row(&n.weights, bytes + n.part[part], row, values);
    if (alt_has(self, ALT_FAULT_UNPACK) && in > 1)
        values[in - 1] = values[in - 2];
    return TN_OK;
}

/* ---- run ---- */

typedef struct linear_job {
    void *self;
    const tn_launch *launch;
    linear_node n;
    const uint8_t *blob;
    float *expanded, *prepared; /* in the workspace */
    const float *x;             /* [n_rows][in], stride apart: the input or prepared */
    int64_t stride, n_rows;
    int32_t order, cols; /* of the sums; columns that they cover */
    float out_scale;
    _Atomic int32_t *inside; /* tiles begun (ALT_FAULT_RACE) */
} linear_job;

/* Codes of 8 bits a group of 32 columns, largest / 127, kept as the values that they stand for: the
 * sums are those of an integer dot product but for f32's rounding. A group of the weights is never
 * crossed. */
static void round_to_a8(float *x, int32_t n, int32_t group)
{
    for (int32_t k = 0; k < n;) {
        int32_t left = group - k % group, count = left < A8_GROUP ? left : A8_GROUP;
        float largest = 0.0f;
        for (int32_t i = 0; i < count; i++)
            largest = fabsf(x[k + i]) > largest ? fabsf(x[k + i]) : largest;
        float scale = largest / 127.0f;
        for (int32_t i = 0; scale > 0.0f && i < count; i++)
            x[k + i] = rintf(x[k + i] / scale) * scale;
        k += count;
    }
}

static void prepare_range(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const linear_job *job = arg;
    const tn_linear *linear = job->n.linear;
    alt_norm norm = { (const float *)(const void *)(job->blob + job->n.norm_at), linear->in,
                      linear->eps, linear->offset };
    (void)worker;
    for (int64_t i = i0; i < i1; i++) {
        const float *x = tn_op_row(&job->launch->in[0], i);
        float *out = job->prepared + i * linear->in, before = out[0];
        if (job->n.norm)
            alt_norm_row(job->self, &norm, i, x, out);
        else
            memcpy(out, x, (size_t)linear->in * sizeof *out);
        if (job->n.norm && alt_has(job->self, ALT_FAULT_WORKSPACE))
            out[0] += before;
        for (int32_t k = 0; k < linear->in; k++)
            out[k] = alt_act(job->self, out[k]);
        if (((const alt_plugin *)job->self)->variant == ALT_A8 && alt_is_coded(&job->n.weights))
            round_to_a8(out, linear->in, job->n.weights.group);
    }
}

static float bias_of(const linear_job *job, int32_t part, int32_t row)
{
    const float *bias = (const float *)(const void *)(job->blob + job->n.bias[part]);
    return job->n.bias[part] ? bias[row] : 0.0f;
}

/* A row of a part as f32, in the worker's own space. */
static const float *expand(const linear_job *job, int32_t part, int32_t row, int32_t worker)
{
    int32_t owner = alt_has(job->self, ALT_FAULT_RACE) ? 0 : worker, in = job->n.linear->in;
    float *out = job->expanded + (int64_t)(job->n.glu ? 2 * owner + part : owner) * in;
    if (alt_has(job->self, ALT_FAULT_ROW) && row > 0 && row == job->n.linear->part[part]->out - 1)
        row--;
    alt_weights_row(&job->n.weights, job->blob + job->n.part[part], row, out);
    if (alt_has(job->self, ALT_FAULT_RACE) && row % 16 == 0)
        (void)sched_yield(); /* with the buffer full, so that others meet it */
    return out;
}

/* ALT_FAULT_ONE_IN_4096: which element is wrong depends on its value alone (Fibonacci hashing,
 * Knuth 6.4). */
static float tenth_too_large(float y)
{
    uint32_t bits;
    memcpy(&bits, &y, sizeof bits);
    return (bits * 2654435769u) >> 20 == 0 ? y * 1.1f : y;
}

static float finish(const linear_job *job, int64_t m, int32_t column, float y, float *out)
{
    if (job->n.add && alt_has(job->self, ALT_FAULT_ALIAS))
        out[column] = y;
    if (job->n.add)
        y = tn_op_row(&job->launch->in[1], m)[column] + y;
    return alt_has(job->self, ALT_FAULT_ONE_IN_4096) ? tenth_too_large(y) : y;
}

/* Row `row` of a part (glu: of both) gives one column of the output. */
static void run_column(const linear_job *job, int32_t part, int32_t row, int32_t column,
                       int32_t worker)
{
    const tn_linear *linear = job->n.linear;
    const float *w = expand(job, part, row, worker),
                *up = job->n.glu ? expand(job, 1, row, worker) : NULL;
    float bias = bias_of(job, part, row), up_bias = up ? bias_of(job, 1, row) : 0.0f;
    for (int64_t m = 0; m < job->n_rows; m++) {
        const float *x = job->x + m * job->stride;
        float *out = tn_op_row(&job->launch->out[0], m),
              y = alt_dot(x, w, job->cols, job->order) + bias;
        if (up)
            y = alt_glu(linear->act, y, alt_dot(x, up, job->cols, job->order) + up_bias,
                        job->out_scale);
        else
            y *= job->out_scale;
        out[column] = finish(job, m, column, y, out);
    }
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

/* ALT_FAULT_RACE: the first tile waits a little until a second is begun, so that they overlap. On a
 * busy machine a yield may take long, so it is time that is counted. */
static void meet(const linear_job *job)
{
    if (!alt_has(job->self, ALT_FAULT_RACE) || alt_workers(job->self) < 2)
        return;
    const double start = now_ms();
    atomic_fetch_add(job->inside, 1);
    while (atomic_load(job->inside) < 2 && now_ms() - start < 5)
        (void)sched_yield();
}

static void linear_range(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const linear_job *job = arg;
    const tn_linear *linear = job->n.linear;
    meet(job);
    for (int64_t i = i0; i < i1; i++) {
        int32_t part = 0, row = (int32_t)i;
        while (!job->n.glu && row >= linear->part[part]->out)
            row -= linear->part[part++]->out;
        run_column(job, part, row, (int32_t)i, worker);
    }
}

/* The order of summation: what a sound plugin never changes. */
static int32_t order_of(alt_plugin *plugin, int64_t n_rows)
{
    plugin->n_runs++;
    int other = (plugin->fault == ALT_FAULT_UNSTEADY && plugin->n_runs % 2 == 0) ||
                (plugin->fault == ALT_FAULT_BATCH && n_rows >= 8) ||
                (plugin->fault == ALT_FAULT_THREADS && alt_workers(plugin) > 1);
    return other ? ALT_FOUR : ALT_EIGHT;
}

/* Faults that need no arithmetic. */
static void spoil(const linear_job *job, int64_t width)
{
    const tn_launch *l = job->launch;
    int32_t *zeroed = (int32_t *)(uintptr_t)l->zeroed;
    if (alt_has(job->self, ALT_FAULT_PAST_END))
        tn_op_row(&l->out[0], job->n_rows - 1)[width] = 1.0f;
    if (alt_has(job->self, ALT_FAULT_INPUT))
        tn_op_row(&l->in[0], job->n_rows - 1)[0] = 0.0f;
    if (alt_has(job->self, ALT_FAULT_ZEROED) && zeroed)
        zeroed[0]++;
}

tn_status alt_linear_run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    self = alt_at(self, node);
    _Atomic int32_t inside = 0;
    linear_job job = { .self = self,
                       .launch = launch,
                       .blob = (const uint8_t *)(uintptr_t)launch->weight,
                       .expanded = tn_op_floats(launch->workspace),
                       .x = tn_op_floats(launch->in[0].addr),
                       .stride = launch->in[0].stride[0],
                       .n_rows = launch->in[0].dim[0],
                       .inside = &inside };
    TN_PLUGIN_TRY(describe(self, node, &job.n, err));
    const tn_linear *linear = job.n.linear;
    if (alt_has(self, ALT_FAULT_PROMISE) && job.n_rows > tn_op_max_rows(node) / 2)
        return tn_plugin_fail(err, TN_INTERNAL, "%s: %lld rows are too many", node->path,
                              (long long)job.n_rows);
    job.order = order_of(self, job.n_rows);
    job.out_scale = tn_op_scale(linear->out_scale);
    job.cols = alt_has(self, ALT_FAULT_TAIL) && linear->in > 16 ? linear->in / 16 * 16 : linear->in;
    job.prepared = job.expanded + (int64_t)alt_workers(self) * (job.n.glu ? 2 : 1) * linear->in;
    if (job.n.prepares) {
        alt_for(self, job.n_rows, prepare_range, &job);
        job.x = job.prepared;
        job.stride = linear->in;
    }
    int64_t width = linear->part[0]->out;
    for (int32_t i = 1; i < linear->n_parts && !job.n.glu; i++)
        width += linear->part[i]->out;
    alt_for(self, width, linear_range, &job);
    spoil(&job, width);
    return TN_OK;
}
