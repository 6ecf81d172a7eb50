/* SPDX-License-Identifier: Apache-2.0 */
/* Text inside of XML and HTML. Pure. */
#ifndef TN_APPS_CHECK_MARKUP_H
#define TN_APPS_CHECK_MARKUP_H

#include "core/base/strbuf.h"

/** As character data or inside of double quotes. What XML 1.0 forbids (control characters, bytes
 * that are no UTF-8) becomes U+FFFD: names may come from a plugin or a file. */
void tn_markup_text(const char *text, tn_strbuf *out);

#endif
