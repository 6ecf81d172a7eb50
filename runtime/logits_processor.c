/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/logits_processor.h"

#include "core/base/alloc.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BIAS = 1024 };

/* An id whose logit may change. */
typedef struct concerned {
    int32_t id;
    int32_t n_out; /* times drawn by this sample */
    float bias;
    bool in_prompt, ends;
} concerned;

typedef struct sample_state {
    concerned *list; /* [capacity] by ascending id */
    int32_t n, n_drawn;
    tn_token_logit *change; /* [capacity] */
} sample_state;

struct tn_logits_processor {
    double repetition, frequency, presence;
    int32_t min_tokens, n_samples, capacity;
    bool counts; /* a penalty is on: drawn tokens are concerned */
    sample_state *sample;
};

/* ---- settings ---- */

static tn_status check_range(const char *name, float value, float min, float max, tn_error *err)
{
    if (value >= min && value <= max) /* false for NaN */
        return TN_OK;
    return tn_fail(err, TN_INVALID, "%s %g is not in %g to %g", name, (double)value, (double)min,
                   (double)max);
}

static tn_status check_bias(const tn_logits_settings *s, tn_error *err)
{
    if (s->n_bias < 0 || s->n_bias > MAX_BIAS || (s->n_bias > 0 && !s->bias))
        return tn_fail(err, TN_INVALID, "a request has %d logit biases; up to %d are allowed",
                       (int)s->n_bias, MAX_BIAS);
    for (int32_t i = 0; i < s->n_bias; i++) {
        if (s->bias[i].id < 0 || s->bias[i].id >= s->vocab)
            return tn_fail(err, TN_INVALID, "logit_bias id %d is not in the vocabulary of %d",
                           (int)s->bias[i].id, (int)s->vocab);
        TN_TRY(check_range("logit_bias", s->bias[i].bias, -100, 100, err));
        for (int32_t k = 0; k < i; k++)
            if (s->bias[k].id == s->bias[i].id)
                return tn_fail(err, TN_INVALID, "logit_bias gives id %d twice", (int)s->bias[i].id);
    }
    return TN_OK;
}

static tn_status check_settings(const tn_logits_settings *s, tn_error *err)
{
    TN_TRY(check_range("repetition_penalty", s->repetition_penalty, 0.01F, 100, err));
    TN_TRY(check_range("frequency_penalty", s->frequency_penalty, -2, 2, err));
    TN_TRY(check_range("presence_penalty", s->presence_penalty, -2, 2, err));
    if (s->min_tokens < 0 || s->min_tokens > s->max_tokens)
        return tn_fail(err, TN_INVALID, "min_tokens %d is not in 0 to %d (max_tokens)",
                       (int)s->min_tokens, (int)s->max_tokens);
    return check_bias(s, err);
}

/* ---- lists ---- */

/* Index of id, or of the first larger one. */
static int32_t find(const sample_state *s, int32_t id)
{
    int32_t first = 0;
    int32_t end = s->n;
    while (first < end) {
        int32_t middle = first + (end - first) / 2;
        if (s->list[middle].id < id)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

static int compare_ids(const void *a, const void *b)
{
    int32_t x = ((const concerned *)a)->id;
    int32_t y = ((const concerned *)b)->id;
    return (x > y) - (x < y);
}

/* Sort the list and make one entry of those with equal ids. */
static void unite(sample_state *s)
{
    int32_t n = 0;
    qsort(s->list, (size_t)s->n, sizeof *s->list, compare_ids);
    for (int32_t i = 0; i < s->n; i++) {
        const concerned *from = &s->list[i];
        if (n == 0 || s->list[n - 1].id != from->id) {
            s->list[n++] = *from;
            continue;
        }
        concerned *to = &s->list[n - 1];
        to->bias += from->bias; /* at most one of them has a bias */
        to->in_prompt = to->in_prompt || from->in_prompt;
        to->ends = to->ends || from->ends;
    }
    s->n = n;
}

/* Ids that are concerned before anything is drawn; the list has room for all of them. */
static void fill_first(const tn_logits_settings *s, bool with_prompt, sample_state *out)
{
    for (int32_t i = 0; i < s->n_bias; i++)
        out->list[out->n++] = (concerned){ .id = s->bias[i].id, .bias = s->bias[i].bias };
    for (int32_t i = 0; s->min_tokens > 0 && i < s->n_end_ids; i++)
        out->list[out->n++] = (concerned){ .id = s->end_id[i], .ends = true };
    for (int32_t i = 0; with_prompt && i < s->n_prompt; i++)
        out->list[out->n++] = (concerned){ .id = s->prompt[i], .in_prompt = true };
    unite(out);
}

static tn_status open_samples(tn_logits_processor *p, const sample_state *first, tn_error *err)
{
    p->sample = tn_alloc_array((size_t)p->n_samples, sizeof *p->sample);
    for (int32_t i = 0; p->sample && i < p->n_samples; i++) {
        sample_state *s = &p->sample[i];
        s->n = first->n;
        s->list = tn_alloc_array((size_t)p->capacity, sizeof *s->list);
        s->change = tn_alloc_array((size_t)p->capacity, sizeof *s->change);
        if (!s->list || !s->change)
            return tn_fail_memory(err, "the penalties of a request");
        memcpy(s->list, first->list, (size_t)first->n * sizeof *s->list);
    }
    return p->sample ? TN_OK : tn_fail_memory(err, "the penalties of a request");
}

tn_status tn_logits_processor_create(const tn_logits_settings *s, tn_logits_processor **out,
                                     tn_error *err)
{
    bool repeats = s->repetition_penalty != 1;
    bool counts = repeats || s->frequency_penalty != 0 || s->presence_penalty != 0;
    *out = NULL;
    TN_TRY(check_settings(s, err));
    if (!counts && s->n_bias == 0 && s->min_tokens == 0)
        return TN_OK;

    size_t n_first = (size_t)s->n_bias + (size_t)s->n_end_ids + (size_t)s->n_prompt;
    sample_state first = { .list = tn_alloc_array(n_first, sizeof(concerned)) };
    tn_logits_processor *p = tn_alloc_array(1, sizeof *p);
    tn_status st = p && first.list ? TN_OK : tn_fail_memory(err, "the penalties of a request");
    if (!st) {
        fill_first(s, repeats, &first);
        int32_t n_drawn = s->max_tokens < s->room ? s->max_tokens : s->room;
        int64_t most = (int64_t)first.n + (counts && n_drawn > 0 ? n_drawn : 0);
        *p = (tn_logits_processor){ .repetition = (double)s->repetition_penalty,
                                    .frequency = (double)s->frequency_penalty,
                                    .presence = (double)s->presence_penalty,
                                    .min_tokens = s->min_tokens,
                                    .n_samples = s->n_samples,
                                    .capacity = (int32_t)(most < s->vocab ? most : s->vocab),
                                    .counts = counts };
        if (p->capacity < first.n) /* ids outside the vocabulary: the engine will refuse them */
            p->capacity = first.n;
        st = open_samples(p, &first, err);
    }
    tn_free(first.list);
    if (st)
        tn_logits_processor_destroy(p);
    else
        *out = p;
    return st;
}

void tn_logits_processor_destroy(tn_logits_processor *p)
{
    if (!p)
        return;
    for (int32_t i = 0; p->sample && i < p->n_samples; i++) {
        tn_free(p->sample[i].list);
        tn_free(p->sample[i].change);
    }
    tn_free(p->sample);
    tn_free(p);
}

/* ---- steps ---- */

/*
 * The order of vLLM: bias; repetition (CTRL, Keskar et al. 2019, section 4.1, with the sign rule of
 * Hugging Face, for tokens of prompt and answer); frequency and presence (OpenAI's, for tokens of
 * the answer). f64, rounded once.
 */
static float change(const tn_logits_processor *p, const concerned *c, float raw)
{
    double logit = (double)raw + (double)c->bias;
    if (c->in_prompt || c->n_out > 0)
        logit = logit > 0 ? logit / p->repetition : logit * p->repetition;
    if (c->n_out > 0)
        logit -= p->frequency * c->n_out + p->presence;
    return (float)logit;
}

const tn_token_logit *tn_logits_processor_run(tn_logits_processor *p, int32_t sample,
                                              const float *logits, int32_t *out_n)
{
    const sample_state *s = &p->sample[sample];
    bool too_early = s->n_drawn < p->min_tokens;
    for (int32_t i = 0; i < s->n; i++) {
        const concerned *c = &s->list[i];
        s->change[i].id = c->id;
        s->change[i].logit = c->ends && too_early ? -INFINITY : change(p, c, logits[c->id]);
    }
    *out_n = s->n;
    return s->change;
}

void tn_logits_processor_accept(tn_logits_processor *p, int32_t sample, int32_t id)
{
    sample_state *s = &p->sample[sample];
    s->n_drawn++;
    if (!p->counts)
        return;
    int32_t at = find(s, id);
    if (at == s->n || s->list[at].id != id) {
        if (s->n == p->capacity) /* more tokens than the settings allow for */
            return;
        memmove(&s->list[at + 1], &s->list[at], (size_t)(s->n - at) * sizeof *s->list);
        s->list[at] = (concerned){ .id = id };
        s->n++;
    }
    s->list[at].n_out++;
}
