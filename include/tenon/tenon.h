/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tenon for applications: load a run profile, submit ids, text or messages, stream tokens by
 * callback, cancel, read metrics, close.
 *
 *     tn_error err = {0};
 *     tn_runtime *rt;
 *     tn_open_args open = { .size = sizeof open, .profile = "configs/demo.yaml" };
 *     if (tn_runtime_open(&open, &rt, &err))
 *         return fail(err.text);
 *     tn_request_args ask;
 *     tn_request_defaults(rt, &ask, sizeof ask);
 *     ask.text = "The capital of France is";
 *     ask.n_text = strlen(ask.text);
 *     ask.on_text = print_text;
 *     uint64_t id;
 *     if (tn_request_submit(rt, &ask, &id, &err) == TN_OK)
 *         tn_request_wait(rt, id);
 *     tn_runtime_close(rt);
 *
 * Threads: every function may be called from any thread, but for open and close. Callbacks run on
 * the engine thread, must not block, and may call tn_request_cancel but no other function of this
 * header. Pointers passed to a callback are valid during the call. Errors: a tn_status (0 is
 * success) and, when err is not NULL, one line of text. Structs begin with their size, so they can
 * grow. Signals: the first model that is opened installs a handler of SIGBUS, for good, which makes
 * a model file that is truncated while it is read an error of open; it passes every other SIGBUS on
 * to the handler that was there. An application that wants one of its own installs it before.
 */
#ifndef TENON_TENON_H
#define TENON_TENON_H

#include <tenon/plugin.h>

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tn_runtime tn_runtime;

/* ---- open and close ---- */

typedef struct tn_open_args {
    uint32_t size;
    int32_t n_sets;
    const char *profile;    /* YAML file; NULL: the default profile of this machine, with `model` */
    const char *model;      /* GGUF file; overrides the profile's; NULL: as the profile says */
    const char *const *set; /* [n_sets] "key.path=value", applied in order */
    const char *plugin_dir; /* NULL: lib/tenon/plugins beside bin/tenon or lib/libtenon.so */
    /* Bytes of the model file packed so far, of all; may be NULL. Called on the opening thread. */
    void (*on_load)(void *ctx, uint64_t done_bytes, uint64_t total_bytes);
    void *ctx;
} tn_open_args;

/** Load plugins and model and start the engine. TN_INVALID for bad input, TN_UNSUPPORTED for what
 * no plugin can do, TN_NO_MEMORY. */
TN_EXPORT tn_status tn_runtime_open(const tn_open_args *args, tn_runtime **out, tn_error *err);
/** Cancels what runs and frees everything; NULL is allowed. */
TN_EXPORT void tn_runtime_close(tn_runtime *rt);

/* ---- requests ---- */

typedef struct tn_message {
    const char *role, *text; /* "system" "user" "assistant" */
} tn_message;

typedef struct tn_alternative {
    int32_t id;
    float logit; /* raw, before penalties and temperature */
} tn_alternative;

typedef struct tn_token {
    uint32_t size;
    int32_t sample, id, position; /* position 0 is the first generated token */
    float logit;
    int32_t n_top;
    const tn_alternative *top; /* [n_top], best first */
    /* With tn_request_args.logprobs, else NAN and NULL: the log softmax of the raw logits, before
     * penalties and temperature, in double precision. */
    double logprob;
    const double *top_logprob; /* [n_top] */
} tn_token;

enum { TN_DONE_STOP = 1, TN_DONE_LENGTH = 2, TN_DONE_CANCELLED = 3, TN_DONE_FAILED = 4 };

typedef struct tn_result {
    uint32_t size;
    int32_t sample, reason; /* TN_DONE_* */
    int32_t prompt_tokens, cached_tokens, completion_tokens;
    double prefill_s, decode_s;
    const char *error; /* with TN_DONE_FAILED, else NULL */
} tn_result;

typedef struct tn_logit_bias {
    int32_t id;
    float bias; /* -100..100, added to the raw logit */
} tn_logit_bias;

typedef struct tn_request_args {
    uint32_t size;
    /* Input: ids as they are, or text, or messages through the chat template. One of the three. */
    int32_t n_ids;
    const int32_t *ids;
    const char *text;
    size_t n_text;
    const tn_message *messages;
    size_t n_messages;
    int32_t add_special; /* text only: 1 = BOS as the model wants it, special tokens parsed; 0 =
                            neither */
    /* Limits and sampling; tn_request_defaults sets them from the profile. */
    int32_t max_tokens, n_samples;
    float temperature, top_p, min_p;
    int32_t top_k;
    uint64_t seed;
    const char *const *stop; /* [n_stops] strings; the answer ends before the first that appears */
    int32_t n_stops;
    int32_t ignore_eos;   /* 1: the model's own end tokens do not end the answer */
    int32_t n_top;        /* top raw logits reported with each token, 0..1024 */
    int32_t special_text; /* 1: control tokens appear in the text */
    int32_t reserved;
    /* Callbacks; any may be NULL. */
    void *ctx;
    int32_t (*on_token)(void *ctx, const tn_token *token); /* non-zero ends the sample */
    void (*on_text)(void *ctx, int32_t sample, const char *text,
                    size_t n); /* whole UTF-8 characters, not NUL-terminated */
    void (*on_prefill)(void *ctx, int32_t done, int32_t total);
    void (*on_done)(void *ctx, const tn_result *result); /* once a sample, its last callback */
    /* More of sampling; docs/sampling.md has formulas and order. */
    float repetition_penalty;                  /* 0.01..100, over prompt and answer; 1 = off */
    float presence_penalty, frequency_penalty; /* -2..2, over the answer; 0 = off */
    int32_t min_tokens;   /* end tokens, stop ids and stop strings do not count before that many */
    int32_t n_logit_bias; /* 0..1024 */
    int32_t n_stop_ids;   /* 0..64 */
    int32_t logprobs;     /* 1: log probabilities with each token, and its n_top alternatives */
    const tn_logit_bias *logit_bias; /* [n_logit_bias], ids differ */
    const int32_t *stop_id; /* [n_stop_ids] end the answer as the model's end tokens do, also with
                               ignore_eos */
} tn_request_args;

/** Fill *args with the profile's `generate` section and neutral values; size is sizeof *args of the
 * caller. */
TN_EXPORT void tn_request_defaults(const tn_runtime *rt, tn_request_args *args, uint32_t size);
/** Tokenise, check, queue. Everything in args is copied. */
TN_EXPORT tn_status tn_request_submit(tn_runtime *rt, const tn_request_args *args, uint64_t *out_id,
                                      tn_error *err);
/** Unknown or finished ids are ignored. on_done still comes, with TN_DONE_CANCELLED. */
TN_EXPORT void tn_request_cancel(tn_runtime *rt, uint64_t id);
/** Wait until every sample of the request is done; at once for unknown ids. */
TN_EXPORT void tn_request_wait(tn_runtime *rt, uint64_t id);
/** The same for at most `seconds`; 1 when the request is done, 0 when the time ran out. */
TN_EXPORT int32_t tn_request_wait_for(tn_runtime *rt, uint64_t id, double seconds);
/** Ids of the input of a request, as submit would make them; *out_ids is the caller's
 * (tn_free_memory). */
TN_EXPORT tn_status tn_request_prompt_ids(tn_runtime *rt, const tn_request_args *args,
                                          int32_t **out_ids, size_t *out_n, tn_error *err);

/* ---- text and facts ---- */

/** Ids of text as a prompt; *out_ids is the caller's (tn_free_memory). */
TN_EXPORT tn_status tn_tokenize(const tn_runtime *rt, const char *text, size_t n,
                                int32_t add_special, int32_t **out_ids, size_t *out_n,
                                tn_error *err);
/** Text of ids; *out_text is NUL-terminated and the caller's (tn_free_memory). */
TN_EXPORT tn_status tn_detokenize(const tn_runtime *rt, const int32_t *ids, size_t n,
                                  int32_t special_text, char **out_text, size_t *out_n,
                                  tn_error *err);
TN_EXPORT void tn_free_memory(void *memory);

typedef struct tn_metrics {
    uint32_t size;
    int32_t running, waiting; /* sequences */
    uint64_t steps, prompt_tokens, cached_tokens, generated_tokens, preemptions, requests, finished,
        cancelled, failed;
    int32_t blocks, blocks_free, block_tokens, context_tokens;
    uint64_t weight_bytes, activation_bytes, workspace_bytes, kv_bytes;
    double load_s; /* open to ready */
} tn_metrics;

/** size is sizeof *out of the caller. */
TN_EXPORT void tn_runtime_metrics(tn_runtime *rt, tn_metrics *out, uint32_t size);
/** Path of the model. Borrowed until close. */
TN_EXPORT const char *tn_runtime_model(const tn_runtime *rt);
/** 1 when the model has a chat template, else 0. */
TN_EXPORT int32_t tn_runtime_has_chat(const tn_runtime *rt);
/** TN_OK when messages can be used; else why not: there is no template, or it cannot be used. */
TN_EXPORT tn_status tn_runtime_check_chat(const tn_runtime *rt, tn_error *err);
/** "0.1.0" */
TN_EXPORT const char *tn_version(void);

#ifdef __cplusplus
}
#endif
#endif
