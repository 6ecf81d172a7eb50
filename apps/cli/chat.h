/* SPDX-License-Identifier: Apache-2.0 */
/* State of `tenon chat`, shared by its files: cmd_chat.c (the loop), chat_answer.c (one turn),
 * chat_commands.c (/help and the others). Thread: main thread. */
#ifndef TN_APPS_CLI_CHAT_H
#define TN_APPS_CLI_CHAT_H

#include "apps/cli/chat_session.h"
#include "apps/cli/output.h"

typedef struct tn_chat {
    tn_cli_options options; /* a copy: /set and /profile change it */
    tn_runtime *rt;
    tn_chat_session session;
    bool interactive; /* a person at a terminal: greeting, hints, commands answer on stdout */
    bool failed;      /* a turn or command failed */
    bool broken;      /* stdout cannot be written: nothing more can be done */
    tn_result last;   /* of the last turn; size 0: none yet */
    char *profile;    /* of /profile, owned; options.profile points to it */
} tn_chat;

/** Load the model that options asks for. */
tn_status tn_chat_open_runtime(const tn_cli_options *options, tn_runtime **out,
                               tn_error *err) TN_MUST_USE;

/** Say something to the person: stdout at a terminal, else stderr, so that stdout has answers only.
 */
void tn_chat_say(const tn_chat *chat, const char *format, ...) TN_PRINTF(2, 3);
/** Print the error; the program goes on. */
void tn_chat_report(tn_chat *chat, tn_status status, const tn_error *err);

/** Tokens that a conversation can have: the context, and what fits into the KV cache. */
int32_t tn_chat_limit_tokens(tn_runtime *rt);
/** Answer the last turn of the session, streamed to stdout; a turn without an answer is removed. */
void tn_chat_answer(tn_chat *chat);

/** Carry out a line that begins with a slash; false when the program is to end. */
bool tn_chat_command(tn_chat *chat, const char *line);

#endif
