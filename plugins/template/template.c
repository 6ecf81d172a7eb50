/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole plugin in one file: rmsnorm, linear and add on the host. Copy it, rename it, replace the
 * arithmetic. docs/add-a-plugin.md walks through it from top to bottom. It needs <tenon/plugin.h>
 * and nothing else of tenon:
 *
 *     cc -std=c11 -O2 -shared -fPIC -fvisibility=hidden -I PREFIX/include acme.c -lm -o acme.so
 */
#include <tenon/plugin.h>

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The plugin's name, in its descriptor and before the names of its kernels and layouts. */
#define NAME "template"

/* Part of the layout id: raise the number whenever pack writes other bytes, or cached blobs are
 * read wrongly. */
#define NORM_LAYOUT   NAME ".norm.f32.1"
#define LINEAR_LAYOUT NAME ".linear.f32.1"

/* The program refuses a plugin that was built with another sanitizer than itself, with a sentence
 * instead of a crash. */
#if defined(__SANITIZE_ADDRESS__)
#    define SANITIZER 1
#elif defined(__SANITIZE_THREAD__)
#    define SANITIZER 2
#else
#    define SANITIZER 0
#endif

/* Rows and columns of a matrix, so that its bytes cannot overflow. */
enum { MAX_DIM = 1 << 24 };

/* What open() makes and every other function gets back as `self`. */
typedef struct template_plugin {
    const tn_host *host; /* valid until close */
} template_plugin;

static tn_status fail(tn_error *err, tn_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The caller owns the error; a message is one line that says what is wrong and what is allowed. */
static tn_status fail(tn_error *err, tn_status code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    err->code = code;
    vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    return code;
}

/* ---- supports: a promise for every batch inside the node's bounds, made once, when the model is
 * loaded ---- */

static tn_status check_edges(const tn_node *node, int32_t n_in, tn_error *why)
{
    if (node->n_in != n_in || node->n_out != 1)
        return fail(why, TN_UNSUPPORTED, "%d inputs and %d outputs", (int)node->n_in,
                    (int)node->n_out);
    for (int32_t i = 0; i < n_in; i++)
        if (node->in_dtype[i] != TN_F32)
            return fail(why, TN_UNSUPPORTED, "input %d is not f32", (int)i);
    if (node->out_dtype[0] != TN_F32)
        return fail(why, TN_UNSUPPORTED, "the output is not f32");
    return TN_OK;
}

static tn_status norm_supports(void *self, const tn_node *node, tn_error *why)
{
    const tn_norm *param = node->param;

    (void)self;
    /* TN_HAS: a program older than this header passes shorter structs. */
    if (!param || !TN_HAS(param, offset))
        return fail(why, TN_UNSUPPORTED, "the program's tn_norm is too old");
    if (param->dim < 1)
        return fail(why, TN_UNSUPPORTED, "rows of %d elements", (int)param->dim);
    return check_edges(node, 1, why);
}

/* Rows that arrive as f32 values: plain formats and K-quants. Codes with scales (u4z, u4b, q8) go
 * to the next plugin. */
static tn_status linear_supports(void *self, const tn_node *node, tn_error *why)
{
    const tn_linear *param = node->param;

    (void)self;
    if (!param || !TN_HAS(param, out_scale))
        return fail(why, TN_UNSUPPORTED, "the program's tn_linear is too old");
    if (param->in < 1 || param->in > MAX_DIM || param->n_parts < 1)
        return fail(why, TN_UNSUPPORTED, "%d parts of %d columns", (int)param->n_parts,
                    (int)param->in);
    for (int32_t i = 0; i < param->n_parts; i++)
        if (!param->part[i]->values || param->part[i]->out < 1 || param->part[i]->out > MAX_DIM)
            return fail(why, TN_UNSUPPORTED,
                        "part %d: %d rows of %s; up to %d that come as values are done", (int)i,
                        (int)param->part[i]->out, param->part[i]->wfmt, MAX_DIM);
    return check_edges(node, 1, why);
}

static tn_status add_supports(void *self, const tn_node *node, tn_error *why)
{
    const tn_rows_op *param = node->param;

    (void)self;
    if (!param || !TN_HAS(param, scale))
        return fail(why, TN_UNSUPPORTED, "the program's tn_rows_op is too old");
    if (param->dim < 1)
        return fail(why, TN_UNSUPPORTED, "rows of %d elements", (int)param->dim);
    /* A no with a reason costs nothing: the node goes to the next plugin of the profile. */
    if (param->scale != 0.0f && param->scale != 1.0f)
        return fail(why, TN_UNSUPPORTED, "a scale of %g, only 1 is done", (double)param->scale);
    return check_edges(node, 2, why);
}

/* ---- plan: what the host must allocate. pack and unpack: canonical rows to the plugin's own bytes
 * and back ---- */

static tn_status norm_plan(void *self, const tn_node *node, tn_plan *plan, tn_error *err)
{
    const tn_norm *param = node->param;

    (void)self;
    (void)err;
    plan->pack_rows = 1;
    plan->weight_bytes = (uint64_t)param->dim * sizeof(float);
    plan->layout = NORM_LAYOUT;
    return TN_OK;
}

/* A norm weight is part 0, one plain row. The blob is zeroed host memory of plan's weight_bytes. */
static tn_status norm_pack(void *self, const tn_node *node, const tn_weight_rows *rows, void *blob,
                           tn_error *err)
{
    const tn_norm *param = node->param;

    (void)self;
    if (rows->part != 0 || rows->rows != 1 || rows->cols != param->dim || !rows->values)
        return fail(err, TN_INVALID, "%s: part %d with %d x %d values, 1 x %d are needed",
                    node->path, (int)rows->part, (int)rows->rows, (int)rows->cols, (int)param->dim);
    memcpy(blob, rows->values, (size_t)param->dim * sizeof(float));
    return TN_OK;
}

/* For the checker, which asserts that what was packed comes back. */
static tn_status norm_unpack(void *self, const tn_node *node, int32_t part, int64_t row,
                             const void *blob, float *values, tn_error *err)
{
    const tn_norm *param = node->param;

    (void)self;
    if (part != 0 || row != 0)
        return fail(err, TN_INVALID, "%s: there is no row %lld of part %d", node->path,
                    (long long)row, (int)part);
    memcpy(values, blob, (size_t)param->dim * sizeof(float));
    return TN_OK;
}

/* Parts lie one behind the other, each its rows and then its biases, zeros without. */
static uint64_t part_floats(const tn_linear *param, int32_t part)
{
    return (uint64_t)param->part[part]->out * ((uint64_t)param->in + 1);
}

static uint64_t part_offset(const tn_linear *param, int32_t part)
{
    uint64_t at = 0;

    for (int32_t i = 0; i < part; i++)
        at += part_floats(param, i);
    return at;
}

static tn_status linear_plan(void *self, const tn_node *node, tn_plan *plan, tn_error *err)
{
    const tn_linear *param = node->param;

    (void)self;
    (void)err;
    plan->pack_rows = 1;
    plan->weight_bytes = part_offset(param, param->n_parts) * sizeof(float);
    plan->layout = LINEAR_LAYOUT;
    return TN_OK;
}

/* Some rows of one part. Other rows may be packed at the same time, so touch no byte of theirs. */
static tn_status linear_pack(void *self, const tn_node *node, const tn_weight_rows *rows,
                             void *blob, tn_error *err)
{
    const tn_linear *param = node->param;
    const int32_t part = rows->part;

    (void)self;
    if (part < 0 || part >= param->n_parts || rows->cols != param->in || !rows->values ||
        rows->row0 + rows->rows > param->part[part]->out)
        return fail(err, TN_INVALID, "%s: part %d has no rows %lld to %lld of %d values",
                    node->path, (int)part, (long long)rows->row0,
                    (long long)(rows->row0 + rows->rows), (int)rows->cols);
    float *w = (float *)blob + part_offset(param, part);
    float *bias = w + (size_t)param->part[part]->out * (size_t)param->in;
    memcpy(w + (size_t)rows->row0 * (size_t)param->in, rows->values,
           (size_t)rows->rows * (size_t)param->in * sizeof(float));
    if (rows->bias)
        memcpy(bias + rows->row0, rows->bias, (size_t)rows->rows * sizeof(float));
    return TN_OK;
}

static tn_status linear_unpack(void *self, const tn_node *node, int32_t part, int64_t row,
                               const void *blob, float *values, tn_error *err)
{
    const tn_linear *param = node->param;

    (void)self;
    if (part < 0 || part >= param->n_parts || row < 0 || row >= param->part[part]->out)
        return fail(err, TN_INVALID, "%s: there is no row %lld of part %d", node->path,
                    (long long)row, (int)part);
    memcpy(values, (const float *)blob + part_offset(param, part) + row * param->in,
           (size_t)param->in * sizeof(float));
    return TN_OK;
}

/* ---- run: enqueue only. On the host that means: compute, with the host's threads, allocating
 * nothing ---- */

typedef struct job {
    const tn_node *node;
    const tn_launch *launch;
} job;

/* Row i of a host tensor. The last dimension has stride 1. */
static float *row_of(const tn_tensor *tensor, int64_t i)
{
    return (float *)(uintptr_t)tensor->addr + i * tensor->stride[0];
}

/* y = x / sqrt(mean(x^2) + eps) * (w + offset) (Zhang and Sennrich 2019, eq. 4). The sum is in f64
 * and in one order, so that a row's bits depend on nothing but the row: that is what
 * TN_K_BATCH_INVARIANT claims. */
static void norm_rows(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const job *j = arg;
    const tn_norm *param = j->node->param;
    const float *w = (const float *)(uintptr_t)j->launch->weight;

    (void)worker;
    for (int64_t i = i0; i < i1; i++) {
        const float *x = row_of(&j->launch->in[0], i);
        float *y = row_of(&j->launch->out[0], i);
        double sum = 0.0;
        for (int32_t k = 0; k < param->dim; k++)
            sum += (double)x[k] * (double)x[k];
        const double root = sqrt(sum / param->dim + (double)param->eps);
        for (int32_t k = 0; k < param->dim; k++)
            y[k] = (float)((double)x[k] / root * ((double)w[k] + (double)param->offset));
    }
}

/* y = out_scale * (W x + b), parts side by side: output column i of every row. */
static void linear_columns(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const job *j = arg;
    const tn_linear *param = j->node->param;
    const float scale = param->out_scale != 0.0f ? param->out_scale : 1.0f;

    (void)worker;
    for (int64_t i = i0; i < i1; i++) {
        int32_t part = 0;
        int64_t row = i;
        while (row >= param->part[part]->out)
            row -= param->part[part++]->out;
        const float *w = (const float *)(uintptr_t)j->launch->weight + part_offset(param, part);
        const float bias = w[(int64_t)param->part[part]->out * param->in + row];
        w += row * param->in;
        for (int64_t r = 0; r < j->launch->in[0].dim[0]; r++) {
            const float *x = row_of(&j->launch->in[0], r);
            double sum = (double)bias;
            for (int32_t k = 0; k < param->in; k++)
                sum += (double)w[k] * (double)x[k];
            row_of(&j->launch->out[0], r)[i] = (float)((double)scale * sum);
        }
    }
}

/* out may be in[1] (TN_K_IN_PLACE): each element is read before it is written. */
static void add_rows(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const job *j = arg;
    const tn_rows_op *param = j->node->param;

    (void)worker;
    for (int64_t i = i0; i < i1; i++) {
        const float *y = row_of(&j->launch->in[0], i), *x = row_of(&j->launch->in[1], i);
        float *out = row_of(&j->launch->out[0], i);
        for (int32_t k = 0; k < param->dim; k++)
            out[k] = x[k] + y[k];
    }
}

static tn_status run_over(void *self, const tn_node *node, const tn_launch *launch, int64_t n,
                          void (*fn)(void *, int64_t, int64_t, int32_t))
{
    const tn_host *host = ((template_plugin *)self)->host;
    job j = { .node = node, .launch = launch };

    host->parallel_for(host->ctx, n, fn, &j);
    return TN_OK;
}

/* Rows come from the tensor, never from batch->n_tokens: after gather_rows there are fewer. */
static tn_status run_rows(void *self, const tn_node *node, const tn_launch *launch,
                          void (*fn)(void *, int64_t, int64_t, int32_t))
{
    return run_over(self, node, launch, launch->in[0].dim[0], fn);
}

static tn_status norm_run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    (void)err;
    return run_rows(self, node, launch, norm_rows);
}

static tn_status linear_run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    (void)err;
    return run_over(self, node, launch, launch->out[0].dim[1], linear_columns);
}

static tn_status add_run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    (void)err;
    return run_rows(self, node, launch, add_rows);
}

/* ---- open and close: never allocate or look at the machine before open ---- */

static tn_status open_plugin(const tn_host *host, void **self, tn_error *err)
{
    template_plugin *plugin = host->alloc(host->ctx, sizeof(*plugin));

    if (!plugin)
        return fail(err, TN_NO_MEMORY, "no memory for the plugin");
    /* A machine that lacks something: return TN_UNAVAILABLE here, and the plugin is skipped with
     * your sentence. */
    plugin->host = host;
    *self = plugin;
    return TN_OK;
}

static void close_plugin(void *self)
{
    template_plugin *plugin = self;

    plugin->host->release(plugin->host->ctx, plugin);
}

/* ---- the descriptor: constant data, so that the program can read it before any code of the plugin
 * runs ---- */

static const tn_kernel rmsnorm = {
    .size = sizeof(tn_kernel),
    .flags = TN_K_DETERMINISTIC | TN_K_BATCH_INVARIANT,
    .op = "rmsnorm",
    .name = NAME ".rmsnorm",
    .tolerance = "f32acc",
    .supports = norm_supports,
    .plan = norm_plan,
    .pack = norm_pack,
    .unpack = norm_unpack,
    .run = norm_run,
};

static const tn_kernel linear = {
    .size = sizeof(tn_kernel),
    .flags = TN_K_DETERMINISTIC | TN_K_BATCH_INVARIANT,
    .op = "linear",
    .name = NAME ".linear",
    .tolerance = "f32acc",
    .supports = linear_supports,
    .plan = linear_plan,
    .pack = linear_pack,
    .unpack = linear_unpack,
    .run = linear_run,
};

/* No weights, so no plan, pack or unpack. */
static const tn_kernel add = {
    .size = sizeof(tn_kernel),
    .flags = TN_K_DETERMINISTIC | TN_K_BATCH_INVARIANT | TN_K_IN_PLACE,
    .op = "add",
    .name = NAME ".add",
    .tolerance = "f32acc",
    .supports = add_supports,
    .run = add_run,
};

static const tn_kernel *const kernels[] = { &rmsnorm, &add, &linear, NULL };

const tn_plugin tn_plugin_v1 = {
    .size = sizeof(tn_plugin),
    .minor = TN_ABI_MINOR,
    .sanitizer = SANITIZER,
    .name = NAME,
    .version = "1.0",
    .domain = "host",
    .build = "plain C",
    .open = open_plugin,
    .close = close_plugin,
    .kernels = kernels,
};
