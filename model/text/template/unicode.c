/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/template/unicode.h"

#include "model/text/template/unicode_tables.h"

enum { CAPITAL_SIGMA = 0x3A3, CAPITAL_I_WITH_DOT = 0x130 };

#define N_OF(table) (sizeof(table) / sizeof((table)[0]))

size_t tpl_char_bytes(char lead)
{
    const unsigned char c = (unsigned char)lead;
    return c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

size_t tpl_count_chars(const char *text, size_t n)
{
    size_t chars = 0;
    for (size_t i = 0; i < n; i++)
        chars += ((unsigned char)text[i] & 0xC0) != 0x80;
    return chars;
}

uint32_t tpl_char_at(const char *text, size_t *out_n)
{
    static const unsigned char masks[] = { 0, 0x7F, 0x1F, 0x0F, 0x07 };
    *out_n = tpl_char_bytes(*text);
    uint32_t c = (unsigned char)*text & masks[*out_n];
    for (size_t i = 1; i < *out_n; i++)
        c = c << 6 | ((unsigned char)text[i] & 0x3F);
    return c;
}

size_t tpl_bytes_of(const char *text, size_t n, size_t chars)
{
    size_t at = 0;
    for (; chars > 0 && at < n; chars--)
        at += tpl_char_bytes(text[at]);
    return at;
}

void tpl_put_char(uint32_t c, tn_strbuf *out)
{
    char bytes[4];
    size_t n = 0;
    if (c < 0x80) {
        bytes[n++] = (char)c;
    } else if (c < 0x800) {
        bytes[n++] = (char)(0xC0 | c >> 6);
    } else if (c < 0x10000) {
        bytes[n++] = (char)(0xE0 | c >> 12);
        bytes[n++] = (char)(0x80 | (c >> 6 & 0x3F));
    } else {
        bytes[n++] = (char)(0xF0 | c >> 18);
        bytes[n++] = (char)(0x80 | (c >> 12 & 0x3F));
        bytes[n++] = (char)(0x80 | (c >> 6 & 0x3F));
    }
    if (c >= 0x80)
        bytes[n++] = (char)(0x80 | (c & 0x3F));
    tn_strbuf_append(out, bytes, n);
}

bool tpl_is_space(uint32_t c)
{
    if (c < 0x80)
        return c == ' ' || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F);
    return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
           c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool tpl_is_line_break(uint32_t c)
{
    return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
           c == 0x2029;
}

size_t tpl_trailing_space(const char *text, size_t n)
{
    size_t end = n;
    while (end > 0) {
        size_t at = end - 1, bytes;
        while (at > 0 && ((unsigned char)text[at] & 0xC0) == 0x80)
            at--;
        if (!tpl_is_space(tpl_char_at(text + at, &bytes)))
            break;
        end = at;
    }
    return n - end;
}

size_t tpl_leading_space(const char *text, size_t n)
{
    size_t at = 0, bytes;
    while (at < n && tpl_is_space(tpl_char_at(text + at, &bytes)))
        at += bytes;
    return at;
}

static bool in_ranges(const tpl_char_range *ranges, size_t n, uint32_t c)
{
    size_t low = 0, high = n;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (c > ranges[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && c >= ranges[low].first;
}

bool tpl_is_printable(uint32_t c)
{
    return c < 0x80 ? c >= 0x20 && c < 0x7F : !in_ranges(unprintable, N_OF(unprintable), c);
}

bool tpl_title_is_upper(uint32_t c)
{
    return c < 0x80 || !in_ranges(title_differs, N_OF(title_differs), c);
}

static uint32_t map_case(const tpl_case_row *rows, size_t n, uint32_t c)
{
    size_t low = 0, high = n;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (c > rows[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < n && c >= rows[low].first && (c - rows[low].first) % rows[low].step == 0)
        return (uint32_t)((int32_t)c + rows[low].delta);
    return c;
}

bool tpl_put_lower(const char *text, size_t n, tn_strbuf *out)
{
    size_t bytes;
    for (size_t at = 0; at < n; at += bytes) {
        const uint32_t c = tpl_char_at(text + at, &bytes);
        if (c == CAPITAL_SIGMA)
            return false;
        if (c == CAPITAL_I_WITH_DOT)
            tn_strbuf_puts(out, "i\xCC\x87");
        else if (c < 0x80)
            tpl_put_char(c >= 'A' && c <= 'Z' ? c + 32 : c, out);
        else
            tpl_put_char(map_case(lower_rows, N_OF(lower_rows), c), out);
    }
    return true;
}

static const char *upper_text(uint32_t c)
{
    for (size_t i = 0; i < N_OF(upper_texts); i++)
        if (upper_texts[i].from == c)
            return upper_texts[i].to;
    return NULL;
}

bool tpl_put_upper(const char *text, size_t n, tn_strbuf *out)
{
    size_t bytes;
    for (size_t at = 0; at < n; at += bytes) {
        const uint32_t c = tpl_char_at(text + at, &bytes);
        const char *special = c < 0x80 ? NULL : upper_text(c);
        if (special)
            tn_strbuf_puts(out, special);
        else if (c < 0x80)
            tpl_put_char(c >= 'a' && c <= 'z' ? c - 32 : c, out);
        else
            tpl_put_char(map_case(upper_rows, N_OF(upper_rows), c), out);
    }
    return true;
}
