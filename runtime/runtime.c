/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/alloc.h"
#include "core/base/log.h"
#include "runtime/runtime_internal.h"

#include <string.h>
#include <time.h>

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Without a cache of packed weights the start takes longer, that is all. */
static tn_status open_cache(tn_runtime *rt, tn_error *err)
{
    tn_error why = { 0 };
    const tn_status st = tn_pack_cache_open(&rt->setup, &rt->cache, &why);
    if (st != TN_OK && st != TN_UNAVAILABLE)
        return tn_fail(err, st, "%s", why.text);
    if (st)
        tn_log(TN_LOG_INFO, "cache", "not used: %s", why.text);
    return TN_OK;
}

static tn_status start_engine(tn_runtime *rt, const tn_open_args *args, tn_error *err)
{
    tn_engine_args engine;
    TN_TRY(tn_setup_engine_args(&rt->setup, &engine, err));
    TN_TRY(open_cache(rt, err));
    engine.progress = args->on_load;
    engine.progress_ctx = args->ctx;
    engine.cache = tn_pack_cache_blobs(rt->cache);
    TN_TRY(tn_engine_create(&engine, &rt->engine, err));
    tn_pack_cache_commit_behind(rt->cache);
    return TN_OK;
}

/* The caller's struct may be older and shorter than ours: absent fields are 0. */
static tn_status normalise(const tn_open_args *from, tn_open_args *out, tn_error *err)
{
    *out = (tn_open_args){ 0 };
    if (!from || from->size < sizeof(uint32_t))
        return tn_fail(err, TN_INVALID, "tn_open_args.size is not set");
    memcpy(out, from, from->size < sizeof *out ? from->size : sizeof *out);
    return TN_OK;
}

tn_status tn_runtime_open(const tn_open_args *given, tn_runtime **out, tn_error *err)
{
    tn_open_args args;
    const double start = now_s();
    *out = NULL;
    TN_TRY(normalise(given, &args, err));
    tn_runtime *rt = tn_alloc_array(1, sizeof *rt);
    if (!rt)
        return tn_fail_memory(err, "the runtime");
    pthread_mutex_init(&rt->lock, NULL);
    pthread_cond_init(&rt->idle, NULL);
    tn_status status = tn_setup_open(&rt->setup, &args, err);
    const double set_up = now_s();
    if (!status)
        status = start_engine(rt, &args, err);
    if (status) {
        tn_runtime_close(rt);
        return status;
    }
    rt->load_s = now_s() - start;
    tn_log(TN_LOG_INFO, "load", "%s: read and bound in %.2f s, weights %s in %.2f s",
           tn_runtime_model(rt), set_up - start,
           tn_pack_cache_is_hit(rt->cache) ? "taken from the cache" : "packed",
           start + rt->load_s - set_up);
    *out = rt;
    return TN_OK;
}

void tn_runtime_close(tn_runtime *rt)
{
    if (!rt)
        return;
    tn_pack_cache_wait(rt->cache); /* it reads the engine's weights */
    tn_engine_destroy(rt->engine);
    tn_pack_cache_close(rt->cache);
    tn_setup_close(&rt->setup);
    pthread_cond_destroy(&rt->idle);
    pthread_mutex_destroy(&rt->lock);
    tn_free(rt);
}

void tn_runtime_metrics(tn_runtime *rt, tn_metrics *out, uint32_t size)
{
    tn_engine_metrics m;
    tn_engine_read_metrics(rt->engine, &m);
    const tn_metrics full = { .size = size < sizeof full ? size : (uint32_t)sizeof full,
                              .running = m.running,
                              .waiting = m.waiting,
                              .steps = m.steps,
                              .prompt_tokens = m.prompt_tokens,
                              .cached_tokens = m.cached_tokens,
                              .generated_tokens = m.generated_tokens,
                              .preemptions = m.preemptions,
                              .requests = m.requests,
                              .finished = m.finished,
                              .cancelled = m.cancelled,
                              .failed = m.failed,
                              .blocks = m.blocks,
                              .blocks_free = m.blocks_free,
                              .block_tokens = m.block_tokens,
                              .context_tokens = rt->setup.context,
                              .weight_bytes = m.memory.weights,
                              .activation_bytes = m.memory.activations,
                              .workspace_bytes = m.memory.workspace,
                              .kv_bytes = m.memory.kv,
                              .load_s = rt->load_s };
    memcpy(out, &full, full.size);
}

const char *tn_runtime_model(const tn_runtime *rt)
{
    return rt->setup.profile->model;
}

int32_t tn_runtime_has_chat(const tn_runtime *rt)
{
    return tn_model_file_vocab(rt->setup.file)->chat_template != NULL;
}

tn_status tn_runtime_check_chat(const tn_runtime *rt, tn_error *err)
{
    if (rt->setup.chat)
        return TN_OK;
    if (err)
        *err = rt->setup.chat_error;
    return rt->setup.chat_error.code;
}

const char *tn_version(void)
{
    return TENON_VERSION;
}

/* ---- text ---- */

static tn_status need_tokenizer(const tn_runtime *rt, tn_error *err)
{
    if (rt->setup.tokenizer)
        return TN_OK;
    if (err)
        *err = rt->setup.tokenizer_error;
    return tn_error_wrap(err, rt->setup.tokenizer_error.code,
                         "text cannot be used with this model, only ids");
}

tn_status tn_tokenize(const tn_runtime *rt, const char *text, size_t n, int32_t add_special,
                      int32_t **out_ids, size_t *out_n, tn_error *err)
{
    tn_ids ids = { 0 };
    *out_ids = NULL;
    *out_n = 0;
    TN_TRY(need_tokenizer(rt, err));
    const unsigned flags = add_special ? TN_ENCODE_BOS | TN_ENCODE_SPECIAL : 0;
    tn_status status = tn_tokenizer_encode(rt->setup.tokenizer, text, n, flags, &ids, err);
    if (status) {
        tn_ids_deinit(&ids);
        return status;
    }
    *out_ids = ids.id;
    *out_n = ids.n;
    return TN_OK;
}

tn_status tn_detokenize(const tn_runtime *rt, const int32_t *ids, size_t n, int32_t special_text,
                        char **out_text, size_t *out_n, tn_error *err)
{
    tn_strbuf text = TN_STRBUF((size_t)1 << 30);
    *out_text = NULL;
    *out_n = 0;
    TN_TRY(need_tokenizer(rt, err));
    tn_status status =
        tn_tokenizer_decode(rt->setup.tokenizer, ids, n, special_text != 0, &text, err);
    const size_t bytes = text.len;
    tn_strbuf_append(&text, "", 1); /* an empty text still is a string */
    if (!status && text.failed)
        status = tn_fail_memory(err, "the text");
    if (!status) {
        *out_text = tn_strbuf_take(&text);
        *out_n = bytes;
    }
    tn_strbuf_deinit(&text);
    return status;
}

void tn_free_memory(void *memory)
{
    tn_free(memory);
}

static tn_status chat_text(const tn_runtime *rt, const tn_request_args *args, tn_strbuf *out,
                           tn_error *err)
{
    json_t *context;
    tn_chat_message *messages = tn_alloc_array(args->n_messages, sizeof *messages);
    if (!messages)
        return tn_fail_memory(err, "the messages");
    for (size_t i = 0; i < args->n_messages; i++)
        messages[i] = (tn_chat_message){ args->messages[i].role, args->messages[i].text };
    tn_status status = tn_chat_context(messages, args->n_messages, &context, err);
    tn_free(messages);
    if (status)
        return status;
    status = tn_chat_template_render(rt->setup.chat, context, out, err);
    json_decref(context);
    return status;
}

static tn_status chat_ids(const tn_runtime *rt, const tn_request_args *args, tn_ids *ids,
                          tn_error *err)
{
    tn_strbuf text = TN_STRBUF((size_t)64 << 20);
    TN_TRY(tn_runtime_check_chat(rt, err));
    if (args->n_messages == 0)
        return tn_fail(err, TN_INVALID, "a chat needs at least one message");
    tn_status status = chat_text(rt, args, &text, err);
    if (!status)
        status = tn_tokenizer_encode(rt->setup.tokenizer, tn_strbuf_text(&text), text.len,
                                     TN_ENCODE_SPECIAL, ids, err);
    tn_strbuf_deinit(&text);
    return status;
}

tn_status tn_prompt_ids(const tn_runtime *rt, const tn_request_args *args, tn_ids *ids,
                        tn_error *err)
{
    const int inputs = (args->ids != NULL) + (args->text != NULL) + (args->messages != NULL);
    if (inputs != 1)
        return tn_fail(err, TN_INVALID,
                       "a request has one of ids, text and messages; this one has %d", inputs);
    if (args->ids) {
        for (int32_t i = 0; i < args->n_ids; i++)
            TN_TRY(tn_ids_append(ids, args->ids[i], err));
        return TN_OK;
    }
    TN_TRY(need_tokenizer(rt, err));
    if (args->messages)
        return chat_ids(rt, args, ids, err);
    const unsigned flags = args->add_special ? TN_ENCODE_BOS | TN_ENCODE_SPECIAL : 0;
    return tn_tokenizer_encode(rt->setup.tokenizer, args->text, args->n_text, flags, ids, err);
}
