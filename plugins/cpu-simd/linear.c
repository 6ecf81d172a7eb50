/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linear, linear_add, linear_glu, norm_linear, norm_linear_glu: one body. Input rows are made ready
 * in the workspace (normed, quantised for coded weights, interleaved), then each tile of 16 weight
 * rows meets panels of them, and the results go through the op's tail while they are in the cache.
 *
 * Blob: tiles of part 0, of part 1, ...; the biases of the parts that have one, padded to tiles;
 * the norm weight. f32 each.
 */
#include "plugins/cpu-simd/linear.h"

#include "plugins/cpu-simd/ops.h"
#include "plugins/cpu-simd/simd.h"
#include "plugins/cpu-simd/weights.h"

/* Rows of a panel, a multiple of every block: their codes stay in the second-level cache while
 * every tile passes by. */
enum { MAX_PARTS = 8, PANEL = 192 };

typedef struct linear_form {
    int32_t norm, glu, add; /* what the op does around the product */
} linear_form;

/* Where everything of a node lies in its blob. */
typedef struct linear_blob {
    simd_weights format;
    linear_form form;
    int32_t n_parts, layout;
    uint64_t part[MAX_PARTS]; /* byte offset of the part's tiles */
    uint64_t bias[MAX_PARTS]; /* byte offset of its bias; 0: none */
    uint64_t norm, bytes;
} linear_blob;

static linear_form form_of(const char *op)
{
    linear_form form = { .norm = strncmp(op, "norm_", 5) == 0 };
    size_t n = strlen(op);
    form.glu = n > 4 && strcmp(op + n - 4, "_glu") == 0;
    form.add = strcmp(op, "linear_add") == 0;
    return form;
}

#define LAYOUTS(kind, version)                                                                     \
    {                                                                                              \
        "cpu-simd/" kind ".t16/" version, "cpu-simd/" kind ".t16+bias/" version,                   \
            "cpu-simd/" kind ".t16+norm/" version, "cpu-simd/" kind ".t16+bias+norm/" version      \
    }

const char *simd_linear_layout(int32_t kind, int32_t tail)
{
    static const char *const layouts[SIMD_N_KINDS][SIMD_N_LAYOUTS] = {
        LAYOUTS("f32", "2"), LAYOUTS("f16", "2"), LAYOUTS("bf16", "3"),
        LAYOUTS("u4z", "2"), LAYOUTS("u4b", "2"), LAYOUTS("q8", "2"),
    };
    return layouts[kind][tail];
}

static tn_status check_parts(const tn_linear *linear, tn_error *err)
{
    if (linear->n_parts < 1 || linear->n_parts > MAX_PARTS)
        return tn_plugin_fail(err, TN_UNSUPPORTED, "%d parts, cpu-simd takes 1 to %d",
                              linear->n_parts, MAX_PARTS);
    const tn_part *first = linear->part[0];
    for (int32_t i = 0; i < linear->n_parts; i++) {
        const tn_part *part = linear->part[i];
        if (part->out < 1 || part->out > INT32_MAX - SIMD_TILE)
            return tn_plugin_fail(err, TN_UNSUPPORTED, "part %d has %d rows", i, part->out);
        if (!part->wfmt || !first->wfmt || strcmp(part->wfmt, first->wfmt) != 0 ||
            part->group != first->group || part->values != first->values)
            return tn_plugin_fail(err, TN_UNSUPPORTED, "parts 0 and %d have unlike weight formats",
                                  i);
    }
    return TN_OK;
}

static uint64_t n_tiles(int32_t rows)
{
    return ((uint64_t)rows + SIMD_TILE - 1) / SIMD_TILE;
}

static int place_tail(const tn_linear *linear, linear_blob *blob)
{
    int fits = 1;
    for (int32_t i = 0; i < blob->n_parts && fits; i++) {
        if (!linear->part[i]->bias)
            continue;
        blob->layout |= SIMD_LAYOUT_BIAS;
        blob->bias[i] = blob->bytes;
        fits = tn_plugin_add_product(&blob->bytes, n_tiles(linear->part[i]->out),
                                     SIMD_TILE * sizeof(float));
    }
    if (blob->form.norm && fits) {
        blob->layout |= SIMD_LAYOUT_NORM;
        blob->norm = blob->bytes;
        fits = tn_plugin_add_product(&blob->bytes, (uint64_t)linear->in, sizeof(float));
    }
    return fits;
}

static tn_status describe(const void *self, const tn_node *node, linear_blob *blob, tn_error *err)
{
    const simd_plugin *plugin = self;
    const tn_linear *linear = node->param;
    *blob = (linear_blob){ .form = form_of(node->op), .n_parts = linear->n_parts };
    TN_PLUGIN_TRY(check_parts(linear, err));
    const tn_part *first = linear->part[0];
    TN_PLUGIN_TRY(simd_weights_init(first->wfmt, first->group, first->values, linear->in,
                                    plugin->exact, &blob->format, err));
    int fits = 1;
    for (int32_t i = 0; i < blob->n_parts && fits; i++) {
        blob->part[i] = blob->bytes;
        fits = simd_weights_add_bytes(&blob->format, linear->part[i]->out, &blob->bytes);
    }
    if (!fits || !place_tail(linear, blob))
        return tn_plugin_fail(err, TN_UNSUPPORTED, "the packed weights are too large");
    return TN_OK;
}

static tn_status check(const void *self, const tn_node *node, int32_t recoded, tn_error *why)
{
    linear_form form = form_of(node->op);
    linear_blob blob;
    TN_PLUGIN_TRY(tn_op_check_edges(node, form.add ? 2 : 1, 1, 0, why));
    TN_PLUGIN_TRY(tn_op_check_param(node, 1, why));
    TN_PLUGIN_TRY(describe(self, node, &blob, why));
    const tn_linear *linear = node->param;
    TN_PLUGIN_TRY(simd_weights_check_twin(&blob.format, recoded, linear->part[0]->wfmt, why));
    if (!form.glu)
        return TN_OK;
    if (linear->n_parts != 2 || linear->part[0]->out != linear->part[1]->out)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "a gated linear needs two parts of equal width");
    return tn_op_check_act(linear->act, why);
}

static tn_status supports(void *self, const tn_node *node, tn_error *why)
{
    return check(self, node, 0, why);
}

static tn_status supports_w8(void *self, const tn_node *node, tn_error *why)
{
    return check(self, node, 1, why);
}

/* ---- the input of the dot products, in the workspace ---- */

enum { INPUT_F32 = 0, INPUT_BF16, INPUT_I8 };

static const int32_t input_bytes[] = { [INPUT_F32] = 4, [INPUT_BF16] = 2, [INPUT_I8] = 1 };

typedef struct input_layout {
    int32_t form; /* INPUT_* */
    int64_t stride, n_steps, n_groups;
    uint64_t normed, x, steps, sums, bytes; /* offsets; normed: a row for each worker */
} input_layout;

/* In the precision of the weights' dot product, unless the profile says f32. */
static int32_t input_form(const simd_plugin *plugin, int32_t kind)
{
    if (plugin->exact)
        return INPUT_F32;
    if (simd_is_coded(kind))
        return INPUT_I8;
    return kind == SIMD_W_BF16 && plugin->isa->narrow ? INPUT_BF16 : INPUT_F32;
}

static int place_input(void *self, const linear_blob *blob, int64_t n_rows, input_layout *out)
{
    const simd_plugin *plugin = self;
    const simd_weights *w = &blob->format;
    int32_t coded = simd_is_coded(w->kind);
    input_layout l = { .form = input_form(plugin, w->kind),
                       .stride = ((int64_t)w->padded + 63) / 64 * 64,
                       .n_steps = w->padded / SIMD_GROUP,
                       .n_groups = w->n_groups };
    uint64_t n = (uint64_t)n_rows, workers = (uint64_t)simd_workers(self);
    int fits = 1;
    if (blob->form.norm)
        fits = tn_plugin_add_product(&l.bytes, workers * (uint64_t)l.stride, sizeof(float));
    l.x = l.bytes;
    fits = fits &&
           tn_plugin_add_product(&l.bytes, n * (uint64_t)l.stride, (uint64_t)input_bytes[l.form]);
    l.steps = l.bytes;
    if (fits && l.form == INPUT_I8)
        fits = tn_plugin_add_product(&l.bytes, n * (uint64_t)l.n_steps, sizeof(simd_step));
    l.sums = l.bytes;
    if (fits && coded)
        fits = tn_plugin_add_product(&l.bytes, n * (uint64_t)l.n_groups, sizeof(float));
    *out = l;
    return fits;
}

static tn_status plan(void *self, const tn_node *node, tn_plan *out, tn_error *err)
{
    linear_blob blob;
    input_layout input;
    TN_PLUGIN_TRY(describe(self, node, &blob, err));
    if (!place_input(self, &blob, tn_op_max_rows(node), &input))
        return tn_plugin_fail(err, TN_INVALID, "%s: the workspace is too large", node->path);
    *out = (tn_plan){ .size = sizeof *out,
                      .pack_rows = SIMD_TILE,
                      .weight_bytes = blob.bytes,
                      .workspace_bytes = input.bytes,
                      .layout = simd_linear_layout(blob.format.kind, blob.layout) };
    return TN_OK;
}

static tn_status pack(void *self, const tn_node *node, const tn_weight_rows *rows, void *out,
                      tn_error *err)
{
    linear_blob blob;
    uint8_t *bytes = out;
    TN_PLUGIN_TRY(describe(self, node, &blob, err));
    const tn_linear *linear = node->param;
    int32_t i = rows->part;
    if (blob.form.norm && i == blob.n_parts)
        return tn_op_pack_vector(rows, linear->in, (float *)(void *)(bytes + blob.norm), err);
    if (i < 0 || i >= blob.n_parts || rows->row0 + rows->rows > linear->part[i]->out)
        return tn_plugin_fail(err, TN_INVALID, "%s: part %d has no rows %lld to %lld", node->path,
                              i, (long long)rows->row0, (long long)(rows->row0 + rows->rows));
    if (blob.bias[i] && !rows->bias)
        return tn_plugin_fail(err, TN_INVALID, "%s: the bias of part %d is missing", node->path, i);
    TN_PLUGIN_TRY(simd_weights_pack(&blob.format, rows, bytes + blob.part[i], err));
    if (blob.bias[i])
        memcpy(bytes + blob.bias[i] + (uint64_t)rows->row0 * sizeof(float), rows->bias,
               (size_t)rows->rows * sizeof(float));
    return TN_OK;
}

static tn_status unpack(void *self, const tn_node *node, int32_t part, int64_t row,
                        const void *weights, float *values, tn_error *err)
{
    linear_blob blob;
    const uint8_t *bytes = weights;
    TN_PLUGIN_TRY(describe(self, node, &blob, err));
    const tn_linear *linear = node->param;
    if (blob.form.norm && part == blob.n_parts && row == 0) {
        memcpy(values, bytes + blob.norm, (size_t)linear->in * sizeof(float));
        return TN_OK;
    }
    if (part < 0 || part >= blob.n_parts || row < 0 || row >= linear->part[part]->out)
        return tn_plugin_fail(err, TN_INVALID, "%s: part %d has no row %lld", node->path, part,
                              (long long)row);
    simd_weights_row(&blob.format, bytes + blob.part[part], row, 1.0f, values);
    return TN_OK;
}

/* ---- run ---- */

typedef struct linear_job {
    const simd_isa *isa;
    void (*dot)(const simd_dot *);
    linear_blob blob;
    input_layout layout;
    simd_input input;
    const tn_linear *linear;
    const tn_launch *launch;
    const uint8_t *weights;
    int64_t n_rows, tiles; /* tiles of all parts; for glu of one */
    int32_t first_column[MAX_PARTS];
} linear_job;

/* Row i of a block of `rows` rows from `first` on, to its place there. */
static void prepare_row(const linear_job *job, int64_t first, int64_t i, int32_t rows,
                        int32_t worker)
{
    const simd_weights *w = &job->blob.format;
    const input_layout *l = &job->layout;
    uint8_t *work = (uint8_t *)(uintptr_t)job->launch->workspace;
    const float *x = tn_op_row(&job->launch->in[0], i);
    if (job->blob.form.norm) {
        const float *norm = (const float *)(const void *)(job->weights + job->blob.norm);
        float *normed = (float *)(void *)(work + l->normed) + worker * l->stride;
        job->isa->norm(x, norm, job->linear->in, job->linear->eps, job->linear->offset, normed);
        x = normed;
    }
    float *sum = (float *)(void *)(work + l->sums) + first * l->n_groups + (i - first);
    uint8_t *block = work + l->x + first * l->stride * input_bytes[l->form];
    if (l->form == INPUT_I8)
        job->isa->quantise(
            x, w->cols, w->padded, w->group, rows, (int8_t *)block + (i - first) * 4,
            (simd_step *)(void *)(work + l->steps) + first * l->n_steps + (i - first), sum);
    else if (l->form == INPUT_BF16)
        job->isa->narrow(x, w->cols, w->padded, rows, (uint16_t *)(void *)block + (i - first) * 2);
    else
        job->isa->widen(x, w->cols, w->padded, w->group, rows, (float *)(void *)block + (i - first),
                        simd_is_coded(w->kind) ? sum : NULL);
}

/* Range of blocks: those of full size, then the smaller ones of the last rows as one. */
static void prepare_range(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const linear_job *job = arg;
    int32_t most = job->isa->block;
    for (int64_t i = i0; i < i1; i++) {
        int64_t end = (i + 1) * most < job->n_rows ? (i + 1) * most : job->n_rows;
        for (int64_t first = i * most; first < end;) {
            int32_t rows = simd_block_rows(end - first, most);
            for (int64_t row = first; row < first + rows; row++)
                prepare_row(job, first, row, rows, worker);
            first += rows;
        }
    }
}

/* Norm, quantise and interleave all rows. Few values take less than waking the other threads; a
 * single plain row is in order as it is. */
static void prepare(void *self, linear_job *job)
{
    const input_layout *l = &job->layout;
    const uint8_t *work = (const uint8_t *)(uintptr_t)job->launch->workspace;
    int64_t n_blocks = (job->n_rows + job->isa->block - 1) / job->isa->block;
    job->input = (simd_input){ .x = work + l->x,
                               .step = (const simd_step *)(const void *)(work + l->steps),
                               .sum = (const float *)(const void *)(work + l->sums),
                               .x_stride = l->stride,
                               .step_stride = l->n_steps,
                               .sum_stride = l->n_groups };
    const simd_weights *w = &job->blob.format;
    if (job->n_rows == 1 && !job->blob.form.norm && l->form == INPUT_F32 &&
        !simd_is_coded(w->kind) && w->padded == w->cols)
        job->input.x = tn_op_row(&job->launch->in[0], 0);
    else if (job->n_rows * job->linear->in <= 4096)
        prepare_range(job, 0, n_blocks, 0);
    else
        simd_for(self, n_blocks, prepare_range, job);
}

/* Rows [row0, row0 + n) against one tile of a part, into out [n][16]. */
static void dot_tile(const linear_job *job, int32_t part, int64_t tile, int64_t row0, int32_t n,
                     float *out)
{
    const simd_weights *w = &job->blob.format;
    int64_t x_bytes = input_bytes[job->layout.form];
    simd_dot dot = { .tile = job->weights + job->blob.part[part] + (uint64_t)tile * w->tile_bytes,
                     .in = job->input,
                     .cols = w->padded,
                     .group = w->group,
                     .n = n,
                     .out = out };
    dot.in.x = (const uint8_t *)job->input.x + row0 * job->input.x_stride * x_bytes;
    dot.in.step += row0 * job->input.step_stride;
    dot.in.sum += row0 * job->input.sum_stride;
    job->dot(&dot);
}

static const float *bias_of(const linear_job *job, int32_t part, int64_t tile)
{
    if (!job->blob.bias[part])
        return NULL;
    return (const float *)(const void *)(job->weights + job->blob.bias[part]) + tile * SIMD_TILE;
}

/* One tile of one part (of both, for glu) against the rows of a panel. */
static void tile_rows(const linear_job *job, int32_t part, int64_t tile, int64_t row0, int32_t n)
{
    float y[PANEL * SIMD_TILE], up[PANEL * SIMD_TILE];
    linear_form form = job->blob.form;
    const tn_launch *l = job->launch;
    int64_t left = job->linear->part[part]->out - tile * SIMD_TILE;
    int64_t column = job->first_column[part] + tile * SIMD_TILE;
    simd_tail tail = { .bias = bias_of(job, part, tile),
                       .out = tn_op_row(&l->out[0], row0) + column,
                       .out_stride = l->out[0].stride[0],
                       .scale = tn_op_scale(job->linear->out_scale),
                       .width = left < SIMD_TILE ? (int32_t)left : SIMD_TILE };
    dot_tile(job, part, tile, row0, n, y);
    if (form.glu) {
        dot_tile(job, 1, tile, row0, n, up);
        tail.bias_up = bias_of(job, 1, tile);
        tail.act = job->linear->act;
    }
    if (form.add) {
        tail.add = tn_op_row(&l->in[1], row0) + column;
        tail.add_stride = l->in[1].stride[0];
    }
    job->isa->tail(&tail, n, y, up);
}

/* Index i: tile i % tiles of panel i / tiles. */
static void linear_range(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const linear_job *job = arg;
    (void)worker;
    for (int64_t i = i0; i < i1; i++) {
        int64_t tile = i % job->tiles, row0 = i / job->tiles * PANEL, left = job->n_rows - row0;
        int32_t part = 0;
        while (!job->blob.form.glu && tile >= (int64_t)n_tiles(job->linear->part[part]->out))
            tile -= (int64_t)n_tiles(job->linear->part[part++]->out);
        tile_rows(job, part, tile, row0, left < PANEL ? (int32_t)left : PANEL);
    }
}

static tn_status run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    const simd_plugin *plugin = self;
    linear_job job = { .isa = plugin->isa,
                       .linear = node->param,
                       .launch = launch,
                       .weights = (const uint8_t *)(uintptr_t)launch->weight,
                       .n_rows = launch->in[0].dim[0] };
    TN_PLUGIN_TRY(describe(self, node, &job.blob, err));
    job.dot = (plugin->exact ? plugin->isa->exact : plugin->isa->dot)[job.blob.format.kind];
    if (job.n_rows < 1)
        return TN_OK;
    if (!place_input(self, &job.blob, job.n_rows, &job.layout) ||
        job.layout.bytes > launch->workspace_bytes)
        return tn_plugin_fail(err, TN_INVALID, "%s: %lld rows, at most %d were planned", node->path,
                              (long long)job.n_rows, tn_op_max_rows(node));
    prepare(self, &job);
    for (int32_t i = 0; i < (job.blob.form.glu ? 1 : job.linear->n_parts); i++) {
        if (i)
            job.first_column[i] = job.first_column[i - 1] + job.linear->part[i - 1]->out;
        job.tiles += (int64_t)n_tiles(job.linear->part[i]->out);
    }
    simd_for_stretches(self, job.tiles * ((job.n_rows + PANEL - 1) / PANEL), linear_range, &job);
    return TN_OK;
}

#define KERNEL(op_name, suffix, class, supports_it, extra_flags)                                   \
    {                                                                                              \
        .size = sizeof(tn_kernel), .flags = SIMD_FLAGS | (extra_flags), .op = op_name,             \
        .name = "cpu-simd." op_name suffix, .tolerance = class, .supports = supports_it,           \
        .plan = plan, .pack = pack, .unpack = unpack, .run = run                                   \
    }
#define LINEAR_KERNEL(op_name, flags)    KERNEL(op_name, "", "a8", supports, flags)
#define LINEAR_W8_KERNEL(op_name, flags) KERNEL(op_name, ".w8", "w8a8", supports_w8, flags)

const tn_kernel simd_linear = LINEAR_KERNEL("linear", 0);
const tn_kernel simd_linear_add = LINEAR_KERNEL("linear_add", TN_K_IN_PLACE);
const tn_kernel simd_linear_glu = LINEAR_KERNEL("linear_glu", 0);
const tn_kernel simd_norm_linear = LINEAR_KERNEL("norm_linear", 0);
const tn_kernel simd_norm_linear_glu = LINEAR_KERNEL("norm_linear_glu", 0);
const tn_kernel simd_linear_w8 = LINEAR_W8_KERNEL("linear", 0);
const tn_kernel simd_linear_add_w8 = LINEAR_W8_KERNEL("linear_add", TN_K_IN_PLACE);
const tn_kernel simd_linear_glu_w8 = LINEAR_W8_KERNEL("linear_glu", 0);
const tn_kernel simd_norm_linear_w8 = LINEAR_W8_KERNEL("norm_linear", 0);
const tn_kernel simd_norm_linear_glu_w8 = LINEAR_W8_KERNEL("norm_linear_glu", 0);
