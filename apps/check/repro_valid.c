/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A case from a file, before any kernel sees it. Kernels trust the shapes of docs/ops.md and the
 * ids of a batch; from a file both must be proven.
 */
#include "apps/check/repro.h"
#include "core/bind/bind.h"

#include <string.h>

/* Past this no honest case goes, and sums of such counts stay far from overflowing. */
enum { MOST_ELEMENTS = 1 << 28 };

typedef struct valid {
    const tn_check_case *c;
    int64_t width_in[TN_MAX_IN], width_out[TN_MAX_OUT]; /* as the parameters say */
    tn_status status;
    tn_error error;
} valid;

/* What must hold; the first that does not is the error. */
static void need(valid *v, bool holds, const char *what)
{
    if (!v->status && !holds)
        v->status = tn_fail(&v->error, TN_INVALID, "its %s makes no sense", what);
}

static bool is(const valid *v, const char *op)
{
    return strcmp(v->c->op->name, op) == 0;
}

/* ---- weights ---- */

/* Part i is there, with this format and so many rows and columns; or `may_lack` it. */
static void need_weight(valid *v, int32_t i, const char *wfmt, int64_t rows, int64_t cols,
                        const char *what)
{
    const tn_check_part *p = i < v->c->n_parts ? &v->c->part[i] : NULL;
    need(v,
         p && p->wfmt && wfmt && strcmp(p->wfmt, wfmt) == 0 && p->rows.rows == rows &&
             p->rows.cols == cols && rows * cols <= MOST_ELEMENTS,
         what);
}

/* Part i is a vector of n plain values. */
static void need_vector(valid *v, int32_t i, int64_t n, const char *what)
{
    const tn_check_part *p = i < v->c->n_parts ? &v->c->part[i] : NULL;
    need(v, p && p->wfmt && p->rows.values && p->rows.rows == 1 && p->rows.cols == n, what);
}

/* Codes are read by the formula of their format: u4z and u4b have an offset, q8 has none. */
static bool codes_are_sound(const tn_check_part *p)
{
    const tn_weight_rows *w = &p->rows;
    const bool u4 = strncmp(p->wfmt, "u4z.g", 5) == 0 || strncmp(p->wfmt, "u4b.g", 5) == 0;
    if (w->values)
        return true;
    if (!u4 && strncmp(p->wfmt, "q8.g", 4) != 0)
        return false;
    if (u4 != (w->zero != NULL))
        return false;
    for (size_t i = 0; u4 && i < (size_t)w->rows * (size_t)w->cols; i++)
        if (w->codes[i] > 15)
            return false;
    for (size_t i = 0; p->wfmt[2] == 'z' && i < (size_t)w->rows * (size_t)(w->cols / w->group); i++)
        if (!(w->zero[i] >= 0 && w->zero[i] <= 16 && w->zero[i] == (float)(int32_t)w->zero[i]))
            return false;
    return true;
}

static void check_linear(valid *v)
{
    const tn_linear *p = v->c->node.param;
    const bool glu = strstr(v->c->op->name, "_glu") != NULL, add = is(v, "linear_add");
    int64_t width = 0;
    need(v, !glu || (p->n_parts == 2 && p->part[0]->out == p->part[1]->out && p->act > 0),
         "gate and up");
    need(v, !add || p->n_parts == 1, "linear_add");
    for (int32_t i = 0; i < p->n_parts && !v->status; i++) {
        const tn_part *part = p->part[i];
        need_weight(v, i, part->wfmt, part->out, p->in, "weight");
        need(v,
             v->status || ((v->c->part[i].rows.bias != NULL) == (part->bias != 0) &&
                           (part->values || v->c->part[i].rows.group == part->group) &&
                           (v->c->part[i].rows.values != NULL) == (part->values || !part->group) &&
                           strcmp(part->wfmt, p->part[0]->wfmt) == 0),
             "weight's part");
        width += part->out;
    }
    if (strncmp(v->c->op->name, "norm_", 5) == 0)
        need_vector(v, p->n_parts, p->in, "norm weight");
    v->width_in[0] = p->in;
    v->width_in[1] = v->width_out[0] = glu ? p->part[0]->out : width;
}

static void check_embed(valid *v)
{
    const tn_embed *p = v->c->node.param;
    const tn_check_batch *b = v->c->batch;
    need_weight(v, 0, p->wfmt, p->vocab, p->dim, "table");
    need(v, v->status || p->values || v->c->part[0].rows.group == p->group, "table's group");
    for (int32_t i = 0; i < b->n_tokens; i++)
        need(v, b->tokens[i] >= 0 && b->tokens[i] < p->vocab, "token");
    v->width_out[0] = p->dim;
}

static void check_static(valid *v, const tn_attention *a, int32_t part)
{
    if (!v->c->node.kvfmt || strcmp(v->c->node.kvfmt, "i8-static") != 0)
        return;
    need(v, a->kv_static && (a->n_kv_static == 1 || a->n_kv_static == a->kv_heads), "calibration");
    need_weight(v, part, "f32", a->n_kv_static, 4, "calibration");
}

static void check_attention(valid *v, const tn_attention *a)
{
    const tn_check_pool *pool = &v->c->pool;
    const tn_check_batch *b = v->c->batch;
    need(v, a->heads % a->kv_heads == 0, "number of heads");
    need(v, pool->format && v->c->node.kvfmt && strcmp(pool->format, v->c->node.kvfmt) == 0,
         "KV format");
    if (v->status)
        return;
    const uint64_t bytes =
        tn_kv_block_bytes(pool->format, a->kv_heads, a->head_dim, pool->block_tokens);
    need(v, bytes > 0 && pool->block_bytes >= bytes && pool->block_bytes % 256 == 0,
         "size of a KV block");
    need(v, pool->block_tokens == v->c->node.block_tokens, "number of tokens of a KV block");
    for (int32_t i = 0; i < b->n_tokens; i++)
        need(v, b->slot[i] >= -1 && b->slot[i] / pool->block_tokens < pool->n_blocks, "slot");
    for (int32_t s = 0; s < b->n_seqs && !v->status; s++) {
        const int32_t n = tn_check_blocks(b->kv_len[s], pool->block_tokens);
        need(v, n <= b->table_stride, "block table");
        for (int32_t i = 0; i < n && !v->status; i++) {
            const int32_t id = b->table[s * b->table_stride + i];
            need(v, id >= 0 && id < pool->n_blocks, "block table");
        }
    }
}

static void check_rope(valid *v)
{
    const tn_rope *p = v->c->node.param;
    const tn_check_batch *b = v->c->batch;
    const bool writes = is(v, "rope_kv_write"), norms = is(v, "qk_norm") || p->qk_norm;
    need(v, p->rotary_dim % 2 == 0 && p->rotary_dim <= p->head_dim, "rotary width");
    need(v, is(v, "qk_norm") || p->rotary_dim == 0 || p->pairing > 0, "pairing");
    need(v, b->half_rotary * 2 == p->rotary_dim, "table of rope frequencies");
    for (int32_t i = 0; i < 2 && norms; i++)
        need_vector(v, i, p->head_dim, "weight of q and k norm");
    for (int32_t s = 0; s < b->n_seqs; s++)
        need(v, b->rope_index[s] >= 0 && b->rope_index[s] < b->n_tables, "rope index");
    v->width_in[0] = v->width_out[0] = (int64_t)p->heads * p->head_dim;
    v->width_in[1] = v->width_in[2] = v->width_out[1] = (int64_t)p->kv_heads * p->head_dim;
    if (!writes)
        return;
    const tn_attention *a = v->c->node.param2;
    need(v, a->kv_heads == p->kv_heads && a->head_dim == p->head_dim, "number of heads");
    check_static(v, a, 2);
    check_attention(v, a);
}

static void check_kv(valid *v)
{
    const tn_attention *a = v->c->node.param;
    check_static(v, a, 0);
    check_attention(v, a);
    const bool writes = is(v, "kv_write");
    v->width_in[0] = v->width_out[0] = (int64_t)(writes ? a->kv_heads : a->heads) * a->head_dim;
    v->width_in[1] = (int64_t)a->kv_heads * a->head_dim;
}

static void check_rows_op(valid *v)
{
    const tn_rows_op *p = v->c->node.param;
    need(v, !is(v, "glu") || p->act > 0, "activation");
    v->width_in[0] = v->width_in[1] = v->width_out[0] = p->dim;
    if (is(v, "argmax"))
        v->width_out[0] = 1;
}

static void check_norm(valid *v)
{
    const tn_norm *p = v->c->node.param;
    need_vector(v, 0, p->dim, "weight");
    v->width_in[0] = v->width_out[0] = p->dim;
}

static void check_op(valid *v)
{
    switch (v->c->op->param) {
    case TN_PARAM_EMBED:
        check_embed(v);
        break;
    case TN_PARAM_NORM:
        check_norm(v);
        break;
    case TN_PARAM_LINEAR:
        check_linear(v);
        break;
    case TN_PARAM_ROPE:
        check_rope(v);
        break;
    case TN_PARAM_ATTENTION:
        check_kv(v);
        break;
    default:
        check_rows_op(v);
        break;
    }
}

/* ---- batch and tensors ---- */

static void check_batch(valid *v)
{
    const tn_check_batch *b = v->c->batch;
    const tn_node *n = &v->c->node;
    need(v, b->n_decode <= b->n_seqs && b->n_tokens >= b->n_seqs, "batch");
    need(v, b->n_seqs == 0 || (b->q_start[0] == 0 && b->q_start[b->n_seqs] == b->n_tokens),
         "batch");
    need(v, b->n_tokens == 0 || b->n_seqs > 0, "batch");
    for (int32_t s = 0; s < b->n_seqs && !v->status; s++) {
        const int32_t n_new = b->q_start[s + 1] - b->q_start[s];
        need(v, b->q_start[s + 1] >= b->q_start[s] && n_new <= b->max_q, "q_start");
        need(v, b->kv_len[s] >= 0 && b->kv_len[s] <= b->max_kv, "kv_len");
        need(v, b->kv_len[s] == 0 || n_new <= b->kv_len[s], "kv_len");
        /* Positions are those of the last tokens of the sequence. */
        for (int32_t t = b->q_start[s]; t < b->q_start[s + 1] && !v->status; t++)
            need(v,
                 t >= 0 && t < b->n_tokens && b->pos[t] >= 0 &&
                     (b->kv_len[s] == 0 || b->pos[t] < b->kv_len[s]),
                 "position");
    }
    for (int32_t i = 0; i < b->n_rows; i++)
        need(v, b->rows[i] >= 0 && b->rows[i] < b->n_tokens, "row");
    need(v, b->n_tokens <= n->max_tokens && b->n_seqs <= n->max_seqs && b->max_kv <= n->max_ctx,
         "batch, which is out of the node's bounds,");
}

static void check_tensor(valid *v, const tn_check_tensor *t, int64_t width, int32_t dtype)
{
    need(v, t->name && t->width == width, "width of a tensor");
    need(v,
         t->offset + t->width <= t->base_width && (int64_t)t->rows * t->base_width < MOST_ELEMENTS,
         "view");
    need(v, t->heads == 0 || t->width % t->heads == 0, "number of heads of a tensor");
    need(v, t->is_ids == (dtype == TN_I32), "type of a tensor");
}

static int32_t rows_of_output(const valid *v)
{
    const tn_check_case *c = v->c;
    if (is(v, "gather_rows"))
        return c->batch->n_rows;
    return c->node.n_in > 0 ? c->in[0].rows : c->batch->n_tokens;
}

static void check_tensors(valid *v)
{
    const tn_check_case *c = v->c;
    const bool by_token = c->op->uses_kv || is(v, "rope") || is(v, "gather_rows");
    for (int32_t i = 0; i < c->node.n_in && !v->status; i++) {
        check_tensor(v, &c->in[i], v->width_in[i], c->node.in_dtype[i]);
        need(v, c->in[i].rows == c->in[0].rows, "number of rows");
        need(v, !by_token || c->in[i].rows == c->batch->n_tokens, "number of rows");
        need(v, c->in[i].rows <= c->node.max_tokens || c->in[i].rows <= c->node.max_rows,
             "number of rows, which is out of the node's bounds,");
    }
    for (int32_t i = 0; i < c->node.n_out && !v->status; i++) {
        check_tensor(v, &c->out[i], v->width_out[i], c->node.out_dtype[i]);
        need(v, c->out[i].rows == rows_of_output(v), "number of rows");
    }
}

tn_status tn_check_case_validate(const tn_check_case *c, tn_error *err)
{
    valid v = { .c = c };
    need(&v,
         c->node.n_in >= c->op->min_in && c->node.n_in <= c->op->max_in &&
             c->node.n_out == c->op->n_out,
         "number of inputs and outputs");
    need(&v, c->op->uses_kv == (c->pool.format != NULL), "KV pool");
    for (int32_t i = 0; i < c->n_parts; i++)
        need(&v, !c->part[i].wfmt || codes_are_sound(&c->part[i]), "weight");
    if (!v.status)
        check_batch(&v);
    if (!v.status)
        check_op(&v);
    if (!v.status)
        check_tensors(&v);
    return v.status ? tn_fail(err, v.status, "%s", v.error.text) : TN_OK;
}
