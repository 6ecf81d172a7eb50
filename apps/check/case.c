/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/case.h"

#include "core/base/alloc.h"
#include "core/base/float16.h"

#include <stdatomic.h>
#include <stdio.h>

enum { RANGE_ROWS = 64 };

typedef struct load_job {
    const tn_weight_source *source;
    tn_weight_info info;
    tn_check_part *part;
    atomic_flag failed; /* relaxed: the end of the team's job orders the error before its reader */
    tn_error error;
} load_job;

static int64_t groups_of(int32_t cols, int32_t group)
{
    return group > 0 ? cols / group : 0;
}

static void load_range(load_job *job, int64_t range)
{
    const tn_weight_info *info = &job->info;
    const tn_row_buffer *all = &job->part->buffer;
    const int64_t row0 = range * RANGE_ROWS, left = info->rows - row0;
    const int64_t value0 = row0 * info->cols;
    const int64_t group0 = row0 * groups_of((int32_t)info->cols, info->group);
    const tn_row_buffer buffer = { .values = all->values ? all->values + value0 : NULL,
                                   .codes = all->codes ? all->codes + value0 : NULL,
                                   .scale = all->scale ? all->scale + group0 : NULL,
                                   .zero = all->zero ? all->zero + group0 : NULL };
    tn_weight_rows rows = { .size = sizeof rows };
    tn_error err = { 0 };
    const tn_status status =
        job->source->rows(job->source->self, info, row0,
                          (int32_t)(left < RANGE_ROWS ? left : RANGE_ROWS), &buffer, &rows, &err);
    if (range == 0)
        job->part->rows = rows;
    if (status && !atomic_flag_test_and_set_explicit(&job->failed, memory_order_relaxed)) {
        err.code = status;
        job->error = err;
    }
}

static void load_ranges(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    (void)worker;
    for (int64_t i = i0; i < i1; i++)
        load_range(arg, i);
}

static tn_status load_bias(const tn_weight_source *source, const char *bias, int64_t rows,
                           tn_check_part *part, tn_error *err)
{
    tn_weight_info info;
    if (!bias)
        return TN_OK;
    if (source->find(source->self, bias, &info) || info.rows * info.cols != rows)
        return tn_fail(err, TN_INVALID, "the model has no bias %s of %lld values", bias,
                       (long long)rows);
    TN_TRY(tn_weight_values(source, &info, &part->bias, err));
    part->rows.bias = part->bias;
    return TN_OK;
}

tn_status tn_check_part_load(const tn_weight_source *source, const char *tensor, const char *bias,
                             tn_team *team, tn_check_part *out, tn_error *err)
{
    load_job job = { .source = source, .part = out, .failed = ATOMIC_FLAG_INIT };
    *out = (tn_check_part){ 0 };
    if (source->find(source->self, tensor, &job.info))
        return tn_fail(err, TN_INVALID, "the model has no tensor %s", tensor);
    if (job.info.rows > INT32_MAX)
        return tn_fail(err, TN_INVALID, "%s: %lld rows are too many", tensor,
                       (long long)job.info.rows);
    TN_TRY(tn_row_buffer_init(&out->buffer, &job.info, (int32_t)job.info.rows, err));
    tn_team_for(team, (job.info.rows + RANGE_ROWS - 1) / RANGE_ROWS, load_ranges, &job);
    if (job.error.code)
        return tn_fail(err, job.error.code, "%s: %s", tensor, job.error.text);
    out->wfmt = job.info.wfmt;
    out->rows.size = sizeof out->rows;
    out->rows.rows = (int32_t)job.info.rows;
    return load_bias(source, bias, job.info.rows, out, err);
}

void tn_check_part_deinit(tn_check_part *part)
{
    tn_row_buffer_deinit(&part->buffer);
    tn_free(part->bias);
    *part = (tn_check_part){ 0 };
}

tn_weight_rows tn_check_part_rows(const tn_check_part *part, int32_t index, int32_t row0, int32_t n)
{
    tn_weight_rows rows = part->rows;
    const int64_t value0 = (int64_t)row0 * rows.cols;
    const int64_t group0 = row0 * groups_of(rows.cols, rows.group);
    rows.part = index;
    rows.rows = n;
    rows.row0 = row0;
    rows.values = rows.values ? rows.values + value0 : NULL;
    rows.codes = rows.codes ? rows.codes + value0 : NULL;
    rows.scale = rows.scale ? rows.scale + group0 : NULL;
    rows.zero = rows.zero ? rows.zero + group0 : NULL;
    rows.bias = rows.bias ? rows.bias + row0 : NULL;
    return rows;
}

void tn_check_round_values(float *values, size_t n, int32_t dtype)
{
    for (size_t i = 0; i < n && dtype == TN_F16; i++)
        values[i] = tn_f16_to_f32(tn_f32_to_f16(values[i]));
    for (size_t i = 0; i < n && dtype == TN_BF16; i++)
        values[i] = tn_bf16_to_f32(tn_f32_to_bf16(values[i]));
}

int32_t tn_check_blocks(int32_t tokens, int32_t block_tokens)
{
    return (tokens + block_tokens - 1) / block_tokens;
}

tn_check_case tn_check_case_rows(const tn_check_case *c, int32_t r0, int32_t n)
{
    tn_check_case s = *c;
    for (int32_t i = 0; i < c->node.n_in; i++) {
        s.in[i].values += (size_t)r0 * (size_t)s.in[i].width;
        s.in[i].rows = n;
    }
    for (int32_t i = 0; i < c->node.n_out; i++)
        s.out[i].rows = n;
    return s;
}

void tn_check_case_shape(const tn_check_case *c, char *text, size_t cap)
{
    size_t used = 0;
    text[0] = 0;
    if (c->batch)
        used = (size_t)snprintf(text, cap, "%d tokens of %d sequences, ", (int)c->batch->n_tokens,
                                (int)c->batch->n_seqs);
    for (int32_t i = 0; i < c->node.n_in + c->node.n_out && used < cap; i++) {
        const bool is_in = i < c->node.n_in;
        const tn_check_tensor *t = is_in ? &c->in[i] : &c->out[i - c->node.n_in];
        used += (size_t)snprintf(text + used, cap - used, "%s%s %d x %d", i ? ", " : "",
                                 is_in ? "in" : "out", (int)t->rows, (int)t->width);
    }
}
