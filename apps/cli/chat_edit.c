/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* memfd_create */
#include "apps/cli/chat_edit.h"

#include "apps/cli/chat_input.h"
#include "apps/cli/chat_signal.h"
#include "core/base/alloc.h"
#include "model/formats/write_file.h"
#include "model/text/utf8.h"

#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

enum { MAX_HISTORY = 1000, MAX_HISTORY_BYTES = 16 << 20 };

/* Terminals put pasted text between these marks when asked to, so that its newlines are no Enter.
 */
#define CLEAR_LINE  "\r\033[J"
#define PASTE_ON    "\033[?2004h"
#define PASTE_OFF   "\033[?2004l"
#define PASTE_BEGIN "\033[200~"
#define PASTE_END   L"\033[201~"

struct tn_chat_edit {
    EditLine *el;
    History *history;
    char *history_path; /* NULL: not kept */
    const char *prompt;
    char byte[8]; /* the beginning of a character */
    size_t n_bytes;
};

/* ---- reading ---- */

static char *prompt_of(EditLine *el)
{
    tn_chat_edit *e;
    static char none[1];
    if (el_get(el, EL_CLIENTDATA, &e) != 0)
        return none;
    return (char *)(uintptr_t)e->prompt; /* libedit does not write it */
}

static void redraw(EditLine *el)
{
    el_resize(el);
    fputs(CLEAR_LINE, stdout);   /* libedit forgets what stands there, and would write behind it */
    el_set(el, EL_PREP_TERM, 1); /* the shell changed the terminal while we were stopped */
    el_set(el, EL_REFRESH);
}

/* Bytes become characters here and not in libedit, so that the locale does not matter. True when
 * *out is a character. */
static bool decode(tn_chat_edit *e, char byte, wchar_t *out)
{
    e->byte[e->n_bytes++] = byte;
    const tn_utf8_unit unit = tn_utf8_next(e->byte, e->n_bytes);
    if (unit.kind == TN_UTF8_PARTIAL)
        return false;
    *out = unit.kind == TN_UTF8_CHAR ? (wchar_t)unit.code_point : L'\xFFFD';
    e->n_bytes -= unit.n; /* after an ill-formed part, the byte that showed it is still to come */
    memmove(e->byte, e->byte + unit.n, e->n_bytes);
    return true;
}

/* libedit's source of characters: 1, 0 at the end, -1 when a signal asks. */
static int get_character(EditLine *el, wchar_t *out)
{
    tn_chat_edit *e;
    el_get(el, EL_CLIENTDATA, &e);
    for (;;) {
        char byte;
        const int got = tn_chat_wait_readable(STDIN_FILENO);
        if (got == TN_CHAT_REDRAW) {
            redraw(el);
            continue;
        }
        if (got == TN_CHAT_INTERRUPTED) {
            errno = EINTR;
            return -1;
        }
        const ssize_t n = read(STDIN_FILENO, &byte, 1);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0)
            return 0;
        if (decode(e, byte, out))
            return 1;
    }
}

/* Bound to PASTE_BEGIN: what comes until PASTE_END goes into the line, newlines too. */
static unsigned char paste(EditLine *el, int key)
{
    static const wchar_t end[] = PASTE_END;
    const size_t n_end = sizeof end / sizeof end[0] - 1;
    wchar_t *text = NULL, c = 0;
    size_t n = 0, capacity = 0;
    unsigned char result = CC_REFRESH;
    (void)key;
    while (el_wgetc(el, &c) == 1) {
        if (n + 1 >= capacity) {
            capacity = capacity > 0 ? 2 * capacity : 256;
            wchar_t *more =
                n < TN_CHAT_MAX_TURN_BYTES ? tn_realloc_array(text, capacity, sizeof *text) : NULL;
            if (!more) {
                result = CC_ERROR;
                break;
            }
            text = more;
        }
        text[n++] = c == L'\r' ? L'\n' : c;
        if (n >= n_end && wmemcmp(text + n - n_end, end, n_end) == 0) {
            n -= n_end;
            break;
        }
    }
    while (n > 0 && text[n - 1] == L'\n')
        n--; /* Enter is pressed by hand */
    if (n > 0) {
        text[n] = L'\0';
        if (el_winsertstr(el, text) != 0)
            result = CC_ERROR;
    }
    tn_free(text);
    return result;
}

int tn_chat_edit_read(void *edit, const char *prompt, tn_strbuf *line)
{
    tn_chat_edit *e = edit;
    int n = 0;
    e->prompt = prompt;
    /* Before the prompt: a Ctrl-D that comes in between would be lost in the change of mode. */
    el_set(e->el, EL_PREP_TERM, 1);
    fputs(PASTE_ON, stdout);
    const char *text = el_gets(e->el, &n);
    if (!text) { /* what had been typed; el_gets has put the terminal back */
        const LineInfo *typed = el_line(e->el);
        if (n < 0 && typed->lastchar > typed->buffer)
            tn_strbuf_append(line, typed->buffer, (size_t)(typed->lastchar - typed->buffer));
        el_reset(e->el);
    } else {
        const size_t len = strlen(text);
        tn_strbuf_append(line, text, len - (len > 0 && text[len - 1] == '\n'));
    }
    fputs(PASTE_OFF, stdout);
    fflush(stdout);
    if (text)
        return TN_CHAT_READ;
    return tn_chat_interrupted() || tn_chat_must_end() ? TN_CHAT_INTERRUPTED : TN_CHAT_END;
}

/* ---- history ---- */

char *tn_chat_history_path(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    tn_strbuf path = TN_STRBUF(1 << 14);
    if (state && state[0] == '/') /* the specification: relative ones are to be ignored */
        tn_strbuf_printf(&path, "%s/tenon/chat_history", state);
    else if (home && home[0] == '/')
        tn_strbuf_printf(&path, "%s/.local/state/tenon/chat_history", home);
    if (path.len > 0)
        return tn_strbuf_take(&path);
    return NULL;
}

/* Make the directories above path. */
static void make_directories(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700); /* what cannot be made shows when the file is written */
        *slash = '/';
    }
}

static void load_history(tn_chat_edit *e)
{
    HistEvent event;
    struct stat st;
    if (stat(e->history_path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= MAX_HISTORY_BYTES)
        history(e->history, &event, H_LOAD, e->history_path);
}

/* The history as libedit writes it; it wants a file with a descriptor. */
static tn_status history_text(const tn_chat_edit *e, tn_strbuf *out)
{
    HistEvent event;
    char block[4096];
    size_t n = 0;
    const int fd = memfd_create("history", MFD_CLOEXEC);
    FILE *file = fd >= 0 ? fdopen(fd, "w+") : NULL;
    bool failed = !file || history(e->history, &event, H_SAVE_FP, file) < 0 || fflush(file) != 0;
    if (!failed)
        rewind(file);
    while (!failed && (n = fread(block, 1, sizeof block, file)) > 0)
        tn_strbuf_append(out, block, n);
    failed = failed || ferror(file) || out->failed;
    if (file)
        (void)fclose(file);
    else if (fd >= 0)
        (void)close(fd);
    return failed ? TN_NO_MEMORY : TN_OK;
}

/* A conversation goes on without its history: what fails is not told. */
static void save_history(tn_chat_edit *e)
{
    tn_strbuf text = TN_STRBUF(MAX_HISTORY_BYTES);
    if (!e->history_path)
        return;
    make_directories(e->history_path);
    tn_status status = history_text(e, &text);
    const tn_file_part part = { text.data, text.len };
    const tn_write_args args = { .part = &part, .n_parts = 1, .mode = 0600 };
    if (!status)
        status = tn_write_file(e->history_path, &args, NULL);
    tn_strbuf_deinit(&text);
    (void)status;
}

void tn_chat_edit_remember(tn_chat_edit *e, const char *turn, bool literal)
{
    HistEvent event;
    tn_strbuf text = TN_STRBUF(TN_CHAT_MAX_TURN_BYTES + 16);
    const bool quoted = literal || strchr(turn, '\n');
    tn_strbuf_printf(&text, quoted ? "\"\"\"%s\"\"\"" : "%s", turn);
    if (!text.failed && history(e->history, &event, H_ENTER, text.data) >= 0)
        save_history(e);
    tn_strbuf_deinit(&text);
}

/* ---- open and close ---- */

static bool set_up(tn_chat_edit *e)
{
    HistEvent event;
    e->history = history_init();
    e->el = el_init("tenon", stdin, stdout, stderr);
    if (!e->history || !e->el)
        return false;
    history(e->history, &event, H_SETSIZE, MAX_HISTORY);
    history(e->history, &event, H_SETUNIQUE, 1);
    el_set(e->el, EL_CLIENTDATA, e);
    el_set(e->el, EL_PROMPT, prompt_of);
    el_set(e->el, EL_EDITOR, "emacs");
    el_set(e->el, EL_HIST, history, e->history);
    el_set(e->el, EL_GETCFN, get_character);
    el_set(e->el, EL_ADDFN, "tenon-paste", "insert pasted text", paste);
    el_set(e->el, EL_BIND, PASTE_BEGIN, "tenon-paste", NULL);
    el_set(e->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_source(e->el, NULL); /* ~/.editrc: the user's own keys */
    return true;
}

tn_chat_edit *tn_chat_edit_open(const char *history_path)
{
    const char *terminal = getenv("TERM");
    if (!terminal || !*terminal || strcmp(terminal, "dumb") == 0)
        return NULL;
    /* Text is UTF-8, as everywhere in this program; libedit measures its width by the locale. */
    if (!setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1)
        setlocale(LC_CTYPE, "C.UTF-8");
    tn_chat_edit *e = tn_alloc_array(1, sizeof *e);
    if (!e)
        return NULL;
    e->prompt = "";
    if (!set_up(e)) {
        tn_chat_edit_close(e);
        return NULL;
    }
    if (history_path) {
        e->history_path = tn_strdup(history_path);
        if (e->history_path)
            load_history(e);
    }
    return e;
}

void tn_chat_edit_close(tn_chat_edit *e)
{
    if (!e)
        return;
    if (e->el)
        el_end(e->el);
    if (e->history)
        history_end(e->history);
    tn_free(e->history_path);
    tn_free(e);
}
