/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/utf8.h"

/* Bytes of a character by its first byte and the range of its second byte (Unicode 15, table 3-7);
 * n = 0: no first byte. */
typedef struct lead {
    uint32_t n;
    uint8_t low, high;
} lead;

static lead lead_of(uint8_t first)
{
    if (first >= 0xC2 && first <= 0xDF)
        return (lead){ 2, 0x80, 0xBF };
    if (first >= 0xE0 && first <= 0xEF)
        return (lead){ 3, first == 0xE0 ? 0xA0 : 0x80, first == 0xED ? 0x9F : 0xBF };
    if (first >= 0xF0 && first <= 0xF4)
        return (lead){ 4, first == 0xF0 ? 0x90 : 0x80, first == 0xF4 ? 0x8F : 0xBF };
    return (lead){ 0 };
}

tn_utf8_unit tn_utf8_next(const char *bytes, size_t n)
{
    uint8_t first = (uint8_t)bytes[0];
    if (first < 0x80)
        return (tn_utf8_unit){ TN_UTF8_CHAR, 1, first };
    lead l = lead_of(first);
    if (l.n == 0)
        return (tn_utf8_unit){ .kind = TN_UTF8_INVALID, .n = 1 };
    uint32_t code_point = first & (0x7Fu >> l.n);
    for (uint32_t i = 1; i < l.n; i++) {
        if (i == n)
            return (tn_utf8_unit){ .kind = TN_UTF8_PARTIAL, .n = i };
        uint8_t byte = (uint8_t)bytes[i];
        if (byte < (i == 1 ? l.low : 0x80) || byte > (i == 1 ? l.high : 0xBF))
            return (tn_utf8_unit){ .kind = TN_UTF8_INVALID, .n = i };
        code_point = code_point << 6 | (byte & 0x3Fu);
    }
    return (tn_utf8_unit){ TN_UTF8_CHAR, l.n, code_point };
}

bool tn_utf8_is_space(uint32_t code_point)
{
    const uint32_t c = code_point;
    return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

size_t tn_utf8_valid_prefix(const char *text, size_t n)
{
    size_t at = 0;
    while (at < n) {
        tn_utf8_unit unit = tn_utf8_next(text + at, n - at);
        if (unit.kind != TN_UTF8_CHAR)
            break;
        at += unit.n;
    }
    return at;
}

size_t tn_utf8_invalid_prefix(const char *text, size_t n)
{
    size_t at = 0;
    while (at < n) {
        tn_utf8_unit unit = tn_utf8_next(text + at, n - at);
        if (unit.kind == TN_UTF8_CHAR)
            break;
        at += unit.n;
    }
    return at;
}
