/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/cli/chat_prompt.h"

#include "core/base/alloc.h"

#include <string.h>

/* ---- exact ids ---- */

typedef struct span {
    char *text;
    size_t n;
} span;

static tn_status decode(tn_runtime *rt, const int32_t *ids, size_t n, span *out, tn_error *err)
{
    tn_free_memory(out->text);
    *out = (span){ 0 };
    return tn_detokenize(rt, ids, n, 1, &out->text, &out->n, err);
}

/* The number of ids whose text has at least n_text bytes; text grows with the ids. */
static tn_status find_length(tn_runtime *rt, const int32_t *ids, size_t n, size_t n_text,
                             size_t *out, tn_error *err)
{
    size_t low = 0, high = n;
    span text = { 0 };
    tn_status status = TN_OK;
    while (low < high && !status) {
        const size_t middle = low + (high - low) / 2;
        status = decode(rt, ids, middle, &text, err);
        if (text.n >= n_text)
            high = middle;
        else
            low = middle + 1;
    }
    tn_free_memory(text.text);
    *out = low;
    return status;
}

static tn_status replace_beginning(const int32_t *known, size_t n_known, size_t n_replaced,
                                   int32_t **ids, size_t *n, tn_error *err)
{
    const size_t n_rest = *n - n_replaced;
    size_t total;
    int32_t *joined =
        tn_size_add(n_known, n_rest, &total) ? tn_alloc_array(total, sizeof *joined) : NULL;
    if (!joined)
        return tn_fail_memory(err, "the prompt");
    memcpy(joined, known, n_known * sizeof *joined);
    memcpy(joined + n_known, *ids + n_replaced, n_rest * sizeof *joined);
    tn_free(*ids);
    *ids = joined;
    *n = total;
    return TN_OK;
}

tn_status tn_chat_keep_ids(tn_runtime *rt, const int32_t *known, size_t n_known, int32_t **ids,
                           size_t *n, tn_error *err)
{
    span before = { 0 }, now = { 0 };
    size_t n_same = 0;
    if (n_known == 0 || (*n >= n_known && memcmp(*ids, known, n_known * sizeof *known) == 0))
        return TN_OK;
    tn_status status = decode(rt, known, n_known, &before, err);
    if (!status)
        status = find_length(rt, *ids, *n, before.n, &n_same, err);
    if (!status)
        status = decode(rt, *ids, n_same, &now, err);
    if (!status && now.n == before.n && memcmp(now.text, before.text, now.n) == 0)
        status = replace_beginning(known, n_known, n_same, ids, n, err);
    tn_free_memory(before.text);
    tn_free_memory(now.text);
    return status;
}

/* ---- context ---- */

static tn_status encode(tn_runtime *rt, const tn_chat_session *s, tn_chat_prompt *out,
                        tn_error *err)
{
    tn_request_args ask;
    tn_message *messages;
    size_t n;
    tn_free(out->id);
    out->id = NULL;
    TN_TRY(tn_chat_messages(s, &messages, &n, err));
    tn_request_defaults(rt, &ask, sizeof ask);
    ask.messages = messages;
    ask.n_messages = n;
    tn_status status = tn_request_prompt_ids(rt, &ask, &out->id, &out->n, err);
    tn_free(messages);
    if (status)
        return status;
    return tn_chat_keep_ids(rt, s->id, s->n_ids, &out->id, &out->n, err);
}

static tn_status fit(tn_runtime *rt, tn_chat_session *s, size_t limit, size_t reserve,
                     tn_chat_prompt *out, tn_error *err)
{
    TN_TRY(encode(rt, s, out, err));
    if (out->n + reserve > limit)
        reserve += limit / 8;
    while (out->n + reserve > limit && s->n_skipped + 1 < s->n) {
        s->n_skipped++;
        out->n_dropped++;
        TN_TRY(encode(rt, s, out, err));
    }
    if (out->n < limit)
        return TN_OK;
    return tn_fail(err, TN_INVALID,
                   "this turn makes a prompt of %zu tokens, and the context has %zu; shorten it, "
                   "or raise context.length or kv.memory of the profile",
                   out->n, limit);
}

tn_status tn_chat_make_prompt(tn_runtime *rt, tn_chat_session *s, size_t limit_tokens,
                              size_t reserve_tokens, tn_chat_prompt *out, tn_error *err)
{
    const size_t n_skipped = s->n_skipped;
    *out = (tn_chat_prompt){ 0 };
    tn_status status = fit(rt, s, limit_tokens, reserve_tokens, out, err);
    if (status) {
        s->n_skipped = n_skipped;
        tn_free(out->id);
        *out = (tn_chat_prompt){ 0 };
    }
    return status;
}
