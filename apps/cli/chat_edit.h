/* SPDX-License-Identifier: Apache-2.0 */
/* The line editor of `tenon chat` on a terminal (libedit), with a history that is kept on disk.
 * Thread: one thread; one editor a process. */
#ifndef TN_APPS_CLI_CHAT_EDIT_H
#define TN_APPS_CLI_CHAT_EDIT_H

#include "core/base/strbuf.h"

typedef struct tn_chat_edit tn_chat_edit;

/** Path of the history: $XDG_STATE_HOME/tenon/chat_history, or ~/.local/state/... NULL when neither
 * is known. The caller's (tn_free). */
char *tn_chat_history_path(void);

/** Begin to edit stdin on stdout. history_path may be NULL. NULL when this terminal cannot be
 * edited on. */
tn_chat_edit *tn_chat_edit_open(const char *history_path);
/** Read one line, as tn_chat_lines wants it. */
int tn_chat_edit_read(void *edit, const char *prompt, tn_strbuf *line);
/** Put a turn into the history and onto the disk; that it cannot be written is no error. literal:
 * it was in quotes. */
void tn_chat_edit_remember(tn_chat_edit *edit, const char *turn, bool literal);
void tn_chat_edit_close(tn_chat_edit *edit);

#endif
