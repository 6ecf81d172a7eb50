/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in a repro file. A change of it is a new TN_REPRO_VERSION. */
#include "apps/check/repro_io.h"

#include <stdio.h>

enum { MOST = 1 << 24, MOST_ROWS = 1 << 20, MOST_HEADS = 1024 };

static void *make(tn_repro_io *io, size_t n)
{
    void *memory = io->status ? NULL : tn_arena_alloc(io->arena, n + 1);
    if (!memory)
        tn_repro_fail(io, TN_NO_MEMORY, "cannot allocate memory for a case");
    return memory;
}

static const char *numbered(char text[32], const char *name, int32_t i)
{
    (void)snprintf(text, 32, "%s.%d", name, (int)i);
    return text;
}

static void floats(tn_repro_io *io, const char *name, size_t n, bool needed, const float **data)
{
    const void *p = *data;
    tn_repro_array_of(io, name, "F32", n, needed, &p);
    *data = p;
}

static void ints(tn_repro_io *io, const char *name, size_t n, int32_t **data)
{
    const void *p = *data;
    tn_repro_array_of(io, name, "I32", n, n > 0, &p);
    *data = (int32_t *)(uintptr_t)p; /* the arena's, or only read */
}

/* ---- parameters ---- */

static void visit_part(tn_repro_io *io, int32_t i, tn_part *p)
{
    char key[32];
    if (!tn_repro_begin(io, numbered(key, "part", i)))
        return;
    p->size = sizeof *p;
    tn_repro_int(io, "out", 1, MOST, &p->out);
    tn_repro_int(io, "bias", 0, 1, &p->bias);
    tn_repro_int(io, "group", 0, MOST, &p->group);
    tn_repro_int(io, "values", 0, 1, &p->values);
    tn_repro_text(io, "wfmt", &p->wfmt);
    tn_repro_end(io);
}

static void visit_linear(tn_repro_io *io, tn_linear *p)
{
    tn_repro_int(io, "in", 1, MOST, &p->in);
    tn_repro_int(io, "n_parts", 1, TN_MAX_PARTS - 1, &p->n_parts);
    tn_repro_int(io, "act", 0, TN_ACT_GELU_TANH, &p->act);
    tn_repro_real(io, "eps", &p->eps);
    tn_repro_real(io, "offset", &p->offset);
    tn_repro_real(io, "out_scale", &p->out_scale);
    if (io->reading && !io->status) {
        tn_part *part = make(io, (size_t)p->n_parts * sizeof *part);
        const tn_part **list = make(io, (size_t)p->n_parts * sizeof(tn_part *));
        for (int32_t i = 0; part && list && i < p->n_parts; i++)
            list[i] = &part[i];
        p->part = list;
    }
    for (int32_t i = 0; !io->status && i < p->n_parts; i++)
        visit_part(io, i, (tn_part *)(uintptr_t)p->part[i]); /* the arena's, or only read */
}

static void visit_rope(tn_repro_io *io, tn_rope *p)
{
    tn_repro_int(io, "heads", 1, MOST_HEADS, &p->heads);
    tn_repro_int(io, "kv_heads", 1, MOST_HEADS, &p->kv_heads);
    tn_repro_int(io, "head_dim", 1, MOST_HEADS, &p->head_dim);
    tn_repro_int(io, "rotary_dim", 0, MOST_HEADS, &p->rotary_dim);
    tn_repro_int(io, "pairing", 0, TN_ROPE_INTERLEAVED, &p->pairing);
    tn_repro_int(io, "qk_norm", 0, 1, &p->qk_norm);
    tn_repro_real(io, "qk_eps", &p->qk_eps);
    tn_repro_real(io, "qk_offset", &p->qk_offset);
    tn_repro_real(io, "mscale", &p->mscale);
}

static void visit_attention(tn_repro_io *io, tn_attention *p)
{
    p->size = sizeof *p;
    tn_repro_int(io, "heads", 1, MOST_HEADS, &p->heads);
    tn_repro_int(io, "kv_heads", 1, MOST_HEADS, &p->kv_heads);
    tn_repro_int(io, "head_dim", 1, MOST_HEADS, &p->head_dim);
    tn_repro_int(io, "window", 0, MOST, &p->window);
    tn_repro_int(io, "logn_length", 0, MOST, &p->logn_length);
    tn_repro_real(io, "scale", &p->scale);
    tn_repro_real(io, "softcap", &p->softcap);
    tn_repro_int(io, "n_kv_static", 0, MOST_HEADS, &p->n_kv_static);
    floats(io, "kv_static", (size_t)p->n_kv_static * 4, p->n_kv_static > 0, &p->kv_static);
}

static void visit_embed(tn_repro_io *io, tn_embed *p)
{
    tn_repro_int(io, "vocab", 1, MOST, &p->vocab);
    tn_repro_int(io, "dim", 1, MOST, &p->dim);
    tn_repro_int(io, "group", 0, MOST, &p->group);
    tn_repro_int(io, "values", 0, 1, &p->values);
    tn_repro_real(io, "scale", &p->scale);
    tn_repro_text(io, "wfmt", &p->wfmt);
}

/* The struct of this kind, made when reading; its first member is its size. */
static void *param_of(tn_repro_io *io, const void **param, size_t n)
{
    if (io->reading) {
        uint32_t *size = make(io, n);
        if (size)
            *size = (uint32_t)n;
        *param = size;
    }
    return (void *)(uintptr_t)*param;
}

static void visit_param(tn_repro_io *io, const char *key, int32_t kind, const void **param)
{
    static const size_t size[] = { 0,
                                   sizeof(tn_embed),
                                   sizeof(tn_norm),
                                   sizeof(tn_linear),
                                   sizeof(tn_rows_op),
                                   sizeof(tn_rope),
                                   sizeof(tn_attention) };
    if (kind == TN_PARAM_NONE || !tn_repro_begin(io, key))
        return;
    void *p = param_of(io, param, size[kind]);
    if (!p)
        return;
    if (kind == TN_PARAM_EMBED)
        visit_embed(io, p);
    if (kind == TN_PARAM_LINEAR)
        visit_linear(io, p);
    if (kind == TN_PARAM_ROPE)
        visit_rope(io, p);
    if (kind == TN_PARAM_ATTENTION)
        visit_attention(io, p);
    if (kind == TN_PARAM_NORM) {
        tn_norm *norm = p;
        tn_repro_int(io, "dim", 1, MOST, &norm->dim);
        tn_repro_real(io, "eps", &norm->eps);
        tn_repro_real(io, "offset", &norm->offset);
    }
    if (kind == TN_PARAM_ROWS) {
        tn_rows_op *rows = p;
        tn_repro_int(io, "dim", 1, MOST, &rows->dim);
        tn_repro_int(io, "act", 0, TN_ACT_GELU_TANH, &rows->act);
        tn_repro_real(io, "scale", &rows->scale);
    }
    tn_repro_end(io);
}

/* ---- node ---- */

static void visit_edges(tn_repro_io *io, tn_node *n)
{
    char key[32];
    tn_repro_int(io, "n_in", 0, TN_MAX_IN, &n->n_in);
    tn_repro_int(io, "n_out", 0, TN_MAX_OUT, &n->n_out);
    for (int32_t i = 0; !io->status && i < n->n_in; i++)
        tn_repro_int(io, numbered(key, "in_dtype", i), TN_F32, TN_I32, &n->in_dtype[i]);
    for (int32_t i = 0; !io->status && i < n->n_out; i++)
        tn_repro_int(io, numbered(key, "out_dtype", i), TN_F32, TN_I32, &n->out_dtype[i]);
}

static void visit_node(tn_repro_io *io, tn_check_case *c)
{
    tn_node *n = &c->node;
    if (!tn_repro_begin(io, "node"))
        return;
    n->size = sizeof *n;
    tn_repro_text(io, "op", &n->op);
    c->op = !io->status && n->op ? tn_op_find(n->op) : NULL;
    if (!c->op)
        tn_repro_fail(io, TN_INVALID, "there is no op \"%s\"", n->op ? n->op : "");
    else
        n->op = c->op->name;
    tn_repro_text(io, "path", &n->path);
    tn_repro_text(io, "kvfmt", &n->kvfmt);
    tn_repro_int(io, "layer", -1, MOST, &n->layer);
    tn_repro_int(io, "resid_dtype", 0, TN_BF16, &n->resid_dtype);
    tn_repro_int(io, "act_dtype", 0, TN_BF16, &n->act_dtype);
    visit_edges(io, n);
    tn_repro_int(io, "max_tokens", 1, MOST, &n->max_tokens);
    tn_repro_int(io, "max_seqs", 1, MOST, &n->max_seqs);
    tn_repro_int(io, "max_ctx", 1, MOST, &n->max_ctx);
    tn_repro_int(io, "block_tokens", 1, 1024, &n->block_tokens);
    tn_repro_int(io, "max_rows", 1, MOST, &n->max_rows);
    if (!io->status)
        visit_param(io, "param", c->op->param, &n->param);
    if (!io->status)
        visit_param(io, "param2", c->op->param2, &n->param2);
    tn_repro_end(io);
}

/* ---- arrays ---- */

static void visit_weight(tn_repro_io *io, int32_t i, tn_check_part *p)
{
    char key[32], name[32];
    tn_weight_rows *w = &p->rows;
    int32_t values = w->values != NULL, bias = w->bias != NULL, zero = w->zero != NULL;
    if (!tn_repro_begin(io, numbered(key, "weight", i)))
        return;
    tn_repro_text(io, "wfmt", &p->wfmt);
    if (p->wfmt) {
        w->size = sizeof *w;
        tn_repro_int(io, "rows", 1, MOST, &w->rows);
        tn_repro_int(io, "cols", 1, MOST, &w->cols);
        tn_repro_int(io, "group", 0, MOST, &w->group);
        tn_repro_int(io, "values", 0, 1, &values);
        tn_repro_int(io, "zero", 0, 1, &zero);
        tn_repro_int(io, "bias", 0, 1, &bias);
        if (!values && !io->status && (w->group < 1 || w->cols % w->group != 0))
            tn_repro_fail(io, TN_INVALID, "weight %d has %d columns in groups of %d", (int)i,
                          (int)w->cols, (int)w->group);
    }
    if (p->wfmt && !io->status) {
        const size_t n = (size_t)w->rows * (size_t)w->cols;
        const size_t groups = values ? 0 : n / (size_t)w->group;
        const void *codes = w->codes;
        floats(io, numbered(name, "values", i), values ? n : 0, values, &w->values);
        tn_repro_array_of(io, numbered(name, "codes", i), "U8", values ? 0 : n, !values, &codes);
        w->codes = codes;
        floats(io, numbered(name, "scale", i), groups, !values, &w->scale);
        floats(io, numbered(name, "zero", i), zero ? groups : 0, zero && !values, &w->zero);
        floats(io, numbered(name, "bias", i), bias ? (size_t)w->rows : 0, bias, &w->bias);
        p->bias = NULL; /* the arena's, when reading */
    }
    tn_repro_end(io);
}

static void visit_tensor(tn_repro_io *io, const char *key, tn_check_tensor *t, bool is_input)
{
    int32_t is_ids = t->is_ids;
    if (!tn_repro_begin(io, key))
        return;
    tn_repro_text(io, "name", &t->name);
    tn_repro_int(io, "rows", 1, MOST_ROWS, &t->rows);
    tn_repro_int(io, "width", 1, MOST, &t->width);
    tn_repro_int(io, "heads", 0, MOST_HEADS, &t->heads);
    tn_repro_int(io, "base_width", 1, MOST, &t->base_width);
    tn_repro_int(io, "offset", 0, MOST, &t->offset);
    tn_repro_int(io, "is_ids", 0, 1, &is_ids);
    t->is_ids = is_ids != 0;
    if (is_input && !io->status)
        floats(io, key, (size_t)t->rows * (size_t)t->width, true, &t->values);
    tn_repro_end(io);
}

static void visit_batch(tn_repro_io *io, tn_check_batch *b)
{
    if (!tn_repro_begin(io, "batch"))
        return;
    tn_repro_int(io, "n_tokens", 0, MOST_ROWS, &b->n_tokens);
    tn_repro_int(io, "n_seqs", 0, MOST_ROWS, &b->n_seqs);
    tn_repro_int(io, "n_decode", 0, MOST_ROWS, &b->n_decode);
    tn_repro_int(io, "n_rows", 0, MOST_ROWS, &b->n_rows);
    tn_repro_int(io, "max_q", 0, MOST, &b->max_q);
    tn_repro_int(io, "max_kv", 0, MOST, &b->max_kv);
    tn_repro_int(io, "table_stride", 0, MOST_ROWS, &b->table_stride);
    tn_repro_int(io, "n_tables", 0, MOST_HEADS, &b->n_tables);
    tn_repro_int(io, "half_rotary", 0, MOST_HEADS, &b->half_rotary);
    const size_t tokens = (size_t)b->n_tokens, seqs = (size_t)b->n_seqs;
    const float *rope = b->rope_table;
    ints(io, "batch.tokens", tokens, &b->tokens);
    ints(io, "batch.pos", tokens, &b->pos);
    ints(io, "batch.slot", tokens, &b->slot);
    ints(io, "batch.q_start", seqs > 0 ? seqs + 1 : 0, &b->q_start);
    ints(io, "batch.kv_len", seqs, &b->kv_len);
    ints(io, "batch.rope_index", seqs, &b->rope_index);
    ints(io, "batch.table", seqs * (size_t)b->table_stride, &b->table);
    ints(io, "batch.rows", (size_t)b->n_rows, &b->rows);
    const size_t n = (size_t)b->n_tables * (size_t)b->half_rotary;
    floats(io, "batch.rope_table", n, n > 0, &rope);
    b->rope_table = (float *)(uintptr_t)rope;
    tn_repro_end(io);
}

static void visit_pool(tn_repro_io *io, tn_check_repro *r)
{
    tn_check_pool *p = &r->c.pool;
    int32_t stride = (int32_t)p->block_bytes;
    const void *bytes = p->bytes;
    if (!tn_repro_begin(io, "pool"))
        return;
    tn_repro_text(io, "format", &p->format);
    if (p->format) {
        tn_repro_int(io, "n_blocks", 1, MOST_ROWS, &p->n_blocks);
        tn_repro_int(io, "block_tokens", 1, 1024, &p->block_tokens);
        tn_repro_int(io, "block_bytes", 1, MOST, &stride);
        p->block_bytes = (uint64_t)stride;
        tn_repro_array_of(io, "pool", "U8", (size_t)p->n_blocks * (size_t)stride, true, &bytes);
        p->bytes = bytes;
    }
    tn_repro_end(io);
}

/* The attention of the pool is that of the node. */
static void set_attention(tn_check_case *c)
{
    if (c->pool.format)
        c->pool.attention = c->op->param == TN_PARAM_ATTENTION ? c->node.param : c->node.param2;
}

void tn_repro_visit(tn_repro_io *io, tn_check_repro *r)
{
    tn_check_case *c = &r->c;
    char key[32];
    tn_repro_text(io, "part", &r->part);
    tn_repro_text(io, "case", &c->name);
    tn_repro_text(io, "plugin", &r->plugin);
    tn_repro_text(io, "kernel", &r->kernel);
    tn_repro_text(io, "against", &r->against);
    tn_repro_text(io, "metric", &r->metric);
    tn_repro_text(io, "text", &r->text);
    tn_repro_text(io, "seed", &r->seed);
    tn_repro_text(io, "tenon", &r->tenon);
    visit_node(io, c);
    tn_repro_int(io, "n_weights", 0, TN_MAX_PARTS, &c->n_parts);
    for (int32_t i = 0; !io->status && i < c->n_parts; i++)
        visit_weight(io, i, &r->weight[i]);
    for (int32_t i = 0; !io->status && i < c->node.n_in; i++)
        visit_tensor(io, numbered(key, "in", i), &c->in[i], true);
    for (int32_t i = 0; !io->status && i < c->node.n_out; i++)
        visit_tensor(io, numbered(key, "out", i), &c->out[i], false);
    visit_batch(io, &r->batch);
    visit_pool(io, r);
    if (!io->status)
        set_attention(c);
    c->part = r->weight;
    c->batch = &r->batch;
}
