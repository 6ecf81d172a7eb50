/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/plugin_harness.h"

#include "core/base/alloc.h"
#include "plugins/common/half.h"
#include "plugins/cpu-ref/kernels.h"
#include "plugins/cpu-simd/kernels.h"

#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- host ---- */

typedef void (*range_fn)(void *arg, int64_t i0, int64_t i1, int32_t worker);

typedef struct range_job {
    range_fn fn;
    void *arg;
    int64_t n, tile;
    _Atomic int64_t next;
} range_job;

typedef struct range_worker {
    range_job *job;
    int32_t index;
} range_worker;

static void *work(void *arg)
{
    const range_worker *worker = arg;
    range_job *job = worker->job;
    for (;;) {
        int64_t i = atomic_fetch_add(&job->next, job->tile);
        if (i >= job->n)
            return NULL;
        int64_t end = i + job->tile < job->n ? i + job->tile : job->n;
        job->fn(job->arg, i, end, worker->index);
    }
}

static void parallel_for(void *ctx, int64_t n, range_fn fn, void *arg)
{
    const harness *h = ctx;
    range_job job = { .fn = fn, .arg = arg, .n = n, .tile = h->n_workers };
    range_worker workers[8];
    pthread_t threads[8];
    for (int32_t i = 1; i < h->n_workers; i++) {
        workers[i] = (range_worker){ .job = &job, .index = i };
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    workers[0] = (range_worker){ .job = &job };
    (void)work(&workers[0]);
    for (int32_t i = 1; i < h->n_workers; i++)
        (void)pthread_join(threads[i], NULL);
}

static int32_t host_workers(void *ctx)
{
    return ((const harness *)ctx)->n_workers;
}

static void *host_alloc(void *ctx, uint64_t n)
{
    (void)ctx;
    return tn_alloc((size_t)n);
}

static void host_release(void *ctx, void *block)
{
    (void)ctx;
    tn_free(block);
}

static const char *host_option(void *ctx, const char *key)
{
    const char *const *option = ((const harness *)ctx)->options;
    for (; option && *option; option += 2)
        if (strcmp(option[0], key) == 0)
            return option[1];
    return NULL;
}

static void host_log(void *ctx, int32_t level, const char *text)
{
    (void)ctx;
    (void)level;
    (void)text;
}

static void make_host(harness *h, int32_t n_workers)
{
    assert_true(n_workers >= 1 && n_workers <= 8);
    h->n_workers = n_workers;
    h->host = (tn_host){ .size = sizeof h->host,
                         .minor = TN_ABI_MINOR,
                         .ctx = h,
                         .log = host_log,
                         .option = host_option,
                         .alloc = host_alloc,
                         .release = host_release,
                         .workers = host_workers,
                         .parallel_for = parallel_for };
}

void harness_open(harness *h, int32_t n_workers)
{
    tn_error err = { 0 };
    *h = (harness){ .kernels = tn_cpu_ref_kernels, .close = tn_cpu_ref_close };
    make_host(h, n_workers);
    assert_int_equal(tn_cpu_ref_open(&h->host, &h->self, &err), TN_OK);
}

tn_status harness_open_simd(harness *h, int32_t n_workers, const char *const *options)
{
    tn_error err = { 0 };
    *h =
        (harness){ .kernels = tn_cpu_simd_kernels, .close = tn_cpu_simd_close, .options = options };
    make_host(h, n_workers);
    return tn_cpu_simd_open(&h->host, &h->self, &err);
}

void harness_open_file(harness *h, int32_t n_workers, const char *path)
{
    tn_error err = { 0 };
    const tn_plugin *plugin = NULL;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL); /* never closed, as the loader does */
    if (library)
        plugin = dlsym(library, "tn_plugin_v1");
    if (!plugin) {
        fail_msg("%s: %s", path, dlerror());
        return;
    }
    *h = (harness){ .kernels = plugin->kernels, .close = plugin->close };
    make_host(h, n_workers);
    assert_int_equal(plugin->open(&h->host, &h->self, &err), TN_OK);
}

void harness_close(harness *h)
{
    h->close(h->self);
}

const tn_kernel *harness_kernel(const harness *h, const char *op)
{
    for (const tn_kernel *const *kernel = h->kernels; *kernel; kernel++)
        if (strcmp((*kernel)->op, op) == 0)
            return *kernel;
    fail_msg("no kernel for %s", op);
    return h->kernels[0];
}

/* ---- random numbers: splitmix64 (Steele, Lea, Flood 2014) ---- */

uint32_t harness_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ (z >> 31)) >> 32);
}

float harness_uniform(uint64_t *state, float low, float high)
{
    return low + (high - low) * (float)(harness_random(state) >> 8) * 0x1p-24f;
}

void harness_fill(uint64_t *state, float *x, size_t n, float low, float high)
{
    for (size_t i = 0; i < n; i++)
        x[i] = harness_uniform(state, low, high);
}

/* ---- tensors and nodes ---- */

tn_tensor harness_rows(const void *data, int64_t rows, int64_t width, int64_t stride)
{
    return (tn_tensor){ .addr = (uint64_t)(uintptr_t)data,
                        .dtype = TN_F32,
                        .rank = 2,
                        .dim = { rows, width },
                        .stride = { stride, 1 } };
}

tn_tensor harness_heads(const void *data, int64_t rows, int64_t heads, int64_t dim, int64_t stride)
{
    return (tn_tensor){ .addr = (uint64_t)(uintptr_t)data,
                        .dtype = TN_F32,
                        .rank = 3,
                        .dim = { rows, heads, dim },
                        .stride = { stride, dim, 1 } };
}

tn_node harness_node(const char *op, int32_t n_in, int32_t n_out, const void *param)
{
    tn_node node = { .size = sizeof node,
                     .op = op,
                     .path = "test.node",
                     .resid_dtype = TN_F32,
                     .act_dtype = TN_F32,
                     .n_in = n_in,
                     .n_out = n_out,
                     .max_tokens = 64,
                     .max_seqs = 16,
                     .max_ctx = 512,
                     .block_tokens = 16,
                     .max_rows = 64,
                     .param = param };
    for (int32_t i = 0; i < n_in; i++)
        node.in_dtype[i] = TN_F32;
    for (int32_t i = 0; i < n_out; i++)
        node.out_dtype[i] = TN_F32;
    return node;
}

/* ---- weights ---- */

static float plain_value(const char *wfmt, float value)
{
    if (strcmp(wfmt, "f16") == 0)
        return tn_half_f16_to_f32(tn_half_f32_to_f16(value));
    if (strcmp(wfmt, "bf16") == 0)
        return tn_half_bf16_to_f32(tn_half_f32_to_bf16(value));
    return value;
}

static float *random_array(uint64_t *state, size_t n, float low, float high)
{
    float *x = tn_alloc_array(n, sizeof *x);
    assert_non_null(x);
    harness_fill(state, x, n, low, high);
    return x;
}

void harness_weight_init(harness_weight *w, uint64_t *state, const char *wfmt, int32_t rows,
                         int32_t cols, int32_t group, int32_t bias)
{
    size_t n = (size_t)rows * (size_t)cols;
    int coded = wfmt[0] == 'u' || strcmp(wfmt, "q8") == 0;
    *w = (harness_weight){ .rows = rows, .cols = cols, .group = coded ? group : 0 };
    w->as_values = !coded && strcmp(wfmt, "f32") != 0; /* plain formats may come either way */
    if (bias)
        w->bias = random_array(state, (size_t)rows, -1.0f, 1.0f);
    if (!coded) {
        (void)snprintf(w->wfmt, sizeof w->wfmt, "%s", wfmt);
        w->values = random_array(state, n, -1.0f, 1.0f);
        for (size_t i = 0; i < n; i++)
            w->values[i] = plain_value(wfmt, w->values[i]);
        return;
    }
    (void)snprintf(w->wfmt, sizeof w->wfmt, "%s.g%d", wfmt, group);
    size_t n_groups = n / (size_t)group;
    w->scale = random_array(state, n_groups, 0.01f, 0.1f);
    if (wfmt[0] == 'u')
        w->zero = random_array(state, n_groups, -0.5f, 0.5f);
    for (size_t i = 0; strcmp(wfmt, "u4z") == 0 && i < n_groups; i++)
        w->zero[i] = (float)(harness_random(state) % 17);
    w->codes = tn_alloc(n);
    assert_non_null(w->codes);
    for (size_t i = 0; i < n; i++)
        w->codes[i] = (uint8_t)(harness_random(state) & (wfmt[0] == 'u' ? 15u : 255u));
}

void harness_weight_deinit(harness_weight *w)
{
    tn_free(w->values);
    tn_free(w->scale);
    tn_free(w->zero);
    tn_free(w->bias);
    tn_free(w->codes);
}

double harness_weight_at(const harness_weight *w, int32_t r, int32_t k)
{
    if (w->values)
        return (double)w->values[r * w->cols + k];
    int32_t g = r * (w->cols / w->group) + k / w->group;
    double q = (double)w->codes[r * w->cols + k], s = (double)w->scale[g];
    if (w->wfmt[0] == 'q')
        return (q - 128.0) * s;
    double z = (double)w->zero[g];
    return strncmp(w->wfmt, "u4z", 3) == 0 ? (q - z) * s : q * s + z;
}

tn_part harness_part(const harness_weight *w)
{
    return (tn_part){ .size = sizeof(tn_part),
                      .out = w->rows,
                      .bias = w->bias != NULL,
                      .group = w->group,
                      .values = w->as_values,
                      .wfmt = w->wfmt };
}

tn_weight_rows harness_weight_rows(const harness_weight *w, int32_t part, int32_t row0, int32_t n)
{
    tn_weight_rows rows = { .size = sizeof rows,
                            .part = part,
                            .rows = n,
                            .cols = w->cols,
                            .group = w->group,
                            .row0 = row0,
                            .bias = w->bias ? w->bias + row0 : NULL };
    if (w->values) {
        rows.values = w->values + (size_t)row0 * (size_t)w->cols;
        return rows;
    }
    size_t first_group = (size_t)row0 * (size_t)(w->cols / w->group);
    rows.codes = w->codes + (size_t)row0 * (size_t)w->cols;
    rows.scale = w->scale + first_group;
    rows.zero = w->zero ? w->zero + first_group : NULL;
    return rows;
}

/* ---- one node ---- */

/* The first kernel that supports the node, as the binder takes it. */
static const tn_kernel *supporting_kernel(const harness *h, const tn_node *node)
{
    tn_error err = { 0 };
    for (const tn_kernel *const *kernel = h->kernels; *kernel; kernel++)
        if (strcmp((*kernel)->op, node->op) == 0 &&
            (*kernel)->supports(h->self, node, &err) == TN_OK)
            return *kernel;
    fail_msg("%s is not supported: %s", node->op, err.text);
    return h->kernels[0];
}

void harness_op_init(harness_op *op, harness *h, const tn_node *node)
{
    tn_error err = { 0 };
    *op = (harness_op){ .h = h, .kernel = supporting_kernel(h, node), .node = *node };
    op->plan.size = sizeof op->plan;
    if (op->kernel->plan) /* an op without weights may have none */
        assert_int_equal(op->kernel->plan(h->self, &op->node, &op->plan, &err), TN_OK);
    op->blob = tn_alloc_array(1, (size_t)op->plan.weight_bytes + 1);
    op->workspace = tn_alloc_aligned((size_t)op->plan.workspace_bytes + 1);
    op->zeroed = tn_alloc_array(1, (size_t)op->plan.zeroed_bytes + 1);
    assert_non_null(op->blob);
    assert_non_null(op->workspace);
    assert_non_null(op->zeroed);
    memset(op->workspace, 0xff, (size_t)op->plan.workspace_bytes); /* NaN: undefined at entry */
}

void harness_op_deinit(harness_op *op)
{
    tn_free(op->blob);
    tn_free(op->workspace);
    tn_free(op->zeroed);
}

static void pack_rows(harness_op *op, const tn_weight_rows *rows)
{
    tn_error err = { 0 };
    if (op->kernel->pack(op->h->self, &op->node, rows, op->blob, &err) != TN_OK)
        fail_msg("%s: pack: %s", op->node.op, err.text);
}

void harness_pack(harness_op *op, const harness_weight *w, int32_t part)
{
    tn_weight_rows rows = harness_weight_rows(w, part, 0, w->rows);
    pack_rows(op, &rows);
}

void harness_pack_vector(harness_op *op, const float *values, int32_t n, int32_t part)
{
    tn_weight_rows rows = {
        .size = sizeof rows, .part = part, .rows = 1, .cols = n, .values = values
    };
    pack_rows(op, &rows);
}

tn_status harness_try_run(harness_op *op, const tn_tensor *in, uint32_t n_in, const tn_tensor *out,
                          uint32_t n_out, const tn_batch *batch, tn_error *err)
{
    tn_launch launch = { .size = sizeof launch,
                         .n_in = n_in,
                         .n_out = n_out,
                         .in = in,
                         .out = out,
                         .batch = batch,
                         .weight = (uint64_t)(uintptr_t)op->blob,
                         .kv = (uint64_t)(uintptr_t)op->kv,
                         .kv_block_bytes = op->kv_block_bytes,
                         .workspace = (uint64_t)(uintptr_t)op->workspace,
                         .workspace_bytes = op->plan.workspace_bytes,
                         .zeroed = (uint64_t)(uintptr_t)op->zeroed };
    return op->kernel->run(op->h->self, &op->node, &launch, err);
}

void harness_run(harness_op *op, const tn_tensor *in, uint32_t n_in, const tn_tensor *out,
                 uint32_t n_out, const tn_batch *batch)
{
    tn_error err = { 0 };
    if (harness_try_run(op, in, n_in, out, n_out, batch, &err) != TN_OK)
        fail_msg("%s: run: %s", op->node.op, err.text);
}

void harness_refuses(harness *h, const tn_node *node)
{
    tn_error err = { 0 };
    const tn_kernel *kernel = harness_kernel(h, node->op);
    assert_int_equal(kernel->supports(h->self, node, &err), TN_UNSUPPORTED);
    assert_int_equal(err.code, TN_UNSUPPORTED);
    assert_true(err.text[0] != '\0');
}

/* ---- batches ---- */

static uint64_t addr_of(const void *p)
{
    return (uint64_t)(uintptr_t)p;
}

void harness_batch_init(harness_batch *b, const float *rope_table, int32_t n_tables)
{
    memset(b, 0, sizeof *b);
    memset(b->table, 0xff, sizeof b->table);
    b->batch = (tn_batch){ .size = sizeof b->batch,
                           .table_stride = HARNESS_TABLE,
                           .n_tables = n_tables,
                           .tokens = addr_of(b->tokens),
                           .pos = addr_of(b->pos),
                           .slot = addr_of(b->slot),
                           .q_start = addr_of(b->q_start),
                           .kv_len = addr_of(b->kv_len),
                           .rope_index = addr_of(b->rope_index),
                           .table = addr_of(b->table),
                           .rows = addr_of(b->rows),
                           .rope_table = addr_of(rope_table) };
}

static void append(harness_batch *b, int32_t n_q, int32_t kv_len, int32_t rope_index)
{
    int32_t s = b->batch.n_seqs++;
    assert_true(s < HARNESS_SEQS && b->batch.n_tokens + n_q <= HARNESS_TOKENS);
    b->batch.n_tokens += n_q;
    b->q_start[s + 1] = b->batch.n_tokens;
    b->kv_len[s] = kv_len;
    b->rope_index[s] = rope_index;
    b->batch.max_q = n_q > b->batch.max_q ? n_q : b->batch.max_q;
    b->batch.max_kv = kv_len > b->batch.max_kv ? kv_len : b->batch.max_kv;
}

void harness_batch_add(harness_batch *b, int32_t n_past, int32_t n_q, const int32_t *blocks,
                       int32_t block_tokens, int32_t rope_index)
{
    int32_t first = b->batch.n_tokens, s = b->batch.n_seqs;
    append(b, n_q, n_past + n_q, rope_index);
    for (int32_t i = 0; i * block_tokens < n_past + n_q; i++)
        b->table[s * HARNESS_TABLE + i] = blocks[i];
    for (int32_t i = 0; i < n_q; i++) {
        int32_t p = n_past + i;
        b->pos[first + i] = p;
        b->slot[first + i] = blocks[p / block_tokens] * block_tokens + p % block_tokens;
    }
}

void harness_batch_pad(harness_batch *b, int32_t n_q)
{
    int32_t first = b->batch.n_tokens;
    append(b, n_q, 0, 0);
    for (int32_t i = 0; i < n_q; i++)
        b->slot[first + i] = -1;
}

/* ---- comparison ---- */

void harness_assert_same_bits(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (tn_half_bits(a[i]) != tn_half_bits(b[i]))
            fail_msg("element %zu: %.9g and %.9g have unlike bits", i, (double)a[i], (double)b[i]);
}

void harness_assert_close(const float *a, const double *b, size_t n, double relative,
                          double absolute)
{
    for (size_t i = 0; i < n; i++) {
        double difference = fabs((double)a[i] - b[i]);
        if (isnan((double)a[i]) && isnan(b[i]))
            continue;
        if (!(difference <= relative * fabs(b[i]) + absolute))
            fail_msg("element %zu: %.9g, expected %.17g", i, (double)a[i], b[i]);
    }
}
