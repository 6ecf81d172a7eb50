/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/byte_alphabet.h"

#include "model/text/utf8.h"

/* The 68 bytes that are no printable ones of Latin-1: [0x00, 0x20], [0x7F, 0xA0] and 0xAD. */
enum { FIRST_MOVED = 0x100, N_LOW = 0x21, N_MIDDLE = 0x22, N_MOVED = N_LOW + N_MIDDLE + 1 };

static uint32_t letter_of(uint32_t byte)
{
    if (byte < N_LOW)
        return FIRST_MOVED + byte;
    if (byte >= 0x7F && byte < 0x7F + N_MIDDLE)
        return FIRST_MOVED + N_LOW + (byte - 0x7F);
    return byte == 0xAD ? FIRST_MOVED + N_MOVED - 1 : byte;
}

/* -1: no letter. */
static int32_t byte_of(uint32_t letter)
{
    if (letter < FIRST_MOVED)
        return letter_of(letter) == letter ? (int32_t)letter : -1;
    if (letter < FIRST_MOVED + N_LOW)
        return (int32_t)(letter - FIRST_MOVED);
    if (letter < FIRST_MOVED + N_LOW + N_MIDDLE)
        return (int32_t)(letter - FIRST_MOVED - N_LOW + 0x7F);
    return letter == FIRST_MOVED + N_MOVED - 1 ? 0xAD : -1;
}

size_t tn_byte_alphabet_letter(unsigned char byte, char out[2])
{
    uint32_t letter = letter_of(byte);
    if (letter < 0x80) {
        out[0] = (char)letter;
        return 1;
    }
    out[0] = (char)(0xC0 | letter >> 6);
    out[1] = (char)(0x80 | (letter & 0x3F));
    return 2;
}

void tn_byte_alphabet_put(const char *bytes, size_t n, tn_strbuf *out)
{
    for (size_t i = 0; i < n; i++) {
        char letter[2];
        size_t n_letter = tn_byte_alphabet_letter((unsigned char)bytes[i], letter);
        tn_strbuf_append(out, letter, n_letter);
    }
}

bool tn_byte_alphabet_get(const char *letters, size_t n, tn_strbuf *out)
{
    const size_t before = out->len;
    for (size_t at = 0; at < n;) {
        tn_utf8_unit unit = tn_utf8_next(letters + at, n - at);
        int32_t byte = unit.kind == TN_UTF8_CHAR ? byte_of(unit.code_point) : -1;
        if (byte < 0) {
            out->len = before;
            if (out->data)
                out->data[before] = '\0';
            return false;
        }
        char value = (char)byte;
        tn_strbuf_append(out, &value, 1);
        at += unit.n;
    }
    return true;
}
