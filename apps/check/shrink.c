/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/shrink.h"

#include <string.h>

/* As many as the tiles of most kernels, and beginning at a multiple of it. */
enum { WINDOW = 64 };

/* ---- linears ---- */

/* Columns [col, col + n) of an input, of all its rows. */
static bool slice_columns(tn_check_shrunk *s, tn_check_tensor *t, int32_t col, int32_t n)
{
    float *values = tn_arena_alloc(&s->arena, (size_t)t->rows * (size_t)n * sizeof *values);
    for (int32_t r = 0; values && r < t->rows; r++)
        memcpy(values + (size_t)r * (size_t)n, t->values + (size_t)r * (size_t)t->width + col,
               (size_t)n * sizeof *values);
    t->width = t->base_width = n;
    t->offset = 0;
    t->values = values;
    return values != NULL;
}

static void slice_part(tn_check_shrunk *s, const tn_check_part *part, const tn_part *info,
                       int32_t to, int32_t row0, int32_t n)
{
    s->part[to] = *part;
    s->part[to].rows = tn_check_part_rows(part, to, row0, n);
    s->part[to].rows.row0 = 0;
    s->linear_part[to] = *info;
    s->linear_part[to].out = n;
    s->linear_list[to] = &s->linear_part[to];
}

/* The output columns round col: of gate and up, or of the one part that has it. */
static bool shrink_columns(tn_check_shrunk *s, int64_t col)
{
    const tn_linear *linear = s->c.node.param;
    const bool glu = strstr(s->c.op->name, "_glu") != NULL;
    const tn_check_part *part = s->c.part;
    int32_t index = 0, first = 0;
    while (!glu && index + 1 < linear->n_parts && col >= first + linear->part[index]->out)
        first += linear->part[index++]->out;
    const int32_t out = linear->part[index]->out;
    const int32_t row0 = (int32_t)(col - first) / WINDOW * WINDOW;
    const int32_t n = out - row0 < WINDOW ? out - row0 : WINDOW;
    s->linear = *linear;
    s->linear.part = s->linear_list;
    s->linear.n_parts = glu ? 2 : 1;
    for (int32_t i = 0; i < s->linear.n_parts; i++)
        slice_part(s, &part[index + i], linear->part[index + i], i, row0, n);
    if (linear->n_parts < s->c.n_parts) /* the norm's weight */
        s->part[s->linear.n_parts] = part[linear->n_parts];
    s->c.n_parts += s->linear.n_parts - linear->n_parts;
    s->c.part = s->part;
    s->c.node.param = &s->linear;
    s->c.out[0].width = s->c.out[0].base_width = n;
    s->c.out[0].heads = 0;
    s->c.out[0].offset = 0;
    return s->c.node.n_in < 2 || slice_columns(s, &s->c.in[1], first + row0, n);
}

/* ---- embed ---- */

/* The rows of the table that the batch reads, one for each of its tokens. */
static bool shrink_table(tn_check_shrunk *s)
{
    const tn_embed *embed = s->c.node.param;
    const tn_check_part *part = &s->c.part[0];
    const tn_weight_rows *from = &part->rows;
    const int32_t n = s->c.batch->n_tokens;
    const size_t cols = (size_t)from->cols, groups = from->values ? 0 : cols / (size_t)from->group;
    float *values = tn_arena_alloc(&s->arena, (size_t)n * cols * sizeof *values);
    uint8_t *codes = tn_arena_alloc(&s->arena, (size_t)n * cols);
    float *scale = tn_arena_alloc(&s->arena, (size_t)n * groups * sizeof *scale);
    float *zero = tn_arena_alloc(&s->arena, (size_t)n * groups * sizeof *zero);
    int32_t *tokens = tn_arena_alloc(&s->arena, (size_t)n * sizeof *tokens);
    if (!values || !codes || !scale || !zero || !tokens)
        return false;
    for (int32_t i = 0; i < n; i++) {
        const tn_weight_rows row = tn_check_part_rows(part, 0, s->c.batch->tokens[i], 1);
        const size_t at = (size_t)i;
        if (row.values)
            memcpy(values + at * cols, row.values, cols * sizeof *values);
        if (row.codes)
            memcpy(codes + at * cols, row.codes, cols);
        if (row.scale)
            memcpy(scale + at * groups, row.scale, groups * sizeof *scale);
        if (row.zero)
            memcpy(zero + at * groups, row.zero, groups * sizeof *zero);
        tokens[i] = i;
    }
    s->part[0] = *part;
    s->part[0].rows.rows = n;
    s->part[0].rows.values = from->values ? values : NULL;
    s->part[0].rows.codes = from->codes ? codes : NULL;
    s->part[0].rows.scale = from->scale ? scale : NULL;
    s->part[0].rows.zero = from->zero ? zero : NULL;
    s->batch = *s->c.batch;
    s->batch.tokens = tokens;
    s->embed = *embed;
    s->embed.vocab = n;
    s->c.part = s->part;
    s->c.batch = &s->batch;
    s->c.node.param = &s->embed;
    return true;
}

tn_status tn_check_shrink(const tn_check_case *c, int32_t how, int64_t row, int64_t col,
                          tn_check_shrunk *out, bool *out_done, tn_error *err)
{
    const bool linear = c->op->param == TN_PARAM_LINEAR, embed = c->op->param == TN_PARAM_EMBED;
    bool made = true;
    *out = (tn_check_shrunk){ .c = *c };
    *out_done = linear || (embed && how == TN_SHRINK_COLUMNS && c->batch->n_tokens > 0);
    if (linear && how & TN_SHRINK_ROWS)
        out->c = tn_check_case_rows(c, (int32_t)row, 1);
    if (linear && how & TN_SHRINK_COLUMNS)
        made = shrink_columns(out, col);
    if (embed && *out_done)
        made = shrink_table(out);
    if (made)
        return TN_OK;
    tn_check_shrunk_deinit(out);
    return tn_fail_memory(err, "a smaller case");
}

void tn_check_shrunk_deinit(tn_check_shrunk *s)
{
    tn_arena_deinit(&s->arena);
    *s = (tn_check_shrunk){ 0 };
}
