/* SPDX-License-Identifier: Apache-2.0 */
/* Logits of every position of a prompt, for tests in other languages:
 *     prompt_logits PLUGIN_DIR MODEL 1,2,3 [KEY=VALUE...]
 * writes f32 [ids][vocabulary] to stdout, in the machine's byte order. Keys are those of a profile.
 */
#include "runtime/setup.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_IDS = 4096, MAX_SETS = 32 };

typedef struct answer {
    pthread_mutex_t lock;
    pthread_cond_t done_cond;
    bool done;
    int32_t n_rows, vocab;
    tn_error error;
    float *rows; /* [n ids][vocab], written by the engine thread */
} answer;

static int32_t on_token(void *ctx, const tn_token_event *event)
{
    (void)ctx;
    (void)event;
    return TN_CONTINUE;
}

static void on_logits(void *ctx, int32_t position, const float *logits, int32_t vocab)
{
    answer *a = ctx;
    a->n_rows++;
    memcpy(a->rows + (size_t)position * (size_t)vocab, logits, (size_t)vocab * sizeof(float));
}

static void on_finish(void *ctx, const tn_finish_event *event)
{
    answer *a = ctx;
    pthread_mutex_lock(&a->lock);
    if (event->error)
        a->error = *event->error;
    a->done = true;
    pthread_cond_signal(&a->done_cond);
    pthread_mutex_unlock(&a->lock);
}

static int fail(const char *text)
{
    fprintf(stderr, "prompt_logits: %s\n", text);
    return 1;
}

static int32_t parse_ids(char *text, int32_t *ids)
{
    int32_t n = 0;
    for (char *at = text; *at && n < MAX_IDS; at += *at == ',')
        ids[n++] = (int32_t)strtol(at, &at, 10);
    return n;
}

static int ask(tn_engine *engine, const int32_t *ids, int32_t n, int32_t vocab)
{
    uint64_t id = 0;
    tn_error err = { 0 };
    answer a = { .lock = PTHREAD_MUTEX_INITIALIZER, .done_cond = PTHREAD_COND_INITIALIZER };
    a.rows = calloc((size_t)n * (size_t)vocab, sizeof(float));
    const tn_engine_request request = { .prompt = ids,
                                        .n_prompt = n,
                                        .sampling = { .top_p = 1 },
                                        .logits = TN_LOGITS_ALL,
                                        .ctx = &a,
                                        .on_token = on_token,
                                        .on_logits = on_logits,
                                        .on_finish = on_finish };
    if (!a.rows || tn_engine_submit(engine, &request, &id, &err)) {
        free(a.rows);
        return fail(a.rows ? err.text : "no memory");
    }
    pthread_mutex_lock(&a.lock);
    while (!a.done)
        pthread_cond_wait(&a.done_cond, &a.lock);
    pthread_mutex_unlock(&a.lock);
    const size_t n_values = (size_t)n * (size_t)vocab;
    const bool is_whole = a.n_rows == n && !a.error.code &&
                          fwrite(a.rows, sizeof(float), n_values, stdout) == n_values;
    free(a.rows);
    return is_whole && fflush(stdout) == 0 ? 0 : fail(a.error.code ? a.error.text : "short");
}

int main(int argc, char **argv)
{
    static int32_t ids[MAX_IDS];
    const char *sets[MAX_SETS];
    if (argc < 4 || argc - 4 > MAX_SETS)
        return fail("usage: prompt_logits PLUGIN_DIR MODEL IDS [KEY=VALUE...]");
    for (int i = 4; i < argc; i++)
        sets[i - 4] = argv[i];
    const tn_open_args args = { .size = sizeof args,
                                .plugin_dir = argv[1],
                                .model = argv[2],
                                .set = sets,
                                .n_sets = argc - 4 };
    tn_setup setup;
    tn_engine_args engine_args;
    tn_engine *engine = NULL;
    tn_error err = { 0 };
    tn_status status = tn_setup_open(&setup, &args, &err);
    if (!status)
        status = tn_setup_engine_args(&setup, &engine_args, &err);
    if (!status)
        status = tn_engine_create(&engine_args, &engine, &err);
    const int32_t n = parse_ids(argv[3], ids);
    const int exit_status = status ? fail(err.text) : ask(engine, ids, n, setup.desc.vocab);
    tn_engine_destroy(engine);
    tn_setup_close(&setup);
    return exit_status;
}
