/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The byte alphabet of GPT-2 (encoder.py, bytes_to_unicode): the printable bytes of Latin-1 stand
 * for themselves, the other 68 for U+0100 and on, in order. Internal to model/text. Pure.
 */
#ifndef TN_MODEL_TEXT_BYTE_ALPHABET_H
#define TN_MODEL_TEXT_BYTE_ALPHABET_H

#include "core/base/strbuf.h"

/** The letter of a byte as UTF-8: one or two bytes. */
size_t tn_byte_alphabet_letter(unsigned char byte, char out[2]);
/** Append the letters of bytes[0, n). */
void tn_byte_alphabet_put(const char *bytes, size_t n, tn_strbuf *out);
/** Append the bytes that letters[0, n) stand for; false, and nothing appended, when one character
 * is no letter. */
bool tn_byte_alphabet_get(const char *letters, size_t n, tn_strbuf *out);

#endif
