/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/engine_rig.h"

#include "core/base/alloc.h"

#include <string.h>

/* cmocka.h needs the others before it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

void tn_test_succeed(tn_status st, const tn_error *err)
{
    if (st)
        fail_msg("%s: %s", tn_status_name(st), err->text);
}

tn_engine_args tn_engine_rig_args(const tn_engine_setup *s, const tn_rig *rig)
{
    uint64_t block_bytes = 0;

    for (int32_t l = 0; l < rig->graph.n_layers; l++)
        block_bytes += rig->binding->kv[l].block_bytes;
    return (tn_engine_args){ .binding = rig->binding,
                             .source = tn_rig_source(rig),
                             .team = rig->team,
                             .kv_format = s->rig.kv_format,
                             .kv_bytes = block_bytes * (uint64_t)(s->n_blocks ? s->n_blocks : 400),
                             .max_sequences = s->max_sequences,
                             .max_tokens = s->max_tokens,
                             .max_context = s->rig.max_ctx,
                             .max_chunk = s->max_chunk,
                             .prefix_cache = s->prefix_cache,
                             .keep_all = s->keep_all };
}

void tn_engine_rig_open(tn_engine_rig *f, const tn_engine_setup *s)
{
    tn_error err = { 0 };

    tn_rig_open(&f->rig, &s->rig);
    tn_engine_args args = tn_engine_rig_args(s, &f->rig);
    tn_test_succeed(tn_engine_create(&args, &f->engine, &err), &err);
    f->vocab = f->rig.desc.vocab;
    f->n_prompt = s->n_prompt;
}

void tn_engine_rig_close(tn_engine_rig *f)
{
    tn_engine_destroy(f->engine);
    tn_rig_close(&f->rig);
}

void tn_record_open(tn_record *r, const tn_engine_rig *f)
{
    *r = (tn_record){
        .n_samples = 1, .vocab = f->vocab, .n_prompt = f->n_prompt, .engine = f->engine
    };
    r->stop_at = r->preempt_at = r->cancel_at = -1;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->finished, NULL);
    r->prompt_logits = tn_alloc_array((size_t)f->n_prompt * (size_t)f->vocab, sizeof(float));
    r->logits = tn_alloc_array((size_t)TN_MAX_NEW * (size_t)f->vocab, sizeof(float));
    assert_non_null(r->prompt_logits);
    assert_non_null(r->logits);
}

void tn_record_close(tn_record *r)
{
    tn_free(r->prompt_logits);
    tn_free(r->logits);
    pthread_cond_destroy(&r->finished);
    pthread_mutex_destroy(&r->lock);
}

static int32_t on_token(void *ctx, const tn_token_event *e)
{
    tn_record *r = ctx;

    r->out_of_order = r->out_of_order || r->n_finish[e->sample] > 0;
    r->id[e->sample][e->position] = e->id;
    r->n_out[e->sample]++;
    if (e->sample > 0)
        return TN_CONTINUE;
    r->logit[e->position] = e->logit;
    if (e->logits)
        memcpy(r->logits + (size_t)e->position * (size_t)r->vocab, e->logits,
               (size_t)r->vocab * sizeof(float));
    for (int32_t i = 0; i < e->n_top && i < 3; i++)
        r->top[e->position][i] = e->top[i];
    if (e->position == r->preempt_at)
        tn_engine_preempt(r->engine, r->engine_id);
    if (e->position == r->cancel_at)
        tn_engine_cancel(r->engine, r->engine_id);
    return e->position == r->stop_at ? TN_STOP : TN_CONTINUE;
}

static void on_logits(void *ctx, int32_t position, const float *logits, int32_t vocab)
{
    tn_record *r = ctx;

    if (position < r->n_prompt)
        memcpy(r->prompt_logits + (size_t)position * (size_t)vocab, logits,
               (size_t)vocab * sizeof(float));
    r->n_prompt_rows++;
}

static void on_prefill(void *ctx, int32_t done, int32_t total)
{
    tn_record *r = ctx;

    r->out_of_order = r->out_of_order || done <= r->prefill_done || done > total;
    r->prefill_done = done;
}

static void on_finish(void *ctx, const tn_finish_event *e)
{
    tn_record *r = ctx;

    pthread_mutex_lock(&r->lock);
    r->reason[e->sample] = e->reason;
    r->n_finish[e->sample]++;
    r->completion[e->sample] = e->completion_tokens;
    r->cached = e->cached_tokens;
    if (e->error)
        memcpy(r->error, e->error->text, sizeof(e->error->text));
    r->n_finished++;
    pthread_cond_signal(&r->finished);
    pthread_mutex_unlock(&r->lock);
}

void tn_record_wait(tn_record *r)
{
    pthread_mutex_lock(&r->lock);
    while (r->n_finished < r->n_samples)
        pthread_cond_wait(&r->finished, &r->lock);
    pthread_mutex_unlock(&r->lock);
    assert_false(r->out_of_order);
    for (int32_t i = 0; i < r->n_samples; i++) {
        assert_int_equal(r->n_finish[i], 1);
        assert_int_equal(r->completion[i], r->n_out[i]);
    }
}

void tn_test_prompt(int32_t *prompt, int32_t n, int32_t vocab, uint64_t seed)
{
    for (int32_t i = 0; i < n; i++)
        prompt[i] = (int32_t)(tn_test_random(&seed) % (uint64_t)vocab);
}

tn_engine_request tn_record_request(tn_record *r, const int32_t *prompt, int32_t n_prompt)
{
    return (tn_engine_request){ .prompt = prompt,
                                .n_prompt = n_prompt,
                                .max_tokens = TN_NEW,
                                .n_samples = r->n_samples,
                                .sampling = { .top_p = 1.0F },
                                .ctx = r,
                                .on_token = on_token,
                                .on_logits = on_logits,
                                .on_prefill = on_prefill,
                                .on_finish = on_finish };
}

/* The engine is held, so that hooks may use the id. */
void tn_record_submit(tn_engine_rig *f, tn_record *r, const tn_engine_request *request)
{
    tn_error err = { 0 };

    tn_engine_hold(f->engine);
    tn_test_succeed(tn_engine_submit(f->engine, request, &r->engine_id, &err), &err);
    tn_engine_release(f->engine);
}

void tn_run_reference(const tn_engine_setup *s, tn_record *r)
{
    tn_engine_rig f;
    int32_t prompt[TN_MAX_PROMPT];

    tn_engine_rig_open(&f, s);
    tn_record_open(r, &f);
    tn_test_prompt(prompt, s->n_prompt, f.vocab, 1);
    tn_engine_request request = tn_record_request(r, prompt, s->n_prompt);
    request.logits = TN_LOGITS_ALL;
    tn_record_submit(&f, r, &request);
    tn_record_wait(r);
    assert_int_equal(r->reason[0], TN_FINISH_LENGTH);
    assert_int_equal(r->n_out[0], TN_NEW);
    assert_int_equal(r->n_prompt_rows, s->n_prompt);
    assert_int_equal(r->prefill_done, s->n_prompt);
    tn_engine_rig_close(&f);
}

void tn_assert_same_bits(const tn_record *a, const tn_record *b)
{
    size_t row = (size_t)a->vocab * sizeof(float);

    assert_int_equal(a->n_out[0], b->n_out[0]);
    assert_memory_equal(a->id[0], b->id[0], (size_t)a->n_out[0] * sizeof(int32_t));
    assert_memory_equal(a->logits, b->logits, (size_t)a->n_out[0] * row);
}

void tn_assert_same_prompt_bits(const tn_record *a, const tn_record *b)
{
    assert_int_equal(b->n_prompt_rows, a->n_prompt);
    assert_memory_equal(a->prompt_logits, b->prompt_logits,
                        (size_t)a->n_prompt * (size_t)a->vocab * sizeof(float));
}
