/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ids of the next prompt of a conversation. What the model wrote may be cut into other tokens when
 * its text is encoded again, and some of it may not be in the text at all (half a character at the
 * end); then the prefix cache would end in every answer. So the ids that the model has seen and
 * drawn are kept, with the text that they stand for, and only what follows is taken from the new
 * encoding. Thread: one thread.
 */
#ifndef TN_APPS_CLI_CHAT_PROMPT_H
#define TN_APPS_CLI_CHAT_PROMPT_H

#include "apps/cli/chat_session.h"

typedef struct tn_chat_prompt {
    tn_chat_known known; /* the prompt's part only */
    size_t n_dropped;    /* turns skipped now, more than before */
} tn_chat_prompt;

/**
 * The ids of all messages that fit into limit_tokens with reserve_tokens for the answer; else the
 * oldest turns are skipped (s->n_skipped), with some more room for the turns to come, because each
 * skip costs a new prefix. The last turn alone may leave less room than that. TN_INVALID when it
 * leaves none; s->n_skipped is then as before. *out is released with tn_chat_known_deinit.
 */
tn_status tn_chat_make_prompt(tn_runtime *rt, tn_chat_session *s, size_t limit_tokens,
                              size_t reserve_tokens, tn_chat_prompt *out,
                              tn_error *err) TN_MUST_USE;

/** Add the answer's ids, already at known->id[n_prompt_ids, n_ids), under its text. An end token is
 * left to the template; an answer that a stop string ended stays out, for its ids say more than its
 * text. */
tn_status tn_chat_know_answer(tn_runtime *rt, tn_chat_known *known, const char *answer,
                              int32_t reason, tn_error *err) TN_MUST_USE;

#endif
