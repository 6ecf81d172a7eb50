/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A conversation: the system message and turns of question and answer, kept whole; what the model
 * no longer sees because its context is full is only skipped. Saved as JSON in the form of an
 * OpenAI request, {"messages": [...]}. Thread: one thread.
 */
#ifndef TN_APPS_CLI_CHAT_SESSION_H
#define TN_APPS_CLI_CHAT_SESSION_H

#include "core/base/status.h"

#include <tenon/tenon.h>

#include <stdbool.h>

typedef struct tn_chat_turn {
    char *user;
    char *answer; /* NULL while it is not there; only of the last turn */
} tn_chat_turn;

/* Ids that the model has seen, and the text that they stand for in the template's output (see
 * chat_prompt.h). Both have a first part, the last prompt, and go on to the end of its answer. */
typedef struct tn_chat_known {
    int32_t *id;
    char *text;
    size_t n_prompt_ids, n_ids;
    size_t n_prompt_text, n_text;
} tn_chat_known;

typedef struct tn_chat_session {
    char *system; /* NULL: what the template says by itself */
    tn_chat_turn *turn;
    size_t n, capacity;
    size_t n_skipped; /* turns at the beginning that are not shown to the model */
    tn_chat_known known;
} tn_chat_session;

void tn_chat_session_deinit(tn_chat_session *s);

/** NULL: none. Texts are copied. */
tn_status tn_chat_set_system(tn_chat_session *s, const char *text, tn_error *err) TN_MUST_USE;
/** Add a turn without an answer. */
tn_status tn_chat_add_turn(tn_chat_session *s, const char *user, tn_error *err) TN_MUST_USE;
/** The answer of the last turn; takes the place of one that is there. */
tn_status tn_chat_set_answer(tn_chat_session *s, const char *answer, tn_error *err) TN_MUST_USE;
void tn_chat_remove_turn(tn_chat_session *s);
/** Forget all turns; the system message stays. */
void tn_chat_reset(tn_chat_session *s);
/** The prefix is another one from now on: forget what is known of it, and show the model every turn
 * again. */
void tn_chat_forget_prefix(tn_chat_session *s);
/** Take over what the model knows now; *known is empty afterwards. */
void tn_chat_set_known(tn_chat_session *s, tn_chat_known *known);
void tn_chat_known_deinit(tn_chat_known *known);

/** Messages that ask for an answer of the last turn (one that is there is left out): system, then
 * the turns that are not skipped. *out is the caller's
 * (tn_free); its texts are borrowed until the session changes. */
tn_status tn_chat_messages(const tn_chat_session *s, tn_message **out, size_t *out_n,
                           tn_error *err) TN_MUST_USE;

/** Write the conversation to path: under another name first, so that path is never half a file. */
tn_status tn_chat_save(const tn_chat_session *s, const char *path, tn_error *err) TN_MUST_USE;
/** Read a conversation in place of *s; on an error *s is as before. A list of messages alone is
 * read too. TN_INVALID with path and message for anything else than [system] (user assistant)... */
tn_status tn_chat_load(tn_chat_session *s, const char *path, tn_error *err) TN_MUST_USE;

#endif
