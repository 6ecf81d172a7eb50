/* SPDX-License-Identifier: Apache-2.0 */
/* Signals of `tenon chat`. The handlers set flags, which the main thread reads at its prompt and
 * while it waits for an answer. Thread: any. */
#ifndef TN_APPS_CLI_CHAT_SIGNAL_H
#define TN_APPS_CLI_CHAT_SIGNAL_H

#include <stdbool.h>

/** Catch Ctrl-C, the wish to end (TERM, HUP), a change of the window and the return from Ctrl-Z. */
void tn_chat_signals_install(void);

/** Ctrl-C came since the last take. */
bool tn_chat_interrupted(void);
/** The same, and forget it. */
bool tn_chat_take_interrupt(void);
/** TERM or HUP came: finish. */
bool tn_chat_must_end(void);
/** The window changed or the program came back to the foreground since the last take. */
bool tn_chat_take_redraw(void);

#endif
