/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/cli/generation.h"

tn_status tn_cli_check_sampling(const tn_cli_options *o, tn_error *err)
{
    if (o->greedy && o->has_temperature && o->temperature > 0)
        return tn_fail(err, TN_INVALID, "--greedy and --temperature %g exclude each other",
                       o->temperature);
    return TN_OK;
}

void tn_cli_set_sampling(const tn_cli_options *o, tn_request_args *ask)
{
    if (o->has_max_tokens)
        ask->max_tokens = o->max_tokens;
    if (o->has_temperature)
        ask->temperature = (float)o->temperature;
    if (o->greedy)
        ask->temperature = 0;
    if (o->has_top_k)
        ask->top_k = o->top_k;
    if (o->has_top_p)
        ask->top_p = (float)o->top_p;
    if (o->has_min_p)
        ask->min_p = (float)o->min_p;
    if (o->has_seed)
        ask->seed = o->seed;
    if (o->stop.n > 0) {
        ask->stop = o->stop.item;
        ask->n_stops = o->stop.n;
    }
    if (o->stop_id.n > 0) {
        ask->stop_id = o->stop_id.item;
        ask->n_stop_ids = o->stop_id.n;
    }
    if (o->logit_bias.n > 0) {
        ask->logit_bias = o->logit_bias.item;
        ask->n_logit_bias = o->logit_bias.n;
    }
    if (o->has_min_tokens)
        ask->min_tokens = o->min_tokens;
    if (o->has_repetition_penalty)
        ask->repetition_penalty = (float)o->repetition_penalty;
    if (o->has_presence_penalty)
        ask->presence_penalty = (float)o->presence_penalty;
    if (o->has_frequency_penalty)
        ask->frequency_penalty = (float)o->frequency_penalty;
    if (o->ignore_eos)
        ask->ignore_eos = 1;
    if (o->has_samples)
        ask->n_samples = o->samples;
    ask->logprobs = o->has_logprobs;
    ask->n_top = o->top_logits > o->logprobs ? o->top_logits : o->logprobs;
}

const char *tn_cli_reason_name(int32_t reason)
{
    return reason == TN_DONE_LENGTH ? "length" : reason == TN_DONE_CANCELLED ? "cancelled" : "stop";
}

static double rate(double n, double seconds)
{
    return seconds > 0 && n > 0 ? n / seconds : 0;
}

double tn_cli_prefill_rate(const tn_result *d)
{
    return rate(d->prompt_tokens - d->cached_tokens, d->prefill_s);
}

/* The first token belongs to the prefill. */
double tn_cli_decode_rate(const tn_result *d)
{
    return rate(d->completion_tokens - 1, d->decode_s);
}
