/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/markup.h"

#include "model/text/utf8.h"

#include <string.h>

static const char *entity(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    default:
        return NULL;
    }
}

/* XML 1.0, production 2 (Char). */
static bool is_allowed(const tn_utf8_unit *u)
{
    const uint32_t c = u->code_point;
    return u->kind == TN_UTF8_CHAR && (c >= 0x20 || c == '\t' || c == '\n' || c == '\r') &&
           c != 0xfffe && c != 0xffff;
}

void tn_markup_text(const char *text, tn_strbuf *out)
{
    size_t left = strlen(text);
    while (left > 0) {
        const tn_utf8_unit u = tn_utf8_next(text, left);
        if (!is_allowed(&u))
            tn_strbuf_puts(out, "\xef\xbf\xbd");
        else if (entity(*text))
            tn_strbuf_puts(out, entity(*text));
        else
            tn_strbuf_append(out, text, u.n);
        text += u.n;
        left -= u.n;
    }
}
