/* SPDX-License-Identifier: Apache-2.0 */
/* One step after another: plan, run, report, commit. */
#include "core/engine/engine_internal.h"

#include <math.h>
#include <string.h>
#include <time.h>

double tn_engine_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Plain greedy: the device's argmax is enough. */
static bool wants_logits(const tn_engine_request *r)
{
    return r->sampling.temperature > 0.0F || r->n_top > 0 || r->logits != TN_LOGITS_NONE ||
           r->log_sum || r->mask || r->adjust;
}

/* Draw records and rope rows of the step; true when some row needs its logits on the host. */
static bool prepare_step(tn_engine *engine, const tn_step *step)
{
    bool logits = false;
    for (int32_t i = 0; i < step->n_seqs; i++) {
        const tn_step_seq *seq = &step->seqs[i];
        tn_engine_job *job = seq->user;
        if (!job->started) {
            job->started = true;
            job->start_s = tn_engine_now();
            job->n_cached = seq->n_cached;
        }
        logits = logits || (seq->n_rows > 0 && wants_logits(&job->request));
        for (int32_t d = 0; d < seq->n_draws; d++)
            engine->draw[seq->first_draw + d] = (tn_engine_draw){
                .job = job, .seq = seq, .sample = seq->sample + d, .log_sum = (double)NAN
            };
        int32_t row = engine->rope_per_sequence ? seq->slot : 0;
        engine->batch.rope_index[i] = row;
        if (engine->half_rotary > 0)
            memcpy(engine->rope_table + (size_t)row * (size_t)engine->half_rotary, job->inv_freq,
                   (size_t)engine->half_rotary * sizeof(float));
    }
    return logits;
}

/* Tokens of plain greedy rows, after the step. */
static void report_argmax(tn_engine *engine, const tn_step *step)
{
    int32_t row = -1;
    for (int32_t i = 0; i < step->n_seqs; i++) {
        const tn_step_seq *seq = &step->seqs[i];
        row += seq->n_rows;
        for (int32_t d = 0; d < seq->n_draws; d++) {
            tn_engine_draw *draw = &engine->draw[seq->first_draw + d];
            draw->token = engine->argmax[row];
            if (draw->token < 0 || draw->token >= engine->vocab)
                (void)tn_fail(
                    &draw->error, TN_INTERNAL,
                    "argmax gave id %d, the vocabulary has %d; the logits are not numbers",
                    draw->token, engine->vocab);
            tn_engine_report(engine, draw);
        }
    }
}

static tn_status run_step(tn_engine *engine, const tn_step *step, tn_error *err)
{
    const tn_batch_arrays *b = &engine->batch;
    TN_TRY(tn_batch_build(step, &engine->batch, err));
    bool logits = prepare_step(engine, step);
    const tn_exec_step run = {
        .n_tokens = b->n_tokens,
        .n_seqs = b->n_seqs,
        .n_decode = b->n_decode,
        .n_rows = b->n_rows,
        .max_q = b->max_q,
        .max_kv = b->max_kv,
        .n_tables = engine->rope_per_sequence ? engine->args.max_sequences : 1,
        .tokens = b->tokens,
        .pos = b->pos,
        .slot = b->slot,
        .q_start = b->q_start,
        .kv_len = b->kv_len,
        .rope_index = b->rope_index,
        .table = b->table,
        .rows = b->rows,
        .rope_table = engine->rope_table,
        .n_copies = step->n_copies,
        .copy_src = step->copy_src,
        .copy_dst = step->copy_dst,
        .on_rows = logits ? tn_engine_rows : NULL,
        .ctx = engine,
        .argmax = logits ? NULL : engine->argmax,
    };
    engine->step = step;
    TN_TRY(tn_executor_run(engine->exec, &run, err));
    if (!logits)
        report_argmax(engine, step);
    return TN_OK;
}

/* The step is void: its requests end with the error; after the loss of a device, so does
 * everything. */
static void fail_step(tn_engine *engine, const tn_step *step, const tn_error *why)
{
    bool lost = why->code == TN_DEVICE_LOST;
    for (int32_t i = 0; i < step->n_seqs; i++)
        ((tn_engine_job *)step->seqs[i].user)->ending = true;
    tn_sched_abort(engine->sched);
    if (lost) {
        pthread_mutex_lock(&engine->lock);
        engine->dead = *why;
        pthread_mutex_unlock(&engine->lock);
    }
    tn_engine_finish_live(engine, !lost, TN_FINISH_ERROR, why);
}

/* After commit the scheduler has let go of what ended here. */
static void finish_draws(tn_engine *engine, int32_t n_draws)
{
    for (int32_t i = 0; i < n_draws; i++) {
        tn_engine_draw *d = &engine->draw[i];
        if (d->reason)
            tn_engine_finish_sample(engine, d->job, d->sample, d->reason,
                                    d->reason == TN_FINISH_ERROR ? &d->error : NULL);
    }
}

static void step_once(tn_engine *engine)
{
    const tn_step *step = NULL;
    tn_error err = { 0 };
    tn_status st = tn_sched_plan(engine->sched, &step, &err);
    if (st) {
        tn_engine_finish_live(engine, false, TN_FINISH_ERROR, &err);
        return;
    }
    if (step->n_seqs == 0)
        return;
    int32_t n_draws = step->n_draws;
    st = run_step(engine, step, &err);
    engine->counters.steps++;
    if (st) {
        fail_step(engine, step, &err);
        return;
    }
    bool prompt_only = false;
    for (int32_t i = 0; i < step->n_seqs; i++) {
        const tn_step_seq *seq = &step->seqs[i];
        tn_engine_job *job = seq->user;
        tn_engine_progress(seq);
        job->ending = seq->is_last && seq->n_draws == 0 && job->request.max_tokens == 0;
        prompt_only = prompt_only || job->ending;
    }
    for (int32_t i = 0; i < n_draws; i++)
        engine->commit[i] = (tn_draw){ engine->draw[i].token, engine->draw[i].reason != 0 };
    st = tn_sched_commit(engine->sched, engine->commit, n_draws, &err);
    if (st) {
        tn_engine_finish_live(engine, false, TN_FINISH_ERROR, &err);
        return;
    }
    finish_draws(engine, n_draws);
    if (prompt_only)
        tn_engine_finish_live(engine, true, TN_FINISH_LENGTH, NULL);
    tn_engine_publish(engine);
}

void *tn_engine_main(void *arg)
{
    tn_engine *engine = arg;
    bool may_step = true;
    tn_team_settle(engine->args.team);
    while (tn_engine_commands(engine, &may_step))
        if (may_step && tn_sched_has_work(engine->sched))
            step_once(engine);
        else
            tn_engine_publish(engine);
    tn_engine_finish_live(engine, false, TN_FINISH_CANCELLED, NULL);
    return NULL;
}
