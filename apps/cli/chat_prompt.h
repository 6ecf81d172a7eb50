/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ids of the next prompt of a conversation. What the model wrote may be cut into other tokens when
 * its text is encoded again; then the prefix cache would end at the first such place of every
 * answer. So the ids that the model has seen and drawn are kept, and only what follows is taken
 * from the new encoding. Thread: one thread.
 */
#ifndef TN_APPS_CLI_CHAT_PROMPT_H
#define TN_APPS_CLI_CHAT_PROMPT_H

#include "apps/cli/chat_session.h"

typedef struct tn_chat_prompt {
    int32_t *id; /* tn_free */
    size_t n;
    size_t n_dropped; /* turns skipped now, more than before */
} tn_chat_prompt;

/**
 * The ids of all messages that fit into limit_tokens with reserve_tokens for the answer; else the
 * oldest turns are skipped (s->n_skipped), with some more room for the turns to come, because each
 * skip costs a new prefix. The last turn alone may leave less room than that. TN_INVALID when it
 * leaves none; s->n_skipped is then as before.
 */
tn_status tn_chat_make_prompt(tn_runtime *rt, tn_chat_session *s, size_t limit_tokens,
                              size_t reserve_tokens, tn_chat_prompt *out,
                              tn_error *err) TN_MUST_USE;

/** known[n_known] in place of the beginning of *ids when both stand for the same text; else *ids
 * stays. */
tn_status tn_chat_keep_ids(tn_runtime *rt, const int32_t *known, size_t n_known, int32_t **ids,
                           size_t *n, tn_error *err) TN_MUST_USE;

#endif
