/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/cli/chat_prompt.h"

#include "core/base/alloc.h"

#include <string.h>

/* ---- exact ids ---- */

/* The number of ids whose text has at least n_text bytes; text grows with the ids. */
static tn_status find_length(tn_runtime *rt, const int32_t *ids, size_t n, size_t n_text,
                             size_t *out, tn_error *err)
{
    size_t low = 0, high = n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        char *text;
        size_t length;
        TN_TRY(tn_detokenize(rt, ids, middle, 1, &text, &length, err));
        tn_free_memory(text);
        if (length >= n_text)
            high = middle;
        else
            low = middle + 1;
    }
    *out = low;
    return TN_OK;
}

/* known[n_known] in place of the first n_replaced ids. */
static tn_status replace_beginning(tn_chat_known *now, size_t n_replaced, const int32_t *known,
                                   size_t n_known, tn_error *err)
{
    const size_t n_rest = now->n_ids - n_replaced;
    size_t total;
    int32_t *joined =
        tn_size_add(n_known, n_rest, &total) ? tn_alloc_array(total, sizeof *joined) : NULL;
    if (!joined)
        return tn_fail_memory(err, "the prompt");
    memcpy(joined, known, n_known * sizeof *joined);
    memcpy(joined + n_known, now->id + n_replaced, n_rest * sizeof *joined);
    tn_free(now->id);
    now->id = joined;
    now->n_prompt_ids = now->n_ids = total;
    return TN_OK;
}

/* Take over the first n_ids known ids when their text, n_text bytes, is how the prompt begins, and
 * a token of the prompt ends there. */
static tn_status keep_ids(tn_runtime *rt, const tn_chat_known *known, size_t n_ids, size_t n_text,
                          tn_chat_known *now, bool *out_kept, tn_error *err)
{
    size_t n_replaced, length;
    char *text;
    *out_kept = false;
    if (n_ids == 0 || now->n_text < n_text || memcmp(now->text, known->text, n_text) != 0)
        return TN_OK;
    TN_TRY(find_length(rt, now->id, now->n_ids, n_text, &n_replaced, err));
    TN_TRY(tn_detokenize(rt, now->id, n_replaced, 1, &text, &length, err));
    tn_free_memory(text);
    if (length != n_text)
        return TN_OK;
    *out_kept = true;
    return replace_beginning(now, n_replaced, known->id, n_ids, err);
}

/* True when the id is written with special_text only: a control token. */
static tn_status is_control(tn_runtime *rt, int32_t id, bool *out, tn_error *err)
{
    char *plain, *special;
    size_t n_plain, n_special;
    TN_TRY(tn_detokenize(rt, &id, 1, 0, &plain, &n_plain, err));
    tn_free_memory(plain);
    TN_TRY(tn_detokenize(rt, &id, 1, 1, &special, &n_special, err));
    tn_free_memory(special);
    *out = n_plain == 0 && n_special > 0;
    return TN_OK;
}

tn_status tn_chat_know_answer(tn_runtime *rt, tn_chat_known *known, const char *answer,
                              int32_t reason, tn_error *err)
{
    const size_t n_answer = strlen(answer);
    if (reason == TN_DONE_STOP && known->n_ids > known->n_prompt_ids) {
        bool ended_by_token;
        TN_TRY(is_control(rt, known->id[known->n_ids - 1], &ended_by_token, err));
        if (ended_by_token) {
            known->n_ids--;
        } else {
            known->n_ids = known->n_prompt_ids;
            return TN_OK;
        }
    }
    size_t n_text;
    char *text = tn_size_add(known->n_text, n_answer, &n_text)
                     ? tn_realloc_array(known->text, n_text, 1)
                     : NULL;
    if (!text)
        return tn_fail_memory(err, "the answer");
    memcpy(text + known->n_text, answer, n_answer);
    known->text = text;
    known->n_text = n_text;
    return TN_OK;
}

/* ---- context ---- */

static tn_status encode(tn_runtime *rt, const tn_chat_session *s, tn_chat_known *out, tn_error *err)
{
    tn_request_args ask;
    tn_message *messages;
    size_t n;
    tn_chat_known_deinit(out);
    TN_TRY(tn_chat_messages(s, &messages, &n, err));
    tn_request_defaults(rt, &ask, sizeof ask);
    ask.messages = messages;
    ask.n_messages = n;
    tn_status status = tn_request_prompt_ids(rt, &ask, &out->id, &out->n_ids, err);
    tn_free(messages);
    if (status)
        return status;
    out->n_prompt_ids = out->n_ids;
    return tn_detokenize(rt, out->id, out->n_ids, 1, &out->text, &out->n_text, err);
}

/* With the ids that are known; after a turn was dropped, none is. */
static tn_status make(tn_runtime *rt, const tn_chat_session *s, tn_chat_known *out, tn_error *err)
{
    const tn_chat_known *k = &s->known;
    bool kept;
    TN_TRY(encode(rt, s, out, err));
    out->n_prompt_text = out->n_text;
    TN_TRY(keep_ids(rt, k, k->n_ids, k->n_text, out, &kept, err));
    if (kept)
        return TN_OK;
    return keep_ids(rt, k, k->n_prompt_ids, k->n_prompt_text, out, &kept, err);
}

static tn_status fit(tn_runtime *rt, tn_chat_session *s, size_t limit, size_t reserve,
                     tn_chat_prompt *out, tn_error *err)
{
    TN_TRY(make(rt, s, &out->known, err));
    if (out->known.n_ids + reserve > limit)
        reserve += limit / 8;
    while (out->known.n_ids + reserve > limit && s->n_skipped + 1 < s->n) {
        s->n_skipped++;
        out->n_dropped++;
        TN_TRY(make(rt, s, &out->known, err));
    }
    if (out->known.n_ids < limit)
        return TN_OK;
    return tn_fail(err, TN_INVALID,
                   "this turn makes a prompt of %zu tokens, and the context has %zu; shorten it, "
                   "or raise context.length or kv.memory of the profile",
                   out->known.n_ids, limit);
}

tn_status tn_chat_make_prompt(tn_runtime *rt, tn_chat_session *s, size_t limit_tokens,
                              size_t reserve_tokens, tn_chat_prompt *out, tn_error *err)
{
    const size_t n_skipped = s->n_skipped;
    *out = (tn_chat_prompt){ 0 };
    tn_status status = fit(rt, s, limit_tokens, reserve_tokens, out, err);
    if (status) {
        s->n_skipped = n_skipped;
        tn_chat_known_deinit(&out->known);
        out->n_dropped = 0;
    }
    return status;
}
