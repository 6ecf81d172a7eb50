/* SPDX-License-Identifier: Apache-2.0 */
#include "model/formats/printable.h"

#include <stdbool.h>
#include <stdint.h>

/* Length of the well-formed UTF-8 sequence at p (RFC 3629, table 3-7 of Unicode), 0 when there is
 * none. */
static size_t utf8_length(const uint8_t *p, size_t n)
{
    if (p[0] < 0x80)
        return 1;
    size_t length = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || length > n)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool is_overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool is_outside = (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f);
    return is_overlong || is_outside ? 0 : length;
}

void tn_put_printable(tn_strbuf *out, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    for (size_t i = 0; i < n;) {
        size_t length = utf8_length(p + i, n - i);
        bool is_control = length == 1 ? p[i] < 0x20 || p[i] == 0x7f
                                      : length == 2 && p[i] == 0xc2 && p[i + 1] < 0xa0; /* C1 */
        if (length && !is_control)
            tn_strbuf_append(out, p + i, length);
        else if (p[i] == '\n')
            tn_strbuf_puts(out, "\\n");
        else
            tn_strbuf_printf(out, "\\x%02x", p[i]);
        i += length && !is_control ? length : 1;
    }
}
