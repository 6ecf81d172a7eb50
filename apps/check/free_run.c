/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both sides generate greedily, each on its own values and its own KV cache. Up to the first token
 * that differs both have read the same text; from there on the kernels under test are given the
 * reference's tokens, so that later steps still compare.
 */
#include "apps/check/free_run.h"

#include "apps/check/bisect.h"
#include "core/base/alloc.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { QUICK_PROMPT = 16, PROMPT = 48, QUICK_NEW = 8, NEW = 32 };

static const char *const prompts[][TN_CHECK_PROMPTS] = {
    { "The capital of France is Paris. The capital of Italy is Rome. The capital of Spain is",
      "def fibonacci(n):\n    if n < 2:\n        return n\n    return" },
    { "Once upon a time, in a village by the sea, there lived an old carpenter who",
      "Water boils at 100 degrees Celsius, which is 212 degrees" },
    { "{\"name\": \"Ada\", \"born\": 1815, \"work\": [\"notes on the Analytical Engine\", \"",
      "Der schnelle braune Fuchs springt \xc3\xbc"
      "ber den faulen" },
};

/* ---- the two prompts ---- */

static tn_status encode(const tn_tokenizer *t, const char *text, tn_ids *out, tn_error *err)
{
    return tn_tokenizer_encode(t, text, strlen(text), TN_ENCODE_BOS, out, err);
}

/* Text when the model has a tokenizer, else what the seed draws. */
static tn_status make_schedule(const tn_check_session *s, tn_check_free_state *f, tn_error *err)
{
    const int32_t most = s->args->quick ? QUICK_PROMPT : PROMPT;
    const char *const *text =
        prompts[(s->args->seed + 2) % (sizeof prompts / sizeof prompts[0])]; /* 1: the first */
    tn_ids ids[TN_CHECK_PROMPTS] = { { 0 } };
    tn_check_schedule_args args = tn_check_session_schedule(s);
    args.n_prompt[0] = most;
    args.n_prompt[1] = most / 2;
    args.n_new = s->args->quick ? QUICK_NEW : NEW;
    tn_status status = TN_OK;
    for (int32_t i = 0; i < TN_CHECK_PROMPTS && s->setup->tokenizer && !status; i++) {
        status = encode(s->setup->tokenizer, text[i], &ids[i], err);
        if (status || ids[i].n == 0)
            continue;
        args.prompt[i] = ids[i].id;
        args.n_prompt[i] =
            ids[i].n < (size_t)args.n_prompt[i] ? (int32_t)ids[i].n : args.n_prompt[i];
    }
    if (!status)
        status = tn_check_schedule_free(&args, &f->schedule, err);
    memcpy(f->n_prompt, args.n_prompt, sizeof f->n_prompt);
    for (int32_t i = 0; i < TN_CHECK_PROMPTS; i++)
        tn_ids_deinit(&ids[i]);
    return status;
}

/* Greedy decoding: tokens past the prompts are those that the reference found best. */
static void fill_tokens(tn_check_free_state *f, int32_t step)
{
    const tn_check_batch *b = &f->schedule.step[step];
    for (int32_t q = 0; q < b->n_seqs; q++)
        for (int32_t t = b->q_start[q]; t < b->q_start[q + 1]; t++)
            if (b->pos[t] >= f->n_prompt[b->seq[q]])
                b->tokens[t] = f->next[b->seq[q]];
}

/* ---- logits ---- */

static int32_t best_of(const float *logit, int32_t n)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        if (logit[i] > logit[best])
            best = i;
    return best;
}

static double log_sum(const float *logit, int32_t n)
{
    const double most = (double)logit[best_of(logit, n)];
    double sum = 0;
    for (int32_t i = 0; i < n; i++)
        sum += exp((double)logit[i] - most);
    return most + log(sum);
}

/* Of a variance, which may come out a little below 0. A NaN stays one, which fmax would hide. */
static double root(double x)
{
    return x < 0 ? 0 : sqrt(x);
}

/* What is added to all logits alike changes no probability: it is taken from the errors. */
static void measure(const float *got, const float *expected, int32_t n, tn_check_token *out)
{
    const double log_got = log_sum(got, n), log_expected = log_sum(expected, n);
    double sum = 0, squares = 0, shift = 0, errors = 0;
    for (int32_t i = 0; i < n; i++) {
        const double x = (double)expected[i], e = (double)got[i] - x;
        const double log_p = x - log_expected, log_q = (double)got[i] - log_got;
        sum += x;
        squares += x * x;
        shift += e;
        errors += e * e;
        out->kl += exp(log_p) * (log_p - log_q);
    }
    const double mean = sum / n, mean_error = shift / n;
    out->rms = root(errors / n - mean_error * mean_error);
    out->deviation = root(squares / n - mean * mean);
    out->gap = (double)expected[out->expected] - (double)expected[out->got];
}

void tn_check_free_judge(const float *got, int32_t got_token, const float *expected, int32_t n,
                         double rms_limit, tn_check_token *out)
{
    out->expected = best_of(expected, n);
    out->got = got_token >= 0 && got_token < n ? got_token : best_of(got, n);
    out->kl = 0;
    measure(got, expected, n, out);
    /* A NaN makes every comparison false, so each asks for what is right. */
    if (!(out->rms <= rms_limit * out->deviation))
        out->state = TN_FREE_LOGITS;
    else if (out->expected == out->got)
        out->state = TN_FREE_SAME;
    else
        out->state = out->gap <= TN_FREE_TIE_RMS * out->rms ? TN_FREE_TIE : TN_FREE_DIFFERENT;
}

bool tn_check_free_fails(const tn_check_token *t)
{
    return t->state == TN_FREE_DIFFERENT || t->state == TN_FREE_LOGITS;
}

void tn_check_free_token(const tn_check_free_state *f, const tn_check_walk *w, int32_t step,
                         int32_t row, tn_check_token *out)
{
    const tn_graph *g = w->track.binding->graph;
    const tn_check_batch *b = &f->schedule.step[step];
    const int32_t n = g->edge[g->logits].width, token = b->rows[row];
    const float *best = tn_check_track_values(&w->track, step, g->argmax);
    int32_t seq = 0;
    while (b->q_start[seq + 1] <= token)
        seq++;
    *out = (tn_check_token){ .step = step, .seq = b->seq[seq], .pos = b->pos[token] };
    tn_check_free_judge(tn_check_track_values(&w->track, step, g->logits) + (size_t)row * (size_t)n,
                        best ? (int32_t)best[row] : -1, f->logits[step] + (size_t)row * (size_t)n,
                        n, f->rms_limit, out);
}

/* The logits of the reference are kept for the bisection. */
static tn_status keep_logits(tn_check_free_state *f, const tn_check_walk *w, int32_t step,
                             tn_error *err)
{
    const tn_graph *g = w->track.binding->graph;
    const tn_check_batch *b = &f->schedule.step[step];
    const size_t n = (size_t)g->edge[g->logits].width;
    const float *logits = tn_check_track_values(&w->track, step, g->logits);
    if (b->n_rows == 0)
        return TN_OK;
    f->logits[step] = tn_alloc_array((size_t)b->n_rows * n, sizeof(float));
    if (!f->logits[step])
        return tn_fail_memory(err, "the logits");
    memcpy(f->logits[step], logits, (size_t)b->n_rows * n * sizeof(float));
    for (int32_t q = 0; q < b->n_seqs; q++)
        for (int32_t r = 0; r < b->n_rows; r++)
            if (b->rows[r] == b->q_start[q + 1] - 1)
                f->next[b->seq[q]] = best_of(logits + (size_t)r * n, (int32_t)n);
    return TN_OK;
}

/* ---- drift ---- */

/* Ids lie on no scale, and pages are seen in what attention makes of them. */
static bool has_drift(const tn_bound_node *n)
{
    return n->node.n_out > 0 && n->node.out_dtype[0] != TN_I32;
}

/* Sums of squares of the differences and of the values of a node's first output. */
static void add_drift(tn_check_free_state *f, const tn_check_walk *got,
                      const tn_check_walk *expected, int32_t step)
{
    const tn_binding *b = got->track.binding;
    const tn_check_batch *batch = &f->schedule.step[step];
    for (int32_t i = 0; i < b->n_nodes; i++) {
        if (!has_drift(&b->node[i]))
            continue;
        const int32_t id = b->node[i].out[0];
        const tn_edge *e = &b->graph->edge[id];
        const int32_t rows = e->rows == TN_ROWS_WANTED ? batch->n_rows : batch->n_tokens;
        const float *x = tn_check_track_values(&got->track, step, id);
        const float *y = tn_check_track_values(&expected->track, step, id);
        for (size_t k = 0; x && y && k < (size_t)rows * (size_t)e->width; k++) {
            const double d = (double)x[k] - (double)y[k];
            f->error[i] += d * d;
            f->power[i] += (double)y[k] * (double)y[k];
        }
    }
}

static tn_status make_drift(tn_check_session *s, const tn_check_free_state *f, tn_error *err)
{
    const tn_binding *b = s->setup->binding;
    tn_check_results *all = &s->report->results;
    tn_check_free_run *run = &s->report->free;
    run->drift = tn_arena_alloc(&all->arena, (size_t)b->n_nodes * sizeof *run->drift);
    if (!run->drift)
        return tn_fail_memory(err, "the drift");
    for (int32_t i = 0; i < b->n_nodes; i++) {
        const tn_bound_node *n = &b->node[i];
        if (!has_drift(n))
            continue;
        const bool resid = b->graph->edge[n->out[0]].cls == TN_EDGE_RESID;
        const int32_t next = i + 1 < b->n_nodes ? b->node[i + 1].node.layer : -1;
        run->drift[run->n_drift++] =
            (tn_check_drift){ .node = tn_check_results_text(all, "%s", n->node.path),
                              .op = n->op->name,
                              .kernel = tn_check_results_text(all, "%s", n->kernel->name),
                              .layer = n->node.layer,
                              .ends_layer = resid && n->node.layer >= 0 && next != n->node.layer,
                              .relative = f->power[i] > 0 ? sqrt(f->error[i] / f->power[i]) : 0 };
    }
    return TN_OK;
}

/* ---- the run ---- */

/* The loosest of the classes that the linears of the graph claim counts. */
static double rms_limit(const tn_binding *b)
{
    double most = 0;
    for (int32_t i = 0; i < b->n_nodes; i++) {
        const tn_check_class *k = tn_check_class_find(b->node[i].kernel->tolerance);
        most = k->drift > most ? k->drift : most;
    }
    return most;
}

static tn_status open_state(tn_check_session *s, tn_check_free_state *f, tn_error *err)
{
    const size_t n = (size_t)s->setup->binding->n_nodes;
    *f = (tn_check_free_state){ .rms_limit = rms_limit(s->setup->binding) };
    f->error = tn_alloc_array(2 * n, sizeof(double));
    f->candidate = tn_alloc_array(n, sizeof(bool));
    if (!f->error || !f->candidate)
        return tn_fail_memory(err, "the free run");
    f->power = f->error + n;
    TN_TRY(make_schedule(s, f, err));
    int32_t rows = 0;
    for (int32_t i = 0; i < f->schedule.n_steps; i++)
        rows += f->schedule.step[i].n_rows;
    s->report->free.token =
        tn_arena_alloc(&s->report->results.arena, (size_t)rows * sizeof(tn_check_token) + 1);
    return s->report->free.token ? TN_OK : tn_fail_memory(err, "the free run");
}

static void close_state(tn_check_free_state *f)
{
    for (int32_t i = 0; i < TN_CHECK_MAX_STEPS; i++)
        tn_free(f->logits[i]);
    tn_check_schedule_deinit(&f->schedule);
    tn_free(f->error);
    tn_free(f->candidate);
}

static tn_status run_step(tn_check_session *s, tn_check_free_state *f, tn_check_walk *got,
                          tn_check_walk *expected, int32_t step, tn_error *err)
{
    tn_check_free_run *run = &s->report->free;
    tn_check_fault none = { 0 };
    int32_t node;
    fill_tokens(f, step);
    TN_TRY(tn_check_walk_step(expected, step, &none, &node, err));
    TN_TRY(keep_logits(f, expected, step, err));
    TN_TRY(tn_check_walk_step(got, step, &f->fault, &f->fault_node, err));
    if (!f->fault.what) {
        add_drift(f, got, expected, step);
        for (int32_t r = 0; r < f->schedule.step[step].n_rows; r++)
            tn_check_free_token(f, got, step, r, &run->token[run->n_tokens++]);
    }
    tn_check_track_end_step(&got->track, step);
    tn_check_track_end_step(&expected->track, step);
    return TN_OK;
}

static tn_status run_both(tn_check_session *s, tn_check_free_state *f, tn_error *err)
{
    const tn_binding *b = s->setup->binding;
    const char *format = s->setup->profile->kv.format;
    tn_check_walk got = { 0 }, expected = { 0 };
    tn_status status =
        tn_check_walk_open(b, format, &f->schedule, s->runner, f->candidate, &got, err);
    if (!status)
        status = tn_check_walk_open(b, format, &f->schedule, s->runner, NULL, &expected, err);
    got.session = expected.session = s;
    for (int32_t i = 0; i < f->schedule.n_steps && !status && !f->fault.what; i++)
        status = run_step(s, f, &got, &expected, i, err);
    tn_check_walk_close(&got);
    tn_check_walk_close(&expected);
    return status;
}

static void sum_up(const tn_check_free_state *f, tn_check_free_run *run)
{
    run->first = -1;
    run->rms_limit = f->rms_limit;
    for (int32_t i = 0; i < run->n_tokens; i++) {
        const tn_check_token *t = &run->token[i];
        const double ratio = t->deviation > 0 ? t->rms / t->deviation : t->rms > 0 ? HUGE_VAL : 0;
        run->n_same += t->expected == t->got;
        run->mean_kl += t->kl / run->n_tokens;
        run->most_kl = t->kl > run->most_kl ? t->kl : run->most_kl;
        run->most_rms = ratio <= run->most_rms ? run->most_rms : ratio;
        if (run->first < 0 && t->expected != t->got)
            run->first = i;
    }
}

/* ---- the result ---- */

static const tn_check_token *first_bad(const tn_check_free_run *run)
{
    for (int32_t i = 0; i < run->n_tokens; i++)
        if (tn_check_free_fails(&run->token[i]))
            return &run->token[i];
    return NULL;
}

static void describe(const tn_check_free_run *run, const tn_check_token *t, tn_check_verdict *out)
{
    const bool logits = t->state == TN_FREE_LOGITS;
    out->failed = true;
    out->metric = logits ? "logits" : "tokens";
    out->value = !logits ? t->gap : t->deviation > 0 ? t->rms / t->deviation : HUGE_VAL;
    out->limit = logits ? run->rms_limit : TN_FREE_TIE_RMS * t->rms;
    const int32_t used = snprintf(out->text, sizeof out->text,
                                  "sequence %d, position %d: best token %d, expected %d; ",
                                  (int)t->seq, (int)t->pos, (int)t->got, (int)t->expected);
    char why[160];
    (void)snprintf(why, sizeof why,
                   logits ? "the RMS error of the logits is %.3g of their standard deviation, at "
                            "most %.3g is allowed"
                          : "no tie: the logits of the two lie %.3g apart, and errors explain %.3g",
                   out->value, out->limit);
    (void)snprintf(out->text + used, sizeof out->text - (size_t)used, "%s%s", why,
                   run->unsteady ? "; runs that are alike differ, so the node is not sure" : "");
}

/* The node at which drift grows most. */
static int32_t most_drift(const tn_check_session *s)
{
    const tn_check_free_run *run = &s->report->free;
    const char *path = "";
    double before = 0, most = 0;
    int32_t node = 0;
    for (int32_t i = 0; i < run->n_drift; i++) {
        const double growth = run->drift[i].relative - before;
        before = run->drift[i].relative;
        if (!(growth > most))
            continue;
        most = growth;
        path = run->drift[i].node;
    }
    for (int32_t i = 0; i < s->setup->binding->n_nodes; i++)
        if (strcmp(s->setup->binding->node[i].node.path, path) == 0)
            node = i;
    return node;
}

/* The node to name: where the run stopped, or the first of those that the bisection found. */
static int32_t guilty_node(const tn_check_session *s, const tn_check_free_state *f)
{
    const tn_check_free_run *run = &s->report->free;
    for (int32_t i = 0; i < s->setup->binding->n_nodes && run->n_guilty > 0; i++)
        if (strcmp(s->setup->binding->node[i].node.path, run->guilty[0].node) == 0)
            return i;
    return f->fault.what ? f->fault_node : most_drift(s);
}

static tn_status add_result(tn_check_session *s, const tn_check_free_state *f, tn_error *err)
{
    tn_check_free_run *run = &s->report->free;
    const tn_bound_node *b = &s->setup->binding->node[guilty_node(s, f)];
    const tn_check_token *bad = first_bad(run);
    tn_check_verdict verdict = { 0 };
    tn_check_verdict_fault(&f->fault, &verdict);
    if (!verdict.failed && bad)
        describe(run, bad, &verdict);
    run->failed = verdict.failed;
    tn_check_result *r =
        tn_check_add_result(s, TN_CHECK_FREE, verdict.failed ? b->node.path : "all nodes", &b->node,
                            b->plugin->name, b->kernel);
    if (!r)
        return tn_fail_memory(err, "the results");
    tn_check_note(s, r, NULL, "", &verdict);
    r->n_cases = run->n_tokens;
    s->report->n_cases += run->n_tokens - 1;
    if (verdict.failed)
        return TN_OK;
    r->op = r->kernel = r->plugin = r->tolerance = "";
    r->metric = "logits";
    r->value = run->most_rms;
    r->limit = run->rms_limit;
    return TN_OK;
}

static const char *missing_node(const tn_check_session *s)
{
    for (int32_t i = 0; i < s->setup->binding->n_nodes; i++)
        if (!s->runner[i].kernel)
            return s->setup->binding->node[i].node.path;
    return NULL;
}

tn_status tn_check_free(tn_check_session *s, tn_error *err)
{
    tn_check_free_run *run = &s->report->free;
    const char *missing = missing_node(s);
    tn_check_free_state f;
    *run = (tn_check_free_run){ .first = -1 };
    if (missing) {
        run->why_not = tn_check_results_text(&s->report->results,
                                             "the kernel of %s could not be opened", missing);
        return TN_OK;
    }
    tn_status status = open_state(s, &f, err);
    if (!status)
        status = run_both(s, &f, err);
    if (!status)
        status = make_drift(s, &f, err);
    if (!status) {
        run->ran = true;
        sum_up(&f, run);
        const tn_check_token *bad = first_bad(run);
        if (bad && !f.fault.what)
            status = tn_check_bisect(s, &f, bad->step, err);
    }
    if (!status)
        status = add_result(s, &f, err);
    close_state(&f);
    return status;
}

void tn_check_runners_close(tn_check_session *s)
{
    for (int32_t i = 0; s->runner && i < s->setup->binding->n_nodes; i++) {
        tn_check_kernel_close(s->runner[i].kernel);
        tn_check_reference_close(s->runner[i].reference);
    }
    tn_free(s->runner);
    s->runner = NULL;
}
