/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines to turns. A line that ends in a backslash goes on in the next; lines between """ and """
 * are one turn as they are, and never a command. Lines come from a source: plain reading here, the
 * line editor in chat_edit.h. Thread: one thread.
 */
#ifndef TN_APPS_CLI_CHAT_INPUT_H
#define TN_APPS_CLI_CHAT_INPUT_H

#include "core/base/strbuf.h"

enum { TN_CHAT_MAX_TURN_BYTES = 16 << 20 };

/* What reading gave. INTERRUPTED: Ctrl-C, or the wish to end. REDRAW, of waiting only: the terminal
 * changed its size, or the program went on after a stop. */
enum { TN_CHAT_READ = 0, TN_CHAT_END = 1, TN_CHAT_INTERRUPTED = 2, TN_CHAT_REDRAW = 3 };

typedef struct tn_chat_lines {
    /* Append one line without its newline to *line; `line->failed` says that it is too long. prompt
     * is for the terminal. After INTERRUPTED *line is what had been typed. */
    int (*read)(void *ctx, const char *prompt, tn_strbuf *line);
    void *ctx;
} tn_chat_lines;

typedef struct tn_chat_turn_input {
    tn_strbuf text;
    bool literal;  /* in quotes: not a command */
    bool too_long; /* longer than TN_CHAT_MAX_TURN_BYTES; the text is not to be used */
    bool typed;    /* there was something, also when it was INTERRUPTED */
} tn_chat_turn_input;

/** Read one turn (TN_CHAT_*). The end of the input ends an open turn as well: READ then, END on the
 * next call. */
int tn_chat_read_turn(const tn_chat_lines *lines, tn_chat_turn_input *turn);

/* Plain reading of a file descriptor: a pipe, a file, or a terminal without an editor. */
typedef struct tn_chat_plain {
    int fd, prompt_fd; /* prompt_fd -1: none */
    size_t at, n;
    bool ended;
    char buffer[4096];
} tn_chat_plain;

int tn_chat_plain_read(void *plain, const char *prompt, tn_strbuf *line);

/** Wait until fd can be read: TN_CHAT_READ, or what a signal asks: INTERRUPTED, REDRAW. */
int tn_chat_wait_readable(int fd);

#endif
