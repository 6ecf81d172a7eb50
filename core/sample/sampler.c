/* SPDX-License-Identifier: Apache-2.0 */
#include "core/sample/sampler.h"

#include <math.h>
#include <stdbool.h>

/* weight = exp((logit - best) / temperature): the unnormalised probability, 1 for the best logit.
 */
typedef struct candidate {
    double weight;
    float logit;
    int32_t id;
} candidate;

/* A NaN logit is worse than every number; equal logits are ordered by id, so every order here is
 * total. */
static bool better(float logit_a, int32_t id_a, float logit_b, int32_t id_b)
{
    if (isnan(logit_a) || isnan(logit_b))
        return isnan(logit_a) && isnan(logit_b) ? id_a < id_b : isnan(logit_b) != 0;
    return logit_a > logit_b || (logit_a == logit_b && id_a < id_b);
}

tn_status tn_sampling_check(const tn_sampling *s, tn_error *err)
{
    if (!(s->temperature >= 0.0F) || isinf(s->temperature))
        return tn_fail(err, TN_INVALID, "temperature %g is not a finite number >= 0",
                       (double)s->temperature);
    if (s->top_k < 0)
        return tn_fail(err, TN_INVALID,
                       "top_k %d is negative: 0 switches it off, 1 or more keeps that many tokens",
                       s->top_k);
    if (!(s->top_p > 0.0F && s->top_p <= 1.0F))
        return tn_fail(err, TN_INVALID, "top_p %g is not in (0, 1]", (double)s->top_p);
    if (!(s->min_p >= 0.0F && s->min_p <= 1.0F))
        return tn_fail(err, TN_INVALID, "min_p %g is not in [0, 1]", (double)s->min_p);
    return TN_OK;
}

size_t tn_sample_scratch_bytes(int32_t vocab)
{
    return (size_t)vocab * sizeof(candidate);
}

/* Allowed tokens with a logit above -inf, in id order; *out_best is the index of the best. */
static int32_t collect(const tn_sample_args *a, candidate *c, int32_t *out_best)
{
    int32_t n = 0;
    int32_t best = 0;
    int32_t next = 0;
    for (int32_t id = 0; id < a->vocab; id++) {
        bool changed = next < a->n_changes && a->change[next].id == id;
        float logit = changed ? a->change[next++].logit : a->logits[id];
        if (a->mask && !(a->mask[id / 32] >> (id % 32) & 1U))
            continue;
        if (!(logit > -INFINITY)) /* also drops NaN */
            continue;
        c[n] = (candidate){ .logit = logit, .id = id };
        if (c[n].logit > c[best].logit)
            best = n;
        n++;
    }
    *out_best = best;
    return n;
}

static void sift_down(candidate *heap, int32_t n, int32_t i)
{
    for (;;) {
        int32_t top = i;
        int32_t left = 2 * i + 1;
        if (left < n && better(heap[left].logit, heap[left].id, heap[top].logit, heap[top].id))
            top = left;
        if (left + 1 < n &&
            better(heap[left + 1].logit, heap[left + 1].id, heap[top].logit, heap[top].id))
            top = left + 1;
        if (top == i)
            return;
        candidate swap = heap[i];
        heap[i] = heap[top];
        heap[top] = swap;
        i = top;
    }
}

/* Move the best of heap[0..n) to heap[n - 1]; the rest stays a heap. */
static void pop_best(candidate *heap, int32_t n)
{
    candidate best = heap[0];
    heap[0] = heap[n - 1];
    heap[n - 1] = best;
    sift_down(heap, n - 1, 0);
}

/*
 * Top-k, then top-p over what is left. The kept candidates end up at the end of c, best last;
 * returns how many. The heap gives them in order for O(vocab + kept log vocab).
 */
static int32_t keep_best(candidate *c, int32_t n, int32_t top_k, double top_p)
{
    int32_t max_kept = top_k > 0 && top_k < n ? top_k : n;
    int32_t kept = 0;
    double total = 0.0;
    double sum = 0.0;
    for (int32_t i = n / 2 - 1; i >= 0; i--)
        sift_down(c, n, i);
    for (int32_t i = 0; max_kept < n && i < max_kept; i++)
        pop_best(c, n - i);
    for (int32_t i = n - max_kept; i < n; i++)
        total += c[i].weight;
    while (kept < max_kept && (kept == 0 || sum < top_p * total || top_p >= 1.0)) {
        if (max_kept == n)
            pop_best(c, n - kept);
        sum += c[n - 1 - kept].weight;
        kept++;
    }
    return kept;
}

tn_status tn_sample(const tn_sample_args *a, void *scratch, int32_t *out_id, tn_error *err)
{
    const tn_sampling *s = a->sampling;
    candidate *c = scratch;
    int32_t best = 0;
    int32_t n = collect(a, c, &best);
    *out_id = -1;
    if (n == 0)
        return tn_fail(err, TN_INVALID,
                       "no token can be drawn: of %d logits none that is allowed%s is above -inf",
                       a->vocab, a->mask ? " by the mask" : "");
    *out_id = c[best].id;
    if (s->temperature == 0.0F)
        return TN_OK;

    double best_logit = (double)c[best].logit;
    /* The equality covers +inf, where the difference would be NaN. */
    for (int32_t i = 0; i < n; i++)
        c[i].weight = (double)c[i].logit == best_logit
                          ? 1.0
                          : exp(((double)c[i].logit - best_logit) / (double)s->temperature);

    int32_t kept = n;
    if ((s->top_k > 0 && s->top_k < n) || s->top_p < 1.0F)
        kept = keep_best(c, n, s->top_k, (double)s->top_p);

    /* Min-p compares with the best, whose weight is 1. */
    candidate *k = c + (n - kept);
    double total = 0.0;
    for (int32_t i = kept - 1; i >= 0; i--) {
        k[i].weight = k[i].weight >= (double)s->min_p ? k[i].weight : 0.0;
        total += k[i].weight;
    }

    double target = tn_random_unit(s->seed, a->sample, a->position) * total;
    double sum = 0.0;
    for (int32_t i = kept - 1; i >= 0; i--) {
        if (k[i].weight == 0.0)
            continue;
        sum += k[i].weight;
        *out_id = k[i].id;
        if (target < sum)
            break;
    }
    return TN_OK;
}

double tn_log_sum_exp(const float *logits, int32_t vocab)
{
    float best = -INFINITY;
    double sum = 0.0;
    for (int32_t id = 0; id < vocab; id++)
        best = logits[id] > best ? logits[id] : best;
    if (isinf(best))
        return (double)best;
    for (int32_t id = 0; id < vocab; id++)
        sum += isnan(logits[id]) ? 0.0 : exp((double)logits[id] - (double)best);
    return (double)best + log(sum);
}

/* Insertion into a sorted list: few of the vocabulary get past its last entry. */
void tn_top_logits(const float *logits, int32_t vocab, int32_t k, tn_token_logit *out)
{
    int32_t n = 0;
    for (int32_t id = 0; id < vocab; id++) {
        if (n == k && (k < 1 || !better(logits[id], id, out[n - 1].logit, out[n - 1].id)))
            continue;
        int32_t at = n < k ? n++ : n - 1;
        for (; at > 0 && better(logits[id], id, out[at - 1].logit, out[at - 1].id); at--)
            out[at] = out[at - 1];
        out[at] = (tn_token_logit){ .id = id, .logit = logits[id] };
    }
}
