/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/bench/target.h"

#include "core/graph/catalogue.h"
#include "runtime/runtime_internal.h"

#include <stdio.h>
#include <string.h>

/* Formats given as values (K-quants) count as their kernel has them: recoded in 8 bits, or f32. */
static int rate_of(const tn_part *part, const char *tolerance)
{
    if (part->values)
        return strncmp(tolerance, "w8", 2) == 0 ? TN_BENCH_INT8 : TN_BENCH_F32;
    if (part->group > 0)
        return TN_BENCH_INT8;
    return strcmp(part->wfmt, "bf16") == 0 ? TN_BENCH_BF16 : TN_BENCH_F32;
}

static void count_node(const tn_bound_node *n, tn_bench_cost *cost)
{
    if (n->op->param == TN_PARAM_EMBED) /* a row, not the table */
        return;
    cost->step_bytes += (double)n->plan.weight_bytes;
    if (n->op->param != TN_PARAM_LINEAR)
        return;
    const tn_linear *linear = n->node.param;
    double *ops = n->node.layer < 0 ? cost->head_ops : cost->token_ops;
    for (int32_t i = 0; i < linear->n_parts; i++)
        ops[rate_of(linear->part[i], n->kernel->tolerance)] +=
            2.0 * (double)linear->in * (double)linear->part[i]->out;
}

static void count_cost(const tn_setup *s, tn_bench_cost *cost)
{
    const tn_model_desc *d = &s->desc;
    *cost = (tn_bench_cost){ .window = d->window };
    for (int32_t i = 0; i < s->binding->n_nodes; i++)
        count_node(&s->binding->node[i], cost);
    for (int32_t i = 0; i < s->graph.n_layers; i++)
        cost->position_bytes +=
            (double)s->binding->kv[i].block_bytes / (double)s->binding->block_tokens;
    cost->position_ops = 4.0 * d->heads * d->head_dim * s->graph.n_layers;
}

static void name_target(const tn_setup *s, const tn_open_args *args, tn_bench_target *out)
{
    const char *slash = strrchr(s->profile->model, '/');
    size_t used = 0;
    out->name = args->profile ? args->profile : args->model;
    out->threads = tn_team_workers(s->team);
    out->vocab = s->desc.vocab;
    out->context = s->context;
    (void)snprintf(out->arch, sizeof out->arch, "%s", s->desc.arch);
    (void)snprintf(out->model, sizeof out->model, "%s", slash ? slash + 1 : s->profile->model);
    (void)snprintf(out->kv_format, sizeof out->kv_format, "%s", s->profile->kv.format);
    for (size_t i = 0; i < s->profile->n_plugins && used < sizeof out->plugins; i++)
        used += (size_t)snprintf(out->plugins + used, sizeof out->plugins - used, "%s%s",
                                 i ? "," : "", s->profile->plugins[i].name);
}

/* Weights of all tensors, and bytes of the file. */
static tn_status count_file(tn_model_file *file, tn_bench_target *out, tn_error *err)
{
    out->weight_bytes = tn_model_file_bytes(file);
    for (int32_t i = 0; i < tn_model_file_n_tensors(file); i++) {
        tn_weight_info info;
        TN_TRY(tn_model_file_tensor(file, i, &info, err));
        out->parameters += (uint64_t)info.rows * (uint64_t)info.cols;
    }
    return TN_OK;
}

tn_status tn_bench_target_open(const tn_open_args *args, const char **sets, int32_t max_batch,
                               tn_bench_target *out, tn_error *err)
{
    tn_setup setup;
    char sequences[48], tokens[48];
    tn_open_args open = *args;
    *out = (tn_bench_target){ 0 };
    TN_TRY(tn_setup_open(&setup, args, err));
    count_cost(&setup, &out->cost);
    name_target(&setup, args, out);
    tn_status status = count_file(setup.file, out, err);
    if (setup.profile->batch.max_sequences < max_batch) {
        (void)snprintf(sequences, sizeof sequences, "batch.max_sequences=%d", (int)max_batch);
        sets[open.n_sets++] = sequences;
    }
    if (setup.profile->batch.max_tokens < max_batch) {
        (void)snprintf(tokens, sizeof tokens, "batch.max_tokens=%d", (int)max_batch);
        sets[open.n_sets++] = tokens;
    }
    if (!setup.profile->kv.prefix_cache) /* prompts are random: it helps nothing but the depth */
        sets[open.n_sets++] = "kv.prefix_cache=true";
    tn_setup_close(&setup);
    if (status)
        return status;
    open.set = sets;
    TN_TRY(tn_runtime_open(&open, &out->rt, err));
    tn_pack_cache_wait(out->rt->cache); /* nothing runs beside what is measured */
    return TN_OK;
}

void tn_bench_target_close(tn_bench_target *target)
{
    tn_runtime_close(target->rt);
    target->rt = NULL;
}

/* Positions that a token attends to, on the average of the test. */
static double positions(const tn_bench_cost *cost, const tn_bench_test *test)
{
    const double n = test->depth + 0.5 * (test->prefill + test->decode);
    return cost->window > 0 && cost->window < n ? cost->window : n;
}

double tn_bench_token_bytes(const tn_bench_cost *cost, const tn_bench_test *test)
{
    /* A prompt reads the weights once when it is one step; keys and values come from the cache. */
    const double tokens = (double)test->batch * (test->prefill ? test->prefill : 1);
    const double kv = cost->position_bytes * positions(cost, test);
    return cost->step_bytes / tokens + (test->prefill ? cost->position_bytes : kv);
}

double tn_bench_token_seconds(const tn_bench_cost *cost, const tn_bench_test *test,
                              const tn_roofline *roofline)
{
    const double sampled = test->prefill ? 1.0 / test->prefill : 1.0;
    const double rate[TN_BENCH_N_RATES] = { [TN_BENCH_F32] = roofline->f32_ops_s,
                                            [TN_BENCH_BF16] = roofline->bf16_ops_s,
                                            [TN_BENCH_INT8] = roofline->int8_ops_s };
    double seconds = cost->position_ops * positions(cost, test) / rate[TN_BENCH_F32];
    for (int i = 0; i < TN_BENCH_N_RATES; i++)
        seconds += (cost->token_ops[i] + cost->head_ops[i] * sampled) / rate[i];
    return seconds;
}
