/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a file as text that is safe on a terminal. Pure. */
#ifndef TN_MODEL_FORMATS_PRINTABLE_H
#define TN_MODEL_FORMATS_PRINTABLE_H

#include "core/base/strbuf.h"

/** Append bytes[0, n): well-formed UTF-8 as it is, a newline as \n, other control characters and
 * bytes that are no UTF-8 as \xNN. */
void tn_put_printable(tn_strbuf *out, const void *bytes, size_t n);

#endif
