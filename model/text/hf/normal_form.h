/* SPDX-License-Identifier: Apache-2.0 */
/* Unicode's normal forms, by the tables of utf8proc. Internal to model/text. */
#ifndef TN_MODEL_TEXT_HF_NORMAL_FORM_H
#define TN_MODEL_TEXT_HF_NORMAL_FORM_H

#include "core/base/strbuf.h"

enum { TN_NFC, TN_NFD, TN_NFKC, TN_NFKD };

/** Append text[0, n), valid UTF-8, in a normal form. Time is linear but for the sorting of runs of
 * combining marks. */
tn_status tn_normal_form(int32_t form, const char *text, size_t n, tn_strbuf *out,
                         tn_error *err) TN_MUST_USE;
/** Append one code point as UTF-8. */
void tn_put_code_point(tn_strbuf *out, int32_t code_point);

#endif
