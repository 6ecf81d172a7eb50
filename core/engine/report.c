/* SPDX-License-Identifier: Apache-2.0 */
/* From rows of logits to tokens and events. */
#include "core/engine/engine_internal.h"

#include <math.h>
#include <string.h>

void tn_engine_progress(const tn_step_seq *seq)
{
    tn_engine_job *job = seq->user;
    int32_t total = job->request.n_prompt;
    int32_t done = seq->start + seq->n < total ? seq->start + seq->n : total;
    if (done <= job->prefill_done)
        return;
    job->prefill_done = done;
    if (job->request.on_prefill)
        job->request.on_prefill(job->request.ctx, done, total);
}

static bool is_stop_id(const tn_engine_request *r, int32_t id)
{
    for (int32_t i = 0; i < r->n_stop_ids; i++)
        if (r->stop_id[i] == id)
            return true;
    return false;
}

void tn_engine_report(tn_engine *engine, tn_engine_draw *draw)
{
    tn_engine_job *job = draw->job;
    const tn_engine_request *r = &job->request;
    tn_sample_state *s = &job->sample[draw->sample];
    int32_t verdict = TN_CONTINUE;
    tn_engine_progress(draw->seq);
    if (draw->error.code) {
        draw->reason = TN_FINISH_ERROR;
        return;
    }
    const float *logits = draw->args.logits;
    if (logits && r->n_top > 0)
        tn_top_logits(logits, engine->vocab, r->n_top, engine->top);
    const tn_token_event event = {
        .sample = draw->sample,
        .id = draw->token,
        .position = draw->seq->output_position,
        .logit = logits ? logits[draw->token] : NAN,
        .log_sum = draw->log_sum,
        .top = engine->top,
        .n_top = r->n_top,
        .logits = r->logits != TN_LOGITS_NONE ? logits : NULL,
    };
    s->last_s = tn_engine_now();
    if (s->n_out == 0)
        s->first_s = s->last_s;
    s->n_out++;
    engine->counters.generated_tokens++;
    if (r->on_token)
        verdict = r->on_token(r->ctx, &event);
    if (verdict == TN_STOP || is_stop_id(r, draw->token))
        draw->reason = TN_FINISH_STOP;
    else if (draw->seq->is_last)
        draw->reason = TN_FINISH_LENGTH;
}

/* Draws differ in nothing but their data, so any worker may take any. */
static void draw_range(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    tn_engine *engine = arg;
    void *scratch = (char *)engine->scratch + (size_t)worker * engine->scratch_bytes;
    for (int64_t i = i0; i < i1; i++) {
        tn_engine_draw *d = &engine->draw[engine->slice_first + i];
        if (d->job->request.log_sum)
            d->log_sum = tn_log_sum_exp(d->args.logits, engine->vocab);
        tn_status st = tn_sample(&d->args, scratch, &d->token, &d->error);
        if (st)
            d->error.code = st;
    }
}

/* Rows of prompt positions, each once: recomputed ones are the same bits. */
static void prompt_rows(const tn_engine *engine, const tn_step_seq *seq, int32_t first,
                        int32_t last, const float *logits, int64_t stride)
{
    tn_engine_job *job = seq->user;
    for (int32_t row = first; row < last; row++) {
        int32_t position = seq->start + seq->n - seq->n_rows + row;
        if (position >= job->request.n_prompt || position < job->logits_done)
            continue;
        job->logits_done = position + 1;
        job->request.on_logits(job->request.ctx, position, logits + (row - first) * stride,
                               engine->vocab);
    }
}

static void prepare_draws(tn_engine *engine, const tn_step_seq *seq, const float *row)
{
    for (int32_t i = 0; i < seq->n_draws; i++) {
        tn_engine_draw *d = &engine->draw[seq->first_draw + i];
        const tn_engine_request *r = &d->job->request;
        d->args = (tn_sample_args){ .sampling = &r->sampling,
                                    .logits = row,
                                    .vocab = engine->vocab,
                                    .sample = (uint32_t)d->sample,
                                    .position = (uint64_t)seq->output_position };
        if (r->adjust)
            d->args.change = r->adjust(r->ctx, d->sample, row, &d->args.n_changes);
        if (!r->mask)
            continue;
        uint32_t *bits = d->job->mask + (size_t)d->sample * (size_t)engine->mask_words;
        memset(bits, 0xff, (size_t)engine->mask_words * sizeof(*bits));
        r->mask(r->ctx, d->sample, bits, engine->vocab);
        d->args.mask = bits;
    }
}

void tn_engine_rows(void *ctx, int32_t row0, int32_t n_rows, const float *logits, int64_t stride)
{
    tn_engine *engine = ctx;
    const tn_step *step = engine->step;
    int32_t begin = 0; /* first row of the sequence in the step */
    int32_t n_draws = 0;
    for (int32_t i = 0; i < step->n_seqs; begin += step->seqs[i].n_rows, i++) {
        const tn_step_seq *seq = &step->seqs[i];
        const tn_engine_request *r = &((const tn_engine_job *)seq->user)->request;
        int32_t end = begin + seq->n_rows;
        int32_t first = begin > row0 ? begin : row0;
        int32_t last = end < row0 + n_rows ? end : row0 + n_rows;
        if (first >= last)
            continue;
        if (r->logits == TN_LOGITS_ALL && r->on_logits)
            prompt_rows(engine, seq, first - begin, last - begin, logits + (first - row0) * stride,
                        stride);
        if (seq->n_draws == 0 || last != end)
            continue;
        prepare_draws(engine, seq, logits + (end - 1 - row0) * stride);
        if (n_draws == 0)
            engine->slice_first = seq->first_draw;
        n_draws += seq->n_draws;
    }
    if (n_draws > 0)
        tn_team_for(engine->args.team, n_draws, draw_range, engine);
    for (int32_t i = 0; i < n_draws; i++) {
        tn_engine_report(engine, &engine->draw[engine->slice_first + i]);
        engine->draw[engine->slice_first + i].args.logits = NULL;
    }
}
