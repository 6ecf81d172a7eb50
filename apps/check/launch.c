/* SPDX-License-Identifier: Apache-2.0 */
/* One launch: buffers in the kernel's domain, the run, and a look at every byte afterwards. */
#include "apps/check/kernel.h"
#include "core/base/alloc.h"
#include "core/exec/executor.h"
#include "core/plugin/normalise.h"

#include <string.h>

enum { ROW_ALIGN = 16, ARRAY_ALIGN = 256, MAX_BUFFERS = TN_MAX_IN + TN_MAX_OUT };
enum { TOKENS, POS, SLOT, Q_START, KV_LEN, ROPE_INDEX, TABLE, ROWS, ROPE_TABLE, N_ARRAYS };

typedef struct launch_state {
    tn_check_kernel *k;
    const tn_check_case *c;
    tn_guarded in[TN_MAX_IN], out[TN_MAX_OUT], workspace, arrays, pool;
    tn_tensor in_tensor[TN_MAX_IN], out_tensor[TN_MAX_OUT];
    tn_batch batch;
    int32_t alias[TN_MAX_IN]; /* output that lies over it, plus 1 */
    void *no_mirrors;
} launch_state;

/* ---- buffers ---- */

/* Elements from row to row: at least one row, with a gap behind it that nobody may write. */
static int64_t row_stride(const tn_check_tensor *t, uint32_t element)
{
    const uint64_t bytes = (uint64_t)t->base_width * element;
    if (t->is_ids)
        return 1;
    return (int64_t)((bytes + ROW_ALIGN - 1) / ROW_ALIGN * ROW_ALIGN / element);
}

static tn_status open_tensor(launch_state *s, const tn_check_tensor *t, int32_t dtype,
                             tn_guarded *g, tn_tensor *tensor, tn_error *err)
{
    const uint32_t element = tn_dtype_bytes(dtype);
    const int64_t stride = row_stride(t, element);
    size_t bytes;
    if (!tn_size_mul((size_t)t->rows, (size_t)stride * element, &bytes))
        return tn_fail_memory(err, "a tensor");
    TN_TRY(tn_guarded_open(&s->k->device, s->k->stream, bytes, g, err));
    *tensor = (tn_tensor){ .addr = g->addr + (uint64_t)t->offset * element,
                           .dtype = dtype,
                           .rank = t->is_ids ? 1 : 2,
                           .dim = { t->rows, t->width },
                           .stride = { stride, 1 },
                           .name = t->name };
    if (t->heads > 0) {
        tensor->rank = 3;
        tensor->dim[1] = t->heads;
        tensor->dim[2] = tensor->stride[1] = t->width / t->heads;
        tensor->stride[2] = 1;
    }
    if (t->values)
        tn_convert_rows(t->values, TN_F32, t->width,
                        (uint8_t *)tn_guarded_image(g) + (size_t)t->offset * element, dtype, stride,
                        t->rows, t->width);
    return tn_guarded_send(g, err);
}

int32_t tn_check_alias(const tn_check_case *c, int32_t i)
{
    const int32_t in = c->op->n_out > 1 ? i : c->op->alias_in;
    if (c->op->alias_in < 0 || c->node.in_dtype[in] != c->node.out_dtype[i] ||
        c->in[in].width != c->out[i].width || c->in[in].rows != c->out[i].rows)
        return -1;
    return in;
}

/* Output i over its input; the buffer stays closed. */
static bool alias_output(launch_state *s, int32_t i)
{
    const int32_t in = s->k->mode == TN_RUN_IN_PLACE ? tn_check_alias(s->c, i) : -1;
    if (in < 0)
        return false;
    s->out_tensor[i] = s->in_tensor[in];
    s->out_tensor[i].name = s->c->out[i].name;
    s->out_tensor[i].rank = s->c->out[i].heads ? 3 : 2;
    s->alias[in] = i + 1;
    return true;
}

static size_t place(size_t *end, size_t n)
{
    const size_t at = *end;
    *end += (n * sizeof(int32_t) + ARRAY_ALIGN - 1) / ARRAY_ALIGN * ARRAY_ALIGN;
    return at;
}

static tn_status open_batch(launch_state *s, tn_error *err)
{
    const tn_check_batch *b = s->c->batch;
    const size_t tokens = (size_t)b->n_tokens, seqs = (size_t)b->n_seqs;
    const struct {
        const void *from;
        size_t n;
    } array[N_ARRAYS] = {
        [TOKENS] = { b->tokens, tokens },
        [POS] = { b->pos, tokens },
        [SLOT] = { b->slot, tokens },
        [Q_START] = { b->q_start, seqs + 1 },
        [KV_LEN] = { b->kv_len, seqs },
        [ROPE_INDEX] = { b->rope_index, seqs },
        [TABLE] = { b->table, seqs * (size_t)b->table_stride },
        [ROWS] = { b->rows, (size_t)b->n_rows },
        [ROPE_TABLE] = { b->rope_table, (size_t)b->n_tables * (size_t)b->half_rotary },
    };
    size_t at[N_ARRAYS], end = 0;
    for (int i = 0; i < N_ARRAYS; i++)
        at[i] = place(&end, array[i].n);
    TN_TRY(tn_guarded_open(&s->k->device, s->k->stream, end, &s->arrays, err));
    char *image = tn_guarded_image(&s->arrays);
    for (int i = 0; i < N_ARRAYS; i++)
        if (array[i].n && array[i].from)
            memcpy(image + at[i], array[i].from, array[i].n * sizeof(int32_t));
    const uint64_t base = s->arrays.addr;
    s->batch = (tn_batch){ .size = sizeof(tn_batch),
                           .n_tokens = b->n_tokens,
                           .n_seqs = b->n_seqs,
                           .n_decode = b->n_decode,
                           .n_rows = b->n_rows,
                           .max_q = b->max_q,
                           .max_kv = b->max_kv,
                           .table_stride = b->table_stride,
                           .n_tables = b->n_tables,
                           .tokens = base + at[TOKENS],
                           .pos = base + at[POS],
                           .slot = base + at[SLOT],
                           .q_start = base + at[Q_START],
                           .kv_len = base + at[KV_LEN],
                           .rope_index = base + at[ROPE_INDEX],
                           .table = base + at[TABLE],
                           .rows = base + at[ROWS],
                           .rope_table = base + at[ROPE_TABLE],
                           .h_tokens = b->tokens,
                           .h_pos = b->pos,
                           .h_slot = b->slot,
                           .h_q_start = b->q_start,
                           .h_kv_len = b->kv_len,
                           .h_rope_index = b->rope_index,
                           .h_table = b->table,
                           .h_rows = b->rows,
                           .h_rope_table = b->rope_table };
    return tn_guarded_send(&s->arrays, err);
}

/* Zeros in place of the mirrors: what reads them computes something else, but stays inside. */
static tn_status hide_mirrors(launch_state *s, tn_error *err)
{
    tn_batch *b = &s->batch;
    s->no_mirrors = tn_alloc_array(s->arrays.bytes + 1, 1);
    if (!s->no_mirrors)
        return tn_fail_memory(err, "the batch arrays");
    b->h_tokens = b->h_pos = b->h_slot = b->h_q_start = b->h_kv_len = b->h_rope_index = b->h_table =
        b->h_rows = s->no_mirrors;
    b->h_rope_table = s->no_mirrors;
    return TN_OK;
}

static tn_status open_buffers(launch_state *s, tn_error *err)
{
    const tn_node *node = &s->k->node;
    const tn_check_pool *pool = &s->c->pool;
    for (int32_t i = 0; i < node->n_in; i++)
        TN_TRY(open_tensor(s, &s->c->in[i], node->in_dtype[i], &s->in[i], &s->in_tensor[i], err));
    for (int32_t i = 0; i < node->n_out; i++)
        if (!alias_output(s, i))
            TN_TRY(open_tensor(s, &s->c->out[i], node->out_dtype[i], &s->out[i], &s->out_tensor[i],
                               err));
    TN_TRY(open_batch(s, err));
    if (s->k->mode == TN_RUN_NO_MIRRORS)
        TN_TRY(hide_mirrors(s, err));
    if (pool->format) {
        const size_t bytes = (size_t)pool->n_blocks * (size_t)pool->block_bytes;
        TN_TRY(tn_guarded_open(&s->k->device, s->k->stream, bytes, &s->pool, err));
        memcpy(tn_guarded_image(&s->pool), pool->bytes, bytes);
        TN_TRY(tn_guarded_send(&s->pool, err));
    }
    if (s->k->plan.workspace_bytes) {
        TN_TRY(tn_guarded_open(&s->k->device, s->k->stream, (size_t)s->k->plan.workspace_bytes,
                               &s->workspace, err));
        TN_TRY(tn_guarded_send(&s->workspace, err));
    }
    return TN_OK;
}

static void close_buffers(launch_state *s)
{
    for (int32_t i = 0; i < TN_MAX_IN; i++)
        tn_guarded_close(&s->in[i]);
    for (int32_t i = 0; i < TN_MAX_OUT; i++)
        tn_guarded_close(&s->out[i]);
    tn_guarded_close(&s->workspace);
    tn_guarded_close(&s->arrays);
    tn_guarded_close(&s->pool);
    tn_free(s->no_mirrors);
}

/* ---- afterwards ---- */

static void look_around(const tn_guarded *g, const char *what, tn_check_fault *fault)
{
    int64_t at;
    if (!tn_guarded_overrun(g, &at))
        return;
    if (at < 0)
        tn_check_set_fault(fault, "overrun", "it wrote %lld bytes in front of %s", (long long)-at,
                           what);
    else
        tn_check_set_fault(fault, "overrun", "it wrote at byte %lld of %s, which has %zu",
                           (long long)at, what, g->bytes);
}

static tn_status look_at_input(tn_guarded *g, const char *what, tn_check_fault *fault,
                               tn_error *err)
{
    int64_t at;
    if (!g->sent) /* there is none, or it is trusted */
        return TN_OK;
    TN_TRY(tn_guarded_fetch(g, err));
    look_around(g, what, fault);
    if (tn_guarded_changed(g, &at))
        tn_check_set_fault(fault, "input", "it changed %s, at byte %lld", what, (long long)at);
    return TN_OK;
}

/* The bytes between a row's end and the next row are not the kernel's. */
static void look_between_rows(const tn_guarded *g, const tn_check_tensor *t,
                              const tn_tensor *tensor, tn_check_fault *fault)
{
    const size_t element = tn_dtype_bytes(tensor->dtype);
    const size_t stride = (size_t)tensor->stride[0] * element, used = (size_t)t->width * element;
    const uint8_t *bytes = tn_guarded_result(g), *sent = tn_guarded_image(g);
    for (int32_t r = 0; r < t->rows && used < stride; r++) {
        const size_t at = (size_t)r * stride + used;
        if (memcmp(bytes + at, sent + at, stride - used) != 0)
            tn_check_set_fault(fault, "overrun", "it wrote behind the end of row %d of %s", (int)r,
                               t->name);
    }
}

static tn_status take_output(launch_state *s, int32_t i, tn_check_output *out,
                             tn_check_fault *fault, tn_error *err)
{
    const tn_check_tensor *t = &s->c->out[i];
    tn_guarded *g = &s->out[i];
    size_t n;
    for (int32_t in = 0; in < TN_MAX_IN; in++)
        if (s->alias[in] == i + 1)
            g = &s->in[in];
    TN_TRY(tn_guarded_fetch(g, err));
    look_around(g, t->name, fault);
    if (!t->is_ids)
        look_between_rows(g, t, &s->out_tensor[i], fault);
    if (!tn_size_mul((size_t)t->rows, (size_t)t->width, &n))
        return tn_fail_memory(err, "an output");
    out->out[i] = tn_alloc_array(n, sizeof(float));
    if (!out->out[i])
        return tn_fail_memory(err, "an output");
    tn_convert_rows(tn_guarded_result(g), s->out_tensor[i].dtype, s->out_tensor[i].stride[0],
                    out->out[i], TN_F32, t->width, t->rows, t->width);
    return TN_OK;
}

static bool writes_pool(const tn_check_case *c)
{
    return strcmp(c->op->name, "attention") != 0;
}

static tn_status take_pool(launch_state *s, tn_check_output *out, tn_check_fault *fault,
                           tn_error *err)
{
    if (!s->pool.base)
        return TN_OK;
    if (!writes_pool(s->c))
        return look_at_input(&s->pool, "the KV pool", fault, err);
    TN_TRY(tn_guarded_fetch(&s->pool, err));
    look_around(&s->pool, "the KV pool", fault);
    out->pool = tn_alloc(s->pool.bytes);
    if (!out->pool)
        return tn_fail_memory(err, "the KV pages");
    memcpy(out->pool, tn_guarded_result(&s->pool), s->pool.bytes);
    return TN_OK;
}

static tn_status look(launch_state *s, tn_check_output *out, tn_check_fault *fault, tn_error *err)
{
    for (int32_t i = 0; i < s->k->node.n_in; i++)
        if (!s->alias[i])
            TN_TRY(look_at_input(&s->in[i], s->c->in[i].name, fault, err));
    TN_TRY(look_at_input(&s->k->weight, "the packed weights", fault, err));
    TN_TRY(look_at_input(&s->k->zeroed, "the zeroed memory, which run leaves zero", fault, err));
    TN_TRY(look_at_input(&s->arrays, "the batch arrays", fault, err));
    if (s->workspace.base) {
        TN_TRY(tn_guarded_fetch(&s->workspace, err));
        look_around(&s->workspace, "the workspace", fault);
    }
    for (int32_t i = 0; i < s->k->node.n_out; i++)
        TN_TRY(take_output(s, i, out, fault, err));
    return take_pool(s, out, fault, err);
}

static void run(launch_state *s, tn_check_fault *fault)
{
    const tn_check_kernel *k = s->k;
    tn_error own = { 0 };
    const tn_launch launch = { .size = sizeof(tn_launch),
                               .n_in = (uint32_t)k->node.n_in,
                               .n_out = (uint32_t)k->node.n_out,
                               .in = s->in_tensor,
                               .out = s->out_tensor,
                               .batch = &s->batch,
                               .weight = k->weight.addr,
                               .kv = s->pool.addr,
                               .kv_block_bytes = s->c->pool.block_bytes,
                               .workspace = s->workspace.addr,
                               .workspace_bytes = k->plan.workspace_bytes,
                               .zeroed = k->zeroed.addr,
                               .tag = k->plan.tag,
                               .stream = k->stream };
    tn_status status =
        tn_plugin_status(k->kernel->run(k->plugin->self, &k->node, &launch, &own), &own);
    if (!status)
        status = k->device.domain->stream_wait(k->device.self, k->stream, &own);
    if (status)
        tn_check_set_fault(fault, "run", "run fails inside the node's bounds: %s", own.text);
}

tn_status tn_check_kernel_run(tn_check_kernel *k, const tn_check_case *c, tn_check_output *out,
                              tn_check_fault *fault, tn_error *err)
{
    launch_state s = { .k = k, .c = c };
    *out = (tn_check_output){ 0 };
    tn_status status = open_buffers(&s, err);
    if (!status) {
        run(&s, fault);
        if (!fault->what)
            status = look(&s, out, fault, err);
    }
    close_buffers(&s);
    return status;
}
