/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/runtime_rig.h"

#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct variant {
    const char *name, *plugins, *kv, *type;
    int32_t is_spm, n_shards;
} variant;

static const variant variants[TN_N_RUNTIME_VARIANTS] = {
    [TN_RUNTIME_BPE] = { "bpe", "plugins=cpu-ref", "kv.format=f32", "F32", 0, 0 },
    [TN_RUNTIME_SIMD] = { "simd", "plugins=[cpu-simd, cpu-ref]", "kv.format=f16", "Q4_1", 0, 0 },
    [TN_RUNTIME_SPM] = { "spm", "plugins=cpu-ref", "kv.format=i8", "Q8_0", 1, 0 },
    [TN_RUNTIME_SPLIT] = { "split", "plugins=[cpu-simd, cpu-ref]", "kv.format=i8", "Q4_1", 0, 3 },
};

const char *tn_runtime_rig_name(int32_t v)
{
    return variants[v].name;
}

const char *tn_runtime_rig_model(int32_t v)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%s%s.gguf", variants[v].name,
                   variants[v].n_shards ? "-00001-of-00003" : "");
    return tn_temp_path(name);
}

static tn_status write_model(int32_t v, tn_error *err)
{
    tn_tiny_model m = TN_TINY_MODEL_DEFAULT;
    m.layers = 1;
    m.type = variants[v].type;
    m.spm = variants[v].is_spm;
    m.shards = variants[v].n_shards;
    m.freq_factors = v == TN_RUNTIME_SPLIT;
    m.rope_scaling = v == TN_RUNTIME_SPM ? "yarn" : NULL;
    m.rope_factor = 2;
    return tn_tiny_model_write(&m, tn_runtime_rig_model(v), err);
}

int tn_runtime_rig_write(void)
{
    for (int32_t v = 0; v < TN_N_RUNTIME_VARIANTS; v++) {
        tn_error err = { 0 };
        if (write_model(v, &err)) {
            print_error("%s\n", err.text);
            return -1;
        }
    }
    return 0;
}

int tn_runtime_rig_setup(void **state)
{
    (void)setenv("TENON_CACHE_LIMIT", "0", 1); /* nothing on disk but the models */
    return tn_temp_dir_setup(state) ? -1 : tn_runtime_rig_write();
}

tn_status tn_runtime_rig_try_open(int32_t v, const tn_open_args *more, tn_runtime **out,
                                  tn_error *err)
{
    const char *const sets[] = { variants[v].plugins,
                                 variants[v].kv,
                                 "kv={block_tokens: 16, memory: 1MiB}",
                                 "bind={\"layer.0.*\": cpu-ref}",
                                 "generate={stop: [\"zzz\", \"qqq\"]}",
                                 "batch={max_sequences: 4, max_tokens: 32}",
                                 "threads=2" };
    tn_open_args args = more ? *more : (tn_open_args){ 0 };
    args.size = sizeof args;
    args.model = tn_runtime_rig_model(v);
    args.set = sets;
    args.n_sets = (int32_t)(sizeof sets / sizeof sets[0]);
    args.plugin_dir = TN_RUNTIME_RIG_PLUGIN_DIR;
    return tn_runtime_open(&args, out, err);
}

tn_runtime *tn_runtime_rig_open(int32_t v)
{
    tn_runtime *rt = NULL;
    tn_error err = { 0 };
    if (tn_runtime_rig_try_open(v, NULL, &rt, &err))
        fail_msg("%s: %s", variants[v].name, err.text);
    return rt;
}

/* ---- requests ---- */

static int32_t on_token(void *ctx, const tn_token *token)
{
    tn_answer *a = ctx;
    const int32_t k = token->sample;
    if (a->n[k] < TN_ANSWER_TOKENS)
        a->id[k][a->n[k]++] = token->id;
    return 0;
}

static void on_text(void *ctx, int32_t sample, const char *text, size_t n)
{
    tn_answer *a = ctx;
    if (n > TN_ANSWER_TEXT - a->n_text[sample])
        return; /* the text differs then */
    memcpy(a->text[sample] + a->n_text[sample], text, n);
    a->n_text[sample] += n;
}

static void on_done(void *ctx, const tn_result *result)
{
    tn_answer *a = ctx;
    a->reason[result->sample] = result->reason;
    if (result->error)
        (void)snprintf(a->error[result->sample], sizeof a->error[0], "%s", result->error);
    a->n_done++;
}

void tn_runtime_rig_request(const tn_runtime *rt, tn_answer *a, tn_request_args *out)
{
    static const char text[] = "Hello world, and <|im_start|> more of \xc3\xa9t\xc3\xa9 1234";
    static const tn_logit_bias bias[] = { { 40, 1 }, { 7, -4 } };
    static const int32_t stop_id[] = { 42 };
    *a = (tn_answer){ 0 };
    tn_request_defaults(rt, out, sizeof *out);
    out->text = text;
    out->n_text = strlen(text);
    out->temperature = 0.8F;
    out->seed = 3;
    out->ignore_eos = 1;
    out->max_tokens = TN_ANSWER_TOKENS;
    out->n_samples = TN_ANSWER_SAMPLES;
    out->n_top = 3;
    out->logprobs = 1;
    out->repetition_penalty = 1.3F;
    out->logit_bias = bias;
    out->n_logit_bias = 2;
    out->stop_id = stop_id;
    out->n_stop_ids = 1;
    out->ctx = a;
    out->on_token = on_token;
    out->on_text = on_text;
    out->on_done = on_done;
}

tn_status tn_runtime_rig_ask(tn_runtime *rt, tn_answer *a, tn_error *err)
{
    tn_request_args args;
    uint64_t id = 0;
    tn_runtime_rig_request(rt, a, &args);
    TN_TRY(tn_request_submit(rt, &args, &id, err));
    tn_request_wait(rt, id);
    assert_int_equal(a->n_done, TN_ANSWER_SAMPLES);
    for (int32_t i = 0; i < TN_ANSWER_SAMPLES; i++)
        if (a->reason[i] == TN_DONE_FAILED)
            return tn_fail(err, TN_NO_MEMORY, "%s", a->error[i]);
    return TN_OK;
}

void tn_runtime_rig_check(tn_runtime *rt, const tn_answer *want)
{
    tn_error err = { 0 };
    tn_answer got;
    if (tn_runtime_rig_ask(rt, &got, &err))
        fail_msg("%s", err.text);
    assert_memory_equal(&got, want, sizeof got);
}

void tn_runtime_rig_answer(int32_t v, tn_answer *out)
{
    tn_runtime *rt = tn_runtime_rig_open(v);
    assert_int_equal(tn_runtime_rig_ask(rt, out, NULL), TN_OK);
    assert_true(out->n[0] > 2 && out->n_text[0] > 2);
    tn_runtime_close(rt);
}
