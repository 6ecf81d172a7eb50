/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/cli/chat_input.h"

#include "apps/cli/chat_signal.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define QUOTES "\"\"\""
enum {
    N_QUOTES = 3,
    /* A signal ends poll at once, but for one that comes just before it: then this is the delay. */
    SIGNAL_CHECK_MS = 200
};

/* ---- turns ---- */

static void cut(tn_strbuf *text, size_t len)
{
    text->len = len;
    text->data[len] = '\0';
}

static void cut_front(tn_strbuf *text, size_t n)
{
    memmove(text->data, text->data + n, text->len - n);
    cut(text, text->len - n);
}

static bool has_quotes(const tn_strbuf *line, size_t at)
{
    return memcmp(line->data + at, QUOTES, N_QUOTES) == 0;
}

/* Take the marks off a line of a turn; true when the turn goes on after it. */
static bool goes_on(tn_chat_turn_input *turn, tn_strbuf *line, bool first)
{
    if (first && line->len >= N_QUOTES && has_quotes(line, 0)) {
        turn->literal = true;
        cut_front(line, N_QUOTES);
    }
    if (turn->literal) {
        const bool closed = line->len >= N_QUOTES && has_quotes(line, line->len - N_QUOTES);
        if (closed)
            cut(line, line->len - N_QUOTES);
        return !closed;
    }
    const bool continued = line->len > 0 && line->data[line->len - 1] == '\\';
    if (continued)
        cut(line, line->len - 1);
    return continued;
}

/* The newlines that stand next to the quotes belong to the quotes. */
static void trim_block(tn_strbuf *text)
{
    if (text->len > 0 && text->data[text->len - 1] == '\n')
        cut(text, text->len - 1);
    if (text->len > 0 && text->data[0] == '\n')
        cut_front(text, 1);
}

int tn_chat_read_turn(const tn_chat_lines *lines, tn_chat_turn_input *turn)
{
    tn_strbuf line = TN_STRBUF(TN_CHAT_MAX_TURN_BYTES);
    bool more = true;
    int got = TN_CHAT_READ;
    turn->literal = turn->too_long = turn->typed = false;
    tn_strbuf_clear(&turn->text);
    for (bool first = true; more; first = false) {
        tn_strbuf_clear(&line);
        got = lines->read(lines->ctx, first ? "> " : "... ", &line);
        turn->typed = !first || line.len > 0;
        if (got == TN_CHAT_INTERRUPTED || (got == TN_CHAT_END && first))
            break;
        more = goes_on(turn, &line, first) && got == TN_CHAT_READ;
        if (!first)
            tn_strbuf_puts(&turn->text, "\n");
        tn_strbuf_append(&turn->text, line.data, line.len);
        /* A long turn is read to its end all the same: its rest is no other turn. */
        turn->too_long = turn->too_long || line.failed || turn->text.failed;
        got = TN_CHAT_READ;
    }
    if (turn->literal)
        trim_block(&turn->text);
    tn_strbuf_deinit(&line);
    return got;
}

/* ---- plain reading ---- */

int tn_chat_wait_readable(int fd)
{
    struct pollfd wait = { .fd = fd, .events = POLLIN };
    for (;;) {
        if (tn_chat_interrupted() || tn_chat_must_end())
            return TN_CHAT_INTERRUPTED;
        if (tn_chat_take_redraw())
            return TN_CHAT_REDRAW;
        const int n = poll(&wait, 1, SIGNAL_CHECK_MS);
        if (n > 0 || (n < 0 && errno != EINTR))
            return TN_CHAT_READ; /* an error too: reading tells which */
    }
}

/* TN_CHAT_*; END also when the terminal has gone. */
static int fill(tn_chat_plain *p)
{
    if (tn_chat_interrupted() || tn_chat_must_end()) /* lines that wait in the buffer wait on */
        return TN_CHAT_INTERRUPTED;
    while (p->at == p->n && !p->ended) {
        const int got = tn_chat_wait_readable(p->fd);
        if (got == TN_CHAT_INTERRUPTED)
            return got;
        if (got == TN_CHAT_REDRAW) /* the terminal keeps plain lines by itself */
            continue;
        const ssize_t n = read(p->fd, p->buffer, sizeof p->buffer);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        p->at = 0;
        p->n = n > 0 ? (size_t)n : 0;
        p->ended = n <= 0;
    }
    return p->ended ? TN_CHAT_END : TN_CHAT_READ;
}

static void show_prompt(const tn_chat_plain *p, const char *prompt)
{
    if (p->prompt_fd >= 0 && write(p->prompt_fd, prompt, strlen(prompt)) < 0)
        return; /* nobody sees it then */
}

int tn_chat_plain_read(void *plain, const char *prompt, tn_strbuf *line)
{
    tn_chat_plain *p = plain;
    bool any = false;
    show_prompt(p, prompt);
    for (;;) {
        const int got = fill(p);
        if (got == TN_CHAT_END)
            return any ? TN_CHAT_READ : TN_CHAT_END; /* the last line may lack its newline */
        if (got != TN_CHAT_READ)
            return got;
        any = true;
        const char *begin = p->buffer + p->at;
        const char *newline = memchr(begin, '\n', p->n - p->at);
        const size_t n = newline ? (size_t)(newline - begin) : p->n - p->at;
        tn_strbuf_append(line, begin, n);
        p->at += n + (newline != NULL);
        if (!newline)
            continue;
        if (line->len > 0 && !line->failed && line->data[line->len - 1] == '\r')
            cut(line, line->len - 1);
        return TN_CHAT_READ;
    }
}
